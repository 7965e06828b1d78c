//! The `model` block with which a file of weights is read: layers that chain, under the names that the file has, and
//! in words all that is assumed and all that does not fit.
//!
//! Everything is looked up by name or sorted, so that a file with a hundred thousand tensors is no work.

mod arrange;
mod known;
mod naming;
mod parts;
mod symbolic;

use super::File;
use super::symbol::SymbolLayer;
use crate::base::text::{one_line, short};
use crate::nn::Activation;
use crate::nn::architecture::{NORM_EPSILON, Norm, Padding, Pooling};
use crate::syntax;
use arrange::Arranged;
use parts::Parts;
use std::fmt::Write;

pub use super::fit::Map;
pub use known::of_run;

/// Bytes of a block, which leave room for the rest of a schedule.
const TEXT_MAX: usize = syntax::LIMIT_BYTES - (1 << 16);
/// Statements of a block, and marks in its quotes, which the parser counts as some: far below what it reads.
const STATEMENTS_MAX: usize = 10_000;

/// What can be made of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// In the order in which they compute.
    pub layers: Vec<ProposedLayer>,
    /// Where names differ.
    pub maps: Vec<Map>,
    /// Whether a symbol said them; otherwise `relu` is a guess for all but the last layer.
    pub activations_known: bool,
    /// What a person must look at: the file does not say it.
    pub assumed: Vec<String>,
    /// What the block cannot say or the language does not have, the reason in each. With any of them the block is only
    /// a beginning: `check` refuses it, or the network would be another one.
    pub problems: Vec<String>,
    /// Of a run's result, whose layers may stand in blocks.
    known: Option<Known>,
}

/// What a record says of the network.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    /// The lines of the layers.
    lines: String,
    /// The widest layer that can be widened alone.
    hidden: Option<String>,
}

/// A line of the block. The input width of the first comes from the data.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedLayer {
    pub name: String,
    /// What the file calls it.
    pub in_file: String,
    pub inputs: usize,
    pub units: usize,
    pub kind: ProposedKind,
    pub activation: Activation,
    pub norm: Option<ProposedNorm>,
    pub bias: bool,
    pub dropout: f64,
}

/// What a line computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposedKind {
    /// `pixels`: of each channel that it reads; 1 of vectors, and where a comment would say nothing new.
    Dense {
        pixels: usize,
    },
    Conv {
        kernel: usize,
        stride: usize,
        padding: Padding,
    },
    Pool(Pooling),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProposedNorm {
    pub kind: Norm,
    pub epsilon: f64,
}

/// Proposes a block for a file; with `symbol`, as MXNet's network says it.
pub fn propose(file: &File, symbol: Option<&[SymbolLayer]>) -> Proposal {
    let mut parts = Parts::of(file);
    let arranged = match symbol {
        Some(symbol) => symbolic::arrange(file, &mut parts, symbol),
        None => arrange::arrange(file.format, &mut parts),
    };
    let Arranged { units, assumed, activations_known } = arranged;
    let mut proposal = Proposal {
        layers: Vec::new(),
        maps: Vec::new(),
        activations_known,
        assumed,
        problems: std::mem::take(&mut parts.problems),
        known: None,
    };
    naming::name(file, &parts, &units, &mut proposal);
    if proposal.layers.is_empty() {
        proposal
            .problems
            .push("no layer was found: no `weight` or `kernel` of two or four dimensions that fits".into());
    } else {
        proposal.problems.extend(too_long(&proposal.body()));
    }
    proposal
}

/// What is wrong with a block that the parser would refuse.
fn too_long(body: &str) -> Option<String> {
    let statements = body.lines().count();
    let marks = body.bytes().filter(|byte| b"[],:;{}#".contains(byte)).count();
    if body.len() <= TEXT_MAX && statements + marks <= STATEMENTS_MAX {
        return None;
    }
    let bound = "a schedule has at most some ten thousand statements, and 1 MiB";
    Some(format!("its block would have {statements} statements in {} bytes; {bound}", body.len()))
}

