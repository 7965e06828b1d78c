//! A checkpoint: three files in a folder, from which a run goes on.
//!
//! ```text
//! weights.safetensors   the values, under PyTorch's names
//! state.safetensors     moments, counts of updates and births; the evaluations so far; what the probe answered
//! meta.yaml             all else, the digests of the other two, and in its last line its own
//! ```

use super::recorder::{broken, changed};
use super::schema::{self, Meta};
use super::weights::{self, Array};
use super::{model, yaml};
use crate::base::{Refusal, World, digest};
use crate::grow::Promise;
use crate::nn::{Parameter, SlotKind};
use crate::run::{Checkpoint, Growth, History, Saved, Shock};
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest `meta.yaml` that is read, in bytes: it grows with the growth events, some 600 each.
pub(super) const META_BYTES_MAX: u64 = 4 << 20;

/// Bytes that one evaluation takes: step and value of some twenty metrics.
const EVALUATION_BYTES: u64 = 320;

pub(super) const META: &str = "meta.yaml";
pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const STATE: &str = "state.safetensors";

/// What the recorder knows and the run does not.
pub struct Label {
    pub name: String,
    pub number: u64,
    pub schedule_digest: String,
    pub parent: Option<String>,
    pub metrics_bytes: u64,
    pub metrics: String,
}

