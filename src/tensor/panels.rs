//! Matrices as the engine keeps them: panels of 16 columns, `[column / 16][row][column % 16]`.
//!
//! One geometry serves all three products of a layer. Weights are kept as [in, out], activations and their
//! gradients as [example, unit]; then every operand is read where it lies ([`super::kernels::tile`]) and nothing
//! is packed but the weights of ∂L/∂x. Columns beyond the last of a matrix are spare: they hold 0 in weights,
//! gradients and moments, and nothing that counts ever reads them.

use super::kernels::{self, Path};
use super::{LANES, Real};
use ndarray::{ArrayView2, ArrayViewMut2};

/// A row of a panel: one cache line of f32.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Line<T>(pub [T; LANES]);

impl<T: Real> Line<T> {
    pub const ZERO: Line<T> = Line([T::ZERO; LANES]);
}

/// Panels that `columns` columns take.
pub fn panels(columns: usize) -> usize {
    columns.div_ceil(LANES)
}

/// Lines from one panel of activations to the next, for `rows` examples. Distances of whole pages would make
/// all panels compete for the same places of the first cache.
pub fn spaced(rows: usize) -> usize {
    const LINES_OF_A_PAGE: usize = 4096 / 64;
    if rows.is_multiple_of(LINES_OF_A_PAGE) { rows + 1 } else { rows }
}

/// A matrix that stays: a weight, its gradient, a moment.
#[derive(Clone, Debug)]
pub struct Panels<T> {
    rows: usize,
    columns: usize,
    lines: Vec<Line<T>>,
}

impl<T: Real> Panels<T> {
    pub fn zeros(rows: usize, columns: usize) -> Panels<T> {
        Panels { rows, columns, lines: vec![Line::ZERO; panels(columns) * rows] }
    }

    /// The transpose of a row-major matrix `values`: [columns, rows], as PyTorch keeps weights [out, in].
    pub fn transposed(path: Path, values: &[T], rows: usize, columns: usize) -> Panels<T> {
        assert_eq!(values.len(), rows * columns, "as many values as the extents say");
        let mut panels = Panels::zeros(rows, columns);
        for (panel, lines) in panels.lines.chunks_mut(rows.max(1)).enumerate() {
            let first = panel * LANES;
            let last = columns.min(first + LANES);
            kernels::interleave(path, &values[first * rows..last * rows], rows, lines);
        }
        panels
    }

    /// Row-major [columns, rows]: what [`Panels::transposed`] was made from.
    pub fn to_transposed(&self, path: Path) -> Vec<T> {
        let mut values = vec![T::ZERO; self.rows * self.columns];
        for (lines, values) in self.lines.chunks(self.rows.max(1)).zip(values.chunks_mut((LANES * self.rows).max(1))) {
            kernels::separate(path, lines, self.rows, values);
        }
        values
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One element. Panics outside [rows, columns].
    pub fn at(&self, row: usize, column: usize) -> T {
        assert!(row < self.rows && column < self.columns, "[{row}, {column}] is in the matrix");
        self.lines[column / LANES * self.rows + row].0[column % LANES]
    }

    pub fn panel(&self, panel: usize) -> &[Line<T>] {
        &self.lines[panel * self.rows..][..self.rows]
    }

    /// All panels, one after the other.
    pub fn lines(&self) -> &[Line<T>] {
        &self.lines
    }

    pub fn lines_mut(&mut self) -> &mut [Line<T>] {
        &mut self.lines
    }

    /// Whether every spare column holds 0.
    pub fn spare_is_zero(&self) -> bool {
        let used = self.columns - (panels(self.columns).max(1) - 1) * LANES;
        self.lines[self.lines.len() - self.rows.min(self.lines.len())..]
            .iter()
            .all(|line| line.0[used..].iter().all(|&x| x == T::ZERO))
    }
}

/// Rows of a batch in panels, to be read: [example, unit].
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    pub lines: &'a [Line<T>],
    /// Lines from one panel to the next.
    pub stride: usize,
    pub rows: usize,
}

