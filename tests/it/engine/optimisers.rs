//! Optimisers beyond what PyTorch's losses show: ages, frozen parameters, what is refused, what is not finite.

use super::{noise, plain};
use growrun::base::{Args, Value};
use growrun::nn::{Activation, Network};
use growrun::optim::{self, OPTIMIZERS, Optimizer, Rule};
use growrun::tensor::Compute;
use growrun::train::{Loss, Targets, Trainer};
use ndarray::Array2;

const ADAM: Rule = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };

fn network() -> Network<f32> {
    Network::new(&plain(&[4, 6, 3], Activation::Relu), 1, Compute::single())
}

/// Gradients without a pattern, of very different sizes, none 0.
fn set_gradients(network: &mut Network<f32>, seed: u64) {
    for (at, parameter) in network.parameters().iter_mut().enumerate() {
        let draws = noise(seed + at as u64, parameter.gradient.len());
        for (i, (g, x)) in parameter.gradient.iter_mut().zip(draws).enumerate() {
            *g = (x + 1.5f32.copysign(x)) * [1.0, 1e-3, 30.0][i % 3];
        }
    }
}

#[test]
fn fresh_entries_take_the_step_of_fresh_entries() {
    let mut network = network();
    let mut optimizer = Optimizer::new(ADAM, 1e-3, None);
    for step in 0..100 {
        set_gradients(&mut network, step * 10);
        optimizer.update(&mut network, 1e-3);
    }
    // Row 2 and column 1 of the first weight are born now, as after a growth.
    let at = |network: &mut Network<f32>| network.parameter("h1.weight").expect("it is there").value.clone();
    {
        let weight = network.parameter_mut("h1.weight").expect("it is there");
        weight.births[0][2] = weight.updates;
        weight.births[1][1] = weight.updates;
        for slot in &mut weight.slots {
            slot.value.index_axis_mut(ndarray::Axis(0), 2).fill(0.0);
            slot.value.index_axis_mut(ndarray::Axis(1), 1).fill(0.0);
        }
    }
    // An optimiser made anew, as after resuming, knows the ages too: they live in the parameters.
    let mut optimizer = Optimizer::new(ADAM, 1e-3, None);
    let before = at(&mut network);
    set_gradients(&mut network, 5000);
    optimizer.update(&mut network, 1e-3);
    let moved = (at(&mut network) - before).mapv(f32::abs);
    for (index, step) in moved.indexed_iter().filter(|(index, _)| index[0] == 2 || index[1] == 1) {
        // Adam's first step is the learning rate for any gradient, less ε; the weight of about 1 that it is
        // taken off rounds it by 2⁻²⁴.
        assert!((step - 1e-3).abs() < 2e-7, "{index:?} moved by {step}");
    }
}

#[test]
fn ages_equal_to_the_count_change_nothing() {
    // The aged kernel and the uniform one give the same bits where ages agree with it.
    let run = |row: u64, column: u64| {
        let mut network = network();
        let mut optimizer = Optimizer::new(ADAM, 1e-2, None);
        for parameter in network.parameters() {
            parameter.updates = 4;
            for births in &mut parameter.births {
                births.fill(2);
            }
        }
        // A row (a column) that is older than the other side's youngest does not count.
        let weight = &mut network.parameters()[0];
        weight.births[0][1] = row;
        weight.births[1].fill(2);
        weight.births[1][3] = column;
        for step in 0..5 {
            set_gradients(&mut network, step);
            optimizer.update(&mut network, 1e-2);
        }
        network.parameters()[0].value.clone()
    };
    let uniform = run(2, 2);
    let old_row = run(0, 2);
    assert_eq!(uniform, old_row);
    assert_eq!(uniform.column(0), run(2, 0).column(0));
    let young = run(2, 4);
    assert_eq!(uniform.column(0), young.column(0));
    assert!(uniform.column(3).iter().zip(young.column(3)).all(|(a, b)| a != b), "a younger column steps differently");
}

trait Column {
    fn column(&self, at: usize) -> ndarray::ArrayView1<'_, f32>;
}

impl Column for ndarray::ArrayD<f32> {
    fn column(&self, at: usize) -> ndarray::ArrayView1<'_, f32> {
        let view = self.index_axis(ndarray::Axis(1), at);
        view.into_dimensionality().expect("a matrix has columns of one dimension")
    }
}

#[test]
fn frozen_parameters_stand_still_and_do_not_age() {
    let mut network = network();
    let mut optimizer = Optimizer::new(ADAM, 1e-3, Some(1.0));
    network.parameters()[0].frozen = true;
    set_gradients(&mut network, 3);
    let before = network.parameters()[0].value.clone();
    let expected: f64 =
        network.parameters()[1..].iter().flat_map(|p| p.gradient.iter()).map(|g| f64::from(*g).powi(2)).sum();
    let (norm, _) = optimizer.update(&mut network, 1e-3);
    // The frozen gradient does not count; the sums run in another order, in f64.
    assert!((norm / expected.sqrt() - 1.0).abs() < 1e-14);
    assert_eq!(network.parameters()[0].value, before);
    let updates: Vec<u64> = network.parameters().iter().map(|p| p.updates).collect();
    assert_eq!(updates, [0, 1, 1, 1]);
}

