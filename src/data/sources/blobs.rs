//! `data blobs`: clouds around random centres, one class each.

use super::*;
use crate::base::rng::{Purpose, Stream};

pub struct Blobs;

static DOC: Doc = Doc {
    word: "blobs",
    help: "round clouds of points, one class each, around centres drawn from -10 to 10; generated from the seed",
    args: &[
        samples(),
        noise("1", "standard deviation of a cloud in each direction"),
        keyword("classes", &[Kind::Integer], "3", "how many clouds"),
        keyword("inputs", &[Kind::Integer], "2", "coordinates of a point"),
    ],
    one_of: &[],
    example: "data blobs { classes 5; inputs 10; noise 2 }",
    source: "scikit-learn's make_blobs",
};

struct Shape {
    samples: usize,
    classes: usize,
    inputs: usize,
    noise: f64,
}

fn shape(args: &Args) -> Result<Shape, Refusal> {
    let samples = size(args, "samples", 1000, 1)?;
    let inputs = size(args, "inputs", 2, 1)?;
    bounded(samples, inputs)?;
    Ok(Shape { samples, classes: classes(args, 3, samples)?, inputs, noise: deviation(args, 1.0)? })
}

impl Source for Blobs {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, args: &Args, _place: &Place) -> Result<Header, Refusal> {
        let Shape { samples, classes, inputs, .. } = shape(args)?;
        Ok(vectors(samples, inputs, Task::Classification, classes))
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let Shape { samples, classes, inputs, noise } = shape(args)?;
        let mut stream = Stream::new(place.seed, Purpose::Data, "blobs.centres", 0);
        let mut centres = Vec::with_capacity(classes * inputs);
        for class in 0..classes {
            let mut row = stream.row(class as u64);
            centres.extend((0..inputs).map(|_| 20.0 * row.uniform() - 10.0));
        }
        let mut stream = Stream::new(place.seed, Purpose::Data, DOC.word, 0);
        let mut features = Vec::with_capacity(samples * inputs);
        let mut labels = Vec::with_capacity(samples);
        for example in 0..samples {
            let class = example % classes;
            let mut row = stream.row(example as u64);
            let centre = &centres[class * inputs..][..inputs];
            features.extend(centre.iter().map(|at| (at + noise * row.normal()) as f32));
            labels.push(class as u32);
        }
        Ok(generated(vectors(samples, inputs, Task::Classification, classes), features, Labels::Classes(labels)))
    }
}
