//! Reads a finished run back: what `predict` needs. A run may be a stranger's: its files are opened beneath its
//! folder, and a link in it is not followed.

use super::schema::{self, Record};
use super::weights::{self, Tensor};
use super::{recorder::broken, yaml};
use crate::base::text::short;
use crate::base::{Refusal, World};
use crate::data::Scaling;
use crate::nn::architecture::{Init, Norm};
use crate::nn::layers::{self, Description, LayerKind};
use crate::nn::{Activation, Architecture, Network, Settings, Task};
use crate::tensor::Compute;
use ndarray::ArrayD;
use std::collections::BTreeMap;
use std::path::Path;

/// A finished run with its network.
pub struct Loaded {
    pub record: Record,
    pub architecture: Architecture,
    pub network: Network<f32>,
    pub scaling: Scaling,
}

/// The record of a run directory.
pub fn record(world: &dyn World, run: &Path) -> Result<Record, Refusal> {
    let path = run.join("run.yaml");
    let content =
        world.read_beneath(run, Path::new("run.yaml"), yaml::BYTES_MAX).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(content).map_err(|_| broken(&path, "it is not UTF-8"))?;
    let record: Record = yaml::read(&text).map_err(|error| broken(&path, error))?;
    if record.record != schema::SCHEMA {
        return Err(broken(&path, format!("it has version {}, this is {}", record.record, schema::SCHEMA)));
    }
    Ok(record)
}

/// The record, the final network and the scaling of a run directory.
pub fn run(world: &dyn World, run: &Path, compute: Compute) -> Result<Loaded, Refusal> {
    let record = record(world, run)?;
    let Some(outcome) = &record.result else {
        return Err(Refusal::error(
            "G0804",
            format!("the run `{}` has not ended: its record says `{}`", run.display(), record.status),
            "wait for it, or train again",
        ));
    };
    let path = run.join("final.safetensors");
    let architecture = architecture(&record, &outcome.model).map_err(|what| broken(&run.join("run.yaml"), what))?;
    let mut tensors = tensors(world, run, "final.safetensors", architecture.parameter_count().1)?;
    // Shapes are compared before a network of the declared size is made: a lying record allocates nothing.
    for shape in architecture.parameters() {
        let extents = shape.extents(&architecture);
        match tensors.get(&shape.name) {
            Some((found, _)) if *found == extents => {}
            Some((found, _)) => {
                return Err(broken(&path, format!("`{}` is {found:?}, the record says {extents:?}", shape.name)));
            }
            None => return Err(broken(&path, format!("`{}` is missing", shape.name))),
        }
    }
    let mut network = Network::new(&architecture, record.seed, compute);
    for parameter in network.parameters() {
        let (shape, values) = tensors.remove(&parameter.name).expect("compared above");
        parameter.value = ArrayD::from_shape_vec(shape, values).map_err(|error| broken(&path, error))?;
    }
    if let Some(name) = tensors.keys().next() {
        return Err(broken(&path, format!("`{}` belongs to no layer of the record", short(name))));
    }
    if crate::nn::parameter::digest(network.parameters()) != outcome.weights {
        return Err(broken(&path, "its weights are not those of the record: the digests differ"));
    }
    let scaling = scaling(world, run, network.inputs())?;
    Ok(Loaded { architecture, network, scaling, record })
}

/// The tensors of a file that is to hold so many numbers: a longer one is not read, however little it takes on the
/// disk.
fn tensors(world: &dyn World, run: &Path, name: &str, numbers: u64) -> Result<BTreeMap<String, Tensor>, Refusal> {
    let limit = numbers.saturating_mul(4).saturating_add(8 + weights::HEADER_BYTES_MAX);
    let content = world.read_beneath(run, Path::new(name), limit).map_err(|error| unreadable(&error))?;
    weights::read(&content).map_err(|error| broken(&run.join(name), error))
}

fn scaling(world: &dyn World, run: &Path, inputs: usize) -> Result<Scaling, Refusal> {
    let path = run.join("scaling.safetensors");
    let mut tensors = tensors(world, run, "scaling.safetensors", 2 * inputs as u64)?;
    let mut take = |name: &str| match tensors.remove(name) {
        Some((_, values)) if values.len() == inputs => Ok(values),
        _ => Err(broken(&path, format!("`{name}` does not hold {inputs} values"))),
    };
    Ok(Scaling { mean: take("mean")?, inverse: take("inverse")? })
}

fn architecture(record: &Record, model: &[schema::Layer]) -> Result<Architecture, String> {
    let data = &record.data;
    let task = match data.task.as_str() {
        "classification" => Task::Classification,
        "regression" => Task::Regression,
        other => return Err(format!("no task is called `{other}`")),
    };
    let values = data.area.map_or(Some(1), |(rows, columns)| rows.checked_mul(columns));
    let inputs = values.and_then(|values| values.checked_mul(data.inputs)).ok_or("its input is too large")?;
    let mut architecture = Architecture::new(inputs, None, task);
    let mut rest = model.iter().peekable();
    while let Some(layer) = rest.next() {
        let (kind, description) = described(layer)?;
        if description.width.is_some() {
            architecture.push(&layer.name, kind, description);
            continue;
        }
        let mut end = architecture.output();
        let mut block = Vec::new();
        while let Some(inner) = rest.next_if(|inner| inner.inside.as_ref() == Some(&layer.name)) {
            let (kind, description) = described(inner)?;
            let made = architecture.make_layer(&inner.name, kind, description, end);
            end = made.output;
            block.push(made);
        }
        let width = |axis| architecture.width(axis);
        if block.is_empty() || !layer.project && width(end.axis) != width(architecture.output().axis) {
            return Err(format!("the block `{}` has no end that fits its skip", layer.name));
        }
        architecture.push_block(&layer.name, kind, description, block);
    }
    if architecture.layers.is_empty() {
        return Err("it has no layer".into());
    }
    Ok(architecture)
}

/// One layer of a record; of a residual block, what it is without its layers.
fn described(layer: &schema::Layer) -> Result<(&'static dyn LayerKind, Description), String> {
    let unknown = |what: &str, word: &str| format!("layer `{}` has {what} `{word}`", layer.name);
    let kind = layers::find(&layer.kind).filter(|kind| kind.runs()).ok_or_else(|| unknown("kind", &layer.kind))?;
    let activation = Activation::find(&layer.activation).ok_or_else(|| unknown("activation", &layer.activation))?;
    let init = match layer.init.as_str() {
        "he" => Init::He,
        "glorot" => Init::Glorot,
        "orthogonal" => Init::Orthogonal,
        "zero" => Init::Zero,
        other => return Err(unknown("initialiser", other)),
    };
    let norm = match &layer.norm {
        Some(word) => Some(Norm::find(word).ok_or_else(|| unknown("norm", word))?),
        None => None,
    };
    let settings = Settings {
        activation,
        parametric: layer.parametric,
        norm,
        norm_epsilon: layer.norm_epsilon,
        project: layer.project,
        bias: layer.bias,
        dropout: layer.dropout,
        init: Some(init),
        ..Settings::default()
    };
    let width = (layer.kind != "residual").then_some(layer.width);
    Ok((kind, Description { width, area: None, settings }))
}

fn unreadable(error: &crate::base::Error) -> Refusal {
    Refusal::error(error.code, error.to_string(), error.help.clone())
}
