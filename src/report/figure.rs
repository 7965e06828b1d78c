//! One figure as a file of its own, for a README, a paper or slides: valid XML, in the reader's colour scheme.

use super::course::Along;
use super::markup::Markup;
use super::subject::{Compared, Run};
use super::{arms, chart, page, run_page};

/// The metric that says most over the steps, with the growth events, above width × depth.
pub fn run(run: &Run) -> String {
    let words = run_page::words(&run.course);
    let metric = words.iter().find_map(|word| run_page::chart(&run.course, run, word, Along::Steps));
    standing(&run.record.name, [metric, run_page::strata(run)])
}

/// The metric of each arm over the operations; without a course, the means with their intervals.
pub fn comparison(compared: &Compared) -> String {
    let comparison = &compared.comparison;
    let metric = comparison.course.as_ref().unwrap_or(&comparison.metric);
    let course = arms::course(compared, metric, Along::Flops, "course");
    let means = arms::intervals(compared).0;
    standing(&comparison.name, [course.or(means), None])
}

/// Figures one below the other, as one.
fn standing(name: &str, figures: [Option<Markup>; 2]) -> String {
    const GAP: f64 = 12.0;
    const EDGE: f64 = 14.0;
    let figures: Vec<Markup> = figures.into_iter().flatten().collect();
    let each = chart::HEIGHT + GAP;
    let (width, height) = (chart::WIDTH + 2.0 * EDGE, each * figures.len().max(1) as f64 - GAP + 2.0 * EDGE);
    let about = if figures.is_empty() {
        "Nothing was measured that could be drawn."
    } else {
        "A figure made by growrun report."
    };
    let mut m = Markup::new();
    m.own("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a report of growrun -->\n");
    m.add(&chart::sized_figure("figure", name, about, (width, height), false, |m| {
        m.tag("style", &[], |m| m.own(include_str!("figure.css")));
        m.empty("rect", &[("width", "100%"), ("height", "100%"), ("fill", "var(--paper)")]);
        page::patterns(m);
        for (at, figure) in figures.iter().enumerate() {
            let place = format!("translate({EDGE} {})", EDGE + at as f64 * each);
            m.tag("g", &[("transform", &place)], |m| m.add(figure));
        }
        if figures.is_empty() {
            m.leaf("text", &[("x", "20"), ("y", "40")], about);
        }
    }));
    m.into_string()
}
