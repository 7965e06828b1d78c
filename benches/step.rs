//! Time of one training step in µs: `cargo bench --bench step -- [threads] [part of a case's name]`.
//!
//! Batches are in memory; the step is forward, loss, backward, global norm and update. The median of seven
//! rounds that take turns, so that noise of the machine meets every case.

use growrun::nn::architecture::{Pooling, Settings};
use growrun::nn::layers::{self, Description};
use growrun::nn::{Activation, Architecture, Network, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::{BatchMut, Compute, Simd};
use growrun::train::{Loss, Targets, Trainer};
use ndarray::{Array2, s};
use std::ops::Range;
use std::time::Instant;

struct Case {
    name: String,
    network: Network<f32>,
    optimizer: Optimizer,
    batch: usize,
    rounds: Vec<f64>,
}

fn network(widths: &[usize]) -> Architecture {
    let dense = layers::find("dense").expect("dense is a layer");
    let mut architecture = Architecture::new(widths[0], None, Task::Classification);
    for (at, &width) in widths[1..].iter().enumerate() {
        let last = at + 2 == widths.len();
        let activation = if last { Activation::Linear } else { Activation::Relu };
        let settings = Settings { activation, ..Settings::default() };
        architecture.push(&format!("h{at}"), dense, Description { width: Some(width), area: None, settings });
    }
    architecture
}

/// 1→32→64 channels by 3×3 kernels over 28×28 pixels, two pools, 128 units, ten classes.
fn convolutional() -> Architecture {
    let mut net = Architecture::new(1, Some((28, 28)), Task::Classification);
    let mut push = |name: &str, kind: &str, width: Option<usize>, settings: Settings| {
        let kind = layers::find(kind).expect("a layer");
        let area = net.output().area.and_then(|area| kind.area(&settings, area));
        net.push(name, kind, Description { width, area, settings });
    };
    let relu = || Settings { activation: Activation::Relu, ..Settings::default() };
    let pool = || Settings { pooling: Some(Pooling::Max(2)), ..Settings::default() };
    push("c1", "conv", Some(32), Settings { kernel: 3, ..relu() });
    push("p1", "pool", None, pool());
    push("c2", "conv", Some(64), Settings { kernel: 3, ..relu() });
    push("p2", "pool", None, pool());
    push("h1", "dense", Some(128), relu());
    push("out", "dense", Some(10), Settings::default());
    net
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(2);
    let compute = Compute::new(threads, Simd::Auto, false).expect("`auto` is always there");
    let sgd = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let adam = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
    let wanted = std::env::args().skip(1).find(|word| word.parse::<usize>().is_err() && !word.starts_with("--"));
    let mut cases = Vec::new();
    for (widths, batch) in [
        (&[64, 32, 32, 10][..], 32),
        (&[784, 256, 256, 10], 32),
        (&[784, 256, 256, 10], 128),
        (&[784, 1024, 1024, 1024, 10], 128),
        (&[], 64),
        (&[], 128),
    ] {
        for (word, rule, lr) in [("sgd", sgd, 0.01), ("adam", adam, 1e-3)] {
            let shape: Vec<String> = widths.iter().map(usize::to_string).collect();
            let shape = if widths.is_empty() { "conv 32-64, dense 128".into() } else { shape.join("-") };
            let name = format!("{shape}, batch {batch}, {word}");
            if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
                continue;
            }
            let optimizer = Optimizer::new(rule, lr, None);
            let architecture = if widths.is_empty() { convolutional() } else { network(widths) };
            let network = Network::new(&architecture, 0, compute.clone());
            cases.push(Case { name, network, optimizer, batch, rounds: Vec::new() });
        }
    }
    println!("{compute:?}");
    for round in 0..8 {
        for case in &mut cases {
            let inputs = case.network.inputs();
            let x: Vec<f32> = (0..case.batch * inputs).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let x = Array2::from_shape_vec((case.batch, inputs), x).expect("rows of the input's width");
            let y: Vec<u32> = (0..case.batch).map(|i| (i * 7 % 10) as u32).collect();
            let mut trainer = Trainer::new();
            let lr = case.optimizer.lr;
            let steps = 20_000_000 / (case.batch * inputs * 256).max(1) + 20;
            let start = Instant::now();
            for step in 0..steps {
                let (network, optimizer) = (&mut case.network, &mut case.optimizer);
                let loss = &Loss::of(Task::Classification);
                let fill = |rows: Range<usize>, out: &mut BatchMut<'_, f32>| out.set(x.slice(s![rows, ..]));
                trainer.step_loaded(network, optimizer, loss, fill, Targets::Classes(&y), lr, 0, step as u64);
            }
            // The first round warms up.
            if round > 0 {
                case.rounds.push(start.elapsed().as_secs_f64() / steps as f64 * 1e6);
            }
        }
    }
    for case in &mut cases {
        case.rounds.sort_by(f64::total_cmp);
        let median = case.rounds[case.rounds.len() / 2];
        println!("{:38} {median:9.1} µs (best {:9.1})", case.name, case.rounds[0]);
    }
}
