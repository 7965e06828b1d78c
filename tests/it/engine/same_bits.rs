//! The same weights, bit for bit, on any number of threads and any SIMD path; the same metrics for any batch size.

use super::{network_of, noise};
use crate::growth::{planned, promises::carry_out};
use growrun::grow::Plan;
use growrun::nn::architecture::{Init, Settings};
use growrun::nn::{Activation, Architecture, Mode, Network, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::kernels::{self, Function, Path};
use growrun::tensor::{BatchMut, Compute, Simd};
use growrun::train::{Loss, METRICS, Targets, Trainer, evaluate_in_batches};
use ndarray::ArrayView2;
use std::ops::Range;

const EXAMPLES: usize = 300;
pub const INPUTS: usize = 19;

/// Three steps: an even batch, one that is longer than a block of 256, and one of a single example.
pub fn trained(architecture: &Architecture, rule: Rule, clip: Option<f64>, loss: &Loss, compute: Compute) -> String {
    trained_on(architecture, rule, clip, loss, compute, [0..64, 0..EXAMPLES, 64..65])
}

/// Three steps on these examples.
pub fn trained_on(
    architecture: &Architecture,
    rule: Rule,
    clip: Option<f64>,
    loss: &Loss,
    compute: Compute,
    steps: [Range<usize>; 3],
) -> String {
    let outputs = architecture.width(architecture.output().axis).exact();
    let inputs = architecture.width(architecture.input.axis).exact() * architecture.input.values_per_unit();
    let x = noise(1, EXAMPLES * inputs);
    let classes: Vec<u32> = (0..EXAMPLES).map(|i| (i * 7 % outputs) as u32).collect();
    let numbers = noise(2, EXAMPLES * outputs);
    let targets = match loss {
        Loss::Mse => Targets::Numbers { values: &numbers, width: outputs },
        Loss::CrossEntropy { .. } => Targets::Classes(&classes),
    };
    let mut network: Network<f32> = Network::new(architecture, 5, compute);
    let mut optimizer = Optimizer::new(rule, 0.01, clip);
    let mut trainer = Trainer::new();
    // Ages that differ by row and by column, as after a growth.
    for parameter in network.parameters() {
        parameter.updates = 3;
        for births in &mut parameter.births {
            for (index, birth) in births.iter_mut().enumerate() {
                *birth = index as u64 % 4;
            }
        }
    }
    for (step, range) in steps.into_iter().enumerate() {
        let rows = &x[range.start * inputs..range.end * inputs];
        let batch = ArrayView2::from_shape((range.len(), inputs), rows).expect("rows");
        let report =
            trainer.step(&mut network, &mut optimizer, loss, batch, targets.slice(range), 0.01, 9, step as u64);
        assert!(report.is_finite());
    }
    network.digest().expect("no NaN")
}

pub fn others() -> Vec<(String, Compute)> {
    let mut all = Vec::new();
    for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
        for threads in [1, 2, 3, 4] {
            all.push((format!("{} × {threads}", simd.word()), Compute::new(threads, simd, true).expect("available")));
        }
    }
    all
}

pub const RULES: &[(Rule, Option<f64>)] = &[
    (Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.01 }, None),
    (Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }, Some(0.1)),
    (Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 }, None),
    (Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 }, Some(0.1)),
    (Rule::Adam { betas: (0.9, 0.99), epsilon: 1e-8, weight_decay: 0.1 }, None),
];

#[test]
fn threads_and_paths_change_no_bit() {
    let others = others();
    assert!(others.len() >= 6, "auto and portable at least");
    let weighted = Loss::CrossEntropy {
        label_smoothing: 0.1,
        class_weights: Some(noise(4, 11).iter().map(|x| f64::from(x.abs())).collect()),
    };
    let losses = [Loss::of(Task::Classification), weighted, Loss::Mse];
    for (at, activation) in Activation::ALL.into_iter().enumerate() {
        // Every activation meets two rules and, over all, every loss: odd widths, dropout on one layer.
        let loss = &losses[at % losses.len()];
        let architecture = network_of(&[INPUTS, 37, 23, 11], loss.task(), |layer, last| Settings {
            activation: if last { Activation::Linear } else { activation },
            dropout: if layer == 1 { 0.25 } else { 0.0 },
            init: Some(Init::He),
            ..Settings::default()
        });
        for (rule, clip) in [RULES[at % RULES.len()], RULES[(at + 2) % RULES.len()]] {
            let reference = trained(&architecture, rule, clip, loss, Compute::single());
            for (name, compute) in &others {
                let digest = trained(&architecture, rule, clip, loss, compute.clone());
                assert_eq!(digest, reference, "{activation}, {rule:?}, {name}");
            }
        }
    }
}

