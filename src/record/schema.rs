//! The types of `run.yaml` and of a checkpoint's `meta.yaml`. An unknown field is an error, so that a newer record is
//! never half understood.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a field is added or changes its meaning.
pub const SCHEMA: u32 = 4;
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
    /// The first command; those of `resume` are in `resumed`.
    pub command: Vec<String>,
    /// The run that this one goes on from with another schedule or length.
    pub parent: Option<Parent>,
    /// What makes this run an arm of a comparison.
    pub arm: Option<Arm>,
    /// The schedule and what it includes, byte for byte.
    pub schedule: Vec<File>,
    /// Digest of the schedule's files in this order.
    pub schedule_digest: String,
    /// `starter`, or the path of `--base`, when the schedule is a fragment.
    pub base: Option<String>,
    pub data: Data,
    /// Weights files that the network begins with or that events put in.
    pub weights: Vec<DataFile>,
    /// Every default written out.
    pub resolved: Resolved,
    /// Where it began; never changes a result.
    pub host: Host,
    /// Each time that the run was taken up again after an interruption.
    pub resumed: Vec<Resumed>,
    /// Set once a run was gone on with although lines of metrics.jsonl had been changed or lost.
    pub metrics_damaged: bool,
    /// Growth in order, the first thousand.
    pub events: Vec<Event>,
    /// Growth events beyond those; each checkpoint has all up to it.
    pub events_left_out: u64,
    /// `on_divergence rollback`, each time that it happened.
    pub rollbacks: Vec<Rollback>,
    /// In the order in which they were made, those that have been deleted since too.
    pub checkpoints: Vec<Checkpoint>,
    pub result: Option<Outcome>,
}

impl Record {
    /// Every file that was read beside the schedule.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.data.files.iter().chain(&self.weights)
    }
}

/// Which arm of its schedule a run trains, and how far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// As the schedule calls it; `small`, `large` and so on where it has no arms.
    pub name: String,
    /// Steps that it was given; `None`: as long as the schedule says.
    pub steps: Option<u64>,
    /// The steps of the reference that its events' times are stretched by; `None`: they are as the schedule writes them.
    pub stretched_of: Option<u64>,
    /// Whether it begins with fresh weights of the network that another arm ended with, which is `resolved.model`.
    pub from_final: bool,
}

/// Where a run with a changed schedule began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Name and number of the run: `first-growth/0001`.
    pub run: String,
    pub schedule_digest: String,
    /// The checkpoint it went on from.
    pub checkpoint: String,
    pub step: u64,
    pub digest: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// The checkpoint it went on from; `None` when none was there, so that it began again.
    pub checkpoint: Option<String>,
    pub step: u64,
    pub command: Vec<String>,
    pub host: Host,
}

/// The loss, a gradient or a weight was not finite, and the run went back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The step that diverged.
    pub step: u64,
    /// The step that training went on from.
    pub back_to: u64,
    /// By what the learning rate was multiplied.
    pub factor: f64,
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
    /// sha256 over all bytes, file behind file.
    pub digest: String,
    pub bytes: u64,
    /// Each file that was read; none of data that is built in or generated.
    pub files: Vec<DataFile>,
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
pub struct DataFile {
    /// The file's own name, without its folder.
    pub name: String,
    /// What `sha256sum` prints.
    pub sha256: String,
    pub bytes: u64,
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
    /// The network before the first step; of a run with a parent, as its schedule describes it.
    pub model: Model,
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
    /// In source order; the schedule above has all of them.
    pub events: Vec<PlannedEvent>,
    /// Events beyond those.
    pub events_left_out: u64,
}

impl Resolved {
    /// Keeps so many events at most.
    pub fn cut_events(&mut self, count: usize) {
        let kept = self.events.len().min(count);
        self.events_left_out += (self.events.len() - kept) as u64;
        self.events.truncate(kept);
    }
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

/// A network as symbols.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Every feature axis there has been; the first is the input. Layers name them by their place here, from 0.
    pub axes: Vec<Axis>,
    pub layers: Vec<Layer>,
}

