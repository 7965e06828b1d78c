//! A network for other tools: `growrun export RUN --to TARGET`.
//!
//! ```text
//! run ── source::of_run ─→ Exported ── a Target ─→ files by name ── write ─→ a folder
//! ```
//!
//! A target is one file and one line in [`TARGETS`]. The writers of tensors ([`safetensors::write`], [`npz::write`],
//! [`mxnet::write`]) take a plain list of [`Named`] arrays, so that they serve any names and layouts, also those of a
//! user's own file. The same network gives the same bytes.
//!
//! What is exported may be a stranger's: a name that is none in the language is refused before it reaches generated code.

pub mod home;
pub mod mxnet;
mod named;
pub mod npz;
pub mod onnx;
mod onnx_check;
pub mod onnx_proto;
pub mod optimizer;
pub mod pytorch;
pub mod safetensors;
mod source;

pub use named::{Named, Values};
pub use source::{Source, of_run};

use crate::base::text::short;
use crate::base::world::Entry;
use crate::base::{Doc, Refusal, World};
use crate::data::Scaling;
use crate::nn::{Activation, Architecture, Layer, Parameter};
use crate::optim::Rule;
use crate::weights::layout::{Form, Layout};
use std::path::{Path, PathBuf};

/// What `--to` may name.
pub const TARGETS: &[&dyn Target] =
    &[&safetensors::Safetensors, &npz::Npz, &pytorch::PyTorch, &onnx::Onnx, &mxnet::Mxnet];

pub fn find(word: &str) -> Option<&'static dyn Target> {
    TARGETS.iter().copied().find(|target| target.doc().word == word)
}

/// A tool or a format that networks are written for.
pub trait Target: Sync {
    fn doc(&self) -> &'static Doc;
    /// What its main file ends in; `None`: it is a folder whose files have names of their own.
    fn extension(&self) -> Option<&'static str>;
    /// Its files, the main one first, named after `stem`. Refused when the format cannot hold the network.
    fn files(&self, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal>;
    /// How files are compared with the network before they are written; `None`: they are not.
    fn checked(&self) -> Option<&'static str>;
    /// What to do with the main file, for people.
    fn next(&self, main: &str) -> String;
}

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Beneath the folder of the export.
    pub name: String,
    pub content: Vec<u8>,
    /// What it holds, for people.
    pub what: String,
}

/// A network with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What the experiment is called.
    pub name: String,
    /// Where it comes from, in one line and without a path of a machine.
    pub origin: String,
    /// Digest of the schedule that trained it, or of the weights that were grown.
    pub digest: String,
    /// Whether growrun grew it without training it.
    pub untrained: bool,
    pub step: u64,
    /// What an example is, in one line.
    pub data: String,
    pub architecture: Architecture,
    /// In declaration order; with slots where the optimiser's state is known.
    pub parameters: Vec<Parameter<f32>>,
    /// x becomes (x − mean)·inverse; `None`: the network reads the data as it is.
    pub scaling: Option<Scaling>,
    /// In the order of the outputs; empty for numbers.
    pub class_names: Vec<String>,
    pub optimizer: Option<Trained>,
}

/// What a network was trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    pub rule: Rule,
    /// The base learning rate of the schedule.
    pub lr: f64,
    /// What it was where the training stands, if that is known.
    pub last_lr: Option<f64>,
    /// Largest norm of the gradients.
    pub clip: Option<f64>,
}

impl Exported {
    /// Values of one example.
    pub fn inputs(&self) -> usize {
        let input = self.architecture.input;
        self.architecture.width(input.axis).exact() * input.values_per_unit()
    }

    pub fn outputs(&self) -> usize {
        self.architecture.width(self.architecture.output().axis).exact()
    }

    /// The shape of one example: channels, height and width where the network reads images.
    pub fn input_shape(&self) -> Vec<usize> {
        let input = self.architecture.input;
        let width = self.architecture.width(input.axis).exact();
        input.area.map_or_else(|| vec![width], |(rows, columns)| vec![width, rows, columns])
    }

