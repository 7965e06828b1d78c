//! A network with tensors: the forward and backward pass of an [`Architecture`] over planned buffers.
//!
//! No tape. Each layer keeps the two arrays that its backward pass needs, planned once per architecture:
//! pre-activations z: [batch, out] and, where they differ, outputs y: [batch, out]. A dense layer is
//!
//! ```text
//! z = x·Wᵀ + b      y = φ(z)·mask                      x: [batch, in]   W: [out, in]   b: [out]
//! dz = dy·mask·φ′(z)     dW = dzᵀ·x     db = Σ dz      dx = dz·W
//! ```
//!
//! A step allocates nothing of ours; matrixmultiply allocates its packing buffer in every product.

use super::activation::Activation;
use super::architecture::{Architecture, Layer};
use super::init;
use super::layers::ParameterShape;
use super::parameter::Parameter;
use crate::base::Refusal;
use crate::base::rng::{Purpose, Stream};
use crate::tensor::kernels::{self, Function};
use crate::tensor::{Compute, Real, product};
use ndarray::{ArrayD, ArrayView2, ArrayViewMut2, IxDyn};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Evaluate,
    /// Dropout masks are drawn for this step of this seed.
    Train { seed: u64, step: u64 },
}

/// Whether this engine runs an architecture yet; the refusal says what is missing.
pub fn runs(architecture: &Architecture) -> Result<(), Refusal> {
    for layer in architecture.all_layers() {
        let word = layer.kind.doc().word;
        if !layer.kind.runs() {
            return Err(Refusal::error(
                "G0910",
                format!("`{}` is a {word} layer, which is checked but not run yet", layer.name),
                "dense layers run",
            ));
        }
        if layer.settings.norm.is_some() {
            return Err(Refusal::error(
                "G0910",
                format!("`{}` has a norm, which is checked but not run yet", layer.name),
                "leave `norm` out",
            )
            .at("norm"));
        }
    }
    Ok(())
}

/// One layer with its buffers.
#[derive(Clone)]
struct Dense<T> {
    name: String,
    /// Places in [`Network::parameters`].
    weight: usize,
    bias: Option<usize>,
    function: Function,
    dropout: f64,
    inputs: usize,
    outputs: usize,
    /// [batch, out]
    z: Vec<T>,
    /// [batch, out]; empty when the output is z itself.
    y: Vec<T>,
    /// [batch, out]: 0 or 1/(1 − p). Empty without dropout.
    mask: Vec<T>,
    /// ∂L/∂z: [batch, out]
    d: Vec<T>,
    /// [out], for the sum over the batch.
    block: Vec<T>,
}

impl<T: Real> Dense<T> {
    fn output(&self) -> &[T] {
        if self.is_plain() { &self.z } else { &self.y }
    }

    /// Whether y is z.
    fn is_plain(&self) -> bool {
        self.function == Function::Linear && self.dropout == 0.0
    }
}

/// A network that computes. Parameters are public: growth rewrites them, then calls [`Network::replan`].
#[derive(Clone)]
pub struct Network<T> {
    /// In the declaration order of [`Architecture::parameters`].
    pub parameters: Vec<Parameter<T>>,
    layers: Vec<Dense<T>>,
    compute: Compute,
    /// Examples that the buffers hold.
    batch_max: usize,
    /// Examples of the last forward pass.
    batch: usize,
    inputs: usize,
    /// The last batch: [batch, in].
    x: Vec<T>,
    /// Whether the last forward pass dropped units: then the backward pass uses the same masks.
    dropped: bool,
}

