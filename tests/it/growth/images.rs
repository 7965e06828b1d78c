//! Growth of convolutions: kernels, channels through pools and flattens, insertions where images flow.

use super::lab::*;
use super::*;
use growrun::grow::{Dice, Measurements, Probe, Promise};
use growrun::nn::network::fresh_parameter;
use growrun::nn::{Dim, Mode, Network, Parameter, Slot, SlotKind};
use growrun::run;
use growrun::tensor::Compute;
use growrun::train::{Loss, Targets, Trainer};
use ndarray::{Array2, ArrayD, IxDyn, s};

fn place(word: &str, h: usize, activation: Activation) -> Architecture {
    let place = IMAGE_PLACES.iter().find(|place| place.word == word).expect("a place of the lab");
    (place.build)(h, &Settings { activation, ..Settings::default() })
}

/// The parameters of a network after 20 updates, as numbers: no engine is needed. Every slot has entries of its own.
fn parameters(net: &Architecture) -> Vec<Parameter<f32>> {
    let mut all = Vec::new();
    for layer in net.all_layers() {
        for shape in layer.kind.parameters(layer, net) {
            let mut parameter: Parameter<f32> = fresh_parameter(layer, shape, net, 3);
            let value = parameter.value.clone();
            parameter.slots = vec![
                Slot { kind: SlotKind::FirstMoment, value: &value * 10.0 + 1.0 },
                Slot { kind: SlotKind::SecondMoment, value: &value * &value + 2.0 },
            ];
            parameter.gradient = &value * 1000.0 + 3.0;
            parameter.updates = 20;
            for births in &mut parameter.births {
                births.iter_mut().enumerate().for_each(|(at, birth)| *birth = at as u64);
            }
            all.push(parameter);
        }
    }
    all
}

fn carry_out(plan: &Plan, parameters: &mut Vec<Parameter<f32>>) {
    let concrete = grow::realise(plan, parameters, &Measurements::none(), Dice { seed: 3, step: 40 });
    grow::apply(concrete, parameters, &plan.after);
}

fn planned_of(phrase: &str, net: &Architecture) -> Plan {
    plan_of(phrase, net).unwrap_or_else(|refusal| panic!("{phrase}: {refusal}"))
}

fn find<'a>(name: &str, parameters: &'a [Parameter<f32>]) -> &'a Parameter<f32> {
    parameters.iter().find(|parameter| parameter.name == name).unwrap_or_else(|| panic!("`{name}` is there"))
}

// --- kernels

#[test]
fn a_kernel_grows_by_rings_of_zeros_that_are_born_now() {
    let net = place("convs", 5, Activation::Relu);
    let before = parameters(&net);
    let plan = planned_of("widen h kernel to 7", &net);
    assert_eq!((plan.promise, plan.summary.detail.as_str()), (Promise::Rounding, "h kernel 3 → 7"));
    assert_eq!(plan.after.layer("h").map(|layer| layer.settings.kernel), Some(7));
    let mut after = before.clone();
    carry_out(&plan, &mut after);
    let (old, new) = (find("h.weight", &before), find("h.weight", &after));
    assert_eq!(new.dims[2..], [Dim::Fixed(7), Dim::Fixed(7)]);
    let arrays = |p: &Parameter<f32>| -> Vec<ArrayD<f32>> {
        [&p.value, &p.gradient].into_iter().chain(p.slots.iter().map(|slot| &slot.value)).cloned().collect()
    };
    for (old, new) in arrays(old).iter().zip(arrays(new)) {
        assert_eq!(new.shape(), [5, 12, 7, 7]);
        let middle = new.slice(s![.., .., 2..5, 2..5]).to_owned().into_dyn();
        assert_eq!(middle, *old);
        let rings = new.iter().filter(|x| **x != 0.0).count();
        assert_eq!(rings, old.iter().filter(|x| **x != 0.0).count(), "all around is 0");
    }
    // An entry is as old as its youngest index: those of the rings lie in a fresh row or a fresh column.
    assert_eq!(new.births[..2], old.births[..2]);
    assert_eq!(new.births[2..], [vec![20, 20, 0, 1, 2, 20, 20], vec![20, 20, 0, 1, 2, 20, 20]]);
    assert_eq!(new.updates, 20);
    for (old, new) in before.iter().zip(&after).filter(|(old, _)| old.name != "h.weight") {
        assert_eq!((&old.value, &old.births), (&new.value, &new.births), "{}", old.name);
    }

    let mut anew = before.clone();
    carry_out(&planned_of("widen h kernel to 7 moments zero", &net), &mut anew);
    let weight = find("h.weight", &anew);
    assert_eq!(weight.value, new.value);
    assert!(weight.slots.iter().all(|slot| slot.value.iter().all(|x| *x == 0.0)));
    assert!(weight.births.iter().flatten().all(|birth| *birth == 20));
}

