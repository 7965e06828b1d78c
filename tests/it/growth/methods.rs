//! How fresh units and inserted layers begin, entry by entry, and that they learn.

use super::promises::{carry_out, examples, network};
use super::state::{ADAM, MOMENTUM, slots, small, step};
use super::*;
use growrun::grow::{Probe, Promise};
use growrun::nn::{Mode, Network};
use growrun::optim::Optimizer;
use growrun::tensor::Compute;
use ndarray::{ArrayD, array, s};

fn value(network: &mut Network<f32>, name: &str) -> ArrayD<f32> {
    network.parameter(name).unwrap_or_else(|| panic!("`{name}` is there")).value.clone()
}

#[test]
fn a_mirror_is_pairs_that_cancel_and_an_odd_unit_is_silent() {
    let (net, mut network) = small();
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("by", "5"), ("method", "mirror")]), &mut network);
    let [h1, h1_bias, out, _] = &network.parameters()[..] else { panic!("four parameters") };
    let row = |unit: usize| h1.value.slice(s![unit, ..]).to_owned();
    let column = |unit: usize| out.value[[0, unit]];
    for (first, second) in [(2, 4), (3, 5)] {
        assert_eq!(row(first), row(second), "[V; V]");
        assert_eq!(column(first), -column(second), "[Z, −Z]");
        assert!(column(first) != 0.0 && row(first).iter().all(|&v| v != 0.0));
    }
    assert!(row(2) != row(3) && column(2) != column(3), "each pair is drawn for itself");
    assert!(row(6).iter().all(|&v| v != 0.0), "the odd one is drawn");
    assert_eq!(column(6), 0.0, "and nobody listens to it");
    for (parameter, axis) in [(h1, 0), (h1_bias, 0), (out, 1)] {
        let fresh = |array: &ArrayD<f32>| array.slice_axis(ndarray::Axis(axis), (2..).into()).iter().all(|&x| x == 0.0);
        assert!(fresh(slots(parameter).0) && fresh(slots(parameter).1), "{}", parameter.name);
        assert_eq!(parameter.births[axis], [0, 1, 20, 20, 20, 20, 20]);
    }
    assert_eq!(slots(out).0.slice(s![0, ..2]), array![70.0, 80.0], "old state is carried");
}

