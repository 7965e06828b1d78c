//! The passes of a layer over panels, cut into pieces that threads share out. However they are cut, every number is
//! computed by the same operations in the same order.
//!
//! ```text
//! z = x·Wᵀ + b      y = φ(z)·mask        by rows: every thread takes some examples through all units
//! dx = dz·W, then dz of the layer below   by panels of units, so that a panel of W is turned once; for a convolution by
//!                                         examples, image by image
//! dWᵀ = xᵀ·dz, then the update            by panels of output units, all layers at once
//! ```

use super::blend;
use super::network::Mode;
use super::norm;
use super::passage::{self, Passage};
use super::product::Product;
use super::window::{self, Window};
use crate::base::rng::{Purpose, Stream};
use crate::tensor::kernels::{self, Function, Left, Patches, Path, flat, flat_mut};
use crate::tensor::{Batch, BatchMut, Compute, LANES, Line, Real, panels};
use smallvec::SmallVec;
use std::ops::Range;

/// Pieces of one phase: on the stack, so that a step allocates nothing. Enough for four layers of 1,000 units;
/// a larger network keeps its list on the heap, which a step of that size does not notice.
pub(super) type Pieces<P> = SmallVec<[P; MOST_PIECES]>;
const MOST_PIECES: usize = 128;

/// Examples that go through a layer at once: as many as the second cache holds beside a panel of weights.
fn rows_at_once(inputs: usize) -> usize {
    const NUMBERS: usize = 1 << 16;
    (NUMBERS / inputs.max(1)).max(24)
}

/// Pieces that `extent` is cut into: one at least for every thread, none longer than `longest`.
pub(super) fn pieces(compute: &Compute, extent: usize, longest: usize) -> usize {
    let threads = compute.sharing();
    extent.div_ceil(longest).next_multiple_of(threads).min(extent.max(1))
}

/// Pieces for every thread in a phase: enough that one whose core is busy with something else can be helped.
pub(super) const PIECES_PER_THREAD: usize = 4;

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
    /// Empty where the output is z.
    y: BatchMut<'a, T>,
    /// Empty where nothing is dropped.
    mask: BatchMut<'a, T>,
    /// φ(z) of a parametric activation; empty elsewhere.
    curve: BatchMut<'a, T>,
    /// Of a convolution: room for an image.
    frame: &'a mut [Line<T>],
    /// What a pool that follows makes of the output; empty where none does.
    pooled: BatchMut<'a, T>,
}

/// Pieces by rows of a layer's forward pass, and groups of panels of each.
fn forward_pieces<T: Real>(compute: &Compute, layer: &Product<T>, batch: usize) -> (usize, usize) {
    let number = match &layer.window {
        Some(_) => passage::number(compute, batch),
        None => pieces(compute, layer.rows(batch), rows_at_once(layer.inputs)).min(batch),
    };
    (number, groups(compute, panels::panels(layer.outputs), number))
}

/// Lines of scratch that a layer's forward pass needs.
pub(super) fn scratch<T: Real>(compute: &Compute, layer: &Product<T>, batch: usize) -> usize {
    let (number, groups) = forward_pieces(compute, layer, batch);
    number * groups * layer.window.as_ref().map_or(0, Window::scratch)
}

/// Whether a pool that alone reads a layer is done with it, image by image, while what it reads is in the second cache.
pub(super) fn takes_pool<T: Real>(layer: &Product<T>) -> bool {
    layer.window.is_some() && layer.norm.is_none() && layer.dropout == 0.0
}

