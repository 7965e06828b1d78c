//! What growth measures on data: gradmax, the ranks of `narrow`, and the means that biases take over.

use super::promises::{examples, network};
use super::state::{ADAM, MOMENTUM, slots, step};
use super::*;
use growrun::grow::{Concrete, Dice, Measurements, Needs, Probe, Promise};
use growrun::nn::{Mode, Network};
use growrun::optim::Optimizer;
use growrun::run::measure;
use growrun::tensor::{Compute, Simd};
use growrun::train::{Loss, Targets, Trainer};
use ndarray::{Array1, Array2, ArrayD, s};

fn value(network: &mut Network<f32>, name: &str) -> Array2<f32> {
    let value = network.parameter(name).unwrap_or_else(|| panic!("`{name}` is there")).value.clone();
    let rows = value.shape()[0];
    Array2::from_shape_vec((rows, value.len() / rows), value.iter().copied().collect()).expect("rows of one length")
}

/// What a plan needs, measured on examples that are to be mapped to random numbers.
fn measured(plan: &Plan, network: &Network<f32>) -> Measurements {
    let (x, y) = (examples(64, network.inputs(), "x"), examples(64, network.outputs(), "y"));
    let targets = Targets::Numbers { values: y.as_slice().expect("row-major"), width: network.outputs() };
    measure(network, plan, &Loss::Mse, x.view(), targets)
}

fn carry_out(plan: &Plan, network: &mut Network<f32>) {
    let concrete = realised(plan, network);
    grow::apply(concrete, network.parameters(), &plan.after);
    network.replan(&plan.after, 0);
}

fn realised(plan: &Plan, network: &mut Network<f32>) -> Concrete {
    let measurements = measured(plan, network);
    grow::realise(plan, network.parameters(), &measurements, Dice { seed: 3, step: 40 })
}

fn norm<'a>(values: impl IntoIterator<Item = &'a f32>) -> f64 {
    values.into_iter().fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x)).sqrt()
}

fn mean_norm(weight: &Array2<f32>, axis: usize) -> f64 {
    let norms: Vec<f64> = weight.axis_iter(ndarray::Axis(axis)).map(|unit| norm(unit.iter())).collect();
    norms.iter().sum::<f64>() / norms.len() as f64
}

// --- gradmax

#[test]
fn gradmax_columns_are_orthogonal_and_as_long_as_the_old_ones() {
    for (activation, eps) in [(Activation::Tanh, 1.0), (Activation::Relu, 1.0), (Activation::Silu, 0.25)] {
        let net = usual(activation);
        let mut network = network(&net);
        let (rows, columns) = (value(&mut network, "h1.weight"), value(&mut network, "h2.weight"));
        let (row, column) = (mean_norm(&rows, 0), mean_norm(&columns, 1));
        let eps_text = eps.to_string();
        let arguments = [("target", "h1"), ("by", "7"), ("method", "gradmax"), ("eps", eps_text.as_str())];
        carry_out(&planned(&net, "widen", &arguments), &mut network);
        let (rows, columns) = (value(&mut network, "h1.weight"), value(&mut network, "h2.weight"));
        let z = columns.slice(s![.., 32..]);
        let products = z.t().dot(&z);
        for ((a, b), &product) in products.indexed_iter() {
            let expected = if a == b { (eps * column).powi(2) } else { 0.0 };
            // 32 products of f32 numbers, the squares of which sum to about 2.
            assert!((f64::from(product) - expected).abs() < 1e-5, "{activation} {a} {b}: {product} {expected}");
        }
        for unit in 32..39 {
            let expected = if activation == Activation::Relu { 1e-3 * row } else { 0.0 };
            let found = norm(rows.row(unit).iter());
            assert!((found - expected).abs() <= 1e-6 * expected, "{activation} {unit}: {found} {expected}");
        }
        let bias = network.parameter("h1.bias").expect("it is there");
        assert!(bias.value.iter().skip(32).all(|&b| b == 0.0));
    }
}

/// ‖∂L/∂U‖ over the fresh rows of h1, on the examples that were measured.
fn fresh_gradient(network: &mut Network<f32>, net: &Architecture) -> f64 {
    let (x, y) = (examples(64, 8, "x"), examples(64, 10, "y"));
    let targets = Targets::Numbers { values: y.as_slice().expect("row-major"), width: 10 };
    network.replan(net, 0);
    Trainer::new().gradients(network, &Loss::Mse, x.view(), targets, Mode::Evaluate);
    let gradient = network.parameter("h1.weight").expect("it is there").gradient.clone();
    norm(gradient.slice(s![32.., ..]).iter())
}

