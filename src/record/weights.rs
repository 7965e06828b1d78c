//! Tensors to safetensors and back, under PyTorch's names.

use crate::base::text::short;
use crate::nn::{Parameter, SlotKind};
use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// Bytes of a header that are read. One tensor takes about a hundred, the largest published models have less than
/// a hundredth of this, and what is built of a hostile header is some twenty times as much.
pub const HEADER_BYTES_MAX: u64 = 8 << 20;

/// All f32 tensors of a file by name. Sizes are compared with the bytes present before anything is built.
pub fn read(content: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    header(content)?;
    let file = SafeTensors::deserialize(content).map_err(|error| format!("it is not a safetensors file: {error}"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{}` is {:?}, not f32", short(name), view.dtype()));
        }
        let numbers =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four"))).collect();
        tensors.insert(name.to_string(), (view.shape().to_vec(), numbers));
    }
    Ok(tensors)
}

/// Refuses a header that is too long, and one that names a tensor twice: readers disagree on which of the two
/// they take. All else that can be wrong with it, the `safetensors` crate finds.
fn header(content: &[u8]) -> Result<(), String> {
    let Some((length, rest)) = content.split_first_chunk() else { return Err("it is cut off".into()) };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        return Err(format!("it declares a header of {length} bytes, but only {} follow", rest.len()));
    }
    if length > HEADER_BYTES_MAX {
        return Err(format!("its header of {length} bytes is too long; at most {HEADER_BYTES_MAX} are read"));
    }
    let header = &rest[..length as usize];
    serde_json::from_slice::<Names>(header).map_err(|error| format!("its header cannot be read: {error}"))?;
    Ok(())
}

/// The keys of a JSON object, each of them once.
struct Names;

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object with a key for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut seen = BTreeSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(twice) = seen.replace(name) {
                        return Err(A::Error::custom(format!("`{}` stands there twice", short(&twice))));
                    }
                }
                Ok(Names)
            }
        }
        deserializer.deserialize_map(Keys)
    }
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
        assert!(super::read(&file(&format!("{{{one}}}"), &[0.5])).is_ok_and(|read| read["a"].1 == [0.5]));
    }
}
