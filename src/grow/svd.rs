//! The left singular vectors of a small dense matrix, in f64, the same bits everywhere.
//!
//! A triangle by Householder reflections, then one-sided Jacobi (Hestenes 1958): pairs of vectors are turned against
//! each other until all are orthogonal. The order of its operations is fixed, which no library promises.
//!
//! The triangle is what makes it fast (Drmač and Veselić 2008): M = P·L·Qᵀ, where P takes the longest row that is
//! left, has the left singular vectors of P·L. The columns of L are no more than M has rank, and turning columns makes U
//! itself, so no turn is written down. They are first turned by the eigenvectors of LᵀL, which a tridiagonal form finds
//! quickly but, of small values, not to all places (Golub and Van Loan, Matrix Computations, 8.3): what is left to Jacobi
//! is one or two sweeps, and the result is Jacobi's.

use ndarray::{Array2, ArrayView2};

/// Passes over all pairs. Convergence is quadratic: 4 to 10 are what matrices need; a pass that turns nothing ends
/// it, because none after it would.
const SWEEPS: usize = 40;

/// Vectors that meet each next one together, so that it comes from memory once for all of them. Turns of different
/// vectors commute: the bits are those of one at a time.
const TOGETHER: usize = 16;

/// Components of all vectors that go through many turns together: those of a thousand vectors fit the cache.
const COMPONENTS: usize = 16;

