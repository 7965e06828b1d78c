//! The arms of a comparison as figures: their courses with bands, their means and the paired differences with
//! intervals.

use super::chart::{self, Chart, Series};
use super::course::{Along, between};
use super::events;
use super::markup::{Markup, cut, px};
use super::scale::{Scale, Unit};
use super::subject::Compared;
use crate::compare::schema::Interval;

/// Points of an arm's mean course.
const GRID: usize = 160;
const ROWS_MAX: usize = 16;

/// The course of every arm: the mean over its seeds, and from the lowest to the highest of them.
pub fn course(compared: &Compared, metric: &str, along: Along, id: &str) -> Option<Markup> {
    let mut series = Vec::new();
    for (kind, arm) in compared.arms.iter().enumerate() {
        let runs: Vec<Vec<(f64, f64)>> =
            arm.courses.iter().map(|course| course.points(metric, along)).filter(|points| !points.is_empty()).collect();
        if runs.is_empty() {
            continue;
        }
        let (points, mut band) = mean(&runs);
        // Six bands upon each other are mud.
        if kind > 0 && !compared.comparison.arms.get(kind).is_some_and(|plan| plan.judged) {
            band.clear();
        }
        series.push(Series { name: arm.name.clone(), points, band, kind, faint: false });
    }
    let marks = compared.reference.as_ref().map_or_else(Vec::new, |run| events::marks(run, along));
    let (word, unit) = match along {
        Along::Steps => ("steps", Unit::Count),
        Along::Flops => ("training operations", Unit::Flops),
    };
    let shown = cut(metric, 40);
    Chart {
        id: id.into(),
        title: format!("{shown} against {}", if along == Along::Steps { "steps" } else { "FLOPs" }),
        about: format!(
            "{shown} of each arm along {word}: the line is the mean over the seeds, the band goes from the lowest to the \
             highest of them. Numbered lines are the growth events of the reference's first run."
        ),
        x: (word.into(), unit),
        y: (shown.clone(), Unit::of_metric(metric)),
        may_be_log: metric.ends_with("loss") || metric.ends_with("accuracy"),
        spans_decades: true,
        series,
        marks,
    }
    .svg()
}

type Line = (Vec<(f64, f64)>, Vec<(f64, f64, f64)>);

/// Over the stretch that all runs have.
fn mean(runs: &[Vec<(f64, f64)>]) -> Line {
    let first = runs.iter().map(|run| run[0].0).fold(f64::NEG_INFINITY, f64::max);
    let last = runs.iter().map(|run| run[run.len() - 1].0).fold(f64::INFINITY, f64::min);
    // The places of the shortest run's own points where there are few of them.
    let own: Vec<f64> = runs[0].iter().map(|point| point.0).filter(|x| *x >= first && *x <= last).collect();
    let even = |n: usize| first + (last - first) * n as f64 / (GRID - 1) as f64;
    let mut grid = if own.len() <= GRID { own } else { (0..GRID).map(even).collect() };
    if grid.is_empty() && last >= first {
        grid = vec![first, last];
    }
    // Runs that have no stretch in common.
    if grid.is_empty() {
        return (runs[0].clone(), Vec::new());
    }
    let at = |x: f64| runs.iter().filter_map(move |run| between(run, x));
    let points = grid.iter().map(|x| (*x, at(*x).sum::<f64>() / at(*x).count().max(1) as f64)).collect();
    let band = |x: &f64| (*x, at(*x).fold(f64::INFINITY, f64::min), at(*x).fold(f64::NEG_INFINITY, f64::max));
    let band = if runs.len() > 1 { grid.iter().map(band).collect() } else { Vec::new() };
    (points, band)
}

/// A row of a forest: its name, interval, the values of the seeds, and its kind.
pub struct Row {
    pub name: String,
    pub interval: Interval,
    pub values: Vec<f64>,
    pub kind: usize,
}