/// z and y of a layer for the batch x. `frames`: scratch. `pool`: one that [`takes_pool`] asks for.
pub(super) fn forward<T: Real>(
    compute: &Compute,
    layer: &mut Product<T>,
    x: Batch<'_, T>,
    frames: &mut [Line<T>],
    pool: Option<&mut Passage<T>>,
    mode: Mode,
) {
    let path = compute.path();
    let batch = x.rows / layer.pixels_from();
    let (rows, count) = (layer.rows(batch), panels::panels(layer.outputs));
    let (number, groups) = forward_pieces(compute, layer, batch);
    let drops = layer.dropout > 0.0 && matches!(mode, Mode::Train { .. });
    layer.deferred = None;
    if layer.exchanged {
        layer.exchange();
    }
    // Nobody asks for z after training, and relu's slope can be told from y.
    layer.in_place = layer.function == Function::Relu
        && layer.blend.is_none()
        && layer.dropout == 0.0
        && matches!(mode, Mode::Train { .. });
    let in_place = layer.in_place;
    let Product { weight, bias, norm, blend, z, y, mask, name, function, dropout, inputs, outputs, plain, .. } = layer;
    let (window, unit) = (&layer.window, layer.pixels);
    let (inputs, outputs, function, dropout, plain) = (*inputs, *outputs, *function, *dropout, *plain);
    let weight = &weight.arrays.value;
    let bias = bias.as_ref().map(|bias| bias.arrays.value.lines());
    // With a norm, what follows the product waits until all of it is there.
    let fused = norm.is_none();
    let share = blend.as_ref().map(|blend| blend.a());
    let finish = |piece: &mut Forward<'_, T>, panels: Range<usize>, rows: Range<usize>| {
        for panel in panels {
            let z = &mut piece.z.panel(panel)[rows.clone()];
            match share {
                _ if in_place => kernels::rectify(path, None, z),
                Some(a) => {
                    let curve = &mut piece.curve.panel(panel)[rows.clone()];
                    blend::forward(path, a, function, z, curve, &mut piece.y.panel(panel)[rows.clone()]);
                }
                None if !plain => {
                    kernels::activate(path, function, flat(z), flat_mut(&mut piece.y.panel(panel)[rows.clone()]));
                }
                None => {}
            }
        }
    };
    let drop_units = |piece: &mut Forward<'_, T>| {
        if let (true, Mode::Train { seed, step }) = (drops, mode) {
            draw_mask(piece, dropout, &mut Stream::new(seed, Purpose::Dropout, name, step));
            for panel in 0..piece.mask.panels() {
                kernels::multiply(path, flat(piece.mask.panel(panel)), flat_mut(piece.y.panel(panel)));
            }
        }
    };
    // What follows the product, for some rows and panels of a piece.
    let follow = |piece: &mut Forward<'_, T>, panels: Range<usize>, rows: Range<usize>| {
        if let Some(bias) = bias {
            for panel in panels.clone() {
                let (bias, z) = (&bias[piece.panel + panel], &mut piece.z.panel(panel)[rows.clone()]);
                match fused && in_place {
                    true => kernels::rectify(path, Some(bias), z),
                    false => kernels::add_bias(path, bias, z),
                }
            }
        }
        if fused && !(in_place && bias.is_some()) {
            finish(piece, panels, rows);
        }
    };
    let (mut no_pool, mut no_scratch) = ([], []);
    let (pooled, pooling) = match pool {
        Some(pool) => {
            let lines = &mut pool.y[..count * panels::spaced(batch * pool.rows_to)];
            (BatchMut::new(lines, count, batch * pool.rows_to), Some((pool.way, pool.area.1, pool.rows_to)))
        }
        None => (BatchMut::new(&mut no_pool, count, rows), None),
    };
    let rows_pooled = pooling.map_or(0, |(_, _, rows)| rows);
    let pool_image = |piece: &mut Forward<'_, T>, example: usize| {
        let Some((passage::Way::Pool(pooling), width, rows)) = pooling else { return };
        for panel in 0..piece.pooled.panels() {
            let from = if plain || in_place { &mut piece.z } else { &mut piece.y };
            let image = &from.panel(panel)[example * unit..(example + 1) * unit];
            let to = &mut piece.pooled.panel(panel)[example * rows..(example + 1) * rows];
            passage::pool(path, pooling, image, width, to);
        }
    };
    let work = |piece: &mut Forward<'_, T>| {
        let (count, first) = (piece.z.panels(), piece.panel);
        match window {
            None => {
                let a = Left::Rows { lines: x.lines, stride: x.stride, first: piece.first };
                let rows = 0..piece.z.rows();
                let mut panel = 0;
                while panel < count {
                    let b = |panel: usize| weight.panel(first + panel);
                    let done = multiply(path, a, inputs, b, &mut piece.z, panel, rows.clone());
                    follow(piece, panel..panel + done, rows.clone());
                    panel += done;
                }
            }
            Some(window) => {
                piece.frame.fill(Line::ZERO);
                for example in 0..piece.z.rows() / unit {
                    window.fill(x, piece.first / unit + example, piece.frame);
                    let mut panel = 0;
                    while panel < count {
                        let b = |panel: usize| weight.panel(first + panel);
                        let mut done = 1;
                        // Some rows of the image at a time, so that what follows finds them in the first cache.
                        for rows in window.bands() {
                            let patches = window.patches(piece.frame, rows.start);
                            let pixels = rows.start * window.to.1..rows.end * window.to.1;
                            let rows = example * unit + pixels.start..example * unit + pixels.end;
                            done = convolve(path, patches, b, &mut piece.z, panel, rows.clone());
                            follow(piece, panel..panel + done, rows);
                        }
                        panel += done;
                    }
                    pool_image(piece, example);
                }
            }
        }
        if fused {
            drop_units(piece);
        }
    };
    let need = window.as_ref().map_or(0, Window::scratch);
    let (mut none, mut nothing) = ([], []);
    let (curve, has_curve) = match blend {
        Some(blend) => (blend.curve.as_mut_slice(), true),
        None => (&mut none[..], false),
    };
    let Some(norm) = norm else {
        let whole = Forward {
            first: 0,
            panel: 0,
            z: room(z, true, count, rows),
            y: room(y, !plain && !in_place, count, rows),
            mask: room(mask, drops, count, rows),
            curve: room(curve, has_curve, count, rows),
            frame: frames,
            pooled,
        };
        compute.each(&mut whole.cut((unit, rows_pooled), number, groups, count, need), work);
        return;
    };
    let whole = Forward {
        first: 0,
        panel: 0,
        z: room(&mut norm.affine, true, count, rows),
        y: room(&mut nothing, false, count, rows),
        mask: BatchMut::new(&mut [], count, rows),
        curve: BatchMut::new(&mut [], count, rows),
        frame: frames,
        pooled,
    };
    compute.each(&mut whole.cut((unit, 0), number, groups, count, need), work);
    norm::forward(compute, norm, z, outputs, rows, matches!(mode, Mode::Train { .. }));
    let whole = Forward {
        first: 0,
        panel: 0,
        z: room(z, true, count, rows),
        y: room(y, !plain && !in_place, count, rows),
        mask: room(mask, drops, count, rows),
        curve: room(curve, has_curve, count, rows),
        frame: &mut no_scratch,
        pooled: BatchMut::new(&mut [], count, rows),
    };
    compute.each(&mut whole.cut((unit, 0), number, groups, count, 0), |piece| {
        finish(piece, 0..piece.z.panels(), 0..piece.z.rows());
        drop_units(piece);
    });
}

