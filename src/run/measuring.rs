//! What a growth plan needs to know of the network on training data.

use crate::grow::{Measurements, Needs, Plan};
use crate::nn::{Mode, Network};
use crate::tensor::Real;
use crate::train::{Loss, Targets, Trainer};
use ndarray::ArrayView2;

/// Measures what `plan` needs on x: [example, in], in evaluation mode. The network stays as it is: parameters,
/// optimiser state, ages and gradients are those of a copy, in which frozen layers pass gradients on, too.
pub fn measure<T: Real>(
    network: &Network<T>,
    plan: &Plan,
    loss: &Loss,
    x: ArrayView2<'_, T>,
    targets: Targets<'_>,
) -> Measurements {
    if plan.needs == Needs::Nothing {
        return Measurements::none();
    }
    let mut copy = network.clone();
    for parameter in copy.parameters() {
        parameter.slots.clear();
        parameter.frozen = false;
    }
    if plan.needs == Needs::Gradients {
        Trainer::new().gradients(&mut copy, loss, x, targets, Mode::Evaluate);
    } else {
        copy.run(x.nrows(), |copy| {
            copy.forward(x, Mode::Evaluate);
        });
    }
    Measurements::of(&copy, plan)
}

/// Floating-point operations that this takes with `examples`, given those of one forward pass of one example.
pub(super) fn flops(needs: Needs, examples: usize, forward: u64) -> u64 {
    forward.saturating_mul(needs.forward_passes()).saturating_mul(examples as u64)
}
