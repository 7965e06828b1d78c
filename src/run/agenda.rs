//! Which events are due at a boundary between two steps.

use super::progress::{Phase, Progress};
use crate::check::program::{Event, Trigger};
use std::collections::BTreeMap;

/// The events of a schedule by the steps at which they are due. Numbers are places in source order.
#[derive(Debug, Default)]
pub struct Agenda {
    /// `at` and the next occurrence of each `every`.
    upcoming: BTreeMap<u64, Vec<usize>>,
    entering: BTreeMap<u64, Vec<usize>>,
    leaving: BTreeMap<u64, Vec<usize>>,
    /// `at end`, which fires after an early stop too.
    at_end: Vec<usize>,
    whens: Vec<usize>,
}

impl Agenda {
    pub fn new(events: &[Event]) -> Agenda {
        let mut agenda = Agenda::default();
        for (number, event) in events.iter().enumerate() {
            match event.trigger {
                Trigger::At { end: true, .. } => agenda.at_end.push(number),
                Trigger::At { step, end: false } => agenda.upcoming.entry(step).or_default().push(number),
                Trigger::Every { first, interval, until } if first <= until && interval > 0 => {
                    agenda.upcoming.entry(first).or_default().push(number);
                }
                // A window that never opens; the checker has warned.
                Trigger::Every { .. } => {}
                Trigger::During { from, to } => {
                    agenda.entering.entry(from).or_default().push(number);
                    agenda.leaving.entry(to).or_default().push(number);
                }
                Trigger::When { .. } => agenda.whens.push(number),
            }
        }
        agenda
    }

    /// The `during` events that end here, in source order.
    pub fn take_leaving(&mut self, step: u64) -> Vec<usize> {
        self.leaving.remove(&step).unwrap_or_default()
    }

    /// The `during` events that begin here, in source order.
    pub fn take_entering(&mut self, step: u64) -> Vec<usize> {
        self.entering.remove(&step).unwrap_or_default()
    }

    /// The `at` and `every` events that are due here, with the `when` events if an evaluation stands here,
    /// in source order; at the `end` of the run those of `at end` too, each in its place among the others.
    /// Whether a `when` fires is for the caller to say.
    pub fn take_due(&mut self, step: u64, events: &[Event], evaluated: bool, end: bool) -> Vec<usize> {
        let mut due = self.upcoming.remove(&step).unwrap_or_default();
        for &number in &due {
            if let Trigger::Every { interval, until, .. } = events[number].trigger
                && let Some(next) = step.checked_add(interval).filter(|next| *next <= until)
            {
                self.upcoming.entry(next).or_default().push(number);
            }
        }
        if evaluated {
            due.extend(&self.whens);
        }
        if end {
            due.append(&mut self.at_end);
        }
        due.sort_unstable();
        due
    }

    /// Those of `at end` that no boundary has taken.
    pub fn take_at_end(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.at_end)
    }

    /// Forgets what a run that stands at `progress` has behind it. `total`: its planned steps.
    pub fn skip_to(&mut self, progress: &Progress, total: u64, events: &[Event]) {
        let (step, phase) = (progress.step, progress.cursor.phase);
        let after = |taken: bool| step + u64::from(taken);
        self.leaving = self.leaving.split_off(&after(phase > Phase::Leave));
        self.entering = self.entering.split_off(&after(phase >= Phase::Enter));
        let due = after(phase >= Phase::Fire);
        let behind = std::mem::take(&mut self.upcoming);
        for (at, numbers) in behind {
            for number in numbers {
                let next = match events[number].trigger {
                    Trigger::Every { interval, until, .. } => {
                        let missed = due.saturating_sub(at).div_ceil(interval);
                        missed.checked_mul(interval).and_then(|by| at.checked_add(by)).filter(|next| *next <= until)
                    }
                    _ => Some(at).filter(|at| *at >= due && !progress.done.contains(&number)),
                };
                if let Some(next) = next {
                    self.upcoming.entry(next).or_default().push(number);
                }
            }
        }
        self.at_end.retain(|number| !progress.done.contains(number));
        if phase >= Phase::CloseEvaluate || (phase >= Phase::Fire && step >= total) {
            self.at_end.clear();
        }
    }

    /// The first event with a known time after `step`.
    pub fn next(&self, step: u64) -> Option<(u64, usize)> {
        let first = |map: &BTreeMap<u64, Vec<usize>>| {
            map.range(step + 1..).next().and_then(|(at, numbers)| Some((*at, *numbers.first()?)))
        };
        [first(&self.upcoming), first(&self.entering)].into_iter().flatten().min()
    }
}
