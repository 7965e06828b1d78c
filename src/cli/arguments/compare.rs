//! The flags of `growrun compare`.

use super::{Overrides, Resources, Run};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples
  growrun compare first.grow
  growrun compare first.grow --seeds 10 --by val_loss
  growrun compare first.grow --list                        its jobs, for several machines
  growrun compare first.grow --index 3                     one of them, as in a Slurm array
  growrun compare first.grow --collect                     the verdict, once all are there
  growrun compare first.grow --json | jq .verdict.answer

A schedule without arms gets the standard ones:
  grown         as the schedule says
  small         never grows, as many FLOPs as grown
  large         the final network from fresh weights, as many FLOPs
  large_epochs  the same, as many epochs
  grown_random  the same growth with weights at random
  large_rest    the final network, the FLOPs that are left at the first growth:
                when the small one is paid for

Seeds are paired: same data order, same initial weights wherever shapes coincide. The answer is
yes when the 95 % interval of grown minus the better of small and large lies above 0, no when it
lies below, else undecided.

It lies in runs/EXPERIMENT/compare-ID/, with a run directory for every arm and seed. The same
command goes on where it was interrupted. The exit code is 0 whatever the answer.")]
pub struct Compare {
    /// The schedule
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    #[command(flatten)]
    pub resources: Resources,
    /// How many seeds, from the schedule's own on (default: as the schedule says, else 5)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    /// The metric that decides, at the end (default: as the schedule says, else its first; of the test part if there is one)
    #[arg(long, value_name = "METRIC")]
    pub by: Option<String>,
    /// List the jobs, which can run apart
    #[arg(long, conflicts_with_all = ["index", "collect"])]
    pub list: bool,
    /// Run one job only
    #[arg(long, value_name = "N", conflicts_with = "collect")]
    pub index: Option<u64>,
    /// Only put together what is there
    #[arg(long)]
    pub collect: bool,
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

impl Compare {
    /// What `growrun FILE` does with a schedule that has a `compare` line.
    pub fn of(run: &Run) -> Compare {
        Compare {
            file: run.file.clone(),
            overrides: run.overrides.clone(),
            resources: run.resources.clone(),
            seeds: None,
            by: None,
            list: false,
            index: None,
            collect: false,
            out: run.out.clone(),
            quiet: run.quiet,
            json: run.json,
        }
    }
}
