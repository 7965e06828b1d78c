//! What a report is about, read: a run, or a comparison with its runs. Everything in it may be a stranger's, and what
//! would tell of the machine's folders has been taken out.

use super::course::{self, Course};
use super::network;
use super::sketch::{self, Drawn};
use super::timeline::Phase;
use crate::base::world::Entry;
use crate::base::{Error, Refusal, World};
use crate::compare;
use crate::compare::schema::{ArmPlan, Comparison};
use crate::record::schema::{Event, Record};
use crate::record::{load, share, slug, yaml};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RECORD: &str = "run.yaml";
const METRICS: &str = "metrics.jsonl";
/// Runs of a comparison whose metrics are read, and their bytes together.
const RUNS_MAX: usize = 256;
const COMPARISON_BYTES_MAX: u64 = 512 << 20;
/// Folders that are looked into for the runs of a comparison that has no result yet.
const LOOKED_AT: usize = 2000;

pub enum Subject {
    Run(Box<Run>),
    Comparison(Box<Compared>),
}

/// A run without a path of its machine.
pub struct Run {
    /// `quickstart/0001`
    pub label: String,
    pub record: Record,
    pub course: Course,
    /// Whether the record is as growrun wrote it, by its own digest.
    pub is_sealed: bool,
}

pub struct Compared {
    pub label: String,
    pub comparison: Comparison,
    /// In the order of the plan.
    pub arms: Vec<Arm>,
    /// The first run of the reference, for its growth.
    pub reference: Option<Run>,
    /// Runs whose metrics are not there or not read.
    pub missing: u64,
}

/// The courses of an arm's runs, in the order of the seeds; those that could be read.
pub struct Arm {
    pub name: String,
    pub courses: Vec<Course>,
}

/// The metric that a run is told by.
pub struct Headline {
    pub name: String,
    pub value: Option<f64>,
    /// The best value and the step that it was reached at.
    pub best: Option<(f64, u64)>,
}

/// Reads the run or the comparison in a folder, or in the file itself when `path` is one.
pub fn read(world: &dyn World, path: &Path) -> Result<Subject, Refusal> {
    let is_file = matches!(world.entry(path), Ok(Some(Entry::File { .. })));
    let (folder, file) = match is_file {
        true => (parent(path), path.to_path_buf()),
        false => {
            let is_comparison = matches!(world.entry_beneath(path, Path::new(compare::FILE)), Ok(Some(_)));
            (path.to_path_buf(), path.join(if is_comparison { compare::FILE } else { RECORD }))
        }
    };
    match file.file_name().is_some_and(|name| name == compare::FILE) {
        true => Ok(Subject::Comparison(Box::new(compared(world, &folder, &file)?))),
        false => Ok(Subject::Run(Box::new(run(world, &folder, &file)?))),
    }
}

/// The folder that a path lies in.
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}

fn run(world: &dyn World, folder: &Path, file: &Path) -> Result<Run, Refusal> {
    let record = load::record_file(world, file)?;
    let name = Path::new(file.file_name().unwrap_or_default());
    let text = world.read_beneath(folder, name, yaml::BYTES_MAX).unwrap_or_default();
    let is_sealed = std::str::from_utf8(&text).is_ok_and(|text| yaml::sealed(text).is_some());
    let course = course(world, folder, Path::new(METRICS), course::BYTES_MAX).0;
    Ok(of_record(&record, label(world, folder, &record.name), course, is_sealed))
}

fn of_record(record: &Record, label: String, course: Course, is_sealed: bool) -> Run {
    let mut record = share::stripped(record, BTreeMap::new());
    record.base = record.base.map(|base| share::without_path(&base));
    Run { label, record, course, is_sealed }
}

/// `quickstart/0001`: the run's name and what its folder is called.
fn label(world: &dyn World, folder: &Path, name: &str) -> String {
    let path = world.canonical(folder).unwrap_or_else(|_| folder.into());
    let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = slug(name);
    if last.is_empty() || last == name { name } else { format!("{name}/{last}") }
}

