//! Elementary functions of f32 as polynomials in explicit `mul_add`: the same bits on every path, and
//! loops over them vectorise, because every case distinction is a selection between finished values.
//!
//! Largest error over a dense sweep of inputs against f64 (`tests::every_function_is_accurate` holds these
//! numbers), in units in the last place: exp 1, expm1 2, ln 1, log1p 2, tanh 2, sigmoid 3, softplus 2, erf 2.
//! A NaN gives a NaN.
// Coefficients are written as in their source (Cephes), which is more digits than an f32 holds.
#![allow(clippy::excessive_precision)]

/// Added and subtracted, it rounds to the nearest integer, which then stands in the low bits of the sum.
const ROUNDER: f32 = 12_582_912.0;

/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, for |x| < 2²². Returns (n, r).
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    // ln 2 in two pieces: n times the first is exact.
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_375, x));
    ((shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32), r)
}

/// exp(r) − 1 for |r| ≤ ln 2 / 2 (Cephes' polynomial).
#[inline(always)]
fn expm1_reduced(r: f32) -> f32 {
    let mut p = 1.987_569_2e-4_f32;
    p = p.mul_add(r, 1.398_2e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 5.000_000_1e-1);
    p.mul_add(r * r, r)
}

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// eˣ. Exactly +0 below −87 (so that no result is subnormal), +∞ above 88.72.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (n, r) = reduce(x.clamp(-87.0, 88.8));
    // Two factors, because 2ⁿ alone would overflow for n = 128 while the result does not.
    let half = n >> 1;
    let y = (expm1_reduced(r) + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if x < -87.0 { 0.0 } else { y }
}

/// eˣ − 1, with full relative precision near 0.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let (n, r) = reduce(x.clamp(-87.0, 60.0));
    let scale = power_of_two(n);
    let y = expm1_reduced(r).mul_add(scale, scale - 1.0);
    // Above 60 the 1 is far below the last place.
    if x > 60.0 { exp(x) } else { y }
}

/// Natural logarithm of x > 0; −∞ at 0, NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 33_554_432.0 } else { x };
    // x = m·2ᵉ with m in [√½, √2).
    let bits = scaled.to_bits().wrapping_add(0x3f80_0000 - SQRT_HALF_BITS);
    let exponent = (bits >> 23) as i32 - 127;
    let e = exponent as f32 - if subnormal { 25.0 } else { 0.0 };
    let f = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF_BITS) - 1.0;
    let z = f * f;
    let mut p = 7.037_683_6e-2_f32;
    p = p.mul_add(f, -1.151_461e-1);
    p = p.mul_add(f, 1.167_699_87e-1);
    p = p.mul_add(f, -1.242_014_1e-1);
    p = p.mul_add(f, 1.424_932_3e-1);
    p = p.mul_add(f, -1.666_805_8e-1);
    p = p.mul_add(f, 2.000_071_5e-1);
    p = p.mul_add(f, -2.499_999_4e-1);
    p = p.mul_add(f, 3.333_333e-1);
    let tail = e.mul_add(-2.121_944_4e-4, (p * f).mul_add(z, -0.5 * z));
    let y = e.mul_add(0.693_359_375, f + tail);
    if x > 0.0 {
        if x < f32::INFINITY { y } else { x }
    } else if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    }
}

/// ln(1 + x) for x ≥ 0, with full relative precision near 0.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // What rounding 1 + x lost, brought back to first order.
    let lost = if x < f32::INFINITY { (x - (u - 1.0)) / u } else { 0.0 };
    ln(u) + lost
}

/// Hyperbolic tangent, |tanh| ≤ 1.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let large = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let z = x * x;
    let mut p = -5.704_988_6e-3_f32;
    p = p.mul_add(z, 2.063_908_8e-2);
    p = p.mul_add(z, -5.373_971_5e-2);
    p = p.mul_add(z, 1.333_144_2e-1);
    p = p.mul_add(z, -3.333_328_2e-1);
    let small = (p * z).mul_add(a, a);
    let y = if a < 0.625 { small } else { large };
    y.copysign(x)
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let positive = if x <= 0.0 { 0.0 } else { x };
    positive + log1p(exp(-x.abs()))
}