impl<T: Real> Network<T> {
    /// Draws initial parameters. Buffers are planned at the first pass, or by [`Network::replan`].
    /// Panics on what [`runs`] refuses and on widths that are not exact.
    pub fn new(architecture: &Architecture, seed: u64, compute: Compute) -> Network<T> {
        let parameters = architecture
            .all_layers()
            .flat_map(|layer| layer.kind.parameters(layer, architecture).into_iter().map(move |shape| (layer, shape)))
            .map(|(layer, shape)| fresh_parameter(layer, shape, architecture, seed))
            .collect();
        let mut network = Network {
            parameters,
            layers: Vec::new(),
            compute,
            batch_max: 0,
            batch: 0,
            inputs: 0,
            x: Vec::new(),
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
        if let Err(refusal) = runs(architecture) {
            panic!("the caller has asked `network::runs` first: {refusal}");
        }
        let mut given: Vec<Option<Parameter<T>>> = self.parameters.drain(..).map(Some).collect();
        self.layers.clear();
        self.inputs = units(architecture.input, architecture);
        for layer in architecture.all_layers() {
            let mut weight = None;
            let mut bias = None;
            for shape in layer.kind.parameters(layer, architecture) {
                let mut parameter = given
                    .iter_mut()
                    .find(|p| p.as_ref().is_some_and(|p| p.name == shape.name))
                    .and_then(Option::take)
                    .unwrap_or_else(|| panic!("the architecture has `{}`, the network does not", shape.name));
                settle_shape(&mut parameter, &shape, architecture);
                parameter.frozen = layer.frozen;
                let place = Some(self.parameters.len());
                match shape.role {
                    super::Role::Weight => weight = place,
                    _ => bias = place,
                }
                self.parameters.push(parameter);
            }
            self.layers.push(Dense {
                name: layer.name.clone(),
                weight: weight.expect("a dense layer has a weight"),
                bias,
                function: function(layer.settings.activation),
                dropout: layer.settings.dropout,
                inputs: units(layer.input, architecture),
                outputs: units(layer.output, architecture),
                z: Vec::new(),
                y: Vec::new(),
                mask: Vec::new(),
                d: Vec::new(),
                block: Vec::new(),
            });
        }
        let left: Vec<&str> = given.iter().flatten().map(|p| p.name.as_str()).collect();
        assert!(left.is_empty(), "the architecture has no {left:?}");
        assert!(!self.layers.is_empty(), "a network has at least one layer");
        self.batch = 0;
        self.plan_batch(batch_max);
    }

    /// Makes room for `batch_max` examples.
    fn plan_batch(&mut self, batch_max: usize) {
        self.batch_max = batch_max;
        self.x = vec![T::ZERO; batch_max * self.inputs];
        for layer in &mut self.layers {
            let size = batch_max * layer.outputs;
            let buffer = |needed: bool| vec![T::ZERO; if needed { size } else { 0 }];
            layer.z = buffer(true);
            layer.d = buffer(true);
            layer.y = buffer(!layer.is_plain());
            layer.mask = buffer(layer.dropout > 0.0);
            layer.block = vec![T::ZERO; layer.outputs];
        }
    }

    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// Other threads or another SIMD path: the same bits.
    pub fn set_compute(&mut self, compute: Compute) {
        self.compute = compute;
    }

    /// Examples that the planned buffers hold; a larger batch plans them anew.
    pub fn batch_max(&self) -> usize {
        self.batch_max
    }

    /// Values of one example.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    pub fn parameter(&self, name: &str) -> Option<&Parameter<T>> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    pub fn parameter_mut(&mut self, name: &str) -> Option<&mut Parameter<T>> {
        self.parameters.iter_mut().find(|parameter| parameter.name == name)
    }

    /// Where the next batch goes, [batch, in] row-major: fill it, then call [`Network::forward_loaded`].
    pub fn input_mut(&mut self, batch: usize) -> &mut [T] {
        if batch > self.batch_max {
            self.plan_batch(batch);
        }
        self.batch = batch;
        &mut self.x[..batch * self.inputs]
    }

