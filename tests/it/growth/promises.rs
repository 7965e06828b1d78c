//! Promises, kept on real networks and noticed when they are broken.

use super::*;
use growrun::grow::{Dice, Measurements, Probe};
use growrun::nn::{Mode, Network};
use ndarray::Array2;

/// Standard normal examples: [examples, width].
pub fn examples(count: usize, width: usize, name: &str) -> Array2<f32> {
    lab::normal(count, width, name)
}

/// A network whose biases are not zero either, as after some training.
pub fn network(architecture: &Architecture) -> Network<f32> {
    lab::network(architecture)
}

/// Carries a plan out on a network.
pub fn carry_out(plan: &Plan, network: &mut Network<f32>) {
    lab::grow(plan, network);
}

#[test]
fn a_broken_promise_is_noticed() {
    let net = usual(Activation::Tanh);
    let x = examples(64, 8, "x");
    for arguments in [
        &[("target", "h1"), ("to", "48")][..],
        &[("target", "h1"), ("to", "48"), ("method", "split")],
        &[("target", "h1"), ("to", "48"), ("eps", "1e-6")],
    ] {
        let plan = planned(&net, "widen", arguments);
        let mut network = network(&net);
        let probe = Probe::before(&mut network, x.view(), &plan);
        carry_out(&plan, &mut network);
        let weight = network.parameter_mut("h2.weight").expect("it is there");
        weight.value[[5, 7]] += 1e-3;
        let measured = probe.after(&mut network, x.view(), &plan);
        assert!(!measured.verdict.held && measured.verdict.largest > 0.0, "{arguments:?} {measured:?}");
    }
    let plan = planned(&net, "insert identity", &[("after", "h1")]);
    let mut network = network(&net);
    let probe = Probe::before(&mut network, x.view(), &plan);
    carry_out(&plan, &mut network);
    network.parameter_mut("h1_id1.bias").expect("it is there").value[3] = 0.9;
    assert!(!probe.after(&mut network, x.view(), &plan).verdict.held, "a shift that is too small cuts off values");
}

#[test]
fn what_is_not_a_number_keeps_no_promise() {
    let net = usual(Activation::Relu);
    let x = examples(4, 8, "x");
    let plan = planned(&net, "widen", &[("target", "h1"), ("to", "48")]);
    let mut network = network(&net);
    let probe = Probe::before(&mut network, x.view(), &plan);
    carry_out(&plan, &mut network);
    network.parameter_mut("h2.weight").expect("it is there").value[[0, 40]] = f32::NAN;
    assert!(!probe.after(&mut network, x.view(), &plan).verdict.held);
}

#[test]
fn narrowing_takes_back_a_pad() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    let before = network.digest();
    let wide = planned(&net, "widen", &[("target", "all"), ("to", "100")]);
    carry_out(&wide, &mut network);
    let narrow = planned(&wide.after, "narrow", &[("target", "all"), ("to", "32")]);
    carry_out(&narrow, &mut network);
    assert_eq!(network.digest(), before);
}

#[test]
fn narrowing_keeps_what_matters() {
    let net = architecture(2, &[("h1", 4, Activation::Relu), ("out", 2, Activation::Linear)]);
    let mut network = network(&net);
    let row_norms = [1.0f32, 5.0, 2.0, 1.0];
    let column_norms = [3.0f32, 0.5, 2.0, 2.0];
    for (unit, (row, column)) in row_norms.iter().zip(column_norms).enumerate() {
        let h1 = network.parameter_mut("h1.weight").expect("it is there");
        (h1.value[[unit, 0]], h1.value[[unit, 1]]) = (0.0, *row);
        let out = network.parameter_mut("out.weight").expect("it is there");
        (out.value[[0, unit]], out.value[[1, unit]]) = (-column, 0.0);
    }
    // Products: 3, 2.5, 4, 2.
    carry_out(&planned(&net, "narrow", &[("target", "h1"), ("to", "2")]), &mut network);
    assert_eq!(network.parameters()[0].value, ndarray::array![[0.0, 1.0], [0.0, 2.0]].into_dyn());
    assert_eq!(network.parameters()[2].value, ndarray::array![[-3.0, -2.0], [0.0, 0.0]].into_dyn());
}

