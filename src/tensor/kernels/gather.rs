//! Examples on their way into a batch: bytes or floats become scaled floats, straight into panels.

use crate::tensor::panels::BatchMut;
use crate::tensor::{LANES, Line, Real};

/// (x − mean)·inverse, each operation rounded once.
#[inline(always)]
fn scale<T: Real, X: Copy + Into<T>>(x: &[X], mean: &[T], inverse: &[T], out: &mut [T]) {
    for (((out, &x), &mean), &inverse) in out.iter_mut().zip(x).zip(mean).zip(inverse) {
        *out = (x.into() - mean) * inverse;
    }
}

#[inline(always)]
fn scale_row<T: Real, X: Copy + Into<T>>(
    values: &[X],
    mean: &[T],
    inverse: &[T],
    row: usize,
    out: &mut BatchMut<'_, T>,
) {
    let panels = values.chunks(LANES).zip(mean.chunks(LANES)).zip(inverse.chunks(LANES));
    for (panel, ((x, mean), inverse)) in panels.enumerate() {
        let line = &mut out.line(panel, row).0;
        match (<&[X; LANES]>::try_from(x), <&[T; LANES]>::try_from(mean), <&[T; LANES]>::try_from(inverse)) {
            // A length that the compiler knows.
            (Ok(x), Ok(mean), Ok(inverse)) => scale(x, mean, inverse, line),
            _ => scale(x, mean, inverse, line),
        }
    }
}

kernel! {
    /// One example of bytes into one row of a batch, scaled. All slices are as long as an example.
    fn gather_bytes<T: Real>(values: &[u8], mean: &[T], inverse: &[T], row: usize, out: &mut BatchMut<'_, T>) {
        scale_row(values, mean, inverse, row, out);
    }
}

kernel! {
    /// One example of floats into one row of a batch, scaled. All slices are as long as an example.
    fn gather_floats<T: Real>(values: &[f32], mean: &[T], inverse: &[T], row: usize, out: &mut BatchMut<'_, T>) {
        scale_row(values, mean, inverse, row, out);
    }
}

kernel! {
    /// One row of patches of an image, written down: `to[pixel][tap] = numbers[pixel·step + taps[tap]]`, for at most 16
    /// taps; lanes beyond them stay as they are.
    fn unfold<T: Real>(numbers: &[T], taps: &[u32], step: usize, to: &mut [Line<T>]) {
        for (pixel, to) in to.iter_mut().enumerate() {
            let patch = &numbers[pixel * step..];
            for (to, tap) in to.0.iter_mut().zip(taps) {
                *to = patch[*tap as usize];
            }
        }
    }
}
