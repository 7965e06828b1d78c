//! Lines over an axis as inline SVG: title, legend, round ticks, bands, and where the network grew.
//!
//! Colours and dashes are classes (`figure.css`), so that one figure fits both schemes; a series has a dash and a shape
//! of its point beside its colour. What a point says in full is in its `<title>`.

use super::markup::{Markup, cut, px};
use super::scale::{Scale, Spacing, Unit, path, thinned};

pub const WIDTH: f64 = 480.0;
pub const HEIGHT: f64 = 300.0;
pub const LEFT: f64 = 54.0;
pub const RIGHT: f64 = WIDTH - 14.0;
const BOTTOM: f64 = HEIGHT - 42.0;
const TITLE: f64 = 17.0;
const LEGEND_ROW: f64 = 16.0;
/// Of the axis; a figure has no more pixels to tell.
const PIECES: usize = 260;
/// Points with a shape and words of their own.
const SHOWN_POINTS: usize = 64;
/// Kinds of lines in `figure.css`; the next series looks like the first.
pub const KINDS: usize = 6;
/// Beyond so many only some are drawn, from the first to the last.
const MARKS_MAX: usize = 48;
/// Beyond so many marks their numbers would lie upon each other.
const NUMBERED_MAX: usize = 24;
const SERIES_MAX: usize = 12;

pub struct Series {
    pub name: String,
    /// Finite, in order of x.
    pub points: Vec<(f64, f64)>,
    /// x, lowest, highest.
    pub band: Vec<(f64, f64, f64)>,
    pub kind: usize,
    /// Many and noisy: a thin line without points.
    pub faint: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Mark {
    pub x: f64,
    /// Stands in a circle at the top.
    pub number: String,
    pub about: String,
    /// A class: `grow` or `back`.
    pub kind: &'static str,
}

pub struct Chart {
    /// Of the page, for `aria-labelledby`.
    pub id: String,
    pub title: String,
    pub about: String,
    /// `steps`, `FLOPs`
    pub x: (String, Unit),
    pub y: (String, Unit),
    pub may_be_log: bool,
    /// Whether the x axis may be logarithmic too.
    pub spans_decades: bool,
    pub series: Vec<Series>,
    pub marks: Vec<Mark>,
}

impl Chart {
    /// The figure; `None` where there is no point to draw.
    pub fn svg(&self) -> Option<Markup> {
        let series = &self.series[..self.series.len().min(SERIES_MAX)];
        let legend = legend_rows(series);
        let top = TITLE + LEGEND_ROW * legend.len() as f64 + if self.marks.is_empty() { 10.0 } else { 26.0 };
        let ys = series.iter().flat_map(|one| {
            let band = one.band.iter().flat_map(|(_, low, high)| [*low, *high]);
            one.points.iter().map(|point| point.1).chain(band)
        });
        let xs = series.iter().flat_map(|one| one.points.iter().map(|point| point.0));
        let x = match self.spans_decades {
            true => Scale::along_decades(self.x.1, xs, LEFT, RIGHT)?,
            false => Scale::along(self.x.1, xs, LEFT, RIGHT)?,
        };
        let y = Scale::of(self.y.1, ys, self.may_be_log, BOTTOM, top)?;
        Some(figure(&self.id, &self.title, &self.about, HEIGHT, |m| {
            for (row, entries) in legend.iter().enumerate() {
                legend_row(m, entries, TITLE + LEGEND_ROW * (row as f64 + 1.0) - 2.0);
            }
            axes(m, &x, &y, BOTTOM, &self.x.0, y.spacing.word());
            marks(m, &self.marks, &x, (top, BOTTOM));
            series.iter().for_each(|one| self.line(m, one, &x, &y));
        }))
    }

