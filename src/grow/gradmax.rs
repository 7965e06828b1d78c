//! `widen … method gradmax`: the fresh units whose incoming weights have the largest gradient.
//!
//! With M = E[δ xᵀ], δ = ∂L/∂z of the reader and x what the writer reads, and of images summed over the pixels of the
//! axis with what every tap of the reader sends back to them, a unit with outgoing weights z and a
//! slope f′(0) has the gradient f′(0)·zᵀM at its incoming weights. Among orthogonal z of one length its norm is
//! largest for the left singular vectors of M. Source: Evci et al. 2022 (GradMax); docs/growth.md.

use super::measurements::{ends, kept, reads};
use super::realise::{Edit, width};
use super::rewrite::{Given, Origin};
use super::svd::left_singular;
use super::taps::Taps;
use super::{Between, Measurements, Plan};
use crate::nn::{Activation, Architecture, AxisId, Dim, Layer, Parameter, Role, Side};
use crate::tensor::{Compute, Real, product};
use ndarray::{Array2, ArrayD, Axis, s};

/// How large the incoming weights are where a slope of 0 at 0 forbids that they begin at 0, relative to the old
/// ones: large enough to say on which examples a unit speaks, small enough to be hardly heard.
const NUDGE: f64 = 1e-3;

/// Fresh units of one axis.
pub(super) struct Units {
    /// Of the new units, in order.
    pub origins: Vec<Origin>,
    pub given: Vec<Given>,
    /// Takes back what units say whose function is not 0 at 0.
    pub correction: Option<Edit>,
    pub note: Option<String>,
    pub flops: u64,
}

/// What [`units`] counts after measuring so many examples, but for the decomposition: how long that takes, and which
/// rank it finds, depends on the data. Here the rank is taken to be full.
pub(super) fn products(axis: AxisId, plan: &Plan, before: &Architecture, measured: u64) -> u64 {
    let (writer, reader) = ends(axis, &plan.after);
    let old = |layer: &Layer| before.layer(&layer.name).cloned();
    let Some((old_writer, old_reader)) = old(writer).zip(old(reader)) else { return 0 };
    let taps = Taps::of(&old_reader);
    let [count, rows, pixels] = [taps.count(), taps.rows(), taps.pixels()].map(|n| n as u64);
    let out = before.width(old_reader.output.axis).max as u64;
    let (told, read) = (out.saturating_mul(count), reads(&old_writer, before) as u64);
    // Of one example, or of one unit and one example.
    let back = told.saturating_mul(rows);
    let of_m = measured.saturating_mul(back).saturating_mul(read);
    let wanted = (plan.after.width(axis).max as u64).saturating_sub(before.width(axis).max as u64);
    let of_signs = if is_flat_at_zero(writer.settings.activation) {
        let kept = kept(usize::try_from(measured).unwrap_or(usize::MAX), writer, reader, &plan.after) as u64;
        let an_example = back.saturating_add(read.saturating_mul(2 * pixels));
        let a_unit = told.saturating_mul(read).saturating_add(kept.saturating_mul(an_example));
        wanted.min(told).min(read).saturating_mul(a_unit)
    } else {
        0
    };
    of_m.saturating_add(of_signs).saturating_mul(2)
}

/// The fresh units of `axis`, which one layer writes and one layer reads, as the plan has made sure.
pub(super) fn units<T: Real>(
    axis: AxisId,
    eps: f64,
    plan: &Plan,
    parameters: &[Parameter<T>],
    measurements: &Measurements,
) -> Units {
    let after = &plan.after;
    let (writer, reader) = ends(axis, after);
    let taps = Taps::of(reader);
    let incoming = weight(&writer.name, axis, Side::Emits, parameters);
    let outgoing = weight(&reader.name, axis, Side::Reads, parameters);
    let seen = measurements.between(axis);
    let m = &seen.matrix;
    let left = left_singular(m.view());
    let rank = left.rank(m.ncols());

    let wanted = after.width(axis).exact() - width(axis, parameters);
    let count = wanted.min(rank);
    // As the network will hold them: the correction below has to take back these, not what they are rounded from.
    let length = eps * mean_norm(&outgoing.value, 1);
    let mut z = Array2::from_shape_fn((count, m.nrows()), |(unit, out)| {
        T::from_f64(length * left.vectors[[out, unit]]).to_f64()
    });
    let mut flops = seen.flops;
    let mut given = Vec::new();
    if is_flat_at_zero(writer.settings.activation) {
        let mut u = Array2::zeros((count, m.ncols()));
        product(measurements.compute(), z.view(), m.view(), 0.0, u.view_mut());
        let length = NUDGE * mean_norm(&incoming.value, 0);
        for mut row in u.rows_mut() {
            let norm = row.iter().fold(0.0, |sum, x| sum + x * x).sqrt();
            row.mapv_inplace(|x| if norm > 0.0 { -length * x / norm } else { 0.0 });
        }
        let back = seen.gradient.len() * taps.count();
        flops += 2 * (z.len() * m.ncols() + count * (back + 2 * seen.input.len())) as u64;
        choose_signs(&mut z, &mut u, seen, taps, measurements.compute());
        given.push(Given { parameter: incoming.name.clone(), units: u });
    }
    given.push(Given { parameter: outgoing.name.clone(), units: z.clone() });
    let spoken = at_zero::<T>(writer.settings.activation);
    let correction = (spoken != 0.0 && can_take_back(reader) && count > 0).then(|| Edit::MoveBias {
        layer: reader.name.clone(),
        // Of each output, what all its taps say.
        by: (0..z.ncols() / taps.count())
            .map(|out| -spoken * z.slice(s![.., out * taps.count()..(out + 1) * taps.count()]).sum())
            .collect(),
    });
    let note = (count < wanted).then(|| {
        format!(
            "{} of the {wanted} new units of `{}` are `pad` units: the gradient that gradmax looks at has rank {rank} here",
            wanted - count,
            writer.name
        )
    });
    let silent = (count..wanted).map(|_| Origin::Silent);
    Units {
        origins: (0..count).map(|at| Origin::Given { at }).chain(silent).collect(),
        given,
        correction,
        note,
        flops: flops.saturating_add(left.flops),
    }
}

