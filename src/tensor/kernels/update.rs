//! One step of an optimiser on entries whose gradient is at hand. Each tells whether every new value is finite.

use crate::tensor::{LANES, Line, Real};

kernel! {
    /// Adds `g[p, j]²` of one panel to `out[j]`, in f64 and in the order of the rows.
    fn squares<T: Real>(g: &[Line<T>], out: &mut [f64; LANES]) {
        for line in g {
            for (sum, g) in out.iter_mut().zip(&line.0) {
                let g = g.to_f64();
                *sum += g * g;
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
    fn sgd<T: Real>(rule: Sgd<T>, p: &mut [T], m: &mut [T], g: &[T]) -> bool {
        let mut finite = true;
        for ((p, m), &g) in p.iter_mut().zip(m).zip(g) {
            let g = rule.weight_decay.mul_add(*p, g * rule.scale);
            *m = settle(rule.momentum.mul_add(*m, g));
            let step = if rule.nesterov { rule.momentum.mul_add(*m, g) } else { *m };
            *p = (-rule.lr).mul_add(step, *p);
            finite &= p.is_finite();
        }
        finite
    }
}

kernel! {
    /// One step of SGD without momentum: p −= lr·(scale·g + wd·p).
    fn sgd_plain<T: Real>(rule: Sgd<T>, p: &mut [T], g: &[T]) -> bool {
        let mut finite = true;
        for (p, &g) in p.iter_mut().zip(g) {
            let g = rule.weight_decay.mul_add(*p, g * rule.scale);
            *p = (-rule.lr).mul_add(g, *p);
            finite &= p.is_finite();
        }
        finite
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
    fn adam<T: Real>(rule: Adam<T>, age: Correction<T>, p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) -> bool {
        let mut finite = true;
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            adam_entry(&rule, age, p, m, v, g);
            finite &= p.is_finite();
        }
        finite
    }
}

kernel! {
    /// One step of Adam on lines of one panel whose rows and columns have ages of their own. An entry is as old as
    /// its youngest index, and both corrections fall with age: so its correction is the larger of its row's and its
    /// column's. `rows`: one for each line. `columns`: first and second corrections of the panel's columns.
    fn adam_aged<T: Real>(
        rule: Adam<T>, rows: &[(f64, f64)], columns: &(Line<T>, Line<T>),
        p: &mut [Line<T>], m: &mut [Line<T>], v: &mut [Line<T>], g: &[Line<T>],
    ) -> bool {
        let mut finite = true;
        for ((((p, m), v), g), row) in p.iter_mut().zip(m).zip(v).zip(g).zip(rows) {
            let row = (T::from_f64(row.0), T::from_f64(row.1));
            for j in 0..LANES {
                let (c1, c2) = (columns.0.0[j], columns.1.0[j]);
                let c1 = if c1 > row.0 { c1 } else { row.0 };
                let c2 = if c2 > row.1 { c2 } else { row.1 };
                adam_entry(&rule, (c1, c2), &mut p.0[j], &mut m.0[j], &mut v.0[j], g.0[j]);
                finite &= p.0[j].is_finite();
            }
        }
        finite
    }
}
