//! The two products of a convolution, whose left operands are patches of an image that nobody writes down.
//!
//! ```text
//! forward, ∂L/∂x   C ← A·B         A[pixel, tap] = a[place of the pixel + place of the tap]
//! ∂L/∂W            C ← C + Aᵀ·D    A[pixel, channel] = the pixel that one tap of the kernel reads
//! ```
//!
//! C ← A·B keeps the contract of [`crate::tensor::product()`]: chains of fused multiply-adds from +0 over blocks of 256
//! taps, block sums added in order. A tap is a channel with its place in the kernel, channels first, so that a new
//! channel comes last. C ← C + Aᵀ·D adds one chain over all pixels that it is given; the caller decides which.

use super::{Instructions, Path};
use crate::tensor::{BLOCK, LANES, Line, Real};

/// Patches of an image with its border, in rows of `columns` patches.
#[derive(Clone, Copy, Debug)]
pub struct Patches<'a, T> {
    /// The image, in any layout.
    pub numbers: &'a [T],
    /// Where each tap lies, from a patch's first number.
    pub taps: &'a [u32],
    /// Numbers from one patch to the next in its row, and from a row of patches to the next.
    pub step: usize,
    pub row_step: usize,
    pub columns: usize,
}

impl<T> Patches<'_, T> {
    /// Panics unless there are `m` patches in whole rows, with all their taps.
    fn check(&self, m: usize) {
        let Some(farthest) = self.taps.iter().max().filter(|_| m > 0) else { return };
        assert!(self.columns > 0 && m.is_multiple_of(self.columns), "patches come in whole rows");
        let last = (m / self.columns - 1)
            .checked_mul(self.row_step)
            .zip((self.columns - 1).checked_mul(self.step))
            .and_then(|(row, column)| row.checked_add(column)?.checked_add(*farthest as usize));
        assert!(last.is_some_and(|last| last < self.numbers.len()), "{last:?} of {} is read", self.numbers.len());
    }
}

/// C ← A·B for one panel. b: one line for each tap. c: one for each patch. Panics if A or B is too small.
pub fn convolve_one<T: Real>(path: Path, a: Patches<'_, T>, b: &[Line<T>], c: &mut [Line<T>]) {
    assert!(b.len() >= a.taps.len(), "B has a row for every tap");
    a.check(c.len());
    // SAFETY: A, B and C have just been compared.
    unsafe { T::convolve(path, a, [b], [c]) };
}

/// C ← A·B for two panels, which AVX-512 takes at once. Shapes as in [`convolve_one`], for both.
pub fn convolve_two<T: Real>(path: Path, a: Patches<'_, T>, b: [&[Line<T>]; 2], c: [&mut [Line<T>]; 2]) {
    assert!(b.iter().all(|b| b.len() >= a.taps.len()), "B has a row for every tap");
    assert_eq!(c[0].len(), c[1].len(), "both panels of C have the same rows");
    a.check(c[0].len());
    // SAFETY: A, B and both panels of C have just been compared.
    unsafe {
        if path.takes_two_panels() {
            T::convolve(path, a, b, c);
        } else {
            let [c0, c1] = c;
            T::convolve(path, a, [b[0]], [c0]);
            T::convolve(path, a, [b[1]], [c1]);
        }
    }
}

/// Pixels of one panel of an image that one tap reads, in rows, and where the results for them begin in D.
#[derive(Clone, Copy, Debug)]
pub struct Reads<'a, T> {
    /// From the first pixel on.
    pub x: &'a [Line<T>],
    /// Lines from one pixel to the next in its row, and from a row to the next.
    pub step: usize,
    pub row_step: usize,
    /// Lines from one row of D to the next; in a row they follow each other.
    pub d_row_step: usize,
    pub rows: usize,
    pub columns: usize,
    /// The channels of the panel: at most [`LANES`].
    pub first: usize,
    pub channels: usize,
}

impl<T> Reads<'_, T> {
    fn check(&self, d: usize, c: usize, c_step: usize) {
        assert!(self.first + self.channels <= LANES, "a panel has so many channels");
        let end = |row_step: usize, step: usize| {
            let row = (self.rows - 1).checked_mul(row_step)?;
            (self.columns - 1).checked_mul(step)?.checked_add(row)
        };
        assert!(end(self.row_step, self.step).is_some_and(|last| last < self.x.len()), "the pixels are in the image");
        assert!(end(self.d_row_step, 1).is_some_and(|last| last < d), "the results are in D");
        let last = self.channels.checked_sub(1).and_then(|last| last.checked_mul(c_step));
        assert!(last.is_none_or(|last| last < c), "C has a line for every channel");
    }
}

