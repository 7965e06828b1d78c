//! What an optimiser keeps, under PyTorch's names: `h1.weight.exp_avg`, `h1.weight.exp_avg_sq`, `h1.weight.step` of Adam,
//! `h1.weight.momentum_buffer` of SGD.
//!
//! Here every entry has its own age a, the number of updates since the younger of its row and column was born, and a
//! moment is divided by 1 − βᵃ. PyTorch divides all moments of a tensor by 1 − βᵗ, t being its one count of steps. So
//! that the corrected moments are the same,
//!
//! ```text
//! m′ = m·(1 − β1ᵗ)/(1 − β1ᵃ)      v′ = v·(1 − β2ᵗ)/(1 − β2ᵃ)      t: updates of the parameter
//! ```
//!
//! in f64, rounded once to f32. Where a = t nothing changes. An entry that has had no update (a = 0) has no moments;
//! its first step under PyTorch's count is larger than here, by √((1 − β2ᵗ⁺¹)/(1 − β2))·(1 − β1)/(1 − β1ᵗ⁺¹).

use super::named::Named;
use crate::nn::{Parameter, Slot, SlotKind};
use crate::optim::Rule;
use ndarray::ArrayD;

/// The state of every parameter that has one, in the order of the parameters.
pub fn tensors(parameters: &[Parameter<f32>], rule: &Rule) -> Vec<Named<'static>> {
    let mut all = Vec::new();
    for parameter in parameters.iter().filter(|parameter| !parameter.slots.is_empty()) {
        let named = |suffix: &str, array: &ArrayD<f32>| {
            let values: Vec<f32> = array.iter().copied().collect();
            Named::f32(format!("{}.{suffix}", parameter.name), array.shape(), values)
        };
        match rule {
            Rule::Sgd { .. } => {
                all.extend(parameter.slots.first().map(|slot| named("momentum_buffer", &slot.value)));
            }
            Rule::Adam { betas, .. } => {
                for slot in &parameter.slots {
                    let (suffix, beta) = match slot.kind {
                        SlotKind::FirstMoment => ("exp_avg", betas.0),
                        SlotKind::SecondMoment => ("exp_avg_sq", betas.1),
                    };
                    all.push(named(suffix, &under_one_count(parameter, slot, beta)));
                }
                // A number that stands alone, in f32, as PyTorch keeps it.
                all.push(Named::f32(format!("{}.step", parameter.name), &[], vec![parameter.updates as f32]));
            }
        }
    }
    all
}

/// A moment such that PyTorch's correction by the parameter's count makes of it what ours by age does.
fn under_one_count(parameter: &Parameter<f32>, slot: &Slot<f32>, beta: f64) -> ArrayD<f32> {
    let whole = correction(beta, parameter.updates);
    let mut out = slot.value.clone();
    for (index, value) in out.indexed_iter_mut() {
        let age = age(parameter, |dimension| index[dimension]);
        if age > 0 && age != parameter.updates {
            *value = (f64::from(*value) * whole / correction(beta, age)) as f32;
        }
    }
    out
}

/// Updates of one entry: those since the youngest of its indices was born.
fn age(parameter: &Parameter<f32>, index: impl Fn(usize) -> usize) -> u64 {
    let births = parameter.births.iter().enumerate().map(|(dimension, births)| births[index(dimension)]);
    parameter.updates - births.max().unwrap_or(0).min(parameter.updates)
}

/// 1 − βᵃ.
fn correction(beta: f64, age: u64) -> f64 {
    1.0 - libm::pow(beta, age as f64)
}

/// Entries without an update in parameters that have had some.
pub fn fresh(parameters: &[Parameter<f32>]) -> u64 {
    let learned = parameters.iter().filter(|parameter| parameter.role.is_learned() && parameter.updates > 0);
    let count = |parameter: &Parameter<f32>| {
        let entries = parameter.value.indexed_iter();
        entries.filter(|(index, _)| age(parameter, |dimension| index[dimension]) == 0).count() as u64
    };
    learned.map(count).sum()
}
