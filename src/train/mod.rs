//! One training step, and the evaluation of a part of the data.
//!
//! Nothing here knows a schedule: `run` gathers batches, computes the learning rate and asks for steps.

pub mod evaluate;
pub mod loss;
pub mod metrics;

pub use evaluate::{evaluate, evaluate_in_batches, evaluate_with};
pub use loss::{LOSSES, Loss, Targets};
pub use metrics::{METRICS, MetricKind, MetricValue};

use crate::nn::{Mode, Network};
use crate::optim::Optimizer;
use crate::tensor::{BatchMut, Real};
use ndarray::ArrayView2;

/// What a training step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean over the batch, before the update.
    pub loss: f64,
    /// What `loss` is the mean over: the examples, or their class weights. The mean over several batches
    /// is Σ loss·weight / Σ weight.
    pub weight: f64,
    /// Global norm of the gradients before clipping, where they were kept: see [`Trainer::keep_gradients`].
    pub gradient_norm: Option<f64>,
    /// Whether loss, gradients and new values are all finite.
    pub finite: bool,
}

impl StepReport {
    /// Whether the step went well. A loss that is not finite has changed nothing; gradients that are not finite
    /// have changed nothing either where they were kept, and have spoiled the parameters where they were not.
    pub fn is_finite(&self) -> bool {
        self.finite
    }
}

/// Takes training steps. Keeps the gradient at the network's output between them.
#[derive(Clone, Debug, Default)]
pub struct Trainer<T> {
    d_output: Vec<T>,
    /// Keep the gradients of the next steps in the parameters, for somebody who wants to see them. Otherwise
    /// they are used up as they are made, unless they must be clipped. The same bits, a little slower.
    pub keep_gradients: bool,
}

impl<T: Real> Trainer<T> {
    pub fn new() -> Trainer<T> {
        Trainer { d_output: Vec::new(), keep_gradients: false }
    }

    /// Forward, loss, backward, update, on the batch x: [batch, in] with one target each.
    /// `step` is the number of steps taken before; with `seed` it names the dropout masks.
    /// What is not finite is told in the report; see [`StepReport::is_finite`] for what it has changed.
    #[allow(clippy::too_many_arguments)]
    pub fn step(
        &mut self,
        network: &mut Network<T>,
        optimizer: &mut Optimizer,
        loss: &Loss,
        x: ArrayView2<'_, T>,
        targets: Targets<'_>,
        lr: f64,
        seed: u64,
        step: u64,
    ) -> StepReport {
        network.run(x.nrows(), |network| {
            network.forward(x, Mode::Train { seed, step });
            self.after_forward(network, optimizer, loss, targets, lr)
        })
    }

    /// The same on a batch that `fill` writes: see [`Network::load`].
    #[allow(clippy::too_many_arguments)]
    pub fn step_loaded(
        &mut self,
        network: &mut Network<T>,
        optimizer: &mut Optimizer,
        loss: &Loss,
        fill: impl Fn(std::ops::Range<usize>, &mut BatchMut<'_, T>) + Sync,
        targets: Targets<'_>,
        lr: f64,
        seed: u64,
        step: u64,
    ) -> StepReport {
        network.run(targets.len(), |network| {
            network.load(targets.len(), fill);
            network.forward_loaded(Mode::Train { seed, step });
            self.after_forward(network, optimizer, loss, targets, lr)
        })
    }

    /// Forward in evaluation mode and backward, without an update: what growth measures. Returns the loss;
    /// gradients are in the parameters and in [`Network::pre_activation_gradient`].
    pub fn gradients(
        &mut self,
        network: &mut Network<T>,
        loss: &Loss,
        x: ArrayView2<'_, T>,
        targets: Targets<'_>,
        mode: Mode,
    ) -> f64 {
        network.run(x.nrows(), |network| {
            network.forward(x, mode);
            let mean = self.loss_and_gradient(network, loss, targets);
            network.backward(self.gradient(network.output().dim()));
            mean.0
        })
    }

    fn after_forward(
        &mut self,
        network: &mut Network<T>,
        optimizer: &mut Optimizer,
        loss: &Loss,
        targets: Targets<'_>,
        lr: f64,
    ) -> StepReport {
        let (mean, weight) = self.loss_and_gradient(network, loss, targets);
        if !mean.is_finite() {
            return StepReport { loss: mean, weight, gradient_norm: None, finite: false };
        }
        let d = self.gradient(network.output().dim());
        if self.keep_gradients || optimizer.clip.is_some() {
            network.backward(d);
            let (norm, finite) = optimizer.update(network, lr);
            return StepReport { loss: mean, weight, gradient_norm: Some(norm), finite };
        }
        let finite = optimizer.backward_and_update(network, d, lr);
        StepReport { loss: mean, weight, gradient_norm: None, finite }
    }

    fn loss_and_gradient(&mut self, network: &Network<T>, loss: &Loss, targets: Targets<'_>) -> (f64, f64) {
        let output = network.output();
        // Grows to the largest batch once.
        if self.d_output.len() < output.len() {
            self.d_output.resize(output.len(), T::ZERO);
        }
        let (sum, weight) = loss.gradient(network.compute(), output, targets, &mut self.d_output[..output.len()]);
        (sum / weight, weight)
    }

    /// ∂L/∂output: [batch, out].
    fn gradient(&self, shape: (usize, usize)) -> ArrayView2<'_, T> {
        ArrayView2::from_shape(shape, &self.d_output[..shape.0 * shape.1]).expect("one value per output")
    }
}
