//! Whether a run directory is as it was written: every digest again, from the files to the record, and from each
//! checkpoint to the one before it.

use super::checkpoint::{self, META, STATE, WEIGHTS};
use super::names::{CHECKPOINTS, FINAL, LOCK, METRICS, RECORD, SCALING, TENSORBOARD};
use super::recorder::broken;
use super::schema::{self, Meta, Record};
use super::weights::Array;
use super::{lines, load, model, weights, yaml};
use crate::base::{Refusal, World, digest};
use std::collections::BTreeMap;
use std::path::Path;

/// One thing that was compared with the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// A path within the run directory, or what else it is: `the schedule`.
    pub what: String,
    pub found: Found,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// As the record says, with a word about it.
    Same(String),
    /// There is nothing to compare it with.
    Said(String),
    Differs(Difference),
}

/// What is not as the record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// `it is not as it was written`
    pub problem: String,
    /// The step that it is about, where it is about one.
    pub step: Option<u64>,
    /// The tensor, where it can be told.
    pub tensor: Option<String>,
}

impl Difference {
    fn new(problem: impl Into<String>) -> Difference {
        Difference { problem: problem.into(), ..Difference::default() }
    }
}

/// A run directory and everything that was compared in it. The record is missing where it cannot be read.
pub struct Verified {
    pub record: Option<Record>,
    pub checks: Vec<Check>,
}

/// Largest metrics.jsonl that is read, in bytes.
const METRICS_BYTES_MAX: u64 = 1 << 30;
const CHANGED: &str = "it is not as it was written: its digest differs";
const MISSING: &str = "it is not there";
/// How often a run that goes on is looked at again, when it has changed meanwhile.
const LOOKS: usize = 5;

/// Compares all that is in a run directory. Reads only. Refused when there is no record of this version.
pub fn directory(world: &dyn World, folder: &Path) -> Result<Verified, Refusal> {
    let mut verified = once(world, folder)?;
    for _ in 1..LOOKS {
        let is_open = verified.record.as_ref().is_none_or(|record| record.status == "running");
        let differs = verified.checks.iter().any(|check| matches!(check.found, Found::Differs(_)));
        if !is_open || !differs {
            break;
        }
        // A run that goes on may have written and removed files between two of our looks.
        let again = once(world, folder)?;
        if again.checks == verified.checks {
            break;
        }
        verified = again;
    }
    Ok(verified)
}

fn once(world: &dyn World, folder: &Path) -> Result<Verified, Refusal> {
    let path = folder.join(RECORD);
    load::no_comparison(world, folder)?;
    let content = world.read_beneath(folder, Path::new(RECORD), yaml::BYTES_MAX);
    let content = content.map_err(|error| load::unreadable(&error))?;
    let differs = |problem: &str| Check { what: RECORD.into(), found: Found::Differs(Difference::new(problem)) };
    let Ok(text) = String::from_utf8(content) else {
        return Ok(Verified { record: None, checks: vec![differs(CHANGED)] });
    };
    let seal = yaml::sealed(&text).ok_or(CHANGED);
    let read: Result<Record, String> = yaml::read(&text).and_then(|record: Record| match record.record {
        schema::SCHEMA => Ok(record),
        other => Err(format!("it has version {other}, this is {}", schema::SCHEMA)),
    });
    let record = match (read, &seal) {
        (Ok(record), _) => record,
        (Err(error), Ok(_)) => return Err(broken(&path, error)),
        (Err(_), Err(what)) => return Ok(Verified { record: None, checks: vec![differs(what)] }),
    };
    let mut checks = vec![match &seal {
        Ok(_) => Check { what: RECORD.into(), found: Found::Same(format!("version {}", record.record)) },
        Err(what) => differs(what),
    }];
    let directory = Directory { world, folder, record: &record };
    checks.push(directory.schedule());
    checks.push(Check { what: METRICS.into(), found: directory.metrics() });
    checks.push(Check { what: SCALING.into(), found: directory.scaling() });
    if let Some(found) = directory.weights() {
        checks.push(Check { what: FINAL.into(), found });
    }
    checks.extend(directory.result());
    checks.extend(directory.checkpoints());
    checks.extend(directory.others()?);
    Ok(Verified { record: Some(record), checks })
}

struct Directory<'a> {
    world: &'a dyn World,
    folder: &'a Path,
    record: &'a Record,
}

