//! What growth does to values, optimiser state and ages, entry by entry.

pub use super::lab::{ADAM, MOMENTUM};
use super::promises::{carry_out, examples};
use super::*;
use growrun::nn::{Mode, Network, Parameter, Slot, SlotKind};
use growrun::optim::Optimizer;
use growrun::tensor::Compute;
use ndarray::{ArrayD, ArrayView2, array};

/// 2 → h1 2 → out 1 with values, moments and births that can be followed by eye.
pub fn small() -> (Architecture, Network<f32>) {
    let net = architecture(2, &[("h1", 2, Activation::Tanh), ("out", 1, Activation::Linear)]);
    let mut network = Network::new(&net, 0, Compute::single());
    let arrays: [ArrayD<f32>; 4] = [
        array![[1.0, 2.0], [3.0, 4.0]].into_dyn(),
        array![5.0, 6.0].into_dyn(),
        array![[7.0, 8.0]].into_dyn(),
        array![9.0].into_dyn(),
    ];
    for (parameter, value) in network.parameters().iter_mut().zip(arrays) {
        parameter.slots = vec![
            Slot { kind: SlotKind::FirstMoment, value: &value * 10.0 },
            Slot { kind: SlotKind::SecondMoment, value: &value * 100.0 },
        ];
        parameter.gradient = &value * 1000.0;
        parameter.value = value;
        parameter.updates = 20;
        for births in &mut parameter.births {
            births.iter_mut().enumerate().for_each(|(at, birth)| *birth = at as u64);
        }
    }
    (net, network)
}

pub fn slots(parameter: &Parameter<f32>) -> (&ArrayD<f32>, &ArrayD<f32>) {
    (&parameter.slots[0].value, &parameter.slots[1].value)
}

#[test]
fn pad_carries_state_and_ages() {
    let (net, mut network) = small();
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("to", "3")]), &mut network);
    let [h1, h1_bias, out, out_bias] = &network.parameters()[..] else { panic!("four parameters") };
    assert_eq!(h1.value.slice(ndarray::s![..2, ..]), array![[1.0, 2.0], [3.0, 4.0]]);
    assert!(h1.value[[2, 0]] != 0.0 && h1.value[[2, 1]] != 0.0, "fresh rows are drawn");
    assert_eq!(slots(h1).0, &array![[10.0, 20.0], [30.0, 40.0], [0.0, 0.0]].into_dyn());
    assert_eq!(slots(h1).1, &array![[100.0, 200.0], [300.0, 400.0], [0.0, 0.0]].into_dyn());
    assert_eq!(h1.births, [vec![0, 1, 20], vec![0, 1]]);
    assert_eq!(h1_bias.value, array![5.0, 6.0, 0.0].into_dyn());
    assert_eq!(slots(h1_bias).1, &array![500.0, 600.0, 0.0].into_dyn());
    assert_eq!(h1_bias.births, [vec![0, 1, 20]]);
    assert_eq!(out.value, array![[7.0, 8.0, 0.0]].into_dyn());
    assert_eq!(slots(out).0, &array![[70.0, 80.0, 0.0]].into_dyn());
    assert_eq!(out.births, [vec![0], vec![0, 1, 20]]);
    assert_eq!(out_bias.value, array![9.0].into_dyn());
    assert_eq!(slots(out_bias).0, &array![90.0].into_dyn());
    assert!(network.parameters().iter().all(|parameter| parameter.updates == 20));
}

#[test]
fn split_transforms_gradients_dually_to_values() {
    let (net, mut network) = small();
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("by", "2x"), ("method", "split")]), &mut network);
    let [h1, _, out, _] = &network.parameters()[..] else { panic!("four parameters") };
    // Both units are copied once; the order is drawn.
    let copied: Vec<usize> = (2..4).map(|new| if h1.value[[new, 0]] == 1.0 { 0 } else { 1 }).collect();
    assert_eq!(
        {
            let mut units = copied.clone();
            units.sort_unstable();
            units
        },
        [0, 1]
    );
    for (new, &unit) in [0, 1].iter().chain(&copied).enumerate() {
        let share = out.value[[0, new]] / [7.0, 8.0][unit];
        assert!((0.3..0.7).contains(&share) && share != 0.5, "unequal around a half: {share}");
        // Everything follows from the share, to the rounding of one product or two.
        let near = |a: f32, b: f32| assert!((a - b).abs() <= 4.0 * f32::EPSILON * b.abs(), "{a} {b}");
        assert_eq!(h1.value[[new, 1]], [2.0, 4.0][unit]);
        near(slots(h1).0[[new, 1]], share * [20.0, 40.0][unit]);
        near(slots(h1).1[[new, 1]], share * share * [200.0, 400.0][unit]);
        near(h1.gradient[[new, 1]], share * [2000.0, 4000.0][unit]);
        assert_eq!(slots(out).0[[0, new]], [70.0, 80.0][unit]);
        assert_eq!(slots(out).1[[0, new]], [700.0, 800.0][unit]);
        assert_eq!(h1.births[0][new], unit as u64, "copies inherit their age");
        assert_eq!(out.births[1][new], unit as u64);
    }
    for unit in 0..2 {
        let new = 2 + copied.iter().position(|&u| u == unit).expect("each is copied");
        let sum = out.value[[0, unit]] + out.value[[0, new]];
        assert!((sum - [7.0, 8.0][unit]).abs() < 1e-6 * 8.0, "shares sum to 1, to one rounding each: {sum}");
    }
}

