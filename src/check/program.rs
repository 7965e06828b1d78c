//! A schedule that was found good, with every default filled in and every time resolved to a step.

use crate::base::{Args, Clause, Sources, Span};
use crate::grow::Operator;
use crate::nn::Architecture;
use std::path::PathBuf;

/// All that a run needs to know.
#[derive(Clone)]
pub struct Program {
    pub sources: Sources,
    /// `experiment`, or the file's stem.
    pub name: String,
    pub seed: u64,
    /// The base that a fragment runs on: `None` for a complete file.
    pub base: Option<Base>,
    pub data: DataPlan,
    /// Where the paths of the `data` section begin.
    pub data_folder: PathBuf,
    /// Before the first step.
    pub architecture: Architecture,
    /// Weights that it begins with or puts in.
    pub given: crate::weights::Given,
    pub train: TrainPlan,
    /// In source order.
    pub events: Vec<Event>,
    /// The values of `let` after overrides, as text, in order of their definition.
    pub lets: Vec<(String, String)>,
}

/// What a fragment was put on.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// The built-in starter: digits, 64-64-10, 60 epochs of adam.
    Starter,
    File(PathBuf),
}

/// A word from a registry with its arguments.
#[derive(Clone, Debug)]
pub struct Choice {
    pub word: &'static str,
    pub args: Args,
}

#[derive(Clone, Debug)]
pub struct DataPlan {
    /// A word of `data::SOURCES`.
    pub source: Choice,
    /// Examples a step; `None` is `all`.
    pub batch: Option<usize>,
    pub normalize: crate::data::Normalize,
    pub split: crate::data::Split,
    pub limit: Option<usize>,
    pub shuffle: bool,
    pub drop_last: bool,
    pub balanced_classes: bool,
    /// Examples of the training part.
    pub examples: usize,
    /// Whether there are examples to validate with, and some for the end.
    pub has_val: bool,
    pub has_test: bool,
    pub steps_per_epoch: u64,
    /// Memory that all examples take while they are divided.
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct TrainPlan {
    /// Planned steps; an early stop may come before.
    pub steps: u64,
    /// Steps that the schedule says; others only where an arm of a comparison has a budget. The rate's shape was written
    /// for these.
    pub length: u64,
    pub optimizer: Choice,
    /// `lr` of the optimizer statement.
    pub base_lr: f64,
    pub lr: LrShape,
    pub warmup_steps: u64,
    pub loss: Choice,
    pub metrics: Vec<&'static str>,
    /// Steps between evaluations; `None` is `never`.
    pub evaluate_every: Option<u64>,
    pub log_every: Option<u64>,
    pub stop_when: Option<Vec<Condition>>,
    /// A metric's full name and whether more is better.
    pub keep_best: Option<(String, bool)>,
    pub checkpoint_every: Option<u64>,
    pub checkpoints_kept: usize,
    pub on_divergence: Divergence,
}

impl TrainPlan {
    /// Whether a run may go back to an earlier checkpoint.
    pub fn rolls_back(&self) -> bool {
        matches!(self.on_divergence, Divergence::Rollback { .. })
    }
}

/// The learning rate over time, as a factor of its base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LrShape {
    Constant,
    /// From 1 to the last factor over the planned steps, by half a cosine.
    Cosine {
        last: f64,
    },
    Linear {
        last: f64,
    },
    Step {
        factor: f64,
        every_steps: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Divergence {
    Stop,
    Rollback { factor: f64, at_most: u64 },
}

/// A clause with its times in steps and the direction of its metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub clause: Clause,
    pub window_steps: u64,
    pub higher_is_better: bool,
}

#[derive(Clone)]
pub struct Event {
    pub trigger: Trigger,
    pub actions: Vec<Action>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Once, after that many steps; `end` also after an early stop.
    At { step: u64, end: bool },
    /// At `first`, then every `interval`, `until` included.
    Every { first: u64, interval: u64, until: u64 },
    /// Applied on entry, undone on exit.
    During { from: u64, to: u64 },
    /// Looked at after every evaluation.
    When { conditions: Vec<Condition>, at_most: u64, cooldown: u64, from: u64, until: u64 },
}

/// One action with its arguments and its text.
#[derive(Clone)]
pub struct Action {
    pub kind: ActionKind,
    pub args: Args,
    /// As written, for the record and the terminal.
    pub text: String,
}

#[derive(Clone)]
pub enum ActionKind {
    Grow(&'static dyn Operator),
    SetLrTo(f64),
    SetLrBy(f64),
    SetDropout {
        layer: String,
        to: f64,
    },
    Save {
        name: String,
    },
    /// `val` or `test`.
    Evaluate {
        part: &'static str,
    },
    AssertPreserved {
        tolerance: Option<f64>,
    },
    Assert(Vec<Condition>),
    Stop,
}

/// `sweep width in [128, 256, 512]`: each value is a comparison of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub name: String,
    /// As `--set` takes them.
    pub values: Vec<String>,
}

/// `compare grown, small by val_accuracy match flops seeds 5`
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The reference first.
    pub arms: Vec<String>,
    /// A metric with its part.
    pub by: Option<String>,
    /// `None`: not said.
    pub matching: Option<Matching>,
    pub seeds: Option<u64>,
    pub span: Span,
}

/// What the other arms have as much of as the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    #[default]
    Epochs,
    Steps,
    Flops,
}

impl Matching {
    pub const ALL: [Matching; 3] = [Matching::Epochs, Matching::Steps, Matching::Flops];

    pub fn word(self) -> &'static str {
        match self {
            Matching::Epochs => "epochs",
            Matching::Steps => "steps",
            Matching::Flops => "flops",
        }
    }
}