    /// The network's output [batch, out] for x: [batch, in].
    pub fn forward(&mut self, x: ArrayView2<'_, T>, mode: Mode) -> ArrayView2<'_, T> {
        let (batch, inputs) = x.dim();
        assert_eq!(inputs, self.inputs, "the network reads {} values an example", self.inputs);
        let into = self.input_mut(batch);
        for (into, row) in into.chunks_exact_mut(inputs.max(1)).zip(x.rows()) {
            for (into, &x) in into.iter_mut().zip(row) {
                *into = x;
            }
        }
        self.forward_loaded(mode)
    }

    /// The network's output [batch, out] for the batch in [`Network::input_mut`].
    pub fn forward_loaded(&mut self, mode: Mode) -> ArrayView2<'_, T> {
        let batch = self.batch;
        self.dropped = matches!(mode, Mode::Train { .. });
        for at in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(at);
            let layer = &mut rest[0];
            let x = before.last().map_or(self.x.as_slice(), Dense::output);
            let x = matrix(x, batch, layer.inputs);
            let weight = weight_view(&self.parameters[layer.weight], layer);
            product(&self.compute, x, weight.reversed_axes(), T::ZERO, matrix_mut(&mut layer.z, batch, layer.outputs));
            let bias = layer.bias.map(|bias| entries(&self.parameters[bias]));
            finish_forward(&self.compute, layer, bias, batch, mode);
        }
        self.output()
    }

    /// The output of the last forward pass: [batch, out].
    pub fn output(&self) -> ArrayView2<'_, T> {
        let last = self.layers.last().expect("a network has at least one layer");
        matrix(last.output(), self.batch, last.outputs)
    }

    /// ∂L/∂parameter into [`Parameter::gradient`] for every parameter that is not frozen, given ∂L/∂output of the
    /// last forward pass: [batch, out]. Frozen layers still pass the gradient on where something below learns.
    pub fn backward(&mut self, d_output: ArrayView2<'_, T>) {
        let batch = self.batch;
        let last = self.layers.last_mut().expect("a network has at least one layer");
        assert_eq!(d_output.dim(), (batch, last.outputs), "∂L/∂output has the output's shape");
        for (into, row) in last.d.chunks_exact_mut(last.outputs.max(1)).zip(d_output.rows()) {
            for (into, &d) in into.iter_mut().zip(row) {
                *into = d;
            }
        }
        let learns = |layer: &Dense<T>, parameters: &[Parameter<T>]| {
            !parameters[layer.weight].frozen || layer.bias.is_some_and(|bias| !parameters[bias].frozen)
        };
        let Some(lowest) = self.layers.iter().position(|layer| learns(layer, &self.parameters)) else {
            return;
        };
        for at in (lowest..self.layers.len()).rev() {
            let (before, rest) = self.layers.split_at_mut(at);
            let layer = &mut rest[0];
            finish_backward(&self.compute, layer, batch, self.dropped);
            let d = matrix(&layer.d, batch, layer.outputs);
            let weight = &mut self.parameters[layer.weight];
            if !weight.frozen {
                let x = before.last().map_or(self.x.as_slice(), Dense::output);
                let x = matrix(x, batch, layer.inputs);
                let gradient = weight.gradient.as_slice_mut().expect("gradients are kept in row-major order");
                let gradient = matrix_mut(gradient, layer.outputs, layer.inputs);
                product(&self.compute, d.reversed_axes(), x, T::ZERO, gradient);
            }
            if let Some(bias) = layer.bias.map(|bias| &mut self.parameters[bias]).filter(|bias| !bias.frozen) {
                let gradient = bias.gradient.as_slice_mut().expect("gradients are kept in row-major order");
                let d = &layer.d[..batch * layer.outputs];
                kernels::sum_rows(self.compute.path(), d, &mut layer.block, gradient);
            }
            if at > lowest {
                let below = before.last_mut().expect("there is a layer below");
                let weight = weight_view(&self.parameters[layer.weight], layer);
                let below_width = below.outputs;
                product(
                    &self.compute,
                    matrix(&layer.d, batch, layer.outputs),
                    weight,
                    T::ZERO,
                    matrix_mut(&mut below.d, batch, below_width),
                );
            }
        }
    }

    /// z = x·Wᵀ + b of a layer in the last forward pass: [batch, out].
    pub fn pre_activation(&self, layer: &str) -> Option<ArrayView2<'_, T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        Some(matrix(&layer.z, self.batch, layer.outputs))
    }

    /// What a layer read in the last forward pass: [batch, in].
    pub fn layer_input(&self, layer: &str) -> Option<ArrayView2<'_, T>> {
        let at = self.layers.iter().position(|l| l.name == layer)?;
        let x = if at == 0 { self.x.as_slice() } else { self.layers[at - 1].output() };
        Some(matrix(x, self.batch, self.layers[at].inputs))
    }

    /// ∂L/∂z of a layer after the last backward pass: [batch, out]. Only for layers that it reached.
    pub fn pre_activation_gradient(&self, layer: &str) -> Option<ArrayView2<'_, T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        Some(matrix(&layer.d, self.batch, layer.outputs))
    }

    /// Runs `work` where the network's parallel pieces start cheaply; see [`Compute::run`].
    pub fn run<R: Send>(&mut self, work: impl FnOnce(&mut Network<T>) -> R + Send) -> R {
        let compute = self.compute.clone();
        compute.run(|| work(self))
    }
}

