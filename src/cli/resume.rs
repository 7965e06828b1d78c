//! `growrun resume`: goes on with a run that was interrupted or crashed, or, with another length or schedule, begins a
//! run that has it as its parent.

use super::arguments::Resume;
use super::outcome::{self, Place};
use super::render::{self, from_refusal};
use super::session::{self, Changes, Session};
use super::stop::Stop;
use super::terminal::{note, say, say_json};
use super::training::{self, Job};
use super::{Context, confine, exit};
use crate::base::{Diagnostic, Refusal, Severity, Sources, World};
use crate::check::program::Trigger;
use crate::check::{Program, Standing};
use crate::data::Dataset;
use crate::record::resume;
use crate::record::schema::{self, Record};
use crate::record::{Origin, Recorder, load};
use crate::run::{self, Resumption, Saved};
use std::path::{Path, PathBuf};

pub fn run(context: &Context, resume: &Resume, command: Vec<String>) -> i32 {
    let done = load::intact(context.world, &resume.run).map_err(Stop::from).and_then(|record| {
        let places = session::places(context.world, (&resume.run, &record), &resume.data);
        let is_changed = resume.train.is_some() || resume.schedule.is_some();
        let files: Vec<PathBuf> = resume.schedule.iter().cloned().collect();
        let out = if is_changed { &resume.out } else { &resume.run };
        let sandbox = confine::to_run(context, &resume.run, &places, &files, out).word().to_string();
        let origin = Origin { command, sandbox, ..Origin::default() };
        if is_changed {
            branch(context, resume, &record, origin)
        } else if record.result.is_some() && record.status != "interrupted" {
            Ok(tell(context, resume, &record)?)
        } else {
            go_on(context, resume, origin)
        }
    });
    match done {
        Ok(code) => code,
        Err(stop) => stop.tell(context, resume.json),
    }
}

/// The same run, from its newest whole checkpoint.
fn go_on(context: &Context, resume: &Resume, origin: Origin) -> Result<i32, Stop> {
    let world = context.world;
    // The run may have ended, or another process may have taken it up, between the first look and the lock.
    let lock = Recorder::lock(world, &resume.run)?;
    let record = load::intact(world, &resume.run)?;
    let begun = record.checkpoints.iter().any(|checkpoint| checkpoint.kept);
    let mut session = reopened(context, resume, &record, Changes { begun, ..Changes::default() })?;
    let rolls_back = session.checked.program.as_ref().is_some_and(|program| program.train.rolls_back());
    let found = resume::find(world, &resume.run, &record, rolls_back)?;
    if begun && found.newest.is_none() {
        // It begins again, and needs what it began with.
        session = reopened(context, resume, &record, Changes::default())?;
    }
    let program = session.checked.program.as_ref().expect("it has no mistake");
    let options = training::options(context, &resume.resources)?;
    let dataset = dataset(world, &session, program, &record)?;
    warn(context, &found.broken);
    if !resume.quiet {
        match &found.newest {
            Some((read, _)) => note(&from_there(&read.entry, None)),
            None => note("  no checkpoint is whole: begins again at step 0\n"),
        }
    }
    let origin = Origin { command: origin.command, sandbox: origin.sandbox, ..session.origin() };
    found.set_aside(world)?;
    let (entry, resumption) = match found.split() {
        Some((entry, meta, resumption)) => (Some((entry, meta)), Some(resumption)),
        None => (None, None),
    };
    let from = entry.as_ref().map(|(entry, meta)| (entry, meta));
    let recorder = Recorder::reopen(world, &resume.run, lock, record, &dataset, origin, from)?;
    let job = Job {
        program,
        timeline: &session.checked.timeline,
        dataset: &dataset,
        options: &options,
        resumption,
        found: Vec::new(),
        quiet: resume.quiet,
        json: resume.json,
    };
    let all = epochs(program.train.steps, program.data.steps_per_epoch);
    let is_arm = session.arm.is_some();
    Ok(training::train(context, job, recorder, |folder, code| match (is_arm, code) {
        (true, exit::OK) => vec![format!("growrun verify {folder}"), format!("growrun replay {folder}")],
        _ => next(folder, code, all),
    }))
}

