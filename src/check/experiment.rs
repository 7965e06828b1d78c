//! What stands around the sections: seed, name, lets, arms, sweeps, comparison.

use super::arguments::found;
use super::replay::Read;
use super::report::Report;
use super::suggest;
use super::triggers::Context;
use super::{is_spoilt, read_events, train};
use crate::base::{Diagnostic, Spanned};
use crate::syntax::{Atom, Schedule};
use std::collections::HashSet;
use std::path::Path;

/// `--seed`, else the schedule's, else 0.
pub fn seed(schedule: &Schedule, given: Option<u64>, report: &mut Report) -> u64 {
    let own = schedule.seed.as_ref().and_then(|seed| match seed.node {
        Atom::Number { integer: Some(n), .. } => Some(n),
        _ if is_spoilt(&seed.node) => None,
        _ => {
            report.add(
                Diagnostic::error("G0106", seed.span, format!("a seed is a whole number, not {}", found(seed)))
                    .help("write `seed 7`"),
            );
            None
        }
    });
    given.or(own).unwrap_or(0)
}

/// `experiment`, or the file's stem.
pub fn name(schedule: &Schedule) -> String {
    if let Some(name) = &schedule.experiment {
        return name.node.clone();
    }
    let path = schedule.sources.0.first().map_or("", |source| source.name.as_str());
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| "schedule".into())
}

/// Checks arms, sweeps and the comparison. The events of every arm, for a replay of their own.
pub fn arms(
    schedule: &Schedule,
    context: &Context,
    doubtful: &mut HashSet<String>,
    report: &mut Report,
) -> Vec<Vec<Read>> {
    let names: Vec<&str> = schedule.arms.iter().map(|arm| arm.name.node.as_str()).collect();
    let mut all = Vec::new();
    for (at, arm) in schedule.arms.iter().enumerate() {
        report.not_yet(arm.name.span, "`arm`");
        if let Some(first) = schedule.arms[..at].iter().find(|before| before.name.node == arm.name.node) {
            report.add(
                Diagnostic::error("G0103", arm.name.span, format!("there are two arms called `{}`", arm.name.node))
                    .here("the second")
                    .label(first.name.span, "the first")
                    .help("give one of them another name"),
            );
        }
        head(&arm.head, &arm.name.node, &names, report);
        let lets: Vec<&str> = schedule.lets.iter().map(|definition| definition.name.node.as_str()).collect();
        for definition in &arm.lets {
            known_let(&definition.name, &lets, report);
        }
        all.push(read_events(&arm.events, &schedule.sources, context, doubtful, report));
    }
    if !schedule.arms.is_empty() {
        for event in schedule.events.iter().filter(|event| {
            event.actions.iter().any(|phrase| {
                phrase.verb().is_some_and(|verb| {
                    crate::grow::OPERATORS.iter().any(|o| o.doc().word.split(' ').next() == Some(verb.node))
                })
            })
        }) {
            report.add(
                Diagnostic::warning("G0212", event.span, "this grows every arm")
                    .here("stands outside the arms")
                    .label(schedule.arms[0].span, "an arm of the comparison")
                    .help("move it into the arm that is to grow"),
            );
        }
    }
    let lets: Vec<&str> = schedule.lets.iter().map(|definition| definition.name.node.as_str()).collect();
    for sweep in &schedule.sweeps {
        report.not_yet(sweep.span, "`sweep`");
        known_let(&sweep.name, &lets, report);
        if sweep.values.is_empty() {
            report.add(
                Diagnostic::error("G0106", sweep.span, format!("the sweep of `{}` has no values", sweep.name.node))
                    .help(format!("write `sweep {} in [128, 256]`", sweep.name.node)),
            );
        }
    }
    compare(schedule, &names, context, report);
    all
}

