//! The matrix product C ← A·B + β·C over strided views, behind one small interface.
//!
//! A: [m, k], B: [k, n], C: [m, n], any strides. The contract of every element (part of the numerics
//! version), with S_b the sum of block b of 256 along k, a chain of `mul_add` from +0:
//!
//! ```text
//! C = ((β·C + S_0) + S_1) + …        β·C is +0 when β is 0, whatever C held
//! ```
//!
//! `matrixmultiply` 0.3.11 keeps it on x86 with AVX2 and FMA and on aarch64 (but for the sign of a sum that is
//! −0, which is mended here); elsewhere, and when `portable` is asked for, a scalar loop does. Threads split m
//! or n, never k. Training has kernels of its own under the same contract ([`super::kernels::tile`]); this one
//! is for everything else, and what the tests hold those kernels against.

use super::compute::Compute;
use super::kernels::Path;
use super::{BLOCK, Real};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};

/// Who multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// ndarray's `general_mat_mul`, which hands every shape and stride to matrixmultiply.
    Library,
    Scalar,
}

impl Route {
    /// matrixmultiply chooses its kernel by what the machine has, not by what we ask for, so it can only be
    /// used where that kernel fuses its multiply-adds.
    pub(super) fn of(path: Path) -> Route {
        let fused = if cfg!(target_arch = "aarch64") { true } else { Path::detect(super::Simd::Avx2).is_some() };
        if fused && !path.is_forced_portable() { Route::Library } else { Route::Scalar }
    }
}

/// C ← A·B + β·C. A: [m, k], B: [k, n], C: [m, n]. Panics if the shapes do not agree.
pub fn product<T: Real>(
    compute: &Compute,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    let (m, k) = a.dim();
    let n = b.ncols();
    assert_eq!(b.nrows(), k, "the columns of A are the rows of B");
    assert_eq!(c.dim(), (m, n), "C has the rows of A and the columns of B");
    let operations = 2 * (m as u64).saturating_mul(k as u64).saturating_mul(n as u64);
    let compute = compute.for_work(operations);
    let pieces = compute.sharing();
    if pieces == 1 || m.max(n) == 0 {
        return serial(compute.route(), a, b, beta, c);
    }
    // Along the longer side of C, in multiples of 8, the height of a tile.
    let by_rows = m >= n;
    let extent = m.max(n).div_ceil(pieces).next_multiple_of(8);
    let axis = Axis(usize::from(!by_rows));
    let mut items: Vec<_> = c.axis_chunks_iter_mut(axis, extent).enumerate().collect();
    compute.each(&mut items, |(at, c)| {
        let range = Slice::from(*at * extent..*at * extent + c.len_of(axis));
        match by_rows {
            true => serial(compute.route(), a.slice_axis(Axis(0), range), b, beta, c.view_mut()),
            false => serial(compute.route(), a, b.slice_axis(Axis(1), range), beta, c.view_mut()),
        }
    });
}

fn serial<T: Real>(route: Route, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, beta: T, mut c: ArrayViewMut2<'_, T>) {
    match route {
        Route::Library => {
            // Its AVX-512 kernel stores a −0 sum as it is when β is 0; added to a +0 it is the contract's +0.
            if beta == T::ZERO {
                c.fill(T::ZERO);
            }
            let beta = if beta == T::ZERO { T::ONE } else { beta };
            ndarray::linalg::general_mat_mul(T::ONE, &a, &b, beta, &mut c);
        }
        Route::Scalar => scalar(a, b, beta, c),
    }
}

/// The contract, written down.
fn scalar<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, beta: T, mut c: ArrayViewMut2<'_, T>) {
    let k = a.ncols();
    for ((i, j), c) in c.indexed_iter_mut() {
        let mut total = if beta == T::ZERO { T::ZERO } else { beta * *c };
        for block in (0..k).step_by(BLOCK) {
            let mut sum = T::ZERO;
            for p in block..k.min(block + BLOCK) {
                sum = a[[i, p]].mul_add(b[[p, j]], sum);
            }
            total += sum;
        }
        *c = total;
    }
}
