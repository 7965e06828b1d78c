//! The only place that changes the size of a tensor: one rewrite of one axis, applied to every array that
//! spans it. The factors are those of docs/growth.md §1; nothing here knows a layer kind or an optimiser.

use super::realise::Dice;
use crate::nn::architecture::Init;
use crate::nn::init::{Law, fans};
use crate::nn::{Architecture, AxisId, Dim, Layer, Parameter, Role, Side, SlotKind};
use crate::tensor::Real;
use ndarray::{Array2, ArrayD, Axis, IxDyn};

/// Where one unit of the new axis comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// A unit that was there. Its readers get `share` of its outgoing weights: 1, or for several copies of
    /// one unit numbers that sum to 1.
    Old { unit: usize, share: f64 },
    /// A new unit, drawn by the initialisers of the layers on both sides, at the rewrite's scales.
    Fresh,
    /// A new unit to which nobody listens yet: drawn likewise, with outgoing weights 0.
    Silent,
    /// A new unit with the incoming weights of the new unit `of` and its outgoing ones negated: the two cancel.
    Opposite { of: usize },
    /// A new unit whose weights were worked out from measurements: its place among [`Rewrite::given`].
    Given { at: usize },
}

/// The scale of fresh weights, relative to the initialiser of the layer that they belong to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fresh {
    /// Of the outgoing weights.
    pub eps: f64,
    /// Of the incoming weights.
    pub fan_in: f64,
}

/// Weights of new units in one parameter: one row for each unit, which holds its incoming weights where the
/// parameter emits the axis and its outgoing ones where it reads it. What the row is too short for stays 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub parameter: String,
    /// [unit, weight]
    pub units: Array2<f64>,
}

/// What becomes of one axis, in every tensor that spans it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    pub axis: AxisId,
    /// One for each unit of the new axis.
    pub origins: Vec<Origin>,
    pub fresh: Fresh,
    /// The weights of the units that say [`Origin::Given`].
    pub given: Vec<Given>,
    /// The optimiser's state of everything that spans the axis begins anew.
    pub zero_moments: bool,
}

/// What an array of a parameter is, for its factors.
#[derive(Clone, Copy)]
enum ArrayKind {
    Value,
    /// Gradients and first moments: dual to the value.
    First,
    Second,
}

impl ArrayKind {
    /// By what the entries of a copy are multiplied. α: the copy's share.
    ///
    /// | | emits | reads |
    /// |---|---|---|
    /// | value | 1 | α |
    /// | gradient, first moment | α | 1 |
    /// | second moment | α² | 1 |
    fn factor(self, side: Side, share: f64) -> f64 {
        match (self, side) {
            (ArrayKind::Value, Side::Reads) | (ArrayKind::First, Side::Emits) => share,
            (ArrayKind::Second, Side::Emits) => share * share,
            _ => 1.0,
        }
    }
}

impl Rewrite {
    /// A rewrite that draws nothing and carries the optimiser's state.
    pub fn new(axis: AxisId, origins: Vec<Origin>) -> Rewrite {
        Rewrite { axis, origins, fresh: Fresh { eps: 0.0, fan_in: 0.0 }, given: Vec::new(), zero_moments: false }
    }

    /// Rewrites one parameter with everything that belongs to it. `layer` is its owner in `after`.
    pub fn apply<T: Real>(&self, parameter: &mut Parameter<T>, layer: &Layer, after: &Architecture, dice: Dice) {
        let mut spanned: Vec<(usize, Side)> = parameter
            .dims
            .iter()
            .enumerate()
            .filter_map(|(at, dim)| match dim {
                Dim::Feature(axis, side) if *axis == self.axis => Some((at, *side)),
                _ => None,
            })
            .collect();
        // Rows last: a fresh row takes the writer's rule even at a fresh column.
        spanned.sort_by_key(|(_, side)| *side == Side::Emits);
        for (at, side) in spanned {
            self.resize(&mut parameter.value, at, side, ArrayKind::Value, parameter.role);
            self.fill(parameter, at, side, layer, after, dice);
            self.resize(&mut parameter.gradient, at, side, ArrayKind::First, parameter.role);
            for slot in &mut parameter.slots {
                let kind = match slot.kind {
                    SlotKind::FirstMoment => ArrayKind::First,
                    SlotKind::SecondMoment => ArrayKind::Second,
                };
                self.resize(&mut slot.value, at, side, kind, parameter.role);
            }
            parameter.births[at] = self
                .origins
                .iter()
                .map(|origin| match origin {
                    Origin::Old { unit, .. } => parameter.births[at][*unit],
                    _ => parameter.updates,
                })
                .collect();
            if self.zero_moments {
                begin_anew(parameter);
            }
        }
    }

