//! Gradients against central finite differences in f64: every activation, bias or none, dropout, every loss.
//! Norms and residual blocks are in `blocks`.

use super::{network_of, noise, plain};
use growrun::nn::architecture::{Init, Settings};
use growrun::nn::{Activation, Architecture, Mode, Network, Parameter, Role, Task};
use growrun::tensor::Compute;
use growrun::train::{Loss, Targets, Trainer};
use ndarray::Array2;

const BATCH: usize = 7;
const H: f64 = 1e-5;

/// Largest |analytic − numeric| / (1e-6 + |analytic| + |numeric|) … over all entries of all parameters.
pub fn worst(architecture: &Architecture, loss: &Loss, targets: Targets<'_>, mode: Mode) -> f64 {
    let inputs = architecture.width(architecture.input.axis).exact() * architecture.input.values_per_unit();
    let x = Array2::from_shape_vec((BATCH, inputs), noise(3, BATCH * inputs)).expect("that many").mapv(f64::from);
    let mut network: Network<f64> = Network::new(architecture, 11, Compute::single());
    // Biases begin at 0, gains at 1; let them count.
    for (at, parameter) in network.parameters().iter_mut().enumerate().filter(|(_, p)| p.value.ndim() == 1) {
        for (value, x) in parameter.value.iter_mut().zip(noise(100 + at as u64, 64)) {
            *value = match parameter.role {
                Role::RunningVariance => 1.0 + f64::from(x.abs()),
                Role::Blend => 0.3,
                _ => *value + f64::from(x) * 0.5,
            };
        }
    }
    let mut trainer = Trainer::new();
    trainer.gradients(&mut network, loss, x.view(), targets, mode);
    let learned = |p: &Parameter<f64>| if p.role.is_learned() { p.gradient.iter().copied().collect() } else { vec![] };
    let analytic: Vec<Vec<f64>> = network.parameters().iter().map(learned).collect();
    let value = |network: &mut Network<f64>| {
        network.forward(x.view(), mode);
        let (sum, weight) = loss.value(&Compute::single(), network.output(), targets);
        sum / weight
    };
    let mut worst = 0.0f64;
    for (parameter, analytic) in analytic.iter().enumerate() {
        let expected = network.marks()[parameter].role.is_learned();
        assert_eq!(analytic.iter().any(|g| *g != 0.0), expected, "a gradient of nothing but zeros tests nothing");
        for (entry, &analytic) in analytic.iter().enumerate() {
            let mut at = |offset: f64| {
                let slot = &mut network.parameters()[parameter].value.as_slice_mut().expect("row-major")[entry];
                let old = *slot;
                *slot = old + offset;
                let value = value(&mut network);
                network.parameters()[parameter].value.as_slice_mut().expect("row-major")[entry] = old;
                value
            };
            let numeric = (at(H) - at(-H)) / (2.0 * H);
            worst = worst.max((analytic - numeric).abs() / (1e-3 + analytic.abs() + numeric.abs()));
        }
    }
    worst
}

/// The truncation error of a central difference is H² times a third derivative (1e-10 here), its rounding
/// error 1e-16/H = 1e-11; divided by at least 1e-3.
pub const TOLERANCE: f64 = 1e-6;

pub fn classes() -> Vec<u32> {
    vec![0, 2, 1, 3, 3, 0, 2]
}

pub fn cross_entropy() -> Loss {
    Loss::of(Task::Classification)
}

#[test]
fn every_activation_as_hidden_and_as_last_layer() {
    for activation in Activation::ALL {
        let found =
            worst(&plain(&[5, 6, 7, 4], activation), &cross_entropy(), Targets::Classes(&classes()), Mode::Evaluate);
        assert!(found < TOLERANCE, "{activation}: {found:e}");
        let last = network_of(&[5, 6, 4], Task::Classification, |_, last| Settings {
            activation: if last { activation } else { Activation::Tanh },
            init: Some(Init::Orthogonal),
            ..Settings::default()
        });
        let found = worst(&last, &cross_entropy(), Targets::Classes(&classes()), Mode::Evaluate);
        assert!(found < TOLERANCE, "{activation} at the end: {found:e}");
    }
}

#[test]
fn without_bias_and_with_dropout() {
    for (bias, dropout) in [(false, 0.0), (true, 0.4), (false, 0.4)] {
        let architecture = network_of(&[5, 8, 9, 4], Task::Classification, |_, last| Settings {
            // The linear layer with dropout keeps an output of its own; so does the others' activation.
            activation: if last { Activation::Linear } else { Activation::Silu },
            bias,
            dropout: if last { 0.0 } else { dropout },
            init: Some(Init::He),
            ..Settings::default()
        });
        // One seed and step: one mask for all passes.
        let mode = Mode::Train { seed: 5, step: 9 };
        let found = worst(&architecture, &cross_entropy(), Targets::Classes(&classes()), mode);
        assert!(found < TOLERANCE, "bias {bias}, dropout {dropout}: {found:e}");
    }
}

