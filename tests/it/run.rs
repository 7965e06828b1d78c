//! Whole runs: from text to weights and record.

use growrun::base::world::Real;
use growrun::base::{Diagnostic, World};
use growrun::check::{Checked, Program, Request, check};
use growrun::data::{Dataset, Place};
use growrun::run::{self, Autosave, Checkpoint, Event, Finish, Options, Reason, Status};
use growrun::tensor::{Compute, Simd};
use growrun::{record, syntax};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

const STARTER: &str = "
data digits { batch 32 }
model { h1 dense 16 relu; h2 dense 16 relu; out dense 10 }
train 6 epochs { optimizer adam lr 1e-3; metrics accuracy }
";

pub fn program(text: &str, seed: Option<u64>) -> Result<Program, Vec<Diagnostic>> {
    let (checked, diagnostics) = checked(text, seed);
    checked.program.ok_or(diagnostics)
}

pub fn checked(text: &str, seed: Option<u64>) -> (Checked, Vec<Diagnostic>) {
    let world = Real::default();
    let (schedule, mut diagnostics) = syntax::parse("test.grow", text);
    let (vocabulary, named) = (run::vocabulary(), BTreeMap::new());
    let mut checked = check(schedule, &Request { seed, ..Request::new(&world, &vocabulary, Path::new("."), &named) });
    diagnostics.append(&mut checked.diagnostics);
    (checked, diagnostics)
}

pub fn dataset(program: &Program) -> Dataset {
    let world = Real::default();
    let named = BTreeMap::new();
    let place = Place { world: &world, folder: Path::new("."), named: &named, seed: program.seed };
    run::load_data(program, &place).expect("built-in data")
}

pub fn compute(threads: usize, simd: Simd) -> Options {
    Options {
        compute: Compute::new(threads, simd, true).expect("a path of this machine"),
        interrupt: Arc::new(AtomicI32::new(0)),
        parameters_max: 1_000_000,
        memory_max: None,
        autosave: Autosave::Never,
    }
}

pub fn run_with(text: &str, seed: u64, options: &Options) -> Finish {
    let program = program(text, Some(seed)).unwrap_or_else(|found| panic!("{found:#?}"));
    let world = Real::default();
    run::execute(&program, &dataset(&program), options, &world, &mut |_| Ok(())).expect("it runs")
}

fn run(text: &str) -> Finish {
    run_with(text, 7, &compute(1, Simd::Auto))
}

#[test]
fn growth_with_eps_0_and_identity_after_relu_change_nothing() {
    let finish = run(&format!(
        "{STARTER}
        at epoch 2 {{ evaluate val; widen h2 to 40; insert identity after h2; assert preserved tol 0; evaluate val }}"
    ));
    assert_eq!(finish.status, Status::Finished);
    let drifts: Vec<(&str, f64, bool)> =
        finish.events.iter().map(|event| (event.promise.word(), event.drift, event.held)).collect();
    assert_eq!(drifts, [("bitwise", 0.0, true), ("bitwise", 0.0, true)]);
    assert_eq!(finish.architecture.to_string(), "64-16-40-40-10");
}

#[test]
fn evaluation_gives_the_same_bits_before_and_after_growth() {
    let text =
        format!("{STARTER}\nat epoch 2 {{ evaluate val; widen h1 to 50; insert identity after h1; evaluate val }}");
    let program = program(&text, Some(1)).expect("a good schedule");
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let world = Real::default();
    run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &world, &mut |event| {
        if let Event::Evaluated(evaluated) = event {
            let loss = evaluated.metrics.iter().find(|(name, _)| name == "val_loss").expect("always measured");
            seen.push((evaluated.step, loss.1.to_bits()));
        }
        Ok(())
    })
    .expect("it runs");
    let steps = 2 * program.data.steps_per_epoch;
    let bits: Vec<u64> = seen.iter().filter(|(step, _)| *step == steps).map(|(_, bits)| *bits).collect();
    assert_eq!(bits.len(), 3, "the schedule's evaluation and the two asked for");
    assert!(bits.iter().all(|b| *b == bits[0]), "{bits:x?}");
}

