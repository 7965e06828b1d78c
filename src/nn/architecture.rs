//! A network as symbols: layers in order, the axes between them, what is frozen. No weight, no allocation
//! of tensor size. `check`, `plan` and the run all carry one through the same events.

use super::activation::Activation;
use super::axis::{Axis, AxisId, Width};
use super::layers::{LayerKind, ParameterShape};
use crate::base::Target;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u32);

/// What the network is to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Classification,
    Regression,
}

/// What flows between two layers: units of one axis, for images each with height × width values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub axis: AxisId,
    /// Height and width in pixels; `None` for plain vectors.
    pub area: Option<(usize, usize)>,
}

impl Feature {
    /// Values that one unit holds: height · width, or 1.
    pub fn values_per_unit(self) -> usize {
        self.area.map_or(1, |(height, width)| height * width)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    Layer,
    Batch,
    Rms,
}

impl Norm {
    pub const ALL: [Norm; 3] = [Norm::Layer, Norm::Batch, Norm::Rms];

    pub fn word(self) -> &'static str {
        match self {
            Norm::Layer => "layer",
            Norm::Batch => "batch",
            Norm::Rms => "rms",
        }
    }

    pub fn find(word: &str) -> Option<Norm> {
        Norm::ALL.into_iter().find(|norm| norm.word() == word)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    He,
    Glorot,
    Orthogonal,
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    Same,
    Valid,
}

impl Padding {
    pub const ALL: [Padding; 2] = [Padding::Same, Padding::Valid];

    pub fn word(self) -> &'static str {
        match self {
            Padding::Same => "same",
            Padding::Valid => "valid",
        }
    }

    pub fn find(word: &str) -> Option<Padding> {
        Padding::ALL.into_iter().find(|padding| padding.word() == word)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Max(usize),
    Average(usize),
    Global,
}

impl Pooling {
    /// The inverse of how it is shown; `None` for what no schedule writes.
    pub fn find(text: &str) -> Option<Pooling> {
        let size = |text: &str| text.parse().ok().filter(|size| (1..=super::layers::PIXELS_MAX).contains(size));
        match text.split_once(' ') {
            None => (text == "global").then_some(Pooling::Global),
            Some(("max", rest)) => size(rest).map(Pooling::Max),
            Some(("avg", rest)) => size(rest).map(Pooling::Average),
            Some(_) => None,
        }
    }
}

impl std::fmt::Display for Pooling {
    /// As a schedule writes it: `max 2`, `avg 2`, `global`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pooling::Max(size) => write!(f, "max {size}"),
            Pooling::Average(size) => write!(f, "avg {size}"),
            Pooling::Global => f.write_str("global"),
        }
    }
}

/// PyTorch's for layer and batch norm; for rms, too.
pub const NORM_EPSILON: f64 = 1e-5;

/// What stands after a layer's name and kind. A layer is product → bias → norm → activation → dropout.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub activation: Activation,
    pub norm: Option<Norm>,
    /// ε of the norm; growth rescales it with the width.
    pub norm_epsilon: f64,
    /// The one that it begins with, as the schedule writes it.
    pub norm_epsilon_written: f64,
    /// Whether the activation is (1 − a)·t + a·φ(t) with a learned a; only layers that growth has inserted.
    pub parametric: bool,
    /// Probability of dropping a unit, in 0..1.
    pub dropout: f64,
    pub bias: bool,
    /// `None`: he for relu-like activations, glorot otherwise.
    pub init: Option<Init>,
    pub kernel: usize,
    pub stride: usize,
    pub padding: Padding,
    pub pooling: Option<Pooling>,
    /// `residual project`: a 1×1 map on the skip.
    pub project: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            activation: Activation::Linear,
            norm: None,
            norm_epsilon: NORM_EPSILON,
            norm_epsilon_written: NORM_EPSILON,
            parametric: false,
            dropout: 0.0,
            bias: true,
            init: None,
            kernel: 1,
            stride: 1,
            padding: Padding::Same,
            pooling: None,
            project: false,
        }
    }
}

