//! A training step allocates nothing, on the thread that takes it, once buffers are planned.

use super::{network_of, noise};
use growrun::nn::architecture::Settings;
use growrun::nn::{Activation, Network, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::{Compute, Simd};
use growrun::train::{Loss, Targets, Trainer};
use ndarray::Array2;

#[test]
fn a_step_allocates_nothing() {
    let adam = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
    let sgd = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let classes: Vec<u32> = (0..64).map(|i| i % 10).collect();
    let usual: &[usize] = &[30, 100, 70, 10];
    let cases = [
        (usual, sgd, None, 1),
        (usual, adam, None, 1),
        (usual, adam, Some(1.0), 1),
        (usual, sgd, None, 3),
        (usual, adam, Some(1.0), 3),
        (&[784, 1024, 1024, 1024, 10], sgd, None, 2),
    ];
    for (widths, rule, clip, threads) in cases {
        let x = Array2::from_shape_vec((64, widths[0]), noise(1, 64 * widths[0])).expect("that many");
        let architecture = network_of(widths, Task::Classification, |layer, last| Settings {
            activation: if last { Activation::Linear } else { Activation::Gelu },
            dropout: if layer == 0 { 0.2 } else { 0.0 },
            ..Settings::default()
        });
        let compute = Compute::new(threads, Simd::Auto, true).expect("`auto` is always there");
        let mut network: Network<f32> = Network::new(&architecture, 1, compute);
        let mut optimizer = Optimizer::new(rule, 1e-3, clip);
        let mut trainer = Trainer::new();
        let loss = Loss::of(Task::Classification);
        let mut steps = |from: u64, to: u64| {
            for step in from..to {
                // A smaller batch now and then, as at the end of an epoch.
                let rows = if step % 3 == 2 { 17 } else { 64 };
                let fill = |range: std::ops::Range<usize>, out: &mut growrun::tensor::BatchMut<'_, f32>| {
                    out.set(x.slice(ndarray::s![range, ..]));
                };
                let targets = Targets::Classes(&classes[..rows]);
                trainer.step_loaded(&mut network, &mut optimizer, &loss, fill, targets, 1e-3, 0, step);
            }
        };
        steps(0, 3);
        let counted = allocation_counter::measure(|| steps(3, 12));
        assert_eq!(counted.count_total, 0, "{rule:?}, clip {clip:?}, {threads} threads: {counted:?}");
        // It counts at all.
        assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1]))).count_total, 1);
    }
}