#[test]
fn every_kernel_of_a_range_grows_and_what_is_large_enough_stays() {
    let net = place("convs", 5, Activation::Relu);
    let kernels = |plan: &Plan| -> Vec<usize> {
        let convs = plan.after.all_layers().filter(|layer| layer.kind.doc().word == "conv");
        convs.map(|layer| layer.settings.kernel).collect()
    };
    let one = planned_of("widen c kernel to 5", &net);
    assert_eq!(kernels(&one), [3, 3, 3, 5]);
    // `out` has none, and that of `c` is as large already.
    let all = planned_of("widen all kernel to 5", &one.after);
    assert_eq!(kernels(&all), [5, 5, 5, 5]);
    assert_eq!(all.summary.detail, "a kernel 3 → 5, h kernel 3 → 5, b kernel 3 → 5");
    let mut parameters = parameters(&one.after);
    carry_out(&all, &mut parameters);
    assert_eq!(find("c.weight", &parameters).value.shape(), [4, 4, 5, 5]);
    let refusal = plan_of("widen all kernel to 5", &all.after).expect_err("all are that large");
    assert_eq!((refusal.code, refusal.argument), ("G0201", Some("kernel")));
}

#[test]
fn a_kernel_that_cannot_grow_is_refused() {
    let net = place("flattened", 5, Activation::Relu);
    let mut valid = net.clone();
    valid.layer_mut("h").expect("it is there").settings.padding = growrun::nn::architecture::Padding::Valid;
    let mut even = net.clone();
    even.layer_mut("h").expect("it is there").settings.kernel = 4;
    for (net, phrase, code, argument, says) in [
        (&net, "widen h kernel to 3", "G0201", "kernel", "already 3 wide"),
        (&net, "widen h kernel to 1", "G0201", "kernel", "already 3 wide"),
        (&net, "widen h kernel to 4", "G0301", "kernel", "from 3 to 4"),
        (&even, "widen h kernel to 7", "G0301", "kernel", "from 4 to 7"),
        (&valid, "widen h kernel to 5", "G0301", "kernel", "from 3 to 5"),
        (&net, "widen b kernel to 5", "G0301", "kernel", "no convolution"),
        (&net, "widen p kernel to 5", "G0301", "kernel", "no convolution"),
        (&net, "widen b..c kernel to 5", "G0301", "target", "holds no convolution"),
        (&net, "widen h kernel to 5 method split", "G0105", "method", "says nothing about a kernel"),
        (&net, "widen h kernel to 5 eps 1e-3", "G0105", "eps", "says nothing about a kernel"),
    ] {
        let refusal = plan_of(phrase, net).expect_err(phrase);
        assert_eq!((refusal.code, refusal.argument), (code, Some(argument)), "{phrase}: {refusal}");
        assert!(refusal.message.contains(says) && !refusal.help.is_empty(), "{phrase}: {refusal}");
    }
    let frozen = planned_of("freeze h", &net).after;
    let warned = planned_of("widen h kernel to 5", &frozen);
    assert_eq!(warned.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["G0207"]);
}

// --- channels

