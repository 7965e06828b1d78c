//! `growrun compare`: arms, budgets, paired seeds, the verdict; jobs, and comparisons that were interrupted.

mod arms;
mod goes_on;
mod jobs;
mod refused;

use crate::cli::{Ran, folder, growrun};
use growrun::base::world::Real;
use growrun::compare::{self, schema::Comparison};
use growrun::record::schema::Record;
use growrun::record::{lines, load};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Grows twice, and sets the rate at a literal time.
const SCHEDULE: &str = "\
experiment \"worth\"
seed 3
data digits { limit 400; batch 32; split train 60% val 20% test 20% }
model { h1 dense 8 relu; h2 dense 8 relu; out dense 10 }
train 8 epochs { optimizer adam lr 3e-3; lr step 0.5x every 2 epochs warmup 1 epochs }
at 25% widen h1 to 24 eps 1e-2
at epoch 4 insert identity after h2
at epoch 5 set lr by 0.5x
at end assert val_accuracy > 1%
";
/// Steps of an epoch there: 240 examples in batches of 32, the last of which is short.
const EPOCH: u64 = 8;

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(schedule: &str) -> Lab {
        Lab { folder: folder(&[("worth.grow", schedule.as_bytes())]) }
    }

    fn growrun(&self, arguments: &[&str]) -> Ran {
        growrun(self.folder.path(), arguments)
    }

    /// Compares with these flags, and returns the object of `--json`.
    fn compare(&self, flags: &[&str]) -> Value {
        let arguments: Vec<&str> =
            ["compare", "worth.grow", "--quiet", "--json"].into_iter().chain(flags.iter().copied()).collect();
        let ran = self.growrun(&arguments);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the one comparison that there is.
    fn comparison_folder(&self) -> PathBuf {
        let runs = self.path("runs/worth");
        let mut names: Vec<String> = std::fs::read_dir(&runs)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("compare-"))
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        runs.join(names.remove(0))
    }

    fn comparison(&self) -> Comparison {
        compare::read(&Real::default(), &self.comparison_folder()).expect("a comparison")
    }

    /// The learning rate at the last evaluation of an arm.
    fn last_rate(&self, arm: &str, seed: u64) -> f64 {
        let file = self.comparison_folder().join(format!("{arm}/seed-{seed}/metrics.jsonl"));
        let lines = lines::read(&std::fs::read(file).expect("lines")).expect("lines");
        lines.last().and_then(|line| line["lr"].as_f64()).expect("a rate")
    }

    fn record(&self, arm: &str, seed: u64) -> Record {
        record(&self.comparison_folder().join(format!("{arm}/seed-{seed}")))
    }
}

fn record(run: &Path) -> Record {
    load::intact(&Real::default(), run).unwrap_or_else(|refusal| panic!("{}: {}", run.display(), refusal.message))
}

fn flops(record: &Record) -> u64 {
    record.result.as_ref().expect("it has ended").flops
}

fn steps(record: &Record) -> u64 {
    record.result.as_ref().expect("it has ended").step
}

fn weights(record: &Record) -> String {
    record.result.as_ref().and_then(|result| result.weights.clone()).expect("finite weights")
}

/// All weights of a comparison, by arm and seed.
fn all_weights(lab: &Lab) -> Vec<String> {
    let comparison = lab.comparison();
    let of_arm = |arm: &str| -> Vec<String> {
        comparison.seeds.iter().map(|seed| format!("{arm} {seed} {}", weights(&lab.record(arm, *seed)))).collect()
    };
    comparison.arms.iter().flat_map(|arm| of_arm(&arm.name)).collect()
}
