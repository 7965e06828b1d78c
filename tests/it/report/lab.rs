//! Runs and a comparison to make reports of. The comparison is of real runs; its file is written here by its types.

use crate::cli::{folder, growrun, table};
use growrun::base::world::Real;
use growrun::compare::schema::{
    Answer, ArmOutcome, ArmPlan, Budget, Comparison, Difference, Interval, Outcome, RunOutcome, SCHEMA, ToTarget,
    Verdict,
};
use growrun::record::schema::Record;
use growrun::record::{load, yaml};
use std::path::{Path, PathBuf};

/// Growth of every kind that is drawn: wider, a layer more, inside of a block; and a word that is a mark elsewhere.
pub const SCHEDULE: &str = "\
experiment \"sides & <more>\"
seed 7
data csv \"sides.csv\" { target label; batch 20; split train 75% val 25% }
model { h1 dense 8 relu; r1 residual { a dense 6 relu; b dense 8 }; out dense 2 }
train 8 epochs { optimizer adam lr 1e-2; metrics accuracy }
at epoch 2 widen a to 12
at epoch 4 widen h1 to 16 eps 1e-3   # <script>alert(1)</script>
at epoch 6 insert identity after h1
";

/// Images: more channels, a larger kernel, a layer more, and a skip with a map and a stride.
pub const IMAGES: &str = "\
experiment \"images\"
data digits { batch 50; limit 200 }
model {
  c1  conv 4 kernel 3 relu norm batch
  p1  pool max 2
  r1  residual project { a conv 6 kernel 3 stride 2 leaky_relu; b conv 8 kernel 1 }
  top pool global
  out dense 10
}
train 4 epochs { optimizer adam lr 1e-2; metrics accuracy }
at epoch 1 widen c1 by 2x
at epoch 2 widen c1 kernel to 5
at epoch 3 insert identity after c1
";

pub struct Lab {
    pub folder: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Lab {
        Lab { folder: folder(&[("sides.grow", SCHEDULE.as_bytes()), ("sides.csv", table(80).as_bytes())]) }
    }

    /// With one run of the schedule; its folder.
    pub fn trained() -> (Lab, PathBuf) {
        let lab = Lab::new();
        let run = lab.train("sides.grow", "runs", 7);
        (lab, run)
    }