impl Network<f32> {
    /// Digest of all parameters: names, shapes and values. `None` when one holds a NaN.
    pub fn digest(&self) -> Option<String> {
        let mut digest = crate::base::digest::Tensors::default();
        for parameter in &self.parameters {
            if parameter.value.iter().any(|x| x.is_nan()) {
                return None;
            }
            digest.add(&parameter.name, parameter.value.shape(), parameter.value.iter().copied());
        }
        Some(digest.finish())
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

/// Checks a parameter against its shape and brings its arrays into row-major order.
fn settle_shape<T: Real>(parameter: &mut Parameter<T>, shape: &ParameterShape, architecture: &Architecture) {
    let extents = shape.extents(architecture);
    let name = &parameter.name;
    assert_eq!(parameter.value.shape(), extents, "`{name}` has the architecture's shape");
    parameter.dims.clone_from(&shape.dims);
    if parameter.gradient.shape() != extents {
        parameter.gradient = ArrayD::from_elem(IxDyn(&extents), T::ZERO);
    }
    let arrays = [&mut parameter.value, &mut parameter.gradient];
    for array in arrays.into_iter().chain(parameter.slots.iter_mut().map(|slot| &mut slot.value)) {
        assert_eq!(array.shape(), extents, "every array of `{name}` has its shape");
        if !array.is_standard_layout() {
            *array = array.as_standard_layout().into_owned();
        }
    }
    let ages: Vec<usize> = parameter.births.iter().map(Vec::len).collect();
    assert_eq!(ages, extents, "`{name}` knows the age of every index");
}

/// Values that an axis carries per example.
fn units(feature: super::Feature, architecture: &Architecture) -> usize {
    architecture.width(feature.axis).exact() * feature.values_per_unit()
}

fn function(activation: Activation) -> Function {
    match activation {
        Activation::Relu => Function::Relu,
        Activation::LeakyRelu => Function::LeakyRelu,
        Activation::Gelu => Function::Gelu,
        Activation::Silu => Function::Silu,
        Activation::Tanh => Function::Tanh,
        Activation::Sigmoid => Function::Sigmoid,
        Activation::Softplus => Function::Softplus,
        Activation::Elu => Function::Elu,
        Activation::Selu => Function::Selu,
        Activation::Linear => Function::Linear,
    }
}

fn matrix<T>(values: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), &values[..rows * columns]).expect("the slice has that many values")
}

fn matrix_mut<T>(values: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), &mut values[..rows * columns]).expect("the slice has that many values")
}

fn entries<T>(parameter: &Parameter<T>) -> &[T] {
    parameter.value.as_slice().expect("values are kept in row-major order")
}

fn weight_view<'a, T>(parameter: &'a Parameter<T>, layer: &Dense<T>) -> ArrayView2<'a, T> {
    matrix(entries(parameter), layer.outputs, layer.inputs)
}

/// What follows the product: bias, activation, dropout.
fn finish_forward<T: Real>(compute: &Compute, layer: &mut Dense<T>, bias: Option<&[T]>, batch: usize, mode: Mode) {
    let (path, function, width) = (compute.path(), layer.function, layer.outputs);
    let size = batch * width;
    let plain = layer.is_plain();
    let z = &mut layer.z[..size];
    let y = if plain { &mut [][..] } else { &mut layer.y[..size] };
    let piece = |z: &mut [T], y: &mut [T]| {
        if let Some(bias) = bias {
            kernels::add_bias(path, bias, z);
        }
        if !plain {
            kernels::activate(path, function, z, y);
        }
    };
    match compute.piece(size, width) {
        Some((pool, piece_size)) if !plain => pool.install(|| {
            use rayon::prelude::*;
            z.par_chunks_mut(piece_size).zip(y.par_chunks_mut(piece_size)).for_each(|(z, y)| piece(z, y));
        }),
        _ => piece(z, y),
    }
    if let (true, Mode::Train { seed, step }) = (layer.dropout > 0.0, mode) {
        let mask = &mut layer.mask[..size];
        draw_mask(mask, width, layer.dropout, &mut Stream::new(seed, Purpose::Dropout, &layer.name, step));
        kernels::multiply(path, mask, y);
    }
}

/// Keeps a unit with probability 1 − p and multiplies it by 1/(1 − p). Row = position in the batch, column =
/// unit, so that a wider layer keeps the masks of its old units.
fn draw_mask<T: Real>(mask: &mut [T], width: usize, p: f64, stream: &mut Stream) {
    let kept = T::from_f64(1.0 / (1.0 - p));
    for (position, row) in mask.chunks_exact_mut(width).enumerate() {
        let mut draws = stream.row(position as u64);
        for mask in row {
            *mask = if draws.uniform() < p { T::ZERO } else { kept };
        }
    }
}

/// ∂L/∂y into ∂L/∂z, in place.
fn finish_backward<T: Real>(compute: &Compute, layer: &mut Dense<T>, batch: usize, dropped: bool) {
    let (path, function) = (compute.path(), layer.function);
    let size = batch * layer.outputs;
    let d = &mut layer.d[..size];
    if dropped && layer.dropout > 0.0 {
        kernels::multiply(path, &layer.mask[..size], d);
    }
    if function == Function::Linear {
        return;
    }
    let z = &layer.z[..size];
    match compute.piece(size, layer.outputs) {
        Some((pool, piece)) => pool.install(|| {
            use rayon::prelude::*;
            d.par_chunks_mut(piece)
                .zip(z.par_chunks(piece))
                .for_each(|(d, z)| kernels::activate_backward(path, function, z, d));
        }),
        None => kernels::activate_backward(path, function, z, d),
    }
}
