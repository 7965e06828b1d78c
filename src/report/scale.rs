//! From values to places on an axis, and the round numbers that are written there.
//!
//! Values come from a stranger's file: what is not finite has been left out, and what is absurd is held within
//! `ABSURD`, so that no difference of two values overflows.

use super::markup::px;

/// Beyond this a value is drawn at the edge.
const ABSURD: f64 = 1e150;
/// An axis spanning more than this factor is logarithmic where it may be.
const WIDE: f64 = 30.0;
/// The same of what shares lack.
const FAR: f64 = 6.0;

/// What the numbers of an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Plain,
    /// A share, written as a percent.
    Percent,
    /// A difference of shares, in points of a percent.
    Points,
    /// Steps, units, parameters.
    Count,
    Flops,
}

impl Unit {
    /// Of a metric by its full name.
    pub fn of_metric(name: &str) -> Unit {
        if name.ends_with("accuracy") { Unit::Percent } else { Unit::Plain }
    }
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    Even,
    Log,
    /// By the logarithm of what a share lacks to be all: 99 % is as far from 90 % as 99.9 % is from 99 %.
    LogOfError,
}

impl Spacing {
    /// What the axis says of it.
    pub fn word(self) -> &'static str {
        match self {
            Spacing::Even => "",
            Spacing::Log => "log scale",
            Spacing::LogOfError => "log scale of the error",
        }
    }
}

/// An axis from `low` to `high`, drawn between two pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub unit: Unit,
    pub low: f64,
    pub high: f64,
    pub spacing: Spacing,
    from: f64,
    to: f64,
    /// Whether the upper edge stands for all, which has no place where what is missing has logarithms.
    full: bool,
}

impl Scale {
    /// For values on the way along (`steps`): begins at 0 unless they all lie far from it.
    pub fn along(unit: Unit, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Scale> {
        let (low, high) = bounds(values)?;
        let low = if low > high / 2.0 && low < high { low } else { low.min(0.0) };
        Some(Scale {
            unit,
            low,
            high: if high > low { high } else { low + 1.0 },
            spacing: Spacing::Even,
            from,
            to,
            full: false,
        })
    }

    /// The same where values may span decades: then from the first of them on.
    pub fn along_decades(unit: Unit, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Scale> {
        let values: Vec<f64> = values.collect();
        match bounds(values.iter().copied()) {
            Some((low, high)) if low >= 1.0 && high / low > WIDE => {
                Some(Scale { unit, low, high, spacing: Spacing::Log, from, to, full: false })
            }
            _ => Scale::along(unit, values.into_iter(), from, to),
        }
    }

    /// For what is measured: with some room above and below. `may_be_log`: where values span decades, as losses do, or
    /// where it is the last few percent that matter.
    pub fn of(unit: Unit, values: impl Iterator<Item = f64>, may_be_log: bool, from: f64, to: f64) -> Option<Scale> {
        let values: Vec<f64> = values.collect();
        let (low, high) = bounds(values.iter().copied())?;
        if may_be_log && unit == Unit::Percent && low >= 0.0 && high <= 1.0 {
            // Nothing missing has no logarithm: it lies at the edge, half of the smallest error beyond that.
            let errors = values.iter().map(|value| 1.0 - value).filter(|error| *error > 1e-9);
            if let Some((least, most)) = bounds(errors).filter(|(least, most)| most / least > FAR) {
                // By a factor that brings it upon no round number, which it would be taken for.
                let edge = if high == 1.0 { least / 2.3 } else { least / 1.2 };
                let low = (1.0 - most * 1.15).max(0.0);
                return Some(Scale {
                    unit,
                    low,
                    high: 1.0 - edge,
                    spacing: Spacing::LogOfError,
                    from,
                    to,
                    full: high == 1.0,
                });
            }
        }
        let is_log = may_be_log && low > 1e-100 && high / low > WIDE;
        let spacing = if is_log { Spacing::Log } else { Spacing::Even };
        let (low, high) = match is_log {
            true => (low / (high / low).powf(0.05), high * (high / low).powf(0.05)),
            false => {
                let room = match high - low {
                    0.0 => high.abs().max(1e-6) * 0.1,
                    span => span * 0.06,
                };
                // A share is no more than all and no loss less than none, so no axis says so.
                let top = if unit == Unit::Percent && high <= 1.0 { 1.0 } else { f64::INFINITY };
                let bottom = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                ((low - room).max(bottom), (high + room).min(top))
            }
        };
        Some(Scale { unit, low, high: if high > low { high } else { low + 1.0 }, spacing, from, to, full: false })
    }

    /// Where a value lies, in pixels, never outside of the axis.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = match self.spacing {
            Spacing::Even => (value - self.low) / (self.high - self.low),
            Spacing::Log => (value / self.low).ln() / (self.high / self.low).ln(),
            Spacing::LogOfError => {
                ((1.0 - self.low) / (1.0 - value)).ln() / ((1.0 - self.low) / (1.0 - self.high)).ln()
            }
        };
        self.from + (self.to - self.from) * if share.is_finite() { share } else { 0.0 }
    }