#[test]
fn moments_zero_begins_anew_where_the_axis_reaches() {
    let (net, mut network) = small();
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("to", "3"), ("moments", "zero")]), &mut network);
    let [h1, _, out, out_bias] = &network.parameters()[..] else { panic!("four parameters") };
    for parameter in [h1, out] {
        assert!(parameter.slots.iter().all(|slot| slot.value.iter().all(|&x| x == 0.0)));
        assert!(parameter.births.iter().flatten().all(|&birth| birth == 20));
    }
    assert_eq!(slots(out_bias).0, &array![90.0].into_dyn(), "the axis does not reach it");
}

#[test]
fn a_shift_moves_the_readers_bias_and_its_moments() {
    let (net, mut network) = small();
    carry_out(&planned(&net, "insert identity", &[("after", "h1")]), &mut network);
    let [_, _, id, id_bias, out, out_bias] = &network.parameters()[..] else { panic!("six parameters") };
    assert_eq!(id.value, array![[1.0, 0.0], [0.0, 1.0]].into_dyn());
    assert_eq!(id_bias.value, array![1.0, 1.0].into_dyn());
    assert_eq!((id.updates, &id.births), (0, &vec![vec![0, 0], vec![0, 0]]));
    assert_eq!(slots(id), (&ArrayD::zeros(vec![2, 2]), &ArrayD::zeros(vec![2, 2])));
    // 9 − (7 + 8); m: 70 + 90, 80 + 90; √v: √700 + √900, √800 + √900.
    assert_eq!(out_bias.value, array![-6.0].into_dyn());
    assert_eq!(slots(out).0, &array![[160.0, 170.0]].into_dyn());
    for (v, root) in slots(out).1.iter().zip([700f32.sqrt() + 30.0, 800f32.sqrt() + 30.0]) {
        assert!((v - root * root).abs() < 1e-3, "{v} {root}: a few roundings of numbers of order 3000");
    }
    assert_eq!(slots(out_bias), (&array![90.0].into_dyn(), &array![900.0].into_dyn()));
}

#[test]
fn dimensions_that_span_an_axis_twice_are_rewritten_one_by_one() {
    let (mut net, mut network) = small();
    // As in a block of one layer, whose output is tied to its input.
    let axis = net.layer("h1").expect("it is there").output.axis;
    network.parameters()[0].dims[1] = growrun::nn::Dim::Feature(axis, growrun::nn::Side::Reads);
    net.set_width(axis, growrun::nn::Width::exactly(3));
    let origins = [(0, 1.0), (1, 0.25), (1, 0.75)].map(|(unit, share)| grow::Origin::Old { unit, share });
    let rewrite = grow::Rewrite::new(axis, origins.to_vec());
    let layer = net.layer("h1").expect("it is there").clone();
    let h1 = &mut network.parameters()[0];
    rewrite.apply(h1, &layer, &net, grow::Dice { seed: 0, step: 0 });
    assert_eq!(h1.value, array![[1.0, 0.5, 1.5], [3.0, 1.0, 3.0], [3.0, 1.0, 3.0]].into_dyn());
    assert_eq!(slots(h1).0, &array![[10.0, 20.0, 20.0], [7.5, 10.0, 10.0], [22.5, 30.0, 30.0]].into_dyn());
    assert_eq!(slots(h1).1, &array![[100.0, 200.0, 200.0], [18.75, 25.0, 25.0], [168.75, 225.0, 225.0]].into_dyn());
    assert_eq!(h1.births, [vec![0, 1, 1], vec![0, 1, 1]]);
}

pub fn step(
    network: &mut Network<f32>,
    optimizer: &mut Optimizer,
    at: u64,
    x: ArrayView2<f32>,
    target: ArrayView2<f32>,
) {
    let output = network.forward(x, Mode::Train { seed: 5, step: at }).to_owned();
    let d = (&output - &target) / output.nrows() as f32;
    network.backward(d.view());
    optimizer.update(network, 0.01);
}

#[test]
fn fresh_units_begin_to_learn_at_once_on_the_reading_side() {
    let net = usual(Activation::Relu);
    let mut network = super::promises::network(&net);
    let mut optimizer = Optimizer::new(ADAM, 0.01, None);
    let (x, target) = (examples(32, 8, "x"), examples(32, 10, "y"));
    step(&mut network, &mut optimizer, 0, x.view(), target.view());
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("to", "48")]), &mut network);
    for (at, rows_learn) in [(1, false), (2, true)] {
        step(&mut network, &mut optimizer, at, x.view(), target.view());
        let mut gradient = |name: &str| network.parameter(name).expect("it is there").gradient.clone();
        let columns = gradient("h2.weight").slice(ndarray::s![.., 32..]).iter().any(|&g| g != 0.0);
        let rows = gradient("h1.weight").slice(ndarray::s![32.., ..]).iter().any(|&g| g != 0.0);
        // ∂Z = δ·f(Ux+u)ᵀ at once; ∂U needs Z, which is 0 for one step.
        assert_eq!((columns, rows), (true, rows_learn), "step {at}");
    }
}
