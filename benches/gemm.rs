//! The three matrix products of a dense layer, as a share of the machine's limit: ours beside its naive twin and
//! matrixmultiply, `cargo bench --bench gemm -- [threads]`. `benches/faer` is the same bench with faer in it.
//!
//! Ours is `product()` on strided arrays, which everything but training uses.
//!
//! Forward X·Wᵀ, data gradient dY·W and weight gradient dYᵀ·X, with X: [batch, in], W: [out, in] and
//! dY: [batch, out] in row-major order, so that each has its own pattern of strides. In every round each
//! contestant computes each product in turn; medians of the rounds.

#[path = "peak.rs"]
#[allow(dead_code)]
mod peak;

use growrun::tensor::{Compute, Simd, product};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use std::time::Instant;

/// C ← A·B.
pub type Multiply = Box<dyn FnMut(ArrayView2<'_, f32>, ArrayView2<'_, f32>, ArrayViewMut2<'_, f32>)>;

/// Somebody who multiplies; products of more than `work_max` multiply-adds are left out.
pub struct Contestant {
    pub name: &'static str,
    pub work_max: usize,
    pub multiply: Multiply,
}

const LAYERS: [(usize, usize); 3] = [(784, 256), (256, 256), (1024, 1024)];
const BATCHES: [usize; 3] = [32, 128, 512];
const ROUNDS: usize = 7;
/// Seconds that one contestant works on one product in one round.
const SLICE: f64 = 0.01;

/// One product of one layer, with its operands as they lie in memory.
struct Product {
    what: &'static str,
    inputs: usize,
    outputs: usize,
    batch: usize,
}

impl Product {
    /// The stored arrays, and whether each is read transposed.
    fn operands(&self) -> [(Array2<f32>, bool); 2] {
        let x = || pattern(self.batch, self.inputs);
        let w = || pattern(self.outputs, self.inputs);
        let d = || pattern(self.batch, self.outputs);
        match self.what {
            "forward" => [(x(), false), (w(), true)],
            "dX" => [(d(), false), (w(), false)],
            _ => [(d(), true), (x(), false)],
        }
    }

    fn work(&self) -> usize {
        self.inputs * self.outputs * self.batch
    }
}

/// Numbers of both signs without a pattern that arithmetic could profit from.
fn pattern(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7919 + j * 104_729) % 2003) as f32 / 1001.5 - 1.0)
}

fn seen((stored, transposed): &(Array2<f32>, bool)) -> ArrayView2<'_, f32> {
    if *transposed { stored.t() } else { stored.view() }
}

fn main() {
    compare(|_| Vec::new());
}

/// Threads asked for on the command line.
fn threads() -> usize {
    std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1).max(1)
}

fn ours(compute: Compute) -> Multiply {
    Box::new(move |a, b, c| product(&compute, a, b, 0.0, c))
}

/// Times our product, its twin, matrixmultiply, and what `others` gives for a number of threads.
pub fn compare(others: impl FnOnce(usize) -> Vec<Contestant>) {
    let threads = threads();
    let auto = Compute::new(threads, Simd::Auto, false).expect("`auto` is always there");
    let portable = Compute::new(1, Simd::Portable, false).expect("`portable` is always there");
    let limit = peak::gigaflops(auto.path(), threads);
    println!("{threads} threads, {}, FMA peak {limit:.1} GFLOP/s; GFLOP/s and % of peak", auto.path().word());
    let mut contestants = vec![
        Contestant { name: "product()", work_max: usize::MAX, multiply: ours(auto) },
        // The contract, written down as a scalar loop: it needs no more to be believed.
        Contestant { name: "naive twin", work_max: 1 << 23, multiply: ours(portable) },
        // Through ndarray, which hands it every shape and stride; it has one thread.
        Contestant {
            name: "matrixmultiply",
            work_max: if threads == 1 { usize::MAX } else { 0 },
            multiply: Box::new(|a, b, mut c| general_mat_mul(1.0, &a, &b, 0.0, &mut c)),
        },
    ];
    contestants.extend(others(threads));
    let products: Vec<Product> = LAYERS
        .into_iter()
        .flat_map(|(inputs, outputs)| BATCHES.map(|batch| (inputs, outputs, batch)))
        .flat_map(|(inputs, outputs, batch)| {
            ["forward", "dX", "dW"].map(|what| Product { what, inputs, outputs, batch })
        })
        .collect();

    // [product][contestant][round], seconds
    let mut times = vec![vec![Vec::new(); contestants.len()]; products.len()];
    for _ in 0..ROUNDS {
        for (product, times) in products.iter().zip(&mut times) {
            let [a, b] = &product.operands();
            let (a, b) = (seen(a), seen(b));
            let mut c = Array2::zeros((a.nrows(), b.ncols()));
            for (contestant, times) in contestants.iter_mut().zip(times) {
                if product.work() <= contestant.work_max {
                    times.push(seconds(&mut contestant.multiply, a, b, &mut c));
                }
            }
        }
    }

    print!("| {:24}", "in×out, batch, product");
    contestants.iter().for_each(|contestant| print!(" | {:>15}", contestant.name));
    println!(" |\n|{}", "---|".repeat(contestants.len() + 1));
    for (product, times) in products.iter().zip(&mut times) {
        let name = format!("{}×{}, {}, {}", product.inputs, product.outputs, product.batch, product.what);
        print!("| {name:24}");
        for times in times {
            times.sort_by(f64::total_cmp);
            match times.get(times.len() / 2) {
                Some(seconds) => {
                    let speed = 2.0 * product.work() as f64 / seconds / 1e9;
                    print!(" | {speed:8.1} {:4.0} %", 100.0 * speed / limit);
                }
                None => print!(" | {:>15}", "–"),
            }
        }
        println!(" |");
    }
}

/// Of one product: the mean over as many as fit into a slice, after one that warms up.
fn seconds(multiply: &mut Multiply, a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, c: &mut Array2<f32>) -> f64 {
    multiply(a, b, c.view_mut());
    let (began, mut count) = (Instant::now(), 0);
    loop {
        multiply(a, b, c.view_mut());
        count += 1;
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed > SLICE {
            std::hint::black_box(&c);
            return elapsed / f64::from(count);
        }
    }
}
