//! Runs a comparison: arms × seeds on all cores. Every run is a run directory of its own, so that what was interrupted
//! goes on, and what is there is not done again.

use super::budget::{self, Spent};
use super::desk::{Closed, Desk, Opened, Wanted};
use super::plan::Plan;
use crate::base::world::Error;
use crate::base::{Refusal, World};
use crate::check::{Program, flops};
use crate::data::Dataset;
use crate::nn::Architecture;
use crate::record::schema::{self, Record};
use crate::record::{Origin, Recorder, load, resume};
use crate::run::{self, Autosave, Event, Failure, Options, Status};
use crate::tensor::{Compute, Simd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

/// What runs are made with; nothing of it changes a result.
pub struct Means {
    /// All that may be used at once.
    pub threads: usize,
    /// Runs at once.
    pub workers: usize,
    pub simd: Simd,
    pub parameters_max: u64,
    pub interrupt: Arc<AtomicI32>,
    pub origin: Origin,
}

/// Why a comparison did not come to its end.
#[derive(Debug)]
pub enum Halt {
    World(Error),
    Refused(Refusal),
    /// The checker refuses an arm with its budget.
    Closed(String, Box<Closed>),
    Interrupted(i32),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::World(error)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Halt {
        Halt::Refused(refusal)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Halt {
        match failure {
            Failure::World(error) => Halt::World(error),
            Failure::Refused(refusal) => Halt::Refused(refusal),
        }
    }
}

/// What is told while it goes on, from any thread.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Of a run that goes on: completed steps and all.
    Stepped { run: (usize, usize), step: u64, steps: u64 },
    /// It is there, whoever made it.
    Done { run: (usize, usize) },
}

/// Where a run lies beneath the folder of its comparison.
pub fn run_folder(arm: &str, seed: u64) -> String {
    format!("{arm}/seed-{seed}")
}

/// Arms and seeds by their places in the plan.
type Run = (usize, usize);

struct Bench<'a> {
    desk: &'a Desk<'a>,
    plan: &'a Plan,
    folder: &'a Path,
    means: &'a Means,
    told: &'a (dyn Fn(Told) + Sync),
    /// Arms of one seed are trained on the same data.
    datasets: Mutex<Vec<(String, Weak<Dataset>)>>,
}

/// Makes these runs, as far as they are not there.
pub fn conduct(
    desk: &Desk,
    plan: &Plan,
    folder: &Path,
    runs: &[Run],
    means: &Means,
    told: &(dyn Fn(Told) + Sync),
) -> Result<(), Halt> {
    let bench = Bench { desk, plan, folder, means, told, datasets: Mutex::default() };
    let workers = means.workers.min(runs.len()).max(1);
    let board = Mutex::new(Board { waiting: runs.to_vec(), going: Vec::new(), halt: None });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| bench.work(&board, &changed, workers));
        }
    });
    match board.into_inner().expect("no worker panics while it holds the board").halt {
        Some(halt) => Err(halt),
        None => Ok(()),
    }
}

/// What is left, and what is going on.
struct Board {
    waiting: Vec<Run>,
    going: Vec<Run>,
    halt: Option<Halt>,
}