#[test]
fn removing_what_was_inserted_gives_back_every_bit() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    let before = network.digest();
    let inserted = planned(&net, "insert identity", &[("after", "h1")]);
    carry_out(&inserted, &mut network);
    carry_out(&planned(&inserted.after, "remove", &[("name", "h1_id1")]), &mut network);
    assert_eq!(network.digest(), before);
}

#[test]
fn a_removal_between_different_widths_draws_the_reader_afresh() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    let out = network.parameter("out.weight").expect("it is there").value.clone();
    let plan = planned(&net, "remove", &[("name", "h1"), ("accept", "change")]);
    carry_out(&plan, &mut network);
    let names: Vec<&str> = network.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["h2.weight", "h2.bias", "out.weight", "out.bias"]);
    assert_eq!(network.parameters()[0].value.shape(), [32, 8]);
    assert!(network.parameters()[1].value.iter().all(|&b| b == 0.0));
    assert_eq!(network.parameters()[2].value, out);
}

#[test]
fn an_event_draws_the_same_numbers_again_and_others_at_another_step() {
    let net = usual(Activation::Relu);
    let plan = planned(&net, "widen", &[("target", "all"), ("by", "2x"), ("eps", "0.1")]);
    let grown = |step| {
        let mut network = network(&net);
        let concrete = grow::realise(&plan, network.parameters(), &Measurements::none(), Dice { seed: 3, step });
        grow::apply(concrete, network.parameters(), &plan.after);
        network.digest()
    };
    assert_eq!(grown(7), grown(7));
    assert_ne!(grown(7), grown(8));
}

#[test]
fn widening_a_range_is_widening_its_layers_in_any_order() {
    let net = usual(Activation::Tanh);
    let steps: [&[&str]; 3] = [&["h1..h2"], &["h1", "h2"], &["h2", "h1"]];
    let digests = steps.map(|targets| {
        let (mut net, mut network) = (net.clone(), network(&net));
        for target in targets {
            // fan-in and fan-out of h2.weight differ between the orders, so its scale would too; he's does not
            // depend on fan-out, and eps 0 leaves fresh columns out.
            let plan = planned(&net, "widen", &[("target", target), ("to", "50")]);
            carry_out(&plan, &mut network);
            net = plan.after;
        }
        network.parameter("out.weight").expect("it is there").value.clone()
    });
    assert!(digests.iter().all(|weight| *weight == digests[0]));
}

#[test]
fn a_shift_behind_dropout_is_exact_in_training_too() {
    let mut net = Architecture::new(8, None, Task::Classification);
    let settings = Settings { activation: Activation::Tanh, dropout: 0.5, ..Settings::default() };
    push(&mut net, "h1", 32, settings);
    push(&mut net, "out", 10, Settings::default());
    let mut network = network(&net);
    let x = examples(50, 8, "x");
    let train = Mode::Train { seed: 2, step: 9 };
    let before = network.forward(x.view(), train).to_owned();
    carry_out(&planned(&net, "insert identity", &[("after", "h1")]), &mut network);
    let after = network.forward(x.view(), train).to_owned();
    let largest = (&after - &before).iter().fold(0f32, |a, b| a.max(b.abs()));
    // Values reach ±2 behind dropout, so a shift of 1 would be off by about 1; this is rounding of sums of 32.
    assert!(largest > 0.0 && largest < 1e-5, "{largest}");
}

/// The layer reads and writes the same axis, and only what it reads is doubled.
#[test]
fn two_halves_are_read_by_the_only_layer_of_a_block() {
    let net = (lab::PLACES[2].build)(9, &Settings { activation: Activation::Relu, ..Settings::default() });
    let mut network = network(&net);
    let single = planned(&net, "remove", &[("name", "p"), ("accept", "change")]);
    carry_out(&single, &mut network);
    let plan = planned(&single.after, "insert identity", &[("before", "q"), ("method", "mirror")]);
    let x = examples(20, 4, "x");
    let probe = Probe::before(&mut network, x.view(), &plan);
    carry_out(&plan, &mut network);
    assert_eq!(network.parameter("q.weight").map(|weight| weight.value.shape().to_vec()), Some(vec![9, 18]));
    assert!(probe.after(&mut network, x.view(), &plan).verdict.held);
}
