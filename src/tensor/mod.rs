//! Arithmetic: the matrix product, elementwise kernels and elementary functions, all of which give the
//! same bits on every machine, SIMD path and number of threads.
//!
//! How that is kept:
//! - every element of a matrix product is a sum over blocks of 256 along k; a block is a chain of fused
//!   multiply-adds from 0, and block sums are added in order ([`product()`]);
//! - sums over the batch use the same blocks ([`kernels::sum_rows`]); sums across features use 16 virtual
//!   lanes and a fixed tree ([`kernels::softmax`]); scalars are f64 in index order;
//! - threads split rows and columns, never a sum; SIMD paths do the same operations in the same order, which is
//!   safe because Rust never contracts `a * b + c` and `mul_add`, `sqrt` and `/` are exactly specified;
//! - `exp`, `tanh` and the like are our own polynomials for f32 ([`math`]) and a pinned `libm` for f64.
//!
//! Everything is generic over [`Real`], so that the very code that trains in f32 is held against finite
//! differences in f64.

pub mod compute;
pub mod kernels;
pub mod math;
pub mod panels;
pub mod pool;
pub mod product;
pub mod real;

pub use compute::{Compute, Simd};
pub use panels::{Batch, BatchMut, Line, Panels};
pub use product::product;
pub use real::Real;

/// Length of a block of a sum: part of the numerics version. It is matrixmultiply's KC, which a variable at
/// build time can change; tests compare bits around it, so that such a build fails.
pub const BLOCK: usize = 256;

/// Columns of a panel, and virtual lanes of a sum across features: one register of AVX-512, two of AVX2.
pub const LANES: usize = 16;
