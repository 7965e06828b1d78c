//! What is exported of a run: its final weights, or a checkpoint's, with the optimiser's state where it is known.

use super::{Exported, Trained};
use crate::base::{Refusal, World};
use crate::data::Scaling;
use crate::nn::{Architecture, Parameter, parameter};
use crate::optim::{DEFAULT_LR, EPSILON, Rule};
use crate::record::schema::{Data, Record, Resolved};
use crate::record::{checkpoint, lines, load, slug};
use crate::tensor::Compute;
use std::path::Path;

/// Bytes of metrics.jsonl that are read for the last learning rate.
const METRICS_MAX: u64 = 256 << 20;

/// A network out of a run.
pub struct Source {
    pub exported: Exported,
    /// The checkpoint that the weights, or only the optimiser's state, are from.
    pub checkpoint: Option<String>,
    /// Why no state of the optimiser is exported, where it has one.
    pub without_state: Option<String>,
}

/// The final network of a run, or that of a checkpoint. Refused when the run has none, is no run, or was changed.
pub fn of_run(world: &dyn World, run: &Path, named: Option<&str>, compute: Compute) -> Result<Source, Refusal> {
    match named {
        Some(name) => at_checkpoint(world, run, name),
        None => at_the_end(world, run, compute),
    }
}

fn at_checkpoint(world: &dyn World, run: &Path, name: &str) -> Result<Source, Refusal> {
    let record = load::record(world, run)?;
    let kept: Vec<&str> = record.checkpoints.iter().filter(|one| one.kept).map(|one| one.name.as_str()).collect();
    if !kept.contains(&name) || slug(name) != name {
        let help = match kept.as_slice() {
            [] => "the record lists none: leave `--checkpoint` out once the run has ended".to_string(),
            all => format!("those that are kept: {}", all.join(", ")),
        };
        return Err(Refusal::error("G0803", format!("the run has no checkpoint `{name}`"), help));
    }
    let folder = run.join("checkpoints").join(name);
    let read = checkpoint::read(world, &folder)?;
    let saved = read.saved(&folder, &record.data)?;
    let scaling = load::scaling(world, run, inputs(&saved.architecture))?;
    let origin = format!("checkpoint {name} of run {}, step {}", number(world, run, &record), read.meta.step);
    let exported = Exported {
        origin,
        step: read.meta.step,
        parameters: marked(saved.parameters, &saved.architecture),
        ..common(world, run, &record, saved.architecture, scaling, read.meta.step)?
    };
    Ok(Source { exported, checkpoint: Some(name.into()), without_state: None })
}

fn at_the_end(world: &dyn World, run: &Path, compute: Compute) -> Result<Source, Refusal> {
    let mut loaded = load::run(world, run, compute)?;
    let record = &loaded.record;
    let outcome = record.result.as_ref().expect("a run without a result was refused");
    let mut parameters = std::mem::take(loaded.network.parameters());
    let common = common(world, run, record, loaded.architecture, loaded.scaling, outcome.step)?;
    // A result has no state of its own; a checkpoint with the same weights, the newest at the run's end, has it.
    let same = |one: &&crate::record::schema::Checkpoint| one.kept && Some(&one.weights) == outcome.weights.as_ref();
    let entry = record.checkpoints.iter().rev().filter(same).find(|one| slug(&one.name) == one.name);
    let wanted = common.optimizer.as_ref().is_some_and(|trained| !trained.rule.slots().is_empty());
    let (mut from, mut without_state) = (None, None);
    match entry.map(|entry| state(world, run, &entry.name, &record.data, &parameters)) {
        Some(Ok(saved)) => {
            parameters = saved;
            from = entry.map(|entry| entry.name.clone());
        }
        Some(Err(refusal)) if wanted => without_state = Some(refusal.message),
        None if wanted => without_state = Some("no checkpoint that is kept has the final weights".into()),
        _ => {}
    }
    let origin = format!("run {}, step {}", number(world, run, record), outcome.step);
    let parameters = marked(parameters, &common.architecture);
    Ok(Source { exported: Exported { origin, parameters, ..common }, checkpoint: from, without_state })
}

/// Values of one example.
fn inputs(architecture: &Architecture) -> usize {
    architecture.width(architecture.input.axis).exact() * architecture.input.values_per_unit()
}

