//! What a growth plan needs to know of the network on training data.

use crate::grow::{Measurements, Needs, Plan};
use crate::nn::{Mode, Network};
use crate::tensor::Real;
use crate::train::{Loss, Targets};
use ndarray::{ArrayView2, s};

/// Measures what `plan` needs on x: [example, in], in evaluation mode; images in stretches, because what a network
/// keeps of many would not fit. The network stays as it is: parameters,
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
    let mut measurements = Measurements::none();
    let mut d_output = Vec::new();
    for stretch in Measurements::stretches(x.nrows(), plan) {
        let (x_of, targets_of) = (x.slice(s![stretch.clone(), ..]), targets.slice(stretch.clone()));
        let weight = copy.run(stretch.len(), |copy| {
            copy.forward(x_of, Mode::Evaluate);
            if plan.needs != Needs::Gradients {
                return stretch.len() as f64;
            }
            let output = copy.output();
            let shape = output.dim();
            d_output.resize(output.len(), T::ZERO);
            let (_, weight) = loss.gradient(copy.compute(), output, targets_of, &mut d_output);
            copy.backward(ArrayView2::from_shape(shape, &d_output).expect("one value per output"));
            weight
        });
        measurements.add(&copy, plan, stretch, x.nrows(), weight);
    }
    measurements
}

/// Floating-point operations that this takes with `examples`, given those of one forward pass of one example.
pub(super) fn flops(needs: Needs, examples: usize, forward: u64) -> u64 {
    forward.saturating_mul(needs.forward_passes()).saturating_mul(examples as u64)
}
