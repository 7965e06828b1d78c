//! Convolutions over panels: a window goes over an image, and what lies in it is one row of a matrix product.
//!
//! ```text
//! z[e, p, o] = Σ x[e, the pixel that the tap reads for p, c]·W[o, c, tap] + b[o]      over (c, tap), channels first
//! dx[e, q, c] = Σ dz[e, the pixel whose tap reads q, o]·W[o, c, tap]                  over (o, tap), the kernel backwards
//! dW[o, c, tap] = Σ x[e, the pixel that the tap reads for p, c]·dz[e, p, o]           over (e, p)
//! ```
//!
//! Images are kept as [example · pixel, channel] in panels, so that all that follows a product works on them as it
//! does on vectors. The rows of the first two products are never written down: one image at a time is copied into a
//! frame, which is the image with its border of zeros, and a table says where in the frame each tap lies
//! ([`kernels::convolve_one`]). The border costs nothing beside the product, and the frame stays in the second cache. The
//! third product reads the image where it lies and leaves out what lies beside it.
//!
//! A convolution that reads the network's input finds it channel by channel, as vectors have it, because one or three
//! channels would leave most of a panel empty. Its frame is kept that way too, and for dW the few taps of its patches
//! are written down, some rows of an image at a time.

use super::architecture::Layer;
use super::pass::{Pieces, Slope, convolve};
use super::passage::{self, Passage};
use super::product::Product;
use crate::tensor::kernels::{self, Left, Patches, Path, Reads, flat, flat_mut};
use crate::tensor::{BLOCK, Batch, BatchMut, Compute, LANES, Line, Real, panels};
use ndarray::{ArrayViewMut2, Axis};
use std::ops::Range;

/// Where a convolution's taps are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    /// Rows above the image and columns left of it that a first patch reads, and which are 0.
    pub margin: usize,
    pub channels: usize,
    /// Height and width of what it reads and of what it gives.
    pub from: (usize, usize),
    pub to: (usize, usize),
    /// Whether it reads the network's input: [example, channel · pixel].
    pub is_first: bool,
    taps: Vec<u32>,
    /// Of ∂L/∂x: in the frame of ∂L/∂z.
    taps_back: Vec<u32>,
}

impl Window {
    /// Of a convolution with so many channels on both sides. `None` where a patch is a pixel: that is a product of
    /// all pixels as they are.
    pub fn of(layer: &Layer, channels: usize, outputs: usize, is_first: bool) -> Option<Window> {
        let (from, to) = (layer.input.area?, layer.output.area?);
        let settings = &layer.settings;
        let (kernel, stride) = (settings.kernel, settings.stride);
        if kernel == 1 && stride == 1 && !is_first {
            return None;
        }
        let (margin, taps, taps_back) = (settings.margin(), Vec::new(), Vec::new());
        let mut window = Window { kernel, stride, margin, channels, from, to, is_first, taps, taps_back };
        let frame = window.frame();
        window.taps = (0..channels).flat_map(|channel| window.places(frame, channel, is_first)).collect();
        if !is_first {
            let frame = window.frame_back();
            window.taps_back = (0..outputs).flat_map(|unit| window.places(frame, unit, false)).collect();
        }
        Some(window)
    }

    /// Numbers of a channel in a kernel.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Pixels of what it reads and of what it gives.
    pub fn pixels_from(&self) -> usize {
        self.from.0 * self.from.1
    }

    pub fn pixels_to(&self) -> usize {
        self.to.0 * self.to.1
    }

    /// Where the taps of one channel lie in a frame of that size: in panels, or channel by channel.
    fn places(&self, (height, width): (usize, usize), channel: usize, by_channel: bool) -> Vec<u32> {
        let plane = height * width;
        let place = |row: usize, column: usize| {
            let pixel = row * width + column;
            let at = if by_channel {
                channel * plane + pixel
            } else {
                (channel / LANES * plane + pixel) * LANES + channel % LANES
            };
            u32::try_from(at).expect("an image with its border has fewer than 4e9 numbers")
        };
        (0..self.taps()).map(|tap| place(tap / self.kernel, tap % self.kernel)).collect()
    }

