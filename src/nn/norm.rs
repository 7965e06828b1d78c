//! Norms, between bias and activation: over the units of an example (layer, rms) or over the examples of a batch.
//!
//! ```text
//! z = (u − μ)/√(σ² + ε)·γ + β
//! layer: μ, σ² over the units of one example      rms: μ = 0, σ² the mean square, no β
//! batch: μ, σ² over the batch in training, running averages in evaluation and while the layer is frozen
//! ```
//!
//! Variances divide by n, running ones by n − 1, as in PyTorch. Sums are f64: over units in 16 lanes (index mod
//! 16), which are added in order; over examples in blocks of 8192 rows, whose sums are added in order. So no thread and no
//! SIMD path changes a bit.

use super::architecture::Norm;
use super::pass::{Pieces, pieces};
use super::product::{Held, Learned};
use crate::tensor::kernels;
use crate::tensor::{Batch, BatchMut, Compute, LANES, Line, Real, panels};
use smallvec::SmallVec;

/// Weight of a batch in the running averages: PyTorch's `momentum`.
const MOMENTUM: f64 = 0.1;

#[derive(Clone)]
pub(super) struct Normed<T> {
    pub kind: Norm,
    pub epsilon: f64,
    /// γ
    pub gain: Learned<T>,
    /// β; none for rms.
    pub shift: Option<Learned<T>>,
    /// Mean and variance of the training batches; only of a batch norm.
    pub running: Option<[Held<T>; 2]>,
    /// u: [row, out]; a row is an example, or a pixel of one.
    pub affine: Vec<Line<T>>,
    /// μ and 1/√(σ² + ε) of the last forward pass: of every example, or of every unit.
    pub mean: Vec<T>,
    pub inverse: Vec<T>,
    /// Whether the last forward pass took μ and σ² from its batch.
    pub of_the_batch: bool,
    /// Scratch of a batch norm: two sums for every block of every panel.
    pub sums: Vec<[[f64; LANES]; 2]>,
}

impl<T: Real> Normed<T> {
    /// Numbers that `mean` holds for so many rows.
    pub fn statistics(&self, rows: usize, outputs: usize) -> usize {
        if self.kind == Norm::Batch { panels::panels(outputs) * LANES } else { rows }
    }
}

/// z of a batch from its u. `train`: whether a batch norm takes its batch's own statistics.
pub(super) fn forward<T: Real>(
    compute: &Compute,
    norm: &mut Normed<T>,
    z: &mut [Line<T>],
    outputs: usize,
    rows: usize,
    train: bool,
) {
    match norm.kind {
        Norm::Layer | Norm::Rms => over_units(compute, norm, z, outputs, rows),
        Norm::Batch => over_examples(compute, norm, z, outputs, rows, train),
    }
}

/// ∂L/∂z in `d` becomes ∂L/∂u, and the gradients of γ and β are found.
pub(super) fn backward<T: Real>(
    compute: &Compute,
    norm: &mut Normed<T>,
    d: &mut [Line<T>],
    outputs: usize,
    rows: usize,
) {
    match norm.kind {
        Norm::Layer | Norm::Rms => {
            sums(compute, norm, Batch::new(d, rows), outputs);
            back_over_units(compute, norm, d, outputs, rows);
        }
        Norm::Batch => back_over_examples(compute, norm, d, outputs, rows),
    }
}

/// Lanes of a panel that hold units.
fn used(outputs: usize, panel: usize) -> usize {
    LANES.min(outputs - panel * LANES)
}

// --- layer and rms

/// Some examples of a batch with their statistics.
struct Band<'a, T> {
    first: usize,
    lines: BatchMut<'a, T>,
    mean: &'a mut [T],
    inverse: &'a mut [T],
}

fn bands<'a, T: Real>(
    compute: &Compute,
    lines: BatchMut<'a, T>,
    mean: &'a mut [T],
    inverse: &'a mut [T],
) -> Pieces<Band<'a, T>> {
    let rows = lines.rows();
    let number = pieces(compute, rows, rows);
    let mut bands: Pieces<Band<'_, T>> = SmallVec::new();
    let (mut first, mut lines, mut mean, mut inverse) = (0, lines, mean, inverse);
    for at in 0..number {
        let height = (rows - first).div_ceil(number - at);
        let (band, other_lines) = lines.split_rows(height);
        let ((m, other_mean), (i, other_inverse)) = (mean.split_at_mut(height), inverse.split_at_mut(height));
        bands.push(Band { first, lines: band, mean: m, inverse: i });
        (first, lines, mean, inverse) = (first + height, other_lines, other_mean, other_inverse);
    }
    bands
}

