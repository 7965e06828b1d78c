//! What a call of the thread pool costs: `cargo bench --bench pool`.
//!
//! Empty calls inside `awake`, and after a pause long enough for the workers to sleep; then a training step's
//! worth of pieces with 1 to 4 threads, with serial gaps in between as a step has them, in turns so that noise
//! of the machine meets every number of threads. The median, and the slowest of a hundred, of each.

use growrun::tensor::pool::Pool;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

fn microseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

/// Median and 99th percentile.
fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:9.2} {:9.2}", times[times.len() / 2], times[times.len() * 99 / 100])
}

fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        spin_loop();
    }
}

/// Work that takes its share of a core's time, not of the clock's.
fn compute(rounds: u32) {
    let mut x = 1.0f32;
    for _ in 0..rounds {
        x = black_box(x * 0.999 + 0.001);
    }
    black_box(x);
}

/// Rounds of `compute` in a microsecond.
fn speed() -> f64 {
    let tries = (0..50).map(|_| microseconds(|| compute(100_000)));
    100_000.0 / tries.fold(f64::INFINITY, f64::min)
}

fn main() {
    println!("an empty call, µs            median      99 %");
    for threads in [2, 4] {
        let pool = Pool::new(threads);
        let mut items = vec![0u64; threads];
        let mut times = Vec::new();
        for _ in 0..200 {
            pool.awake(|| {
                busy(Duration::from_micros(50));
                times.push(microseconds(|| (0..100).for_each(|_| pool.each(&mut items, |item| *item += 1))) / 100.0);
            });
        }
        println!("awake, {threads} threads       {}", spread(&mut times));
        let mut times: Vec<f64> = (0..200)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(2));
                microseconds(|| pool.each(&mut items, |item| *item += 1))
            })
            .collect();
        println!("after sleep, {threads} threads {}", spread(&mut times));
    }

    let speed = speed();
    let pools = [1, 2, 3, 4].map(Pool::new);
    println!("\n12 calls with 5 µs between, µs a step; 30 µs between steps");
    println!("threads, items × µs          median      99 %   ideal on 2 cores");
    for (count, length) in [(2, 50.0), (8, 10.0), (8, 50.0), (8, 200.0), (16, 25.0)] {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..12 {
            for (pool, times) in pools.iter().zip(&mut times) {
                let mut items = vec![(); count];
                for _ in 0..25 {
                    busy(Duration::from_micros(30));
                    times.push(microseconds(|| {
                        pool.awake(|| {
                            for _ in 0..12 {
                                pool.each(&mut items, |()| compute((length * speed) as u32));
                                compute((5.0 * speed) as u32);
                            }
                        })
                    }));
                }
            }
        }
        for (pool, times) in pools.iter().zip(&mut times) {
            let cores = pool.threads().min(2) as f64;
            let ideal = 12.0 * (count as f64 * length / cores + 5.0);
            println!("{} threads, {count:2} × {length:3}         {} {ideal:9.0}", pool.threads(), spread(times));
        }
    }
}