/// A buffer as one batch, or nothing.
fn room<T: Real>(lines: &mut [Line<T>], there: bool, count: usize, rows: usize) -> BatchMut<'_, T> {
    let size = count * panels::spaced(rows);
    BatchMut::new(if there { &mut lines[..size] } else { &mut [] }, count, rows)
}

impl<'a, T: Real> Forward<'a, T> {
    /// Into `number` parts by examples, which have so many rows here and behind a pool, and these into groups of panels
    /// where that keeps more threads busy, each with its part of `need` lines of scratch.
    fn cut(
        self,
        units: (usize, usize),
        number: usize,
        groups: usize,
        count: usize,
        need: usize,
    ) -> Pieces<Forward<'a, T>> {
        let examples = self.z.rows() / units.0;
        let mut items: Pieces<Forward<'_, T>> = SmallVec::new();
        let mut rest = self;
        for at in 0..number {
            let height = (examples - rest.first / units.0).div_ceil(number - at);
            let (mut band, others) = rest.split_rows(height, units, need * groups);
            for group in 0..groups {
                let width = (count - band.panel).div_ceil(groups - group);
                let (piece, others) = band.split_panels(width, need);
                items.push(piece);
                band = others;
            }
            rest = others;
        }
        items
    }

    fn split_rows(self, examples: usize, units: (usize, usize), need: usize) -> (Forward<'a, T>, Forward<'a, T>) {
        let Forward { first, panel, z, y, mask, curve, frame, pooled } = self;
        let height = examples * units.0;
        let ((z, z2), (y, y2)) = (z.split_rows(height), y.split_rows(height));
        let ((mask, mask2), (curve, curve2)) = (mask.split_rows(height), curve.split_rows(height));
        let (frame, frame2) = frame.split_at_mut(need);
        let (pooled, pooled2) = pooled.split_rows(examples * units.1);
        let first2 = first + height;
        (
            Forward { first, panel, z, y, mask, curve, frame, pooled },
            Forward { first: first2, panel, z: z2, y: y2, mask: mask2, curve: curve2, frame: frame2, pooled: pooled2 },
        )
    }

    fn split_panels(self, width: usize, need: usize) -> (Forward<'a, T>, Forward<'a, T>) {
        let Forward { first, panel, z, y, mask, curve, frame, pooled } = self;
        let ((z, z2), (y, y2)) = (z.split_panels(width), y.split_panels(width));
        let ((mask, mask2), (curve, curve2)) = (mask.split_panels(width), curve.split_panels(width));
        let (frame, frame2) = frame.split_at_mut(need);
        let (pooled, pooled2) = pooled.split_panels(width);
        let panel2 = panel + width;
        (
            Forward { first, panel, z, y, mask, curve, frame, pooled },
            Forward { first, panel: panel2, z: z2, y: y2, mask: mask2, curve: curve2, frame: frame2, pooled: pooled2 },
        )
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

/// The same for patches.
pub(super) fn convolve<'b, T: Real>(
    path: Path,
    a: Patches<'_, T>,
    b: impl Fn(usize) -> &'b [Line<T>],
    c: &mut BatchMut<'_, T>,
    panel: usize,
    rows: Range<usize>,
) -> usize {
    if path.takes_two_panels() && panel + 1 < c.panels() {
        kernels::convolve_two(path, a, [b(panel), b(panel + 1)], c.pair(panel).map(|c| &mut c[rows.clone()]));
        2
    } else {
        kernels::convolve_one(path, a, b(panel), &mut c.panel(panel)[rows]);
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
pub(super) struct Slope<'a, T> {
    function: Function,
    z: Batch<'a, T>,
    mask: Option<Batch<'a, T>>,
}

impl<T: Real> Slope<'_, T> {
    pub fn apply(&self, path: Path, panel: usize, rows: Range<usize>, d: &mut [Line<T>]) {
        if let Some(mask) = &self.mask {
            kernels::multiply(path, flat(&mask.panel(panel)[rows.clone()]), flat_mut(d));
        }
        if self.function != Function::Linear {
            kernels::activate_backward(path, self.function, flat(&self.z.panel(panel)[rows]), flat_mut(d));
        }
    }
}

