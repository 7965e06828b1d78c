//! Reads a finished run back: what `predict` needs. A run may be a stranger's: its files are opened beneath its
//! folder, and a link in it is not followed.

use super::names::RECORD;
use super::recorder::{broken, changed};
use super::schema::{self, Record};
use super::weights::{self, Array};
use super::{checkpoint, initial, model, yaml};
use crate::base::text::short;
use crate::base::{Refusal, World};
use crate::check::Program;
use crate::data::{Dataset, Scaling};
use crate::nn::{Architecture, Network};
use crate::run::{Finish, Heading, MetricValue, Status};
use crate::tensor::Compute;
use ndarray::ArrayD;
use std::collections::BTreeMap;
use std::path::Path;

/// A finished run with its network.
pub struct Loaded {
    pub record: Record,
    pub architecture: Architecture,
    pub network: Network<f32>,
    pub scaling: Scaling,
}

/// The record of a run directory.
pub fn record(world: &dyn World, run: &Path) -> Result<Record, Refusal> {
    record_file(world, &run.join(RECORD))
}

/// The record in this file.
pub fn record_file(world: &dyn World, path: &Path) -> Result<Record, Refusal> {
    let record = parsed(path, &text(world, path)?)?;
    if record.record != schema::SCHEMA {
        return Err(broken(path, format!("it has version {}, this is {}", record.record, schema::SCHEMA)));
    }
    Ok(record)
}

/// The file in the folder of a comparison, whose runs lie beneath it.
pub const COMPARISON: &str = "comparison.yaml";

/// Refuses the folder of a comparison in the place of a run's.
pub(super) fn no_comparison(world: &dyn World, folder: &Path) -> Result<(), Refusal> {
    let is_there = |name: &str| matches!(world.entry(&folder.join(name)), Ok(Some(_)));
    if is_there(RECORD) || !is_there(COMPARISON) {
        return Ok(());
    }
    let shown = folder.display();
    Err(Refusal::error(
        "G0803",
        format!("`{shown}` is a comparison, not a run"),
        format!("name one of its runs, such as {shown}/grown/seed-0; `growrun report {shown}` shows all of them"),
    ))
}

fn text(world: &dyn World, path: &Path) -> Result<String, Refusal> {
    // A stranger's run may hold a link in the place of its record.
    let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    no_comparison(world, folder)?;
    let content = world.read_beneath(folder, Path::new(name), yaml::BYTES_MAX).map_err(|error| unreadable(&error))?;
    String::from_utf8(content).map_err(|_| broken(path, "it is not UTF-8"))
}

fn parsed(path: &Path, text: &str) -> Result<Record, Refusal> {
    yaml::read(text).map_err(|error| broken(path, error))
}

/// The record, which must be as growrun has written it, to the last byte.
pub fn intact(world: &dyn World, run: &Path) -> Result<Record, Refusal> {
    intact_file(world, &run.join(RECORD))
}

/// The same for the record in this file.
pub fn intact_file(world: &dyn World, path: &Path) -> Result<Record, Refusal> {
    let text = text(world, path)?;
    // What was changed may not even parse; that it was changed says more.
    yaml::sealed(&text).ok_or_else(|| changed(path))?;
    let record = parsed(path, &text)?;
    let versions = (record.record, record.growrun.numerics, record.growrun.streams.as_str());
    if versions != (schema::SCHEMA, schema::NUMERICS, schema::STREAMS) {
        return Err(Refusal::error(
            "G0803",
            format!(
                "`{}` was written by growrun {} with numerics {}; this is {} with numerics {}",
                path.display(),
                record.growrun.version,
                record.growrun.numerics,
                env!("CARGO_PKG_VERSION"),
                schema::NUMERICS
            ),
            "other numerics give other bits: use the version that wrote it",
        ));
    }
    Ok(record)
}

/// How a run that has ended did so, as it told then. Refused when it has not ended.
pub fn finish(run: &Path, record: &Record) -> Result<Finish, Refusal> {
    let what = |what: String| broken(&run.join(RECORD), what);
    let outcome = record.result.as_ref().ok_or_else(|| what("the run has not ended".into()))?;
    let exact = |hex: &str| schema::exact(hex).ok_or_else(|| what(format!("`{hex}` is no number")));
    let epoch = |step: u64| step as f64 / record.resolved.steps_per_epoch.max(1) as f64;
    let status = match record.status.as_str() {
        "finished" => Status::Finished,
        "stopped" => Status::Stopped,
        "diverged" => Status::Diverged { step: outcome.step },
        "interrupted" => Status::Interrupted { signal: 0 },
        _ => Status::Failed(crate::run::Assertion {
            code: "G0220",
            span: crate::base::Span::default(),
            message: record.reason.clone().unwrap_or_default(),
            help: String::new(),
        }),
    };
    let metrics = outcome.metrics.iter().map(|metric| {
        Ok(MetricValue {
            name: metric.name.clone(),
            value: exact(&metric.hex)?,
            best: exact(&metric.best_hex)?,
            best_epoch: epoch(metric.best_step),
            best_step: metric.best_step,
        })
    });
    Ok(Finish {
        status,
        step: outcome.step,
        epoch: outcome.epoch,
        architecture: model::read(&outcome.model, &record.data).map_err(what)?,
        parameters: outcome.parameters,
        metrics: metrics.collect::<Result<_, _>>()?,
        confusion: outcome.confusion.clone(),
        events: record.events.iter().map(checkpoint::growth).collect::<Result<_, _>>().map_err(what)?,
        weights: outcome.weights.clone(),
        flops: outcome.flops,
        seconds: outcome.seconds,
    })
}

