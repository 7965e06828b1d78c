//! Growth: what operators plan, what they promise and keep, what they do to the optimiser's state.

mod age;
mod carried;
mod images;
mod lab;
mod measured;
mod methods;
mod moments;
mod norms;
mod plans;
pub mod promises;
mod sequences;
mod state;
mod symmetry;
mod table;

use growrun::base::{Args, Refusal, Target, Value};
use growrun::grow::{self, Plan};
use growrun::nn::architecture::Norm;
use growrun::nn::layers::{self, Description};
use growrun::nn::{Activation, Architecture, Layer, Settings, Task};

/// `inputs` units, dense layers of these names, widths and activations.
pub fn architecture(inputs: usize, dense: &[(&str, usize, Activation)]) -> Architecture {
    let mut architecture = Architecture::new(inputs, None, Task::Classification);
    for (name, width, activation) in dense {
        push(&mut architecture, name, *width, Settings { activation: *activation, ..Settings::default() });
    }
    architecture
}

pub fn push<'a>(architecture: &'a mut Architecture, name: &str, width: usize, settings: Settings) -> &'a mut Layer {
    let kind = layers::find("dense").expect("dense is a layer");
    architecture.push(name, kind, Description { width: Some(width), area: None, settings })
}

/// 8 → h1 32 → h2 32 → out 10, hidden layers with this activation.
pub fn usual(activation: Activation) -> Architecture {
    architecture(8, &[("h1", 32, activation), ("h2", 32, activation), ("out", 10, Activation::Linear)])
}

pub fn with_norm(norm: Norm) -> Architecture {
    let mut architecture = Architecture::new(8, None, Task::Classification);
    let settings = Settings { activation: Activation::Relu, norm: Some(norm), ..Settings::default() };
    push(&mut architecture, "h1", 32, settings);
    push(&mut architecture, "out", 10, Settings::default());
    architecture
}

/// One phrase: the operator's word, then arguments. Names, targets and numbers become values by their form.
pub fn phrase(word: &str, arguments: &[(&'static str, &str)]) -> Args {
    let operator = grow::find(word).unwrap_or_else(|| panic!("`{word}` is an operator"));
    arguments.iter().fold(Args::none(operator.doc()), |args, (name, text)| args.with(name, vec![value(name, text)]))
}

fn value(name: &str, text: &str) -> Value {
    let number = || text.parse::<f64>().expect("a number");
    match name {
        "target" => Value::Target(match text.split_once("..") {
            Some((first, last)) => Target::Range(first.into(), last.into()),
            None if text == "all" => Target::All,
            None => Target::One(text.into()),
        }),
        "after" | "before" | "as" | "name" | "block" => Value::Name(text.into()),
        "to" | "width" | "kernel" => Value::Integer(text.parse().expect("a whole number")),
        "by" | "times" => match text.strip_suffix('x') {
            Some(factor) => Value::Factor(factor.parse().expect("a factor")),
            None => Value::Integer(text.parse().expect("a whole number")),
        },
        "eps" | "fan_in" => Value::Number(number()),
        "accept" => Value::Flag(true),
        _ => Value::Word(text.into()),
    }
}

pub fn plan(before: &Architecture, word: &str, arguments: &[(&'static str, &str)]) -> Result<Plan, Refusal> {
    grow::find(word).expect("an operator").plan(&phrase(word, arguments), before)
}

pub fn planned(before: &Architecture, word: &str, arguments: &[(&'static str, &str)]) -> Plan {
    plan(before, word, arguments).unwrap_or_else(|refusal| panic!("{word} {arguments:?}: {refusal}"))
}

pub fn refused(before: &Architecture, word: &str, arguments: &[(&'static str, &str)]) -> Refusal {
    match plan(before, word, arguments) {
        Err(refusal) => refusal,
        Ok(plan) => panic!("{word} {arguments:?} was planned: {}", plan.summary.detail),
    }
}
