//! Widening behind norms over all units: what is rescaled, and that a norm which is not is noticed.

use super::lab::*;
use super::*;
use growrun::grow::{Measurements, Probe, apply, realise};
use growrun::nn::{Network, SlotKind};
use growrun::tensor::Compute;

fn net(norm: Norm, activation: Activation) -> Architecture {
    let mut net = Architecture::new(4, None, Task::Regression);
    push(&mut net, "h", 9, Settings { activation, norm: Some(norm), ..Settings::default() });
    push(&mut net, "out", 3, Settings::default());
    net
}

fn trained_network(net: &Architecture) -> Network<f32> {
    let mut network = network::<f32>(net);
    assert!(train(&mut network, ADAM, 0.01, 0..6));
    network
}

const DICE: growrun::grow::Dice = growrun::grow::Dice { seed: 5, step: 6 };

#[test]
fn gains_and_their_moments_are_rescaled_dually() {
    for norm in [Norm::Layer, Norm::Rms] {
        let before = net(norm, Activation::Relu);
        let mut network = trained_network(&before);
        let plan = planned(&before, "widen", &[("target", "h"), ("to", "16")]);
        let old = network.parameter("h.norm.weight").expect("it is there").clone();
        let concrete = realise(&plan, network.parameters(), &Measurements::none(), DICE);
        apply(concrete, network.parameters(), &plan.after);
        network.replan(&plan.after, 0);
        let new = network.parameter("h.norm.weight").expect("it is there");
        let eta = (9.0f64 / 16.0).sqrt();
        assert_eq!(plan.after.layer("h").expect("it stays").settings.norm_epsilon, 1e-5 * 9.0 / 16.0);
        for unit in 0..9 {
            // One rounding to f32.
            let near = |new: f32, old: f64| assert!((f64::from(new) - old).abs() <= 1e-7 * old.abs(), "{norm:?}");
            near(new.value[[unit]], f64::from(old.value[[unit]]) * eta);
            for (new, old) in new.slots.iter().zip(&old.slots) {
                let power = if new.kind == SlotKind::SecondMoment { eta * eta } else { eta };
                assert!(old.value[[unit]] != 0.0, "a moment of 0 tests nothing");
                near(new.value[[unit]], f64::from(old.value[[unit]]) / power);
            }
        }
        assert!(new.value.iter().skip(9).all(|gain| *gain == 1.0));
    }
}

#[test]
fn a_norm_that_is_not_rescaled_is_noticed() {
    for norm in [Norm::Layer, Norm::Rms] {
        for activation in [Activation::Relu, Activation::Linear, Activation::Gelu] {
            let before = net(norm, activation);
            let plan = planned(&before, "widen", &[("target", "h"), ("to", "16")]);
            let x = normal::<f32>(30, 4, "probe");
            let held = |spoil: &dyn Fn(&mut Network<f32>)| {
                let mut network = trained_network(&before);
                let probe = Probe::before(&mut network, x.view(), &plan);
                let concrete = realise(&plan, network.parameters(), &Measurements::none(), DICE);
                apply(concrete, network.parameters(), &plan.after);
                network.replan(&plan.after, 0);
                spoil(&mut network);
                probe.after(&mut network, x.view(), &plan).verdict.held
            };
            assert!(held(&|_| {}), "{norm:?} {activation}");
            let spoiled = held(&|network| {
                let gain = network.parameter_mut("h.norm.weight").expect("it is there");
                gain.value[[2]] *= 1.0 + 1e-3;
            });
            // The bound of rms holds the squares of fresh units, a few parts in a million.
            assert!(!spoiled, "{norm:?} {activation}");
            let mut unscaled = plan.after.clone();
            unscaled.layer_mut("h").expect("it stays").settings.norm_epsilon = 1e-1;
            assert!(!held(&|network| network.replan(&unscaled, 0)), "{norm:?} {activation}");
        }
    }
}