#[test]
fn a_channel_owns_its_taps_and_its_pixels() {
    let net = place("flattened", 5, Activation::Relu);
    let before = parameters(&net);
    let mut after = before.clone();
    carry_out(&planned_of("widen h to 8", &net), &mut after);
    for (name, axis, shape) in [("h.weight", 0, vec![8, 3, 3, 3]), ("b.weight", 1, vec![6, 8, 2, 2])] {
        let (old, new) = (find(name, &before), find(name, &after));
        assert_eq!(new.value.shape(), shape);
        let kept = |array: &ArrayD<f32>| array.slice_axis(ndarray::Axis(axis), (..5).into()).to_owned();
        let fresh = |array: &ArrayD<f32>| array.slice_axis(ndarray::Axis(axis), (5..).into()).to_owned();
        assert_eq!(kept(&new.value), old.value);
        assert_eq!(fresh(&new.value).iter().all(|x| *x == 0.0), name == "b.weight", "pad: rows drawn, columns 0");
        for (old, new) in old.slots.iter().zip(&new.slots) {
            assert_eq!(kept(&new.value), old.value);
            assert!(fresh(&new.value).iter().all(|x| *x == 0.0));
        }
        assert_eq!(new.births[axis], [0, 1, 2, 3, 4, 20, 20, 20]);
        assert_eq!(new.births[2..], old.births[2..]);
    }
}

#[test]
fn copies_of_a_channel_share_its_whole_blocks() {
    let net = place("pooled", 3, Activation::Relu);
    let before = parameters(&net);
    let mut after = before.clone();
    carry_out(&planned_of("widen h by 2x method split", &net), &mut after);
    let (old, new) = (find("b.weight", &before), find("b.weight", &after));
    for unit in 0..3 {
        let row =
            |p: &[Parameter<f32>], at: usize| find("h.weight", p).value.index_axis(ndarray::Axis(0), at).to_owned();
        let copy = (3..6).find(|&copy| row(&after, copy) == row(&before, unit)).expect("each is copied once");
        let block = |p: &Parameter<f32>, at: usize| p.value.index_axis(ndarray::Axis(1), at).to_owned();
        let sum = block(new, unit) + block(new, copy);
        let apart = (&sum - &block(old, unit)).iter().fold(0.0_f32, |largest, d| largest.max(d.abs()));
        // Two shares, rounded once each.
        assert!(apart < 1e-6, "{apart}");
        let shares: Vec<f32> = block(new, unit).iter().zip(block(old, unit).iter()).map(|(n, o)| n / o).collect();
        assert!(shares.iter().all(|share| (share - shares[0]).abs() < 1e-5), "one share for a whole block: {shares:?}");
        for slot in 0..2 {
            let block = |p: &Parameter<f32>, at: usize| p.slots[slot].value.index_axis(ndarray::Axis(1), at).to_owned();
            assert_eq!((block(new, unit), block(new, copy)), (block(old, unit), block(old, unit)));
        }
    }
}

// --- insertions

#[test]
fn an_identity_among_images_is_the_middle_of_a_kernel() {
    let mut net = place("convs", 4, Activation::Relu);
    for (kernel, made) in [(5, 5), (3, 3), (1, 1), (2, 3)] {
        net.layer_mut("h").expect("it is there").settings.kernel = kernel;
        let plan = planned_of("insert identity after h as n", &net);
        let n = plan.after.layer("n").expect("it was made");
        assert_eq!(
            (n.settings.kernel, n.settings.stride, n.input.area, n.output.area),
            (made, 1, Some((5, 4)), Some((5, 4)))
        );
        let mut parameters = parameters(&net);
        carry_out(&plan, &mut parameters);
        let weight = find("n.weight", &parameters);
        for (index, value) in weight.value.indexed_iter() {
            let is_middle = index[0] == index[1] && index[2] == made / 2 && index[3] == made / 2;
            assert_eq!(*value, if is_middle { 1.0 } else { 0.0 });
        }
        assert!(find("n.bias", &parameters).value.iter().all(|b| *b == 0.0));
        assert!(weight.slots.iter().all(|slot| slot.value.shape() == weight.value.shape()));
    }
}

