//! A schedule that begins with a file of trained weights.

use super::super::inspect::{self, written};
use super::super::stop::Stop;
use super::super::{Context, confine};
use crate::base::Refusal;
use crate::base::text::{one_line, short};
use crate::base::world::Entry;
use crate::weights::propose::{Proposal, can_be_quoted};
use crate::weights::{mxnet, safetensors};
use std::path::{Path, PathBuf};

/// Whether a file is one of weights: by its first bytes, or as its name has it, so that what cannot be read says why.
pub fn is_weights(context: &Context, path: &Path) -> bool {
    const ENDINGS: [&str; 8] = ["safetensors", "pt", "pth", "npz", "params", "h5", "hdf5", "keras"];
    if path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending)) {
        return true;
    }
    if matches!(context.world.entry(path), Ok(Some(Entry::Folder))) {
        return true;
    }
    let Ok(start) = context.world.read_start(path, 64) else { return false };
    // A header's length is a number of eight bytes, of which the upper ones are 0, as in no table.
    (safetensors::begins(&start) && start[4..8] == [0; 4]) || start.starts_with(b"PK\x03\x04") || mxnet::begins(&start)
}

/// The schedule, and what has to stand behind its name on the command line so that the weights are found.
pub fn schedule(context: &Context, path: &Path, out: Option<&Path>) -> Result<(String, Option<String>), Stop> {
    let files: Vec<PathBuf> = [Some(path.to_path_buf()), inspect::beside(path)].into_iter().flatten().collect();
    confine::to_weights(context, &files, out);
    let opened = inspect::open(context, path, None)?;
    if let Some(problem) = opened.proposal.problems.first() {
        let more = match opened.proposal.problems.len() {
            1 => String::new(),
            count => format!("; and {} more", count - 1),
        };
        let message = format!("no `model` block can be written for `{}`: {problem}{more}", short(&opened.name));
        let help = format!("`growrun inspect {}` shows all of it, and a beginning of a block", path.display());
        return Err(Refusal::error("G0824", message, help).into());
    }
    let folder = out.and_then(Path::parent).unwrap_or(Path::new(""));
    let (name, elsewhere) = written(path, folder);
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).filter(|stem| can_be_quoted(stem));
    let title = stem.unwrap_or("weights".into());
    let data = elsewhere.then(|| {
        let given = inspect::quoted(&format!("{name}={}", path.display()));
        format!("--data {}", one_line(&given))
    });
    let is_written = path.file_name().is_some_and(|file| file.to_string_lossy() == name);
    let why = if is_written { "lie elsewhere" } else { "have a name that a schedule cannot write" };
    let hint = data.as_ref().map_or(String::new(), |data| format!("# The weights {why}: growrun FILE {data}\n"));
    Ok((write(&opened.proposal, &title, &name, &hint), data))
}

/// Values that the placeholder makes; many more take time to make and memory.
const VALUES: usize = 4_000_000;
/// Assumptions that the comment lists.
const ASSUMED_MAX: usize = 40;

/// What stands above the data.
fn placeholder(proposal: &Proposal) -> String {
    match proposal.reads_images() {
        true => format!(
            "# A placeholder: put your own images here, as in `data images \"folder\"` or `data cifar10`, with {} channels,\n\
             # scaled as where the weights were trained. Layers are judged by the size of the images.",
            proposal.inputs().unwrap_or(1)
        ),
        false => "# A placeholder of generated points, which have the right width and teach nothing: put your own data here, as in\n\
             # `data csv \"mine.csv\" { target \"label\" }`, scaled as where the weights were trained."
            .into(),
    }
}

fn write(proposal: &Proposal, title: &str, name: &str, hint: &str) -> String {
    let (inputs, outputs) = (proposal.inputs().unwrap_or(1), proposal.outputs().unwrap_or(1));
    // Twenty of every class, so that each part has some.
    let samples = (VALUES / inputs.max(1)).clamp(200, 1000).max(outputs * 20);
    let (data, metrics) = match outputs {
        _ if proposal.reads_images() => ("npz \"images.npz\" {\n  x x\n  y y\n  layout nchw".to_string(), "accuracy"),
        1 => (format!("teacher {{\n  samples {samples}\n  inputs {inputs}\n  outputs 1"), "rmse r2"),
        _ => (format!("blobs {{\n  samples {samples}\n  inputs {inputs}\n  classes {outputs}"), "accuracy"),
    };
    let mut assumed = String::new();
    for text in proposal.assumed.iter().take(ASSUMED_MAX) {
        assumed.push_str(&format!("#   - {}\n", one_line(text)));
    }
    if let more @ 1.. = proposal.assumed.len().saturating_sub(ASSUMED_MAX) {
        assumed.push_str(&format!("#   … and {more} more, which `growrun inspect` shows\n"));
    }
    if !assumed.is_empty() {
        assumed.insert_str(0, "# Look at what the file does not say:\n");
    }
    let growth = proposal.hidden().map_or(String::new(), |layer| {
        format!(
            "\n# The network answers the same right after it, and has room to learn more.\nat 20% widen {layer} by 2x\n"
        )
    });
    format!(
        "\
# A schedule that begins with the weights of {title} and lets the network grow.
#   growrun FILE            checks it, trains, grows
#   growrun explain WORD    tells what a word does, with its options
grow 1
experiment \"{title}\"
seed 1

{placeholder}
data {data}
  normalize none
  batch 32
}}

# One layer a line: name, kind, units, activation.
{assumed}{hint}{model}
# A small rate: the weights are trained already.
train 10 epochs {{
  optimizer adam lr 1e-4
  metrics {metrics}
}}
{growth}",
        model = proposal.text(name),
        placeholder = placeholder(proposal),
    )
}