#[test]
fn what_is_not_finite_is_told_and_changes_nothing() {
    let mut network = network();
    let before = network.digest();
    let mut optimizer = Optimizer::new(ADAM, 1e-3, None);
    let loss = Loss::of(growrun::nn::Task::Classification);
    let mut trainer = Trainer::new();
    for poison in [f32::NAN, f32::INFINITY] {
        let x = Array2::from_elem((2, 4), poison);
        let report = trainer.step(&mut network, &mut optimizer, &loss, x.view(), Targets::Classes(&[0, 1]), 1e-3, 0, 0);
        assert!(!report.is_finite(), "{report:?}");
        assert_eq!(network.digest(), before);
    }
    set_gradients(&mut network, 1);
    network.parameters()[3].gradient[[0]] = f32::INFINITY;
    let (norm, finite) = optimizer.update(&mut network, 1e-3);
    assert!(!norm.is_finite() && !finite);
    assert_eq!(network.digest(), before);
}

#[test]
fn a_gradient_that_overflows_is_told_whether_it_is_kept_or_used_up() {
    // Outputs of about 1e16, so a finite loss in f64; ∂L/∂z of the first layer is about 1e55.
    let architecture = super::network_of(&[5, 7, 9, 1], growrun::nn::Task::Regression, |_, _| growrun::nn::Settings {
        activation: Activation::Linear,
        ..Default::default()
    });
    for keep in [false, true] {
        let mut network: Network<f32> = Network::new(&architecture, 1, Compute::single());
        for (parameter, value) in network.parameters().iter_mut().step_by(2).zip([1e-25, 1e20, 1e20]) {
            parameter.value.fill(value);
        }
        let mut trainer = Trainer::new();
        trainer.keep_gradients = keep;
        let mut optimizer = Optimizer::new(ADAM, 1e-3, None);
        let targets = Targets::Numbers { values: &[0.0], width: 1 };
        let x = Array2::ones((1, 5));
        let before = network.digest().expect("finite weights");
        let report = trainer.step(&mut network, &mut optimizer, &Loss::Mse, x.view(), targets, 1e-3, 0, 0);
        assert!(report.loss.is_finite() && !report.is_finite(), "{report:?}");
        // Kept, it has changed nothing; used up, it has spoiled weights that nobody will save.
        assert_eq!(network.digest(), keep.then_some(before));
    }
}

#[test]
fn a_step_that_overflows_is_told_with_clipping_too() {
    let mut network = network();
    let mut optimizer =
        Optimizer::new(Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }, 1e38, Some(1.0));
    set_gradients(&mut network, 1);
    let weight = &mut network.parameters()[0].value;
    weight.fill(f32::MAX);
    network.parameters()[0].gradient.fill(-1e3);
    let (norm, finite) = optimizer.update(&mut network, 1e38);
    assert!(norm.is_finite() && !finite);
    assert_eq!(network.digest(), None);
}

#[test]
fn small_moments_become_zero() {
    for rule in [ADAM, Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }] {
        let mut network = network();
        let mut optimizer = Optimizer::new(rule, 1e-3, None);
        optimizer.prepare(&mut network);
        for slot in network.parameters().iter_mut().flat_map(|p| &mut p.slots) {
            slot.value.fill(-1e-31);
        }
        optimizer.update(&mut network, 1e-3);
        let slots = network.parameters().iter().flat_map(|p| &p.slots).flat_map(|slot| slot.value.iter());
        assert!(slots.into_iter().all(|m| m.to_bits() == 0), "+0 in {rule:?}");
    }
}

#[test]
fn every_optimiser_reads_its_example_and_refuses_what_cannot_be() {
    for kind in OPTIMIZERS {
        let doc = kind.doc();
        assert!(doc.example.starts_with(&format!("optimizer {}", doc.word)));
        let with = |name, value: f64| {
            Args::none(doc).with("lr", vec![Value::Number(0.1)]).with(name, vec![Value::Number(value)])
        };
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            let refusal = Optimizer::from_args(doc.word, &with("lr", value)).expect_err("no such rate");
            assert_eq!(refusal.argument, Some("lr"));
        }
        assert_eq!(
            Optimizer::from_args(doc.word, &with("clip", 0.0)).expect_err("no such norm").argument,
            Some("clip")
        );
        assert_eq!(Optimizer::from_args(doc.word, &with("clip", 2.0)).expect("a norm").clip, Some(2.0));
        let decayed = Optimizer::from_args(doc.word, &with("weight_decay", 0.1));
        match doc.word {
            "adam" => assert!(decayed.expect_err("refused by name").help.contains("adamw")),
            _ => assert!(decayed.is_ok()),
        }
    }
    let adam = optim::find("adam").expect("it is there");
    let betas = Args::none(adam.doc()).with("betas", vec![Value::Number(0.9), Value::Number(1.0)]);
    assert_eq!(adam.read(&betas).expect_err("1 keeps everything").argument, Some("betas"));
    let sgd = optim::find("sgd").expect("it is there");
    let nesterov = Args::none(sgd.doc()).with("nesterov", vec![Value::Flag(true)]);
    assert_eq!(sgd.read(&nesterov).expect_err("of what").argument, Some("nesterov"));
}
