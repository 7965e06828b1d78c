//! `when`, `stop when` and `assert`: conditions over the evaluations so far.

use crate::base::{Clause, Comparison};
use crate::check::program::Condition;
use std::collections::BTreeMap;

/// Every evaluation of a run, by metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    series: BTreeMap<String, Series>,
}

impl History {
    /// Adds metrics at a step; a second evaluation at one step (`evaluate test`) joins the first.
    pub fn add(&mut self, step: u64, metrics: &[(String, f64)]) {
        for (name, value) in metrics {
            match self.series.get_mut(name) {
                Some(series) => series.add(step, *value),
                None => self.series.entry(name.clone()).or_default().add(step, *value),
            }
        }
    }

    /// Every metric with the steps and the values of its evaluations, oldest first.
    pub fn series(&self) -> impl Iterator<Item = (&str, &[u64], &[f64])> {
        self.series.iter().map(|(name, series)| (name.as_str(), &series.steps[..], &series.values[..]))
    }

    /// The newest value of a metric.
    pub fn latest(&self, metric: &str) -> Option<f64> {
        self.series.get(metric)?.values.last().copied()
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
        let Some(series) = self.series.get(metric) else { return false };
        let first = series.steps.partition_point(|step| *step <= since);
        let middle = series.steps.partition_point(|step| *step <= begin).max(first);
        let before = series.best(first, middle, higher);
        let recent = series.best(middle, series.steps.len(), higher);
        match (before, recent) {
            (Some(before), Some(recent)) => recent <= before + delta,
            _ => false,
        }
    }
}

/// One metric's values, oldest first, with the smallest and largest of every stretch of 2ᵏ of them: a plateau is
/// looked for after every evaluation, and a run may have a million.
#[derive(Clone, Debug, Default, PartialEq)]
struct Series {
    steps: Vec<u64>,
    values: Vec<f64>,
    /// `levels[k][i]`: smallest and largest of the 2ᵏ values from i·2ᵏ on, or of those that are there. A NaN is
    /// neither.
    levels: Vec<Vec<(f64, f64)>>,
}

impl Series {
    fn add(&mut self, step: u64, value: f64) {
        if self.steps.last() == Some(&step) {
            self.values.pop();
        } else {
            self.steps.push(step);
        }
        self.values.push(value);
        let mut at = self.values.len() - 1;
        let mut extremes = if value.is_nan() { (f64::INFINITY, f64::NEG_INFINITY) } else { (value, value) };
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.truncate(at);
            row.push(extremes);
            if at == 0 {
                break;
            }
            // The stretch above holds this one and, where it is the second half, the one before it.
            if !at.is_multiple_of(2) {
                extremes = (extremes.0.min(row[at - 1].0), extremes.1.max(row[at - 1].1));
            }
            at /= 2;
        }
    }

    /// The best of the values `from..to`, signed so that larger is better, in logarithmic time; a NaN is the worst.
    /// `None` of no value.
    fn best(&self, mut from: usize, mut to: usize, higher: bool) -> Option<f64> {
        if from >= to {
            return None;
        }
        let mut best = f64::NEG_INFINITY;
        let mut meet = |(least, most): (f64, f64)| best = best.max(if higher { most } else { -least });
        for row in &self.levels {
            if from >= to {
                break;
            }
            if !from.is_multiple_of(2) {
                meet(row[from]);
                from += 1;
            }
            if !to.is_multiple_of(2) {
                to -= 1;
                meet(row[to]);
            }
            from /= 2;
            to /= 2;
        }
        Some(best)
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
    fn the_best_of_any_stretch_is_what_a_scan_finds() {
        // Scattered values with a NaN and repeats, at steps 10, 20, …; 41 of them cross several powers of two.
        let values: Vec<f64> =
            (0..41_u32).map(|n| if n == 17 { f64::NAN } else { f64::from(n * 2_654_435 % 1_009) }).collect();
        let mut series = Series::default();
        for (at, value) in values.iter().enumerate() {
            // A second evaluation at a step replaces the first, whatever that was.
            series.add(at as u64 * 10, if at % 3 == 0 { -1e9 } else { 1e9 });
            series.add(at as u64 * 10, *value);
        }
        for from in 0..=values.len() {
            for to in from..=values.len() {
                for higher in [true, false] {
                    let signed = |value: &f64| match value.is_nan() {
                        true => f64::NEG_INFINITY,
                        false if higher => *value,
                        false => -value,
                    };
                    let scanned = values[from..to].iter().map(signed).reduce(f64::max);
                    assert_eq!(series.best(from, to, higher), scanned, "{from}..{to}");
                }
            }
        }
    }

    #[test]
    fn many_evaluations_are_not_scanned_each_time() {
        let mut history = History::default();
        let condition = plateau(500_000, 0.0);
        let begin = std::time::Instant::now();
        let mut held = 0;
        for step in 1..=300_000_u64 {
            history.add(step, &[("val_loss".into(), 1.0 / step as f64)]);
            held += u32::from(history.holds(&condition, step + 400_000, 0));
        }
        assert_eq!(held, 0, "it falls throughout");
        // Scanning all of them each time would be 45 billion looks.
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_nan_is_never_better() {
        let broken = history(&[f64::NAN, 2.0, f64::NAN]);
        assert!(broken.holds(&plateau(10, 0.0), 30, 0), "the NaN of the window does not beat the 2 before it");
        let mended = history(&[f64::NAN, 2.0]);
        assert!(!mended.holds(&plateau(10, 0.0), 20, 0), "any number beats a NaN");
    }
}
