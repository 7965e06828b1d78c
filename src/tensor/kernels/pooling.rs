//! Pooling over images in panels: every pixel is a line of 16 channels, so the channels of a panel pool at once.

use super::{Instructions, Path};
use crate::tensor::{BLOCK, LANES, Line, Real};

/// The largest value of every square of `size`×`size` pixels. x: [height·width], of which whole squares count.
/// y: [height/size · width/size]. A NaN in a square is its result.
pub fn pool_max<T: Real>(path: Path, x: &[Line<T>], width: usize, size: usize, y: &mut [Line<T>]) {
    let columns = width / size;
    for (row, y) in y.chunks_mut(columns.max(1)).enumerate() {
        let x = &x[row * size * width..][..size * width];
        T::largest(path, x, width, size, y);
    }
}

/// ∂L/∂x of [`pool_max`], from its x, y and ∂L/∂y: all of it goes to the first of the largest pixels of a square.
/// Pixels beyond the last whole square get 0.
pub fn pool_max_backward<T: Real>(
    path: Path,
    x: &[Line<T>],
    y: &[Line<T>],
    d: &[Line<T>],
    width: usize,
    size: usize,
    dx: &mut [Line<T>],
) {
    dx.copy_from_slice(x);
    back(path, y, d, (width, size, false), dx);
}

/// The same, written over x, which is what relu gave: with relu's slope. Where the maximum is 0 its slope is, too, and
/// everywhere else but at the maximum the gradient is.
pub fn pool_max_backward_in_place<T: Real>(
    path: Path,
    y: &[Line<T>],
    d: &[Line<T>],
    width: usize,
    size: usize,
    x: &mut [Line<T>],
) {
    back(path, y, d, (width, size, true), x);
}

fn back<T: Real>(path: Path, y: &[Line<T>], d: &[Line<T>], how: (usize, usize, bool), x: &mut [Line<T>]) {
    let (width, size, _) = how;
    let columns = width / size;
    let rows = y.len() / columns.max(1);
    x[rows * size * width..].fill(Line::ZERO);
    for (row, x) in x.chunks_exact_mut(size * width).enumerate() {
        let here = row * columns..(row + 1) * columns;
        T::to_the_largest(path, &y[here.clone()], &d[here], how, x);
        for x in x.chunks_exact_mut(width) {
            x[columns * size..].fill(Line::ZERO);
        }
    }
}

/// Who pools numbers of a type: one row of squares, x being `size` rows of `width` pixels.
pub trait PoolMax: Sized {
    fn largest(path: Path, x: &[Line<Self>], width: usize, size: usize, y: &mut [Line<Self>]);

    /// ∂L/∂x takes the place of x. `how`: width, size, and whether the slope of relu is in it.
    fn to_the_largest(path: Path, y: &[Line<Self>], d: &[Line<Self>], how: (usize, usize, bool), x: &mut [Line<Self>]);
}

impl PoolMax for f64 {
    fn largest(_: Path, x: &[Line<f64>], width: usize, size: usize, y: &mut [Line<f64>]) {
        largest(x, width, size, y);
    }

    fn to_the_largest(_: Path, y: &[Line<f64>], d: &[Line<f64>], how: (usize, usize, bool), x: &mut [Line<f64>]) {
        to_the_largest(y, d, how, x);
    }
}

impl PoolMax for f32 {
    fn largest(path: Path, x: &[Line<f32>], width: usize, size: usize, y: &mut [Line<f32>]) {
        match path.instructions {
            // SAFETY: only `Path::detect` makes a `Path`, and both of these have AVX2.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => unsafe { x86::largest(x, width, size, y) },
            Instructions::Baseline => largest(x, width, size, y),
        }
    }

    fn to_the_largest(path: Path, y: &[Line<f32>], d: &[Line<f32>], how: (usize, usize, bool), x: &mut [Line<f32>]) {
        match path.instructions {
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => unsafe { x86::to_the_largest(y, d, how, x) },
            Instructions::Baseline => to_the_largest(y, d, how, x),
        }
    }
}

/// The naive twin of `x86::largest`.
fn largest<T: Real>(x: &[Line<T>], width: usize, size: usize, y: &mut [Line<T>]) {
    for (column, y) in y.iter_mut().enumerate() {
        let mut most = x[column * size].0;
        for row in x.chunks_exact(width) {
            for x in &row[column * size..][..size] {
                for (most, &x) in most.iter_mut().zip(&x.0) {
                    *most = if x > *most || x.is_nan() { x } else { *most };
                }
            }
        }
        y.0 = most;
    }
}

/// The naive twin of `x86::to_the_largest`.
fn to_the_largest<T: Real>(
    y: &[Line<T>],
    d: &[Line<T>],
    (width, size, rectified): (usize, usize, bool),
    x: &mut [Line<T>],
) {
    for (column, (y, d)) in y.iter().zip(d).enumerate() {
        let mut left = d.0;
        for (left, &y) in left.iter_mut().zip(&y.0).filter(|_| rectified) {
            *left = if y <= T::ZERO { T::ZERO } else { *left };
        }
        for x in x.chunks_exact_mut(width) {
            for x in &mut x[column * size..][..size] {
                for ((x, &y), left) in x.0.iter_mut().zip(&y.0).zip(&mut left) {
                    let is_it = *x == y;
                    *x = if is_it { *left } else { T::ZERO };
                    *left = if is_it { T::ZERO } else { *left };
                }
            }
        }
    }
}

