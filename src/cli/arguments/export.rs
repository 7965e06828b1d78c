//! `growrun export`: what its line may say.

use crate::export::TARGETS;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun export runs/first-growth/0001 --to onnx                   into RUN/export/onnx
  growrun export runs/first-growth/0001 --to pytorch --out grown    a folder with model.py
  growrun export runs/first-growth/0001 --to safetensors --out grown.safetensors
  growrun export runs/first-growth/0001 --to npz --checkpoint growth-0001-after

The final weights are exported, or those of a checkpoint. How the inputs were scaled comes along, and what the
optimiser kept where a checkpoint still has it. The same run gives the same bytes; a file that is there and holds
something else is not written over.

Exit code 0 when it is written, 2 when this is no run or the format cannot hold it, 4 for input/output.")]
pub struct Export {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Which tool or format it is for
    #[arg(long, value_name = "TARGET", value_parser = targets())]
    pub to: String,
    /// Where it goes: a folder, or the main file by its ending (default: RUN/export/TARGET, or
    /// RUN/export/NAME/TARGET for a checkpoint)
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// A checkpoint instead of the end of the run
    #[arg(long, value_name = "NAME")]
    pub checkpoint: Option<String>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

/// The words of `--to`, each with what it is, from the registry that knows them.
fn targets() -> PossibleValuesParser {
    PossibleValuesParser::new(TARGETS.iter().map(|target| {
        let doc = target.doc();
        clap::builder::PossibleValue::new(doc.word).help(doc.help)
    }))
}
