//! Means with their 95 % t-intervals.

use super::schema::Interval;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How sure an interval is.
pub const CONFIDENCE: f64 = 0.95;

/// The mean of some values and its t-interval; one value has none.
pub fn interval(values: &[f64]) -> Interval {
    let n = values.len();
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let mean = (n > 0).then(|| values.iter().sum::<f64>() / n as f64);
    // What is left of values that cancel is no mean.
    let mean = mean.map(|mean| if mean.abs() < 1e-12 * largest { 0.0 } else { mean });
    let half = mean.filter(|_| n > 1).map(|mean| quantile(n as u64 - 1) * deviation(values, mean) / (n as f64).sqrt());
    let end = |sign: f64| Some(mean? + sign * half?);
    Interval { count: n, mean, low: end(-1.0), high: end(1.0) }
}

/// Standard deviation of a sample: divided by n − 1.
pub fn deviation(values: &[f64], mean: f64) -> f64 {
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// Of Student's t with so many degrees of freedom: what 97.5 % lie below.
pub fn quantile(freedom: u64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom.max(1) as f64).expect("a positive number of degrees of freedom");
    t.inverse_cdf(0.5 + CONFIDENCE / 2.0)
}

/// The smallest number of pairs at which the interval around `mean` leaves out 0, if mean and deviation stay as they
/// are; `None` beyond a thousand.
pub fn pairs_needed(mean: f64, deviation: f64) -> Option<u64> {
    (3..=1000).find(|n| quantile(n - 1) * deviation / (*n as f64).sqrt() < mean.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Abramowitz & Stegun, table 26.10; the last from R, qt(0.975, 100).
        let known = [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045), (100, 1.984)];
        for (freedom, expected) in known {
            assert!((quantile(freedom) - expected).abs() < 6e-4, "{freedom}: {}", quantile(freedom));
        }
    }

    #[test]
    fn an_interval_is_what_a_hand_computes() {
        // Mean 3, deviation √2.5, half-width 2.776·√(2.5/5).
        let five = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let half = 2.776_445 * 0.5_f64.sqrt();
        assert_eq!((five.count, five.mean), (5, Some(3.0)));
        assert!((five.low.expect("five values") - (3.0 - half)).abs() < 1e-5);
        assert!((five.high.expect("five values") - (3.0 + half)).abs() < 1e-5);
        assert_eq!(interval(&[2.0]), Interval { count: 1, mean: Some(2.0), low: None, high: None });
        assert_eq!(interval(&[]).mean, None);
        assert_eq!(interval(&[0.1, 0.2, -0.3]).mean, Some(0.0), "not -1.9e-17");
        let same = interval(&[0.5; 4]);
        assert_eq!((same.low, same.high), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn more_pairs_are_needed_for_a_smaller_difference() {
        assert_eq!(pairs_needed(10.0, 1.0), Some(3));
        let n = pairs_needed(1.0, 2.0).expect("some");
        assert!((16..22).contains(&n), "{n}");
        assert_eq!(pairs_needed(1e-9, 1.0), None);
    }
}
