//! Threads that wait for work, for a training step of a dozen short parallel pieces.
//!
//! A general pool costs several microseconds per fork and join; a step of 100 µs has a dozen of them. Here
//! [`Pool::each`] publishes one job by one store, threads claim items by compare-and-exchange, and nobody
//! waits for a thread that has not come: a worker that the system has not scheduled is not missed, because
//! the others do its share.
//!
//! **The gate.** One atomic word says whether a job is open and how many workers are inside:
//!
//! ```text
//! number of the job (32 bits) | shares (8) | ENDING PANICKED WAITING OPEN | workers inside (8)
//! ```
//!
//! - The caller writes the job while the gate is closed and nobody is inside, then opens it.
//! - A worker enters by a compare-and-exchange from a word with OPEN to the same word with one more inside. Only
//!   then does it read the job. So one that wakes late, and finds the gate closed, has touched nothing; and
//!   one that finds another job open than the one it saw before joins that one.
//! - The caller returns after it has found no item unclaimed, closed the gate and seen it empty. Who claimed
//!   an item is inside until it is done, so then all items are done and nobody holds the job.
//!
//! Opening is a release, entering an acquire; leaving is a release, seeing the gate empty an acquire. All
//! changes in between are read-modify-writes, which continue the release sequences of the earlier ones. So
//! what the caller wrote before a job is seen by its workers, and what they wrote is seen after it.
//!
//! **Waiting** is bounded in rounds: spin, then yield the core to whoever wants it, then sleep. So threads in
//! excess of the cores, or a busy neighbour, cost little, and an idle pool costs nothing.
//!
//! **Checked by** ThreadSanitizer on this module's tests (`tests/sanitize.sh`): no race, and races as soon as
//! any one of these orders, or those of `busy`, is made `Relaxed`. That no wake-up is lost is argued at
//! `Shared::sleep`; the tests try it, but no tool here proves it. `cargo bench --bench pool` measures a call.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, park, yield_now};

/// The most threads of a pool, the caller among them: one bit of a word for each.
pub const MOST_THREADS: usize = 64;

// In rounds, because only the outside world has a clock. The times are those of a 2.4 GHz Zen 3 core; a core
// whose pause is longer waits up to twice as long, one whose pause is shorter reaches its yields sooner.

/// Rounds of spinning before a thread begins to yield: 40 µs, more than the serial work between two pieces.
const SPINS: u32 = 1500;
/// Rounds of yielding before a worker sleeps: 45 µs if nobody wants the core, so that it is still up when the
/// next step begins.
const YIELDS: u32 = 64;
/// The same inside [`Pool::awake`]: 0.7 ms if nobody wants the core.
const YIELDS_AWAKE: u32 = 1000;
/// The same for the caller that waits for workers to leave: 70 µs.
const YIELDS_LEAVING: u32 = 100;

/// The gate: see the module's description.
const INSIDE: u64 = 0xff;
const OPEN: u64 = 1 << 8;
/// The caller sleeps until the last worker leaves.
const WAITING: u64 = 1 << 9;
/// A thread panicked in this job.
const PANICKED: u64 = 1 << 10;
/// The pool ends: workers go.
const ENDING: u64 = 1 << 11;
const SHARES_SHIFT: u32 = 16;
const NUMBER_SHIFT: u32 = 32;

fn number(gate: u64) -> u64 {
    gate >> NUMBER_SHIFT
}

fn shares(gate: u64) -> usize {
    (gate >> SHARES_SHIFT) as usize & 0xff
}

