//! The passes of a dense layer over panels, cut into pieces that threads share out. However they are cut, every
//! number is computed by the same operations in the same order.
//!
//! ```text
//! z = x·Wᵀ + b      y = φ(z)·mask        by rows: every thread takes some examples through all units
//! dx = dz·W, then dz of the layer below   by panels of units, so that a panel of W is turned once
//! dWᵀ = xᵀ·dz, then the update            by panels of output units, all layers at once
//! ```

use super::arrays::Arrays;
use super::network::{Dense, Held, Mode};
use crate::base::rng::{Purpose, Stream};
use crate::tensor::kernels::{self, Function, Left, Path, flat, flat_mut};
use crate::tensor::{Batch, BatchMut, Compute, LANES, Line, Panels, Real, panels};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pieces of one phase: on the stack, so that a step allocates nothing. Enough for four layers of 1,000 units;
/// a larger network keeps its list on the heap, which a step of that size does not notice.
type Pieces<P> = SmallVec<[P; MOST_PIECES]>;
const MOST_PIECES: usize = 128;

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

/// Examples that go through a layer at once: as many as the second cache holds beside a panel of weights.
fn rows_at_once(inputs: usize) -> usize {
    const NUMBERS: usize = 1 << 16;
    (NUMBERS / inputs.max(1)).max(24)
}

/// Pieces that `extent` is cut into: one at least for every thread, none longer than `longest`.
fn pieces(compute: &Compute, extent: usize, longest: usize) -> usize {
    let threads = compute.sharing();
    extent.div_ceil(longest).next_multiple_of(threads).min(extent.max(1))
}

/// Pieces for every thread in a phase: enough that one whose core is busy with something else can be helped.
const PIECES_PER_THREAD: usize = 4;

/// Groups of at least two panels that some rows are cut into, `rows` pieces of them being there already.
fn groups(compute: &Compute, count: usize, rows: usize) -> usize {
    if compute.sharing() == 1 {
        return 1;
    }
    (PIECES_PER_THREAD * compute.sharing()).div_ceil(rows.max(1)).min(count.div_ceil(2)).max(1)
}

/// Cuts the rows of a batch and fills them.
pub(super) fn load<T: Real>(
    compute: &Compute,
    x: BatchMut<'_, T>,
    fill: impl Fn(Range<usize>, &mut BatchMut<'_, T>) + Sync,
) {
    let rows = x.rows();
    let number = pieces(compute, rows, rows);
    let mut items: Pieces<(usize, BatchMut<'_, T>)> = SmallVec::new();
    let (mut first, mut rest) = (0, x);
    for at in 0..number {
        let height = (rows - first).div_ceil(number - at);
        let (piece, others) = rest.split_rows(height);
        items.push((first, piece));
        (first, rest) = (first + height, others);
    }
    compute.each(&mut items, |(first, piece)| fill(*first..*first + piece.rows(), piece));
}

// --- forward

struct Forward<'a, T> {
    /// First example, and first panel of output units.
    first: usize,
    panel: usize,
    z: BatchMut<'a, T>,
    y: BatchMut<'a, T>,
    mask: BatchMut<'a, T>,
}

/// z and y of a layer for the batch x: [batch, in].
pub(super) fn forward<T: Real>(compute: &Compute, layer: &mut Dense<T>, x: Batch<'_, T>, mode: Mode) {
    let path = compute.path();
    let (rows, count) = (x.rows, panels::panels(layer.outputs));
    let drops = layer.dropout > 0.0 && matches!(mode, Mode::Train { .. });
    let size = count * panels::spaced(rows);
    let Dense { weight, bias, z, y, mask, name, function, dropout, inputs, plain, .. } = layer;
    let whole = Forward {
        first: 0,
        panel: 0,
        z: BatchMut::new(&mut z[..size], count, rows),
        y: BatchMut::new(if *plain { &mut [] } else { &mut y[..size] }, count, rows),
        mask: BatchMut::new(if drops { &mut mask[..size] } else { &mut [] }, count, rows),
    };
    let (inputs, function, dropout) = (*inputs, *function, *dropout);
    let weight = &weight.arrays.value;
    let bias = bias.as_ref().map(|bias| bias.arrays.value.lines());
    let work = |piece: &mut Forward<'_, T>| {
        let a = Left::Rows { lines: x.lines, stride: x.stride, first: piece.first };
        let (count, first) = (piece.z.panels(), piece.panel);
        let mut panel = 0;
        while panel < count {
            let rows = 0..piece.z.rows();
            let done = multiply(path, a, inputs, |panel| weight.panel(first + panel), &mut piece.z, panel, rows);
            for panel in panel..panel + done {
                let z = piece.z.panel(panel);
                if let Some(bias) = bias {
                    kernels::add_bias(path, &bias[first + panel], z);
                }
                if !*plain {
                    kernels::activate(path, function, flat(z), flat_mut(piece.y.panel(panel)));
                }
            }
            panel += done;
        }
        if let (true, Mode::Train { seed, step }) = (drops, mode) {
            draw_mask(piece, dropout, &mut Stream::new(seed, Purpose::Dropout, name, step));
            for panel in 0..count {
                kernels::multiply(path, flat(piece.mask.panel(panel)), flat_mut(piece.y.panel(panel)));
            }
        }
    };
    let number = pieces(compute, rows, rows_at_once(inputs));
    let groups = groups(compute, count, number);
    let mut items: Pieces<Forward<'_, T>> = SmallVec::new();
    let mut rest = whole;
    for at in 0..number {
        let height = (rows - rest.first).div_ceil(number - at);
        let (mut band, others) = rest.split_rows(height);
        for group in 0..groups {
            let width = (count - band.panel).div_ceil(groups - group);
            let (piece, others) = band.split_panels(width);
            items.push(piece);
            band = others;
        }
        rest = others;
    }
    compute.each(&mut items, work);
}

