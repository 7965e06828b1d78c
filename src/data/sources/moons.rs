//! `data moons`: two half circles, each reaching into the other.

use super::*;
use crate::base::rng::{Purpose, Stream};
use std::f64::consts::PI;

pub struct Moons;

static DOC: Doc = Doc {
    word: "moons",
    help: "points in the plane on two interleaving half circles; generated from the seed",
    args: &[samples(), noise("0.1", "standard deviation of what is added to each coordinate; the radius is 1")],
    one_of: &[],
    example: "data moons { samples 500; noise 0.2 }",
    source: "scikit-learn's make_moons",
};

fn shape(args: &Args) -> Result<(usize, f64), Refusal> {
    let samples = size(args, "samples", 1000, 2)?;
    bounded(samples, 2)?;
    Ok((samples, deviation(args, 0.1)?))
}

impl Source for Moons {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, args: &Args, _place: &Place) -> Result<Header, Refusal> {
        let (samples, _) = shape(args)?;
        Ok(vectors(samples, 2, Task::Classification, 2))
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let (samples, noise) = shape(args)?;
        let mut stream = Stream::new(place.seed, Purpose::Data, DOC.word, 0);
        let mut features = Vec::with_capacity(samples * 2);
        let mut labels = Vec::with_capacity(samples);
        for example in 0..samples {
            let mut row = stream.row(example as u64);
            let angle = PI * row.uniform();
            let (x, y) = (libm::cos(angle), libm::sin(angle));
            let (x, y) = if example % 2 == 0 { (x, y) } else { (1.0 - x, 0.5 - y) };
            features.push((x + noise * row.normal()) as f32);
            features.push((y + noise * row.normal()) as f32);
            labels.push(example as u32 % 2);
        }
        Ok(generated(vectors(samples, 2, Task::Classification, 2), features, Labels::Classes(labels)))
    }
}
