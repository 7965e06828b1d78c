//! What lies between products without weights: pooling, and from images to vectors and back.
//!
//! ```text
//! pool       [example · pixel, channel] → [example · square, channel]
//! flatten    [example · pixel, channel] → [example, channel · pixel]      channels first, so that a new one comes last
//! frame      [example, channel · pixel] → [example · pixel, channel]      the network's input, where no product reads it
//! ```

use super::architecture::Pooling;
use super::pass::{PIECES_PER_THREAD, Pieces, Slope};
use super::product::Source;
use crate::tensor::kernels::{self, Path, flat, flat_mut};
use crate::tensor::{Batch, BatchMut, Compute, LANES, Line, Real, panels};
use smallvec::SmallVec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Pool(Pooling),
    Flatten,
    Frame,
}

#[derive(Clone)]
pub(super) struct Passage<T> {
    pub source: Source,
    pub way: Way,
    pub channels: usize,
    /// Height and width of the images that it reads, or makes.
    pub area: (usize, usize),
    /// Rows of an example, before and after.
    pub rows_from: usize,
    pub rows_to: usize,
    /// Columns before and after.
    pub columns_from: usize,
    pub columns: usize,
    pub y: Vec<Line<T>>,
    /// ∂L/∂y
    pub d: Vec<Line<T>>,
}

impl<T: Real> Passage<T> {
    pub fn new(source: Source, way: Way, channels: usize, area: (usize, usize)) -> Passage<T> {
        let pixels = area.0 * area.1;
        let ((rows_from, columns_from), (rows_to, columns)) = match way {
            Way::Pool(Pooling::Global) => ((pixels, channels), (1, channels)),
            Way::Pool(Pooling::Max(size) | Pooling::Average(size)) => {
                ((pixels, channels), ((area.0 / size) * (area.1 / size), channels))
            }
            Way::Flatten => ((pixels, channels), (1, channels * pixels)),
            Way::Frame => ((1, channels * pixels), (pixels, channels)),
        };
        Passage { source, way, channels, area, rows_from, rows_to, columns_from, columns, y: Vec::new(), d: Vec::new() }
    }

    pub fn output(&self, batch: usize) -> Batch<'_, T> {
        Batch::new(&self.y, batch * self.rows_to)
    }

    /// ∂L/∂z of one panel of one image, written over what relu gave there: only of a pool of maxima that alone reads it.
    pub fn bring_down(&self, path: Path, panel: usize, example: usize, batch: usize, x: &mut [Line<T>]) {
        let Way::Pool(Pooling::Max(size)) = self.way else { panic!("only a maximum leaves what it read unneeded") };
        let here = example * self.rows_to..(example + 1) * self.rows_to;
        let d = Batch::new(&self.d, batch * self.rows_to);
        let (y, d) = (&self.output(batch).panel(panel)[here.clone()], &d.panel(panel)[here]);
        kernels::pool_max_backward_in_place(path, y, d, self.area.1, size, x);
    }

    /// Lines of scratch that one piece needs.
    pub fn scratch(&self) -> usize {
        match self.way {
            Way::Pool(_) => 0,
            Way::Flatten | Way::Frame => (self.channels * self.area.0 * self.area.1).div_ceil(LANES),
        }
    }
}

/// Some examples on their way: where they go to, and scratch.
pub(super) struct Piece<'a, T> {
    /// First example.
    pub first: usize,
    pub to: BatchMut<'a, T>,
    pub scratch: &'a mut [Line<T>],
}

/// Pieces of a batch by whole examples of `unit` rows, each with `need` lines of scratch.
pub(super) fn cut<'a, T: Real>(
    compute: &Compute,
    to: BatchMut<'a, T>,
    unit: usize,
    scratch: &'a mut [Line<T>],
    need: usize,
) -> Pieces<Piece<'a, T>> {
    let examples = to.rows() / unit;
    let number = number(compute, examples);
    let mut items: Pieces<Piece<'_, T>> = SmallVec::new();
    let (mut first, mut rest, mut scratch) = (0, to, scratch);
    for at in 0..number {
        let height = (examples - first).div_ceil(number - at);
        let (piece, others) = rest.split_rows(height * unit);
        let (own, left) = scratch.split_at_mut(need);
        items.push(Piece { first, to: piece, scratch: own });
        (first, rest, scratch) = (first + height, others, left);
    }
    items
}