    /// Height and width of an image with its border.
    fn frame(&self) -> (usize, usize) {
        let extent = |to: usize| (to - 1) * self.stride + self.kernel;
        (extent(self.to.0), extent(self.to.1))
    }

    /// The same for ∂L/∂z, whose pixels are `stride` apart.
    fn frame_back(&self) -> (usize, usize) {
        (self.from.0 + self.kernel - 1, self.from.1 + self.kernel - 1)
    }

    /// Lines of scratch that one piece of the forward pass needs.
    pub fn scratch(&self) -> usize {
        let (height, width) = self.frame();
        if self.is_first {
            let numbers = self.channels * (height * width + self.pixels_from());
            numbers.div_ceil(LANES) + 1
        } else {
            panels::panels(self.channels) * height * width
        }
    }

    /// The same for ∂L/∂x.
    pub fn scratch_back(&self, outputs: usize) -> usize {
        let (height, width) = self.frame_back();
        panels::panels(outputs) * height * width
    }

    /// The same for ∂L/∂W: a frame, the sums of a block, two panels of an image, and the patches of a block.
    pub fn scratch_weight(&self) -> usize {
        if !self.is_first {
            return 0;
        }
        let patches = panels::panels(self.channels * self.taps()) * self.rows_at_once() * self.to.1;
        self.scratch() + patches + 2 * self.channels * self.taps() + 2 * self.pixels_to()
    }

    /// Rows of an image whose pixels are one block of a sum over pixels: at most 256, or one row that is longer.
    fn rows_at_once(&self) -> usize {
        (BLOCK / self.to.1).clamp(1, self.to.0)
    }

    // --- forward

    /// Copies an image of the batch into its frame, which was all 0 before the first.
    pub fn fill<T: Real>(&self, x: Batch<'_, T>, example: usize, frame: &mut [Line<T>]) {
        if self.is_first {
            return self.fill_by_channel(x, example, frame);
        }
        let (height, width) = self.frame();
        let first = example * self.pixels_from();
        for (panel, frame) in
            frame[..panels::panels(self.channels) * height * width].chunks_mut(height * width).enumerate()
        {
            let image = &x.panel(panel)[first..first + self.pixels_from()];
            self.each_row(|to, from, length| {
                frame[to..to + length].copy_from_slice(&image[from..from + length]);
            });
        }
    }

    /// Rows of an image in its frame: place in the frame, place in the image, length.
    fn each_row(&self, mut row: impl FnMut(usize, usize, usize)) {
        let (height, width) = self.frame();
        let inside = |frame: usize, image: usize| image.min(frame.saturating_sub(self.margin));
        let columns = inside(width, self.from.1);
        for y in 0..inside(height, self.from.0) {
            row((y + self.margin) * width + self.margin, y * self.from.1, columns);
        }
    }

    fn fill_by_channel<T: Real>(&self, x: Batch<'_, T>, example: usize, frame: &mut [Line<T>]) {
        let (height, width) = self.frame();
        let (plane, pixels) = (height * width, self.pixels_from());
        let (frame, image) = flat_mut(frame).split_at_mut(self.channels * plane);
        for (panel, image) in image[..self.channels * pixels].chunks_mut(LANES).enumerate() {
            image.copy_from_slice(&x.panel(panel)[example].0[..image.len()]);
        }
        for (frame, image) in frame.chunks_mut(plane).zip(image.chunks(pixels)) {
            self.each_row(|to, from, length| {
                frame[to..to + length].copy_from_slice(&image[from..from + length]);
            });
        }
    }

    /// The rows of what it gives, a few at a time.
    pub fn bands(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        bands(self.to)
    }

    /// The same of what it reads.
    pub fn bands_back(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        bands(self.from)
    }

    /// The patches of an image in its frame, from this row on.
    pub fn patches<'a, T: Real>(&'a self, frame: &'a [Line<T>], row: usize) -> Patches<'a, T> {
        let number = if self.is_first { 1 } else { LANES };
        let row_step = self.stride * self.frame().1 * number;
        Patches {
            numbers: &flat(frame)[row * row_step..],
            taps: &self.taps,
            step: self.stride * number,
            row_step,
            columns: self.to.1,
        }
    }

