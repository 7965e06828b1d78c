//! `growrun check`: every diagnostic of every file; nothing is run.

use super::arguments::{Check, Format};
use super::numbers::{count, plural};
use super::outcome;
use super::render::{from_error, human};
use super::session::{self, Session};
use super::terminal::{say, say_json};
use super::{Context, confine, exit, machine};
use crate::base::text::one_line;
use crate::base::{Diagnostic, Severity, Sources};
use std::path::Path;

pub fn run(context: &Context, check: &Check) -> i32 {
    confine::to_schedules(context, &check.files, &check.overrides, None);
    let mut code = exit::OK;
    let mut found: Vec<(Vec<Diagnostic>, Sources)> = Vec::new();
    for file in &check.files {
        let (diagnostics, sources) = match session::open(context, file, &check.overrides, Default::default()) {
            Ok(session) => {
                if check.format == Format::Human && session.diagnostics.is_empty() {
                    say(&fine(file, &session));
                }
                let told = (session.diagnostics.clone(), session.checked.sources.clone());
                // The process ends in a moment; taking a long timeline apart first would be felt.
                std::mem::forget(session);
                told
            }
            Err(error) => {
                code = exit::WORLD;
                (vec![from_error(&error)], Sources::default())
            }
        };
        if code == exit::OK && diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            code = exit::BAD_INPUT;
        }
        match check.format {
            Format::Human => say(&human(&diagnostics, &sources, context.terminal.stdout)),
            Format::Json => say_json(&machine::json_lines(&diagnostics, &sources)),
            Format::Sarif => {}
        }
        found.push((diagnostics, sources));
    }
    if check.format == Format::Sarif {
        let all: Vec<_> = found.iter().map(|(diagnostics, sources)| (diagnostics.as_slice(), sources)).collect();
        say_json(&machine::sarif(&all));
    }
    code
}

/// `first.grow is fine: 2700 steps, 2 growth events, 3.5k → 78.9k parameters`
fn fine(file: &Path, session: &Session) -> String {
    let mut parts = Vec::new();
    if let Some(program) = &session.checked.program {
        parts.push(plural(program.train.steps, "step"));
        let timeline = &session.checked.timeline;
        let grown: Vec<_> = timeline.iter().filter(|planned| planned.growth.is_some() && !planned.undo).collect();
        if let Some(last) = grown.last() {
            parts.push(plural(grown.len() as u64, "growth event"));
            let (before, after) = (program.architecture.parameter_count().1, last.parameters().1);
            parts.push(format!("{} → {} parameters", count(before), count(after)));
        } else {
            parts.push(format!("{} parameters", count(program.architecture.parameter_count().1)));
        }
    }
    let detail = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{} is fine{detail}\n{}", one_line(&file.display().to_string()), agenda(session))
}

/// What happens when, with each time as a step: the first of many events.
fn agenda(session: &Session) -> String {
    const SHOWN_MAX: usize = 24;
    let Some(program) = &session.checked.program else { return String::new() };
    let timeline = &session.checked.timeline;
    let rows: Vec<Vec<String>> = timeline
        .iter()
        .take(SHOWN_MAX)
        .map(|planned| {
            let epoch = outcome::epoch(planned.step as f64 / program.data.steps_per_epoch.max(1) as f64);
            let action = &program.events[planned.event].actions[planned.action];
            let text = planned.growth.as_ref().map_or_else(
                || action.text.clone(),
                |growth| {
                    let (what, _) = outcome::what(&growth.summary.detail, &growth.summary.target);
                    format!("{} {what}", growth.summary.action)
                },
            );
            let undo = if planned.undo { "undo " } else { "" };
            let maybe = if planned.certain { "" } else { ", when its condition holds" };
            let from = if planned.certain { "" } else { "from " };
            vec![format!("  {from}epoch {epoch}"), format!("step {}", planned.step), format!("{undo}{text}{maybe}")]
        })
        .collect();
    let mut out: String = outcome::aligned(&rows).iter().map(|line| format!("{line}\n")).collect();
    if timeline.len() > SHOWN_MAX {
        out.push_str(&format!("  … and {} more\n", timeline.len() - SHOWN_MAX));
    }
    out
}
