//! Whether a run that is made again does what its record says. It is told everything while it happens, so that training
//! ends at the first difference.

use super::checkpoint;
use super::lines::{self, Line};
use super::names;
use super::schema::{self, Record};
use crate::run::{Checkpoint, Event, Finish, Growth, Reason, RolledBack, Saved, Status};
use std::collections::BTreeSet;

/// What is not as the record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub step: u64,
    /// The first tensor that differs, where the record has digests of its tensors at this step.
    pub tensor: Option<String>,
    /// `checkpoint start`, `val_loss is 0.31 and was 0.32`
    pub what: String,
}

/// The last thing that was the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreed {
    pub step: u64,
    pub what: String,
}

/// How much was the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub checkpoints: u64,
    pub growths: u64,
    pub evaluations: u64,
}

/// A record beside the run that repeats it.
pub struct Comparison<'r> {
    record: &'r Record,
    /// Of metrics.jsonl; a bare record comes without it.
    lines: Option<Vec<Line>>,
    line: usize,
    step: u64,
    growths: usize,
    rollbacks: usize,
    /// Numbers of the recorded checkpoints that were made again.
    made: BTreeSet<u64>,
    pub counts: Counts,
    pub agreed: Option<Agreed>,
    pub difference: Option<Difference>,
    /// Nothing more is to be learned from training on.
    over: bool,
}

