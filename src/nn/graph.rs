//! The order in which layers compute, and the passes along it: a chain, with sums where a residual block ends.
//!
//! ```text
//! residual { a; b }              s = x + b(a(x))              ds/dx has two ways: through the skip and through a
//! residual project { a; b }      s = P·x + b(a(x))
//! ```

use super::dense::{Dense, Source};
use super::network::{Mode, Network, buffer, lines};
use super::{gradients, pass};
use crate::tensor::{Batch, Line, Real, panels};
use ndarray::ArrayView2;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Layer(usize),
    Sum(usize),
}

/// Who reads what a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// It is the network's output.
    Output,
    /// Only this sum.
    Sum(usize),
    /// A layer; or two, where a block has a map on its skip; or a layer and a skip that ends in this sum.
    Layers { first: usize, second: Option<usize>, skip: Option<usize> },
}

/// The end of a residual block: what came in, or a map of it, and what its last layer gave.
#[derive(Clone)]
pub(super) struct Sum<T> {
    pub skip: Source,
    /// Number of the last layer.
    pub end: usize,
    pub columns: usize,
    /// [batch, columns]
    pub y: Vec<Line<T>>,
    /// ∂L/∂y: [batch, columns]
    pub d: Vec<Line<T>>,
}

/// Nodes in the order in which they compute.
#[derive(Clone)]
pub(super) struct Graph<T> {
    pub nodes: Vec<Node>,
    readers: Vec<Reader>,
    pub sums: Vec<Sum<T>>,
    /// Scratch: what comes back through a map on a skip.
    branch: Vec<Line<T>>,
}

impl<T: Real> Graph<T> {
    pub fn empty() -> Graph<T> {
        Graph { nodes: Vec::new(), readers: Vec::new(), sums: Vec::new(), branch: Vec::new() }
    }

    /// Finds out who reads what, when all nodes are there.
    pub fn connect(&mut self, layers: &[Dense<T>]) {
        let sums = &self.sums;
        let reader = |node: &Node| {
            let source = match *node {
                Node::Layer(at) => Source::Layer(at),
                Node::Sum(at) => Source::Sum(at),
            };
            let mut readers = layers.iter().enumerate().filter(|(_, layer)| layer.source == source).map(|(at, _)| at);
            let sum = sums.iter().position(|sum| sum.skip == source || Source::Layer(sum.end) == source);
            match (readers.next(), sum) {
                (Some(first), skip) => Reader::Layers { first, second: readers.next(), skip },
                (None, Some(sum)) => Reader::Sum(sum),
                (None, None) => Reader::Output,
            }
        };
        self.readers = self.nodes.iter().map(reader).collect();
    }

    /// Makes room for a backward pass of `batch` examples.
    fn plan_backward(&mut self, layers: &[Dense<T>], batch: usize) {
        for sum in &mut self.sums {
            if sum.d.len() < lines(sum.columns, batch) {
                sum.d = buffer(sum.columns, batch);
            }
        }
        let second = self.readers.iter().filter_map(|reader| match reader {
            Reader::Layers { second: Some(second), .. } => Some(layers[*second].inputs),
            _ => None,
        });
        let widest = second.max().unwrap_or(0);
        if self.branch.len() < lines(widest, batch) {
            self.branch = buffer(widest, batch);
        }
    }
}

