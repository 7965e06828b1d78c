//! The engine against what it must equal: written-down contracts, finite differences, PyTorch, and itself on
//! other threads and SIMD paths.

mod activations;
mod allocations;
pub mod blocks;
mod gradients;
pub mod images;
mod optimisers;
mod panels;
mod products;
mod pytorch;
mod same_bits;

use growrun::nn::architecture::{Init, Settings};
use growrun::nn::layers::{self, Description};
use growrun::nn::{Activation, Architecture, Task};

/// A dense network; `settings` says how each layer is set, given its number and whether it is the last.
fn network_of(widths: &[usize], task: Task, settings: impl Fn(usize, bool) -> Settings) -> Architecture {
    let dense = layers::find("dense").expect("dense is a layer");
    let mut architecture = Architecture::new(widths[0], None, task);
    for (at, &width) in widths[1..].iter().enumerate() {
        let last = at + 2 == widths.len();
        let name = if last { "out".to_string() } else { format!("h{}", at + 1) };
        architecture.push(&name, dense, Description { width: Some(width), area: None, settings: settings(at, last) });
    }
    architecture
}

/// Hidden layers with one activation, a linear output.
fn plain(widths: &[usize], activation: Activation) -> Architecture {
    network_of(widths, Task::Classification, |_, last| Settings {
        activation: if last { Activation::Linear } else { activation },
        init: Some(Init::Glorot),
        ..Settings::default()
    })
}

/// Numbers without a pattern: uniform in [−1, 1), the same every time.
fn noise(seed: u64, n: usize) -> Vec<f32> {
    use growrun::base::rng::{Purpose, Stream};
    let mut stream = Stream::new(seed, Purpose::Data, "noise", 0);
    let mut row = stream.row(0);
    (0..n).map(|_| (2.0 * row.uniform() - 1.0) as f32).collect()
}
