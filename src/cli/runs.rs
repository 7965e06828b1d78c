//! `growrun runs`: what is in a folder of runs, the best first.

use super::arguments::Runs;
use super::outcome::{aligned, epoch};
use super::render::without_place;
use super::terminal::{Style, say, say_json};
use super::{Context, exit, numbers};
use crate::base::text::harmless;
use crate::base::world::Entry;
use crate::base::{Error, Refusal, Sources, World};
use crate::compare::{self, schema::Comparison};
use crate::record::load;
use crate::record::schema::{Metric, Record};
use crate::train::metrics;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

const USUAL: &str = "runs";

/// A run that can be read, and its name beneath the folder.
struct Run {
    name: String,
    path: String,
    record: Record,
}

/// A comparison, or why it cannot be read.
struct Compared {
    path: String,
    comparison: Result<Comparison, Refusal>,
}

impl Compared {
    /// `yes`, `no`, `undecided`, or that it goes on.
    fn answer(&self) -> &'static str {
        match &self.comparison {
            Err(_) => "unreadable",
            Ok(comparison) => comparison.result.as_ref().map_or("unfinished", |result| result.verdict.answer.word()),
        }
    }
}

/// A record that cannot be read, and why.
struct Broken {
    name: String,
    problem: String,
}

pub fn run(context: &Context, runs: &Runs) -> i32 {
    let folder = runs.folder.clone().unwrap_or_else(|| USUAL.into());
    let shown = folder.display().to_string();
    let found = match context.world.entry(&folder) {
        // Before the first run there is no folder, which is no mistake.
        Ok(None) if runs.folder.is_none() => Ok(Vec::new()),
        _ => find(context.world, &folder),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return context.world_failed(&error, runs.json),
    };
    let (mut good, mut broken) = (Vec::new(), Vec::new());
    for (name, path) in found {
        match load::record(context.world, &path) {
            Ok(record) => good.push(Run { name, path: path.display().to_string(), record }),
            Err(refusal) => broken.push(Broken { name, problem: refusal.message }),
        }
    }
    let metric = match wanted(runs, &good) {
        Ok(metric) => metric,
        Err(known) => {
            let help = if known.is_empty() {
                "none has a metric yet".into()
            } else {
                format!("they have {}", known.join(", "))
            };
            let message = format!("no run in `{shown}` has a metric `{}`", runs.sort.as_deref().unwrap_or_default());
            return context.refuse(&[without_place("G0502", message, help)], &Sources::default(), runs.json);
        }
    };
    if let Some(metric) = &metric {
        good.sort_by(|a, b| better_first(metric, &a.record, &b.record));
    }
    let compared = comparisons(context.world, &folder);
    if runs.json {
        let mut object = object(&shown, metric.as_deref(), &good, &broken);
        let one = |one: &Compared| json!({ "comparison": one.path, "answer": one.answer() });
        object["comparisons"] = compared.iter().map(one).collect();
        say_json(&format!("{object}\n"));
    } else {
        let style = context.terminal.stdout;
        let runs = text(&shown, metric.as_deref(), &good, &broken, style);
        match (good.len() + broken.len(), compared.as_slice()) {
            (_, []) => say(&runs),
            (0, _) => say(&answers(&compared, style)),
            _ => say(&(answers(&compared, style) + &runs)),
        }
    }
    exit::OK
}

/// Comparisons in the folder and in the folders of it.
fn comparisons(world: &dyn World, folder: &Path) -> Vec<Compared> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        world.list(folder).unwrap_or_default().into_iter().map(|name| folder.join(name)).collect()
    };
    let all = inside(folder).into_iter().flat_map(|path| std::iter::once(path.clone()).chain(inside(&path)));
    let is_there = |path: &PathBuf| matches!(world.entry(&path.join(compare::FILE)), Ok(Some(Entry::File { .. })));
    all.filter(is_there)
        .map(|path| Compared { path: path.display().to_string(), comparison: compare::read(world, &path) })
        .collect()
}

