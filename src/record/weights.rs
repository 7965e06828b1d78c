//! Tensors to safetensors and back, under PyTorch's names.

use crate::base::digest::Tensors;
use crate::base::text::short;
use crate::nn::{Parameter, SlotKind};
use crate::weights::safetensors::header;
use crate::weights::values::numbers;
use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

pub use crate::weights::safetensors::HEADER_BYTES_MAX;

/// A tensor with its values in row-major order: those of a file that was read, or borrowed from a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<'a> {
    shape: Vec<usize>,
    values: Values<'a>,
}

#[derive(Clone, Debug, PartialEq)]
enum Values<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    U64(Cow<'a, [u64]>),
}

impl<'a> Array<'a> {
    pub fn f32(shape: &[usize], values: impl Into<Cow<'a, [f32]>>) -> Array<'a> {
        Array { shape: shape.to_vec(), values: Values::F32(values.into()) }
    }

    pub fn f64(values: &'a [f64]) -> Array<'a> {
        Array { shape: vec![values.len()], values: Values::F64(values.into()) }
    }

    pub fn u64(values: &'a [u64]) -> Array<'a> {
        Array { shape: vec![values.len()], values: Values::U64(values.into()) }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, if they are f32 and no NaN is among them: only such have a digest.
    pub fn numbers(&self) -> Option<&[f32]> {
        match &self.values {
            Values::F32(values) if !values.iter().any(|value| value.is_nan()) => Some(values),
            _ => None,
        }
    }

    /// Shape and values. `name` is for the error.
    pub fn into_f32(self, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
        match self.values {
            Values::F32(values) => Ok((self.shape, values.into_owned())),
            other => Err(format!("`{name}` is {:?}, not F32", other.dtype())),
        }
    }

    pub fn into_f64(self, name: &str) -> Result<Vec<f64>, String> {
        match self.values {
            Values::F64(values) => Ok(values.into_owned()),
            other => Err(format!("`{name}` is {:?}, not F64", other.dtype())),
        }
    }

    pub fn into_u64(self, name: &str) -> Result<Vec<u64>, String> {
        match self.values {
            Values::U64(values) => Ok(values.into_owned()),
            other => Err(format!("`{name}` is {:?}, not U64", other.dtype())),
        }
    }
}

impl Values<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
            Values::U64(_) => Dtype::U64,
        }
    }
}

/// The bytes are made when they are written, one tensor after the other: a file takes no memory but its own.
impl View for &Array<'_> {
    fn dtype(&self) -> Dtype {
        self.values.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match &self.values {
            Values::F32(values) => values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>().into_flattened(),
            Values::F64(values) => values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>().into_flattened(),
            Values::U64(values) => values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>().into_flattened(),
        })
    }

    fn data_len(&self) -> usize {
        match &self.values {
            Values::F32(values) => 4 * values.len(),
            Values::F64(values) => 8 * values.len(),
            Values::U64(values) => 8 * values.len(),
        }
    }
}

/// The values of all parameters as a file. `note` becomes its one line of metadata.
pub fn values(parameters: &[Parameter<f32>], note: &str) -> Vec<u8> {
    let tensors = parameters.iter().map(|p| (p.name.clone(), Array::f32(p.value.shape(), row_major(&p.value))));
    write(&tensors.collect(), note)
}

pub fn slot_name(parameter: &str, kind: SlotKind) -> String {
    let suffix = match kind {
        SlotKind::FirstMoment => "first_moment",
        SlotKind::SecondMoment => "second_moment",
    };
    format!("{parameter}.{suffix}")
}

pub fn updates_name(parameter: &str) -> String {
    format!("{parameter}.updates")
}

pub fn births_name(parameter: &str, dimension: usize) -> String {
    format!("{parameter}.births.{dimension}")
}

/// What the optimiser needs to go on: slots, counts of updates, births.
pub fn state(parameters: &[Parameter<f32>]) -> BTreeMap<String, Array<'_>> {
    let mut tensors = BTreeMap::new();
    for parameter in parameters {
        for slot in &parameter.slots {
            let array = Array::f32(slot.value.shape(), row_major(&slot.value));
            tensors.insert(slot_name(&parameter.name, slot.kind), array);
        }
        let updates = std::slice::from_ref(&parameter.updates);
        tensors.insert(updates_name(&parameter.name), Array::u64(updates));
        for (dimension, births) in parameter.births.iter().enumerate() {
            tensors.insert(births_name(&parameter.name, dimension), Array::u64(births));
        }
    }
    tensors
}

/// The mean and the inverse deviation by which inputs were scaled, as a file.
pub fn scaling(mean: &[f32], inverse: &[f32], note: &str) -> Vec<u8> {
    let tensor = |values| Array::f32(&[mean.len()], values);
    write(&BTreeMap::from([("mean".to_string(), tensor(mean)), ("inverse".to_string(), tensor(inverse))]), note)
}

