//! `growrun run`: check, train, grow, record, and tell how it went.

use super::arguments::{Compare, Run};
use super::render;
use super::session::Session;
use super::training::{self, Job, refused};
use super::{Context, confine, session};
use crate::base::{Refusal, Severity};
use crate::check::Program;
use crate::record::{Origin, Recorder};
use crate::run;

pub fn run(context: &Context, run: &Run, command: Vec<String>) -> i32 {
    let files = std::slice::from_ref(&run.file);
    let confinement = confine::to_schedules(context, files, &run.overrides, Some(&run.out));
    let limits = run.resources.limits(context.world, &run.out);
    let session = match session::open(context, &run.file, &run.overrides, limits) {
        Ok(session) => session,
        Err(error) => return context.world_failed(&error, run.json),
    };
    if !session.has_errors() && session.arm.is_none() && session.checked.is_several() {
        if session.checked.comparison.is_none() {
            return refused(context, &which(run, &session), run.json);
        }
        return super::compare::of_session(context, &Compare::of(run), &session, confinement, command);
    }
    let found = session.found_for_a_run();
    let has_errors = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let Some(program) = session.checked.program.as_ref().filter(|_| !has_errors) else {
        return context.refuse(&found, session.sources(), run.json);
    };
    super::terminal::note(&render::human(&found, session.sources(), context.terminal.stderr));
    let options = match training::options(context, &run.resources) {
        Ok(options) => options,
        Err(refusal) => return refused(context, &refusal, run.json),
    };
    let dataset = match run::load_data(program, &session.place(context.world, program)) {
        Ok(dataset) => dataset,
        Err(refusal) => return refused(context, &refusal, run.json),
    };
    let origin = Origin { command, sandbox: confinement.word().into(), ..session.origin() };
    let recorder = match Recorder::create(context.world, &run.out, program, &dataset, origin) {
        Ok(recorder) => recorder,
        Err(error) => return context.world_failed(&error, run.json),
    };
    let recorder = match &session.arm {
        Some(arm) => recorder.of_arm(arm.clone()),
        None => recorder,
    };
    confine::to_run_directory(context, recorder.folder());
    let job = Job {
        program,
        timeline: &session.checked.timeline,
        dataset: &dataset,
        options: &options,
        resumption: None,
        found,
        quiet: run.quiet,
        json: run.json,
    };
    training::train(context, job, recorder, |folder, code| next_commands(run, program, folder, code))
}

/// What a schedule is refused with that is several.
fn which(run: &Run, session: &Session) -> Refusal {
    let file = run.file.display();
    let (what, flag) = match (session.checked.arms.first(), session.checked.sweeps.first()) {
        (Some(arm), _) => ("arms", format!("--arm {}", arm.name)),
        (None, Some(sweep)) => ("a sweep", format!("--set {}={}", sweep.name, sweep.values[0])),
        (None, None) => unreachable!("it is several"),
    };
    Refusal::error(
        "G0224",
        format!("this schedule has {what}, and no `compare` line says that they are compared"),
        format!("`growrun {file} {flag}` runs one of them, `growrun compare {file}` compares them"),
    )
}

/// What makes sense after this run, of the commands that are there.
fn next_commands(run: &Run, program: &Program, folder: &str, code: i32) -> Vec<String> {
    let file = run.file.display();
    let mut next = Vec::new();
    if code >= 128 {
        next.push(format!("growrun resume {folder}"));
    }
    if code == super::exit::OK && program.data.source.word == "csv" {
        next.push(format!("growrun predict {folder} NEW.csv"));
    }
    next.push(format!("growrun {file} --seed {}", program.seed.wrapping_add(1)));
    next.push(format!("growrun plan {file}"));
    next
}
