//! Whether an event kept its promise, measured on examples (docs/growth.md §8).
//!
//! It is judged where the change ends: at the pre-activation of every layer that reads what was changed, in
//! evaluation mode. The allowance for rounding is that of two sums of K products in any order,
//! |Δ| ≤ 2(K + 8)·2⁻²⁴·(|W||h| + |b|); its constants are never raised.

use super::norms::NormReading;
use super::{Change, Plan, Promise, anatomy};
use crate::nn::network::{Mode, Network};
use crate::tensor::{Compute, product};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use std::collections::BTreeMap;
use std::ops::Range;

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
    /// What readers made of what they read, where a bound will be asked for.
    maps: BTreeMap<String, Map>,
    parts: Vec<Part>,
}

/// Some of the examples, as many as are looked at together. What a convolution reads is every pixel as often as its
/// kernel has taps, so it is never there for all examples at once, and never kept.
struct Part {
    examples: Range<usize>,
    output: Array2<f32>,
    readers: Vec<Before>,
    /// Norms over all units of a widened layer.
    norms: Vec<NormReading>,
}

/// The product and the bias of a reader: h·weightᵀ + bias.
struct Map {
    /// [out, in]
    weight: Array2<f32>,
    bias: Option<Array1<f32>>,
}

/// One reader on some examples before an event.
struct Before {
    name: String,
    /// [row, out]
    pre_activation: Array2<f32>,
    /// Where a bound will be asked for: how far rounding may have moved that, and the digest of what was read.
    rounding: Option<(Array2<f64>, String)>,
}

/// One reader on some examples. A row is an example; of a convolution it is a pixel of its output, and what it reads
/// there is a patch of the image, channel by channel.
pub(super) struct Reading {
    /// What it reads: [row, in].
    pub input: Array2<f32>,
    /// [out, in]
    pub weight: Array2<f32>,
    pub bias: Option<Array1<f32>>,
    /// z = input·weightᵀ + bias: [row, out].
    pub pre_activation: Array2<f32>,
}

impl Probe {
    /// Runs the probe `x`: [example, in] through the network before the event.
    pub fn before(network: &mut Network<f32>, x: ArrayView2<'_, f32>, plan: &Plan) -> Probe {
        let readers = readers(plan);
        let is_bounded = matches!(plan.promise, Promise::Rounding | Promise::Bounded);
        let map = |name: &String| {
            let (weight, bias) = network.weights_of(name).expect("a reader is a layer of the network");
            (name.clone(), Map { weight, bias })
        };
        let maps = readers.iter().filter(|_| is_bounded).map(map).collect();
        let widened = plan.changes.iter().filter_map(|change| match change {
            Change::Widen { axis, .. } if plan.promise != Promise::None => Some(*axis),
            _ => None,
        });
        let writers: Vec<_> = widened.flat_map(|axis| anatomy::weight_writers(axis, &plan.after)).collect();
        let mut part = |examples: Range<usize>| {
            let output = network.forward(x.slice(s![examples.clone(), ..]), Mode::Evaluate).to_owned();
            let readers = readers.iter().map(|name| Before::of(network, name, is_bounded)).collect();
            let norms = writers.iter().filter_map(|layer| NormReading::of(network, layer)).collect();
            Part { examples, output, readers, norms }
        };
        Probe { maps, parts: anatomy::at_once(x.nrows(), &plan.after).map(&mut part).collect() }
    }

    /// Runs the same examples after the event and compares.
    pub fn after(self, network: &mut Network<f32>, x: ArrayView2<'_, f32>, plan: &Plan) -> Measured {
        let none = Verdict { held: true, bound: None, largest: 0.0 };
        let mut verdict = if plan.promise == Promise::None { none } else { Verdict { bound: Some(0.0), ..none } };
        let mut drift = 0.0;
        let inserted = plan.changes.iter().any(|change| matches!(change, Change::Insert { .. }));
        for part in &self.parts {
            let output = network.forward(x.slice(s![part.examples.clone(), ..]), Mode::Evaluate).to_owned();
            drift = larger(drift, largest_difference(&part.output, &output));
            for before in &part.readers {
                let one = match (&before.rounding, self.maps.get(&before.name)) {
                    (Some((allowance, read)), Some(map)) => {
                        let after = Reading::of(network, &before.name);
                        let slack = part.silenced(&before.name, plan).map(|norm| norm.slack(network, &after));
                        let places = places(&before.name, map.weight.ncols(), plan);
                        let judge = Bounds { promise: plan.promise, inserted, map, places, slack };
                        judge.judge(&before.pre_activation, allowance, read, &after, network.compute())
                    }
                    _ => {
                        let now = network.pre_activation(&before.name).expect("a reader is a layer of the network");
                        let largest = largest_difference(&before.pre_activation, &now);
                        Verdict { held: largest == 0.0, bound: Some(0.0), largest }
                    }
                };
                verdict = Verdict {
                    held: verdict.held && one.held,
                    bound: verdict.bound.zip(one.bound).map(|(a, b)| a.max(b)),
                    largest: larger(verdict.largest, one.largest),
                };
            }
            for norm in &part.norms {
                let (largest, allowed, held) = norm.judge(network);
                verdict.held &= held;
                verdict.bound = verdict.bound.map(|bound| bound.max(allowed));
                verdict.largest = larger(verdict.largest, largest);
            }
        }
        // The same numbers everywhere give the same numbers at the end.
        verdict.held &= plan.promise != Promise::Bitwise || drift == 0.0;
        Measured { drift, verdict }
    }