#[test]
fn the_same_file_gives_the_same_weights_at_any_number_of_threads_and_on_any_path() {
    let text = format!(
        "{STARTER}
        at epoch 1 widen h1 to 37 eps 1e-2
        at epoch 2 insert identity after h2
        at epoch 3 widen h2 to 51 method split
        at epoch 4 {{ widen all by 3 method gradmax; narrow h1 to 30 rank gradient; widen h1 by 5 method mirror }}
        at epoch 5 {{ insert dense 20 tanh after h1 as h1b accept change; insert identity after h1b method mirror }}
        at epoch 5 {{ narrow h2 to 40; insert identity after h2 as h3; duplicate h3 as h4; widen h4 by 2 method random }}"
    );
    let mut paths = vec![Simd::Auto, Simd::Portable];
    paths.extend([Simd::Avx2, Simd::Avx512].into_iter().filter(|simd| simd.is_available()));
    let digest = run_with(&text, 3, &compute(1, Simd::Auto)).weights.expect("finite weights");
    for threads in [1, 2, 4] {
        for &simd in &paths {
            let other = run_with(&text, 3, &compute(threads, simd)).weights.expect("finite weights");
            assert_eq!(other, digest, "{threads} threads, {}", simd.word());
        }
    }
    assert_ne!(run_with(&text, 4, &compute(1, Simd::Auto)).weights, Some(digest), "another seed, other weights");
}

#[test]
fn what_measuring_costs_is_counted_and_what_it_finds_is_told() {
    let grown = |action: &str| {
        let program = program(&format!("{STARTER}\nat epoch 2 {action}"), Some(7)).expect("a good schedule");
        let data = dataset(&program);
        let mut notes = Vec::new();
        let world = Real::default();
        let finish = run::execute(&program, &data, &compute(1, Simd::Auto), &world, &mut |event| {
            if let Event::Noted { text, .. } = event {
                notes.push(text.clone());
            }
            Ok(())
        });
        let examples = data.train.len().min(run::MEASURED) as u64;
        (finish.expect("it runs").flops, notes, examples * program.architecture.forward_flops(), examples)
    };
    let (by_magnitude, _, forward, examples) = grown("narrow h2 to 12");
    let (by_gradient, notes, ..) = grown("narrow h2 to 12 rank gradient");
    // A backward pass costs two forward ones; δ·W of the reader is [examples, 10]·[10, 16].
    assert_eq!(by_gradient - by_magnitude, 2 * forward + 2 * examples * 10 * 16);
    assert_eq!(notes, [""; 0]);
    let (random, ..) = grown("widen h2 by 12 method random");
    let (gradmax, notes, ..) = grown("widen h2 by 12 method gradmax");
    assert!(gradmax > random + 3 * forward + 2 * examples * 10 * 16, "{gradmax} {random}");
    // The gradients of a softmax's ten outputs sum to 0, so they span nine dimensions.
    let note = "3 of the 12 new units of `h2` are `pad` units: the gradient that gradmax looks at has rank 9 here";
    assert_eq!(notes, [note]);
}

#[test]
fn a_during_is_undone_at_its_end() {
    let text = format!("{STARTER}\nduring epoch 1..2 {{ freeze h1; set lr by 0.1x; set dropout h2 to 0.5 }}");
    let program = program(&text, Some(1)).expect("a good schedule");
    let mut rates = BTreeMap::new();
    let world = Real::default();
    let finish = run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &world, &mut |event| {
        if let Event::Stepped(stepped) = event {
            rates.insert(stepped.step - 1, stepped.lr);
        }
        Ok(())
    })
    .expect("it runs");
    let epoch = program.data.steps_per_epoch;
    assert_eq!(
        [rates[&(epoch - 1)], rates[&epoch], rates[&(2 * epoch - 1)], rates[&(2 * epoch)]],
        [1e-3, 1e-4, 1e-4, 1e-3]
    );
    let layers = &finish.architecture;
    assert!(layers.all_layers().all(|layer| !layer.frozen && layer.settings.dropout == 0.0));
}