impl Bench<'_> {
    fn work(&self, board: &Mutex<Board>, changed: &Condvar, workers: usize) {
        const HELD: &str = "no worker panics while it holds the board";
        loop {
            let mut held = board.lock().expect(HELD);
            let run = loop {
                if held.halt.is_some() || held.waiting.is_empty() {
                    return;
                }
                let pending = |run: &Run| held.waiting.contains(run) || held.going.contains(run);
                let is_ready = |run: &&Run| self.needs(**run).iter().all(|needed| !pending(needed));
                match held.waiting.iter().find(is_ready).copied() {
                    Some(run) => break run,
                    None => held = changed.wait(held).expect(HELD),
                }
            };
            held.waiting.retain(|waiting| *waiting != run);
            held.going.push(run);
            // One run a core is fastest; the last one may have what is left.
            let alone = held.waiting.is_empty() && held.going.len() == 1;
            let threads = if alone { self.means.threads } else { (self.means.threads / workers).max(1) };
            drop(held);
            let done = self.run(run, threads);
            let mut held = board.lock().expect(HELD);
            held.going.retain(|going| *going != run);
            if let Err(halt) = done {
                held.halt.get_or_insert(halt);
                // The others save what they have.
                let term = signal_hook::consts::SIGTERM;
                let _ = self.means.interrupt.compare_exchange(0, term, Ordering::SeqCst, Ordering::SeqCst);
            }
            changed.notify_all();
        }
    }

    /// What has to be there before a run begins.
    fn needs(&self, (arm, seed): Run) -> Vec<Run> {
        let arms = &self.plan.comparison.arms;
        let reference = (arm > 0 && !self.plan.independent).then_some((0, seed));
        let from = arms[arm].from_final.as_ref().and_then(|from| arms.iter().position(|arm| arm.name == *from));
        reference.into_iter().chain(from.map(|from| (from, seed))).collect()
    }

    fn path(&self, (arm, seed): Run) -> PathBuf {
        let plan = &self.plan.comparison;
        self.folder.join(run_folder(&plan.arms[arm].name, plan.seeds[seed]))
    }

    /// The record of a run, if that has begun.
    fn record(&self, run: Run) -> Result<Option<Record>, Refusal> {
        let path = self.path(run);
        if !matches!(self.desk.world.entry(&path.join("run.yaml")), Ok(Some(_))) {
            return Ok(None);
        }
        // It is nobody's but ours, and made again in no time but its own.
        let again = |refusal: Refusal| {
            let help = format!("remove the folder `{}`; the same command makes that run again", path.display());
            Refusal { help, ..refusal }
        };
        load::intact(self.desk.world, &path).map(Some).map_err(again)
    }

    /// Makes a run, or waits until another process has made it.
    fn run(&self, run: Run, threads: usize) -> Result<(), Halt> {
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
        loop {
            match self.attempt(run, threads) {
                Err(Halt::World(error)) if error.code == "G0805" => std::thread::sleep(PAUSE),
                other => return other,
            }
        }
    }

    fn attempt(&self, run: Run, threads: usize) -> Result<(), Halt> {
        if let Some(signal) = Some(self.means.interrupt.load(Ordering::SeqCst)).filter(|signal| *signal != 0) {
            return Err(Halt::Interrupted(signal));
        }
        let record = self.record(run)?;
        if record.as_ref().is_some_and(has_ended) || is_refused(self.desk.world, &self.path(run)) {
            (self.told)(Told::Done { run });
            return Ok(());
        }
        let (arm, seed) = (&self.plan.comparison.arms[run.0], self.plan.comparison.seeds[run.1]);
        let initial = self.initial(run)?;
        let wanted = Wanted {
            arm: &arm.name,
            seed: Some(seed),
            steps: None,
            of: 0,
            initial: initial.as_ref(),
            judged: Some(self.plan.judged),
        };
        let closed = |closed: Closed| Halt::Closed(arm.name.clone(), Box::new(closed));
        let wanted = match run.0 {
            0 => wanted,
            _ => {
                let spent = self.spent(run.1)?;
                let wanted = Wanted { of: spent.steps, ..wanted };
                match budget::steps(self.desk, &wanted, arm.budget, &spent) {
                    Ok(steps) => Wanted { steps, ..wanted },
                    Err(refused) if is_a_limit(&refused) => return Err(closed(refused)),
                    Err(refused) => return self.refuse(run, &refused),
                }
            }
        };
        let Opened { program, timeline } = match self.desk.open(&wanted) {
            Ok(opened) => opened,
            // The reference cannot be done without; another arm has no result with this seed.
            Err(refused) if run.0 > 0 && !is_a_limit(&refused) => return self.refuse(run, &refused),
            Err(refused) => return Err(closed(refused)),
        };
        let dataset = self.dataset(&program)?;
        let described = schema::Arm {
            name: arm.name.clone(),
            steps: wanted.steps,
            stretched_of: self.desk.stretched_of(&wanted),
            from_final: arm.from_final.is_some(),
        };
        let opened = Opened { program, timeline };
        let status = self.train(run, &opened, &dataset, record, described, threads)?;
        match status {
            Status::Interrupted { signal } => Err(Halt::Interrupted(signal)),
            _ => {
                (self.told)(Told::Done { run });
                Ok(())
            }
        }
    }

    /// Leaves a note in the place of a run that the checker refuses: with this seed the arm has no result.
    fn refuse(&self, run: Run, closed: &Closed) -> Result<(), Halt> {
        let path = self.path(run);
        let told: Vec<String> =
            closed.diagnostics.iter().map(|found| format!("{}: {}\n", found.code, found.message)).collect();
        self.desk.world.create_folder(&path)?;
        self.desk.world.write(&path.join(REFUSED), told.concat().as_bytes())?;
        (self.told)(Told::Done { run });
        Ok(())
    }

    fn train(
        &self,
        run: Run,
        Opened { program, timeline }: &Opened,
        dataset: &Dataset,
        record: Option<Record>,
        arm: schema::Arm,
        threads: usize,
    ) -> Result<Status, Halt> {
        let (world, path, means) = (self.desk.world, self.path(run), self.means);
        let options = Options {
            compute: Compute::new(threads, means.simd, false)?,
            interrupt: Arc::clone(&means.interrupt),
            parameters_max: means.parameters_max,
            memory_max: self.desk.limits.memory,
            autosave: Autosave::Seconds(run::AUTOSAVE_SECONDS),
        };
        let (mut recorder, resumption) = match record {
            None => {
                let recorder = Recorder::create_in(world, &path, program, dataset, means.origin.clone())?;
                let expected = run::expected_seconds(program, timeline, &options.compute, world, None);
                (recorder.of_arm(arm).lean().expecting(expected), None)
            }
            Some(record) => {
                let lock = Recorder::lock(world, &path)?;
                load::same_data(dataset, &record)?;
                load::same_weights(program, &record)?;
                let found = resume::find(world, &path, &record, program.train.rolls_back())?;
                found.set_aside(world)?;
                let (entry, resumption) = match found.split() {
                    Some((entry, meta, resumption)) => (Some((entry, meta)), Some(resumption)),
                    None => (None, None),
                };
                let from = entry.as_ref().map(|(entry, meta)| (entry, meta));
                let origin = means.origin.clone();
                (Recorder::reopen(world, &path, lock, record, dataset, origin, from)?.lean(), resumption)
            }
        };
        let steps = program.train.steps;
        let mut consumer = |event: &Event| {
            if let Event::Stepped(stepped) = event {
                // Often enough for a bar.
                if stepped.step.is_multiple_of(steps / 200 + 1) {
                    (self.told)(Told::Stepped { run, step: stepped.step, steps });
                }
            }
            recorder.consume(event)
        };
        let finish = match resumption {
            None => run::execute(program, dataset, &options, world, &mut consumer),
            Some(from) => run::proceed(program, dataset, &options, world, from, &mut consumer),
        };
        Ok(finish?.status)
    }

    /// The network that a run begins with, where that is another arm's last.
    fn initial(&self, (arm, seed): Run) -> Result<Option<Architecture>, Halt> {
        let arms = &self.plan.comparison.arms;
        let Some(from) = &arms[arm].from_final else { return Ok(None) };
        let other = arms.iter().position(|arm| arm.name == *from);
        let other = other.expect("an arm that another one begins with is compared, too");
        let path = self.path((other, seed));
        let record = self.record((other, seed))?.ok_or_else(|| missing(&path))?;
        Ok(Some(load::finish(&path, &record)?.architecture.fresh()))
    }

    /// What the reference has spent with a seed. One that did not come to its end would have spent what was planned.
    fn spent(&self, seed: usize) -> Result<Spent, Halt> {
        let record = match self.plan.independent {
            true => None,
            false => Some(self.record((0, seed))?.ok_or_else(|| missing(&self.path((0, seed))))?),
        };
        let (desk, plan) = (self.desk, &self.plan.comparison);
        spent(desk, plan, plan.seeds[seed], record.as_ref())
            .map_err(|closed| Halt::Closed(plan.arms[0].name.clone(), closed.into()))
    }

    fn dataset(&self, program: &Program) -> Result<Arc<Dataset>, Refusal> {
        let key = format!("{} {:?}", program.seed, program.data);
        const HELD: &str = "nothing panics while it holds the data";
        let known = |all: &[(String, Weak<Dataset>)]| {
            all.iter().find(|(known, _)| *known == key).and_then(|(_, dataset)| dataset.upgrade())
        };
        if let Some(dataset) = known(&self.datasets.lock().expect(HELD)) {
            return Ok(dataset);
        }
        let dataset = Arc::new(run::load_data(program, &self.desk.place(program))?);
        let mut all = self.datasets.lock().expect(HELD);
        all.retain(|(_, dataset)| dataset.strong_count() > 0);
        all.push((key, Arc::downgrade(&dataset)));
        Ok(dataset)
    }
}