/// Named tensors as a file.
pub fn write(tensors: &BTreeMap<String, Array>, note: &str) -> Vec<u8> {
    // One entry only: a hash map's order must not reach the file.
    let metadata = HashMap::from([("growrun".to_string(), note.to_string())]);
    safetensors::serialize(tensors, Some(metadata)).expect("names are unique and sizes fit")
}

/// All tensors of a file by name. Sizes are compared with the bytes present before anything is built.
pub fn read(content: &[u8]) -> Result<BTreeMap<String, Array<'static>>, String> {
    header(content)?;
    let file = SafeTensors::deserialize(content).map_err(|error| format!("it is not a safetensors file: {error}"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(numbers(data, f32::from_le_bytes).into()),
            Dtype::F64 => Values::F64(numbers(data, f64::from_le_bytes).into()),
            Dtype::U64 => Values::U64(numbers(data, u64::from_le_bytes).into()),
            other => return Err(format!("`{}` is {other:?}; F32, F64 and U64 are read here", short(name))),
        };
        tensors.insert(name.to_string(), Array { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// The first 16 digits of each parameter's digest: enough to name the one that differs.
pub fn tensor_digests(parameters: &[Parameter<f32>]) -> BTreeMap<String, String> {
    let one = |p: &Parameter<f32>| (p.name.clone(), tensor_digest(&p.name, p.value.shape(), &row_major(&p.value)));
    parameters.iter().map(one).collect()
}

/// Panics on NaN, which has no digest.
fn tensor_digest(name: &str, shape: &[usize], values: &[f32]) -> String {
    let mut digest = Tensors::default();
    digest.add(name, shape, values);
    digest.finish()["blake3:".len()..][..16].to_string()
}

/// The first tensor of a file whose digest is not among `recorded`, or that is in one of the two only.
pub fn first_difference(recorded: &BTreeMap<String, String>, file: &BTreeMap<String, Array>) -> Option<String> {
    let same = |(name, array): &(&String, &Array)| {
        let digest = array.numbers().map(|numbers| tensor_digest(name, array.shape(), numbers));
        digest.is_some() && digest.as_ref() == recorded.get(*name)
    };
    let differs = file.iter().find(|tensor| !same(tensor)).map(|(name, _)| name);
    differs.or_else(|| recorded.keys().find(|name| !file.contains_key(*name))).cloned()
}

/// Digest of some tensors of a file in this order, as of the parameters that they are; `None` when one of them is not
/// there or not finite.
pub fn digest<'n>(names: impl Iterator<Item = &'n str>, file: &BTreeMap<String, Array>) -> Option<String> {
    let mut digest = Tensors::default();
    for name in names {
        let array = file.get(name)?;
        let numbers = array.numbers().filter(|numbers| numbers.iter().all(|number| number.is_finite()))?;
        digest.add(name, array.shape(), numbers);
    }
    Some(digest.finish())
}

/// Digest of all slots and ages.
pub fn optimizer_digest(parameters: &[Parameter<f32>]) -> String {
    let mut digest = Tensors::default();
    for parameter in parameters {
        for slot in &parameter.slots {
            digest.add(&slot_name(&parameter.name, slot.kind), slot.value.shape(), &row_major(&slot.value));
        }
        digest.add_whole(&updates_name(&parameter.name), &[parameter.updates]);
        for (dimension, births) in parameter.births.iter().enumerate() {
            digest.add_whole(&births_name(&parameter.name, dimension), births);
        }
    }
    digest.finish()
}

fn row_major(array: &ArrayD<f32>) -> Cow<'_, [f32]> {
    match array.as_slice() {
        Some(numbers) => Cow::Borrowed(numbers),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[f32]) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        file
    }

    #[test]
    fn a_header_is_held_to_the_bytes_present() {
        let one = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let same = r#""b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let vast = r#"{"a":{"dtype":"F32","shape":[32768,32768],"data_offsets":[0,4294967296]}}"#;
        let read = |file: &[u8]| read(file).expect_err("hostile");
        assert!(read(b"").contains("cut off"));
        assert!(read(&[0xff; 100]).contains("only 92 follow"));
        assert!(read(&file(&" ".repeat(HEADER_BYTES_MAX as usize + 1), &[])).contains("too long"));
        assert!(read(&file(vast, &[0.0])).contains("safetensors"));
        assert!(read(&file(&format!("{{{one},{same}}}"), &[0.0])).contains("safetensors"), "two on the same bytes");
        assert!(read(&file(&format!("{{{one},{one}}}"), &[0.0])).contains("`a` stands there twice"));
        assert!(
            super::read(&file(&format!("{{{one}}}"), &[0.5]))
                .is_ok_and(|read| read["a"] == super::Array::f32(&[1], vec![0.5]))
        );
    }
}
