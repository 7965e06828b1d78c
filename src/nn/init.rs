//! Initial values of parameters.
//!
//! Every entry is drawn from its own place in a random stream: row = output unit, column = input index. A wide
//! and a narrow network of one seed therefore share the draws of their common block, up to the scale.

use super::architecture::{Init, Layer};
use super::layers::{ParameterShape, Role};
use crate::base::rng::{Purpose, Stream};

/// How one entry of a weight is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform in ± this bound.
    Uniform(f64),
    Zero,
}

impl Law {
    /// The law of an initialiser; `None` for `orthogonal`, whose entries depend on each other.
    /// he: normal, std √(2 / fan-in). glorot: uniform, ±√(6 / (fan-in + fan-out)).
    /// Source: He et al. 2015; Glorot & Bengio 2010; as `kaiming_normal_` and `xavier_uniform_`.
    pub fn of(init: Init, fan_in: usize, fan_out: usize) -> Option<Law> {
        Some(match init {
            Init::He => Law::Normal((2.0 / fan_in.max(1) as f64).sqrt()),
            Init::Glorot => Law::Uniform((6.0 / (fan_in + fan_out).max(1) as f64).sqrt()),
            Init::Zero => Law::Zero,
            Init::Orthogonal => return None,
        })
    }

    /// Fills one row of a weight from `column` on.
    pub fn fill(self, stream: &mut Stream, row: usize, column: usize, out: &mut [f64]) {
        let mut draws = stream.row_from(row as u64, column as u64);
        for out in out {
            *out = match self {
                Law::Normal(deviation) => deviation * draws.normal(),
                Law::Uniform(bound) => bound * (2.0 * draws.uniform() - 1.0),
                Law::Zero => 0.0,
            };
        }
    }
}

/// Fan-in and fan-out of a weight of these extents: how many numbers an output hears, and how many outputs hear an
/// input. Of a convolution each input is heard by all taps of every channel, at one pixel or another.
pub fn fans(layer: &Layer, extents: &[usize]) -> (usize, usize) {
    let taps: usize = extents.iter().skip(2).product();
    let fan_out = extents.first().map_or(1, |outputs| outputs * if layer.output.area.is_some() { taps } else { 1 });
    (extents.iter().skip(1).product(), fan_out)
}

/// The initial weight [outputs, inputs], row-major.
pub fn weight(init: Init, outputs: usize, inputs: usize, fan_out: usize, stream: &mut Stream) -> Vec<f64> {
    let mut values = vec![0.0; outputs * inputs];
    let law = Law::of(init, inputs, fan_out).unwrap_or(Law::Normal(1.0));
    for (row, out) in values.chunks_mut(inputs.max(1)).enumerate() {
        law.fill(stream, row, 0, out);
    }
    if init == Init::Orthogonal {
        orthogonalise(&mut values, outputs, inputs);
    }
    values
}

/// Makes the rows of a matrix orthonormal, or its columns when there are more rows than columns: the Q of a QR
/// decomposition whose R has a positive diagonal, by Gram and Schmidt, each vector twice ("twice is enough").
fn orthogonalise(values: &mut [f64], rows: usize, columns: usize) {
    let (count, length) = (rows.min(columns), rows.max(columns));
    // The vectors as rows of their own.
    let at = |vector: usize, i: usize| if rows <= columns { vector * columns + i } else { i * columns + vector };
    let mut vectors: Vec<Vec<f64>> =
        (0..count).map(|vector| (0..length).map(|i| values[at(vector, i)]).collect()).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    for current in 0..count {
        let (done, rest) = vectors.split_at_mut(current);
        let vector = &mut rest[0];
        for _ in 0..2 {
            for earlier in &*done {
                let along = dot(vector, earlier);
                for (x, e) in vector.iter_mut().zip(earlier) {
                    *x -= along * e;
                }
            }
        }
        let norm = dot(vector, vector).sqrt();
        for x in vector {
            *x /= norm;
        }
    }
    for (vector, entries) in vectors.iter().enumerate() {
        for (i, &x) in entries.iter().enumerate() {
            values[at(vector, i)] = x;
        }
    }
}