impl Settings {
    /// Rows of zeros above an image, and columns left of it, that a convolution's first patch reads.
    pub fn margin(&self) -> usize {
        match self.padding {
            Padding::Same => (self.kernel - 1) / 2,
            Padding::Valid => 0,
        }
    }

    /// The initialiser that holds: the one that was named, else by the activation.
    pub fn initialiser(&self) -> Init {
        self.init.unwrap_or(if self.activation.is_relu_like() { Init::He } else { Init::Glorot })
    }
}

/// Whether a layer is surely there. `Maybe` only in the checker, after a `when`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Certain,
    Maybe,
}

#[derive(Clone)]
pub struct Layer {
    pub id: LayerId,
    pub name: String,
    pub kind: &'static dyn LayerKind,
    pub input: Feature,
    pub output: Feature,
    pub settings: Settings,
    pub frozen: bool,
    pub presence: Presence,
    /// The layers inside a residual block; empty elsewhere.
    pub block: Vec<Layer>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}→{:?} {:?}", self.name, self.kind.doc().word, self.input, self.output, self.settings)
    }
}

/// The network at one moment of a schedule.
#[derive(Clone, Debug)]
pub struct Architecture {
    axes: Vec<Axis>,
    pub input: Feature,
    pub task: Task,
    /// In order; blocks hold their own layers.
    pub layers: Vec<Layer>,
    next_layer: u32,
}

impl Architecture {
    /// No layer yet: only the input, `width` units wide (times its area for images).
    pub fn new(width: usize, area: Option<(usize, usize)>, task: Task) -> Architecture {
        let axes = vec![Axis { name: "input".into(), width: Width::exactly(width) }];
        let input = Feature { axis: AxisId(0), area };
        Architecture { axes, input, task, layers: Vec::new(), next_layer: 0 }
    }

    /// Puts together what was written down: `layers` name axes by their place in `axes`, the first of which is the
    /// input. Their ids and the areas that they work on are settled here. Refused when a layer does not read what the
    /// one before it writes.
    pub fn assemble(
        axes: Vec<Axis>,
        area: Option<(usize, usize)>,
        task: Task,
        mut layers: Vec<Layer>,
    ) -> Result<Architecture, String> {
        let mut stream = Feature { axis: AxisId(0), area };
        let input = stream;
        let mut next_layer = 0;
        for layer in &mut layers {
            let skip = stream;
            layer.id = LayerId(next_layer);
            next_layer += 1;
            for inner in &mut layer.block {
                inner.id = LayerId(next_layer);
                next_layer += 1;
                stream = follow(inner, stream, axes.len())?;
            }
            if layer.block.is_empty() {
                stream = follow(layer, stream, axes.len())?;
                continue;
            }
            (layer.settings.stride, layer.settings.kernel) = (1, 1);
            let end = match layer.settings.project {
                true => {
                    layer.settings.stride = super::layers::stride_of(&layer.block);
                    let area = skip.area.and_then(|area| layer.kind.area(&layer.settings, area));
                    Feature { area, ..stream }
                }
                false => skip,
            };
            if layer.input.axis != skip.axis || layer.output.axis != stream.axis || end != stream {
                return Err(format!("the block `{}` has no end that fits its skip", layer.name));
            }
            (layer.input, layer.output) = (skip, stream);
        }
        if layers.is_empty() {
            return Err("it has no layer".into());
        }
        Ok(Architecture { axes, input, task, layers, next_layer })
    }