/// Means with their intervals, one below the other. `zero`: with a line there, and what lies on either side of it.
pub fn forest(id: &str, title: &str, unit: Unit, rows: &[Row], zero: Option<(&str, &str)>) -> Option<Markup> {
    const LEFT: f64 = 118.0;
    const ROW: f64 = 34.0;
    let rows = &rows[..rows.len().min(ROWS_MAX)];
    let bounds = rows.iter().flat_map(|row| {
        let Interval { mean, low, high, .. } = row.interval;
        row.values.iter().copied().chain([mean, low, high].into_iter().flatten())
    });
    let bounds = bounds.chain(zero.map(|_| 0.0));
    let right = chart::WIDTH - 16.0;
    let x = Scale::of(unit, bounds, false, LEFT, right)?;
    let (top, bottom) = (30.0, 36.0 + ROW * rows.len() as f64);
    let height = bottom + if zero.is_some() { 44.0 } else { 26.0 };
    let said = |row: &Row| {
        let word = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| chart::exact(value, unit));
        let Interval { mean, low, high, count } = row.interval;
        format!(
            "{}: mean {}, 95 % interval {} to {}, {count} seeds",
            cut(&row.name, 60),
            word(mean),
            word(low),
            word(high)
        )
    };
    let about = rows.iter().map(said).collect::<Vec<_>>().join("; ");
    Some(chart::figure(id, title, &about, height, |m| {
        for (value, word) in x.ticks() {
            let at = px(x.at(value));
            m.empty("line", &[("class", "grid"), ("x1", &at), ("x2", &at), ("y1", &px(top)), ("y2", &px(bottom))]);
            m.leaf("text", &[("class", "tick middle"), ("x", &at), ("y", &px(bottom + 16.0))], &word);
        }
        if let Some((worse, better)) = zero {
            let at = x.at(0.0);
            m.empty(
                "line",
                &[("class", "zero"), ("x1", &px(at)), ("x2", &px(at)), ("y1", &px(top)), ("y2", &px(bottom))],
            );
            let y = px(bottom + 34.0);
            m.leaf("text", &[("class", "tick"), ("x", &px(LEFT)), ("y", &y)], &format!("← {worse}"));
            m.leaf("text", &[("class", "tick end"), ("x", &px(right)), ("y", &y)], &format!("{better} →"));
            m.leaf("text", &[("class", "tick"), ("x", "0"), ("y", &px(bottom + 16.0))], x.unit_word());
        }
        for (at, row) in rows.iter().enumerate() {
            forest_row(m, row, &x, top + ROW * (at as f64 + 0.5), &said(row));
        }
    }))
}

fn forest_row(m: &mut Markup, row: &Row, x: &Scale, y: f64, said: &str) {
    let kind = row.kind % chart::KINDS;
    m.tag("g", &[], |m| {
        m.leaf("title", &[], said);
        m.leaf("text", &[("class", "legend"), ("x", "0"), ("y", &px(y + 4.0))], &cut(&row.name, 17));
        for value in row.values.iter().take(200).filter(|value| value.is_finite()) {
            let at = px(x.at(*value));
            m.empty(
                "line",
                &[
                    ("class", &format!("seed k{kind}")),
                    ("x1", &at),
                    ("x2", &at),
                    ("y1", &px(y + 4.0)),
                    ("y2", &px(y + 11.0)),
                ],
            );
        }
        if let (Some(low), Some(high)) = (row.interval.low, row.interval.high) {
            let (low, high) = (x.at(low), x.at(high));
            let d = format!(
                "M{} {}v8M{} {}H{}M{} {}v8",
                px(low),
                px(y - 8.0),
                px(low),
                px(y - 4.0),
                px(high),
                px(high),
                px(y - 8.0)
            );
            m.empty("path", &[("class", &format!("interval k{kind}")), ("d", &d)]);
        }
        if let Some(mean) = row.interval.mean {
            let place = format!("translate({} {}) scale(1.7)", px(x.at(mean)), px(y - 4.0));
            m.empty(
                "path",
                &[("class", &format!("point k{kind}")), ("transform", &place), ("d", &chart::shape(kind, 0.0, 0.0))],
            );
        }
    });
}

/// What the two figures of a comparison's intervals show.
pub fn intervals(compared: &Compared) -> (Option<Markup>, Option<Markup>) {
    let comparison = &compared.comparison;
    let Some(outcome) = &comparison.result else { return (None, None) };
    let kind = |name: &str| comparison.arms.iter().position(|plan| plan.name == name).unwrap_or(0);
    let unit = Unit::of_metric(&comparison.metric);
    let apart = if unit == Unit::Percent { Unit::Points } else { unit };
    let metric = cut(&comparison.metric, 30);
    let rows: Vec<Row> = outcome
        .arms
        .iter()
        .map(|arm| Row {
            name: arm.name.clone(),
            interval: arm.metric,
            values: arm.runs.iter().filter_map(|run| run.value).collect(),
            kind: kind(&arm.name),
        })
        .collect();
    let differences: Vec<Row> = outcome
        .differences
        .iter()
        .map(|difference| Row {
            name: difference.arm.clone(),
            interval: difference.interval,
            values: difference.pairs.iter().flatten().copied().collect(),
            kind: kind(&difference.arm),
        })
        .collect();
    let reference = comparison.arms.first().map_or("the reference", |plan| plan.name.as_str());
    let title = format!("{metric} at the end: means, 95 % intervals, seeds");
    let means = forest("means", &title, unit, &rows, None);
    let better = format!("{} is better", cut(reference, 16));
    let title = format!("how much better {} is, paired by seed", cut(reference, 16));
    (means, forest("differences", &title, apart, &differences, Some(("the other is better", &better))))
}