    /// With one run of [`IMAGES`].
    pub fn of_images() -> (Lab, PathBuf) {
        let lab = Lab { folder: folder(&[("images.grow", IMAGES.as_bytes())]) };
        let run = lab.train("images.grow", "runs", 7);
        (lab, run)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains a schedule into a folder of runs.
    pub fn train(&self, schedule: &str, out: &str, seed: u64) -> PathBuf {
        let ran = growrun(self.folder.path(), &[schedule, "--out", out, "--seed", &seed.to_string(), "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
        self.path(object["run"].as_str().expect("a folder"))
    }

    /// A comparison of two arms and two seeds.
    pub fn compared() -> (Lab, PathBuf) {
        let lab = Lab::new();
        let small: String =
            SCHEDULE.lines().filter(|line| !line.starts_with("at ")).map(|l| format!("{l}\n")).collect();
        std::fs::write(lab.path("small.grow"), small).expect("written");
        let folder = lab.compare("sides", &[("grown", "sides.grow"), ("small", "small.grow")], &[1, 2], "val_accuracy");
        (lab, folder)
    }

    /// Trains every arm with every seed and writes `comparison.yaml` beside the runs. Its verdict is made up: to reach
    /// one is not what is tested here.
    pub fn compare(&self, name: &str, arms: &[(&str, &str)], seeds: &[u64], metric: &str) -> PathBuf {
        let base = format!("compared/{name}");
        let home = self.path(&base);
        let outcome = |(arm, schedule): &(&str, &str)| {
            let run = |seed: &u64| {
                let folder = self.train(schedule, &format!("{base}/{arm}"), *seed);
                let record = load::record(&Real::default(), &folder).expect("a record");
                run_outcome(&record, folder.strip_prefix(&home).expect("beneath"), metric)
            };
            arm_outcome(arm, seeds.iter().map(run).collect())
        };
        let outcomes: Vec<ArmOutcome> = arms.iter().map(outcome).collect();
        let differences = outcomes[1..].iter().map(|arm| {
            let pair = |(a, b): (&RunOutcome, &RunOutcome)| a.value.zip(b.value).map(|(a, b)| a - b);
            let pairs: Vec<Option<f64>> = outcomes[0].runs.iter().zip(&arm.runs).map(pair).collect();
            Difference { arm: arm.name.clone(), interval: interval(pairs.iter().flatten().copied()), pairs }
        });
        let text = std::fs::read_to_string(self.path(arms[0].1)).expect("a schedule");
        let plan = |(at, (name, _)): (usize, &(&str, &str))| ArmPlan {
            name: name.to_string(),
            about: if at == 0 { "grows as the schedule says".into() } else { "never grows".into() },
            budget: if at == 0 { Budget::Schedule } else { Budget::Epochs },
            judged: true,
            from_final: None,
        };
        let comparison = Comparison {
            comparison: SCHEMA,
            growrun: load::record(&Real::default(), &home.join(&outcomes[0].runs[0].run)).expect("a record").growrun,
            name: name.into(),
            command: vec!["compare".into(), format!("/home/ada/{}", arms[0].1), "--seeds".into(), "2".into()],
            schedule: vec![growrun::record::schema::File { name: arms[0].1.into(), text }],
            settings: Vec::new(),
            metric: metric.into(),
            higher_is_better: true,
            course: Some(metric.into()),
            matching: "epochs".into(),
            seeds: seeds.to_vec(),
            arms: arms.iter().enumerate().map(plan).collect(),
            result: Some(Outcome {
                differences: differences.collect(),
                target: Some(0.9),
                verdict: Verdict {
                    answer: Answer::Undecided,
                    against: arms[1].0.into(),
                    reason: "the interval of the paired difference holds 0, so either may be the better one.".into(),
                    next: "8 seeds more would tell a difference of this size, if there is one.".into(),
                },
                paid: Some(Verdict {
                    answer: Answer::Yes,
                    against: arms[1].0.into(),
                    reason: "what the large network spends from its first growth on buys more.".into(),
                    next: String::new(),
                }),
                seconds: outcomes.iter().flat_map(|arm| &arm.runs).map(|run| run.seconds).sum(),
                arms: outcomes,
            }),
        };
        write(&home, &comparison);
        home
    }
}

pub fn write(home: &Path, comparison: &Comparison) {
    std::fs::write(home.join("comparison.yaml"), yaml::seal(&yaml::write(comparison)).0).expect("written");
}

fn run_outcome(record: &Record, run: &Path, metric: &str) -> RunOutcome {
    let result = record.result.as_ref().expect("it has ended");
    let value = result.metrics.iter().find(|known| known.name == metric).and_then(|known| known.value);
    RunOutcome {
        seed: record.seed,
        run: run.to_string_lossy().into_owned(),
        status: record.status.clone(),
        value,
        steps: result.step,
        epochs: result.epoch,
        flops: result.flops,
        seconds: result.seconds,
        parameters: result.parameters,
        shock: record.events.iter().filter_map(|event| event.shock).reduce(f64::max),
        weights: result.weights.clone(),
        target_flops: None,
        target_seconds: None,
    }
}

fn arm_outcome(name: &str, runs: Vec<RunOutcome>) -> ArmOutcome {
    let mean = |of: &dyn Fn(&RunOutcome) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    ArmOutcome {
        name: name.into(),
        metric: interval(runs.iter().filter_map(|run| run.value)),
        flops: mean(&|run| run.flops as f64),
        steps: mean(&|run| run.steps as f64),
        seconds: mean(&|run| run.seconds),
        parameters: mean(&|run| run.parameters as f64),
        shock: runs.iter().filter_map(|run| run.shock).reduce(f64::max),
        to_target: ToTarget { reached: 1, flops: Some(mean(&|run| run.flops as f64) / 2.0), seconds: None },
        flops_off: (name != "grown").then_some(0.0031),
        runs,
    }
}

/// Twice the standard error: near enough to look at.
fn interval(values: impl Iterator<Item = f64>) -> Interval {
    let values: Vec<f64> = values.collect();
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count as f64 - 1.0).max(1.0);
    let half = 2.0 * (variance / count as f64).sqrt();
    Interval { count, mean: Some(mean), low: Some(mean - half), high: Some(mean + half) }
}
