//! The course of a run in one line: how the score went, and beneath it where the network grew.

use super::numbers;
use crate::run::{Evaluated, Resumption};

/// Points that are kept; then every other one goes, so that a long run takes no more room than a short one.
const POINTS_MAX: usize = 2048;
/// Columns of a chart at most and at least.
const COLUMNS: (usize, usize) = (60, 8);
/// Fewer evaluations are no course.
const POINTS_MIN: usize = 3;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// For a terminal that does not speak UTF-8: the further up, the more ink.
const ASCII: [char; 8] = ['_', '.', '-', '~', '=', '+', '*', '#'];

/// The score of a run over its steps, collected while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    name: String,
    /// Step and value in order.
    points: Vec<(u64, f64)>,
    /// Every so many evaluations one is kept; how many came since.
    stride: usize,
    since: usize,
    growths: Vec<u64>,
}

/// The metric that a run is followed by: a validation score, else the loss.
pub fn score<'m>(metrics: impl Iterator<Item = &'m str> + Clone) -> Option<&'m str> {
    let mut scores = metrics.clone().filter(|name| name.starts_with("val_") && *name != "val_loss");
    scores.next().or_else(|| metrics.clone().find(|name| *name == "val_loss"))
}

impl Curve {
    /// What earlier sessions have told.
    pub fn resumed(resumption: &Resumption) -> Curve {
        let mut curve = Curve::default();
        let history = &resumption.saved.history;
        let names: Vec<&str> = history.series().map(|(name, ..)| name).collect();
        if let Some(name) = score(names.into_iter()) {
            curve.name = name.into();
            for (_, steps, values) in history.series().filter(|(known, ..)| *known == name) {
                steps.iter().zip(values).for_each(|(step, value)| curve.point(*step, *value));
            }
        }
        resumption.saved.growths.iter().for_each(|growth| curve.grown(growth.step));
        curve
    }

    pub fn evaluated(&mut self, evaluated: &Evaluated) {
        if self.name.is_empty() {
            self.name = score(evaluated.metrics.iter().map(|(name, _)| name.as_str())).unwrap_or_default().into();
        }
        if let Some((_, value)) = evaluated.metrics.iter().find(|(name, _)| *name == self.name) {
            self.point(evaluated.step, *value);
        }
    }

    fn point(&mut self, step: u64, value: f64) {
        self.since += 1;
        if self.since < self.stride {
            return;
        }
        self.since = 0;
        self.points.push((step, value));
        if self.points.len() >= POINTS_MAX {
            let mut place = 0;
            self.points.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.stride = 2 * self.stride.max(1);
        }
    }

    pub fn grown(&mut self, step: u64) {
        if self.growths.len() < POINTS_MAX {
            self.growths.push(step);
        }
    }

    /// What lies behind this step has been undone.
    pub fn rolled_back(&mut self, back_to: u64) {
        self.points.retain(|(step, _)| *step <= back_to);
        self.growths.retain(|step| *step <= back_to);
    }

