//! How a run ended: the table for people, the object of `--json` for programs.

use super::numbers;
use super::terminal::Style;
use crate::base::text::one_line;
use crate::run::{Finish, Growth, Heading};
use serde_json::{Value, json};

/// What is printed about a finished run besides the run itself.
pub struct Place<'a> {
    /// The run's folder, once a record was begun.
    pub run: Option<&'a str>,
    /// Commands that make sense now.
    pub next: &'a [String],
    /// Seconds that the run was expected to take.
    pub expected: Option<f64>,
    /// The course of the score, in lines.
    pub chart: Option<String>,
}

/// The table at the end of a run, line by line.
pub fn table(heading: &Heading, finish: &Finish, place: &Place, style: Style) -> String {
    let mut out = String::new();
    let mut head = vec![heading.name.clone(), heading.data.clone(), format!("seed {}", heading.seed)];
    head.push(numbers::plural(heading.threads as u64, "thread"));
    if finish.status.word() != "finished" {
        head.push(format!("{} at epoch {}", finish.status.word(), epoch(finish.epoch)));
    }
    out.push_str(&format!("{}\n", style.bold(&one_line(&head.join(" · ")))));
    let rows: Vec<Vec<String>> = finish.events.iter().map(row).collect();
    for line in aligned(&rows) {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str(place.chart.as_deref().unwrap_or_default());
    out.push_str(&format!("  {}\n", totals(finish, place.expected)));
    if let Some(confusion) = &finish.confusion {
        out.push_str(&confusion_matrix(confusion));
    }
    let mut record = Vec::new();
    if let Some(run) = place.run {
        record.push(format!("record  {run}"));
    }
    if let Some(weights) = &finish.weights {
        record.push(format!("weights {}", short_digest(weights)));
    }
    if !record.is_empty() {
        out.push_str(&format!("  {}\n", one_line(&record.join("   "))));
    }
    if !place.next.is_empty() {
        out.push_str(&format!("  next    {}\n", one_line(&place.next.join(" · "))));
    }
    out
}

/// The cells of one growth event.
pub fn row(growth: &Growth) -> Vec<String> {
    let (what, _) = what(&growth.detail, &growth.target);
    let mut promise = format!("promise {}", growth.promise.word());
    if let Some(bound) = growth.bound {
        promise.push_str(&format!(" ≤ {}", numbers::tiny(bound)));
    }
    if !growth.held {
        promise.push_str(" BROKEN");
    }
    let shock = match growth.shock {
        None => String::new(),
        Some(shock) => {
            let mut text = format!("shock {}", numbers::signed_percent(shock.rise));
            match shock.recovered_after {
                Some(steps) if shock.rise > 0.0 && steps > 0 => {
                    text.push_str(&format!(", {}", numbers::plural(steps, "step")));
                }
                None if shock.rise > 0.0 => text.push_str(", not recovered in 100 steps"),
                _ => {}
            }
            text
        }
    };
    // Of the step after it: fresh weights that get hardly any gradient do not learn.
    let gradients = match (growth.gradient_fresh, growth.gradient_old) {
        (Some(fresh), Some(old)) => format!("grad {} fresh, {} old", numbers::short(fresh), numbers::short(old)),
        _ => String::new(),
    };
    vec![
        format!("epoch {}", epoch(growth.epoch)),
        format!("{} {what}", growth.action),
        promise,
        format!("drift {}", numbers::tiny(growth.drift)),
        if growth.parameters_before == growth.parameters_after {
            format!("params {}", numbers::count(growth.parameters_after))
        } else {
            format!("params {} → {}", numbers::count(growth.parameters_before), numbers::count(growth.parameters_after))
        },
        shock,
        gradients,
    ]
}

/// What an event changes (`h2 32 → 256`) and, for an insertion, what was chosen and why.
pub fn what<'a>(detail: &'a str, target: &'a str) -> (&'a str, Option<&'a str>) {
    match detail.split_once(": ") {
        Some((what, why)) => (what, Some(why)),
        None if detail.is_empty() => (target, None),
        None => (detail, None),
    }
}