/// Threads that wait for work. Dropping the pool ends and joins them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `threads` counts the caller; 0 counts as 1, and more than [`MOST_THREADS`] as that many. A system that
    /// grants fewer threads gives a smaller pool.
    pub fn new(threads: usize) -> Pool {
        let threads = threads.clamp(1, MOST_THREADS);
        let shared = Arc::new(Shared::new(threads));
        let mut workers = Vec::with_capacity(threads - 1);
        for me in 1..threads {
            let shared = Arc::clone(&shared);
            match Builder::new().name(format!("worker {me}")).spawn(move || shared.serve(me)) {
                Ok(worker) => workers.push(worker),
                Err(_) => break,
            }
        }
        Pool { shared, workers }
    }

    /// Threads that work on a job, the caller among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(&mut item)` exactly once for every item and returns when all are done.
    ///
    /// With `s = min(threads, items)` shares, thread `t` first takes the items from `t·n/s` to `(t+1)·n/s` in
    /// order, so that it meets the same weights at every step and finds them in its cache; then it helps the
    /// others from the back of theirs. Allocates nothing.
    ///
    /// Inside `work`, and while another thread uses the pool, the items are done one after the other by the
    /// thread that calls.
    ///
    /// Panics with the first panic of `work`, after every thread has left; items not yet begun are then left
    /// out. The pool can be used again.
    pub fn each<I: Send>(&self, items: &mut [I], work: impl Fn(&mut I) + Sync) {
        let few = items.len() <= 1 || self.workers.is_empty();
        if few || u32::try_from(items.len()).is_err() || self.shared.busy.swap(true, Acquire) {
            return items.iter_mut().for_each(work);
        }
        let count = items.len();
        let task = Task { items: items.as_mut_ptr(), work: &work };
        // SAFETY: `task` borrows `items` exclusively and `work`, and both live on this frame or above it until
        // `run` returns, which it does once no other thread holds the job, panic or not. `I: Send` lets an
        // item be changed by another thread, `Sync` lets `work` be called by several. `busy` was false, so
        // this thread alone runs a job.
        let panicked = unsafe { self.shared.run(task.erase(), count, self.threads(), &self.workers) };
        self.shared.busy.store(false, Release);
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }

    /// Runs `step` while the workers stay awake between the calls of [`Pool::each`] inside it: they are woken
    /// at its start, and after every piece they look for the next for about half a millisecond before they
    /// sleep. Outside it is less than 0.1 ms.
    pub fn awake<R>(&self, step: impl FnOnce() -> R) -> R {
        struct Held<'a>(&'a AtomicUsize);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        if self.workers.is_empty() {
            return step();
        }
        self.shared.steps.fetch_add(1, Relaxed);
        let _held = Held(&self.shared.steps);
        self.shared.wake(self.threads(), &self.workers);
        step()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Nobody borrows the pool, so no job runs: the gate is closed and empty.
        self.shared.gate.store(ENDING, SeqCst);
        self.shared.wake(self.threads(), &self.workers);
        for worker in self.workers.drain(..) {
            // A worker catches every panic of a job; there is nothing to learn here.
            let _ = worker.join();
        }
    }
}

type Payload = Box<dyn Any + Send>;

/// What one call of `each` does, on the caller's stack.
struct Task<'a, I, F> {
    items: *mut I,
    work: &'a F,
}

impl<I: Send, F: Fn(&mut I) + Sync> Task<'_, I, F> {
    fn erase(&self) -> Job {
        Job { task: std::ptr::from_ref(self).cast(), call: Self::call }
    }

    /// # Safety
    /// `task` points to a live `Task<I, F>` whose items and closure are live, `at` lies within its items, and
    /// nobody else uses that item during the call.
    unsafe fn call(task: *const (), at: usize) {
        // SAFETY: as the caller promises.
        let task = unsafe { &*task.cast::<Self>() };
        // SAFETY: as the caller promises.
        (task.work)(unsafe { &mut *task.items.add(at) });
    }
}

/// A task without its types.
#[derive(Clone, Copy)]
struct Job {
    task: *const (),
    call: unsafe fn(*const (), usize),
}

/// Where the job lies while it runs.
struct Slot(UnsafeCell<Option<Job>>);

// SAFETY: the slot is written by the holder of `busy` while the gate is closed and empty, and read only by
// that thread and by workers inside the gate. What a job points to may be used by several threads at once, as
// the bounds of `Pool::each` say (`I: Send`, `F: Sync`).
unsafe impl Sync for Slot {}
// SAFETY: as above; the slot itself owns nothing.
unsafe impl Send for Slot {}

/// Alone on its cache lines (two, as they are fetched in pairs), so that writers do not disturb each other.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The unclaimed items of one thread's share: `from` in the low half, `to` in the high half.
struct Share(AtomicU64);

impl Share {
    fn set(&self, from: usize, to: usize) {
        self.0.store(from as u64 | ((to as u64) << 32), Relaxed);
    }

    /// Claims the first item, or the last. The exchange succeeds for one thread only, so an item is claimed
    /// once; that its claims see the share of this job and not of the last one is the gate's work.
    fn claim(&self, last: bool) -> Option<usize> {
        let mut share = self.0.load(Relaxed);
        loop {
            let (from, to) = (share & 0xffff_ffff, share >> 32);
            if from >= to {
                return None;
            }
            let (left, item) = if last { (from | ((to - 1) << 32), to - 1) } else { ((from + 1) | (to << 32), from) };
            match self.0.compare_exchange_weak(share, left, Relaxed, Relaxed) {
                Ok(_) => return Some(item as usize),
                Err(now) => share = now,
            }
        }
    }
}

