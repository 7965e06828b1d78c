//! The work on numbers, once per instruction set, chosen at run time by a [`Path`].
//!
//! Elementwise work is written once, with `kernel!`. Without the `fma` feature at compile time `mul_add` is a call
//! into the C library, some thirty times slower than the instruction; so the body is inlined into clones for
//! AVX-512 and for AVX2 with FMA, and is itself the naive twin and the portable path. The matrix product
//! ([`tile`]) and the transposition are written in intrinsics, each beside a scalar twin. All paths give the
//! same bits, because every operation and its order are fixed (`tests/it/engine/{panels,same_bits}.rs`).
#![allow(unsafe_code)]

use super::compute::Simd;

/// Which clone runs. Only [`Path::detect`] makes one, and only of what this machine has: that is what makes
/// the calls below sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    instructions: Instructions,
    forced_portable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the program was compiled for.
    Baseline,
}

impl Path {
    /// Plain scalar code, which every machine has.
    pub fn portable() -> Path {
        Path { instructions: Instructions::Baseline, forced_portable: true }
    }

    /// The path that `simd` names; `None` when this machine lacks it.
    pub fn detect(simd: Simd) -> Option<Path> {
        let path = |instructions| Path { instructions, forced_portable: simd == Simd::Portable };
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512bw");
            match simd {
                Simd::Auto | Simd::Avx512 if avx512 => return Some(path(Instructions::Avx512)),
                Simd::Auto | Simd::Avx2 if avx2 => return Some(path(Instructions::Avx2)),
                _ => {}
            }
        }
        matches!(simd, Simd::Auto | Simd::Portable).then(|| path(Instructions::Baseline))
    }

    pub fn word(self) -> &'static str {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "avx2",
            Instructions::Baseline => "portable",
        }
    }

    /// Whether the tiles of this path take two panels at a time.
    pub fn takes_two_panels(self) -> bool {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => true,
            _ => false,
        }
    }

    /// Whether `portable` was asked for by name: then no library kernel runs either.
    pub(super) fn is_forced_portable(self) -> bool {
        self.forced_portable
    }
}

/// Defines a kernel: the body, its clones, and the choice between them.
macro_rules! kernel {
    ($(#[$doc:meta])* fn $name:ident<T: Real>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        pub fn $name<T: $crate::tensor::Real>(path: $crate::tensor::kernels::Path, $($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body<T: $crate::tensor::Real>($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512<T: $crate::tensor::Real>($($arg: $type),*) $(-> $out)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: $crate::tensor::Real>($($arg: $type),*) $(-> $out)? {
                    body($($arg),*)
                }
                match path.instructions {
                    // SAFETY: `Path::detect` is the only maker of a `Path`, and it has found these features.
                    $crate::tensor::kernels::Instructions::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::tensor::kernels::Instructions::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::tensor::kernels::Instructions::Baseline => {}
                }
            }
            let _ = path;
            body($($arg),*)
        }
    };
}

mod convolve;
mod elementwise;
mod gather;
mod norms;
pub mod peak;
mod pooling;
mod rectify;
pub mod tile;
mod transpose;
mod update;

pub use convolve::{Patches, Reads, convolve_one, convolve_two, correlate_one, correlate_two};
pub use elementwise::*;
pub use gather::{gather_bytes, gather_floats, unfold};
pub use norms::*;
pub use pooling::*;
pub use rectify::rectify;
pub use tile::{Left, product_of_one, product_of_two};
pub use transpose::{interleave, separate, turn_panel, turn_patches};
pub use update::*;

use super::{LANES, Line};

/// What numbers need beyond arithmetic: their own tiles and their own transposition.
pub trait Number: tile::Tiles + convolve::Convolve + pooling::PoolMax + rectify::Rectify + transpose::Turn {}

impl Number for f32 {}
impl Number for f64 {}

/// Asks the machine to bring lines into its caches. Changes nothing.
pub fn prefetch<T>(lines: &[Line<T>]) {
    #[cfg(target_arch = "x86_64")]
    for line in lines {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and traps on no address; every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lines;
}

/// Lines as the numbers in them.
pub fn flat<T: Number>(lines: &[Line<T>]) -> &[T] {
    const { assert!(size_of::<Line<T>>() == LANES * size_of::<T>(), "lines follow each other without a gap") };
    // SAFETY: a line is `LANES` numbers and nothing else, as just asserted, and the slice covers whole lines.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

/// The same, to be written.
pub fn flat_mut<T: Number>(lines: &mut [Line<T>]) -> &mut [T] {
    const { assert!(size_of::<Line<T>>() == LANES * size_of::<T>(), "lines follow each other without a gap") };
    // SAFETY: as above; the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
