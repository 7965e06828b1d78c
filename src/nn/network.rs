//! A network with tensors: the forward and backward pass of an [`Architecture`] over planned buffers.
//!
//! No tape. Each layer keeps the arrays that its backward pass needs, planned once per architecture:
//! pre-activations z: [row, out] and, where they differ, outputs y: [row, out]. A layer is
//!
//! ```text
//! z = x·Wᵀ + b      y = φ(z)·mask                      x: [row, in]   W: [out, in]   b: [out]
//! dz = dy·mask·φ′(z)     dW = dzᵀ·x     db = Σ dz      dx = dz·W
//! ```
//!
//! A row is an example, or where images flow one pixel of an example: then the units are channels, and x is what lies in
//! a convolution's window (`window.rs`). Pools and the way from images to vectors have no weights (`passage.rs`).
//!
//! While it trains, everything is kept in panels ([`crate::tensor::panels`]); [`Network::parameters`] brings the
//! parameters into the row-major form that growth and records work with, and the next pass back. A step
//! allocates nothing.

use super::architecture::{Architecture, Layer};
use super::arrays::{Arrays, settle_shape};
use super::blend::Blend;
use super::gradients::{self, Update};
use super::graph::{Graph, Node, Sum};
use super::init;
use super::layers::{ParameterShape, Role};
use super::norm::{self, Normed};
use super::parameter::{Parameter, Slot, SlotKind};
use super::pass;
use super::passage::{Passage, Way};
use super::product::{Held, Learned, Product, Source};
use super::window::Window;
use crate::tensor::kernels::Function;
use crate::tensor::{BatchMut, Compute, LANES, Line, Panels, Real, panels};
use ndarray::{ArrayD, ArrayView2, IxDyn};
use std::ops::Range;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Evaluate,
    /// Dropout masks are drawn for this step of this seed.
    Train { seed: u64, step: u64 },
}

/// A network that computes.
#[derive(Clone)]
pub struct Network<T> {
    /// In the declaration order of [`Architecture::parameters`]. Their arrays are empty while they are packed.
    pub(super) parameters: Vec<Parameter<T>>,
    /// Whether the arrays are in panels, in the layers.
    pub(super) packed: bool,
    /// In the order in which they compute, which is that of the declaration.
    pub(super) layers: Vec<Product<T>>,
    pub(super) graph: Graph<T>,
    pub(super) compute: Compute,
    /// Examples that the buffers hold.
    batch_max: usize,
    /// Examples of the last forward pass.
    pub(super) batch: usize,
    inputs: usize,
    /// The last batch: [batch, in].
    pub(super) x: Vec<Line<T>>,
    /// Output of the last pass, row-major [batch, out].
    pub(super) out: Vec<T>,
    /// Scratch of the backward pass: a weight turned.
    pub(super) turned: Vec<Line<T>>,
    /// Scratch of what goes image by image: room for one in every piece.
    pub(super) frames: Vec<Line<T>>,
    /// Whether the last forward pass dropped units: then the backward pass uses the same masks.
    pub(super) dropped: bool,
}

impl<T: Real> Network<T> {
    /// Draws initial parameters. Buffers are planned at the first pass, or by [`Network::replan`].
    /// Panics on widths that are not exact.
    pub fn new(architecture: &Architecture, seed: u64, compute: Compute) -> Network<T> {
        let parameters = architecture
            .all_layers()
            .flat_map(|layer| layer.kind.parameters(layer, architecture).into_iter().map(move |shape| (layer, shape)))
            .map(|(layer, shape)| fresh_parameter(layer, shape, architecture, seed))
            .collect();
        let mut network = Network {
            parameters,
            packed: false,
            layers: Vec::new(),
            graph: Graph::empty(),
            compute,
            batch_max: 0,
            batch: 0,
            inputs: 0,
            x: Vec::new(),
            out: Vec::new(),
            turned: Vec::new(),
            frames: Vec::new(),
            dropped: false,
        };
        network.replan(architecture, 0);
        network
    }