#[test]
fn gradmax_rows_have_a_larger_gradient_than_random_ones_of_equal_scale() {
    for activation in Activation::ALL {
        let net = usual(activation);
        // Where f′(0) ≠ 0 every unit hears every example, and no directions can have more. Behind relu each hears
        // the half of them that its own weights choose, so only the mean over seeds says something.
        let flat = activation == Activation::Relu;
        let mut sums = [0.0, 0.0];
        for seed in 0..if flat { 40 } else { 4 } {
            let mut network = Network::new(&net, seed, Compute::single());
            let plan = planned(&net, "widen", &[("target", "h1"), ("by", "5"), ("method", "gradmax")]);
            carry_out(&plan, &mut network);
            let largest = fresh_gradient(&mut network, &plan.after);
            // The same units in random directions of the same lengths.
            let mut stream = growrun::base::rng::Stream::new(seed, growrun::base::rng::Purpose::Data, "random", 0);
            let mut draws = stream.row(0);
            for (name, axis) in [("h1.weight", 0), ("h2.weight", 1)] {
                let weight = &mut network.parameter_mut(name).expect("it is there").value;
                for mut unit in weight.axis_iter_mut(ndarray::Axis(axis)).skip(32) {
                    let before = norm(unit.iter());
                    unit.mapv_inplace(|_| draws.normal() as f32);
                    let factor = (before / norm(unit.iter())) as f32;
                    unit.mapv_inplace(|x| x * factor);
                }
            }
            let random = fresh_gradient(&mut network, &plan.after);
            assert!(random > 0.0 && (flat || largest > random), "{activation} {seed}: {largest} {random}");
            sums = [sums[0] + largest, sums[1] + random];
        }
        assert!(sums[0] > 1.2 * sums[1], "{activation}: {sums:?}");
    }
}

#[test]
fn gradmax_after_relu_learns() {
    let net = usual(Activation::Relu);
    let mut plain = network(&net);
    let mut grown = plain.clone();
    let plan = planned(&net, "widen", &[("target", "h1"), ("by", "6"), ("method", "gradmax")]);
    assert_eq!(plan.promise, Promise::Bounded);
    carry_out(&plan, &mut grown);
    let rows = value(&mut grown, "h1.weight").slice(s![32.., ..]).to_owned();
    let (x, y) = (examples(64, 8, "x"), examples(64, 10, "y"));
    let mut losses = [0.0, 0.0];
    for (network, last) in [&mut plain, &mut grown].into_iter().zip(&mut losses) {
        let mut optimizer = Optimizer::new(MOMENTUM, 0.01, None);
        for at in 0..60 {
            step(network, &mut optimizer, at, x.view(), y.view());
        }
        let output = network.forward(x.view(), Mode::Evaluate);
        *last = (&output - &y).iter().map(|d| f64::from(*d) * f64::from(*d)).sum::<f64>();
    }
    let moved = &value(&mut grown, "h1.weight").slice(s![32.., ..]) - &rows;
    // A thousandth of the old rows at first; with rows of 0 behind relu nothing would ever move.
    assert!(moved.outer_iter().all(|row| norm(row.iter()) > 1e-2), "{moved}");
    assert!(losses[1] < losses[0], "never grown, grown: {losses:?}");
}