#[test]
fn a_during_undoes_only_what_it_did() {
    // Two windows overlap, and inside the first something is set for good.
    let text = format!(
        "{STARTER}
        during epoch 1..3 {{ freeze h1; set lr by 0.5x; set dropout h2 to 0.5; set dropout h2 to 0.25 }}
        during epoch 2..4 set lr by 0.1x
        at epoch 2 freeze h2"
    );
    let (checked, diagnostics) = checked(&text, Some(1));
    let program = checked.program.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    let mut rates = BTreeMap::new();
    let world = Real::default();
    let finish = run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &world, &mut |event| {
        if let Event::Stepped(stepped) = event {
            rates.insert(stepped.step - 1, stepped.lr);
        }
        Ok(())
    })
    .expect("it runs");
    let epoch = program.data.steps_per_epoch;
    let seen: Vec<f64> = (0..5).map(|at| rates[&(at * epoch)]).collect();
    assert_eq!(seen, [1e-3, 1e-3 * 0.5, 1e-3 * 0.5 * 0.1, 1e-3 * 0.1, 1e-3]);
    let frozen: Vec<bool> = finish.architecture.all_layers().map(|layer| layer.frozen).collect();
    assert_eq!(frozen, [false, true, false], "the freeze of another event stays");
    assert!(finish.architecture.all_layers().all(|layer| layer.settings.dropout == 0.0));
    let planned = &checked.timeline.last().expect("events are planned").after;
    let planned: Vec<(bool, f64)> = planned.all_layers().map(|layer| (layer.frozen, layer.settings.dropout)).collect();
    assert_eq!(planned, [(false, 0.0), (true, 0.0), (false, 0.0)], "`plan` says what the run does");
}

#[test]
fn events_at_the_end_fire_in_source_order_even_behind_a_stop() {
    let text = |middle: &str| {
        format!("{STARTER}\nat end save \"a\"\nevery 3 epochs {{ save \"b\"{middle} }}\nat end save \"c\"")
    };
    for (middle, expected) in [("", "b3 a6 b6 c6"), ("; stop", "b3 a3 c3")] {
        let program = program(&text(middle), Some(1)).expect("a good schedule");
        let mut saved = Vec::new();
        run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &Real::default(), &mut |event| {
            if let Event::Checkpoint(Checkpoint { reason: Reason::Named(name), progress, .. }) = event {
                saved.push(format!("{name}{}", progress.step / program.data.steps_per_epoch));
            }
            Ok(())
        })
        .expect("it runs");
        assert_eq!(saved.join(" "), expected);
    }
    let late = format!("{STARTER}\nat end {{ save \"a\"; stop }}\nat end save \"b\"");
    assert_eq!(run(&late).status, Status::Finished);
}

#[test]
fn an_assertion_that_does_not_hold_fails_the_run_and_names_the_value() {
    let finish = run(&format!("{STARTER}\nat epoch 1 assert val_accuracy > 99.99%"));
    let Status::Failed(why) = &finish.status else { panic!("{:?}", finish.status) };
    assert!(why.message.contains("val_accuracy is 0."), "{}", why.message);
}

#[test]
fn growth_that_changes_the_function_fails_assert_preserved() {
    let finish = run(&format!("{STARTER}\nat epoch 1 {{ narrow h2 to 4; assert preserved }}"));
    assert!(matches!(finish.status, Status::Failed(_)), "{:?}", finish.status);
}

#[test]
fn a_plateau_grows_once_and_counting_begins_anew() {
    let finish = run(&format!(
        "{STARTER}\nwhen val_loss plateaus for 1 epochs delta 1000 at most 2 times cooldown 1 epochs widen h1 by 4"
    ));
    // An evaluation each epoch; a window of one needs one before it, and each growth restarts the count.
    let epochs: Vec<f64> = finish.events.iter().map(|event| event.epoch).collect();
    assert_eq!(epochs, [2.0, 4.0]);
}

#[test]
fn an_early_stop_still_evaluates_and_fires_at_end() {
    let finish = run(&format!("{STARTER}\nat step 60 stop\nat end save \"last\""));
    assert_eq!((finish.status.clone(), finish.step), (Status::Stopped, 60));
    assert!(finish.metrics.iter().any(|metric| metric.name == "val_accuracy"));
}

