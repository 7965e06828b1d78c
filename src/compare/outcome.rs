//! What came out: every run's record read back, paired over the seeds.

use super::conduct::{has_ended, is_refused, run_folder, spent};
use super::desk::Desk;
use super::plan::{self, Plan};
use super::schema::{ArmOutcome, Budget, Comparison, Difference, Outcome, RunOutcome, ToTarget};
use super::statistics::interval;
use super::verdict::{Question, verdict};
use super::{arms, conduct};
use crate::base::{Refusal, World};
use crate::check::Program;
use crate::check::program::{Action, ActionKind, LrShape, Trigger};
use crate::record::lines::{self, Line};
use crate::record::load;
use crate::record::schema::Record;
use std::path::Path;

/// Largest metrics.jsonl that is looked at for what it took to reach a target, in bytes.
const METRICS_MAX: u64 = 256 << 20;

/// The runs that are not there yet, by arm and seed as places in the plan.
pub fn missing(world: &dyn World, comparison: &Comparison, folder: &Path) -> Vec<(usize, usize)> {
    let mut missing = Vec::new();
    for seed in 0..comparison.seeds.len() {
        for arm in 0..comparison.arms.len() {
            let path = folder.join(run_folder(&comparison.arms[arm].name, comparison.seeds[seed]));
            let has_ended = load::record(world, &path).is_ok_and(|record| has_ended(&record));
            if !has_ended && !is_refused(world, &path) {
                missing.push((arm, seed));
            }
        }
    }
    missing
}

/// Reads all runs. Refused when one is missing or was changed, or when they were not trained on the same data.
pub fn collect(desk: &Desk, plan: &Plan, folder: &Path) -> Result<Outcome, conduct::Halt> {
    let comparison = &plan.comparison;
    let mut records: Vec<Vec<Option<Record>>> = Vec::new();
    for arm in &comparison.arms {
        let of_arm = comparison.seeds.iter().map(|seed| {
            let path = folder.join(run_folder(&arm.name, *seed));
            if is_refused(desk.world, &path) {
                return Ok(None);
            }
            let record = load::intact(desk.world, &path)?;
            if has_ended(&record) { Ok(Some(record)) } else { Err(load::record_not_ended(&path, &record)) }
        });
        records.push(of_arm.collect::<Result<_, Refusal>>()?);
    }
    same_data(&records, comparison, folder)?;
    let followed = comparison.course.as_deref();
    let target = followed.and_then(|metric| target(comparison, &records, metric));
    let mut outcomes = Vec::new();
    for (arm, records) in comparison.arms.iter().zip(&records) {
        let runs: Vec<RunOutcome> = comparison
            .seeds
            .iter()
            .zip(records)
            .map(|(seed, record)| {
                let run = run_folder(&arm.name, *seed);
                let crossing = followed.zip(target).and_then(|(metric, target)| {
                    crossing(&read_lines(desk.world, &folder.join(&run)), metric, target, comparison.higher_is_better)
                });
                outcome_of(comparison, *seed, run, record.as_ref(), crossing)
            })
            .collect();
        outcomes.push(summary(arm.name.clone(), runs));
    }
    for (at, arm) in comparison.arms.iter().enumerate().filter(|(_, arm)| is_in_flops(arm.budget)) {
        let mut worst = 0.0_f64;
        for (number, seed) in comparison.seeds.iter().enumerate() {
            let closed = |closed| conduct::Halt::Closed(comparison.arms[0].name.clone(), Box::new(closed));
            let spent = spent(desk, comparison, *seed, records[0][number].as_ref()).map_err(closed)?;
            let wanted = spent.flops_for(arm.budget).unwrap_or(0).max(1) as f64;
            let run = &outcomes[at].runs[number];
            // One that diverged did not spend what it was given.
            if run.value.is_some() {
                worst = worst.max((run.flops as f64 - wanted).abs() / wanted);
            }
        }
        let counted = outcomes[at].runs.iter().any(|run| run.value.is_some());
        outcomes[at].flops_off = counted.then_some(worst);
    }
    let differences = differences(comparison, &outcomes);
    let lost = |name: &str| -> Vec<&str> {
        let arm = outcomes.iter().find(|arm| arm.name == name);
        let runs = arm.map_or(&[][..], |arm| &arm.runs).iter().filter(|run| run.value.is_none());
        runs.map(|run| run.status.as_str()).collect()
    };
    let off = |name: &str| outcomes.iter().find(|arm| arm.name == name).and_then(|arm| arm.flops_off);
    let question = Question {
        reference: &comparison.arms[0].name,
        metric: &comparison.metric,
        seeds: comparison.seeds.len(),
        seeds_max: (plan::RUNS_MAX / comparison.arms.len()) as u64,
        cut_short: cut_short(plan, &records[0]).or_else(|| never_grew(plan, &records[0], true)),
        beside: never_grew(plan, &records[0], false),
        off: &off,
        lost: &lost,
    };
    let of = |names: &dyn Fn(&str) -> bool| -> Vec<&Difference> {
        differences.iter().filter(|difference| names(&difference.arm)).collect()
    };
    let judged = of(&|name| comparison.arms.iter().any(|arm| arm.judged && arm.name == name));
    let verdict_of_all = verdict(&question, &judged);
    let is_paid = comparison.arms.iter().any(|arm| arm.budget == Budget::FlopsFromFirstGrowth);
    let paid = is_paid.then(|| verdict(&question, &of(&|name| matches!(name, arms::SMALL | arms::LARGE_REST))));
    let seconds = outcomes.iter().flat_map(|arm| &arm.runs).map(|run| run.seconds).sum();
    Ok(Outcome { arms: outcomes, differences, target, verdict: verdict_of_all, paid, seconds })
}

