//! `r1 residual { … }`: x + block(x), or P·x + block(x) with `project`. The skip ties the block's ends into one axis.

use super::*;
use crate::nn::architecture::Pooling;

pub struct Residual;

static DOC: Doc = Doc {
    word: "residual",
    help: "adds a block's output to its input; `project` puts a 1×1 map on the skip",
    args: &[Arg {
        name: "project",
        shape: Shape::Flag,
        required: false,
        default: "",
        help: "a learned map on the skip, for ends of different width",
    }],
    one_of: &[],
    example: "r1 residual { a dense 64 relu; b dense 32 }",
    source: "He et al. 2016 (Deep Residual Learning)",
};

impl LayerKind for Residual {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn describe(&self, args: &Args, input: Feature) -> Result<Description, Refusal> {
        let settings = Settings { project: args.flag("project").unwrap_or(false), bias: false, ..Settings::default() };
        Ok(Description { width: None, area: input.area, settings })
    }

    fn area(&self, settings: &Settings, (height, width): (usize, usize)) -> Option<(usize, usize)> {
        Some((height.div_ceil(settings.stride), width.div_ceil(settings.stride)))
    }

    fn parameters(&self, layer: &Layer, _architecture: &Architecture) -> Vec<ParameterShape> {
        if layer.settings.project { product_parameters(layer, &[], "project.weight") } else { Vec::new() }
    }

    fn forward_flops(&self, layer: &Layer, architecture: &Architecture) -> u64 {
        let out = axis_max(architecture, layer.output.axis).saturating_mul(layer.output.values_per_unit() as u64);
        if layer.settings.project {
            out.saturating_mul(axis_max(architecture, layer.input.axis)).saturating_mul(2)
        } else {
            out
        }
    }
}

/// By how much a block shrinks the images that go through it: so many pixels its map on the skip steps at once.
pub fn stride(block: &[Layer]) -> usize {
    let of = |layer: &Layer| match layer.settings.pooling {
        Some(Pooling::Max(size) | Pooling::Average(size)) => size,
        Some(Pooling::Global) => 1,
        None => layer.settings.stride,
    };
    block.iter().map(of).fold(1, usize::saturating_mul)
}
