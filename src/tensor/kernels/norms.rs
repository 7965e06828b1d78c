//! A batch norm over rows of one panel: its sums, wide, and what it makes of every number.

use crate::tensor::{LANES, Line};

kernel! {
    /// Σ u of every lane in f64, in order.
    fn sum_wide<T: Real>(u: &[Line<T>]) -> [f64; LANES] {
        let mut sums = [0.0; LANES];
        for u in u {
            for (sum, u) in sums.iter_mut().zip(&u.0) {
                *sum += u.to_f64();
            }
        }
        sums
    }
}

kernel! {
    /// Σ (u − mean)² of every lane in f64, in order.
    fn sum_squares_apart<T: Real>(u: &[Line<T>], mean: &[f64; LANES]) -> [f64; LANES] {
        let mut sums = [0.0; LANES];
        for u in u {
            for lane in 0..LANES {
                let apart = u.0[lane].to_f64() - mean[lane];
                sums[lane] += apart * apart;
            }
        }
        sums
    }
}

kernel! {
    /// z = (u − mean)·inverse·gain + shift, each operation rounded once.
    fn normalise<T: Real>(
        u: &[Line<T>],
        mean: Line<T>,
        inverse: Line<T>,
        gain: &Line<T>,
        shift: Option<&Line<T>>,
        z: &mut [Line<T>],
    ) {
        match shift {
            Some(shift) => {
                for (z, u) in z.iter_mut().zip(u) {
                    for lane in 0..LANES {
                        let scaled = (u.0[lane] - mean.0[lane]) * inverse.0[lane] * gain.0[lane];
                        z.0[lane] = scaled + shift.0[lane];
                    }
                }
            }
            None => {
                for (z, u) in z.iter_mut().zip(u) {
                    for lane in 0..LANES {
                        z.0[lane] = (u.0[lane] - mean.0[lane]) * inverse.0[lane] * gain.0[lane];
                    }
                }
            }
        }
    }
}

kernel! {
    /// Σ d·x̂ and Σ d of every lane in f64, in order, with x̂ = (u − mean)·inverse.
    fn sum_normalised<T: Real>(
        d: &[Line<T>],
        u: &[Line<T>],
        mean: Line<T>,
        inverse: Line<T>,
    ) -> [[f64; LANES]; 2] {
        let (mut products, mut plain) = ([0.0; LANES], [0.0; LANES]);
        for (d, u) in d.iter().zip(u) {
            for lane in 0..LANES {
                let x = (u.0[lane] - mean.0[lane]) * inverse.0[lane];
                products[lane] += d.0[lane].to_f64() * x.to_f64();
                plain[lane] += d.0[lane].to_f64();
            }
        }
        [products, plain]
    }
}

kernel! {
    /// d ← inverse·gain·(d − (along.1 + x̂·along.0)·share); without a share only inverse·gain·d.
    fn normalise_backward<T: Real>(
        u: &[Line<T>],
        mean: Line<T>,
        inverse: Line<T>,
        gain: &Line<T>,
        along: (&Line<T>, &Line<T>),
        share: Option<T>,
        d: &mut [Line<T>],
    ) {
        match share {
            Some(share) => {
                for (d, u) in d.iter_mut().zip(u) {
                    for lane in 0..LANES {
                        let x = (u.0[lane] - mean.0[lane]) * inverse.0[lane];
                        let rest = (along.1.0[lane] + x * along.0.0[lane]) * share;
                        d.0[lane] = inverse.0[lane] * gain.0[lane] * (d.0[lane] - rest);
                    }
                }
            }
            None => {
                for d in d {
                    for lane in 0..LANES {
                        d.0[lane] = inverse.0[lane] * gain.0[lane] * d.0[lane];
                    }
                }
            }
        }
    }
}
