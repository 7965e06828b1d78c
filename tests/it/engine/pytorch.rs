//! Fifty steps against PyTorch's, from the same weights and batches (`tests/fixtures/pytorch/make.py`).

use super::plain;
use growrun::nn::{Activation, Network};
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
            // Both round in f32 and in different orders: 1e-5 is about a hundred roundings of the loss; later
            // the two trajectories drift apart, because training amplifies differences.
            let tolerance = if step < 10 { 1e-5 } else { 1e-4 };
            let off = (report.loss / expected - 1.0).abs();
            assert!(
                off <= tolerance,
                "{} {} step {step}: {} against {expected}, {off:e}",
                case.activation,
                case.rule,
                report.loss
            );
            start = if end == fixture.y.len() { 0 } else { end };
        }
    }
}
