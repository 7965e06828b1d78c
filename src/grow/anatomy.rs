//! What operators ask about an architecture: which axes a target means, what stands before and behind a
//! place, whether a name is free. Symbols only.

use super::measurements::reads;
use super::plan::{LrPolicy, Needs, Plan, Promise, Summary};
use super::taps::Taps;
use super::{Change, PARAMETERS_MAX};
use crate::base::{Args, Duration, Refusal, Target, Value};
use crate::nn::architecture::Pooling;
use crate::nn::{Architecture, AxisId, Feature, Layer, Presence, Width};
use std::ops::Range;

/// `h2`, `h1..h3` or `all`, as written.
pub fn written(target: &Target) -> String {
    match target {
        Target::All => "all".into(),
        Target::One(name) => name.clone(),
        Target::Range(first, last) => format!("{first}..{last}"),
    }
}

/// "`h1`, `h2` and `out`".
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// G0101. `check` adds the nearest name.
pub fn unknown_layer(argument: &'static str, name: &str, before: &Architecture) -> Refusal {
    let help = match before.names().as_slice() {
        [] => "the model has no layers here".into(),
        names => format!("the layers here are {}", listed(names.iter().copied())),
    };
    Refusal::error("G0101", format!("there is no layer `{name}` here"), help).at(argument).here("not a layer here")
}

/// A value that its argument cannot take.
pub fn bad_value(argument: &'static str, message: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal::error("G0105", message, help).at(argument)
}

/// The layer that `argument` names.
pub fn named<'a>(args: &Args, argument: &'static str, before: &'a Architecture) -> Result<&'a Layer, Refusal> {
    let name = args.name(argument).unwrap_or_default();
    before.layer(name).ok_or_else(|| unknown_layer(argument, name, before))
}

/// The layers of a target, in order. Never empty.
pub fn selected<'a>(target: &Target, before: &'a Architecture) -> Result<Vec<&'a Layer>, Refusal> {
    let layers = before.select(target).map_err(|name| unknown_layer("target", &name, before))?;
    if let (Target::Range(first, last), true) = (target, layers.is_empty()) {
        return Err(Refusal::error(
            "G0101",
            format!("`{first}..{last}` holds no layer: `{last}` stands before `{first}` here"),
            format!("write `{last}..{first}`"),
        )
        .at("target")
        .here("runs backwards"));
    }
    Ok(layers)
}

/// The hidden axes of a target's layers, each once, with the name by which to speak of it. `verb` is for the message.
pub fn hidden_axes<'a>(
    verb: &str,
    target: &Target,
    layers: &[&'a Layer],
    before: &Architecture,
) -> Result<Vec<(AxisId, &'a str)>, Refusal> {
    let mut axes: Vec<(AxisId, &str)> = Vec::with_capacity(layers.len());
    for layer in layers {
        let axis = layer.output.axis;
        if !before.is_hidden(axis) {
            if *target == Target::All {
                continue;
            }
            return Err(not_hidden(verb, target, layer, before));
        }
        if !axes.iter().any(|(known, _)| *known == axis) {
            axes.push((axis, &layer.name));
        }
    }
    if axes.is_empty() {
        return Err(Refusal::error(
            "G0206",
            format!("cannot {verb} `all`: the model has no hidden layer here"),
            "`insert dense` or a longer `model` block makes one",
        )
        .at("target"));
    }
    Ok(axes)
}

fn not_hidden(verb: &str, target: &Target, layer: &Layer, before: &Architecture) -> Refusal {
    let hidden: Vec<&str> = before
        .all_layers()
        .filter(|other| other.block.is_empty() && other.settings.pooling.is_none())
        .filter(|other| before.is_hidden(other.output.axis))
        .map(|other| other.name.as_str())
        .collect();
    let (which, cause) = if layer.output.axis == before.input.axis {
        ("input", "it changes only with the data")
    } else {
        ("output", "it changes only with the classes or targets of the data")
    };
    let try_this = hidden.last().map_or(String::new(), |name| {
        let half = before.layer(name).map_or(1, |layer| before.width(layer.output.axis).max / 2).max(1);
        let (done, phrase) = match verb {
            "widen" => ("widened", format!("widen {name} by 2x")),
            _ => ("narrowed", format!("{verb} {name} to {half}")),
        };
        format!("; {} can be {done}, as in `{phrase}`", listed(hidden.iter().copied()))
    });
    Refusal::error(
        "G0206",
        format!("cannot {verb} `{}`: `{}` holds the {which} axis of the network", written(target), layer.name),
        format!("{cause}{try_this}"),
    )
    .at("target")
    .here(format!("the {which} axis"))
}