/// Whether the reference ended while its learning rate was still on its way.
fn cut_short(plan: &Plan, records: &[Option<Record>]) -> Option<String> {
    let early = |record: &&Record| record.result.as_ref().is_some_and(|end| end.step < record.resolved.steps);
    let record = records.iter().flatten().filter(|record| record.status == "stopped").find(early)?;
    let end = record.result.as_ref()?.step;
    let name = &plan.comparison.arms[0].name;
    let falls = plan.opened.program.train.lr != LrShape::Constant || sets_the_rate_after(&plan.opened.program, end);
    falls.then(|| {
        format!(
            "{name} stopped at step {end} of {}, in the middle of its learning rate's schedule, and the others did not",
            record.resolved.steps
        )
    })
}

/// Whether an event behind this step sets the rate.
fn sets_the_rate_after(program: &Program, step: u64) -> bool {
    let sets = |action: &Action| matches!(action.kind, ActionKind::SetLrTo(_) | ActionKind::SetLrBy(_));
    program.events.iter().filter(|event| event.actions.iter().any(sets)).any(|event| match event.trigger {
        Trigger::At { step: at, end } => at > step && !end,
        Trigger::Every { until, interval, .. } => until.saturating_sub(interval) > step,
        Trigger::During { from, .. } => from > step,
        Trigger::When { .. } => false,
    })
}

/// Standard arms ask whether growing is worth it: seeds in which the reference did not grow. `all`: only if that is so in
/// every seed.
fn never_grew(plan: &Plan, records: &[Option<Record>], all: bool) -> Option<String> {
    let is_standard = plan.comparison.arms.iter().skip(1).all(|arm| arms::is_standard(&arm.name));
    let records: Vec<&Record> = records.iter().flatten().collect();
    let still = records.iter().filter(|record| record.events.is_empty()).count();
    let name = &plan.comparison.arms[0].name;
    match still {
        0 => None,
        _ if !is_standard || all != (still == records.len()) => None,
        _ if all => Some(format!("{name} did not grow with any seed, so that all arms were the same network")),
        _ => Some(format!("{name} did not grow in {still} of {} seeds", records.len())),
    }
}

fn is_in_flops(budget: Budget) -> bool {
    matches!(budget, Budget::Flops | Budget::FlopsFromFirstGrowth)
}

/// Generated data is another one for each seed, but the arms of a seed are compared on the same.
fn same_data(records: &[Vec<Option<Record>>], comparison: &Comparison, folder: &Path) -> Result<(), Refusal> {
    let (reference, others) = records.split_first().expect("a comparison has a reference");
    for (records, arm) in others.iter().zip(&comparison.arms[1..]) {
        let mut pairs = reference.iter().zip(records).filter_map(|(one, other)| one.as_ref().zip(other.as_ref()));
        if pairs.any(|(one, other)| one.data.digest != other.data.digest) {
            let (first, name) = (&comparison.arms[0].name, &arm.name);
            return Err(Refusal::error(
                "G0808",
                format!("`{first}` and `{name}` were not trained on the same data, so that they cannot be compared"),
                format!("where the data has changed meanwhile, remove `{}` and compare again", folder.display()),
            ));
        }
    }
    Ok(())
}

/// A metric at the end of a run that came to its end.
fn value(record: &Record, metric: &str) -> Option<f64> {
    let result = record.result.as_ref().filter(|_| matches!(record.status.as_str(), "finished" | "stopped"))?;
    let found = result.metrics.iter().find(|known| known.name == metric)?;
    found.exact().filter(|value| value.is_finite())
}

/// What the weakest of the judged arms ends with on average, so that every arm has a chance to reach it.
fn target(comparison: &Comparison, records: &[Vec<Option<Record>>], metric: &str) -> Option<f64> {
    let means = comparison.arms.iter().zip(records).filter(|(arm, _)| arm.judged).filter_map(|(_, records)| {
        let values: Vec<f64> = records.iter().flatten().filter_map(|record| value(record, metric)).collect();
        interval(&values).mean
    });
    match comparison.higher_is_better {
        true => means.min_by(f64::total_cmp),
        false => means.max_by(f64::total_cmp),
    }
}