fn answers(compared: &[Compared], style: Style) -> String {
    let mut rows = vec![["comparison", "worth it", "why"].map(str::to_string).to_vec()];
    for one in compared {
        let why = match &one.comparison {
            Err(refusal) => refusal.message.clone(),
            Ok(comparison) => match &comparison.result {
                Some(result) => result.verdict.reason.clone(),
                None => "`growrun compare` with the same words goes on".into(),
            },
        };
        rows.push(vec![one.path.clone(), one.answer().into(), why]);
    }
    let mut lines = aligned(&rows).into_iter().map(|line| harmless(&line).into_owned());
    let head = lines.next().unwrap_or_default();
    let mut out = format!("  {}\n", style.bold(&head));
    lines.for_each(|line| out.push_str(&format!("  {line}\n")));
    out
}

/// The folder itself when it is a run, else the runs in it and in the folders of it.
fn find(world: &dyn World, folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let is_run = |path: &Path| matches!(world.entry(&path.join("run.yaml")), Ok(Some(Entry::File { .. })));
    if is_run(folder) {
        let name = folder.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned());
        return Ok(vec![(name, folder.into())]);
    }
    let mut found = Vec::new();
    for name in world.list(folder)? {
        let path = folder.join(&name);
        if is_run(&path) {
            found.push((name, path));
        } else if matches!(world.entry(&path), Ok(Some(Entry::Folder))) {
            // What may not be listed is none of ours.
            let inner =
                world.list(&path).unwrap_or_default().into_iter().map(|run| (format!("{name}/{run}"), path.join(run)));
            found.extend(inner.filter(|(_, path)| is_run(path)));
        }
    }
    Ok(found)
}

fn results(record: &Record) -> &[Metric] {
    record.result.as_ref().map_or(&[], |result| &result.metrics)
}

fn value(record: &Record, metric: &str) -> Option<f64> {
    results(record).iter().find(|known| known.name == metric)?.exact()
}

/// The metric to sort by: the one that was asked for, with or without `val_`; else what most runs have. The error: what
/// there is.
fn wanted(runs: &Runs, good: &[Run]) -> Result<Option<String>, Vec<String>> {
    let mut known: Vec<(String, usize)> = Vec::new();
    for metric in good.iter().flat_map(|run| results(&run.record)) {
        match known.iter_mut().find(|(name, _)| *name == metric.name) {
            Some((_, times)) => *times += 1,
            None => known.push((metric.name.clone(), 1)),
        }
    }
    if let Some(asked) = &runs.sort {
        let names = [asked.clone(), format!("val_{asked}")];
        let found = names.iter().find(|name| known.iter().any(|(known, _)| known == *name));
        return found.cloned().map(Some).ok_or_else(|| known.into_iter().map(|(name, _)| name).collect());
    }
    let is_score = |name: &str| name.starts_with("val_") && name != "val_loss";
    let most = |wanted: &dyn Fn(&str) -> bool| {
        let mut all: Vec<&(String, usize)> = known.iter().filter(|(name, _)| wanted(name)).collect();
        all.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        all.first().map(|(name, _)| name.clone())
    };
    Ok(most(&is_score).or_else(|| most(&|name| name == "val_loss")).or_else(|| most(&|_| true)))
}