    /// Every feature axis there has been, also those that no layer uses any more.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub fn axis(&self, id: AxisId) -> &Axis {
        &self.axes[id.0 as usize]
    }

    pub fn width(&self, id: AxisId) -> Width {
        self.axis(id).width
    }

    pub fn set_width(&mut self, id: AxisId, width: Width) {
        self.axes[id.0 as usize].width = width;
    }

    /// A new axis, named after the layer that writes it.
    pub fn add_axis(&mut self, name: &str, width: Width) -> AxisId {
        self.axes.push(Axis { name: name.into(), width });
        AxisId(u32::try_from(self.axes.len() - 1).expect("fewer than 4e9 axes"))
    }

    pub fn next_layer_id(&mut self) -> LayerId {
        self.next_layer += 1;
        LayerId(self.next_layer - 1)
    }

    /// What leaves the last layer; the input when there is none.
    pub fn output(&self) -> Feature {
        self.layers.last().map_or(self.input, |layer| layer.output)
    }

    /// Every layer in order, those inside blocks after their block.
    pub fn all_layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().flat_map(|layer| std::iter::once(layer).chain(&layer.block))
    }

    /// Changes every layer, in the order of [`Architecture::all_layers`].
    pub fn change_layers(&mut self, mut change: impl FnMut(&mut Layer)) {
        for layer in &mut self.layers {
            change(layer);
            layer.block.iter_mut().for_each(&mut change);
        }
    }

    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.all_layers().find(|layer| layer.name == name)
    }

    pub fn layer_mut(&mut self, name: &str) -> Option<&mut Layer> {
        let top = self.layers.iter().position(|layer| layer.name == name);
        match top {
            Some(at) => Some(&mut self.layers[at]),
            None => self.layers.iter_mut().flat_map(|layer| &mut layer.block).find(|layer| layer.name == name),
        }
    }

    /// Place of a top-level layer.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.all_layers().map(|layer| layer.name.as_str()).collect()
    }

    /// The layers that read `axis`, in order.
    pub fn readers(&self, axis: AxisId) -> Vec<&Layer> {
        self.all_layers().filter(|layer| layer.input.axis == axis && layer.block.is_empty()).collect()
    }

    /// The layers that write `axis`, in order.
    pub fn writers(&self, axis: AxisId) -> Vec<&Layer> {
        self.all_layers().filter(|layer| layer.output.axis == axis && layer.block.is_empty()).collect()
    }

    /// Whether an axis is the input or the output of the whole network: neither can change its width.
    pub fn is_hidden(&self, axis: AxisId) -> bool {
        axis != self.input.axis && axis != self.output().axis
    }

    /// The layers that a target names, in order. `Err` holds the name that is not there; a range whose
    /// ends stand in the wrong order is empty.
    pub fn select(&self, target: &Target) -> Result<Vec<&Layer>, String> {
        let all: Vec<&Layer> = self.all_layers().collect();
        let find = |name: &String| all.iter().position(|layer| &layer.name == name).ok_or(name.clone());
        Ok(match target {
            Target::All => all,
            Target::One(name) => vec![all[find(name)?]],
            Target::Range(first, last) => {
                let (first, last) = (find(first)?, find(last)?);
                if first > last { Vec::new() } else { all[first..=last].to_vec() }
            }
        })
    }

    /// The same layers as a network that has not been trained: nothing is frozen, and norms have the ε that they begin
    /// with.
    pub fn fresh(&self) -> Architecture {
        let mut fresh = self.clone();
        fresh.change_layers(|layer| {
            layer.frozen = false;
            layer.settings.norm_epsilon = layer.settings.norm_epsilon_written;
        });
        fresh
    }

    /// Whether every width is one number and every layer surely there.
    pub fn is_exact(&self) -> bool {
        let exact = |feature: Feature| self.width(feature.axis).min == self.width(feature.axis).max;
        exact(self.input) && self.all_layers().all(|layer| exact(layer.output) && layer.presence == Presence::Certain)
    }

    /// Every layer by name, kind, width and activation, for who draws it:
    /// `input:64 h1:dense:256:relu r1:residual:32(a:dense:64:relu b:dense:32:linear) out:dense:10:linear`.
    /// Images have their size behind the width, and what works on them says how, with its stride:
    /// `input:1@28x28 c1:conv:8@14x14:relu:3x3/2 p1:pool:8::global`, `r1:residual:8@7x7::map/2(…)`.
    pub fn sketch(&self) -> String {
        let own = |layer: &Layer| {
            let (name, kind, width) = (&layer.name, layer.kind.doc().word, self.feature(layer.output));
            let activation = match layer.block.is_empty() && layer.settings.pooling.is_none() {
                true => layer.settings.activation.word(),
                false => "",
            };
            let how = how(layer);
            match (activation, how.as_str()) {
                ("", "") => format!("{name}:{kind}:{width}"),
                (_, "") => format!("{name}:{kind}:{width}:{activation}"),
                _ => format!("{name}:{kind}:{width}:{activation}:{how}"),
            }
        };
        let mut parts = vec![format!("input:{}", self.feature(self.input))];
        parts.extend(self.layers.iter().map(|layer| match layer.block.is_empty() {
            true => own(layer),
            false => format!("{}({})", own(layer), layer.block.iter().map(own).collect::<Vec<_>>().join(" ")),
        }));
        parts.join(" ")
    }

    /// `16@28x28`, or `16` for plain vectors.
    fn feature(&self, feature: Feature) -> String {
        let width = self.width(feature.axis);
        feature.area.map_or(width.to_string(), |(rows, columns)| format!("{width}@{rows}x{columns}"))
    }

    /// The parameters of the whole network in declaration order.
    pub fn parameters(&self) -> Vec<ParameterShape> {
        self.all_layers().flat_map(|layer| layer.kind.parameters(layer, self)).collect()
    }

    /// How many numbers the network learns, as an interval while widths are.
    pub fn parameter_count(&self) -> (u64, u64) {
        self.parameters().iter().filter(|p| p.role.is_learned()).fold((0, 0), |(min, max), parameter| {
            let (low, high) = parameter.count(self);
            (u64::saturating_add(min, low), u64::saturating_add(max, high))
        })
    }

    /// Floating-point operations of one forward pass of one example, at the largest widths.
    /// A backward pass costs twice as much.
    pub fn forward_flops(&self) -> u64 {
        self.all_layers().fold(0, |sum, layer| sum.saturating_add(layer.kind.forward_flops(layer, self)))
    }
}