/// What the reference of a comparison has spent with a seed, by its record if that came to its end, else as planned.
pub fn spent(
    desk: &Desk,
    comparison: &super::schema::Comparison,
    seed: u64,
    record: Option<&Record>,
) -> Result<Spent, Closed> {
    let wanted =
        Wanted { arm: &comparison.arms[0].name, seed: Some(seed), steps: None, of: 0, initial: None, judged: None };
    let Opened { program, timeline } = desk.open(&wanted)?;
    let came_to_its_end = |record: &&Record| matches!(record.status.as_str(), "finished" | "stopped");
    if let Some(spent) = record.filter(came_to_its_end).and_then(|record| Spent::of(record, &program)) {
        return Ok(spent);
    }
    let course = flops::course(&program, &timeline);
    let first = timeline.iter().find(|planned| planned.changes_the_network()).map_or(0, |first| first.step);
    let small = flops::training(&program.data, &program.architecture, 0, first);
    Ok(Spent {
        steps: course.steps,
        epochs: course.steps as f64 / program.data.steps_per_epoch.max(1) as f64,
        flops: course.flops(),
        flops_small: small,
    })
}

/// Whether a flag of the command line would let the run be made.
fn is_a_limit(closed: &Closed) -> bool {
    closed.diagnostics.iter().any(|found| found.code.starts_with("G060") || found.code.starts_with("G07"))
}

/// The note in the place of a run that cannot be made: what the checker said.
const REFUSED: &str = "refused.txt";

/// Whether an arm could not be made with a seed.
pub fn is_refused(world: &dyn World, run: &Path) -> bool {
    matches!(world.entry(&run.join(REFUSED)), Ok(Some(_)))
}

/// Whether a run has a result that will not change.
pub fn has_ended(record: &Record) -> bool {
    record.result.is_some() && record.status != "interrupted"
}

fn missing(path: &Path) -> Refusal {
    Refusal::error(
        "G0804",
        format!("`{}` has no run that has ended", path.display()),
        "run its job first: `growrun compare FILE --list` shows them",
    )
}