/// What the caller and the workers share.
struct Shared {
    gate: Apart<AtomicU64>,
    slot: Apart<Slot>,
    /// One bit for each worker that sleeps, or is about to; whoever clears it must unpark.
    asleep: Apart<AtomicU64>,
    /// Callers inside `awake`.
    steps: Apart<AtomicUsize>,
    /// A caller runs a job, or sets one up.
    busy: Apart<AtomicBool>,
    shares: Box<[Apart<Share>]>,
    panicked: Mutex<Option<Payload>>,
    /// Locked between the caller's last look at the gate and its sleep, so that the last worker's call of
    /// `left` cannot fall between them.
    leaving: Mutex<()>,
    left: Condvar,
}

/// A lock that no user code runs under: poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new(threads: usize) -> Shared {
        Shared {
            gate: Apart(AtomicU64::new(0)),
            slot: Apart(Slot(UnsafeCell::new(None))),
            asleep: Apart(AtomicU64::new(0)),
            steps: Apart(AtomicUsize::new(0)),
            busy: Apart(AtomicBool::new(false)),
            shares: (0..threads).map(|_| Apart(Share(AtomicU64::new(0)))).collect(),
            panicked: Mutex::new(None),
            leaving: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Runs a job over `count` items by this thread and whichever workers come; the first panic, if any.
    ///
    /// # Safety
    /// The caller holds `busy`. Until this returns `job.call(job.task, at)` may be called from any thread, once
    /// for every `at < count`. `count` fits 32 bits.
    unsafe fn run(&self, job: Job, count: usize, threads: usize, workers: &[JoinHandle<()>]) -> Option<Payload> {
        let parts = threads.min(count);
        // SAFETY: the holder of `busy` alone writes, and the last job was over before `busy` was released:
        // the gate is closed and empty, so nobody reads.
        unsafe { *self.slot.0.0.get() = Some(job) };
        for (part, share) in self.shares[..parts].iter().enumerate() {
            let bound = |part: usize| (part as u64 * count as u64 / parts as u64) as usize;
            share.set(bound(part), bound(part + 1));
        }
        // No worker changes a closed and empty gate, so a store will do. The release opens the job to those
        // who enter; sequential consistency is for sleepers, see `sleep`.
        let next = number(self.gate.load(Relaxed)).wrapping_add(1);
        self.gate.store((next << NUMBER_SHIFT) | ((parts as u64) << SHARES_SHIFT) | OPEN, SeqCst);
        // From here to `close` nothing may unwind: workers may hold the job.
        self.wake(parts, workers);
        // SAFETY: the job is open and this thread closes it below.
        unsafe { self.take_part(job, 0, parts) };
        let gate = self.close();
        if gate & PANICKED != 0 { lock(&self.panicked).take() } else { None }
    }

    /// Does items until none is left unclaimed: the own share in order, then the others' from the back.
    /// A panic of an item is kept for the caller and leaves the rest of the job undone.
    ///
    /// # Safety
    /// This thread is inside the gate, or is the one that opened it and has not closed it; `job` is its job.
    unsafe fn take_part(&self, job: Job, me: usize, parts: usize) {
        let claim = || {
            self.shares[me]
                .claim(false)
                .or_else(|| (1..parts).find_map(|by| self.shares[(me + by) % parts].claim(true)))
        };
        let work = || {
            while let Some(at) = claim() {
                // SAFETY: the item is within the job and claimed by this thread alone; the job's caller does
                // not return before this thread has left.
                unsafe { (job.call)(job.task, at) };
            }
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
            for share in &self.shares[..parts] {
                share.set(0, 0);
            }
            let mut first = lock(&self.panicked);
            match *first {
                None => *first = Some(payload),
                // Dropping it is the user's code, which could panic here, where nothing may.
                Some(_) => std::mem::forget(payload),
            }
            self.gate.fetch_or(PANICKED, Relaxed);
        }
    }

    /// Lets nobody in any more and waits until all have left; the gate as it then is.
    fn close(&self) -> u64 {
        let mut gate = self.gate.fetch_and(!OPEN, Acquire);
        let mut rounds = 0;
        while gate & INSIDE != 0 {
            rounds += 1;
            if rounds < SPINS {
                spin_loop();
            } else if rounds < SPINS + YIELDS_LEAVING {
                yield_now();
            } else {
                return self.close_asleep();
            }
            gate = self.gate.load(Acquire);
        }
        gate
    }

    #[cold]
    fn close_asleep(&self) -> u64 {
        let mut leaving = lock(&self.leaving);
        let mut gate = self.gate.fetch_or(WAITING, Acquire);
        while gate & INSIDE != 0 {
            leaving = self.left.wait(leaving).unwrap_or_else(PoisonError::into_inner);
            gate = self.gate.load(Acquire);
        }
        gate
    }

    /// The life of worker `me`.
    fn serve(&self, me: usize) {
        let mut seen = 0;
        while let Some(gate) = self.enter(me, seen) {
            // SAFETY: this thread is inside the gate, so the caller has opened this job and waits for this
            // thread to leave before it writes another.
            let job = unsafe { *self.slot.0.0.get() };
            let job = job.expect("a gate opens after its job is written");
            // SAFETY: inside the gate, and the job is the gate's.
            unsafe { self.take_part(job, me, shares(gate)) };
            self.leave();
            seen = number(gate);
        }
    }

    /// Waits until a job with a share for worker `me` is open and enters; `None` when the pool ends.
    /// The job `seen` has nothing left to claim and is not entered again.
    fn enter(&self, me: usize, seen: u64) -> Option<u64> {
        // The round in which a step was last seen to run.
        let (mut rounds, mut in_step) = (0, 0);
        loop {
            let gate = self.gate.load(Relaxed);
            if gate & ENDING != 0 {
                return None;
            }
            if has_work(gate, me, seen) {
                // A success means that the gate is open at this moment, whatever happened since the load.
                if self.gate.compare_exchange(gate, gate + 1, Acquire, Relaxed).is_ok() {
                    return Some(gate);
                }
                continue;
            }
            rounds += 1;
            if rounds < SPINS {
                spin_loop();
            } else if rounds < SPINS + YIELDS_AWAKE && rounds < SPINS.max(in_step) + YIELDS {
                if self.steps.load(Relaxed) > 0 {
                    in_step = rounds;
                }
                yield_now();
            } else {
                self.sleep(me, seen);
                (rounds, in_step) = (0, 0);
            }
        }
    }

    fn leave(&self) {
        let gate = self.gate.fetch_sub(1, Release);
        // From here on this thread knows nothing of the job. Who waits may have gone: then the call is idle.
        if gate & WAITING != 0 && gate & INSIDE == 1 {
            drop(lock(&self.leaving));
            self.left.notify_one();
        }
    }

    /// Sleeps until woken or until there is work.
    ///
    /// No wake-up is lost: here `asleep` is written, then the gate is read; a caller writes the gate, then
    /// reads `asleep`. All four are sequentially consistent, so at least one sees the other's write.
    fn sleep(&self, me: usize, seen: u64) {
        let bit = 1 << me;
        self.asleep.fetch_or(bit, SeqCst);
        loop {
            let gate = self.gate.load(SeqCst);
            if gate & ENDING != 0 || has_work(gate, me, seen) {
                self.asleep.fetch_and(!bit, Relaxed);
                return;
            }
            if self.asleep.load(Relaxed) & bit == 0 {
                return;
            }
            park();
        }
    }

    /// Wakes those of the first `threads` threads that sleep.
    fn wake(&self, threads: usize, workers: &[JoinHandle<()>]) {
        let ours = u64::MAX >> (MOST_THREADS - threads);
        if self.asleep.load(SeqCst) & ours == 0 {
            return;
        }
        let mut woken = self.asleep.fetch_and(!ours, Relaxed) & ours;
        while woken != 0 {
            // Thread 0 is the caller and never sleeps here.
            workers[woken.trailing_zeros() as usize - 1].thread().unpark();
            woken &= woken - 1;
        }
    }
}

/// Whether the gate is open to worker `me`, which has seen the job `seen`.
fn has_work(gate: u64, me: usize, seen: u64) -> bool {
    gate & OPEN != 0 && me < shares(gate) && number(gate) != seen
}

#[cfg(test)]
// By its path, so that `tests/sanitize.sh` can compile this file alone.
#[path = "pool/tests.rs"]
mod tests;
