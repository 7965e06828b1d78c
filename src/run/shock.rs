//! What growth does to the training loss: its largest rise in the 100 steps after, and the steps to recover.
//! The loss is the mean of 20 batches throughout, so that one hard batch is no shock.

use super::event::Shock;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const BEFORE: usize = 20;
const AFTER: usize = 100;

/// Remembers the losses that a shock is measured by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// The last 20.
    recent: VecDeque<f64>,
    /// Growth events whose 100 steps are not over.
    open: Vec<Watch>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    /// Index of the growth event.
    index: usize,
    before: f64,
    after: Vec<f64>,
}

impl Losses {
    /// A growth happened now. Without 20 losses before it there is nothing to compare with.
    pub fn grown(&mut self, index: usize) {
        if self.recent.len() == BEFORE {
            self.open.push(Watch { index, before: mean(self.recent.iter()), after: Vec::with_capacity(AFTER) });
        }
    }

    /// A training loss; returns the events whose time is over.
    pub fn add(&mut self, loss: f64) -> Vec<(usize, Shock)> {
        if self.recent.len() == BEFORE {
            self.recent.pop_front();
        }
        self.recent.push_back(loss);
        for watch in &mut self.open {
            watch.after.push(loss);
        }
        let mut over = Vec::new();
        self.open.retain(|watch| {
            let done = watch.after.len() == AFTER;
            if done {
                over.push((watch.index, watch.shock()));
            }
            !done
        });
        over
    }

    /// The growth events that are still watched.
    pub fn watched(&self) -> impl Iterator<Item = usize> + '_ {
        self.open.iter().map(|watch| watch.index)
    }

    /// The run is over: what can be said of the events whose 100 steps are not complete.
    pub fn finish(&mut self) -> Vec<(usize, Shock)> {
        self.open.drain(..).filter(|watch| !watch.after.is_empty()).map(|watch| (watch.index, watch.shock())).collect()
    }
}

impl Watch {
    fn shock(&self) -> Shock {
        // The loss of one batch is noisy, near 0 by many times its mean: windows of 20 are compared with 20.
        let width = BEFORE.min(self.after.len());
        let largest = self.after.windows(width).map(|window| mean(window.iter())).fold(f64::NEG_INFINITY, f64::max);
        let rise = if self.before > 0.0 { ((largest - self.before) / self.before).max(0.0) } else { 0.0 };
        // Recovered when the mean of the last 20 (or of all so far) is no higher than before.
        let recovered = (1..=self.after.len())
            .find(|&n| mean(self.after[n.saturating_sub(BEFORE)..n].iter()) <= self.before)
            .map(|n| n as u64);
        Shock { rise, recovered_after: recovered }
    }
}

fn mean<'a>(values: impl ExactSizeIterator<Item = &'a f64>) -> f64 {
    let n = values.len() as f64;
    values.fold(0.0, |sum, value| sum + value) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_and_its_recovery_are_measured() {
        let mut losses = Losses::default();
        for _ in 0..20 {
            assert!(losses.add(1.0).is_empty());
        }
        losses.grown(3);
        let mut settled = Vec::new();
        for step in 0..100 {
            settled.extend(losses.add(if step < 20 { 1.5 } else { 0.5 }));
        }
        // The first window of 20 is the worst; after 10 more steps half of it is back at 0.5, its mean at 1.0.
        assert_eq!(settled, [(3, Shock { rise: 0.5, recovered_after: Some(30) })]);
    }

    #[test]
    fn too_early_a_growth_has_no_shock() {
        let mut losses = Losses::default();
        losses.add(1.0);
        losses.grown(0);
        assert!(losses.finish().is_empty());
    }
}
