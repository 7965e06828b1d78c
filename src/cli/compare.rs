//! `growrun compare`: runs the arms of a schedule with paired seeds, and tells whether growing is worth it.

mod told;

use super::arguments::Compare;
use super::render::{self, from_refusal};
use super::session::{self, Session};
use super::stop::Stop;
use super::terminal::{note, say, say_json};
use super::{Context, confine, exit, machine, training};
use crate::base::numbers;
use crate::base::world::Confinement;
use crate::base::{Diagnostic, Refusal, Severity};
use crate::check::{Limits, conditions};
use crate::compare::conduct::{self, Halt, Means};
use crate::compare::desk::{Desk, Opened};
use crate::compare::plan::{self, Plan, Question, Trouble};
use crate::compare::{self, outcome};
use crate::record::{Origin, slug};
use crate::{report, run, syntax};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

pub fn run(context: &Context, compare: &Compare, command: Vec<String>) -> i32 {
    if let Some(arm) = &compare.overrides.arm {
        let message = format!("`--arm {arm}` runs one arm, and a comparison needs all");
        let help = format!(
            "leave it out; `growrun {} --arm {arm}` runs one arm, where the file has arms",
            compare.file.display()
        );
        return training::refused(context, &Refusal::error("G0911", message, help), compare.json);
    }
    let files = std::slice::from_ref(&compare.file);
    let writes = (!compare.list).then_some(compare.out.as_path());
    let confinement = confine::to_schedules(context, files, &compare.overrides, writes);
    // Whether the disk has room is asked for the runs that are still to be made.
    let limits = Limits { disk: None, ..compare.resources.limits(context.world, &compare.out) };
    match session::open(context, &compare.file, &compare.overrides, limits) {
        Ok(session) => of_session(context, compare, &session, confinement, command),
        Err(error) => context.world_failed(&error, compare.json),
    }
}

/// The same of a schedule that was read.
pub(super) fn of_session(
    context: &Context,
    compare: &Compare,
    session: &Session,
    confinement: Confinement,
    command: Vec<String>,
) -> i32 {
    let found = session.found_for_a_run();
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) || session.checked.program.is_none() {
        return context.refuse(&found, session.sources(), compare.json);
    }
    note(&render::human(&found, session.sources(), context.terminal.stderr));
    match all(context, compare, session, confinement, &command) {
        Ok(done) => tell(context, compare, session, &found, done),
        Err(End::Stop(stop)) => stop.tell(context, compare.json),
        Err(End::Interrupted(signal)) => {
            note(&format!("  next    the same command goes on where it stopped: growrun {}\n", command.join(" ")));
            if compare.json {
                say_json(&format!("{}\n", json!({ "status": "interrupted", "diagnostics": [] })));
            }
            128 + signal
        }
    }
}

/// Why there is no answer.
enum End {
    Stop(Stop),
    Interrupted(i32),
}

impl<S: Into<Stop>> From<S> for End {
    fn from(stop: S) -> End {
        End::Stop(stop.into())
    }
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> End {
        match trouble {
            Trouble::Refused(refusal) => refusal.into(),
            Trouble::Closed(arm, closed) => End::Stop(Stop::Mistakes(of_arm(&arm, closed.diagnostics), closed.sources)),
        }
    }
}

impl From<Halt> for End {
    fn from(halt: Halt) -> End {
        match halt {
            Halt::World(error) => error.into(),
            Halt::Refused(refusal) => refusal.into(),
            Halt::Closed(arm, closed) => Trouble::Closed(arm, closed).into(),
            Halt::Interrupted(signal) => End::Interrupted(signal),
        }
    }
}

/// Says which arm it is that cannot be made.
fn of_arm(arm: &str, mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let message = format!("the arm `{arm}` cannot be made of this schedule");
    let refusal =
        Refusal::error("G0225", message, "what is wrong with it stands below; write arms of your own without it");
    diagnostics.insert(0, from_refusal(&refusal));
    diagnostics
}

/// One comparison: that of the schedule, or of one value of its sweep.
pub(super) struct One {
    pub plan: Plan,
    pub folder: PathBuf,
    /// `None` while runs are missing.
    pub report: Option<PathBuf>,
    /// Seconds of one run of the reference on one thread, where that could be measured.
    pub expected: Option<f64>,
    /// Runs at once.
    pub workers: usize,
}