#[test]
fn no_unit_of_gradmax_is_born_dead_behind_relu() {
    // What h2 reads is positive everywhere, so the first right singular vector of M is, too: half of the signs
    // would give units that hear nothing.
    let net = usual(Activation::Relu);
    let (x, y) = (examples(64, 8, "x"), examples(64, 10, "y"));
    for seed in 0..8 {
        let mut network = Network::new(&net, seed, Compute::single());
        let plan = planned(&net, "widen", &[("target", "h2"), ("by", "6"), ("method", "gradmax")]);
        let seen = measured(&plan, &network);
        let m = seen.between(net.layer("h2").expect("it is there").output.axis).matrix.clone();
        carry_out(&plan, &mut network);
        let z = value(&mut network, "out.weight").slice(s![.., 32..]).mapv(f64::from);
        let linear = z.t().dot(&m);
        let targets = Targets::Numbers { values: y.as_slice().expect("row-major"), width: 10 };
        Trainer::new().gradients(&mut network, &Loss::Mse, x.view(), targets, Mode::Evaluate);
        let gradient = network.parameter("h2.weight").expect("it is there").gradient.clone();
        for unit in 0..6 {
            let found = norm(gradient.slice(s![32 + unit, ..]).iter());
            let least = 0.5 * linear.row(unit).iter().fold(0.0, |sum, x| sum + x * x).sqrt();
            // Fresh units are heard a little, so the gradients are not quite those that were measured: by about the
            // thousandth that their weights are of the others.
            assert!(found > 0.99 * least && least > 0.0, "seed {seed}, unit {unit}: {found} {least}");
        }
    }
}

#[test]
fn gradmax_takes_back_what_units_say_at_0() {
    for (activation, spoken) in [(Activation::Sigmoid, 0.5f32), (Activation::Softplus, 2f32.ln())] {
        let net = usual(activation);
        let mut network = network(&net);
        let before = value(&mut network, "h2.bias");
        let plan = planned(&net, "widen", &[("target", "h1"), ("by", "4"), ("method", "gradmax")]);
        assert_eq!(plan.promise, Promise::Rounding);
        carry_out(&plan, &mut network);
        let z = value(&mut network, "h2.weight").slice(s![.., 32..]).to_owned();
        for (unit, (after, before)) in value(&mut network, "h2.bias").iter().zip(&before).enumerate() {
            let expected = before - spoken * z.row(unit).sum();
            // A few roundings of numbers of order 1.
            assert!((after - expected).abs() < 1e-6, "{activation} {after} {expected}");
        }
    }
    // Without a bias nothing takes it back, and the promise says so.
    let mut net = architecture(8, &[("h1", 12, Activation::Sigmoid)]);
    push(&mut net, "out", 10, Settings { bias: false, ..Settings::default() });
    let plan = planned(&net, "widen", &[("target", "h1"), ("by", "4"), ("method", "gradmax")]);
    assert_eq!(plan.promise, Promise::Bounded);
    let mut network = network(&net);
    let x = examples(50, 8, "x");
    let probe = Probe::before(&mut network, x.view(), &plan);
    carry_out(&plan, &mut network);
    let seen = probe.after(&mut network, x.view(), &plan);
    assert!(seen.verdict.held && seen.drift > 0.01 && seen.verdict.bound > Some(seen.drift), "{seen:?}");
}

#[test]
fn beyond_the_rank_gradmax_pads_and_says_so() {
    // Two outputs: M = E[δ xᵀ] has rank 2 at most.
    let net = architecture(8, &[("h1", 6, Activation::Tanh), ("out", 2, Activation::Linear)]);
    let plan = planned(&net, "widen", &[("target", "h1"), ("by", "5"), ("method", "gradmax")]);
    assert_eq!(plan.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["G0208"]);
    let mut network = network(&net);
    let concrete = realised(&plan, &mut network);
    assert_eq!(
        concrete.notes,
        ["3 of the 5 new units of `h1` are `pad` units: the gradient that gradmax looks at has rank 2 here"]
    );
    assert!(concrete.flops > 2 * 64 * 2 * 8, "the product is counted, and the decomposition: {}", concrete.flops);
    grow::apply(concrete, network.parameters(), &plan.after);
    let (rows, columns) = (value(&mut network, "h1.weight"), value(&mut network, "out.weight"));
    for unit in 6..11 {
        let spoken = columns.column(unit).iter().any(|&z| z != 0.0);
        let drawn = rows.row(unit).iter().all(|&u| u != 0.0);
        assert_eq!((spoken, drawn), if unit < 8 { (true, false) } else { (false, true) }, "unit {unit}");
    }
}

