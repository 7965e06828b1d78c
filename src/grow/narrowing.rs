//! Which units a `narrow` keeps, and what stands in for those that go.

use super::gradmax::weight;
use super::realise::{Edit, width};
use super::{Change, Measurements, Plan, Rank, anatomy};
use crate::nn::{AxisId, Dim, Parameter, Role, Side};
use crate::tensor::Real;
use ndarray::Array2;

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
            // By how much the loss of an example changes, to first order, when the unit is silenced: Molchanov et al. 2017.
            Rank::Gradient => measurements.told(axis),
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

/// b += W[:, i]·E[h_i] for every unit i that goes, at every reader that has a bias: what a constant unit said, the
/// bias says from now on. Each value that is read of a unit has a mean of its own: behind a flatten each pixel, of a
/// convolution each tap, over all pixels at which it reads, with the zeros outside of the image. There a constant unit
/// says less at the border than elsewhere, and the bias says the mean of that.
pub(super) fn compensations<T: Real>(
    stay: &Stay,
    plan: &Plan,
    parameters: &[Parameter<T>],
    measurements: &Measurements,
) -> Vec<Edit> {
    let units = width(stay.axis, parameters);
    let readers = anatomy::weight_readers(stay.axis, &plan.after);
    readers
        .filter(|reader| reader.settings.bias)
        .map(|reader| {
            let weight = columns(weight(&reader.name, stay.axis, Side::Reads, parameters));
            let means = measurements.means(&reader.name);
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
