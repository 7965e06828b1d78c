//! `c1 conv 32 kernel 3 relu`: a two-dimensional convolution, weight [out, in, kernel, kernel] as in PyTorch's
//! `nn.Conv2d`. `pad same` puts (kernel − 1) / 2 rows of zeros above the image, as PyTorch's `padding=kernel // 2` does
//! for odd kernels, at any stride.

use super::*;
use crate::nn::architecture::Padding;

pub struct Conv;

/// The largest kernel with `pad same` of which each tap reads the image somewhere.
pub fn largest_kernel((height, width): (usize, usize)) -> usize {
    height.max(width).saturating_mul(2).saturating_sub(1)
}

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
            shape: Shape::Keyword(&[Kind::Word(|| Padding::ALL.map(Padding::word).to_vec())]),
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
                "use data with images (`digits`, `mnist`, `idx`, `images`, `npz` with `layout`), or a `dense` layer",
            ));
        };
        let kernel = args.integer("kernel").unwrap_or(1);
        let stride = args.integer("stride").unwrap_or(1);
        for (name, value) in [("kernel", kernel), ("stride", stride)] {
            if value == 0 || value > PIXELS_MAX as u64 {
                return Err(
                    Refusal::error("G0301", format!("a {name} of {value} pixels cannot be"), "use 1 or more").at(name)
                );
            }
        }
        let (kernel, stride) = (kernel as usize, stride as usize);
        let padding = args.word("pad").and_then(Padding::find).unwrap_or(Padding::Same);
        let settings = Settings { kernel, stride, padding, ..common_settings(args)? };
        if let Some(norm @ (Norm::Layer | Norm::Rms)) = settings.norm {
            return Err(Refusal::error(
                "G0301",
                format!("a convolution has no {} norm here: it would mix channels and pixels", norm.word()),
                "use `norm batch`, which takes each channel over all pixels and examples",
            )
            .at("norm"));
        }
        if stride > height.max(width) {
            return Err(Refusal::error(
                "G0301",
                format!("a stride of {stride} steps over the whole image of {height}×{width}"),
                format!("use a stride from 1 to {}", height.max(width)),
            )
            .at("stride"));
        }
        let largest = largest_kernel((height, width));
        if padding == Padding::Same && kernel > largest {
            return Err(Refusal::error(
                "G0301",
                format!("a kernel of {kernel} is larger than {height}×{width} pixels with all the zeros around them"),
                format!("use a kernel from 1 to {largest}: farther out every tap reads zeros alone"),
            )
            .at("kernel"));
        }
        let Some(area) = self.area(&settings, (height, width)) else {
            return Err(Refusal::error(
                "G0301",
                format!("a kernel of {kernel} does not fit into {height}×{width} pixels"),
                "use `pad same` or a smaller kernel",
            )
            .at("kernel"));
        };
        Ok(Description { width: Some(width_argument(args)?), area: Some(area), settings })
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

    fn area(&self, settings: &Settings, (height, width): (usize, usize)) -> Option<(usize, usize)> {
        let outputs = |n: usize| match settings.padding {
            Padding::Same => Some(n.div_ceil(settings.stride)),
            Padding::Valid => n.checked_sub(settings.kernel).map(|rest| rest / settings.stride + 1),
        };
        outputs(height).zip(outputs(width))
    }
}
