//! `growrun apply`: what its line may say.

use super::{Overrides, Resources};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun apply grow.grow --weights net.pt --out grown.safetensors
  growrun apply grow.grow --weights net.safetensors --optimizer adam.safetensors --out grown.safetensors
  growrun apply grow.grow --weights net-0000.params --out grown.params
  growrun apply grow.grow --weights net.npz --out grown        a folder with model.py for PyTorch
  echo 'at start widen fc2 by 2x' > wide.grow && growrun apply wide.grow --weights net.pt --out wide.npz

The `at` events of the schedule are carried out in source order, whatever their times; what belongs to training is
skipped and listed. The schedule needs no data and no train section, and no `model` block where the file's names and
shapes say enough. Tensors go out under the names that they had, in the layout that they had; what growth makes is
called after its neighbours. What an optimiser kept is carried along when it is in the file, or in that of --optimizer.

Promises are judged, and the drift is measured, on the schedule's data where it is there, on the examples of --probe, or
on 256 examples of random numbers.

Exit code 0 when it is written, 1 when a promise was broken or `assert preserved` does not hold, 2 for bad input, 4 for
input/output.")]
pub struct Apply {
    /// The schedule
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The trained weights: safetensors, PyTorch's .pt, npz, MXNet's .params, or the folder of a run
    #[arg(long, value_name = "IN")]
    pub weights: PathBuf,
    /// Where the grown ones go: a .safetensors, .npz or .params file, or a folder for PyTorch
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
    /// A file with the optimiser's state, when it is not in that of the weights
    #[arg(long, value_name = "FILE")]
    pub optimizer: Option<PathBuf>,
    /// MXNet's `-symbol.json`, which knows order and activations (default: beside `NAME-0000.params`)
    #[arg(long, value_name = "FILE")]
    pub symbol: Option<PathBuf>,
    /// Examples to measure the drift on: a file with one array [examples, inputs], as the network reads them
    #[arg(long, value_name = "FILE")]
    pub probe: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    #[command(flatten)]
    pub resources: Resources,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}