    /// Plans the buffers for `architecture` and up to `batch_max` examples. Parameters are kept: they must be
    /// those of the architecture (any order, growth has already resized them). Frozen marks are taken from the
    /// architecture. Gradients whose shape changed become 0.
    /// Panics if a parameter is missing, left over or misshapen.
    pub fn replan(&mut self, architecture: &Architecture, batch_max: usize) {
        self.unpack();
        let mut given: Vec<Option<Parameter<T>>> = self.parameters.drain(..).map(Some).collect();
        self.layers.clear();
        self.graph = Graph::empty();
        self.inputs = units(architecture.input, architecture);
        let mut stream = Source::Input;
        for layer in &architecture.layers {
            if layer.block.is_empty() {
                stream = self.add_layer(layer, stream, architecture, &mut given);
                continue;
            }
            // A skip adds images pixel by pixel.
            stream = self.framed(layer, stream, architecture);
            let skip = match layer.settings.project {
                true => self.add_product(layer, stream, architecture, &mut given),
                false => stream,
            };
            for inner in &layer.block {
                stream = self.add_layer(inner, stream, architecture, &mut given);
            }
            let columns = architecture.width(layer.output.axis).exact();
            let pixels = layer.output.values_per_unit();
            self.graph.nodes.push(Node::Sum(self.graph.sums.len()));
            self.graph.sums.push(Sum { skip, end: stream, columns, pixels, y: Vec::new(), d: Vec::new() });
            stream = Source::Sum(self.graph.sums.len() - 1);
        }
        self.graph.connect(&self.layers);
        let left: Vec<&str> = given.iter().flatten().map(|p| p.name.as_str()).collect();
        assert!(left.is_empty(), "the architecture has no {left:?}");
        assert!(!self.layers.is_empty(), "a network has at least one layer");
        self.batch = 0;
        self.plan_batch(batch_max);
    }

    /// Adds a layer that is no block, and what has to lie before it.
    fn add_layer(
        &mut self,
        layer: &Layer,
        source: Source,
        architecture: &Architecture,
        given: &mut [Option<Parameter<T>>],
    ) -> Source {
        let is_flat = layer.output.area.is_none() && layer.settings.pooling.is_none();
        match (layer.input.area, layer.settings.pooling) {
            (Some(area), Some(pooling)) => {
                let source = self.framed(layer, source, architecture);
                self.add_passage(source, Way::Pool(pooling), layer, area, architecture)
            }
            (Some(area), None) if is_flat && source != Source::Input => {
                let source = self.add_passage(source, Way::Flatten, layer, area, architecture);
                self.add_product(layer, source, architecture, given)
            }
            _ => self.add_product(layer, source, architecture, given),
        }
    }

    /// The network's input as images, where `layer` is to read it so.
    fn framed(&mut self, layer: &Layer, source: Source, architecture: &Architecture) -> Source {
        match layer.input.area {
            Some(area) if source == Source::Input => self.add_passage(source, Way::Frame, layer, area, architecture),
            _ => source,
        }
    }

    fn add_passage(
        &mut self,
        source: Source,
        way: Way,
        layer: &Layer,
        area: (usize, usize),
        architecture: &Architecture,
    ) -> Source {
        let channels = architecture.width(layer.input.axis).exact();
        self.graph.nodes.push(Node::Passage(self.graph.passages.len()));
        self.graph.passages.push(Passage::new(source, way, channels, area));
        Source::Passage(self.graph.passages.len() - 1)
    }

    /// Adds one product, with its parameters out of `given`.
    fn add_product(
        &mut self,
        layer: &Layer,
        source: Source,
        architecture: &Architecture,
        given: &mut [Option<Parameter<T>>],
    ) -> Source {
        let mut found: [Option<Held<T>>; 7] = Default::default();
        for shape in layer.kind.parameters(layer, architecture) {
            let mut parameter = given
                .iter_mut()
                .find(|p| p.as_ref().is_some_and(|p| p.name == shape.name))
                .and_then(Option::take)
                .unwrap_or_else(|| panic!("the architecture has `{}`, the network does not", shape.name));
            settle_shape(&mut parameter, &shape, architecture);
            parameter.frozen = layer.frozen;
            let place = match shape.role {
                Role::Weight => 0,
                Role::Bias if !shape.is_of_a_norm() => 1,
                Role::Gain => 2,
                Role::Bias => 3,
                Role::RunningMean => 4,
                Role::RunningVariance => 5,
                Role::Blend => 6,
            };
            found[place] =
                Some(Held { parameter: self.parameters.len(), frozen: layer.frozen, arrays: Arrays::empty() });
            self.parameters.push(parameter);
        }
        let [weight, bias, gain, shift, mean, variance, share] = found;
        let outputs = architecture.width(layer.output.axis).exact();
        let channels = architecture.width(layer.input.axis).exact();
        let window = Window::of(layer, channels, outputs, source == Source::Input);
        let inputs = match (&window, layer.output.area) {
            (Some(window), _) => channels * window.taps(),
            (None, Some(_)) => channels,
            (None, None) => units(layer.input, architecture),
        };
        let norm = layer.settings.norm.zip(gain).map(|(kind, gain)| Normed {
            kind,
            epsilon: layer.settings.norm_epsilon,
            gain: Learned::new(gain, outputs),
            shift: shift.map(|shift| Learned::new(shift, outputs)),
            running: mean.zip(variance).map(|(mean, variance)| [mean, variance]),
            affine: Vec::new(),
            mean: Vec::new(),
            inverse: Vec::new(),
            of_the_batch: false,
            sums: Vec::new(),
        });
        let blend = share.map(|share| Blend { share: Learned::new(share, 1), curve: Vec::new(), slope: Vec::new() });
        let function = layer.settings.activation.function();
        self.graph.nodes.push(Node::Layer(self.layers.len()));
        self.layers.push(Product {
            name: layer.name.clone(),
            source,
            weight: weight.expect("a layer that computes has a weight"),
            bias,
            plain: function == Function::Linear && layer.settings.dropout == 0.0 && blend.is_none(),
            in_place: false,
            deferred: None,
            exchanged: false,
            norm,
            function,
            blend,
            dropout: layer.settings.dropout,
            window,
            pixels: layer.output.values_per_unit(),
            inputs,
            outputs,
            z: Vec::new(),
            y: Vec::new(),
            mask: Vec::new(),
            d: Vec::new(),
            sums: Vec::new(),
        });
        Source::Layer(self.layers.len() - 1)
    }