#[test]
fn the_place_before_a_dense_layer_is_still_among_images() {
    let net = place("flattened", 4, Activation::Tanh);
    for (phrase, method, units) in [
        ("insert identity after p as n", "shift", 4),
        ("insert identity before b as n method mirror", "mirror", 8),
        ("insert identity before b as n method gate", "gate", 4),
    ] {
        let plan = planned_of(phrase, &net);
        let n = plan.after.layer("n").expect("it was made");
        assert_eq!((plan.summary.method, n.output.area), (method, Some((2, 2))), "{phrase}");
        assert_eq!(plan.after.width(n.output.axis).exact(), units);
        let b = plan.after.layer("b").expect("it stays");
        assert_eq!((b.input.axis, b.input.area), (n.output.axis, Some((2, 2))));
        let mut parameters = parameters(&net);
        let old = find("b.weight", &parameters).clone();
        carry_out(&plan, &mut parameters);
        let weight = find("b.weight", &parameters);
        assert_eq!(weight.value.shape(), [6, units, 2, 2]);
        match method {
            "mirror" => {
                assert_eq!(weight.value.slice(s![.., ..4, .., ..]).to_owned().into_dyn(), old.value);
                assert_eq!(weight.value.slice(s![.., 4.., .., ..]).to_owned().into_dyn(), -&old.value);
            }
            _ => assert_eq!(weight.value, old.value),
        }
        if method == "shift" {
            // Each of the 16 values that are read is 1 more, so the bias is less by the sum of the row.
            let (bias, sums) = (find("b.bias", &parameters), old.value.map_axis(ndarray::Axis(1), |w| w.sum()));
            for (unit, b) in bias.value.iter().enumerate() {
                let sum = sums.index_axis(ndarray::Axis(0), unit).sum();
                assert!((b + sum).abs() < 1e-5, "16 roundings of numbers of order 1: {b} {sum}");
            }
            let moments = &find("b.bias", &parameters).slots[0].value;
            for (index, m) in weight.slots[0].value.indexed_iter() {
                let expected = old.slots[0].value[&index] + moments[IxDyn(&[index[0]])];
                assert!((m - expected).abs() < 1e-5, "m′ = m_W + c·m_b: {m} {expected}");
            }
        }
    }
    // Before the global pool of another network the stream is an image, behind it a vector.
    let pooled = place("pooled", 4, Activation::Relu);
    let word = |phrase: &str| {
        let plan = planned_of(phrase, &pooled);
        plan.after.layer("n").map(|layer| layer.kind.doc().word)
    };
    assert_eq!(word("insert identity before q as n"), Some("conv"));
    assert_eq!(word("insert identity after q as n"), Some("dense"));
}

#[test]
fn a_dense_layer_goes_behind_the_last_image_alone() {
    let net = place("flattened", 4, Activation::Relu);
    let refusal = plan_of("insert dense 9 relu after a as n accept change", &net).expect_err("h reads an image");
    assert_eq!((refusal.code, refusal.argument), ("G0301", Some("after")));
    let plan = planned_of("insert dense 9 relu after p as n accept change", &net);
    let mut parameters = parameters(&net);
    carry_out(&plan, &mut parameters);
    assert_eq!(find("n.weight", &parameters).value.shape(), [9, 4, 2, 2]);
    assert_eq!(find("b.weight", &parameters).value.shape(), [6, 9]);
    let refusal = plan_of("insert dense 16 relu after p as n", &net).expect_err("b is drawn afresh");
    assert_eq!(refusal.code, "G0401");
}

#[test]
fn what_cannot_be_removed_or_repeated_says_why() {
    let net = place("pooled", 4, Activation::Relu);
    for (phrase, code, says) in [
        ("remove p accept change", "G0301", "images of another size"),
        ("duplicate h as d", "G0302", "reads 3@5x4 and gives 4@5x4"),
        ("duplicate p as d", "G0302", "a pool, which has no weights"),
        ("duplicate q as d", "G0302", "a pool, which has no weights"),
    ] {
        let refusal = plan_of(phrase, &net).expect_err(phrase);
        assert_eq!(refusal.code, code, "{phrase}: {refusal}");
        assert!(refusal.message.contains(says), "{phrase}: {refusal}");
    }
    // A pool before a flatten goes, if the dense layer behind it may be drawn afresh.
    let net = place("flattened", 4, Activation::Relu);
    assert_eq!(plan_of("remove p", &net).expect_err("b would read more").code, "G0401");
    let mut parameters = parameters(&net);
    carry_out(&planned_of("remove p accept change", &net), &mut parameters);
    assert_eq!(find("b.weight", &parameters).value.shape(), [6, 4, 5, 4]);
}

