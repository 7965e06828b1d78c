//! dWᵀ = xᵀ·dz and the other gradients of a network's parameters, kept or used up by an update while they are in the
//! first cache. Cut into pieces by panels of output units, all layers at once.

use super::arrays::Arrays;
use super::graph::Sum;
use super::pass::{PIECES_PER_THREAD, Pieces, pieces};
use super::passage::Passage;
use super::product::{Held, Product, Source};
use super::window::{Told, Window};
use crate::tensor::kernels::{self, Left, Path};
use crate::tensor::{Batch, Compute, LANES, Line, Panels, Real, panels};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Changes parameters where their gradients are at hand: what an optimiser gives the backward pass.
pub trait Update<T>: Sync {
    /// One step on some lines of one panel. Tells whether every new value is finite.
    fn apply(&self, piece: Piece<'_, T>) -> bool;
}

/// Some lines of one panel of a parameter: rows are input units (a vector has one row), lanes output units.
pub struct Piece<'a, T> {
    /// Its place in the network's parameters.
    pub parameter: usize,
    pub panel: usize,
    /// Row of the first line.
    pub first: usize,
    pub value: &'a mut [Line<T>],
    /// In the order of the parameter's slots; empty where it has none.
    pub slots: [&'a mut [Line<T>]; 2],
    pub gradient: &'a [Line<T>],
}

/// Some rows of one panel of a parameter's arrays.
struct Target<'a, T> {
    value: &'a mut [Line<T>],
    slots: [&'a mut [Line<T>]; 2],
    /// Empty where nobody keeps it.
    gradient: &'a mut [Line<T>],
}

/// The lines of `range`, or none of an array that is not there.
fn part<'a, T>(lines: &'a mut [Line<T>], range: &Range<usize>) -> &'a mut [Line<T>] {
    lines.get_mut(range.clone()).unwrap_or_default()
}

impl<'a, T: Real> Target<'a, T> {
    fn whole(arrays: &'a mut Arrays<T>, keep: bool) -> Target<'a, T> {
        let gradient = arrays.gradient.as_mut().filter(|_| keep).map(|gradient| gradient.lines_mut());
        let mut slots = arrays.slots.iter_mut().map(|slot| slot.lines_mut());
        Target {
            value: arrays.value.lines_mut(),
            slots: [slots.next().unwrap_or_default(), slots.next().unwrap_or_default()],
            gradient: gradient.unwrap_or_default(),
        }
    }

    /// Cuts the first `lines` off.
    fn take(&mut self, lines: usize) -> Target<'a, T> {
        let cut = |from: &mut &'a mut [Line<T>]| {
            let whole = std::mem::take(from);
            let (first, rest) = whole.split_at_mut(lines.min(whole.len()));
            *from = rest;
            first
        };
        let [s0, s1] = &mut self.slots;
        Target { value: cut(&mut self.value), slots: [cut(s0), cut(s1)], gradient: cut(&mut self.gradient) }
    }

    /// Asks for what an update of some rows will read.
    fn prefetch(&self, range: &Range<usize>) {
        for lines in [&*self.value, &*self.slots[0], &*self.slots[1]] {
            kernels::prefetch(lines.get(range.clone()).unwrap_or_default());
        }
    }

    /// Where the gradient of some rows goes: to where it stays, or to scratch.
    fn gradient<'s>(&'s mut self, range: &Range<usize>, scratch: &'s mut [Line<T>]) -> &'s mut [Line<T>] {
        if self.gradient.is_empty() { &mut scratch[..range.len()] } else { &mut self.gradient[range.clone()] }
    }

    /// Some rows after their gradient has been computed. `place`: parameter, panel and row that they begin at.
    fn piece<'s>(
        &'s mut self,
        (parameter, panel, first): (usize, usize, usize),
        range: &Range<usize>,
        scratch: &'s [Line<T>],
    ) -> Piece<'s, T> {
        let [s0, s1] = &mut self.slots;
        Piece {
            parameter,
            panel,
            first,
            value: &mut self.value[range.clone()],
            slots: [part(s0, range), part(s1, range)],
            gradient: if self.gradient.is_empty() { &scratch[..range.len()] } else { &self.gradient[range.clone()] },
        }
    }
}

