//! The two kinds of floating-point number: f32 trains, f64 checks gradients.

use super::math;

/// A floating-point number with the functions that layers need, the same bits everywhere.
pub trait Real:
    super::kernels::Number
    + ndarray::LinalgScalar
    + From<u8>
    + From<f32>
    + PartialOrd
    + Default
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
{
    const ZERO: Self;
    const ONE: Self;

    /// Rounds to nearest.
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    /// `self · factor + addend` with one rounding.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn exp(self) -> Self;
    /// exp(x) − 1, exact near 0.
    fn expm1(self) -> Self;
    fn tanh(self) -> Self;
    /// 1 / (1 + exp(−x)).
    fn sigmoid(self) -> Self;
    /// ln(1 + exp(x)).
    fn softplus(self) -> Self;
    fn erf(self) -> Self;

    fn is_finite(self) -> bool;
    fn is_nan(self) -> bool;
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn mul_add(self, factor: f32, addend: f32) -> f32 {
        f32::mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> f32 {
        f32::abs(self)
    }
    #[inline(always)]
    fn exp(self) -> f32 {
        math::exp(self)
    }
    #[inline(always)]
    fn expm1(self) -> f32 {
        math::expm1(self)
    }
    #[inline(always)]
    fn tanh(self) -> f32 {
        math::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> f32 {
        math::sigmoid(self)
    }
    #[inline(always)]
    fn softplus(self) -> f32 {
        math::softplus(self)
    }
    #[inline(always)]
    fn erf(self) -> f32 {
        math::erf(self)
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn mul_add(self, factor: f64, addend: f64) -> f64 {
        f64::mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> f64 {
        f64::abs(self)
    }
    #[inline(always)]
    fn exp(self) -> f64 {
        libm::exp(self)
    }
    #[inline(always)]
    fn expm1(self) -> f64 {
        libm::expm1(self)
    }
    #[inline(always)]
    fn tanh(self) -> f64 {
        libm::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + libm::exp(-self))
    }
    #[inline(always)]
    fn softplus(self) -> f64 {
        let positive = if self > 0.0 { self } else { 0.0 };
        positive + libm::log1p(libm::exp(-f64::abs(self)))
    }
    #[inline(always)]
    fn erf(self) -> f64 {
        libm::erf(self)
    }
}
