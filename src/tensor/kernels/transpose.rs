//! Between row-major matrices and panels, and from a panel to the panels of its transpose.

use super::{Instructions, Path};
use crate::tensor::{LANES, Line, Real};

kernel! {
    /// Up to 16 rows of a row-major matrix become the columns of one panel: `lines[p][i] = values[i·width + p]`;
    /// columns beyond the last row are 0. values: [rows ≤ 16, width]. lines: width.
    fn interleave<T: Real>(values: &[T], width: usize, lines: &mut [Line<T>]) {
        for (p, line) in lines.iter_mut().enumerate() {
            let mut lanes = [T::ZERO; LANES];
            for (lane, row) in lanes.iter_mut().zip(values.chunks_exact(width)) {
                *lane = row[p];
            }
            line.0 = lanes;
        }
    }
}

kernel! {
    /// The inverse: columns of a panel become rows, spare columns are left out. values: [rows ≤ 16, width].
    fn separate<T: Real>(lines: &[Line<T>], width: usize, values: &mut [T]) {
        for (i, row) in values.chunks_exact_mut(width.max(1)).enumerate() {
            for (value, line) in row.iter_mut().zip(lines) {
                *value = line.0[i];
            }
        }
    }
}

/// One panel of a transpose, from the panels of a matrix [rows, columns] with `stride` lines between them:
/// `out[c][r] = matrix[first + r, c]` for 16 rows from `first`; rows beyond the last are 0. out: `columns` lines.
pub fn turn_panel<T: Real>(path: Path, lines: &[Line<T>], stride: usize, first: usize, out: &mut [Line<T>]) {
    let rows = LANES.min(stride - first);
    for (panel, out) in out.chunks_mut(LANES).enumerate() {
        let block = &lines[panel * stride + first..][..rows];
        // The block after the next: another page, which the machine does not foresee.
        super::prefetch(lines.get((panel + 2) * stride + first..).map_or(&[], |lines| &lines[..rows.min(lines.len())]));
        match (<&[_; LANES]>::try_from(block), <&mut [_; LANES]>::try_from(&mut *out)) {
            (Ok(block), Ok(out)) => T::turn(path, block, out),
            _ => {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = Line::ZERO;
                    for (lane, line) in out.0.iter_mut().zip(block) {
                        *lane = line.0[c];
                    }
                }
            }
        }
    }
}

/// One panel of what [`turn_panel`] gives of a convolution's weight, whose kernel is read backwards: from the panels of
/// W: [channel·taps, out], `out[o·taps + taps − 1 − tap][c] = W[(first + c)·taps + tap, o]` for 16 channels from
/// `first`; channels beyond the last are 0. out: outputs·taps lines.
pub fn turn_patches<T: Real>(
    path: Path,
    lines: &[Line<T>],
    channels: usize,
    taps: usize,
    first: usize,
    out: &mut [Line<T>],
) {
    let here = LANES.min(channels - first);
    for (panel, out) in out.chunks_mut(LANES * taps).enumerate() {
        let from = &lines[(panel * channels + first) * taps..][..here * taps];
        let units = out.len() / taps;
        for tap in 0..taps {
            let mut block = [Line::ZERO; LANES];
            for (line, channel) in block.iter_mut().zip(from.chunks(taps)) {
                *line = channel[tap];
            }
            let mut turned = [Line::ZERO; LANES];
            T::turn(path, &block, &mut turned);
            for (unit, line) in turned.into_iter().take(units).enumerate() {
                out[unit * taps + taps - 1 - tap] = line;
            }
        }
    }
}

/// Who transposes 16 × 16 blocks of a type.
pub trait Turn: Sized {
    fn turn(path: Path, from: &[Line<Self>; LANES], to: &mut [Line<Self>; LANES]);
}

fn turn_by_one<T: Copy>(from: &[Line<T>; LANES], to: &mut [Line<T>; LANES]) {
    for (c, to) in to.iter_mut().enumerate() {
        to.0 = std::array::from_fn(|r| from[r].0[c]);
    }
}

impl Turn for f64 {
    fn turn(_: Path, from: &[Line<f64>; LANES], to: &mut [Line<f64>; LANES]) {
        turn_by_one(from, to);
    }
}

impl Turn for f32 {
    fn turn(path: Path, from: &[Line<f32>; LANES], to: &mut [Line<f32>; LANES]) {
        match path.instructions {
            // SAFETY: only `Path::detect` makes a `Path`, and both of these have AVX2.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => unsafe { x86::turn(from, to) },
            Instructions::Baseline => turn_by_one(from, to),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Line};
    use std::arch::x86_64::*;

    /// Four blocks of 8 × 8, each turned by three rounds of exchanges.
    #[target_feature(enable = "avx2")]
    pub(super) fn turn(from: &[Line<f32>; LANES], to: &mut [Line<f32>; LANES]) {
        for half in [0, 8] {
            for column in [0, 8] {
                // SAFETY: eight floats from `half` on lie within a line of sixteen.
                let r: [__m256; 8] =
                    std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from[half + i].0.as_ptr().add(column)) });
                let pairs: [__m256; 8] = std::array::from_fn(|i| {
                    let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
                    if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
                });
                let quads: [__m256; 8] = std::array::from_fn(|i| {
                    let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
                    if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xee>(a, b) }
                });
                for i in 0..8 {
                    let (a, b) = (quads[i % 4], quads[i % 4 + 4]);
                    let row =
                        if i < 4 { _mm256_permute2f128_ps::<0x20>(a, b) } else { _mm256_permute2f128_ps::<0x31>(a, b) };
                    // SAFETY: as above.
                    unsafe { _mm256_storeu_ps(to[column + i].0.as_mut_ptr().add(half), row) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Simd;

    #[test]
    fn a_panel_turns_into_the_transpose_whatever_its_edges() {
        for (rows, columns) in [(16usize, 16usize), (1, 1), (33, 17), (48, 40), (7, 64)] {
            let value = |r: usize, c: usize| (r * 1000 + c) as f32 + 1.0;
            let mut lines = vec![Line::ZERO; rows * columns.div_ceil(LANES)];
            for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                lines[c / LANES * rows + r].0[c % LANES] = value(r, c);
            }
            for path in Simd::ALL.into_iter().filter_map(Path::detect) {
                for first in (0..rows).step_by(LANES) {
                    let mut out = vec![Line([f32::NAN; LANES]); columns];
                    turn_panel(path, &lines, rows, first, &mut out);
                    for (c, out) in out.iter().enumerate() {
                        let expected = |r: usize| if first + r < rows { value(first + r, c) } else { 0.0 };
                        assert_eq!(out.0, std::array::from_fn(expected), "{rows} × {columns}, {}", path.word());
                    }
                }
            }
        }
    }
}
