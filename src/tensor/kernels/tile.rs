//! The matrix product of panels: rows of one or two panels of C ← A·B, in tiles that stay in registers.
//!
//! A matrix is kept as panels of 16 columns, `[column / 16][row][column % 16]` ([`crate::tensor::Panels`]). Then
//! every operand of every product of a layer is read where it lies, with strides known to the compiler: B one
//! panel row after the other, A either by rows (x in x·Wᵀ, ∂L/∂z in ∂L/∂z·W) or by columns (x in xᵀ·∂L/∂z).
//!
//! Every element keeps the contract of [`crate::tensor::product()`]: chains of fused multiply-adds from 0 over
//! blocks of 256 along k, block sums added in order. [`scalar`] is the naive twin, for other machines and f64.

use super::{Instructions, Path};
use crate::tensor::{BLOCK, LANES, Line, Real};

/// The left operand A: [m, k], in panels with `stride` lines from one to the next.
#[derive(Clone, Copy, Debug)]
pub enum Left<'a, T> {
    /// A\[i, p\] is row `first + i`, column p of the matrix.
    Rows { lines: &'a [Line<T>], stride: usize, first: usize },
    /// A\[i, p\] is row p, column `first + i`: the transpose. `first` is a multiple of 16.
    Columns { lines: &'a [Line<T>], stride: usize, first: usize },
}

impl<T> Left<'_, T> {
    /// Panics unless A has `m` rows and `k` columns.
    fn check(&self, m: usize, k: usize) {
        if m == 0 || k == 0 {
            return;
        }
        // The last line of the last panel that is read. What does not fit a usize is in no slice.
        let (held, reached) = match *self {
            Left::Rows { lines, stride, first } => {
                let last = ((k - 1) / LANES).checked_mul(stride);
                (lines.len(), first.checked_add(m).and_then(|rows| last?.checked_add(rows)))
            }
            Left::Columns { lines, stride, first } => {
                assert!(first.is_multiple_of(LANES), "columns are shared out by whole panels");
                let last = first.checked_add(m - 1).and_then(|column| (column / LANES).checked_mul(stride));
                (lines.len(), last.and_then(|last| last.checked_add(k)))
            }
        };
        assert!(reached.is_some_and(|reached| reached <= held), "A needs {reached:?} lines and has {held}");
    }
}

/// C ← A·B for one panel. b: k lines. c: m lines. Panics if A or B is too small.
pub fn product_of_one<T: Real>(path: Path, a: Left<'_, T>, k: usize, b: &[Line<T>], c: &mut [Line<T>]) {
    assert!(b.len() >= k, "B has k rows");
    a.check(c.len(), k);
    // SAFETY: A, B and C have just been compared with `m` and `k`.
    unsafe { T::tiles(path, a, k, [b], [c]) };
}

/// C ← A·B for two panels, which AVX-512 takes at once. Shapes as in [`product_of_one`], for both.
pub fn product_of_two<T: Real>(path: Path, a: Left<'_, T>, k: usize, b: [&[Line<T>]; 2], c: [&mut [Line<T>]; 2]) {
    assert!(b.iter().all(|b| b.len() >= k), "B has k rows");
    assert_eq!(c[0].len(), c[1].len(), "both panels of C have the same rows");
    a.check(c[0].len(), k);
    // SAFETY: A, B and both panels of C have just been compared with `m` and `k`.
    unsafe {
        if path.takes_two_panels() {
            T::tiles(path, a, k, b, c);
        } else {
            let [c0, c1] = c;
            T::tiles(path, a, k, [b[0]], [c0]);
            T::tiles(path, a, k, [b[1]], [c1]);
        }
    }
}

/// Who multiplies numbers of a type.
pub trait Tiles: Sized {
    /// # Safety
    /// A holds `m` rows and `k` columns (`Left::check`), every panel of B `k` lines, every panel of C `m` lines.
    unsafe fn tiles<const V: usize>(
        path: Path,
        a: Left<'_, Self>,
        k: usize,
        b: [&[Line<Self>]; V],
        c: [&mut [Line<Self>]; V],
    );
}

impl Tiles for f64 {
    unsafe fn tiles<const V: usize>(
        path: Path,
        a: Left<'_, f64>,
        k: usize,
        b: [&[Line<f64>]; V],
        c: [&mut [Line<f64>]; V],
    ) {
        for (b, c) in b.into_iter().zip(c) {
            scalar(path, a, k, b, c);
        }
    }
}