fn over_units<T: Real>(compute: &Compute, norm: &mut Normed<T>, z: &mut [Line<T>], outputs: usize, rows: usize) {
    let count = panels::panels(outputs);
    let Normed { kind, epsilon, gain, shift, affine, mean, inverse, .. } = norm;
    let (centred, epsilon) = (*kind == Norm::Layer, *epsilon);
    let affine = Batch::new(affine, rows);
    let gain = gain.held.arrays.value.lines();
    let shift = shift.as_ref().map(|shift| shift.held.arrays.value.lines());
    let z = BatchMut::new(&mut z[..count * panels::spaced(rows)], count, rows);
    let mut bands = bands(compute, z, &mut mean[..rows], &mut inverse[..rows]);
    compute.each(&mut bands, |band| {
        for row in 0..band.lines.rows() {
            let u = |panel: usize| &affine.panel(panel)[band.first + row].0;
            let sum = |f: &dyn Fn(f64) -> f64| {
                let mut lanes = [0.0; LANES];
                for panel in 0..count {
                    for (lane, u) in lanes.iter_mut().zip(u(panel)).take(used(outputs, panel)) {
                        *lane += f(u.to_f64());
                    }
                }
                lanes.iter().sum::<f64>() / outputs as f64
            };
            let mean = if centred { sum(&|u| u) } else { 0.0 };
            let variance = sum(&|u| (u - mean) * (u - mean));
            let (mean, inverse) = (T::from_f64(mean), T::from_f64(1.0 / (variance + epsilon).sqrt()));
            (band.mean[row], band.inverse[row]) = (mean, inverse);
            for panel in 0..count {
                let u = u(panel);
                let z = &mut band.lines.line(panel, row).0;
                for lane in 0..LANES {
                    let scaled = (u[lane] - mean) * inverse * gain[panel].0[lane];
                    z[lane] = shift.map_or(scaled, |shift| scaled + shift[panel].0[lane]);
                }
            }
        }
    });
}

/// du = (g − mean g − x̂·mean(g·x̂))/σ with g = dz·γ over the units of an example; without its mean for rms.
fn back_over_units<T: Real>(compute: &Compute, norm: &mut Normed<T>, d: &mut [Line<T>], outputs: usize, rows: usize) {
    let count = panels::panels(outputs);
    let Normed { kind, gain, affine, mean, inverse, .. } = norm;
    let centred = *kind == Norm::Layer;
    let affine = Batch::new(affine, rows);
    let gain = gain.held.arrays.value.lines();
    let d = BatchMut::new(&mut d[..count * panels::spaced(rows)], count, rows);
    let mut bands = bands(compute, d, &mut mean[..rows], &mut inverse[..rows]);
    compute.each(&mut bands, |band| {
        for row in 0..band.lines.rows() {
            let (mean, inverse) = (band.mean[row], band.inverse[row]);
            let (mut sums, mut products) = ([0.0; LANES], [0.0; LANES]);
            for (panel, gain) in gain.iter().enumerate() {
                let (u, d) = (&affine.panel(panel)[band.first + row].0, &band.lines.line(panel, row).0);
                for lane in 0..used(outputs, panel) {
                    let g = (d[lane] * gain.0[lane]).to_f64();
                    sums[lane] += g;
                    products[lane] += g * ((u[lane] - mean) * inverse).to_f64();
                }
            }
            let mean_of = |lanes: &[f64; LANES]| T::from_f64(lanes.iter().sum::<f64>() / outputs as f64);
            let along_mean = if centred { mean_of(&sums) } else { T::ZERO };
            let along = mean_of(&products);
            for panel in 0..count {
                let u = &affine.panel(panel)[band.first + row].0;
                let d = &mut band.lines.line(panel, row).0;
                for lane in 0..LANES {
                    let x = (u[lane] - mean) * inverse;
                    d[lane] = inverse * (d[lane] * gain[panel].0[lane] - along_mean - x * along);
                }
                // Spare lanes stay 0.
                d[used(outputs, panel)..].fill(T::ZERO);
            }
        }
    });
}

// --- batch

/// Rows of a batch that are one block of a sum over it: so many that a batch of vectors is one block as a rule, and few
/// enough that the pixels of images keep several threads busy.
const ROWS: usize = 8192;

/// Some rows of one panel of a batch, and what they add to two sums over it.
struct Column<'a, T> {
    panel: usize,
    /// First row.
    first: usize,
    lines: &'a mut [Line<T>],
    sums: &'a mut [[f64; LANES]; 2],
}

