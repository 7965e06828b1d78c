//! MXNet's `.params`, version 2, as `nd.save` and Gluon's `save_parameters` write it.
//!
//! ```text
//! u64 0x112, u64 0, u64 n, then n arrays: u32 0xF993FAC9, i32 storage 0, i32 dimensions, i64 each, i32 device 1,
//! i32 number 0, i32 type, values; then u64 n, and n names: u64 length, bytes
//! ```

use super::named::{Named, Values};
use super::{Exported, File, Target};
use crate::base::{Doc, Refusal};

const LIST: u64 = 0x112;
const ARRAY: u32 = 0xF993_FAC9;
/// Memory of the CPU; whoever loads chooses the device.
const CPU: i32 = 1;

/// Tensors in the order of the file. An array without dimensions, which MXNet takes for none, becomes one of `[1]`.
pub fn write(tensors: &[Named]) -> Vec<u8> {
    let mut out = Vec::new();
    let count = tensors.len() as u64;
    for word in [LIST, 0, count] {
        out.extend(word.to_le_bytes());
    }
    for tensor in tensors {
        let shape: &[usize] = if tensor.shape.is_empty() { &[1] } else { &tensor.shape };
        let dimensions = i32::try_from(shape.len()).expect("an array has few dimensions");
        let dtype: i32 = match tensor.values {
            Values::F32(_) => 0,
            Values::I64(_) => 6,
        };
        out.extend(ARRAY.to_le_bytes());
        // Dense storage.
        out.extend(0i32.to_le_bytes());
        out.extend(dimensions.to_le_bytes());
        shape.iter().for_each(|&extent| out.extend((extent as u64).to_le_bytes()));
        for word in [CPU, 0, dtype] {
            out.extend(word.to_le_bytes());
        }
        tensor.append(&mut out);
    }
    out.extend(count.to_le_bytes());
    for tensor in tensors {
        out.extend((tensor.name.len() as u64).to_le_bytes());
        out.extend(tensor.name.bytes());
    }
    out
}

/// What Gluon calls one of our tensors: a norm's weight and bias are `gamma` and `beta` there.
pub fn name(ours: &str) -> String {
    let ends = [(".norm.weight", ".norm.gamma"), (".norm.bias", ".norm.beta")];
    let found = ends.iter().find_map(|(end, gluon)| Some(format!("{}{gluon}", ours.strip_suffix(end)?)));
    found.unwrap_or_else(|| ours.into())
}

pub struct Mxnet;

static DOC: Doc = Doc {
    word: "mxnet",
    help: "the weights under Gluon's names, for `load_parameters`",
    args: &[],
    one_of: &[],
    example: "growrun export runs/first-growth/0001 --to mxnet",
    source: "",
};

impl Target for Mxnet {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn extension(&self) -> Option<&'static str> {
        Some("params")
    }

    fn files(&self, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal> {
        super::tensor_files(exported, stem, "params", |tensors| {
            let gluon: Vec<Named> =
                tensors.iter().map(|tensor| Named { name: name(&tensor.name), ..tensor.clone() }).collect();
            Ok(write(&gluon))
        })
    }

    fn checked(&self) -> Option<&'static str> {
        None
    }

    fn next(&self, main: &str) -> String {
        format!(
            "`net.load_parameters(\"{main}\")` in Gluon, in whose `net` the layers have the names of the schedule, such as `net.h1` a Dense; `nd.load` shows them"
        )
    }
}
