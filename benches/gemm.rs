//! The three matrix products of a dense layer, as a share of the machine's limit: ours beside its naive twin and
//! matrixmultiply, `cargo bench --bench gemm -- [threads]`. `benches/faer` is the same bench with faer in it.
//!
//! Forward X·Wᵀ, data gradient dY·W and weight gradient Xᵀ·dY, which we keep as [in, out]. Everybody's operands
//! lie as they would in training: ours in panels (turning the panels of W for the data gradient is part of the
//! product, as it is of a step), others' in row-major order, X: [batch, in], W: [out, in], dY: [batch, out], each
//! product with its own pattern of strides. Before anything is timed, ours is held against matrixmultiply. In
//! every round each contestant computes each product in turn; medians of the rounds.

#[path = "peak.rs"]
#[allow(dead_code)]
mod peak;

use growrun::tensor::kernels::{self, Left};
use growrun::tensor::{Batch, BatchMut, Compute, Line, Panels, Simd, panels};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use std::rc::Rc;
use std::time::Instant;

/// A product whose operands are ready: called, it computes it once.
type Ready = Box<dyn FnMut()>;

/// Somebody who multiplies; products of more than `work_max` multiply-adds are left out.
pub struct Contestant {
    name: &'static str,
    work_max: usize,
    prepare: Box<dyn Fn(&Product) -> Ready>,
}

impl Contestant {
    /// Somebody who computes C ← A·B on arrays with strides.
    pub fn strided(
        name: &'static str,
        work_max: usize,
        multiply: impl Fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>, ArrayViewMut2<'_, f32>) + 'static,
    ) -> Contestant {
        let multiply = Rc::new(multiply);
        let prepare = move |product: &Product| -> Ready {
            let [a, b] = product.operands();
            let mut c = Array2::zeros((seen(&a).nrows(), seen(&b).ncols()));
            let multiply = Rc::clone(&multiply);
            Box::new(move || {
                multiply(seen(&a), seen(&b), c.view_mut());
                std::hint::black_box(&c);
            })
        };
        Contestant { name, work_max, prepare: Box::new(prepare) }
    }
}

const LAYERS: [(usize, usize); 3] = [(784, 256), (256, 256), (1024, 1024)];
const BATCHES: [usize; 3] = [32, 128, 512];
const ROUNDS: usize = 7;
/// Seconds that one contestant works on one product in one round.
const SLICE: f64 = 0.01;

/// One product of one layer, with its operands as they lie in memory.
pub struct Product {
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
            _ => [(x(), true), (d(), false)],
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

/// Our product in panels, of the same numbers as [`Product::operands`].
struct Ours {
    compute: Compute,
    what: &'static str,
    /// A: [m, k], by rows, or its transpose. Its panels are `spaced` like those of a batch.
    a: Vec<Line<f32>>,
    /// A's rows in memory, which say how its panels are spaced.
    a_rows: usize,
    /// B: [k, n]; for the data gradient Bᵀ, which is how weights lie.
    b: Panels<f32>,
    m: usize,
    k: usize,
    n: usize,
    /// C: [m, n]
    c: Vec<Line<f32>>,
    /// Scratch for the panels of B that are turned: [panel][k].
    turned: Vec<Line<f32>>,
}

impl Ours {
    fn new(compute: Compute, product: &Product) -> Ours {
        let [(a, a_transposed), (b, b_transposed)] = product.operands();
        let (m, k) = if a_transposed { (a.ncols(), a.nrows()) } else { a.dim() };
        let n = if b_transposed { b.nrows() } else { b.ncols() };
        let mut lines = vec![Line::ZERO; panels::panels(a.ncols()) * panels::spaced(a.nrows())];
        BatchMut::new(&mut lines, panels::panels(a.ncols()), a.nrows()).set(a.view());
        // W lies as [in, out] with the forward product; dY as [batch, out], as it is.
        let as_it_lies = if product.what == "dW" { b.t().as_standard_layout().into_owned() } else { b };
        let (columns, rows) = as_it_lies.dim();
        let values = as_it_lies.as_slice().expect("it lies row by row");
        let path = compute.path();
        Ours {
            what: product.what,
            a: lines,
            a_rows: a.nrows(),
            b: Panels::transposed(path, values, rows, columns),
            c: vec![Line::ZERO; panels::panels(n) * m],
            turned: vec![Line::ZERO; if product.what == "dX" { panels::panels(n) * k } else { 0 }],
            compute: compute.for_work(2 * product.work() as u64),
            m,
            k,
            n,
        }
    }

