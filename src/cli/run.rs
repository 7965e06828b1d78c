//! `growrun run`: check, train, grow, record, and tell how it went.

use super::arguments::Run;
use super::outcome::{self, Place};
use super::progress::Progress;
use super::render::{self, from_refusal, without_place};
use super::session;
use super::terminal::{note, say, say_json};
use super::{Context, confine, exit, machine};
use crate::base::{Diagnostic, Refusal, Severity, Sources};
use crate::check::{Limits, Program};
use crate::record::Recorder;
use crate::run::{self, Event, Failure, Finish, Options, Status};
use crate::tensor::{Compute, Simd};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

pub fn run(context: &Context, run: &Run, command: Vec<String>) -> i32 {
    confine::to_schedules(context, std::slice::from_ref(&run.file), &run.overrides, Some(&run.out));
    let host = context.world.host();
    let limit = run.memory_limit.or_else(|| host.memory_free.map(|free| free / 5 * 4));
    let limits = Limits {
        memory: limit,
        disk: run.disk_limit.or_else(|| context.world.disk_free(&run.out)),
        parameters: run.parameters_limit,
        steps: run.steps_limit,
        events: run.events_limit,
    };
    let session = match session::open(context, &run.file, &run.overrides, limits) {
        Ok(session) => session,
        Err(error) => return context.world_failed(&error, run.json),
    };
    let mut found = session.diagnostics.clone();
    if !session.has_errors() {
        let obstacles = session.obstacles();
        // What only warned of the same place is now what forbids the run.
        found.retain(|known| !obstacles.iter().any(|new| new.code == known.code && new.span() == known.span()));
        found.extend(obstacles);
    }
    let has_errors = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let Some(program) = session.checked.program.as_ref().filter(|_| !has_errors) else {
        return context.refuse(&found, session.sources(), run.json);
    };
    note(&render::human(&found, session.sources(), context.terminal.stderr));

    let threads = run.threads.map_or(host.threads, |threads| threads as usize);
    let compute = match compute(context, threads, run.simd) {
        Ok(compute) => compute,
        Err(refusal) => return refused(context, &refusal, run.json),
    };
    let interrupt = Arc::new(AtomicI32::new(0));
    watch_signals(&interrupt);
    let place = crate::data::Place {
        world: context.world,
        folder: &program.data_folder,
        named: &session.named,
        seed: program.seed,
    };
    let dataset = match run::load_data(program, &place) {
        Ok(dataset) => dataset,
        Err(refusal) => return refused(context, &refusal, run.json),
    };
    let mut recorder = match Recorder::create(context.world, &run.out, program, &dataset, command) {
        Ok(recorder) => recorder,
        Err(error) => return context.world_failed(&error, run.json),
    };
    confine::to_run_directory(context, recorder.folder());
    let mut progress = Progress::new(context.terminal, run.quiet);
    let options = Options { compute, interrupt, parameters_max: run.parameters_limit };
    let finished = run::execute(program, &dataset, &options, context.world, &mut |event: &Event| {
        recorder.consume(event)?;
        progress.hear(event);
        Ok(())
    });
    progress.end();
    let finish = match finished {
        Ok(finish) => finish,
        Err(Failure::World(error)) => return context.world_failed(&error, run.json),
        Err(Failure::Refused(refusal)) => return refused(context, &refusal, run.json),
    };
    let folder = recorder.folder().display().to_string();
    let (code, reason) = ended(&finish);
    note(&render::human(reason.as_slice(), &program.sources, context.terminal.stderr));
    if run.json {
        found.extend(reason);
        let diagnostics = serde_json::json!(machine::findings(&found, session.sources()));
        say_json(&format!("{}\n", outcome::object(&finish, Some(&folder), diagnostics)));
    } else if let Some(started) = progress.started.as_ref().filter(|_| !run.quiet) {
        let next = next_commands(run, program, &folder, code);
        let place = Place { run: Some(&folder), next: &next };
        say(&outcome::table(started, &finish, &place, context.terminal.stdout));
    }
    code
}

/// Threads and SIMD path: the flag, else what GROWRUN_SIMD says, else the best of this machine.
pub(super) fn compute(context: &Context, threads: usize, flag: Option<Simd>) -> Result<Compute, Refusal> {
    let simd = match (flag, context.world.variable("GROWRUN_SIMD")) {
        (Some(simd), _) => simd,
        (None, None) => Simd::Auto,
        (None, Some(word)) => Simd::find(&word).ok_or_else(|| {
            Refusal::error(
                "G0105",
                format!("GROWRUN_SIMD is `{word}`, which is no SIMD path"),
                format!("use one of {}", Simd::ALL.map(Simd::word).join(", ")),
            )
        })?,
    };
    // Small networks stay on one thread unless this is set; then equal digests at any number of threads say something.
    let force_parallel = context.world.variable("GROWRUN_FORCE_PARALLEL").is_some();
    Compute::new(threads, simd, force_parallel)
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

fn refused(context: &Context, refusal: &Refusal, json: bool) -> i32 {
    context.refuse(&[from_refusal(refusal)], &Sources::default(), json);
    // The world's failures keep their code through every floor.
    if refusal.code == "G0801" { exit::WORLD } else { exit::BAD_INPUT }
}

/// The exit code of a run and why it did not end well.
fn ended(finish: &Finish) -> (i32, Option<Diagnostic>) {
    match &finish.status {
        Status::Finished | Status::Stopped => (exit::OK, None),
        Status::Failed(assertion) => {
            let diagnostic = Diagnostic::error(assertion.code, assertion.span, assertion.message.clone());
            let help = assertion.help.clone();
            (exit::FAILED, Some(if help.is_empty() { diagnostic } else { diagnostic.help(help) }))
        }
        Status::Diverged { step } => {
            let message = format!("the loss, a gradient or a weight stopped being a finite number at step {step}");
            let help = "use a smaller `lr`, or `clip 1` behind the optimizer";
            (exit::DIVERGED, Some(without_place("G0806", message, help)))
        }
        Status::Interrupted { signal } => (128 + signal, None),
    }
}

/// What makes sense after this run, of the commands that are there.
fn next_commands(run: &Run, program: &Program, folder: &str, code: i32) -> Vec<String> {
    let file = run.file.display();
    let mut next = Vec::new();
    if code == exit::OK && program.data.source.word == "csv" {
        next.push(format!("growrun predict {folder} NEW.csv"));
    }
    next.push(format!("growrun {file} --seed {}", program.seed.wrapping_add(1)));
    next.push(format!("growrun plan {file}"));
    next
}
