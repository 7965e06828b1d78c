//! How a comparison is told: progress while it runs, the table with its verdict, the jobs, the objects of `--json`.

use super::super::outcome::aligned;
use super::super::terminal::{Style, Terminal, note};
use super::One;
use crate::base::numbers;
use crate::base::text::one_line;
use crate::compare::conduct::{Told, run_folder};
use crate::compare::plan;
use crate::compare::schema::{Answer, ArmOutcome, Comparison, Outcome, Verdict};
use crate::compare::verdict::{MATCHED, amount, range};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;

/// Lines that are told where no terminal is.
const LINES_MAX: usize = 20;
/// Parts of a run on the bar.
const PARTS: u64 = 1000;

/// The terminal while runs are made, on several threads.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    runs: usize,
    /// `grown seed 7` of each arm and seed.
    names: Vec<Vec<String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Runs that have ended.
    ended: usize,
    /// Those that go on, by arm and seed, and how far each is.
    going: Vec<((usize, usize), u64)>,
    /// Lines that were told.
    lines: usize,
}

impl Progress {
    /// `runs`: how many are to be made.
    pub fn new(terminal: Terminal, quiet: bool, one: &One, runs: usize) -> Progress {
        let Comparison { arms, seeds, name, settings, metric, .. } = &one.plan.comparison;
        let all = arms.len() * seeds.len();
        if !quiet {
            let mut text = one_line(name).into_owned();
            for (name, value) in settings {
                let _ = write!(text, " · {name} = {value}");
            }
            let _ =
                write!(text, " · {} arms × {} = {all} runs", arms.len(), numbers::plural(seeds.len() as u64, "seed"));
            if runs < all {
                let _ = write!(text, ", {} of them to be made", runs);
            }
            let _ = write!(text, " · judged by {metric}");
            if let Some(asked) = &one.plan.instead_of {
                let _ = write!(text, ", not by {asked}: the data has a test part");
            }
            // All arms cost about what the reference costs.
            if let Some(seconds) = one.expected.map(|each| each * runs as f64 / one.workers.min(runs.max(1)) as f64)
                && runs > 0
            {
                let _ = write!(text, " · about {}", numbers::seconds(seconds));
            }
            note(&format!("  {text}\n"));
        }
        let bar = (terminal.watched && !quiet && runs > 0).then(|| {
            let length = runs as u64 * PARTS;
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
            let template = match terminal.stderr.color {
                true => "  {bar:30.green/dim} {prefix}  {msg}  eta {eta}",
                false => "  {bar:30} {prefix}  {msg}  eta {eta}",
            };
            let style = ProgressStyle::with_template(template).expect("the template is a constant");
            bar.set_style(style.progress_chars("━━─"));
            bar
        });
        let name = |arm: &str, seed: &u64| format!("{arm} seed {seed}");
        let names = arms.iter().map(|arm| seeds.iter().map(|seed| name(&arm.name, seed)).collect()).collect();
        Progress { bar, quiet, runs, names, state: Mutex::default() }
    }

