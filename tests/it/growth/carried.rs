//! The optimiser's state goes along: after growth and after a permutation, old entries go on as if nothing had
//! happened, and every entry knows its age.

use super::lab::*;
use super::*;
use growrun::base::rng::{Purpose, Stream};
use growrun::grow::{Concrete, Dice, Edit, Origin, Rewrite};
use growrun::nn::{AxisId, Dim, Mode, Network, Parameter};
use growrun::optim::Rule;
use growrun::tensor::Real;
use ndarray::{ArrayD, Axis};

/// Whether the entries of `small` are those of the corner of `large`, bit for bit but −0 = 0.
fn corner_is_equal(small: &ArrayD<f32>, large: &ArrayD<f32>) -> bool {
    small.indexed_iter().all(|(index, value)| large[&index] == *value)
}

/// Two runs, one grown after 5 steps by a pad with eps 0, which changes no output; whether all old values, then all old slots, are equal
/// to the last bit after one more step of both. `spoil` may change the grown network before that step.
fn still_equal(
    net: &Architecture,
    phrase: &str,
    (rule, lr): (Rule, f64),
    spoil: impl Fn(&mut Network<f32>),
) -> (bool, bool) {
    let mut plain = network::<f32>(net);
    train(&mut plain, rule, lr, 0..5);
    let mut wide = plain.clone();
    grown(phrase, net, &mut wide);
    let x = normal::<f32>(9, plain.inputs(), "probe");
    let outputs = [&mut plain, &mut wide].map(|network| network.forward(x.view(), Mode::Evaluate).to_owned());
    assert_eq!(outputs[0], outputs[1], "{phrase} on {net}");
    spoil(&mut wide);
    train(&mut plain, rule, lr, 5..6);
    train(&mut wide, rule, lr, 5..6);
    let (plain, wide) = (plain.parameters(), wide.parameters());
    let pairs = || plain.iter().zip(wide.iter());
    let values = pairs().all(|(p, w)| corner_is_equal(&p.value, &w.value));
    let slots = pairs().all(|(p, w)| p.slots.iter().zip(&w.slots).all(|(p, w)| corner_is_equal(&p.value, &w.value)));
    (values, slots)
}

/// With dropout, whose masks belong to units and not to places in an array.
fn dropping(activation: Activation, norm: Option<Norm>) -> Settings {
    Settings { activation, norm, dropout: 0.25, ..Settings::default() }
}

/// A norm over the whole layer sees fresh units, so it is not among them.
#[test]
fn after_a_pad_one_more_update_is_bit_equal_on_every_old_entry() {
    let mut proved = 0;
    for place in &PLACES {
        for (activation, norm) in
            [(Activation::Gelu, None), (Activation::Relu, None), (Activation::Tanh, Some(Norm::Batch))]
        {
            // 250 → 271: the sums that read `h` cross the border of a block.
            for h in [20, 250] {
                for (word, rule, lr) in RULES {
                    let net = (place.build)(h, &dropping(activation, norm));
                    let equal = still_equal(&net, "widen all to 271", (rule, lr), |_| {});
                    assert_eq!(equal, (true, true), "{word} in a {} behind {activation} {norm:?}", place.word);
                    proved += 1;
                }
            }
        }
    }
    println!("{proved} proved");
    assert!(proved >= 20, "dense networks run, {proved} did");
}

