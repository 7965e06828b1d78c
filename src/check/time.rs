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
    /// How long the file says that the run is, where an arm of a comparison has a budget of its own.
    pub length: u64,
    /// What an arm's own budget does to the times of events.
    pub given: Given,
}

/// Whether a run is as long as its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// As long as the file says.
    Length,
    /// A budget of its own: times that are no percent stay what they are, and what lies behind the end is left out.
    Budget,
    /// A budget of its own, by which every time of an event is stretched: it is what these steps of the reference were.
    Stretched { of: u64 },
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
        Timebase { total, steps_per_epoch, symbolic, in_epochs, length: total, given: Given::Length }
    }

    pub fn point(&self, point: Point) -> u64 {
        match point {
            Point::Epoch(n) => self.event(n.saturating_mul(self.steps_per_epoch)),
            Point::Step(n) => self.event(n),
            Point::Fraction(fraction) => match self.given {
                // The reference ended before its time.
                Given::Stretched { of } if of != self.length => self.event(share(fraction, self.length)),
                _ => share(fraction, self.total),
            },
            Point::Start => 0,
            Point::End => self.total,
        }
    }

    /// Where an event is that the file has at this step.
    pub fn event(&self, step: u64) -> u64 {
        match self.given {
            Given::Stretched { of } => stretch(step, self.total, of),
            Given::Length | Given::Budget => step,
        }
    }

    /// The file's own time, of a run without a budget.
    pub fn as_written(&self) -> Timebase {
        Timebase { total: self.length, given: Given::Length, ..*self }
    }

    /// The warm-up of the learning rate, whose shape covers the budget as it would have covered the file's length.
    pub fn warmup(&self, duration: Duration) -> u64 {
        match duration {
            Duration::Fraction(_) => self.duration(duration),
            _ => stretch(self.duration(duration), self.total, self.length),
        }
    }

    pub fn duration(&self, duration: Duration) -> u64 {
        match duration {
            Duration::Epochs(n) => n.saturating_mul(self.steps_per_epoch),
            Duration::Steps(n) => n,
            Duration::Fraction(fraction) => share(fraction, self.total),
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

/// The same part of `total` that `step` is of `length`.
fn stretch(step: u64, total: u64, length: u64) -> u64 {
    // To the nearest, so that no short window vanishes.
    let (step, total, length) = (u128::from(step), u128::from(total), u128::from(length.max(1)));
    let stretched = (2 * step * total + length) / (2 * length);
    u64::try_from(stretched).unwrap_or(u64::MAX)
}

/// A share of `total` steps, rounded half-even.
pub fn share(fraction: f64, total: u64) -> u64 {
    let steps = fraction * total as f64;
    // 35% of 90 is 31.5, but 0.35 is no binary number, and the product comes out below. Reading the percent,
    // dividing it by 100 and multiplying round once each, so a half is off by at most 1.5 units in the last place.
    let halves = (2.0 * steps).round();
    let is_half = (2.0 * steps - halves).abs() <= 1.5 * f64::EPSILON * halves;
    (if is_half { halves / 2.0 } else { steps }).round_ties_even() as u64
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
        // Every whole percent of every length, against whole numbers: p·n/100, half to even.
        for total in 1..=400 {
            for percent in 0..=100_u64 {
                let (whole, rest) = (percent * total / 100, percent * total % 100);
                let up = rest > 50 || (rest == 50 && whole % 2 == 1);
                let expected = whole + u64::from(up);
                assert_eq!(share(percent as f64 / 100.0, total), expected, "{percent}% of {total}");
            }
        }
        assert_eq!(Timebase::new(Duration::Epochs(60), Some(45)).point(Point::Epoch(20)), 900);
    }

    #[test]
    fn a_moment_names_the_epoch_when_it_is_one() {
        let time = Timebase::new(Duration::Epochs(60), Some(45));
        assert_eq!(time.moment(900), "epoch 20 (step 900)");
        assert_eq!(time.moment(901), "step 901");
    }
}
