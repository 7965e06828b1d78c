//! The layers as MXNet's symbol says them: order, activations, a norm's epsilon and dropout are known then.

use super::arrange::{Arranged, Unit, before_all, equal, two_in_a_row};
use super::parts::Parts;
use crate::base::text::short;
use crate::nn::Activation;
use crate::weights::symbol::{SymbolKind, SymbolLayer};
use crate::weights::{File, Values};
use std::collections::{HashMap, HashSet};

pub fn arrange(file: &File, parts: &mut Parts, symbol: &[SymbolLayer]) -> Arranged {
    let bare = |place: usize| {
        let name = file.tensors[place].name.as_str();
        name.strip_prefix("arg:").or_else(|| name.strip_prefix("aux:")).unwrap_or(name)
    };
    let products = parts.products.iter().enumerate().map(|(at, one)| (bare(one.weight), at)).collect();
    let norms = parts.norms.iter().enumerate().map(|(at, one)| (bare(one.gain), at)).collect();
    let mut reader = Reader {
        file,
        parts,
        products,
        norms,
        out: Arranged::default(),
        problems: Vec::new(),
        used: HashSet::new(),
        active: false,
    };
    symbol.iter().for_each(|layer| reader.layer(layer));
    let Reader { mut out, problems, .. } = reader;
    parts.problems.extend(problems);
    out.activations_known = true;
    for pair in out.units.windows(2) {
        let (before, after) = (&parts.products[pair[0].product], &parts.products[pair[1].product]);
        if !after.follows(before) {
            parts.problems.push(format!(
                "`{}` reads {} numbers, and `{}` before it gives {}: the symbol is of another network",
                short(&after.stem),
                after.inputs,
                short(&before.stem),
                before.units
            ));
        }
    }
    unused(parts, &out);
    equal(parts, &mut out.assumed);
    out
}

/// What the file holds and the symbol does not name.
fn unused(parts: &mut Parts, out: &Arranged) {
    let mut used = (vec![false; parts.products.len()], vec![false; parts.norms.len()]);
    for unit in &out.units {
        used.0[unit.product] = true;
        if let Some((norm, _)) = unit.norm {
            used.1[norm] = true;
        }
    }
    let products = parts.products.iter().zip(used.0).filter(|(_, used)| !used).map(|(one, _)| &one.stem);
    let norms = parts.norms.iter().zip(used.1).filter(|(_, used)| !used).map(|(one, _)| &one.stem);
    let left = products.chain(norms).map(|stem| format!("`{}` is in no layer of the symbol", short(stem)));
    let left: Vec<String> = left.collect();
    parts.problems.extend(left);
}

struct Reader<'a> {
    file: &'a File,
    parts: &'a Parts,
    /// By the name of the weight, and of the gain.
    products: HashMap<&'a str, usize>,
    norms: HashMap<&'a str, usize>,
    out: Arranged,
    problems: Vec<String>,
    /// Products that a layer has taken.
    used: HashSet<usize>,
    /// Whether the activation of the last product has come.
    active: bool,
}

