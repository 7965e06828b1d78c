//! What is measured around growth, beside the probe.

use crate::base::Clause;
use crate::check::program::{ActionKind, Condition, Program, Trigger};
use crate::grow::{Concrete, Edit, Origin};
use crate::nn::{Architecture, Dim, Parameter, Role};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which entries growth has made since the last step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fresh {
    /// Of each axis that changed its width, which units are new.
    units: BTreeMap<u32, Marks>,
    /// Layers that were inserted or drawn afresh.
    layers: BTreeSet<String>,
    /// Of each layer whose kernel grew, how many rings are new.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rings: BTreeMap<String, usize>,
}

/// Which units of an axis are marked, as stretches from a unit to the one behind its last, in order. An axis may be
/// wide, and what growth makes stands together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Marks(Vec<(usize, usize)>);

impl Marks {
    fn of(marks: impl Iterator<Item = bool>) -> Marks {
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        for (unit, _) in marks.enumerate().filter(|(_, marked)| *marked) {
            match stretches.last_mut() {
                Some((_, end)) if *end == unit => *end += 1,
                _ => stretches.push((unit, unit + 1)),
            }
        }
        Marks(stretches)
    }

    fn has(&self, unit: usize) -> bool {
        let behind = self.0.partition_point(|(from, _)| *from <= unit);
        behind > 0 && unit < self.0[behind - 1].1
    }
}

impl Fresh {
    /// Adds what an event does. `after`: the architecture behind it.
    pub fn add(&mut self, concrete: &Concrete, after: &Architecture) {
        for edit in &concrete.edits {
            match edit {
                Edit::Rewrite(rewrite) => {
                    let before = self.units.remove(&rewrite.axis.0);
                    let is_new = |origin: &Origin| match origin {
                        Origin::Old { unit, .. } => before.as_ref().is_some_and(|before| before.has(*unit)),
                        _ => true,
                    };
                    self.units.insert(rewrite.axis.0, Marks::of(rewrite.origins.iter().map(is_new)));
                }
                Edit::Kernel { layer, from, to, .. } => {
                    *self.rings.entry(layer.clone()).or_default() += (to - from) / 2;
                }
                Edit::Insert { layer, .. } | Edit::Redraw { layer } => {
                    let made = after.layer(layer).into_iter();
                    self.layers.extend(
                        made.flat_map(|layer| std::iter::once(layer).chain(&layer.block)).map(|made| made.name.clone()),
                    );
                }
                _ => {}
            }
        }
    }

    /// Norms of the last gradient over new and over old entries. `None` where there are no such entries.
    pub fn gradient_norms(&self, parameters: &[Parameter<f32>]) -> (Option<f64>, Option<f64>) {
        // [fresh, old]: sum of squares and whether there was any.
        let mut sums = [(0.0_f64, false); 2];
        for parameter in parameters.iter().filter(|p| !p.frozen && p.role.is_learned() && p.updates > 0) {
            let layer = parameter.name.split_once('.').map_or(parameter.name.as_str(), |(layer, _)| layer);
            let whole = self.layers.contains(layer);
            // Of a kernel alone: nothing else of such a layer has dimensions of its own.
            let ring = self.rings.get(layer).copied().filter(|_| parameter.role == Role::Weight);
            let in_ring = |at: usize, index: usize| match (parameter.dims[at], ring) {
                (Dim::Fixed(taps), Some(ring)) => index < ring || index + ring >= taps,
                _ => false,
            };
            let new: Vec<Option<&Marks>> = parameter
                .dims
                .iter()
                .map(|dim| match dim {
                    Dim::Feature(axis, _) => self.units.get(&axis.0),
                    Dim::Fixed(_) => None,
                })
                .collect();
            for (index, gradient) in parameter.gradient.indexed_iter() {
                let is_new = |(at, new): (usize, &Option<&Marks>)| {
                    new.is_some_and(|new| new.has(index[at])) || in_ring(at, index[at])
                };
                let fresh = whole || new.iter().enumerate().any(is_new);
                let sum = &mut sums[usize::from(!fresh)];
                sum.0 += f64::from(*gradient) * f64::from(*gradient);
                sum.1 = true;
            }
        }
        let [fresh, old] = sums.map(|(sum, any)| any.then(|| sum.sqrt()));
        (fresh, old)
    }
}

/// Whether more of a metric (by its full name, `val_accuracy`) is better.
pub fn higher_is_better(name: &str) -> bool {
    let word = name.split_once('_').map_or(name, |(_, word)| word);
    crate::train::metrics::find(word).is_some_and(|metric| metric.higher_is_better)
}

/// Whether a condition asks for a metric of the training part other than the loss, which costs a pass over it.
pub fn mentions_training_metric(program: &Program) -> bool {
    let mut all: Vec<&Condition> = program.train.stop_when.iter().flatten().collect();
    for event in &program.events {
        if let Trigger::When { conditions, .. } = &event.trigger {
            all.extend(conditions);
        }
        for action in &event.actions {
            if let ActionKind::Assert(conditions) = &action.kind {
                all.extend(conditions);
            }
        }
    }
    let asks = |name: &str| name.starts_with("train_") && name != "train_loss";
    all.iter().any(|condition| match &condition.clause {
        Clause::Compare { metric, .. } | Clause::Plateau { metric, .. } => asks(metric),
    }) || program.train.keep_best.as_ref().is_some_and(|(metric, _)| asks(metric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{AxisId, Role, Side};
    use ndarray::ArrayD;

    #[test]
    fn starvation_is_measured_on_fresh_entries_alone() {
        // [2, 3], both births long ago, as after `moments zero`: row 1 and column 2 are new, the rest is not.
        let array = ArrayD::from_elem(vec![2, 3], 2.0_f32);
        let parameter = Parameter {
            name: "h1.weight".into(),
            role: Role::Weight,
            dims: vec![Dim::Feature(AxisId(1), Side::Emits), Dim::Feature(AxisId(2), Side::Reads)],
            value: array.clone(),
            gradient: array,
            slots: Vec::new(),
            frozen: false,
            updates: 6,
            births: vec![vec![5, 5], vec![5, 5, 5]],
        };
        let frozen = Parameter { frozen: true, ..parameter.clone() };
        let mut fresh = Fresh::default();
        fresh.units.insert(1, Marks::of([false, true].into_iter()));
        fresh.units.insert(2, Marks::of([false, false, true].into_iter()));
        // Fresh: the three of row 1 and one of column 2; old: two. What is frozen has no gradient.
        let expected = (Some(f64::sqrt(4.0 * 4.0)), Some(f64::sqrt(2.0 * 4.0)));
        assert_eq!(fresh.gradient_norms(&[parameter.clone(), frozen]), expected);
        fresh.layers.insert("h1".into());
        assert_eq!(fresh.gradient_norms(&[parameter]), (Some(f64::sqrt(6.0 * 4.0)), None));
    }
}