    /// The patches of some images of a batch, one a row: [example · pixel, channel · tap].
    pub fn unfold<T: Real>(&self, x: Batch<'_, T>, examples: Range<usize>, mut to: ArrayViewMut2<'_, T>) {
        let mut frame = vec![Line::ZERO; self.scratch()];
        for (example, mut to) in examples.zip(to.axis_chunks_iter_mut(Axis(0), self.pixels_to())) {
            self.fill(x, example, &mut frame);
            let patches = self.patches(&frame, 0);
            for (pixel, mut row) in to.rows_mut().into_iter().enumerate() {
                let first = pixel / self.to.1 * patches.row_step + pixel % self.to.1 * patches.step;
                row.iter_mut().zip(patches.taps).for_each(|(to, tap)| *to = patches.numbers[first + *tap as usize]);
            }
        }
    }

    // --- backward

    /// Copies ∂L/∂z of an image into its frame, where pixels are `stride` apart. The frame was all 0 before the first.
    pub fn fill_back<T: Real>(&self, d: Batch<'_, T>, outputs: usize, example: usize, frame: &mut [Line<T>]) {
        let (height, width) = self.frame_back();
        let border = self.kernel - 1 - self.margin;
        let first = example * self.pixels_to();
        for (panel, frame) in frame[..panels::panels(outputs) * height * width].chunks_mut(height * width).enumerate() {
            let image = &d.panel(panel)[first..first + self.pixels_to()];
            for (y, image) in image.chunks(self.to.1).enumerate() {
                let row = &mut frame[(y * self.stride + border) * width + border..];
                if self.stride == 1 {
                    row[..self.to.1].copy_from_slice(image);
                } else {
                    row.iter_mut().step_by(self.stride).zip(image).for_each(|(to, d)| *to = *d);
                }
            }
        }
    }

    /// The patches of ∂L/∂z in its frame, from this row on.
    pub fn patches_back<'a, T: Real>(&'a self, frame: &'a [Line<T>], row: usize) -> Patches<'a, T> {
        let row_step = self.frame_back().1 * LANES;
        let numbers = &flat(frame)[row * row_step..];
        Patches { numbers, taps: &self.taps_back, step: LANES, row_step, columns: self.from.1 }
    }

    /// Adds to the gradient of W: lines [channel · tap] from `first` on, of some channels of one panel, for one panel of
    /// output units or two; and to that of their bias, if it is asked for.
    #[allow(clippy::too_many_arguments)]
    pub fn correlate<T: Real>(
        &self,
        path: Path,
        x: Batch<'_, T>,
        d: Batch<'_, T>,
        (panel, pair): (usize, bool),
        (first, channels): (usize, usize),
        c: [&mut [Line<T>]; 2],
        mut bias: Option<&mut [Line<T>; 2]>,
    ) {
        let taps = self.taps();
        let [c0, c1] = c;
        let at_once = self.rows_at_once();
        for example in 0..d.rows / self.pixels_to() {
            let x = &x.panel(first / LANES)[example * self.pixels_from()..][..self.pixels_from()];
            let d = |panel: usize| &d.panel(panel)[example * self.pixels_to()..][..self.pixels_to()];
            for row in (0..self.to.0).step_by(at_once) {
                let rows = row..self.to.0.min(row + at_once);
                let pixels = rows.start * self.to.1..rows.end * self.to.1;
                add_sums(path, &mut bias, pair, |at| &d(panel + at)[pixels.clone()]);
                for tap in 0..taps {
                    let (y, height) = self.inside(rows.clone(), tap / self.kernel, self.from.0);
                    let (z, width) = self.inside(0..self.to.1, tap % self.kernel, self.from.1);
                    if height == 0 || width == 0 {
                        continue;
                    }
                    let corner = (y * self.stride + tap / self.kernel - self.margin) * self.from.1
                        + z * self.stride
                        + tap % self.kernel
                        - self.margin;
                    let reads = Reads {
                        x: &x[corner..],
                        step: self.stride,
                        row_step: self.stride * self.from.1,
                        d_row_step: self.to.1,
                        rows: height,
                        columns: width,
                        first: first % LANES,
                        channels,
                    };
                    let start = y * self.to.1 + z;
                    if pair {
                        let d = [&d(panel)[start..], &d(panel + 1)[start..]];
                        kernels::correlate_two(path, reads, d, [&mut c0[tap..], &mut c1[tap..]], taps);
                    } else {
                        kernels::correlate_one(path, reads, &d(panel)[start..], &mut c0[tap..], taps);
                    }
                }
            }
        }
    }

