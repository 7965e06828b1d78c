//! The types of `run.yaml`. Version 1; an unknown field is an error, so that a newer record is never half understood.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a field is added or changes its meaning.
pub const SCHEMA: u32 = 1;
/// Raised only when the same schedule gives other bits.
pub const NUMERICS: u32 = 1;
/// The random streams: generator, key derivation, distributions.
pub const STREAMS: &str = "chacha8-blake3-1";

/// A whole run. It exists before the first step and is rewritten at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this schema.
    pub record: u32,
    pub growrun: Version,
    pub name: String,
    /// `running` until the run has ended; then as in `--json`.
    pub status: String,
    /// Why it ended so, when it was neither finished nor stopped.
    pub reason: Option<String>,
    pub seed: u64,
    pub command: Vec<String>,
    /// The schedule and what it includes, byte for byte.
    pub schedule: Vec<File>,
    /// Digest of the schedule's files in this order.
    pub schedule_digest: String,
    /// `starter`, or the path of `--base`, when the schedule is a fragment.
    pub base: Option<String>,
    pub data: Data,
    /// Every default written out.
    pub resolved: Resolved,
    /// Where it ran; never changes a result.
    pub host: Host,
    pub events: Vec<Event>,
    pub checkpoints: Vec<Checkpoint>,
    pub result: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub version: String,
    /// The commit that was built; `unknown` for a build without its repository.
    pub commit: String,
    pub numerics: u32,
    pub streams: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub name: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub source: String,
    pub arguments: BTreeMap<String, String>,
    pub digest: String,
    pub bytes: u64,
    pub train_examples: usize,
    pub val_examples: usize,
    pub test_examples: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub task: String,
    pub class_names: Vec<String>,
    /// Values per feature (input unit), for images height and width.
    pub area: Option<(usize, usize)>,
    /// The column to predict, where the source is a table.
    pub target: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    pub lets: Vec<Setting>,
    pub batch: usize,
    pub normalize: String,
    pub split: String,
    pub shuffle: bool,
    pub drop_last: bool,
    pub class_weights: String,
    pub steps: u64,
    pub steps_per_epoch: u64,
    /// The network before the first step.
    pub model: Vec<Layer>,
    pub optimizer: String,
    pub optimizer_arguments: BTreeMap<String, String>,
    pub lr: String,
    pub warmup_steps: u64,
    pub loss: String,
    pub loss_arguments: BTreeMap<String, String>,
    pub metrics: Vec<String>,
    pub evaluate_every_steps: Option<u64>,
    pub stop_when: Option<String>,
    pub keep_best: Option<String>,
    pub checkpoint_every_steps: Option<u64>,
    pub checkpoints_kept: usize,
    pub on_divergence: String,
    pub events: Vec<PlannedEvent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEvent {
    pub trigger: String,
    pub actions: Vec<String>,
}

/// One layer with every default written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub name: String,
    pub kind: String,
    /// The residual block that it stands in.
    pub inside: Option<String>,
    pub width: usize,
    pub activation: String,
    /// Whether the activation is (1 − a)·t + a·φ(t) with a learned a.
    pub parametric: bool,
    pub norm: Option<String>,
    /// ε of the norm.
    pub norm_epsilon: f64,
    /// Whether a residual block has a map on its skip.
    pub project: bool,
    pub bias: bool,
    pub dropout: f64,
    pub init: String,
    pub frozen: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub cpu: String,
    pub os: String,
    pub threads: usize,
    pub simd: String,
    /// Seconds since 1970-01-01 UTC.
    pub started: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub step: u64,
    pub epoch: f64,
    pub action: String,
    pub target: String,
    pub method: String,
    pub detail: String,
    pub promise: String,
    pub rule: String,
    pub bound: Option<f64>,
    pub held: bool,
    /// Largest |Δ output| on the probe batch.
    pub drift: f64,
    pub shock: Option<f64>,
    pub recovered_after_steps: Option<u64>,
    pub grad_fresh: Option<f64>,
    pub grad_old: Option<f64>,
    pub parameters_before: u64,
    pub parameters_after: u64,
    /// Digest of the weights right after.
    pub weights: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub name: String,
    pub step: u64,
    pub digest: String,
    pub parent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub step: u64,
    pub epoch: f64,
    pub parameters: u64,
    pub model: Vec<Layer>,
    /// Digest of the final weights.
    pub weights: Option<String>,
    pub metrics: Vec<Metric>,
    pub flops: u64,
    pub seconds: f64,
}

/// A number for people and the same one for machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    /// `None` when it is not finite.
    pub value: Option<f64>,
    /// The bits of the f64: `0x3fef5c28f5c28f5c`.
    pub hex: String,
    pub best: Option<f64>,
    pub best_step: u64,
}

impl Metric {
    /// The exact value, also when it is not finite; `None` when the record was tampered with.
    pub fn exact(&self) -> Option<f64> {
        let digits = self.hex.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok().map(f64::from_bits)
    }
}
