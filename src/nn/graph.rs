//! The order in which layers compute, and the passes along it: a chain, with sums where a residual block ends.
//!
//! ```text
//! residual { a; b }              s = x + b(a(x))              ds/dx has two ways: through the skip and through a
//! residual project { a; b }      s = P·x + b(a(x))
//! ```

use super::architecture::Pooling;
use super::network::{Mode, Network, buffer, lines};
use super::pass::Slope;
use super::passage::{Passage, Way};
use super::product::{Product, Source};
use super::{gradients, pass, passage};
use crate::tensor::{Batch, Compute, Line, Real, panels};
use ndarray::ArrayView2;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Layer(usize),
    Sum(usize),
    Passage(usize),
}

/// What reads values to compute with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    Layer(usize),
    Passage(usize),
}

/// Who reads what a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// It is the network's output.
    Output,
    /// Only this sum.
    Sum(usize),
    /// A layer or a passage; or two, where a block has a map on its skip; or one and a skip that ends in this sum.
    Above { first: Above, second: Option<Above>, skip: Option<usize> },
}

impl Reader {
    /// The pool that is the only one to read.
    fn pool<T>(self, passages: &[Passage<T>]) -> Option<usize> {
        match self {
            Reader::Above { first: Above::Passage(at), second: None, skip: None } => {
                matches!(passages[at].way, Way::Pool(_)).then_some(at)
            }
            _ => None,
        }
    }
}

/// The end of a residual block: what came in, or a map of it, and what its last layer gave.
#[derive(Clone)]
pub(super) struct Sum<T> {
    pub skip: Source,
    pub end: Source,
    pub columns: usize,
    /// Rows that an example has.
    pub pixels: usize,
    /// [row, columns]
    pub y: Vec<Line<T>>,
    /// ∂L/∂y: [row, columns]
    pub d: Vec<Line<T>>,
}

impl<T: Real> Sum<T> {
    pub fn output(&self, batch: usize) -> Batch<'_, T> {
        Batch::new(&self.y, batch * self.pixels)
    }
}

/// Nodes in the order in which they compute.
#[derive(Clone)]
pub(super) struct Graph<T> {
    pub nodes: Vec<Node>,
    readers: Vec<Reader>,
    pub sums: Vec<Sum<T>>,
    pub passages: Vec<Passage<T>>,
    /// Scratch: what comes back through a map on a skip.
    branch: Vec<Line<T>>,
}

impl<T: Real> Graph<T> {
    pub fn empty() -> Graph<T> {
        Graph { nodes: Vec::new(), readers: Vec::new(), sums: Vec::new(), passages: Vec::new(), branch: Vec::new() }
    }

    /// Finds out who reads what, when all nodes are there.
    pub fn connect(&mut self, layers: &[Product<T>]) {
        let Graph { nodes, sums, passages, .. } = &*self;
        let reader = |node: &Node| {
            let source = match *node {
                Node::Layer(at) => Source::Layer(at),
                Node::Sum(at) => Source::Sum(at),
                Node::Passage(at) => Source::Passage(at),
            };
            let mut above = nodes.iter().filter_map(|node| match *node {
                Node::Layer(at) => (layers[at].source == source).then_some(Above::Layer(at)),
                Node::Passage(at) => (passages[at].source == source).then_some(Above::Passage(at)),
                Node::Sum(_) => None,
            });
            let sum = sums.iter().position(|sum| sum.skip == source || sum.end == source);
            match (above.next(), sum) {
                (Some(first), skip) => Reader::Above { first, second: above.next(), skip },
                (None, Some(sum)) => Reader::Sum(sum),
                (None, None) => Reader::Output,
            }
        };
        self.readers = self.nodes.iter().map(reader).collect();
    }

    /// Makes room for a backward pass of `batch` examples.
    fn plan_backward(&mut self, layers: &[Product<T>], batch: usize) {
        for sum in &mut self.sums {
            let rows = batch * sum.pixels;
            if sum.d.len() < lines(sum.columns, rows) {
                sum.d = buffer(sum.columns, rows);
            }
        }
        for passage in &mut self.passages {
            let rows = batch * passage.rows_to;
            if passage.d.len() < lines(passage.columns, rows) {
                passage.d = buffer(passage.columns, rows);
            }
        }
        let second = self.readers.iter().filter_map(|reader| match reader {
            Reader::Above { second: Some(Above::Layer(at)), .. } => {
                let layer = &layers[*at];
                Some((layer.channels(), batch * layer.pixels_from()))
            }
            Reader::Above { second: Some(Above::Passage(at)), .. } => {
                let passage = &self.passages[*at];
                Some((passage.columns_from, batch * passage.rows_from))
            }
            _ => None,
        });
        let (columns, rows) = second.max_by_key(|(columns, rows)| lines(*columns, *rows)).unwrap_or((0, 0));
        if self.branch.len() < lines(columns, rows) {
            self.branch = buffer(columns, rows);
        }
    }
}

