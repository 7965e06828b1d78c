//! A whole run with its recorder: whatever fails, the run directory stays readable and nothing in it is lost.

use super::memory::{Fault, LOSSES, Loss, Memory};
use super::protocols::is_leftover;
use crate::run::{compute, dataset, program};
use growrun::base::World;
use growrun::check::Program;
use growrun::data::Dataset;
use growrun::record;
use growrun::run::{self, Failure, Finish, Options};
use growrun::tensor::Simd;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// All that writes: checkpoints by a rule, by name (the same name twice) and of the best, two growths, a log.
const SCHEDULE: &str = "
experiment \"small\"
data digits { batch 256 }
model { h1 dense 6 relu; out dense 10 }
train 6 steps {
  optimizer adam lr 1e-2
  evaluate every 2 steps
  log every 3 steps
  checkpoint every 2 steps keep 2
}
at step 1 save \"named\"
at step 3 { widen h1 by 2; save \"named\" }
at step 4 insert identity after h1
";

const FOLDER: &str = "runs/small/0001";

type Files = Arc<BTreeMap<String, Vec<u8>>>;

struct Subject {
    program: Program,
    dataset: Dataset,
    options: Options,
}

/// How far a run came.
struct Attempt {
    /// Events that were recorded; `None` when the run directory could not be made.
    recorded: Option<usize>,
    result: Result<Finish, Failure>,
}

impl Subject {
    fn new() -> Subject {
        let program = program(SCHEDULE, Some(7)).unwrap_or_else(|found| panic!("{found:#?}"));
        Subject { dataset: dataset(&program), program, options: compute(1, Simd::Auto) }
    }

    /// Trains and records; `after` sees the disk once the directory is made and after each event.
    fn train(&self, world: &Memory, mut after: impl FnMut(&Memory)) -> Attempt {
        let command = vec!["growrun".into(), "small.grow".into()];
        let origin = record::Origin { command, ..record::Origin::default() };
        let made = record::Recorder::create(world, Path::new("runs"), &self.program, &self.dataset, origin);
        let mut recorder = match made {
            Ok(recorder) => recorder,
            Err(error) => return Attempt { recorded: None, result: Err(Failure::World(error)) },
        };
        after(world);
        let mut recorded = 0;
        let result = run::execute(&self.program, &self.dataset, &self.options, world, &mut |event| {
            recorder.consume(event)?;
            recorded += 1;
            after(world);
            Ok(())
        });
        Attempt { recorded: Some(recorded), result }
    }
}

impl Subject {
    /// Goes on with what is on the disk, as `growrun resume` does. `None` when the record itself was not there yet.
    fn resume(&self, world: &Memory) -> Result<Option<Finish>, String> {
        let folder = Path::new(FOLDER);
        if world.entry(&folder.join("run.yaml")).map_err(|error| error.to_string())?.is_none() {
            return Ok(None);
        }
        let refused = |refusal: growrun::base::Refusal| refusal.message;
        let failed = |error: growrun::base::Error| error.to_string();
        let lock = record::Recorder::lock(world, folder).map_err(failed)?;
        let known = record::load::intact(world, folder).map_err(refused)?;
        if known.result.is_some() {
            return record::load::finish(folder, &known).map(Some).map_err(refused);
        }
        let found = record::resume::find(world, folder, &known, false).map_err(refused)?;
        if let Some((path, why)) = found.broken.first() {
            return Err(format!("`{}` is broken: {}", path.display(), why.message));
        }
        found.set_aside(world).map_err(failed)?;
        let split = found.split();
        let entry = split.as_ref().map(|(entry, meta, _)| (entry, meta));
        let mut recorder =
            record::Recorder::reopen(world, folder, lock, known, &self.dataset, record::Origin::default(), entry)
                .map_err(failed)?;
        let mut consumer = |event: &run::Event| recorder.consume(event);
        let result = match split {
            None => run::execute(&self.program, &self.dataset, &self.options, world, &mut consumer),
            Some((_, _, from)) => run::proceed(&self.program, &self.dataset, &self.options, world, from, &mut consumer),
        };
        match result {
            Ok(finish) => Ok(Some(finish)),
            Err(Failure::World(error)) => Err(error.to_string()),
            Err(Failure::Refused(refusal)) => Err(refusal.message),
        }
    }
}

/// A run in which nothing fails.
struct Clean {
    operations: Vec<String>,
    /// The run directory when it is made and after each event.
    states: Vec<Files>,
    weights: Option<String>,
}

impl Clean {
    fn new(subject: &Subject, disk: &Memory) -> Clean {
        let world = disk.after(Loss::Nothing);
        let (mut states, mut seen) = (Vec::<Files>::new(), usize::MAX);
        let attempt = subject.train(&world, |world| {
            let operations = world.operations().len();
            let state = match states.last() {
                Some(last) if operations == seen => Arc::clone(last),
                _ => {
                    let mut files = world.files(FOLDER);
                    files.remove("lock");
                    Arc::new(files)
                }
            };
            seen = operations;
            states.push(state);
        });
        let finish = attempt.result.expect("nothing fails");
        Clean { operations: world.operations(), states, weights: finish.weights }
    }

    fn last(&self) -> &Files {
        self.states.last().expect("at least the beginning")
    }
}

/// The files that TensorBoard reads. The clock of a `Memory` stands still, so they are equal to the byte.
fn board(files: &BTreeMap<String, Vec<u8>>) -> Vec<(&String, &Vec<u8>)> {
    files.iter().filter(|(name, _)| name.starts_with("tensorboard/")).collect()
}

/// What is in a run directory is, file by file, of `before` or of `after`, and reads back whole.
fn check(world: &Memory, before: &Files, after: &Files, loss: Loss) -> Result<(), String> {
    for at in [FOLDER.to_string(), format!("{FOLDER}/checkpoints")] {
        if world.entry(Path::new(&at)).map_err(|error| error.to_string())?.is_some() {
            world.settle(Path::new(&at)).map_err(|error| error.to_string())?;
        }
    }
    let mut found = world.files(FOLDER);
    // Empty, and only ever locked: it may be there or not.
    found.remove("lock");
    let names: BTreeSet<&String> = found.keys().chain(before.keys()).chain(after.keys()).collect();
    for name in names {
        if is_leftover(name) {
            return Err(format!("`{name}` was not settled"));
        }
        let (here, old, new) = (found.get(name), before.get(name), after.get(name));
        if name == "metrics.jsonl" || name.starts_with("tensorboard/") {
            // Lines are added without a sync: a crash may take them, a torn end is tolerated by its readers.
            let (here, new) = (here.map_or(&[][..], Vec::as_slice), new.map_or(&[][..], Vec::as_slice));
            let kept = loss != Loss::Nothing || here.starts_with(old.map_or(&[][..], Vec::as_slice));
            if !kept || (!new.starts_with(here) && loss == Loss::Nothing) || here.len() > new.len() {
                return Err(format!("`{name}` lost lines, or has others"));
            }
        } else if here != old && here != new {
            return Err(format!("`{name}` is neither old nor new"));
        }
    }
    if found.contains_key("run.yaml") {
        record::load::record(world, Path::new(FOLDER)).map_err(|refusal| refusal.message)?;
    }
    let folders: BTreeSet<&str> =
        found.keys().filter_map(|name| name.strip_prefix("checkpoints/")?.split_once('/')).map(|at| at.0).collect();
    for folder in folders {
        let file = |name: &str| {
            let name = format!("checkpoints/{folder}/{name}");
            found.get(&name).ok_or_else(|| format!("there is no `{name}`"))
        };
        for name in ["meta.yaml", "state.safetensors", "weights.safetensors"] {
            file(name)?;
        }
        let at = Path::new(FOLDER).join("checkpoints").join(folder);
        record::checkpoint::read(world, &at).map_err(|refusal| format!("`{folder}`: {}", refusal.message))?;
    }
    Ok(())
}

/// Lets every operation of the run fail by `faults`.
fn sweep(title: &str, exchanges: bool, faults: &[Fault]) {
    let (subject, disk) = (Subject::new(), Memory::new(exchanges));
    let clean = Clean::new(&subject, &disk);
    let nothing = Files::default();
    let (mut tried, mut survived, mut resumed) = (0, 0, 0);
    for (number, name) in clean.operations.iter().enumerate() {
        for &fault in faults {
            if fault == Fault::Short && !name.starts_with("write") {
                continue;
            }
            tried += 1;
            let world = disk.failing(number + 1, fault);
            let attempt = subject.train(&world, |_| {});
            let what = format!("{title}: {fault:?} at operation {} ({name})", number + 1);
            let (before, after) = match (&attempt.result, attempt.recorded) {
                (Ok(finish), _) => {
                    survived += 1;
                    assert_eq!(finish.weights, clean.weights, "{what}");
                    (clean.last(), clean.last())
                }
                (Err(Failure::World(_)), None) => (&nothing, &clean.states[0]),
                (Err(Failure::World(_)), Some(recorded)) => {
                    (&clean.states[recorded], clean.states.get(recorded + 1).unwrap_or(clean.last()))
                }
                (Err(Failure::Refused(refusal)), _) => panic!("{what}: {refusal}"),
            };
            for &loss in LOSSES {
                let found = world.after(loss);
                check(&found, before, after, loss).unwrap_or_else(|why| panic!("{what}, then {loss:?}: {why}"));
            }
            // After everything that was not synced was lost, and after one of the other kinds of loss in turn.
            for loss in [Loss::Everything, LOSSES[number % LOSSES.len()]] {
                let world = world.after(loss);
                match subject.resume(&world) {
                    Ok(None) => assert!(number < 20, "{what}, then {loss:?}: there is no record"),
                    Ok(Some(finish)) => {
                        resumed += 1;
                        assert_eq!(finish.weights, clean.weights, "{what}, then {loss:?}, then resumed");
                        assert!(
                            board(&world.files(FOLDER)) == board(clean.last()),
                            "{what}, then {loss:?}: tensorboard"
                        );
                    }
                    Err(why) => panic!("{what}, then {loss:?}: cannot be resumed: {why}"),
                }
            }
        }
    }
    // What a whole run wrote survives a power cut at its end.
    let world = disk.after(Loss::Nothing);
    subject.train(&world, |_| {}).result.expect("nothing fails");
    for &loss in LOSSES {
        check(&world.after(loss), clean.last(), clean.last(), loss)
            .unwrap_or_else(|why| panic!("{title}: at the end, {loss:?}: {why}"));
    }
    println!(
        "{title}: {} operations, {tried} faults, each followed by {} kinds of loss; {survived} times best effort failed \
         and the run went on; {resumed} times it was resumed to the same weights",
        clean.operations.len(),
        LOSSES.len()
    );
}

#[test]
fn a_run_directory_survives_a_crash_at_any_operation() {
    sweep("a run that crashes", true, &[Fault::Crash]);
}

#[test]
fn a_run_directory_survives_a_crash_where_folders_cannot_be_exchanged() {
    sweep("a run that crashes, without exchange", false, &[Fault::Crash]);
}

#[test]
fn a_run_directory_survives_a_full_disk_at_any_operation() {
    sweep("a run on a full disk", true, &[Fault::Full]);
}

#[test]
fn a_run_directory_survives_a_failing_disk_at_any_operation() {
    sweep("a run on a failing disk", true, &[Fault::Broken, Fault::BrokenAfterwards, Fault::Short]);
}

#[test]
fn resuming_survives_a_fault_at_any_operation_too() {
    let (subject, disk) = (Subject::new(), Memory::new(true));
    let clean = Clean::new(&subject, &disk);
    // The power is cut in the middle of the second growth's checkpoint.
    let at = clean.operations.iter().position(|name| name.contains("growth-0002-after.tmp/weights"));
    let torn = disk.failing(at.expect("it is written") + 1, Fault::Crash);
    assert!(subject.train(&torn, |_| {}).result.is_err());
    let torn = torn.after(Loss::Some(1));
    let whole = torn.after(Loss::Nothing);
    let finish = subject.resume(&whole).expect("it goes on").expect("there is a record");
    assert_eq!(finish.weights, clean.weights);
    let operations = whole.operations();
    let mut tried = 0;
    for (number, name) in operations.iter().enumerate() {
        for fault in [Fault::Crash, Fault::Full, Fault::Broken, Fault::BrokenAfterwards, Fault::Short] {
            if fault == Fault::Short && !name.starts_with("write") {
                continue;
            }
            let world = torn.failing(number + 1, fault);
            let first = subject.resume(&world);
            let loss = LOSSES[number % LOSSES.len()];
            let what = format!("{fault:?} at operation {} of resuming ({name}), then {loss:?}", number + 1);
            if let Ok(finish) = &first {
                assert_eq!(finish.as_ref().and_then(|finish| finish.weights.clone()), clean.weights, "{what}");
            }
            match subject.resume(&world.after(loss)) {
                Ok(Some(finish)) => assert_eq!(finish.weights, clean.weights, "{what}"),
                other => panic!("{what}: {:?}", other.map(|finish| finish.map(|finish| finish.status))),
            }
            tried += 1;
        }
    }
    println!("resuming: {} operations, {tried} faults, each followed by resuming again", operations.len());
}
