//! Adam knows the age of each entry: nothing that is young takes a step that only old moments could justify.
//!
//! Without ages, m = v = 0 under the count of the old entries gives a first step of (1 − β₁)/√(1 − β₂) = 3.16 learning
//! rates where the old corrections have become 1.

use super::lab::*;
use super::*;
use growrun::nn::Network;
use growrun::optim::Optimizer;
use growrun::tensor::Real;
use ndarray::ArrayD;

const LR: f64 = 1e-3;

/// What no first step of Adam may be above: |m̂/√v̂| is 1 but for ε and rounding, of which in f32 the value's own is
/// the largest: 2⁻²⁵ of a weight below 1 is 3e-5 of a learning rate of 1e-3.
const FIRST_STEP: f64 = 1.0001 * LR;

/// What a first step of Adam is at least without ages after 5,000 updates.
const WITHOUT_AGE: f64 = 3.1 * LR;

fn chain() -> Architecture {
    (PLACES[0].build)(7, &Settings { activation: Activation::Gelu, ..Settings::default() })
}

/// Largest change of an entry by one step, among those that `counts` says by their birth.
fn largest_step<T: Real>(network: &mut Network<T>, at: u64, counts: impl Fn(u64) -> bool) -> f64 {
    let before: Vec<ArrayD<T>> = network.parameters().iter().map(|parameter| parameter.value.clone()).collect();
    assert!(train(network, ADAM, LR, at..at + 1), "a finite step");
    let mut largest = 0.0_f64;
    for (parameter, before) in network.parameters().iter().zip(&before) {
        for (index, after) in parameter.value.indexed_iter() {
            let born = parameter.births.iter().enumerate().map(|(dim, births)| births[index[dim]]).max();
            if counts(born.unwrap_or(0)) {
                largest = largest.max((after.to_f64() - before[&index].to_f64()).abs());
            }
        }
    }
    largest
}

/// A network at its 5,000th update, widened there. The moments are those of 50 real steps; only the count, on which
/// nothing but the correction depends, is set.
fn grown_at_5000<T: Real>(phrase: &str) -> Network<T> {
    let net = chain();
    let mut network = network::<T>(&net);
    train(&mut network, ADAM, LR, 0..50);
    network.parameters().iter_mut().for_each(|parameter| parameter.updates = 5000);
    grown(phrase, &net, &mut network);
    network
}

fn first_steps<T: Real>() {
    // With eps, so that the gradient reaches the fresh rows in their first step too.
    for phrase in ["widen h to 12 eps 0.1", "widen h to 12 method mirror", "widen all by 2x eps 1"] {
        let mut network = grown_at_5000::<T>(phrase);
        let fresh = largest_step(&mut network, 50, |born| born == 5000);
        assert!(fresh > 0.9 * LR && fresh <= FIRST_STEP, "{phrase}: {:.5} learning rates", fresh / LR);

        let mut ageless = grown_at_5000::<T>(phrase);
        for parameter in ageless.parameters() {
            parameter.births.iter_mut().for_each(|births| births.fill(0));
        }
        let fresh = largest_step(&mut ageless, 50, |_| true);
        assert!(fresh >= WITHOUT_AGE, "{phrase}: {:.5} learning rates without age", fresh / LR);
    }
}

#[test]
fn the_first_step_of_fresh_weights_is_no_longer_than_the_learning_rate() {
    first_steps::<f32>();
    first_steps::<f64>();
}

/// The old step count does most harm at the twelfth step, as long as the gradient stays the same.
#[test]
fn no_later_step_is_longer_either() {
    let longest = |wipe: bool| {
        let mut network = grown_at_5000::<f64>("widen h to 12 eps 0.1");
        let mut optimizer = Optimizer::new(ADAM, LR, None);
        let fresh = [11, 0];
        let mut longest = 0.0_f64;
        for _ in 0..12 {
            let weight = network.parameter_mut("h.weight").expect("it is there");
            let before = weight.value[fresh.as_slice()];
            weight.gradient.fill(0.25);
            if wipe {
                weight.births.iter_mut().for_each(|births| births.fill(0));
            }
            optimizer.update(&mut network, LR);
            let after = network.parameter("h.weight").expect("it is there").value[fresh.as_slice()];
            longest = longest.max((after - before).abs());
        }
        longest / LR
    };
    let (with, without) = (longest(false), longest(true));
    assert!(with <= 1.0001 && without > 6.5, "{with:.4} learning rates with ages, {without:.4} without");
}

#[test]
fn a_layer_that_is_released_begins_as_on_the_first_day() {
    let net = chain();
    let mut network = network::<f32>(&net);
    let frozen = grown("freeze h", &net, &mut network);
    train(&mut network, ADAM, LR, 0..1000);
    assert_eq!(network.parameter("h.weight").expect("it is there").updates, 0, "frozen steps do not count");
    assert_eq!(network.parameter("a.weight").expect("it is there").updates, 1000);
    grown("unfreeze h", &frozen, &mut network);

    let released = |network: &mut Network<f32>| {
        let before = network.parameter("h.weight").expect("it is there").value.clone();
        train(network, ADAM, LR, 1000..1001);
        let after = &network.parameter("h.weight").expect("it is there").value;
        (after - &before).iter().fold(0.0_f64, |largest, d| largest.max(f64::from(d.abs())))
    };
    // What it would be if frozen steps counted.
    let mut counting = network.clone();
    counting.parameter_mut("h.weight").expect("it is there").updates = 1000;
    let (first, if_counted) = (released(&mut network), released(&mut counting));
    assert!(first > 0.9 * LR && first <= FIRST_STEP, "{:.5} learning rates", first / LR);
    assert!(if_counted > 2.0 * LR, "{:.5} learning rates if frozen steps counted", if_counted / LR);
}