    /// Makes room for `batch_max` examples. What only a backward pass needs is planned by the first one.
    fn plan_batch(&mut self, batch_max: usize) {
        self.batch_max = batch_max;
        self.x = buffer(self.inputs, batch_max);
        for layer in &mut self.layers {
            let rows = layer.rows(batch_max);
            layer.z = buffer(layer.outputs, rows);
            layer.y = if layer.plain { Vec::new() } else { buffer(layer.outputs, rows) };
            layer.mask = Vec::new();
            layer.d = Vec::new();
            layer.exchanged = false;
            if let Some(norm) = &mut layer.norm {
                norm.affine = buffer(layer.outputs, rows);
                let statistics = norm.statistics(rows, layer.outputs);
                norm.mean = vec![T::ZERO; statistics];
                norm.inverse = vec![T::ZERO; statistics];
                norm.sums = vec![[[0.0; LANES]; 2]; norm::blocks(rows, layer.outputs)];
            }
            if let Some(blend) = &mut layer.blend {
                blend.curve = buffer(layer.outputs, rows);
                blend.slope = Vec::new();
            }
        }
        for sum in &mut self.graph.sums {
            sum.y = buffer(sum.columns, batch_max * sum.pixels);
            sum.d = Vec::new();
        }
        for passage in &mut self.graph.passages {
            passage.y = buffer(passage.columns, batch_max * passage.rows_to);
            passage.d = Vec::new();
        }
        self.frames = Vec::new();
        self.out = vec![T::ZERO; batch_max * self.outputs()];
        self.turned = Vec::new();
    }

    // --- parameters

    /// All parameters in row-major form, to be read or changed in place; after a change of shape, call
    /// [`Network::replan`]. In the declaration order of [`Architecture::parameters`].
    pub fn parameters(&mut self) -> &mut Vec<Parameter<T>> {
        self.unpack();
        &mut self.parameters
    }