/// A new run that begins where this one stands, with another length or schedule.
fn branch(context: &Context, resume: &Resume, record: &Record, origin: Origin) -> Result<i32, Stop> {
    let world = context.world;
    let begun = record.checkpoints.iter().any(|checkpoint| checkpoint.kept);
    let old = reopened(context, resume, record, Changes { begun, ..Changes::default() })?;
    let old = old.checked.program.as_ref().expect("it has no mistake");
    let found = resume::find(world, &resume.run, record, false)?;
    let broken = found.broken;
    let Some((read, saved)) = found.newest else {
        return Err(Stop::Refused(Refusal::error(
            "G0807",
            format!("`{}` has no checkpoint to go on from", resume.run.display()),
            "begin a run of its own with the changed schedule",
        )));
    };
    let standing = |saved: &Saved| Standing {
        step: saved.progress.step,
        architecture: saved.architecture.clone(),
        done: saved.progress.done.clone(),
    };
    let length = resume.train.as_deref();
    let (session, saved) = match &resume.schedule {
        Some(file) => {
            // Windows of the old schedule are closed before the new one is judged.
            let closed = saved.clone().rescheduled(old, old);
            let standing = standing(&closed);
            let changes = Changes { set: &resume.set, length, standing: Some(&standing), ..Changes::default() };
            let session = session::open_standing(
                context,
                (&resume.run, record),
                file,
                &resume.data,
                changes,
                limits(context, resume),
            )?;
            let session = without_mistakes(context, session)?;
            let new = session.checked.program.as_ref().expect("it has no mistake");
            let saved = saved.rescheduled(old, new);
            (session, saved)
        }
        None => {
            let standing = standing(&saved.clone().lengthened(old, old));
            let changes = Changes { set: &resume.set, length, standing: Some(&standing), ..Changes::default() };
            let session = reopened(context, resume, record, changes)?;
            let new = session.checked.program.as_ref().expect("it has no mistake");
            let saved = saved.lengthened(old, new);
            (session, saved)
        }
    };
    let program = session.checked.program.as_ref().expect("it has no mistake");
    if saved.progress.step >= program.train.steps {
        let message = format!(
            "the run stands at step {}, and the schedule ends at step {}: nothing is left to train",
            saved.progress.step, program.train.steps
        );
        let longer = 2 * epochs(saved.progress.step, program.data.steps_per_epoch);
        let help =
            format!("train for longer, such as `--train '{longer} epochs'`: a length counts from the first step");
        return Err(Stop::Refused(Refusal::error("G0807", message, help)));
    }
    warn(context, &broken);
    if !resume.quiet {
        note(&from_there(&read.entry, resume.schedule.as_ref().map(|_| program)));
    }
    let options = training::options(context, &resume.resources)?;
    let dataset = match &resume.schedule {
        Some(_) => run::load_data(program, &session.place(world, program))?,
        None => dataset(world, &session, program, record)?,
    };
    // Before there is a folder for it.
    run::fits(&saved, program)?;
    let parent = schema::Parent {
        run: numbered(world, &resume.run),
        schedule_digest: record.schedule_digest.clone(),
        checkpoint: read.entry.name.clone(),
        step: read.entry.step,
        digest: read.entry.digest.clone(),
    };
    let origin = Origin { command: origin.command, sandbox: origin.sandbox, ..session.origin() };
    let mut recorder = Recorder::create(world, &resume.out, program, &dataset, origin)?.branch(parent);
    if let Some(arm) = &session.arm {
        recorder = recorder.of_arm(arm.clone());
    }
    let job = Job {
        program,
        timeline: &session.checked.timeline,
        dataset: &dataset,
        options: &options,
        resumption: Some(Resumption { saved, saved_at: None, good: None }),
        found: Vec::new(),
        quiet: resume.quiet,
        json: resume.json,
    };
    let all = epochs(program.train.steps, program.data.steps_per_epoch);
    Ok(training::train(context, job, recorder, |folder, code| next(folder, code, all)))
}

/// Of a run that has ended: its result once more.
fn tell(context: &Context, resume: &Resume, record: &Record) -> Result<i32, Refusal> {
    let finish = load::finish(&resume.run, record)?;
    let folder = resume.run.display().to_string();
    let code = match record.status.as_str() {
        "failed" => exit::FAILED,
        "diverged" => exit::DIVERGED,
        _ => exit::OK,
    };
    let why = record.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let all = epochs(record.resolved.steps, record.resolved.steps_per_epoch);
    let good = record.checkpoints.iter().rev().find(|known| known.kept);
    let text = match (code, good) {
        (exit::OK, None) if record.arm.is_some() => {
            format!(
                "  `{folder}` has {}: it is one arm of a comparison, as long as that one gives it.\n",
                record.status
            )
        }
        (exit::OK, _) => format!(
            "  `{folder}` has {}{why}: nothing is left to go on with.\n  `--train '{} epochs'` trains it for longer, \
             `--schedule FILE` goes on with another schedule.\n",
            record.status,
            2 * all
        ),
        (_, Some(good)) => format!(
            "  `{folder}` has {}{why}.\n  `--schedule FILE` goes on with a schedule that was mended, from `{}` of step \
             {}.\n",
            record.status, good.name, good.step
        ),
        (_, None) => format!("  `{folder}` has {}{why}, and has no checkpoint to go on from.\n", record.status),
    };
    if !resume.quiet {
        note(&text);
    }
    let expected = record.result.as_ref().and_then(|result| result.expected_seconds);
    if resume.json {
        let mut object = outcome::object(&finish, Some(&folder), serde_json::json!([]));
        object["expected_seconds"] = serde_json::json!(expected);
        say_json(&format!("{object}\n"));
    } else if !resume.quiet {
        let next = match record.arm {
            // It has no checkpoint from which another length could begin.
            Some(_) => vec![format!("growrun verify {folder}"), format!("growrun replay {folder}")],
            None => next(&folder, code, all),
        };
        let place = Place { run: Some(&folder), next: &next, expected, chart: None };
        say(&outcome::table(&load::heading(record), &finish, &place, context.terminal.stdout));
    }
    Ok(code)
}