impl Directory<'_> {
    /// The texts in the record, and the same files where an archive was unpacked.
    fn schedule(&self) -> Check {
        let what = "the schedule".to_string();
        if super::initial::schedule_digest(&self.record.schedule) != self.record.schedule_digest {
            return Check { what, found: Found::Differs(Difference::new(CHANGED)) };
        }
        for file in &self.record.schedule {
            let Some(path) = super::share::schedule_path(&file.name) else { continue };
            if let Ok(content) = self.world.read_beneath(self.folder, Path::new(&path), yaml::BYTES_MAX)
                && content != file.text.as_bytes()
            {
                let found = Found::Differs(Difference::new("it is not the text of the record"));
                return Check { what: path, found };
            }
        }
        let names: Vec<&str> = self.record.schedule.iter().map(|file| file.name.as_str()).collect();
        Check { what, found: Found::Same(names.join(", ")) }
    }

    /// The bytes of a file whose digest the result has.
    fn of_result(&self, name: &str, limit: u64) -> Result<Vec<u8>, Difference> {
        let content = self.read(name, limit)?;
        match self.record.result.as_ref().map(|result| result.files.get(name)) {
            Some(Some(recorded)) if *recorded != digest::bytes(&content) => Err(Difference::new(CHANGED)),
            Some(None) => Err(Difference::new("the record does not know it")),
            _ => Ok(content),
        }
    }

    /// A file that is being made may not be there yet.
    fn not_yet(&self, difference: Difference) -> Found {
        match self.is_open() && difference.problem == MISSING {
            true => Found::Said("not written yet".into()),
            false => Found::Differs(difference),
        }
    }

    /// Never through a link, and no longer than such a file can be.
    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Difference> {
        match self.world.entry_beneath(self.folder, Path::new(name)) {
            Ok(None) => return Err(Difference::new(MISSING)),
            Ok(Some(_)) => {}
            Err(error) => return Err(Difference::new(error.reason)),
        }
        self.world.read_beneath(self.folder, Path::new(name), limit).map_err(|error| Difference::new(error.reason))
    }

    fn metrics(&self) -> Found {
        match self.of_result(METRICS, METRICS_BYTES_MAX) {
            Ok(_) if self.record.metrics_damaged => {
                let problem = "lines had been changed or lost before the run was resumed";
                Found::Differs(Difference::new(problem))
            }
            Ok(content) if !self.holds_what_was_saved(&content) => Found::Differs(Difference::new(CHANGED)),
            Ok(content) => match lines::read(&content) {
                Ok(lines) => Found::Same(format!("{} lines", lines.len())),
                Err(line) => Found::Differs(Difference::new(format!("line {line} is none that a run writes"))),
            },
            Err(difference) => self.not_yet(difference),
        }
    }

    /// Whether the lines that the newest checkpoint knows are there as they were; of a run that has ended its result knows
    /// all of them.
    fn holds_what_was_saved(&self, content: &[u8]) -> bool {
        if self.record.result.is_some() {
            return true;
        }
        let kept = self.record.checkpoints.iter().rev().filter(|entry| entry.kept);
        let mut metas = kept.filter_map(|entry| self.meta(&format!("{CHECKPOINTS}/{}", entry.name)).ok());
        let Some((meta, _)) = metas.next() else { return true };
        let told = usize::try_from(meta.metrics_bytes).ok().and_then(|bytes| content.get(..bytes));
        told.is_some_and(|told| digest::bytes(told) == meta.metrics)
    }

    fn scaling(&self) -> Found {
        let values = self.record.data.area.map_or(1, |(rows, columns)| rows.saturating_mul(columns));
        let values = values.saturating_mul(self.record.data.inputs) as u64;
        let limit = values.saturating_mul(8).saturating_add(8 + weights::HEADER_BYTES_MAX);
        match self.of_result(SCALING, limit).map(|content| weights::read(&content)) {
            Ok(Ok(_)) => Found::Same(String::new()),
            Ok(Err(error)) => Found::Differs(Difference::new(error)),
            Err(difference) => self.not_yet(difference),
        }
    }

    /// The final weights; `None` where the run has none, and none are there.
    fn weights(&self) -> Option<Found> {
        let result = self.record.result.as_ref();
        if !result.is_some_and(|result| result.files.contains_key(FINAL)) {
            let is_there = matches!(self.world.entry_beneath(self.folder, Path::new(FINAL)), Ok(Some(_)));
            return is_there.then(|| match self.is_open() {
                true => Found::Said("newer than the record".into()),
                false => Found::Differs(Difference::new("the run has no final weights")),
            });
        }
        let result = result.expect("it has files");
        let twin = self.record.checkpoints.iter().find(|entry| Some(&entry.weights) == result.weights.as_ref());
        let tensor =
            |file: &BTreeMap<String, Array>| twin.and_then(|twin| weights::first_difference(&twin.tensors, file));
        let limit = result.model.numbers().saturating_mul(4).saturating_add(8 + weights::HEADER_BYTES_MAX);
        let content = match self.of_result(FINAL, limit) {
            Ok(content) => content,
            Err(difference) => {
                // What can still be read of it tells which tensor it is.
                let file = self.read(FINAL, limit).ok().and_then(|content| weights::read(&content).ok());
                let tensor = file.as_ref().and_then(tensor);
                return Some(Found::Differs(Difference { step: Some(result.step), tensor, ..difference }));
            }
        };
        let digest = weights::read(&content).and_then(|file| {
            let architecture = model::read(&result.model, &self.record.data)?;
            let names: Vec<String> = architecture.parameters().into_iter().map(|shape| shape.name).collect();
            Ok((weights::digest(names.iter().map(String::as_str), &file), tensor(&file), names.len() == file.len()))
        });
        Some(match digest {
            Ok((digest, _, true)) if digest == result.weights => Found::Same(digest.unwrap_or_default()),
            Ok((_, tensor, _)) => {
                let problem = "its weights are not those of the record".into();
                Found::Differs(Difference { problem, step: Some(result.step), tensor })
            }
            Err(problem) => Found::Differs(Difference { problem, step: Some(result.step), tensor: None }),
        })
    }

    /// Numbers for people and for machines are the same ones.
    fn result(&self) -> Option<Check> {
        let result = self.record.result.as_ref()?;
        let same = |value: Option<f64>, exact: Option<f64>| match (value, exact) {
            (Some(value), Some(exact)) => value.to_bits() == exact.to_bits(),
            (None, Some(exact)) => !exact.is_finite(),
            (_, None) => false,
        };
        let differs = result.metrics.iter().find(|metric| !same(metric.value, metric.exact()))?;
        let problem = format!("`{}` is not the number of its bits", differs.name);
        let difference = Difference { problem, step: Some(result.step), tensor: None };
        Some(Check { what: "the result".into(), found: Found::Differs(difference) })
    }

    fn checkpoints(&self) -> Vec<Check> {
        let entries = self.record.checkpoints.iter().enumerate();
        let checks = entries.filter_map(|(at, entry)| match self.chained(at) {
            Err(problem) => {
                let difference = Difference { problem: problem.into(), step: Some(entry.step), tensor: None };
                let what = format!("{CHECKPOINTS}/{}", entry.name);
                Some(Check { what, found: Found::Differs(difference) })
            }
            Ok(()) => entry.kept.then(|| self.checkpoint(entry)),
        });
        checks.collect()
    }

    /// Each checkpoint names the one before it, the first of a run with a parent that of the parent. Where the record has
    /// forgotten some, nothing can be said.
    fn chained(&self, at: usize) -> Result<(), &'static str> {
        let entry = &self.record.checkpoints[at];
        if Path::new(&entry.name).file_name().is_none_or(|name| name != entry.name.as_str()) {
            return Err("this is no name of a checkpoint");
        }
        let before = at.checked_sub(1).map(|before| &self.record.checkpoints[before]);
        let (number, digest) = match (before, &self.record.parent) {
            (Some(before), _) => (before.number, Some(&before.digest)),
            (None, Some(parent)) => (0, Some(&parent.digest)),
            (None, None) => (0, None),
        };
        match entry.number.checked_sub(number) {
            None | Some(0) => Err("it is out of order"),
            Some(1) if entry.parent.as_ref() != digest => Err("it does not follow the checkpoint before it"),
            Some(_) => Ok(()),
        }
    }

    fn checkpoint(&self, entry: &schema::Checkpoint) -> Check {
        let what = format!("{CHECKPOINTS}/{}", entry.name);
        let differs = |file: &str, problem: String, tensor: Option<String>| Check {
            what: format!("{what}/{file}"),
            found: Found::Differs(Difference { problem, step: Some(entry.step), tensor }),
        };
        if matches!(self.world.entry(&self.folder.join(&what)), Ok(None)) {
            if self.is_open() {
                return Check { what, found: Found::Said("removed, to make room for a newer one".into()) };
            }
            let difference = Difference { step: Some(entry.step), ..Difference::new(MISSING) };
            return Check { what, found: Found::Differs(difference) };
        }
        let (meta, digest) = match self.meta(&what) {
            Ok(read) => read,
            Err(problem) => return differs(META, problem, None),
        };
        if digest != entry.digest {
            if self.is_open() && meta.number > entry.number {
                return Check { what, found: Found::Said("newer than the record".into()) };
            }
            return differs(META, "it is not the checkpoint of the record".into(), None);
        }
        let says = (&meta.name, meta.number, meta.step, &meta.parent, &meta.weights, &meta.optimizer);
        let recorded = (&entry.name, entry.number, entry.step, &entry.parent, &entry.weights, &entry.optimizer);
        if says != recorded || meta.schedule_digest != self.record.schedule_digest {
            return differs(META, "it says something else than the record".into(), None);
        }
        let mut files = Vec::new();
        let (weights_max, state_max) = checkpoint::bytes_max(&meta);
        for (name, digest, limit) in [(WEIGHTS, &meta.weights_file, weights_max), (STATE, &meta.state_file, state_max)]
        {
            match self.read(&format!("{what}/{name}"), limit) {
                Ok(content) if digest::bytes(&content) == *digest => files.push(content),
                Ok(content) => {
                    let file = (name == WEIGHTS).then(|| weights::read(&content).ok()).flatten();
                    let tensor = file.and_then(|file| weights::first_difference(&entry.tensors, &file));
                    return differs(name, CHANGED.into(), tensor);
                }
                Err(difference) => return differs(name, difference.problem, None),
            }
        }
        let (state, weights) = (files.pop().expect("two were read"), files.pop().expect("two were read"));
        let (name, number, step) = (entry.name.clone(), entry.number, entry.step);
        let saved = checkpoint::Read::of(meta, entry.clone(), weights, state)
            .saved(&self.folder.join(&what), &self.record.data);
        let again = match saved {
            Ok(saved) => checkpoint::entry(&name, number, step, &saved.parameters),
            Err(refusal) => return differs(META, refusal.message, None),
        };
        match again {
            None => differs(WEIGHTS, "it holds what is no number".into(), None),
            Some(again) => match checkpoint::first_difference(entry, &again) {
                Some(tensor) => differs(WEIGHTS, "it is not what the record says".into(), Some(tensor)),
                // A long record has forgotten them.
                None if !entry.tensors.is_empty() && again.tensors != entry.tensors => {
                    differs(WEIGHTS, "it is not what the record says".into(), None)
                }
                None => Check { what, found: Found::Same(format!("step {}", entry.step)) },
            },
        }
    }

    /// What the `meta.yaml` of a folder says, and its digest.
    fn meta(&self, folder: &str) -> Result<(Meta, String), String> {
        let path = Path::new(folder).join(META);
        let content = self.world.read_beneath(self.folder, &path, checkpoint::META_BYTES_MAX);
        let content = content.map_err(|error| error.reason)?;
        let text = String::from_utf8(content).map_err(|_| CHANGED)?;
        let digest = yaml::sealed(&text).ok_or(CHANGED)?;
        Ok((yaml::read(&text)?, digest))
    }

    /// Whether the run goes on, or was killed: then its last checkpoint may be newer than the record.
    fn is_open(&self) -> bool {
        self.record.status == "running"
    }

    /// Whether it is a checkpoint of this run from before those that a long record still has room for.
    fn is_forgotten(&self, folder: &str, name: &str) -> bool {
        let first = self.record.checkpoints.first().map_or(0, |entry| entry.number);
        self.meta(folder).is_ok_and(|(meta, _)| {
            meta.name == name && meta.number < first && meta.schedule_digest == self.record.schedule_digest
        })
    }

    /// Whether it is the last checkpoint of its name, which the record has let go of before its files went.
    fn was_let_go(&self, folder: &str, name: &str) -> bool {
        let last = self.record.checkpoints.iter().rev().find(|entry| entry.name == name);
        last.is_some_and(|last| self.meta(folder).is_ok_and(|(_, digest)| digest == last.digest))
    }

    /// What is there beside what the record names.
    fn others(&self) -> Result<Vec<Check>, Refusal> {
        const OURS: [&str; 13] = [
            RECORD,
            LOCK,
            METRICS,
            SCALING,
            FINAL,
            CHECKPOINTS,
            TENSORBOARD,
            "report.html",
            "report.svg",
            "report.md",
            "README.txt",
            "schedule",
            "data",
        ];
        let said = |what: String, word: &str| Check { what, found: Found::Said(word.into()) };
        let list = |folder: &Path| match self.world.entry(folder) {
            Ok(Some(_)) => self.world.list(folder),
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let mut checks = Vec::new();
        let names = list(self.folder).map_err(|error| load::unreadable(&error))?;
        for name in names.into_iter().filter(|name| !OURS.contains(&name.as_str())) {
            checks.push(said(name, "not of the record"));
        }
        for name in list(&self.folder.join(CHECKPOINTS)).map_err(|error| load::unreadable(&error))? {
            let what = format!("{CHECKPOINTS}/{name}");
            if self.record.checkpoints.iter().any(|entry| entry.kept && entry.name == name) {
                continue;
            }
            checks.push(if super::resume::is_set_aside(&name) {
                said(what, "set aside when the run was resumed")
            } else if [".tmp", ".old", ".gone"].iter().any(|suffix| name.ends_with(suffix)) {
                said(what, "left by a crash; `resume` clears it away")
            } else if self.is_open() && self.meta(&what).is_ok() {
                said(what, "newer than the record")
            } else if self.was_let_go(&what, &name) {
                said(what, "left by a crash, no longer needed")
            } else if self.is_forgotten(&what, &name) {
                said(what, "whole; a long record has no room for it")
            } else {
                Check { what, found: Found::Differs(Difference::new("the record does not know it")) }
            });
        }
        Ok(checks)
    }
}
