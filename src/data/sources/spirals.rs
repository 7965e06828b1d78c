//! `data spirals`: arms of a spiral around the origin, one class each.

use super::*;
use crate::base::rng::{Purpose, Stream};
use std::f64::consts::TAU;

pub struct Spirals;

static DOC: Doc = Doc {
    word: "spirals",
    help: "points in the plane on intertwined spirals, one class an arm; generated from the seed",
    args: &[
        samples(),
        noise("0.02", "standard deviation of what is added to each coordinate; the arms reach out to radius 1"),
        keyword("classes", &[Kind::Integer], "2", "how many arms"),
    ],
    one_of: &[],
    example: "data spirals { samples 2000; classes 3; noise 0.05 }",
    source: "Lang and Witbrock 1988, Learning to tell two spirals apart",
};

/// How often an arm goes round.
const TURNS: f64 = 1.5;

struct Shape {
    samples: usize,
    classes: usize,
    noise: f64,
}

fn shape(args: &Args) -> Result<Shape, Refusal> {
    let samples = size(args, "samples", 1000, 1)?;
    bounded(samples, 2)?;
    Ok(Shape { samples, classes: classes(args, 2, samples)?, noise: deviation(args, 0.02)? })
}

impl Source for Spirals {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, args: &Args, _place: &Place) -> Result<Header, Refusal> {
        let Shape { samples, classes, .. } = shape(args)?;
        Ok(vectors(samples, 2, Task::Classification, classes))
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let Shape { samples, classes, noise } = shape(args)?;
        let mut stream = Stream::new(place.seed, Purpose::Data, DOC.word, 0);
        let mut features = Vec::with_capacity(samples * 2);
        let mut labels = Vec::with_capacity(samples);
        for example in 0..samples {
            let class = example % classes;
            // A row an example, so that more samples continue the fewer.
            let mut row = stream.row(example as u64);
            // The arms meet in the origin; beginning at a tenth keeps them apart.
            let radius = 0.1 + 0.9 * row.uniform();
            let angle = TAU * (TURNS * radius + class as f64 / classes as f64);
            features.push((radius * libm::cos(angle) + noise * row.normal()) as f32);
            features.push((radius * libm::sin(angle) + noise * row.normal()) as f32);
            labels.push(class as u32);
        }
        Ok(generated(vectors(samples, 2, Task::Classification, classes), features, Labels::Classes(labels)))
    }
}
