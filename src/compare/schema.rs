//! The types of `comparison.yaml`: what is compared, and once all runs are there, what came out.
//!
//! An unknown field is an error, as in a run's record.

use crate::record::schema::{File, Version};
use serde::{Deserialize, Serialize};

/// Raised when a field is added or changes its meaning.
pub const SCHEMA: u32 = 1;

/// A comparison: some arms with the same seeds, each of them a run directory beneath its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Version of this schema.
    pub comparison: u32,
    pub growrun: Version,
    pub name: String,
    pub command: Vec<String>,
    /// The schedule and what it includes, byte for byte.
    pub schedule: Vec<File>,
    /// Values of a sweep that make this comparison: `width` is `128`.
    pub settings: Vec<(String, String)>,
    /// What the arms are judged by at their end: `test_accuracy`.
    pub metric: String,
    pub higher_is_better: bool,
    /// `val_accuracy`: the metric whose course is known, for what it took to reach a target. `None` where nothing is
    /// evaluated on the way.
    pub course: Option<String>,
    /// What is equal in all arms: `epochs`, `steps` or `flops`; `standard` for the arms of a schedule without any.
    pub matching: String,
    pub seeds: Vec<u64>,
    /// The reference first.
    pub arms: Vec<ArmPlan>,
    /// `None` until every run is there.
    pub result: Option<Outcome>,
}

/// What an arm is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmPlan {
    pub name: String,
    /// In a few words: `never grows, as many FLOPs as grown`.
    pub about: String,
    pub budget: Budget,
    /// Whether the verdict looks at it.
    pub judged: bool,
    /// The arm with whose final network it begins, in fresh weights.
    pub from_final: Option<String>,
}

/// How long an arm trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// As the schedule says: the reference.
    Schedule,
    /// As many epochs, steps or floating-point operations as the reference, for each seed.
    Epochs,
    Steps,
    Flops,
    /// As many operations as the reference spent from its first growth on.
    FlopsFromFirstGrowth,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// In the order of the plan.
    pub arms: Vec<ArmOutcome>,
    /// The reference minus each other arm, in their order.
    pub differences: Vec<Difference>,
    /// The value of `course` that what it took is told for.
    pub target: Option<f64>,
    pub verdict: Verdict,
    /// The answer when the small network is already paid for; only the standard arms give one.
    pub paid: Option<Verdict>,
    /// Of all runs together, one after the other.
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmOutcome {
    pub name: String,
    /// In the order of the seeds.
    pub runs: Vec<RunOutcome>,
    /// Of the metric over the seeds.
    pub metric: Interval,
    /// Means over the seeds.
    pub flops: f64,
    pub steps: f64,
    pub seconds: f64,
    pub parameters: f64,
    /// The largest shock of a growth event, mean over the seeds that had one.
    pub shock: Option<f64>,
    /// What it took to reach the target.
    pub to_target: ToTarget,
    /// Largest deviation of a run's operations from its budget in operations, as a fraction; `None` where that is not
    /// its budget.
    pub flops_off: Option<f64>,
}

/// One run of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOutcome {
    pub seed: u64,
    /// Its directory beneath the comparison's.
    pub run: String,
    /// As in `run.yaml`.
    pub status: String,
    /// The metric at its end; `None` when it diverged.
    pub value: Option<f64>,
    pub steps: u64,
    pub epochs: f64,
    pub flops: u64,
    pub seconds: f64,
    pub parameters: u64,
    pub shock: Option<f64>,
    /// Digest of the final weights.
    pub weights: Option<String>,
    /// Operations and seconds until the target was first reached.
    pub target_flops: Option<f64>,
    pub target_seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToTarget {
    /// Runs that reached it.
    pub reached: usize,
    /// Means over those.
    pub flops: Option<f64>,
    pub seconds: Option<f64>,
}

/// A mean with its 95 % t-interval, which two values or more have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    pub count: usize,
    /// `None` of no value at all.
    pub mean: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// Paired over the seeds: in the direction in which more is better for the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The arm that is taken from the reference.
    pub arm: String,
    pub interval: Interval,
    /// In the order of the seeds; `None` where one of both has no value.
    pub pairs: Vec<Option<f64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub answer: Answer,
    /// The arm that the reference was compared with: the best of the others.
    pub against: String,
    /// One sentence.
    pub reason: String,
    /// What would decide it, where it is undecided, or what would change it.
    pub next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    Undecided,
}

impl Answer {
    pub fn word(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Undecided => "undecided",
        }
    }
}