/// What was measured, and how many bytes that were.
fn course(world: &dyn World, folder: &Path, path: &Path, limit: u64) -> (Course, u64) {
    match world.read_beneath(folder, path, limit) {
        Ok(content) => (Course::read(&content), content.len() as u64),
        Err(error) => {
            let trouble = match error.code {
                "G0802" => format!("it holds more than {limit} bytes"),
                _ => error.reason,
            };
            (Course { trouble: Some(trouble), ..Course::default() }, 0)
        }
    }
}

fn compared(world: &dyn World, folder: &Path, file: &Path) -> Result<Compared, Refusal> {
    let name = Path::new(file.file_name().unwrap_or_default());
    let mut comparison = compare::read_file(world, folder, name)?;
    comparison.command.iter_mut().for_each(|word| *word = share::without_path(word));
    let runs = match &comparison.result {
        Some(outcome) => {
            let of_arm = |plan: &ArmPlan| {
                let arm = outcome.arms.iter().find(|arm| arm.name == plan.name);
                arm.map_or_else(Vec::new, |arm| arm.runs.iter().map(|run| PathBuf::from(&run.run)).collect())
            };
            comparison.arms.iter().map(of_arm).collect()
        }
        None => found(world, folder, &comparison.arms),
    };
    let mut left = (RUNS_MAX, COMPARISON_BYTES_MAX);
    let mut missing = 0;
    let mut arms = Vec::new();
    for (plan, runs) in comparison.arms.iter().zip(&runs) {
        let mut courses = Vec::new();
        for path in runs {
            if left.0 == 0 {
                missing += 1;
                continue;
            }
            left.0 -= 1;
            let (course, bytes) = course(world, folder, &path.join(METRICS), course::BYTES_MAX.min(left.1));
            left.1 -= bytes;
            match course.steps.is_empty() {
                true => missing += 1,
                false => courses.push(course),
            }
        }
        arms.push(Arm { name: plan.name.clone(), courses });
    }
    let first = runs.first().and_then(|runs| runs.first()).and_then(|path| {
        let record = record_beneath(world, folder, path)?;
        let course = course(world, folder, &path.join(METRICS), course::BYTES_MAX).0;
        Some(of_record(&record, record.name.clone(), course, true))
    });
    let label = label(world, folder, &comparison.name);
    Ok(Compared { label, comparison, arms, reference: first, missing })
}

fn record_beneath(world: &dyn World, folder: &Path, run: &Path) -> Option<Record> {
    let content = world.read_beneath(folder, &run.join(RECORD), yaml::BYTES_MAX).ok()?;
    let record: Record = yaml::read(std::str::from_utf8(&content).ok()?).ok()?;
    (record.record == crate::record::schema::SCHEMA).then_some(record)
}

/// The runs that lie in a comparison's folder and the folders in it, by the arm that their records name.
fn found(world: &dyn World, folder: &Path, arms: &[ArmPlan]) -> Vec<Vec<PathBuf>> {
    let mut runs: Vec<Vec<(u64, PathBuf)>> = arms.iter().map(|_| Vec::new()).collect();
    let mut left = LOOKED_AT;
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        if left == 0 {
            break;
        }
        left -= 1;
        if let Some(record) = record_beneath(world, folder, &path) {
            let arm = record.arm.as_ref().and_then(|arm| arms.iter().position(|plan| plan.name == arm.name));
            if let Some(arm) = arm {
                runs[arm].push((record.seed, path));
            }
        } else if path.components().count() < 3 {
            let here = if path.as_os_str().is_empty() { folder.into() } else { folder.join(&path) };
            for name in world.list(&here).unwrap_or_default().into_iter().take(left) {
                let inner = path.join(name);
                // Through no link, so it cannot lead out or in a circle.
                if matches!(world.entry_beneath(folder, &inner), Ok(Some(Entry::Folder))) {
                    open.push(inner);
                }
            }
        }
    }
    let in_order = |mut runs: Vec<(u64, PathBuf)>| {
        runs.sort();
        runs.into_iter().map(|(_, path)| path).collect()
    };
    runs.into_iter().map(in_order).collect()
}

/// The world's failures keep their code.
pub fn of_world(error: &Error) -> Refusal {
    Refusal::error(error.code, error.to_string(), error.help.clone())
}