    /// The chart, each line with its end; `None` where there is no course to show, or no room. `width`: columns of the
    /// terminal. What is not finite is a gap.
    pub fn draw(&self, width: usize, unicode: bool) -> Option<String> {
        let finite = || self.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        if finite().count() < POINTS_MIN {
            return None;
        }
        let (first, last) = (finite().next()?, finite().next_back()?);
        let arrow = if unicode { "→" } else { "->" };
        let tail = format!("{} {arrow} {}", numbers::metric(&self.name, first), numbers::metric(&self.name, last));
        let room = width.checked_sub(self.name.chars().count() + tail.chars().count() + 5)?;
        let columns = room.min(COLUMNS.0).min(self.points.len());
        if columns < COLUMNS.1.min(self.points.len()) {
            return None;
        }
        let (begin, end) = (self.points.first()?.0, self.points.last()?.0);
        let column = |step: u64| {
            let way = step.clamp(begin, end).saturating_sub(begin) as f64 / end.saturating_sub(begin).max(1) as f64;
            (way * (columns - 1) as f64).round() as usize
        };
        // The last value of each column; a column without one shows what was last known.
        let mut values: Vec<Option<f64>> = vec![None; columns];
        self.points.iter().for_each(|(step, value)| values[column(*step)] = Some(*value));
        let mut known = f64::NAN;
        let values: Vec<f64> = values
            .into_iter()
            .map(|value| {
                known = value.unwrap_or(known);
                known
            })
            .collect();
        let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let bars = if unicode { BARS } else { ASCII };
        let bar = |value: &f64| match value.is_finite() {
            false => ' ',
            // Halves, so that no difference of two finite numbers overflows.
            true if high > low => bars[((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) * 7.0).round() as usize],
            true => bars[3],
        };
        let line: String = values.iter().map(bar).collect();
        let mut text = format!("  {} {line}  {tail}\n", self.name);
        if !self.growths.is_empty() {
            let mark = if unicode { '▲' } else { '^' };
            let mut marks = vec![' '; columns];
            self.growths.iter().for_each(|step| marks[column(*step)] = mark);
            let indent = " ".repeat(self.name.chars().count() + 3);
            text.push_str(&format!("{indent}{}  {mark} growth\n", marks.into_iter().collect::<String>()));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, values: &[f64], growths: &[u64]) -> Curve {
        let mut curve = Curve { name: name.into(), ..Curve::default() };
        values.iter().enumerate().for_each(|(at, value)| curve.point(10 * (at as u64 + 1), *value));
        growths.iter().for_each(|step| curve.grown(*step));
        curve
    }

    fn drawn(curve: &Curve, width: usize, unicode: bool) -> String {
        curve.draw(width, unicode).unwrap_or_else(|| "none".into()).trim_end().to_string()
    }

    #[test]
    fn a_score_rises_with_marks_where_the_network_grew() {
        let values: Vec<f64> = (0..24).map(|at| 0.98 - 0.6 * 0.8_f64.powi(at)).collect();
        let curve = curve("val_accuracy", &values, &[60, 150]);
        insta::assert_snapshot!(drawn(&curve, 100, true), @r"
        val_accuracy ▁▂▄▄▅▆▆▇▇▇▇▇████████████  38.0 % → 97.6 %
                          ▲        ▲           ▲ growth
        ");
        insta::assert_snapshot!(drawn(&curve, 100, false), @r"
        val_accuracy _.~~=++*****############  38.0 % -> 97.6 %
                          ^        ^           ^ growth
        ");
        insta::assert_snapshot!(drawn(&curve, 48, true), @r"
        val_accuracy ▁▄▄▆▆▇▇▇████████  38.0 % → 97.6 %
                        ▲     ▲        ▲ growth
        ");
        assert_eq!(curve.draw(36, true), None, "no room");
    }

    #[test]
    fn what_is_not_finite_is_a_gap_and_what_never_changes_is_a_line() {
        let gaps = [f64::NAN, 3.0, 2.0, f64::INFINITY, 1.0, 0.5, f64::NAN];
        insta::assert_snapshot!(drawn(&curve("val_loss", &gaps, &[]), 100, true), @"  val_loss  █▅ ▂▁   3.000 → 0.5000");
        insta::assert_snapshot!(drawn(&curve("val_loss", &[0.5; 9], &[]), 100, true), @"  val_loss ▄▄▄▄▄▄▄▄▄  0.5000 → 0.5000");
        insta::assert_snapshot!(drawn(&curve("val_loss", &[f64::MIN, 0.0, f64::MAX], &[]), 700, true).trim_end().chars().take(20).collect::<String>(), @"  val_loss ▁▅█  -1.7");
        assert_eq!(curve("val_loss", &[1.0, 0.5, f64::NAN], &[]).draw(100, true), None, "two are no course");
    }

    #[test]
    fn a_million_evaluations_take_the_room_of_a_thousand() {
        let values: Vec<f64> = (0..1_000_000).map(|at| f64::from(at) / 1e6).collect();
        let mut curve = curve("val_accuracy", &values, &[5_000_000]);
        assert!(curve.points.len() < POINTS_MAX, "{}", curve.points.len());
        insta::assert_snapshot!(drawn(&curve, 100, true), @r"
        val_accuracy ▁▁▁▁▂▂▂▂▂▂▂▂▂▃▃▃▃▃▃▃▃▄▄▄▄▄▄▄▄▄▅▅▅▅▅▅▅▅▆▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇▇█████  0.0 % → 100.0 %
                                                   ▲                               ▲ growth
        ");
        curve.rolled_back(4_000_000);
        assert!(curve.points.iter().all(|(step, _)| *step <= 4_000_000) && curve.growths.is_empty());
    }
}
