//! Weights that come from other tools: files of named tensors, and what their names mean here.
//!
//! A reader ([`safetensors`], [`pytorch`], [`npz`], [`mxnet`]) takes bytes and gives a [`File`]: tensors under the names
//! that stand in the file, with their values as f32. It runs nothing that a file asks for, and compares every declared
//! size with the bytes present before it takes memory. Which tensor is which parameter is decided behind that, by
//! [`fit`] from its name, the same way for all of them.

pub mod fit;
mod given;
pub mod layout;
pub mod moments;
pub mod mxnet;
pub mod names;
pub mod npz;
mod pickle;
pub mod propose;
pub mod pytorch;
pub mod safetensors;
pub mod symbol;
pub mod values;

pub use given::{Given, Insertion, OF_A_RUN, Source, limits};

use crate::base::Refusal;
use crate::base::text::short;
use crate::data::read::{unpacks_to, zip};
use std::collections::BTreeSet;

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
    /// Texts that say which parameter is which: those of `param_names` in an optimiser's groups, by their place.
    pub texts: Vec<(String, String)>,
}

impl File {
    /// Of tensors alone.
    pub fn new(format: Format, tensors: Vec<Tensor>) -> File {
        File { format, tensors, texts: Vec::new() }
    }
}

/// A named array. A number that stands alone, such as a count of steps, is one without dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// As in the file; of nested dictionaries and lists the keys and places, joined by `.`.
    pub name: String,
    /// Bytes of the name that are keys of dictionaries around the tensor's own: 6 of `model.fc1.weight`, which its tool
    /// calls `fc1.weight` in a dictionary `model`. 0 where a format has no such.
    pub outer: usize,
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

/// Reads a file of any of the formats, by its first bytes. `name` is for messages. What is packed, and what a file
/// asks to be copied again and again, takes at most `limit` bytes.
pub fn read(name: &str, content: &[u8], limit: u64) -> Result<File, Refusal> {
    let mut budget = Budget::of(content, limit);
    let file = if safetensors::begins(content) {
        safetensors::read(name, content, limit)?
    } else if content.starts_with(b"PK") {
        zipped(name, content, &mut budget)?
    } else if mxnet::begins(content) {
        mxnet::read(name, content, &mut budget)?
    } else {
        return Err(unknown(name, content));
    };
    let mut names = BTreeSet::new();
    if let Some(twice) = file.tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return Err(broken(name, file.format, format!("two of its tensors are named `{}`", short(&twice.name))));
    }
    Ok(file)
}

/// PyTorch and NumPy both write zip archives; the pickle tells them apart.
fn zipped(name: &str, content: &[u8], budget: &mut Budget) -> Result<File, Refusal> {
    let entries = zip::entries(&short(name), content, &ARCHIVE)?;
    match entries.iter().find(|entry| pytorch::is_pickle(&entry.name)) {
        Some(pickle) => pytorch::read(name, &entries, pickle, budget),
        None => npz::read(name, &entries, budget),
    }
}

/// For the messages about an archive.
const ARCHIVE: zip::Purpose =
    zip::Purpose { code: "G0820", what: "zip archive", help: "save or fetch it again", too_large: entry_too_large };

fn entry_too_large(entry: &str, packed: usize, limit: u64) -> Refusal {
    let bytes = unpacks_to(packed, limit);
    let message = format!("`{entry}` would unpack from {packed} bytes to more than {bytes}, as a bomb does");
    Refusal::error("G0820", message, "if you trust it, save it again with `numpy.savez`, which packs nothing")
}

/// The memory that a file may still take. Values are written out in full, but a few bytes may ask for many of
/// them: packed zeros, one value seen as a million, a list that holds itself.
pub struct Budget {
    all: u64,
    left: u64,
}

impl Budget {
    /// What is allowed to a packed file of this size, whether it is packed or not: an honest one that is not becomes
    /// at most eight times larger.
    fn of(content: &[u8], limit: u64) -> Budget {
        let all = unpacks_to(content.len(), limit);
        Budget { all, left: all }
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes so many values of so many bytes each, or says that they are too many.
    fn take(&mut self, values: usize, each: u64) -> Result<(), String> {
        let left = (values as u64).checked_mul(each).and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(|| format!("would take more than {} bytes of memory", self.all))?;
        Ok(())
    }

    /// Takes what a tensor takes beside its values.
    fn name(&mut self, name: &str) -> Result<(), String> {
        const TENSOR: usize = 256;
        self.take(name.len() + TENSOR, 1)
    }
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
        [0x1F, 0x8B, ..] => ("it is packed by gzip", "unpack it first"),
        [b'{', ..] => {
            ("it is JSON", "an MXNet `-symbol.json` names layers; their weights are in the `.params` beside it")
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

/// What a file asks for that is never done.
pub(crate) fn runs(name: &str, what: impl std::fmt::Display) -> Refusal {
    let message = format!("`{}` {what}; nothing that a file asks for is run", short(name));
    let help = "save the values alone: `torch.save(model.state_dict(), \"weights.pt\")`";
    Refusal::error("G0821", message, help)
}
