//! Widening behind a norm over all units of a layer (docs/growth.md §4): what is rescaled, and how it is judged.
//!
//! A wider layer has another mean and another deviation, so fresh units cannot simply be quiet. Behind a layer norm
//! they are mean-valued: each fresh row is the average of the old ones, leaves the norm as β alone, and with
//! η = √(d/N), γ′ = ηγ and ε′ = η²ε the old units stay as they were. Behind an rms norm fresh rows are faint, and
//! γ′ = γ√(d/N), ε′ = εd/N.

use super::judge::{self, Reading};
use super::realise::Dice;
use crate::nn::architecture::Norm;
use crate::nn::{Activation, Architecture, Layer, Parameter, SlotKind};
use crate::nn::{Network, Normalised};
use crate::tensor::Real;
use ndarray::{Array2, s};

/// By what fresh incoming weights behind an rms norm are scaled: small beside the old ones, and not 0, where relu
/// units would be dead.
const FAINT: f64 = 1e-3;

/// The norm of one layer after its axis was widened from `old` units.
#[derive(Clone, Debug, PartialEq)]
pub struct Renorm {
    pub layer: String,
    /// Readers whose bias takes back what the fresh units say.
    pub silenced: Vec<String>,
}

/// Whether a norm sees all units of its layer at once.
pub fn couples_units(layer: &Layer) -> bool {
    matches!(layer.settings.norm, Some(Norm::Layer | Norm::Rms))
}

/// Rescales the norm of a layer that has `old` old units and, behind them, fresh ones as drawn.
pub fn renorm<T: Real>(edit: &Renorm, old: usize, parameters: &mut [Parameter<T>], after: &Architecture, dice: Dice) {
    let layer = after.layer(&edit.layer).expect("a widened layer stays");
    let units = after.width(layer.output.axis).exact();
    let eta = (old as f64 / units as f64).sqrt();
    let centred = layer.settings.norm == Some(Norm::Layer);
    let mut voices = Vec::new();
    for parameter in parameters.iter_mut() {
        let Some(("", suffix)) = parameter.name.strip_prefix(layer.name.as_str()).map(|rest| ("", rest)) else {
            continue;
        };
        match suffix {
            ".weight" | ".project.weight" | ".bias" => {
                let axis = ndarray::Axis(0);
                let (known, mut fresh) = parameter.value.view_mut().split_at(axis, old);
                if centred {
                    let average = known.mapv(|x| x.to_f64()).mean_axis(axis).expect("a layer has units");
                    let average = average.mapv(T::from_f64);
                    fresh.outer_iter_mut().for_each(|mut row| row.assign(&average));
                } else {
                    fresh.mapv_inplace(|x| x * T::from_f64(FAINT));
                }
            }
            ".norm.weight" => {
                let scale = |array: &mut ndarray::ArrayD<T>, by: f64| {
                    array.iter_mut().take(old).for_each(|x| *x = T::from_f64(x.to_f64() * by));
                };
                scale(&mut parameter.value, eta);
                scale(&mut parameter.gradient, 1.0 / eta);
                for slot in &mut parameter.slots {
                    let by = if slot.kind == SlotKind::SecondMoment { 1.0 / (eta * eta) } else { 1.0 / eta };
                    scale(&mut slot.value, by);
                }
            }
            ".norm.bias" => {
                // Positive, so that relu passes it, and far from where rounding would decide.
                let mut stream = dice.stream(&parameter.name);
                let mut draws = stream.row(0);
                for shift in parameter.value.iter_mut().skip(old) {
                    *shift = T::from_f64(0.05 + 0.1 * draws.uniform());
                    voices.push(layer.settings.activation.at::<T>(*shift));
                }
            }
            _ => {}
        }
    }
    for reader in &edit.silenced {
        let find = |suffix: &str| {
            let name = format!("{reader}.{suffix}");
            parameters.iter().position(|p| p.name == name).expect("a silenced reader has a weight and a bias")
        };
        let places = [find("weight"), find("bias")];
        let [weight, bias] = parameters.get_disjoint_mut(places).expect("weight and bias are two parameters");
        for (bias, row) in bias.value.iter_mut().zip(weight.value.outer_iter()) {
            let said = row.iter().skip(old).zip(&voices).fold(0.0, |sum, (z, f)| sum + z.to_f64() * f.to_f64());
            *bias = T::from_f64(bias.to_f64() - said);
        }
    }
}

/// ε of a widened layer's norm.
pub fn epsilon(old: f64, from: usize, to: usize) -> f64 {
    old * from as f64 / to as f64
}

/// A norm on the probe, judged by itself: what came into it before may have been changed by the same action.
pub struct NormReading {
    layer: String,
    activation: Activation,
    before: Normalised,
}

