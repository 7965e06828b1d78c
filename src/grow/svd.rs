//! The left singular vectors of a small dense matrix, in f64, the same bits everywhere.
//!
//! One-sided Jacobi (Hestenes 1958): pairs of vectors are turned against each other until all are orthogonal. It is
//! slower than bidiagonalisation and finds small singular values to more places; the order of its operations is
//! fixed, which no library promises.

use ndarray::{Array2, ArrayView2};

/// Passes over all pairs. Convergence is quadratic: 6 to 10 are what matrices need; a pass that turns nothing ends
/// it, because none after it would.
const SWEEPS: usize = 40;

/// M ≈ Σ σ_i·u_i·v_iᵀ, as far as growth asks.
#[derive(Clone, Debug)]
pub struct LeftSingular {
    /// Falling. As many as the shorter side of M.
    pub values: Vec<f64>,
    /// [rows of M, values]: column i is u_i, its largest component positive. Columns of values that are 0 in
    /// f64 are 0 where M has more rows than columns.
    pub vectors: Array2<f64>,
    pub flops: u64,
}

impl LeftSingular {
    /// How many singular values are more than rounding, for a matrix that was summed from f32 numbers:
    /// σ_i > σ_1·max(rows, columns)·2⁻²³, as NumPy's `matrix_rank` for f32.
    pub fn rank(&self, columns: usize) -> usize {
        let largest = self.values.first().copied().unwrap_or(0.0);
        let least = largest * self.vectors.nrows().max(columns) as f64 * f64::from(f32::EPSILON);
        self.values.iter().filter(|&&value| value > least).count()
    }
}

/// The left singular vectors of `m`. What is not finite gives vectors that are not; nothing panics.
pub fn left_singular(m: ArrayView2<'_, f64>) -> LeftSingular {
    let (rows, columns) = m.dim();
    let mut flops = 0;
    // The vectors that are turned are those of the shorter side. Where these are the rows of M, the turns themselves
    // make up U: R·M has orthogonal rows, so M = Rᵀ·(diagonal · orthonormal). Else U is what becomes of the columns.
    let by_rows = rows <= columns;
    let (count, length) = (rows.min(columns), rows.max(columns));
    let short = if by_rows { m } else { m.t() };
    let mut vectors: Vec<Vec<f64>> = short.outer_iter().map(|vector| vector.to_vec()).collect();
    let tolerance = (length as f64).sqrt() * f64::EPSILON;
    let mut turns: Vec<Vec<f64>> = if by_rows { identity(count) } else { Vec::new() };
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..count {
            for q in p + 1..count {
                flops += 6 * length as u64;
                let (a, b) = (dot(&vectors[p], &vectors[p]), dot(&vectors[q], &vectors[q]));
                let c = dot(&vectors[p], &vectors[q]);
                // Also false where one of them is not a number.
                let apart = c.abs() > tolerance * (a * b).sqrt();
                if !apart {
                    continue;
                }
                turned = true;
                let zeta = (b - a) / (2.0 * c);
                let t = f64::copysign(1.0, zeta) / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + t * t).sqrt();
                let sine = cosine * t;
                for set in [&mut vectors, &mut turns] {
                    if let Ok([x, y]) = set.get_disjoint_mut([p, q]) {
                        flops += 6 * x.len() as u64;
                        turn(x, y, cosine, sine);
                    }
                }
            }
        }
        if !turned {
            break;
        }
    }
    let norms: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    // Of equals the earlier stays earlier.
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    let mut left = Array2::zeros((rows, count));
    for (mut column, &from) in left.columns_mut().into_iter().zip(&order) {
        let (vector, scale) = if by_rows { (&turns[from], 1.0) } else { (&vectors[from], norms[from]) };
        if scale == 0.0 {
            continue;
        }
        let sign = f64::copysign(1.0, largest(vector));
        column.iter_mut().zip(vector).for_each(|(into, x)| *into = sign * x / scale);
    }
    LeftSingular { values: order.iter().map(|&at| norms[at]).collect(), vectors: left, flops }
}

fn identity(count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|row| (0..count).map(|column| f64::from(u8::from(row == column))).collect()).collect()
}