/// The layers whose width an axis is: `h2`, or `h1 + b (tied by r1)` where sums tie several to one axis.
pub fn tied(axis: AxisId, name: &str, before: &Architecture) -> String {
    let writers: Vec<&str> = weight_writers(axis, before).map(|layer| layer.name.as_str()).collect();
    let sums: Vec<&str> = before
        .layers
        .iter()
        .filter(|layer| !layer.block.is_empty() && layer.output.axis == axis)
        .map(|layer| layer.name.as_str())
        .collect();
    if sums.is_empty() { name.into() } else { format!("{} (tied by {})", writers.join(" + "), sums.join(", ")) }
}

/// The layers with weights that read `axis`, projections of residuals included.
pub fn weight_readers(axis: AxisId, before: &Architecture) -> impl Iterator<Item = &Layer> {
    before.all_layers().filter(move |layer| {
        layer.input.axis == axis
            && layer.settings.pooling.is_none()
            && (layer.block.is_empty() || layer.settings.project)
    })
}

/// The layers with weights that write `axis`.
pub fn weight_writers(axis: AxisId, before: &Architecture) -> impl Iterator<Item = &Layer> {
    before.all_layers().filter(move |layer| {
        layer.output.axis == axis
            && layer.settings.pooling.is_none()
            && (layer.block.is_empty() || layer.settings.project)
    })
}

/// What the `as` of a phrase makes, or `<anchor>_id1` with the next free number.
pub fn new_name(args: &Args, anchor: &str, before: &Architecture) -> Result<String, Refusal> {
    match args.name("as") {
        Some(name) => {
            free_name(name, before)?;
            Ok(name.into())
        }
        None => Ok(next_free(&format!("{anchor}_id"), 1, before)),
    }
}

/// G0103 when a layer has this name already.
pub fn free_name(name: &str, before: &Architecture) -> Result<(), Refusal> {
    if before.layer(name).is_some() {
        return Err(Refusal::error(
            "G0103",
            format!("there is a layer `{name}` already"),
            format!("choose another name, such as `{}`", next_free(&format!("{name}_"), 2, before)),
        )
        .at("as")
        .here("taken")
        .cause(name));
    }
    if name == "all" || name == "map" {
        return Err(Refusal::error("G0103", format!("`{name}` is a word of the language"), "choose another name")
            .at("as")
            .here("reserved"));
    }
    Ok(())
}

/// `stem` with the smallest number from `first` on that no layer has.
pub fn next_free(stem: &str, first: usize, before: &Architecture) -> String {
    let mut taken: Vec<usize> =
        before.all_layers().filter_map(|layer| layer.name.strip_prefix(stem)?.parse().ok()).collect();
    taken.sort_unstable();
    let number = taken.into_iter().fold(first, |free, number| if number == free { free + 1 } else { free });
    format!("{stem}{number}")
}

/// The place after or before the anchor that a phrase names. G0206 behind the last layer.
pub fn place_of(args: &Args, anchor: &Layer, before: &Architecture) -> Result<Place, Refusal> {
    let after = args.has("after");
    Place::beside(&anchor.name, after, before).map_err(|refusal| {
        let previous = before.layers.iter().rev().nth(1);
        match previous.filter(|_| refusal.code == "G0206") {
            Some(layer) => {
                let phrase = args.phrase(&[], &[("after", Value::Name(layer.name.clone()))]);
                let help = format!("its output is the network's; `{phrase}` puts one before it");
                Refusal { help, ..refusal }
            }
            None => refusal,
        }
    })
}

/// Between which layers something is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the top-level layer of this number; never behind the last.
    Top(usize),
    /// In the block of this top-level layer, before its inner layer of that number, or at its end.
    Block(usize, usize),
}