    fn run(&mut self) {
        let (path, m, k) = (self.compute.path(), self.m, self.k);
        let a = Batch::new(&self.a, self.a_rows);
        let (b, is_turned, by_columns) = (&self.b, self.what == "dX", self.what == "dW");
        // As a step does it: rows that the second cache holds beside a panel of B, or, where the gradient of a
        // weight is used up at once, that the first one holds.
        let at_once = if by_columns { (4096 / k / 16 * 16).clamp(16, 64) } else { ((1 << 16) / k).max(24) };
        let group = panels::panels(self.n).div_ceil(self.compute.sharing()).next_multiple_of(2);
        let mut turned: Vec<&mut [Line<f32>]> = self.turned.chunks_mut(group * k).collect();
        turned.resize_with(panels::panels(self.n).div_ceil(group), Default::default);
        let mut items: Vec<_> = self.c.chunks_mut(group * m).zip(turned).enumerate().collect();
        self.compute.each(&mut items, |(at, (c, turned))| {
            let first = *at * group;
            for (at, turned) in turned.chunks_mut(k).enumerate() {
                kernels::turn_panel(path, b.lines(), b.rows(), (first + at) * 16, turned);
            }
            let panel = |at: usize| if is_turned { &turned[at * k..][..k] } else { b.panel(first + at) };
            for row in (0..m).step_by(at_once) {
                let rows = row..m.min(row + at_once);
                let a = match by_columns {
                    true => Left::Columns { lines: a.lines, stride: a.stride, first: row },
                    false => Left::Rows { lines: a.lines, stride: a.stride, first: row },
                };
                for (pair, c) in c.chunks_mut(2 * m).enumerate() {
                    let (c0, c1) = c.split_at_mut(m);
                    if c1.is_empty() {
                        kernels::product_of_one(path, a, k, panel(2 * pair), &mut c0[rows.clone()]);
                    } else {
                        let c = [&mut c0[rows.clone()], &mut c1[rows.clone()]];
                        kernels::product_of_two(path, a, k, [panel(2 * pair), panel(2 * pair + 1)], c);
                    }
                }
            }
        });
        std::hint::black_box(&self.c);
    }

    /// Row-major C: [m, n].
    fn result(&self) -> Array2<f32> {
        Array2::from_shape_fn((self.m, self.n), |(i, j)| self.c[j / 16 * self.m + i].0[j % 16])
    }
}

fn ours(name: &'static str, work_max: usize, compute: Compute) -> Contestant {
    let prepare = move |product: &Product| -> Ready {
        let mut ours = Ours::new(compute.clone(), product);
        Box::new(move || ours.run())
    };
    Contestant { name, work_max, prepare: Box::new(prepare) }
}

/// Panics unless our panels give the very bits of matrixmultiply.
fn hold_against_matrixmultiply(compute: &Compute, product: &Product) {
    let mut ours = Ours::new(compute.clone(), product);
    ours.run();
    let [a, b] = product.operands();
    let mut c = Array2::zeros((ours.m, ours.n));
    growrun::tensor::product(compute, seen(&a), seen(&b), 0.0, c.view_mut());
    assert!(ours.result() == c, "{} of {}×{}, {}", product.what, product.inputs, product.outputs, product.batch);
}

/// Times our product, its twin, matrixmultiply, and what `others` gives for a number of threads.
pub fn compare(others: impl FnOnce(usize) -> Vec<Contestant>) {
    let threads = threads();
    let auto = Compute::new(threads, Simd::Auto, false).expect("`auto` is always there");
    let portable = Compute::new(1, Simd::Portable, false).expect("`portable` is always there");
    let limit = peak::gigaflops(auto.path(), threads);
    println!("{threads} threads, {}, FMA peak {limit:.1} GFLOP/s; GFLOP/s and % of peak", auto.path().word());
    let mut contestants = vec![
        ours("growrun", usize::MAX, auto.clone()),
        // The contract, written down as a scalar loop: it needs no more to be believed.
        ours("naive twin", 1 << 23, portable),
        // Through ndarray, which hands it every shape and stride; it has one thread.
        Contestant::strided("matrixmultiply", if threads == 1 { usize::MAX } else { 0 }, |a, b, mut c| {
            general_mat_mul(1.0, &a, &b, 0.0, &mut c);
        }),
    ];
    contestants.extend(others(threads));
    let products: Vec<Product> = LAYERS
        .into_iter()
        .flat_map(|(inputs, outputs)| BATCHES.map(|batch| (inputs, outputs, batch)))
        .flat_map(|(inputs, outputs, batch)| {
            ["forward", "dX", "dW"].map(|what| Product { what, inputs, outputs, batch })
        })
        .collect();

    products.iter().for_each(|product| hold_against_matrixmultiply(&auto, product));

    // [product][contestant][round], seconds
    let mut times = vec![vec![Vec::new(); contestants.len()]; products.len()];
    for _ in 0..ROUNDS {
        for (product, times) in products.iter().zip(&mut times) {
            for (contestant, times) in contestants.iter().zip(times) {
                if product.work() <= contestant.work_max {
                    times.push(seconds((contestant.prepare)(product)));
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
fn seconds(mut multiply: Ready) -> f64 {
    multiply();
    let (began, mut count) = (Instant::now(), 0);
    loop {
        multiply();
        count += 1;
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed > SLICE {
            return elapsed / f64::from(count);
        }
    }
}