#[test]
fn mirrored_units_have_the_scales_that_are_asked_for() {
    let net = usual(Activation::Relu);
    let spread = |options: &[(&'static str, &str)]| {
        let mut arguments = vec![("target", "h1"), ("to", "232"), ("method", "mirror")];
        arguments.extend_from_slice(options);
        let mut network = network(&net);
        carry_out(&planned(&net, "widen", &arguments), &mut network);
        let deviation = |values: Vec<f32>| {
            let n = values.len() as f64;
            (values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / n).sqrt()
        };
        let rows = value(&mut network, "h1.weight").slice(s![32.., ..]).iter().copied().collect();
        let columns = value(&mut network, "h2.weight").slice(s![.., 32..]).iter().copied().collect();
        (deviation(rows), deviation(columns))
    };
    // he: √(2/8) for rows, √(2/232) for columns, at the reader's new fan-in. 800 draws: five standard errors are 13 %.
    let near = |(rows, columns): (f64, f64), (f, e): (f64, f64)| {
        assert!((rows / (f * 0.5) - 1.0).abs() < 0.13, "{rows} {f}");
        assert!((columns / (e * (2.0 / 232.0f64).sqrt()) - 1.0).abs() < 0.13, "{columns} {e}");
    };
    near(spread(&[]), (1.0, 1.0));
    near(spread(&[("eps", "0.01"), ("fan_in", "3")]), (3.0, 0.01));
}

#[test]
fn mirror_keeps_the_function_at_every_width_scale_and_seed() {
    for (at, activation) in Activation::ALL.into_iter().enumerate() {
        for (width, by, eps) in [(1, "1", "1"), (1, "2", "30"), (5, "7", "0.001"), (31, "32", "1"), (250, "13", "1")] {
            let layers = [("h1", width, activation), ("h2", 9, activation), ("out", 3, Activation::Linear)];
            let net = architecture(8, &layers);
            let seed = (at * 7 + width) as u64;
            let mut network = Network::new(&net, seed, Compute::single());
            let arguments = [("target", "all"), ("by", by), ("method", "mirror"), ("eps", eps)];
            let plan = planned(&net, "widen", &arguments);
            let x = examples(40, 8, "x");
            let probe = Probe::before(&mut network, x.view(), &plan);
            carry_out(&plan, &mut network);
            let measured = probe.after(&mut network, x.view(), &plan);
            let what = format!("{activation} {width} by {by} eps {eps}: {measured:?}");
            assert!(plan.promise == Promise::Rounding && measured.verdict.held, "{what}");
        }
    }
}

#[test]
fn mirrored_pairs_separate_and_both_sides_learn_at_once() {
    for rule in [ADAM, MOMENTUM] {
        let net = usual(Activation::Tanh);
        let mut network = network(&net);
        carry_out(&planned(&net, "widen", &[("target", "h1"), ("to", "42"), ("method", "mirror")]), &mut network);
        let mut optimizer = Optimizer::new(rule, 0.01, None);
        let (x, target) = (examples(32, 8, "x"), examples(32, 10, "y"));
        for at in 0..3 {
            step(&mut network, &mut optimizer, at, x.view(), target.view());
            let rows = network.parameter("h1.weight").expect("it is there").gradient.clone();
            assert!(rows.slice(s![32.., ..]).iter().all(|&g| g != 0.0), "no unit waits at step {at}");
        }
        let rows = value(&mut network, "h1.weight");
        for pair in 32..37 {
            let (first, second) = (rows.slice(s![pair, ..]), rows.slice(s![pair + 5, ..]));
            let gap = (&first - &second).iter().map(|d| d.abs()).fold(0.0, f32::max);
            // Three steps of a rate of 0.01, in opposite directions; rounding alone would be near 1e-8.
            assert!(gap > 1e-4, "pair {pair} is still together: {gap}");
        }
    }
}

#[test]
fn random_units_speak_at_once_and_promise_nothing() {
    let net = usual(Activation::Relu);
    let plan = planned(&net, "widen", &[("target", "all"), ("by", "2x"), ("method", "random")]);
    let mut network = network(&net);
    let x = examples(20, 8, "x");
    let probe = Probe::before(&mut network, x.view(), &plan);
    carry_out(&plan, &mut network);
    let measured = probe.after(&mut network, x.view(), &plan);
    assert!(plan.promise == Promise::None && measured.verdict.held && measured.drift > 0.1, "{measured:?}");
    assert!(value(&mut network, "out.weight").slice(s![.., 32..]).iter().all(|&z| z != 0.0));
}

#[test]
fn a_mirrored_insertion_starts_its_reader_anew_and_keeps_the_rest() {
    let (mut net, mut network) = small();
    net.layer_mut("h1").expect("it is there").settings.activation = Activation::LeakyRelu;
    network.replan(&net, 0);
    carry_out(&planned(&net, "insert identity", &[("after", "h1")]), &mut network);
    let [h1, _, id, id_bias, out, out_bias] = &network.parameters()[..] else { panic!("six parameters") };
    assert_eq!(id.value, array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]].into_dyn());
    assert_eq!(id_bias.value, ArrayD::<f32>::zeros(vec![4]));
    assert_eq!((id.updates, &id.births), (0, &vec![vec![0; 4], vec![0; 2]]));
    let share = 1.0 / 1.01f32;
    for (entry, expected) in out.value.iter().zip([7.0, 8.0, -7.0, -8.0]) {
        assert!((entry - expected * share).abs() < 1e-6, "{entry}: one rounding of {expected}/1.01");
    }
    // φ(t) and φ(−t) apart are not a fixed linear function of t, so nothing is known of the new gradients.
    assert_eq!(slots(out), (&ArrayD::zeros(vec![1, 4]), &ArrayD::zeros(vec![1, 4])));
    assert_eq!(out.births, [vec![20], vec![20; 4]]);
    assert_eq!(slots(out_bias).0, &array![90.0].into_dyn(), "the bias is told what it was told before");
    assert_eq!(out_bias.births, [vec![0]]);
    assert_eq!(slots(h1).0, &array![[10.0, 20.0], [30.0, 40.0]].into_dyn());
}

#[test]
fn a_mirrored_insertion_is_exact_after_linear_and_leaky_relu() {
    for activation in [Activation::Linear, Activation::LeakyRelu] {
        for width in [1, 2, 7, 64, 129, 300] {
            let net = architecture(8, &[("h1", width, activation), ("out", 10, Activation::Linear)]);
            let plan = planned(&net, "insert identity", &[("after", "h1")]);
            assert_eq!((plan.summary.method, plan.promise), ("mirror", Promise::Rounding));
            let mut network = network(&net);
            let x = examples(64, 8, "x");
            let probe = Probe::before(&mut network, x.view(), &plan);
            carry_out(&plan, &mut network);
            let measured = probe.after(&mut network, x.view(), &plan);
            // Sums of up to 600 numbers of order 1 in another order.
            assert!(measured.verdict.held && measured.drift < 1e-5, "{activation} {width}: {measured:?}");
            // Once more, behind itself: φ of the new layer is another one now.
            let again = planned(&plan.after, "insert identity", &[("after", "h1_id1")]);
            let probe = Probe::before(&mut network, x.view(), &again);
            carry_out(&again, &mut network);
            assert!(probe.after(&mut network, x.view(), &again).verdict.held, "{activation} {width}");
        }
    }
}

