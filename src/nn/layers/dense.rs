//! `h1 dense 64 relu`: y = φ(norm(W·x + b)), W: [out, in] as in PyTorch's `nn.Linear`.

use super::*;

pub struct Dense;

static DOC: Doc = Doc {
    word: "dense",
    help: "a fully connected layer, as PyTorch's nn.Linear followed by its activation",
    args: &[
        Arg {
            name: "width",
            shape: Shape::Positional(Kind::Integer),
            required: true,
            default: "",
            help: "how many units it has",
        },
        ACTIVATION,
        NORM,
        EPSILON,
        DROPOUT,
        BIAS,
        INIT,
        FROM,
        PREFIX,
    ],
    one_of: &[],
    example: "h1 dense 64 relu",
    source: "",
};

impl LayerKind for Dense {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn describe(&self, args: &Args, _input: Feature) -> Result<Description, Refusal> {
        Ok(Description { width: Some(width_argument(args)?), area: None, settings: common_settings(args)? })
    }

    fn parameters(&self, layer: &Layer, _architecture: &Architecture) -> Vec<ParameterShape> {
        // Behind an image, a channel owns its block of height × width columns.
        let taps = layer.input.area.map_or(vec![], |(height, width)| vec![height, width]);
        product_parameters(layer, &taps, "weight")
    }

    fn forward_flops(&self, layer: &Layer, architecture: &Architecture) -> u64 {
        let inputs = axis_max(architecture, layer.input.axis).saturating_mul(layer.input.values_per_unit() as u64);
        axis_max(architecture, layer.output.axis).saturating_mul(inputs).saturating_mul(2)
    }
}