/// Pieces that so many examples are cut into.
pub(super) fn number(compute: &Compute, examples: usize) -> usize {
    match compute.sharing() {
        1 => 1,
        threads => (PIECES_PER_THREAD * threads).min(examples).max(1),
    }
}

/// y of a batch. `scratch`: room for [`Passage::scratch`] lines in every piece.
pub(super) fn forward<T: Real>(compute: &Compute, passage: &mut Passage<T>, x: Batch<'_, T>, scratch: &mut [Line<T>]) {
    let path = compute.path();
    let need = passage.scratch();
    let Passage { way, channels, area, rows_from, rows_to, columns, y, .. } = passage;
    let (way, channels, area, rows_from, rows_to) = (*way, *channels, *area, *rows_from, *rows_to);
    let count = panels::panels(*columns);
    let rows = x.rows / rows_from * rows_to;
    let to = BatchMut::new(&mut y[..count * panels::spaced(rows)], count, rows);
    compute.each(&mut cut(compute, to, rows_to, scratch, need), |piece| {
        for example in 0..piece.to.rows() / rows_to {
            let from = (piece.first + example) * rows_from;
            let here = example * rows_to..(example + 1) * rows_to;
            match way {
                Way::Pool(pooling) => {
                    for panel in 0..count {
                        let x = &x.panel(panel)[from..from + rows_from];
                        pool(path, pooling, x, area.1, &mut piece.to.panel(panel)[here.clone()]);
                    }
                }
                Way::Flatten => {
                    gather_image(path, x, from, rows_from, channels, piece.scratch);
                    write_row(piece.scratch, channels * rows_from, &mut piece.to, example);
                }
                Way::Frame => {
                    read_row(x, from, channels * rows_to, piece.scratch);
                    for panel in 0..count {
                        let lines = &mut piece.to.panel(panel)[here.clone()];
                        scatter_panel(path, piece.scratch, panel, channels, lines);
                    }
                }
            }
        }
    });
}

/// One panel of an image.
pub(super) fn pool<T: Real>(path: Path, pooling: Pooling, x: &[Line<T>], width: usize, y: &mut [Line<T>]) {
    match pooling {
        Pooling::Max(size) => kernels::pool_max(path, x, width, size, y),
        Pooling::Average(size) => kernels::pool_average(path, x, width, size, y),
        Pooling::Global => y[0] = kernels::pool_all(path, x),
    }
}

/// ∂L/∂z of what a pool of maxima alone reads, written over the output of relu there: what is read is not brought into
/// the caches twice. `x`: what it read.
pub(super) fn pass_down_in_place<T: Real>(compute: &Compute, passage: &Passage<T>, x: &mut [Line<T>], batch: usize) {
    let (path, unit) = (compute.path(), passage.rows_from);
    let count = panels::panels(passage.columns_from);
    let rows = batch * unit;
    let x = BatchMut::new(&mut x[..count * panels::spaced(rows)], count, rows);
    compute.each(&mut cut(compute, x, unit, &mut [], 0), |piece| {
        for example in 0..piece.to.rows() / unit {
            for panel in 0..count {
                let x = &mut piece.to.panel(panel)[example * unit..(example + 1) * unit];
                passage.bring_down(path, panel, piece.first + example, batch, x);
            }
        }
    });
}

