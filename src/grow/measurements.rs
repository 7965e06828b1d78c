//! What growth must know of a network on training data, beside its parameters.
//!
//! Of images it is summed up stretch by stretch: what a convolution reads is every pixel as often as its kernel has
//! taps, and that is never there for all examples at once.

use super::plan::Plan;
use super::taps::Taps;
use super::{Change, Method, Rank, anatomy};
use crate::nn::{Architecture, AxisId, Layer, Network};
use crate::tensor::{Compute, Real, product};
use ndarray::{Array2, Axis, s};
use std::collections::BTreeMap;
use std::ops::Range;

/// What the layers that a plan asks about read and were told on some examples, in evaluation mode. Measuring is the
/// caller's: it passes over one of the [`Measurements::stretches`] after the other, and calls [`Measurements::add`]
/// after each.
#[derive(Clone)]
pub struct Measurements {
    compute: Compute,
    /// What the mean loss so far is the mean over: examples, or their class weights. Gradients are those of that mean.
    weight: f64,
    examples: usize,
    read: BTreeMap<String, Read>,
    told: BTreeMap<AxisId, Told>,
    between: BTreeMap<AxisId, Between>,
    /// Values for parameters that the plan makes, row-major; the others are drawn.
    given: BTreeMap<String, Vec<f32>>,
}

/// What one layer read.
#[derive(Clone)]
struct Read {
    /// Of each value of a row: an example, or of a convolution a patch, with the zeros outside of its image.
    sums: Vec<f64>,
    rows: usize,
}

/// What the units of an axis were told.
#[derive(Clone)]
struct Told {
    /// Σ |∂L/∂h·h| of each unit over the examples.
    sums: Vec<f64>,
    /// Operations of finding that out.
    flops: u64,
}

/// What goes back and forth between the one writer and the one reader of an axis.
#[derive(Clone)]
pub struct Between {
    /// M = Σ D xᵀ over the pixels of the axis: [out · taps of the reader, what the writer reads]. x is what the writer
    /// reads at a pixel, D what each tap sends back to it: ∂L/∂z of the reader where that tap reads the pixel.
    pub matrix: Array2<f64>,
    /// Operations of that.
    pub flops: u64,
    /// x of the first examples: [pixel, value].
    pub input: Array2<f64>,
    /// ∂L/∂z of the same examples, in the scale of the first stretch: [row of the reader, out].
    pub gradient: Array2<f64>,
    /// Of the first stretch.
    weight: f64,
}

/// Bytes of the first examples that are kept of images.
const BYTES_KEPT: usize = 64 << 20;

/// How many of the measured examples are kept as they are: with images as many as fit, at least one, else all of them.
pub(super) fn kept(examples: usize, writer: &Layer, reader: &Layer, architecture: &Architecture) -> usize {
    if architecture.all_layers().all(|layer| layer.input.area.is_none()) {
        return examples;
    }
    let out = architecture.width(reader.output.axis).max.saturating_mul(Taps::of(reader).rows());
    let values = reads(writer, architecture).saturating_mul(Taps::of(reader).pixels()).saturating_add(out);
    (BYTES_KEPT / values.saturating_mul(size_of::<f64>()).max(1)).clamp(1, examples.max(1))
}

/// Values that one row of what a layer reads has.
pub(super) fn reads(layer: &Layer, architecture: &Architecture) -> usize {
    let units = architecture.width(layer.input.axis).max;
    let taps = if layer.output.area.is_some() { Taps::of(layer).count() } else { layer.input.values_per_unit() };
    units.saturating_mul(taps)
}

