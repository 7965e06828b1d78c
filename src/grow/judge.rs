//! Whether an event kept its promise, measured on examples (docs/growth.md §8).
//!
//! It is judged where the change ends: at the pre-activation of every layer that reads what was changed, in
//! evaluation mode. The allowance for rounding is that of two sums of K products in any order,
//! |Δ| ≤ 2(K + 8)·2⁻²⁴·(|W||h| + |b|); its constants are never raised.

use super::norms::NormReading;
use super::{Change, Plan, Promise, anatomy};
use crate::nn::network::{Mode, Network};
use crate::tensor::{Compute, product};
use ndarray::{Array1, Array2, ArrayView2, s};

/// Whether a promise held, and by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub held: bool,
    /// The largest change that the promise allowed anywhere; `None` where nothing was promised.
    pub bound: Option<f64>,
    /// The largest change at a reader's pre-activation; 0 where nothing was promised.
    pub largest: f64,
}

/// What an event did on the probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Largest |Δ| of the network's output, by the engine's own forward pass.
    pub drift: f64,
    pub verdict: Verdict,
}

/// The network on the probe before an event.
pub struct Probe {
    output: Array2<f32>,
    readers: Vec<(String, Reading)>,
    /// Norms over all units of a widened layer.
    norms: Vec<NormReading>,
}

/// One reader on the probe.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What it reads: [example, unit].
    pub input: Array2<f32>,
    /// [out, in]
    pub weight: Array2<f32>,
    pub bias: Option<Array1<f32>>,
    /// z = input·weightᵀ + bias: [example, out].
    pub pre_activation: Array2<f32>,
}

impl Probe {
    /// Runs the probe `x`: [example, in] through the network before the event.
    pub fn before(network: &mut Network<f32>, x: ArrayView2<'_, f32>, plan: &Plan) -> Probe {
        let output = network.forward(x, Mode::Evaluate).to_owned();
        let readers = readers(plan)
            .into_iter()
            .map(|name| {
                let reading = Reading::of(network, &name);
                (name, reading)
            })
            .collect();
        let widened = plan.changes.iter().filter_map(|change| match change {
            Change::Widen { axis, .. } if plan.promise != Promise::None => Some(*axis),
            _ => None,
        });
        let writers = widened.flat_map(|axis| anatomy::weight_writers(axis, &plan.after));
        let norms = writers.filter_map(|layer| NormReading::of(network, layer)).collect();
        Probe { output, readers, norms }
    }

    /// Runs the same examples after the event and compares.
    pub fn after(self, network: &mut Network<f32>, x: ArrayView2<'_, f32>, plan: &Plan) -> Measured {
        let output = network.forward(x, Mode::Evaluate).to_owned();
        let drift = largest_difference(&self.output, &output);
        let none = Verdict { held: true, bound: None, largest: 0.0 };
        let mut verdict = if plan.promise == Promise::None { none } else { Verdict { bound: Some(0.0), ..none } };
        let inserted = plan.changes.iter().any(|change| matches!(change, Change::Insert { .. }));
        for (name, before) in &self.readers {
            let after = Reading::of(network, name);
            let slack = self.silenced(name, plan).map(|norm| norm.slack(network, &after));
            let one = judge(plan.promise, inserted, before, &after, slack.as_ref(), network.compute());
            verdict = Verdict {
                held: verdict.held && one.held,
                bound: verdict.bound.zip(one.bound).map(|(a, b)| a.max(b)),
                largest: larger(verdict.largest, one.largest),
            };
        }
        for norm in &self.norms {
            let (largest, allowed, held) = norm.judge(network);
            verdict.held &= held;
            verdict.bound = verdict.bound.map(|bound| bound.max(allowed));
            verdict.largest = larger(verdict.largest, largest);
        }
        // The same numbers everywhere give the same numbers at the end.
        verdict.held &= plan.promise != Promise::Bitwise || drift == 0.0;
        Measured { drift, verdict }
    }

    /// Whether the network gave numbers before the event. Nothing is promised about one that did not.
    pub fn is_finite(&self) -> bool {
        self.output.iter().all(|y| y.is_finite())
    }

    /// The norm behind which fresh units say what this reader's bias takes back.
    fn silenced(&self, reader: &str, plan: &Plan) -> Option<&NormReading> {
        let layer = plan.changes.iter().find_map(|change| match change {
            Change::Renorm { layer, silenced } if silenced.iter().any(|name| name == reader) => Some(layer),
            _ => None,
        })?;
        self.norms.iter().find(|norm| norm.layer() == layer)
    }
}

impl Reading {
    pub(super) fn of(network: &Network<f32>, layer: &str) -> Reading {
        let (weight, bias) = network.weights_of(layer).expect("a reader is a layer of the network");
        let input = network.layer_input(layer).expect("a reader is a layer of the network");
        let pre_activation = network.pre_activation(layer).expect("a reader is a layer of the network");
        Reading { input, weight, bias, pre_activation }
    }
}