/// All panels of a batch in blocks of rows, block after block within a panel.
fn columns<'a, T: Real>(
    lines: &'a mut [Line<T>],
    rows: usize,
    outputs: usize,
    sums: &'a mut [[[f64; LANES]; 2]],
) -> Pieces<Column<'a, T>> {
    let stride = panels::spaced(rows);
    let mut sums = sums.iter_mut();
    let mut columns: Pieces<Column<'_, T>> = SmallVec::new();
    for (panel, lines) in lines[..panels::panels(outputs) * stride].chunks_mut(stride).enumerate() {
        for (block, lines) in lines[..rows].chunks_mut(ROWS).enumerate() {
            let sums = sums.next().expect("`Normed::sums` has room for every block");
            columns.push(Column { panel, first: block * ROWS, lines, sums });
        }
    }
    columns
}

/// Blocks of all panels of a batch.
pub(super) fn blocks(rows: usize, outputs: usize) -> usize {
    panels::panels(outputs) * rows.div_ceil(ROWS)
}

/// One of the two sums of every panel, block sums added in order.
fn total(sums: &[[[f64; LANES]; 2]], which: usize, rows: usize, panel: usize) -> [f64; LANES] {
    let blocks = rows.div_ceil(ROWS);
    let mut total = [0.0; LANES];
    for sums in &sums[panel * blocks..][..blocks] {
        total.iter_mut().zip(&sums[which]).for_each(|(total, sum)| *total += sum);
    }
    total
}

fn over_examples<T: Real>(
    compute: &Compute,
    norm: &mut Normed<T>,
    z: &mut [Line<T>],
    outputs: usize,
    rows: usize,
    train: bool,
) {
    let Normed { epsilon, gain, shift, running, affine, mean, inverse, of_the_batch, sums, .. } = norm;
    *of_the_batch = train && !gain.held.frozen;
    let (of_the_batch, epsilon, path) = (*of_the_batch, *epsilon, compute.path());
    let affine = Batch::new(affine, rows);
    let gain = gain.held.arrays.value.lines();
    let shift = shift.as_ref().map(|shift| shift.held.arrays.value.lines());
    let [average, variance] = running.as_mut().expect("a batch norm has running averages");
    let averages = average.arrays.value.lines_mut().iter_mut().zip(variance.arrays.value.lines_mut());
    if of_the_batch {
        compute.each(&mut columns(z, rows, outputs, sums), |column| {
            let u = &affine.panel(column.panel)[column.first..][..column.lines.len()];
            column.sums[0] = kernels::sum_wide(path, u);
        });
        for (panel, mean) in mean.chunks_mut(LANES).enumerate().take(panels::panels(outputs)) {
            // Wide until the squares have been taken: in the second sum of the panel's first block.
            let means = total(sums, 0, rows, panel).map(|sum| sum / rows as f64);
            mean.iter_mut().zip(means).for_each(|(mean, wide)| *mean = T::from_f64(wide));
            let blocks = rows.div_ceil(ROWS);
            sums[panel * blocks..][..blocks].iter_mut().for_each(|sums| sums[0] = means);
        }
        compute.each(&mut columns(z, rows, outputs, sums), |column| {
            let u = &affine.panel(column.panel)[column.first..][..column.lines.len()];
            column.sums[1] = kernels::sum_squares_apart(path, u, &column.sums[0]);
        });
    }
    let statistics = mean.chunks_mut(LANES).zip(inverse.chunks_mut(LANES));
    for (panel, ((mean, inverse), (average, variance))) in statistics.zip(averages).enumerate() {
        let blocks = rows.div_ceil(ROWS);
        let (means, squares) = match of_the_batch {
            true => (sums[panel * blocks][0], total(sums, 1, rows, panel)),
            false => ([0.0; LANES], [0.0; LANES]),
        };
        for lane in 0..used(outputs, panel) {
            let (own_mean, square) = if of_the_batch {
                let follow = |old: T, new: f64| T::from_f64((1.0 - MOMENTUM) * old.to_f64() + MOMENTUM * new);
                average.0[lane] = follow(average.0[lane], means[lane]);
                // One example tells nothing about a variance.
                if rows > 1 {
                    variance.0[lane] = follow(variance.0[lane], squares[lane] / (rows - 1) as f64);
                }
                (means[lane], squares[lane] / rows as f64)
            } else {
                (average.0[lane].to_f64(), variance.0[lane].to_f64())
            };
            mean[lane] = T::from_f64(own_mean);
            inverse[lane] = T::from_f64(1.0 / (square + epsilon).sqrt());
        }
    }
    let (mean, inverse) = (&*mean, &*inverse);
    compute.each(&mut columns(z, rows, outputs, sums), |column| {
        let u = &affine.panel(column.panel)[column.first..][..column.lines.len()];
        let lanes = column.panel * LANES..(column.panel + 1) * LANES;
        let shift = shift.map(|shift| &shift[column.panel]);
        let (mean, inverse) = (&mean[lanes.clone()], &inverse[lanes]);
        kernels::normalise(path, u, line(mean), line(inverse), &gain[column.panel], shift, column.lines);
    });
}