impl Reader<'_> {
    fn layer(&mut self, layer: &SymbolLayer) {
        let name = short(&layer.name);
        match &layer.kind {
            SymbolKind::FullyConnected { units, .. } => {
                let weight = layer.variables.first().map(String::as_str).unwrap_or_default();
                match self.products.get(weight) {
                    Some(&product) if self.parts.products[product].units == *units => {
                        if !self.used.insert(product) {
                            self.problems
                                .push(format!("`{name}` takes weights that another layer takes, too; they are tied"));
                            return;
                        }
                        self.out.units.push(Unit::of(product));
                        self.active = false;
                    }
                    Some(_) => {
                        self.problems.push(format!("`{name}` has {units} units in the symbol, and others in the file"))
                    }
                    None => {
                        self.problems.push(format!("`{name}` takes `{}`, which the file does not hold", short(weight)))
                    }
                }
            }
            SymbolKind::BatchNorm { eps, .. } | SymbolKind::LayerNorm { eps } => {
                self.norm(layer, &name, *eps);
                if let SymbolKind::BatchNorm { fix_gamma: true, .. } = layer.kind {
                    self.fixed(layer, &name);
                }
            }
            SymbolKind::Activation(word) => match word.as_str() {
                "relu" => self.activation(&name, Activation::Relu),
                "tanh" => self.activation(&name, Activation::Tanh),
                "sigmoid" => self.activation(&name, Activation::Sigmoid),
                "softrelu" => self.activation(&name, Activation::Softplus),
                other => self.problems.push(format!("`{name}` is `{}`, which is no activation here", short(other))),
            },
            SymbolKind::LeakyReLU { act_type, slope } => match act_type.as_str() {
                "leaky" => {
                    self.activation(&name, Activation::LeakyRelu);
                    if *slope != 0.01 {
                        self.problems.push(format!("`{name}` has a slope of {slope}; `leaky_relu` has 0.01 here"));
                    }
                }
                "elu" => {
                    self.activation(&name, Activation::Elu);
                    if *slope != 1.0 {
                        self.problems.push(format!("`{name}` has a slope of {slope}; `elu` has 1 here"));
                    }
                }
                "gelu" => self.activation(&name, Activation::Gelu),
                "selu" => self.activation(&name, Activation::Selu),
                other => self.problems.push(format!("`{name}` is `{}`, which is no activation here", short(other))),
            },
            SymbolKind::Dropout { p } => self.dropout(&name, *p),
            SymbolKind::Flatten => {}
            SymbolKind::Output(word) => {
                let what = "belongs to the loss here, not to the model";
                self.out.assumed.push(format!("`{name}` ({}) {what}", short(word)));
            }
            SymbolKind::Other(word) => {
                self.problems.push(format!("`{name}` is `{}`, which growrun does not read yet", short(word)));
            }
        }
    }

    fn norm(&mut self, layer: &SymbolLayer, name: &str, epsilon: f64) {
        let gain = layer.variables.first().map(String::as_str).unwrap_or_default();
        let Some(&norm) = self.norms.get(gain) else {
            self.problems.push(format!("`{name}` takes `{}`, which the file does not hold", short(gain)));
            return;
        };
        let parts = self.parts;
        let part = &parts.norms[norm];
        let Some(unit) = self.out.units.last_mut() else {
            self.problems.push(before_all(part));
            return;
        };
        // The bounds of the language.
        if !(1e-12..=1.0).contains(&epsilon) {
            self.problems.push(format!("`{name}` has an epsilon of {epsilon}; here it is at most 1 and above 0"));
            return;
        }
        match unit.norm {
            Some((other, _)) => self.problems.push(two_in_a_row(&parts.norms[other], part)),
            None if self.active || unit.dropout > 0.0 => {
                self.problems.push(format!(
                    "`{name}` is a norm behind an activation; here it stands between product and activation"
                ));
            }
            None if parts.products[unit.product].units != part.width => {
                self.problems.push(format!("`{name}` is of another width than the layer before it"));
            }
            None => unit.norm = Some((norm, epsilon)),
        }
    }

    /// A scale that counts as 1 must be 1 in the file.
    fn fixed(&mut self, layer: &SymbolLayer, name: &str) {
        let norm = layer.variables.first().and_then(|gain| self.norms.get(gain.as_str()));
        let values = norm.map(|norm| &self.file.tensors[self.parts.norms[*norm].gain].values);
        if let Some(Values::Numbers(values)) = values {
            if values.iter().any(|value| *value != 1.0) {
                self.problems.push(format!(
                    "`{name}` has `fix_gamma`, so its scale counts as 1, and the file holds others; set them to 1 and save it again"
                ));
            } else {
                self.out
                    .assumed
                    .push(format!("`{name}` has `fix_gamma`: its scale stays 1 there, and is trained here"));
            }
        }
    }

    fn activation(&mut self, name: &str, activation: Activation) {
        match self.out.units.last_mut() {
            None => self.problems.push(format!("`{name}` is an activation before the first layer")),
            Some(_) if self.active => {
                self.problems.push(format!("`{name}` is a second activation; here a layer has one"));
            }
            // Scaling what is kept changes nothing for these, so dropout may come before them.
            Some(unit) if unit.dropout > 0.0 && !matches!(activation, Activation::Relu | Activation::LeakyRelu) => {
                self.problems.push(format!("`{name}` is an activation behind a dropout; here it stands before it"));
            }
            Some(unit) => {
                unit.activation = activation;
                self.active = true;
            }
        }
    }

    fn dropout(&mut self, name: &str, p: f64) {
        match self.out.units.last_mut() {
            _ if !(0.0..1.0).contains(&p) => self.problems.push(format!("`{name}` drops a share of {p}")),
            None => self.out.assumed.push(format!("`{name}` drops inputs in training, which is left out")),
            Some(unit) if unit.dropout > 0.0 => {
                self.problems.push(format!("`{name}` is a second dropout of one layer"))
            }
            Some(unit) => unit.dropout = p,
        }
    }
}
