//! What a call of the thread pool costs: `cargo bench --bench pool`.
//!
//! First the calls themselves, inside `awake` and after a pause long enough for the workers to sleep: empty
//! ones, which the caller may finish before anybody comes, and ones whose two items wait for each other, so
//! that a second thread must come. Then the pieces of a training step with 1 to 4 threads and serial gaps
//! between them. All take turns, so that noise of the machine meets each of them. The best is what a quiet
//! machine gives, the 99th percentile what a busy one does.

use growrun::tensor::pool::Pool;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn microseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

/// The best, the median and the 99th percentile.
fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    [0, 50, 99].map(|percent| format!("{:9.2}", times[times.len() * percent / 100])).join(" ")
}

fn pause(time: Duration) {
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

fn meet(pool: &Pool) {
    let here = AtomicUsize::new(0);
    pool.each(&mut [(), ()], |()| {
        here.fetch_add(1, Ordering::Relaxed);
        let mut rounds = 0;
        while here.load(Ordering::Relaxed) < 2 {
            rounds += 1;
            if rounds < 10_000 {
                spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    });
}

fn calls() {
    println!("µs a call                           best      50 %      99 %");
    for threads in [2, 4] {
        let pool = Pool::new(threads);
        let empty = |pool: &Pool| pool.each(&mut vec![0u64; threads], |item| *item += 1);
        for (name, call) in [("empty", &empty as &dyn Fn(&Pool)), ("two meet", &meet)] {
            let (mut awake, mut asleep) = (Vec::new(), Vec::new());
            for _ in 0..200 {
                pool.awake(|| {
                    pause(Duration::from_micros(50));
                    awake.push(microseconds(|| (0..20).for_each(|_| call(&pool))) / 20.0);
                });
                std::thread::sleep(Duration::from_millis(2));
                asleep.push(microseconds(|| call(&pool)));
            }
            println!("{threads} threads, {name:8} awake       {}", spread(&mut awake));
            println!("{threads} threads, {name:8} after sleep {}", spread(&mut asleep));
        }
    }
}

/// Twelve calls with 5 µs of serial work after each, 30 µs between the steps.
fn steps() {
    let speed = speed();
    let pools = [1, 2, 3, 4].map(Pool::new);
    println!("\nµs a step of 12 calls               best      50 %      99 %   ideal on 2 cores");
    for (count, length) in [(2, 50.0), (8, 10.0), (8, 50.0), (8, 200.0)] {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..20 {
            for (pool, times) in pools.iter().zip(&mut times) {
                let mut items = vec![(); count];
                for _ in 0..10 {
                    pause(Duration::from_micros(30));
                    let step = || {
                        for _ in 0..12 {
                            pool.each(&mut items, |()| compute((length * speed) as u32));
                            compute((5.0 * speed) as u32);
                        }
                    };
                    times.push(microseconds(|| pool.awake(step)));
                }
            }
        }
        for (pool, times) in pools.iter().zip(&mut times) {
            let ideal = 12.0 * (count as f64 * length / pool.threads().min(2) as f64 + 5.0);
            println!("{} threads, {count} items of {length:3} µs      {} {ideal:9.0}", pool.threads(), spread(times));
        }
    }
}

fn main() {
    calls();
    steps();
}
