//! `growrun diff A B`: what two runs have in common, and where they part.

use super::arguments::Diff;
use super::outcome::{aligned, short_digest, what};
use super::terminal::{Style, say, say_json};
use super::{Context, confine, exit, numbers, training};
use crate::base::World;
use crate::base::text::harmless;
use crate::record::diff::{self, Pair, Parting, Side};
use crate::record::lines;
use crate::record::locate::{self, Located};
use crate::record::schema::{Event, Host, Record};
use serde_json::json;
use std::path::Path;

/// Largest metrics.jsonl that is read, in bytes.
const METRICS_MAX: u64 = 1 << 30;
/// How long two schedules are compared before a longer difference will do.
const TEXT_SECONDS: u64 = 1;

pub fn run(context: &Context, diff: &Diff) -> i32 {
    let located = |path: &Path| locate::locate(context.world, path);
    let (a, b) = match (located(&diff.a), located(&diff.b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(refusal), _) | (_, Err(refusal)) => return training::refused(context, &refusal, diff.json),
    };
    confine::to_records(context, &[&a, &b], &[], None);
    let (a, b) = (side(context.world, a), side(context.world, b));
    let found = Found::new(&a, &b);
    if diff.json {
        let object = json!({
            "a": diff.a.display().to_string(),
            "b": diff.b.display().to_string(),
            "same": found.is_same(),
            "schedule": if found.schedule.is_empty() { None } else { Some(&found.schedule) },
            "settings": found.settings,
            "data": found.data,
            "environment": found.environment,
            "growth": found.growth,
            "metrics": found.metrics,
            "first_difference": found.parting,
            "diagnostics": [],
        });
        say_json(&format!("{object}\n"));
    } else {
        say(&found.text(diff, &a, &b, context.terminal.stdout));
    }
    exit::OK
}

/// The record, and the lines of metrics.jsonl where they are there and whole.
fn side(world: &dyn World, located: Located) -> Side {
    let lines = world.read_beneath(&located.folder, Path::new("metrics.jsonl"), METRICS_MAX).ok();
    Side { record: located.record, lines: lines.and_then(|content| lines::read(&content).ok()) }
}

/// Everything that differs.
struct Found {
    /// A unified diff of each file of the schedule that differs.
    schedule: String,
    settings: Vec<Pair>,
    data: Vec<Pair>,
    environment: Vec<Pair>,
    growth: Vec<Pair>,
    /// All of them, those that are the same too.
    metrics: Vec<Pair>,
    parting: Option<Parting>,
    weights: Option<String>,
}

impl Found {
    fn new(a: &Side, b: &Side) -> Found {
        let (one, other) = (&a.record, &b.record);
        let result = |record: &Record| record.result.as_ref().and_then(|result| result.weights.clone());
        let mut settings = diff::leaves(&one.seed, &other.seed);
        settings.iter_mut().for_each(|pair| pair.what = "seed".into());
        settings.extend(diff::leaves(&one.resolved, &other.resolved));
        let mut environment = diff::leaves(&one.growrun, &other.growrun);
        environment.extend(diff::leaves(&machine(&one.host), &machine(&other.host)));
        let mut data = diff::leaves(&one.data, &other.data);
        let of_weights = |pair: diff::Pair| diff::Pair { what: format!("weights.{}", pair.what), ..pair };
        data.extend(diff::leaves(&one.weights, &other.weights).into_iter().map(of_weights));
        Found {
            schedule: schedule(one, other),
            settings,
            data,
            environment,
            growth: growth(one, other),
            metrics: metrics(one, other),
            parting: diff::parting(a, b),
            weights: result(one).filter(|weights| result(other).as_ref() == Some(weights)),
        }
    }

    /// The same bits from the beginning to the end.
    fn is_same(&self) -> bool {
        self.weights.is_some() && self.parting.is_none()
    }

    fn text(&self, diff: &Diff, a: &Side, b: &Side, style: Style) -> String {
        let names = [diff.a.display().to_string(), diff.b.display().to_string()];
        let mut out = String::new();
        let about = |side: &Side| {
            let record = &side.record;
            format!("{} · {} · seed {} · {}", record.name, record.data.source, record.seed, record.status)
        };
        let rows = [vec!["a".into(), names[0].clone(), about(a)], vec!["b".into(), names[1].clone(), about(b)]];
        aligned(&rows).iter().for_each(|line| out.push_str(&format!("{}\n", harmless(line))));
        let title = |name: &str, is_same: bool| {
            let name = format!("{name:<12}");
            format!("{}{}\n", style.bold(&name), if is_same { "the same" } else { "" }).trim_end().to_string() + "\n"
        };
        out.push_str(&title("schedule", self.schedule.is_empty()));
        for line in self.schedule.lines() {
            let line = harmless(line);
            out.push_str(&format!(
                "  {}\n",
                match line.as_bytes().first() {
                    Some(b'+') => style.paint("32", &line),
                    Some(b'-') => style.paint("31", &line),
                    _ => line.into_owned(),
                }
            ));
        }
        let parts = [
            ("settings", &self.settings),
            ("data", &self.data),
            ("environment", &self.environment),
            ("growth", &self.growth),
        ];
        for (name, pairs) in parts {
            out.push_str(&title(name, pairs.is_empty()));
            out.push_str(&table(pairs));
        }
        if !self.metrics.is_empty() {
            out.push_str(&title("metrics", false));
            out.push_str(&table(&self.metrics));
        }
        out.push_str(&format!("{}\n", harmless(&self.sentence(&names, a, b))));
        out
    }