/// The files of a checkpoint, and what the record says of it.
pub fn write(checkpoint: &Checkpoint, label: Label) -> (Vec<(&'static str, Vec<u8>)>, schema::Checkpoint) {
    let step = checkpoint.progress.step;
    let note = format!("{} · step {step}", label.schedule_digest);
    let mut state = weights::state(checkpoint.parameters);
    for (metric, steps, values) in checkpoint.history.series() {
        state.insert(format!("run/history/{metric}/steps"), Array::u64(steps));
        state.insert(format!("run/history/{metric}/values"), Array::f64(values));
    }
    if let Some(probe) = checkpoint.probe {
        state.insert("run/probe".into(), Array::f32(&[probe.len()], probe));
    }
    let (weights_file, state_file) = (weights::values(checkpoint.parameters, &note), weights::write(&state, &note));
    let entry = entry(&label.name, label.number, step, checkpoint.parameters).expect("a run saves finite weights only");
    let meta = Meta {
        record: schema::SCHEMA,
        numerics: schema::NUMERICS,
        name: label.name,
        number: label.number,
        step,
        schedule_digest: label.schedule_digest,
        parent: label.parent,
        weights_file: digest::bytes(&weights_file),
        state_file: digest::bytes(&state_file),
        weights: entry.weights.clone(),
        optimizer: entry.optimizer.clone(),
        metrics_bytes: label.metrics_bytes,
        metrics: label.metrics,
        model: model::write(checkpoint.architecture),
        progress: checkpoint.progress.clone(),
        events: checkpoint.growths.iter().map(event).collect(),
    };
    let (text, digest) = yaml::seal(&yaml::write(&meta));
    let entry = schema::Checkpoint { digest, parent: meta.parent, ..entry };
    (vec![(META, text.into_bytes()), (STATE, state_file), (WEIGHTS, weights_file)], entry)
}

/// What the record says of these parameters, without the digests of files; `None` when one is not finite.
pub fn entry(name: &str, number: u64, step: u64, parameters: &[Parameter<f32>]) -> Option<schema::Checkpoint> {
    let weights = crate::nn::parameter::digest(parameters)?;
    let mut moments = parameters.iter().flat_map(|parameter| &parameter.slots).flat_map(|slot| &slot.value);
    if moments.any(|moment| moment.is_nan()) {
        return None;
    }
    Some(schema::Checkpoint {
        name: name.into(),
        number,
        step,
        digest: String::new(),
        parent: None,
        weights,
        optimizer: weights::optimizer_digest(parameters),
        tensors: weights::tensor_digests(parameters),
        kept: true,
    })
}

/// A checkpoint whose digests hold.
pub struct Read {
    pub meta: Meta,
    /// As the record has it.
    pub entry: schema::Checkpoint,
    weights: Vec<u8>,
    state: Vec<u8>,
}

/// What `meta.yaml` says, if its digest holds.
pub fn meta(world: &dyn World, folder: &Path) -> Result<(Meta, String), Refusal> {
    let path = folder.join(META);
    let content = world.read_beneath(folder, Path::new(META), META_BYTES_MAX);
    let content = content.map_err(|error| super::load::unreadable(&error))?;
    let text = String::from_utf8(content).map_err(|_| broken(&path, "it is not UTF-8"))?;
    let digest = yaml::sealed(&text).ok_or_else(|| changed(&path))?;
    let meta: Meta = yaml::read(&text).map_err(|error| broken(&path, error))?;
    if (meta.record, meta.numerics) != (schema::SCHEMA, schema::NUMERICS) {
        let what = format!(
            "it has versions {} and {}, not {} and {}",
            meta.record,
            meta.numerics,
            schema::SCHEMA,
            schema::NUMERICS
        );
        return Err(broken(&path, what));
    }
    Ok((meta, digest))
}

/// Reads a checkpoint and compares every digest.
pub fn read(world: &dyn World, folder: &Path) -> Result<Read, Refusal> {
    let (meta, digest) = meta(world, folder)?;
    let file = |name: &str, wanted: &str, limit: u64| {
        let path = folder.join(name);
        let content = world.read_beneath(folder, Path::new(name), limit);
        let content = content.map_err(|error| super::load::unreadable(&error))?;
        match digest::bytes(&content) == wanted {
            true => Ok(content),
            false => Err(changed(&path)),
        }
    };
    let (weights_max, state_max) = bytes_max(&meta);
    let weights = file(WEIGHTS, &meta.weights_file, weights_max)?;
    let state = file(STATE, &meta.state_file, state_max)?;
    let entry = schema::Checkpoint {
        name: meta.name.clone(),
        number: meta.number,
        step: meta.step,
        digest,
        parent: meta.parent.clone(),
        weights: meta.weights.clone(),
        optimizer: meta.optimizer.clone(),
        tensors: BTreeMap::new(),
        kept: true,
    };
    Ok(Read { meta, entry, weights, state })
}

/// Bytes of weights and state. A longer file than the network and its evaluations can take is not read, however little
/// it takes on the disk.
pub(super) fn bytes_max(meta: &Meta) -> (u64, u64) {
    let weights = meta.model.numbers().saturating_mul(4).saturating_add(8 + weights::HEADER_BYTES_MAX);
    let evaluations = meta.step.saturating_add(2).saturating_mul(EVALUATION_BYTES);
    (weights, weights.saturating_mul(4).saturating_add(evaluations))
}

impl Read {
    /// Of files that were read and whose digests hold.
    pub(super) fn of(meta: Meta, entry: schema::Checkpoint, weights: Vec<u8>, state: Vec<u8>) -> Read {
        Read { meta, entry, weights, state }
    }

    /// What a run goes on from. `data` is that of the record.
    pub fn saved(&self, folder: &Path, data: &schema::Data) -> Result<Saved, Refusal> {
        self.restore(data).map_err(|what| broken(folder, what))
    }

    fn restore(&self, data: &schema::Data) -> Result<Saved, String> {
        let architecture = model::read(&self.meta.model, data)?;
        let mut values = weights::read(&self.weights)?;
        let mut state = weights::read(&self.state)?;
        let mut parameters = Vec::new();
        for shape in architecture.parameters() {
            let extents = shape.extents(&architecture);
            let array = |from: &mut BTreeMap<String, Array>, name: &str| -> Result<ArrayD<f32>, String> {
                let (shape, values) =
                    from.remove(name).ok_or_else(|| format!("`{name}` is missing"))?.into_f32(name)?;
                if shape != extents {
                    return Err(format!("`{name}` is {shape:?}, its layers say {extents:?}"));
                }
                ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| format!("`{name}`: {error}"))
            };
            let value = array(&mut values, &shape.name)?;
            let mut slots = Vec::new();
            for kind in [SlotKind::FirstMoment, SlotKind::SecondMoment] {
                let name = weights::slot_name(&shape.name, kind);
                if state.contains_key(&name) {
                    slots.push(crate::nn::Slot { kind, value: array(&mut state, &name)? });
                }
            }
            let mut whole = |name: String| match state.remove(&name) {
                Some(array) => array.into_u64(&name),
                None => Err(format!("`{name}` is missing")),
            };
            let updates = whole(weights::updates_name(&shape.name))?;
            let births = (0..extents.len()).map(|at| whole(weights::births_name(&shape.name, at)));
            parameters.push(Parameter {
                gradient: ArrayD::zeros(value.raw_dim()),
                value,
                slots,
                frozen: false,
                updates: *updates.first().ok_or_else(|| format!("`{}` has no count of updates", shape.name))?,
                births: births.collect::<Result<_, _>>()?,
                name: shape.name,
                role: shape.role,
                dims: shape.dims,
            });
        }
        if let Some(name) = values.keys().next() {
            return Err(format!("`{name}` belongs to no layer"));
        }
        let mut history = History::default();
        let metrics: Vec<String> = state
            .keys()
            .filter_map(|name| Some(name.strip_prefix("run/history/")?.strip_suffix("/steps")?.to_string()))
            .collect();
        for metric in metrics {
            let mut take = |part: &str| {
                let name = format!("run/history/{metric}/{part}");
                state.remove(&name).ok_or_else(|| format!("`{name}` is missing")).map(|array| (name, array))
            };
            let ((name, steps), (other, values)) = (take("steps")?, take("values")?);
            let (steps, values) = (steps.into_u64(&name)?, values.into_f64(&other)?);
            if steps.len() != values.len() || !steps.is_sorted() {
                return Err(format!("`{name}` is no series"));
            }
            for (step, value) in steps.into_iter().zip(values) {
                history.add(step, &[(metric.clone(), value)]);
            }
        }
        let probe = state.remove("run/probe").map(|probe| probe.into_f32("run/probe")).transpose()?;
        if let Some(name) = state.keys().next() {
            return Err(format!("`{name}` belongs to nothing"));
        }
        Ok(Saved {
            architecture,
            parameters,
            progress: self.meta.progress.clone(),
            history,
            growths: self.meta.events.iter().map(growth).collect::<Result<_, _>>()?,
            probe: probe.map(|(_, values)| values),
        })
    }
}

