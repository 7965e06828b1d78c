//! The kinds of data: one file and one line in [`SOURCES`] each.

mod blobs;
mod cifar;
mod csv;
mod digits;
mod idx;
mod images;
mod moons;
mod npz;
mod published;
mod spirals;
mod teacher;

use super::{Features, FileRead, Header, Labels, Part, Place, Raw, Source};
use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape};
use crate::nn::Task;
use sha2::{Digest, Sha256};
use std::path::Path;

/// What a schedule may write after `data`.
pub const SOURCES: &[&dyn Source] = &[
    &digits::Digits,
    &spirals::Spirals,
    &moons::Moons,
    &blobs::Blobs,
    &teacher::Teacher,
    &idx::Idx,
    &csv::Csv,
    &npz::Npz,
    &images::Images,
    &published::MNIST,
    &published::FASHION_MNIST,
    &published::CIFAR10,
];

const fn keyword(name: &'static str, kinds: &'static [Kind], default: &'static str, help: &'static str) -> Arg {
    Arg { name, shape: Shape::Keyword(kinds), required: false, default, help }
}

const fn path(help: &'static str) -> Arg {
    Arg { name: "path", shape: Shape::Positional(Kind::Text), required: true, default: "", help }
}

const fn samples() -> Arg {
    keyword("samples", &[Kind::Integer], "1000", "how many examples are generated, before the split")
}

const fn noise(default: &'static str, help: &'static str) -> Arg {
    keyword("noise", &[Kind::Number], default, help)
}

const TASK: Arg = keyword(
    "task",
    &[Kind::Word(tasks)],
    "by the target's values",
    "whether the target is a class or a number, where the values alone do not tell",
);

fn tasks() -> Vec<&'static str> {
    vec!["classification", "regression"]
}

/// As many classes as the largest public sets have, with room; a label beyond is a mistake in the file.
const CLASSES_MAX: usize = 100_000;

fn one_class(message: String) -> Refusal {
    Refusal::error("G0713", message, "there is nothing to tell apart; name a target with at least two classes")
}

/// What is to be said of pictures that have as many channels as they have rows or columns, and so few columns or rows
/// that those are the channels. `first`: whether channels were taken to be first.
fn swapped(channels: usize, height: usize, width: usize, first: bool) -> Option<String> {
    let (long, short) = if first { (height, width) } else { (width, height) };
    (channels == long && long > 4 && matches!(short, 1 | 3 | 4)).then(|| {
        let few = if short == 1 { "one channel".into() } else { format!("{short} channels") };
        format!("pictures of {height}×{width} pixels in {channels} channels look like {long}×{long} in {few}")
    })
}

/// The refusal of a reader, which knows no arguments, with the argument at fault.
fn blame(refusal: Refusal, argument: &'static str) -> Refusal {
    if refusal.argument.is_some() { refusal } else { refusal.at(argument) }
}

/// One gigabyte of f32: enough for any generated task, and a slip of the finger stays harmless.
const GENERATED_VALUES_MAX: u64 = 250_000_000;

fn not_generated(argument: &'static str, message: String, help: &str) -> Refusal {
    Refusal::error("G0727", message, help).at(argument)
}

/// A whole number of a generated source, within bounds.
fn size(args: &Args, name: &'static str, default: u64, least: u64) -> Result<usize, Refusal> {
    let given = args.integer(name).unwrap_or(default);
    if given < least {
        let message = format!("`{name} {given}` is too few: `{}` needs at least {least}", args.doc.word);
        return Err(not_generated(name, message, &format!("write `{name} {least}` or more")));
    }
    if given > GENERATED_VALUES_MAX {
        let message = format!("`{name} {given}` is too many: at most {GENERATED_VALUES_MAX} values are generated");
        return Err(not_generated(name, message, &format!("write a smaller `{name}`")));
    }
    Ok(given as usize)
}

/// Checks that what `samples` examples of `values` each need stays within bounds.
fn bounded(samples: usize, values: usize) -> Result<(), Refusal> {
    if samples.checked_mul(values).is_none_or(|total| total as u64 > GENERATED_VALUES_MAX) {
        let message =
            format!("{samples} examples of {values} values are too many: at most {GENERATED_VALUES_MAX} are generated");
        return Err(not_generated("samples", message, "write fewer `samples`"));
    }
    Ok(())
}

/// A standard deviation of a generated source.
fn deviation(args: &Args, default: f64) -> Result<f64, Refusal> {
    let given = args.number("noise").unwrap_or(default);
    // Past 1e6 an f32 feature says nothing but its noise.
    if !(0.0..=1e6).contains(&given) {
        let message = format!("`noise {given}` is no standard deviation");
        return Err(not_generated("noise", message, "write a number from 0 to 1e6"));
    }
    Ok(given)
}

/// `classes` of a generated source: two at least, and one example of each.
fn classes(args: &Args, default: u64, samples: usize) -> Result<usize, Refusal> {
    let classes = size(args, "classes", default, 2)?;
    if classes > samples {
        let message = format!("{classes} classes need more than {samples} examples");
        return Err(not_generated("classes", message, "write more `samples` or fewer `classes`"));
    }
    Ok(classes)
}

/// A header of plain vectors without a test part of its own.
fn vectors(examples: usize, inputs: usize, task: Task, outputs: usize) -> Header {
    Header { examples, test_examples: None, inputs, area: None, task, outputs, class_names: Vec::new() }
}

/// Generated data: its digest is that of features then labels, little-endian.
fn generated(header: Header, features: Vec<f32>, labels: Labels) -> Raw {
    let mut hasher = Sha256::new();
    let mut bytes = features.len() as u64 * 4;
    for value in &features {
        hasher.update(value.to_le_bytes());
    }
    match &labels {
        Labels::Classes(classes) => {
            bytes += classes.len() as u64 * 4;
            classes.iter().for_each(|class| hasher.update(class.to_le_bytes()));
        }
        Labels::Numbers { values, .. } => {
            bytes += values.len() as u64 * 4;
            values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
        }
    }
    let features = Features::F32 { values: features, width: header.inputs };
    Raw { header, examples: Part { features, labels }, test: None, digest: written(hasher), bytes, files: Vec::new() }
}

/// The digest of the bytes of several files, by their names, one behind the other; and each file's own.
fn digest<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (String, u64, Vec<FileRead>) {
    let (mut all, mut bytes, mut each) = (Sha256::new(), 0, Vec::new());
    for (name, file) in files {
        all.update(file);
        bytes += file.len() as u64;
        let name = Path::new(name).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let sha256 = hex(Sha256::digest(file).as_slice());
        each.push(FileRead { name, sha256, bytes: file.len() as u64, inside: Vec::new() });
    }
    (written(all), bytes, each)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(hasher: Sha256) -> String {
    format!("sha256:{}", hex(hasher.finalize().as_slice()))
}
