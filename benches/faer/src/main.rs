//! `benches/gemm.rs` with faer beside ours: `cargo run --release -- [threads]` in this folder.

#[path = "../../gemm.rs"]
#[allow(dead_code)]
mod gemm;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use gemm::Contestant;
use ndarray::{ArrayView2, ArrayViewMut2};

fn main() {
    gemm::compare(|threads| {
        let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
        let multiply = move |a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, c: ArrayViewMut2<'_, f32>| {
            matmul(written(c), Accum::Replace, read(&a), read(&b), 1.0, par);
        };
        vec![Contestant::strided("faer", usize::MAX, multiply)]
    });
}

/// faer's view of an array that lies row by row, or of one read transposed.
fn read<'a>(view: &'a ArrayView2<'_, f32>) -> MatRef<'a, f32> {
    let (rows, columns) = view.dim();
    match view.to_slice() {
        Some(slice) => MatRef::from_row_major_slice(slice, rows, columns),
        None => {
            let stored = view.t();
            let slice = stored.to_slice().expect("contiguous one way or the other");
            MatRef::from_column_major_slice(slice, rows, columns)
        }
    }
}

fn written(view: ArrayViewMut2<'_, f32>) -> MatMut<'_, f32> {
    let (rows, columns) = view.dim();
    MatMut::from_row_major_slice_mut(view.into_slice().expect("the result lies row by row"), rows, columns)
}
