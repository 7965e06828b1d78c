//! The words of growth events, for every format.

use super::chart::Mark;
use super::course::{Along, Course};
use super::markup::cut;
use super::subject::{Run, what};
use crate::base::numbers;
use crate::record::schema::Event;

/// More rows than anybody reads; the record has the others.
pub const ROWS_MAX: usize = 200;

/// `20`, and `20.4` between two boundaries; in digits also where it is absurd.
pub fn epoch(epoch: f64) -> String {
    if epoch.abs() >= 1e6 {
        return numbers::significant(epoch);
    }
    let text = format!("{epoch:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// `bounded ≤ 2.2e-2`
pub fn promise(event: &Event) -> String {
    let bound = event.bound.map_or_else(String::new, |bound| format!(" ≤ {}", numbers::tiny(bound)));
    format!("{}{bound}", cut(&event.promise, 40))
}

/// `+12.0 %, recovered in 40 steps`
pub fn shock(event: &Event) -> String {
    let Some(shock) = event.shock else { return "–".into() };
    let rise = numbers::signed_percent(shock);
    match event.recovered_after_steps {
        Some(steps) if shock > 0.0 && steps > 0 => format!("{rise}, {}", numbers::plural(steps, "step")),
        None if shock > 0.0 => format!("{rise}, not in 100 steps"),
        _ => rise,
    }
}

/// `0.57 / 1.5`: of the gradient after it, over fresh and over old weights.
pub fn gradients(event: &Event) -> String {
    let one = |value: Option<f64>| value.map_or_else(|| "–".into(), numbers::short);
    match (event.grad_fresh, event.grad_old) {
        (None, None) => "–".into(),
        (fresh, old) => format!("{} / {}", one(fresh), one(old)),
    }
}

/// `3.5k → 26.1k`
pub fn parameters(event: &Event) -> String {
    let (before, after) = (event.parameters_before, event.parameters_after);
    match before == after {
        true => numbers::count(after),
        false => format!("{} → {}", numbers::count(before), numbers::count(after)),
    }
}

/// Where the network grew, for a figure; rollbacks too.
pub fn marks(run: &Run, along: Along) -> Vec<Mark> {
    let place = |course: &Course, step: u64| match along {
        Along::Steps => Some(step as f64),
        Along::Flops => course.flops_at(step as f64),
    };
    let grown = run.record.events.iter().enumerate().filter_map(|(at, event)| {
        let about = format!(
            "{}. step {}: {}, promise {}, drift {}",
            at + 1,
            event.step,
            cut(&what(event).0, 120),
            promise(event),
            numbers::tiny(event.drift)
        );
        Some(Mark { x: place(&run.course, event.step)?, number: (at + 1).to_string(), about, kind: "grow" })
    });
    let back = run.record.rollbacks.iter().filter_map(|back| {
        let about = format!(
            "diverged at step {}, went back to step {}, learning rate × {}",
            back.step,
            back.back_to,
            numbers::short(back.factor)
        );
        Some(Mark { x: place(&run.course, back.back_to)?, number: "↶".into(), about, kind: "back" })
    });
    let mut marks: Vec<Mark> = grown.chain(back).collect();
    marks.sort_by(|a, b| a.x.total_cmp(&b.x));
    marks
}