/// `from final ARM`
fn head(head: &[Spanned<Atom>], own: &str, names: &[&str], report: &mut Report) {
    if head.is_empty() || head.iter().any(|atom| is_spoilt(&atom.node)) {
        return;
    }
    let words: Vec<&str> = head
        .iter()
        .map(|atom| match &atom.node {
            Atom::Word(word) => word.as_str(),
            _ => "",
        })
        .collect();
    let span = train::span_of(head, head[0].span);
    match words.as_slice() {
        ["from", "final", arm] => {
            if *arm == own || !names.contains(arm) {
                let others = names.iter().copied().filter(|name| *name != own);
                let diagnostic = Diagnostic::error("G0105", head[2].span, format!("there is no other arm `{arm}`"));
                report.add(match suggest::help(arm, others) {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
        }
        _ => report.add(
            Diagnostic::error("G0105", span, "after its name an arm has `from final ARM` or nothing")
                .help(format!("write `arm {own} {{ … }}`")),
        ),
    }
}

fn known_let(name: &Spanned<String>, lets: &[&str], report: &mut Report) {
    if lets.contains(&name.node.as_str()) {
        return;
    }
    let diagnostic = Diagnostic::error("G0105", name.span, format!("there is no `let {}` to change", name.node));
    report.add(diagnostic.help(match suggest::nearest(&name.node, lets.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `let {} = …` at the top of the file", name.node),
    }));
}

/// `compare grown, small by val_accuracy match flops seeds 5`
fn compare(schedule: &Schedule, names: &[&str], context: &Context, report: &mut Report) {
    let Some(phrase) = &schedule.compare else { return };
    report.not_yet(phrase.span, "`compare`");
    const STANDARD: [&str; 5] = ["grown", "small", "large", "large_epochs", "grown_random"];
    let mut known: Vec<&str> = names.to_vec();
    if names.is_empty() {
        known.extend(STANDARD);
    }
    let atoms = &phrase.atoms[1.min(phrase.atoms.len())..];
    let word_at = |at: usize| match atoms.get(at).map(|atom| &atom.node) {
        Some(Atom::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    let mut at = 0;
    let mut arms = 0;
    while at < atoms.len() {
        let span = atoms[at].span;
        match word_at(at) {
            Some("by") => {
                if let Some(metric) = word_at(at + 1) {
                    report
                        .diagnostics
                        .extend(super::conditions::metric(metric, atoms[at + 1].span, context.vocabulary).err());
                }
                at += 2;
            }
            Some("match") => {
                const UNITS: [&str; 3] = ["epochs", "steps", "flops"];
                if let Some(unit) = word_at(at + 1)
                    && !UNITS.contains(&unit)
                {
                    let diagnostic =
                        Diagnostic::error("G0105", atoms[at + 1].span, format!("`match` does not know `{unit}`"));
                    report.add(diagnostic.help(suggest::help(unit, UNITS).unwrap_or_default()));
                }
                at += 2;
            }
            Some("seeds") => at += 2,
            Some(arm) => {
                arms += 1;
                if !known.contains(&arm) {
                    let diagnostic =
                        Diagnostic::error("G0105", span, format!("there is no arm `{arm}`")).here("unknown arm");
                    report.add(match suggest::help(arm, known.iter().copied()) {
                        Some(help) => diagnostic.help(help),
                        None => diagnostic,
                    });
                }
                at += 1;
            }
            None if is_spoilt(&atoms[at].node) => {
                arms += 1;
                at += 1;
            }
            None => {
                report.add(
                    Diagnostic::error("G0105", span, format!("`compare` does not know {}", found(&atoms[at])))
                        .help("the form is `compare grown, small by val_accuracy match flops seeds 5`"),
                );
                at += 1;
            }
        }
    }
    if arms < 2 {
        report.add(
            Diagnostic::error("G0106", phrase.span, "a comparison needs two arms or more")
                .help("the form is `compare grown, small by val_accuracy match flops seeds 5`"),
        );
    }
}