/// Channels come in whole blocks of columns, of taps or of pixels behind a flatten; the sums go over the border of a
/// block of 256 all the same: 9 · 31 products of a convolution, 4 · 300 behind the flatten.
#[test]
fn after_a_pad_of_channels_one_more_update_is_bit_equal_on_every_old_entry() {
    let mut proved = 0;
    for (turn, place) in IMAGE_PLACES.iter().enumerate() {
        for (activation, norm) in
            [(Activation::Gelu, None), (Activation::Relu, None), (Activation::Tanh, Some(Norm::Batch))]
        {
            for (word, rule, lr) in RULES {
                let net = (place.build)(20, &dropping(activation, norm));
                let equal = still_equal(&net, "widen all to 31", (rule, lr), |_| {});
                assert_eq!(equal, (true, true), "{word} in a {} behind {activation} {norm:?}", place.word);
                proved += 1;
            }
            let (word, rule, lr) = RULES[turn % RULES.len()];
            let net = (place.build)(250, &dropping(activation, norm));
            let equal = still_equal(&net, "widen h to 300", (rule, lr), |_| {});
            assert_eq!(equal, (true, true), "{word} in a {} of 300 behind {activation} {norm:?}", place.word);
        }
    }
    println!("{proved} proved");
}

#[test]
fn losing_a_slot_or_an_age_is_noticed() {
    let net = (PLACES[0].build)(20, &dropping(Activation::Gelu, None));
    let equal = |rule, spoil: &dyn Fn(&mut Parameter<f32>)| {
        let spoil = |network: &mut Network<f32>| spoil(network.parameter_mut("h.weight").expect("it is there"));
        still_equal(&net, "widen all to 271", (rule, 0.01), spoil)
    };
    for (word, rule, _) in RULES {
        for slot in 0..rule.slots().len() {
            let lost = equal(rule, &|weight| weight.slots[slot].value.fill(0.0));
            assert_eq!(lost, (false, false), "{word} without slot {slot}");
        }
    }
    let forget = |weight: &mut Parameter<f32>| weight.births[0].fill(0);
    assert_eq!(equal(ADAM, &forget), (true, true), "old entries do not look at their neighbours' ages");
    let rejuvenate = |weight: &mut Parameter<f32>| weight.births[0].fill(5);
    assert_eq!(equal(ADAM, &rejuvenate), (false, true));
}

// --- permutations

fn permute<T: Real>(axis: AxisId, origins: &[usize], net: &Architecture, network: &mut Network<T>) {
    let origins = origins.iter().map(|&unit| Origin::Old { unit, share: 1.0 }).collect();
    let edits = vec![Edit::Rewrite(Rewrite::new(axis, origins))];
    let concrete = Concrete { edits, dice: Dice { seed: 0, step: 0 }, notes: Vec::new(), flops: 0 };
    grow::apply(concrete, network.parameters(), net);
    network.replan(net, 0);
}

/// Largest difference of two networks' values and slots, each as a share of the largest entry of its array; and
/// whether their ages are equal. An array of nothing but roundings, such as the moments of a bias before a batch norm,
/// counts as a thousandth of the network's largest.
fn apart(a: &mut Network<f64>, b: &mut Network<f64>) -> (f64, bool) {
    let arrays = |network: &mut Network<f64>, kind: usize| -> Vec<ArrayD<f64>> {
        let of = |p: &Parameter<f64>| {
            if kind == 0 { Some(p.value.clone()) } else { p.slots.get(kind - 1).map(|s| s.value.clone()) }
        };
        network.parameters().iter().filter_map(of).collect()
    };
    let largest = |array: &ArrayD<f64>| array.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let mut apart = 0.0_f64;
    for kind in 0..3 {
        let (a, b) = (arrays(a, kind), arrays(b, kind));
        let least = 1e-3 * a.iter().map(largest).fold(0.0, f64::max);
        for (a, b) in a.iter().zip(&b).filter(|(a, b)| a != b) {
            apart = apart.max(largest(&(a - b)) / largest(a).max(least));
        }
    }
    let same_ages = a.parameters().iter().zip(b.parameters().iter()).all(|(a, b)| a.births == b.births);
    (apart, same_ages)
}