/// What one thread does at a time.
enum Gradient<'a, T> {
    /// One or two panels of a weight over some of its rows.
    Weight {
        parameter: usize,
        x: Batch<'a, T>,
        d: Batch<'a, T>,
        /// First panel of output units, and first input unit.
        panel: usize,
        first: usize,
        target: Target<'a, T>,
        second: Option<Target<'a, T>>,
    },
    /// One or two panels of a convolution's weight over some of its channels.
    Window {
        parameter: usize,
        window: &'a Window,
        x: Batch<'a, T>,
        d: Told<'a, T>,
        panel: usize,
        /// First channel, and how many.
        channels: (usize, usize),
        target: Target<'a, T>,
        second: Option<Target<'a, T>>,
        /// The bias of these panels, with one of the pieces that read their ∂L/∂z.
        bias: Option<(usize, Target<'a, T>)>,
        /// Where the gradient is summed up when nobody keeps it, and other scratch.
        sums: [&'a mut [Line<T>]; 2],
        scratch: &'a mut [Line<T>],
    },
    /// A bias.
    Bias { parameter: usize, d: Batch<'a, T>, target: Target<'a, T> },
    /// A vector whose gradient is there already.
    Learned { parameter: usize, d: &'a [Line<T>], target: Target<'a, T> },
}

/// Rows of a weight between product and update: enough that a block of ∂L/∂z stays in the first cache for many of
/// them, few enough that their gradient stays there, too.
const CHUNK: usize = 64;

impl<T: Real> Gradient<'_, T> {
    fn run(&mut self, path: Path, update: Option<&dyn Update<T>>) -> bool {
        let mut finite = true;
        match self {
            Gradient::Weight { parameter, x, d, panel, first, target, second } => {
                let rows = target.value.len();
                let k = d.rows;
                let mut scratch = [[Line::<T>::ZERO; CHUNK]; 2];
                let [scratch0, scratch1] = &mut scratch;
                for start in (0..rows).step_by(CHUNK) {
                    let range = start..rows.min(start + CHUNK);
                    if update.is_some() {
                        // They come from the third cache or from memory while the product is computed.
                        target.prefetch(&range);
                        second.iter().for_each(|second| second.prefetch(&range));
                    }
                    let a = Left::Columns { lines: x.lines, stride: x.stride, first: *first + start };
                    let g = target.gradient(&range, scratch0);
                    match second {
                        Some(second) => {
                            let c = [g, second.gradient(&range, scratch1)];
                            kernels::product_of_two(path, a, k, [d.panel(*panel), d.panel(*panel + 1)], c);
                        }
                        None => kernels::product_of_one(path, a, k, d.panel(*panel), g),
                    }
                    if let Some(update) = update {
                        let place = |panel: usize| (*parameter, panel, *first + start);
                        finite &= update.apply(target.piece(place(*panel), &range, scratch0));
                        if let Some(second) = second {
                            finite &= update.apply(second.piece(place(*panel + 1), &range, scratch1));
                        }
                    }
                }
            }
            Gradient::Window { parameter, window, x, d, panel, channels, target, second, bias, sums, scratch } => {
                let rows = target.value.len();
                let whole = 0..rows;
                let [sums0, sums1] = sums;
                let pair = second.is_some();
                let g0 = target.gradient(&whole, sums0);
                g0.fill(Line::ZERO);
                let g1 = match second {
                    Some(second) => second.gradient(&whole, sums1),
                    None => &mut [],
                };
                g1.fill(Line::ZERO);
                let mut total = [Line::ZERO; 2];
                let total_if = bias.is_some().then_some(&mut total);
                match (window.is_first, *d) {
                    (false, Told::Whole(d)) => {
                        window.correlate(path, *x, d, (*panel, pair), *channels, [g0, g1], total_if);
                    }
                    (_, d) => window.correlate_first(path, *x, d, (*panel, pair), scratch, [g0, g1], total_if),
                }
                if let Some((parameter, target)) = bias {
                    for (at, total) in total.iter().enumerate().take(target.value.len()) {
                        let range = at..at + 1;
                        let mut scratch = [Line::ZERO];
                        target.gradient(&range, &mut scratch)[0] = *total;
                        if let Some(update) = update {
                            finite &= update.apply(target.piece((*parameter, *panel + at, 0), &range, &scratch));
                        }
                    }
                }
                if let Some(update) = update {
                    let place = |panel: usize| (*parameter, panel, channels.0 * window.taps());
                    finite &= update.apply(target.piece(place(*panel), &whole, sums0));
                    if let Some(second) = second {
                        finite &= update.apply(second.piece(place(*panel + 1), &whole, sums1));
                    }
                }
            }
            Gradient::Bias { parameter, d, target } => {
                for panel in 0..target.value.len() {
                    let range = panel..panel + 1;
                    let mut scratch = [Line::ZERO];
                    target.gradient(&range, &mut scratch)[0] = kernels::sum_rows(path, d.panel(panel));
                    if let Some(update) = update {
                        finite &= update.apply(target.piece((*parameter, panel, 0), &range, &scratch));
                    }
                }
            }
            Gradient::Learned { parameter, d, target } => {
                for panel in 0..target.value.len() {
                    let range = panel..panel + 1;
                    let mut scratch = [Line::ZERO];
                    target.gradient(&range, &mut scratch)[0] = d[panel];
                    if let Some(update) = update {
                        finite &= update.apply(target.piece((*parameter, panel, 0), &range, &scratch));
                    }
                }
            }
        }
        finite
    }
}