#[test]
fn removing_an_identity_among_images_gives_back_every_bit() {
    let net = place("flattened", 4, Activation::Relu);
    let mut all = parameters(&net);
    let inserted = planned_of("insert identity after h as n", &net);
    carry_out(&inserted, &mut all);
    carry_out(&planned_of("remove n", &inserted.after), &mut all);
    for (old, new) in parameters(&net).iter().zip(&all) {
        assert_eq!((&old.name, &old.value, &old.births), (&new.name, &new.value, &new.births));
    }
}

// --- on networks that compute

/// A network of the lab and its architecture.
fn running(word: &str, h: usize, activation: Activation) -> (Architecture, Network<f32>) {
    let net = place(word, h, activation);
    let network = network(&net);
    (net, network)
}

fn matrix(value: &ArrayD<f32>) -> Array2<f64> {
    let rows = value.shape()[0];
    let values = value.iter().map(|x| f64::from(*x)).collect();
    Array2::from_shape_vec((rows, value.len() / rows), values).expect("rows of one length")
}

fn norm<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().fold(0.0, |sum, x| sum + x * x).sqrt()
}

/// M of the axis `h` on batch 1000, a gradmax of three units, and the gradient of `h.weight` on the same examples:
/// M, fresh outgoing weights [unit, out · taps], ∂L/∂U [unit, in · taps].
fn gradmax_on(net: &Architecture, network: &mut Network<f32>) -> [Array2<f64>; 3] {
    let plan = planned_of("widen h by 3 method gradmax", net);
    let Examples { x, target } = Examples::batch(network, 1000);
    let values: Vec<f32> = target.iter().copied().collect();
    let targets = Targets::Numbers { values: &values, width: network.outputs() };
    let seen = run::measure(network, &plan, &Loss::Mse, x.view(), targets);
    let axis = net.layer("h").expect("it is there").output.axis;
    let m = seen.between(axis).matrix.clone();
    super::lab::grow(&plan, network);
    Trainer::new().gradients(network, &Loss::Mse, x.view(), targets, Mode::Evaluate);
    let units = net.width(axis).exact();
    let columns = network.parameter("b.weight").expect("it is there").value.clone();
    let fresh = columns.slice_axis(ndarray::Axis(1), (units..).into()).to_owned();
    let z = fresh.permuted_axes(IxDyn(&[1, 0, 2, 3])).as_standard_layout().to_owned();
    let gradient = &network.parameter("h.weight").expect("it is there").gradient;
    let rows = gradient.slice_axis(ndarray::Axis(0), (units..).into()).to_owned();
    [m, matrix(&z), matrix(&rows)]
}

#[test]
fn gradmax_between_convolutions_knows_the_gradient_of_its_units() {
    let mut strided = place("convs", 5, Activation::Tanh);
    // Every second pixel: the last row and column of taps read zeros at other places than the first.
    let kind = layers::find("conv").expect("a layer");
    strided.layers.truncate(2);
    let settings = Settings { kernel: 3, stride: 2, activation: Activation::Tanh, ..Settings::default() };
    strided.push("b", kind, Description { width: Some(4), area: Some((3, 2)), settings });
    push(&mut strided, "out", 3, Settings::default());
    for net in [place("convs", 5, Activation::Tanh), strided] {
        let mut network = network(&net);
        let old = matrix(&network.parameter("b.weight").expect("it is there").value);
        let [m, z, gradient] = gradmax_on(&net, &mut network);
        assert_eq!(m.dim(), (4 * 9, 12 * 9));
        // tanh′(0) = 1, and nothing has changed but by rounding: ∂L/∂U = zᵀM.
        let expected = z.dot(&m);
        let apart = norm(&(&expected - &gradient)) / norm(&gradient);
        assert!(apart < 1e-5, "sums of some hundred f32 numbers: {apart:e}");
        // Orthogonal, and as long as the old channels are on average.
        let blocks = (0..5).map(|unit| norm(&old.slice(s![.., unit * 9..(unit + 1) * 9]).to_owned()));
        let length = blocks.sum::<f64>() / 5.0;
        for ((a, b), product) in z.dot(&z.t()).indexed_iter() {
            let expected = if a == b { length * length } else { 0.0 };
            assert!((product - expected).abs() < 1e-5, "{a} {b}: {product} {expected}");
        }
    }
}