/// Trains, widens so that ages differ, trains; then permutes one axis in a copy, trains both for ten steps, and
/// permutes back. How far apart they are then, whether their ages are equal, and how far their outputs were after
/// the permutation.
fn after_a_permutation(
    trained: &(Architecture, Network<f64>),
    axis: AxisId,
    (rule, lr): (Rule, f64),
    spoil: impl Fn(&mut Network<f64>, &[usize]),
) -> ((f64, bool), f64) {
    let (net, mut plain) = trained.clone();
    let x = normal::<f64>(20, plain.inputs(), "x");
    let order = Stream::new(1, Purpose::Data, "order", 0).permutation(net.width(axis).exact());
    let order: Vec<usize> = order.into_iter().map(|unit| unit as usize).collect();
    let mut permuted = plain.clone();
    permute(axis, &order, &net, &mut permuted);
    spoil(&mut permuted, &order);
    let outputs = [&mut plain, &mut permuted].map(|network| network.forward(x.view(), Mode::Evaluate).to_owned());
    let moved = outputs[0].iter().zip(&outputs[1]).fold(0.0_f64, |largest, (a, b)| largest.max((a - b).abs()));
    for network in [&mut plain, &mut permuted] {
        train(network, rule, lr, 8..18);
    }
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, &unit)| back[unit] = at);
    permute(axis, &back, &net, &mut permuted);
    (apart(&mut plain, &mut permuted), moved)
}

/// In f64, where a sum in another order differs by some 1e-16 of its largest terms. Ten steps may pass that on through
/// gradients that nearly cancel and that Adam divides by their own size: a million times as much is allowed, and a
/// lost slot or age shows as more than a thousandth.
const ROUNDING: f64 = 1e-10;

fn trained(place: &Place, norm: Option<Norm>, (rule, lr): (Rule, f64)) -> (Architecture, Network<f64>) {
    // A bias before a batch norm changes nothing: its gradient is rounding, which Adam divides by its own size.
    let bias = norm != Some(Norm::Batch);
    let net = (place.build)(7, &Settings { activation: Activation::Gelu, norm, bias, ..Settings::default() });
    let mut network = network::<f64>(&net);
    train(&mut network, rule, lr, 0..5);
    let net = grown("widen all by 2x", &net, &mut network);
    train(&mut network, rule, lr, 5..8);
    (net, network)
}

fn hidden_axes(net: &Architecture) -> Vec<AxisId> {
    let mut axes: Vec<AxisId> = net.all_layers().map(|layer| layer.output.axis).collect();
    axes.sort_unstable();
    axes.dedup();
    axes.retain(|axis| net.is_hidden(*axis));
    axes
}

#[test]
fn permuting_any_axis_changes_nothing_but_roundings_for_ten_steps() {
    let mut proved = 0;
    // Norms over a whole layer are refused for convolutions.
    let images = IMAGE_PLACES.iter().map(|place| (place, &NORMS[..2]));
    for (place, norms) in PLACES.iter().map(|place| (place, &NORMS[..])).chain(images) {
        for &(norm_word, norm) in norms {
            for (word, rule, lr) in RULES {
                let trained = trained(place, norm, (rule, lr));
                for axis in hidden_axes(&trained.0) {
                    let ((apart, same_ages), moved) = after_a_permutation(&trained, axis, (rule, lr), |_, _| {});
                    let what = format!("{word} in a {} with {norm_word}: {apart:e} {moved:e}", place.word);
                    assert!(same_ages && apart < ROUNDING && moved < ROUNDING, "{what}");
                    proved += 1;
                }
            }
        }
    }
    println!("{proved} proved");
    assert!(proved >= 20, "dense networks run, {proved} did");
}

