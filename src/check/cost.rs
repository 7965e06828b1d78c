//! What a run will need of memory and disk, told before anything is allocated or written.
//!
//! Upper bounds that can be computed from widths alone: every optimiser is taken for adam, every growth for two
//! checkpoints. The limits of a run and `growrun plan` both go by these numbers.

use super::Limits;
use super::program::{ActionKind, Event, TrainPlan, Trigger};
use super::replay::Planned;
use crate::base::{Diagnostic, Span};
use crate::nn::Architecture;
use crate::nn::axis::Dim;

/// Of one f32.
const NUMBER: u64 = 4;
/// Value, gradient and the two moments of adam.
const COPIES: u64 = 4;
/// While a checkpoint is saved there are also the file of its weights, that of both moments, and the tensor that is being
/// written: 1 + 2 + 1.
const COPIES_TO_SAVE: u64 = 4;
/// `on_divergence rollback`
const COPIES_TO_GO_BACK: u64 = 3;

/// What memory is needed besides the parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Examples in a batch.
    pub batch: usize,
    /// Bytes of the data while it is divided into its parts.
    pub data: u64,
    /// Whether a copy is kept to go back to: value and moments.
    pub rolls_back: bool,
}

/// Bytes for a network of so many parameters, at work and while it is saved.
pub fn memory(parameters: u64, architecture: &Architecture, load: Load) -> u64 {
    let input = architecture.width(architecture.input.axis).max as u64;
    let units = architecture.all_layers().fold(input, |sum, layer| {
        let width = architecture.width(layer.output.axis).max as u64;
        sum.saturating_add(width.saturating_mul(layer.output.values_per_unit() as u64))
    });
    // Pre-activation, activation and gradient of every unit of every example in the batch.
    let batch = units.saturating_mul(3 * NUMBER).saturating_mul(load.batch as u64);
    let copies = COPIES + COPIES_TO_SAVE + if load.rolls_back { COPIES_TO_GO_BACK } else { 0 };
    parameters.saturating_mul(copies * NUMBER).saturating_add(batch).saturating_add(load.data)
}

/// Bytes of a checkpoint: weights and two moments, when each index of each axis was born, and what names them.
pub fn checkpoint(architecture: &Architecture) -> u64 {
    /// A birth is a step.
    const BIRTH: u64 = 8;
    /// Of a parameter in the headers of two files: its name and place, four or five times.
    const NAMES: u64 = 640;
    architecture.parameters().iter().fold(0, |sum: u64, parameter| {
        let births: u64 = parameter
            .dims
            .iter()
            .map(|dim| match dim {
                Dim::Feature(axis, _) => architecture.width(*axis).max as u64,
                Dim::Fixed(n) => *n as u64,
            })
            .fold(0, u64::saturating_add);
        let numbers = parameter.count(architecture).1.saturating_mul(3 * NUMBER);
        sum.saturating_add(numbers).saturating_add(births.saturating_mul(BIRTH)).saturating_add(NAMES)
    })
}

/// Bytes of a run directory at its fullest: the checkpoints at the start, before and after every growth, those that
/// `checkpoint every`, `keep best` and `save` ask for, the last two and one that is being written; the final
/// weights; the lines of metrics and the record.
pub fn disk(start: &Architecture, train: &TrainPlan, events: &[Event], timeline: &[Planned]) -> u64 {
    /// Of a line of metrics.jsonl with its twin in tensorboard, and of an event in the record.
    const LINE: u64 = 1000;
    let evaluations = train.evaluate_every.map_or(0, |every| train.steps / every.max(1) + 1);
    let mut before = checkpoint(start);
    let (mut largest, mut total) = (before, before);
    let mut growths = 0u64;
    for planned in timeline.iter().filter(|planned| planned.growth.is_some()) {
        let after = checkpoint(&planned.after);
        let times = match events[planned.event].trigger {
            Trigger::When { at_most, .. } => at_most.min(evaluations),
            _ => 1,
        };
        growths = growths.saturating_add(times);
        total = total.saturating_add(before.saturating_add(after).saturating_mul(times));
        largest = largest.max(after);
        before = after;
    }
    let saves = events.iter().flat_map(|event| &event.actions);
    let saves = saves.filter(|action| matches!(action.kind, ActionKind::Save { .. })).count() as u64;
    let periodic = train.checkpoint_every.map_or(0, |every| train.steps / every.max(1));
    let kept = periodic.min(train.checkpoints_kept.max(1) as u64);
    let others = 4u64.saturating_add(kept).saturating_add(saves).saturating_add(u64::from(train.keep_best.is_some()));
    let lines = train.log_every.map_or(0, |every| train.steps / every.max(1));
    let lines = lines.saturating_add(evaluations).saturating_add(growths).saturating_mul(LINE);
    total.saturating_add(largest.saturating_mul(others)).saturating_add(lines)
}

/// Whether the disk that a run needs is beyond the limit, said at `span`.
pub(super) fn judge_disk(bytes: u64, limits: &Limits, span: Span) -> Option<Diagnostic> {
    let limit = limits.disk.filter(|limit| bytes > *limit)?;
    Some(
        Diagnostic::error("G0605", span, format!("the run would need about {} of disk", size(bytes)))
            .here(format!("the limit is {}", size(limit)))
            .help(
                "use fewer growth events or checkpoints, a folder with more space by `--out`, or raise the limit by \
                 `--disk-limit`",
            ),
    )
}

/// Bytes for a reader.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
