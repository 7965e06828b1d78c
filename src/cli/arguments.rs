//! The commands and their flags. What `--help` prints is written here and nowhere else.

mod apply;
mod compare;
mod export;
mod inspect;

pub use apply::Apply;
pub use compare::Compare;
pub use export::Export;
pub use inspect::Inspect;

use crate::base::World;
use crate::check::Limits;
use crate::tensor::Simd;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

/// Commands that LANGUAGE names and a later version brings: the word and what it will do.
pub const LATER: &[(&str, &str)] = &[("fmt", "a schedule in its usual form"), ("lsp", "diagnostics while you type")];

/// What `growrun` alone says.
pub const WELCOME: &str = "\
growrun trains a neural network that grows while it trains. A `.grow` file says everything: the data, the
model, the training and when which layer becomes wider or deeper. It is checked completely before the first
step, and the run leaves a record that anybody can repeat.

Try
  growrun new --out first.grow     write a commented schedule
  growrun first.grow               check it, train, grow, and see the table at the end
  growrun explain widen            what an action does, with its options (`growrun explain` lists all words)

`growrun --help` shows every command.
";

const EXAMPLES: &str = "\
Examples
  growrun first.grow                          the same as `growrun run first.grow`
  growrun first.grow --seed 8 --set width=512
  growrun check schedules/*.grow              every mistake of every file, nothing is run
  growrun plan first.grow                     what it will cost, phase by phase
  growrun compare first.grow                  is growing worth it? yes, no or undecided, with the reason
  growrun replay runs/first-growth/0001       train it again and compare every bit
  growrun report runs/first-growth/0001       a page to look at and to show
  growrun export runs/first-growth/0001 --to onnx    the network for another tool
  growrun apply grow.grow --weights net.pt --out grown.safetensors    growth alone, for another tool
  growrun explain G0201                       a code, with a wrong and a repaired schedule
  growrun new --from houses.csv               a schedule for your own table
  growrun inspect net.pt                      what a file of weights holds, and a model block for it

Exit codes: 0 ok, 1 the run failed, 2 bad input, 3 diverged, 4 input/output, 130/143/138 interrupted.
";

/// The closing note of `--help`.
pub fn closing() -> String {
    let words: Vec<&str> = LATER.iter().map(|(word, _)| *word).collect();
    format!("{EXAMPLES}\nComing later: {}.", words.join(", "))
}

#[derive(Parser)]
#[command(
    name = "growrun",
    version,
    about = "Trains a neural network that grows while it trains, by a schedule in a text file.",
    override_usage = "growrun FILE\n       growrun COMMAND …",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub struct Growrun {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Check a schedule, train, grow, and write the record (a bare FILE does the same)
    Run(Run),
    /// Report every mistake of some schedules, without running anything
    Check(Check),
    /// Show what a schedule will do and cost, phase by phase, without training
    Plan(Plan),
    /// Ask whether growing is worth it: arms with paired seeds, and a verdict
    Compare(Compare),
    /// Explain a code such as G0201 or a word such as widen; alone it lists them
    Explain(Explain),
    /// Go on with an interrupted run, or with another length or schedule
    Resume(Resume),
    /// Predict with the network of a finished run
    Predict(Predict),
    /// List the runs of a folder, the best first
    Runs(Runs),
    /// Train a record again and compare every checkpoint, bit by bit
    Replay(Replay),
    /// Compare what is in a run directory with the digests of its record
    Verify(Verify),
    /// Show what two runs have in common and where they part
    Diff(Diff),
    /// Make one archive of a run to share, without a path of this machine
    Pack(Pack),
    /// Make one offline page about a run or a comparison, a figure, or a paper's appendix
    Report(Report),
    /// Grow trained weights of another tool, or of a run, without training
    Apply(Apply),
    /// Write the network of a run for PyTorch, ONNX, numpy, MXNet or as safetensors
    Export(Export),
    /// Show what a file of trained weights holds, and the `model` block that reads it
    Inspect(Inspect),
    /// Write a commented schedule that checks clean
    New(New),
}

/// What changes the meaning of a schedule from outside.
#[derive(Args, Clone, Debug, Default)]
pub struct Overrides {
    /// Give a `let` of the schedule another value; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Where a path or a named data set of the schedule lies; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = assignment)]
    pub data: Vec<(String, String)>,
    /// The schedule whose sections a fragment (a file with events only) runs on
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Another seed than the schedule's
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// One arm of a schedule that has arms
    #[arg(long, value_name = "NAME")]
    pub arm: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun run first.grow --set width=512 --seed 8
  growrun run mnist.grow --data mnist=~/data/mnist --threads 2
  growrun run first.grow --json | jq .metrics

Results go to stdout, progress and warnings to stderr. The record lies in runs/EXPERIMENT/NUMBER/.")]
pub struct Run {
    /// The schedule
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    #[command(flatten)]
    pub resources: Resources,
    /// The folder of runs
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub out: PathBuf,
    /// No progress and no table, only warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

/// What a run may take of the machine; nothing of it changes a result.
#[derive(Args, Clone, Debug)]
pub struct Resources {
    /// Threads; the result has the same bits with any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Which instructions to use; the result has the same bits on every path
    /// (default: auto, or what GROWRUN_SIMD says)
    #[arg(long, value_name = "PATH", value_parser = simd())]
    pub simd: Option<Simd>,
    /// Refuse to start a run that needs more memory, such as 8GB (default: 80 % of what is free)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory_limit: Option<u64>,
    /// Refuse to start a run that needs more disk, such as 20GB (default: what is free where the runs go)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub disk_limit: Option<u64>,
    /// Refuse a network of more parameters
    #[arg(long, value_name = "N", default_value_t = Limits::default().parameters)]
    pub parameters_limit: u64,
    /// Refuse a run of more steps
    #[arg(long, value_name = "N", default_value_t = Limits::default().steps)]
    pub steps_limit: u64,
    /// Refuse a schedule whose events fire more often
    #[arg(long, value_name = "N", default_value_t = Limits::default().events)]
    pub events_limit: u64,
}

impl Resources {
    /// The limits that hold on this machine for a run beneath `out`.
    pub fn limits(&self, world: &dyn World, out: &Path) -> Limits {
        Limits {
            memory: self.memory_limit.or_else(|| world.host().memory_free.map(|free| free / 5 * 4)),
            disk: self.disk_limit.or_else(|| world.disk_free(out)),
            parameters: self.parameters_limit,
            steps: self.steps_limit,
            events: self.events_limit,
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun check first.grow
  growrun check schedules/*.grow --format sarif > growrun.sarif
  growrun check first.grow --format json | jq .code

Exit code 0 without errors (warnings do not count), 2 with errors, 4 when a file cannot be read.")]
pub struct Check {
    /// The schedules
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// How diagnostics are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// for people, with the lines and a summary
    Human,
    /// one object a line
    Json,
    /// a SARIF 2.1.0 log
    Sarif,
}

#[derive(Args)]
#[command(after_help = "\
Example
  growrun plan first.grow --set width=512")]
pub struct Plan {
    /// The schedule
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Threads of the run whose time is to be told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Which instructions that run uses (default: auto, or what GROWRUN_SIMD says)
    #[arg(long, value_name = "PATH", value_parser = simd())]
    pub simd: Option<Simd>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun explain            every code and every word
  growrun explain G0201
  growrun explain widen
  growrun explain insert identity")]
pub struct Explain {
    /// A code, or a word of the language
    #[arg(value_name = "CODE|WORD")]
    pub words: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun resume runs/first-growth/0001                          after a crash, a signal, a full disk
  growrun resume runs/first-growth/0001 --train '80 epochs'      longer than was planned
  growrun resume runs/first-growth/0001 --schedule wider.grow    with other events from here on

Without a change it is the same run: it goes on from its newest whole checkpoint to the same bits as if it had
never stopped. With a change it is a new run that names its parent; the lr schedule covers its new length. What
`--schedule` writes before the step that the run has reached is past.")]
pub struct Resume {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Train to this length, such as '80 epochs' or '20_000 steps', counted from the run's first step
    #[arg(long, value_name = "LENGTH")]
    pub train: Option<String>,
    /// Go on with this schedule
    #[arg(long, value_name = "FILE")]
    pub schedule: Option<PathBuf>,
    /// Give a `let` of the schedule another value, with --train or --schedule; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Where a path or a named data set of the schedule lies now; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = assignment)]
    pub data: Vec<(String, String)>,
    #[command(flatten)]
    pub resources: Resources,
    /// The folder of runs, for a run with a change
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub out: PathBuf,
    /// No progress and no table, only warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Example
  growrun predict runs/first-growth/0001 new.csv --out predictions.csv

DATA is a CSV with the columns that the run was trained on. When it has the target column too,
metrics and the confusion matrix are printed.")]
pub struct Predict {
    /// The folder of a finished run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The examples
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Where the predictions go (default: stdout)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun new > first.grow
  growrun new --out first.grow
  growrun new --from houses.csv --out houses.grow
  growrun new --from net.pt --out net.grow           begins with trained weights")]
pub struct New {
    /// A CSV with a header, or a file of trained weights: the schedule is written for it
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Where the schedule goes (default: stdout); an existing file is never overwritten
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun runs                                      those beneath runs/
  growrun runs runs/first-growth --sort val_loss
  growrun runs --json | jq -r .runs[0].run

The best come first, by the metric's last value: a loss from below, an accuracy from above.")]
pub struct Runs {
    /// A folder of runs, or the runs of one name in it (default: runs)
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// The metric to sort by (default: the validation metric that most of them have)
    #[arg(long, value_name = "METRIC")]
    pub sort: Option<String>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun verify runs/first-growth/0001
  growrun verify first-growth-0001 --data flowers.csv=~/data/flowers.csv

Every digest is computed again: of the record, of each checkpoint and the one before it, of the final weights,
and of the data where it is on this machine. Nothing is written. `growrun replay` trains the run again.

Exit code 0 when all is as it was written, 1 when something differs, 2 when this is no run, 4 for input/output.")]
pub struct Verify {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where a path or a named data set of the schedule lies; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = assignment)]
    pub data: Vec<(String, String)>,
    /// Fail when the data is not on this machine
    #[arg(long)]
    pub require_data: bool,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun replay runs/first-growth/0001
  growrun replay runs/first-growth/0001 --threads 1 --simd portable
  growrun replay ~/mail/run.yaml --data flowers.csv=~/data/flowers.csv
  growrun replay runs/first-growth/0001 --json | jq .first_difference

The schedule, the seed and the settings are those of the record. Weights after every growth, every checkpoint,
every evaluation and the final weights have to be the same, on any machine, with any number of threads. Training
ends at the first difference, and its step and tensor are named. Nothing is written without --out.

Exit code 0 when all is the same, 1 at a difference, 2 when the record or the data is none that can be repeated here.")]
pub struct Replay {
    /// The folder of a run, or a run.yaml alone
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where a path or a named data set of the schedule lies; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = assignment)]
    pub data: Vec<(String, String)>,
    /// A folder of runs in which the replay is recorded as a run of its own; it is then trained to its end
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub resources: Resources,
    /// No progress, only the result
    #[arg(long, short)]
    pub quiet: bool,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun diff runs/first-growth/0001 runs/first-growth/0002
  growrun diff runs/first-growth/0001 ~/mail/run.yaml

It compares schedule, settings, data, machine, growth, metrics, and everything that was computed on the way:
the first step and tensor that are not the same.")]
pub struct Diff {
    /// The folder of a run, or a run.yaml
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another one
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun pack runs/first-growth/0001
  growrun pack runs/flowers/0003 --with-data --out flowers.tar.gz

The archive holds the record without a path of this machine, the schedule's files, metrics.jsonl, the final weights
and a README. Unpacked, it verifies, and it replays from its run.yaml alone. The same run gives the same bytes.")]
pub struct Pack {
    /// The folder of a run that has ended
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The archive (default: NAME-NUMBER.tar.gz here); an existing file is never overwritten
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put the data files into it
    #[arg(long)]
    pub with_data: bool,
    /// Where a path or a named data set of the schedule lies; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = assignment)]
    pub data: Vec<(String, String)>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun report runs/first-growth/0001                 runs/first-growth/0001/report.html, for a browser
  growrun report runs/first-growth/0001 --format svg    one figure, for a README or slides
  growrun report runs/first-growth/0001 --format md --out appendix.md

The page is one file without a script: it asks for nothing and can be sent as it is. It names no folder of this
machine. A report that is already there is written over; any other file is not.")]
pub struct Report {
    /// The folder of a run or of a comparison, or a run.yaml alone
    #[arg(value_name = "RUN|COMPARISON")]
    pub run: PathBuf,
    /// What it is made for
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    pub format: ReportFormat,
    /// Where it goes (default: report.html, .svg or .md in the folder itself)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// One JSON object on stdout, on failure too
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// a page for a browser
    Html,
    /// one figure
    Svg,
    /// the appendix of a paper: the reproducibility checklist
    Md,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// The words of `--simd`, from the engine that understands them.
fn simd() -> impl TypedValueParser<Value = Simd> {
    PossibleValuesParser::new(Simd::ALL.map(Simd::word))
        .map(|word| Simd::find(&word).expect("one of the engine's own words"))
}

/// `8GB`, `512MiB`, `2000000`.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "expected a size such as 8GB or 512MiB".to_string())?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        other => return Err(format!("`{other}` is no unit of size; use kB, MB, GB, KiB, MiB or GiB")),
    };
    Ok((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(size("8GB"), Ok(8_000_000_000));
        assert_eq!(size("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(size("2000000"), Ok(2_000_000));
        assert!(size("8 elephants").is_err());
        assert!(size("GB").is_err());
    }

    #[test]
    fn the_definition_of_the_commands_is_sound() {
        use clap::CommandFactory;
        Growrun::command().debug_assert();
    }
}
