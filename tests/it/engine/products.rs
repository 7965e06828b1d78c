//! The matrix product against its contract, bit for bit, on awkward sizes, strides, threads and paths.

use super::noise;
use growrun::tensor::{Compute, Simd, product};
use ndarray::{Array2, ArrayView2, Axis, s};

/// The contract, written without looking at the engine: blocks of 256, each a chain of fused multiply-adds
/// from 0, added in order to β·C (0 when β is 0).
fn twin(a: ArrayView2<f32>, b: ArrayView2<f32>, beta: f32, c: ArrayView2<f32>) -> Array2<f32> {
    Array2::from_shape_fn(c.dim(), |(i, j)| {
        let row: Vec<f32> = a.row(i).to_vec();
        let column: Vec<f32> = b.column(j).to_vec();
        let start = if beta == 0.0 { 0.0 } else { beta * c[[i, j]] };
        row.chunks(256)
            .zip(column.chunks(256))
            .fold(start, |total, (a, b)| total + a.iter().zip(b).fold(0.0f32, |sum, (&a, &b)| a.mul_add(b, sum)))
    })
}

fn bits(c: &Array2<f32>) -> Vec<u32> {
    c.iter().map(|x| x.to_bits()).collect()
}

fn computes() -> Vec<(String, Compute)> {
    let mut all = Vec::new();
    for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
        for threads in [1, 2, 4] {
            let compute = Compute::new(threads, simd, true).expect("it is available");
            all.push((format!("{} with {threads} threads", simd.word()), compute));
        }
    }
    all
}

/// Puts a matrix into memory in one of several ways; the values are the same.
fn laid_out(values: &Array2<f32>, layout: usize) -> Array2<f32> {
    match layout {
        0 => values.clone(),
        // Column-major: what a transposed view looks like.
        1 => values.t().as_standard_layout().into_owned().reversed_axes(),
        _ => {
            // Every other row and column of something larger.
            let mut large = Array2::from_elem((values.nrows() * 2, values.ncols() * 3), f32::NAN);
            large.slice_mut(s![..;2, ..;3]).assign(values);
            large.slice_move(s![..;2, ..;3])
        }
    }
}

const SIZES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (1, 5, 1),
    (1, 300, 17),
    (17, 300, 1),
    (9, 1, 7),
    (8, 8, 8),
    (7, 255, 9),
    (8, 256, 8),
    (9, 257, 10),
    (3, 511, 5),
    (16, 512, 24),
    (5, 513, 33),
    (65, 70, 31),
    (2, 1025, 3),
    (33, 10, 129),
];

#[test]
fn every_shape_and_stride_keeps_the_contract() {
    let computes = computes();
    for (case, &(m, k, n)) in SIZES.iter().enumerate() {
        let seed = case as u64 * 3;
        let a = Array2::from_shape_vec((m, k), noise(seed, m * k)).expect("that many");
        let b = Array2::from_shape_vec((k, n), noise(seed + 1, k * n)).expect("that many");
        let old = Array2::from_shape_vec((m, n), noise(seed + 2, m * n)).expect("that many");
        for beta in [0.0f32, 1.0] {
            let expected = bits(&twin(a.view(), b.view(), beta, old.view()));
            for layout in 0..9 {
                let (a, b) = (laid_out(&a, layout % 3), laid_out(&b, layout / 3));
                for (name, compute) in &computes {
                    // What C held must not matter when β is 0, not even a NaN.
                    let mut c = if beta == 0.0 { Array2::from_elem((m, n), f32::NAN) } else { old.clone() };
                    product(compute, a.view(), b.view(), beta, c.view_mut());
                    assert_eq!(bits(&c), expected, "{m}×{k}×{n}, β {beta}, layout {layout}, {name}");
                }
            }
        }
    }
}

#[test]
fn one_block_more_changes_bits() {
    // The test above can only fail for another block length if 256 is not just as good as 128 or 512 on its
    // numbers: here is the evidence that it is not.
    let (a, b) = (noise(1, 513), noise(2, 513));
    let chain = |block: usize| {
        a.chunks(block)
            .zip(b.chunks(block))
            .fold(0.0f32, |total, (a, b)| total + a.iter().zip(b).fold(0.0f32, |sum, (&a, &b)| a.mul_add(b, sum)))
    };
    let results: Vec<u32> = [128, 255, 256, 257, 384, 512, 513].map(|block| chain(block).to_bits()).to_vec();
    let ours = results[2];
    assert_eq!(results.iter().filter(|bits| **bits == ours).count(), 1, "{results:x?}");
}

#[test]
fn empty_sides_are_no_trouble() {
    for (name, compute) in computes() {
        for (m, k, n) in [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)] {
            let mut c = Array2::from_elem((m, n), f32::NAN);
            product(&compute, Array2::ones((m, k)).view(), Array2::ones((k, n)).view(), 0.0, c.view_mut());
            assert!(c.iter().all(|x| x.to_bits() == 0), "{name}: a sum of nothing is +0");
        }
    }
}

#[test]
fn products_that_underflow_to_minus_zero_leave_plus_zero() {
    for (name, compute) in computes() {
        for n in [1, 8, 9] {
            let a = Array2::from_elem((n, 1), -1e-30f32);
            let b = Array2::from_elem((1, n), 1e-30f32);
            let mut c = Array2::from_elem((n, n), 1.0f32);
            product(&compute, a.view(), b.view(), 0.0, c.view_mut());
            assert!(c.iter().all(|x| x.to_bits() == 0), "{name}, {n}: {c}");
        }
    }
}

#[test]
fn rows_of_a_batch_do_not_know_each_other() {
    // What an example gives must not depend on the examples beside it: evaluation batches may be of any size.
    let (m, k, n) = (21, 300, 13);
    let a = Array2::from_shape_vec((m, k), noise(5, m * k)).expect("that many");
    let b = Array2::from_shape_vec((k, n), noise(6, k * n)).expect("that many");
    for (name, compute) in computes() {
        let mut all = Array2::zeros((m, n));
        product(&compute, a.view(), b.view(), 0.0, all.view_mut());
        for i in 0..m {
            let mut one = Array2::zeros((1, n));
            product(&compute, a.view().slice_axis(Axis(0), (i..=i).into()), b.view(), 0.0, one.view_mut());
            assert_eq!(bits(&one), bits(&all.slice(s![i..=i, ..]).to_owned()), "{name}, row {i}");
        }
    }
}