/// The parameters of a checkpoint, which has to hold the very weights of `result`.
fn state(
    world: &dyn World,
    run: &Path,
    name: &str,
    data: &Data,
    result: &[Parameter<f32>],
) -> Result<Vec<Parameter<f32>>, Refusal> {
    let folder = run.join("checkpoints").join(name);
    let saved = checkpoint::read(world, &folder)?.saved(&folder, data)?.parameters;
    match parameter::digest(&saved) == parameter::digest(result) {
        true => Ok(saved),
        false => Err(Refusal::error("G0803", format!("checkpoint {name} has other weights than the result"), "")),
    }
}

/// All that does not hang on where in the run the weights are from; no parameters.
fn common(
    world: &dyn World,
    run: &Path,
    record: &Record,
    architecture: Architecture,
    scaling: Scaling,
    step: u64,
) -> Result<Exported, Refusal> {
    let optimizer = trained(&record.resolved).map(|trained| Trained { last_lr: last_lr(world, run, step), ..trained });
    Ok(Exported {
        name: record.name.clone(),
        origin: String::new(),
        digest: record.schedule_digest.clone(),
        untrained: false,
        step,
        data: described(&record.data, architecture.input.area.is_some()),
        architecture,
        parameters: Vec::new(),
        scaling: Some(scaling).filter(Scaling::changes),
        class_names: record.data.class_names.clone(),
        optimizer,
    })
}

/// `first-growth/0001`
fn number(world: &dyn World, run: &Path, record: &Record) -> String {
    let path = world.canonical(run).unwrap_or_else(|_| run.into());
    let last = path.file_name().map(|name| slug(&name.to_string_lossy())).unwrap_or_default();
    format!("{}/{last}", slug(&record.name))
}

fn described(data: &Data, is_image: bool) -> String {
    let files: Vec<&str> = data.files.iter().map(|file| file.name.as_str()).take(3).collect();
    let mut text = data.source.clone();
    if !files.is_empty() {
        text.push_str(&format!(" {}", files.join(", ")));
    }
    if let Some(target) = &data.target {
        text.push_str(&format!(", predicting {target}"));
    }
    if let (Some((rows, columns)), false) = (data.area, is_image) {
        text.push_str(&format!(", images of {rows}×{columns} row by row, channel behind channel"));
    }
    text
}

/// What the record says of the optimiser; `None` when it is none that this version knows.
fn trained(resolved: &Resolved) -> Option<Trained> {
    let arguments = &resolved.optimizer_arguments;
    let numbers = |name: &str| -> Option<Vec<f64>> {
        arguments.get(name)?.split_whitespace().map(|word| word.trim_end_matches('x').parse().ok()).collect()
    };
    let number = |name: &str| numbers(name)?.first().copied().filter(|number| number.is_finite());
    let rule = match resolved.optimizer.as_str() {
        "sgd" => Rule::Sgd {
            momentum: number("momentum").unwrap_or(0.0),
            nesterov: arguments.get("nesterov").is_some_and(|word| word == "yes"),
            weight_decay: number("weight_decay").unwrap_or(0.0),
        },
        word @ ("adam" | "adamw") => {
            let betas = numbers("betas")?;
            let (Some(&first), Some(&second)) = (betas.first(), betas.get(1)) else { return None };
            if ![first, second].iter().all(|beta| (0.0..1.0).contains(beta)) {
                return None;
            }
            let weight_decay = if word == "adamw" { number("weight_decay")? } else { 0.0 };
            Rule::Adam { betas: (first, second), epsilon: EPSILON, weight_decay }
        }
        _ => return None,
    };
    // A record holds what the schedule says; a rate that it leaves out is the default.
    let lr = if arguments.contains_key("lr") { number("lr")? } else { DEFAULT_LR };
    Some(Trained { rule, lr, last_lr: None, clip: number("clip") })
}

/// The learning rate of the last line of metrics.jsonl up to `step`; `None` when there is none to be read.
fn last_lr(world: &dyn World, run: &Path, step: u64) -> Option<f64> {
    let content = world.read_beneath(run, Path::new("metrics.jsonl"), METRICS_MAX).ok()?;
    let all = lines::read(&content).ok()?;
    let line = all.iter().rev().find(|line| lines::step(line) <= step)?;
    line.get("lr")?.as_f64()
}

/// Which parameters are frozen stands in the architecture; a checkpoint's do not say it.
fn marked(mut parameters: Vec<Parameter<f32>>, architecture: &Architecture) -> Vec<Parameter<f32>> {
    for layer in architecture.all_layers() {
        for shape in layer.kind.parameters(layer, architecture) {
            if let Some(parameter) = parameters.iter_mut().find(|parameter| parameter.name == shape.name) {
                parameter.frozen = layer.frozen;
            }
        }
    }
    parameters
}
