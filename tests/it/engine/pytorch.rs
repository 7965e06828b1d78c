//! Training step by step against PyTorch's, from the same weights and batches (`tests/fixtures/pytorch/make.py`).

use super::blocks::{dense, residual, settings};
use super::images::{self, conv, pool};
use super::plain;
use growrun::nn::architecture::{Norm, Padding, Pooling, Settings};
use growrun::nn::{Activation, Architecture, Mode, Network, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::Compute;
use growrun::train::{Loss, Targets, Trainer};
use ndarray::ArrayView2;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    widths: Vec<usize>,
    batch: usize,
    x: Vec<f32>,
    y: Vec<u32>,
    weights: Vec<(Vec<f32>, Vec<f32>)>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    activation: String,
    rule: String,
    losses: Vec<f64>,
}

/// The constants of a rule in make.py.
fn rule(name: &str) -> (Optimizer, Loss) {
    let sgd = |momentum, nesterov, weight_decay| Rule::Sgd { momentum, nesterov, weight_decay };
    let adam = |betas, weight_decay| Rule::Adam { betas, epsilon: 1e-8, weight_decay };
    let plain = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: None };
    match name {
        "nesterov" => (Optimizer::new(sgd(0.9, true, 0.0), 0.05, None), plain),
        "clipped" => (Optimizer::new(sgd(0.9, false, 0.0), 0.1, Some(0.3)), plain),
        "decayed" => (Optimizer::new(sgd(0.0, false, 0.01), 0.1, None), plain),
        "adam" => (Optimizer::new(adam((0.9, 0.999), 0.0), 3e-3, None), plain),
        "adam_clipped" => (Optimizer::new(adam((0.8, 0.99), 0.0), 3e-3, Some(0.3)), plain),
        "adamw" => (Optimizer::new(adam((0.9, 0.999), 0.1), 3e-3, None), plain),
        "weighted" => {
            let class_weights = Some(vec![0.5, 1.0, 2.0, 1.5, 0.25]);
            let weighted = Loss::CrossEntropy { label_smoothing: 0.1, class_weights };
            (Optimizer::new(sgd(0.0, false, 0.0), 0.05, None), weighted)
        }
        _ => panic!("make.py has a rule `{name}` that this test does not know"),
    }
}

/// Both round in f32 and in different orders: 1e-5 is about a hundred roundings of the loss; later the two
/// trajectories drift apart, because training amplifies differences.
fn near(found: f64, expected: f64, step: usize, case: &str) {
    let tolerance = if step < 10 { 1e-5 } else { 1e-4 };
    let off = (found / expected - 1.0).abs();
    assert!(off <= tolerance, "{case} step {step}: {found} against {expected}, {off:e}");
}

#[test]
fn fifty_steps_as_pytorch_takes_them() {
    let fixture: Fixture =
        serde_json::from_str(include_str!("../../fixtures/pytorch/steps.json")).expect("make.py wrote it");
    assert_eq!(fixture.cases.len(), 21, "three activations with seven rules each");
    let width = fixture.widths[0];
    for case in &fixture.cases {
        let activation = Activation::find(&case.activation).expect("an activation of ours");
        let architecture = plain(&fixture.widths, activation);
        let mut network: Network<f32> = Network::new(&architecture, 0, Compute::single());
        for (pair, (weight, bias)) in network.parameters().chunks_mut(2).zip(&fixture.weights) {
            pair[0].value.as_slice_mut().expect("row-major").copy_from_slice(weight);
            pair[1].value.as_slice_mut().expect("row-major").copy_from_slice(bias);
        }
        let (mut optimizer, loss) = rule(&case.rule);
        let lr = optimizer.lr;
        let mut trainer = Trainer::new();
        let mut start = 0;
        for (step, &expected) in case.losses.iter().enumerate() {
            let end = fixture.y.len().min(start + fixture.batch);
            let x = ArrayView2::from_shape((end - start, width), &fixture.x[start * width..end * width]).expect("rows");
            let y = Targets::Classes(&fixture.y[start..end]);
            let report = trainer.step(&mut network, &mut optimizer, &loss, x, y, lr, 0, step as u64);
            near(report.loss, expected, step, &format!("{} {}", case.activation, case.rule));
            start = if end == fixture.y.len() { 0 } else { end };
        }
    }
}

#[derive(Deserialize)]
struct Blocks {
    batch: usize,
    inputs: usize,
    x: Vec<f32>,
    y: Vec<u32>,
    cases: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    shape: String,
    norm: String,
    rule: String,
    bias: bool,
    /// What is learned, by our names; running statistics begin at 0 and 1 in both.
    given: Vec<(String, Vec<f32>)>,
    losses: Vec<f64>,
    evaluated: f64,
}

impl Block {
    /// The network of make.py's `Net`.
    fn architecture(&self, inputs: usize) -> Architecture {
        let normed = Settings { bias: self.bias, ..settings(Activation::Relu, Norm::find(&self.norm)) };
        let linear = settings(Activation::Linear, None);
        let mut net = Architecture::new(inputs, None, Task::Classification);
        dense(&mut net, "h1", 12, normed.clone());
        match self.shape.as_str() {
            "plain" => dense(&mut net, "h2", 12, normed),
            "residual" => residual(&mut net, "r1", false, &[("a", 20, normed), ("b", 12, linear.clone())]),
            "project" => residual(&mut net, "r1", true, &[("a", 20, normed), ("b", 9, linear.clone())]),
            other => panic!("make.py has a shape `{other}` that this test does not know"),
        }
        dense(&mut net, "out", 5, linear);
        net
    }
}

