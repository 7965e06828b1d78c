//! Named arrays on their way into a file: what every writer of tensors here takes, whoever gave them their names.

use crate::base::Refusal;
use ndarray::ArrayD;
use std::borrow::Cow;

/// A named array, row-major. A number that stands alone has the shape `[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Values<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Values<'a> {
    F32(Cow<'a, [f32]>),
    I64(Cow<'a, [i64]>),
}

impl<'a> Named<'a> {
    /// Panics when the shape does not hold that many values.
    pub fn f32(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [f32]>>) -> Named<'a> {
        Named::new(name.into(), shape, Values::F32(values.into()))
    }

    /// Panics when the shape does not hold that many values.
    pub fn i64(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [i64]>>) -> Named<'a> {
        Named::new(name.into(), shape, Values::I64(values.into()))
    }

    /// A parameter's array under this name, borrowed where it lies in order.
    pub fn array(name: impl Into<String>, array: &'a ArrayD<f32>) -> Named<'a> {
        let values: Cow<[f32]> = match array.as_slice() {
            Some(values) => values.into(),
            None => array.iter().copied().collect::<Vec<_>>().into(),
        };
        Named::f32(name, array.shape(), values)
    }

    fn new(name: String, shape: &[usize], values: Values<'a>) -> Named<'a> {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "`{name}` has the values of its shape");
        Named { name, shape: shape.to_vec(), values }
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        self.values.len() * self.values.width()
    }

    /// Its values, little-endian, behind what is in `out`.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes());
        match &self.values {
            Values::F32(values) => values.iter().for_each(|value| out.extend(value.to_le_bytes())),
            Values::I64(values) => values.iter().for_each(|value| out.extend(value.to_le_bytes())),
        }
    }
}

impl Values<'_> {
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::I64(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one value.
    pub fn width(&self) -> usize {
        match self {
            Values::F32(_) => 4,
            Values::I64(_) => 8,
        }
    }
}

/// What a format cannot hold.
pub(super) fn too_large(format: &str, bytes: u64, most: u64) -> Refusal {
    let [bytes, most] = [bytes, most].map(crate::base::numbers::bytes);
    Refusal::error(
        "G0802",
        format!("{format} holds at most {most}, and this takes {bytes}"),
        "export to safetensors, which has no such bound",
    )
}