/// The network that the record of a run begins with.
pub fn start(run: &Path, record: &Record) -> Result<Architecture, Refusal> {
    model::read(&record.resolved.model, &record.data).map_err(|what| broken(&run.join(RECORD), what))
}

/// What was known before the first step of a run.
pub fn heading(record: &Record) -> Heading {
    let host = record.resumed.last().map_or(&record.host, |last| &last.host);
    let path = record.data.arguments.get("path").map(|path| path.trim_matches('"').to_string());
    Heading {
        name: record.name.clone(),
        data: path.map_or(record.data.source.clone(), |path| format!("{} {path}", record.data.source)),
        seed: record.seed,
        threads: host.threads,
    }
}

/// Refuses data that is not that of the record, and names the file.
pub fn same_data(dataset: &Dataset, record: &Record) -> Result<(), Refusal> {
    if dataset.digest == record.data.digest {
        return Ok(());
    }
    let differs = dataset.files.iter().zip(&record.data.files).find(|(now, then)| now.sha256 != then.sha256);
    let message = match differs {
        Some((now, then)) => format!(
            "`{}` is not the file that the run was trained on: its sha256 is {}, the record says {}",
            now.name, now.sha256, then.sha256
        ),
        None => {
            format!("the data is not that of the record: its digest is {}, not {}", dataset.digest, record.data.digest)
        }
    };
    Err(Refusal::error("G0808", message, "bring the old file back, or name it by `--data NAME=PATH`"))
}

/// Refuses weights to begin with, or to put in, that are not those of the record.
pub fn same_weights(program: &Program, record: &Record) -> Result<(), Refusal> {
    // A run that goes on does not need all of them any more, but each in its place.
    let mut known = record.weights.iter();
    match initial::weights(program).into_iter().find(|file| !known.any(|known| known == file)) {
        None => Ok(()),
        Some(file) => {
            let message =
                format!("`{}` is not the file that the run began with: its sha256 is {}", file.name, file.sha256);
            Err(Refusal::error("G0808", message, "bring the old file back, or name it by `--data NAME=PATH`"))
        }
    }
}

/// The record, the final network and the scaling of a run directory.
pub fn run(world: &dyn World, run: &Path, compute: Compute) -> Result<Loaded, Refusal> {
    let record = record(world, run)?;
    let Some(outcome) = &record.result else { return Err(record_not_ended(run, &record)) };
    let path = run.join("final.safetensors");
    let architecture = model::read(&outcome.model, &record.data).map_err(|what| broken(&run.join(RECORD), what))?;
    let mut tensors = tensors(world, run, "final.safetensors", architecture.parameter_count().1)?;
    // Shapes are compared before a network of the declared size is made: a lying record allocates nothing.
    for shape in architecture.parameters() {
        let extents = shape.extents(&architecture);
        match tensors.get(&shape.name).map(weights::Array::shape) {
            Some(found) if found == extents => {}
            Some(found) => {
                return Err(broken(&path, format!("`{}` is {found:?}, the record says {extents:?}", shape.name)));
            }
            None => return Err(broken(&path, format!("`{}` is missing", shape.name))),
        }
    }
    let mut network = Network::new(&architecture, record.seed, compute);
    for parameter in network.parameters() {
        let array = tensors.remove(&parameter.name).expect("compared above");
        let (shape, values) = array.into_f32(&parameter.name).map_err(|error| broken(&path, error))?;
        parameter.value = ArrayD::from_shape_vec(shape, values).map_err(|error| broken(&path, error))?;
    }
    if let Some(name) = tensors.keys().next() {
        return Err(broken(&path, format!("`{}` belongs to no layer of the record", short(name))));
    }
    if crate::nn::parameter::digest(network.parameters()) != outcome.weights {
        return Err(changed(&path));
    }
    let scaling = scaling(world, run, network.inputs())?;
    Ok(Loaded { architecture, network, scaling, record })
}

/// What a run is refused with that goes on, or was interrupted.
pub fn record_not_ended(run: &Path, record: &Record) -> Refusal {
    Refusal::error(
        "G0804",
        format!("the run `{}` has not ended: its record says `{}`", run.display(), record.status),
        "wait for it, or go on with it by `growrun resume`",
    )
}

/// The tensors of a file that is to hold so many numbers: a longer one is not read, however little it takes on the
/// disk.
fn tensors(
    world: &dyn World,
    run: &Path,
    name: &str,
    numbers: u64,
) -> Result<BTreeMap<String, Array<'static>>, Refusal> {
    let limit = numbers.saturating_mul(4).saturating_add(8 + weights::HEADER_BYTES_MAX);
    let content = world.read_beneath(run, Path::new(name), limit).map_err(|error| unreadable(&error))?;
    weights::read(&content).map_err(|error| broken(&run.join(name), error))
}

/// By what the inputs of a run were scaled, as far as its files say: mean and inverse deviation of each.
pub fn scaling(world: &dyn World, run: &Path, inputs: usize) -> Result<Scaling, Refusal> {
    let path = run.join("scaling.safetensors");
    let mut tensors = tensors(world, run, "scaling.safetensors", 2 * inputs as u64)?;
    let mut take = |name: &str| match tensors.remove(name) {
        Some(array) if array.shape() == [inputs] => {
            array.into_f32(name).map(|(_, values)| values).map_err(|error| broken(&path, error))
        }
        _ => Err(broken(&path, format!("`{name}` does not hold {inputs} values"))),
    };
    Ok(Scaling { mean: take("mean")?, inverse: take("inverse")? })
}

pub(super) fn unreadable(error: &crate::base::Error) -> Refusal {
    Refusal::error(error.code, error.to_string(), error.help.clone())
}