kernel! {
    /// The mean of every square of `size`×`size` pixels, their sum in order divided by their number. Shapes as in
    /// [`pool_max`].
    fn pool_average<T: Real>(x: &[Line<T>], width: usize, size: usize, y: &mut [Line<T>]) {
        let columns = width / size;
        let pixels = T::from_f64((size * size) as f64);
        for (row, y) in y.chunks_mut(columns.max(1)).enumerate() {
            for (column, y) in y.iter_mut().enumerate() {
                let first = row * size * width + column * size;
                let mut sums = [T::ZERO; LANES];
                for dy in 0..size {
                    for x in &x[first + dy * width..][..size] {
                        for (sum, &x) in sums.iter_mut().zip(&x.0) {
                            *sum += x;
                        }
                    }
                }
                y.0 = sums.map(|sum| sum / pixels);
            }
        }
    }
}

kernel! {
    /// ∂L/∂x of [`pool_average`]. Pixels beyond the last whole square get 0.
    fn pool_average_backward<T: Real>(d: &[Line<T>], width: usize, size: usize, dx: &mut [Line<T>]) {
        let columns = width / size;
        let rows = d.len() / columns.max(1);
        let pixels = T::from_f64((size * size) as f64);
        dx[rows * size * width..].fill(Line::ZERO);
        for row in 0..rows {
            for dx in dx[row * size * width..][..size * width].chunks_mut(width) {
                dx[columns * size..].fill(Line::ZERO);
            }
            for column in 0..columns {
                let share = Line(d[row * columns + column].0.map(|d| d / pixels));
                let first = row * size * width + column * size;
                for dy in 0..size {
                    dx[first + dy * width..][..size].fill(share);
                }
            }
        }
    }
}

kernel! {
    /// The mean over all pixels, whose sum runs in blocks of 256, each a chain from +0, block sums added in order.
    fn pool_all<T: Real>(x: &[Line<T>]) -> Line<T> {
        let mut total = [T::ZERO; LANES];
        for block in x.chunks(BLOCK) {
            let mut sums = [T::ZERO; LANES];
            for x in block {
                for (sum, &x) in sums.iter_mut().zip(&x.0) {
                    *sum += x;
                }
            }
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        let pixels = T::from_f64(x.len() as f64);
        Line(total.map(|total| total / pixels))
    }
}

kernel! {
    /// ∂L/∂x of [`pool_all`].
    fn pool_all_backward<T: Real>(d: &Line<T>, dx: &mut [Line<T>]) {
        let pixels = T::from_f64(dx.len() as f64);
        dx.fill(Line(d.0.map(|d| d / pixels)));
    }
}

/// In intrinsics, because the compiler takes comparisons of sixteen lanes apart.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Line};
    use std::arch::x86_64::*;

    /// Half a line.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(line: &Line<f32>, half: usize) -> __m256 {
        // SAFETY: eight floats from 0 or 8 on lie within a line of sixteen.
        unsafe { _mm256_loadu_ps(line.0[half * (LANES / 2)..].as_ptr()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(line: &mut Line<f32>, half: usize, x: __m256) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(line.0[half * (LANES / 2)..].as_mut_ptr(), x) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn largest(x: &[Line<f32>], width: usize, size: usize, y: &mut [Line<f32>]) {
        for (column, y) in y.iter_mut().enumerate() {
            for half in 0..2 {
                let mut most = load(&x[column * size], half);
                for row in x.chunks_exact(width) {
                    for x in &row[column * size..][..size] {
                        let x = load(x, half);
                        let take =
                            _mm256_or_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(x, most), _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
                        most = _mm256_blendv_ps(most, x, take);
                    }
                }
                store(y, half, most);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn to_the_largest(
        y: &[Line<f32>],
        d: &[Line<f32>],
        (width, size, rectified): (usize, usize, bool),
        x: &mut [Line<f32>],
    ) {
        for (column, (y, d)) in y.iter().zip(d).enumerate() {
            for half in 0..2 {
                let (y, mut left) = (load(y, half), load(d, half));
                if rectified {
                    left = _mm256_and_ps(left, _mm256_cmp_ps::<_CMP_NLE_UQ>(y, _mm256_setzero_ps()));
                }
                for x in x.chunks_exact_mut(width) {
                    for x in &mut x[column * size..][..size] {
                        // The pixel below the square, which comes from far away.
                        let below = std::ptr::from_ref(x).wrapping_add(size * width);
                        _mm_prefetch::<_MM_HINT_T0>(below.cast());
                        let is_it = _mm256_cmp_ps::<_CMP_EQ_OQ>(load(x, half), y);
                        store(x, half, _mm256_and_ps(is_it, left));
                        left = _mm256_andnot_ps(is_it, left);
                    }
                }
            }
        }
    }
}