impl Place {
    /// The place after or before the layer `name`. G0206 behind the last layer.
    pub fn beside(name: &str, after: bool, before: &Architecture) -> Result<Place, Refusal> {
        let offset = usize::from(after);
        if let Some(at) = before.position(name) {
            if after && at + 1 == before.layers.len() {
                return Err(Refusal::error(
                    "G0206",
                    format!("nothing can be inserted after `{name}`: it is the last layer"),
                    "its output is the network's; a layer goes before it",
                )
                .at("after")
                .here("the output layer"));
            }
            return Ok(Place::Top(at + offset));
        }
        for (outer, layer) in before.layers.iter().enumerate() {
            if let Some(inner) = layer.block.iter().position(|inner| inner.name == name) {
                return Ok(Place::Block(outer, inner + offset));
            }
        }
        Err(unknown_layer(if after { "after" } else { "before" }, name, before))
    }

    /// What flows at this place.
    pub fn feature(self, before: &Architecture) -> Feature {
        match self {
            Place::Top(0) => before.input,
            Place::Top(at) => before.layers[at - 1].output,
            Place::Block(outer, 0) => before.layers[outer].input,
            Place::Block(outer, at) => before.layers[outer].block[at - 1].output,
        }
    }

    /// The layer whose activation the values at this place went through last. `None` behind a sum or at the input.
    pub fn source(self, before: &Architecture) -> Option<&Layer> {
        let (top, inner) = match self {
            Place::Top(at) => (at, &[][..]),
            Place::Block(outer, at) => (outer, &before.layers[outer].block[..at]),
        };
        for layer in inner.iter().rev().chain(before.layers[..top].iter().rev()) {
            if layer.settings.pooling.is_none() {
                return Some(layer).filter(|layer| layer.block.is_empty());
            }
        }
        None
    }

    /// The layers behind this place up to the first that has weights or a sum.
    pub fn followers(self, before: &Architecture) -> &[Layer] {
        let rest = match self {
            Place::Top(at) => &before.layers[at..],
            Place::Block(outer, at) => &before.layers[outer].block[at..],
        };
        let until = rest.iter().position(|layer| layer.settings.pooling.is_none());
        &rest[..until.map_or(rest.len(), |at| at + 1)]
    }

    /// The layer that reads what flows here; `None` at the end of a block, whose reader is the sum.
    pub fn reader(self, before: &Architecture) -> Option<&Layer> {
        self.followers(before).last().filter(|layer| layer.settings.pooling.is_none())
    }

    /// Whether a skip without a projection reads what flows here.
    pub fn feeds_a_sum(self, before: &Architecture) -> bool {
        match (self, self.reader(before)) {
            (Place::Block(..), None) => true,
            (Place::Top(_), Some(reader)) => !reader.block.is_empty() && !reader.settings.project,
            _ => false,
        }
    }

    /// Whether a maximum stands between here and the reader.
    pub fn feeds_a_max_pool(self, before: &Architecture) -> bool {
        self.followers(before).iter().any(|layer| matches!(layer.settings.pooling, Some(Pooling::Max(_))))
    }

    /// Puts `layer` here: what read the old feature reads the new one.
    pub fn insert(self, layer: Layer, after: &mut Architecture) {
        let old = self.feature(after).axis;
        let new = layer.output;
        match self {
            Place::Top(at) => {
                if new.axis != old {
                    reroute(&mut after.layers[at..], old, new.axis);
                }
                after.layers.insert(at, layer);
            }
            Place::Block(outer, at) => {
                let block = &mut after.layers[outer].block;
                if new.axis != old {
                    for inner in &mut block[at..] {
                        if inner.input.axis == old {
                            inner.input.axis = new.axis;
                        }
                        if inner.settings.pooling.is_none() {
                            break;
                        }
                        inner.output.axis = new.axis;
                    }
                }
                block.insert(at, layer);
            }
        }
    }
}

/// Every mention of one axis becomes another: the stream from here on.
pub fn reroute(layers: &mut [Layer], old: AxisId, new: AxisId) {
    for layer in layers {
        for feature in [&mut layer.input, &mut layer.output] {
            if feature.axis == old {
                feature.axis = new;
            }
        }
        reroute(&mut layer.block, old, new);
    }
}