/// `C[channel·c_step] += Σ x[pixel][channel]·d[pixel]` for one panel of C and D, a chain from +0 over the pixels in order.
pub fn correlate_one<T: Real>(path: Path, reads: Reads<'_, T>, d: &[Line<T>], c: &mut [Line<T>], c_step: usize) {
    if reads.rows == 0 || reads.columns == 0 {
        return;
    }
    reads.check(d.len(), c.len(), c_step);
    // SAFETY: the pixels, D and C have just been compared.
    unsafe { T::correlate(path, reads, [d], [c], c_step) };
}

/// The same for two panels, which AVX-512 takes at once.
pub fn correlate_two<T: Real>(
    path: Path,
    reads: Reads<'_, T>,
    d: [&[Line<T>]; 2],
    c: [&mut [Line<T>]; 2],
    c_step: usize,
) {
    if reads.rows == 0 || reads.columns == 0 {
        return;
    }
    for panel in 0..2 {
        reads.check(d[panel].len(), c[panel].len(), c_step);
    }
    // SAFETY: the pixels, D and both panels of C have just been compared.
    unsafe {
        if path.takes_two_panels() {
            T::correlate(path, reads, d, c, c_step);
        } else {
            let [c0, c1] = c;
            T::correlate(path, reads, [d[0]], [c0], c_step);
            T::correlate(path, reads, [d[1]], [c1], c_step);
        }
    }
}

/// Who convolves numbers of a type.
pub trait Convolve: Sized {
    /// # Safety
    /// `Patches::check` has passed for the lines of every panel of C, and every panel of B has a line for each tap.
    unsafe fn convolve<const V: usize>(
        path: Path,
        a: Patches<'_, Self>,
        b: [&[Line<Self>]; V],
        c: [&mut [Line<Self>]; V],
    );

    /// # Safety
    /// `Reads::check` has passed for every panel of D and C, and there is at least one pixel.
    unsafe fn correlate<const V: usize>(
        path: Path,
        reads: Reads<'_, Self>,
        d: [&[Line<Self>]; V],
        c: [&mut [Line<Self>]; V],
        c_step: usize,
    );
}

impl Convolve for f64 {
    unsafe fn convolve<const V: usize>(
        path: Path,
        a: Patches<'_, f64>,
        b: [&[Line<f64>]; V],
        c: [&mut [Line<f64>]; V],
    ) {
        b.into_iter().zip(c).for_each(|(b, c)| convolve_by_one(path, a, b, c));
    }

    unsafe fn correlate<const V: usize>(
        path: Path,
        reads: Reads<'_, f64>,
        d: [&[Line<f64>]; V],
        c: [&mut [Line<f64>]; V],
        c_step: usize,
    ) {
        d.into_iter().zip(c).for_each(|(d, c)| correlate_by_one(path, reads, d, c, c_step));
    }
}

impl Convolve for f32 {
    unsafe fn convolve<const V: usize>(
        path: Path,
        a: Patches<'_, f32>,
        b: [&[Line<f32>]; V],
        c: [&mut [Line<f32>]; V],
    ) {
        match path.instructions {
            // SAFETY: only `Path::detect` makes a `Path`, and it has found these features; the caller has promised
            // the rest.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { x86::convolve_avx512(a, b, c) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { x86::convolve_avx2(a, b, c) },
            Instructions::Baseline => b.into_iter().zip(c).for_each(|(b, c)| convolve_by_one(path, a, b, c)),
        }
    }