impl<'a, T: Real> Batch<'a, T> {
    pub fn new(lines: &'a [Line<T>], rows: usize) -> Batch<'a, T> {
        Batch { lines, stride: spaced(rows), rows }
    }

    pub fn panel(&self, panel: usize) -> &'a [Line<T>] {
        &self.lines[panel * self.stride..][..self.rows]
    }

    /// One value. Panics where there is none.
    pub fn at(&self, row: usize, column: usize) -> T {
        self.panel(column / LANES)[row].0[column % LANES]
    }

    /// Row-major [rows, columns] into `out`.
    pub fn unpack(&self, columns: usize, out: &mut [T]) {
        for (row, out) in out.chunks_exact_mut(columns.max(1)).enumerate() {
            for (panel, out) in out.chunks_mut(LANES).enumerate() {
                out.copy_from_slice(&self.panel(panel)[row].0[..out.len()]);
            }
        }
    }

    /// The same as an array.
    pub fn to_array(&self, columns: usize) -> ndarray::Array2<T> {
        let mut out = ndarray::Array2::from_elem((self.rows, columns), T::ZERO);
        self.unpack(columns, out.as_slice_mut().expect("a new array is row-major"));
        out
    }
}

/// Rows of a batch in panels, to be written. Splits by rows and by panels, so that threads share it out.
pub struct BatchMut<'a, T>(ArrayViewMut2<'a, Line<T>>);

impl<'a, T: Real> BatchMut<'a, T> {
    /// `lines` holds whole panels of [`spaced`] lines each, or is empty: then every panel is, too.
    pub fn new(lines: &'a mut [Line<T>], panels: usize, rows: usize) -> BatchMut<'a, T> {
        use ndarray::ShapeBuilder;
        let (stride, rows) = if lines.is_empty() { (0, 0) } else { (spaced(rows), rows) };
        let shape = (panels, rows).strides((stride, 1));
        BatchMut(ArrayViewMut2::from_shape(shape, lines).expect("the buffer holds that many panels"))
    }

    /// The first rows, and the rest. A batch without rows stays so.
    pub fn split_rows(self, at: usize) -> (BatchMut<'a, T>, BatchMut<'a, T>) {
        let at = at.min(self.0.ncols());
        let (first, rest) = self.0.split_at(ndarray::Axis(1), at);
        (BatchMut(first), BatchMut(rest))
    }

    pub fn split_panels(self, at: usize) -> (BatchMut<'a, T>, BatchMut<'a, T>) {
        let (first, rest) = self.0.split_at(ndarray::Axis(0), at);
        (BatchMut(first), BatchMut(rest))
    }

    pub fn rows(&self) -> usize {
        self.0.ncols()
    }

    pub fn panels(&self) -> usize {
        self.0.nrows()
    }

    pub fn panel(&mut self, panel: usize) -> &mut [Line<T>] {
        self.0.index_axis_mut(ndarray::Axis(0), panel).into_slice().expect("lines of a panel follow each other")
    }

    /// Two panels at once.
    pub fn pair(&mut self, first: usize) -> [&mut [Line<T>]; 2] {
        let (a, b) = self.0.multi_slice_mut((ndarray::s![first, ..], ndarray::s![first + 1, ..]));
        [a, b].map(|view| view.into_slice().expect("lines of a panel follow each other"))
    }

    /// One line: sixteen units of one example.
    pub fn line(&mut self, panel: usize, row: usize) -> &mut Line<T> {
        &mut self.0[[panel, row]]
    }

    /// Writes one example.
    pub fn set_row(&mut self, row: usize, values: impl IntoIterator<Item = T>) {
        let mut values = values.into_iter();
        for panel in 0..self.panels() {
            let line = self.line(panel, row);
            for lane in &mut line.0 {
                *lane = values.next().unwrap_or(T::ZERO);
            }
        }
    }

    /// Writes rows from a matrix of any strides: [rows, columns].
    pub fn set(&mut self, values: ArrayView2<'_, T>) {
        for (row, values) in values.rows().into_iter().enumerate() {
            self.set_row(row, values.iter().copied());
        }
    }
}
