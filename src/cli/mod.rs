//! The command line: reads words, calls the floors below, and shows what comes back.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 the run failed, 2 bad input,
//! 3 diverged, 4 input/output, 130/143/138 interrupted.

mod apply;
pub mod arguments;
mod chart;
mod check;
mod compare;
mod confine;
mod diff;
pub mod explain;
mod export;
mod inspect;
pub mod machine;
mod new;
pub mod outcome;
mod pack;
pub mod plan;
mod predict;
mod progress;
mod recorded;
pub mod render;
mod replay;
mod report;
mod resume;
mod run;
mod runs;
mod session;
mod stop;
pub mod terminal;
mod training;
mod usage;
mod verify;

pub use crate::base::numbers;

use crate::base::{Diagnostic, Error, Sources, World, world::Real};
use arguments::{Command, WELCOME};
use serde_json::json;
use std::ffi::OsString;
use terminal::{Terminal, note, say, say_json};
use usage::Usage;

/// What a command needs of its surroundings.
pub struct Context<'a> {
    pub world: &'a dyn World,
    pub terminal: Terminal,
}

/// Exit codes.
mod exit {
    pub const OK: i32 = 0;
    pub const FAILED: i32 = 1;
    pub const BAD_INPUT: i32 = 2;
    pub const DIVERGED: i32 = 3;
    pub const WORLD: i32 = 4;
}

/// Runs the program with its arguments, the first of which is its own name; returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let world = Real::default();
    let context = Context { world: &world, terminal: Terminal::detect(&world) };
    let arguments: Vec<OsString> = arguments.into_iter().skip(1).collect();
    let command = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let growrun = match usage::read(arguments, &world, context.terminal.stdout.color) {
        Usage::Command(growrun) => growrun,
        Usage::Text(text) => {
            say(&text);
            return exit::OK;
        }
        Usage::Mistake(diagnostic) => return context.refuse(&[diagnostic], &Sources::default(), wants_json),
    };
    match growrun.command {
        None => {
            say(WELCOME);
            exit::OK
        }
        Some(Command::Explain(explain)) => explain::run(&context, &explain.words),
        Some(Command::New(new)) => new::run(&context, &new),
        Some(Command::Run(run)) => run::run(&context, &run, command),
        Some(Command::Resume(resume)) => resume::run(&context, &resume, command),
        Some(Command::Check(check)) => check::run(&context, &check),
        Some(Command::Plan(plan)) => plan::run(&context, &plan),
        Some(Command::Compare(compare)) => compare::run(&context, &compare, command),
        Some(Command::Predict(predict)) => predict::run(&context, &predict),
        Some(Command::Runs(runs)) => runs::run(&context, &runs),
        Some(Command::Diff(diff)) => diff::run(&context, &diff),
        Some(Command::Replay(replay)) => replay::run(&context, &replay, command),
        Some(Command::Verify(verify)) => verify::run(&context, &verify),
        Some(Command::Pack(pack)) => pack::run(&context, &pack),
        Some(Command::Report(report)) => report::run(&context, &report),
        Some(Command::Apply(apply)) => apply::run(&context, &apply),
        Some(Command::Export(export)) => export::run(&context, &export),
        Some(Command::Inspect(inspect)) => inspect::run(&context, &inspect),
    }
}

impl Context<'_> {
    /// Tells why a command cannot do what it was asked to, before anything was done.
    fn refuse(&self, diagnostics: &[Diagnostic], sources: &Sources, json: bool) -> i32 {
        note(&render::human(diagnostics, sources, self.terminal.stderr));
        if json {
            let object = json!({ "status": "failed", "diagnostics": machine::findings(diagnostics, sources) });
            say_json(&format!("{object}\n"));
        }
        exit::BAD_INPUT
    }

    /// Tells that a file, a folder or the disk failed.
    fn world_failed(&self, error: &Error, json: bool) -> i32 {
        let code = self.refuse(&[render::from_error(error)], &Sources::default(), json);
        // A file that is too large is no fault of the disk.
        if error.code == "G0802" { code } else { exit::WORLD }
    }
}
