//! Tensors to safetensors and back, under PyTorch's names.

use crate::nn::{Parameter, SlotKind};
use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A tensor that was read: its shape and its values in row-major order.
pub type Tensor = (Vec<usize>, Vec<f32>);

/// The values of all parameters. `note` becomes the file's one line of metadata.
pub fn values(parameters: &[Parameter<f32>], note: &str) -> Vec<u8> {
    let tensors =
        parameters.iter().map(|p| f32_tensor(p.name.clone(), p.value.shape(), &row_major(&p.value))).collect();
    serialize(tensors, note)
}

/// What the optimiser needs to go on: slots, counts of updates, births.
pub fn state(parameters: &[Parameter<f32>], note: &str) -> Vec<u8> {
    let mut tensors = Vec::new();
    for parameter in parameters {
        for slot in &parameter.slots {
            let suffix = match slot.kind {
                SlotKind::FirstMoment => "first_moment",
                SlotKind::SecondMoment => "second_moment",
            };
            let name = format!("{}.{suffix}", parameter.name);
            tensors.push(f32_tensor(name, slot.value.shape(), &row_major(&slot.value)));
        }
        tensors.push(u64_tensor(format!("{}.updates", parameter.name), &[parameter.updates]));
        for (dimension, births) in parameter.births.iter().enumerate() {
            tensors.push(u64_tensor(format!("{}.births.{dimension}", parameter.name), births));
        }
    }
    serialize(tensors, note)
}

/// The mean and the inverse deviation by which inputs were scaled.
pub fn scaling(mean: &[f32], inverse: &[f32], note: &str) -> Vec<u8> {
    let tensor = |name: &str, values: &[f32]| f32_tensor(name.into(), &[values.len()], values);
    serialize(vec![tensor("mean", mean), tensor("inverse", inverse)], note)
}

/// All f32 tensors of a file by name.
pub fn read(content: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(content).map_err(|error| format!("it is not a safetensors file: {error}"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is {:?}, not f32", view.dtype()));
        }
        let numbers =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four"))).collect();
        tensors.insert(name.to_string(), (view.shape().to_vec(), numbers));
    }
    Ok(tensors)
}

struct Raw {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn row_major(array: &ArrayD<f32>) -> Cow<'_, [f32]> {
    match array.as_slice() {
        Some(numbers) => Cow::Borrowed(numbers),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

fn f32_tensor(name: String, shape: &[usize], values: &[f32]) -> Raw {
    let bytes = values.iter().map(|value| value.to_le_bytes()).collect::<Vec<_>>().into_flattened();
    Raw { name, dtype: Dtype::F32, shape: shape.to_vec(), bytes }
}

fn u64_tensor(name: String, values: &[u64]) -> Raw {
    let bytes = values.iter().map(|value| value.to_le_bytes()).collect::<Vec<_>>().into_flattened();
    Raw { name, dtype: Dtype::U64, shape: vec![values.len()], bytes }
}

fn serialize(tensors: Vec<Raw>, note: &str) -> Vec<u8> {
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|raw| {
            let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes);
            (raw.name.as_str(), view.expect("bytes and shape come from one array"))
        })
        .collect();
    // One entry only: a hash map's order must not reach the file.
    let metadata = HashMap::from([("growrun".to_string(), note.to_string())]);
    safetensors::serialize(views, Some(metadata)).expect("names are unique and sizes fit")
}
