//! The learning rate: base · shape(t) · factor, as `lr`, `warmup`, `set lr` and growth's `lr` policy make it.

use crate::check::program::LrShape;
use serde::{Deserialize, Serialize};

/// The rate over the steps of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    base: f64,
    shape: LrShape,
    warmup_steps: u64,
    /// Planned steps of the whole run.
    total: u64,
    /// Steps that the shape was written for; it covers `total` in their place.
    length: u64,
    /// What has happened to it so far.
    turns: Turns,
}

/// What events have made of the rate; the rest of a [`Rate`] is the schedule's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// What `set lr` has made of it for good.
    factor: f64,
    /// What each `during` that holds now multiplies it by, with the number of its event. Kept apart from the
    /// factor, so that one that ends takes away its own share and no other.
    lent: Vec<(usize, f64)>,
    /// Where the shape begins: 0, or the step of the last `lr rewind`.
    origin: u64,
    /// `lr rewarm`: from this step on, over that many.
    rewarm: Option<(u64, u64)>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { factor: 1.0, lent: Vec::new(), origin: 0, rewarm: None }
    }
}

impl Turns {
    /// The `during` of event `number` is over.
    pub fn take_back(&mut self, number: usize) {
        self.lent.retain(|(lender, _)| *lender != number);
    }
}

impl Rate {
    pub fn new(base: f64, shape: LrShape, warmup_steps: u64, total: u64) -> Rate {
        Rate { base, shape, warmup_steps, total, length: total, turns: Turns::default() }
    }

    /// The same where `total` is a budget in the place of the `length` that the schedule has.
    pub fn stretched(self, length: u64) -> Rate {
        Rate { length, ..self }
    }

    /// What has happened to it so far.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Takes over what has happened in another session.
    pub fn turn(&mut self, turns: &Turns) {
        self.turns = turns.clone();
    }

    /// The rate of the step that follows `step` completed ones.
    pub fn at(&self, step: u64) -> f64 {
        self.base * self.shape_at(step) * self.turns.factor * self.lent_factor()
    }

    fn lent_factor(&self) -> f64 {
        self.turns.lent.iter().fold(1.0, |product, (_, by)| product * by)
    }

    fn shape_at(&self, step: u64) -> f64 {
        let done = step.saturating_sub(self.turns.origin);
        let warm = match self.warmup_steps {
            0 => 1.0,
            // The first step has already 1/warmup of the rate, the last of the warm-up all of it.
            warmup => ((done + 1) as f64 / warmup as f64).min(1.0),
        };
        let rewarm = match self.turns.rewarm {
            // Before it there is nothing to rise from: the rate of the last step, asked for at the end.
            Some((start, steps)) if step >= start && step - start < steps => (step - start + 1) as f64 / steps as f64,
            _ => 1.0,
        };
        // Cosine and line fall over the steps behind the warm-up.
        let falling = self.total.saturating_sub(self.turns.origin).saturating_sub(self.warmup_steps);
        let progress = match falling {
            0 => 0.0,
            falling => (done.saturating_sub(self.warmup_steps) as f64 / falling as f64).min(1.0),
        };
        let shape = match self.shape {
            LrShape::Constant => 1.0,
            LrShape::Cosine { last } => last + (1.0 - last) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress)),
            LrShape::Linear { last } => 1.0 + (last - 1.0) * progress,
            LrShape::Step { factor, every_steps } => {
                // By the time that the schedule was written for, so that a drop every step stays one where steps are more.
                let written = u128::from(done) * u128::from(self.length) / u128::from(self.total.max(1));
                power(factor, u64::try_from(written).unwrap_or(u64::MAX) / every_steps.max(1))
            }
        };
        shape * warm * rewarm
    }

    /// `set lr to X`: sets the factor so that the rate is X now. `false` where the shape is 0 and no factor can.
    pub fn set_to(&mut self, rate: f64, step: u64) -> bool {
        let now = self.base * self.shape_at(step) * self.lent_factor();
        if now == 0.0 {
            return false;
        }
        self.turns.factor = rate / now;
        true
    }

    /// `during … set lr to X`: as [`Rate::set_to`], until event `number` takes it back.
    pub fn lend_to(&mut self, number: usize, rate: f64, step: u64) -> bool {
        let now = self.at(step);
        if now == 0.0 {
            return false;
        }
        self.lend(number, rate / now);
        true
    }

    /// `during … set lr by F`
    pub fn lend(&mut self, number: usize, by: f64) {
        self.turns.lent.push((number, by));
    }

    /// The `during` of event `number` is over.
    pub fn take_back(&mut self, number: usize) {
        self.turns.take_back(number);
    }

    /// `set lr by F`
    pub fn scale(&mut self, by: f64) {
        self.turns.factor *= by;
    }

    /// `lr rewarm`: rises again from 0 over that many steps.
    pub fn rewarm(&mut self, step: u64, steps: u64) {
        self.turns.rewarm = (steps > 0).then_some((step, steps));
    }

    /// `lr rewind`: the shape begins again and covers the rest of the run.
    pub fn rewind(&mut self, step: u64) {
        self.turns.origin = step.min(self.total);
        self.turns.rewarm = None;
    }
}