/// M ≈ Σ σ_i·u_i·v_iᵀ, as far as growth asks.
#[derive(Clone, Debug)]
pub struct LeftSingular {
    /// Falling. As many as the shorter side of M.
    pub values: Vec<f64>,
    /// [rows of M, values]: column i is u_i, its largest component positive. Columns of values that are 0 in
    /// f64 are 0.
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

/// The left singular vectors of `m`. Of what is not finite nothing is finite; nothing panics.
pub fn left_singular(m: ArrayView2<'_, f64>) -> LeftSingular {
    let (rows, columns) = m.dim();
    let count = rows.min(columns);
    if m.iter().any(|x| !x.is_finite()) {
        return LeftSingular {
            values: vec![f64::NAN; count],
            vectors: Array2::from_elem((rows, count), f64::NAN),
            flops: 0,
        };
    }
    let Triangle { columns: mut vectors, order: places, mut flops } = triangle(m);
    flops += make_nearly_orthogonal(&mut vectors);
    flops += make_orthogonal(&mut vectors);
    let norms: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
    let mut order: Vec<usize> = (0..vectors.len()).collect();
    // Of equals the earlier stays earlier.
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    let mut left = Array2::zeros((rows, count));
    for (mut column, &from) in left.columns_mut().into_iter().zip(&order) {
        if norms[from] == 0.0 {
            continue;
        }
        let mut vector = vec![0.0; rows];
        places.iter().zip(&vectors[from]).for_each(|(&place, x)| vector[place] = x / norms[from]);
        let sign = f64::copysign(1.0, largest(&vector));
        column.iter_mut().zip(&vector).for_each(|(into, x)| *into = sign * x);
    }
    let mut values: Vec<f64> = order.iter().map(|&at| norms[at]).collect();
    values.resize(count, 0.0);
    LeftSingular { values, vectors: left, flops }
}

/// M = P·L·Qᵀ with Q orthogonal, which nobody asks for.
struct Triangle {
    /// Those of L, each as long as M has rows; as many as M has rank, but for rounding.
    columns: Vec<Vec<f64>>,
    /// The row of M that each row of L is.
    order: Vec<usize>,
    flops: u64,
}

/// Row by row, the longest first, is reflected onto what the rows before it leave free.
fn triangle(m: ArrayView2<'_, f64>) -> Triangle {
    let mut rows: Vec<Vec<f64>> = m.outer_iter().map(|row| row.to_vec()).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Squares of what of each row is not yet in the triangle.
    let mut squares: Vec<f64> = rows.iter().map(|row| dot(row, row)).collect();
    let mut flops = 2 * m.len() as u64;
    let (mut rank, mut first) = (0, 0.0);
    while rank < m.nrows().min(m.ncols()) {
        let mut longest = rank;
        for at in rank..rows.len() {
            if squares[at] > squares[longest] {
                longest = at;
            }
        }
        let norm = squares[longest].sqrt();
        if rank == 0 {
            first = norm;
        }
        // What is left of all rows is the rounding of the first.
        if norm <= first * m.nrows().max(m.ncols()) as f64 * f64::EPSILON {
            break;
        }
        rows.swap(rank, longest);
        order.swap(rank, longest);
        squares.swap(rank, longest);
        let (done, others) = rows.split_at_mut(rank + 1);
        let row = &mut done[rank];
        let mut normal = row.split_off(rank);
        let diagonal = -f64::copysign(norm, normal[0]);
        row.push(diagonal);
        normal[0] -= diagonal;
        let scale = 1.0 / (norm * normal[0].abs());
        for (row, square) in others.iter_mut().zip(&mut squares[rank + 1..]) {
            let rest = &mut row[rank..];
            let along = scale * dot(rest, &normal);
            rest.iter_mut().zip(&normal).for_each(|(x, normal)| *x -= along * normal);
            *square = dot(&rest[1..], &rest[1..]);
        }
        flops += 6 * (others.len() * normal.len()) as u64;
        rank += 1;
    }
    let entry = |row: &Vec<f64>, column: usize| row.get(column).copied().unwrap_or(0.0);
    let columns = (0..rank).map(|column| rows.iter().map(|row| entry(row, column)).collect()).collect();
    Triangle { columns, order, flops }
}

/// Turns vectors by the eigenvectors of their products with each other: the large ones are then orthogonal, the small
/// ones as far as squares can tell. Gives the operations that it took.
fn make_nearly_orthogonal(vectors: &mut [Vec<f64>]) -> u64 {
    let (count, length) = (vectors.len(), vectors.first().map_or(0, Vec::len));
    let mut products = vec![vec![0.0; count]; count];
    for p in 0..count {
        for q in p..count {
            let product = dot(&vectors[p], &vectors[q]);
            (products[p][q], products[q][p]) = (product, product);
        }
    }
    let mut flops = (count * count * length) as u64;
    // Reflections of both sides bring the products to three diagonals; the vectors are reflected alike.
    let (mut diagonal, mut beside) = (vec![0.0; count], vec![0.0; count]);
    let mut sum = vec![0.0; length];
    for at in 0..count {
        let (done, rest) = products.split_at_mut(at + 1);
        let row = &done[at];
        diagonal[at] = row[at];
        let mut normal = row[at + 1..].to_vec();
        beside[at] = normal.first().copied().unwrap_or(0.0);
        let norm = dot(&normal, &normal).sqrt();
        if normal.len() < 2 || norm == 0.0 {
            continue;
        }
        beside[at] = -f64::copysign(norm, normal[0]);
        normal[0] -= beside[at];
        let scale = 1.0 / (norm * normal[0].abs());
        let mut along: Vec<f64> = rest.iter().map(|row| scale * dot(&row[at + 1..], &normal)).collect();
        let half = 0.5 * scale * dot(&along, &normal);
        along.iter_mut().zip(&normal).for_each(|(along, normal)| *along -= half * normal);
        for (row, (&n, &a)) in rest.iter_mut().zip(normal.iter().zip(&along)) {
            for (x, (normal, along)) in row[at + 1..].iter_mut().zip(normal.iter().zip(&along)) {
                *x -= n * along + a * normal;
            }
        }
        sum.fill(0.0);
        for (vector, &n) in vectors[at + 1..].iter().zip(&normal) {
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += n * x);
        }
        for (vector, &n) in vectors[at + 1..].iter_mut().zip(&normal) {
            let n = scale * n;
            vector.iter_mut().zip(&sum).for_each(|(x, sum)| *x -= n * sum);
        }
        flops += (normal.len() * (6 * normal.len() + 4 * length)) as u64;
    }
    let turns = diagonalise(&mut diagonal, &mut beside);
    flops += (6 * turns.len() * length) as u64;
    // A few components of all vectors at a time, which stay in the cache through all turns; the bits are those of whole
    // vectors.
    let mut held = vec![[0.0; COMPONENTS]; count];
    for start in (0..length).step_by(COMPONENTS) {
        let end = length.min(start + COMPONENTS);
        for (held, vector) in held.iter_mut().zip(&*vectors) {
            held[..end - start].copy_from_slice(&vector[start..end]);
        }
        for &Turn { at, cosine, sine } in &turns {
            if let Ok([x, y]) = held.get_disjoint_mut([at, at + 1]) {
                turn(x, y, cosine, sine);
            }
        }
        for (held, vector) in held.iter().zip(&mut *vectors) {
            vector[start..end].copy_from_slice(&held[..end - start]);
        }
    }
    flops
}

/// Of the vectors `at` and `at + 1`.
struct Turn {
    at: usize,
    cosine: f64,
    sine: f64,
}