/// Pieces of a weight's gradient, none of more than `longest` multiply-adds an example where rows can be cut.
fn cut_gradients<'a, T: Real>(
    weight: &'a mut Held<T>,
    x: Batch<'a, T>,
    d: Batch<'a, T>,
    keep: bool,
    longest: usize,
    items: &mut Pieces<Gradient<'a, T>>,
) {
    if !weight.frozen {
        let (rows, count) = (weight.arrays.value.rows(), panels::panels(weight.arrays.value.columns()));
        let height = (longest / (2 * LANES)).min(rows).max(1).next_multiple_of(LANES);
        let mut rest = Target::whole(&mut weight.arrays, keep);
        for panel in (0..count).step_by(2) {
            let mut first_panel = rest.take(rows);
            let mut second_panel = (panel + 1 < count).then(|| rest.take(rows));
            for first in (0..rows).step_by(height) {
                let (target, second) = (first_panel.take(height), second_panel.as_mut().map(|rest| rest.take(height)));
                items.push(Gradient::Weight { parameter: weight.parameter, x, d, panel, first, target, second });
            }
        }
    }
}

/// Channels of a panel that are one piece of a convolution's gradient: the results of eight stay in registers.
const CHANNELS: usize = LANES / 2;

/// The same for a convolution with its bias, which is frozen where its weight is. The first of `scratch` is cut off for
/// each piece that needs some.
#[allow(clippy::too_many_arguments)]
fn cut_window<'a, T: Real>(
    weight: &'a mut Held<T>,
    bias: Option<&'a mut Held<T>>,
    window: &'a Window,
    x: Batch<'a, T>,
    d: Told<'a, T>,
    keep: bool,
    sums: &'a mut [Line<T>],
    scratch: &mut &'a mut [Line<T>],
    items: &mut Pieces<Gradient<'a, T>>,
) {
    if weight.frozen {
        return;
    }
    let mut biases = bias.map(|bias| (bias.parameter, Target::whole(&mut bias.arrays, keep)));
    let (rows, count) = (weight.arrays.value.rows(), panels::panels(weight.arrays.value.columns()));
    let at_once = if window.is_first { window.channels } else { CHANNELS };
    let mut rest = Target::whole(&mut weight.arrays, keep);
    let mut sums = sums;
    for panel in (0..count).step_by(2) {
        let mut first_panel = rest.take(rows);
        let mut second_panel = (panel + 1 < count).then(|| rest.take(rows));
        let (mut sums0, others) = std::mem::take(&mut sums).split_at_mut(rows);
        let (mut sums1, others) = others.split_at_mut(if second_panel.is_some() { rows } else { 0 });
        sums = others;
        let mut bias = biases.as_mut().map(|(parameter, rest)| (*parameter, rest.take(2)));
        for first in (0..window.channels).step_by(at_once) {
            let channels = at_once.min(window.channels - first);
            let lines = channels * window.taps();
            let (target, second) = (first_panel.take(lines), second_panel.as_mut().map(|rest| rest.take(lines)));
            let (own0, left0) = std::mem::take(&mut sums0).split_at_mut(lines);
            let (own1, left1) = std::mem::take(&mut sums1).split_at_mut(if second.is_some() { lines } else { 0 });
            (sums0, sums1) = (left0, left1);
            let (own, left) = std::mem::take(scratch).split_at_mut(window.scratch_weight());
            *scratch = left;
            items.push(Gradient::Window {
                parameter: weight.parameter,
                window,
                x,
                d,
                panel,
                channels: (first, channels),
                target,
                second,
                bias: bias.take(),
                sums: [own0, own1],
                scratch: own,
            });
        }
    }
}

/// Lines of scratch that a layer's gradient needs.
pub(super) fn scratch<T: Real>(layer: &Product<T>) -> usize {
    let pieces = panels::panels(layer.outputs).div_ceil(2);
    layer.window.as_ref().map_or(0, |window| pieces * window.scratch_weight())
}

/// What layers have read.
pub(super) struct Read<'a, T> {
    /// What the first did.
    pub x: Batch<'a, T>,
    pub sums: &'a [Sum<T>],
    pub passages: &'a [Passage<T>],
}

