//! What a run tells its consumers, in order: once [`Started`], then steps, evaluations, growth and
//! notes, and at its end one [`Finish`].

use super::history::History;
use super::progress::Progress;
use crate::base::Span;
use crate::grow::Promise;
use crate::nn::{Architecture, Parameter};
use serde::{Deserialize, Serialize};

/// One thing that happened. Borrowed: a consumer copies what it keeps.
pub enum Event<'a> {
    Started(&'a Started),
    /// After a step; a consumer decides how often it shows one.
    Stepped(Stepped<'a>),
    /// `log every`: the loss of one batch, for the metrics file.
    Logged(Stepped<'a>),
    /// After an evaluation, by schedule or by `evaluate`.
    Evaluated(Evaluated<'a>),
    /// An operator changed the network.
    Grown(&'a Growth),
    /// The 100 steps after a growth are over: `index` counts `Grown` events from 0.
    Settled {
        index: usize,
        growth: &'a Growth,
    },
    /// Something to tell in words: a rate was set, an assertion held, an action was skipped.
    Noted {
        step: u64,
        epoch: f64,
        text: String,
        span: Span,
    },
    /// Everything that is needed to go on from here.
    Checkpoint(Checkpoint<'a>),
    /// `on_divergence rollback`
    RolledBack(RolledBack),
    Finished(&'a Finish, &'a [Parameter<f32>]),
}

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct Started {
    pub name: String,
    pub seed: u64,
    pub threads: usize,
    /// The SIMD path that is used: `avx2`, `portable`.
    pub simd: &'static str,
    /// `digits`, or the source's name and path.
    pub data: String,
    /// sha256 of the data's bytes.
    pub data_digest: String,
    pub data_bytes: u64,
    pub examples: Examples,
    pub architecture: Architecture,
    pub parameters: u64,
    pub steps: u64,
    pub steps_per_epoch: u64,
    /// Said first when the schedule is a fragment.
    pub base: Option<String>,
    /// Steps that an earlier session has completed.
    pub step: u64,
}

/// What the table at a run's end begins with.
#[derive(Clone, Debug)]
pub struct Heading {
    pub name: String,
    /// `digits`, or the source's name and path.
    pub data: String,
    pub seed: u64,
    pub threads: usize,
}

impl Started {
    pub fn heading(&self) -> Heading {
        let Started { name, data, seed, threads, .. } = self;
        Heading { name: name.clone(), data: data.clone(), seed: *seed, threads: *threads }
    }
}

/// Examples in each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examples {
    pub train: usize,
    pub val: usize,
    pub test: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Stepped<'a> {
    /// Completed steps, from 1.
    pub step: u64,
    pub epoch: f64,
    pub loss: f64,
    pub lr: f64,
    /// The next event with a known time: its step and its text.
    pub next: Option<(u64, &'a str)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Evaluated<'a> {
    pub step: u64,
    pub epoch: f64,
    pub lr: f64,
    /// Full names (`val_accuracy`) in a fixed order; accuracies in 0..1.
    pub metrics: &'a [(String, f64)],
    /// Rows are true classes, columns predicted ones.
    pub confusion: Option<&'a [Vec<u64>]>,
    pub parameters: u64,
    pub flops: u64,
    pub seconds: f64,
}

/// One growth event with what it promised and what was measured.
#[derive(Clone, Debug)]
pub struct Growth {
    pub step: u64,
    pub epoch: f64,
    /// `widen`
    pub action: String,
    pub target: String,
    pub method: String,
    /// `h2 32 → 256`
    pub detail: String,
    pub promise: Promise,
    pub rule: String,
    /// The largest deviation that a `bounded` promise allows; `None` for the other kinds.
    pub bound: Option<f64>,
    pub held: bool,
    /// Largest |Δ output| on the probe batch.
    pub drift: f64,
    pub parameters_before: u64,
    pub parameters_after: u64,
    /// The network afterwards: `64-256-32-10`.
    pub shape: String,
    /// Its layers by name: see [`Architecture::sketch`].
    pub layers: String,
    /// Digest of the weights right after.
    pub weights: String,
    /// Seconds that rewriting, planning and probing took.
    pub seconds: f64,
    /// Filled in when enough steps have passed.
    pub shock: Option<Shock>,
    /// Norms of the gradient over fresh and over old entries at the next step.
    pub gradient_fresh: Option<f64>,
    pub gradient_old: Option<f64>,
    pub span: Span,
}

/// What growth did to the training loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shock {
    /// Largest mean of 20 steps among the following 100 against the mean of the 20 before, as a fraction of it;
    /// never below 0.
    pub rise: f64,
    /// Steps until the mean of 20 steps was back; `None` when it was not within them.
    pub recovered_after: Option<u64>,
}

/// Where a run stands, to be kept: see [`super::Saved`].
pub struct Checkpoint<'a> {
    pub reason: Reason<'a>,
    pub progress: &'a Progress,
    pub history: &'a History,
    pub growths: &'a [Growth],
    pub probe: Option<&'a [f32]>,
    pub architecture: &'a Architecture,
    pub parameters: &'a [Parameter<f32>],
}

/// Why a checkpoint is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// Before the first step.
    Start,
    /// `checkpoint every`
    Rule,
    /// Before and after the growth event of this number, from 1.
    BeforeGrowth(usize),
    AfterGrowth(usize),
    /// `keep best`
    Best,
    /// `save "name"`
    Named(&'a str),
    /// Time has passed.
    Auto,
    /// A signal.
    Interrupted,
    /// An assertion or a promise was broken.
    Failed,
    /// The run is over.
    End,
}

impl Reason<'_> {
    /// Whether the schedule alone decides that it is made, so that a repeated run makes it too.
    pub fn is_by_schedule(self) -> bool {
        !matches!(self, Reason::Auto | Reason::Interrupted)
    }
}

/// A run that diverged went back to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RolledBack {
    /// The step that diverged.
    pub step: u64,
    pub back_to: u64,
    /// By what the rate was multiplied.
    pub factor: f64,
    /// Growth events that are left.
    pub growths: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    Finished,
    /// By `stop` or `stop when`.
    Stopped,
    /// An assertion or a promise was broken, or an action could not be carried out: what and why.
    Failed(Assertion),
    /// The loss, a gradient or a weight was not finite at this step.
    Diverged {
        step: u64,
    },
    /// By this signal.
    Interrupted {
        signal: i32,
    },
}

impl Status {
    pub fn word(&self) -> &'static str {
        match self {
            Status::Finished => "finished",
            Status::Stopped => "stopped",
            Status::Failed(_) => "failed",
            Status::Diverged { .. } => "diverged",
            Status::Interrupted { .. } => "interrupted",
        }
    }
}

/// Why a run failed, with its place in the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    pub code: &'static str,
    pub span: Span,
    pub message: String,
    pub help: String,
}

/// A metric at its last evaluation and at its best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricValue {
    pub name: String,
    pub value: f64,
    pub best: f64,
    pub best_epoch: f64,
    pub best_step: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finish {
    pub status: Status,
    pub step: u64,
    pub epoch: f64,
    pub architecture: Architecture,
    pub parameters: u64,
    pub metrics: Vec<MetricValue>,
    pub confusion: Option<Vec<Vec<u64>>>,
    pub events: Vec<Growth>,
    /// Digest of the final weights; `None` when they hold a NaN.
    pub weights: Option<String>,
    /// Of training and of the passes that growth needed; evaluations are not counted.
    pub flops: u64,
    /// Training and evaluation, without reading the data.
    pub seconds: f64,
}