#[test]
fn fresh_units_behind_norms_learn() {
    for norm in [Norm::Layer, Norm::Rms, Norm::Batch] {
        let before = net(norm, Activation::Relu);
        let mut network = trained_network(&before);
        let plan = planned(&before, "widen", &[("target", "h"), ("to", "14")]);
        let concrete = realise(&plan, network.parameters(), &Measurements::none(), DICE);
        apply(concrete, network.parameters(), &plan.after);
        network.replan(&plan.after, 0);
        let rows = |network: &mut Network<f32>| network.parameter("h.weight").expect("it is there").value.clone();
        let begun = rows(&mut network);
        assert!(train(&mut network, ADAM, 0.01, 6..26));
        let learned = rows(&mut network);
        for unit in 9..14 {
            let moved = (0..4).any(|input| (begun[[unit, input]] - learned[[unit, input]]).abs() > 1e-3);
            assert!(moved, "unit {unit} behind {norm:?}");
        }
        // Mean-valued units begin alike and do not stay so.
        assert!((0..4).any(|input| (learned[[9, input]] - learned[[13, input]]).abs() > 1e-4), "{norm:?}");
    }
}

#[test]
fn one_thread_or_two_carry_a_growth_out_alike() {
    let before = net(Norm::Layer, Activation::Tanh);
    let digest = |compute: Compute| {
        let mut network: Network<f32> = Network::new(&before, 3, compute);
        train(&mut network, ADAM, 0.01, 0..4);
        let plan = planned(&before, "widen", &[("target", "h"), ("to", "23")]);
        let concrete = realise(&plan, network.parameters(), &Measurements::none(), DICE);
        apply(concrete, network.parameters(), &plan.after);
        network.replan(&plan.after, 0);
        train(&mut network, ADAM, 0.01, 4..8);
        network.digest().expect("it is finite")
    };
    let forced = Compute::new(2, growrun::tensor::Simd::Portable, true).expect("it is always there");
    assert_eq!(digest(Compute::single()), digest(forced));
}

#[test]
fn two_units_behind_a_layer_norm_keep_their_promise() {
    // With two units σ is half their distance, which may be tiny: what comes in is rounded, and σ divides that.
    let before = {
        let mut net = Architecture::new(64, None, Task::Regression);
        let settings = Settings { activation: Activation::Relu, norm: Some(Norm::Layer), ..Settings::default() };
        push(&mut net, "h", 2, settings);
        push(&mut net, "out", 3, Settings::default());
        net
    };
    let plan = planned(&before, "widen", &[("target", "h"), ("by", "1")]);
    let x = normal::<f32>(256, 64, "probe");
    for seed in 0..40 {
        let mut network: Network<f32> = Network::new(&before, seed, Compute::single());
        let probe = Probe::before(&mut network, x.view(), &plan);
        let concrete = realise(&plan, network.parameters(), &Measurements::none(), DICE);
        apply(concrete, network.parameters(), &plan.after);
        network.replan(&plan.after, 0);
        let measured = probe.after(&mut network, x.view(), &plan);
        assert!(measured.verdict.held, "seed {seed}: {measured:?}");
    }
}

#[test]
fn an_axis_with_two_norms_promises_what_the_weaker_keeps() {
    let mut net = Architecture::new(4, None, Task::Regression);
    let settings = |norm| Settings { norm: Some(norm), ..Settings::default() };
    push(&mut net, "h", 8, settings(Norm::Rms));
    crate::engine::blocks::residual(
        &mut net,
        "r",
        false,
        &[("a", 5, settings(Norm::Batch)), ("b", 8, settings(Norm::Layer))],
    );
    push(&mut net, "out", 3, Settings::default());
    let arguments: &[(&'static str, &str)] = &[("target", "h"), ("by", "4"), ("eps", "0.5"), ("fan_in", "0")];
    assert_eq!(planned(&net, "widen", arguments).promise, growrun::grow::Promise::Bounded);
}