/// ∂L/∂parameter of every layer from number `lowest` on that learns, kept or used up by `update` or both. Tells
/// whether every new value is finite. `frames` is scratch.
pub(super) fn gradients<T: Real>(
    compute: &Compute,
    layers: &mut [Product<T>],
    read: Read<'_, T>,
    frames: &mut [Line<T>],
    lowest: usize,
    keep: bool,
    update: Option<&dyn Update<T>>,
) -> bool {
    let batch = read.x.rows;
    let mut frames = frames;
    let threads = compute.sharing();
    let all: usize = layers[lowest..].iter().map(|layer| layer.inputs * layer.outputs * layer.pixels).sum();
    let longest = if threads == 1 { usize::MAX } else { all.div_ceil(2 * PIECES_PER_THREAD * threads) };
    let mut items: Pieces<Gradient<'_, T>> = SmallVec::new();
    let mut given: Pieces<Batch<'_, T>> = SmallVec::new();
    for (at, layer) in layers.iter_mut().enumerate() {
        let Product {
            source, weight, bias, norm, blend, z, y, d, plain, in_place, deferred, window, pixels, sums, ..
        } = layer;
        let rows = batch * *pixels;
        if at >= lowest {
            let x = match *source {
                Source::Input => read.x,
                Source::Layer(at) => given[at],
                Source::Sum(at) => read.sums[at].output(batch),
                Source::Passage(at) => read.passages[at].output(batch),
            };
            let d = Batch::new(d, rows);
            match window {
                Some(window) => {
                    let bias = bias.as_mut();
                    let (z, d) = (Batch::new(z, rows), d);
                    let d = match *deferred {
                        Some(pool) => Told::Pooled(z, &read.passages[pool]),
                        None => Told::Whole(d),
                    };
                    cut_window(weight, bias, window, x, d, keep, sums, &mut frames, &mut items);
                }
                None => {
                    cut_gradients(weight, x, d, keep, longest / *pixels, &mut items);
                    if let Some(bias) = bias.as_mut().filter(|bias| !bias.frozen) {
                        let target = Target::whole(&mut bias.arrays, keep);
                        items.push(Gradient::Bias { parameter: bias.parameter, d, target });
                    }
                }
            }
            let (gain, shift) = match norm {
                Some(norm) => (Some(&mut norm.gain), norm.shift.as_mut()),
                None => (None, None),
            };
            let share = blend.as_mut().map(|blend| &mut blend.share);
            for learned in [gain, shift, share].into_iter().flatten().filter(|learned| !learned.held.frozen) {
                let target = Target::whole(&mut learned.held.arrays, keep);
                items.push(Gradient::Learned { parameter: learned.held.parameter, d: &learned.d, target });
            }
        }
        given.push(Batch::new(if *plain || *in_place { z } else { y }, rows));
    }
    let path = compute.path();
    let finite = AtomicBool::new(true);
    compute.each(&mut items, |piece| {
        if !piece.run(path, update) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    finite.into_inner()
}

/// Applies `update` to kept gradients. Tells whether every new value is finite.
pub(super) fn update<T: Real>(compute: &Compute, layers: &mut [Product<T>], update: &dyn Update<T>) -> bool {
    struct Kept<'a, T> {
        parameter: usize,
        panel: usize,
        rows: usize,
        target: Target<'a, T>,
    }
    let mut items: Pieces<Kept<'_, T>> = SmallVec::new();
    for layer in layers {
        for held in layer.learned_mut() {
            let value = &held.arrays.value;
            let (rows, count) = (value.rows(), panels::panels(value.columns()));
            if held.frozen || held.arrays.gradient.is_none() {
                continue;
            }
            let number = pieces(compute, count, count);
            let mut target = Target::whole(&mut held.arrays, true);
            let mut panel = 0;
            for at in 0..number {
                let width = (count - panel).div_ceil(number - at);
                items.push(Kept { parameter: held.parameter, panel, rows, target: target.take(width * rows) });
                panel += width;
            }
        }
    }
    let finite = AtomicBool::new(true);
    compute.each(&mut items, |kept| {
        for at in 0..kept.target.value.len() / kept.rows.max(1) {
            let range = at * kept.rows..(at + 1) * kept.rows;
            if !update.apply(kept.target.piece((kept.parameter, kept.panel + at, 0), &range, &[])) {
                finite.store(false, Ordering::Relaxed);
            }
        }
    });
    finite.into_inner()
}

/// Σ g² of every column, per panel.
pub(super) fn squares<T: Real>(compute: &Compute, gradient: &Panels<T>, sums: &mut [[f64; LANES]]) {
    let (path, rows) = (compute.path(), gradient.rows());
    let number = pieces(compute, sums.len(), sums.len());
    let longest = sums.len().div_ceil(number.max(1)).max(1);
    type Columns<'a, T> = (&'a [Line<T>], &'a mut [[f64; LANES]]);
    let mut items: Pieces<Columns<'_, T>> =
        gradient.lines().chunks((longest * rows).max(1)).zip(sums.chunks_mut(longest)).collect();
    compute.each(&mut items, |(lines, sums)| {
        for (lines, sums) in lines.chunks(rows).zip(sums.iter_mut()) {
            kernels::squares(path, lines, sums);
        }
    });
}