impl<'a, T: Real> Forward<'a, T> {
    fn split_rows(self, height: usize) -> (Forward<'a, T>, Forward<'a, T>) {
        let Forward { first, panel, z, y, mask } = self;
        let ((z, z2), (y, y2), (mask, mask2)) = (z.split_rows(height), y.split_rows(height), mask.split_rows(height));
        (Forward { first, panel, z, y, mask }, Forward { first: first + height, panel, z: z2, y: y2, mask: mask2 })
    }

    fn split_panels(self, width: usize) -> (Forward<'a, T>, Forward<'a, T>) {
        let Forward { first, panel, z, y, mask } = self;
        let ((z, z2), (y, y2), (mask, mask2)) =
            (z.split_panels(width), y.split_panels(width), mask.split_panels(width));
        (Forward { first, panel, z, y, mask }, Forward { first, panel: panel + width, z: z2, y: y2, mask: mask2 })
    }
}

/// C ← A·B for some rows of one panel of C, or of two where the machine takes two at once. Tells how many.
fn multiply<'b, T: Real>(
    path: Path,
    a: Left<'_, T>,
    k: usize,
    b: impl Fn(usize) -> &'b [Line<T>],
    c: &mut BatchMut<'_, T>,
    panel: usize,
    rows: Range<usize>,
) -> usize {
    if path.takes_two_panels() && panel + 1 < c.panels() {
        let c = c.pair(panel).map(|c| &mut c[rows.clone()]);
        kernels::product_of_two(path, a, k, [b(panel), b(panel + 1)], c);
        2
    } else {
        kernels::product_of_one(path, a, k, b(panel), &mut c.panel(panel)[rows]);
        1
    }
}

/// Keeps a unit with probability 1 − p and multiplies it by 1/(1 − p). Row = position in the batch, column =
/// unit, so that a wider layer keeps the masks of its old units.
fn draw_mask<T: Real>(piece: &mut Forward<'_, T>, p: f64, stream: &mut Stream) {
    let kept = T::from_f64(1.0 / (1.0 - p));
    for row in 0..piece.mask.rows() {
        let mut draws = stream.row_from((piece.first + row) as u64, (piece.panel * LANES) as u64);
        for panel in 0..piece.mask.panels() {
            for mask in &mut piece.mask.line(panel, row).0 {
                *mask = if draws.uniform() < p { T::ZERO } else { kept };
            }
        }
    }
}

// --- backward

/// What turns ∂L/∂y of a layer into its ∂L/∂z, in place.
struct Slope<'a, T> {
    function: Function,
    z: Batch<'a, T>,
    mask: Option<Batch<'a, T>>,
}

impl<T: Real> Slope<'_, T> {
    fn apply(&self, path: Path, panel: usize, rows: Range<usize>, d: &mut [Line<T>]) {
        if let Some(mask) = &self.mask {
            kernels::multiply(path, flat(&mask.panel(panel)[rows.clone()]), flat_mut(d));
        }
        if self.function != Function::Linear {
            kernels::activate_backward(path, self.function, flat(&self.z.panel(panel)[rows]), flat_mut(d));
        }
    }
}

impl<T: Real> Dense<T> {
    fn slope(&self, rows: usize, dropped: bool) -> Slope<'_, T> {
        let mask = (dropped && self.dropout > 0.0).then(|| Batch::new(&self.mask, rows));
        Slope { function: self.function, z: Batch::new(&self.z, rows), mask }
    }
}

/// ∂L/∂y of the last layer, row-major [batch, out], into its ∂L/∂z.
pub(super) fn begin_backward<T: Real>(
    path: Path,
    layer: &mut Dense<T>,
    d_output: ndarray::ArrayView2<'_, T>,
    dropped: bool,
) {
    let rows = d_output.nrows();
    let mut d = std::mem::take(&mut layer.d);
    let mut into = BatchMut::new(&mut d, panels::panels(layer.outputs), rows);
    into.set(d_output);
    let slope = layer.slope(rows, dropped);
    for panel in 0..into.panels() {
        slope.apply(path, panel, 0..rows, into.panel(panel));
    }
    layer.d = d;
}