impl<T: Real> Product<T> {
    /// `dropped`: whether the last forward pass dropped units. What a parametric activation does is not in it.
    pub fn slope(&self, batch: usize, dropped: bool) -> Slope<'_, T> {
        let rows = self.rows(batch);
        let mask = (dropped && self.dropout > 0.0).then(|| Batch::new(&self.mask, rows));
        let function = if self.blend.is_some() { Function::Linear } else { self.function };
        Slope { function, z: Batch::new(&self.z, rows), mask }
    }

    /// The rest of the way from ∂L/∂z to ∂L/∂u, in `d`, where it is longer than a slope.
    pub fn finish_backward(&mut self, compute: &Compute, batch: usize) {
        let rows = self.rows(batch);
        let Product { norm, blend, function, z, d, outputs, .. } = self;
        if let Some(blend) = blend {
            blend::backward(compute, blend, *function, Batch::new(z, rows), d, *outputs);
        }
        if let Some(norm) = norm {
            norm::backward(compute, norm, d, *outputs, rows);
        }
    }
}

/// ∂L/∂y of the last layer or sum, row-major [batch, out], times its slope.
pub(super) fn begin_backward<T: Real>(
    path: Path,
    slope: Option<&Slope<'_, T>>,
    d_output: ndarray::ArrayView2<'_, T>,
    d: &mut [Line<T>],
) {
    let (rows, outputs) = d_output.dim();
    let mut into = BatchMut::new(d, panels::panels(outputs), rows);
    into.set(d_output);
    for panel in 0..into.panels() {
        if let Some(slope) = slope {
            slope.apply(path, panel, 0..rows, into.panel(panel));
        }
    }
}

