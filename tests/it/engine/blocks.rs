//! Norms, residual blocks and parametric activations: gradients, bits, and what a block does by definition.

use super::gradients::{TOLERANCE, classes, cross_entropy, worst};
use super::noise;
use super::same_bits::{INPUTS, RULES, others, trained};
use growrun::nn::architecture::{Init, Norm, Settings};
use growrun::nn::layers::{self, Description};
use growrun::nn::{Activation, Architecture, Mode, Network, Role, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::Compute;
use growrun::train::{Loss, Targets, Trainer};
use ndarray::{Array2, ArrayView2};

pub const NORMS: [Option<Norm>; 4] = [None, Some(Norm::Layer), Some(Norm::Batch), Some(Norm::Rms)];

pub fn settings(activation: Activation, norm: Option<Norm>) -> Settings {
    Settings { activation, norm, init: Some(Init::Glorot), ..Settings::default() }
}

pub fn dense(net: &mut Architecture, name: &str, width: usize, settings: Settings) {
    let kind = layers::find("dense").expect("dense is a layer");
    net.push(name, kind, Description { width: Some(width), area: None, settings });
}

/// A residual block at the end; without `project` its last layer must be as wide as what comes in.
pub fn residual(net: &mut Architecture, name: &str, project: bool, inner: &[(&str, usize, Settings)]) {
    let input = net.output();
    let (dense, outer) = (layers::find("dense").expect("a layer"), layers::find("residual").expect("a layer"));
    let mut block = Vec::new();
    let mut end = input;
    for (name, width, settings) in inner {
        let description = Description { width: Some(*width), area: None, settings: settings.clone() };
        let layer = net.make_layer(name, dense, description, end);
        end = layer.output;
        block.push(layer);
    }
    let settings = Settings { project, bias: false, ..Settings::default() };
    net.push_block(name, outer, Description { width: None, area: None, settings }, block);
}

/// inputs → h1 → residual → residual project → out, with one activation and norm throughout.
pub fn blocks(inputs: usize, activation: Activation, norm: Option<Norm>, outputs: usize) -> Architecture {
    let mut net = Architecture::new(inputs, None, Task::Classification);
    let of = |width| (width, settings(activation, norm));
    dense(&mut net, "h1", 7, of(7).1);
    let plain = settings(Activation::Linear, norm);
    residual(&mut net, "r1", false, &[("a", 19, of(19).1), ("b", 7, plain.clone())]);
    residual(&mut net, "r2", true, &[("c", 5, of(5).1), ("d", 9, plain)]);
    residual(&mut net, "r3", false, &[("e", 9, of(9).1)]);
    dense(&mut net, "out", outputs, settings(Activation::Linear, None));
    net
}

#[test]
fn gradients_of_norms() {
    for norm in [Norm::Layer, Norm::Batch, Norm::Rms] {
        for activation in [Activation::Tanh, Activation::Gelu, Activation::Linear] {
            for mode in [Mode::Evaluate, Mode::Train { seed: 3, step: 1 }] {
                let mut net = Architecture::new(5, None, Task::Classification);
                let dropped = Settings { dropout: 0.3, ..settings(activation, Some(norm)) };
                dense(&mut net, "h1", 18, dropped);
                dense(&mut net, "h2", 6, Settings { bias: false, ..settings(activation, Some(norm)) });
                dense(&mut net, "out", 4, settings(Activation::Linear, None));
                let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), mode);
                assert!(found < TOLERANCE, "{norm:?} {activation} {mode:?}: {found:e}");
            }
        }
    }
}

#[test]
fn gradients_of_blocks() {
    for norm in NORMS {
        let net = blocks(5, Activation::Tanh, norm, 4);
        for mode in [Mode::Evaluate, Mode::Train { seed: 3, step: 1 }] {
            let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), mode);
            assert!(found < TOLERANCE, "{norm:?} {mode:?}: {found:e}");
        }
    }
}

#[test]
fn gradients_of_parametric_activations() {
    for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Selu] {
        for norm in [None, Some(Norm::Layer)] {
            let mut net = Architecture::new(5, None, Task::Classification);
            let parametric = Settings { parametric: true, dropout: 0.2, ..settings(activation, norm) };
            dense(&mut net, "h1", 19, parametric.clone());
            dense(&mut net, "h2", 6, Settings { dropout: 0.0, ..parametric });
            dense(&mut net, "out", 4, settings(Activation::Linear, None));
            let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), Mode::Train { seed: 3, step: 1 });
            assert!(found < TOLERANCE, "{activation} {norm:?}: {found:e}");
        }
    }
}

#[test]
fn a_block_as_the_last_layer() {
    let mut net = Architecture::new(5, None, Task::Classification);
    dense(&mut net, "h1", 4, settings(Activation::Tanh, None));
    residual(&mut net, "r1", false, &[("a", 6, settings(Activation::Tanh, None)), ("b", 4, Settings::default())]);
    let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), Mode::Evaluate);
    assert!(found < TOLERANCE, "{found:e}");
}