/// A network with the weights that make.py gives.
fn given(architecture: &Architecture, given: &[(String, Vec<f32>)]) -> Network<f32> {
    let mut network: Network<f32> = Network::new(architecture, 0, Compute::single());
    let mut count = 0;
    for parameter in network.parameters().iter_mut().filter(|parameter| parameter.role.is_learned()) {
        let (_, values) = given.iter().find(|(name, _)| *name == parameter.name).expect("make.py gives it");
        parameter.value.as_slice_mut().expect("row-major").copy_from_slice(values);
        count += 1;
    }
    assert_eq!(count, given.len(), "all that make.py gives is ours");
    network
}

/// The constants of make.py's BLOCK_RULES.
fn block_rule(name: &str) -> (Optimizer, f64) {
    let (rule, lr) = match name {
        "momentum" => (Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }, 0.05),
        "adam" => (Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 }, 3e-3),
        other => panic!("make.py has a rule `{other}` that this test does not know"),
    };
    (Optimizer::new(rule, lr, None), lr)
}

/// Trains on x: [examples, inputs] in batches, in order, then evaluates all at once, beside the losses of make.py.
fn trains_as(
    name: &str,
    network: &mut Network<f32>,
    rule: &str,
    (x, y): (&[f32], &[u32]),
    batch: usize,
    (losses, evaluated): (&[f64], f64),
) {
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: None };
    let inputs = network.inputs();
    let (mut optimizer, lr) = block_rule(rule);
    let (mut trainer, mut start) = (Trainer::new(), 0);
    for (step, &expected) in losses.iter().enumerate() {
        let end = y.len().min(start + batch);
        let rows = ArrayView2::from_shape((end - start, inputs), &x[start * inputs..end * inputs]).expect("rows");
        let labels = Targets::Classes(&y[start..end]);
        let report = trainer.step(network, &mut optimizer, &loss, rows, labels, lr, 0, step as u64);
        near(report.loss, expected, step, name);
        start = if end == y.len() { 0 } else { end };
    }
    // Of a batch norm, with the running statistics of the batches.
    let all = ArrayView2::from_shape((y.len(), inputs), x).expect("rows");
    let output = network.forward(all, Mode::Evaluate).to_owned();
    let (sum, weight) = loss.value(&Compute::single(), output.view(), Targets::Classes(y));
    near(sum / weight, evaluated, losses.len(), &format!("{name} evaluated after"));
}

#[test]
fn norms_and_residual_blocks_train_and_evaluate_as_in_pytorch() {
    let fixture: Blocks =
        serde_json::from_str(include_str!("../../fixtures/pytorch/blocks.json")).expect("make.py wrote it");
    assert_eq!(fixture.cases.len(), 24, "three shapes, none and three norms, two rules");
    let Blocks { batch, inputs, x, y, cases } = &fixture;
    for case in cases {
        let name = format!("{} {} {}", case.shape, case.norm, case.rule);
        let mut network = given(&case.architecture(*inputs), &case.given);
        assert_eq!(case.losses.len(), 30);
        trains_as(&name, &mut network, &case.rule, (x, y), *batch, (&case.losses, case.evaluated));
    }
}

#[derive(Deserialize)]
struct Images {
    batch: usize,
    channels: usize,
    side: usize,
    x: Vec<f32>,
    y: Vec<u32>,
    cases: Vec<Block>,
}

impl Block {
    /// The network of make.py's `Images`.
    fn of_images(&self, channels: usize, side: usize) -> Architecture {
        let normed = || Settings { bias: self.bias, ..settings(Activation::Relu, Norm::find(&self.norm)) };
        let linear = || settings(Activation::Linear, None);
        let window = |kernel, stride| (kernel, stride, Padding::Same);
        let mut net = images::images(channels, (side, side));
        conv(&mut net, "c1", 5, window(3, 1), normed());
        if self.shape == "pools" {
            pool(&mut net, "p1", Pooling::Max(2));
            conv(&mut net, "c2", 6, window(3, 1), normed());
            pool(&mut net, "p2", Pooling::Average(2));
            dense(&mut net, "h1", 7, settings(Activation::Relu, None));
        } else {
            let block = [("a", 4, window(3, 2), normed()), ("b", 6, window(5, 1), linear())];
            images::residual(&mut net, "r1", true, &block);
            images::residual(&mut net, "r2", false, &[("d", 6, window(3, 1), normed())]);
            pool(&mut net, "g", Pooling::Global);
        }
        dense(&mut net, "out", 5, linear());
        net
    }
}

#[test]
fn convolutional_networks_train_and_evaluate_as_in_pytorch() {
    let fixture: Images =
        serde_json::from_str(include_str!("../../fixtures/pytorch/images.json")).expect("make.py wrote it");
    assert_eq!(fixture.cases.len(), 8, "two shapes, none and batch norm, two rules");
    let Images { batch, channels, side, x, y, cases } = &fixture;
    for case in cases {
        let name = format!("{} {} {}", case.shape, case.norm, case.rule);
        let mut network = given(&case.of_images(*channels, *side), &case.given);
        assert_eq!(case.losses.len(), 20);
        trains_as(&name, &mut network, &case.rule, (x, y), *batch, (&case.losses, case.evaluated));
    }
}