    /// One array along one dimension: copies with their factors, fresh entries 0.
    fn resize<T: Real>(&self, array: &mut ArrayD<T>, at: usize, side: Side, kind: ArrayKind, role: Role) {
        let mut shape = array.shape().to_vec();
        shape[at] = self.origins.len();
        let mut resized = ArrayD::from_elem(IxDyn(&shape), T::ZERO);
        for (new, origin) in self.origins.iter().enumerate() {
            let Origin::Old { unit, share } = *origin else { continue };
            let factor = if role.is_learned() { kind.factor(side, share) } else { 1.0 };
            let mut into = resized.index_axis_mut(Axis(at), new);
            into.assign(&array.index_axis(Axis(at), unit));
            if factor != 1.0 {
                let factor = T::from_f64(factor);
                into.mapv_inplace(|x| x * factor);
            }
        }
        *array = resized;
    }

    /// Values of fresh entries along one dimension; they are 0 before.
    fn fill<T: Real>(
        &self,
        parameter: &mut Parameter<T>,
        at: usize,
        side: Side,
        layer: &Layer,
        after: &Architecture,
        dice: Dice,
    ) {
        match parameter.role {
            Role::Weight => {
                self.draw(parameter, side, layer, after, dice);
                self.give(parameter, at);
            }
            Role::Gain | Role::RunningVariance => {
                for (new, origin) in self.origins.iter().enumerate() {
                    if !matches!(origin, Origin::Old { .. }) {
                        parameter.value.index_axis_mut(Axis(at), new).fill(T::ONE);
                    }
                }
            }
            Role::Bias | Role::RunningMean | Role::Blend => {}
        }
        for (new, origin) in self.origins.iter().enumerate() {
            let Origin::Opposite { of } = *origin else { continue };
            let mut twin = parameter.value.index_axis(Axis(at), of).to_owned();
            if side == Side::Reads {
                twin.mapv_inplace(|x| -x);
            }
            parameter.value.index_axis_mut(Axis(at), new).assign(&twin);
        }
    }

    /// The weights of units that are drawn.
    fn draw<T: Real>(&self, parameter: &mut Parameter<T>, side: Side, layer: &Layer, after: &Architecture, dice: Dice) {
        let is_drawn = |origin: &Origin| match side {
            Side::Emits => matches!(origin, Origin::Fresh | Origin::Silent),
            Side::Reads => *origin == Origin::Fresh,
        };
        let drawn: Vec<usize> = (0..self.origins.len()).filter(|&new| is_drawn(&self.origins[new])).collect();
        let scale = match side {
            Side::Emits => self.fresh.fan_in,
            Side::Reads => self.fresh.eps,
        };
        if drawn.is_empty() || scale == 0.0 {
            return;
        }
        let law = native(layer, &parameter.dims, after);
        let mut stream = dice.stream(&parameter.name);
        let rows = parameter.value.shape()[0];
        let row_length: usize = parameter.value.shape()[1..].iter().product();
        let taps: usize = parameter.value.shape()[2..].iter().product();
        let values = parameter.value.as_slice_mut().expect("a resized array is in row-major order");
        let mut draws = vec![0.0; row_length];
        let mut put = |row: usize, from: usize, to: usize| {
            law.fill(&mut stream, row, from, &mut draws[from..to]);
            for (value, draw) in values[row * row_length + from..row * row_length + to].iter_mut().zip(&draws[from..to])
            {
                *value = T::from_f64(scale * draw);
            }
        };
        match side {
            Side::Emits => drawn.iter().for_each(|&row| put(row, 0, row_length)),
            Side::Reads => {
                (0..rows).for_each(|row| drawn.iter().for_each(|&column| put(row, column * taps, (column + 1) * taps)))
            }
        }
    }

