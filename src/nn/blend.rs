//! A parametric activation, φ_a(t) = (1 − a)·t + a·φ(t) with a learned share a: at a = 0 it passes every value on.
//! Source: Wei et al. 2016 (Network Morphism).

use super::pass::Pieces;
use super::product::Learned;
use crate::tensor::kernels::{self, Function, flat, flat_mut};
use crate::tensor::{Batch, Compute, LANES, Line, Real, panels};
use smallvec::SmallVec;

#[derive(Clone)]
pub(super) struct Blend<T> {
    /// a: one number for the layer.
    pub share: Learned<T>,
    /// φ(t) of the last forward pass: [batch, out]
    pub curve: Vec<Line<T>>,
    /// Scratch of the backward pass, of the same size.
    pub slope: Vec<Line<T>>,
}

impl<T: Real> Blend<T> {
    pub fn a(&self) -> T {
        self.share.held.arrays.value.at(0, 0)
    }
}

/// y = t + a·(c − t), t and c being some lines of z and of φ(z).
pub(super) fn mix<T: Real>(a: T, t: &[Line<T>], c: &[Line<T>], y: &mut [Line<T>]) {
    for ((y, t), c) in y.iter_mut().zip(t).zip(c) {
        for lane in 0..LANES {
            y.0[lane] = t.0[lane] + a * (c.0[lane] - t.0[lane]);
        }
    }
}

/// ∂L/∂y in `d` becomes ∂L/∂z, and ∂L/∂a is found. `z`: what the activation read: [batch, out].
pub(super) fn backward<T: Real>(
    compute: &Compute,
    blend: &mut Blend<T>,
    function: Function,
    z: Batch<'_, T>,
    d: &mut [Line<T>],
    outputs: usize,
) {
    struct Part<'a, T> {
        panel: usize,
        d: &'a mut [Line<T>],
        slope: &'a mut [Line<T>],
        sum: f64,
    }
    let (path, a, rows) = (compute.path(), blend.a(), z.rows);
    let (stride, curve) = (panels::spaced(rows), Batch::new(&blend.curve, rows));
    let count = panels::panels(outputs);
    let mut parts: Pieces<Part<'_, T>> = SmallVec::new();
    let lines = d[..count * stride].chunks_mut(stride).zip(blend.slope[..count * stride].chunks_mut(stride));
    parts.extend(lines.enumerate().map(|(panel, (d, slope))| Part {
        panel,
        d: &mut d[..rows],
        slope: &mut slope[..rows],
        sum: 0.0,
    }));
    compute.each(&mut parts, |part| {
        let (t, c) = (z.panel(part.panel), curve.panel(part.panel));
        // Spare lanes hold no unit.
        let used = LANES.min(outputs - part.panel * LANES);
        let mut sums = [0.0; LANES];
        for ((d, t), c) in part.d.iter().zip(t).zip(c) {
            for (lane, sum) in sums.iter_mut().enumerate().take(used) {
                *sum += d.0[lane].to_f64() * (c.0[lane].to_f64() - t.0[lane].to_f64());
            }
        }
        part.sum = sums.iter().sum();
        part.slope.copy_from_slice(part.d);
        kernels::activate_backward(path, function, flat(t), flat_mut(part.slope));
        for (d, slope) in part.d.iter_mut().zip(&*part.slope) {
            for lane in 0..LANES {
                d.0[lane] = d.0[lane] + a * (slope.0[lane] - d.0[lane]);
            }
        }
    });
    let sum: f64 = parts.iter().map(|part| part.sum).sum();
    drop(parts);
    blend.share.d[0].0[0] = T::from_f64(sum);
}

/// One part of a batch through the activation: c = φ(z), y = z + a·(c − z).
pub(super) fn forward<T: Real>(
    path: kernels::Path,
    a: T,
    function: Function,
    z: &[Line<T>],
    curve: &mut [Line<T>],
    y: &mut [Line<T>],
) {
    kernels::activate(path, function, flat(z), flat_mut(curve));
    mix(a, z, curve, y);
}
