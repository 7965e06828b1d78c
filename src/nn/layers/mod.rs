//! The kinds of layers: one file and one line in [`LAYERS`] each.

mod conv;
mod dense;
mod pool;
mod residual;

use super::architecture::{Architecture, Feature, Init, Layer, NORM_EPSILON, Norm, Settings};
use super::axis::{AxisId, Dim, Side};
use super::{Activation, Width};
use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape};

/// What a schedule may write after a layer's name.
pub const LAYERS: &[&dyn LayerKind] = &[&dense::Dense, &conv::Conv, &pool::Pool, &residual::Residual];

pub use conv::largest_kernel;
pub use residual::stride as stride_of;

pub fn find(word: &str) -> Option<&'static dyn LayerKind> {
    LAYERS.iter().copied().find(|kind| kind.doc().word == word)
}

/// What a layer makes of its input: known before the layer is added to the architecture.
#[derive(Clone, Debug)]
pub struct Description {
    /// Units of the new axis; `None` when the layer passes its input's axis on (pooling).
    pub width: Option<usize>,
    pub area: Option<(usize, usize)>,
    pub settings: Settings,
}

pub trait LayerKind: Sync {
    fn doc(&self) -> &'static Doc;
    /// Reads the arguments, or says which of them cannot be.
    fn describe(&self, args: &Args, input: Feature) -> Result<Description, Refusal>;
    fn parameters(&self, layer: &Layer, architecture: &Architecture) -> Vec<ParameterShape>;
    /// Of one example, at the largest widths; a multiply-add counts as two.
    fn forward_flops(&self, layer: &Layer, architecture: &Architecture) -> u64;
    /// Whether it reads an image; a network without such a layer reads images as plain vectors.
    fn needs_image(&self) -> bool {
        false
    }
    /// Height and width of what leaves it where images of that size come in; `None` when vectors do, or nothing can.
    fn area(&self, _settings: &Settings, _from: (usize, usize)) -> Option<(usize, usize)> {
        None
    }
}

/// What a parameter is for, which decides its initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Weight,
    Bias,
    Gain,
    RunningMean,
    RunningVariance,
    /// The learned share of a parametric activation: one number.
    Blend,
}

