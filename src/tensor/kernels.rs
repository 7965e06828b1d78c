//! Elementwise work, compiled once per instruction set from one source.
//!
//! Without the `fma` feature at compile time `mul_add` is a call into the C library, some thirty times slower
//! than the instruction. So each kernel here has its body inlined into clones for AVX-512 and for AVX2 with
//! FMA, chosen at run time; the body itself is the naive twin and the portable path. All three give the same
//! bits, because the body fixes every operation and its order (`tests/it/engine.rs` compares them).
#![allow(unsafe_code)]

use super::compute::Simd;
use super::{BLOCK, Real};

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
        pub fn $name<T: Real>(path: Path, $($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body<T: Real>($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512<T: Real>($($arg: $type),*) $(-> $out)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: Real>($($arg: $type),*) $(-> $out)? {
                    body($($arg),*)
                }
                match path.instructions {
                    // SAFETY: `Path::detect` is the only maker of a `Path`, and it has found these features.
                    Instructions::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Instructions::Avx2 => return unsafe { avx2($($arg),*) },
                    Instructions::Baseline => {}
                }
            }
            let _ = path;
            body($($arg),*)
        }
    };
}

/// The activations as functions of one number. `nn::Activation` names them; this floor does not know it.
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
    /// Adds a bias to rows: `z[i, j] += bias[j]`. z: \[rows, width of `bias`\].
    fn add_bias<T: Real>(bias: &[T], z: &mut [T]) {
        for row in z.chunks_exact_mut(bias.len()) {
            for (z, &b) in row.iter_mut().zip(bias) {
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
    /// y ← y·by, element by element.
    fn multiply<T: Real>(by: &[T], y: &mut [T]) {
        for (y, &by) in y.iter_mut().zip(by) {
            *y *= by;
        }
    }
}

kernel! {
    /// Sums over rows (the batch): `out[j] = Σ_i d[i, j]`, in blocks of 256 rows, each a chain from +0, block
    /// sums added in order. d: [rows, out.len()]; `block` is scratch of out's length.
    fn sum_rows<T: Real>(d: &[T], block: &mut [T], out: &mut [T]) {
        let width = out.len();
        out.fill(T::ZERO);
        if width == 0 {
            return;
        }
        for rows in d.chunks(BLOCK * width) {
            block.fill(T::ZERO);
            for row in rows.chunks_exact(width) {
                for (sum, &d) in block.iter_mut().zip(row) {
                    *sum += d;
                }
            }
            for (out, &sum) in out.iter_mut().zip(&*block) {
                *out += sum;
            }
        }
    }
}

/// Virtual lanes of a sum across features.
const LANES: usize = 16;

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

kernel! {
    /// `out[i] = Σ_j g[i, j]²` in f64, each in index order. g: `[out.len(), width]`. Eight rows at a time, because
    /// one such chain alone waits for its own additions.
    fn squares<T: Real>(g: &[T], width: usize, out: &mut [f64]) {
        const ROWS: usize = 8;
        for (rows, out) in g.chunks(ROWS * width.max(1)).zip(out.chunks_mut(ROWS)) {
            if out.len() == ROWS {
                let mut sums = [0.0f64; ROWS];
                for j in 0..width {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let g = rows[i * width + j].to_f64();
                        *sum += g * g;
                    }
                }
                out.copy_from_slice(&sums);
            } else {
                for (row, out) in rows.chunks(width).zip(out) {
                    *out = row.iter().fold(0.0, |sum, g| sum + g.to_f64() * g.to_f64());
                }
            }
        }
    }
}

/// Below this an optimiser's moment is written as +0: a decayed moment otherwise sticks among the subnormals.
const MOMENT_MIN: f64 = 1.0 / (1u128 << 100) as f64;

#[inline(always)]
fn settle<T: Real>(moment: T) -> T {
    if moment.abs() < T::from_f64(MOMENT_MIN) { T::ZERO } else { moment }
}

/// Constants of one step of SGD.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<T> {
    pub lr: T,
    pub momentum: T,
    pub nesterov: bool,
    pub weight_decay: T,
    /// What every gradient is multiplied by first: clipping.
    pub scale: T,
}

kernel! {
    /// One step of SGD with momentum: g = scale·g + wd·p; m = μ·m + g; p −= lr·(m, or g + μ·m for Nesterov).
    fn sgd<T: Real>(rule: Sgd<T>, p: &mut [T], m: &mut [T], g: &[T]) {
        for ((p, m), &g) in p.iter_mut().zip(m).zip(g) {
            let g = rule.weight_decay.mul_add(*p, g * rule.scale);
            *m = settle(rule.momentum.mul_add(*m, g));
            let step = if rule.nesterov { rule.momentum.mul_add(*m, g) } else { *m };
            *p = (-rule.lr).mul_add(step, *p);
        }
    }
}

kernel! {
    /// One step of SGD without momentum: p −= lr·(scale·g + wd·p).
    fn sgd_plain<T: Real>(rule: Sgd<T>, p: &mut [T], g: &[T]) {
        for (p, &g) in p.iter_mut().zip(g) {
            let g = rule.weight_decay.mul_add(*p, g * rule.scale);
            *p = (-rule.lr).mul_add(g, *p);
        }
    }
}

/// Constants of one step of Adam.
#[derive(Clone, Copy, Debug)]
pub struct Adam<T> {
    pub lr: T,
    pub beta1: T,
    pub beta2: T,
    /// 1 − β1 and 1 − β2, rounded once from f64.
    pub fresh1: T,
    pub fresh2: T,
    pub epsilon: T,
    /// 1 − lr·weight decay: what a decoupled decay leaves of a value.
    pub keep: T,
    pub scale: T,
}

/// Bias corrections of an entry's age: (1/(1 − β1ᵃ), 1/√(1 − β2ᵃ)). Both fall with age.
pub type Correction<T> = (T, T);

#[inline(always)]
fn adam_entry<T: Real>(rule: &Adam<T>, correction: Correction<T>, p: &mut T, m: &mut T, v: &mut T, g: T) {
    let g = g * rule.scale;
    *m = settle(rule.beta1.mul_add(*m, rule.fresh1 * g));
    *v = settle(rule.beta2.mul_add(*v, rule.fresh2 * (g * g)));
    let root = v.sqrt().mul_add(correction.1, rule.epsilon);
    let step = (*m * correction.0) / root;
    *p = (-rule.lr).mul_add(step, *p * rule.keep);
}

kernel! {
    /// One step of Adam on entries of one age.
    fn adam<T: Real>(rule: Adam<T>, age: Correction<T>, p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            adam_entry(&rule, age, p, m, v, g);
        }
    }
}

kernel! {
    /// One step of Adam on one row whose columns have ages of their own. An entry is as old as its youngest
    /// index, and both corrections fall with age: so its correction is the larger of its row's and its column's.
    fn adam_aged<T: Real>(
        rule: Adam<T>, row: Correction<T>, columns: &[(f64, f64)], p: &mut [T], m: &mut [T], v: &mut [T], g: &[T],
    ) {
        for ((((p, m), v), &g), column) in p.iter_mut().zip(m).zip(v).zip(g).zip(columns) {
            let (c1, c2) = (T::from_f64(column.0), T::from_f64(column.1));
            let c1 = if c1 > row.0 { c1 } else { row.0 };
            let c2 = if c2 > row.1 { c2 } else { row.1 };
            adam_entry(&rule, (c1, c2), p, m, v, g);
        }
    }
}
