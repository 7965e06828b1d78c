//! Where a run stands: all that decides what comes next, beside the parameters, the architecture and the
//! evaluations so far. A checkpoint is these four, so a run that is taken up again goes on as if it had never
//! stopped, also from the middle of an event.

use super::event::{Growth, MetricValue};
use super::growth::Fresh;
use super::history::History;
use super::rate::Turns;
use super::shock::Losses;
use crate::check::windows::Windows;
use crate::nn::{Architecture, Parameter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Everything that a checkpoint holds, as a run takes it over.
#[derive(Clone)]
pub struct Saved {
    pub architecture: Architecture,
    /// In any order; of the architecture's shapes, with the optimiser's slots and their ages.
    pub parameters: Vec<Parameter<f32>>,
    pub progress: Progress,
    pub history: History,
    pub growths: Vec<Growth>,
    /// What the network answered on the probe when the event that is going on began, for `assert preserved`.
    pub probe: Option<Vec<f32>>,
}

/// What a run goes on from.
pub struct Resumption {
    pub saved: Saved,
    /// Steps and growth events at the last checkpoint that the schedule asked for. `None` where another run's
    /// checkpoint is the beginning of this one.
    pub saved_at: Option<(u64, usize)>,
    /// That checkpoint, which `on_divergence rollback` goes back to; without it, `saved`.
    pub good: Option<Saved>,
}

/// The small part of a [`Saved`]. Numbers of events are places in the schedule's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Completed steps.
    pub step: u64,
    pub cursor: Cursor,
    /// Numbers of `at` events that fired when the run was planned to be of another length; they do not fire again.
    pub done: BTreeSet<usize>,
    /// By the number of each `when` that has fired.
    pub fired: BTreeMap<usize, Fired>,
    /// The step of the last change of the architecture: plateaus are looked for behind it.
    pub changed_at: u64,
    /// What `set lr`, `lr rewarm` and open windows have made of the rate.
    pub rate: Turns,
    pub windows: Windows,
    pub losses: Losses,
    /// Growth events, by their place among them, whose gradients the next step shows.
    pub unmeasured: Vec<usize>,
    /// What they made.
    pub fresh: Fresh,
    /// Sum of the batch losses since the last evaluation, and of their weights.
    pub since_evaluation: (f64, f64),
    pub evaluated_at: Option<u64>,
    /// In the order in which they were first evaluated.
    pub metrics: Vec<MetricValue>,
    pub confusion: Option<Vec<Vec<u64>>>,
    pub flops: u64,
    /// Of all sessions so far.
    pub seconds: f64,
    pub rollbacks: u64,
}

/// How often a `when` has fired, and last at which step: its plateaus count from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fired {
    pub times: u64,
    pub last: u64,
}

/// The place within one instant, and what is left of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    pub phase: Phase,
    /// Numbers of the events that are still to fire in this phase, the one that is going on first.
    pub queue: VecDeque<usize>,
    /// Of the first of the queue, once it has begun.
    pub begun: Option<Begun>,
    /// In the closing phases: whether `stop` or the last step came.
    pub stopped: bool,
}

/// An event that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The next of its actions.
    pub action: usize,
    /// Growth events before it.
    pub growths: usize,
}

/// The phases of one instant, in the order that docs/LANGUAGE.md gives, and those that close a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `during` windows end.
    #[default]
    Leave,
    Evaluate,
    StopWhen,
    /// The due events are looked up.
    Due,
    Fire,
    /// `during` windows begin.
    Enter,
    Checkpoint,
    /// The next training step; after the last one, the end.
    Step,
    CloseEvaluate,
    /// `at end`.
    CloseFire,
    Over,
}
