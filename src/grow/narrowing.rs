//! Which units a `narrow` keeps, and what stands in for those that go.

use super::gradmax::weight;
use super::realise::{Edit, width};
use super::{Change, Measurements, Plan, Rank, anatomy};
use crate::nn::{AxisId, Dim, Parameter, Role, Side};
use crate::tensor::{Real, product};
use ndarray::{Array2, Axis};

/// The units of one axis that stay, in their old order.
pub(super) struct Stay {
    pub axis: AxisId,
    pub units: Vec<usize>,
    pub flops: u64,
}

/// What stays of every narrowed axis. Of equals the earlier unit stays.
pub(super) fn stay<T: Real>(plan: &Plan, parameters: &[Parameter<T>], measurements: &Measurements) -> Vec<Stay> {
    let mut all: Vec<Stay> = Vec::new();
    // From the last to the first, because weights to units that go do not count.
    for change in plan.changes.iter().rev() {
        let Change::Narrow { axis, rank } = *change else { continue };
        let (ranks, flops) = match rank {
            Rank::Magnitude => (by_magnitude(axis, parameters, &all), 0),
            Rank::Gradient => by_gradient(axis, plan, parameters, measurements),
        };
        let mut units: Vec<usize> = (0..ranks.len()).collect();
        units.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));
        units.truncate(plan.after.width(axis).exact());
        units.sort_unstable();
        all.push(Stay { axis, units, flops });
    }
    all
}

/// ‖incoming weights‖·‖outgoing weights‖, both squared. Weights to units that go already do not count, so that
/// narrowing after a `pad` takes away what it added.
fn by_magnitude<T: Real>(axis: AxisId, parameters: &[Parameter<T>], stay: &[Stay]) -> Vec<f64> {
    let units = width(axis, parameters);
    let (mut incoming, mut outgoing) = (vec![0.0; units], vec![0.0; units]);
    for parameter in parameters.iter().filter(|parameter| parameter.role == Role::Weight) {
        let goes = |at: usize, index: usize| {
            let Dim::Feature(spanned, _) = parameter.dims[at] else { return false };
            stay.iter().any(|stay| stay.axis == spanned && stay.units.binary_search(&index).is_err())
        };
        for (at, dim) in parameter.dims.iter().enumerate() {
            let sums = match dim {
                Dim::Feature(a, Side::Emits) if *a == axis => &mut incoming,
                Dim::Feature(a, Side::Reads) if *a == axis => &mut outgoing,
                _ => continue,
            };
            for (index, x) in parameter.value.indexed_iter() {
                if !(0..parameter.dims.len()).any(|other| goes(other, index[other])) {
                    sums[index[at]] += x.to_f64() * x.to_f64();
                }
            }
        }
    }
    incoming.iter().zip(&outgoing).map(|(incoming, outgoing)| incoming * outgoing).collect()
}

/// E|∂L/∂h_i · h_i|: by how much the loss of an example changes, to first order, when the unit is silenced.
/// What several layers read of one axis adds up. Source: Molchanov et al. 2017.
fn by_gradient<T: Real>(
    axis: AxisId,
    plan: &Plan,
    parameters: &[Parameter<T>],
    measurements: &Measurements,
) -> (Vec<f64>, u64) {
    let units = width(axis, parameters);
    let mut flops = 0;
    // [example, unit]: ∂L/∂h_i · h_i
    let mut told: Option<Array2<f64>> = None;
    for reader in anatomy::weight_readers(axis, &plan.after) {
        let seen = measurements.layer(&reader.name);
        let weight = columns(weight(&reader.name, axis, Side::Reads, parameters));
        let mut back = Array2::zeros(seen.input.dim());
        product(measurements.compute(), seen.gradient().view(), weight.view(), 0.0, back.view_mut());
        flops += 2 * (seen.gradient().len() * weight.ncols()) as u64;
        back *= &seen.input;
        let told = told.get_or_insert_with(|| Array2::zeros((back.nrows(), units)));
        // Behind a flatten a unit owns several columns.
        let taps = weight.ncols() / units;
        for ((example, column), x) in back.indexed_iter() {
            told[[example, column / taps]] += x;
        }
    }
    let mean = |told: Array2<f64>| told.mapv(f64::abs).mean_axis(Axis(0));
    (told.and_then(mean).map_or_else(|| vec![0.0; units], |ranks| ranks.to_vec()), flops)
}

/// b += W[:, i]·E[h_i] for every unit i that goes, at every reader that has a bias: what a constant unit said, the
/// bias says from now on. Not where an image is padded with zeros, outside of which it is not the mean that is read.
pub(super) fn compensations<T: Real>(
    stay: &Stay,
    plan: &Plan,
    parameters: &[Parameter<T>],
    measurements: &Measurements,
) -> Vec<Edit> {
    let units = width(stay.axis, parameters);
    let readers = anatomy::weight_readers(stay.axis, &plan.after);
    readers
        .filter(|reader| reader.settings.bias && reader.settings.kernel == 1)
        .map(|reader| {
            let weight = columns(weight(&reader.name, stay.axis, Side::Reads, parameters));
            let input = &measurements.layer(&reader.name).input;
            let means = input.mean_axis(Axis(0)).expect("at least one example was measured");
            let taps = weight.ncols() / units;
            let goes = |column: usize| stay.units.binary_search(&(column / taps)).is_err();
            let gone: Vec<usize> = (0..weight.ncols()).filter(|&column| goes(column)).collect();
            let said = |row: ndarray::ArrayView1<'_, f64>| gone.iter().fold(0.0, |sum, &at| sum + row[at] * means[at]);
            let by = weight.outer_iter().map(said).collect();
            Edit::MoveBias { layer: reader.name.clone(), by }
        })
        .collect()
}

/// A weight as [out, everything that it reads], in f64.
fn columns<T: Real>(weight: &Parameter<T>) -> Array2<f64> {
    let rows = weight.value.shape()[0];
    let values: Vec<f64> = weight.value.iter().map(|x| x.to_f64()).collect();
    Array2::from_shape_vec((rows, values.len() / rows), values).expect("rows of one length")
}