    unsafe fn correlate<const V: usize>(
        path: Path,
        reads: Reads<'_, f32>,
        d: [&[Line<f32>]; V],
        c: [&mut [Line<f32>]; V],
        c_step: usize,
    ) {
        match path.instructions {
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { x86::correlate_avx512(reads, d, c, c_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { x86::correlate_avx2(reads, d, c, c_step) },
            Instructions::Baseline => {
                d.into_iter().zip(c).for_each(|(d, c)| correlate_by_one(path, reads, d, c, c_step));
            }
        }
    }
}

kernel! {
    /// The contract of C ← A·B, written down for one panel: the naive twin of the tiles.
    fn convolve_by_one<T: Real>(a: Patches<'_, T>, b: &[Line<T>], c: &mut [Line<T>]) {
        for (i, c) in c.iter_mut().enumerate() {
            let patch = &a.numbers[i / a.columns * a.row_step + i % a.columns * a.step..];
            let mut total = [T::ZERO; LANES];
            for (taps, b) in a.taps.chunks(BLOCK).zip(b.chunks(BLOCK)) {
                let mut sums = [T::ZERO; LANES];
                for (tap, b) in taps.iter().zip(b) {
                    let a = patch[*tap as usize];
                    for (sum, &b) in sums.iter_mut().zip(&b.0) {
                        *sum = a.mul_add(b, *sum);
                    }
                }
                for (total, sum) in total.iter_mut().zip(sums) {
                    *total += sum;
                }
            }
            c.0 = total;
        }
    }
}

kernel! {
    /// The contract of C ← C + Aᵀ·D, written down for one panel: the naive twin of the tiles.
    fn correlate_by_one<T: Real>(reads: Reads<'_, T>, d: &[Line<T>], c: &mut [Line<T>], c_step: usize) {
        for channel in 0..reads.channels {
            let mut sums = [T::ZERO; LANES];
            for row in 0..reads.rows {
                for column in 0..reads.columns {
                    let x = reads.x[row * reads.row_step + column * reads.step].0[reads.first + channel];
                    for (sum, &d) in sums.iter_mut().zip(&d[row * reads.d_row_step + column].0) {
                        *sum = x.mul_add(d, *sum);
                    }
                }
            }
            for (c, sum) in c[channel * c_step].0.iter_mut().zip(sums) {
                *c += sum;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::tile::cut;
    use super::{BLOCK, LANES, Line, Patches, Reads};
    use std::arch::x86_64::*;

    const _: () = assert!(LANES == 16, "the tiles are written for panels of 16 columns");
    const _: () = assert!(size_of::<Line<f32>>() == LANES * size_of::<f32>(), "lines follow each other without a gap");

    macro_rules! tiles {
        ($features:literal, $vector:ty, $per_panel:expr, $zero:ident, $load:ident, $store:ident, $set1:ident,
         $fma:ident, $add:ident, $patches:ident, $convolve:ident, $most_patches:literal,
         $pixels:ident, $correlate:ident, $most_channels:literal, $($r:literal)*) => {
            /// R patches of a row over some taps: sums from 0, stored or added to C. `STEP`: numbers from one patch to
            /// the next where the compiler is to know them, else 0.
            ///
            /// # Safety
            /// The machine has the features; every tap of every patch may be read, `b` at `k` lines, `c` may be read and
            /// written at R lines, all of every panel.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn $patches<const R: usize, const V: usize, const STEP: usize>(
                a: *const f32,
                step: usize,
                taps: &[u32],
                b: [*const f32; V],
                c: [*mut f32; V],
                add: bool,
            ) {
                const N: usize = $per_panel;
                let step = if STEP > 0 { STEP } else { step };
                let mut sums: [[[$vector; N]; V]; R] = [[[$zero(); N]; V]; R];
                for (p, tap) in taps.iter().enumerate() {
                    let mut row: [[$vector; N]; V] = [[$zero(); N]; V];
                    for v in 0..V {
                        for n in 0..N {
                            // SAFETY: the caller's promise.
                            row[v][n] = unsafe { $load(b[v].add(p * LANES + n * (LANES / N))) };
                        }
                    }
                    let a = a.wrapping_add(*tap as usize);
                    for r in 0..R {
                        // SAFETY: the caller's promise.
                        let a = $set1(unsafe { *a.add(r * step) });
                        for v in 0..V {
                            for n in 0..N {
                                sums[r][v][n] = $fma(a, row[v][n], sums[r][v][n]);
                            }
                        }
                    }
                }
                for r in 0..R {
                    for v in 0..V {
                        for n in 0..N {
                            let at = c[v].wrapping_add(r * LANES + n * (LANES / N));
                            // 0 + sum turns a −0 into +0, as the contract has it.
                            // SAFETY: the caller's promise.
                            unsafe {
                                let before = if add { $load(at) } else { $zero() };
                                $store(at, $add(before, sums[r][v][n]));
                            }
                        }
                    }
                }
            }

            /// All patches over all taps, block after block, so that a block of B stays in the first cache.
            ///
            /// # Safety
            /// The machine has the features, and `Convolve::convolve`'s promise.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $convolve<const V: usize>(
                a: Patches<'_, f32>, b: [&[Line<f32>]; V], c: [&mut [Line<f32>]; V],
            ) {
                let mut c = c;
                if a.taps.is_empty() {
                    c.iter_mut().for_each(|c| c.fill(Line::ZERO));
                    return;
                }
                let rows = c[0].len() / a.columns.max(1);
                let c: [*mut f32; V] = std::array::from_fn(|v| c[v].as_mut_ptr().cast());
                for (block, taps) in a.taps.chunks(BLOCK).enumerate() {
                    let b: [*const f32; V] =
                        std::array::from_fn(|v| b[v].as_ptr().cast::<f32>().wrapping_add(block * BLOCK * LANES));
                    for row in 0..rows {
                        cut(a.columns, $most_patches, |column, height| {
                            let from = a.numbers.as_ptr().wrapping_add(row * a.row_step + column * a.step);
                            let c = std::array::from_fn(|v| c[v].wrapping_add((row * a.columns + column) * LANES));
                            // SAFETY: `Patches::check` has found every tap of every patch; C has a line for each.
                            unsafe {
                                match (height, a.step) {
                                    $(
                                        ($r, LANES) => $patches::<$r, V, LANES>(from, a.step, taps, b, c, block > 0),
                                        ($r, 1) => $patches::<$r, V, 1>(from, a.step, taps, b, c, block > 0),
                                        ($r, _) => $patches::<$r, V, 0>(from, a.step, taps, b, c, block > 0),
                                    )*
                                    _ => unreachable!("`cut` makes tiles of 1 to {} patches", $most_patches),
                                }
                            }
                        });
                    }
                }
            }

            /// R channels of all pixels: sums from 0, added to C.
            ///
            /// # Safety
            /// The machine has the features; every pixel may be read at R lanes from `x`, every line of `d`, and `c` may be
            /// read and written at R lines that are `c_step` apart, all of every panel.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn $pixels<const R: usize, const V: usize>(
                x: *const f32,
                reads: &Reads<'_, f32>,
                d: [*const f32; V],
                c: [*mut f32; V],
                c_step: usize,
            ) {
                const N: usize = $per_panel;
                let mut sums: [[[$vector; N]; V]; R] = [[[$zero(); N]; V]; R];
                for row in 0..reads.rows {
                    let mut x = x.wrapping_add(row * reads.row_step * LANES);
                    let d: [*const f32; V] =
                        std::array::from_fn(|v| d[v].wrapping_add(row * reads.d_row_step * LANES));
                    for column in 0..reads.columns {
                        let mut line: [[$vector; N]; V] = [[$zero(); N]; V];
                        for v in 0..V {
                            for n in 0..N {
                                // SAFETY: the caller's promise.
                                line[v][n] = unsafe { $load(d[v].add(column * LANES + n * (LANES / N))) };
                            }
                        }
                        for r in 0..R {
                            // SAFETY: the caller's promise.
                            let x = $set1(unsafe { *x.add(r) });
                            for v in 0..V {
                                for n in 0..N {
                                    sums[r][v][n] = $fma(x, line[v][n], sums[r][v][n]);
                                }
                            }
                        }
                        x = x.wrapping_add(reads.step * LANES);
                    }
                }
                for r in 0..R {
                    for v in 0..V {
                        for n in 0..N {
                            let at = c[v].wrapping_add(r * c_step * LANES + n * (LANES / N));
                            // SAFETY: the caller's promise.
                            unsafe { $store(at, $add($load(at), sums[r][v][n])) };
                        }
                    }
                }
            }

            /// # Safety
            /// The machine has the features, and `Convolve::correlate`'s promise.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $correlate<const V: usize>(
                reads: Reads<'_, f32>, d: [&[Line<f32>]; V], c: [&mut [Line<f32>]; V], c_step: usize,
            ) {
                let mut c = c;
                let d: [*const f32; V] = std::array::from_fn(|v| d[v].as_ptr().cast());
                let c: [*mut f32; V] = std::array::from_fn(|v| c[v].as_mut_ptr().cast());
                cut(reads.channels, $most_channels, |channel, height| {
                    let x = reads.x.as_ptr().cast::<f32>().wrapping_add(reads.first + channel);
                    let c = std::array::from_fn(|v| c[v].wrapping_add(channel * c_step * LANES));
                    // SAFETY: `Reads::check` has found every pixel, its result and a line of C for every channel.
                    match height {
                        $($r => unsafe { $pixels::<$r, V>(x, &reads, d, c, c_step) },)*
                        _ => unreachable!("`cut` makes tiles of 1 to {} channels", $most_channels),
                    }
                });
            }
        };
    }

    tiles!(
        "avx2,fma", __m256, 2, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps,
        _mm256_add_ps, patches_avx2, convolve_avx2, 6, pixels_avx2, correlate_avx2, 6, 1 2 3 4 5 6
    );
    tiles!(
        "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma", __m512, 1, _mm512_setzero_ps, _mm512_loadu_ps,
        _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, patches_avx512, convolve_avx512, 12,
        pixels_avx512, correlate_avx512, 8, 1 2 3 4 5 6 7 8 9 10 11 12
    );
}
