//! Interrupted after any step, before any action, in any evaluation: one digest, one record of evaluations.

use crate::faults::memory::Memory;
use crate::run::{checked, compute, dataset};
use growrun::base::World;
use growrun::check::Program;
use growrun::data::Dataset;
use growrun::record::{self, Origin, Recorder, load, resume};
use growrun::run::{self, Event, Finish, Options, Status};
use growrun::tensor::Simd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// 40 steps with two growth events, and everything that a run remembers in flight: a plateau that sets the rate, a
/// window, a rewarm, dropout, momentum, a warm-up, the best, an assertion within a block, a shock that is being measured.
const SCHEDULE: &str = "
experiment \"small\"
data digits { batch 64; limit 400 }
model { h1 dense 12 relu dropout 0.1; h2 dense 8 tanh norm batch; out dense 10 }
train 40 steps {
  optimizer adam lr 1e-2
  lr cosine to 1e-4 warmup 4 steps
  metrics accuracy f1 confusion
  evaluate every 3 steps
  checkpoint every 7 steps keep 2
  keep best by val_accuracy
  stop when val_accuracy > 99.9%
}
at step 9 { evaluate test; widen h1 to 20 eps 1e-3 lr rewarm 5 steps; save \"grown\"; assert preserved tol 1 }
at step 22 { insert identity after h1 as h3; assert preserved }
during step 12..18 { freeze h1; set lr by 0.5x }
every 8 steps from step 8 set lr by 0.9x
when val_loss plateaus for 6 steps at most 3 times cooldown 4 steps set lr by 0.7x
when val_accuracy > 30% set dropout h1 to 0.2
at end { evaluate test; save \"last\" }
";

pub struct Subject {
    pub program: Program,
    pub dataset: Dataset,
}

impl Subject {
    pub fn new(text: &str) -> Subject {
        let (checked, found) = checked(text, Some(3));
        let program = checked.program.unwrap_or_else(|| panic!("{found:#?}"));
        Subject { dataset: dataset(&program), program }
    }

    /// A run in a fresh directory, interrupted as soon as `ends` says so of an event.
    pub fn begin(&self, world: &dyn World, runs: &Path, ends: impl FnMut(&Event) -> bool) -> (PathBuf, Finish) {
        let recorder =
            Recorder::create(world, runs, &self.program, &self.dataset, Origin::default()).expect("a writable folder");
        let folder = recorder.folder().to_path_buf();
        (folder, self.train(world, recorder, None, ends))
    }

    pub fn train(
        &self,
        world: &dyn World,
        mut recorder: Recorder,
        from: Option<run::Resumption>,
        mut ends: impl FnMut(&Event) -> bool,
    ) -> Finish {
        let options = compute(1, Simd::Auto);
        let interrupt = options.interrupt.clone();
        let mut consumer = |event: &Event| {
            recorder.consume(event)?;
            if ends(event) {
                interrupt.store(15, Ordering::SeqCst);
            }
            Ok(())
        };
        let run = |options: &Options, consumer: &mut run::Consumer| match from {
            None => run::execute(&self.program, &self.dataset, options, world, consumer),
            Some(from) => run::proceed(&self.program, &self.dataset, options, world, from, consumer),
        };
        run(&options, &mut consumer).expect("nothing fails")
    }

    pub fn resume(&self, world: &dyn World, folder: &Path, ends: impl FnMut(&Event) -> bool) -> Finish {
        self.resume_as(world, folder, |recorder| recorder, ends)
    }

    /// As `growrun resume` does, with a recorder of another kind.
    pub fn resume_as<'w>(
        &self,
        world: &'w dyn World,
        folder: &Path,
        kind: impl FnOnce(Recorder<'w>) -> Recorder<'w>,
        ends: impl FnMut(&Event) -> bool,
    ) -> Finish {
        let lock = Recorder::lock(world, folder).expect("nobody holds it");
        let record = load::intact(world, folder).expect("a whole record");
        let found = resume::find(world, folder, &record, self.program.train.rolls_back()).expect("readable");
        assert!(found.broken.is_empty(), "{:?}", found.broken.iter().map(|(path, _)| path).collect::<Vec<_>>());
        let split = found.split();
        let entry = split.as_ref().map(|(entry, meta, _)| (entry, meta));
        let recorder = Recorder::reopen(world, folder, lock, record, &self.dataset, Origin::default(), entry)
            .expect("a writable folder");
        self.train(world, kind(recorder), split.map(|(_, _, resumption)| resumption), ends)
    }
}

/// What must be equal at the end, but for times: metrics.jsonl, events, metrics and digests of the record.
pub fn told(world: &Memory, folder: &Path) -> String {
    let record = load::intact(world, folder).expect("a whole record");
    let mut text = String::new();
    let metrics = world.read(&folder.join("metrics.jsonl"), 1 << 20).expect("metrics");
    for line in String::from_utf8(metrics).expect("text").lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("whole lines");
        line.as_object_mut().expect("an object").remove("seconds");
        text.push_str(&format!("{line}\n"));
    }
    let result = record.result.expect("it has ended");
    for mut event in record.events {
        event.seconds = 0.0;
        text.push_str(&format!("{event:?}\n"));
    }
    text.push_str(&format!("{} {:?} {:?} {:?}\n", record.status, result.weights, result.metrics, result.confusion));
    text.push_str(&format!("{} {:?}\n", result.flops, result.model));
    if let Some(file) = super::board::file(world, folder) {
        super::board::sorted(&file).iter().for_each(|told| text.push_str(&format!("{told}\n")));
    }
    // Of the checkpoints that the schedule asks for: what stands in them.
    for checkpoint in record.checkpoints.iter().filter(|known| known.name != "interrupted") {
        let record::schema::Checkpoint { name, step, weights, optimizer, tensors, kept, .. } = checkpoint;
        text.push_str(&format!("{name} {step} {weights} {optimizer} {tensors:?} {kept}\n"));
    }
    text
}

/// Shows the first line that differs, not all of them.
fn same(found: &str, expected: &str, what: &str) {
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{what}: line {number}");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{what}: {found}");
}