/// Digests and names of what differs between a checkpoint of the record and the same one made again: the tensor that
/// is first in the network, else the optimiser's state.
pub fn first_difference(recorded: &schema::Checkpoint, again: &schema::Checkpoint) -> Option<String> {
    if recorded.weights != again.weights {
        let differs = |(name, digest): &(&String, &String)| recorded.tensors.get(*name) != Some(*digest);
        let gone = recorded.tensors.keys().find(|name| !again.tensors.contains_key(*name));
        let tensor = again.tensors.iter().find(differs).map(|(name, _)| name).or(gone);
        return Some(tensor.cloned().unwrap_or_else(|| "the weights".into()));
    }
    (recorded.optimizer != again.optimizer).then(|| "the optimiser's state".into())
}

/// A [`first_difference`] for people: the tensor, where it is one, and in which checkpoint what differs.
pub fn told(difference: String, recorded: &schema::Checkpoint, again: &schema::Checkpoint) -> (Option<String>, String) {
    let is_tensor = [recorded, again].iter().any(|entry| entry.tensors.contains_key(&difference));
    let checkpoint = format!("checkpoint {}", recorded.name);
    if is_tensor { (Some(difference), checkpoint) } else { (None, format!("{difference} in {checkpoint}")) }
}

/// A growth event in the record.
pub fn event(growth: &Growth) -> schema::Event {
    schema::Event {
        step: growth.step,
        epoch: growth.epoch,
        action: growth.action.clone(),
        target: growth.target.clone(),
        method: growth.method.clone(),
        detail: growth.detail.clone(),
        promise: growth.promise.word().into(),
        rule: growth.rule.clone(),
        bound: growth.bound,
        held: growth.held,
        drift: growth.drift,
        shock: growth.shock.map(|shock| shock.rise),
        recovered_after_steps: growth.shock.and_then(|shock| shock.recovered_after),
        grad_fresh: growth.gradient_fresh,
        grad_old: growth.gradient_old,
        parameters_before: growth.parameters_before,
        parameters_after: growth.parameters_after,
        shape: growth.shape.clone(),
        layers: growth.layers.clone(),
        weights: growth.weights.clone(),
        seconds: growth.seconds,
    }
}

/// A growth event out of the record; its place in the schedule is not kept.
pub fn growth(event: &schema::Event) -> Result<Growth, String> {
    let promises = [Promise::None, Promise::Bounded, Promise::Rounding, Promise::Bitwise];
    let promise = promises.into_iter().find(|promise| promise.word() == event.promise);
    Ok(Growth {
        step: event.step,
        epoch: event.epoch,
        action: event.action.clone(),
        target: event.target.clone(),
        method: event.method.clone(),
        detail: event.detail.clone(),
        promise: promise.ok_or_else(|| format!("no promise is called `{}`", event.promise))?,
        rule: event.rule.clone(),
        bound: event.bound,
        held: event.held,
        drift: event.drift,
        parameters_before: event.parameters_before,
        parameters_after: event.parameters_after,
        shape: event.shape.clone(),
        layers: event.layers.clone(),
        weights: event.weights.clone(),
        seconds: event.seconds,
        shock: event.shock.map(|rise| Shock { rise, recovered_after: event.recovered_after_steps }),
        gradient_fresh: event.grad_fresh,
        gradient_old: event.grad_old,
        span: crate::base::Span::default(),
    })
}
