//! What two runs have in common, and where they part.

use super::checkpoint;
use super::lines::{self, Line};
use super::schema::{Checkpoint, Record};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A run as far as it is there: of a bare record there are no lines.
pub struct Side {
    pub record: Record,
    pub lines: Option<Vec<Line>>,
}

/// The same thing in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    pub what: String,
    /// `None` where only the other one has it.
    pub a: Option<String>,
    pub b: Option<String>,
}

/// The first thing that was computed and is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    pub step: u64,
    /// The first tensor that differs, where a checkpoint of this step tells.
    pub tensor: Option<String>,
    /// What showed it: `checkpoint start`, `val_loss 0.31 and 0.32`.
    pub what: String,
    /// The last step at which both had the same, if there is one.
    pub agreed: Option<u64>,
}

/// Every leaf that differs between two values, by its path: `model.layers.h1.width`. Parts of a list are known by their
/// name, where they have one.
pub fn leaves<T: Serialize>(a: &T, b: &T) -> Vec<Pair> {
    let flat = |value: &T| {
        let mut out = BTreeMap::new();
        flatten("", &serde_json::to_value(value).expect("a record's types are JSON too"), &mut out);
        out
    };
    let (a, b) = (flat(a), flat(b));
    let paths: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differs.map(|path| Pair { what: path.clone(), a: a.get(path).cloned(), b: b.get(path).cloned() }).collect()
}

fn flatten(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&below(name), value, out)),
        Value::Array(items) => {
            let name = |item: &Value| Some(item.get("name")?.as_str()?.to_string());
            let names: BTreeSet<String> = items.iter().filter_map(name).collect();
            for (at, item) in items.iter().enumerate() {
                let known = name(item).filter(|_| names.len() == items.len());
                // A setting is its value.
                let value = item.get("value").filter(|_| item.as_object().is_some_and(|item| item.len() == 2));
                flatten(&below(&known.unwrap_or_else(|| (at + 1).to_string())), value.unwrap_or(item), out);
            }
        }
        Value::String(text) => drop(out.insert(path.into(), text.clone())),
        other => drop(out.insert(path.into(), other.to_string())),
    }
}

/// Where the runs part; `None` when all that both have is the same.
pub fn parting(a: &Side, b: &Side) -> Option<Parting> {
    let mut seen = Vec::new();
    checkpoints(&a.record.checkpoints, &b.record.checkpoints, &mut seen);
    for (one, other) in a.record.events.iter().zip(&b.record.events) {
        let of = |event: &super::schema::Event| (event.step, event.action.clone(), event.detail.clone());
        let what = (of(one) != of(other))
            .then(|| format!("growth: {} {} and {} {}", one.action, one.detail, other.action, other.detail));
        let what = what.or_else(|| {
            (one.weights != other.weights).then(|| format!("the weights after {} {}", one.action, one.detail))
        });
        seen.push(Seen { step: one.step.min(other.step), rank: 1, tensor: None, what });
    }
    if let (Some(one), Some(other)) = (&a.lines, &b.lines) {
        evaluations(one, other, &mut seen);
    }
    if let (Some(one), Some(other)) = (&a.record.result, &b.record.result) {
        let what = (one.weights != other.weights).then(|| "the final weights".to_string());
        seen.push(Seen { step: one.step.min(other.step), rank: 3, tensor: None, what });
    }
    // At one step a checkpoint says most, then growth.
    seen.sort_by_key(|seen| (seen.step, seen.rank));
    let first = seen.iter().find(|seen| seen.what.is_some())?;
    let agreed = seen.iter().filter(|seen| seen.what.is_none() && seen.step < first.step).map(|seen| seen.step).max();
    let tensor = seen.iter().filter(|seen| seen.step == first.step).find_map(|seen| seen.tensor.clone());
    Some(Parting { step: first.step, tensor, what: first.what.clone().expect("it was found by it"), agreed })
}

/// One comparison; `what` is `None` where it found nothing.
struct Seen {
    step: u64,
    rank: u8,
    tensor: Option<String>,
    what: Option<String>,
}

/// Checkpoints of one name and step, where each run has one such.
fn checkpoints(a: &[Checkpoint], b: &[Checkpoint], seen: &mut Vec<Seen>) {
    for one in a {
        let same = |other: &&Checkpoint| other.name == one.name && other.step == one.step;
        if let ([other], 1) = (b.iter().filter(same).collect::<Vec<_>>().as_slice(), a.iter().filter(same).count()) {
            let difference = checkpoint::first_difference(one, other);
            let (tensor, what) = match difference.map(|difference| checkpoint::told(difference, one, other)) {
                Some((tensor, what)) => (tensor, Some(what)),
                None => (None, None),
            };
            seen.push(Seen { step: one.step, rank: 0, tensor, what });
        }
    }
}

/// Lines of one step, in the order in which they were written; `log every` and evaluations apart.
fn evaluations(a: &[Line], b: &[Line], seen: &mut Vec<Seen>) {
    let by_place = |all: &[Line]| {
        let mut places: BTreeMap<(u64, bool, usize), Line> = BTreeMap::new();
        let mut times: BTreeMap<(u64, bool), usize> = BTreeMap::new();
        for line in all {
            let (step, logged) = (lines::step(line), line.contains_key("batch_loss"));
            let time = times.entry((step, logged)).or_default();
            places.insert((step, logged, *time), line.clone());
            *time += 1;
        }
        places
    };
    let (a, b) = (by_place(a), by_place(b));
    for ((step, logged, time), one) in &a {
        if let Some(other) = b.get(&(*step, *logged, *time)) {
            let differs = lines::first_difference(one, other);
            let what = differs.map(|(key, a, b)| if key == "confusion" { key } else { format!("{key} {a} and {b}") });
            seen.push(Seen { step: *step, rank: 2, tensor: None, what });
        }
    }
}