/// QL with implicit shifts, for symmetric matrices of three diagonals: the turns that leave the middle one.
fn diagonalise(diagonal: &mut [f64], beside: &mut [f64]) -> Vec<Turn> {
    let (count, mut turns) = (diagonal.len(), Vec::new());
    for first in 0..count {
        // Two or three are what values need; what is not done then is left to Jacobi.
        for _ in 0..SWEEPS {
            let apart = |at: usize| beside[at].abs() <= f64::EPSILON * (diagonal[at].abs() + diagonal[at + 1].abs());
            let last = (first..count - 1).find(|&at| apart(at)).unwrap_or(count - 1);
            if last == first {
                break;
            }
            let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
            let root = f64::copysign((half * half + 1.0).sqrt(), half);
            let mut g = diagonal[last] - diagonal[first] + beside[first] / (half + root);
            let (mut sine, mut cosine, mut shift, mut split) = (1.0, 1.0, 0.0, false);
            for at in (first..last).rev() {
                let (f, b) = (sine * beside[at], cosine * beside[at]);
                let r = (f * f + g * g).sqrt();
                beside[at + 1] = r;
                if r == 0.0 {
                    diagonal[at + 1] -= shift;
                    split = true;
                    break;
                }
                (sine, cosine) = (f / r, g / r);
                g = diagonal[at + 1] - shift;
                let r = (diagonal[at] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                diagonal[at + 1] = g + shift;
                g = cosine * r - b;
                turns.push(Turn { at, cosine, sine });
            }
            if !split {
                diagonal[first] -= shift;
                beside[first] = g;
            }
            beside[last] = 0.0;
        }
    }
    turns
}

/// Turns pairs of vectors until all are orthogonal. Gives the operations that it took.
fn make_orthogonal(vectors: &mut [Vec<f64>]) -> u64 {
    let length = vectors.first().map_or(0, Vec::len);
    let tolerance = (length as f64).sqrt() * f64::EPSILON;
    let mut flops = 0;
    for _ in 0..SWEEPS {
        // Followed through the turns, and fresh in each sweep, before roundings add up.
        let mut squares: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector)).collect();
        let mut turned = false;
        for block in (0..vectors.len()).step_by(TOGETHER) {
            for q in block + 1..vectors.len() {
                for p in block..q.min(block + TOGETHER) {
                    let Ok([x, y]) = vectors.get_disjoint_mut([p, q]) else { continue };
                    let (a, b) = (squares[p], squares[q]);
                    let c = dot(x, y);
                    flops += 2 * length as u64;
                    if c.abs() <= tolerance * a.sqrt() * b.sqrt() {
                        continue;
                    }
                    turned = true;
                    let zeta = (b - a) / (2.0 * c);
                    let t = f64::copysign(1.0, zeta) / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                    let cosine = 1.0 / (1.0 + t * t).sqrt();
                    turn(x, y, cosine, cosine * t);
                    flops += 6 * length as u64;
                    let followed = |vector: &[f64], old: f64, new: f64| {
                        // A difference of nearly equal numbers is mostly rounding.
                        if new > 0.1 * old { new } else { dot(vector, vector) }
                    };
                    squares[p] = followed(x, a, a - t * c);
                    squares[q] = followed(y, b, b + t * c);
                }
            }
        }
        if !turned {
            break;
        }
    }
    flops
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
    fn a_large_matrix_and_one_of_small_rank() {
        for (rows, columns, rank) in [(256, 256, 256), (256, 200, 40), (40, 256, 7), (256, 40, 40)] {
            // Singular values over many orders of magnitude, as those of gradients.
            let mut right = random(columns, rank);
            for (at, mut column) in right.columns_mut().into_iter().enumerate() {
                column *= 0.95f64.powi(at as i32);
            }
            let m = random(rows, rank).dot(&right.t());
            let LeftSingular { values, vectors, .. } = left_singular(m.view());
            // A few thousand roundings of what is of order 1, and of the largest value.
            let (tolerance, largest) = (1e-12, values[0]);
            let spanned = vectors.slice(ndarray::s![.., ..rank]).to_owned();
            assert!(gap(&spanned.t().dot(&spanned), &Array2::eye(rank)) < tolerance, "{rows}×{columns}");
            let across = spanned.t().dot(&m);
            assert!(gap(&spanned.dot(&across), &m) < tolerance * largest, "{rows}×{columns}");
            for (value, row) in values.iter().zip(across.rows()) {
                assert!((value - row.dot(&row).sqrt()).abs() < tolerance * largest, "{rows}×{columns}");
            }
            assert!(values[rank..].iter().all(|&value| value < tolerance * largest), "{rows}×{columns}");
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
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
