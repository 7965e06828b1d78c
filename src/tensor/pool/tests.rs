//! Tests of the pool; `tests/sanitize.sh` runs them under ThreadSanitizer.

use super::*;
use std::time::{Duration, Instant};

/// Long enough for any scheduler, so that a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        yield_now();
    }
}

fn wait_until_asleep(pool: &Pool) {
    let all = (1..pool.threads()).fold(0, |bits, me| bits | 1 << me);
    wait_until("all workers sleep", || pool.shared.asleep.load(SeqCst) == all);
}

/// Two items that each wait for the other's thread: done only if another thread comes.
fn meet(pool: &Pool) {
    let here = AtomicUsize::new(0);
    pool.each(&mut [(), ()], |()| {
        here.fetch_add(1, SeqCst);
        wait_until("two threads meet", || here.load(SeqCst) == 2);
    });
}

fn panics(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic");
    payload.downcast_ref::<&str>().map(|text| text.to_string()).expect("a text")
}

/// The items are plain memory, passed from job to job and read by the caller between them: ThreadSanitizer
/// sees every hand-over that the gate must order.
#[test]
fn every_item_is_done_once() {
    for threads in 1..=8 {
        let pool = Pool::new(threads);
        for count in (0..40).chain([63, 64, 65, 1000]) {
            let mut items: Vec<(usize, usize)> = (0..count).map(|at| (at, 0)).collect();
            for round in 1..=8 {
                let scale = Box::new(round);
                pool.each(&mut items, |(at, sum)| *sum += *at * *scale + 1);
                let so_far = round * (round + 1) / 2;
                assert!(items.iter().all(|&(at, sum)| sum == at * so_far + round), "{threads}, {count}, {round}");
            }
        }
    }
}

#[test]
fn jobs_without_work_follow_each_other_and_late_workers_touch_none() {
    let pool = Pool::new(3);
    pool.awake(|| {
        for round in 0..20_000u32 {
            let mut items = Box::new([round; 3]);
            pool.each(&mut *items, |item| *item += 1);
            assert_eq!(*items, [round + 1; 3]);
        }
    });
}

#[test]
fn a_share_is_taken_from_the_front_and_helped_from_the_back() {
    let share = Share(AtomicU64::new(0));
    share.set(3, 6);
    assert_eq!([false, true, false].map(|last| share.claim(last)), [Some(3), Some(5), Some(4)]);
    assert_eq!([false, true].map(|last| share.claim(last)), [None, None]);
}

#[test]
fn a_worker_that_never_comes_is_not_waited_for() {
    let mut done = [0; 10];
    let task = Task { items: done.as_mut_ptr(), work: &|item: &mut i32| *item += 1 };
    let shared = Shared::new(4);
    // SAFETY: nobody else runs a job; the items and the closure live to the end of the test.
    let panicked = unsafe { shared.run(task.erase(), 10, 4, &[]) };
    assert!(panicked.is_none());
    assert_eq!(done, [1; 10]);
}

#[test]
fn who_is_done_helps_the_others() {
    // Item 0 heads the caller's share, item 8 the worker's: each in turn waits for all the others.
    for slow in [0, 8] {
        let pool = Pool::new(2);
        let done = AtomicUsize::new(0);
        let mut items: Vec<usize> = (0..16).collect();
        pool.each(&mut items, |item| {
            if *item == slow {
                wait_until("the others are done", || done.load(SeqCst) == 15);
            }
            done.fetch_add(1, SeqCst);
        });
        assert_eq!(done.into_inner(), 16);
    }
}

#[test]
fn sleeping_workers_wake() {
    let pool = Pool::new(2);
    for _ in 0..20 {
        wait_until_asleep(&pool);
        meet(&pool);
    }
    wait_until_asleep(&pool);
    pool.awake(|| {
        wait_until("the worker is up", || pool.shared.asleep.load(SeqCst) == 0);
        // A piece without work for the workers, longer than they stay awake, and no hang after it.
        wait_until_asleep(&pool);
        meet(&pool);
    });
    assert_eq!(pool.shared.steps.load(SeqCst), 0);
}