#[test]
fn a_run_directory_holds_the_record_and_reads_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = Real::default();
    let text = format!(
        "experiment \"First Growth\"\n{}\nat epoch 1 widen h2 to 20 eps 1e-3\nat end save \"kept\"",
        STARTER.replace("metrics accuracy", "metrics accuracy; log every 50 steps")
    );
    let program = program(&text, Some(5)).expect("a good schedule");
    let data = dataset(&program);
    let command = vec!["growrun".into(), "test.grow".into()];
    let origin = record::Origin { command, ..record::Origin::default() };
    let mut recorder =
        record::Recorder::create(&world, folder.path(), &program, &data, origin).expect("a writable folder");
    let run_folder = recorder.folder().to_path_buf();
    assert!(run_folder.ends_with("first-growth/0001"));
    let mut before_first_step = None;
    let finish = run::execute(&program, &data, &compute(1, Simd::Auto), &world, &mut |event| {
        recorder.consume(event)?;
        if let Event::Stepped(stepped) = event
            && stepped.step == 1
        {
            before_first_step =
                Some(std::fs::read_to_string(run_folder.join("run.yaml")).expect("written at the start"));
        }
        Ok(())
    })
    .expect("it runs");
    assert!(before_first_step.expect("a first step").contains("status: running"));

    let mut loaded = record::load::run(&world, &run_folder, Compute::single()).expect("what was just written");
    assert_eq!(loaded.record.status, "finished");
    assert_eq!(loaded.record.schedule[0].text, text);
    assert_eq!(loaded.record.events.len(), 1);
    assert_eq!(loaded.record.events[0].drift, finish.events[0].drift);
    let outcome = loaded.record.result.as_ref().expect("it has ended");
    assert_eq!(outcome.weights, finish.weights);
    assert_eq!(loaded.network.parameters().len(), 6);
    let accuracy = outcome.metrics.iter().find(|metric| metric.name == "val_accuracy").expect("measured");
    assert_eq!(accuracy.exact(), finish.metrics.iter().find(|m| m.name == "val_accuracy").map(|m| m.value));
    let lines = std::fs::read_to_string(run_folder.join("metrics.jsonl")).expect("metrics");
    let logged = lines.lines().filter(|line| line.contains("batch_loss")).count();
    assert_eq!((lines.lines().count() - logged, logged), (6, 270 / 50), "a line for each evaluation, one for each log");
    for name in ["weights.safetensors", "state.safetensors", "meta.yaml"] {
        assert!(world.entry(&run_folder.join("checkpoints/kept").join(name)).expect("readable").is_some(), "{name}");
    }
    // One flipped bit is found.
    let path = run_folder.join("final.safetensors");
    let mut content = std::fs::read(&path).expect("weights");
    *content.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, content).expect("writable");
    let refusal = record::load::run(&world, &run_folder, Compute::single()).err().expect("a broken file");
    assert!(refusal.message.contains("its digest differs"), "{refusal}");
}

#[test]
fn a_record_is_never_longer_than_its_reader_takes() {
    use growrun::record::{Origin, Recorder, load, schema, yaml};
    let world = Real::default();
    let folder = tempfile::tempdir().expect("a folder");
    // A comment is recorded with the schedule, and 9,500 events are in the record twice.
    let many: String = (0..9_500).map(|n| format!("at step {} save \"checkpoint number {n}\"\n", n % 270)).collect();
    let text = format!("{STARTER}\n{many}");
    let program_of = |text: &str| program(text, Some(1)).unwrap_or_else(|found| panic!("{found:#?}"));
    let long = program_of(&text);
    let data = dataset(&long);
    let mut recorder = Recorder::create(&world, folder.path(), &long, &data, Origin::default()).expect("it fits");
    let run = recorder.folder().to_path_buf();
    let mut count = 0;
    let options = compute(1, Simd::Auto);
    run::execute(&long, &data, &options, &world, &mut |event| {
        count += u64::from(matches!(event, Event::Checkpoint(_)));
        // Forty are enough, and thousands would take minutes to write.
        if count < 40 || !matches!(event, Event::Checkpoint(_)) { recorder.consume(event) } else { Ok(()) }
    })
    .expect("it runs");
    let bytes = std::fs::metadata(run.join("run.yaml")).expect("a record").len();
    assert!(bytes <= yaml::BYTES_MAX, "{bytes}");
    let record: schema::Record = load::intact(&world, &run).expect("a whole record");
    assert!(record.resolved.events_left_out > 0 && record.schedule[0].text == text);
    let comment = format!("{STARTER}\n{}", "# nothing\n".repeat(100_000));
    let refused = Recorder::create(&world, folder.path(), &program_of(&comment), &data, Origin::default());
    assert_eq!(refused.err().expect("too long").code, "G0802");
}