#[test]
fn a_fresh_layer_begins_at_age_0_and_its_reader_is_drawn_afresh_where_it_must() {
    for (width, accept) in [("2", false), ("3", true)] {
        let (net, mut network) = small();
        let mut arguments = vec![("width", width), ("activation", "relu"), ("after", "h1"), ("as", "h2")];
        if accept {
            arguments.push(("accept", ""));
        }
        let plan = planned(&net, "insert dense", &arguments);
        carry_out(&plan, &mut network);
        let [h1, _, h2, h2_bias, out, _] = &network.parameters()[..] else { panic!("six parameters") };
        let width: usize = width.parse().expect("a width");
        assert_eq!((h2.value.shape(), h2.updates), ([width, 2].as_slice(), 0));
        assert!(h2.value.iter().all(|&w| w != 0.0) && h2_bias.value.iter().all(|&b| b == 0.0));
        assert!(slots(h2).0.iter().chain(slots(h2).1).all(|&x| x == 0.0));
        assert_eq!(slots(h1).0, &array![[10.0, 20.0], [30.0, 40.0]].into_dyn());
        assert_eq!((plan.promise, out.value.shape()), (Promise::None, [1, width].as_slice()));
        if accept {
            assert!(out.value.iter().all(|w| ![7.0, 8.0].contains(w)) && slots(out).0.iter().all(|&m| m == 0.0));
            assert_eq!(out.births, [vec![20], vec![20; width]]);
        } else {
            assert_eq!(out.value, array![[7.0, 8.0]].into_dyn());
        }
    }
}

#[test]
fn an_inserted_layer_learns_with_every_method() {
    let net = usual(Activation::Linear);
    for arguments in [
        &[("after", "h1"), ("method", "mirror")][..],
        &[("after", "h2"), ("activation", "linear")],
        &[("width", "20"), ("activation", "relu"), ("after", "h1"), ("as", "h1_id1"), ("accept", "")],
    ] {
        let word = if arguments[0].0 == "width" { "insert dense" } else { "insert identity" };
        let mut network = network(&net);
        let mut optimizer = Optimizer::new(ADAM, 0.01, None);
        let (x, target) = (examples(32, 8, "x"), examples(32, 10, "y"));
        step(&mut network, &mut optimizer, 0, x.view(), target.view());
        let plan = planned(&net, word, arguments);
        carry_out(&plan, &mut network);
        let made = plan.after.names().into_iter().find(|name| name.contains("id1")).expect("it was made").to_string();
        let weight = format!("{made}.weight");
        let before = value(&mut network, &weight);
        step(&mut network, &mut optimizer, 1, x.view(), target.view());
        let after = value(&mut network, &weight);
        assert!((&after - &before).iter().any(|&d| d != 0.0), "{arguments:?}");
        // Adam's first step of an entry is the rate, however long the others have trained.
        let largest = (&after - &before).iter().fold(0.0f32, |a, d| a.max(d.abs()));
        assert!(largest <= 0.01 * 1.0001, "{arguments:?} {largest}");
    }
}

#[test]
fn a_duplicate_is_a_copy_with_state_and_ages() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    let mut optimizer = Optimizer::new(ADAM, 0.01, None);
    let (x, target) = (examples(32, 8, "x"), examples(32, 10, "y"));
    for at in 0..3 {
        step(&mut network, &mut optimizer, at, x.view(), target.view());
    }
    let wide = planned(&net, "widen", &[("target", "all"), ("to", "40")]);
    carry_out(&wide, &mut network);
    let plan = planned(&wide.after, "duplicate", &[("name", "h2"), ("as", "h3")]);
    assert_eq!(plan.promise, Promise::None);
    carry_out(&plan, &mut network);
    let names: Vec<String> = network.parameters().iter().map(|parameter| parameter.name.clone()).collect();
    let expected = ["h1.weight", "h1.bias", "h2.weight", "h2.bias", "h3.weight", "h3.bias", "out.weight", "out.bias"];
    assert_eq!(names, expected);
    for kind in ["weight", "bias"] {
        let of = |network: &mut Network<f32>, layer: &str| {
            network.parameter(&format!("{layer}.{kind}")).expect("it is there").clone()
        };
        let (h2, h3) = (of(&mut network, "h2"), of(&mut network, "h3"));
        assert_eq!((h2.value, slots_of(&h2.slots)), (h3.value, slots_of(&h3.slots)));
        assert_eq!((h2.births, h2.updates), (h3.births, h3.updates));
        assert_eq!(h3.updates, 3);
    }
    // h2 is applied to its own output.
    network.forward(x.view(), Mode::Evaluate);
    let between = network.layer_input("h3").expect("it is there");
    let (weight, bias) = network.weights_of("h2").expect("it is there");
    let z = between.dot(&weight.t()) + &bias.expect("it has one");
    let largest = (&z - &network.pre_activation("h3").expect("it is there")).iter().fold(0f32, |a, d| a.max(d.abs()));
    assert!(largest < 1e-4, "two sums of 40 numbers of order 1: {largest}");
    step(&mut network, &mut optimizer, 3, x.view(), target.view());
    assert_ne!(value(&mut network, "h2.weight"), value(&mut network, "h3.weight"));
}

fn slots_of(slots: &[growrun::nn::Slot<f32>]) -> Vec<ArrayD<f32>> {
    slots.iter().map(|slot| slot.value.clone()).collect()
}
