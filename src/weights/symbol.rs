//! MXNet's `-symbol.json`: the layers that go with a `.params`, as far as they are one chain.

use crate::base::Refusal;
use crate::base::text::short;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use std::collections::BTreeMap;

/// Bytes of a file that are read. The largest networks of MXNet's own zoo take a fiftieth of this.
pub const BYTES_MAX: usize = 16 << 20;

/// A layer on the way of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolLayer {
    /// `fc1`; what Gluon exports is called `net_dense0_fwd`, with parameters `net_dense0_weight`.
    pub name: String,
    pub kind: SymbolKind,
    /// What it takes beside the data, by its names in the `.params`, in the operator's order: weight, bias; gamma,
    /// beta, moving mean, moving variance; label.
    pub variables: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SymbolKind {
    FullyConnected {
        units: usize,
        no_bias: bool,
        flatten: bool,
    },
    /// `relu`, `tanh`, …
    Activation(String),
    LeakyReLU {
        act_type: String,
        slope: f64,
    },
    BatchNorm {
        eps: f64,
        /// The scale counts as 1, whatever the file holds.
        fix_gamma: bool,
    },
    LayerNorm {
        eps: f64,
    },
    Dropout {
        p: f64,
    },
    Flatten,
    /// What turns the last values into a prediction or a loss: `SoftmaxOutput`, `log_softmax`, …
    Output(String),
    /// Any other operator, by its name in MXNet.
    Other(String),
}

#[derive(Deserialize)]
struct Graph {
    nodes: Vec<Node>,
    heads: Vec<Input>,
}

#[derive(Deserialize)]
struct Node {
    op: String,
    name: String,
    inputs: Vec<Input>,
    // Since 1.0 `attrs`; before, `attr`; and `param` in the oldest files, where `attr` is for the user's own.
    #[serde(default)]
    attrs: Option<BTreeMap<String, String>>,
    #[serde(default)]
    attr: Option<BTreeMap<String, String>>,
    #[serde(default)]
    param: Option<BTreeMap<String, String>>,
}

/// An output of a node: `[node, output]`, and since 1.0 a version behind them.
#[derive(Clone, Copy)]
struct Input {
    node: usize,
    output: u64,
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
        struct Places;
        impl<'de> Visitor<'de> for Places {
            type Value = Input;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("the places of a node and of one of its outputs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut places: A) -> Result<Input, A::Error> {
                let short = || A::Error::custom("a place is missing");
                let node = places.next_element()?.ok_or_else(short)?;
                let output = places.next_element()?.ok_or_else(short)?;
                while let Some(IgnoredAny) = places.next_element()? {}
                Ok(Input { node, output })
            }
        }
        deserializer.deserialize_seq(Places)
    }
}

/// The layers from the data to the output.
pub fn read(name: &str, content: &[u8]) -> Result<Vec<SymbolLayer>, Refusal> {
    let shown = short(name);
    let broken = |what: String| {
        let message = format!("`{shown}` is no symbol of MXNet that can be read: {what}");
        Refusal::error("G0820", message, "save or fetch it again")
    };
    if content.len() > BYTES_MAX {
        return Err(broken(format!("it has {} bytes; at most {BYTES_MAX} are read", content.len())));
    }
    let graph: Graph = serde_json::from_slice(content).map_err(|error| broken(short_error(&error)))?;
    let branches = |what: String| {
        let message = format!("the network of `{shown}` is no chain of layers: {what}");
        Refusal::error("G0820", message, "only chains are read from a symbol; write the model section by hand")
    };
    let [head] = graph.heads[..] else {
        return Err(branches(format!("it has {} outputs", graph.heads.len())));
    };
    let mut layers = Vec::new();
    // Every step leads to an earlier node, so it ends.
    let (mut at, mut before) = (head, graph.nodes.len());
    loop {
        if at.node >= before {
            return Err(broken(format!("node {} stands behind the one that it leads to", at.node)));
        }
        let node = &graph.nodes[at.node];
        if at.output != 0 {
            return Err(branches(format!("output {} of `{}` goes on, not its first", at.output, short(&node.name))));
        }
        if node.op == "null" {
            break;
        }
        let Some((data, others)) = node.inputs.split_first() else {
            return Err(branches(format!("`{}` has no input", short(&node.name))));
        };
        // The others are parameters and labels, which are variables.
        let mut variables = Vec::new();
        for other in others {
            let Some(input) = graph.nodes.get(other.node) else {
                return Err(broken(format!("node {} is not there", other.node)));
            };
            if input.op != "null" {
                let (node, input, op) = (short(&node.name), short(&input.name), short(&node.op));
                return Err(branches(format!("`{node}` ({op}) also takes what comes from `{input}`")));
            }
            variables.push(input.name.clone());
        }
        layers.push(SymbolLayer { name: node.name.clone(), kind: kind(node).map_err(broken)?, variables });
        before = at.node;
        at = *data;
    }
    layers.reverse();
    Ok(layers)
}

/// What is wrong with the text; serde quotes words of the file.
fn short_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn kind(node: &Node) -> Result<SymbolKind, String> {
    let attributes = Attributes(node);
    Ok(match node.op.as_str() {
        "FullyConnected" => SymbolKind::FullyConnected {
            units: attributes.value("num_hidden", None)?,
            no_bias: attributes.truth("no_bias", false)?,
            flatten: attributes.truth("flatten", true)?,
        },
        "Activation" => SymbolKind::Activation(attributes.value("act_type", None)?),
        word @ ("relu" | "sigmoid" | "tanh" | "softsign") => SymbolKind::Activation(word.into()),
        "LeakyReLU" => SymbolKind::LeakyReLU {
            act_type: attributes.value("act_type", Some("leaky".into()))?,
            slope: attributes.value("slope", Some(0.25))?,
        },
        "BatchNorm" | "BatchNorm_v1" => SymbolKind::BatchNorm {
            eps: attributes.value("eps", Some(1e-3))?,
            fix_gamma: attributes.truth("fix_gamma", true)?,
        },
        "LayerNorm" => SymbolKind::LayerNorm { eps: attributes.value("eps", Some(1e-5))? },
        "Dropout" => SymbolKind::Dropout { p: attributes.value("p", Some(0.5))? },
        "Flatten" | "flatten" => SymbolKind::Flatten,
        word @ ("SoftmaxOutput"
        | "Softmax"
        | "SoftmaxActivation"
        | "softmax"
        | "log_softmax"
        | "LinearRegressionOutput"
        | "LogisticRegressionOutput"
        | "MAERegressionOutput"
        | "SVMOutput") => SymbolKind::Output(word.into()),
        other => SymbolKind::Other(other.into()),
    })
}

/// Arguments of an operator, which are all texts.
struct Attributes<'a>(&'a Node);

impl Attributes<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let Node { attrs, attr, param, .. } = self.0;
        [attrs, param, attr].into_iter().flatten().find_map(|all| all.get(name)).map(String::as_str)
    }

    fn value<T: std::str::FromStr>(&self, name: &str, default: Option<T>) -> Result<T, String> {
        let node = short(&self.0.name);
        match (self.text(name), default) {
            (Some(text), _) => text.trim().parse().map_err(|_| format!("`{name}` of `{node}` is `{}`", short(text))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("`{node}` has no `{name}`")),
        }
    }

    fn truth(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.text(name) {
            None => Ok(default),
            Some("True" | "true" | "1") => Ok(true),
            Some("False" | "false" | "0") => Ok(false),
            Some(text) => Err(format!("`{name}` of `{}` is `{}`", short(&self.0.name), short(text))),
        }
    }
}
