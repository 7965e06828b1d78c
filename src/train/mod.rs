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
use crate::tensor::Real;
use ndarray::ArrayView2;

/// What a training step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean over the batch, before the update.
    pub loss: f64,
    /// What `loss` is the mean over: the examples, or their class weights. The mean over several batches
    /// is Σ loss·weight / Σ weight.
    pub weight: f64,
    /// Global norm of the gradients before clipping; NaN when the loss is not finite, as none was computed.
    pub gradient_norm: f64,
}

impl StepReport {
    /// Whether the step was taken. When it was not, the parameters are as before.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.gradient_norm.is_finite()
    }
}

/// Takes training steps. Keeps the gradient at the network's output between them.
#[derive(Clone, Debug, Default)]
pub struct Trainer<T> {
    d_output: Vec<T>,
}

impl<T: Real> Trainer<T> {
    pub fn new() -> Trainer<T> {
        Trainer { d_output: Vec::new() }
    }

    /// Forward, loss, backward, update, on the batch x: [batch, in] with one target each.
    /// `step` is the number of steps taken before; with `seed` it names the dropout masks.
    /// A loss or gradient that is not finite changes no parameter and is told in the report.
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
        network.run(|network| {
            network.forward(x, Mode::Train { seed, step });
            self.after_forward(network, optimizer, loss, targets, lr)
        })
    }

    /// The same on the batch that has been written into [`Network::input_mut`].
    #[allow(clippy::too_many_arguments)]
    pub fn step_loaded(
        &mut self,
        network: &mut Network<T>,
        optimizer: &mut Optimizer,
        loss: &Loss,
        targets: Targets<'_>,
        lr: f64,
        seed: u64,
        step: u64,
    ) -> StepReport {
        network.run(|network| {
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
        network.run(|network| {
            network.forward(x, mode);
            let mean = self.loss_and_gradient(network, loss, targets);
            self.backward(network);
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
            return StepReport { loss: mean, weight, gradient_norm: f64::NAN };
        }
        self.backward(network);
        let compute = network.compute().clone();
        let gradient_norm = optimizer.update(&mut network.parameters, lr, &compute);
        StepReport { loss: mean, weight, gradient_norm }
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

    fn backward(&mut self, network: &mut Network<T>) {
        let shape = network.output().dim();
        let d = ArrayView2::from_shape(shape, &self.d_output[..shape.0 * shape.1]).expect("one value per output");
        network.backward(d);
    }
}