#[test]
fn dropout_on_linear_layers() {
    let architecture = network_of(&[5, 8, 4], Task::Classification, |_, _| Settings {
        dropout: 0.3,
        init: Some(Init::Glorot),
        ..Settings::default()
    });
    let mode = Mode::Train { seed: 6, step: 0 };
    let found = worst(&architecture, &cross_entropy(), Targets::Classes(&classes()), mode);
    assert!(found < TOLERANCE, "{found:e}");
}

#[test]
fn every_loss() {
    let architecture = plain(&[5, 6, 4], Activation::Tanh);
    let labels = classes();
    let weights = Some(vec![0.5, 2.0, 1.0, 0.25]);
    for (label_smoothing, class_weights) in [(0.1, None), (0.0, weights.clone()), (0.2, weights)] {
        let loss = Loss::CrossEntropy { label_smoothing, class_weights };
        let found = worst(&architecture, &loss, Targets::Classes(&labels), Mode::Evaluate);
        assert!(found < TOLERANCE, "{loss:?}: {found:e}");
    }
    let values = noise(8, BATCH * 4);
    let found = worst(&architecture, &Loss::Mse, Targets::Numbers { values: &values, width: 4 }, Mode::Evaluate);
    assert!(found < TOLERANCE, "mse: {found:e}");
}

#[test]
fn losses_by_hand() {
    let compute = Compute::single();
    // Equal logits: −ln(1/4), with any smoothing.
    let flat = Array2::<f64>::zeros((2, 4));
    for label_smoothing in [0.0, 0.3] {
        let loss = Loss::CrossEntropy { label_smoothing, class_weights: None };
        let (sum, weight) = loss.value(&compute, flat.view(), Targets::Classes(&[1, 3]));
        assert_eq!(weight, 2.0);
        // Two roundings.
        assert!((sum / weight - 4.0f64.ln()).abs() < 1e-15);
    }
    // A certain and right answer costs nothing, a certain and wrong one its margin; nothing overflows.
    let sure = ndarray::arr2(&[[1000.0f32, 0.0], [0.0, 1000.0]]);
    let (sum, _) = cross_entropy().value(&compute, sure.view(), Targets::Classes(&[0, 0]));
    assert_eq!(sum, 1000.0);
    // Class weights: (2·a + 1·b) / 3.
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: Some(vec![2.0, 1.0]) };
    let (sum, weight) = loss.value(&compute, sure.view(), Targets::Classes(&[1, 1]));
    assert_eq!((sum, weight), (1000.0, 2.0));
    let (sum, weight) = loss.value(&compute, sure.view(), Targets::Classes(&[0, 0]));
    assert_eq!((sum, weight), (2000.0, 4.0));
    // Mean over all numbers, as nn.MSELoss.
    let y = ndarray::arr2(&[[1.0f32, 2.0], [3.0, 5.0]]);
    let targets = Targets::Numbers { values: &[1.0, 1.0, 1.0, 1.0], width: 2 };
    let mut d = [0.0f32; 4];
    let (sum, weight) = Loss::Mse.gradient(&compute, y.view(), targets, &mut d);
    assert_eq!((sum, weight, d), (21.0, 4.0, [0.0, 0.5, 1.0, 2.0]));
}

#[test]
fn frozen_layers_pass_gradients_on_and_keep_their_own() {
    let mut architecture = plain(&[5, 6, 7, 4], Activation::Tanh);
    let x = Array2::from_shape_vec((BATCH, 5), noise(3, BATCH * 5)).expect("that many");
    let labels = classes();
    let gradients = |architecture: &Architecture| {
        let mut network: Network<f32> = Network::new(architecture, 11, Compute::single());
        let mode = Mode::Evaluate;
        Trainer::new().gradients(&mut network, &cross_entropy(), x.view(), Targets::Classes(&labels), mode);
        network.parameters().iter().map(|p| p.gradient.clone()).collect::<Vec<_>>()
    };
    let free = gradients(&architecture);
    architecture.layer_mut("h2").expect("it is there").frozen = true;
    let frozen = gradients(&architecture);
    for (at, (free, frozen)) in free.iter().zip(&frozen).enumerate() {
        if at / 2 == 1 {
            assert!(frozen.iter().all(|g| *g == 0.0), "h2 computes no gradient");
        } else {
            assert_eq!(free, frozen, "the others do not notice");
        }
    }
}