    pub fn hear(&self, told: Told) {
        let mut state = self.state.lock().expect("nothing panics while it holds the progress");
        let State { ended, going, lines } = &mut *state;
        match told {
            Told::Stepped { run, step, steps } => {
                let part = step * PARTS / steps.max(1);
                match going.iter_mut().find(|(known, _)| *known == run) {
                    Some((_, known)) => *known = part,
                    None => going.push((run, part)),
                }
            }
            Told::Done { run } => {
                going.retain(|(known, _)| *known != run);
                *ended += 1;
                // Some lines, evenly spread.
                let part = *ended * LINES_MAX.min(self.runs) / self.runs.max(1);
                if self.bar.is_none() && !self.quiet && part > *lines {
                    *lines = part;
                    note(&format!("  {} of {} runs   {}\n", *ended, self.runs, self.names[run.0][run.1]));
                }
            }
        }
        let Some(bar) = &self.bar else { return };
        bar.set_position(*ended as u64 * PARTS + going.iter().map(|(_, part)| part).sum::<u64>());
        bar.set_prefix(format!("{ended}/{}", self.runs));
        let names: Vec<&str> = going.iter().map(|(run, _)| self.names[run.0][run.1].as_str()).collect();
        bar.set_message(names.join(", "));
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Every comparison with its arms, and the answer.
pub(super) fn table(ones: &[One], file: &Path, style: Style) -> String {
    let mut out = String::new();
    for one in ones {
        if let Some(result) = &one.plan.comparison.result {
            out.push_str(&single(one, result, style));
        }
    }
    if ones.len() > 1 {
        out.push_str(&overview(ones, style));
    }
    let next = match ones {
        [one] => {
            let arms = &one.plan.comparison.arms;
            let first = one.folder.join(run_folder(&arms[0].name, one.plan.comparison.seeds[0]));
            format!("growrun replay {} · {}", first.display(), again(ones, file, &["--seeds", "10"]))
        }
        _ => again(ones, file, &["--seeds", "10"]),
    };
    let _ = writeln!(out, "  next      {}", one_line(&next));
    out
}

/// The same command once more with other flags about seeds and jobs: one that left out `--set` would ask something else.
fn again(ones: &[One], file: &Path, with: &[&str]) -> String {
    /// Flags that are left out, and whether a value follows them.
    const LEFT_OUT: [(&str, bool); 7] = [
        ("--index", true),
        ("--list", false),
        ("--collect", false),
        ("--json", false),
        ("--quiet", false),
        ("-q", false),
        ("--arm", true),
    ];
    let given = ones.first().map_or(&[][..], |one| &one.plan.comparison.command);
    let mut words = vec!["growrun".to_string(), "compare".into(), quoted(&file.display().to_string())];
    let mut left = given.iter().skip_while(|word| ["compare", "run"].contains(&word.as_str()));
    while let Some(word) = left.next() {
        let name = word.split('=').next().unwrap_or(word);
        let seeds = with.contains(&"--seeds").then_some(("--seeds", true));
        match LEFT_OUT.iter().copied().chain(seeds).find(|(flag, _)| *flag == name) {
            Some((_, true)) if !word.contains('=') => drop(left.next()),
            Some(_) => {}
            None if Path::new(word) == file => {}
            None => words.push(quoted(word)),
        }
    }
    words.extend(with.iter().map(|word| word.to_string()));
    words.join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,%+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn single(one: &One, result: &Outcome, style: Style) -> String {
    let comparison = &one.plan.comparison;
    let mut head = vec![comparison.name.clone()];
    head.extend(comparison.settings.iter().map(|(name, value)| format!("{name} = {value}")));
    head.push(format!("{} arms", comparison.arms.len()));
    head.push(numbers::plural(comparison.seeds.len() as u64, "seed"));
    head.push(format!("judged by {} at the end", comparison.metric));
    let mut out = format!("{}\n", style.bold(&one_line(&head.join(" · "))));
    let minus = format!("{} better by", comparison.arms[0].name);
    let titles = ["arm", &comparison.metric, &minus, "FLOPs", "steps", "time", "params", "shock"];
    let mut rows = vec![titles.map(str::to_string).to_vec()];
    if let Some((metric, target)) = comparison.course.as_ref().zip(result.target) {
        rows[0].push(format!("to {} {metric}", numbers::metric(metric, target)));
    }
    for (at, arm) in result.arms.iter().enumerate() {
        let difference = at.checked_sub(1).map(|at| &result.differences[at]);
        let ahead = difference.and_then(|difference| {
            let mean = signed(&comparison.metric, difference.interval.mean?);
            Some(format!("{mean} {}", range(&comparison.metric, &difference.interval)))
        });
        rows.push(row(comparison, arm, ahead.unwrap_or_default()));
    }
    for line in aligned(&rows) {
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(out, "  {}", style.faint("means with 95 % t-intervals; differences are paired by seed"));
    out.push_str(&matched(comparison, result));
    if !one.plan.opened.program.given.initial.is_empty() {
        let text = "with the given weights; arms whose network is another arm's last one draw theirs";
        let _ = writeln!(out, "  begins    {text}");
    }
    for (label, verdict) in [("verdict", Some(&result.verdict)), ("paid for", result.paid.as_ref())] {
        if let Some(verdict) = verdict {
            out.push_str(&answer(label, verdict, style));
        }
    }
    let place = one.report.as_ref().unwrap_or(&one.folder).display().to_string();
    let word = if one.report.is_some() { "report" } else { "record" };
    let _ = writeln!(out, "  {word:<9} {}", one_line(&place));
    out
}

fn row(comparison: &Comparison, arm: &ArmOutcome, ahead: String) -> Vec<String> {
    let metric = &comparison.metric;
    let score = match (arm.metric.mean, arm.metric.high) {
        (None, _) => "no result".to_string(),
        (Some(mean), None) => numbers::metric(metric, mean),
        (Some(mean), Some(high)) if metric.ends_with("accuracy") => {
            format!("{} ± {:.1}", numbers::metric(metric, mean), 100.0 * (high - mean))
        }
        (Some(mean), Some(high)) => format!("{} ± {}", numbers::metric(metric, mean), numbers::short(high - mean)),
    };
    let lost = arm.runs.iter().filter(|run| run.value.is_none()).count();
    let score = if lost > 0 { format!("{score}, {lost} without") } else { score };
    let mut cells = vec![
        arm.name.clone(),
        score,
        ahead,
        numbers::flops(arm.flops),
        format!("{:.0}", arm.steps),
        numbers::seconds(arm.seconds),
        numbers::count(arm.parameters.round() as u64),
        arm.shock.map_or_else(String::new, numbers::signed_percent),
    ];
    if comparison.course.is_some() {
        let reached = &arm.to_target;
        cells.push(match (reached.flops, reached.seconds) {
            (Some(flops), Some(seconds)) if reached.reached == arm.runs.len() => {
                format!("{}, {}", numbers::flops(flops), numbers::seconds(seconds))
            }
            (Some(flops), Some(seconds)) => {
                let (n, all) = (reached.reached, arm.runs.len());
                format!("{}, {} ({n} of {all})", numbers::flops(flops), numbers::seconds(seconds))
            }
            _ => "never".into(),
        });
    }
    cells
}

/// `+0.42`, `-0.02`
fn signed(metric: &str, value: f64) -> String {
    let text = amount(metric, value.abs());
    let text = text.trim_end_matches(" points");
    match value {
        v if v > 0.0 => format!("+{text}"),
        v if v < 0.0 => format!("-{text}"),
        _ => "0".into(),
    }
}

/// Whether budgets in operations were met, as they were counted.
fn matched(comparison: &Comparison, result: &Outcome) -> String {
    let off: Vec<(&str, f64)> =
        result.arms.iter().filter_map(|arm| Some((arm.name.as_str(), arm.flops_off?))).collect();
    let Some(worst) = off.iter().map(|(_, off)| *off).reduce(f64::max) else { return String::new() };
    let reference = &comparison.arms[0].name;
    if worst <= MATCHED {
        let names: Vec<&str> = off.iter().map(|(name, _)| *name).collect();
        return format!("  matched   {} within {:.2} % of their FLOPs, counted\n", names.join(", "), 100.0 * worst);
    }
    let apart: Vec<String> = off
        .iter()
        .filter(|(_, off)| *off > MATCHED)
        .map(|(name, off)| format!("{name} by {:.1} %", 100.0 * off))
        .collect();
    format!(
        "  NOT matched: {} (counted; conditions decided otherwise than in {reference}, or a step is too large a part)\n",
        apart.join(", ")
    )
}

fn answer(label: &str, verdict: &Verdict, style: Style) -> String {
    let color = match verdict.answer {
        Answer::Yes => "1;32",
        Answer::No => "1;31",
        Answer::Undecided => "1;33",
    };
    let word = style.paint(color, verdict.answer.word());
    let indent = " ".repeat(12);
    let next = match verdict.answer {
        Answer::Undecided => format!("what would decide it: {}", verdict.next),
        _ => verdict.next.clone(),
    };
    format!("  {label:<9} {word}: {}\n{indent}{}\n", one_line(&verdict.reason), style.faint(&one_line(&next)))
}

/// The answers of all values of a sweep below each other.
fn overview(ones: &[One], style: Style) -> String {
    let rows: Vec<Vec<String>> = ones
        .iter()
        .filter_map(|one| {
            let comparison = &one.plan.comparison;
            let verdict = &comparison.result.as_ref()?.verdict;
            let settings: Vec<String> =
                comparison.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            Some(vec![settings.join(", "), verdict.answer.word().into(), verdict.reason.clone()])
        })
        .collect();
    let mut out = format!("{}\n", style.bold("all comparisons"));
    for line in aligned(&rows) {
        let _ = writeln!(out, "  {line}");
    }
    let many = "each has its own 5 % chance of a false answer, so that one yes among many says little";
    let _ = writeln!(out, "  {}", style.faint(many));
    out
}

/// The jobs, numbered over all comparisons.
pub(super) fn list(ones: &[One], file: &Path, style: Style) -> String {
    let mut rows = Vec::new();
    for one in ones {
        let Comparison { arms, seeds, settings, .. } = &one.plan.comparison;
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        for job in plan::jobs(&one.plan) {
            let names: Vec<&str> = job.iter().map(|(arm, _)| arms[*arm].name.as_str()).collect();
            let number = (rows.len() + 1).to_string();
            let seed = format!("seed {}", seeds[job[0].1]);
            rows.push(vec![number, settings.join(", "), seed, names.join(", ")]);
        }
    }
    let mut out = String::new();
    for line in aligned(&rows) {
        let _ = writeln!(out, "  {line}");
    }
    let hint = format!("{} runs one, --collect puts all together", again(ones, file, &["--index", "N"]));
    let _ = writeln!(out, "  {}", style.faint(&one_line(&hint)));
    out
}

pub(super) fn list_object(ones: &[One]) -> Value {
    let mut jobs = Vec::new();
    for one in ones {
        let Comparison { arms, seeds, settings, .. } = &one.plan.comparison;
        for job in plan::jobs(&one.plan) {
            let names: Vec<&str> = job.iter().map(|(arm, _)| arms[*arm].name.as_str()).collect();
            let settings: serde_json::Map<String, Value> =
                settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            jobs.push(json!({
                "index": jobs.len() + 1,
                "comparison": one.folder.display().to_string(),
                "settings": settings,
                "seed": seeds[job[0].1],
                "arms": names,
                "expected_seconds": one.expected.map(|each| each * job.len() as f64),
            }));
        }
    }
    json!({ "jobs": jobs })
}

pub(super) fn after_job(index: u64, ones: &[One], file: &Path) -> String {
    let jobs: usize = ones.iter().map(|one| plan::jobs(&one.plan).len()).sum();
    let next = again(ones, file, &["--collect"]);
    format!("  job {index} of {jobs} is done\n  next      {}   once all are\n", one_line(&next))
}

/// `--json`: the comparison, or each of a sweep.
pub(super) fn object(ones: &[One]) -> Value {
    match ones {
        [one] => comparison_object(one),
        _ => json!({ "comparisons": ones.iter().map(comparison_object).collect::<Vec<_>>() }),
    }
}

fn comparison_object(one: &One) -> Value {
    let comparison = &one.plan.comparison;
    let Some(result) = &comparison.result else { return json!({}) };
    let settings: serde_json::Map<String, Value> =
        comparison.settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let arms: serde_json::Map<String, Value> = comparison
        .arms
        .iter()
        .zip(&result.arms)
        .map(|(plan, arm)| {
            let mut object = json!(arm);
            object["about"] = json!(plan.about);
            object["budget"] = json!(plan.budget);
            object["judged"] = json!(plan.judged);
            (arm.name.clone(), object)
        })
        .collect();
    json!({
        "comparison": one.folder.display().to_string(),
        "status": "finished",
        "settings": settings,
        "metric": comparison.metric,
        "higher_is_better": comparison.higher_is_better,
        "match": comparison.matching,
        "seeds": comparison.seeds,
        "reference": comparison.arms[0].name,
        "order": comparison.arms.iter().map(|arm| &arm.name).collect::<Vec<_>>(),
        "verdict": result.verdict,
        "paid": result.paid,
        "arms": arms,
        "differences": result.differences,
        "target": result.target,
        "seconds": result.seconds,
        "report": one.report.as_ref().map(|path| path.display().to_string()),
    })
}