/// How far a norm's results may be from exact ones, per example: what is multiplied by |γ|, and what by |β|. What comes
/// into it is rounded too, the average of the old rows as well, and the deviation divides that.
fn allowances(now: &Normalised, reading: &Reading, network: &Network<f32>) -> (Vec<f64>, f64) {
    let units = now.input.ncols() as f64;
    let rounding = judge::allowance(reading, network.compute());
    let largest_of = |row: ndarray::ArrayView1<f64>| row.fold(0.0_f64, |largest, x| largest.max(*x));
    let own = 4.0 * units * 2f64.powi(-24);
    let examples = now.input.rows().into_iter().zip(rounding.rows()).map(|(row, rounding)| {
        let largest = row.iter().fold(0.0_f64, |largest, x| largest.max(f64::from(x.abs())));
        let (_, deviation) = statistics(now, row.iter().map(|x| f64::from(*x)), row.len());
        (own * largest + largest_of(rounding)) / deviation
    });
    (examples.collect(), own)
}

/// Mean and √(σ² + ε) of some units of one example.
fn statistics(norm: &Normalised, units: impl Iterator<Item = f64> + Clone, count: usize) -> (f64, f64) {
    let n = count as f64;
    let mean = if norm.kind == Norm::Layer { units.clone().sum::<f64>() / n } else { 0.0 };
    let variance = units.fold(0.0, |sum, x| sum + (x - mean) * (x - mean)) / n;
    (mean, (variance + norm.epsilon).sqrt())
}

impl NormReading {
    /// The norm of a layer in the last forward pass; `None` where it has none that sees all units.
    pub fn of(network: &Network<f32>, layer: &Layer) -> Option<NormReading> {
        let before = couples_units(layer).then(|| network.normalised(&layer.name))??;
        Some(NormReading { layer: layer.name.clone(), activation: layer.settings.activation, before })
    }

    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The largest change of an old unit behind the norm, beside what the old norm makes of the inputs of now, the
    /// largest that was allowed, and whether all were within.
    pub fn judge(&self, network: &Network<f32>) -> (f64, f64, bool) {
        let now = network.normalised(&self.layer).expect("a widened layer keeps its norm");
        let before = &self.before;
        let old = before.input.ncols();
        let reading = Reading::of(network, &self.layer);
        let (scaled_by_gain, scaled_by_shift) = allowances(&now, &reading, network);
        let (mut largest, mut allowed, mut held) = (0.0_f64, 0.0_f64, true);
        for (example, row) in now.input.rows().into_iter().enumerate() {
            let units = row.slice(s![..old]);
            let (mean, deviation) = statistics(before, units.iter().map(|x| f64::from(*x)), old);
            let square = |units: ndarray::ArrayView1<f32>| units.fold(0.0, |sum, x| sum + f64::from(*x).powi(2));
            // Fresh units add to the mean square.
            let added = match before.kind {
                Norm::Rms => square(row.slice(s![old..])) / (2.0 * square(units) + f64::MIN_POSITIVE),
                _ => 0.0,
            };
            for unit in 0..old {
                let scaled = (f64::from(row[unit]) - mean) / deviation * f64::from(before.gain[unit]);
                let shift = before.shift.as_ref().map_or(0.0, |shift| f64::from(shift[unit]));
                let expected = scaled + shift;
                let change = (f64::from(now.output[[example, unit]]) - expected).abs();
                let gain = f64::from(now.gain[unit].abs());
                let bound = gain * scaled_by_gain[example] + shift.abs() * scaled_by_shift + added * scaled.abs();
                // NaN is never within.
                held &= change <= bound;
                largest = if change.is_nan() { change } else { largest.max(change) };
                allowed = allowed.max(bound);
            }
        }
        (largest, allowed, held)
    }

    /// How far what fresh units say may be from what `reader` takes back: [example, out].
    pub fn slack(&self, network: &Network<f32>, reader: &Reading) -> Array2<f64> {
        let now = network.normalised(&self.layer).expect("a widened layer keeps its norm");
        let reading = Reading::of(network, &self.layer);
        let (scaled_by_gain, scaled_by_shift) = allowances(&now, &reading, network);
        let (old, units) = (self.before.input.ncols(), now.input.ncols());
        let steepest = self.activation.steepest();
        let apart = Array2::from_shape_fn((now.input.nrows(), units - old), |(example, fresh)| {
            let shift = now.shift.as_ref().map_or(0.0, |shift| f64::from(shift[old + fresh].abs()));
            let gain = f64::from(now.gain[old + fresh].abs());
            steepest * (gain * scaled_by_gain[example] + shift * scaled_by_shift)
        });
        apart.dot(&reader.weight.slice(s![.., old..]).mapv(|x| f64::from(x.abs())).t())
    }
}
