//! What makes copies separate, what never does, and what never learns.

use super::lab::*;
use super::*;
use growrun::grow::rewrite::Fresh;
use growrun::grow::{Concrete, Dice, Edit, Origin, Rewrite};
use growrun::nn::Network;
use growrun::optim::Rule;
use ndarray::Axis;

const STEPS: u64 = 300;

fn chain(activation: Activation) -> (Architecture, Network<f32>) {
    let net = (PLACES[0].build)(7, &Settings { activation, ..Settings::default() });
    let network = network(&net);
    (net, network)
}

/// Widens `h` by origins that no operator would choose.
fn by_hand(origins: Vec<Origin>, fresh: Fresh, net: &Architecture, network: &mut Network<f32>) {
    let axis = net.layer("h").expect("it is there").output.axis;
    let mut after = net.clone();
    after.set_width(axis, growrun::nn::Width::exactly(origins.len()));
    let rewrite = Rewrite { fresh, ..Rewrite::new(axis, origins) };
    let dice = Dice { seed: 3, step: 40 };
    let concrete = Concrete { edits: vec![Edit::Rewrite(rewrite)], dice, notes: Vec::new(), flops: 0 };
    grow::apply(concrete, network.parameters(), &after);
    network.replan(&after, 0);
}

/// Everything that belongs to a unit of `h`: its row and bias, the column that reads it, and their slots.
fn unit(network: &mut Network<f32>, unit: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for (name, dim) in [("h.weight", 0), ("h.bias", 0), ("b.weight", 1)] {
        let parameter = network.parameter(name).expect("it is there");
        for array in std::iter::once(&parameter.value).chain(parameter.slots.iter().map(|slot| &slot.value)) {
            all.extend(array.index_axis(Axis(dim), unit));
        }
    }
    all
}

/// SGD and Adam, for which the claim about equal copies was made, and what is between.
const LEARNERS: [(&str, Rule, f64); 3] = [("sgd", SGD, 0.05), ("momentum", MOMENTUM, 0.02), ("adam", ADAM, 0.01)];

#[test]
fn equal_shares_without_noise_stay_symmetric_forever() {
    for (word, rule, lr) in LEARNERS {
        let (net, mut network) = chain(Activation::Tanh);
        train(&mut network, rule, lr, 0..5);
        let origins = (0..14).map(|new| Origin::Old { unit: new % 7, share: 0.5 }).collect();
        by_hand(origins, Fresh { eps: 0.0, fan_in: 0.0 }, &net, &mut network);
        let before = unit(&mut network, 0);
        train(&mut network, rule, lr, 5..5 + STEPS);
        assert_ne!(unit(&mut network, 0), before, "it has learnt with {word}");
        for copy in 0..7 {
            assert_eq!(unit(&mut network, copy), unit(&mut network, copy + 7), "unit {copy} with {word}");
        }
    }
}

/// How far the rows of two units of `h` are apart.
fn gap(network: &mut Network<f32>, a: usize, b: usize) -> f32 {
    let weight = &network.parameter("h.weight").expect("it is there").value;
    let rows = [a, b].map(|unit| weight.index_axis(Axis(0), unit));
    rows[0].iter().zip(&rows[1]).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

#[test]
fn copies_of_split_and_pairs_of_mirror_separate() {
    for phrase in ["widen h to 14 method split", "widen h to 15 method mirror"] {
        for (word, rule, lr) in LEARNERS {
            let (net, mut network) = chain(Activation::Tanh);
            train(&mut network, rule, lr, 0..5);
            grown(phrase, &net, &mut network);
            let units = network.parameter("h.bias").expect("it is there").value.len();
            let pairs: Vec<(usize, usize)> = (0..units)
                .flat_map(|a| (a + 1..units).map(move |b| (a, b)))
                .filter(|&(a, b)| gap(&mut network, a, b) == 0.0)
                .collect();
            assert_eq!(pairs.len(), if phrase.ends_with("split") { 7 } else { 4 }, "{phrase}: pairs that begin equal");
            train(&mut network, rule, lr, 5..5 + STEPS);
            for (a, b) in pairs {
                let gap = gap(&mut network, a, b);
                // 300 roundings of weights of order 0.5 would be of order 1e-5 if all went the same way.
                assert!(gap > 1e-3, "{phrase} with {word}: units {a} and {b} are {gap:e} apart");
            }
        }
    }
}

#[test]
fn units_with_nothing_on_both_sides_never_learn() {
    let wide = || (0..10).map(|unit| if unit < 7 { Origin::Old { unit, share: 1.0 } } else { Origin::Fresh }).collect();
    let both_sides_zero = Fresh { eps: 0.0, fan_in: 0.0 };
    for (word, rule, lr) in LEARNERS {
        // f(0) = 0: every gradient is 0 forever.
        for activation in [Activation::Tanh, Activation::Relu, Activation::Gelu] {
            let (net, mut network) = chain(activation);
            by_hand(wide(), both_sides_zero, &net, &mut network);
            train(&mut network, rule, lr, 0..STEPS);
            for fresh in 7..10 {
                assert!(unit(&mut network, fresh).iter().all(|x| *x == 0.0), "{word} behind {activation}");
            }
        }
        // Otherwise they learn, all the same thing.
        let (net, mut network) = chain(Activation::Sigmoid);
        by_hand(wide(), both_sides_zero, &net, &mut network);
        train(&mut network, rule, lr, 0..STEPS);
        assert!(unit(&mut network, 7).iter().any(|x| *x != 0.0), "{word}");
        for fresh in 8..10 {
            assert_eq!(unit(&mut network, fresh), unit(&mut network, 7), "{word}");
        }
    }
}

/// With incoming weights of 0 its fresh units would be dead behind relu, and growing would be never growing.
#[test]
fn units_of_gradmax_learn_behind_relu() {
    for (word, rule, lr) in LEARNERS {
        let (net, mut network) = chain(Activation::Relu);
        train(&mut network, rule, lr, 0..5);
        grown("widen h to 10 method gradmax", &net, &mut network);
        let before: Vec<Vec<f32>> = (7..10).map(|fresh| unit(&mut network, fresh)).collect();
        train(&mut network, rule, lr, 5..25);
        for (fresh, before) in (7..10).zip(before) {
            let after = unit(&mut network, fresh);
            // Four incoming weights, a bias and six outgoing ones come first among the values of a unit without slots.
            assert!(after.iter().zip(&before).filter(|(a, b)| a != b).count() > 6, "unit {fresh} with {word}");
        }
    }
}