impl Tiles for f32 {
    unsafe fn tiles<const V: usize>(
        path: Path,
        a: Left<'_, f32>,
        k: usize,
        b: [&[Line<f32>]; V],
        c: [&mut [Line<f32>]; V],
    ) {
        match path.instructions {
            // SAFETY: only `Path::detect` makes a `Path`, and it has found these features; the caller has promised
            // the rest.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { x86::avx512(a, k, b, c) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => {
                for (b, c) in b.into_iter().zip(c) {
                    unsafe { x86::avx2(a, k, [b], [c]) }
                }
            }
            Instructions::Baseline => {
                for (b, c) in b.into_iter().zip(c) {
                    scalar(path, a, k, b, c);
                }
            }
        }
    }
}

kernel! {
    /// The contract, written down for one panel: the naive twin of the tiles.
    fn scalar<T: Real>(a: Left<'_, T>, k: usize, b: &[Line<T>], c: &mut [Line<T>]) {
        for (i, c) in c.iter_mut().enumerate() {
            let mut total = [T::ZERO; LANES];
            for block in (0..k).step_by(BLOCK) {
                let mut sums = [T::ZERO; LANES];
                for p in block..k.min(block + BLOCK) {
                    let a = match a {
                        Left::Rows { lines, stride, first } => lines[p / LANES * stride + first + i].0[p % LANES],
                        Left::Columns { lines, stride, first } => {
                            lines[(first + i) / LANES * stride + p].0[(first + i) % LANES]
                        }
                    };
                    for (sum, &b) in sums.iter_mut().zip(&b[p].0) {
                        *sum = a.mul_add(b, *sum);
                    }
                }
                // Added to +0 the first time: a chain that ended at −0 becomes +0, as with β = 0.
                for (total, sum) in total.iter_mut().zip(sums) {
                    *total += sum;
                }
            }
            c.0 = total;
        }
    }
}