impl Role {
    /// Running statistics are measured, not learned.
    pub fn is_learned(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

/// A parameter as a symbol. Its name is PyTorch's: `h1.weight` is [out, in].
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterShape {
    pub name: String,
    pub role: Role,
    pub dims: Vec<Dim>,
}

impl ParameterShape {
    /// Whether it belongs to the layer's norm.
    pub fn is_of_a_norm(&self) -> bool {
        self.name.contains(".norm.")
    }

    /// Smallest and largest number of entries.
    pub fn count(&self, architecture: &Architecture) -> (u64, u64) {
        self.dims.iter().fold((1, 1), |(min, max), dim| {
            let width = match dim {
                Dim::Feature(axis, _) => architecture.width(*axis),
                Dim::Fixed(n) => Width::exactly(*n),
            };
            (u64::saturating_mul(min, width.min as u64), u64::saturating_mul(max, width.max as u64))
        })
    }

    /// The extents in a run, where every width is exact.
    pub fn extents(&self, architecture: &Architecture) -> Vec<usize> {
        self.dims
            .iter()
            .map(|dim| match dim {
                Dim::Feature(axis, _) => architecture.width(*axis).exact(),
                Dim::Fixed(n) => *n,
            })
            .collect()
    }
}

impl Architecture {
    /// Adds a layer at the end. `block` holds the layers of a residual block, already made.
    pub fn push(&mut self, name: &str, kind: &'static dyn LayerKind, description: Description) -> &mut Layer {
        let input = self.output();
        let layer = self.make_layer(name, kind, description, input);
        self.layers.push(layer);
        self.layers.last_mut().expect("one was just added")
    }

    /// Adds a residual block at the end. `description` is that of its kind; `block` reads the network's output so far
    /// and, unless the block projects, ends as wide: the skip ties both ends into one axis.
    pub fn push_block(
        &mut self,
        name: &str,
        kind: &'static dyn LayerKind,
        description: Description,
        mut block: Vec<Layer>,
    ) {
        let input = self.output();
        let mut outer = self.make_layer(name, kind, description, input);
        outer.output = input;
        if outer.settings.project {
            outer.settings.stride = residual::stride(&block);
        }
        if let Some(last) = block.last_mut() {
            match outer.settings.project {
                true => outer.output = last.output,
                false => last.output.axis = input.axis,
            }
        }
        outer.block = block;
        self.layers.push(outer);
    }

    /// A layer that reads `input` and stands nowhere yet, with an axis of its own where its kind makes one.
    pub fn make_layer(
        &mut self,
        name: &str,
        kind: &'static dyn LayerKind,
        description: Description,
        input: Feature,
    ) -> Layer {
        let axis = match description.width {
            Some(width) => self.add_axis(name, Width::exactly(width)),
            None => input.axis,
        };
        Layer {
            id: self.next_layer_id(),
            name: name.into(),
            kind,
            input,
            output: Feature { axis, area: description.area },
            settings: description.settings,
            frozen: false,
            presence: super::Presence::Certain,
            block: Vec::new(),
        }
    }
}

// --- what dense and conv share: arguments and the parameters behind the product

const ACTIVATION: Arg = Arg {
    name: "activation",
    shape: Shape::Bare(Activation::words),
    required: false,
    default: "linear",
    help: "what is applied after bias and norm",
};
const NORM: Arg = Arg {
    name: "norm",
    shape: Shape::Keyword(&[Kind::Word(|| Norm::ALL.map(Norm::word).to_vec())]),
    required: false,
    default: "none",
    help: "normalisation between bias and activation",
};
const EPSILON: Arg = Arg {
    name: "epsilon",
    shape: Shape::Keyword(&[Kind::Number]),
    required: false,
    default: "1e-5",
    help: "what the norm adds to the variance; Keras has 1e-3",
};
const DROPOUT: Arg = Arg {
    name: "dropout",
    shape: Shape::Keyword(&[Kind::Fraction]),
    required: false,
    default: "0",
    help: "probability of dropping a unit while training",
};
const BIAS: Arg = Arg {
    name: "bias",
    shape: Shape::Keyword(&[Kind::YesNo]),
    required: false,
    default: "yes",
    help: "whether a bias is added",
};
const INIT: Arg = Arg {
    name: "init",
    shape: Shape::Keyword(&[Kind::Word(|| vec!["he", "glorot", "orthogonal", "zero"])]),
    required: false,
    default: "he for relu-like activations, glorot otherwise",
    help: "how weights begin; biases begin at 0",
};
const FROM: Arg = Arg {
    name: "from",
    shape: Shape::Keyword(&[Kind::Text]),
    required: false,
    default: "",
    help: "a weights file that this layer begins with",
};
const PREFIX: Arg = Arg {
    name: "prefix",
    shape: Shape::Keyword(&[Kind::Text]),
    required: false,
    default: "the layer's name",
    help: "what the layer's tensors are called in that file",
};

/// Largest width that any layer may be given; the limits on parameters and memory are far tighter in practice.
pub const WIDTH_MAX: u64 = 1_000_000_000;

/// Largest kernel, stride or square of a pool, in pixels.
pub const PIXELS_MAX: usize = 1 << 16;

fn common_settings(args: &Args) -> Result<Settings, Refusal> {
    let dropout = args.number("dropout").unwrap_or(0.0);
    if !(0.0..1.0).contains(&dropout) {
        return Err(Refusal::error(
            "G0107",
            format!("a dropout of {dropout} would drop every unit or none it could"),
            "use a probability from 0 up to, not including, 1, such as `dropout 0.1`",
        )
        .at("dropout"));
    }
    let norm = args.word("norm").and_then(Norm::find);
    let norm_epsilon = args.number("epsilon").unwrap_or(NORM_EPSILON);
    if args.has("epsilon") && norm.is_none() {
        let help = "write the norm, too: `norm batch epsilon 1e-3`";
        return Err(Refusal::error("G0106", "`epsilon` belongs to a norm, and there is none", help).at("epsilon"));
    }
    // The smallest that is not 0 beside a variance of f32.
    if !(1e-12..=1.0).contains(&norm_epsilon) {
        let message = format!("a norm's epsilon cannot be {norm_epsilon}");
        return Err(Refusal::error("G0107", message, "use a small number, such as 1e-5").at("epsilon"));
    }
    Ok(Settings {
        activation: args.word("activation").and_then(Activation::find).unwrap_or(Activation::Linear),
        norm,
        norm_epsilon,
        norm_epsilon_written: norm_epsilon,
        dropout,
        bias: args.flag("bias").unwrap_or(true),
        init: args.word("init").map(|word| match word {
            "he" => Init::He,
            "glorot" => Init::Glorot,
            "orthogonal" => Init::Orthogonal,
            _ => Init::Zero,
        }),
        ..Settings::default()
    })
}

fn width_argument(args: &Args) -> Result<usize, Refusal> {
    let width = args.integer("width").unwrap_or(1);
    if width == 0 {
        return Err(Refusal::error("G0301", "a layer needs at least one unit", "give a width of 1 or more").at("width"));
    }
    if width > WIDTH_MAX {
        return Err(Refusal::error(
            "G0601",
            format!("{width} units are more than any machine holds"),
            format!("the largest width is {WIDTH_MAX}"),
        )
        .at("width"));
    }
    Ok(usize::try_from(width).expect("checked against WIDTH_MAX"))
}

/// Weight, bias and norm parameters of a product whose weight has the trailing dimensions `taps`.
fn product_parameters(layer: &Layer, taps: &[usize], weight_suffix: &str) -> Vec<ParameterShape> {
    let emits = Dim::Feature(layer.output.axis, Side::Emits);
    let reads = Dim::Feature(layer.input.axis, Side::Reads);
    let mut dims = vec![emits, reads];
    dims.extend(taps.iter().map(|&n| Dim::Fixed(n)));
    let named = |suffix: &str, role: Role, dims: Vec<Dim>| ParameterShape {
        name: format!("{}.{suffix}", layer.name),
        role,
        dims,
    };
    let mut all = vec![named(weight_suffix, Role::Weight, dims)];
    if layer.settings.bias {
        all.push(named("bias", Role::Bias, vec![emits]));
    }
    if let Some(norm) = layer.settings.norm {
        all.push(named("norm.weight", Role::Gain, vec![emits]));
        if norm != Norm::Rms {
            all.push(named("norm.bias", Role::Bias, vec![emits]));
        }
        if norm == Norm::Batch {
            all.push(named("norm.running_mean", Role::RunningMean, vec![emits]));
            all.push(named("norm.running_var", Role::RunningVariance, vec![emits]));
        }
    }
    if layer.settings.parametric {
        all.push(named("blend", Role::Blend, vec![Dim::Fixed(1)]));
    }
    all
}

fn axis_max(architecture: &Architecture, axis: AxisId) -> u64 {
    architecture.width(axis).max as u64
}
