//! Averages of gradients follow the gradients, not the weights (docs/growth.md §1 and §5).
//!
//! With learning rate 0 nothing moves, so the small network and the network that was grown before all batches see
//! the same gradients, but for the factors that growth must know. After 20 batches the small one's slots,
//! transformed by growth, must be those of the other. In f64, so that a factor cannot hide behind rounding.

use super::lab::*;
use super::*;
use growrun::nn::{Network, SlotKind};
use growrun::optim::Rule;
use ndarray::ArrayD;

/// Which entries must agree.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    All,
    /// Those of parameters and units that were there; units that were there come first.
    Old,
    /// As `Old`, but the reader's second moment is only known to be no smaller than the true one.
    Shift,
    /// Those of the taps that were there, in the middle of a kernel.
    Middle,
}

const ANY: &[Activation] = &Activation::ALL;
const NEVER_NEGATIVE: &[Activation] = &[Activation::Relu, Activation::Sigmoid, Activation::Softplus];
const WITH_A_FLOOR: &[Activation] =
    &[Activation::Tanh, Activation::Elu, Activation::Selu, Activation::Gelu, Activation::Silu];

/// A new operator is a line here.
const CASES: &[(&str, &[Activation], &[&str], Reach)] = &[
    ("widen h to 12 method split", ANY, &["chain", "block", "stream"], Reach::All),
    ("widen h to 23 method split", ANY, &["chain", "block", "stream"], Reach::All),
    ("widen all by 2x method split", ANY, &["chain", "block", "stream"], Reach::All),
    ("widen h to 12", ANY, &["chain", "block", "stream"], Reach::Old),
    ("widen h to 12 method mirror", ANY, &["chain", "block", "stream"], Reach::Old),
    ("insert identity after h", NEVER_NEGATIVE, &["chain", "block", "stream"], Reach::Old),
    ("insert identity linear after h", ANY, &["chain", "block", "stream"], Reach::Old),
    ("insert identity after h method gate", ANY, &["chain", "stream"], Reach::Old),
    ("insert identity after h method parametric", ANY, &["chain", "block", "stream"], Reach::Old),
    ("insert identity after h", WITH_A_FLOOR, &["chain", "block"], Reach::Shift),
];

/// The same for images.
const IMAGE_CASES: &[(&str, &[Activation], &[&str], Reach)] = &[
    ("widen h to 9 method split", ANY, ALL_IMAGES, Reach::All),
    ("widen all by 2x method split", ANY, ALL_IMAGES, Reach::All),
    ("widen h to 9", ANY, ALL_IMAGES, Reach::Old),
    ("widen h to 9 method mirror", ANY, ALL_IMAGES, Reach::Old),
    ("insert identity after h", NEVER_NEGATIVE, ALL_IMAGES, Reach::Old),
    ("insert identity linear after h", ANY, ALL_IMAGES, Reach::Old),
    ("insert identity after h method gate", ANY, &["convs", "pooled", "flattened", "conv stream"], Reach::Old),
    ("insert identity after h method parametric", ANY, ALL_IMAGES, Reach::Old),
    ("insert identity after h", WITH_A_FLOOR, &["flattened"], Reach::Shift),
    ("widen h kernel to 5", ANY, ALL_IMAGES, Reach::Middle),
    ("widen all kernel to 7", ANY, ALL_IMAGES, Reach::Middle),
];
const ALL_IMAGES: &[&str] = &["convs", "pooled", "flattened", "conv block", "conv stream"];

/// Every optimiser with a state. Decay that is added to the gradient would be no average of gradients.
const STATEFUL: [(&str, Rule); 4] = [
    ("momentum", Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }),
    ("nesterov", NESTEROV),
    ("adam", ADAM),
    ("adamw", ADAMW),
];

/// Relative, entry by entry. What is left are roundings of sums over a batch of 16 and over at most 23 units, some
/// of which nearly cancel: 1e-16 times the largest over the smallest, for which a million is allowed.
const TOLERANCE: f64 = 1e-10;

/// Gradients that are this share of the network's largest are roundings themselves: the bias before a batch norm
/// changes nothing, so its gradient is 0 but for the last bits of sums over the batch. A thousand of them.
const NOTHING: f64 = 1e-13;

/// The small network after 20 batches and growth; the network that was grown before them.
fn both_ways(phrase: &str, net: &Architecture, rule: Rule) -> [Network<f64>; 2] {
    let begin = network::<f64>(net);
    let (mut transformed, mut grown_before) = (begin.clone(), begin);
    grown(phrase, net, &mut grown_before);
    train(&mut transformed, rule, 0.0, 0..20);
    grown(phrase, net, &mut transformed);
    train(&mut grown_before, rule, 0.0, 0..20);
    [transformed, grown_before]
}

