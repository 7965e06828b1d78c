//! With what a network computes: threads and SIMD path. Neither changes a bit of any result.

use super::kernels::Path;
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
    pool: Option<Arc<rayon::ThreadPool>>,
    path: Path,
    route: Route,
    /// Share out even work that is too small to gain by it. Tests set it: otherwise small networks would
    /// stay on one thread and "equal bits for 1, 2 and 4 threads" would test nothing.
    force_parallel: bool,
}

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
        let pool = (threads > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok().map(Arc::new))
            .flatten();
        Ok(Compute { pool, path, route: Route::of(path), force_parallel })
    }

    /// One thread and the best path of this machine.
    pub fn single() -> Compute {
        Compute::new(1, Simd::Auto, false).expect("`auto` is always there")
    }

    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
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

    /// The pool, if there is one and `operations` are worth sharing out.
    pub(super) fn pool_for(&self, operations: usize, worthwhile: usize) -> Option<&rayon::ThreadPool> {
        self.pool.as_deref().filter(|_| self.force_parallel || operations >= worthwhile)
    }

    /// Runs a whole step inside the pool, so that the parallel pieces in it start without waking anybody.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Length of the pieces in which `values` elements are shared out: whole rows of `row` elements, or
    /// `None` when one thread does it.
    pub fn piece(&self, values: usize, row: usize) -> Option<(&rayon::ThreadPool, usize)> {
        let pool = self.pool_for(values, 1 << 15)?;
        let rows = values.checked_div(row)?;
        let pieces = pool.current_num_threads();
        Some((pool, rows.div_ceil(pieces).max(1) * row))
    }
}

impl std::fmt::Debug for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} threads, {}", self.threads(), self.simd())
    }
}