#[test]
fn a_permutation_that_leaves_a_slot_or_the_ages_behind_is_noticed() {
    for (word, rule, lr) in RULES {
        let trained = trained(&PLACES[0], None, (rule, lr));
        let axis = trained.0.layer("h").expect("it is there").output.axis;
        for slot in 0..rule.slots().len() {
            let leave = |network: &mut Network<f64>, order: &[usize]| {
                let value = &mut network.parameter_mut("h.weight").expect("it is there").slots[slot].value;
                let permuted = value.clone();
                for (at, &unit) in order.iter().enumerate() {
                    value.index_axis_mut(Axis(0), unit).assign(&permuted.index_axis(Axis(0), at));
                }
            };
            let ((apart, _), _) = after_a_permutation(&trained, axis, (rule, lr), leave);
            assert!(apart > 1e-3, "{word} without slot {slot}: {apart:e}");
        }
    }
    let trained = trained(&PLACES[0], None, (ADAM, 0.01));
    let axis = trained.0.layer("h").expect("it is there").output.axis;
    let leave = |network: &mut Network<f64>, order: &[usize]| {
        let births = &mut network.parameter_mut("h.weight").expect("it is there").births[0];
        let permuted = births.clone();
        order.iter().enumerate().for_each(|(at, &unit)| births[unit] = permuted[at]);
    };
    let ((apart, same_ages), _) = after_a_permutation(&trained, axis, (ADAM, 0.01), leave);
    assert!(apart > 1e-3 && !same_ages, "without ages: {apart:e}");
}

// --- ages

/// The births of `h`, which every parameter that spans it must know alike.
fn births_of_h(net: &Architecture, network: &mut Network<f32>) -> Vec<u64> {
    let axis = net.layer("h").expect("it is there").output.axis;
    let mut all = network.parameters().iter().flat_map(|parameter| {
        let spans = |dim: &Dim| matches!(dim, Dim::Feature(spanned, _) if *spanned == axis);
        parameter.dims.iter().zip(&parameter.births).filter(move |(dim, _)| spans(dim)).map(|(_, births)| births)
    });
    let births = all.next().expect("its weight spans it").clone();
    assert!(all.all(|others| *others == births), "every parameter knows the ages of the axis alike");
    births
}

#[test]
fn ages_are_kept_through_narrowing_and_several_widenings() {
    let mut proved = 0;
    for place in &PLACES {
        let net = (place.build)(5, &Settings { activation: Activation::Tanh, ..Settings::default() });
        let mut network = network::<f32>(&net);
        let grow_to = |phrase: &str, net: &Architecture, network: &mut Network<f32>| grown(phrase, net, network);
        train(&mut network, ADAM, 0.01, 0..6);
        // Two at one step: what the first made counts as old for the second, and is as young.
        let net = grow_to("widen h to 7", &net, &mut network);
        let net = grow_to("widen h to 8", &net, &mut network);
        assert_eq!(births_of_h(&net, &mut network), [0, 0, 0, 0, 0, 6, 6, 6]);
        let fresh = network.parameter("h.weight").expect("it is there").value.clone();
        let rows: Vec<_> = (5..8).map(|row| fresh.index_axis(Axis(0), row)).collect();
        assert!(rows[0] != rows[1] && rows[1] != rows[2] && rows[0] != rows[2], "each fresh unit has its own draws");
        train(&mut network, ADAM, 0.01, 6..10);
        // Of eight units those stay that matter most; the columns of the fresh are still small, unit 1 is silenced.
        network.parameter_mut("h.weight").expect("it is there").value.index_axis_mut(Axis(0), 1).fill(0.0);
        let ages = births_of_h(&net, &mut network);
        let values = network.parameter("h.weight").expect("it is there").value.clone();
        let net = grow_to("narrow h to 6", &net, &mut network);
        let kept = network.parameter("h.weight").expect("it is there").value.clone();
        let unit_of =
            |row: usize| (0..8).find(|&unit| values.index_axis(Axis(0), unit) == kept.index_axis(Axis(0), row));
        let expected: Vec<u64> = (0..6).map(|row| ages[unit_of(row).expect("a unit that was there")]).collect();
        assert!(expected.contains(&0) && expected.contains(&6), "old and young units stay: {expected:?}");
        assert_eq!(births_of_h(&net, &mut network), expected);
        let net = grow_to("widen h to 9", &net, &mut network);
        assert_eq!(births_of_h(&net, &mut network), [expected, vec![10; 3]].concat());
        proved += 1;
    }
    println!("{proved} proved");
    assert!(proved >= 1);
}