    /// Round values with their words.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.spacing {
            Spacing::Even => self.even_ticks(),
            Spacing::Log => self.log_ticks(),
            Spacing::LogOfError => self.error_ticks(),
        };
        let step = match values[..] {
            [a, b, ..] => b - a,
            _ => self.high - self.low,
        };
        let all = self.full.then(|| (self.high, "100 %".to_string()));
        values.into_iter().map(|value| (value, self.word(value, step))).chain(all).collect()
    }

    /// What the numbers of the axis count: `GFLOP`. Empty where they say so themselves.
    pub fn unit_word(&self) -> &'static str {
        match self.unit {
            Unit::Flops => FLOPS[self.rank()],
            Unit::Points => "points",
            _ => "",
        }
    }

    fn even_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let whole = matches!(self.unit, Unit::Count);
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(rough).max(if whole { 1.0 } else { 0.0 });
        let first = (self.low / step - 1e-9).ceil();
        let all = (0..12).map(|n| (first + f64::from(n)) * step);
        all.take_while(|value| *value <= self.high + step * 1e-9).filter(|value| value.is_finite()).collect()
    }

    /// 1, 2 and 5 of every power, or 1 and 3, or the powers alone, or every other one and so on.
    fn log_ticks(&self) -> Vec<f64> {
        let (low, high) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let digits: &[f64] = match (self.high / self.low).log10() {
            span if span < 1.7 => &[1.0, 2.0, 5.0],
            span if span < 3.5 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let decades = (high - low).max(1);
        let stride = decades / 6 + 1;
        let inside = |value: &f64| *value >= self.low * 0.999 && *value <= self.high * 1.001;
        let powers = (0..=decades / stride).map(|n| low + n * stride);
        powers.flat_map(|power| digits.iter().map(move |d| d * 10f64.powi(power))).filter(inside).collect()
    }

    /// 50 %, 80 %, 90 %, 95 %, 98 %, 99 % and so on.
    fn error_ticks(&self) -> Vec<f64> {
        let errors = (0..10).flat_map(|power| [1.0, 0.5, 0.2].map(|error| error * 0.1_f64.powi(power)));
        let inside = |value: &f64| *value >= self.low - 1e-9 && *value <= self.high + 1e-9;
        errors.map(|error| 1.0 - error).filter(inside).collect()
    }

    /// Thousands, millions and so on, by the larger end.
    fn rank(&self) -> usize {
        let size = self.high.abs().max(self.low.abs()).max(1.0).log10();
        ((size / 3.0 + 1e-9).floor() as usize).min(FLOPS.len() - 1)
    }

    fn word(&self, value: f64, step: f64) -> String {
        // Neighbours are far apart there, so each has its own digits.
        let step = if self.spacing == Spacing::Log { value } else { step };
        let value = if value.abs() < step.abs() * 1e-6 && self.spacing == Spacing::Even { 0.0 } else { value };
        match self.unit {
            Unit::Percent if self.spacing == Spacing::LogOfError => {
                let word = format!("{:.7}", 100.0 * value);
                word.trim_end_matches('0').trim_end_matches('.').to_string() + " %"
            }
            Unit::Points => {
                let word = with_digits(100.0 * value, 100.0 * step);
                if value > 0.0 { format!("+{word}") } else { word.replace('-', "−") }
            }
            Unit::Percent => with_digits(100.0 * value, 100.0 * step) + " %",
            Unit::Flops => {
                let by = 1000f64.powi(self.rank() as i32);
                with_digits(value / by, step / by)
            }
            Unit::Count if self.spacing == Spacing::Log => crate::base::numbers::count(value as u64),
            Unit::Count => {
                let rank = if self.high.abs() < 10_000.0 { 0 } else { self.rank().min(COUNTS.len() - 1) };
                let by = 1000f64.powi(rank as i32);
                let word = with_digits(value / by, step / by);
                if value == 0.0 { word } else { word + COUNTS[rank] }
            }
            Unit::Plain => with_digits(value, step),
        }
    }
}