impl<T: Real> Network<T> {
    /// What a source gave in the last forward pass.
    pub(super) fn given(&self, source: Source) -> Batch<'_, T> {
        match source {
            Source::Input => Batch::new(&self.x, self.batch),
            Source::Layer(at) => self.layers[at].output(self.batch),
            Source::Sum(at) => Batch::new(&self.graph.sums[at].y, self.batch),
        }
    }

    /// The network's output [batch, out] for the batch of [`Network::load`].
    pub fn forward_loaded(&mut self, mode: Mode) -> ArrayView2<'_, T> {
        self.pack();
        let batch = self.batch;
        let compute = self.compute.for_work(self.forward_operations(batch));
        self.dropped = matches!(mode, Mode::Train { .. });
        for at in 0..self.graph.nodes.len() {
            match self.graph.nodes[at] {
                Node::Layer(at) => {
                    let (before, rest) = self.layers.split_at_mut(at);
                    let layer = &mut rest[0];
                    if self.dropped && layer.dropout > 0.0 && layer.mask.len() < lines(layer.outputs, batch) {
                        layer.mask = buffer(layer.outputs, batch);
                    }
                    let x = match layer.source {
                        Source::Input => Batch::new(&self.x, batch),
                        Source::Layer(at) => before[at].output(batch),
                        Source::Sum(at) => Batch::new(&self.graph.sums[at].y, batch),
                    };
                    pass::forward(&compute, layer, x, mode);
                }
                Node::Sum(at) => {
                    let Sum { skip, end, columns, .. } = self.graph.sums[at];
                    let mut y = std::mem::take(&mut self.graph.sums[at].y);
                    pass::add(&compute, self.given(skip), self.layers[end].output(batch), columns, &mut y);
                    self.graph.sums[at].y = y;
                }
            }
        }
        let outputs = self.outputs();
        let mut out = std::mem::take(&mut self.out);
        self.given(self.end()).unpack(outputs, &mut out[..batch * outputs]);
        self.out = out;
        self.output()
    }

    /// Where the network's output comes from.
    fn end(&self) -> Source {
        match self.graph.nodes.last().expect("a network has at least one layer") {
            Node::Layer(at) => Source::Layer(*at),
            Node::Sum(at) => Source::Sum(*at),
        }
    }

    /// Makes room for the backward pass of as many examples as the last forward pass had.
    fn plan_backward(&mut self) {
        let batch = self.batch;
        self.graph.plan_backward(&self.layers, batch);
        for layer in &mut self.layers {
            if layer.d.len() < lines(layer.outputs, batch) {
                layer.d = buffer(layer.outputs, batch);
            }
            if let Some(blend) = &mut layer.blend
                && blend.slope.len() < lines(layer.outputs, batch)
            {
                blend.slope = buffer(layer.outputs, batch);
            }
        }
        let inner = self.layers.iter().filter(|layer| layer.source != Source::Input);
        let turned = inner.map(|layer| panels::panels(layer.inputs) * layer.outputs).max().unwrap_or(0);
        if self.turned.len() < turned {
            self.turned = vec![Line::ZERO; turned];
        }
    }

    /// Gradients from ∂L/∂output of the last forward pass: [batch, out]; kept, used up by `update`, or both. Tells
    /// whether every new value is finite.
    pub(super) fn pass_back(
        &mut self,
        d_output: ArrayView2<'_, T>,
        keep: bool,
        update: Option<&dyn gradients::Update<T>>,
    ) -> bool {
        self.pack();
        self.plan_backward();
        let batch = self.batch;
        assert_eq!(d_output.dim(), (batch, self.outputs()), "∂L/∂output has the output's shape");
        let compute = self.compute.for_work(self.forward_operations(batch));
        let Some(lowest) = self.layers.iter().position(Dense::learns) else {
            return true;
        };
        let from = self.graph.nodes.iter().position(|node| *node == Node::Layer(lowest));
        for at in (from.expect("every layer is a node")..self.graph.nodes.len()).rev() {
            self.pass_back_to(at, &compute, d_output);
        }
        let x = Batch::new(&self.x, batch);
        gradients::gradients(&compute, &mut self.layers, &self.graph.sums, x, lowest, keep, update)
    }

    /// ∂L/∂u of a layer, or ∂L/∂y of a sum, when those of its readers are there.
    fn pass_back_to(&mut self, at: usize, compute: &crate::tensor::Compute, d_output: ArrayView2<'_, T>) {
        let batch = self.batch;
        let node = self.graph.nodes[at];
        let Network { layers, graph, turned, dropped, .. } = self;
        let mut d = match node {
            Node::Layer(at) => std::mem::take(&mut layers[at].d),
            Node::Sum(at) => std::mem::take(&mut graph.sums[at].d),
        };
        let (columns, slope) = match node {
            Node::Layer(at) => (layers[at].outputs, Some(layers[at].slope(batch, *dropped))),
            Node::Sum(at) => (graph.sums[at].columns, None),
        };
        match graph.readers[at] {
            Reader::Output => pass::begin_backward(compute.path(), slope.as_ref(), d_output, &mut d),
            Reader::Sum(sum) => {
                let slope = slope.as_ref().expect("a sum does not end in another sum");
                pass::pass_from_sum(compute, slope, Batch::new(&graph.sums[sum].d, batch), columns, &mut d);
            }
            Reader::Layers { first, second, skip } => {
                if let Some(second) = second {
                    pass::pass_down(compute, &layers[second], None, None, &mut graph.branch, turned, batch);
                }
                let more = match (second, skip) {
                    (Some(_), _) => Some(Batch::new(&graph.branch, batch)),
                    (None, Some(sum)) => Some(Batch::new(&graph.sums[sum].d, batch)),
                    (None, None) => None,
                };
                pass::pass_down(compute, &layers[first], more, slope.as_ref(), &mut d, turned, batch);
            }
        }
        match node {
            Node::Layer(at) => {
                layers[at].d = d;
                layers[at].finish_backward(compute, batch);
            }
            Node::Sum(at) => graph.sums[at].d = d,
        }
    }
}