#[test]
fn a_signal_ends_the_run_with_its_work_saved() {
    let program = program(STARTER, Some(1)).expect("a good schedule");
    let options = compute(1, Simd::Auto);
    let interrupt = options.interrupt.clone();
    let world = Real::default();
    let mut saved = None;
    let finish = run::execute(&program, &dataset(&program), &options, &world, &mut |event| {
        match event {
            Event::Stepped(stepped) if stepped.step == 50 => interrupt.store(15, std::sync::atomic::Ordering::SeqCst),
            Event::Checkpoint(checkpoint) => {
                saved = Some((format!("{:?}", checkpoint.reason), checkpoint.progress.step))
            }
            _ => {}
        }
        Ok(())
    })
    .expect("it runs");
    assert_eq!(finish.status, Status::Interrupted { signal: 15 });
    assert_eq!(saved, Some(("Interrupted".to_string(), 50)));
}

/// The block under a heading of an error page.
fn page_block(code: &str, heading: &str) -> String {
    let page = growrun::check::codes::page(code).expect("a page");
    let section = page.split(heading).nth(1).expect("the heading");
    section.split("```grow\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block").to_string()
}

#[test]
fn what_only_a_run_can_find_is_told_with_its_code() {
    for code in ["G0220", "G0222", "G0223"] {
        let fails = run(&page_block(code, "## Fails"));
        let Status::Failed(why) = &fails.status else { panic!("{code}: {:?}", fails.status) };
        assert_eq!(why.code, code);
    }
}

#[test]
fn growth_beyond_the_limit_fails_before_it_is_carried_out() {
    let mut options = compute(1, Simd::Auto);
    options.parameters_max = 2_000;
    let text = format!("{STARTER}\nwhen val_loss < 100 at most 20 times widen h1 by 2x");
    let finish = run_with(&text, 1, &options);
    let Status::Failed(why) = &finish.status else { panic!("{:?}", finish.status) };
    assert_eq!(why.code, "G0601");
    assert!(finish.parameters <= 2_000);
    // The same by the memory that it would take.
    let options = run::Options { parameters_max: u64::MAX, memory_max: Some(2_000_000), ..options };
    let finish = run_with(&text, 1, &options);
    let Status::Failed(why) = &finish.status else { panic!("{:?}", finish.status) };
    assert_eq!((why.code, finish.parameters > 2_000), ("G0602", true), "{}", why.message);
}

#[test]
fn a_network_that_has_diverged_before_growth_is_told_as_that() {
    let text = "data digits { batch 32 }\nmodel { h1 dense 16 relu; out dense 10 }\n\
                train 3 steps { optimizer sgd lr 1e30; evaluate never }\nat step 1 widen h1 by 8\n";
    assert_eq!(run(text).status, Status::Diverged { step: 1 });
}

#[test]
fn fresh_weights_are_told_from_old_ones_whatever_their_age() {
    let grown = |when: &str, options: &str| {
        let finish = run(&format!("{STARTER}\n{when} widen h1 by 1{options}\n"));
        let growth = &finish.events[0];
        (growth.gradient_fresh.expect("there are fresh weights"), growth.gradient_old.expect("and old ones"))
    };
    let (carried, zeroed) = (grown("at step 20", ""), grown("at step 20", " moments zero"));
    assert_eq!(carried, zeroed, "the first gradient after the event does not know the moments");
    let (fresh, old) = grown("at start", "");
    assert!(fresh > 0.0 && old > fresh, "{fresh} {old}");
}