struct Below<'a, T> {
    /// First panel of input units.
    first: usize,
    d: BatchMut<'a, T>,
    /// These panels of W, turned: [panel][out][16].
    turned: &'a mut [Line<T>],
}

/// ∂L/∂z of the layer below from that of `layer`. `turned` is scratch: one line for every output unit of every
/// panel of input units.
pub(super) fn pass_down<T: Real>(
    compute: &Compute,
    below: &mut Dense<T>,
    layer: &Dense<T>,
    turned: &mut [Line<T>],
    rows: usize,
    dropped: bool,
) {
    let path = compute.path();
    let outputs = layer.outputs;
    let count = panels::panels(layer.inputs);
    let mut buffer = std::mem::take(&mut below.d);
    let slope = below.slope(rows, dropped);
    let dz = Batch::new(&layer.d, rows);
    let weight = &layer.weight.arrays.value;
    let at_once = rows_at_once(outputs);
    let work = |piece: &mut Below<'_, T>| {
        for (panel, turned) in piece.turned.chunks_mut(outputs).enumerate() {
            kernels::turn_panel(path, weight.lines(), weight.rows(), (piece.first + panel) * LANES, turned);
        }
        let turned = &*piece.turned;
        for first in (0..rows).step_by(at_once) {
            let height = at_once.min(rows - first);
            let a = Left::Rows { lines: dz.lines, stride: dz.stride, first };
            let range = first..first + height;
            let mut panel = 0;
            while panel < piece.d.panels() {
                let b = |panel: usize| &turned[panel * outputs..][..outputs];
                let done = multiply(path, a, outputs, b, &mut piece.d, panel, range.clone());
                for panel in panel..panel + done {
                    slope.apply(path, piece.first + panel, range.clone(), &mut piece.d.panel(panel)[range.clone()]);
                }
                panel += done;
            }
        }
    };
    let number = groups(compute, count, 1);
    let mut items: Pieces<Below<'_, T>> = SmallVec::new();
    let mut rest =
        Below { first: 0, d: BatchMut::new(&mut buffer, count, rows), turned: &mut turned[..count * outputs] };
    for at in 0..number {
        let width = (count - rest.first).div_ceil(number - at);
        let (d, d_rest) = rest.d.split_panels(width);
        let (turned, turned_rest) = rest.turned.split_at_mut(width * outputs);
        items.push(Below { first: rest.first, d, turned });
        rest = Below { first: rest.first + width, d: d_rest, turned: turned_rest };
    }
    compute.each(&mut items, work);
    drop(items);
    below.d = buffer;
}

// --- gradients of parameters

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
    /// A bias.
    Bias { parameter: usize, d: Batch<'a, T>, target: Target<'a, T> },
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
        }
        finite
    }
}

/// Pieces of a layer's gradients, none of more than `longest` multiply-adds an example where rows can be cut.
fn cut_gradients<'a, T: Real>(
    weight: &'a mut Held<T>,
    bias: Option<&'a mut Held<T>>,
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
    if let Some(bias) = bias.filter(|bias| !bias.frozen) {
        items.push(Gradient::Bias { parameter: bias.parameter, d, target: Target::whole(&mut bias.arrays, keep) });
    }
}

/// ∂L/∂parameter of every layer from number `lowest` on that learns, kept or used up by `update` or both. Tells
/// whether every new value is finite. `x`: what the first layer read.
pub(super) fn gradients<T: Real>(
    compute: &Compute,
    layers: &mut [Dense<T>],
    x: Batch<'_, T>,
    lowest: usize,
    keep: bool,
    update: Option<&dyn Update<T>>,
) -> bool {
    let threads = compute.sharing();
    let all: usize = layers[lowest..].iter().map(|layer| layer.inputs * layer.outputs).sum();
    let longest = if threads == 1 { usize::MAX } else { all.div_ceil(2 * PIECES_PER_THREAD * threads) };
    let mut items: Pieces<Gradient<'_, T>> = SmallVec::new();
    let mut x = x;
    for (at, layer) in layers.iter_mut().enumerate() {
        let rows = x.rows;
        let Dense { weight, bias, z, y, d, plain, .. } = layer;
        if at >= lowest {
            cut_gradients(weight, bias.as_mut(), x, Batch::new(d, rows), keep, longest, &mut items);
        }
        x = Batch::new(if *plain { z } else { y }, rows);
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
pub(super) fn update<T: Real>(compute: &Compute, layers: &mut [Dense<T>], update: &dyn Update<T>) -> bool {
    struct Kept<'a, T> {
        parameter: usize,
        panel: usize,
        rows: usize,
        target: Target<'a, T>,
    }
    let mut items: Pieces<Kept<'_, T>> = SmallVec::new();
    for layer in layers {
        for held in [Some(&mut layer.weight), layer.bias.as_mut()].into_iter().flatten() {
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