/// Sixteen numbers as a line.
fn line<T: Real>(numbers: &[T]) -> Line<T> {
    Line(std::array::from_fn(|lane| numbers[lane]))
}

/// du = γ/σ·(dz − mean dz − x̂·mean(dz·x̂)) over the examples; only γ/σ·dz where μ and σ were not the batch's.
fn back_over_examples<T: Real>(
    compute: &Compute,
    norm: &mut Normed<T>,
    d: &mut [Line<T>],
    outputs: usize,
    rows: usize,
) {
    let Normed { gain, shift, affine, mean, inverse, of_the_batch, sums, .. } = norm;
    let (of_the_batch, path) = (*of_the_batch, compute.path());
    let affine = Batch::new(affine, rows);
    let shift = shift.as_mut().expect("a batch norm has a shift");
    let (mean, inverse) = (&*mean, &*inverse);
    let statistics = |panel: usize| {
        let lanes = panel * LANES..(panel + 1) * LANES;
        (line(&mean[lanes.clone()]), line(&inverse[lanes]))
    };
    // ∂γ = Σ dz·x̂ and ∂β = Σ dz
    compute.each(&mut columns(d, rows, outputs, sums), |column| {
        let u = &affine.panel(column.panel)[column.first..][..column.lines.len()];
        let (mean, inverse) = statistics(column.panel);
        *column.sums = kernels::sum_normalised(path, column.lines, u, mean, inverse);
    });
    for (panel, (gain, shift)) in gain.d.iter_mut().zip(&mut shift.d).enumerate() {
        let spare = used(outputs, panel);
        for (line, which) in [(gain, 0), (shift, 1)] {
            line.0 = total(sums, which, rows, panel).map(T::from_f64);
            line.0[spare..].fill(T::ZERO);
        }
    }
    let share = T::from_f64(1.0 / rows as f64);
    let (along, along_mean) = (&gain.d, &shift.d);
    let gain = gain.held.arrays.value.lines();
    compute.each(&mut columns(d, rows, outputs, sums), |column| {
        let u = &affine.panel(column.panel)[column.first..][..column.lines.len()];
        let (mean, inverse) = statistics(column.panel);
        let (panel, of) = (column.panel, of_the_batch.then_some(share));
        let along = (&along[panel], &along_mean[panel]);
        kernels::normalise_backward(path, u, mean, inverse, &gain[panel], along, of, column.lines);
        if used(outputs, panel) < LANES {
            column.lines.iter_mut().for_each(|d| d.0[used(outputs, panel)..].fill(T::ZERO));
        }
    });
}

// --- gradients

/// ∂γ = Σ dz·x̂ and ∂β = Σ dz over the batch, of norms over units.
fn sums<T: Real>(compute: &Compute, norm: &mut Normed<T>, d: Batch<'_, T>, outputs: usize) {
    struct Sums<'a, T> {
        panel: usize,
        gain: &'a mut Line<T>,
        shift: Option<&'a mut Line<T>>,
    }
    let Normed { gain, shift, affine, mean, inverse, .. } = norm;
    let affine = Batch::new(affine, d.rows);
    let mut shifts = shift.as_mut().map(|shift| shift.d.iter_mut());
    let mut all: Pieces<Sums<'_, T>> = SmallVec::new();
    for (panel, gain) in gain.d.iter_mut().enumerate() {
        all.push(Sums { panel, gain, shift: shifts.as_mut().and_then(Iterator::next) });
    }
    let (mean, inverse) = (&*mean, &*inverse);
    compute.each(&mut all, |sums| {
        let (mut products, mut plain) = ([0.0; LANES], [0.0; LANES]);
        for (row, (d, u)) in d.panel(sums.panel).iter().zip(affine.panel(sums.panel)).enumerate() {
            for lane in 0..used(outputs, sums.panel) {
                let x = (u.0[lane] - mean[row]) * inverse[row];
                products[lane] += d.0[lane].to_f64() * x.to_f64();
                plain[lane] += d.0[lane].to_f64();
            }
        }
        sums.gain.0 = products.map(T::from_f64);
        if let Some(shift) = &mut sums.shift {
            shift.0 = plain.map(T::from_f64);
        }
    });
}
