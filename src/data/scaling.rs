//! Normalisation: one scaling per feature, measured on the training part alone.

use super::{Features, Normalize, Scaling};

/// The scaling of `normalize`. `features`: the training part, [n, width].
///
/// `zscore`: mean and population standard deviation. `minmax`: to 0..1. The values of an image are of one
/// scale, so they share the statistics of their channel (`values_per_channel` in a row each); a pixel that is
/// rarely lit would otherwise become huge when it is. A feature that never varies in training tells nothing
/// there; it becomes 0 everywhere (inverse 0), whatever it holds elsewhere.
///
/// Sums are in f64, in the order of the examples: their bits do not depend on threads.
pub(super) fn measure(features: &Features, normalize: Normalize, values_per_channel: usize) -> Scaling {
    let width = features.width();
    let channels = width / values_per_channel.max(1);
    let per_channel = match normalize {
        Normalize::None => return Scaling::identity(width),
        Normalize::ZScore => zscore(features, channels, values_per_channel),
        Normalize::MinMax => minmax(features, channels, values_per_channel),
    };
    let spread = |pick: fn(&(f64, f64)) -> f64| -> Vec<f32> {
        per_channel.iter().flat_map(|pair| std::iter::repeat_n(pick(pair) as f32, values_per_channel)).collect()
    };
    Scaling { mean: spread(|pair| pair.0), inverse: spread(|pair| pair.1) }
}

/// (mean, 1 / standard deviation) per channel, in two passes.
fn zscore(features: &Features, channels: usize, values_per_channel: usize) -> Vec<(f64, f64)> {
    let n = (features.len() * values_per_channel) as f64;
    let mut sums = vec![0.0f64; channels];
    each_value(features, values_per_channel, |channel, value| sums[channel] += value);
    let means: Vec<f64> = sums.iter().map(|sum| sum / n).collect();
    let mut squares = vec![0.0f64; channels];
    each_value(features, values_per_channel, |channel, value| {
        let distance = value - means[channel];
        squares[channel] += distance * distance;
    });
    let (low, high) = extremes(features, channels, values_per_channel);
    (0..channels)
        .map(|channel| {
            let deviation = (squares[channel] / n).sqrt();
            // Equal values may leave a deviation of one rounding; compare the values themselves.
            (means[channel], if low[channel] < high[channel] { reciprocal(deviation) } else { 0.0 })
        })
        .collect()
}

/// (minimum, 1 / range) per channel.
fn minmax(features: &Features, channels: usize, values_per_channel: usize) -> Vec<(f64, f64)> {
    let (low, high) = extremes(features, channels, values_per_channel);
    low.iter().zip(&high).map(|(&low, &high)| (low, reciprocal(high - low))).collect()
}

/// 1/x, or 0 where that is no finite f32.
fn reciprocal(x: f64) -> f64 {
    let inverse = 1.0 / x;
    if inverse <= f64::from(f32::MAX) { inverse } else { 0.0 }
}

fn extremes(features: &Features, channels: usize, values_per_channel: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut low, mut high) = (vec![f64::INFINITY; channels], vec![f64::NEG_INFINITY; channels]);
    each_value(features, values_per_channel, |channel, value| {
        low[channel] = low[channel].min(value);
        high[channel] = high[channel].max(value);
    });
    (low, high)
}

fn each_value(features: &Features, values_per_channel: usize, mut visit: impl FnMut(usize, f64)) {
    fn walk<T: Copy>(
        values: &[T],
        width: usize,
        values_per_channel: usize,
        to_f64: impl Fn(T) -> f64,
        visit: &mut impl FnMut(usize, f64),
    ) {
        for row in values.chunks_exact(width.max(1)) {
            for (channel, block) in row.chunks_exact(values_per_channel.max(1)).enumerate() {
                for &value in block {
                    visit(channel, to_f64(value));
                }
            }
        }
    }
    match features {
        Features::F32 { values, width } => walk(values, *width, values_per_channel, f64::from, &mut visit),
        Features::U8 { values, width } => walk(values, *width, values_per_channel, f64::from, &mut visit),
    }
}