/// ∂L/∂z of what goes into a sum alone, from the ∂L/∂y of the sum.
pub(super) fn pass_from_sum<T: Real>(
    compute: &Compute,
    slope: Option<&Slope<'_, T>>,
    sum: Batch<'_, T>,
    columns: usize,
    d: &mut [Line<T>],
) {
    let (path, rows) = (compute.path(), sum.rows);
    each_panel(compute, d, columns, rows, |panel, lines| {
        lines.copy_from_slice(sum.panel(panel));
        if let Some(slope) = slope {
            slope.apply(path, panel, 0..rows, lines);
        }
    });
}

/// Gives every panel of a batch to `work`, with its number.
fn each_panel<T: Real>(
    compute: &Compute,
    lines: &mut [Line<T>],
    columns: usize,
    rows: usize,
    work: impl Fn(usize, &mut [Line<T>]) + Sync,
) {
    let stride = panels::spaced(rows);
    let mut items: Pieces<(usize, &mut [Line<T>])> =
        lines[..panels::panels(columns) * stride].chunks_mut(stride).enumerate().collect();
    compute.each(&mut items, |(panel, lines)| work(*panel, &mut lines[..rows]));
}

/// y = skip + end: [batch, columns].
pub(super) fn add<T: Real>(
    compute: &Compute,
    skip: Batch<'_, T>,
    end: Batch<'_, T>,
    columns: usize,
    y: &mut [Line<T>],
) {
    let path = compute.path();
    each_panel(compute, y, columns, skip.rows, |panel, lines| {
        lines.copy_from_slice(skip.panel(panel));
        kernels::add(path, flat(end.panel(panel)), flat_mut(lines));
    });
}

struct Below<'a, T> {
    /// First panel of input units.
    first: usize,
    d: BatchMut<'a, T>,
    /// These panels of W, turned: [panel][out][16].
    turned: &'a mut [Line<T>],
}

/// Lines that the weight of a layer takes, turned.
pub(super) fn turned<T: Real>(layer: &Product<T>) -> usize {
    let taps = layer.window.as_ref().map_or(1, Window::taps);
    panels::panels(layer.channels()) * layer.outputs * taps
}

/// Lines of scratch that [`pass_down`] needs.
pub(super) fn scratch_back<T: Real>(compute: &Compute, layer: &Product<T>, batch: usize) -> usize {
    match &layer.window {
        Some(window) if !window.is_first => passage::number(compute, batch) * window.scratch_back(layer.outputs),
        _ => 0,
    }
}

/// ∂L/∂z of what `layer` reads, from the layer's own: d = ∂L/∂u·W, plus `more`, times `slope`. `turned` and `frames` are
/// scratch.
#[allow(clippy::too_many_arguments)]
pub(super) fn pass_down<T: Real>(
    compute: &Compute,
    layer: &Product<T>,
    more: Option<Batch<'_, T>>,
    slope: Option<&Slope<'_, T>>,
    d: &mut [Line<T>],
    turned: &mut [Line<T>],
    frames: &mut [Line<T>],
    batch: usize,
) {
    if let Some(window) = &layer.window {
        return window::pass_down(compute, layer, window, more, slope, d, turned, frames, batch);
    }
    let path = compute.path();
    let rows = layer.rows(batch);
    let outputs = layer.outputs;
    let count = panels::panels(layer.inputs);
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
                    let d = &mut piece.d.panel(panel)[range.clone()];
                    if let Some(more) = &more {
                        kernels::add(path, flat(&more.panel(piece.first + panel)[range.clone()]), flat_mut(d));
                    }
                    if let Some(slope) = slope {
                        slope.apply(path, piece.first + panel, range.clone(), d);
                    }
                }
                panel += done;
            }
        }
    };
    let number = groups(compute, count, 1);
    let mut items: Pieces<Below<'_, T>> = SmallVec::new();
    let mut rest = Below { first: 0, d: BatchMut::new(d, count, rows), turned: &mut turned[..count * outputs] };
    for at in 0..number {
        let width = (count - rest.first).div_ceil(number - at);
        let (d, d_rest) = rest.d.split_panels(width);
        let (turned, turned_rest) = rest.turned.split_at_mut(width * outputs);
        items.push(Below { first: rest.first, d, turned });
        rest = Below { first: rest.first + width, d: d_rest, turned: turned_rest };
    }
    compute.each(&mut items, work);
}