/// ∂L/∂z of what a passage reads, from its own ∂L/∂y, plus `more`, times `slope`. `x`: what it read.
pub(super) fn pass_down<T: Real>(
    compute: &Compute,
    passage: &Passage<T>,
    x: Batch<'_, T>,
    more: Option<Batch<'_, T>>,
    slope: Option<&Slope<'_, T>>,
    d: &mut [Line<T>],
    scratch: &mut [Line<T>],
) {
    let path = compute.path();
    let Passage { way, channels, area, rows_from, rows_to, columns_from, .. } = *passage;
    let count = panels::panels(columns_from);
    let batch = x.rows / rows_from;
    let (y, dy) = (passage.output(batch), Batch::new(&passage.d, batch * rows_to));
    let to = BatchMut::new(&mut d[..count * panels::spaced(x.rows)], count, x.rows);
    compute.each(&mut cut(compute, to, rows_from, scratch, passage.scratch()), |piece| {
        for example in 0..piece.to.rows() / rows_from {
            let number = piece.first + example;
            let there = number * rows_to..(number + 1) * rows_to;
            let from = number * rows_from..(number + 1) * rows_from;
            if way == Way::Flatten {
                read_row(dy, number, channels * rows_from, piece.scratch);
            }
            if way == Way::Frame {
                gather_image(path, dy, there.start, rows_to, channels, piece.scratch);
                write_row(piece.scratch, channels * rows_to, &mut piece.to, example);
            }
            for panel in 0..count {
                let d = &mut piece.to.panel(panel)[example * rows_from..(example + 1) * rows_from];
                match way {
                    Way::Pool(pooling) => {
                        let dy = &dy.panel(panel)[there.clone()];
                        match pooling {
                            Pooling::Max(size) => {
                                let (x, y) = (&x.panel(panel)[from.clone()], &y.panel(panel)[there.clone()]);
                                kernels::pool_max_backward(path, x, y, dy, area.1, size, d);
                            }
                            Pooling::Average(size) => kernels::pool_average_backward(path, dy, area.1, size, d),
                            Pooling::Global => kernels::pool_all_backward(path, &dy[0], d),
                        }
                    }
                    Way::Flatten => scatter_panel(path, piece.scratch, panel, channels, d),
                    Way::Frame => {}
                }
                if let Some(more) = &more {
                    kernels::add(path, flat(&more.panel(panel)[from.clone()]), flat_mut(d));
                }
                if let Some(slope) = slope {
                    slope.apply(path, panel, from.clone(), d);
                }
            }
        }
    });
}

/// An image in panels, whose first pixel is row `first`, channel by channel: [channel, pixel].
fn gather_image<T: Real>(
    path: Path,
    x: Batch<'_, T>,
    first: usize,
    pixels: usize,
    channels: usize,
    to: &mut [Line<T>],
) {
    let to = &mut flat_mut(to)[..channels * pixels];
    for (panel, to) in to.chunks_mut(LANES * pixels).enumerate() {
        kernels::separate(path, &x.panel(panel)[first..first + pixels], pixels, to);
    }
}

/// The inverse for one panel of the image.
fn scatter_panel<T: Real>(path: Path, from: &[Line<T>], panel: usize, channels: usize, lines: &mut [Line<T>]) {
    let pixels = lines.len();
    let last = channels.min((panel + 1) * LANES);
    kernels::interleave(path, &flat(from)[panel * LANES * pixels..last * pixels], pixels, lines);
}

/// The first numbers of `from` as one row of a batch; spare lanes are 0.
fn write_row<T: Real>(from: &[Line<T>], numbers: usize, to: &mut BatchMut<'_, T>, row: usize) {
    for (panel, from) in from.iter().enumerate().take(panels::panels(numbers)) {
        let line = to.line(panel, row);
        *line = *from;
        line.0[(numbers - panel * LANES).min(LANES)..].fill(T::ZERO);
    }
}

/// One row of a batch.
fn read_row<T: Real>(x: Batch<'_, T>, row: usize, numbers: usize, to: &mut [Line<T>]) {
    for (panel, to) in to.iter_mut().enumerate().take(panels::panels(numbers)) {
        *to = x.panel(panel)[row];
    }
}

/// Lines of scratch that all pieces need.
pub(super) fn scratch<T: Real>(compute: &Compute, passage: &Passage<T>, batch: usize) -> usize {
    number(compute, batch) * passage.scratch()
}