#[test]
fn no_channel_of_gradmax_is_born_dead_behind_relu() {
    let (net, mut network) = running("convs", 5, Activation::Relu);
    let [m, z, gradient] = gradmax_on(&net, &mut network);
    for (unit, (row, linear)) in gradient.outer_iter().zip(z.dot(&m).outer_iter()).enumerate() {
        // The larger of two that sum up to zᵀM; fresh channels are heard a little, by the thousandth that they are long.
        let linear = norm(linear);
        assert!(norm(row) > 0.49 * linear && linear > 0.0, "channel {unit}");
    }
}

/// 3@32x32 → a 12 → h 24 → b 6 → out: what `b` reads of one example are 12 MB, in f32 and f64.
fn large() -> Architecture {
    let mut net = Architecture::new(3, Some((32, 32)), Task::Classification);
    let kind = layers::find("conv").expect("a layer");
    for (name, width, kernel) in [("a", 12, 3), ("h", 24, 5), ("b", 6, 5)] {
        let settings = Settings { kernel, activation: Activation::Tanh, ..Settings::default() };
        net.push(name, kind, Description { width: Some(width), area: Some((32, 32)), settings });
    }
    let pool = layers::find("pool").expect("a layer");
    let settings = Settings { pooling: Some(growrun::nn::architecture::Pooling::Global), ..Settings::default() };
    net.push("p", pool, Description { width: None, area: None, settings });
    push(&mut net, "out", 3, Settings::default());
    net
}

#[test]
fn measuring_in_stretches_is_measuring_at_once() {
    let net = large();
    let network = network::<f32>(&net);
    let count = 12;
    let x = normal::<f32>(count, network.inputs(), "x");
    let classes: Vec<u32> = (0..count as u32).map(|at| at * at % 3).collect();
    let targets = Targets::Classes(&classes);
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: Some(vec![1.0, 0.25, 3.0]) };
    let axis = net.layer("h").expect("it is there").output.axis;
    for phrase in ["widen h by 2 method gradmax", "narrow h to 9 rank gradient"] {
        let plan = planned_of(phrase, &net);
        let stretches = Measurements::stretches(count, &plan).count();
        assert!((2..count).contains(&stretches), "{stretches} stretches");
        let several = run::measure(&network, &plan, &loss, x.view(), targets);
        let mut whole = network.clone();
        Trainer::new().gradients(&mut whole, &loss, x.view(), targets, Mode::Evaluate);
        let mut once = Measurements::none();
        once.add(&whole, &plan, 0..count, count, 1.0);
        let near = |a: &[f64], b: &[f64]| {
            let largest = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
            assert!(largest > 0.0 && a.len() == b.len());
            // The gradient of each stretch is rounded to f32 at another scale.
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * largest), "{phrase}");
        };
        if phrase.starts_with("narrow") {
            near(&several.means("b"), &once.means("b"));
            near(&several.told(axis).0, &once.told(axis).0);
            assert_eq!(several.told(axis).1, once.told(axis).1);
            assert_eq!(several.told(axis).1, count as u64 * 2 * 32 * 32 * 24 * 25 * 6);
        } else {
            let (several, once) = (several.between(axis), once.between(axis));
            assert_eq!(several.flops, once.flops);
            near(several.matrix.as_slice().expect("row-major"), once.matrix.as_slice().expect("row-major"));
            // 64 MB hold what `h` reads for the first few examples.
            assert!(several.input.nrows() % (32 * 32) == 0 && several.input.nrows() < count * 32 * 32 + 1);
            assert_eq!(several.input, once.input);
        }
    }
}

