//! What a run will need of memory and disk, told before anything is allocated or written.
//!
//! Upper bounds that can be computed from widths alone: every optimiser is taken for adam, every growth for two
//! checkpoints. The limits of a run and `growrun plan` both go by these numbers.

use super::Limits;
use super::program::{ActionKind, Event, Program, TrainPlan, Trigger};
use super::replay::Planned;
use crate::base::{Diagnostic, Span};
use crate::nn::axis::Dim;
use crate::nn::{Activation, Architecture, EVALUATED, Feature, Layer};

/// Of one f32.
const NUMBER: u64 = 4;
/// Value, gradient and the two moments of adam.
const COPIES: u64 = 4;
/// While a checkpoint is saved there are also the file of its weights, that of both moments, and the tensor that is being
/// written: 1 + 2 + 1.
const COPIES_TO_SAVE: u64 = 4;
/// `on_divergence rollback`
const COPIES_TO_GO_BACK: u64 = 3;

/// Columns of a panel, in which activations lie: a width is rounded up to it.
const PANEL: u64 = 16;
/// Images that are worked on at once, each with its border: four for each of sixteen threads.
const FRAMES: u64 = 64;

/// What memory is needed besides the parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Examples in a batch.
    pub batch: usize,
    /// Examples that are evaluated at once.
    pub evaluated: usize,
    /// Bytes of the data while it is divided into its parts.
    pub data: u64,
    /// Whether a copy is kept to go back to: value and moments.
    pub rolls_back: bool,
}

impl Load {
    /// Of a run.
    pub fn of(program: &Program) -> Load {
        let data = &program.data;
        Load {
            batch: data.batch.unwrap_or(data.examples).min(data.examples),
            evaluated: data.examples.min(EVALUATED),
            data: data.bytes,
            rolls_back: program.train.rolls_back(),
        }
    }
}

/// Bytes for a network of so many parameters, at work and while it is saved.
pub fn memory(parameters: u64, architecture: &Architecture, load: Load) -> u64 {
    let copies = COPIES + COPIES_TO_SAVE + if load.rolls_back { COPIES_TO_GO_BACK } else { 0 };
    parameters.saturating_mul(copies * NUMBER).saturating_add(activations(architecture, load)).saturating_add(load.data)
}

/// Bytes of what a pass keeps of every example at once, as `nn::network` plans it: what flows between the layers and its
/// gradients for the batch, and what flows for as many examples as are evaluated at once.
fn activations(architecture: &Architecture, load: Load) -> u64 {
    let width = |feature: Feature| architecture.width(feature.axis).max as u64;
    let (batch, evaluated) = (load.batch as u64, evaluated_at_once(architecture, load.evaluated) as u64);
    let whole = batch.max(evaluated);
    let vectors = |units: u64, rows: u64| units.div_ceil(PANEL).saturating_mul(PANEL).saturating_mul(rows + 1);
    let of =
        |feature: Feature, rows: u64| vectors(width(feature), rows.saturating_mul(feature.values_per_unit() as u64));
    let flat =
        |feature: Feature, rows: u64| vectors(width(feature).saturating_mul(feature.values_per_unit() as u64), rows);
    let mut numbers = flat(architecture.input, whole);
    let (mut frames, mut branch) = (0u64, 0u64);
    for layer in architecture.all_layers() {
        let (z, back) = (of(layer.output, whole), of(layer.output, batch));
        let is_first = layer.input.axis == architecture.input.axis;
        let mut add = |more: u64| numbers = numbers.saturating_add(more);
        // Images that no convolution reads are brought in order first: those of the input, and those that become vectors.
        if layer.input.area.is_some() && (is_first || layer.output.area.is_none()) {
            add(flat(layer.input, whole));
            add(flat(layer.input, batch));
        }
        if !layer.block.is_empty() {
            // The sum, and the map on the skip; a stream that two read is added up in a place of its own.
            let times = if layer.settings.project { 2 } else { 1 };
            add(z.saturating_add(back).saturating_mul(times));
            branch = branch.max(of(layer.input, batch));
            continue;
        }
        if layer.settings.pooling.is_some() {
            add(z.saturating_add(back));
            continue;
        }
        // Pre-activation, output, and what the norm and a learned share of the activation keep of each.
        let settings = &layer.settings;
        let keeps_output = settings.activation != Activation::Linear || settings.dropout > 0.0 || settings.parametric;
        let kept = 1 + u64::from(keeps_output) + u64::from(settings.norm.is_some()) + u64::from(settings.parametric);
        add(z.saturating_mul(kept));
        // A gradient of images changes places with what it is the gradient of.
        add(if layer.output.area.is_some() { z } else { back });
        add(back.saturating_mul(u64::from(settings.dropout > 0.0) + u64::from(settings.parametric)));
        frames = frames.max(frame(layer, width(layer.input), width(layer.output)));
    }
    let frames = frames.saturating_mul(whole.min(FRAMES));
    numbers.saturating_add(branch).saturating_add(frames).saturating_mul(NUMBER)
}

/// Examples that are evaluated at once, or more: an example takes at least what every layer gives.
fn evaluated_at_once(architecture: &Architecture, most: usize) -> usize {
    let of = |feature: Feature| architecture.width(feature.axis).max.saturating_mul(feature.values_per_unit());
    let all = architecture.all_layers().fold(of(architecture.input), |sum, layer| sum.saturating_add(of(layer.output)));
    crate::nn::network::examples_at_once(all, most)
}

/// Numbers of an image with its border of zeros, of what a convolution reads or of the gradient that it passes on.
fn frame(layer: &Layer, inputs: u64, outputs: u64) -> u64 {
    let (Some(from), Some(to)) = (layer.input.area, layer.output.area) else { return 0 };
    let settings = &layer.settings;
    let (kernel, stride) = (settings.kernel as u64, settings.stride as u64);
    let read = |to: usize| (to as u64).saturating_sub(1).saturating_mul(stride).saturating_add(kernel);
    let passed = |from: usize| from as u64 + kernel;
    let of = |units: u64, rows: u64, columns: u64| {
        units.div_ceil(PANEL).saturating_mul(PANEL).saturating_mul(rows).saturating_mul(columns)
    };
    of(inputs, read(to.0), read(to.1)).max(of(outputs, passed(from.0), passed(from.1)))
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