impl<T: Real> Network<T> {
    /// What a source gave in the last forward pass.
    pub(super) fn given(&self, source: Source) -> Batch<'_, T> {
        match source {
            Source::Input => Batch::new(&self.x, self.batch),
            Source::Layer(at) => self.layers[at].output(self.batch),
            Source::Sum(at) => self.graph.sums[at].output(self.batch),
            Source::Passage(at) => self.graph.passages[at].output(self.batch),
        }
    }

    /// Makes room for an image in every piece of a forward pass of `batch` examples.
    fn plan_frames(&mut self, compute: &Compute, batch: usize) {
        let layers = self.layers.iter().map(|layer| pass::scratch(compute, layer, batch));
        let passages = self.graph.passages.iter().map(|passage| passage::scratch(compute, passage, batch));
        grow(&mut self.frames, layers.chain(passages).max().unwrap_or(0));
    }

    /// The network's output [batch, out] for the batch of [`Network::load`].
    pub fn forward_loaded(&mut self, mode: Mode) -> ArrayView2<'_, T> {
        self.pack();
        let batch = self.batch;
        let compute = self.compute.for_work(self.forward_operations(batch));
        self.dropped = matches!(mode, Mode::Train { .. });
        self.plan_frames(&compute, batch);
        let mut pooled = None;
        for at in 0..self.graph.nodes.len() {
            let reader = self.graph.readers[at];
            match self.graph.nodes[at] {
                Node::Layer(at) => {
                    let (before, rest) = self.layers.split_at_mut(at);
                    let layer = &mut rest[0];
                    let rows = layer.rows(batch);
                    if self.dropped && layer.dropout > 0.0 && layer.mask.len() < lines(layer.outputs, rows) {
                        layer.mask = buffer(layer.outputs, rows);
                    }
                    // What it reads was made before it, the pool that alone reads it comes behind.
                    pooled = reader.pool(&self.graph.passages).filter(|_| pass::takes_pool(layer));
                    let passages = self.graph.passages.len();
                    let (passages, behind) = self.graph.passages.split_at_mut(pooled.unwrap_or(passages));
                    let x = match layer.source {
                        Source::Input => Batch::new(&self.x, batch),
                        Source::Layer(at) => before[at].output(batch),
                        Source::Sum(at) => self.graph.sums[at].output(batch),
                        Source::Passage(at) => passages[at].output(batch),
                    };
                    pass::forward(&compute, layer, x, &mut self.frames, behind.first_mut(), mode);
                }
                Node::Sum(at) => {
                    let Sum { skip, end, columns, .. } = self.graph.sums[at];
                    let mut y = std::mem::take(&mut self.graph.sums[at].y);
                    pass::add(&compute, self.given(skip), self.given(end), columns, &mut y);
                    self.graph.sums[at].y = y;
                }
                Node::Passage(at) if pooled == Some(at) => {}
                Node::Passage(at) => {
                    let mut frames = std::mem::take(&mut self.frames);
                    let (before, rest) = self.graph.passages.split_at_mut(at);
                    let passage = &mut rest[0];
                    let x = match passage.source {
                        Source::Input => Batch::new(&self.x, batch),
                        Source::Layer(at) => self.layers[at].output(batch),
                        Source::Sum(at) => self.graph.sums[at].output(batch),
                        Source::Passage(at) => before[at].output(batch),
                    };
                    passage::forward(&compute, passage, x, &mut frames);
                    self.frames = frames;
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
            Node::Passage(at) => Source::Passage(*at),
        }
    }

    /// Makes room for the backward pass of as many examples as the last forward pass had.
    fn plan_backward(&mut self, compute: &Compute) {
        let batch = self.batch;
        self.graph.plan_backward(&self.layers, batch);
        for layer in &mut self.layers {
            let rows = layer.rows(batch);
            if layer.window.is_some() || layer.pixels > 1 {
                // The two may change places.
                grow(&mut layer.d, layer.z.len());
            } else if layer.d.len() < lines(layer.outputs, rows) {
                layer.d = buffer(layer.outputs, rows);
            }
            if let Some(blend) = &mut layer.blend
                && blend.slope.len() < lines(layer.outputs, rows)
            {
                blend.slope = buffer(layer.outputs, rows);
            }
            if layer.window.is_some() {
                grow(&mut layer.sums, panels::panels(layer.outputs) * layer.inputs);
            }
        }
        let inner = self.layers.iter().filter(|layer| layer.source != Source::Input);
        grow(&mut self.turned, inner.map(pass::turned).max().unwrap_or(0));
        let back = self.layers.iter().map(|layer| pass::scratch_back(compute, layer, batch));
        let weights = self.layers.iter().map(gradients::scratch).sum::<usize>();
        grow(&mut self.frames, back.max().unwrap_or(0).max(weights));
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
        let batch = self.batch;
        assert_eq!(d_output.dim(), (batch, self.outputs()), "∂L/∂output has the output's shape");
        let compute = self.compute.for_work(self.forward_operations(batch));
        self.plan_backward(&compute);
        let Some(lowest) = self.layers.iter().position(Product::learns) else {
            return true;
        };
        let from = self.graph.nodes.iter().position(|node| *node == Node::Layer(lowest));
        for at in (from.expect("every layer is a node")..self.graph.nodes.len()).rev() {
            self.pass_back_to(at, &compute, d_output);
        }
        let Network { layers, graph, x, frames, .. } = self;
        let read = gradients::Read { x: Batch::new(x, batch), sums: &graph.sums, passages: &graph.passages };
        gradients::gradients(&compute, layers, read, frames, lowest, keep, update)
    }

    /// ∂L/∂u of a layer, or ∂L/∂y of a sum or a passage, when those of its readers are there.
    fn pass_back_to(&mut self, at: usize, compute: &Compute, d_output: ArrayView2<'_, T>) {
        let batch = self.batch;
        let node = self.graph.nodes[at];
        let pool = self.graph.readers[at].pool(&self.graph.passages);
        if let (Node::Layer(at), Some(pool)) = (node, pool)
            && matches!(self.graph.passages[pool].way, Way::Pool(Pooling::Max(_)))
            && self.layers[at].in_place
        {
            // Nothing but the pool has read y, so ∂L/∂z takes its place, or is never written down.
            let layer = &mut self.layers[at];
            if layer.norm.is_none() && layer.window.as_ref().is_some_and(|window| window.is_first) {
                layer.deferred = Some(pool);
                return;
            }
            passage::pass_down_in_place(compute, &self.graph.passages[pool], &mut layer.z, batch);
            layer.exchange();
            return layer.finish_backward(compute, batch);
        }
        let mut frames = std::mem::take(&mut self.frames);
        let mut turned = std::mem::take(&mut self.turned);
        let mut branch = std::mem::take(&mut self.graph.branch);
        let mut d = match node {
            Node::Layer(at) => std::mem::take(&mut self.layers[at].d),
            Node::Sum(at) => std::mem::take(&mut self.graph.sums[at].d),
            Node::Passage(at) => std::mem::take(&mut self.graph.passages[at].d),
        };
        let (columns, slope) = match node {
            Node::Layer(at) => (self.layers[at].outputs, Some(self.layers[at].slope(batch, self.dropped))),
            Node::Sum(at) => (self.graph.sums[at].columns, None),
            Node::Passage(at) => (self.graph.passages[at].columns, None),
        };
        let (layers, graph) = (&self.layers, &self.graph);
        let of_sum = |sum: usize| {
            let sum = &graph.sums[sum];
            Batch::new(&sum.d, batch * sum.pixels)
        };
        let mut pass_down =
            |from: Above, more: Option<Batch<'_, T>>, slope: Option<&Slope<'_, T>>, d: &mut [Line<T>]| match from {
                Above::Layer(at) => {
                    pass::pass_down(compute, &layers[at], more, slope, d, &mut turned, &mut frames, batch);
                }
                Above::Passage(at) => {
                    let passage = &graph.passages[at];
                    let x = self.given(passage.source);
                    passage::pass_down(compute, passage, x, more, slope, d, &mut frames);
                }
            };
        match graph.readers[at] {
            Reader::Output => pass::begin_backward(compute.path(), slope.as_ref(), d_output, &mut d),
            Reader::Sum(sum) => pass::pass_from_sum(compute, slope.as_ref(), of_sum(sum), columns, &mut d),
            Reader::Above { first, second: Some(second), .. } => {
                pass_down(second, None, None, &mut branch);
                let rows = match node {
                    Node::Layer(at) => layers[at].rows(batch),
                    Node::Sum(at) => batch * graph.sums[at].pixels,
                    Node::Passage(at) => batch * graph.passages[at].rows_to,
                };
                pass_down(first, Some(Batch::new(&branch, rows)), slope.as_ref(), &mut d);
            }
            Reader::Above { first, second: None, skip } => {
                pass_down(first, skip.map(of_sum), slope.as_ref(), &mut d);
            }
        }
        match node {
            Node::Layer(at) => {
                self.layers[at].d = d;
                self.layers[at].finish_backward(compute, batch);
            }
            Node::Sum(at) => self.graph.sums[at].d = d,
            Node::Passage(at) => self.graph.passages[at].d = d,
        }
        (self.frames, self.turned, self.graph.branch) = (frames, turned, branch);
    }
}

/// Makes scratch at least so long.
pub(super) fn grow<T: Real>(scratch: &mut Vec<Line<T>>, lines: usize) {
    if scratch.len() < lines {
        scratch.resize(lines, Line::ZERO);
    }
}