    /// The outputs of `range` for which a tap at `at` reads within `extent`: the first, and how many.
    fn inside(&self, range: Range<usize>, at: usize, extent: usize) -> (usize, usize) {
        // out·stride + at − margin within 0..extent
        let first = self.margin.saturating_sub(at).div_ceil(self.stride).max(range.start);
        let end = (extent + self.margin).saturating_sub(at).div_ceil(self.stride).min(range.end);
        (first, end.saturating_sub(first))
    }

    /// The same for the network's input: all taps, from patches that are written down.
    #[allow(clippy::too_many_arguments)]
    pub fn correlate_first<T: Real>(
        &self,
        path: Path,
        x: Batch<'_, T>,
        d: Told<'_, T>,
        (panel, pair): (usize, bool),
        scratch: &mut [Line<T>],
        c: [&mut [Line<T>]; 2],
        mut bias: Option<&mut [Line<T>; 2]>,
    ) {
        let (inputs, unit) = (self.channels * self.taps(), self.pixels_to());
        let panels = if pair { 2 } else { 1 };
        let (frame, rest) = scratch.split_at_mut(self.scratch());
        let (sums, rest) = rest.split_at_mut(2 * inputs);
        let (image, written) = rest.split_at_mut(2 * unit);
        let [c0, c1] = c;
        frame.fill(Line::ZERO);
        for example in 0..d.rows() / unit {
            self.fill(x, example, frame);
            for (at, image) in image.chunks_exact_mut(unit).enumerate().take(panels) {
                d.bring(path, panel + at, example, image);
            }
            for row in (0..self.to.0).step_by(self.rows_at_once()) {
                let rows = row..self.to.0.min(row + self.rows_at_once());
                let (first, pixels) = (row * self.to.1, rows.len() * self.to.1);
                self.write_down(path, frame, rows, written);
                let a = Left::Columns { lines: written, stride: pixels, first: 0 };
                let d = |panel: usize| &image[panel * unit + first..][..pixels];
                let (s0, s1) = sums.split_at_mut(inputs);
                add_sums(path, &mut bias, pair, d);
                if pair {
                    kernels::product_of_two(path, a, pixels, [d(0), d(1)], [s0, &mut s1[..inputs]]);
                    kernels::add(path, flat(&s1[..inputs]), flat_mut(&mut *c1));
                } else {
                    kernels::product_of_one(path, a, pixels, d(0), s0);
                }
                kernels::add(path, flat(s0), flat_mut(&mut *c0));
            }
        }
    }

    /// The patches of some rows of an image in panels: [pixel, channel · tap].
    fn write_down<T: Real>(&self, path: Path, frame: &[Line<T>], rows: Range<usize>, to: &mut [Line<T>]) {
        let patches = self.patches(frame, 0);
        let pixels = rows.len() * self.to.1;
        for (panel, taps) in patches.taps.chunks(LANES).enumerate() {
            for (row, to) in rows.clone().zip(to[panel * pixels..][..pixels].chunks_mut(self.to.1)) {
                kernels::unfold(path, &patches.numbers[row * patches.row_step..], taps, patches.step, to);
            }
        }
    }
}

/// ∂L/∂u of a convolution: as it is, or as the ∂L/∂y of the pool of maxima that alone has read y, which is relu's.
#[derive(Clone, Copy)]
pub(super) enum Told<'a, T> {
    Whole(Batch<'a, T>),
    Pooled(Batch<'a, T>, &'a Passage<T>),
}