/// The error function (polynomials after N. Juffa).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    // From 4 on the result is 1.
    let a = x.abs();
    let t = if a > 4.0 { 4.0 } else { a };
    let s = t * t;
    let mut r = (-1.728_534_7e-5_f32).mul_add(t, 3.831_971_3e-4);
    let u = (-3.883_964_4e-3_f32).mul_add(t, 2.425_462_2e-2);
    r = r.mul_add(s, u);
    r = r.mul_add(t, -1.067_778_8e-1);
    r = r.mul_add(t, -6.348_467e-1);
    r = r.mul_add(t, -1.287_175_1e-1);
    r = r.mul_add(t, -t);
    let large = 1.0 - exp(r);
    let mut p = -5.967_617e-4_f32;
    p = p.mul_add(s, 4.991_194_2e-3);
    p = p.mul_add(s, -2.676_813_5e-2);
    p = p.mul_add(s, 1.128_199_25e-1);
    p = p.mul_add(s, -3.761_253_4e-1);
    p = p.mul_add(s, 1.283_791_7e-1);
    let small = p.mul_add(t, t);
    let y = if a > 0.927_734_4 { large } else { small };
    y.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the true value's f32.
    fn ulps(got: f32, truth: f64) -> f64 {
        let nearest = truth as f32;
        if got == nearest {
            return 0.0;
        }
        let exponent = libm::floor(libm::log2(truth.abs().max(f64::from(f32::MIN_POSITIVE)))) as i32;
        (f64::from(got) - truth).abs() / libm::ldexp(1.0, exponent - 23)
    }

    /// Every 997th of all f32 in a range, both ends included: a prime step visits all low bits.
    fn sweep(low: f32, high: f32) -> impl Iterator<Item = f32> {
        let order = |x: f32| {
            let bits = x.to_bits() as i32;
            if bits < 0 { i32::MIN - bits } else { bits }
        };
        let back = |n: i32| f32::from_bits(if n < 0 { (i32::MIN - n) as u32 } else { n as u32 });
        let (low, high) = (order(low), order(high));
        (low..=high).step_by(997).chain([high]).map(back)
    }

    type Case = (&'static str, fn(f32) -> f32, fn(f64) -> f64, f32, f32, f64);

    #[test]
    fn every_function_is_accurate() {
        let cases: &[Case] = &[
            ("exp", exp, libm::exp, -87.0, 88.72, 1.0),
            ("expm1", expm1, libm::expm1, -90.0, 88.72, 2.0),
            ("ln", ln, libm::log, 1e-44, f32::MAX, 1.0),
            ("log1p", log1p, libm::log1p, 0.0, f32::MAX, 2.0),
            ("tanh", tanh, libm::tanh, -30.0, 30.0, 2.0),
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), -86.0, 90.0, 3.0),
            ("softplus", softplus, |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs())), -86.0, 90.0, 2.0),
            ("erf", erf, libm::erf, -6.0, 6.0, 2.0),
        ];
        for (name, ours, truth, low, high, limit) in cases {
            let (worst, at) = sweep(*low, *high)
                .map(|x| (ulps(ours(x), truth(f64::from(x))), x))
                .fold((0.0, 0.0), |best, next| if next.0 > best.0 { next } else { best });
            println!("{name}: {worst:.3} ulp at {at:e}");
            assert!(worst <= *limit, "{name}({at:e}) is off by {worst} units in the last place");
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-87.1).to_bits(), 0, "+0, not −0 and not subnormal");
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(expm1(f32::NEG_INFINITY), -1.0);
        assert_eq!(expm1(f32::INFINITY), f32::INFINITY);
        assert_eq!((ln(1.0), ln(0.0), ln(f32::INFINITY)), (0.0, f32::NEG_INFINITY, f32::INFINITY));
        assert!(ln(-1.0).is_nan());
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert_eq!((softplus(f32::INFINITY), softplus(f32::NEG_INFINITY)), (f32::INFINITY, 0.0));
        assert_eq!((erf(f32::INFINITY), erf(f32::NEG_INFINITY), erf(0.0)), (1.0, -1.0, 0.0));
        for function in [exp, expm1, ln, log1p, tanh, sigmoid, softplus, erf] {
            assert!(function(f32::NAN).is_nan());
        }
        assert!(sweep(-100.0, 100.0).all(|x| tanh(x).abs() <= 1.0 && erf(x).abs() <= 1.0));
    }

    #[test]
    fn golden_vectors() {
        // Bits of the numerics version 1. When one changes, old records no longer replay.
        let points = [-3.7f32, -0.42, 1e-3, 0.9, 2.5];
        let bits: Vec<u32> = [exp, expm1, tanh, sigmoid, softplus, erf]
            .iter()
            .flat_map(|function| points.iter().map(|&x| function(x).to_bits()))
            .collect();
        let digest = crate::base::digest::bytes(&bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>());
        assert_eq!(digest, "blake3:643b8008400bc3206a85745998198d4db93134a202d5f801e93bed074084d10f");
    }
}