impl<'r> Comparison<'r> {
    /// `lines`: of metrics.jsonl, where it is there. `start`: what the run begins from, if it went on from another one.
    pub fn new(record: &'r Record, lines: Option<Vec<Line>>, start: Option<&Saved>) -> Comparison<'r> {
        Comparison {
            record,
            lines,
            line: 0,
            step: start.map_or(0, |saved| saved.progress.step),
            growths: start.map_or(0, |saved| saved.growths.len()),
            rollbacks: 0,
            made: BTreeSet::new(),
            counts: Counts::default(),
            agreed: None,
            difference: None,
            over: false,
        }
    }

    /// Whether training may end: a difference was found, or an unfinished run was followed as far as it got.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one event of the run that repeats the record.
    pub fn hear(&mut self, event: &Event) {
        if self.over {
            return;
        }
        match event {
            Event::Stepped(stepped) => {
                // What came behind the difference at its own step has named the tensor, if anything could.
                self.over = self.difference.is_some();
                self.step = stepped.step;
            }
            Event::Evaluated(evaluated) => self.line(evaluated.step, &lines::evaluated(evaluated)),
            Event::Logged(stepped) => self.line(stepped.step, &lines::logged(stepped)),
            Event::Grown(growth) => self.grown(growth),
            Event::RolledBack(back) => self.rolled_back(back),
            Event::Checkpoint(saved) => self.checkpoint(saved),
            Event::Finished(finish, _) => self.finished(finish),
            Event::Started(_) | Event::Settled { .. } | Event::Noted { .. } => {}
        }
        if self.difference.is_none() && self.is_unfinished() && !matches!(event, Event::Finished(..)) {
            self.follow();
        }
    }

    fn differs(&mut self, step: u64, tensor: Option<String>, what: String) {
        match &mut self.difference {
            // A checkpoint behind it, at the same step, knows the tensor.
            Some(first) if first.step == step && first.tensor.is_none() => first.tensor = tensor,
            Some(_) => {}
            None => self.difference = Some(Difference { step, tensor, what }),
        }
    }

    fn agrees(&mut self, step: u64, what: String) {
        if self.difference.is_none() {
            self.agreed = Some(Agreed { step, what });
        }
    }

    fn is_unfinished(&self) -> bool {
        matches!(self.record.status.as_str(), "running" | "interrupted")
    }

    /// Whether what comes now will be gone back over, so that the record no longer has it.
    fn is_undone(&self) -> bool {
        self.rollbacks < self.record.rollbacks.len()
    }

    /// How far an unfinished run got.
    fn last_step(&self) -> u64 {
        let record = self.record;
        let steps =
            record.checkpoints.iter().map(|entry| entry.step).chain(record.events.iter().map(|event| event.step));
        let steps = steps
            .chain(self.lines.iter().flatten().map(lines::step))
            .chain(record.rollbacks.iter().map(|back| back.step));
        record.result.as_ref().map_or_else(|| steps.max().unwrap_or(0), |result| result.step)
    }

    /// Ends where an unfinished run ended: at its last step, with all that happened until then.
    fn follow(&mut self) {
        let last = self.last_step();
        let growths = self.record.events.len().saturating_add(self.record.events_left_out as usize);
        let has_all = self.growths == growths
            && self.rollbacks == self.record.rollbacks.len()
            && self.lines.as_ref().is_none_or(|lines| self.line == lines.len());
        if self.step > last {
            self.differs(last, None, "something that the record tells did not happen again".into());
            self.over = true;
        } else if self.step == last && has_all {
            self.over = self.record.status == "interrupted"
                || self.made.iter().max() == self.record.checkpoints.last().map(|entry| &entry.number);
        }
    }

    fn line(&mut self, step: u64, line: &Line) {
        let Some(lines) = &self.lines else { return };
        let found = match lines.get(self.line) {
            Some(was) => lines::first_difference(was, line).map(|(key, was, is)| match key.as_str() {
                "confusion" => "confusion".to_string(),
                _ => format!("{key} is {is} and was {was}"),
            }),
            // The file of a run that was killed may have lost its end.
            None if self.record.status == "running" => return,
            None => Some("an evaluation that the record does not have".into()),
        };
        self.line += 1;
        match found {
            Some(what) => self.differs(step, None, what),
            None => {
                self.counts.evaluations += 1;
                self.agrees(step, "evaluation".into());
            }
        }
    }

    fn grown(&mut self, growth: &Growth) {
        let index = self.growths;
        self.growths += 1;
        if self.is_undone() {
            return;
        }
        let told = format!("{} {}", growth.action, growth.detail);
        let Some(was) = self.record.events.get(index) else {
            if self.record.events_left_out == 0 && self.record.status != "running" {
                self.differs(growth.step, None, format!("{told}, which the record does not have"));
            }
            return;
        };
        let is = checkpoint::event(growth);
        let same = |is: &schema::Event, was: &schema::Event| {
            let (of_is, of_was) =
                [is, was].map(|one| (&one.promise, &one.rule, one.held, &one.shape, one.parameters_after)).into();
            is.step == was.step
                && is.action == was.action
                && is.target == was.target
                && is.detail == was.detail
                && of_is == of_was
        };
        if !same(&is, was) {
            let what = format!("{told}, where the record has {} {} at step {}", was.action, was.detail, was.step);
            self.differs(growth.step.min(was.step), None, what);
        } else if is.weights != was.weights {
            self.differs(growth.step, None, format!("the weights after {told}"));
        } else if is.drift.to_bits() != was.drift.to_bits() {
            self.differs(growth.step, None, format!("the drift of {told} is {} and was {}", is.drift, was.drift));
        } else {
            self.counts.growths += 1;
            self.agrees(growth.step, told);
        }
    }

    fn rolled_back(&mut self, back: &RolledBack) {
        self.growths = back.growths;
        let was = self.record.rollbacks.get(self.rollbacks);
        let same = was.is_some_and(|was| {
            (was.step, was.back_to, was.factor.to_bits()) == (back.step, back.back_to, back.factor.to_bits())
        });
        self.rollbacks += 1;
        match (same, was) {
            (true, _) => self.agrees(back.back_to, "rollback".into()),
            (false, Some(was)) => {
                let what = format!(
                    "it goes back from step {} to {}, and did so from {} to {}",
                    back.step, back.back_to, was.step, was.back_to
                );
                self.differs(back.step.min(was.step), None, what);
            }
            (false, None) => {
                self.differs(back.step, None, "it diverges and goes back, which it did not".into());
            }
        }
    }

    /// The record may have forgotten the checkpoint, and have two of one name and step where a run went back; the first
    /// that is the same is taken for it.
    fn checkpoint(&mut self, saved: &Checkpoint) {
        if saved.reason == Reason::Interrupted {
            return;
        }
        let (name, step) = (names::name(saved), saved.progress.step);
        let last = self.made.last().copied().unwrap_or(0);
        let entries = self.record.checkpoints.iter();
        let known: Vec<&schema::Checkpoint> =
            entries.filter(|entry| entry.name == name && entry.step == step && entry.number > last).collect();
        let Some(first) = known.first() else { return };
        // Weights that are not finite end the run, which will be told as such.
        let Some(again) = checkpoint::entry(&name, first.number, step, saved.parameters) else { return };
        match known.iter().find(|was| checkpoint::first_difference(was, &again).is_none()) {
            Some(was) => {
                self.made.insert(was.number);
                self.counts.checkpoints += 1;
                self.agrees(step, format!("checkpoint {name}"));
            }
            None if self.is_undone() => {}
            None => {
                let difference = checkpoint::first_difference(first, &again).expect("none is the same");
                let (tensor, what) = checkpoint::told(difference, first, &again);
                self.made.insert(first.number);
                self.differs(step, tensor, what);
            }
        }
    }

    fn finished(&mut self, finish: &Finish) {
        let record = self.record;
        if self.difference.is_some() || matches!(finish.status, Status::Interrupted { .. }) {
            return;
        }
        if self.is_unfinished() {
            return self.differs(finish.step, None, "it has ended, and the record goes on".into());
        }
        let lost = |entry: &&schema::Checkpoint| entry.name != "interrupted" && !self.made.contains(&entry.number);
        if let Some(lost) = record.checkpoints.iter().find(lost) {
            let what = format!("checkpoint {}, which was not made again", lost.name);
            return self.differs(lost.step, None, what);
        }
        let growths = record.events.len().saturating_add(record.events_left_out as usize);
        if self.growths != growths {
            return self.differs(
                finish.step,
                None,
                format!("{} growth events, and the record has {growths}", self.growths),
            );
        }
        if self.lines.as_ref().is_some_and(|lines| self.line < lines.len()) {
            return self.differs(finish.step, None, "an evaluation of the record is missing".into());
        }
        let Some(result) = &record.result else { return };
        if (finish.status.word(), finish.step) != (record.status.as_str(), result.step) {
            let what = format!(
                "it is {} at step {}, and was {} at step {}",
                finish.status.word(),
                finish.step,
                record.status,
                result.step
            );
            return self.differs(finish.step.min(result.step), None, what);
        }
        if finish.weights != result.weights {
            return self.differs(finish.step, None, "the final weights".into());
        }
        let metric = finish.metrics.iter().find(|is| {
            let was = result.metrics.iter().find(|was| was.name == is.name).and_then(schema::Metric::exact);
            let best = result.metrics.iter().find(|was| was.name == is.name);
            let best = best.and_then(|was| schema::exact(&was.best_hex).map(|best| (best.to_bits(), was.best_step)));
            was.map(f64::to_bits) != Some(is.value.to_bits()) || best != Some((is.best.to_bits(), is.best_step))
        });
        if (finish.parameters, finish.flops) != (result.parameters, result.flops) {
            let what = format!(
                "{} parameters and {} operations, and the record has {} and {}",
                finish.parameters, finish.flops, result.parameters, result.flops
            );
            return self.differs(finish.step, None, what);
        }
        if let Some(is) = metric {
            return self.differs(finish.step, None, format!("the final {} is {}", is.name, is.value));
        }
        self.agrees(finish.step, "final weights".into());
    }
}

/// Steps at which a run saved itself because time had passed; one that repeats it does the same.
pub fn autosaved(record: &Record) -> BTreeSet<u64> {
    let autos = record.checkpoints.iter().filter(|entry| entry.name.starts_with(names::AUTO));
    autos.map(|entry| entry.step).collect()
}

/// The first setting that this version makes something else of, from the same schedule.
pub fn resolved_otherwise(record: &Record, program: &crate::check::Program) -> Option<super::diff::Pair> {
    super::diff::leaves(&record.resolved, &super::describe::resolved(program)).into_iter().next()
}