impl<T: Real> Told<'_, T> {
    fn rows(&self) -> usize {
        match self {
            Told::Whole(d) => d.rows,
            Told::Pooled(y, _) => y.rows,
        }
    }

    /// One panel of one image.
    fn bring(&self, path: Path, panel: usize, example: usize, to: &mut [Line<T>]) {
        let unit = to.len();
        match self {
            Told::Whole(d) => to.copy_from_slice(&d.panel(panel)[example * unit..][..unit]),
            Told::Pooled(y, pool) => {
                to.copy_from_slice(&y.panel(panel)[example * unit..][..unit]);
                pool.bring_down(path, panel, example, y.rows / unit, to);
            }
        }
    }
}

/// Adds the sums of one block of pixels of one panel, or of two, to those of a bias.
fn add_sums<'d, T: Real>(
    path: Path,
    bias: &mut Option<&mut [Line<T>; 2]>,
    pair: bool,
    d: impl Fn(usize) -> &'d [Line<T>],
) {
    let totals = bias.iter_mut().flat_map(|bias| bias.iter_mut().take(if pair { 2 } else { 1 }));
    for (at, total) in totals.enumerate() {
        kernels::add(path, &kernels::sum_rows(path, d(at)).0, &mut total.0);
    }
}

/// Rows of an image, as many at a time as the first cache holds beside a block of a weight.
fn bands((height, width): (usize, usize)) -> impl Iterator<Item = Range<usize>> {
    const PIXELS: usize = 128;
    let at_once = (PIXELS / width).max(1);
    (0..height).step_by(at_once).map(move |row| row..height.min(row + at_once))
}

/// ∂L/∂z of what a convolution reads, image by image; see [`super::pass::pass_down`].
#[allow(clippy::too_many_arguments)]
pub(super) fn pass_down<T: Real>(
    compute: &Compute,
    layer: &Product<T>,
    window: &Window,
    more: Option<Batch<'_, T>>,
    slope: Option<&Slope<'_, T>>,
    d: &mut [Line<T>],
    turned: &mut [Line<T>],
    frames: &mut [Line<T>],
    batch: usize,
) {
    let path = compute.path();
    let (taps, outputs, unit) = (window.taps(), layer.outputs, window.pixels_from());
    let count = panels::panels(window.channels);
    let length = outputs * taps;
    let weight = layer.weight.arrays.value.lines();
    let mut parts: Pieces<(usize, &mut [Line<T>])> = turned[..count * length].chunks_mut(length).enumerate().collect();
    compute.each(&mut parts, |(panel, turned)| {
        kernels::turn_patches(path, weight, window.channels, taps, *panel * LANES, turned);
    });
    drop(parts);
    let turned = &*turned;
    let dz = Batch::new(&layer.d, layer.rows(batch));
    let d = BatchMut::new(d, count, batch * unit);
    let mut items = passage::cut(compute, d, unit, frames, window.scratch_back(outputs));
    compute.each(&mut items, |piece| {
        piece.scratch.fill(Line::ZERO);
        for example in 0..piece.to.rows() / unit {
            let number = piece.first + example;
            window.fill_back(dz, outputs, number, piece.scratch);
            let mut panel = 0;
            while panel < count {
                let b = |panel: usize| &turned[panel * length..][..length];
                let mut done = 1;
                for rows in window.bands_back() {
                    let pixels = rows.start * window.from.1..rows.end * window.from.1;
                    let here = example * unit + pixels.start..example * unit + pixels.end;
                    let whole = number * unit + pixels.start..number * unit + pixels.end;
                    let patches = window.patches_back(piece.scratch, rows.start);
                    done = convolve(path, patches, b, &mut piece.to, panel, here.clone());
                    for panel in panel..panel + done {
                        let d = &mut piece.to.panel(panel)[here.clone()];
                        if let Some(more) = &more {
                            kernels::add(path, flat(&more.panel(panel)[whole.clone()]), flat_mut(d));
                        }
                        if let Some(slope) = slope {
                            slope.apply(path, panel, whole.clone(), d);
                        }
                    }
                }
                panel += done;
            }
        }
    });
}