impl Run {
    /// Whether there will be more.
    pub fn is_open(&self) -> bool {
        self.record.result.is_none()
    }

    /// The step that it stands at.
    pub fn last_step(&self) -> u64 {
        let result = self.record.result.as_ref().map(|result| result.step);
        let measured = self.course.steps.last().map(|step| *step as u64);
        let saved = self.record.checkpoints.last().map(|checkpoint| checkpoint.step);
        result.unwrap_or_else(|| measured.max(saved).unwrap_or(0))
    }

    pub fn epochs(&self, step: u64) -> f64 {
        step as f64 / self.record.resolved.steps_per_epoch.max(1) as f64
    }

    /// The network before the first step; of a run that went on from another one, not known here.
    pub fn beginning(&self) -> Option<Vec<Drawn>> {
        self.record.parent.is_none().then(|| sketch::of(&self.record.resolved.model, &self.record.data))
    }

    /// The network before and after an event, as far as the record can be read.
    pub fn around(&self, event: usize) -> (Option<Vec<Drawn>>, Option<Vec<Drawn>>) {
        let after = self.record.events.get(event).and_then(|event| sketch::read(&event.layers));
        let before = match event.checked_sub(1) {
            None => self.beginning(),
            Some(at) => self.record.events.get(at).and_then(|event| sketch::read(&event.layers)),
        };
        (before, after)
    }

    /// The networks that there were and when.
    pub fn phases(&self) -> Vec<Phase> {
        let first = self.record.events.first().map(|event| event.parameters_before);
        let parameters = first.or(self.record.result.as_ref().map(|result| result.parameters));
        let begins = self.record.parent.as_ref().map_or(0, |parent| parent.step);
        let start = self.beginning().map(|layers| Phase { step: begins, parameters, layers });
        let after = self.record.events.iter().filter_map(|event| {
            let layers = sketch::read(&event.layers)?;
            Some(Phase { step: event.step, parameters: Some(event.parameters_after), layers })
        });
        start.into_iter().chain(after).collect()
    }

    /// Units of the widest layer that there ever was.
    pub fn widest(&self) -> u64 {
        self.phases().iter().map(|phase| network::widest(&phase.layers)).max().unwrap_or(1)
    }

    pub fn first_parameters(&self) -> Option<u64> {
        let first = self.record.events.first().map(|event| event.parameters_before);
        first.or(self.last_parameters())
    }

    pub fn last_parameters(&self) -> Option<u64> {
        let last = self.record.events.last().map(|event| event.parameters_after);
        self.record.result.as_ref().map(|result| result.parameters).or(last)
    }

    pub fn broken_promises(&self) -> usize {
        self.record.events.iter().filter(|event| !event.held).count()
    }

    /// Events that the record says there were.
    pub fn event_count(&self) -> u64 {
        (self.record.events.len() as u64).saturating_add(self.record.events_left_out)
    }

    /// The metric that says most: of the test part, else of the validation part, else a loss. With its last value, and
    /// its best with the step of that.
    pub fn headline(&self) -> Option<Headline> {
        let rank = |name: &str| {
            let part = ["test_", "val_", "train_"].iter().position(|part| name.starts_with(part)).unwrap_or(3);
            (name.ends_with("loss"), part)
        };
        if let Some(result) = &self.record.result {
            let metric = result.metrics.iter().min_by_key(|metric| rank(&metric.name))?;
            let value = metric.exact().or(metric.value);
            let best = metric.best.map(|best| (best, metric.best_step));
            return Some(Headline { name: metric.name.clone(), value, best });
        }
        let (name, values) = self.course.metrics.iter().min_by_key(|(name, _)| rank(name))?;
        let value = values.iter().rev().find(|value| value.is_finite()).copied();
        Some(Headline { name: name.clone(), value, best: None })
    }
}

/// The event's words: `widen h1 32 → 128`, with what was chosen and why apart.
pub fn what(event: &Event) -> (String, Option<String>) {
    let (what, why) = match event.detail.split_once(": ") {
        Some((what, why)) => (what, Some(why.to_string())),
        None if event.detail.is_empty() => (event.target.as_str(), None),
        None => (event.detail.as_str(), None),
    };
    (format!("{} {what}", event.action), why)
}