/// What was done.
enum Done {
    Listed(Vec<One>),
    /// The job of this number.
    Job(u64, Vec<One>),
    Compared(Vec<One>),
}

fn all(
    context: &Context,
    compare: &Compare,
    session: &Session,
    confinement: Confinement,
    command: &[String],
) -> Result<Done, End> {
    let threads = compare.resources.threads.map_or_else(|| context.world.host().threads, |threads| threads as usize);
    let limits = compare.resources.limits(context.world, &compare.out);
    let mut opened = Vec::new();
    for settings in plan::settings(&session.checked.sweeps, &compare.overrides.set) {
        let of_a_run = Limits { disk: None, ..limits };
        opened.push(prepare(context, compare, session, settings, of_a_run, threads, command)?);
    }
    let ones = |opened: Vec<(Desk, One)>| opened.into_iter().map(|(_, one)| one).collect::<Vec<One>>();
    if compare.list {
        return Ok(Done::Listed(ones(opened)));
    }
    let origin = Origin { command: command.to_vec(), sandbox: confinement.word().into(), ..session.origin() };
    let options = training::options(context, &compare.resources)?;
    let simd = training::simd(context, compare.resources.simd)?;
    let means = |workers| Means {
        threads,
        workers,
        simd,
        parameters_max: options.parameters_max,
        interrupt: Arc::clone(&options.interrupt),
        origin: origin.clone(),
    };
    if let Some(index) = compare.index {
        let jobs =
            opened.iter().flat_map(|(desk, one)| plan::jobs(&one.plan).into_iter().map(move |job| (desk, one, job)));
        let jobs: Vec<_> = jobs.collect();
        let Some((desk, one, job)) = index.checked_sub(1).and_then(|at| jobs.get(at as usize)) else {
            let message = format!("there is no job {index}");
            let help = format!("the jobs are 1 to {}; `--list` shows them", jobs.len());
            return Err(Refusal::error("G0911", message, help).into());
        };
        enough_disk(limits.disk, one, job.len())?;
        compare::begin(context.world, &one.folder, &one.plan.comparison)?;
        let progress = told::Progress::new(context.terminal, compare.quiet, one, job.len());
        let done =
            conduct::conduct(desk, &one.plan, &one.folder, job, &means(one.workers), &|told| progress.hear(told));
        progress.end();
        done?;
        return Ok(Done::Job(index, ones(opened)));
    }
    for (desk, one) in &mut opened {
        let comparison = &one.plan.comparison;
        let missing = outcome::missing(context.world, comparison, &one.folder);
        if compare.collect && !missing.is_empty() {
            return Err(not_ended(one, &missing).into());
        }
        enough_disk(limits.disk, one, missing.len())?;
        compare::begin(context.world, &one.folder, comparison)?;
        let progress = told::Progress::new(context.terminal, compare.quiet, one, missing.len());
        let done =
            conduct::conduct(desk, &one.plan, &one.folder, &missing, &means(one.workers), &|told| progress.hear(told));
        progress.end();
        done?;
        let result = outcome::collect(desk, &one.plan, &one.folder)?;
        one.plan.comparison.result = Some(result);
        compare::write(context.world, &one.folder, &one.plan.comparison)?;
        one.report = Some(report::write(context.world, &one.folder)?);
    }
    Ok(Done::Compared(ones(opened)))
}

/// Refuses to begin runs that the disk has no room for.
fn enough_disk(limit: Option<u64>, one: &One, runs: usize) -> Result<(), Refusal> {
    let wanted = plan::disk(&one.plan, runs, one.workers);
    match limit.filter(|limit| runs > 0 && wanted > *limit) {
        None => Ok(()),
        Some(limit) => Err(Refusal::error(
            "G0605",
            format!(
                "{runs} runs need about {} of disk; the limit is {}",
                numbers::bytes(wanted),
                numbers::bytes(limit)
            ),
            "compare fewer seeds, name a folder with more space by `--out`, or raise the limit by `--disk-limit`",
        )),
    }
}

/// What it takes to find out how long a comparison will take.
const CALIBRATION_SECONDS: f64 = 0.2;

