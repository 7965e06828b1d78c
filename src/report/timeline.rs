//! Width × depth over time: the hidden layers stacked upon each other, each as high as it is wide, from growth to
//! growth.

use super::chart::{self, LEFT, Mark, RIGHT};
use super::markup::{Markup, cut, px};
use super::network::flat;
use super::scale::{Scale, Unit};
use super::sketch::Drawn;
use crate::base::numbers;
use std::collections::BTreeMap;

/// A network and the step from which on it was this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    pub step: u64,
    pub parameters: Option<u64>,
    pub layers: Vec<Drawn>,
}

/// More stretches or layers than can be told apart.
const PHASES_MAX: usize = 120;
const LAYERS_MAX: usize = 40;

/// The figure; `None` where no network is known. Input and output do not grow and are left out.
pub fn svg(id: &str, phases: &[Phase], end: u64, marks: &[Mark]) -> Option<Markup> {
    let every = phases.len().div_ceil(PHASES_MAX).max(1);
    let phases: Vec<&Phase> =
        phases.iter().enumerate().filter(|(at, _)| at % every == 0 || at + 1 == phases.len()).map(|(_, p)| p).collect();
    let hidden = |phase: &Phase| -> Vec<(String, u64, Option<String>)> {
        let all = flat(&phase.layers);
        let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
        // A pool passes the units of another layer on.
        let inner = inner.iter().filter(|(layer, _)| layer.kind != "pool");
        inner.take(LAYERS_MAX).map(|(l, block)| (l.name.clone(), l.width, block.map(str::to_string))).collect()
    };
    let stacks: Vec<_> = phases.iter().map(|phase| hidden(phase)).collect();
    let total = |stack: &[(String, u64, Option<String>)]| stack.iter().map(|(_, width, _)| *width as f64).sum::<f64>();
    let highest = stacks.iter().map(|stack| total(stack)).fold(0.0, f64::max);
    let first = phases.first()?;
    if highest <= 0.0 {
        return None;
    }
    let (top, bottom) = (44.0, chart::HEIGHT - 42.0);
    let ends = [first.step as f64, end as f64, phases.last()?.step as f64];
    let x = Scale::along(Unit::Count, ends.into_iter(), LEFT, RIGHT)?;
    let y = Scale::along(Unit::Count, [0.0, highest * 1.08].into_iter(), bottom, top)?;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (name, ..) in stacks.iter().flatten() {
        let next = kinds.len();
        kinds.entry(name.clone()).or_insert(next);
    }
    let count = |stack: &[(String, u64, Option<String>)]| numbers::plural(stack.len() as u64, "hidden layer");
    let (began, ended) = (stacks.first()?, stacks.last()?);
    let about = format!(
        "Each band is a hidden layer, as high as its number of units. {} with {} units at the beginning, {} with {} at \
         the end.",
        count(began),
        total(began),
        count(ended),
        total(ended)
    );
    Some(chart::figure(id, "Width × depth: units of each hidden layer", &about, chart::HEIGHT, |m| {
        chart::axes(m, &x, &y, bottom, "steps", "units, input at the bottom");
        for (at, stack) in stacks.iter().enumerate() {
            let from = x.at(phases[at].step as f64);
            let to = phases.get(at + 1).map_or(x.at(end as f64), |next| x.at(next.step as f64));
            bands(m, stack, (from, to), &y, &kinds, at == 0 || at + 1 == stacks.len());
        }
        chart::marks(m, marks, &x, (top, bottom));
    }))
}

fn bands(
    m: &mut Markup,
    stack: &[(String, u64, Option<String>)],
    (from, to): (f64, f64),
    y: &Scale,
    kinds: &BTreeMap<String, usize>,
    told: bool,
) {
    let mut below = 0.0;
    let wide = (to - from).max(0.5);
    for (name, width, block) in stack {
        let (low, high) = (y.at(below), y.at(below + *width as f64));
        below += *width as f64;
        let class = format!("strata k{}", kinds[name] % chart::KINDS);
        let place = [
            ("class", class.as_str()),
            ("x", &px(from)),
            ("y", &px(high)),
            ("width", &px(wide)),
            ("height", &px((low - high).max(1.0))),
        ];
        let inside = block.as_ref().map_or_else(String::new, |block| format!(" in {}", cut(block, 40)));
        m.tag("rect", &place, |m| m.leaf("title", &[], &format!("{}{inside}: {width} units", cut(name, 60))));
        let word = format!("{} · {width}", cut(name, 12));
        let fits = low - high >= 12.0 && wide >= 6.6 * word.chars().count() as f64 + 6.0;
        if fits {
            let place = [("class", "strata-text"), ("x", &px((from + to) / 2.0)), ("y", &px((low + high) / 2.0 + 4.0))];
            m.leaf("text", &place, &word);
        } else if told && low - high >= 10.0 && wide >= 24.0 {
            let place = [("class", "strata-text"), ("x", &px((from + to) / 2.0)), ("y", &px((low + high) / 2.0 + 4.0))];
            m.leaf("text", &place, &cut(name, (wide / 7.5) as usize));
        }
    }
}