impl Model {
    /// No fewer numbers than its parameters hold, and some more.
    pub fn numbers(&self) -> u64 {
        let width = |axis: u32| self.axes.get(axis as usize).map_or(0, |axis| axis.width as u64);
        let layer = |layer: &Layer| {
            let (reads, writes) = (width(layer.reads), width(layer.writes));
            reads.saturating_add(8).saturating_mul(writes).saturating_add(8)
        };
        self.layers.iter().fold(0, |sum: u64, one| sum.saturating_add(layer(one)))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    pub name: String,
    pub width: usize,
}

/// One layer with every default written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub name: String,
    pub kind: String,
    /// The axis that it reads and the one that it writes.
    pub reads: u32,
    pub writes: u32,
    /// The residual block that it stands in.
    pub inside: Option<String>,
    pub width: usize,
    pub activation: String,
    /// Whether the activation is (1 − a)·t + a·φ(t) with a learned a.
    pub parametric: bool,
    pub norm: Option<String>,
    /// ε of the norm.
    pub norm_epsilon: f64,
    /// The one that the schedule writes; growth rescales it with the width.
    pub norm_epsilon_written: f64,
    /// Whether a residual block has a map on its skip.
    pub project: bool,
    /// Of a convolution: height and width of the kernel, pixels from one output to the next, `same` or `valid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<String>,
    /// Of a pool: `max 2`, `avg 2`, `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    pub bias: bool,
    pub dropout: f64,
    pub init: String,
    pub frozen: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub cpu: String,
    pub os: String,
    pub threads: usize,
    pub simd: String,
    /// What kept the process from anything but this run: see docs/sandbox.md.
    pub sandbox: String,
    /// Seconds since 1970-01-01 UTC.
    pub started: u64,
    /// Where the schedule lay; `resume` and `verify` look for the data beneath it.
    pub folder: Option<String>,
    /// `--data NAME=PATH`
    pub data: Vec<Setting>,
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
    /// The network afterwards: `64-256-32-10`.
    pub shape: String,
    /// Its layers by name: `input:64 h1:dense:256:relu out:dense:10:linear`.
    pub layers: String,
    /// Digest of the weights right after.
    pub weights: String,
    pub seconds: f64,
}

/// A checkpoint in the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its folder in `checkpoints/`.
    pub name: String,
    /// Counts the checkpoints of a run from 1.
    pub number: u64,
    pub step: u64,
    /// Digest of `meta.yaml`, which holds those of the other files.
    pub digest: String,
    /// The digest of the checkpoint before; the first of a run with a parent names that of the parent.
    pub parent: Option<String>,
    /// Digest of the weights: equal weights on any machine have the same.
    pub weights: String,
    /// Of the optimiser's slots and the ages.
    pub optimizer: String,
    /// The first 16 digits of each tensor's own digest, to name the one that differs.
    pub tensors: BTreeMap<String, String>,
    /// Whether its files are still there.
    pub kept: bool,
}

/// `meta.yaml`: what is in a checkpoint beside weights and optimiser state. Its last line holds the digest of
/// everything above it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    pub record: u32,
    pub numerics: u32,
    pub name: String,
    pub number: u64,
    pub step: u64,
    /// The schedule that it belongs to.
    pub schedule_digest: String,
    pub parent: Option<String>,
    /// Digests of the files beside this one, as bytes.
    pub weights_file: String,
    pub state_file: String,
    /// As in the record.
    pub weights: String,
    pub optimizer: String,
    /// Bytes of metrics.jsonl that had been written, and their digest.
    pub metrics_bytes: u64,
    pub metrics: String,
    pub model: Model,
    /// Where the run stands.
    pub progress: crate::run::Progress,
    /// Growth so far.
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub step: u64,
    pub epoch: f64,
    pub parameters: u64,
    pub model: Model,
    /// Digest of the final weights; `None` when they are not finite.
    pub weights: Option<String>,
    pub metrics: Vec<Metric>,
    /// Rows are true classes, columns predicted ones, at the last evaluation.
    pub confusion: Option<Vec<Vec<u64>>>,
    pub flops: u64,
    /// Training and evaluation, all sessions together.
    pub seconds: f64,
    /// What was expected of them before the first step; of a run that was resumed, what had been spent when it was taken
    /// up, and what was expected of the rest.
    pub expected_seconds: Option<f64>,
    /// Digests of the files of the run directory, as bytes.
    pub files: BTreeMap<String, String>,
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
    pub best_hex: String,
    pub best_step: u64,
}

impl Metric {
    /// The exact value, also when it is not finite; `None` when the record was tampered with.
    pub fn exact(&self) -> Option<f64> {
        exact(&self.hex)
    }
}

/// The number whose bits are written as `0x3fef5c28f5c28f5c`.
pub fn exact(hex: &str) -> Option<f64> {
    u64::from_str_radix(hex.strip_prefix("0x")?, 16).ok().map(f64::from_bits)
}