    /// The parameters without their arrays: names, ages, marks. Their arrays may be empty.
    pub fn marks(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    pub fn parameter(&mut self, name: &str) -> Option<&Parameter<T>> {
        self.unpack();
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    pub fn parameter_mut(&mut self, name: &str) -> Option<&mut Parameter<T>> {
        self.unpack();
        self.parameters.iter_mut().find(|parameter| parameter.name == name)
    }

    /// Gives every learned parameter the slots that it lacks, zero and in this order; others are dropped.
    pub fn keep_slots(&mut self, wanted: &[SlotKind]) {
        let present =
            |parameter: &Parameter<T>| parameter.slots.iter().map(|slot| slot.kind).eq(wanted.iter().copied());
        if self.parameters.iter().filter(|parameter| parameter.role.is_learned()).all(present) {
            return;
        }
        self.unpack();
        for parameter in self.parameters.iter_mut().filter(|parameter| parameter.role.is_learned()) {
            let mut old = std::mem::take(&mut parameter.slots);
            for &kind in wanted {
                let slot = match old.iter().position(|slot| slot.kind == kind) {
                    Some(at) => old.swap_remove(at),
                    None => Slot { kind, value: ArrayD::from_elem(parameter.value.raw_dim(), T::ZERO) },
                };
                parameter.slots.push(slot);
            }
        }
    }

    pub(super) fn pack(&mut self) {
        if self.packed {
            return;
        }
        let path = self.compute.path();
        let (layers, parameters) = (&mut self.layers, &mut self.parameters);
        for held in layers.iter_mut().flat_map(Product::all_mut) {
            let parameter = &mut parameters[held.parameter];
            held.frozen = parameter.frozen;
            held.arrays = Arrays::take(path, parameter);
        }
        self.packed = true;
    }

    fn unpack(&mut self) {
        if !self.packed {
            return;
        }
        let path = self.compute.path();
        let (layers, parameters) = (&mut self.layers, &mut self.parameters);
        for held in layers.iter_mut().flat_map(Product::all_mut) {
            let arrays = std::mem::replace(&mut held.arrays, Arrays::empty());
            arrays.give_back(path, &mut parameters[held.parameter]);
        }
        self.packed = false;
    }

    /// Parameters that learn, in declaration order, with their panels.
    pub(super) fn learned(&mut self) -> impl Iterator<Item = (&Parameter<T>, &mut Held<T>)> {
        self.pack();
        let parameters = &self.parameters;
        self.layers
            .iter_mut()
            .flat_map(Product::learned_mut)
            .filter(|held| !held.frozen)
            .map(|held| (&parameters[held.parameter], held))
    }

    /// Counts one update of every parameter that learns; its age is one more from then on.
    pub fn count_update(&mut self) {
        for parameter in self.parameters.iter_mut().filter(|parameter| parameter.learns()) {
            parameter.updates += 1;
        }
    }

    // --- what it is

    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// Examples that the planned buffers hold; a larger batch plans them anew.
    pub fn batch_max(&self) -> usize {
        self.batch_max
    }

    /// Examples to put through at once, up to `most`, when there are many: their activations take some 32 MB, and
    /// those of images are large. Results do not depend on it.
    pub fn examples_at_once(&self, most: usize) -> usize {
        let layers = self.layers.iter().map(|layer| layer.outputs * layer.pixels * if layer.plain { 1 } else { 2 });
        let sums = self.graph.sums.iter().map(|sum| sum.columns * sum.pixels);
        let passages = self.graph.passages.iter().map(|passage| passage.columns * passage.rows_to);
        let all = layers.chain(sums).chain(passages).fold(self.inputs, usize::saturating_add);
        examples_at_once(all, most)
    }

    /// Values of one example.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        match self.graph.nodes.last() {
            Some(Node::Layer(at)) => self.layers[*at].outputs,
            Some(Node::Sum(at)) => self.graph.sums[*at].columns,
            Some(Node::Passage(at)) => self.graph.passages[*at].columns,
            None => 0,
        }
    }

    /// Floating-point operations of a forward pass over `batch` examples, the products alone.
    pub(super) fn forward_operations(&self, batch: usize) -> u64 {
        self.layers
            .iter()
            .fold(0, |sum: u64, layer| sum.saturating_add(layer.size()))
            .saturating_mul(2)
            .saturating_mul(batch as u64)
    }

    // --- passes