/// By the metric's own direction; runs without it come last.
fn better_first(metric: &str, a: &Record, b: &Record) -> Ordering {
    let word = ["val_", "train_", "test_"].iter().find_map(|part| metric.strip_prefix(part)).unwrap_or(metric);
    let higher_is_better = metrics::find(word).is_none_or(|kind| kind.higher_is_better);
    let known = |record: &Record| value(record, metric).filter(|value| !value.is_nan());
    match (known(a), known(b)) {
        (Some(a), Some(b)) if higher_is_better => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// Steps that are behind a run: of its result, else of its last checkpoint.
fn steps(record: &Record) -> u64 {
    let last = record.checkpoints.last().map_or(0, |checkpoint| checkpoint.step);
    record.result.as_ref().map_or(last, |result| result.step)
}

fn epochs(record: &Record) -> f64 {
    steps(record) as f64 / record.resolved.steps_per_epoch.max(1) as f64
}

fn text(folder: &str, metric: Option<&str>, good: &[Run], broken: &[Broken], style: Style) -> String {
    let mut out = String::new();
    let shows_loss = metric.is_some_and(|metric| metric != "val_loss");
    let mut head = vec!["run", "status", "epochs", "parameters"];
    head.extend(metric);
    head.extend(metric.map(|_| "best"));
    head.extend(shows_loss.then_some("val_loss"));
    head.extend(["started", "parent"]);
    let mut rows = vec![head.into_iter().map(str::to_string).collect::<Vec<_>>()];
    for Run { name, record, .. } in good {
        let number =
            |name: &str, value: Option<f64>| value.map_or_else(String::new, |value| numbers::metric(name, value));
        let mut row = vec![name.clone(), record.status.clone(), epoch(epochs(record))];
        row.push(record.result.as_ref().map_or_else(String::new, |result| numbers::count(result.parameters)));
        if let Some(metric) = metric {
            row.push(number(metric, value(record, metric)));
            let best = results(record).iter().find(|known| known.name == metric).and_then(|known| known.best);
            row.push(number(metric, best));
        }
        if shows_loss {
            row.push(number("val_loss", value(record, "val_loss")));
        }
        row.push(numbers::date(record.host.started));
        row.push(record.parent.as_ref().map_or_else(String::new, |parent| parent.run.clone()));
        rows.push(row);
    }
    if !good.is_empty() {
        let mut lines = aligned(&rows).into_iter().map(|line| harmless(&line).into_owned());
        let head = lines.next().unwrap_or_default();
        out.push_str(&format!("  {}\n", style.bold(&head)));
        lines.for_each(|line| out.push_str(&format!("  {line}\n")));
    }
    for Broken { name, problem } in broken {
        out.push_str(&format!("  {}   {}\n", harmless(name), harmless(problem)));
    }
    let count = numbers::plural((good.len() + broken.len()) as u64, "run");
    let mut sentence = match (metric, good.len()) {
        _ if good.is_empty() && broken.is_empty() => {
            format!("there is no run in {folder}; `growrun FILE` makes one")
        }
        (Some(metric), 2..) => format!("{count} in {folder}, the best {metric} first"),
        _ => format!("{count} in {folder}"),
    };
    if !broken.is_empty() {
        sentence.push_str(&format!(", of which {} cannot be read", broken.len()));
    }
    match good {
        [one, other, ..] => {
            let command = format!("; `growrun diff {} {}` shows what sets the first two apart", one.path, other.path);
            sentence.push_str(&command);
        }
        [one] => sentence.push_str(&format!("; `growrun verify {}` looks whether it is as it was written", one.path)),
        [] => {}
    }
    out.push_str(&format!("{}\n", harmless(&sentence)));
    out
}

fn object(folder: &str, metric: Option<&str>, good: &[Run], broken: &[Broken]) -> Value {
    let run = |run: &Run| {
        let record = &run.record;
        let metrics: serde_json::Map<String, Value> =
            results(record).iter().map(|metric| (metric.name.clone(), json!(metric.exact()))).collect();
        json!({
            "run": run.path,
            "status": record.status,
            "epochs": epochs(record),
            "steps": steps(record),
            "parameters": record.result.as_ref().map(|result| result.parameters),
            "metrics": metrics,
            "weights": record.result.as_ref().map(|result| &result.weights),
            "seconds": record.result.as_ref().map(|result| result.seconds),
            "started": record.host.started,
            "parent": record.parent.as_ref().map(|parent| &parent.run),
        })
    };
    let failed = |broken: &Broken| json!({ "run": broken.name, "problem": broken.problem });
    json!({
        "folder": folder,
        "sort": metric,
        "runs": good.iter().map(run).collect::<Vec<_>>(),
        "broken": broken.iter().map(failed).collect::<Vec<_>>(),
        "diagnostics": [],
    })
}
