//! A program in the words of the record, every default written out.

use super::schema;
use crate::base::{Args, Value};
use crate::check::program::{Base, Condition, Divergence, Event, LrShape, Program, Trigger};
use crate::data::{Normalize, Share, Split};
use crate::nn::Task;
use std::collections::BTreeMap;
use std::path::Path;

/// The arguments as the language writes them, with the defaults of those that were not given.
pub fn arguments(args: &Args) -> BTreeMap<String, String> {
    let defaults = args.doc.args.iter().filter(|arg| !arg.default.is_empty());
    let mut all: BTreeMap<String, String> =
        defaults.map(|arg| (arg.name.to_string(), arg.default.to_string())).collect();
    all.extend(args.given.iter().map(|(name, given)| (name.to_string(), joined(&given.values))));
    all
}

fn joined(values: &[Value]) -> String {
    let all: Vec<String> = values.iter().map(Value::to_string).collect();
    all.join(" ")
}

pub fn base(program: &Program) -> Option<String> {
    program.base.as_ref().map(|base| match base {
        Base::Starter => "starter".into(),
        Base::File(_) => source_name(base_at(program).unwrap_or(0), program),
    })
}

pub fn task(task: Task) -> &'static str {
    match task {
        Task::Classification => "classification",
        Task::Regression => "regression",
    }
}

/// What stands before the names of a fragment's own files.
const FRAGMENT: &str = "_fragment";

/// The place among the sources of the base that a fragment runs on.
fn base_at(program: &Program) -> Option<usize> {
    let Some(Base::File(path)) = &program.base else { return None };
    let name = path.display().to_string();
    program.sources.0.iter().rposition(|source| source.name == name)
}

/// A schedule's file as the record calls it: beneath the folder of the first one, where it lies there. Of a fragment with
/// a base that is the base's folder, where the paths of its sections begin, and the fragment's files lie in a folder of
/// their own. Nobody learns from a record where its maker keeps his files.
pub fn source_name(number: usize, program: &Program) -> String {
    let name = |number: usize| program.sources.0.get(number).map_or("", |source| source.name.as_str());
    let base = base_at(program);
    let top = base.filter(|base| *base <= number).unwrap_or(0);
    let clean = |path: &str| crate::syntax::clean(Path::new(path)).unwrap_or_else(|| path.into());
    let (first, path) = (clean(name(top)), clean(name(number)));
    let beneath = first.parent().and_then(|folder| path.strip_prefix(folder).ok());
    let shown = beneath.or_else(|| path.file_name().map(Path::new)).unwrap_or(&path).display().to_string();
    match base {
        Some(base) if number < base => format!("{FRAGMENT}/{shown}"),
        _ => shown,
    }
}

pub fn resolved(program: &Program) -> schema::Resolved {
    let (data, train) = (&program.data, &program.train);
    schema::Resolved {
        lets: program
            .lets
            .iter()
            .map(|(name, value)| schema::Setting { name: name.clone(), value: value.clone() })
            .collect(),
        batch: data.batch.unwrap_or(data.examples),
        normalize: match data.normalize {
            Normalize::None => "none",
            Normalize::ZScore => "zscore",
            Normalize::MinMax => "minmax",
        }
        .into(),
        split: split(&data.split),
        shuffle: data.shuffle,
        drop_last: data.drop_last,
        class_weights: if data.balanced_classes { "balanced" } else { "none" }.into(),
        steps: train.steps,
        steps_per_epoch: data.steps_per_epoch,
        model: super::model::write(&program.architecture),
        optimizer: train.optimizer.word.into(),
        optimizer_arguments: arguments(&train.optimizer.args),
        lr: match train.lr {
            LrShape::Constant => format!("constant {}", train.base_lr),
            LrShape::Cosine { last } => format!("cosine {} to {}", train.base_lr, train.base_lr * last),
            LrShape::Linear { last } => format!("linear {} to {}", train.base_lr, train.base_lr * last),
            LrShape::Step { factor, every_steps } => {
                let over = match train.length == train.steps {
                    true => String::new(),
                    false => format!(" of {}, over {}", train.length, train.steps),
                };
                format!("step {} {factor}x every {every_steps} steps{over}", train.base_lr)
            }
        },
        warmup_steps: train.warmup_steps,
        loss: train.loss.word.into(),
        loss_arguments: arguments(&train.loss.args),
        metrics: train.metrics.iter().map(|metric| metric.to_string()).collect(),
        evaluate_every_steps: train.evaluate_every,
        stop_when: train.stop_when.as_deref().map(conditions),
        keep_best: train.keep_best.as_ref().map(|(metric, _)| metric.clone()),
        checkpoint_every_steps: train.checkpoint_every,
        checkpoints_kept: train.checkpoints_kept,
        on_divergence: match train.on_divergence {
            Divergence::Stop => "stop".into(),
            Divergence::Rollback { factor, at_most } => format!("rollback lr {factor}x at most {at_most} times"),
        },
        events: program.events.iter().map(planned).collect(),
        events_left_out: 0,
    }
}

fn split(split: &Split) -> String {
    let share = |share: Share| match share {
        // Percents are exact to the eye: 0.8 is 80%, not 80.00000000000001%.
        Share::Fraction(part) => format!("{}%", (part * 1e9).round() / 1e7),
        Share::Count(n) => n.to_string(),
    };
    let mut text = format!("train {} val {}", share(split.train), share(split.val));
    if let Some(test) = split.test {
        text.push_str(&format!(" test {}", share(test)));
    }
    if split.stratified {
        text.push_str(" stratified");
    }
    text
}

fn conditions(conditions: &[Condition]) -> String {
    let all: Vec<String> = conditions.iter().map(|condition| condition.clause.to_string()).collect();
    all.join(" and ")
}

fn planned(event: &Event) -> schema::PlannedEvent {
    let trigger = match &event.trigger {
        Trigger::At { end: true, .. } => "at end".into(),
        Trigger::At { step, .. } => format!("at step {step}"),
        Trigger::Every { first, interval, until } => {
            format!("every {interval} steps from step {first} until step {until}")
        }
        Trigger::During { from, to } => format!("during step {from}..{to}"),
        Trigger::When { conditions: all, at_most, cooldown, from, until } => format!(
            "when {} at most {at_most} times cooldown {cooldown} steps from step {from} until step {until}",
            conditions(all)
        ),
    };
    schema::PlannedEvent { trigger, actions: event.actions.iter().map(|action| action.text.clone()).collect() }
}