/// `lr keep|rewarm D|rewind`
pub fn lr_policy(args: &Args) -> LrPolicy {
    match args.values("lr") {
        Some([Value::Word(word), rest @ ..]) if word == "rewarm" => match rest {
            [Value::Duration(duration)] => LrPolicy::Rewarm(*duration),
            _ => LrPolicy::Rewarm(Duration::Epochs(1)),
        },
        Some([Value::Word(word), ..]) if word == "rewind" => LrPolicy::Rewind,
        _ => LrPolicy::Keep,
    }
}

/// G0601 when the network would have more learned numbers than is allowed for sure.
pub fn affordable(after: &Architecture, argument: &'static str) -> Result<(), Refusal> {
    // Exact counting makes names; most networks are so small that an upper bound of their weights settles it.
    let bound = after.all_layers().fold(0u64, |sum, layer| {
        let taps = (layer.settings.kernel * layer.settings.kernel).max(layer.input.values_per_unit()) as u64;
        let weights =
            (after.width(layer.input.axis).max as u64).saturating_mul(after.width(layer.output.axis).max as u64);
        sum.saturating_add(weights.saturating_mul(taps))
    });
    if bound < PARAMETERS_MAX / 2 {
        return Ok(());
    }
    let (least, _) = after.parameter_count();
    if least > PARAMETERS_MAX {
        return Err(Refusal::error(
            "G0601",
            format!("the network would have {least} parameters"),
            "use a smaller size".to_string(),
        )
        .at(argument)
        .here("too many"));
    }
    Ok(())
}

/// Warnings for layers of which it is not sure that they are there.
pub fn maybe_absent<'a>(layers: impl IntoIterator<Item = &'a Layer>, argument: &'static str) -> Vec<Refusal> {
    layers
        .into_iter()
        .filter(|layer| layer.presence == Presence::Maybe)
        .map(|layer| {
            Refusal::warning(
                "G0102",
                format!("`{}` may not exist here", layer.name),
                "a `when` makes or removes it; put the action into the same block to be sure",
            )
            .at(argument)
            .here("perhaps not there")
            .cause(layer.name.clone())
        })
        .collect()
}

/// A plan that keeps the learning rate and needs no measurement.
pub fn plan(after: Architecture, changes: Vec<Change>, promise: (Promise, &'static str), summary: Summary) -> Plan {
    Plan {
        after,
        changes,
        promise: promise.0,
        rule: promise.1,
        needs: Needs::Nothing,
        lr: LrPolicy::Keep,
        freezes: None,
        summary,
        warnings: Vec::new(),
    }
}

/// Bytes that what is looked at together may take, beside what is kept of it.
const BYTES_AT_ONCE: usize = 64 << 20;

/// So many examples in stretches that are looked at together: with images as many as fit, at least one, else all of
/// them. What counts most is what a convolution reads, which is every pixel as often as its kernel has taps.
pub fn at_once(examples: usize, architecture: &Architecture) -> impl Iterator<Item = Range<usize>> + use<> {
    let has_images = architecture.all_layers().any(|layer| layer.input.area.is_some());
    let values = |feature: Feature| architecture.width(feature.axis).max.saturating_mul(feature.values_per_unit());
    let patches = |layer: &Layer| reads(layer, architecture).saturating_mul(Taps::of(layer).rows());
    // Patches as they are read and twice in f64, and of every layer what it gives before and behind its activation,
    // and the gradient there.
    let read = architecture.all_layers().map(patches).max().unwrap_or(0);
    let given = architecture.all_layers().map(|layer| values(layer.output)).fold(0, usize::saturating_add);
    let bytes = read.saturating_mul(20).saturating_add(given.saturating_mul(12));
    let fit = if has_images { (BYTES_AT_ONCE / bytes.max(1)).max(1) } else { examples.max(1) };
    (0..examples).step_by(fit).map(move |from| from..(from + fit).min(examples))
}

/// A width; of images with the height and width of one channel: `8@14x14`.
pub fn shown(feature: Feature, architecture: &Architecture) -> String {
    let width = architecture.width(feature.axis);
    feature.area.map_or(width.to_string(), |(rows, columns)| format!("{width}@{rows}x{columns}"))
}

/// `32 → 256`
pub fn arrow(from: Width, to: Width) -> String {
    format!("{from} → {to}")
}
