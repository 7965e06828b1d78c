//! `growrun inspect`: what its line may say.

use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun inspect net.pt
  growrun inspect net-0000.params                     with net-symbol.json beside it
  growrun inspect runs/first-growth/0001              the final weights of a run
  growrun inspect net.safetensors --json | jq -r .model

It reads safetensors, PyTorch's state_dict files, npz and MXNet's .params, and runs nothing that a file asks for.
What is assumed, and what does not fit, stands behind the block.

Exit code 0 when it can be read, even where not all of it fits, 2 when it cannot, 4 for input/output.")]
pub struct Inspect {
    /// A file of weights, or the folder of a run
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// MXNet's description of the network (default: NAME-symbol.json beside NAME-0000.params)
    #[arg(long, value_name = "FILE")]
    pub symbol: Option<PathBuf>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}