#[test]
fn threads_and_paths_change_no_bit_of_blocks_and_norms() {
    let loss = Loss::of(Task::Classification);
    for (at, norm) in NORMS.into_iter().enumerate() {
        let mut net = blocks(INPUTS, Activation::Gelu, norm, 11);
        net.layer_mut("a").expect("it is there").settings.dropout = 0.25;
        net.layer_mut("c").expect("it is there").settings.parametric = true;
        let (rule, clip) = RULES[at % RULES.len()];
        let reference = trained(&net, rule, clip, &loss, Compute::single());
        for (name, compute) in others() {
            assert_eq!(trained(&net, rule, clip, &loss, compute), reference, "{norm:?}, {name}");
        }
    }
}

#[test]
fn a_block_adds_what_its_layers_give() {
    let net = blocks(5, Activation::Tanh, None, 4);
    let x = Array2::from_shape_vec((6, 5), noise(3, 30)).expect("that many");
    let mut network: Network<f32> = Network::new(&net, 1, Compute::single());
    network.forward(x.view(), Mode::Evaluate);
    let given = |name: &str| network.layer_output(name).expect("a layer");
    let sum = network.layer_input("c").expect("a layer");
    assert_eq!(sum, given("h1") + given("b"));
    assert_eq!(network.layer_input("r2"), Some(sum), "the map on the skip reads what the block reads");
    assert_eq!(network.layer_input("e"), Some(given("r2") + given("d")));
}

#[test]
fn norms_give_unit_scale_and_batch_norm_remembers() {
    let x = Array2::from_shape_vec((40, 5), noise(3, 200)).expect("that many");
    for norm in [Norm::Layer, Norm::Batch, Norm::Rms] {
        let mut net = Architecture::new(5, None, Task::Regression);
        let mut of = settings(Activation::Linear, Some(norm));
        of.norm_epsilon = 0.0;
        dense(&mut net, "h1", 19, of);
        let mut network: Network<f64> = Network::new(&net, 1, Compute::single());
        let z = network.forward(x.mapv(f64::from).view(), Mode::Train { seed: 0, step: 0 }).to_owned();
        let u = network.pre_activation("h1").expect("a layer");
        let axis = ndarray::Axis(usize::from(norm != Norm::Batch));
        for (z, u) in z.axis_iter(ndarray::Axis(1 - axis.0)).zip(u.axis_iter(ndarray::Axis(1 - axis.0))) {
            let n = z.len() as f64;
            // A few dozen roundings of f64.
            assert!((z.fold(0.0, |sum, z| sum + z * z) / n - 1.0).abs() < 1e-12, "{norm:?}");
            assert!(norm == Norm::Rms || (z.sum() / n).abs() < 1e-12, "{norm:?}");
            assert!(u.fold(0.0, |sum: f64, u| sum + u * u) > 0.0);
        }
        let Some(mean) = network.parameter("h1.norm.running_mean").map(|p| p.value.clone()) else {
            assert_ne!(norm, Norm::Batch);
            continue;
        };
        let variance = network.parameter("h1.norm.running_var").expect("a batch norm has one").value.clone();
        for (unit, u) in u.columns().into_iter().enumerate() {
            let (n, batch_mean) = (u.len() as f64, u.mean().expect("rows"));
            let batch_variance = u.fold(0.0, |sum, u| sum + (u - batch_mean) * (u - batch_mean)) / (n - 1.0);
            assert!((mean[[unit]] - 0.1 * batch_mean).abs() < 1e-12);
            assert!((variance[[unit]] - (0.9 + 0.1 * batch_variance)).abs() < 1e-12);
        }
    }
}

#[test]
fn a_frozen_batch_norm_stands_still() {
    let mut net = blocks(5, Activation::Tanh, Some(Norm::Batch), 4);
    net.layer_mut("a").expect("it is there").frozen = true;
    let mut network: Network<f32> = Network::new(&net, 1, Compute::single());
    let x = Array2::from_shape_vec((7, 5), noise(3, 35)).expect("that many");
    let before: Vec<_> = network.parameters().iter().filter(|p| p.name.starts_with("a.")).cloned().collect();
    let rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut optimizer = Optimizer::new(rule, 0.1, None);
    let (loss, labels) = (cross_entropy(), classes());
    Trainer::new().step(&mut network, &mut optimizer, &loss, x.view(), Targets::Classes(&labels), 0.1, 0, 0);
    let after: Vec<_> = network.parameters().iter().filter(|p| p.name.starts_with("a.")).cloned().collect();
    assert_eq!(before.len(), 6);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.value, before.updates), (&after.value, after.updates), "{}", before.name);
    }
    let moved = network.parameter("c.norm.running_mean").expect("it is there");
    assert!(moved.role == Role::RunningMean && moved.value.iter().any(|x| *x != 0.0));
}

#[test]
fn norms_and_blocks_train_without_allocating() {
    for norm in NORMS {
        let net = blocks(5, Activation::Relu, norm, 4);
        let mut network: Network<f32> = Network::new(&net, 1, Compute::single());
        let x = noise(3, 70);
        let x = ArrayView2::from_shape((14, 5), &x).expect("that many");
        let labels = [classes(), classes()].concat();
        let mut optimizer =
            Optimizer::new(Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 }, 0.01, None);
        let (mut trainer, loss) = (Trainer::new(), cross_entropy());
        let mut step = |at| {
            trainer.step(&mut network, &mut optimizer, &loss, x, Targets::Classes(&labels), 0.01, 0, at);
        };
        step(0);
        step(1);
        let found = allocation_counter::measure(|| step(2));
        assert_eq!(found.count_total, 0, "{norm:?}");
    }
}
