//! The tiles that train, bit for bit against matrixmultiply and the written-down contract, on awkward sizes; and the
//! road between row-major arrays and panels.

use super::noise;
use growrun::tensor::kernels::{Left, Path, product_of_one, product_of_two};
use growrun::tensor::panels::{panels, spaced};
use growrun::tensor::{Batch, BatchMut, Line, Panels, Simd};
use ndarray::{Array2, ArrayView2, s};

const SIZES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (1, 300, 17),
    (5, 1, 7),
    (6, 16, 16),
    (7, 15, 33),
    (12, 256, 32),
    (13, 257, 31),
    (24, 255, 48),
    (25, 512, 20),
    (31, 513, 40),
    (64, 40, 65),
    (129, 784, 10),
];

fn matrix(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    // A few zeros of either sign: sums of them show which sign a chain ends with.
    let values = noise(seed, rows * columns).into_iter().enumerate();
    let values = values.map(|(i, x)| if i % 11 == 3 { 0.0f32.copysign(x) } else { x }).collect();
    Array2::from_shape_vec((rows, columns), values).expect("that many")
}

/// A batch in panels; what is spare holds NaN, which must never be read into a result.
fn batch(values: &Array2<f32>) -> Vec<Line<f32>> {
    let (rows, columns) = values.dim();
    let mut lines = vec![Line([f32::NAN; 16]); panels(columns) * spaced(rows)];
    for ((row, column), value) in values.indexed_iter() {
        lines[column / 16 * spaced(rows) + row].0[column % 16] = *value;
    }
    lines
}

/// The contract, and matrixmultiply beside it where it keeps it.
fn expected(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Vec<u32> {
    let twin = Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| {
        let (row, column) = (a.row(i).to_vec(), b.column(j).to_vec());
        let blocks = row.chunks(256).zip(column.chunks(256));
        blocks.fold(0.0f32, |total, (a, b)| total + a.iter().zip(b).fold(0.0f32, |sum, (&a, &b)| a.mul_add(b, sum)))
    });
    if Simd::Avx2.is_available() || cfg!(target_arch = "aarch64") {
        let mut oracle = Array2::zeros(twin.dim());
        ndarray::linalg::general_mat_mul(1.0, &a, &b, 1.0, &mut oracle);
        assert_eq!(bits(oracle.view()), bits(twin.view()), "matrixmultiply keeps the contract");
    }
    bits(twin.view())
}

fn bits(values: ArrayView2<f32>) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn paths() -> impl Iterator<Item = Path> {
    Simd::ALL.into_iter().filter_map(Path::detect)
}

#[test]
fn the_tiles_keep_the_contract() {
    for (case, &(m, k, n)) in SIZES.iter().enumerate() {
        let seed = case as u64 * 2;
        let (a, b) = (matrix(seed, m, k), matrix(seed + 1, k, n));
        let expected = expected(a.view(), b.view());
        let b = batch(&b);
        let (by_rows, by_columns) = (batch(&a), batch(&a.t().as_standard_layout().into_owned()));
        for path in paths() {
            for columns in [false, true] {
                // Cut where a piece may be cut: anywhere by rows, at whole panels by columns.
                for cut in [0, if columns { 16.min(m / 16 * 16) } else { m / 3 }] {
                    let mut c = vec![Line([f32::NAN; 16]); panels(n) * spaced(m)];
                    let mut whole = BatchMut::new(&mut c, panels(n), m);
                    let mut pieces = Vec::new();
                    if cut > 0 {
                        let (first, rest) = whole.split_rows(cut);
                        pieces.push((0, first));
                        whole = rest;
                    }
                    pieces.push((cut, whole));
                    for (first, mut c) in pieces {
                        let a = if columns {
                            Left::Columns { lines: &by_columns, stride: spaced(k), first }
                        } else {
                            Left::Rows { lines: &by_rows, stride: spaced(m), first }
                        };
                        let b = |panel: usize| &b[panel * spaced(k)..][..k];
                        let mut panel = 0;
                        while panel + 1 < c.panels() {
                            product_of_two(path, a, k, [b(panel), b(panel + 1)], c.pair(panel));
                            panel += 2;
                        }
                        if panel < c.panels() {
                            product_of_one(path, a, k, b(panel), c.panel(panel));
                        }
                    }
                    let c = Batch::new(&c, m).to_array(n);
                    assert_eq!(bits(c.view()), expected, "{m}×{k}×{n}, {}, by columns: {columns}", path.word());
                }
            }
        }
    }
}

#[test]
fn operands_that_are_too_small_are_refused_before_they_are_read() {
    let lines = vec![Line([1.0f32; 16]); 10];
    let path = Path::detect(Simd::Auto).expect("`auto` is there");
    let rows = |stride, first| Left::Rows { lines: &lines, stride, first };
    let columns = |stride, first| Left::Columns { lines: &lines, stride, first };
    let far = usize::MAX;
    // A, k, lines of B, rows of C. The last four would wrap around to something small.
    let cases = [
        (rows(10, 0), 17, 17, 10),
        (rows(10, 5), 16, 16, 6),
        (rows(10, 0), 16, 15, 10),
        (columns(10, 0), 11, 11, 16),
        (columns(10, 0), 10, 10, 17),
        (rows(10, far - 5), 1, 1, 10),
        (rows(far / 3 + 1, 0), 49, 49, 1),
        (columns(10, far - 15), 1, 1, 17),
        (columns(far / 3 + 1, 48), 1, 1, 1),
    ];
    for (at, (a, k, b, c)) in cases.into_iter().enumerate() {
        let b = vec![Line([0.0f32; 16]); b];
        let mut c = vec![Line([0.0f32; 16]); c];
        let call = std::panic::AssertUnwindSafe(|| product_of_one(path, a, k, &b, &mut c));
        assert!(std::panic::catch_unwind(call).is_err(), "case {at}");
    }
}

#[test]
fn arrays_come_back_from_panels_as_they_went() {
    for (rows, columns) in [(1, 1), (1, 40), (3, 16), (17, 5), (20, 33)] {
        for path in paths() {
            let values = noise(rows as u64, rows * columns);
            let kept = Panels::transposed(path, &values, rows, columns);
            assert!(kept.spare_is_zero());
            assert_eq!(kept.to_transposed(path), values);
            let last = (rows - 1, columns - 1);
            assert_eq!(kept.at(last.0, last.1), values[last.1 * rows + last.0]);
        }
    }
}

#[test]
fn rows_are_written_to_where_they_are_read() {
    let values = matrix(1, 70, 37);
    let mut lines = vec![Line([f32::NAN; 16]); panels(37) * spaced(70)];
    let (mut first, mut rest) = BatchMut::new(&mut lines, panels(37), 70).split_rows(64);
    first.set(values.slice(s![..64, ..]));
    rest.set(values.slice(s![64.., ..]));
    assert_eq!(Batch::new(&lines, 70).to_array(37), values);
}