#[test]
fn a_probe_in_stretches_keeps_and_notices_promises() {
    let net = large();
    let begin = network::<f32>(&net);
    let x = normal::<f32>(7, begin.inputs(), "x");
    for (phrase, promise) in [
        ("widen h to 27", Promise::Bitwise),
        ("widen h by 2x method split", Promise::Rounding),
        ("widen h to 27 eps 1e-2", Promise::Bounded),
        ("widen a..b kernel to 7", Promise::Rounding),
        ("insert identity after h method mirror", Promise::Rounding),
    ] {
        let plan = planned_of(phrase, &net);
        assert_eq!(plan.promise, promise, "{phrase}");
        let judged = |spoil: bool| {
            let mut network = begin.clone();
            let probe = Probe::before(&mut network, x.view(), &plan);
            super::lab::grow(&plan, &mut network);
            if spoil {
                network.parameter_mut("b.weight").expect("it is there").value[[5, 3, 2, 2]] += 0.5;
            }
            probe.after(&mut network, x.view(), &plan)
        };
        let kept = judged(false);
        assert!(kept.verdict.held && (promise == Promise::Bitwise) == (kept.drift == 0.0), "{phrase}: {kept:?}");
        assert!(!judged(true).verdict.held, "{phrase}: a weight that has moved is noticed");
    }
}

#[test]
fn a_constant_channel_leaves_its_mean_and_no_trace_where_no_zeros_are_read() {
    for (word, is_exact) in [("flattened", true), ("convs", false)] {
        let (net, mut network) = running(word, 5, Activation::Relu);
        network.parameter_mut("h.weight").expect("it is there").value.index_axis_mut(ndarray::Axis(0), 2).fill(0.0);
        network.parameter_mut("h.bias").expect("it is there").value[2] = 2.0;
        let reader = network.parameter_mut("b.weight").expect("it is there");
        reader.value.index_axis_mut(ndarray::Axis(1), 2).fill(1e-2);
        let x = normal::<f32>(50, network.inputs(), "other");
        let z = |network: &mut Network<f32>| {
            network.forward(x.view(), Mode::Evaluate);
            network.pre_activation("b").expect("it is there").mapv(f64::from)
        };
        let before = z(&mut network);
        let plan = planned_of("narrow h to 4", &net);
        super::lab::grow(&plan, &mut network);
        let change = z(&mut network) - before;
        let largest = change.iter().fold(0.0_f64, |largest, d| largest.max(d.abs()));
        if is_exact {
            assert!(largest < 1e-5, "{largest}: the rounding of sums of 20 numbers of order 1");
            continue;
        }
        // At the corners 4 of 9 taps read it, along the sides 6: there it says less, and the bias says the mean.
        let mean = change.mean_axis(ndarray::Axis(0)).expect("there are pixels");
        assert!(mean.iter().all(|d| d.abs() < 1e-6), "{mean}");
        assert!(largest > 0.05 && largest < 0.1, "9 · 0.02 would be missing without: {largest}");
    }
}

#[test]
fn a_kernel_grows_around_its_middle_at_any_stride() {
    let conv = layers::find("conv").expect("a layer");
    for (rows, columns, stride) in [(5, 4, 1), (5, 4, 2), (7, 8, 2), (7, 8, 3), (3, 2, 2)] {
        let mut net = Architecture::new(2, Some((rows, columns)), Task::Regression);
        for (name, stride) in [("a", stride), ("b", 1)] {
            let area = net.output().area.map(|(rows, columns)| (rows.div_ceil(stride), columns.div_ceil(stride)));
            let settings = Settings { kernel: 3, stride, activation: Activation::Gelu, ..Settings::default() };
            net.push(name, conv, Description { width: Some(4), area, settings });
        }
        push(&mut net, "out", 3, Settings::default());
        let mut network = network::<f32>(&net);
        let x = normal::<f32>(9, network.inputs(), "x");
        let plan = planned_of("widen all kernel to 7", &net);
        let probe = Probe::before(&mut network, x.view(), &plan);
        super::lab::grow(&plan, &mut network);
        let measured = probe.after(&mut network, x.view(), &plan);
        assert!(measured.verdict.held && measured.drift < 1e-5, "{rows}x{columns} by {stride}: {measured:?}");
    }
}

#[test]
fn channels_of_gradmax_are_the_same_at_any_number_of_threads() {
    let net = place("convs", 7, Activation::Relu);
    let digests = [1, 3].map(|threads| {
        let compute = Compute::new(threads, growrun::tensor::Simd::Auto, true).expect("a path of this machine");
        let mut network = Network::new(&net, 3, compute);
        super::lab::grow(&planned_of("widen h by 3 method gradmax", &net), &mut network);
        network.digest().expect("finite weights")
    });
    assert_eq!(digests[0], digests[1]);
}
