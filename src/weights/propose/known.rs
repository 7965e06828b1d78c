//! The block of a run's result, whose record says all of it: nothing is guessed here.

use super::{Known, Proposal, ProposedKind, ProposedLayer, ProposedNorm, line, shown, too_long};
use crate::base::text::short;
use crate::nn::{Architecture, Layer};
use crate::weights::{File, Values, moments};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// Proposes the block with which the result of a run is read: `architecture` is that of the run's end. What of it the
/// language cannot write, and where the file is of another network, is a problem.
pub fn of_run(file: &File, architecture: &Architecture) -> Proposal {
    let mut proposal = Proposal { activations_known: true, ..Proposal::default() };
    let mut names = HashSet::new();
    for layer in architecture.all_layers() {
        if let Some(problem) = unwritable(layer) {
            proposal.problems.push(problem);
        }
        if !names.insert(layer.name.as_str()) {
            proposal.problems.push(format!("two layers of the record are named `{}`", short(&layer.name)));
        }
        if layer.frozen {
            proposal.assumed.push(format!(
                "`{name}` was frozen at the end of the run, and is trained here: `at start freeze {name}` holds it",
                name = short(&layer.name)
            ));
        }
        if layer.block.is_empty() {
            proposal.layers.push(proposed(layer, architecture));
        }
    }
    values(file, architecture, &mut proposal.problems);
    proposal.known = Some(Known { lines: lines(architecture), hidden: hidden(architecture) });
    proposal.problems.extend(too_long(&proposal.body()));
    proposal
}

/// What a layer has that no `model` block can say.
fn unwritable(layer: &Layer) -> Option<String> {
    let name = short(&layer.name);
    let settings = &layer.settings;
    let begins = layer.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = begins && layer.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || ["all", "map"].contains(&layer.name.as_str()) {
        return Some(format!("the record has a layer `{name}`, which is no name in a schedule"));
    }
    if settings.parametric {
        return Some(format!(
            "`{name}` mixes its activation with what it reads by a share that a growth put in and training has changed, \
             which no `model` block can write; `growrun resume` goes on with such a run"
        ));
    }
    // The bounds of the language; growth rescales an epsilon.
    if settings.norm.is_some() && !(1e-12..=1.0).contains(&settings.norm_epsilon) {
        return Some(format!(
            "the norm of `{name}` has an epsilon of {:e}, and a schedule can write 1e-12 to 1",
            settings.norm_epsilon
        ));
    }
    None
}

fn proposed(layer: &Layer, architecture: &Architecture) -> ProposedLayer {
    let settings = &layer.settings;
    let width = architecture.width(layer.input.axis).exact();
    let pixels = layer.input.values_per_unit();
    let (inputs, kind) = match (settings.pooling, layer.output.area) {
        (Some(pooling), _) => (width, ProposedKind::Pool(pooling)),
        (None, Some(_)) => {
            let (kernel, stride, padding) = (settings.kernel, settings.stride, settings.padding);
            (width, ProposedKind::Conv { kernel, stride, padding })
        }
        (None, None) => (width * pixels, ProposedKind::Dense { pixels: 1 }),
    };
    ProposedLayer {
        name: layer.name.clone(),
        in_file: layer.name.clone(),
        inputs,
        kind,
        units: architecture.width(layer.output.axis).exact(),
        activation: settings.activation,
        norm: settings.norm.map(|kind| ProposedNorm { kind, epsilon: settings.norm_epsilon }),
        bias: settings.bias,
        dropout: settings.dropout,
    }
}

/// Whether the file holds what the record says, each tensor in its shape, and finite.
fn values(file: &File, architecture: &Architecture, problems: &mut Vec<String>) {
    let mut left: BTreeMap<&str, usize> =
        moments::weights(file).into_iter().map(|place| (file.tensors[place].name.as_str(), place)).collect();
    for parameter in architecture.parameters() {
        let extents = parameter.extents(architecture);
        let Some(place) = left.remove(parameter.name.as_str()) else {
            problems.push(format!("the file does not hold `{}`, which the record has", short(&parameter.name)));
            continue;
        };
        if file.tensors[place].shape != extents {
            problems.push(format!("{} has the shape {extents:?} in the record", shown(file, place)));
        }
        match &file.tensors[place].values {
            Values::Numbers(values) if values.iter().all(|value| value.is_finite()) => {}
            Values::Numbers(_) => problems.push(format!("{} holds NaN or infinite values", shown(file, place))),
            _ => problems.push(format!("{} holds no weights", shown(file, place))),
        }
    }
    problems.extend(left.into_values().map(|place| format!("{} is of no layer of the record", shown(file, place))));
}

fn lines(architecture: &Architecture) -> String {
    let mut out = String::new();
    let width = |layers: &[Layer]| layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    let (outer, last) = (width(&architecture.layers), architecture.layers.len().saturating_sub(1));
    for (at, layer) in architecture.layers.iter().enumerate() {
        if layer.block.is_empty() {
            line(&mut out, ("  ", outer), &proposed(layer, architecture), at == last);
            continue;
        }
        let project = if layer.settings.project { " project" } else { "" };
        let _ = writeln!(out, "  {:outer$} residual{project} {{", layer.name);
        let inner = width(&layer.block);
        layer.block.iter().for_each(|one| line(&mut out, ("    ", inner), &proposed(one, architecture), false));
        out.push_str("  }\n");
    }
    out
}

/// The widest layer that can be widened alone: its axis is neither an end of the network nor tied by a skip.
fn hidden(architecture: &Architecture) -> Option<String> {
    let tied: HashSet<_> = architecture
        .layers
        .iter()
        .filter(|layer| !layer.block.is_empty())
        .flat_map(|layer| [layer.input.axis, layer.output.axis])
        .collect();
    let layers: Vec<&Layer> =
        architecture.all_layers().filter(|layer| layer.block.is_empty() && layer.settings.pooling.is_none()).collect();
    let free = layers
        .into_iter()
        .rev()
        .filter(|layer| architecture.is_hidden(layer.output.axis) && !tied.contains(&layer.output.axis));
    free.max_by_key(|layer| architecture.width(layer.output.axis).exact()).map(|layer| layer.name.clone())
}
