//! With what a network computes: threads and SIMD path. Neither changes a bit of any result.

use super::kernels::Path;
use super::pool::Pool;
use super::product::Route;
use crate::base::Refusal;
use std::sync::Arc;

/// The instruction set that a user asks for: `--simd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// The best that this machine has.
    Auto,
    Avx512,
    Avx2,
    /// Plain scalar code: slow, and right everywhere.
    Portable,
}

impl Simd {
    pub const ALL: [Simd; 4] = [Simd::Auto, Simd::Avx512, Simd::Avx2, Simd::Portable];

    pub fn word(self) -> &'static str {
        match self {
            Simd::Auto => "auto",
            Simd::Avx512 => "avx512",
            Simd::Avx2 => "avx2",
            Simd::Portable => "portable",
        }
    }

    pub fn find(word: &str) -> Option<Simd> {
        Simd::ALL.into_iter().find(|simd| simd.word() == word)
    }

    /// Whether this machine can.
    pub fn is_available(self) -> bool {
        Path::detect(self).is_some()
    }
}

/// A number of threads, a SIMD path, and whether small work is shared out too.
#[derive(Clone)]
pub struct Compute {
    pool: Arc<Pool>,
    path: Path,
    route: Route,
    /// Share out even work that is too small to gain by it. Tests set it: otherwise small networks would
    /// stay on one thread and "equal bits for 1, 2 and 4 threads" would test nothing.
    force_parallel: bool,
    /// Whether the work of now is shared out: see [`Compute::run`].
    shared: bool,
}

/// Floating-point operations below which a second thread costs more than it brings.
const WORTHWHILE: u64 = 2_000_000;

impl Compute {
    /// `threads` 0 counts as 1. Refused when the machine lacks what `simd` names.
    pub fn new(threads: usize, simd: Simd, force_parallel: bool) -> Result<Compute, Refusal> {
        let Some(path) = Path::detect(simd) else {
            return Err(Refusal::error(
                "G0105",
                format!("this machine has no {}", simd.word()),
                "use `--simd auto`; results are the same bits on every path",
            ));
        };
        // A system that grants no threads gets the same bits from one.
        let pool = Arc::new(Pool::new(threads));
        Ok(Compute { pool, path, route: Route::of(path), force_parallel, shared: force_parallel })
    }

    /// One thread and the best path of this machine.
    pub fn single() -> Compute {
        Compute::new(1, Simd::Auto, false).expect("`auto` is always there")
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The path that runs, for the record: `avx512`, `avx2` or `portable`.
    pub fn simd(&self) -> &'static str {
        self.path.word()
    }

    pub fn path(&self) -> Path {
        self.path
    }

    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// The same for a piece of work of that many floating-point operations: it is shared out if that pays.
    pub fn for_work(&self, operations: u64) -> Compute {
        Compute { shared: self.threads() > 1 && (self.force_parallel || operations >= WORTHWHILE), ..self.clone() }
    }

    /// Threads that the work of now is shared between.
    pub fn sharing(&self) -> usize {
        if self.shared { self.threads() } else { 1 }
    }

    /// Calls `work` once for every item, on all threads where the work is shared out.
    pub fn each<I: Send>(&self, items: &mut [I], work: impl Fn(&mut I) + Sync) {
        if self.sharing() > 1 {
            self.pool.each(items, work);
        } else {
            items.iter_mut().for_each(work);
        }
    }

    /// Runs a whole step with the threads awake, so that its phases start without waking anybody.
    pub fn run<R>(&self, step: impl FnOnce() -> R) -> R {
        if self.sharing() > 1 { self.pool.awake(step) } else { step() }
    }
}

impl std::fmt::Debug for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} threads, {}", self.threads(), self.simd())
    }
}