fn limits(context: &Context, resume: &Resume) -> crate::check::Limits {
    resume.resources.limits(context.world, &resume.out)
}

/// The schedule of the record, checked.
fn reopened(context: &Context, resume: &Resume, record: &Record, changes: Changes) -> Result<Session, Stop> {
    let session = session::reopen(context, (&resume.run, record), &resume.data, changes, limits(context, resume))?;
    without_mistakes(context, session)
}

fn without_mistakes(context: &Context, session: Session) -> Result<Session, Stop> {
    let mut found = session.diagnostics.clone();
    if !session.has_errors() {
        found.extend(session.obstacles());
    }
    if !session.checked.arms.is_empty() && session.arm.is_none() {
        return Err(Stop::Refused(Refusal::error(
            "G0224",
            "a run goes on with one schedule, and this one has arms",
            "write the events of one arm outside of it",
        )));
    }
    if session.checked.program.is_none() || found.iter().any(|found| found.severity == Severity::Error) {
        return Err(Stop::Mistakes(found, session.sources().clone()));
    }
    note(&render::human(&found, session.sources(), context.terminal.stderr));
    Ok(session)
}

/// The data of the record, which must be the same bytes.
fn dataset(world: &dyn World, session: &Session, program: &Program, record: &Record) -> Result<Dataset, Stop> {
    let dataset = run::load_data(program, &session.place(world, program))?;
    load::same_data(&dataset, record)?;
    load::same_weights(program, record)?;
    Ok(dataset)
}

/// Tells which checkpoints could not be used.
fn warn(context: &Context, broken: &[(PathBuf, Refusal)]) {
    let warnings: Vec<Diagnostic> = broken
        .iter()
        .map(|(_, refusal)| {
            let help = Some("it gets a name that begins with `broken-`; the newest that is whole is taken".to_string());
            Diagnostic { severity: Severity::Warning, help, ..from_refusal(refusal) }
        })
        .collect();
    note(&render::human(&warnings, &Sources::default(), context.terminal.stderr));
}

/// From where a run goes on; of another schedule (`changed`) also which of its events are past.
fn from_there(entry: &schema::Checkpoint, changed: Option<&Program>) -> String {
    let mut text = format!("  goes on from `{}`, step {}\n", entry.name, entry.step);
    for event in changed.iter().flat_map(|program| &program.events) {
        let past = match event.trigger {
            Trigger::At { end: true, .. } => false,
            Trigger::At { step, .. } => step <= entry.step,
            Trigger::Every { until, .. } | Trigger::When { until, .. } => until <= entry.step,
            Trigger::During { to, .. } => to <= entry.step,
        };
        if past {
            let actions: Vec<&str> = event.actions.iter().map(|action| action.text.as_str()).collect();
            text.push_str(&format!("  past already: {} (step {})\n", actions.join("; "), event.trigger.first_step()));
        }
    }
    text
}

/// `first-growth/0001`
fn numbered(world: &dyn World, run: &Path) -> String {
    let path = world.canonical(run).unwrap_or_else(|_| run.into());
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy().into_owned()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// What makes sense after a run of so many epochs.
fn next(folder: &str, code: i32, epochs: u64) -> Vec<String> {
    if code >= 128 {
        return vec![format!("growrun resume {folder}")];
    }
    let more = match code {
        exit::OK => format!("--train '{} epochs'", 2 * epochs),
        // The same schedule would fail or diverge again.
        _ => "--schedule FILE".into(),
    };
    vec![format!("growrun verify {folder}"), format!("growrun resume {folder} {more}")]
}

fn epochs(steps: u64, steps_per_epoch: u64) -> u64 {
    steps.div_ceil(steps_per_epoch.max(1))
}