/// Ten networks of odd widths; the last two are large enough for several threads without being forced to.
const NETWORKS: &[&[usize]] = &[
    &[1, 1, 2],
    &[3, 17, 2],
    &[5, 15, 33, 3],
    &[16, 16, 16, 16],
    &[19, 37, 23, 11],
    &[31, 48, 7, 65, 2],
    &[64, 33, 31, 10],
    &[257, 5, 129, 4],
    &[785, 131, 10],
    &[70, 257, 301, 17],
];

/// Steps, a widened layer, steps, a layer inserted or another one widened, steps: everything that a run does to
/// weights. Forty examples and one; a batch longer than a block of 256 is in the test above.
fn grown(widths: &[usize], at: usize, compute: &Compute) -> String {
    let activation = Activation::ALL[at % Activation::ALL.len()];
    let (rule, clip) = RULES[at % RULES.len()];
    let loss = Loss::of(if at % 3 == 2 { Task::Regression } else { Task::Classification });
    let mut net = network_of(widths, loss.task(), |layer, last| Settings {
        activation: if last { Activation::Linear } else { activation },
        dropout: if at % 2 == 1 && layer == 0 && !last { 0.3 } else { 0.0 },
        init: Some(Init::He),
        ..Settings::default()
    });
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    let x = noise(at as u64, 41 * inputs);
    let classes: Vec<u32> = (0..41).map(|i| (i * 7 % outputs) as u32).collect();
    let numbers = noise(2, 41 * outputs);
    let targets = match loss {
        Loss::Mse => Targets::Numbers { values: &numbers, width: outputs },
        Loss::CrossEntropy { .. } => Targets::Classes(&classes),
    };
    let mut network: Network<f32> = Network::new(&net, 5, compute.clone());
    let mut optimizer = Optimizer::new(rule, 0.01, clip);
    let mut trainer = Trainer::new();
    let widened = planned(&net, "widen", &[("target", "h1"), ("by", "13"), ("eps", "1e-2")]);
    let second = match planned_or_none(&widened.after, "insert identity", &[("after", "h1")]) {
        Some(plan) => plan,
        None => planned(&widened.after, "widen", &[("target", "all"), ("by", "2x"), ("method", "split")]),
    };
    let mut step = 0;
    for plan in [Some(&widened), Some(&second), None] {
        for range in [0..40, 40..41] {
            let rows = &x[range.start * inputs..range.end * inputs];
            let batch = ArrayView2::from_shape((range.len(), inputs), rows).expect("rows");
            // Kept or used up at once: the same bits.
            trainer.keep_gradients = compute.threads() == 3;
            let report = trainer.step(&mut network, &mut optimizer, &loss, batch, targets.slice(range), 0.01, 9, step);
            assert!(report.is_finite(), "{widths:?} {activation} {report:?}");
            step += 1;
        }
        if let Some(plan) = plan {
            carry_out(plan, &mut network);
            net = plan.after.clone();
        }
    }
    assert!(net.parameter_count().0 > 0);
    network.digest().expect("no NaN")
}

