//! What every command that trains has in common: signals, threads, the run itself, and how its end is told.

use super::arguments::Resources;
use super::chart::Curve;
use super::outcome::{self, Place};
use super::progress::Progress;
use super::render::{self, from_refusal, without_place};
use super::terminal::{note, say, say_json};
use super::{Context, exit, machine};
use crate::base::{Diagnostic, Refusal, Sources};
use crate::check::{Planned, Program, flops};
use crate::data::Dataset;
use crate::record::Recorder;
use crate::record::schema::Record;
use crate::run::{self, Autosave, Event, Failure, Finish, Options, Resumption, Status};
use crate::tensor::{Compute, Simd};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// A run that is to be made or gone on with.
pub struct Job<'a> {
    pub program: &'a Program,
    /// What the checker has seen coming.
    pub timeline: &'a [Planned],
    pub dataset: &'a Dataset,
    pub options: &'a Options,
    pub resumption: Option<Resumption>,
    /// What the checker said, for `--json`.
    pub found: Vec<Diagnostic>,
    pub quiet: bool,
    pub json: bool,
}

/// Threads, SIMD path and limits of a run, which signals end from now on.
pub fn options(context: &Context, resources: &Resources) -> Result<Options, Refusal> {
    let threads = resources.threads.map_or_else(|| context.world.host().threads, |threads| threads as usize);
    let compute = compute(context, threads, resources.simd)?;
    let interrupt = Arc::new(AtomicI32::new(0));
    watch_signals(&interrupt);
    let autosave = Autosave::Seconds(run::AUTOSAVE_SECONDS);
    let memory_max = resources.limits(context.world, Path::new("")).memory;
    Ok(Options { compute, interrupt, parameters_max: resources.parameters_limit, memory_max, autosave })
}

/// Trains to the end, records, tells what came out; the exit code. `next`: commands that make sense then, given the run
/// directory and the exit code.
pub fn train(context: &Context, job: Job, recorder: Recorder, next: impl Fn(&str, i32) -> Vec<String>) -> i32 {
    let expected = expected(context, &job);
    let Job { program, timeline: _, dataset, options, resumption, mut found, quiet, json } = job;
    let mut recorder = recorder.expecting(expected);
    let mut progress = Progress::new(context.terminal, quiet);
    progress.expected = expected;
    progress.curve = resumption.as_ref().map(Curve::resumed).unwrap_or_default();
    let mut consumer = |event: &Event| {
        recorder.consume(event)?;
        progress.hear(event);
        Ok(())
    };
    let finished = match resumption {
        None => run::execute(program, dataset, options, context.world, &mut consumer),
        Some(from) => run::proceed(program, dataset, options, context.world, from, &mut consumer),
    };
    progress.end();
    let finish = match finished {
        Ok(finish) => finish,
        Err(Failure::World(error)) => {
            let code = context.world_failed(&error, json);
            let folder = recorder.folder().display();
            note(&format!("  next    growrun resume {folder}   once that is mended: it goes on from what was saved\n"));
            return code;
        }
        Err(Failure::Refused(refusal)) => return refused(context, &refusal, json),
    };
    let folder = recorder.folder().display().to_string();
    let (code, reason) = ended(&finish, recorder.record());
    note(&render::human(reason.as_slice(), &program.sources, context.terminal.stderr));
    if json {
        found.extend(reason);
        let diagnostics = serde_json::json!(machine::findings(&found, &program.sources));
        let mut object = outcome::object(&finish, Some(&folder), diagnostics);
        object["expected_seconds"] = serde_json::json!(expected);
        say_json(&format!("{object}\n"));
    } else if let Some(started) = progress.started.as_ref().filter(|_| !quiet) {
        let next = next(&folder, code);
        let chart = progress.curve.draw(context.terminal.stdout.width, context.terminal.unicode);
        let place = Place { run: Some(&folder), next: &next, expected, chart };
        say(&outcome::table(&started.heading(), &finish, &place, context.terminal.stdout));
    }
    code
}

/// The seconds that the run will take in all: what earlier sessions have spent, and what is left.
fn expected(context: &Context, job: &Job) -> Option<f64> {
    let program = job.program;
    let (step, architecture, spent) = match &job.resumption {
        Some(Resumption { saved, .. }) => (saved.progress.step, &saved.architecture, saved.progress.seconds),
        None => (0, &program.architecture, 0.0),
    };
    let course = flops::rest(program, job.timeline, step, architecture);
    let (compute, seconds) = (&job.options.compute, run::worth(&course));
    let calibration = run::Calibration::measure(program, &course, compute, context.world, seconds)?;
    Some(spent + calibration.expected(program, &course, job.timeline).all)
}

/// Threads and SIMD path: the flag, else what GROWRUN_SIMD says, else the best of this machine.
pub(super) fn compute(context: &Context, threads: usize, flag: Option<Simd>) -> Result<Compute, Refusal> {
    // Small networks stay on one thread unless this is set; then equal digests at any number of threads say something.
    let force_parallel = context.world.variable("GROWRUN_FORCE_PARALLEL").is_some();
    Compute::new(threads, simd(context, flag)?, force_parallel)
}

/// The SIMD path alone.
pub(super) fn simd(context: &Context, flag: Option<Simd>) -> Result<Simd, Refusal> {
    Ok(match (flag, context.world.variable("GROWRUN_SIMD")) {
        (Some(simd), _) => simd,
        (None, None) => Simd::Auto,
        (None, Some(word)) => Simd::find(&word).ok_or_else(|| {
            Refusal::error(
                "G0105",
                format!("GROWRUN_SIMD is `{word}`, which is no SIMD path"),
                format!("use one of {}", Simd::ALL.map(Simd::word).join(", ")),
            )
        })?,
    })
}

/// The first signal asks the run to end with its work saved; a second INT ends it at once.
fn watch_signals(interrupt: &Arc<AtomicI32>) {
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1]) else {
        // Without a handler a signal ends the program in the system's own way; nothing half-written stays.
        return;
    };
    let interrupt = Arc::clone(interrupt);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if interrupt.swap(signal, Ordering::SeqCst) != 0 && signal == SIGINT {
                std::process::exit(128 + SIGINT);
            }
        }
    });
}

pub(super) fn refused(context: &Context, refusal: &Refusal, json: bool) -> i32 {
    context.refuse(&[from_refusal(refusal)], &Sources::default(), json);
    // The world's failures keep their code through every floor.
    if refusal.code == "G0801" { exit::WORLD } else { exit::BAD_INPUT }
}

/// The exit code of a run and why it did not end well.
fn ended(finish: &Finish, record: &Record) -> (i32, Option<Diagnostic>) {
    match &finish.status {
        Status::Finished | Status::Stopped => (exit::OK, None),
        Status::Failed(assertion) => {
            let diagnostic = Diagnostic::error(assertion.code, assertion.span, assertion.message.clone());
            let help = assertion.help.clone();
            (exit::FAILED, Some(if help.is_empty() { diagnostic } else { diagnostic.help(help) }))
        }
        Status::Diverged { step } => {
            let message = format!("the loss, a gradient or a weight stopped being a finite number at step {step}");
            let good = record.checkpoints.iter().rev().find(|checkpoint| checkpoint.kept);
            let good = good.map_or_else(String::new, |checkpoint| {
                format!("; `{}` is the last good checkpoint, of step {}", checkpoint.name, checkpoint.step)
            });
            let help = format!("use a smaller `lr`, or `clip 1` behind the optimizer{good}");
            (exit::DIVERGED, Some(without_place("G0806", message, help)))
        }
        Status::Interrupted { signal } => (128 + signal, None),
    }
}