fn read_lines(world: &dyn World, run: &Path) -> Vec<Line> {
    let content = world.read_beneath(run, Path::new("metrics.jsonl"), METRICS_MAX);
    content.ok().and_then(|content| lines::read(&content).ok()).unwrap_or_default()
}

/// Operations and seconds at the first evaluation that is as good as the target.
fn crossing(lines: &[Line], metric: &str, target: f64, higher: bool) -> Option<(f64, f64)> {
    let number = |line: &Line, key: &str| line.get(key).and_then(serde_json::Value::as_f64);
    lines.iter().find_map(|line| {
        let value = number(line, metric)?;
        let is_there = if higher { value >= target } else { value <= target };
        is_there.then(|| Some((number(line, "flops")?, number(line, "seconds")?)))?
    })
}

fn outcome_of(
    comparison: &Comparison,
    seed: u64,
    run: String,
    record: Option<&Record>,
    crossing: Option<(f64, f64)>,
) -> RunOutcome {
    let Some((record, result)) = record.and_then(|record| Some((record, record.result.as_ref()?))) else {
        return RunOutcome {
            seed,
            run,
            status: "refused".into(),
            value: None,
            steps: 0,
            epochs: 0.0,
            flops: 0,
            seconds: 0.0,
            parameters: 0,
            shock: None,
            weights: None,
            target_flops: None,
            target_seconds: None,
        };
    };
    RunOutcome {
        seed,
        run,
        status: record.status.clone(),
        value: value(record, &comparison.metric),
        steps: result.step,
        epochs: result.epoch,
        flops: result.flops,
        seconds: result.seconds,
        parameters: result.parameters,
        shock: record.events.iter().filter_map(|event| event.shock).reduce(f64::max),
        weights: result.weights.clone(),
        target_flops: crossing.map(|(flops, _)| flops),
        target_seconds: crossing.map(|(_, seconds)| seconds),
    }
}

fn summary(name: String, runs: Vec<RunOutcome>) -> ArmOutcome {
    let mean = |value: &dyn Fn(&RunOutcome) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter(|run| run.steps > 0).filter_map(value).collect();
        interval(&values).mean
    };
    let values: Vec<f64> = runs.iter().filter_map(|run| run.value).collect();
    ArmOutcome {
        name,
        metric: interval(&values),
        flops: mean(&|run| Some(run.flops as f64)).unwrap_or(0.0),
        steps: mean(&|run| Some(run.steps as f64)).unwrap_or(0.0),
        seconds: mean(&|run| Some(run.seconds)).unwrap_or(0.0),
        parameters: mean(&|run| Some(run.parameters as f64)).unwrap_or(0.0),
        shock: mean(&|run| run.shock),
        to_target: ToTarget {
            reached: runs.iter().filter(|run| run.target_flops.is_some()).count(),
            flops: mean(&|run| run.target_flops),
            seconds: mean(&|run| run.target_seconds),
        },
        flops_off: None,
        runs,
    }
}

/// The reference minus each other arm, seed by seed, so that more is better for the reference.
fn differences(comparison: &Comparison, outcomes: &[ArmOutcome]) -> Vec<Difference> {
    let sign = if comparison.higher_is_better { 1.0 } else { -1.0 };
    let (reference, others) = outcomes.split_first().expect("a comparison has a reference");
    let of = |other: &ArmOutcome| {
        let pairs: Vec<Option<f64>> = reference
            .runs
            .iter()
            .zip(&other.runs)
            .map(|(reference, other)| {
                let difference = sign * (reference.value? - other.value?);
                // Equal shares may differ in their last bit.
                Some(if difference.abs() < 1e-12 { 0.0 } else { difference })
            })
            .collect();
        let there: Vec<f64> = pairs.iter().flatten().copied().collect();
        Difference { arm: other.name.clone(), interval: interval(&there), pairs }
    };
    others.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_reached_at_the_first_evaluation_that_is_as_good() {
        let text = "{\"step\":1,\"val_loss\":3,\"flops\":10,\"seconds\":1}\n{\"step\":2,\"val_loss\":null,\"flops\":20,\
                    \"seconds\":2}\n{\"step\":3,\"val_loss\":1.5,\"flops\":30,\"seconds\":3}\n";
        let lines = lines::read(text.as_bytes()).expect("three lines");
        assert_eq!(crossing(&lines, "val_loss", 1.5, false), Some((30.0, 3.0)));
        assert_eq!(crossing(&lines, "val_loss", 3.0, false), Some((10.0, 1.0)));
        assert_eq!(crossing(&lines, "val_loss", 1.0, false), None);
        assert_eq!(crossing(&lines, "val_loss", 3.5, true), None);
    }
}
