//! A layer while it computes: where its parameters are, and the buffers that its passes fill.

use super::arrays::Arrays;
use super::blend::Blend;
use super::norm::Normed;
use super::window::Window;
use crate::tensor::kernels::Function;
use crate::tensor::{Batch, Line, Real, panels};

/// A parameter of a layer while the network computes.
#[derive(Clone, Debug)]
pub(super) struct Held<T> {
    /// Its place in [`super::Network::parameters`].
    pub parameter: usize,
    pub frozen: bool,
    /// Empty while the parameters are in row-major form.
    pub arrays: Arrays<T>,
}

/// A learned vector whose gradient a pass of its own has made: a gain, a shift, a blend.
#[derive(Clone, Debug)]
pub(super) struct Learned<T> {
    pub held: Held<T>,
    /// ∂L/∂value of the last backward pass, one line a panel.
    pub d: Vec<Line<T>>,
}

impl<T: Real> Learned<T> {
    pub fn new(held: Held<T>, width: usize) -> Learned<T> {
        Learned { held, d: vec![Line::ZERO; panels::panels(width)] }
    }
}

/// What a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The batch.
    Input,
    /// The output of the layer of this number.
    Layer(usize),
    /// The sum of this number.
    Sum(usize),
    /// The passage of this number.
    Passage(usize),
}

/// One product with what follows it, and its buffers: activations in panels.
///
/// ```text
/// u = x·Wᵀ + b     z = norm(u), or u     y = φ(z)·mask
/// ```
///
/// A row is an example, or where images flow a pixel of one: then x is what lies in a window, or the pixel itself.
#[derive(Clone)]
pub(super) struct Product<T> {
    pub name: String,
    pub source: Source,
    pub weight: Held<T>,
    pub bias: Option<Held<T>>,
    pub norm: Option<Normed<T>>,
    pub function: Function,
    /// Of a parametric activation.
    pub blend: Option<Blend<T>>,
    pub dropout: f64,
    /// Of a convolution that reads more than single pixels.
    pub window: Option<Window>,
    /// Rows that an example has.
    pub pixels: usize,
    /// Length of a row of W: of a convolution channels · taps.
    pub inputs: usize,
    pub outputs: usize,
    /// Whether y is z: a linear layer without dropout.
    pub plain: bool,
    /// Whether the last forward pass wrote y over z.
    pub in_place: bool,
    /// The pool that has read y, where its ∂L/∂y is brought down only for the gradient of W, image by image: of a layer
    /// that reads the network's input nothing else asks for ∂L/∂u.
    pub deferred: Option<usize>,
    /// Whether z and d have changed places, because ∂L/∂u was written over z.
    pub exchanged: bool,
    /// [row, out]
    pub z: Vec<Line<T>>,
    /// [row, out]; empty when the output is z itself.
    pub y: Vec<Line<T>>,
    /// [row, out]: 0 or 1/(1 − p). Empty without dropout.
    pub mask: Vec<Line<T>>,
    /// ∂L/∂u: [row, out]
    pub d: Vec<Line<T>>,
    /// Scratch of a convolution's gradient, as large as its weight.
    pub sums: Vec<Line<T>>,
}

impl<T: Real> Product<T> {
    /// z and d change places, or take them back: one buffer, which is in the caches, serves every step.
    pub fn exchange(&mut self) {
        std::mem::swap(&mut self.z, &mut self.d);
        self.exchanged = !self.exchanged;
    }

    /// Rows that a batch has here.
    pub fn rows(&self, batch: usize) -> usize {
        batch * self.pixels
    }

    pub fn output(&self, batch: usize) -> Batch<'_, T> {
        Batch::new(if self.plain || self.in_place { &self.z } else { &self.y }, self.rows(batch))
    }

    /// u: what the product and the bias gave.
    pub fn affine(&self, batch: usize) -> Batch<'_, T> {
        Batch::new(self.norm.as_ref().map_or(&self.z, |norm| &norm.affine), self.rows(batch))
    }

    /// Channels of what it reads: units where it reads vectors.
    pub fn channels(&self) -> usize {
        self.window.as_ref().map_or(self.inputs, |window| window.channels)
    }

    /// Rows of an example in what it reads.
    pub fn pixels_from(&self) -> usize {
        match &self.window {
            Some(window) if window.is_first => 1,
            Some(window) => window.pixels_from(),
            None => self.pixels,
        }
    }

    pub fn learns(&self) -> bool {
        self.learned().any(|held| !held.frozen)
    }

    /// Multiply-adds of one product with one example.
    pub fn size(&self) -> u64 {
        (self.inputs as u64).saturating_mul(self.outputs as u64).saturating_mul(self.pixels as u64)
    }

    /// The parameters that are learned, in declaration order.
    pub fn learned(&self) -> impl Iterator<Item = &Held<T>> {
        let Product { weight, bias, norm, blend, .. } = self;
        let (gain, shift) =
            norm.as_ref().map_or((None, None), |n| (Some(&n.gain.held), n.shift.as_ref().map(|s| &s.held)));
        [Some(weight), bias.as_ref(), gain, shift, blend.as_ref().map(|b| &b.share.held)].into_iter().flatten()
    }

    /// The same, to be changed.
    pub fn learned_mut(&mut self) -> impl Iterator<Item = &mut Held<T>> {
        let Product { weight, bias, norm, blend, .. } = self;
        let (gain, shift) = match norm {
            Some(norm) => (Some(&mut norm.gain.held), norm.shift.as_mut().map(|shift| &mut shift.held)),
            None => (None, None),
        };
        let share = blend.as_mut().map(|blend| &mut blend.share.held);
        [Some(weight), bias.as_mut(), gain, shift, share].into_iter().flatten()
    }

    /// All parameters, measured statistics too.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Held<T>> {
        let Product { weight, bias, norm, blend, .. } = self;
        let (gain, shift, statistics) = match norm {
            Some(norm) => {
                let shift = norm.shift.as_mut().map(|shift| &mut shift.held);
                (Some(&mut norm.gain.held), shift, norm.running.as_mut())
            }
            None => (None, None, None),
        };
        let (mean, variance) = match statistics {
            Some([mean, variance]) => (Some(mean), Some(variance)),
            None => (None, None),
        };
        let share = blend.as_mut().map(|blend| &mut blend.share.held);
        [Some(weight), bias.as_mut(), gain, shift, mean, variance, share].into_iter().flatten()
    }
}