    fn sentence(&self, [a, _]: &[String; 2], one: &Side, other: &Side) -> String {
        if let (true, Some(weights)) = (self.is_same(), &self.weights) {
            return format!("the two have the same bits, to the final weights {}", short_digest(weights));
        }
        let Some(parting) = &self.parting else {
            let both = one.record.result.is_some() && other.record.result.is_some();
            return match both {
                true => "what both have recorded is the same".into(),
                false => "what both have recorded is the same as far as it goes: not both have ended".into(),
            };
        };
        let tensor = parting.tensor.as_ref().map_or_else(String::new, |tensor| format!("`{tensor}` of "));
        let agreed = match parting.agreed {
            Some(step) => format!(", and are the same up to step {step}"),
            None => String::new(),
        };
        let alike = self.schedule.is_empty() && self.settings.is_empty() && self.data.is_empty();
        let next = if alike {
            format!("; `growrun replay {a}` tells which of them this machine makes")
        } else {
            String::new()
        };
        format!("they part at step {}: {tensor}{}{agreed}{next}", parting.step, parting.what)
    }
}

/// What of a machine has a say in how fast it computes.
fn machine(host: &Host) -> Host {
    Host { started: 0, folder: None, data: Default::default(), ..host.clone() }
}

/// The first files are compared, whatever they are called, the others by name. Texts that are no files stand among the
/// settings.
fn schedule(a: &Record, b: &Record) -> String {
    let files = |record: &Record| {
        let all = record.schedule.iter().filter(|file| !file.name.starts_with('<')).enumerate();
        all.map(|(at, file)| (at, file.name.clone(), file.text.clone())).collect::<Vec<_>>()
    };
    let (a, b) = (files(a), files(b));
    let mut pairs = Vec::new();
    for (at, name, text) in &a {
        let twin = b.iter().find(|(place, other, _)| if *at == 0 { *place == 0 } else { *place > 0 && other == name });
        pairs.push((
            name.as_str(),
            text.as_str(),
            twin.map_or(name.as_str(), |twin| &twin.1),
            twin.map_or("", |twin| &twin.2),
        ));
    }
    for (_, name, text) in b.iter().filter(|(place, name, _)| *place > 0 && !a[1..].iter().any(|file| file.1 == *name))
    {
        pairs.push((name, "", name, text));
    }
    let mut out = String::new();
    for (one, was, other, is) in pairs.into_iter().filter(|(_, was, _, is)| was != is) {
        let timeout = std::time::Duration::from_secs(TEXT_SECONDS);
        let lines = similar::TextDiff::configure().timeout(timeout).diff_lines(was, is);
        let header = (format!("a {one}"), format!("b {other}"));
        out.push_str(&lines.unified_diff().header(&header.0, &header.1).to_string());
    }
    out
}

/// Events that are not the same, by their place.
fn growth(a: &Record, b: &Record) -> Vec<Pair> {
    let text = |event: &Event| format!("step {} {} {}", event.step, event.action, what(&event.detail, &event.target).0);
    let mut pairs = Vec::new();
    for at in 0..a.events.len().max(b.events.len()) {
        let (one, other) = (a.events.get(at), b.events.get(at));
        let (told, too) = (one.map(text), other.map(text));
        let what = format!("event {}", at + 1);
        if told != too {
            pairs.push(Pair { what, a: told, b: too });
        } else if let (Some(one), Some(other)) = (one, other)
            && one.weights != other.weights
        {
            let digest = |weights: &str| Some(short_digest(weights));
            let what = format!("{what}, weights after {}", text(one));
            pairs.push(Pair { what, a: digest(&one.weights), b: digest(&other.weights) });
        }
    }
    pairs
}

fn metrics(a: &Record, b: &Record) -> Vec<Pair> {
    let of = |record: &Record| -> Vec<(String, Option<f64>)> {
        let result = record.result.iter().flat_map(|result| &result.metrics);
        result.map(|metric| (metric.name.clone(), metric.exact())).collect()
    };
    let (a, b) = (of(a), of(b));
    let mut names: Vec<&String> = a.iter().chain(&b).map(|(name, _)| name).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    let value = |all: &[(String, Option<f64>)], name: &str| {
        all.iter().find(|(known, _)| known == name).and_then(|(_, value)| *value)
    };
    let pair = |name: &&String| {
        let (one, other) = (value(&a, name), value(&b, name));
        let shown = |value: Option<f64>| value.map(|value| numbers::metric(name, value));
        let (mut told, mut too) = (shown(one), shown(other));
        if told == too && one.map(f64::to_bits) != other.map(f64::to_bits) {
            // Equal to the eye, and not the same number.
            (told, too) = (one.map(|value| value.to_string()), other.map(|value| value.to_string()));
        }
        Pair { what: (*name).clone(), a: told, b: too }
    };
    names.iter().map(pair).collect()
}

fn table(pairs: &[Pair]) -> String {
    let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into()).replace('\n', "⏎");
    let rows: Vec<Vec<String>> =
        pairs.iter().map(|pair| vec![pair.what.clone(), cell(&pair.a), cell(&pair.b)]).collect();
    aligned(&rows).iter().map(|line| format!("  {}\n", harmless(line))).collect()
}
