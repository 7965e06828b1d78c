//! `c1 conv 32 kernel 3 relu`: a two-dimensional convolution, weight [out, in, kernel, kernel].

use super::*;
use crate::nn::architecture::Padding;

pub struct Conv;

static DOC: Doc = Doc {
    word: "conv",
    help: "a two-dimensional convolution over an image",
    args: &[
        Arg {
            name: "width",
            shape: Shape::Positional(Kind::Integer),
            required: true,
            default: "",
            help: "how many channels it makes",
        },
        Arg {
            name: "kernel",
            shape: Shape::Keyword(&[Kind::Integer]),
            required: true,
            default: "",
            help: "height and width of the kernel, in pixels",
        },
        ACTIVATION,
        Arg {
            name: "stride",
            shape: Shape::Keyword(&[Kind::Integer]),
            required: false,
            default: "1",
            help: "pixels from one output to the next",
        },
        Arg {
            name: "pad",
            shape: Shape::Keyword(&[Kind::Word(|| vec!["same", "valid"])]),
            required: false,
            default: "same",
            help: "`same` pads with zeros so that stride 1 keeps the size; `valid` pads nothing",
        },
        NORM,
        EPSILON,
        DROPOUT,
        BIAS,
        INIT,
        FROM,
        PREFIX,
    ],
    one_of: &[],
    example: "c1 conv 32 kernel 3 relu",
    source: "",
};

impl LayerKind for Conv {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn describe(&self, args: &Args, input: Feature) -> Result<Description, Refusal> {
        let Some((height, width)) = input.area else {
            return Err(Refusal::error(
                "G0301",
                "a convolution needs an image, and its input is a plain vector",
                "use data with images (`mnist`, `idx`, `images`, `npz` with `layout`), or a `dense` layer",
            ));
        };
        let kernel = args.integer("kernel").unwrap_or(1);
        let stride = args.integer("stride").unwrap_or(1);
        for (name, value) in [("kernel", kernel), ("stride", stride)] {
            if value == 0 || value > 1 << 16 {
                return Err(
                    Refusal::error("G0301", format!("a {name} of {value} pixels cannot be"), "use 1 or more").at(name)
                );
            }
        }
        let (kernel, stride) = (kernel as usize, stride as usize);
        let padding = if args.word("pad") == Some("valid") { Padding::Valid } else { Padding::Same };
        let outputs = |n: usize| match padding {
            Padding::Same => Some(n.div_ceil(stride)),
            Padding::Valid => n.checked_sub(kernel).map(|rest| rest / stride + 1),
        };
        let (Some(rows), Some(columns)) = (outputs(height), outputs(width)) else {
            return Err(Refusal::error(
                "G0301",
                format!("a kernel of {kernel} does not fit into {height}×{width} pixels"),
                "use `pad same` or a smaller kernel",
            )
            .at("kernel"));
        };
        let settings = Settings { kernel, stride, padding, ..common_settings(args)? };
        Ok(Description { width: Some(width_argument(args)?), area: Some((rows, columns)), settings })
    }

    fn parameters(&self, layer: &Layer, _architecture: &Architecture) -> Vec<ParameterShape> {
        let kernel = layer.settings.kernel;
        product_parameters(layer, &[kernel, kernel], "weight")
    }

    fn forward_flops(&self, layer: &Layer, architecture: &Architecture) -> u64 {
        let taps = (layer.settings.kernel * layer.settings.kernel) as u64;
        let pixels = layer.output.values_per_unit() as u64;
        axis_max(architecture, layer.output.axis)
            .saturating_mul(axis_max(architecture, layer.input.axis))
            .saturating_mul(taps.saturating_mul(pixels).saturating_mul(2))
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn runs(&self) -> bool {
        false
    }
}
