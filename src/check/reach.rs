//! When a `when` can fire first, given the evaluations of the run and the growth that surely comes: what can never
//! fire, or only at the end, is noticed before the run.
//!
//! Another `when` that grows the network restarts plateaus too, but only delays them: what is said here holds
//! whether any of them fires or not.

use super::program::{ActionKind, Condition, Trigger};
use super::ranges;
use super::replay::{Planned, Read};
use super::report::Report;
use super::triggers::Context;
use crate::base::{Clause, Diagnostic, Duration, Span};

/// Judges every `when` and `stop when` behind a replay.
pub fn judge(events: &[Read], stop_when: &[Condition], timeline: &[Planned], context: &Context, report: &mut Report) {
    let Some(course) = Course::of(events, timeline, context) else { return };
    let time = context.time;
    let stops: Vec<Clause> = stop_when.iter().map(|condition| condition.clause.clone()).collect();
    if let Some(plateau) = longest(stop_when, time.symbolic)
        && course.first(Some(plateau.steps), 0, time.total, None).is_none()
    {
        let message = format!("a plateau of {} cannot be seen here, so the run never stops by this", plateau.window);
        report.add(course.unseen(&plateau, message, context));
    }
    for (number, read) in events.iter().enumerate().filter(|(_, read)| !read.never) {
        let Trigger::When { conditions, at_most, cooldown, from, until } = &read.event.trigger else { continue };
        let clauses: Vec<Clause> = conditions.iter().map(|condition| condition.clause.clone()).collect();
        if ranges::implies(&clauses, &stops, context.vocabulary)
            && let Some(stop) = stops.first().map(span)
        {
            report.add(
                Diagnostic::warning("G0205", read.head, "the run stops before this can fire")
                    .here("whenever this holds, the run stops first")
                    .label(stop, "`stop when` is looked at before events")
                    .help("let this happen at a value that is met earlier, or let the run go on for longer"),
            );
            continue;
        }
        let plateau = longest(conditions, time.symbolic);
        if time.symbolic && plateau.is_none() {
            continue;
        }
        let (from, until) = if time.symbolic { (0, time.total) } else { (*from, *until) };
        let Some(first) = course.first(plateau.as_ref().map(|plateau| plateau.steps), from, until, Some(number)) else {
            if let Some(plateau) = plateau {
                let message = format!("a plateau of {} cannot be seen here, so this event never fires", plateau.window);
                report.add(course.unseen(&plateau, message, context));
            }
            continue;
        };
        if time.symbolic {
            continue;
        }
        let grows = timeline.iter().find(|planned| {
            planned.event == number
                && planned.growth.as_ref().is_some_and(|growth| !growth.summary.action.ends_with("freeze"))
        });
        if let Some(planned) = grows
            && first == time.total
        {
            report.add(
                Diagnostic::warning("G0209", planned.span, "this grows the network after its last step")
                    .here("learns nothing any more")
                    .label(read.head, "holds at the last evaluation at the earliest")
                    .help("evaluate more often, or ask for something that is met earlier"),
            );
        }
        if *at_most > 1
            && *cooldown > 0
            && course.evaluation(first.saturating_add(*cooldown)).is_none_or(|second| second > until.min(course.end))
        {
            report.add(
                Diagnostic::warning(
                    "G0204",
                    read.head,
                    "this fires once at most, because its cooldown outlasts the run",
                )
                .here(format!("at {} at the earliest, and no second time", time.moment(first)))
                .help("use a shorter `cooldown`, or leave `at most` and `cooldown` out"),
            );
        }
    }
}

/// The longest plateau of a condition.
struct Plateau {
    window: Duration,
    steps: u64,
    span: Span,
}

/// When an epoch's length is unknown, only windows in epochs can be compared with a run in epochs.
fn longest(conditions: &[Condition], symbolic: bool) -> Option<Plateau> {
    let plateaus = conditions.iter().filter_map(|condition| match condition.clause {
        Clause::Plateau { window, span, .. } if !symbolic || matches!(window, Duration::Epochs(_)) => {
            Some(Plateau { window, steps: condition.window_steps, span })
        }
        _ => None,
    });
    plateaus.max_by_key(|plateau| plateau.steps)
}

fn span(clause: &Clause) -> Span {
    match clause {
        Clause::Compare { span, .. } | Clause::Plateau { span, .. } => *span,
    }
}