/// Cuts `m` rows into the fewest tiles of at most `most` rows whose heights differ by at most one: short tiles
/// wait for their own additions. Calls `tile(first row, height)`.
#[inline(always)]
pub(super) fn cut(m: usize, most: usize, mut tile: impl FnMut(usize, usize)) {
    let tiles = m.div_ceil(most);
    let mut row = 0;
    for at in 0..tiles {
        let height = (m - row).div_ceil(tiles - at);
        tile(row, height);
        row += height;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, LANES, Left, Line, cut};
    use std::arch::x86_64::*;

    const _: () = assert!(LANES == 16, "the tiles are written for panels of 16 columns");
    const _: () = assert!(BLOCK.is_multiple_of(LANES), "a block begins at a panel of A");
    const _: () = assert!(size_of::<Line<f32>>() == LANES * size_of::<f32>(), "lines follow each other without a gap");

    /// One tile of R rows over one block of k: sums from 0, stored or added to C.
    /// `COLUMNS`: A is read by columns (see [`Left`]). `a` points at A\[first row, first of k\].
    macro_rules! tile {
        ($name:ident, $features:literal, $vector:ty, $per_panel:expr, $zero:ident, $load:ident, $store:ident, $set1:ident,
         $fma:ident, $add:ident) => {
            /// # Safety
            /// The machine has the features; `a` may be read at every element of A that the tile needs, `b` at k rows,
            /// `c` may be read and written at R rows, all of every panel.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn $name<const R: usize, const V: usize, const COLUMNS: bool>(
                mut a: *const f32,
                stride: usize,
                k: usize,
                mut b: [*const f32; V],
                c: [*mut f32; V],
                add: bool,
            ) {
                const N: usize = $per_panel;
                let mut sums: [[[$vector; N]; V]; R] = [[[$zero(); N]; V]; R];
                macro_rules! steps {
                    ($count:literal) => {
                        for p in 0..$count {
                            let mut row: [[$vector; N]; V] = [[$zero(); N]; V];
                            for v in 0..V {
                                for n in 0..N {
                                    // SAFETY: the caller's promise.
                                    row[v][n] = unsafe { $load(b[v].add(p * LANES + n * (LANES / N))) };
                                }
                            }
                            for r in 0..R {
                                let at = if COLUMNS { p * LANES + r } else { r * LANES + p };
                                // SAFETY: the caller's promise.
                                let a = $set1(unsafe { *a.add(at) });
                                for v in 0..V {
                                    for n in 0..N {
                                        sums[r][v][n] = $fma(a, row[v][n], sums[r][v][n]);
                                    }
                                }
                            }
                        }
                        for b in &mut b {
                            *b = b.wrapping_add($count * LANES);
                        }
                    };
                }
                let mut left = k;
                if COLUMNS {
                    while left >= 4 {
                        steps!(4);
                        a = a.wrapping_add(4 * LANES);
                        left -= 4;
                    }
                    while left > 0 {
                        steps!(1);
                        a = a.wrapping_add(LANES);
                        left -= 1;
                    }
                } else {
                    while left >= LANES {
                        steps!(16);
                        a = a.wrapping_add(stride);
                        left -= LANES;
                    }
                    while left > 0 {
                        steps!(1);
                        a = a.wrapping_add(1);
                        left -= 1;
                    }
                }
                for r in 0..R {
                    for v in 0..V {
                        for n in 0..N {
                            let at = c[v].wrapping_add(r * LANES + n * (LANES / N));
                            let sum = sums[r][v][n];
                            // 0 + sum turns a −0 into +0, as the contract has it.
                            // SAFETY: the caller's promise.
                            unsafe {
                                let before = if add { $load(at) } else { $zero() };
                                $store(at, $add(before, sum));
                            }
                        }
                    }
                }
            }
        };
    }

    tile!(
        tile_avx2,
        "avx2,fma",
        __m256,
        2,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps
    );
    tile!(
        tile_avx512,
        "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma",
        __m512,
        1,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps
    );

    /// All rows of C over all of k, block after block, so that a block of B stays in the first cache.
    macro_rules! panel {
        ($name:ident, $features:literal, $tile:ident, $most_rows:literal, $most_columns:literal, $($r:literal)*) => {
            /// # Safety
            /// The machine has the features, and the shapes have been checked as the callers in the module above do.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name<const V: usize>(
                a: Left<'_, f32>, k: usize, b: [&[Line<f32>]; V], c: [&mut [Line<f32>]; V],
            ) {
                let m = c[0].len();
                let mut c = c;
                if k == 0 {
                    c.iter_mut().for_each(|c| c.fill(Line::ZERO));
                    return;
                }
                let c: [*mut f32; V] = std::array::from_fn(|v| c[v].as_mut_ptr().cast());
                for block in (0..k).step_by(BLOCK) {
                    let length = BLOCK.min(k - block);
                    let b: [*const f32; V] = std::array::from_fn(|v| b[v].as_ptr().cast::<f32>().wrapping_add(block * LANES));
                    match a {
                        Left::Rows { lines, stride, first } => cut(m, $most_rows, |row, height| {
                            let a = lines.as_ptr().wrapping_add(block / LANES * stride + first + row).cast();
                            let c = std::array::from_fn(|v| c[v].wrapping_add(row * LANES));
                            // SAFETY: `Left::check` has found every row of A up to k; C has `m` rows.
                            match height {
                                $($r => unsafe { $tile::<$r, V, false>(a, stride * LANES, length, b, c, block > 0) },)*
                                _ => unreachable!("`cut` makes tiles of 1 to {} rows", $most_rows),
                            }
                        }),
                        Left::Columns { lines, stride, first } => {
                            for panel in (0..m).step_by(LANES) {
                                cut(LANES.min(m - panel), $most_columns, |row, height| {
                                    let line = (first + panel) / LANES * stride + block;
                                    let a = lines.as_ptr().wrapping_add(line).cast::<f32>().wrapping_add(row);
                                    let c = std::array::from_fn(|v| c[v].wrapping_add((panel + row) * LANES));
                                    // SAFETY: as above.
                                    match height {
                                        $($r => unsafe { $tile::<$r, V, true>(a, 0, length, b, c, block > 0) },)*
                                        _ => unreachable!("`cut` makes tiles of 1 to {} rows", $most_columns),
                                    }
                                });
                            }
                        }
                    }
                }
            }
        };
    }

    panel!(avx2, "avx2,fma", tile_avx2, 6, 6, 1 2 3 4 5 6);
    panel!(avx512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma", tile_avx512, 12, 8, 1 2 3 4 5 6 7 8 9 10 11 12);
}
