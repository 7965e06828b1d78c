//! How many steps an arm gets, so that it has as much of something as the reference had.

use super::desk::{Closed, Desk, Wanted};
use super::schema::Budget;
use crate::base::{Diagnostic, Sources, Span};
use crate::check::{Program, flops};
use crate::record::schema::Record;

/// What the reference has spent with one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    pub steps: u64,
    pub epochs: f64,
    pub flops: u64,
    /// Until its first growth.
    pub flops_small: u64,
}

impl Spent {
    /// By the record of its run; `program`: what it was.
    pub fn of(record: &Record, program: &Program) -> Option<Spent> {
        let result = record.result.as_ref()?;
        let small = record
            .events
            .first()
            .map_or(0, |first| flops::training(&program.data, &program.architecture, 0, first.step));
        Some(Spent { steps: result.step, epochs: result.epoch, flops: result.flops, flops_small: small })
    }

    /// Operations that an arm with this budget has; `None` where it is counted in something else.
    pub fn flops_for(&self, budget: Budget) -> Option<u64> {
        match budget {
            Budget::Flops => Some(self.flops),
            Budget::FlopsFromFirstGrowth => Some(self.flops.saturating_sub(self.flops_small)),
            Budget::Schedule | Budget::Epochs | Budget::Steps => None,
        }
    }
}

/// The steps of an arm: the whole number that comes nearest to its budget, at least one. `None` for the reference.
pub fn steps(desk: &Desk, wanted: &Wanted, budget: Budget, spent: &Spent) -> Result<Option<u64>, Closed> {
    let target = match budget {
        Budget::Schedule => return Ok(None),
        Budget::Steps => return Ok(Some(spent.steps.max(1))),
        Budget::Epochs | Budget::Flops | Budget::FlopsFromFirstGrowth => spent.flops_for(budget),
    };
    let first = desk.open(&Wanted { steps: Some(spent.steps.max(1)), ..*wanted })?;
    let Some(target) = target else {
        let per_epoch = first.program.data.steps_per_epoch as f64;
        return Ok(Some(((spent.epochs * per_epoch).round() as u64).max(1)));
    };
    let most = desk.limits.steps;
    let short = |cost: u64| cost < target;
    let refused = || too_many_steps(wanted.arm, most);
    let grows = first.timeline.iter().any(|planned| planned.growth.is_some());
    if !grows {
        let cost = |steps| flops::training(&first.program.data, &first.program.architecture, 0, steps);
        // Fewer steps than it is due would be no equal budget.
        return if short(cost(most)) {
            Err(refused())
        } else {
            nearest(target, most, |steps| Ok(cost(steps))).map(Some)
        };
    }
    // Where a condition decides what is computed, the same number of steps is the best guess, and what was really
    // spent is counted afterwards.
    if flops::of(&first.program, &first.timeline).is_none() {
        return Ok(Some(spent.steps.max(1)));
    }
    let cost = |steps| {
        let opened = desk.open(&Wanted { steps: Some(steps), ..*wanted })?;
        Ok(flops::course(&opened.program, &opened.timeline).flops())
    };
    let steps = nearest(target, most, cost)?;
    if steps == most && short(cost(most)?) { Err(refused()) } else { Ok(Some(steps)) }
}

fn too_many_steps(arm: &str, most: u64) -> Closed {
    let message = format!("`{arm}` needs more than {most} steps to spend what the reference has spent");
    let found = Diagnostic::error("G0603", Span::default(), message).help("raise the limit by `--steps-limit`");
    Closed { diagnostics: vec![Diagnostic { labels: Vec::new(), ..found }], sources: Sources::default() }
}

/// The number of steps, from 1 to `most`, whose cost is nearest to `target`. The cost does not fall.
fn nearest(target: u64, most: u64, cost: impl Fn(u64) -> Result<u64, Closed>) -> Result<u64, Closed> {
    let (mut below, mut above) = (0, 1);
    while above < most && cost(above)? < target {
        below = above;
        above = above.saturating_mul(2).min(most);
    }
    // `below` costs less than the target (or is 0), `above` no less (or is the most).
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if cost(middle)? < target { below = middle } else { above = middle }
    }
    if below == 0 {
        return Ok(1);
    }
    let (less, more) = (target.saturating_sub(cost(below)?), cost(above)?.saturating_sub(target));
    Ok(if less <= more { below } else { above })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_whole_number_of_steps_is_found() {
        let nearest = |target, cost: &dyn Fn(u64) -> u64| nearest(target, 1_000_000, |n| Ok(cost(n))).expect("a cost");
        assert_eq!(nearest(1000, &|n| 10 * n), 100);
        assert_eq!(nearest(1004, &|n| 10 * n), 100);
        assert_eq!(nearest(1006, &|n| 10 * n), 101);
        assert_eq!(nearest(3, &|n| 10 * n), 1, "at least one");
        assert_eq!(nearest(u64::MAX, &|n| 10 * n), 1_000_000, "no more than the limit");
        // With a jump in the middle, where the network grows.
        assert_eq!(nearest(777, &|n| 10 * n + if n > 50 { 200 } else { 0 }), 58);
    }
}