    /// Writes the next batch: `fill` gets some rows of it, by number, and where to write them. On several threads
    /// where that pays. Then call [`Network::forward_loaded`]. Panics on an empty batch.
    pub fn load(&mut self, batch: usize, fill: impl Fn(Range<usize>, &mut BatchMut<'_, T>) + Sync) {
        assert!(batch > 0, "a batch has at least one example");
        if batch > self.batch_max {
            self.plan_batch(batch);
        }
        self.batch = batch;
        let count = panels::panels(self.inputs);
        let compute = self.compute.for_work(self.forward_operations(batch));
        let x = BatchMut::new(&mut self.x[..lines(self.inputs, batch)], count, batch);
        pass::load(&compute, x, fill);
    }

    /// The network's output [batch, out] for x: [batch, in].
    pub fn forward(&mut self, x: ArrayView2<'_, T>, mode: Mode) -> ArrayView2<'_, T> {
        let (batch, inputs) = x.dim();
        assert_eq!(inputs, self.inputs, "the network reads {} values an example", self.inputs);
        self.load(batch, |rows, out| out.set(x.slice(ndarray::s![rows, ..])));
        self.forward_loaded(mode)
    }

    /// The output of the last forward pass: [batch, out].
    pub fn output(&self) -> ArrayView2<'_, T> {
        let (batch, outputs) = (self.batch, self.outputs());
        ArrayView2::from_shape((batch, outputs), &self.out[..batch * outputs]).expect("the buffer has that many values")
    }

    /// ∂L/∂parameter into [`Parameter::gradient`] for every parameter that is not frozen, given ∂L/∂output of the
    /// last forward pass: [batch, out]. Frozen layers still pass the gradient on where something below learns.
    pub fn backward(&mut self, d_output: ArrayView2<'_, T>) {
        self.keep_gradients();
        self.pass_back(d_output, true, None);
    }

    /// A gradient for every parameter that learns; one that was not kept is 0.
    fn keep_gradients(&mut self) {
        for (_, held) in self.learned() {
            let value = &held.arrays.value;
            if held.arrays.gradient.is_none() {
                held.arrays.gradient = Some(Panels::zeros(value.rows(), value.columns()));
            }
        }
    }

    /// What [`Network::backward`] does, but each gradient is used up by `update` as soon as it is made, kept by nobody. Tells whether
    /// every new value is finite.
    pub fn backward_and_update(&mut self, d_output: ArrayView2<'_, T>, update: &dyn Update<T>) -> bool {
        for (_, held) in self.learned() {
            held.arrays.gradient = None;
        }
        self.pass_back(d_output, false, Some(update))
    }

    /// Applies `update` to the gradients that [`Network::backward`] has kept. Tells whether every new value is finite.
    pub fn update(&mut self, update: &dyn Update<T>) -> bool {
        self.keep_gradients();
        let compute = self.compute.for_work(self.forward_operations(self.batch));
        gradients::update(&compute, &mut self.layers, update)
    }

    /// Sums of squared gradients per output unit: calls `tell(is a vector, units, sums in panels)` for every
    /// parameter that learns, in declaration order. `sums` is scratch.
    pub fn squares(&mut self, sums: &mut Vec<[f64; LANES]>, mut tell: impl FnMut(bool, usize, &[[f64; LANES]])) {
        let compute = self.compute.for_work(self.forward_operations(self.batch));
        for (parameter, held) in self.learned() {
            let (is_vector, columns) = (parameter.births.len() == 1, held.arrays.value.columns());
            sums.clear();
            sums.resize(panels::panels(columns), [0.0; LANES]);
            if let Some(gradient) = &held.arrays.gradient {
                gradients::squares(&compute, gradient, sums);
            }
            tell(is_vector, columns, sums);
        }
    }

    /// Runs `work`, a step on `batch` examples, where the network's parallel pieces start cheaply; see
    /// [`Compute::run`].
    pub fn run<R>(&mut self, batch: usize, work: impl FnOnce(&mut Network<T>) -> R) -> R {
        let compute = self.compute.for_work(self.forward_operations(batch));
        compute.run(|| work(self))
    }
}

/// Examples of so many numbers that go through at once: no more than some 32 MB of them, but sixteen.
pub fn examples_at_once(numbers: usize, most: usize) -> usize {
    const NUMBERS: usize = 8 << 20;
    (NUMBERS / numbers.max(1)).clamp(most.min(16), most)
}

/// Lines that a batch takes at most.
pub(super) fn lines(columns: usize, rows: usize) -> usize {
    panels::panels(columns) * panels::spaced(rows)
}

/// Room for any batch of up to `rows` examples.
pub(super) fn buffer<T: Real>(columns: usize, rows: usize) -> Vec<Line<T>> {
    // A smaller batch may be spaced as widely as this one.
    vec![Line::ZERO; if rows == 0 { 0 } else { panels::panels(columns) * (rows + 1) }]
}

impl Network<f32> {
    /// Digest of all parameters: names, shapes and values. `None` when one is not finite.
    pub fn digest(&mut self) -> Option<String> {
        super::parameter::digest(self.parameters())
    }
}

/// A parameter at its beginning: initial value, no optimiser state, age 0.
/// Growth makes the parameters of an inserted layer with it.
pub fn fresh_parameter<T: Real>(
    layer: &Layer,
    shape: ParameterShape,
    architecture: &Architecture,
    seed: u64,
) -> Parameter<T> {
    let extents = shape.extents(architecture);
    let values = init::parameter(layer, &shape, &extents, seed).into_iter().map(T::from_f64).collect();
    let value = ArrayD::from_shape_vec(IxDyn(&extents), values).expect("as many values as the extents say");
    Parameter {
        gradient: ArrayD::from_elem(value.raw_dim(), T::ZERO),
        value,
        name: shape.name,
        role: shape.role,
        dims: shape.dims,
        slots: Vec::new(),
        frozen: layer.frozen,
        updates: 0,
        births: extents.iter().map(|&extent| vec![0; extent]).collect(),
    }
}

/// Values that an axis carries per example.
fn units(feature: super::Feature, architecture: &Architecture) -> usize {
    architecture.width(feature.axis).exact() * feature.values_per_unit()
}
