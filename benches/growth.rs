//! What one growth event costs, in units of a training step: `cargo bench --bench growth -- [threads]`.
//!
//! 784-256-256-10 at batch 128 with Adam; one hidden layer is widened to 512 in the middle of a run. The run is
//! the product's own, recorded into a folder that vanishes; the clock is read as the events of the run come in.
//! Four figures, medians of the runs:
//!
//! - `event`: rewriting, planning and probing, as the run itself times it (with the digest of the weights);
//! - `wall`: everything between the step before and the step after it, with the record that is written and
//!   synced, less one step of the wider network;
//! - `after`: what the ten steps behind it take more than ten steps of the wider network;
//! - `checkpoint`: a `save` later in the run, less one step.

use growrun::base::world::Real;
use growrun::check::{Request, check};
use growrun::data::Place;
use growrun::record::{Origin, Recorder};
use growrun::run::{self, Autosave, Event, Options};
use growrun::syntax;
use growrun::tensor::{Compute, Simd};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

const GROWS_AT: u64 = 300;
const SAVES_AT: u64 = 500;
const RUNS: usize = 9;

/// What one run took, in seconds.
struct Costs {
    narrow: f64,
    wide: f64,
    event: f64,
    wall: f64,
    after: f64,
    checkpoint: f64,
}

fn schedule(layer: &str) -> String {
    format!(
        "experiment \"growth\"\ndata blobs {{ samples 4000 inputs 784 classes 10; batch 128; drop_last yes }}\n\
         model {{ h1 dense 256 relu; h2 dense 256 relu; out dense 10 }}\n\
         train 600 steps {{ optimizer adam lr 1e-3; evaluate never }}\n\
         at step {GROWS_AT} widen {layer} to 512\nat step {SAVES_AT} save \"later\"\n"
    )
}

fn measure(layer: &str, threads: usize) -> Costs {
    let (world, vocabulary, named) = (Real::default(), run::vocabulary(), BTreeMap::new());
    let (parsed, mut found) = syntax::parse("growth.grow", &schedule(layer));
    let request = Request::new(&world, &vocabulary, Path::new("."), &named);
    let checked = check(parsed, &request);
    found.extend(checked.diagnostics);
    let program = checked.program.unwrap_or_else(|| panic!("the schedule is good: {found:?}"));
    let place = Place { world: &world, folder: Path::new("."), named: &named, seed: program.seed };
    let dataset = run::load_data(&program, &place).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let compute = Compute::new(threads, Simd::Auto, false).expect("`auto` is always there");
    let options = Options {
        compute,
        interrupt: Default::default(),
        parameters_max: u64::MAX,
        memory_max: None,
        autosave: Autosave::Never,
    };
    let folder = tempfile::tempdir().expect("a folder to record into");
    let mut recorder =
        Recorder::create(&world, folder.path(), &program, &dataset, Origin::default()).expect("a record");

    let (mut steps, mut event_seconds) = (vec![Instant::now()], 0.0);
    run::execute(&program, &dataset, &options, &world, &mut |event: &Event| {
        recorder.consume(event)?;
        match event {
            Event::Stepped(_) => steps.push(Instant::now()),
            Event::Grown(growth) => event_seconds = growth.seconds,
            _ => {}
        }
        Ok(())
    })
    .unwrap_or_else(|failure| panic!("{failure:?}"));

    // Seconds of step n, counted from 1, with what happened between it and the step before.
    let step = |n: u64| (steps[n as usize] - steps[n as usize - 1]).as_secs_f64();
    let typical = |from: u64, to: u64| median((from..to).map(step).collect());
    let (narrow, wide) = (typical(100, GROWS_AT), typical(GROWS_AT + 50, SAVES_AT));
    Costs {
        narrow,
        wide,
        event: event_seconds,
        wall: step(GROWS_AT + 1) - wide,
        after: (GROWS_AT + 2..GROWS_AT + 12).map(step).sum::<f64>() - 10.0 * wide,
        checkpoint: step(SAVES_AT + 1) - wide,
    }
}

/// Reads one figure of a run.
type Figure = fn(&Costs) -> f64;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(2);
    println!("784-256-256-10, batch 128, adam, {threads} threads, median of {RUNS} runs (least to most)");
    let mut costs: BTreeMap<&str, Vec<Costs>> = BTreeMap::new();
    for _ in 0..RUNS {
        // In turn, so that noise of the machine meets both.
        for layer in ["h1", "h2"] {
            costs.entry(layer).or_default().push(measure(layer, threads));
        }
    }
    for (layer, costs) in &costs {
        let narrow = median(costs.iter().map(|cost| cost.narrow).collect());
        let wide = median(costs.iter().map(|cost| cost.wide).collect());
        println!("widen {layer} to 512: a step takes {:.0} µs before, {:.0} µs after", narrow * 1e6, wide * 1e6);
        let figures: [(&str, Figure); 4] = [
            ("event", |cost| cost.event),
            ("wall", |cost| cost.wall),
            ("after", |cost| cost.after),
            ("checkpoint", |cost| cost.checkpoint),
        ];
        for (name, figure) in figures {
            let values: Vec<f64> = costs.iter().map(figure).collect();
            let steps: Vec<f64> = costs.iter().map(|cost| figure(cost) / cost.narrow).collect();
            let least = steps.iter().copied().fold(f64::INFINITY, f64::min);
            let most = steps.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            println!(
                "  {name:<10} {:8.2} ms = {:6.1} steps ({least:.1} to {most:.1})",
                median(values) * 1e3,
                median(steps)
            );
        }
    }
}