/// Pauses around the time after which a worker sleeps: a job must not fall between its last look and its sleep.
#[test]
fn a_worker_that_falls_asleep_misses_no_job() {
    let pool = Pool::new(2);
    for round in 0..600 {
        let start = Instant::now();
        while start.elapsed() < Duration::from_nanos(20_000 + 250 * round) {
            spin_loop();
        }
        if round % 2 == 0 { meet(&pool) } else { pool.awake(|| meet(&pool)) }
    }
}

/// What the test above meets by luck: opened, or ended, between a worker's search and its sleep.
#[test]
fn before_it_sleeps_a_worker_looks_once_more() {
    let open = (7 << NUMBER_SHIFT) | (2 << SHARES_SHIFT) | OPEN;
    for (gate, seen) in [(open, 6), (ENDING, 0)] {
        let shared = Arc::new(Shared::new(2));
        shared.gate.store(gate, SeqCst);
        let worker = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.sleep(1, seen)
        });
        wait_until("the worker is back", || worker.is_finished());
        worker.join().expect("no panic");
        assert_eq!(shared.asleep.load(SeqCst), 0);
    }
}

#[test]
fn a_caller_waits_asleep_for_a_long_item() {
    let pool = Pool::new(2);
    let here = AtomicUsize::new(0);
    let caller = std::thread::current().id();
    let mut done = [false; 2];
    pool.each(&mut done, |done| {
        here.fetch_add(1, SeqCst);
        wait_until("two threads meet", || here.load(SeqCst) == 2);
        if std::thread::current().id() != caller {
            wait_until("the caller sleeps", || pool.shared.gate.load(SeqCst) & WAITING != 0);
        }
        *done = true;
    });
    assert_eq!(done, [true; 2]);
    meet(&pool);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_stays_usable() {
    let pool = Pool::new(4);
    for bad in 0..32 {
        let mut items: Vec<(usize, u32)> = (0..32).map(|at| (at, 0)).collect();
        let text = panics(|| {
            pool.each(&mut items, |(at, times)| {
                *times += 1;
                assert!(*at != bad, "this item");
            })
        });
        assert_eq!(text, "this item");
        assert!(items.iter().all(|&(at, times)| times <= 1 && (at != bad || times == 1)));
    }
    // All at once: one payload arrives.
    assert_eq!(panics(|| pool.each(&mut [0; 32], |_| panic!("all"))), "all");
    assert_eq!(panics(|| pool.awake(|| panic!("in a step"))), "in a step");
    assert_eq!(pool.shared.steps.load(SeqCst), 0);
    meet(&pool);
}

#[test]
fn a_call_inside_a_call_runs_on_its_thread() {
    let pool = Pool::new(4);
    let mut tables = vec![vec![1u32; 50]; 20];
    pool.each(&mut tables, |table| {
        let me = std::thread::current().id();
        pool.each(table, |cell| {
            assert_eq!(std::thread::current().id(), me);
            *cell += 1;
        });
    });
    assert!(tables.iter().flatten().all(|&cell| cell == 2));
}

#[test]
fn two_callers_share_a_pool() {
    let pool = Pool::new(3);
    let call = || {
        let mut items = [0u32; 24];
        for round in 1..=2000 {
            pool.awake(|| pool.each(&mut items, |item| *item += 1));
            assert_eq!(items, [round; 24]);
        }
    };
    std::thread::scope(|scope| {
        // Joined by hand: ThreadSanitizer does not see how a scope ends.
        let callers = [scope.spawn(call), scope.spawn(call)];
        for caller in callers {
            caller.join().expect("a caller that ends well");
        }
    });
    assert_eq!(pool.shared.steps.load(SeqCst), 0);
}

#[test]
fn dropping_ends_every_worker() {
    for asleep in [false, true] {
        let pool = Pool::new(5);
        if asleep {
            wait_until_asleep(&pool);
        }
        // Every worker owns a share of what is shared until its end.
        let shared = Arc::downgrade(&pool.shared);
        assert_eq!(shared.strong_count(), pool.threads());
        drop(pool);
        assert_eq!(shared.strong_count(), 0);
    }
}

#[test]
fn odd_numbers_of_threads() {
    assert_eq!(Pool::new(0).threads(), 1);
    assert_eq!(Pool::new(1).threads(), 1);
    let most = Pool::new(MOST_THREADS + 1);
    assert!(most.threads() <= MOST_THREADS);
    let mut items = [0; 200];
    most.each(&mut items, |item| *item += 1);
    assert_eq!(items, [1; 200]);
}
