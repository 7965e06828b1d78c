//! The weights that a schedule begins with or puts in: read and judged by the checker, handed to the run.

use super::File;
use crate::base::Span;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file of a run's result, where a run's folder is named.
pub const OF_A_RUN: &str = "final.safetensors";

/// Bytes that a file may hold and that its values may take, where so many are to spare: the content, what is made of it,
/// and what a network takes of that are there at once.
pub fn limits(to_spare: u64) -> (u64, u64) {
    (to_spare / 4, to_spare / 2)
}

/// A weights file that a schedule names, as the record keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// As the schedule writes it.
    pub text: String,
    /// As messages show it.
    pub name: String,
    /// What `sha256sum` prints.
    pub sha256: String,
    pub bytes: u64,
    /// How many of its tensors became f32 from another type, and which type: `float16`.
    pub converted: Vec<(usize, &'static str)>,
}

/// What a layer that an event puts in begins with.
#[derive(Clone, Debug)]
pub struct Insertion {
    pub source: Arc<Source>,
    pub file: Arc<File>,
    pub prefix: Option<String>,
}

/// All of them for one program.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Each file once, in the order in which the schedule names them.
    pub sources: Vec<Arc<Source>>,
    /// Values of parameters before the first step, row-major; the others are drawn.
    pub initial: BTreeMap<String, Arc<Vec<f32>>>,
    /// What was taken of how the files lie, and why.
    pub notes: Vec<String>,
    /// By the place of the action.
    pub inserted: BTreeMap<Span, Insertion>,
}

impl Source {
    /// Of a file that was read from these bytes.
    pub fn of(text: &str, name: &str, content: &[u8], file: &File) -> Source {
        let mut converted: Vec<(usize, &'static str)> = Vec::new();
        for tensor in file.tensors.iter().filter(|tensor| tensor.is_converted() && !tensor.shape.is_empty()) {
            match converted.iter_mut().find(|(_, dtype)| *dtype == tensor.dtype) {
                Some((count, _)) => *count += 1,
                None => converted.push((1, tensor.dtype)),
            }
        }
        let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Source { text: text.into(), name: name.into(), sha256, bytes: content.len() as u64, converted }
    }

    /// `weights from net.pt`, and what was converted.
    pub fn told(&self) -> String {
        let one = |(count, dtype): &(usize, &str)| {
            format!("{count} {} from {dtype}", if *count == 1 { "tensor" } else { "tensors" })
        };
        let all: Vec<String> = self.converted.iter().map(one).collect();
        let converted = match all.is_empty() {
            true => String::new(),
            false => format!(": {}, converted to float32", all.join(", ")),
        };
        format!("weights from {}{converted}", self.name)
    }
}
