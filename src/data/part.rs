//! Examples in memory: features and labels of one part, and the scaling that a batch gets when it is gathered.
//!
//! Image bytes stay bytes: a batch of MNIST read from u8 moves a quarter of the memory of f32, and the
//! scaling costs nothing beside the reading.

use crate::tensor::BatchMut;
use crate::tensor::kernels::{self, Path};
use std::ops::Range;

/// The examples of one part, in the order of their source.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub features: Features,
    pub labels: Labels,
}

/// Row-major [n, width]. An image's row is channel by channel, each row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    F32 { values: Vec<f32>, width: usize },
    U8 { values: Vec<u8>, width: usize },
}

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// One class an example, from 0.
    Classes(Vec<u32>),
    /// Row-major [n, width].
    Numbers { values: Vec<f32>, width: usize },
}

/// Per feature: x becomes (x − mean) · inverse, each operation rounded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    pub mean: Vec<f32>,
    pub inverse: Vec<f32>,
}

impl Scaling {
    /// Whether it changes anything.
    pub fn changes(&self) -> bool {
        self.mean.iter().any(|mean| *mean != 0.0) || self.inverse.iter().any(|inverse| *inverse != 1.0)
    }
}

impl Features {
    /// Values of one example.
    pub fn width(&self) -> usize {
        match self {
            Features::F32 { width, .. } | Features::U8 { width, .. } => *width,
        }
    }

    /// How many examples.
    pub fn len(&self) -> usize {
        let values = match self {
            Features::F32 { values, .. } => values.len(),
            Features::U8 { values, .. } => values.len(),
        };
        values.checked_div(self.width()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One value, unscaled. Panics outside [n, width].
    pub fn at(&self, example: usize, feature: usize) -> f32 {
        let at = example * self.width() + feature;
        match self {
            Features::F32 { values, .. } => values[at],
            Features::U8 { values, .. } => f32::from(values[at]),
        }
    }

    fn select(&self, indices: &[u32]) -> Features {
        match self {
            Features::F32 { values, width } => Features::F32 { values: rows(values, *width, indices), width: *width },
            Features::U8 { values, width } => Features::U8 { values: rows(values, *width, indices), width: *width },
        }
    }
}

impl Labels {
    /// How many examples.
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes(classes) => classes.len(),
            Labels::Numbers { values, width } => values.len().checked_div(*width).unwrap_or(0),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn select(&self, indices: &[u32]) -> Labels {
        match self {
            Labels::Classes(classes) => Labels::Classes(rows(classes, 1, indices)),
            Labels::Numbers { values, width } => {
                Labels::Numbers { values: rows(values, *width, indices), width: *width }
            }
        }
    }
}

fn rows<T: Copy>(values: &[T], width: usize, indices: &[u32]) -> Vec<T> {
    let mut out = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        out.extend_from_slice(&values[index as usize * width..][..width]);
    }
    out
}

impl Part {
    /// How many examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scaled features of some examples. `out`: [indices.len(), width], row-major.
    /// Panics when an index or the length of `out` is wrong.
    pub fn gather(&self, indices: &[u32], scaling: &Scaling, out: &mut [f32]) {
        let width = self.features.width();
        assert_eq!(out.len(), indices.len() * width, "a batch holds one row for every index");
        assert_eq!(scaling.mean.len(), width, "the scaling was made for these features");
        assert_eq!(scaling.inverse.len(), width, "the scaling was made for these features");
        match &self.features {
            Features::F32 { values, .. } => gather_rows(values, width, indices, scaling, out, |x| x),
            Features::U8 { values, .. } => gather_rows(values, width, indices, scaling, out, f32::from),
        }
    }

    /// The same straight into a batch: one row for every index.
    pub fn gather_batch(
        &self,
        path: Path,
        indices: impl IntoIterator<Item = u32>,
        scaling: &Scaling,
        out: &mut BatchMut<'_, f32>,
    ) {
        let width = self.features.width();
        let Scaling { mean, inverse } = scaling;
        assert_eq!((mean.len(), inverse.len()), (width, width), "the scaling was made for these features");
        for (row, index) in indices.into_iter().enumerate() {
            let range = index as usize * width..(index as usize + 1) * width;
            match &self.features {
                Features::F32 { values, .. } => kernels::gather_floats(path, &values[range], mean, inverse, row, out),
                Features::U8 { values, .. } => kernels::gather_bytes(path, &values[range], mean, inverse, row, out),
            }
        }
    }

    /// The same for a range of examples.
    pub fn gather_range(&self, path: Path, range: Range<usize>, scaling: &Scaling, out: &mut BatchMut<'_, f32>) {
        let index = |at| u32::try_from(at).expect("at most 4e9 examples");
        self.gather_batch(path, range.map(index), scaling, out);
    }

    /// A new part with these examples, in this order. Panics when an index is out of range.
    pub fn select(&self, indices: &[u32]) -> Part {
        Part { features: self.features.select(indices), labels: self.labels.select(indices) }
    }
}

/// One loop for each kind of value, so that the inner loop has no branch and vectorises.
fn gather_rows<T: Copy>(
    values: &[T],
    width: usize,
    indices: &[u32],
    scaling: &Scaling,
    out: &mut [f32],
    to_f32: impl Fn(T) -> f32,
) {
    if width == 0 {
        return;
    }
    let mean = &scaling.mean[..width];
    let inverse = &scaling.inverse[..width];
    for (row, &index) in out.chunks_exact_mut(width).zip(indices) {
        let source = &values[index as usize * width..][..width];
        for j in 0..width {
            row[j] = (to_f32(source[j]) - mean[j]) * inverse[j];
        }
    }
}

impl Scaling {
    /// Leaves every value as it is.
    pub fn identity(width: usize) -> Scaling {
        Scaling { mean: vec![0.0; width], inverse: vec![1.0; width] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_floats_of_equal_value_gather_to_equal_bits() {
        let bytes: Vec<u8> = (0..=255).collect();
        let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
        let labels = Labels::Classes(vec![0; 64]);
        let u8s = Part { features: Features::U8 { values: bytes, width: 4 }, labels: labels.clone() };
        let f32s = Part { features: Features::F32 { values: floats, width: 4 }, labels };
        let scaling = Scaling { mean: vec![33.3, 0.0, 127.5, -1.0], inverse: vec![0.01, 1.0, 0.0, 3.7] };
        let indices = [63, 0, 17, 17];
        let (mut a, mut b) = (vec![f32::NAN; 16], vec![f32::NAN; 16]);
        u8s.gather(&indices, &scaling, &mut a);
        f32s.gather(&indices, &scaling, &mut b);
        assert_eq!(a, b);
        assert_eq!(a[0], (252.0 - 33.3) * 0.01, "row 63 begins with 252");
        assert_eq!(a[2], 0.0, "an inverse of 0 silences a feature");
    }

    #[test]
    fn select_keeps_rows_whole() {
        let part = Part {
            features: Features::F32 { values: vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0], width: 2 },
            labels: Labels::Numbers { values: vec![0.5, 1.5, 2.5], width: 1 },
        };
        let some = part.select(&[2, 0]);
        assert_eq!(some.features, Features::F32 { values: vec![20.0, 21.0, 0.0, 1.0], width: 2 });
        assert_eq!(some.labels, Labels::Numbers { values: vec![2.5, 0.5], width: 1 });
        assert_eq!(some.len(), 2);
    }
}