/// The comparison of some values of the sweeps.
fn prepare<'w>(
    context: &'w Context,
    compare: &Compare,
    session: &Session,
    settings: Vec<(String, String)>,
    limits: Limits,
    threads: usize,
    command: &[String],
) -> Result<(Desk<'w>, One), End> {
    let line = session.checked.comparison.as_ref();
    let question = Question {
        arms: line.map(|line| line.arms.clone()).unwrap_or_default(),
        by: compare.by.clone().or_else(|| line.and_then(|line| line.by.clone())),
        matching: line.and_then(|line| line.matching),
        seeds: compare.seeds.or_else(|| line.and_then(|line| line.seeds)),
        seed: compare.overrides.seed,
        settings: settings.clone(),
        command: command.to_vec(),
    };
    if let Some(by) = &compare.by {
        known_metric(by, session)?;
    }
    let mut desk = session.desk(context.world, limits);
    // They were checked with the schedule.
    let _ = syntax::set(&mut desk.schedule, &settings);
    let mut workers = threads.max(1);
    // Runs that are made at once share what memory there is; where that is too little for all, fewer are.
    let plan = loop {
        desk.limits.memory = limits.memory.map(|bytes| bytes / workers as u64);
        match plan::plan(&desk, &question) {
            Err(Trouble::Closed(_, closed))
                if workers > 1 && closed.diagnostics.iter().any(|found| found.code == "G0602") =>
            {
                workers -= 1;
            }
            Err(Trouble::Closed(arm, closed)) if !settings.is_empty() => {
                let values: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                return Err(Trouble::Closed(format!("{arm}` with `{}", values.join(", ")), closed).into());
            }
            other => break other?,
        }
    };
    let folder = compare.out.join(slug(&plan.comparison.name)).join(plan::folder_name(&plan));
    let compute = training::compute(context, 1, compare.resources.simd)?;
    let Opened { program, timeline } = &plan.opened;
    let expected = run::expected_seconds(program, timeline, &compute, context.world, Some(CALIBRATION_SECONDS));
    Ok((desk, One { plan, folder, report: None, expected, workers }))
}

/// `--by METRIC` is judged as in the `compare` line.
fn known_metric(name: &str, session: &Session) -> Result<(), Refusal> {
    let vocabulary = run::vocabulary();
    let metrics = session.checked.program.as_ref().map(|program| &program.train.metrics);
    let wrong = match conditions::parts(name, &vocabulary) {
        None => Some("there is no metric of this name"),
        Some(("train", _)) => Some("it says how well the arms remember, not what they learned"),
        Some((_, word)) if !word.scalar => Some("it is not one number"),
        Some(("test", _)) if session.checked.program.as_ref().is_some_and(|program| !program.data.has_test) => {
            Some("the data has no test part")
        }
        Some((_, word)) => {
            let computed = word.doc.word == "loss" || metrics.is_some_and(|all| all.contains(&word.doc.word));
            (!computed).then_some("the schedule does not compute it")
        }
    };
    match wrong {
        None => Ok(()),
        Some(why) => Err(Refusal::error(
            "G0502",
            format!("`--by {name}`: {why}"),
            "name a metric of the schedule's `metrics`, such as `val_accuracy` or `val_loss`",
        )),
    }
}

fn not_ended(one: &One, missing: &[(usize, usize)]) -> Refusal {
    let jobs = plan::jobs(&one.plan);
    let open = |job: &Vec<(usize, usize)>| job.iter().any(|run| missing.contains(run));
    let numbers: Vec<String> =
        jobs.iter().enumerate().filter(|(_, job)| open(job)).map(|(at, _)| (at + 1).to_string()).collect();
    let runs = one.plan.comparison.arms.len() * one.plan.comparison.seeds.len();
    Refusal::error(
        "G0804",
        format!("{} of {runs} runs of this comparison have not ended", missing.len()),
        format!("run the jobs {} first: `--index N`", numbers.join(", ")),
    )
}

fn tell(context: &Context, compare: &Compare, session: &Session, found: &[Diagnostic], done: Done) -> i32 {
    let style = context.terminal.stdout;
    let (object, text): (Value, String) = match &done {
        Done::Listed(ones) => (told::list_object(ones), told::list(ones, &compare.file, style)),
        Done::Job(index, ones) => (json!({ "job": index }), told::after_job(*index, ones, &compare.file)),
        Done::Compared(ones) => (told::object(ones), told::table(ones, &compare.file, style)),
    };
    if compare.json {
        let mut object = object;
        object["diagnostics"] = json!(machine::findings(found, session.sources()));
        say_json(&format!("{object}\n"));
    } else if !compare.quiet || compare.list {
        say(&text);
    }
    exit::OK
}
