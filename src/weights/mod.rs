//! Weights that come from other tools: files of named tensors, and what their names mean here.
//!
//! A reader ([`safetensors`]) takes bytes and gives a [`File`]: tensors under the names
//! that stand in the file, with their values as f32. It runs nothing that a file asks for, and compares every declared
//! size with the bytes present before it takes memory. Which tensor is which parameter is decided behind that, by
//! [`fit`] from its name, the same way for all of them.

pub mod fit;
mod given;
pub mod moments;
pub mod names;
pub mod safetensors;
pub mod values;

pub use given::{Given, Insertion, Source};

use crate::base::Refusal;
use crate::base::text::short;

/// The tools' formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Safetensors,
    /// What `torch.save` writes: a zip archive around a pickle.
    PyTorch,
    Npz,
    /// What MXNet's `nd.save`, `save_parameters` and `export` write.
    MxNet,
}

impl Format {
    /// As messages say it.
    pub fn shown(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::PyTorch => "PyTorch",
            Format::Npz => "npz",
            Format::MxNet => "MXNet",
        }
    }
}

/// Everything that a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub format: Format,
    /// In the file's order, which is the order of the layers where a tool keeps it (PyTorch, npz, MXNet); by place in
    /// the file for safetensors. Names are unique.
    pub tensors: Vec<Tensor>,
}

/// A named array. A number that stands alone, such as a count of steps, is one without dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// As in the file; of nested dictionaries and lists the keys and places, joined by `.`.
    pub name: String,
    pub shape: Vec<usize>,
    /// The type in the file, as its tool calls it: `float16`, `bfloat16`, `float32`, `float64`, `int64`, …
    pub dtype: &'static str,
    pub values: Values,
}

/// Values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of any floating-point type, as f32: f16 and bf16 exactly, f64 to the nearest.
    Numbers(Vec<f32>),
    /// Of any type of whole numbers.
    Whole(Vec<i64>),
    /// Of a type that is no weight (bool, complex, text); its values are not read.
    Other,
}

impl Tensor {
    /// Whether values were changed to become f32, or only written differently.
    pub fn is_converted(&self) -> bool {
        matches!(self.values, Values::Numbers(_)) && self.dtype != "float32"
    }
}

/// Reads a file of any of the formats, by its first bytes. `name` is for messages; nothing that is packed may unpack
/// to more than `limit` bytes.
pub fn read(name: &str, content: &[u8], _limit: u64) -> Result<File, Refusal> {
    if safetensors::begins(content) {
        return safetensors::read(name, content);
    }
    Err(unknown(name, content))
}

/// What is none of the formats, by what it begins with.
fn unknown(name: &str, content: &[u8]) -> Refusal {
    let name = short(name);
    let (what, help) = match content {
        [] => ("it is empty", "save it again"),
        [0x80, 2..=5, ..] => (
            "it is a bare pickle, which is a program and is never run",
            "save it with `torch.save` of PyTorch 1.6 or later, or `safetensors.torch.save_file`",
        ),
        [0x89, b'H', b'D', b'F', ..] => {
            ("it is an HDF5 file", "in Keras, save the weights with `numpy.savez`: `growrun explain keras` shows how")
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            ("it is one array without a name", "save named arrays with `numpy.savez`")
        }
        _ => ("it begins like none of them", "safetensors, PyTorch's zip, npz and MXNet's .params are read"),
    };
    Refusal::error("G0820", format!("`{name}` is no weights file that can be read: {what}"), help)
}

/// What is wrong with a file that began well.
pub(crate) fn broken(name: &str, format: Format, what: impl std::fmt::Display) -> Refusal {
    let message = format!("`{}` is no {} file that can be read: {what}", short(name), format.shown());
    Refusal::error("G0820", message, "save or fetch it again")
}