/// `factor` to the power of `n`, by multiplications in a fixed order: `powi` is not specified to the bit.
fn power(factor: f64, n: u64) -> f64 {
    /// One after the other, as the schedule says it; what is beyond by squares, since this is asked at every step.
    const ONE_BY_ONE: u64 = 1100;
    let mut product = (0..n.min(ONE_BY_ONE)).fold(1.0, |product, _| product * factor);
    let (mut square, mut left) = (factor, n.saturating_sub(ONE_BY_ONE));
    while left > 0 {
        if left % 2 == 1 {
            product *= square;
        }
        square *= square;
        left /= 2;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_ends_at_its_last_rate_and_warm_up_rises_in_equal_steps() {
        let rate = Rate::new(0.1, LrShape::Cosine { last: 0.01 }, 10, 110);
        assert_eq!(rate.at(0), 0.1 * 0.1);
        assert_eq!(rate.at(9), 0.1);
        assert_eq!(rate.at(10), 0.1);
        // Half-way between 1 and 0.01: cos(π/2) is 6e-17 in f64.
        assert!((rate.at(60) - 0.1 * 0.505).abs() < 1e-15);
        assert!((rate.at(110) - 0.001).abs() < 1e-15);
    }

    #[test]
    fn a_step_shape_multiplies_at_every_interval() {
        let rate = Rate::new(1.0, LrShape::Step { factor: 0.1, every_steps: 20 }, 0, 100);
        assert_eq!([rate.at(0), rate.at(19), rate.at(20), rate.at(40)], [1.0, 1.0, 0.1, 0.1 * 0.1]);
    }

    #[test]
    fn a_gentle_factor_goes_on_falling() {
        let rate = Rate::new(0.1, LrShape::Step { factor: 0.999, every_steps: 1 }, 0, 3000);
        for step in [0, 1, 1099, 1100, 1101, 2999] {
            let expected = 0.1 * libm::pow(0.999, step as f64);
            assert!((rate.at(step) / expected - 1.0).abs() < 1e-12, "{step}: {} {expected}", rate.at(step));
        }
        assert_eq!(power(2.0, u64::MAX), f64::INFINITY);
        assert_eq!(power(0.5, 1 << 40), 0.0);
    }

    #[test]
    fn a_step_shape_covers_a_budget_as_it_covers_its_length() {
        let shape = LrShape::Step { factor: 0.5, every_steps: 1 };
        let written = Rate::new(1.0, shape, 0, 20);
        for total in [3, 7, 20, 33, 1000] {
            let rate = Rate::new(1.0, shape, 0, total).stretched(20);
            assert_eq!(rate.at(total), written.at(20), "{total}");
            assert_eq!(rate.at(total / 2), written.at(total / 2 * 20 / total), "{total}");
        }
    }

    #[test]
    fn setting_the_rate_holds_now_and_keeps_the_shape() {
        let mut rate = Rate::new(0.2, LrShape::Linear { last: 0.0 }, 0, 100);
        assert!(rate.set_to(0.05, 50));
        assert!((rate.at(50) - 0.05).abs() < 1e-17);
        assert!((rate.at(75) - 0.025).abs() < 1e-17);
        assert!(!rate.set_to(0.05, 100), "at the end the line is at 0, and no factor lifts it");
    }

    #[test]
    fn what_is_lent_goes_alone() {
        let mut rate = Rate::new(1.0, LrShape::Constant, 0, 100);
        rate.lend(3, 0.5);
        rate.lend(7, 0.1);
        rate.scale(0.25);
        rate.take_back(3);
        assert_eq!(rate.at(0), 0.25 * 0.1);
        rate.take_back(7);
        assert_eq!(rate.at(0), 0.25, "what was set for good inside the window stays");
        assert!(rate.lend_to(9, 2.0, 0));
        assert_eq!(rate.at(0), 2.0);
    }

    #[test]
    fn a_rewarm_asked_about_before_it_began_or_without_end_is_no_overflow() {
        let mut rate = Rate::new(1.0, LrShape::Constant, 0, 100);
        rate.rewarm(100, u64::MAX);
        assert_eq!(rate.at(99), 1.0);
        assert!(rate.at(100) > 0.0 && rate.at(100) < 1e-18);
    }

    #[test]
    fn rewarm_rises_and_rewind_begins_again() {
        let mut rate = Rate::new(1.0, LrShape::Linear { last: 0.0 }, 0, 100);
        rate.rewind(50);
        assert_eq!([rate.at(50), rate.at(75), rate.at(100)], [1.0, 0.5, 0.0]);
        let mut rate = Rate::new(1.0, LrShape::Constant, 0, 100);
        rate.rewarm(10, 4);
        assert_eq!([rate.at(10), rate.at(11), rate.at(13), rate.at(14)], [0.25, 0.5, 1.0, 1.0]);
    }
}