    /// The weights of units that were worked out.
    fn give<T: Real>(&self, parameter: &mut Parameter<T>, at: usize) {
        let Some(given) = self.given.iter().find(|given| given.parameter == parameter.name) else { return };
        for (new, origin) in self.origins.iter().enumerate() {
            let Origin::Given { at: unit } = *origin else { continue };
            let mut into = parameter.value.index_axis_mut(Axis(at), new);
            into.iter_mut().zip(given.units.row(unit)).for_each(|(into, &x)| *into = T::from_f64(x));
        }
    }
}

/// Puts rings of zeros around a kernel, in its value and in everything that belongs to it: what an added tap reads
/// changes nothing, and what it was told in the past nobody knows. An entry of a ring lies in a fresh row or a fresh
/// column of the kernel, so it is born now; the others keep their age.
/// kernel: [out, in, k, k] → [out, in, to, to]. Panics where k is larger, or even where `to` is odd.
pub fn surround<T: Real>(kernel: &mut Parameter<T>, to: usize) {
    let ring_of = |dim: &Dim| match dim {
        Dim::Fixed(from) => {
            assert!(*from <= to && (to - from).is_multiple_of(2), "a kernel grows around its middle, {from} to {to}");
            (to - from) / 2
        }
        Dim::Feature(..) => 0,
    };
    let rings: Vec<usize> = kernel.dims.iter().map(ring_of).collect();
    let grow = |array: &mut ArrayD<T>| {
        let shape: Vec<usize> = array.shape().iter().zip(&rings).map(|(extent, ring)| extent + 2 * ring).collect();
        let mut grown = ArrayD::from_elem(IxDyn(&shape), T::ZERO);
        let middle = |axis: ndarray::AxisDescription| {
            let ring = rings[axis.axis.index()];
            ndarray::Slice::from(ring..axis.len - ring)
        };
        grown.slice_each_axis_mut(middle).assign(array);
        *array = grown;
    };
    grow(&mut kernel.value);
    grow(&mut kernel.gradient);
    kernel.slots.iter_mut().for_each(|slot| grow(&mut slot.value));
    for (births, ring) in kernel.births.iter_mut().zip(&rings) {
        let fresh = || std::iter::repeat_n(kernel.updates, *ring);
        *births = fresh().chain(births.iter().copied()).chain(fresh()).collect();
    }
    for dim in kernel.dims.iter_mut().filter(|dim| matches!(dim, Dim::Fixed(_))) {
        *dim = Dim::Fixed(to);
    }
}

/// The optimiser's state is 0, and every entry is born now.
pub fn begin_anew<T: Real>(parameter: &mut Parameter<T>) {
    for slot in &mut parameter.slots {
        slot.value.fill(T::ZERO);
    }
    for births in &mut parameter.births {
        births.fill(parameter.updates);
    }
}

/// How a weight's entries are drawn when it begins: by its layer's initialiser at the fan-in after the event.
/// Fresh entries of an `orthogonal` weight cannot be orthogonal to the old ones without changing them; they are
/// normal, with the variance that an orthogonal matrix's entries have.
pub fn native(layer: &Layer, dims: &[Dim], after: &Architecture) -> Law {
    let extent = |dim: &Dim| match dim {
        Dim::Feature(axis, _) => after.width(*axis).exact(),
        Dim::Fixed(n) => *n,
    };
    let extents: Vec<usize> = dims.iter().map(extent).collect();
    let (fan_in, fan_out) = fans(layer, &extents);
    let init: Init = layer.settings.initialiser();
    let longer = extents.first().map_or(1, |rows| *rows).max(fan_in).max(1);
    Law::of(init, fan_in, fan_out).unwrap_or(Law::Normal(1.0 / (longer as f64).sqrt()))
}