impl Measurements {
    /// For a plan that needs nothing, and what others begin with.
    pub fn none() -> Measurements {
        Measurements {
            compute: Compute::single(),
            weight: 0.0,
            examples: 0,
            read: BTreeMap::new(),
            told: BTreeMap::new(),
            between: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    /// The stretches in which so many examples are to be measured: one, but for images.
    pub fn stretches(examples: usize, plan: &Plan) -> impl Iterator<Item = Range<usize>> + use<> {
        anatomy::at_once(examples, &plan.after)
    }

    /// Reads off what `plan` needs, after a forward pass in evaluation mode over the next `stretch` of all `examples`,
    /// and for gradients a backward pass that reached every layer. `weight`: what the mean loss of that pass is the
    /// mean over.
    pub fn add<T: Real>(
        &mut self,
        network: &Network<T>,
        plan: &Plan,
        stretch: Range<usize>,
        examples: usize,
        weight: f64,
    ) {
        let compute = network.compute().clone();
        self.weight += weight;
        self.examples += stretch.len();
        let now = Now { network, compute: &compute, examples: stretch.len(), share: weight / self.weight };
        for change in &plan.changes {
            match *change {
                Change::Narrow { axis, rank } => {
                    let mut told = Array2::zeros((stretch.len(), now.units(axis)));
                    let mut flops = 0;
                    for reader in anatomy::weight_readers(axis, &plan.after) {
                        let input = now.input(&reader.name);
                        if rank == Rank::Gradient {
                            flops += now.tell(&reader.name, &input, &mut told);
                        }
                        let read = Read { sums: input.sum_axis(Axis(0)).to_vec(), rows: input.nrows() };
                        self.read.entry(reader.name.clone()).or_insert_with(|| Read::nothing(&read)).add(&read);
                    }
                    let told = Told { sums: told.mapv(f64::abs).sum_axis(Axis(0)).to_vec(), flops };
                    self.told.entry(axis).or_insert_with(|| Told::nothing(&told)).add(&told, now.share);
                }
                Change::Widen { axis, method: Method::Gradmax, .. } => {
                    let (writer, reader) = ends(axis, &plan.after);
                    let (matrix, input, gradient) = now.between(writer, reader);
                    let flops = 2 * (gradient.len() * Taps::of(reader).count() * input.ncols()) as u64;
                    let kept = kept(examples, writer, reader, &plan.after);
                    let kept = kept.saturating_sub(stretch.start).min(stretch.len());
                    let rows = |all: Array2<f64>| {
                        let rows = all.nrows() / stretch.len() * kept;
                        if rows == all.nrows() { all } else { all.slice(s![..rows, ..]).to_owned() }
                    };
                    let (input, gradient) = (rows(input), rows(gradient));
                    let part = Between { matrix, flops, input, gradient, weight };
                    match self.between.get_mut(&axis) {
                        Some(known) => known.add(&part, now.share),
                        None => {
                            self.between.insert(axis, part);
                        }
                    }
                }
                _ => {}
            }
        }
        self.compute = compute;
    }

    /// The same, with what new parameters begin with.
    pub fn with_given(mut self, given: BTreeMap<String, Vec<f32>>) -> Measurements {
        self.given = given;
        self
    }

    pub(super) fn given(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.given
    }

    /// The mean of each value that a layer reads, over the examples and the pixels at which it reads.
    pub fn means(&self, layer: &str) -> Vec<f64> {
        let read = self.read.get(layer).unwrap_or_else(|| panic!("`{layer}` was to be measured before the event"));
        read.sums.iter().map(|sum| sum / read.rows as f64).collect()
    }

    /// E|∂L/∂h_i · h_i| of each unit of an axis, what several layers and pixels say of one example added up; and the
    /// operations of finding that out.
    pub fn told(&self, axis: AxisId) -> (Vec<f64>, u64) {
        let told = self.told.get(&axis).expect("each axis that is ranked was measured before the event");
        (told.sums.iter().map(|sum| sum / self.examples as f64).collect(), told.flops)
    }

    /// What gradmax looks at.
    pub fn between(&self, axis: AxisId) -> &Between {
        self.between.get(&axis).expect("each axis that grows by gradmax was measured before the event")
    }

    pub(super) fn compute(&self) -> &Compute {
        &self.compute
    }
}

/// The one writer and the one reader of an axis that grows by gradmax.
pub(super) fn ends(axis: AxisId, architecture: &Architecture) -> (&Layer, &Layer) {
    let sole = "a plan by gradmax has one writer and one reader";
    let writer = anatomy::weight_writers(axis, architecture).next().expect(sole);
    (writer, anatomy::weight_readers(axis, architecture).next().expect(sole))
}

impl Read {
    fn nothing(like: &Read) -> Read {
        Read { sums: vec![0.0; like.sums.len()], rows: 0 }
    }

    fn add(&mut self, more: &Read) {
        self.sums.iter_mut().zip(&more.sums).for_each(|(sum, more)| *sum += more);
        self.rows += more.rows;
    }
}

impl Told {
    fn nothing(like: &Told) -> Told {
        Told { sums: vec![0.0; like.sums.len()], flops: 0 }
    }

    /// `share`: of the new mean loss, how much is that of `more`.
    fn add(&mut self, more: &Told, share: f64) {
        self.sums.iter_mut().zip(&more.sums).for_each(|(sum, more)| *sum = (1.0 - share) * *sum + share * more);
        self.flops += more.flops;
    }
}

impl Between {
    fn add(&mut self, more: &Between, share: f64) {
        self.matrix.zip_mut_with(&more.matrix, |sum, more| *sum = (1.0 - share) * *sum + share * more);
        self.flops += more.flops;
        let longer = |known: &mut Array2<f64>, more: &Array2<f64>| {
            known.append(Axis(0), more.view()).expect("the same columns in every stretch");
        };
        longer(&mut self.input, &more.input);
        // All in the scale of the first.
        let factor = more.weight / self.weight;
        longer(&mut self.gradient, &more.gradient.mapv(|d| d * factor));
    }
}

/// A network after its passes over one stretch.
struct Now<'a, T> {
    network: &'a Network<T>,
    compute: &'a Compute,
    examples: usize,
    /// Of the mean loss so far, how much is that of this stretch.
    share: f64,
}

impl<T: Real> Now<'_, T> {
    /// Of an axis, before the event.
    fn units(&self, axis: AxisId) -> usize {
        let span =
            |parameter: &crate::nn::Parameter<T>| parameter.dims_of(axis).next().map(|at| parameter.births[at].len());
        self.network.marks().iter().find_map(span).expect("a hidden axis is spanned by the weight that writes it")
    }