#[test]
fn a_run_that_is_interrupted_after_any_event_ends_with_the_same_bits() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let events = AtomicU64::new(0);
    let (whole, finish) = subject.begin(&world, Path::new("whole"), |_| {
        events.fetch_add(1, Ordering::SeqCst);
        false
    });
    assert_eq!((finish.status, finish.step, finish.events.len()), (Status::Finished, 40, 2));
    let expected = told(&world, &whole);
    // A signal is seen after whatever was told last: every step, evaluation, growth, note and checkpoint.
    let mut steps = std::collections::BTreeSet::new();
    for number in 1..events.into_inner() {
        let mut seen = 0;
        let (run, finish) = subject.begin(&world, Path::new(&number.to_string()), |_| {
            seen += 1;
            seen == number
        });
        if finish.status == Status::Finished {
            // The last thing that was told was the end.
            same(&told(&world, &run), &expected, "the end");
            continue;
        }
        assert_eq!(finish.status, Status::Interrupted { signal: 15 }, "event {number}");
        steps.insert(finish.step);
        let finish = subject.resume(&world, &run, |_| false);
        assert_eq!(finish.status, Status::Finished, "event {number}");
        same(&told(&world, &run), &expected, &format!("interrupted after event {number}"));
    }
    assert_eq!(steps.len(), 41, "every step from 0 to 40: {steps:?}");
}

/// Channels, a kernel, a layer and a map on a skip grow within a few steps.
const IMAGES: &str = "
experiment \"images\"
data digits { batch 50; limit 150 }
model {
  c1  conv 4 kernel 3 relu norm batch dropout 0.1
  p1  pool max 2
  r1  residual project { a conv 6 kernel 3 stride 2 tanh; b conv 5 kernel 1 }
  out dense 10
}
train 12 steps { optimizer adam lr 1e-2; evaluate every 4 steps }
at step 3 { widen c1 by 2x; widen c1 kernel to 5 }
at step 6 { insert identity after p1 as c2; freeze c1; assert preserved }
at step 9 widen b to 8 eps 1e-3 moments zero
";