    /// The weights under our names, in the shapes that PyTorch has.
    pub fn weights(&self) -> Vec<Named<'_>> {
        let all = self.parameters.iter().map(|parameter| Named::array(&parameter.name, &parameter.value)).collect();
        self.in_pytorch(all, |name| Some(name))
    }

    /// The same tensors in PyTorch's shapes: no value moves. `parameter`: the one that a tensor is of.
    fn in_pytorch<'n>(&self, mut all: Vec<Named<'n>>, parameter: impl Fn(&str) -> Option<&str>) -> Vec<Named<'n>> {
        let forms = Form::all(&self.architecture);
        for tensor in all.iter_mut().filter(|tensor| !tensor.shape.is_empty()) {
            let form = parameter(&tensor.name).and_then(|name| forms.get(name)).copied().unwrap_or_default();
            tensor.shape = Layout::default().extents(&tensor.shape, form);
        }
        all
    }

    /// Whether [`Exported::state`] has any.
    pub fn has_state(&self) -> bool {
        self.optimizer.is_some() && self.parameters.iter().any(|parameter| !parameter.slots.is_empty())
    }

    /// What the optimiser keeps, under PyTorch's names and in its shapes; empty when nothing is known of it.
    pub fn state(&self) -> Vec<Named<'static>> {
        self.in_pytorch(self.own_state(), |name| name.rsplit_once('.').map(|(parameter, _)| parameter))
    }

    /// The same in the shapes of our parameters.
    pub fn own_state(&self) -> Vec<Named<'static>> {
        self.optimizer.as_ref().map(|trained| optimizer::tensors(&self.parameters, &trained.rule)).unwrap_or_default()
    }

    /// Entries that Adam has not updated since they were born, in parameters that it has: see [`optimizer`].
    pub fn without_update(&self) -> u64 {
        match &self.optimizer {
            Some(Trained { rule: Rule::Adam { .. }, .. }) if self.has_state() => optimizer::fresh(&self.parameters),
            _ => 0,
        }
    }

    /// Mean and inverse deviation of the inputs. Of images they are one number a channel, [c, 1, 1], as runs scale them,
    /// so that they do not depend on how large an image is.
    pub fn scaling_tensors(&self) -> Option<[Named<'static>; 2]> {
        let scaling = self.scaling.as_ref()?;
        let mut shape = self.input_shape();
        let pixels = self.architecture.input.values_per_unit();
        let is_even = |values: &[f32]| values.chunks(pixels).all(|channel| channel.iter().all(|x| *x == channel[0]));
        if pixels > 1 && is_even(&scaling.mean) && is_even(&scaling.inverse) {
            shape[1..].fill(1);
        }
        let step = self.inputs() / shape.iter().product::<usize>();
        let one = |name: &str, values: &[f32]| {
            Named::f32(name, &shape, values.iter().step_by(step).copied().collect::<Vec<_>>())
        };
        Some([one("mean", &scaling.mean), one("inverse", &scaling.inverse)])
    }

    /// The one line of metadata, as in the files of a run.
    pub fn metadata(&self) -> Vec<(String, String)> {
        vec![("growrun".into(), format!("{} · step {}", self.digest, self.step))]
    }

    /// Refuses what no schedule can make: names and blocks out of a record that was written by hand.
    fn sound(&self) -> Result<(), Refusal> {
        let is_name = |name: &str| {
            let mut characters = name.chars();
            let first = |c: char| c.is_ascii_alphabetic() || c == '_';
            characters.next().is_some_and(first) && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let is_plain = |layer: &Layer| {
            let settings = &layer.settings;
            let computes = settings.bias || settings.parametric || settings.norm.is_some() || settings.dropout != 0.0;
            layer.block.is_empty() || !computes && settings.activation == Activation::Linear
        };
        let bad = self.architecture.all_layers().find(|layer| !is_name(&layer.name) || !is_plain(layer));
        match bad {
            None => Ok(()),
            Some(layer) => Err(Refusal::error(
                "G0803",
                format!("the layer `{}` of the record is none that a schedule can make", short(&layer.name)),
                "export from a record that growrun wrote",
            )),
        }
    }
}

/// The files of a target, the main one first, named after `stem`.
pub fn files(target: &dyn Target, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal> {
    exported.sound()?;
    target.files(exported, stem)
}

/// Weights, scaling and optimiser state, each in a file of its own: whoever reads the first by name finds nothing else.
fn tensor_files(
    exported: &Exported,
    stem: &str,
    extension: &str,
    write: impl Fn(&[Named]) -> Result<Vec<u8>, Refusal>,
) -> Result<Vec<File>, Refusal> {
    let file = |part: &str, tensors: &[Named], what: String| -> Result<File, Refusal> {
        Ok(File { name: format!("{stem}{part}.{extension}"), content: write(tensors)?, what })
    };
    let weights = exported.weights();
    let mut files = vec![file("", &weights, format!("the weights: {} tensors", weights.len()))?];
    if let Some(scaling) = exported.scaling_tensors() {
        files.push(file(".scaling", &scaling, "the scaling: give the network (x - mean) * inverse".into())?);
    }
    if exported.has_state() {
        files.push(file(".optimizer", &exported.state(), "what the optimiser kept, under PyTorch's names".into())?);
    }
    Ok(files)
}

/// Writes the files into a folder, which is made where it is not there. Refused before anything is written when another
/// file stands in the place of one; one with the same bytes stays as it is.
pub fn write(world: &dyn World, folder: &Path, files: &[File]) -> Result<(), Refusal> {
    let failed = |error: crate::base::Error| Refusal::error(error.code, error.to_string(), error.help.clone());
    let mut missing: Vec<(PathBuf, &File)> = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        match world.entry(&path).map_err(failed)? {
            None => missing.push((path, file)),
            Some(Entry::File { bytes }) if bytes == file.content.len() as u64 => {
                if world.read(&path, bytes).map_err(failed)? != file.content {
                    return Err(taken(&path));
                }
            }
            Some(_) => return Err(taken(&path)),
        }
    }
    if !folder.as_os_str().is_empty() {
        world.create_folder(folder).map_err(failed)?;
    }
    missing.iter().try_for_each(|(path, file)| world.write(path, &file.content).map_err(failed))
}

fn taken(path: &Path) -> Refusal {
    Refusal::error(
        "G0801",
        format!("`{}` is already there and holds something else; nothing is overwritten", path.display()),
        "name another place with `--out`, or remove it first",
    )
}
