//! One event's actions, one after the other, and how a `during` is undone.

use super::event::*;
use super::execute::{Failure, Flow, Run, batch_rows};
use super::progress::Begun;
use crate::check::program::{Action, ActionKind, Trigger};

/// What `assert preserved` accepts when no `tol` is written.
const TOLERANCE: f64 = 1e-5;

impl Run<'_> {
    /// The next action of the event that is first in the queue.
    pub(super) fn fire(&mut self) -> Result<Flow, Failure> {
        let number = self.progress.cursor.queue[0];
        let event = &self.program.events[number];
        let begun = match self.progress.cursor.begun {
            Some(begun) => begun,
            None => {
                if !self.is_due(number) {
                    self.event_is_over();
                    return Ok(Flow::Continue);
                }
                // What `assert preserved` compares with is the network as the block found it.
                let asserts =
                    event.actions.iter().any(|action| matches!(action.kind, ActionKind::AssertPreserved { .. }));
                self.probe = asserts.then(|| self.probe_output());
                Begun { action: 0, growths: self.growths.len() }
            }
        };
        self.progress.cursor.begun = Some(begun);
        let Some(action) = event.actions.get(begun.action) else {
            self.event_is_over();
            return Ok(Flow::Continue);
        };
        let is_during = matches!(event.trigger, Trigger::During { .. });
        let known = self.growths.len();
        let flow = match &action.kind {
            ActionKind::AssertPreserved { tolerance } => self.assert_preserved(action, *tolerance, begun.growths)?,
            _ => self.act(action, is_during.then_some(number))?,
        };
        match flow {
            Flow::End(Status::Stopped) => {
                self.event_is_over();
                // Behind the last step the run is over anyway.
                if !matches!(event.trigger, Trigger::At { end: true, .. }) {
                    self.stop();
                }
                return Ok(Flow::Continue);
            }
            Flow::End(status) => return Ok(Flow::End(status)),
            // A signal came.
            Flow::Again => return Ok(Flow::Continue),
            Flow::Continue => {}
        }
        // What is saved from here on has the action behind it.
        self.progress.cursor.begun = Some(Begun { action: begun.action + 1, ..begun });
        if begun.action + 1 == event.actions.len() {
            self.event_is_over();
        }
        if let ActionKind::Save { name } = &action.kind {
            let flow = self.save(Reason::Named(name))?;
            self.note(action.text.clone(), action.args.span)?;
            return Ok(flow);
        }
        if self.growths.len() > known { self.save(Reason::AfterGrowth(self.growths.len())) } else { Ok(Flow::Continue) }
    }

    fn event_is_over(&mut self) {
        self.progress.cursor.queue.pop_front();
        self.progress.cursor.begun = None;
        self.probe = None;
    }

    /// `window`: the number of the `during` whose end undoes the action.
    pub(super) fn act(&mut self, action: &Action, window: Option<usize>) -> Result<Flow, Failure> {
        match &action.kind {
            ActionKind::Grow(operator) => return self.grow(*operator, action, window),
            ActionKind::SetLrTo(rate) => {
                let is_set = match window {
                    Some(number) => self.rate.lend_to(number, *rate, self.progress.step),
                    None => self.rate.set_to(*rate, self.progress.step),
                };
                if !is_set {
                    return Ok(self.fail(
                        action,
                        "G0223",
                        "the lr schedule has reached 0 here, and no factor lifts it".into(),
                        "set the rate earlier, or use an lr shape that does not end at 0".into(),
                    ));
                }
                self.note(
                    format!("{}: the rate is {:.3e}", action.text, self.rate.at(self.progress.step)),
                    action.args.span,
                )?;
            }
            ActionKind::SetLrBy(by) => {
                match window {
                    Some(number) => self.rate.lend(number, *by),
                    None => self.rate.scale(*by),
                }
                self.note(
                    format!("{}: the rate is {:.3e}", action.text, self.rate.at(self.progress.step)),
                    action.args.span,
                )?;
            }
            ActionKind::SetDropout { layer, to } => {
                if self.architecture.layer(layer).is_none() {
                    return Ok(self.fail(
                        action,
                        "G0101",
                        format!("there is no layer `{layer}` now"),
                        format!("the layers are {}", self.architecture.names().join(", ")),
                    ));
                }
                self.progress.windows.note_dropout(layer, *to, window, &self.architecture);
                if let Some(found) = self.architecture.layer_mut(layer) {
                    found.settings.dropout = *to;
                }
                self.replan();
                self.note(action.text.clone(), action.args.span)?;
            }
            // Once it is behind the run.
            ActionKind::Save { .. } => {}
            ActionKind::Evaluate { part } => {
                if !self.evaluate_part(part)? {
                    return Ok(Flow::Again);
                }
            }
            ActionKind::Assert(conditions) => {
                if !self.history.holds(conditions, self.progress.step, 0) {
                    let seen: Vec<String> = conditions
                        .iter()
                        .filter_map(|condition| match &condition.clause {
                            crate::base::Clause::Compare { metric, .. } => Some(match self.history.latest(metric) {
                                Some(value) => format!("{metric} is {value:.6}"),
                                None => format!("{metric} has not been evaluated"),
                            }),
                            crate::base::Clause::Plateau { .. } => None,
                        })
                        .collect();
                    let message = format!("`{}` does not hold: {}", action.text, seen.join(", "));
                    let help = "what was learned until here is in the run directory; train longer or ask for less";
                    return Ok(self.fail(action, "G0220", message, help.into()));
                }
                self.note(format!("{}: it holds", action.text), action.args.span)?;
            }
            ActionKind::AssertPreserved { .. } => unreachable!("handled with its block"),
            ActionKind::Stop => {
                self.note("stop".into(), action.args.span)?;
                return Ok(Flow::End(Status::Stopped));
            }
        }
        Ok(Flow::Continue)
    }

    pub(super) fn fail(&self, action: &Action, code: &'static str, message: String, help: String) -> Flow {
        Flow::End(Status::Failed(Assertion { code, span: action.args.span, message, help }))
    }

    /// A `during` is over: what it set holds no longer.
    pub(super) fn leave(&mut self, number: usize) {
        self.rate.take_back(number);
        if self.progress.windows.leave(number, [&mut self.architecture]) {
            self.replan();
        }
    }

    pub(super) fn replan(&mut self) {
        self.network.replan(&self.architecture, batch_rows(self.program));
        self.forward_flops = self.architecture.forward_flops();
        self.optimizer.prepare(&mut self.network);
    }

    pub(super) fn assert_preserved(
        &mut self,
        action: &Action,
        tolerance: Option<f64>,
        first_growth: usize,
    ) -> Result<Flow, Failure> {
        let tolerance = tolerance.unwrap_or(TOLERANCE);
        let now = self.probe_output();
        let found = self.probe.as_deref().expect("measured because the block asserts");
        let drift = found.iter().zip(&now).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let broken = self.growths[first_growth..].iter().any(|growth| !growth.held);
        // A NaN is no preserved function either, hence not `drift > tolerance`.
        if broken || drift.is_nan() || drift > tolerance {
            let message = format!("the outputs moved by {drift:.3e}, more than the {tolerance:.1e} that is accepted");
            let help = "use a growth that keeps the function (`growrun plan` shows each promise), or raise `tol`";
            return Ok(self.fail(action, "G0222", message, help.into()));
        }
        self.note(format!("{}: the outputs moved by {drift:.1e}", action.text), action.args.span)?;
        Ok(Flow::Continue)
    }
}