    /// Whether the network gave numbers before the event. Nothing is promised about one that did not.
    pub fn is_finite(&self) -> bool {
        self.parts.iter().flat_map(|part| &part.output).all(|y| y.is_finite())
    }
}

impl Part {
    /// The norm behind which fresh units say what this reader's bias takes back.
    fn silenced(&self, reader: &str, plan: &Plan) -> Option<&NormReading> {
        let layer = plan.changes.iter().find_map(|change| match change {
            Change::Renorm { layer, silenced } if silenced.iter().any(|name| name == reader) => Some(layer),
            _ => None,
        })?;
        self.norms.iter().find(|norm| norm.layer() == layer)
    }
}

impl Before {
    fn of(network: &Network<f32>, name: &str, is_bounded: bool) -> Before {
        if !is_bounded {
            let pre_activation = network.pre_activation(name).expect("a reader is a layer of the network");
            return Before { name: name.into(), pre_activation, rounding: None };
        }
        let reading = Reading::of(network, name);
        let rounding = Some((allowance(&reading, network.compute()), digest(&reading.input)));
        Before { name: name.into(), pre_activation: reading.pre_activation, rounding }
    }
}

impl Reading {
    pub fn of(network: &Network<f32>, layer: &str) -> Reading {
        let (weight, bias) = network.weights_of(layer).expect("a reader is a layer of the network");
        let input = network.layer_input(layer).expect("a reader is a layer of the network");
        let pre_activation = network.pre_activation(layer).expect("a reader is a layer of the network");
        Reading { input, weight, bias, pre_activation }
    }
}

/// Of what was read, to see whether it is read again; −0 is 0.
fn digest(input: &Array2<f32>) -> String {
    let bits: Vec<[u8; 4]> = input.iter().map(|x| (x + 0.0).to_le_bytes()).collect();
    crate::base::digest::bytes(bits.as_flattened())
}

/// Where among the values that a reader reads now the `old` ones are that it read before. Old units come first, as
/// every operator of ours leaves them, and the taps of a kernel stay in its middle.
fn places(reader: &str, old: usize, plan: &Plan) -> Vec<usize> {
    let kernel = plan.changes.iter().find_map(|change| match change {
        Change::Kernel { layer, from, .. } if layer == reader => Some(*from),
        _ => None,
    });
    let Some(from) = kernel else { return (0..old).collect() };
    let to = plan.after.layer(reader).expect("a layer whose kernel grows stays").settings.kernel;
    let ring = (to - from) / 2;
    let place = |at: usize| {
        let (channel, y, x) = (at / (from * from), at / from % from, at % from);
        (channel * to + y + ring) * to + x + ring
    };
    (0..old).map(place).collect()
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
            Change::Kernel { layer, .. } => {
                names.push(layer.clone());
                continue;
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

/// How one reader is judged that may be off by rounding, or by what fresh units say.
struct Bounds<'a> {
    promise: Promise,
    /// A new layer stands before the reader, so it reads other values that must give the same result.
    inserted: bool,
    map: &'a Map,
    /// See [`places`].
    places: Vec<usize>,
    /// What a norm may add to the allowance, [row, out].
    slack: Option<Array2<f64>>,
}

impl Bounds<'_> {
    /// Only a reader's old units are judged, because nothing was promised about others. Where its old inputs have
    /// changed because the same action changed an earlier layer too, the comparison is with the old weights on the
    /// inputs of now: what comes from below has been judged there.
    fn judge(
        &self,
        pre_activation: &Array2<f32>,
        rounding_before: &Array2<f64>,
        read: &str,
        after: &Reading,
        compute: &Compute,
    ) -> Verdict {
        let old_input = || after.input.select(Axis(1), &self.places);
        let reference = if self.inserted || digest(&old_input()) == read {
            pre_activation.mapv(f64::from)
        } else {
            let Map { weight, bias } = self.map;
            affine(&old_input().mapv(f64::from), &weight.mapv(f64::from), bias.as_ref(), compute)
        };
        let rounding_after = allowance(after, compute);
        let spoken = (self.promise == Promise::Bounded).then(|| fresh_voice(after, self.places.len()));
        let mut verdict = Verdict { held: true, bound: Some(0.0), largest: 0.0 };
        for ((row, unit), expected) in reference.indexed_iter() {
            let at = [row, unit];
            let change = (f64::from(after.pre_activation[at]) - expected).abs();
            let voice = spoken.as_ref().map_or(0.0, |(weights, values)| weights[unit] * values[row]);
            let slack = self.slack.as_ref().map_or(0.0, |slack| slack[at]);
            let bound = rounding_before[at].max(rounding_after[at]) + voice + slack;
            verdict.held &= change <= bound;
            verdict.bound = verdict.bound.map(|largest| largest.max(bound));
            verdict.largest = larger(verdict.largest, change);
        }
        verdict
    }
}

/// 2(K + 8)·2⁻²⁴·(|W||h| + |b|): [row, out]. K: what one row reads, of a convolution channels · taps.
pub(super) fn allowance(reading: &Reading, compute: &Compute) -> Array2<f64> {
    let magnitude = |x: &f32| f64::from(x.abs());
    let bias = reading.bias.as_ref().map(|bias| bias.mapv(f32::abs));
    let sums = affine(&reading.input.map(magnitude), &reading.weight.map(magnitude), bias.as_ref(), compute);
    let terms = reading.input.ncols() as f64;
    sums * (2.0 * (terms + 8.0) * 2f64.powi(-24))
}

/// h·Wᵀ + b in f64: [row, out].
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

/// ‖e·Ẑ‖ of each output unit and ‖f(Ux + u)‖ of each row: their product bounds what fresh units add.
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