#[test]
fn gradmax_finds_the_same_units_at_any_number_of_threads_and_on_any_path() {
    let net = architecture(
        40,
        &[("h1", 50, Activation::Relu), ("h2", 60, Activation::Gelu), ("out", 10, Activation::Linear)],
    );
    let plan = planned(&net, "widen", &[("target", "all"), ("by", "9"), ("method", "gradmax")]);
    let digests = [(1, Simd::Auto), (3, Simd::Auto), (1, Simd::Portable)].map(|(threads, simd)| {
        let compute = Compute::new(threads, simd, true).expect("a path of this machine");
        let mut network = Network::new(&net, 3, compute);
        carry_out(&plan, &mut network);
        network.digest().expect("finite weights")
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn fresh_units_of_gradmax_have_no_past() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    let mut optimizer = Optimizer::new(ADAM, 0.01, None);
    let (x, y) = (examples(32, 8, "x"), examples(32, 10, "y"));
    for at in 0..4 {
        step(&mut network, &mut optimizer, at, x.view(), y.view());
    }
    let old = network.parameter("h2.weight").expect("it is there").clone();
    carry_out(&planned(&net, "widen", &[("target", "h1"), ("by", "3"), ("method", "gradmax")]), &mut network);
    let new = network.parameter("h2.weight").expect("it is there").clone();
    assert_eq!(new.births[1][..32], vec![0; 32]);
    assert_eq!(new.births[1][32..], vec![4; 3]);
    let of = |array: &ArrayD<f32>, columns: std::ops::Range<usize>| array.slice(s![.., columns]).to_owned();
    for (new, old) in [(slots(&new).0, slots(&old).0), (slots(&new).1, slots(&old).1)] {
        assert_eq!(of(new, 0..32), of(old, 0..32));
        assert!(of(new, 32..35).iter().all(|&x| x == 0.0));
    }
}

#[test]
fn where_gradmax_cannot_measure_it_says_why() {
    let relu = usual(Activation::Relu);
    let with = |more: (&'static str, &'static str)| {
        refused(&relu, "widen", &[("target", "h1"), ("by", "3"), ("method", "gradmax"), more])
    };
    assert_eq!((with(("eps", "0")).code, with(("fan_in", "1")).code), ("G0207", "G0105"));
    // The stream of a residual block has two writers and two readers.
    let refusal = refused(&super::plans::residual(), "widen", &[("target", "h1"), ("by", "3"), ("method", "gradmax")]);
    assert_eq!((refusal.code, refusal.argument), ("G0208", Some("method")));
    assert!(refusal.message.contains("more than one layer") && refusal.help.contains("method pad"), "{refusal}");
    planned(&super::plans::residual(), "widen", &[("target", "a"), ("by", "3"), ("method", "gradmax")]);
    let normed = refused(&with_norm(Norm::Layer), "widen", &[("target", "h1"), ("by", "3"), ("method", "gradmax")]);
    assert!(normed.message.contains("a norm, a pool or a flatten"), "{normed}");
}

// --- narrowing

#[test]
fn a_constant_unit_leaves_without_a_trace() {
    for rank in ["magnitude", "gradient"] {
        for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Relu] {
            let net =
                architecture(8, &[("h1", 12, activation), ("h2", 9, activation), ("out", 10, Activation::Linear)]);
            let mut network = network(&net);
            for unit in [2, 7, 11] {
                // h_i = f(2) whatever comes in; its outgoing weights are small, so that both ranks are.
                network.parameter_mut("h1.weight").expect("it is there").value.slice_mut(s![unit, ..]).fill(0.0);
                network.parameter_mut("h1.bias").expect("it is there").value[unit] = 2.0;
                network.parameter_mut("h2.weight").expect("it is there").value.slice_mut(s![.., unit]).fill(1e-2);
            }
            let plan = planned(&net, "narrow", &[("target", "h1"), ("to", "9"), ("rank", rank)]);
            let x = examples(50, 8, "other");
            let before = network.forward(x.view(), Mode::Evaluate).to_owned();
            carry_out(&plan, &mut network);
            let after = network.forward(x.view(), Mode::Evaluate).to_owned();
            let drift = (&after - &before).iter().fold(0f32, |a, d| a.max(d.abs()));
            // Rounding of sums of 12; without the bias 3·0.01·f(2) would be missing before h2's activation.
            assert!(drift < 1e-5, "{rank} {activation}: {drift}");
        }
    }
}

#[test]
fn units_to_which_nobody_listens_leave_without_any_change() {
    for rank in ["magnitude", "gradient"] {
        let net = usual(Activation::Gelu);
        let mut network = network(&net);
        for unit in [0, 5, 6, 30] {
            network.parameter_mut("h2.weight").expect("it is there").value.slice_mut(s![.., unit]).fill(0.0);
        }
        let bias = value(&mut network, "h2.bias");
        let plan = planned(&net, "narrow", &[("target", "h1"), ("to", "28"), ("rank", rank)]);
        let x = examples(50, 8, "x");
        let probe = Probe::before(&mut network, x.view(), &plan);
        carry_out(&plan, &mut network);
        let seen = probe.after(&mut network, x.view(), &plan);
        assert_eq!((plan.promise, seen.drift, seen.verdict.held), (Promise::None, 0.0, true), "{rank}");
        assert_eq!(value(&mut network, "h2.bias"), bias);
    }
}

#[test]
fn readers_take_over_the_mean_of_what_goes() {
    let net = usual(Activation::Softplus);
    let mut network = network(&net);
    let plan = planned(&net, "narrow", &[("target", "h1..h2"), ("to", "20")]);
    assert_eq!(plan.needs, Needs::Activations);
    let (h2, bias) = (value(&mut network, "h2.weight"), value(&mut network, "h2.bias"));
    let kept = value(&mut network, "h1.weight");
    network.forward(examples(64, 8, "x").view(), Mode::Evaluate);
    let means: Array1<f32> = network.layer_input("h2").expect("it is there").mean_axis(ndarray::Axis(0)).expect("64");
    carry_out(&plan, &mut network);
    let stayed = value(&mut network, "h1.weight");
    let gone: Vec<usize> = (0..32).filter(|&unit| !stayed.outer_iter().any(|row| row == kept.row(unit))).collect();
    assert_eq!(gone.len(), 12);
    // h2's own rows have been narrowed, too: by their biases they are not found, so by the sum of all of them.
    let moved: Vec<f32> = (0..32)
        .map(|row| bias[[row, 0]] + gone.iter().map(|&unit| h2[[row, unit]] * means[unit]).sum::<f32>())
        .collect();
    for b in value(&mut network, "h2.bias").iter() {
        // Sums of 12 numbers of order 1.
        assert!(moved.iter().any(|expected| (expected - b).abs() < 1e-5), "{b} is none of {moved:?}");
    }
}

#[test]
fn the_gradient_rank_sees_what_weights_do_not() {
    let net = usual(Activation::Relu);
    let mut network = network(&net);
    // A loud unit that never fires: large weights, but relu gives 0 on every example.
    network.parameter_mut("h1.bias").expect("it is there").value[4] = -1e3;
    network.parameter_mut("h1.weight").expect("it is there").value.slice_mut(s![4, ..]).fill(5.0);
    for (rank, stays) in [("magnitude", true), ("gradient", false)] {
        let mut network = network.clone();
        let plan = planned(&net, "narrow", &[("target", "h1"), ("to", "31"), ("rank", rank)]);
        carry_out(&plan, &mut network);
        let bias = value(&mut network, "h1.bias");
        assert_eq!(bias.iter().any(|&b| b == -1e3), stays, "{rank}");
    }
}

#[test]
fn the_gradient_rank_is_the_first_order_change_of_the_loss() {
    // One unit after the other is silenced a little; what the loss of each example changes by is the rank.
    let net = architecture(8, &[("h1", 6, Activation::Tanh), ("out", 3, Activation::Linear)]);
    let mut network = network(&net);
    let (x, y) = (examples(64, 8, "x"), examples(64, 3, "y"));
    let losses = |network: &mut Network<f32>| -> Vec<f64> {
        let output = network.forward(x.view(), Mode::Evaluate).to_owned();
        let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        output.outer_iter().zip(y.outer_iter()).map(|(a, b)| a.iter().zip(b).map(square).sum()).collect()
    };
    let whole = losses(&mut network);
    let mut ranks: Vec<(f64, usize)> = (0..6)
        .map(|unit| {
            let mut quieter = network.clone();
            let weight = &mut quieter.parameter_mut("out.weight").expect("it is there").value;
            weight.slice_mut(s![.., unit]).mapv_inplace(|w| w * 0.99);
            let change: f64 = losses(&mut quieter).iter().zip(&whole).map(|(a, b)| (a - b).abs()).sum();
            (change, unit)
        })
        .collect();
    ranks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bias = value(&mut network, "h1.bias");
    for to in 1..6 {
        let mut narrowed = network.clone();
        let plan = planned(&net, "narrow", &[("target", "h1"), ("to", &to.to_string()), ("rank", "gradient")]);
        carry_out(&plan, &mut narrowed);
        let mut expected: Vec<usize> = ranks[6 - to..].iter().map(|(_, unit)| *unit).collect();
        expected.sort_unstable();
        let expected: Vec<f32> = expected.into_iter().map(|unit| bias[[unit, 0]]).collect();
        assert_eq!(value(&mut narrowed, "h1.bias").into_raw_vec_and_offset().0, expected, "to {to}");
    }
}

// --- measuring

#[test]
fn measuring_changes_no_bit_of_what_follows() {
    let mut net = usual(Activation::Gelu);
    net.layer_mut("h1").expect("it is there").settings.dropout = 0.3;
    let mut plain = network(&net);
    let mut optimizer = Optimizer::new(ADAM, 0.01, None);
    let (x, y) = (examples(64, 8, "x"), examples(64, 10, "y"));
    for at in 0..3 {
        step(&mut plain, &mut optimizer, at, x.view(), y.view());
    }
    let mut watched = plain.clone();
    let gradmax = planned(&net, "widen", &[("target", "all"), ("by", "3"), ("method", "gradmax")]);
    let narrow = planned(&net, "narrow", &[("target", "all"), ("to", "9")]);
    for at in 3..6 {
        for network in [&mut plain, &mut watched] {
            step(network, &mut optimizer, at, x.view(), y.view());
        }
        measured(&gradmax, &watched);
        measured(&narrow, &watched);
    }
    for (plain, watched) in plain.parameters().iter().zip(watched.parameters().iter()) {
        assert_eq!((&plain.value, &plain.gradient), (&watched.value, &watched.gradient), "{}", plain.name);
        assert_eq!((slots(plain), plain.updates), (slots(watched), watched.updates), "{}", plain.name);
        assert_eq!(plain.births, watched.births, "{}", plain.name);
    }
}

#[test]
fn frozen_layers_are_measured_as_if_they_learned() {
    let net = usual(Activation::Tanh);
    let frozen = planned(&net, "freeze", &[("target", "all")]).after;
    let gradients = |net: &Architecture, network: &mut Network<f32>| {
        network.replan(net, 0);
        let plan = planned(net, "widen", &[("target", "all"), ("by", "3"), ("method", "gradmax")]);
        let seen = measured(&plan, network);
        ["h1", "h2"].map(|layer| {
            let axis = net.layer(layer).expect("it is there").output.axis;
            seen.between(axis).gradient.clone()
        })
    };
    let mut network = network(&net);
    let thawed = gradients(&net, &mut network);
    assert!(thawed.iter().all(|gradient| gradient.iter().any(|&d| d != 0.0)));
    assert_eq!(gradients(&frozen, &mut network), thawed);
    // And it stays frozen.
    assert!(network.parameters().iter().filter(|parameter| parameter.frozen).count() == 4);
}

#[test]
fn what_is_measured_is_the_mean_gradient_of_the_loss() {
    let net = usual(Activation::Silu);
    let mut network = network(&net);
    let plan = planned(&net, "widen", &[("target", "h1"), ("by", "2"), ("method", "gradmax")]);
    let (x, classes): (Array2<f32>, Vec<u32>) = (examples(40, 8, "x"), (0..40).map(|at| at % 10).collect());
    let loss = Loss::CrossEntropy { label_smoothing: 0.1, class_weights: None };
    let seen: Measurements = measure(&network, &plan, &loss, x.view(), Targets::Classes(&classes));
    Trainer::new().gradients(&mut network, &loss, x.view(), Targets::Classes(&classes), Mode::Evaluate);
    // ∂L/∂W2 = Σ δ hᵀ, with δ as it was measured at h2.
    let seen = seen.between(net.layer("h1").expect("it is there").output.axis);
    let input = network.layer_input("h2").expect("it is there").mapv(f64::from);
    let product = seen.gradient.t().dot(&input);
    let gradient = network.parameter("h2.weight").expect("it is there").gradient.clone();
    for (at, &expected) in product.indexed_iter() {
        // One is summed in f64, the other in f32: 40 products of order 0.01.
        assert!((f64::from(gradient[[at.0, at.1]]) - expected).abs() < 1e-7, "{at:?}");
    }
    assert_eq!(seen.input, x.mapv(f64::from));
    assert_eq!(seen.matrix, seen.gradient.t().dot(&seen.input));
}