#[test]
fn a_run_of_images_that_is_interrupted_around_its_growth_ends_with_the_same_bits() {
    let (world, subject) = (Memory::new(true), Subject::new(IMAGES));
    let (whole, finish) = subject.begin(&world, Path::new("whole"), |_| false);
    assert_eq!((finish.status, finish.step), (Status::Finished, 12));
    let expected = told(&world, &whole);
    assert!(expected.contains("kernel: Some(5)"), "{expected}");
    let grown = finish.events.len();
    assert_eq!(grown, 4);
    // After each growth, and by then with each of those before in the checkpoint.
    for number in 1..=grown {
        let mut seen = 0;
        let (run, finish) = subject.begin(&world, Path::new(&number.to_string()), |event| {
            seen += usize::from(matches!(event, Event::Grown(_)));
            seen == number
        });
        assert_eq!(finish.status, Status::Interrupted { signal: 15 }, "growth {number}");
        assert_eq!(subject.resume(&world, &run, |_| false).status, Status::Finished, "growth {number}");
        same(&told(&world, &run), &expected, &format!("interrupted after growth {number}"));
    }
}

#[test]
fn a_run_that_is_interrupted_at_every_step_ends_with_the_same_bits() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let (whole, _) = subject.begin(&world, Path::new("whole"), |_| false);
    let each_step = |event: &Event| matches!(event, Event::Stepped(_));
    let (run, mut finish) = subject.begin(&world, Path::new("torn"), each_step);
    let mut times = 0;
    while finish.status != Status::Finished {
        finish = subject.resume(&world, &run, each_step);
        times += 1;
    }
    same(&told(&world, &run), &told(&world, &whole), "at every step");
    assert_eq!(times, 40);
}

#[test]
fn each_checkpoint_of_a_run_leads_to_the_same_bits() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let (whole, _) = subject.begin(&world, Path::new("whole"), |_| false);
    let expected = told(&world, &whole);
    let mut names: Vec<String> = Vec::new();
    for checkpoint in load::intact(&world, &whole).expect("a record").checkpoints.iter().filter(|known| known.kept) {
        names.push(checkpoint.name.clone());
    }
    assert!(names.len() >= 9, "{names:?}");
    // From the newest to the oldest: each time one more is missing, as if it had been lost.
    while let Some(name) = names.pop() {
        let finish = subject.resume(&world, &whole, |_| false);
        assert_eq!(finish.status, Status::Finished, "{name}");
        same(&told(&world, &whole), &expected, &name);
        let lost = whole.join("checkpoints").join(&name);
        world.remove_folder(&lost).expect("it is there");
        // What a resumed run made again is newer than what is to be tried next.
        for later in world.list(&whole.join("checkpoints")).expect("a folder") {
            if !names.contains(&later) {
                world.remove_folder(&whole.join("checkpoints").join(later)).expect("it is there");
            }
        }
    }
}

/// Diverges when the rate is set far too high, and has to go back.
const DIVERGING: &str = "
experiment \"small\"
data digits { batch 64; limit 400 }
model { h1 dense 12 linear; out dense 10 }
train 30 steps {
  optimizer sgd lr 1e-2
  evaluate every 5 steps
  checkpoint every 5 steps keep 2
  on_divergence rollback lr 1e-11x at most 3 times
}
at step 10 set lr by 1e20x
at step 20 widen h1 to 16
";

#[test]
fn a_run_that_rolls_back_can_be_interrupted_anywhere_too() {
    let (world, subject) = (Memory::new(true), Subject::new(DIVERGING));
    let events = AtomicU64::new(0);
    let rolled = AtomicU64::new(0);
    let (whole, finish) = subject.begin(&world, Path::new("whole"), |event| {
        events.fetch_add(1, Ordering::SeqCst);
        rolled.fetch_add(u64::from(matches!(event, Event::RolledBack(_))), Ordering::SeqCst);
        false
    });
    assert_eq!(finish.status, Status::Finished);
    assert!(rolled.into_inner() > 0, "it has rolled back");
    let expected = told(&world, &whole);
    for number in 1..events.into_inner() {
        let mut seen = 0;
        let (run, finish) = subject.begin(&world, Path::new(&number.to_string()), |_| {
            seen += 1;
            seen == number
        });
        if finish.status != Status::Finished {
            subject.resume(&world, &run, |_| false);
        }
        same(&told(&world, &run), &expected, &format!("interrupted after event {number}"));
    }
}
