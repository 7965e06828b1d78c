//! Bias and relu in one pass over what a product has just written.

use super::{Instructions, Path};
use crate::tensor::{LANES, Line, Real};

/// z ← relu(z + bias) in place, the bias being a line of its panel, or none. The same numbers as in two passes.
pub fn rectify<T: Real>(path: Path, bias: Option<&Line<T>>, z: &mut [Line<T>]) {
    T::rectify(path, bias, z);
}

/// Who rectifies numbers of a type.
pub trait Rectify: Sized {
    fn rectify(path: Path, bias: Option<&Line<Self>>, z: &mut [Line<Self>]);
}

impl Rectify for f64 {
    fn rectify(_: Path, bias: Option<&Line<f64>>, z: &mut [Line<f64>]) {
        by_one(bias, z);
    }
}

impl Rectify for f32 {
    fn rectify(path: Path, bias: Option<&Line<f32>>, z: &mut [Line<f32>]) {
        match path.instructions {
            // SAFETY: only `Path::detect` makes a `Path`, and both of these have AVX2.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => unsafe { x86::rectify(bias, z) },
            Instructions::Baseline => by_one(bias, z),
        }
    }
}

/// The naive twin of `x86::rectify`.
fn by_one<T: Real>(bias: Option<&Line<T>>, z: &mut [Line<T>]) {
    for z in z {
        for lane in 0..LANES {
            let sum = bias.map_or(z.0[lane], |bias| z.0[lane] + bias.0[lane]);
            z.0[lane] = if sum <= T::ZERO { T::ZERO } else { sum };
        }
    }
}

/// In intrinsics, because the compiler takes comparisons of sixteen lanes apart, or gathers them.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Line};
    use std::arch::x86_64::*;

    const HALF: usize = LANES / 2;

    #[target_feature(enable = "avx2")]
    pub(super) fn rectify(bias: Option<&Line<f32>>, z: &mut [Line<f32>]) {
        let zero = _mm256_setzero_ps();
        // SAFETY: eight floats from 0 or 8 on lie within a line of sixteen.
        let bias = bias.map(|bias| unsafe { [0, HALF].map(|at| _mm256_loadu_ps(bias.0.as_ptr().add(at))) });
        for z in z {
            for half in 0..2 {
                // SAFETY: as above.
                unsafe {
                    let at = z.0.as_mut_ptr().add(half * HALF);
                    let z = _mm256_loadu_ps(at);
                    // Without a bias nothing is added: −0 + 0 would be +0, and both give 0.
                    let z = bias.map_or(z, |bias| _mm256_add_ps(z, bias[half]));
                    // A NaN is not less or equal, and stays.
                    _mm256_storeu_ps(at, _mm256_and_ps(z, _mm256_cmp_ps::<_CMP_NLE_UQ>(z, zero)));
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
    fn every_path_gives_the_bits_of_two_passes() {
        let z: Vec<Line<f32>> = (0..9)
            .map(|row| Line(std::array::from_fn(|lane| ((row * 31 + lane * 17) % 29) as f32 - 14.0)))
            .chain([Line([f32::NAN; LANES]), Line([-0.0; LANES]), Line([f32::NEG_INFINITY; LANES])])
            .collect();
        let bias = Line(std::array::from_fn(|lane| lane as f32 - 7.5));
        for bias in [None, Some(&bias)] {
            let mut expected = z.clone();
            by_one(bias, &mut expected);
            for path in Simd::ALL.into_iter().filter_map(Path::detect) {
                let mut found = z.clone();
                rectify(path, bias, &mut found);
                let bits = |lines: &[Line<f32>]| lines.iter().map(|line| line.0.map(f32::to_bits)).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&expected), "{}", path.word());
            }
        }
    }
}
