//! Where examples come from, how they are split and normalised, and how a batch is gathered.

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

/// How examples are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    pub train: Share,
    pub val: Share,
    /// `None` when the source brings its own test part, or there is none.
    pub test: Option<Share>,
    pub stratified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// In 0..=1.
    Fraction(f64),
    Count(u64),
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
}
