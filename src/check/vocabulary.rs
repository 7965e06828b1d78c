//! The words of all registries, handed to `check` so that it need not import optimisers or metrics.

use crate::base::Doc;
use crate::nn::Task;

/// A metric and what `check` must know of it.
#[derive(Clone, Copy, Debug)]
pub struct MetricWord {
    pub doc: &'static Doc,
    /// `None`: for every task (`loss`).
    pub task: Option<Task>,
    pub higher_is_better: bool,
    /// Whether it is one number that a condition can compare (`confusion` is not).
    pub scalar: bool,
}

/// Assembled in `run` from the registries. Layers, operators and sources are known to `check` itself.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    pub optimizers: Vec<&'static Doc>,
    pub losses: Vec<&'static Doc>,
    pub metrics: Vec<MetricWord>,
}
