//! The `model` block with which a file of weights is read: layers that chain, under the names that the file has, and
//! in words all that is assumed and all that does not fit.
//!
//! Everything is looked up by name or sorted, so that a file with a hundred thousand tensors is no work.

mod arrange;
mod naming;
mod parts;
mod symbolic;

use super::File;
use super::symbol::SymbolLayer;
use crate::base::text::{one_line, short};
use crate::nn::Activation;
use crate::nn::architecture::{NORM_EPSILON, Norm};
use arrange::Arranged;
use parts::Parts;
use std::fmt::Write;

pub use super::fit::Map;

/// Bytes of a schedule, which a block must not exceed.
const TEXT_MAX: usize = 1 << 20;

/// What can be made of a file.
#[derive(Clone, Debug, PartialEq)]
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
}

/// A line of the block. The input width of the first comes from the data.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedLayer {
    pub name: String,
    /// What the file calls it.
    pub in_file: String,
    pub inputs: usize,
    pub units: usize,
    pub activation: Activation,
    pub norm: Option<ProposedNorm>,
    pub bias: bool,
    pub dropout: f64,
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
    };
    naming::name(file, &parts, &units, &mut proposal);
    if proposal.layers.is_empty() {
        proposal.problems.push("no dense layer was found: no `weight` or `kernel` of two dimensions that fits".into());
    } else if proposal.text("").len() > TEXT_MAX {
        let layers = proposal.layers.len();
        proposal.problems.push(format!("{layers} layers are more than a schedule holds, which has at most 1 MiB"));
    }
    proposal
}

impl Proposal {
    /// Whether the block reads all of the file.
    pub fn fits(&self) -> bool {
        self.problems.is_empty()
    }

    /// Numbers that the network reads.
    pub fn inputs(&self) -> Option<usize> {
        self.layers.first().map(|layer| layer.inputs)
    }

    /// Numbers that it gives.
    pub fn outputs(&self) -> Option<usize> {
        self.layers.last().map(|layer| layer.units)
    }

    /// The whole block. What cannot stand in quotes is left out of the file's name: then `--data` has to name it.
    pub fn text(&self, file_name: &str) -> String {
        format!("model from \"{}\" {{\n{}}}\n", named(file_name), self.body())
    }

    /// What stands in the braces.
    pub fn body(&self) -> String {
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
            let _ = write!(out, "  {:width$} dense {}", layer.name, layer.units);
            // Without a word the last layer is linear, and so is any other.
            if layer.activation != Activation::Linear || at != last {
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
        out
    }
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
