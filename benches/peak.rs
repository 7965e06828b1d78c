//! The machine's limit in GFLOP/s, fused multiply-adds in registers and nothing else:
//! `cargo bench --bench peak -- [threads] [auto|avx512|avx2|portable]`.
//!
//! `compare.py` runs the built program once a repetition; the first word of its answer is the figure. The best
//! of seven rounds of about 30 ms: what disturbs a round only makes it slower. All threads begin together, and
//! a round lasts until the last one has finished.

use growrun::tensor::kernels::Path;
use growrun::tensor::kernels::peak::{fused_multiply_adds, operations_per_round};
use growrun::tensor::{Compute, Simd};
use std::sync::Barrier;
use std::time::Instant;

const ROUNDS: usize = 7;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let threads = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1).max(1);
    let simd = words.iter().find_map(|word| Simd::find(word)).unwrap_or(Simd::Auto);
    let compute = Compute::new(1, simd, false).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let path = compute.path();
    println!("{:.1} GFLOP/s, {threads} threads, {}", gigaflops(path, threads), path.word());
}

/// Floating-point operations in 10⁻⁹ s on `threads` threads at once.
pub fn gigaflops(path: Path, threads: usize) -> f64 {
    // As many rounds as take about 30 ms on one thread.
    let mut rounds = 1 << 16;
    while seconds(path, rounds, 1) < 0.03 {
        rounds *= 2;
    }
    let best = (0..ROUNDS).map(|_| seconds(path, rounds, threads)).fold(f64::INFINITY, f64::min);
    operations_per_round(path) as f64 * rounds as f64 * threads as f64 / best / 1e9
}

/// Wall clock seconds that `rounds` rounds take on each of `threads` threads at once.
fn seconds(path: Path, rounds: u64, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let began = Instant::now();
                    std::hint::black_box(fused_multiply_adds(path, rounds));
                    (began, Instant::now())
                })
            })
            .collect();
        let times: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("it only multiplies")).collect();
        let began = times.iter().map(|time| time.0).min().expect("at least one thread");
        let ended = times.iter().map(|time| time.1).max().expect("at least one thread");
        (ended - began).as_secs_f64()
    })
}
