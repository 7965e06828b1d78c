//! A parameter with everything that belongs to it: value, gradient, the optimiser's slots, and its age.
//! The optimiser owns no private copies, so one rewrite carries all of it.

use super::axis::{AxisId, Dim};
use super::layers::Role;
use ndarray::ArrayD;

/// What an array beside a value is, which decides how growth transforms it (GROWTH §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Momentum, Nesterov's velocity, Adam's m.
    FirstMoment,
    /// Adam's v.
    SecondMoment,
}

/// One array of the optimiser's state, of the value's shape.
#[derive(Clone, Debug)]
pub struct Slot<T> {
    pub kind: SlotKind,
    pub value: ArrayD<T>,
}

#[derive(Clone, Debug)]
pub struct Parameter<T> {
    /// PyTorch's name: `h1.weight`.
    pub name: String,
    pub role: Role,
    /// What each dimension of `value` spans.
    pub dims: Vec<Dim>,
    pub value: ArrayD<T>,
    /// ∂L/∂value of the last batch, of the value's shape; 0 where the step has used it up without keeping it.
    pub gradient: ArrayD<T>,
    pub slots: Vec<Slot<T>>,
    /// A frozen parameter is not updated, and its age stands still.
    pub frozen: bool,
    /// Updates that this parameter has had.
    pub updates: u64,
    /// Per dimension, the value of `updates` at which each index was born. An entry is as old as its
    /// youngest index: `updates - max(births[d][i_d])`.
    pub births: Vec<Vec<u64>>,
}

impl<T> Parameter<T> {
    /// Whether an optimiser changes it.
    pub fn learns(&self) -> bool {
        self.role.is_learned() && !self.frozen
    }

    /// The dimensions that span `axis`, by position.
    pub fn dims_of(&self, axis: AxisId) -> impl Iterator<Item = usize> + '_ {
        self.dims
            .iter()
            .enumerate()
            .filter(move |(_, dim)| matches!(dim, Dim::Feature(a, _) if *a == axis))
            .map(|(at, _)| at)
    }
}

/// Digest of the values of some parameters in their order; `None` when one is not finite: such weights are never
/// saved as a result.
pub fn digest(parameters: &[Parameter<f32>]) -> Option<String> {
    let mut digest = crate::base::digest::Tensors::default();
    for parameter in parameters {
        let value = parameter.value.as_standard_layout();
        let numbers = value.as_slice().expect("standard layout is one slice");
        if !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        digest.add(&parameter.name, value.shape(), numbers);
    }
    Some(digest.finish())
}