/// The initial values of a parameter of `layer`, row-major. Weights by the layer's initialiser, gains and
/// running variances 1, the rest 0. `extents` are the parameter's.
pub fn parameter(layer: &Layer, shape: &ParameterShape, extents: &[usize], seed: u64) -> Vec<f64> {
    let count = extents.iter().product();
    match shape.role {
        Role::Weight => {
            let (inputs, fan_out) = fans(layer, extents);
            let mut stream = Stream::new(seed, Purpose::Init, &shape.name, 0);
            weight(layer.settings.initialiser(), extents[0], inputs, fan_out, &mut stream)
        }
        Role::Gain | Role::RunningVariance => vec![1.0; count],
        Role::Bias | Role::RunningMean | Role::Blend => vec![0.0; count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(3, Purpose::Init, "h1.weight", 0)
    }

    #[test]
    fn a_wide_weight_begins_with_the_narrow_one() {
        for init in [Init::He, Init::Glorot] {
            let narrow = weight(init, 5, 4, 5, &mut stream());
            let wide = weight(init, 9, 4, 9, &mut stream());
            let ratio = wide[0] / narrow[0];
            for (n, w) in narrow.iter().zip(&wide) {
                // One rounding of each of two products.
                assert!((w - n * ratio).abs() <= 4.0 * f64::EPSILON * w.abs(), "{n} {w}");
            }
            // A wider input shifts nothing either.
            let long = weight(init, 5, 7, 5, &mut stream());
            let ratio = long[0] / narrow[0];
            assert!((long[7] / narrow[4] - ratio).abs() < 1e-12 * ratio.abs());
        }
    }

    #[test]
    fn the_laws_have_their_scale() {
        let (outputs, inputs) = (200, 300);
        let n = (outputs * inputs) as f64;
        for (init, variance) in [(Init::He, 2.0 / 300.0), (Init::Glorot, 2.0 / 500.0)] {
            let values = weight(init, outputs, inputs, outputs, &mut stream());
            let mean = values.iter().sum::<f64>() / n;
            let measured = values.iter().map(|x| x * x).sum::<f64>() / n;
            // Five standard errors; the variance of a squared normal is 2σ⁴, of a squared uniform less.
            assert!(mean.abs() < 5.0 * (variance / n).sqrt());
            assert!((measured / variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{init:?} {measured} {variance}");
        }
        assert!(weight(Init::Zero, 3, 3, 3, &mut stream()).iter().all(|&x| x == 0.0));
    }

    #[test]
    fn every_tap_of_a_kernel_counts_on_both_sides() {
        use crate::nn::layers::{self, Description};
        use crate::nn::{Activation, Architecture, Settings, Task};
        let mut net = Architecture::new(6, Some((4, 4)), Task::Regression);
        for (name, word, width, area) in [("c", "conv", 10, Some((4, 4))), ("d", "dense", 10, None)] {
            let kernel = if word == "conv" { 3 } else { 1 };
            let settings = Settings { kernel, activation: Activation::Tanh, ..Settings::default() };
            let kind = layers::find(word).expect("a layer");
            net.push(name, kind, Description { width: Some(width), area, settings });
        }
        // PyTorch's: (in · 9, out · 9); a dense layer behind a flatten hears each of 10 · 16 numbers once.
        for (layer, expected) in net.layers.iter().zip([(54, 90), (160, 10)]) {
            let shape = &layer.kind.parameters(layer, &net)[0];
            assert_eq!(fans(layer, &shape.extents(&net)), expected, "{}", layer.name);
        }
    }

    #[test]
    fn orthogonal_is_orthonormal_on_the_shorter_side() {
        for (rows, columns) in [(5, 8), (8, 5), (6, 6), (1, 3), (3, 1)] {
            let q = weight(Init::Orthogonal, rows, columns, rows, &mut stream());
            for i in 0..rows.min(columns) {
                for j in 0..rows.min(columns) {
                    let dot: f64 = if rows <= columns {
                        (0..columns).map(|k| q[i * columns + k] * q[j * columns + k]).sum()
                    } else {
                        (0..rows).map(|k| q[k * columns + i] * q[k * columns + j]).sum()
                    };
                    let expected = if i == j { 1.0 } else { 0.0 };
                    // A handful of roundings in f64.
                    assert!((dot - expected).abs() < 1e-14, "{rows}×{columns} ({i}, {j}): {dot}");
                }
            }
        }
    }
}
