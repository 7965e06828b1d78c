//! Where examples come from, how they are split and normalised, and how a batch is gathered.
//!
//! A [`Source`] is one file and one line in [`SOURCES`]. The checker asks it for a [`Header`], the run reads
//! it with [`load`]; both take the sizes of the parts from [`part_sizes`], so they cannot disagree. Bytes
//! from outside are foreign: every reader checks declared sizes against the bytes present before it
//! allocates, and answers nonsense with a [`Refusal`].

mod load;
mod part;
mod place;
pub mod read;
mod scaling;
mod sources;
mod split;

pub use load::{Dataset, FileRead, Options, Raw, load};
pub use part::{Features, Labels, Part, Scaling};
pub use read::table;
pub use sources::SOURCES;
pub use split::{Share, Sizes, Split, part_sizes};

use crate::base::{Args, Doc, Refusal, World};
use crate::nn::Task;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How features are scaled, with statistics from the training part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    None,
    /// (x − mean) / standard deviation per feature (for images of one scale, per channel).
    ZScore,
    MinMax,
}

/// What a source says of itself without reading all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Examples before the split, without the source's own test part.
    pub examples: usize,
    /// Examples of the source's own test part.
    pub test_examples: Option<usize>,
    /// Input units: values of a plain vector, or channels of an image.
    pub inputs: usize,
    /// Height and width in pixels.
    pub area: Option<(usize, usize)>,
    pub task: Task,
    /// Classes, or numbers to predict.
    pub outputs: usize,
    /// Names of the classes where they are not 0, 1, 2, …
    pub class_names: Vec<String>,
}

/// Where paths lead.
pub struct Place<'a> {
    pub world: &'a dyn World,
    /// The folder of the schedule.
    pub folder: &'a Path,
    /// `--data NAME=PATH`
    pub named: &'a BTreeMap<String, PathBuf>,
    pub seed: u64,
}

/// A kind of data.
pub trait Source: Sync {
    fn doc(&self) -> &'static Doc;
    /// Reads as little as tells the shape. The refusal names the argument at fault.
    fn header(&self, args: &Args, place: &Place) -> Result<Header, Refusal>;
    /// Reads everything; its header equals [`Source::header`].
    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal>;
    /// Bytes that a value takes in memory, at least.
    fn value_bytes(&self) -> u64 {
        4
    }
    /// What is right but surely not meant, as a warning.
    fn doubt(&self, _args: &Args, _header: &Header) -> Option<Refusal> {
        None
    }
}

/// The source that a schedule names.
pub fn find(word: &str) -> Option<&'static dyn Source> {
    SOURCES.iter().copied().find(|source| source.doc().word == word)
}

/// The codes of this floor with short titles; `docs/errors/` has a page for each.
pub const CODES: &[(&str, &str)] = &[
    ("G0701", "the data file is not there"),
    ("G0702", "a folder where a file is needed, or the other way round"),
    ("G0703", "the data file cannot be read"),
    ("G0704", "a path leads out of the schedule's folder"),
    ("G0705", "more data than this machine can hold"),
    ("G0706", "a broken gz file"),
    ("G0707", "a text file that is not UTF-8"),
    ("G0708", "a file without examples"),
    ("G0709", "a row with more or fewer fields than the others"),
    ("G0710", "a value that is missing or is no finite number"),
    ("G0711", "no column of that name"),
    ("G0712", "classification or regression"),
    ("G0713", "only one class"),
    ("G0714", "a label out of range"),
    ("G0715", "not an IDX file"),
    ("G0716", "a data file whose size is not what it should be"),
    ("G0717", "examples and labels differ in number"),
    ("G0718", "not an npz archive"),
    ("G0719", "no array of that name"),
    ("G0720", "an array of a type that cannot be read"),
    ("G0721", "an array of a shape that does not fit"),
    ("G0722", "a split that does not sum to 100 %"),
    ("G0723", "a split beyond the examples"),
    ("G0724", "an empty part"),
    ("G0725", "two test parts"),
    ("G0726", "classes asked of a regression"),
    ("G0727", "a size that cannot be generated"),
    ("G0728", "a test file that differs from the training file"),
    ("G0729", "a published data set that is not on this machine"),
    ("G0730", "a picture that cannot be read"),
    ("G0731", "pictures of different sizes"),
    ("G0732", "no folder of classes"),
    ("G0733", "channels that look like rows of pixels"),
];