const FLOPS: [&str; 7] = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"];
const COUNTS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// So many decimals that neighbours in steps of `step` differ.
fn with_digits(value: f64, step: f64) -> String {
    let shows_step = |digits: &i32| {
        let units = step.abs() * 10f64.powi(*digits);
        units > 0.5 && (units - units.round()).abs() < 1e-6 * units
    };
    match (0..=5).find(shows_step) {
        _ if value == 0.0 => "0".into(),
        Some(digits) if value.abs() < 1e6 => format!("{value:.*}", digits as usize),
        _ => format!("{value:.1e}").replace(".0e", "e"),
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-ABSURD, ABSURD));
    finite.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// At most four points for each of `pieces` stretches of the axis: where a stretch begins and ends, and its extremes,
/// so that no peak is lost. The points are in order of x.
pub fn thinned(points: &[(f64, f64)], pieces: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= 4 * pieces || last.0 <= first.0 {
        return points.iter().take(4 * pieces).copied().collect();
    }
    let piece = |x: f64| (((x - first.0) / (last.0 - first.0) * pieces as f64) as usize).min(pieces - 1);
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(4 * pieces);
    let mut begin = 0;
    while begin < points.len() {
        let number = piece(points[begin].0);
        let end = begin + points[begin..].iter().take_while(|point| piece(point.0) == number).count().max(1);
        let range = begin..end;
        let lowest = range.clone().min_by(|a, b| points[*a].1.total_cmp(&points[*b].1)).unwrap_or(begin);
        let highest = range.clone().max_by(|a, b| points[*a].1.total_cmp(&points[*b].1)).unwrap_or(begin);
        let mut kept = [begin, lowest, highest, end - 1];
        kept.sort_unstable();
        let mut previous = None;
        for at in kept {
            if previous != Some(at) {
                out.push(points[at]);
            }
            previous = Some(at);
        }
        begin = end;
    }
    out
}