/// How a layer works on images: its kernel or its squares, and its stride; empty for all others.
fn how(layer: &Layer) -> String {
    let Settings { kernel, stride, pooling, project, .. } = &layer.settings;
    let stride = if *stride > 1 { format!("/{stride}") } else { String::new() };
    match pooling {
        Some(Pooling::Max(size)) => format!("max{size}"),
        Some(Pooling::Average(size)) => format!("avg{size}"),
        Some(Pooling::Global) => "global".into(),
        None if !layer.block.is_empty() && *project => format!("map{stride}"),
        None if layer.kind.needs_image() => format!("{kernel}x{kernel}{stride}"),
        None => String::new(),
    }
}

/// What leaves a layer that reads `stream`; the axes that it names must be there.
fn follow(layer: &mut Layer, stream: Feature, axes: usize) -> Result<Feature, String> {
    if layer.input.axis != stream.axis || layer.output.axis.0 as usize >= axes {
        return Err(format!("the layer `{}` does not read what is before it", layer.name));
    }
    layer.input = stream;
    layer.output.area = stream.area.and_then(|area| layer.kind.area(&layer.settings, area));
    let is_image = layer.kind.needs_image();
    if is_image && (stream.area.is_none() || layer.output.values_per_unit() == 0) {
        return Err(format!("the layer `{}` does not find an image", layer.name));
    }
    let is_global = layer.settings.pooling == Some(Pooling::Global);
    if is_image && layer.output.area.is_none() && !is_global {
        return Err(format!("the kernel of `{}` does not fit into its image", layer.name));
    }
    Ok(layer.output)
}

impl std::fmt::Display for Architecture {
    /// Widths from input to output: `64-32-32-10`; images as `1@28x28`, blocks in parentheses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.feature(self.input))?;
        for layer in &self.layers {
            if layer.block.is_empty() {
                write!(f, "-{}", self.feature(layer.output))?;
            } else {
                let inner: Vec<String> = layer.block.iter().map(|inner| self.feature(inner.output)).collect();
                write!(f, "-({})", inner.join("-"))?;
            }
        }
        Ok(())
    }
}
