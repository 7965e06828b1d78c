//! Times as steps. Without the data an epoch's length is unknown: a nominal one then keeps events in order,
//! and nothing is said that would depend on it.

use crate::base::{Duration, Point};

/// How the run's time is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timebase {
    /// Planned steps.
    pub total: u64,
    pub steps_per_epoch: u64,
    /// Whether `steps_per_epoch` is nominal, because the data is not there.
    pub symbolic: bool,
    /// Whether the run's length was given in epochs.
    pub in_epochs: bool,
}

/// Steps of an epoch whose length is unknown. Any number does that is above most numbers of events in an epoch.
pub const NOMINAL_STEPS: u64 = 1000;

impl Timebase {
    pub fn new(length: Duration, steps_per_epoch: Option<u64>) -> Timebase {
        let symbolic = steps_per_epoch.is_none();
        let steps_per_epoch = steps_per_epoch.unwrap_or(NOMINAL_STEPS);
        let (total, in_epochs) = match length {
            Duration::Epochs(n) => (n.saturating_mul(steps_per_epoch), true),
            Duration::Steps(n) => (n, false),
            Duration::Fraction(_) => (steps_per_epoch, true),
        };
        Timebase { total, steps_per_epoch, symbolic, in_epochs }
    }

    /// Percent of the planned steps, rounded half-even.
    fn share(&self, fraction: f64) -> u64 {
        (fraction * self.total as f64).round_ties_even() as u64
    }

    pub fn point(&self, point: Point) -> u64 {
        match point {
            Point::Epoch(n) => n.saturating_mul(self.steps_per_epoch),
            Point::Step(n) => n,
            Point::Fraction(fraction) => self.share(fraction),
            Point::Start => 0,
            Point::End => self.total,
        }
    }

    pub fn duration(&self, duration: Duration) -> u64 {
        match duration {
            Duration::Epochs(n) => n.saturating_mul(self.steps_per_epoch),
            Duration::Steps(n) => n,
            Duration::Fraction(fraction) => self.share(fraction),
        }
    }

    /// Whether a point's place before or after the end is certain even when an epoch's length is not.
    pub fn is_comparable(&self, point: Point) -> bool {
        !self.symbolic
            || match point {
                Point::Epoch(_) => self.in_epochs,
                Point::Step(_) => !self.in_epochs,
                Point::Fraction(_) | Point::Start | Point::End => true,
            }
    }

    /// A step for a reader: `epoch 20 (step 1800)`, or `step 1234` between two epochs.
    pub fn moment(&self, step: u64) -> String {
        let per_epoch = self.steps_per_epoch.max(1);
        match (step.is_multiple_of(per_epoch), self.symbolic) {
            (true, true) => format!("epoch {}", step / per_epoch),
            (true, false) => format!("epoch {} (step {step})", step / per_epoch),
            (false, _) => format!("step {step}"),
        }
    }
}

pub fn is_zero(duration: Duration) -> bool {
    match duration {
        Duration::Epochs(n) | Duration::Steps(n) => n == 0,
        Duration::Fraction(fraction) => fraction == 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_rounds_half_to_even() {
        let time = |total| Timebase::new(Duration::Steps(total), Some(7));
        assert_eq!(time(10).point(Point::Fraction(0.25)), 2);
        assert_eq!(time(10).point(Point::Fraction(0.35)), 4);
        assert_eq!(time(10).point(Point::Fraction(1.0)), 10);
        assert_eq!(Timebase::new(Duration::Epochs(60), Some(45)).point(Point::Epoch(20)), 900);
    }

    #[test]
    fn a_moment_names_the_epoch_when_it_is_one() {
        let time = Timebase::new(Duration::Epochs(60), Some(45));
        assert_eq!(time.moment(900), "epoch 20 (step 900)");
        assert_eq!(time.moment(901), "step 901");
    }
}