    /// What a layer read: [row, value].
    fn input(&self, layer: &str) -> Array2<f64> {
        self.network.layer_input(layer).expect("a plan asks about layers of its network").mapv(Real::to_f64)
    }

    /// ∂L/∂z at its pre-activation: [row, out].
    fn gradient(&self, layer: &str) -> Array2<f64> {
        let gradient = self.network.pre_activation_gradient(layer).expect("a plan asks about layers of its network");
        gradient.mapv(Real::to_f64)
    }

    /// Adds ∂L/∂h·h as a reader sees it to [example, unit], and tells the operations that it took.
    fn tell(&self, reader: &str, input: &Array2<f64>, told: &mut Array2<f64>) -> u64 {
        let gradient = self.gradient(reader);
        let (weight, _) = self.network.weights_of(reader).expect("a plan asks about layers of its network");
        let mut back = Array2::zeros(input.dim());
        product(self.compute, gradient.view(), weight.mapv(Real::to_f64).view(), 0.0, back.view_mut());
        back *= input;
        // Of each unit it reads several values, behind a flatten or by the taps of a kernel, and of images many rows.
        let (rows, values) = (input.nrows() / self.examples, input.ncols() / told.ncols());
        for ((row, column), x) in back.indexed_iter() {
            told[[row / rows, column / values]] += x;
        }
        2 * (gradient.len() * input.ncols()) as u64
    }

    /// M, what the writer read, and what the reader was told.
    fn between(&self, writer: &Layer, reader: &Layer) -> (Array2<f64>, Array2<f64>, Array2<f64>) {
        let (input, gradient) = (self.input(&writer.name), self.gradient(&reader.name));
        let taps = Taps::of(reader);
        let mut matrix = Array2::zeros((gradient.ncols() * taps.count(), input.ncols()));
        for tap in 0..taps.count() {
            let of_tap = matrix.slice_mut(s![tap..;taps.count(), ..]);
            match taps.is_one() {
                true => product(self.compute, gradient.t(), input.view(), 0.0, of_tap),
                false => product(self.compute, gradient.t(), taps.gather(tap, &input).view(), 0.0, of_tap),
            }
        }
        (matrix, input, gradient)
    }
}
