//! Whether a checkpoint belongs to a program. It may come from a stranger, so nothing in it is believed before it was
//! compared.

use super::progress::{Progress, Saved};
use crate::base::Refusal;
use crate::check::program::Program;
use crate::nn::{Architecture, Parameter};
use std::collections::BTreeMap;

/// Refuses what would not fit: shapes, numbers of events, a step behind the end.
pub(super) fn fits(saved: &Saved, program: &Program) -> Result<(), Refusal> {
    let found = shapes(&saved.architecture, &saved.parameters)
        .and_then(|()| ends(saved, program))
        .and_then(|()| places(&saved.progress, program, saved.growths.len()));
    found.map_err(|what| {
        Refusal::error(
            "G0803",
            format!("the checkpoint does not fit the schedule: {what}"),
            "use the schedule that is in the run's run.yaml, and the checkpoint as it was written",
        )
    })
}

/// Every parameter of the architecture is there, with slots and ages of its shape, and no other.
fn shapes(architecture: &Architecture, parameters: &[Parameter<f32>]) -> Result<(), String> {
    let mut given: BTreeMap<&str, &Parameter<f32>> = BTreeMap::new();
    for parameter in parameters {
        if given.insert(&parameter.name, parameter).is_some() {
            return Err(format!("`{}` is there twice", parameter.name));
        }
    }
    for shape in architecture.parameters() {
        let Some(parameter) = given.remove(shape.name.as_str()) else {
            return Err(format!("`{}` is missing", shape.name));
        };
        let extents = shape.extents(architecture);
        if parameter.value.shape() != extents {
            return Err(format!("`{}` is {:?}, not {extents:?}", shape.name, parameter.value.shape()));
        }
        if parameter.slots.iter().any(|slot| slot.value.shape() != extents) {
            return Err(format!("a moment of `{}` has another shape", shape.name));
        }
        let is_old = |births: &Vec<u64>| births.iter().all(|birth| *birth <= parameter.updates);
        let ages = parameter.births.iter().map(Vec::len);
        if !ages.eq(extents) || !parameter.births.iter().all(is_old) {
            return Err(format!("the ages of `{}` are not those of its shape", shape.name));
        }
    }
    match given.keys().next() {
        Some(name) => Err(format!("no layer has `{name}`")),
        None => Ok(()),
    }
}

/// Input and output are those of the data.
fn ends(saved: &Saved, program: &Program) -> Result<(), String> {
    let width = |architecture: &Architecture| {
        let (input, output) = (architecture.input, architecture.output());
        let values = architecture.width(input.axis).exact().checked_mul(input.values_per_unit());
        (values, architecture.width(output.axis).exact())
    };
    let (has, wants) = (width(&saved.architecture), width(&program.architecture));
    if has != wants || saved.architecture.task != program.architecture.task {
        return Err("the network has other inputs or outputs than the data".into());
    }
    match &saved.probe {
        Some(probe) if !probe.len().is_multiple_of(has.1) => Err("its probe is torn".into()),
        _ => Ok(()),
    }
}

/// Every number of a step, an event or an action leads somewhere.
fn places(progress: &Progress, program: &Program, growths: usize) -> Result<(), String> {
    let (cursor, events) = (&progress.cursor, program.events.len());
    if progress.step > program.train.steps {
        return Err(format!("it is of step {}, and the schedule ends at step {}", progress.step, program.train.steps));
    }
    let numbers = cursor.queue.iter().chain(progress.fired.keys()).chain(&progress.done);
    if numbers.max().is_some_and(|number| *number >= events) {
        return Err(format!("it names an event that is not among the {events}"));
    }
    if let Some(begun) = cursor.begun {
        let first = cursor.queue.front().ok_or("an event goes on, and none is due")?;
        if begun.action > program.events[*first].actions.len() || begun.growths > growths {
            return Err("it stands behind the last action of an event".into());
        }
    }
    let watched = progress.losses.watched().chain(progress.unmeasured.iter().copied()).max();
    if watched.is_some_and(|index| index >= growths) {
        return Err(format!("it names a growth event that is not among the {growths}"));
    }
    Ok(())
}
