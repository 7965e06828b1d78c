//! safetensors: a JSON header of names, types, shapes and offsets, then the values. The header is written here and not by the
//! `safetensors` crate, which keeps metadata in a hash map: more than one entry would come in another order each time.

use super::named::{Named, Values};
use super::{Exported, File, Target};
use crate::base::text::short;
use crate::base::{Doc, Refusal};
use crate::weights;
use serde_json::{Value, json};

/// Tensors in the order of the file; `metadata` as it is to stand there. Names are unique: whoever calls has seen to it.
/// The same tensors give the same bytes.
pub fn write(tensors: &[Named], metadata: &[(String, String)]) -> Vec<u8> {
    // Wide values first, so that each begins at a multiple of its width, which readers map into memory as they are.
    let mut ordered: Vec<&Named> = tensors.iter().collect();
    ordered.sort_by_key(|tensor| std::cmp::Reverse(tensor.values.width()));
    let mut entries = Vec::new();
    if !metadata.is_empty() {
        let all: Vec<String> = metadata.iter().map(|(key, value)| format!("{}:{}", text(key), text(value))).collect();
        entries.push(format!("\"__metadata__\":{{{}}}", all.join(",")));
    }
    let mut values = Vec::with_capacity(ordered.iter().map(|tensor| tensor.bytes()).sum());
    for tensor in ordered {
        let dtype = match tensor.values {
            Values::F32(_) => "F32",
            Values::I64(_) => "I64",
        };
        let begin = values.len();
        tensor.append(&mut values);
        let (shape, end) = (&tensor.shape, values.len());
        entries.push(format!(
            "{}:{{\"dtype\":\"{dtype}\",\"shape\":{},\"data_offsets\":[{begin},{end}]}}",
            text(&tensor.name),
            json!(shape)
        ));
    }
    let mut header = format!("{{{}}}", entries.join(","));
    // The values begin at a multiple of 8, as the reference writer has it.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.append(&mut values);
    out
}

/// The same, read back and compared. Refused when what comes back is something else: then the names are not unique.
pub fn checked(tensors: &[Named], metadata: &[(String, String)]) -> Result<Vec<u8>, Refusal> {
    let content = write(tensors, metadata);
    let file = weights::safetensors::read("the export", &content, u64::MAX)?;
    let same = |tensor: &&Named| {
        let found = file.tensors.iter().find(|found| found.name == tensor.name && found.shape == tensor.shape);
        match (&tensor.values, found.map(|found| &found.values)) {
            (Values::F32(values), Some(weights::Values::Numbers(found))) => {
                values.iter().map(|x| x.to_bits()).eq(found.iter().map(|x| x.to_bits()))
            }
            (Values::I64(values), Some(weights::Values::Whole(found))) => values.iter().eq(found),
            _ => false,
        }
    };
    match tensors.iter().find(|tensor| !same(tensor)) {
        None => Ok(content),
        Some(tensor) => {
            let message = format!("`{}` does not read back as it was written", short(&tensor.name));
            Err(Refusal::error("G0803", message, "report this, with the run's record"))
        }
    }
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

pub struct Safetensors;

static DOC: Doc = Doc {
    word: "safetensors",
    help: "the weights under PyTorch's names, for `load_state_dict` and `model from`",
    args: &[],
    one_of: &[],
    example: "growrun export runs/first-growth/0001 --to safetensors",
    source: "",
};

impl Target for Safetensors {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn extension(&self) -> Option<&'static str> {
        Some("safetensors")
    }

    fn files(&self, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal> {
        let note = exported.metadata();
        super::tensor_files(exported, stem, "safetensors", |tensors| checked(tensors, &note))
    }

    fn checked(&self) -> Option<&'static str> {
        Some("the tensors read back with the same bits")
    }

    fn next(&self, main: &str) -> String {
        format!("`safetensors.torch.load_file(\"{main}\")` in Python, or `model from \"{main}\"` in a schedule")
    }
}