/// Where the two disagree, if anywhere.
fn disagreement(
    net: &Architecture,
    reach: Reach,
    [transformed, grown_before]: &mut [Network<f64>; 2],
) -> Option<String> {
    let shapes = net.parameters();
    let mut largest = [0.0_f64; 2];
    for slot in grown_before.parameters().iter().flat_map(|parameter| &parameter.slots) {
        let at = usize::from(slot.kind == SlotKind::SecondMoment);
        largest[at] = slot.value.iter().fold(largest[at], |largest, x| largest.max(x.abs()));
    }
    for (used, truth) in transformed.parameters().iter().zip(grown_before.parameters().iter()) {
        assert_eq!(used.name, truth.name);
        // Running statistics move, whatever the rate.
        assert!(used.value == truth.value || !used.role.is_learned(), "learning rate 0 moves no weight: {}", used.name);
        let old = shapes.iter().find(|shape| shape.name == used.name).map(|shape| shape.extents(net));
        let extents = match (reach, old) {
            (Reach::All, _) => used.value.shape().to_vec(),
            (_, Some(extents)) => extents,
            (_, None) => continue,
        };
        for (used_slot, true_slot) in used.slots.iter().zip(&truth.slots) {
            let is_second = used_slot.kind == SlotKind::SecondMoment;
            let bound_is_enough = reach == Reach::Shift && is_second;
            let nothing = if is_second { largest[1] * NOTHING * NOTHING } else { largest[0] * NOTHING };
            for (index, used_entry) in used_slot.value.indexed_iter() {
                let is_old = |at: usize| {
                    let more = used.value.shape()[at] - extents[at];
                    let first = if reach == Reach::Middle { more / 2 } else { 0 };
                    (first..first + extents[at]).contains(&index[at])
                };
                if !(0..extents.len()).all(is_old) {
                    continue;
                }
                let true_entry = true_slot.value[&index];
                let allowed = TOLERANCE * used_entry.abs().max(true_entry.abs()) + nothing;
                let above = used_entry - true_entry;
                if above < -allowed || (above > allowed && !bound_is_enough) {
                    let what = format!("{} {:?} {index:?}", used.name, used_slot.kind);
                    return Some(format!("{what}: {used_entry:e} instead of {true_entry:e}"));
                }
            }
        }
    }
    None
}

#[test]
fn slots_after_growth_are_those_of_a_network_that_was_grown_before() {
    let proved = prove(CASES, &PLACES, true);
    assert!(proved >= 50, "dense networks run, {proved} did");
}

#[test]
fn slots_of_convolutions_after_growth_are_those_of_a_network_that_was_grown_before() {
    let proved = prove(IMAGE_CASES, &IMAGE_PLACES, false);
    assert!(proved >= 50, "{proved} were proved");
}

/// `thorough`: behind every activation, with and without a batch norm; else a third of that, each in turn.
fn prove(cases: &[(&str, &[Activation], &[&str], Reach)], places_of: &[Place], thorough: bool) -> usize {
    let mut turn = 0_usize;
    let mut proved = 0;
    for (phrase, activations, places, reach) in cases {
        for place in places_of.iter().filter(|place| places.contains(&place.word)) {
            for (at, &activation) in activations.iter().enumerate() {
                for norm in [None, Some(Norm::Batch)] {
                    turn += 1;
                    if !thorough && !turn.is_multiple_of(3) {
                        continue;
                    }
                    // Each activation with one optimiser in turn, each optimiser with some activation.
                    let (word, rule) = STATEFUL[at % STATEFUL.len()];
                    let net = (place.build)(7, &Settings { activation, norm, ..Settings::default() });
                    let mut both = both_ways(phrase, &net, rule);
                    let what = format!("{phrase} in a {} behind {activation} {norm:?}, {word}", place.word);
                    if let Some(where_and_what) = disagreement(&net, *reach, &mut both) {
                        panic!("{what}: {where_and_what}");
                    }
                    proved += 1;
                }
            }
        }
    }
    println!("{proved} proved");
    proved
}

/// √v′ = √v_W + c·√v_b is a bound by Minkowski's inequality, and not a bad one.
#[test]
fn the_second_moment_behind_a_shift_is_bounded_closely() {
    let net = (PLACES[0].build)(7, &Settings { activation: Activation::Tanh, ..Settings::default() });
    let mut both = both_ways("insert identity after h", &net, ADAM);
    let [used, truth] = both.each_mut().map(|network| {
        let reader = network.parameter("b.weight").expect("it is there");
        reader.slots[1].value.iter().map(|v| v.sqrt()).collect::<Vec<f64>>()
    });
    let mut ratios: Vec<f64> = truth.iter().zip(&used).map(|(truth, used)| truth / used).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    assert!(ratios.iter().all(|ratio| *ratio <= 1.0 + TOLERANCE), "{ratios:?}");
    // The two roots add up fully only where both gradients always point the same way; a half would be no help.
    assert!(median > 0.5, "true over used, median: {median}");
}

#[test]
fn moments_that_are_copied_like_weights_are_noticed() {
    let net = (PLACES[0].build)(7, &Settings { activation: Activation::Tanh, ..Settings::default() });
    let spoiled = |name: &str, change: &dyn Fn(&mut ArrayD<f64>, &ArrayD<f64>)| {
        let phrase = "widen h to 14 method split";
        let mut both = both_ways(phrase, &net, ADAM);
        assert_eq!(disagreement(&net, Reach::All, &mut both), None);
        // The shares of the copies: what the columns of the reader sum to.
        let reader = both[0].parameter("b.weight").expect("it is there").value.clone();
        let parameter = both[0].parameter_mut(name).expect("it is there");
        change(&mut parameter.slots[0].value, &reader);
        disagreement(&net, Reach::All, &mut both).is_some()
    };
    // As if the rows of copies took the undivided gradient, and as if the columns took a share of theirs.
    assert!(spoiled("h.weight", &|m, _| m.mapv_inplace(|m| 2.0 * m)));
    assert!(spoiled("b.weight", &|m, reader| m.zip_mut_with(reader, |m, w| *m *= 0.5 + 0.1 * w.signum())));
}
