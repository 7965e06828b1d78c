//! safetensors: a JSON header of names, types, shapes and offsets, then the values.

use super::{File, Format, Tensor, Values, broken};
use crate::base::Refusal;
use crate::base::text::short;
use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype, TensorView};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;

/// Bytes of a header that are read. One tensor takes about a hundred, the largest published models have less than
/// a hundredth of this, and what is built of a hostile header is some twenty times as much.
pub const HEADER_BYTES_MAX: u64 = 8 << 20;

/// Whether the bytes begin as a header's length and a JSON object.
pub fn begins(content: &[u8]) -> bool {
    content.get(8) == Some(&b'{')
}

/// The tensors by their place in the file.
pub fn read(name: &str, content: &[u8]) -> Result<File, Refusal> {
    let broken = |what: String| broken(name, Format::Safetensors, what);
    header(content).map_err(broken)?;
    let file = SafeTensors::deserialize(content).map_err(|error| broken(error.to_string()))?;
    let mut views: Vec<(&str, TensorView)> = file.iter().collect();
    // An empty tensor begins where the next one does.
    views.sort_by_key(|(name, view)| (view.data().as_ptr(), *name));
    let tensors = views.into_iter().map(|(name, view)| tensor(name, &view)).collect();
    Ok(File { format: Format::Safetensors, tensors })
}

fn tensor(name: &str, view: &TensorView) -> Tensor {
    use super::values::*;
    let data = view.data();
    let (dtype, values) = match view.dtype() {
        Dtype::F16 => ("float16", Values::Numbers(numbers(data, f16))),
        Dtype::BF16 => ("bfloat16", Values::Numbers(numbers(data, bf16))),
        Dtype::F32 => ("float32", Values::Numbers(numbers(data, f32::from_le_bytes))),
        Dtype::F64 => ("float64", Values::Numbers(numbers(data, |bytes| f64::from_le_bytes(bytes) as f32))),
        Dtype::I8 => ("int8", Values::Whole(numbers(data, |bytes| i8::from_le_bytes(bytes).into()))),
        Dtype::U8 => ("uint8", Values::Whole(numbers(data, |bytes| u8::from_le_bytes(bytes).into()))),
        Dtype::I16 => ("int16", Values::Whole(numbers(data, |bytes| i16::from_le_bytes(bytes).into()))),
        Dtype::U16 => ("uint16", Values::Whole(numbers(data, |bytes| u16::from_le_bytes(bytes).into()))),
        Dtype::I32 => ("int32", Values::Whole(numbers(data, |bytes| i32::from_le_bytes(bytes).into()))),
        Dtype::U32 => ("uint32", Values::Whole(numbers(data, |bytes| u32::from_le_bytes(bytes).into()))),
        Dtype::I64 => ("int64", Values::Whole(numbers(data, i64::from_le_bytes))),
        Dtype::U64 => ("uint64", Values::Whole(numbers(data, |bytes| whole(u64::from_le_bytes(bytes))))),
        Dtype::BOOL => ("bool", Values::Other),
        _ => ("another type", Values::Other),
    };
    Tensor { name: name.into(), outer: 0, shape: view.shape().to_vec(), dtype, values }
}

/// Refuses a header that is too long, and one that names a tensor twice: readers disagree on which of the two
/// they take. All else that can be wrong with it, the `safetensors` crate finds.
pub fn header(content: &[u8]) -> Result<(), String> {
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
