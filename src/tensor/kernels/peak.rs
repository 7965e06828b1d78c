//! The machine's limit: fused multiply-adds and nothing else. Benches state speeds as a share of it.

use super::{Instructions, Path};
use std::hint::black_box;

/// Multiply-adds in flight at once: more than latency times units on any machine of now, few enough for the
/// sixteen registers of AVX2.
const CHAINS: usize = 12;

/// Floating-point operations of one round on a path.
pub fn operations_per_round(path: Path) -> u64 {
    let lanes = match path.instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => 16,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => 8,
        Instructions::Baseline => 1,
    };
    2 * lanes * CHAINS as u64
}

/// Does `rounds` rounds in registers. The result keeps a compiler from leaving the work out.
pub fn fused_multiply_adds(path: Path, rounds: u64) -> f32 {
    match path.instructions {
        // SAFETY: only `Path::detect` makes a `Path`, and it has found these features.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { x86::avx512(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { x86::avx2(rounds) },
        Instructions::Baseline => {
            let mut sums = [black_box(1.0f32); CHAINS];
            for _ in 0..rounds {
                sums.iter_mut().for_each(|sum| *sum = sum.mul_add(0.999, 0.001));
            }
            sums.iter().sum()
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, black_box};
    use std::arch::x86_64::*;

    macro_rules! chains {
        ($name:ident, $features:literal, $set1:ident, $fma:ident, $first:ident) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name(rounds: u64) -> f32 {
                let (factor, addend) = ($set1(black_box(0.999)), $set1(black_box(0.001)));
                let mut sums = [$set1(black_box(1.0)); CHAINS];
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $fma(*sum, factor, addend);
                    }
                }
                sums.into_iter().map(|sum| $first(sum)).sum()
            }
        };
    }

    chains!(avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32);
    chains!(avx512, "avx512f,avx2,fma", _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32);
}
