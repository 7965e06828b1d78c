//! What happens to single numbers between two products: bias, activation and its slope, masks, sums over the
//! batch, softmax.

use crate::tensor::{BLOCK, LANES, Line, Real};

/// The activations as functions of one number. `nn::Activation` names them; this floor does not know it.
///
/// Largest error in f32 against the same formula in f64, over two million numbers from −30 to 30, in units in the
/// last place of the result (gelu and all slopes: of the result or 1, whichever is larger):
///
/// | | φ | φ′ |
/// |---|---|---|
/// | relu, linear | 0 | 0 |
/// | leaky_relu | 1 | 1 |
/// | gelu | 2 | 2 |
/// | silu | 3 | 9 |
/// | tanh | 2 | 2 |
/// | sigmoid | 3 | 1 |
/// | softplus | 2 | 1 |
/// | elu | 1 | 1 |
/// | selu | 2 | 2 |
///
/// Softmax: 10, from the rounding of z − max z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Relu,
    /// Slope 0.01 below 0.
    LeakyRelu,
    /// The exact one, by erf.
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
    Softplus,
    Elu,
    Selu,
    Linear,
}

const LEAK: f64 = 0.01;
/// SELU's λ and λ·α (Klambauer et al. 2017).
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

#[inline(always)]
fn normal_below<T: Real>(z: T) -> T {
    T::from_f64(0.5) * (T::ONE + (z * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

#[inline(always)]
fn map<T: Real>(z: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    for (y, &z) in y.iter_mut().zip(z) {
        *y = f(z);
    }
}

#[inline(always)]
fn map_slope<T: Real>(z: &[T], d: &mut [T], slope: impl Fn(T) -> T) {
    for (d, &z) in d.iter_mut().zip(z) {
        *d *= slope(z);
    }
}

// Comparisons are written `z <= 0` with the positive side last, so that a NaN passes through instead of
// turning into a harmless 0.

kernel! {
    /// Adds a line of the bias to every line of its panel.
    fn add_bias<T: Real>(bias: &Line<T>, z: &mut [Line<T>]) {
        for z in z {
            for (z, &b) in z.0.iter_mut().zip(&bias.0) {
                *z += b;
            }
        }
    }
}

kernel! {
    /// y = φ(z), element by element.
    fn activate<T: Real>(function: Function, z: &[T], y: &mut [T]) {
        match function {
            Function::Relu => map(z, y, |z| if z <= T::ZERO { T::ZERO } else { z }),
            Function::LeakyRelu => map(z, y, |z| if z <= T::ZERO { z * T::from_f64(LEAK) } else { z }),
            Function::Gelu => map(z, y, |z| z * normal_below(z)),
            Function::Silu => map(z, y, |z| z * z.sigmoid()),
            Function::Tanh => map(z, y, T::tanh),
            Function::Sigmoid => map(z, y, T::sigmoid),
            Function::Softplus => map(z, y, T::softplus),
            Function::Elu => map(z, y, |z| if z <= T::ZERO { z.expm1() } else { z }),
            Function::Selu => map(z, y, |z| {
                let below = T::from_f64(SELU_SCALE * SELU_ALPHA) * z.expm1();
                if z <= T::ZERO { below } else { z * T::from_f64(SELU_SCALE) }
            }),
            Function::Linear => y.copy_from_slice(z),
        }
    }
}

kernel! {
    /// d ← d·φ′(z), element by element. ReLU′(0) = 0.
    fn activate_backward<T: Real>(function: Function, z: &[T], d: &mut [T]) {
        match function {
            Function::Relu => {
                for (d, &z) in d.iter_mut().zip(z) {
                    *d = if z <= T::ZERO { T::ZERO } else { *d };
                }
            }
            Function::LeakyRelu => map_slope(z, d, |z| if z <= T::ZERO { T::from_f64(LEAK) } else { T::ONE }),
            Function::Gelu => map_slope(z, d, |z| {
                // φ′ = Φ(z) + z·N(z), N the density of the standard normal.
                let density = (z * z * T::from_f64(-0.5)).exp() * T::from_f64(0.398_942_280_401_432_7);
                z.mul_add(density, normal_below(z))
            }),
            Function::Silu => map_slope(z, d, |z| {
                let s = z.sigmoid();
                s * z.mul_add(T::ONE - s, T::ONE)
            }),
            Function::Tanh => map_slope(z, d, |z| {
                let t = z.tanh();
                T::ONE - t * t
            }),
            Function::Sigmoid => map_slope(z, d, |z| {
                let s = z.sigmoid();
                s * (T::ONE - s)
            }),
            Function::Softplus => map_slope(z, d, T::sigmoid),
            Function::Elu => map_slope(z, d, |z| {
                let below = z.exp();
                if z <= T::ZERO { below } else { T::ONE }
            }),
            Function::Selu => map_slope(z, d, |z| {
                let below = z.exp() * T::from_f64(SELU_SCALE * SELU_ALPHA);
                if z <= T::ZERO { below } else { T::from_f64(SELU_SCALE) }
            }),
            Function::Linear => {}
        }
    }
}

kernel! {
    /// y ← y + more, element by element.
    fn add<T: Real>(more: &[T], y: &mut [T]) {
        for (y, &more) in y.iter_mut().zip(more) {
            *y += more;
        }
    }
}

kernel! {
    /// y ← y·by, element by element.
    fn multiply<T: Real>(by: &[T], y: &mut [T]) {
        for (y, &by) in y.iter_mut().zip(by) {
            *y *= by;
        }
    }
}

kernel! {
    /// Sums over the batch, Σ_i d\[i, j\] of one panel, in blocks of 256 rows, each a chain from +0, block sums added
    /// in order.
    fn sum_rows<T: Real>(d: &[Line<T>]) -> Line<T> {
        let mut total = Line::ZERO;
        for rows in d.chunks(BLOCK) {
            let mut sums = Line::<T>::ZERO;
            for row in rows {
                for (sum, &d) in sums.0.iter_mut().zip(&row.0) {
                    *sum += d;
                }
            }
            for (total, &sum) in total.0.iter_mut().zip(&sums.0) {
                *total += sum;
            }
        }
        total
    }
}

kernel! {
    /// `e[j] = exp(z[j] − max z)` of one row. Returns (max z, Σ e). The sum runs in 16 lanes (index mod 16), which
    /// are then added pairwise: 8 apart, 4, 2, 1.
    fn softmax<T: Real>(z: &[T], e: &mut [T]) -> (T, T) {
        let mut max = z[0];
        for &z in z {
            max = if z > max { z } else { max };
        }
        for (e, &z) in e.iter_mut().zip(z) {
            *e = (z - max).exp();
        }
        let mut lanes = [T::ZERO; LANES];
        for part in e.chunks(LANES) {
            for (lane, &e) in lanes.iter_mut().zip(part) {
                *lane += e;
            }
        }
        let mut apart = LANES / 2;
        while apart > 0 {
            for lane in 0..apart {
                let other = lanes[lane + apart];
                lanes[lane] += other;
            }
            apart /= 2;
        }
        (max, lanes[0])
    }
}