/// Behind relu a unit hears the examples with u·x > 0 alone; with both weights negated it hears the others, and
/// M says nothing of which is better. Each unit gets the sign with which its gradient is the larger one, the first
/// of equals. The gradients of both signs sum to ±zᵀM, so the larger has at least half of its norm; left to chance,
/// a unit might hear nothing: behind another relu all x are positive, and so are the entries of the first v. Of images
/// it is each pixel that a unit hears or not, and the first examples that were kept decide.
fn choose_signs(z: &mut Array2<f64>, u: &mut Array2<f64>, seen: &Between, taps: Taps, compute: &Compute) {
    let Between { input: x, gradient: delta, .. } = seen;
    // [pixel, unit]: u·x, and what comes back through z.
    let mut heard = Array2::zeros((x.nrows(), u.nrows()));
    product(compute, x.view(), u.t(), 0.0, heard.view_mut());
    let mut told = Array2::zeros((x.nrows(), z.nrows()));
    for tap in 0..taps.count() {
        let z = z.slice(s![.., tap..;taps.count()]);
        if taps.is_one() {
            product(compute, delta.view(), z.t(), 0.0, told.view_mut());
            continue;
        }
        let mut back = Array2::zeros((delta.nrows(), z.nrows()));
        product(compute, delta.view(), z.t(), 0.0, back.view_mut());
        taps.scatter(tap, &back, &mut told);
    }
    for unit in 0..z.nrows() {
        // Σ (z·D)·x over the pixels that each sign hears.
        let mut sums = [vec![0.0; x.ncols()], vec![0.0; x.ncols()]];
        for (pixel, x) in x.outer_iter().enumerate() {
            let (heard, told) = (heard[[pixel, unit]], told[[pixel, unit]]);
            if heard != 0.0 {
                sums[usize::from(heard < 0.0)].iter_mut().zip(x).for_each(|(sum, x)| *sum += told * x);
            }
        }
        let [here, there] = sums.map(|sum| sum.iter().fold(0.0, |sum, x| sum + x * x));
        if there > here {
            z.row_mut(unit).mapv_inplace(|x| -x);
            u.row_mut(unit).mapv_inplace(|x| -x);
        }
    }
}

/// Whether a reader's bias can take back what a unit says that is the same everywhere: not around an image that is
/// padded with zeros.
pub(super) fn can_take_back(reader: &Layer) -> bool {
    reader.settings.bias && reader.block.is_empty() && !Taps::of(reader).reads_zeros()
}

/// The weight of a layer that spans `axis` on this side.
pub(super) fn weight<'a, T>(layer: &str, axis: AxisId, side: Side, parameters: &'a [Parameter<T>]) -> &'a Parameter<T> {
    parameters
        .iter()
        .find(|parameter| {
            parameter.role == Role::Weight
                && parameter.dims.contains(&Dim::Feature(axis, side))
                && parameter.name.split_once('.').is_some_and(|(owner, _)| owner == layer)
        })
        .expect("a layer that reads or writes an axis has a weight that spans it")
}

/// Mean over the units along one dimension of the norms of their weights. A layer that is all 0 has no scale to
/// follow; then 1/√(entries), a unit's share of a vector of length 1.
fn mean_norm<T: Real>(weight: &ArrayD<T>, at: usize) -> f64 {
    let norm = |unit: ndarray::ArrayViewD<'_, T>| unit.iter().fold(0.0, |sum, x| sum + x.to_f64() * x.to_f64()).sqrt();
    let sum = weight.axis_iter(Axis(at)).fold(0.0, |sum, unit| sum + norm(unit));
    let units = weight.shape()[at].max(1) as f64;
    if sum > 0.0 { sum / units } else { 1.0 / units.sqrt() }
}

/// Whether f′(0) = 0: a unit with incoming weights 0 would never learn.
fn is_flat_at_zero(f: Activation) -> bool {
    f == Activation::Relu
}

/// f(0), as the engine computes it.
fn at_zero<T: Real>(f: Activation) -> f64 {
    match f {
        Activation::Sigmoid => T::ZERO.sigmoid().to_f64(),
        Activation::Softplus => T::ZERO.softplus().to_f64(),
        _ => 0.0,
    }
}
