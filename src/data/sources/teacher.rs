//! `data teacher`: what a random network makes of random inputs, to be learned by a student.

use super::*;
use crate::base::rng::{Purpose, Stream};

pub struct Teacher;

static DOC: Doc = Doc {
    word: "teacher",
    help: "a regression task: the outputs of a random one-layer relu network on standard normal inputs",
    args: &[
        samples(),
        noise("0", "standard deviation of what is added to each output"),
        keyword("inputs", &[Kind::Integer], "10", "numbers that the teacher reads"),
        keyword("hidden", &[Kind::Integer], "10", "hidden units of the teacher"),
        keyword("outputs", &[Kind::Integer], "10", "numbers that the teacher answers"),
    ],
    one_of: &[],
    example: "data teacher { samples 1000; inputs 10; hidden 10; outputs 10 }",
    source: "the student-teacher task of Evci et al. 2022 (GradMax)",
};

struct Shape {
    samples: usize,
    inputs: usize,
    hidden: usize,
    outputs: usize,
    noise: f64,
}

fn shape(args: &Args) -> Result<Shape, Refusal> {
    let samples = size(args, "samples", 1000, 1)?;
    let inputs = size(args, "inputs", 10, 1)?;
    let hidden = size(args, "hidden", 10, 1)?;
    let outputs = size(args, "outputs", 10, 1)?;
    bounded(samples, inputs)?;
    bounded(samples, outputs)?;
    if hidden.saturating_mul(inputs.max(outputs)) as u64 > GENERATED_VALUES_MAX {
        let message = format!("a teacher of {inputs}, {hidden} and {outputs} units is too large");
        return Err(not_generated("hidden", message, "write a smaller `hidden`"));
    }
    Ok(Shape { samples, inputs, hidden, outputs, noise: deviation(args, 0.0)? })
}

impl Source for Teacher {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, args: &Args, _place: &Place) -> Result<Header, Refusal> {
        let Shape { samples, inputs, outputs, .. } = shape(args)?;
        Ok(vectors(samples, inputs, Task::Regression, outputs))
    }

    /// y = W2 · relu(W1 · x), W1 ~ N(0, 2 / inputs), W2 ~ N(0, 1 / hidden), so that outputs have a variance
    /// of about 1 at every size. No biases.
    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let Shape { samples, inputs, hidden, outputs, noise } = shape(args)?;
        let w1 = matrix(place.seed, "teacher.w1", hidden, inputs, (2.0 / inputs as f64).sqrt());
        let w2 = matrix(place.seed, "teacher.w2", outputs, hidden, (1.0 / hidden as f64).sqrt());
        let mut stream = Stream::new(place.seed, Purpose::Data, DOC.word, 0);
        let mut disturbance = Stream::new(place.seed, Purpose::Data, "teacher.noise", 0);
        let mut features = Vec::with_capacity(samples * inputs);
        let mut targets = Vec::with_capacity(samples * outputs);
        let mut activations = vec![0.0f64; hidden];
        for example in 0..samples {
            let mut row = stream.row(example as u64);
            let first = features.len();
            features.extend((0..inputs).map(|_| row.normal() as f32));
            let x = &features[first..];
            for (unit, weights) in activations.iter_mut().zip(w1.chunks_exact(inputs)) {
                *unit = weights.iter().zip(x).fold(0.0, |sum, (w, x)| sum + w * f64::from(*x)).max(0.0);
            }
            let mut row = disturbance.row(example as u64);
            targets.extend(w2.chunks_exact(hidden).map(|weights| {
                let answer = weights.iter().zip(&activations).fold(0.0, |sum, (w, h)| sum + w * h);
                (answer + noise * row.normal()) as f32
            }));
        }
        let header = vectors(samples, inputs, Task::Regression, outputs);
        Ok(generated(header, features, Labels::Numbers { values: targets, width: outputs }))
    }
}

/// [rows, columns] of independent normals.
fn matrix(seed: u64, name: &str, rows: usize, columns: usize, deviation: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Data, name, 0);
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let mut row = stream.row(row as u64);
        values.extend((0..columns).map(|_| deviation * row.normal()));
    }
    values
}