/// `20`, and `20.4` between two boundaries.
pub fn epoch(epoch: f64) -> String {
    let text = format!("{epoch:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

fn totals(finish: &Finish, expected: Option<f64>) -> String {
    let told: Vec<_> = finish.metrics.iter().filter(|m| !m.name.starts_with("train_")).collect();
    let has_scores = told.iter().any(|m| !m.name.ends_with("loss"));
    let mut parts = Vec::new();
    for metric in told {
        // The loss says little beside a score.
        if has_scores && metric.name.ends_with("loss") {
            continue;
        }
        let mut text = format!("{} {}", metric.name, numbers::metric(&metric.name, metric.value));
        let best = numbers::metric(&metric.name, metric.best);
        if metric.name.starts_with("val_") && best != numbers::metric(&metric.name, metric.value) {
            text.push_str(&format!(" (best {best} at epoch {})", epoch(metric.best_epoch)));
        }
        parts.push(text);
    }
    parts.push(format!("{} parameters", numbers::count(finish.parameters)));
    parts.push(numbers::flops(finish.flops as f64));
    let seconds = numbers::seconds(finish.seconds);
    parts.push(match expected.filter(|expected| surprises(finish.seconds, *expected)) {
        Some(expected) if finish.status.word() == "finished" => {
            format!("{seconds} ({} expected)", numbers::seconds(expected))
        }
        _ => seconds,
    });
    parts.join(" · ")
}

/// Whether a run took so much more or less time than was expected that its user should know.
fn surprises(took: f64, expected: f64) -> bool {
    const SECONDS: f64 = 5.0;
    const TIMES: f64 = 1.5;
    took.max(expected) >= SECONDS && !(1.0 / TIMES..=TIMES).contains(&(took / expected))
}

/// `blake3:4f1c09d2a7b3…`
pub fn short_digest(digest: &str) -> String {
    match digest.char_indices().nth("blake3:".len() + 12) {
        Some((at, _)) => format!("{}…", &digest[..at]),
        None => digest.into(),
    }
}

/// Rows are true classes, columns predicted ones.
pub fn confusion_matrix(counts: &[Vec<u64>]) -> String {
    let mut rows =
        vec![std::iter::once("true \\ said".to_string()).chain((0..counts.len()).map(|c| c.to_string())).collect()];
    for (class, row) in counts.iter().enumerate() {
        let cells = row.iter().map(|&n| if n == 0 { "·".to_string() } else { n.to_string() });
        rows.push(std::iter::once(class.to_string()).chain(cells).collect::<Vec<_>>());
    }
    aligned_right(&rows).iter().map(|line| format!("  {line}\n")).collect()
}

/// Columns of equal width, three spaces apart, ends trimmed. Cells may hold foreign names.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let widths = column_widths(rows);
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&one_line(cell));
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + if *width > 0 { 3 } else { 0 }));
            }
            line.trim_end().to_string()
        })
        .collect()
}

fn aligned_right(rows: &[Vec<String>]) -> Vec<String> {
    let widths = column_widths(rows);
    rows.iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{}{cell}", " ".repeat(width - cell.chars().count())));
            cells.collect::<Vec<_>>().join("  ")
        })
        .collect()
}

fn column_widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

/// The object of `--json`. A number that is not finite is `null`, since JSON has no word for it.
pub fn object(finish: &Finish, run: Option<&str>, diagnostics: Value) -> Value {
    let metrics: serde_json::Map<String, Value> =
        finish.metrics.iter().map(|metric| (metric.name.clone(), json!(metric.value))).collect();
    json!({
        "run": run,
        "status": finish.status.word(),
        "epochs": finish.epoch,
        "steps": finish.step,
        "parameters": finish.parameters,
        "metrics": metrics,
        "weights": finish.weights,
        "seconds": finish.seconds,
        "flops": finish.flops,
        "events": finish.events.iter().map(event).collect::<Vec<_>>(),
        "diagnostics": diagnostics,
    })
}

fn event(growth: &Growth) -> Value {
    json!({
        "step": growth.step,
        "epoch": growth.epoch,
        "action": verb(&growth.action),
        "target": growth.target,
        "method": growth.method,
        "promise": growth.promise.word(),
        "bound": growth.bound,
        "held": growth.held,
        "drift": growth.drift,
        "shock": growth.shock.map(|shock| shock.rise),
        "grad_fresh": growth.gradient_fresh,
        "grad_old": growth.gradient_old,
        "parameters_before": growth.parameters_before,
        "parameters_after": growth.parameters_after,
    })
}

/// The verb of an action: `insert` of `insert identity`.
pub fn verb(action: &str) -> &str {
    action.split_whitespace().next().unwrap_or(action)
}
