//! A schedule that is compared, read once: every arm is made of it, for every seed and budget.

use super::arms::{self, Cut, Judged};
use crate::base::{Diagnostic, Severity, Sources, World};
use crate::check::program::Base;
use crate::check::{self, Budget, Limits, OfAnArm, Planned, Program, Request, Vocabulary};
use crate::data::Place;
use crate::nn::Architecture;
use crate::syntax::Schedule;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What all runs of a comparison are made from.
pub struct Desk<'a> {
    pub world: &'a dyn World,
    pub vocabulary: Vocabulary,
    /// With the sections of its base and the values of `--set`; `$NAME`s still stand in it.
    pub schedule: Schedule,
    pub base: Option<Base>,
    pub folder: PathBuf,
    /// `--data NAME=PATH`
    pub named: BTreeMap<String, PathBuf>,
    /// Of one run.
    pub limits: Limits,
}

/// One run to be made.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub arm: &'a str,
    /// `None`: the schedule's own.
    pub seed: Option<u64>,
    /// Steps of its budget; `None`: as long as the schedule says.
    pub steps: Option<u64>,
    /// Steps of the reference, by which times are stretched where the arm is a standard one.
    pub of: u64,
    /// The network that it begins with, where that is not the schedule's.
    pub initial: Option<&'a Architecture>,
    pub judged: Option<Judged>,
}

/// A run that can be made.
pub struct Opened {
    pub program: Program,
    pub timeline: Vec<Planned>,
}

/// Why one cannot: what the checker says of it.
#[derive(Debug)]
pub struct Closed {
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
}

impl Desk<'_> {
    pub fn open(&self, wanted: &Wanted) -> Result<Opened, Closed> {
        let cut = Cut { budgeted: wanted.steps.is_some(), judged: wanted.judged };
        let schedule = arms::schedule(&self.schedule, wanted.arm, cut).expect("an arm of this schedule");
        let stretched_of = self.stretched_of(wanted);
        let request = Request {
            seed: wanted.seed,
            completed: self.base.clone(),
            arm: OfAnArm { budget: wanted.steps.map(|steps| Budget { steps, stretched_of }), initial: wanted.initial },
            limits: self.limits,
            ..Request::new(self.world, &self.vocabulary, &self.folder, &self.named)
        };
        let checked = check::check(schedule, &request);
        let errors = checked.diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
        let diagnostics: Vec<Diagnostic> = errors.chain(checked.missing).collect();
        match checked.program {
            Some(program) if diagnostics.is_empty() => Ok(Opened { program, timeline: checked.timeline }),
            _ => Err(Closed { diagnostics, sources: checked.sources }),
        }
    }

    /// What an arm's record says of its times.
    pub fn stretched_of(&self, wanted: &Wanted) -> Option<u64> {
        Some(wanted.of).filter(|_| wanted.steps.is_some() && arms::stretches(&self.schedule))
    }

    /// Where the data of a run lies.
    pub fn place<'p>(&'p self, program: &'p Program) -> Place<'p> {
        Place { world: self.world, folder: &program.data_folder, named: &self.named, seed: program.seed }
    }
}