/// The layers at which a plan's promise is judged, in order; none where nothing was promised.
pub fn readers(plan: &Plan) -> Vec<String> {
    let after = &plan.after;
    let mut names: Vec<String> = Vec::new();
    if plan.promise == Promise::None {
        return names;
    }
    // What the plan makes was not there to be compared with; a new block reads the stream that it writes.
    let is_new = |name: &str| {
        plan.changes.iter().any(|change| match change {
            Change::Insert { layer, .. } => {
                let made = after.layer(layer).expect("a plan inserts into its architecture");
                made.name == name || made.block.iter().any(|inner| inner.name == name)
            }
            _ => false,
        })
    };
    for change in &plan.changes {
        let axis = match change {
            Change::Widen { axis, .. } | Change::Narrow { axis, .. } => *axis,
            Change::Insert { layer, .. } => {
                after.layer(layer).expect("a plan inserts into its architecture").output.axis
            }
            _ => continue,
        };
        for reader in anatomy::weight_readers(axis, after) {
            if !names.contains(&reader.name) && !is_new(&reader.name) {
                names.push(reader.name.clone());
            }
        }
    }
    names
}

/// Judges one reader. Old units come first in its new input and among its own units, as every operator of ours
/// leaves them; only its old units are judged, because nothing was promised about others.
/// `inserted`: a new layer stands before the reader, so it reads other values that must give the same result.
/// Otherwise, where its old inputs have changed because the same action changed an earlier layer too, the
/// comparison is with the old weights on the inputs of now: what comes from below has been judged there.
/// `slack`: what a norm may add to the allowance, [example, out].
pub fn judge(
    promise: Promise,
    inserted: bool,
    before: &Reading,
    after: &Reading,
    slack: Option<&Array2<f64>>,
    compute: &Compute,
) -> Verdict {
    match promise {
        Promise::None => Verdict { held: true, bound: None, largest: 0.0 },
        Promise::Bitwise => {
            let largest = largest_difference(&before.pre_activation, &after.pre_activation);
            Verdict { held: largest == 0.0, bound: Some(0.0), largest }
        }
        Promise::Rounding | Promise::Bounded => within_bounds(promise, inserted, before, after, slack, compute),
    }
}

fn within_bounds(
    promise: Promise,
    inserted: bool,
    before: &Reading,
    after: &Reading,
    slack: Option<&Array2<f64>>,
    compute: &Compute,
) -> Verdict {
    let old = before.input.ncols();
    let reference = if inserted || after.input.slice(s![.., ..old]) == before.input {
        before.pre_activation.mapv(f64::from)
    } else {
        let old_input = after.input.slice(s![.., ..old]).mapv(f64::from);
        affine(&old_input, &before.weight.mapv(f64::from), before.bias.as_ref(), compute)
    };
    let rounding_before = allowance(before, compute);
    let rounding_after = allowance(after, compute);
    let spoken = (promise == Promise::Bounded).then(|| fresh_voice(after, old));
    let mut verdict = Verdict { held: true, bound: Some(0.0), largest: 0.0 };
    for ((example, unit), expected) in reference.indexed_iter() {
        let at = [example, unit];
        let change = (f64::from(after.pre_activation[at]) - expected).abs();
        let voice = spoken.as_ref().map_or(0.0, |(weights, values)| weights[unit] * values[example]);
        let bound = rounding_before[at].max(rounding_after[at]) + voice + slack.map_or(0.0, |slack| slack[at]);
        verdict.held &= change <= bound;
        verdict.bound = verdict.bound.map(|largest| largest.max(bound));
        verdict.largest = larger(verdict.largest, change);
    }
    verdict
}

/// 2(K + 8)·2⁻²⁴·(|W||h| + |b|): [example, out].
pub(super) fn allowance(reading: &Reading, compute: &Compute) -> Array2<f64> {
    let magnitude = |x: &f32| f64::from(x.abs());
    let bias = reading.bias.as_ref().map(|bias| bias.mapv(f32::abs));
    let sums = affine(&reading.input.map(magnitude), &reading.weight.map(magnitude), bias.as_ref(), compute);
    let terms = reading.input.ncols() as f64;
    sums * (2.0 * (terms + 8.0) * 2f64.powi(-24))
}

/// h·Wᵀ + b in f64: [example, out].
fn affine(input: &Array2<f64>, weight: &Array2<f64>, bias: Option<&Array1<f32>>, compute: &Compute) -> Array2<f64> {
    let mut out = Array2::zeros((input.nrows(), weight.nrows()));
    product(compute, input.view(), weight.t(), 0.0, out.view_mut());
    if let Some(bias) = bias {
        for mut row in out.rows_mut() {
            row.iter_mut().zip(bias).for_each(|(out, b)| *out += f64::from(*b));
        }
    }
    out
}

/// ‖e·Ẑ‖ of each output unit and ‖f(Ux + u)‖ of each example: their product bounds what fresh units add.
fn fresh_voice(after: &Reading, old: usize) -> (Vec<f64>, Vec<f64>) {
    let norms = |rows: &Array2<f32>| -> Vec<f64> {
        rows.rows()
            .into_iter()
            .map(|row| row.iter().skip(old).fold(0.0, |sum, x| sum + f64::from(*x) * f64::from(*x)).sqrt())
            .collect()
    };
    (norms(&after.weight), norms(&after.input))
}

/// Largest |a − b| over the columns of a; NaN when one of them holds a NaN, so that no comparison with it holds.
fn largest_difference(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    a.indexed_iter().fold(0.0, |largest, (at, a)| larger(largest, (f64::from(*a) - f64::from(b[at])).abs()))
}

/// The larger of two; NaN wins.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}