/// `M1 2L3 4`
pub fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut out = String::new();
    for (at, (x, y)) in points.enumerate() {
        out.push_str(&format!("{}{} {}", if at == 0 { "M" } else { "L" }, px(x), px(y)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scale: Option<Scale>) -> String {
        scale.expect("some values").ticks().into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_tell_neighbours_apart() {
        let along = |unit, high: f64| words(Scale::along(unit, [0.0, high].into_iter(), 0.0, 100.0));
        assert_eq!(along(Unit::Count, 1350.0), "0 250 500 750 1000 1250");
        assert_eq!(along(Unit::Count, 30.0), "0 5 10 15 20 25 30");
        assert_eq!(along(Unit::Count, 2.0), "0 1 2");
        assert_eq!(along(Unit::Count, 23_400.0), "0 5k 10k 15k 20k");
        assert_eq!(along(Unit::Count, 1.5e6), "0 0.25M 0.50M 0.75M 1.00M 1.25M 1.50M");
        assert_eq!(along(Unit::Flops, 7.5e9), "0 2 4 6");
        let of = |unit, low: f64, high: f64, log| words(Scale::of(unit, [low, high].into_iter(), log, 0.0, 100.0));
        assert_eq!(of(Unit::Percent, 0.882, 0.978, false), "88 % 90 % 92 % 94 % 96 % 98 %");
        assert_eq!(of(Unit::Percent, 0.9, 1.0, false), "90 % 92 % 94 % 96 % 98 % 100 %");
        assert_eq!(of(Unit::Percent, 0.9712, 0.9731, false), "97.15 % 97.20 % 97.25 % 97.30 %");
        assert_eq!(of(Unit::Plain, 0.1, 2.0, true), "0 0.5 1.0 1.5 2.0");
        assert_eq!(of(Unit::Plain, 0.012, 2.0, true), "0.01 0.03 0.1 0.3 1");
        assert_eq!(of(Unit::Percent, 0.4, 0.983, true), "50 % 80 % 90 % 95 % 98 %");
        assert_eq!(
            of(Unit::Percent, 0.9, 0.9999, true),
            "90 % 95 % 98 % 99 % 99.5 % 99.8 % 99.9 % 99.95 % 99.98 % 99.99 %"
        );
        assert_eq!(of(Unit::Percent, 0.94, 0.983, true), "94 % 95 % 96 % 97 % 98 %");
        assert_eq!(of(Unit::Points, -0.01, 0.011, false), "−1.0 −0.5 0 +0.5 +1.0");
        assert_eq!(of(Unit::Plain, 0.5, 0.5, false), "0.46 0.48 0.50 0.52 0.54");
        assert_eq!(of(Unit::Plain, 1e-9, 1e12, true), "1e-6 0.1 10000 1e9");
    }

    #[test]
    fn decades_on_the_way_are_told_apart() {
        let along = |unit, low: f64, high: f64| words(Scale::along_decades(unit, [low, high].into_iter(), 0.0, 100.0));
        assert_eq!(along(Unit::Count, 45.0, 11_461.0), "100 300 1k 3k 10k");
        assert_eq!(along(Unit::Count, 45.0, 1350.0), "0 250 500 750 1000 1250");
        assert_eq!(along(Unit::Flops, 29e6, 10.9e9), "0.03 0.1 0.3 1 3 10");
    }

    #[test]
    fn absurd_numbers_have_an_axis_too() {
        let sets: [&[f64]; 8] = [
            &[f64::MAX, f64::MIN],
            &[f64::NAN, f64::INFINITY, 1.0],
            &[0.0],
            &[-1e-300, 1e-300],
            &[f64::MIN_POSITIVE, f64::MAX],
            &[1e15, 1e15 + 1.0],
            &[-5.0, -5.0],
            &[u64::MAX as f64],
        ];
        for values in sets {
            for unit in [Unit::Plain, Unit::Percent, Unit::Count, Unit::Flops] {
                for scale in [
                    Scale::along(unit, values.iter().copied(), 0.0, 100.0),
                    Scale::along_decades(unit, values.iter().copied(), 0.0, 100.0),
                    Scale::of(unit, values.iter().copied(), true, 100.0, 0.0),
                ] {
                    let scale = scale.expect("a finite value");
                    assert!(scale.ticks().len() <= 40, "{values:?}");
                    for value in values.iter().chain(&[f64::NAN, 0.0, -1.0]) {
                        let at = scale.at(*value);
                        assert!((-0.01..=100.01).contains(&at) || at.is_nan(), "{values:?} {value} {at}");
                    }
                }
            }
        }
        assert_eq!(Scale::of(Unit::Plain, [f64::NAN].into_iter(), true, 0.0, 1.0), None);
    }

    #[test]
    fn thinning_keeps_the_ends_and_every_peak() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), (f64::from(n) * 0.01).sin())).collect();
        points[77_777].1 = 50.0;
        points[33_333].1 = -50.0;
        let thin = thinned(&points, 300);
        assert!(thin.len() <= 1200, "{}", thin.len());
        assert!(thin.contains(&points[77_777]) && thin.contains(&points[33_333]));
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thinned(&points[..5], 300), &points[..5]);
        let still: Vec<(f64, f64)> = (0..9000).map(|n| (1.0, f64::from(n))).collect();
        assert!(thinned(&still, 300).len() <= 1200);
    }
}