fn turn(x: &mut [f64], y: &mut [f64], cosine: f64, sine: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// In eight chains, in an order that does not depend on the machine.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x, y) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest = x.remainder().iter().zip(y.remainder()).fold(0.0, |sum, (x, y)| sum + x * y);
    for (x, y) in x.zip(y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().fold(rest, |sum, part| sum + part)
}

/// The component of the largest magnitude; of equals the first.
fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest: f64, &x| if x.abs() > largest.abs() { x } else { largest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::{Purpose, Stream};

    fn random(rows: usize, columns: usize) -> Array2<f64> {
        let mut stream = Stream::new(5, Purpose::Data, "matrix", 0);
        let mut draws = stream.row(rows as u64);
        Array2::from_shape_simple_fn((rows, columns), || draws.normal())
    }

    /// Largest |a − b|.
    fn gap(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b).iter().fold(0.0, |largest, x| f64::max(largest, x.abs()))
    }

    #[test]
    fn vectors_are_orthonormal_and_make_up_the_matrix() {
        for (rows, columns) in [(1, 1), (1, 6), (6, 1), (5, 9), (9, 5), (8, 8), (10, 64), (64, 10), (33, 33)] {
            let m = random(rows, columns);
            let LeftSingular { values, vectors, .. } = left_singular(m.view());
            let count = rows.min(columns);
            assert_eq!((values.len(), vectors.dim()), (count, (rows, count)));
            // A few hundred roundings of numbers of order 10 in f64.
            let tolerance = 1e-12;
            assert!(gap(&vectors.t().dot(&vectors), &Array2::eye(count)) < tolerance, "{rows}×{columns}");
            // U·Uᵀ·M = M: U spans every column. And ‖uᵢᵀM‖ = σᵢ, pairwise orthogonal.
            let across = vectors.t().dot(&m);
            assert!(gap(&vectors.dot(&across), &m) < tolerance, "{rows}×{columns}");
            let squares = Array2::from_diag(&values.iter().map(|value| value * value).collect::<ndarray::Array1<_>>());
            assert!(gap(&across.dot(&across.t()), &squares) < 100.0 * tolerance, "{rows}×{columns}");
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "{values:?}");
            for vector in vectors.columns() {
                assert!(largest(&vector.to_vec()) > 0.0, "the largest component is positive");
            }
        }
    }

    #[test]
    fn a_diagonal_is_its_own_answer() {
        let m = ndarray::array![[0.0, -3.0, 0.0], [5.0, 0.0, 0.0]];
        let LeftSingular { values, vectors, .. } = left_singular(m.view());
        assert_eq!((values, vectors), (vec![5.0, 3.0], ndarray::array![[0.0, 1.0], [1.0, 0.0]]));
    }

    #[test]
    fn rank_is_what_is_more_than_rounding() {
        for (rows, columns, rank) in [(7, 12, 3), (12, 7, 3), (6, 6, 1), (5, 5, 5), (4, 4, 0)] {
            let m = random(rows, rank).dot(&random(columns, rank).t());
            // As if it had been summed from f32 numbers.
            let m = m.mapv(|x| f64::from(x as f32));
            let found = left_singular(m.view());
            assert_eq!(found.rank(columns), rank, "{rows}×{columns}: {:?}", found.values);
            let spanned = found.vectors.slice(ndarray::s![.., ..rank]);
            // f32's rounding of numbers of order 10.
            assert!(gap(&spanned.dot(&spanned.t().dot(&m)), &m) < 1e-5);
        }
    }

    #[test]
    fn nothing_and_what_is_not_a_number_end() {
        for (rows, columns) in [(3, 5), (5, 3), (0, 4), (4, 0)] {
            let found = left_singular(Array2::zeros((rows, columns)).view());
            assert_eq!(found.rank(columns), 0);
            assert!(found.values.iter().all(|&value| value == 0.0));
        }
        let broken = left_singular(Array2::from_elem((3, 4), f64::NAN).view());
        assert_eq!(broken.rank(4), 0, "no comparison with it holds");
        left_singular(Array2::from_elem((3, 4), f64::INFINITY).view());
    }

    #[test]
    fn scale_does_not_matter_to_the_vectors() {
        let m = random(6, 9);
        let (plain, small) = (left_singular(m.view()), left_singular((&m * 2f64.powi(-60)).view()));
        // Powers of two round nothing.
        assert_eq!(plain.vectors, small.vectors);
        assert!(plain.values.iter().zip(&small.values).all(|(a, b)| a * 2f64.powi(-60) == *b));
    }
}
