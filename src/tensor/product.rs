//! The matrix product C ← A·B + β·C over strided views, behind one small interface.
//!
//! A: [m, k], B: [k, n], C: [m, n], any strides. The contract of every element (part of the numerics
//! version), with S_b the sum of block b of 256 along k, a chain of `mul_add` from +0:
//!
//! ```text
//! C = ((β·C + S_0) + S_1) + …        β·C is +0 when β is 0, whatever C held
//! ```
//!
//! `matrixmultiply` 0.3.11 keeps it on x86 with AVX2 and FMA and on aarch64; elsewhere, and when `portable`
//! is asked for, a scalar loop does. Threads split m or n, never k. Faster kernels take the same interface.

use super::compute::Compute;
use super::kernels::Path;
use super::{BLOCK, Real};
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

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

/// Multiply-adds below which a second thread costs more than it brings (about 2 MFLOP).
const WORTHWHILE: usize = 1 << 20;

/// C ← A·B + β·C. A: [m, k], B: [k, n], C: [m, n]. Panics if the shapes do not agree.
pub fn product<T: Real>(
    compute: &Compute,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    c: ArrayViewMut2<'_, T>,
) {
    let (m, k) = a.dim();
    let n = b.ncols();
    assert_eq!(b.nrows(), k, "the columns of A are the rows of B");
    assert_eq!(c.dim(), (m, n), "C has the rows of A and the columns of B");
    let work = m.saturating_mul(k).saturating_mul(n);
    match compute.pool_for(work, WORTHWHILE) {
        Some(pool) => pool.install(|| share(compute.route(), pool.current_num_threads(), a, b, beta, c)),
        None => serial(compute.route(), a, b, beta, c),
    }
}

/// Halves the longer side of C until every thread has a piece.
fn share<T: Real>(
    route: Route,
    pieces: usize,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    c: ArrayViewMut2<'_, T>,
) {
    let (m, n) = c.dim();
    if pieces <= 1 || m.max(n) < 2 {
        return serial(route, a, b, beta, c);
    }
    let first = pieces / 2;
    // Multiples of 8, the height of a tile, where there is room for that.
    let cut = |extent: usize| {
        let at = extent * first / pieces;
        if at >= 16 { at / 8 * 8 } else { at.max(1) }
    };
    if m >= n {
        let at = cut(m);
        let (a1, a2) = a.split_at(Axis(0), at);
        let (c1, c2) = c.split_at(Axis(0), at);
        rayon::join(|| share(route, first, a1, b, beta, c1), || share(route, pieces - first, a2, b, beta, c2));
    } else {
        let at = cut(n);
        let (b1, b2) = b.split_at(Axis(1), at);
        let (c1, c2) = c.split_at(Axis(1), at);
        rayon::join(|| share(route, first, a, b1, beta, c1), || share(route, pieces - first, a, b2, beta, c2));
    }
}

fn serial<T: Real>(route: Route, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, beta: T, mut c: ArrayViewMut2<'_, T>) {
    match route {
        Route::Library => ndarray::linalg::general_mat_mul(T::ONE, &a, &b, beta, &mut c),
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