    fn line(&self, m: &mut Markup, one: &Series, x: &Scale, y: &Scale) {
        let kind = one.kind % KINDS;
        let points = thinned(&one.points, PIECES);
        let place = |point: &(f64, f64)| (x.at(point.0), y.at(point.1));
        if !one.band.is_empty() {
            let upper = one.band.iter().map(|(at, _, high)| (x.at(*at), y.at(*high)));
            let lower = one.band.iter().rev().map(|(at, low, _)| (x.at(*at), y.at(*low)));
            let around = path(upper.chain(lower)) + "Z";
            m.empty("path", &[("class", &format!("band k{kind}")), ("d", &around)]);
        }
        let class = format!("line k{kind}{}", if one.faint { " faint" } else { "" });
        if points.len() > 1 {
            m.empty("path", &[("class", &class), ("d", &path(points.iter().map(place)))]);
        }
        if one.faint {
            return;
        }
        let every = points.len().div_ceil(SHOWN_POINTS).max(1);
        // Few enough to be told apart are drawn; else they only have words.
        let class = format!("point k{kind}{}", if one.points.len() > 40 { " hidden" } else { "" });
        for (at, point) in points.iter().enumerate() {
            if at % every != 0 && at + 1 != points.len() {
                continue;
            }
            let (px_x, px_y) = place(point);
            let said = format!("{}: {} at {}", one.name, exact(point.1, self.y.1), told(point.0, self.x.1));
            m.tag("path", &[("class", &class), ("d", &shape(kind, px_x, px_y))], |m| m.leaf("title", &[], &said));
        }
    }
}

/// An SVG with a title, a description, and what `inside` draws. Widths are in units of the figure: it is as wide as its
/// place.
pub fn figure(id: &str, title: &str, about: &str, height: f64, inside: impl FnOnce(&mut Markup)) -> Markup {
    sized_figure(id, title, about, (WIDTH, height), true, inside)
}

pub fn sized_figure(
    id: &str,
    title: &str,
    about: &str,
    (width, height): (f64, f64),
    titled: bool,
    inside: impl FnOnce(&mut Markup),
) -> Markup {
    let mut m = Markup::new();
    let (title_id, about_id) = (format!("{id}-title"), format!("{id}-about"));
    let labelled = format!("{title_id} {about_id}");
    let attributes = [
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("class", "figure"),
        ("role", "img"),
        ("aria-labelledby", &labelled),
        ("viewBox", &format!("0 0 {} {}", px(width), px(height))),
        ("width", &px(width)),
        ("height", &px(height)),
    ];
    m.tag("svg", &attributes, |m| {
        m.leaf("title", &[("id", &title_id)], title);
        m.leaf("desc", &[("id", &about_id)], about);
        if titled {
            m.leaf("text", &[("class", "head"), ("x", "0"), ("y", "12")], &cut(title, 64));
        }
        inside(m);
    });
    m.line();
    m
}

/// Grid, ticks and the word of the x axis.
pub fn axes(m: &mut Markup, x: &Scale, y: &Scale, bottom: f64, along: &str, note: &str) {
    let (left, right) = (x.at(x.low), x.at(x.high));
    for (value, word) in y.ticks() {
        let at = px(y.at(value));
        m.empty("line", &[("class", "grid"), ("x1", &px(left)), ("x2", &px(right)), ("y1", &at), ("y2", &at)]);
        let place = px(y.at(value) + 4.0);
        m.leaf("text", &[("class", "tick end"), ("x", &px(left - 6.0)), ("y", &place)], &word);
    }
    let base = px(bottom);
    m.empty("line", &[("class", "axis"), ("x1", &px(left)), ("x2", &px(right)), ("y1", &base), ("y2", &base)]);
    for (value, word) in x.ticks() {
        let at = px(x.at(value));
        m.empty("line", &[("class", "axis"), ("x1", &at), ("x2", &at), ("y1", &base), ("y2", &px(bottom + 4.0))]);
        m.leaf("text", &[("class", "tick middle"), ("x", &at), ("y", &px(bottom + 17.0))], &word);
    }
    let unit = x.unit_word();
    let mut word = if unit.is_empty() { along.to_string() } else { format!("{along} ({unit})") };
    if x.spacing != Spacing::Even {
        word.push_str(", ");
        word.push_str(x.spacing.word());
    }
    m.leaf("text", &[("class", "tick end"), ("x", &px(right)), ("y", &px(bottom + 34.0))], &word);
    if !note.is_empty() {
        m.leaf("text", &[("class", "tick"), ("x", &px(left)), ("y", &px(bottom + 34.0))], note);
    }
}

/// Where something happened: a line with its number on top.
pub fn marks(m: &mut Markup, marks: &[Mark], x: &Scale, (top, bottom): (f64, f64)) {
    let numbered = marks.len() <= NUMBERED_MAX;
    let mut free = f64::NEG_INFINITY;
    // Evenly spread, so that growth is not seen to end where there is no room for more of it.
    let every = marks.len().div_ceil(MARKS_MAX).max(1);
    for mark in marks.iter().step_by(every) {
        let inside = mark.x >= x.low && mark.x <= x.high;
        if !inside {
            continue;
        }
        let at = x.at(mark.x);
        m.tag("g", &[("class", mark.kind)], |m| {
            m.leaf("title", &[], &mark.about);
            m.empty(
                "line",
                &[("class", "event"), ("x1", &px(at)), ("x2", &px(at)), ("y1", &px(top)), ("y2", &px(bottom))],
            );
            // One that would lie on its neighbour's is left out; the line stays.
            if numbered && at - free > 15.0 {
                free = at;
                m.empty("circle", &[("class", "badge"), ("cx", &px(at)), ("cy", &px(top - 8.0)), ("r", "7.5")]);
                m.leaf("text", &[("class", "badge-text"), ("x", &px(at)), ("y", &px(top - 4.4))], &mark.number);
            }
        });
    }
}

/// Names with about so many pixels each, in rows that fit.
fn legend_rows(series: &[Series]) -> Vec<Vec<(usize, bool, String, f64)>> {
    let mut rows: Vec<Vec<(usize, bool, String, f64)>> = Vec::new();
    let mut free = 0.0;
    for one in series {
        let name = cut(&one.name, 26);
        let wide = 42.0 + 7.2 * name.chars().count() as f64;
        if rows.is_empty() || free + wide > WIDTH {
            rows.push(Vec::new());
            free = 0.0;
        }
        rows.last_mut().expect("one was pushed").push((one.kind % KINDS, one.faint, name, free));
        free += wide;
    }
    rows
}

fn legend_row(m: &mut Markup, entries: &[(usize, bool, String, f64)], y: f64) {
    for (kind, faint, name, x) in entries {
        let class = format!("line k{kind}{}", if *faint { " faint" } else { "" });
        m.empty("path", &[("class", &class), ("d", &format!("M{} {}h22", px(*x), px(y - 4.0)))]);
        if !faint {
            m.empty("path", &[("class", &format!("point k{kind}")), ("d", &shape(*kind, x + 11.0, y - 4.0))]);
        }
        m.leaf("text", &[("class", "legend"), ("x", &px(x + 27.0)), ("y", &px(y))], name);
    }
}

/// A point's shape: circle, square, triangle, diamond, cross, the other triangle.
pub fn shape(kind: usize, x: f64, y: f64) -> String {
    let at = format!("M{} {}", px(x), px(y));
    match kind % KINDS {
        0 => format!("{at}m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0Z"),
        1 => format!("{at}m-2.4 -2.4h4.8v4.8h-4.8Z"),
        2 => format!("{at}m0 -3.2l3.1 5.4h-6.2Z"),
        3 => format!("{at}m0 -3.4l3.4 3.4l-3.4 3.4l-3.4 -3.4Z"),
        4 => format!("{at}m-1 -3h2v2h2v2h-2v2h-2v-2h-2v-2h2Z"),
        _ => format!("{at}m0 3.2l3.1 -5.4h-6.2Z"),
    }
}

/// A measured value in words.
pub fn exact(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format!("{:.2} %", 100.0 * value),
        Unit::Points => format!("{:+.2} points", 100.0 * value),
        Unit::Flops => crate::base::numbers::flops(value),
        _ => crate::base::numbers::significant(value),
    }
}

/// A place on the x axis in words.
pub fn told(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Flops => crate::base::numbers::flops(value),
        _ => format!("step {value:.0}"),
    }
}
