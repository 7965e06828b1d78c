//! `p1 pool max 2`: the largest or mean value of each square of pixels. It owns no parameters and no axis.

use super::*;
use crate::nn::architecture::Pooling;

pub struct Pool;

static DOC: Doc = Doc {
    word: "pool",
    help: "shrinks an image: the maximum or mean of each N×N square, or of the whole image",
    args: &[Arg {
        name: "how",
        shape: Shape::Positional(Kind::Choice(&[
            ("max", &[Kind::Integer]),
            ("avg", &[Kind::Integer]),
            ("global", &[]),
        ])),
        required: true,
        default: "",
        help: "which value of a square is kept; `global` is the mean of the whole image",
    }],
    one_of: &[],
    example: "p1 pool max 2",
    source: "",
};

impl LayerKind for Pool {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn describe(&self, args: &Args, input: Feature) -> Result<Description, Refusal> {
        let Some((height, width)) = input.area else {
            return Err(Refusal::error(
                "G0301",
                "pooling needs an image, and its input is a plain vector",
                "pooling goes after convolutions, before the first `dense` layer",
            ));
        };
        let size = match args.values("how") {
            Some([_, crate::base::Value::Integer(n)]) => *n,
            _ => 1,
        };
        let limit = height.min(width) as u64;
        if size == 0 || size > limit {
            return Err(Refusal::error(
                "G0301",
                format!("squares of {size} pixels do not fit into {height}×{width}"),
                format!("use a size from 1 to {limit}"),
            )
            .at("how"));
        }
        let size = size as usize;
        let pooling = match args.word("how") {
            Some("max") => Pooling::Max(size),
            Some("avg") => Pooling::Average(size),
            Some(_) => Pooling::Global,
            // A mistake that was told: what comes behind still finds the image.
            None => Pooling::Max(1),
        };
        let settings = Settings { pooling: Some(pooling), ..Settings::default() };
        Ok(Description { width: None, area: self.area(&settings, (height, width)), settings })
    }

    fn parameters(&self, _layer: &Layer, _architecture: &Architecture) -> Vec<ParameterShape> {
        Vec::new()
    }

    fn forward_flops(&self, layer: &Layer, architecture: &Architecture) -> u64 {
        axis_max(architecture, layer.input.axis).saturating_mul(layer.input.values_per_unit() as u64)
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn area(&self, settings: &Settings, (height, width): (usize, usize)) -> Option<(usize, usize)> {
        match settings.pooling? {
            Pooling::Max(size) | Pooling::Average(size) => Some((height / size, width / size)),
            Pooling::Global => None,
        }
    }
}