fn planned_or_none(net: &Architecture, word: &str, arguments: &[(&'static str, &str)]) -> Option<Plan> {
    crate::growth::plan(net, word, arguments).ok()
}

#[test]
fn ten_networks_give_one_digest_each_across_growth() {
    let mut others = others();
    // Not forced: the large ones are shared out because it pays.
    for threads in [2, 3, 4] {
        let compute = Compute::new(threads, Simd::Auto, false).expect("`auto` is always there");
        others.push((format!("unforced × {threads}"), compute));
    }
    let mut digests = Vec::new();
    for (at, widths) in NETWORKS.iter().enumerate() {
        let reference = grown(widths, at, &Compute::single());
        for (name, compute) in &others {
            assert_eq!(grown(widths, at, compute), reference, "{widths:?}, {name}");
        }
        digests.push(reference);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), NETWORKS.len(), "and no two networks the same");
}

#[test]
fn another_seed_gives_other_weights() {
    let architecture = super::plain(&[5, 7, 3], Activation::Relu);
    let digest = |seed| Network::<f32>::new(&architecture, seed, Compute::single()).digest();
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn every_kernel_agrees_on_every_path_over_a_sweep() {
    let functions = [
        Function::Relu,
        Function::LeakyRelu,
        Function::Gelu,
        Function::Silu,
        Function::Tanh,
        Function::Sigmoid,
        Function::Softplus,
        Function::Elu,
        Function::Selu,
        Function::Linear,
    ];
    // Every 9973rd of all f32, NaNs left out: they have no one bit pattern.
    let z: Vec<f32> = (0..=u32::MAX).step_by(9973).map(f32::from_bits).filter(|z| !z.is_nan()).collect();
    let portable = Path::detect(Simd::Portable).expect("always there");
    let number = |x: &f32| if x.is_nan() { u32::MAX } else { x.to_bits() };
    for simd in [Simd::Auto, Simd::Avx2, Simd::Avx512] {
        let Some(path) = Path::detect(simd) else { continue };
        for function in functions {
            let (mut expected, mut got) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            kernels::activate(portable, function, &z, &mut expected);
            kernels::activate(path, function, &z, &mut got);
            let first = (0..z.len()).find(|&i| number(&expected[i]) != number(&got[i]));
            assert_eq!(first.map(|i| (z[i], expected[i], got[i])), None, "{function:?} on {}", simd.word());
            if function == Function::Tanh {
                assert!(got.iter().all(|y| y.abs() <= 1.0));
            }
            expected.fill(0.7);
            got.fill(0.7);
            kernels::activate_backward(portable, function, &z, &mut expected);
            kernels::activate_backward(path, function, &z, &mut got);
            let first = (0..z.len()).find(|&i| number(&expected[i]) != number(&got[i]));
            assert_eq!(first.map(|i| (z[i], expected[i], got[i])), None, "slope of {function:?} on {}", simd.word());
        }
        for width in [1, 2, 15, 16, 17, 33, 300] {
            let (mut a, mut b) = (vec![0.0; width], vec![0.0; width]);
            let row = noise(width as u64, width);
            assert_eq!(kernels::softmax(portable, &row, &mut a), kernels::softmax(path, &row, &mut b));
            assert_eq!(a, b);
        }
    }
}

#[test]
fn evaluation_does_not_depend_on_the_batch() {
    for loss in [Loss::of(Task::Classification), Loss::Mse] {
        let architecture = network_of(&[INPUTS, 37, 5], loss.task(), |_, last| Settings {
            activation: if last { Activation::Linear } else { Activation::Gelu },
            dropout: if last { 0.0 } else { 0.5 },
            init: Some(Init::He),
            ..Settings::default()
        });
        let x = noise(1, EXAMPLES * INPUTS);
        let classes: Vec<u32> = (0..EXAMPLES).map(|i| (i * 7 % 5) as u32).collect();
        let numbers = noise(2, EXAMPLES * 5);
        let targets = match loss {
            Loss::Mse => Targets::Numbers { values: &numbers, width: 5 },
            Loss::CrossEntropy { .. } => Targets::Classes(&classes),
        };
        let metrics: Vec<_> =
            METRICS.iter().copied().filter(|m| m.task.is_none_or(|task| task == loss.task())).collect();
        let results: Vec<_> = [1, 7, 1024]
            .into_iter()
            .map(|batch| {
                let mut network = Network::new(&architecture, 5, Compute::single());
                let gather = |range: std::ops::Range<usize>, out: &mut BatchMut<'_, f32>| {
                    let rows = &x[range.start * INPUTS..range.end * INPUTS];
                    out.set(ArrayView2::from_shape((range.len(), INPUTS), rows).expect("rows"));
                };
                evaluate_in_batches(&mut network, gather, targets, &loss, &metrics, batch)
            })
            .collect();
        assert!(results[0].len() >= 4 && results[0].contains_key("loss"));
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
    }
}

#[test]
fn a_wider_layer_keeps_the_masks_of_its_old_units() {
    let dropped = |width: usize| {
        let architecture = network_of(&[3, width, 2], Task::Classification, |_, last| Settings {
            bias: true,
            dropout: if last { 0.0 } else { 0.5 },
            init: Some(Init::Zero),
            ..Settings::default()
        });
        let mut network: Network<f32> = Network::new(&architecture, 0, Compute::single());
        network.parameter_mut("h1.bias").expect("it is there").value.fill(1.0);
        network.forward(ndarray::Array2::ones((20, 3)).view(), Mode::Train { seed: 1, step: 4 });
        network.layer_input("out").expect("it is there").to_owned()
    };
    let (narrow, wide) = (dropped(8), dropped(13));
    assert_eq!(wide.slice(ndarray::s![.., ..8]), narrow);
    let kept = narrow.iter().filter(|y| **y == 2.0).count();
    assert!(narrow.iter().all(|y| *y == 0.0 || *y == 2.0), "inverted scaling: 1/(1 − 0.5)");
    // 160 fair coins: five standard deviations are 32.
    assert!(kept.abs_diff(80) < 32, "{kept} of 160 kept");
}
