//! `when`, `stop when` and `assert`: conditions over the evaluations so far.

use crate::base::{Clause, Comparison};
use crate::check::program::Condition;

/// Every evaluation of a run, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    evaluations: Vec<(u64, Vec<(String, f64)>)>,
}

impl History {
    /// Adds metrics at a step; a second evaluation at one step (`evaluate test`) joins the first.
    pub fn add(&mut self, step: u64, metrics: &[(String, f64)]) {
        match self.evaluations.last_mut() {
            Some((at, known)) if *at == step => {
                known.retain(|(name, _)| metrics.iter().all(|(new, _)| new != name));
                known.extend_from_slice(metrics);
            }
            _ => self.evaluations.push((step, metrics.to_vec())),
        }
    }

    /// The newest value of a metric.
    pub fn latest(&self, metric: &str) -> Option<f64> {
        self.values(metric).next_back().map(|(_, value)| value)
    }

    /// A metric's values with their steps.
    pub fn values<'a>(&'a self, metric: &'a str) -> impl DoubleEndedIterator<Item = (u64, f64)> + 'a {
        self.evaluations.iter().filter_map(move |(step, metrics)| {
            metrics.iter().find(|(name, _)| name == metric).map(|(_, value)| (*step, *value))
        })
    }

    /// Whether all conditions hold after `now` steps. Plateaus count only evaluations after `since`.
    pub fn holds(&self, conditions: &[Condition], now: u64, since: u64) -> bool {
        conditions.iter().all(|condition| match &condition.clause {
            Clause::Compare { metric, op, value, .. } => {
                self.latest(metric).is_some_and(|latest| compare(latest, *op, *value))
            }
            Clause::Plateau { metric, delta, .. } => {
                self.plateaus(metric, condition.window_steps, *delta, condition.higher_is_better, now, since)
            }
        })
    }

    /// The best of the last `window` steps does not beat the best before by more than `delta`.
    fn plateaus(&self, metric: &str, window: u64, delta: f64, higher: bool, now: u64, since: u64) -> bool {
        let Some(begin) = now.checked_sub(window) else { return false };
        // Larger is better from here on, and a NaN is the worst.
        let signed = |value: f64| match value.is_nan() {
            true => f64::NEG_INFINITY,
            false if higher => value,
            false => -value,
        };
        let best = |values: &mut dyn Iterator<Item = f64>| values.map(signed).reduce(f64::max);
        let counted = || self.values(metric).filter(move |(step, _)| *step > since);
        let before = best(&mut counted().filter(|(step, _)| *step <= begin).map(|(_, value)| value));
        let recent = best(&mut counted().filter(|(step, _)| *step > begin).map(|(_, value)| value));
        match (before, recent) {
            (Some(before), Some(recent)) => recent <= before + delta,
            _ => false,
        }
    }
}

fn compare(left: f64, op: Comparison, right: f64) -> bool {
    match op {
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Duration, Span};

    fn plateau(window_steps: u64, delta: f64) -> Vec<Condition> {
        let window = Duration::Steps(window_steps);
        let clause = Clause::Plateau { metric: "val_loss".into(), window, delta, span: Span::default() };
        vec![Condition { clause, window_steps, higher_is_better: false }]
    }

    fn history(losses: &[f64]) -> History {
        let mut history = History::default();
        for (at, loss) in losses.iter().enumerate() {
            history.add((at as u64 + 1) * 10, &[("val_loss".into(), *loss)]);
        }
        history
    }

    #[test]
    fn a_plateau_is_a_window_without_a_better_best() {
        let falling = history(&[5.0, 4.0, 3.0, 2.0, 1.0]);
        assert!(!falling.holds(&plateau(20, 0.0), 50, 0));
        let flat = history(&[5.0, 2.0, 2.0, 2.5, 2.0]);
        assert!(flat.holds(&plateau(20, 0.0), 50, 0));
        // Nothing lies before the window: no best to beat.
        assert!(!flat.holds(&plateau(50, 0.0), 50, 0));
        // A gain of 0.5 is not more than a delta of 0.5.
        let slow = history(&[5.0, 4.0, 3.5]);
        assert!(slow.holds(&plateau(10, 0.5), 30, 0));
        assert!(!slow.holds(&plateau(10, 0.4), 30, 0));
    }

    #[test]
    fn counting_restarts_after_a_change() {
        let flat = history(&[5.0, 2.0, 2.0, 2.5, 2.0]);
        assert!(!flat.holds(&plateau(20, 0.0), 50, 30), "only two evaluations lie behind step 30");
        assert!(flat.holds(&plateau(10, 0.6), 50, 30));
    }

    #[test]
    fn a_nan_is_never_better() {
        let broken = history(&[f64::NAN, 2.0, f64::NAN]);
        assert!(broken.holds(&plateau(10, 0.0), 30, 0), "the NaN of the window does not beat the 2 before it");
        let mended = history(&[f64::NAN, 2.0]);
        assert!(!mended.holds(&plateau(10, 0.0), 20, 0), "any number beats a NaN");
    }
}