/// The evaluations of a run and what surely restarts its plateaus.
struct Course {
    every: u64,
    /// The last step, or that of the first `stop` that surely comes.
    end: u64,
    /// The number of the event that stops the run there.
    stopped_by: Option<usize>,
    /// Step, number of the event, and place of each growth, in time order.
    restarts: Vec<(u64, usize, Span)>,
}

impl Course {
    /// `None` when nothing can be said: there is no evaluation, or time has no common measure.
    fn of(events: &[Read], timeline: &[Planned], context: &Context) -> Option<Course> {
        let time = context.time;
        let every = context.measured.evaluate_every?.max(1);
        if time.symbolic {
            return time.in_epochs.then_some(Course {
                every: 1,
                end: time.total,
                stopped_by: None,
                restarts: Vec::new(),
            });
        }
        let certain = || timeline.iter().filter(|planned| planned.certain && !planned.undo);
        let stop = certain().find(|planned| {
            let action = events[planned.event].event.actions.get(planned.action);
            action.is_some_and(|action| matches!(action.kind, ActionKind::Stop))
        });
        let restarts = certain()
            .filter(|planned| planned.growth.as_ref().is_some_and(|growth| growth.restarts))
            .map(|planned| (planned.step, planned.event, planned.span))
            .collect();
        let stop = stop.map(|planned| (planned.step, planned.event)).filter(|(step, _)| *step < time.total);
        let (end, stopped_by) = stop.map_or((time.total, None), |(step, event)| (step, Some(event)));
        Some(Course { every, end, stopped_by, restarts })
    }

    /// The first evaluation at or after a step that conditions look at. The end is always due; what a `stop` adds
    /// comes when all is over.
    fn evaluation(&self, step: u64) -> Option<u64> {
        let due = step.max(1).div_ceil(self.every).saturating_mul(self.every);
        let at = if self.stopped_by.is_none() { due.min(self.end) } else { due };
        (at >= step && at <= self.end).then_some(at)
    }

    /// The first evaluation at which a plateau of that many steps can be seen, or at which a condition without one
    /// can hold. `number` is the event's, `None` for `stop when`, which is looked at before every event.
    fn first(&self, window: Option<u64>, from: u64, until: u64, number: Option<usize>) -> Option<u64> {
        let is_cut = number.zip(self.stopped_by).is_some_and(|(number, stop)| number > stop);
        let end = until.min(self.end.saturating_sub(u64::from(is_cut)));
        let Some(window) = window else { return self.evaluation(from).filter(|at| *at <= end) };
        let mut since = 0;
        for restart in self.restarts.iter().map(Some).chain([None]) {
            // At the step of a growth the plateau is still seen by what stands before it in the file.
            let last = restart.map_or(end, |(step, event, _)| {
                if number.is_none_or(|number| number < *event) { *step } else { step.saturating_sub(1) }.min(end)
            });
            // One evaluation must lie before the window and behind the growth.
            let before = self.evaluation(since + 1);
            let at = before.and_then(|before| self.evaluation(before.saturating_add(window).max(from)));
            if let Some(at) = at.filter(|at| *at <= last) {
                return Some(at);
            }
            since = restart.map_or(since, |(step, ..)| *step);
        }
        None
    }

    fn unseen(&self, plateau: &Plateau, message: String, context: &Context) -> Diagnostic {
        let time = context.time;
        let mut stretch = 0;
        let mut since = 0;
        for step in self.restarts.iter().map(|(step, ..)| *step).chain([self.end]) {
            stretch = stretch.max(step.min(self.end).saturating_sub(since));
            since = step;
        }
        // A third of the longest stretch leaves room to see it more than once.
        let shorter = (stretch / 3).max(1);
        let shorter = match plateau.window {
            Duration::Steps(_) => Duration::Steps(shorter),
            _ => Duration::Epochs((shorter / time.steps_per_epoch.max(1)).max(1)),
        };
        let diagnostic = Diagnostic::warning("G0204", plateau.span, message)
            .here(format!("it is looked at until {}", time.moment(self.end)))
            .help(format!("use a shorter one, such as `plateaus for {shorter}`"));
        match self.restarts.first() {
            Some((.., span)) => diagnostic.label(*span, "counting begins anew here"),
            None => diagnostic,
        }
    }
}
