//! What the layers are called, and which `map` lines say what the file calls them.

use super::arrange::Unit;
use super::parts::Parts;
use super::{Map, Proposal, ProposedKind, ProposedLayer, ProposedNorm, can_be_quoted, shown};
use crate::nn::architecture::{Padding, Pooling};
use crate::nn::{Activation, layers};
use crate::weights::File;
use crate::weights::names::meaning;
use std::collections::HashSet;

/// Words of the language that would confuse a reader, or the checker, as a layer's name.
const WORDS: &[&str] = &[
    "all",
    "map",
    "model",
    "data",
    "train",
    "at",
    "every",
    "during",
    "when",
    "arm",
    "sweep",
    "compare",
    "let",
    "include",
    "grow",
    "experiment",
    "seed",
    "from",
    "to",
    "by",
    "as",
    "after",
    "before",
    "until",
    "in",
    "and",
    "or",
    "for",
    "start",
    "end",
    "epoch",
    "epochs",
    "step",
    "steps",
    "norm",
    "bias",
    "init",
    "dropout",
    "epsilon",
    "prefix",
    "transpose",
    "identity",
    "method",
    "lr",
    "set",
];

/// Longer names are no names to write in events.
const NAME_MAX: usize = 40;

/// Whether a layer can be called so.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= NAME_MAX
        && !WORDS.contains(&text)
        && layers::find(text).is_none()
        && Activation::find(text).is_none()
}

/// Fills in layers and maps.
pub fn name(file: &File, parts: &Parts, units: &[Unit], proposal: &mut Proposal) {
    let all: HashSet<&str> = file.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let stem = |unit: &Unit| parts.products[unit.product].stem.as_str();
    let mut taken: HashSet<String> = units.iter().map(stem).filter(|stem| is_name(stem)).map(str::to_string).collect();
    let mut next = 1;
    for (place, unit) in units.iter().enumerate() {
        let product = &parts.products[unit.product];
        let before = place.checked_sub(1).map(|place| &parts.products[units[place].product]);
        let channels = before.filter(|before| before.kernel.is_some() && product.kernel.is_none()).map(|one| one.units);
        if channels == Some(product.inputs) {
            proposal.layers.push(pooled(product.inputs, &mut taken));
        }
        let name = if is_name(&product.stem) {
            product.stem.clone()
        } else if place + 1 == units.len() && place > 0 && taken.insert("out".into()) {
            "out".into()
        } else {
            next = next.max(place + 1);
            while !taken.insert(format!("h{next}")) {
                next += 1;
            }
            format!("h{next}")
        };
        let mut mapper = Mapper { file, wrapper: &parts.wrapper, all: &all, proposal };
        let tensors = [(Some(product.weight), "weight"), (product.bias, "bias")];
        mapper.map(&product.stem, &name, tensors.into_iter().filter_map(|(place, word)| Some((place?, word))));
        if let Some((at, _)) = unit.norm {
            mapper.map(&parts.norms[at].stem, &format!("{name}.norm"), parts.norms[at].tensors());
        }
        proposal.layers.push(ProposedLayer {
            name,
            in_file: product.stem.clone(),
            inputs: product.inputs,
            units: product.units,
            kind: match product.kernel {
                Some(kernel) => ProposedKind::Conv { kernel, stride: 1, padding: Padding::Same },
                None => ProposedKind::Dense { pixels: channels.map_or(1, |channels| product.inputs / channels) },
            },
            activation: unit.activation,
            norm: unit.norm.map(|(at, epsilon)| ProposedNorm { kind: parts.norms[at].kind, epsilon }),
            bias: product.bias.is_some(),
            dropout: unit.dropout,
        });
    }
    // What ends in images is to give numbers.
    if let Some(last) = units.last().map(|unit| &parts.products[unit.product]).filter(|last| last.kernel.is_some()) {
        proposal.layers.push(pooled(last.units, &mut taken));
    }
}

/// The mean of all pixels of each channel, which a dense layer can read that reads one number a channel.
fn pooled(channels: usize, taken: &mut HashSet<String>) -> ProposedLayer {
    let mut name = "pooled".to_string();
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    ProposedLayer {
        in_file: String::new(),
        name,
        inputs: channels,
        units: channels,
        kind: ProposedKind::Pool(Pooling::Global),
        activation: Activation::Linear,
        norm: None,
        bias: false,
        dropout: 0.0,
    }
}

struct Mapper<'a> {
    file: &'a File,
    wrapper: &'a str,
    all: &'a HashSet<&'a str>,
    proposal: &'a mut Proposal,
}

impl Mapper<'_> {
    /// Says that what the file calls `stem` is `to` here: in one line, or for each tensor where that could be misread.
    fn map(&mut self, stem: &str, to: &str, tensors: impl Iterator<Item = (usize, &'static str)>) {
        if stem == to {
            return;
        }
        let line = |tensor: &str, to: String| Map { tensor: tensor.into(), to, transpose: false, channels: None };
        if self.is_read_as_itself(stem) {
            self.proposal.maps.push(line(stem, to.into()));
            return;
        }
        for (place, word) in tensors {
            let name = &self.file.tensors[place].name;
            if can_be_quoted(name) {
                self.proposal.maps.push(line(name, format!("{to}.{word}")));
            } else {
                let problem = format!(
                    "the name of {} cannot be written in a schedule; save it under another",
                    shown(self.file, place)
                );
                self.proposal.problems.push(problem);
            }
        }
    }

    /// Whether `map "STEM" to …` means all tensors of that stem: no tensor has the name itself, and nothing of it is
    /// taken for a wrapper or a part.
    fn is_read_as_itself(&self, stem: &str) -> bool {
        !stem.is_empty()
            && can_be_quoted(stem)
            && !self.all.contains(stem)
            && !self.all.contains(format!("{}{stem}", self.wrapper).as_str())
            && (self.wrapper.is_empty() || !stem.starts_with(self.wrapper))
            && meaning(&format!("{stem}.weight")).stem == stem
    }
}