impl Proposal {
    /// Whether the block reads all of the file.
    pub fn fits(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether it reads images, of as many channels as it has inputs.
    pub fn reads_images(&self) -> bool {
        self.layers.iter().any(|layer| !matches!(layer.kind, ProposedKind::Dense { .. }))
    }

    /// Numbers that the network reads, or channels.
    pub fn inputs(&self) -> Option<usize> {
        self.layers.first().map(|layer| layer.inputs)
    }

    /// Numbers that it gives.
    pub fn outputs(&self) -> Option<usize> {
        self.layers.last().map(|layer| layer.units)
    }

    /// The widest layer that can be widened, where there is one.
    pub fn hidden(&self) -> Option<&str> {
        match &self.known {
            Some(known) => known.hidden.as_deref(),
            None => {
                let makes = |layer: &&ProposedLayer| !matches!(layer.kind, ProposedKind::Pool(_));
                let hidden = self.layers.iter().filter(makes).rev().skip(1);
                hidden.max_by_key(|layer| layer.units).map(|layer| layer.name.as_str())
            }
        }
    }

    /// The whole block. What cannot stand in quotes is left out of the file's name: then `--data` has to name it.
    pub fn text(&self, file_name: &str) -> String {
        format!("model from \"{}\" {{\n{}}}\n", named(file_name), self.body())
    }

    /// What stands in the braces.
    pub fn body(&self) -> String {
        if let Some(known) = &self.known {
            return known.lines.clone();
        }
        let mut out = String::new();
        for map in &self.maps {
            let transpose = if map.transpose { " transpose" } else { "" };
            let _ = writeln!(out, "  map \"{}\" to {}{transpose}", map.tensor, map.to);
        }
        if !self.activations_known && self.layers.len() > 1 {
            out.push_str("  # activations are not in the file: relu is a guess\n");
        }
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
        let last = self.layers.len().saturating_sub(1);
        for (at, layer) in self.layers.iter().enumerate() {
            line(&mut out, ("  ", width), layer, at == last);
        }
        out
    }
}

/// One layer, behind its margin and with its name at that width.
fn line(out: &mut String, (margin, width): (&str, usize), layer: &ProposedLayer, is_last: bool) {
    let (name, units) = (&layer.name, layer.units);
    match layer.kind {
        ProposedKind::Pool(pooling) => {
            let _ = writeln!(out, "{margin}{name:width$} pool {pooling}");
            return;
        }
        ProposedKind::Dense { pixels } => {
            if pixels > 1 {
                let side = pixels.isqrt();
                let square = if side * side == pixels { format!(", such as {side}×{side}") } else { String::new() };
                let _ = writeln!(
                    out,
                    "{margin}# `{name}` reads {pixels} pixels of each channel{square}: pools and strides before it make them"
                );
            }
            let _ = write!(out, "{margin}{name:width$} dense {units}");
        }
        ProposedKind::Conv { kernel, stride, padding } => {
            let _ = write!(out, "{margin}{name:width$} conv {units} kernel {kernel}");
            if stride != 1 {
                let _ = write!(out, " stride {stride}");
            }
            if padding != Padding::Same {
                let _ = write!(out, " pad {}", padding.word());
            }
        }
    }
    // Without a word the last layer is linear, and so is any other.
    if layer.activation != Activation::Linear || !is_last {
        let _ = write!(out, " {}", layer.activation.word());
    }
    if let Some(norm) = &layer.norm {
        let _ = write!(out, " norm {}", norm.kind.word());
        if norm.epsilon != NORM_EPSILON {
            let _ = write!(out, " epsilon {:e}", norm.epsilon);
        }
    }
    if layer.dropout > 0.0 {
        let _ = write!(out, " dropout {}", layer.dropout);
    }
    if !layer.bias {
        out.push_str(" bias no");
    }
    out.push('\n');
}

/// Whether a text can stand in quotes, which know no escapes, and looks the same on a terminal.
pub fn can_be_quoted(text: &str) -> bool {
    !text.contains('"') && one_line(text) == text
}

/// A file's name as a schedule can write it.
pub fn named(file_name: &str) -> &str {
    if can_be_quoted(file_name) { file_name } else { "weights" }
}

/// A tensor as a line shows it: `` `fc1.weight` [64, 2] ``.
fn shown(file: &File, place: usize) -> String {
    let tensor = &file.tensors[place];
    format!("`{}` {:?}", short(&tensor.name), tensor.shape)
}

#[cfg(test)]
mod tests;
