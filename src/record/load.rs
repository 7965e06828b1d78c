//! Reads a finished run back: what `predict` needs.

use super::schema::{self, Record};
use super::{model, recorder::broken, weights, yaml};
use crate::base::{Refusal, World};
use crate::data::Scaling;
use crate::nn::{Architecture, Network};
use crate::tensor::Compute;
use ndarray::ArrayD;
use std::path::Path;

/// A finished run with its network.
pub struct Loaded {
    pub record: Record,
    pub architecture: Architecture,
    pub network: Network<f32>,
    pub scaling: Scaling,
}

/// Largest weights file that is read, in bytes: 1e9 parameters and a header.
const WEIGHTS_BYTES_MAX: u64 = 4_100_000_000;

/// The record of a run directory.
pub fn record(world: &dyn World, run: &Path) -> Result<Record, Refusal> {
    let path = run.join("run.yaml");
    let content = world.read(&path, yaml::BYTES_MAX).map_err(|error| unreadable(&error))?;
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
    let content = world.read(&path, WEIGHTS_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let mut tensors = weights::read(&content).map_err(|error| broken(&path, error))?;
    let architecture = model::read(&outcome.model, &record.data).map_err(|what| broken(&run.join("run.yaml"), what))?;
    // Shapes are compared before a network of the declared size is made: a lying record allocates nothing.
    for shape in architecture.parameters() {
        let extents = shape.extents(&architecture);
        match tensors.get(&shape.name).map(weights::Array::shape) {
            Some(found) if found == extents => {}
            Some(found) => {
                return Err(broken(&path, format!("`{}` is {found:?}, the record says {extents:?}", shape.name)));
            }
            None => return Err(broken(&path, format!("`{}` is missing", shape.name))),
        }
    }
    let mut network = Network::new(&architecture, record.seed, compute);
    for parameter in network.parameters() {
        let array = tensors.remove(&parameter.name).expect("compared above");
        let (shape, values) = array.into_f32(&parameter.name).map_err(|error| broken(&path, error))?;
        parameter.value = ArrayD::from_shape_vec(shape, values).map_err(|error| broken(&path, error))?;
    }
    if let Some(name) = tensors.keys().next() {
        return Err(broken(&path, format!("`{name}` belongs to no layer of the record")));
    }
    if crate::nn::parameter::digest(network.parameters()) != outcome.weights {
        return Err(broken(&path, "its weights are not those of the record: the digests differ"));
    }
    let scaling = scaling(world, run, network.inputs())?;
    Ok(Loaded { architecture, network, scaling, record })
}

fn scaling(world: &dyn World, run: &Path, inputs: usize) -> Result<Scaling, Refusal> {
    let path = run.join("scaling.safetensors");
    let content = world.read(&path, WEIGHTS_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let mut tensors = weights::read(&content).map_err(|error| broken(&path, error))?;
    let mut take = |name: &str| match tensors.remove(name) {
        Some(array) if array.shape() == [inputs] => {
            array.into_f32(name).map(|(_, values)| values).map_err(|error| broken(&path, error))
        }
        _ => Err(broken(&path, format!("`{name}` does not hold {inputs} values"))),
    };
    Ok(Scaling { mean: take("mean")?, inverse: take("inverse")? })
}

pub(super) fn unreadable(error: &crate::base::Error) -> Refusal {
    Refusal::error(error.code, error.to_string(), error.help.clone())
}
