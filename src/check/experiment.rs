//! What stands around the sections: seed, name, lets, arms, sweeps, comparison.

use super::arguments::found;
use super::program::{Comparison, Matching};
use super::report::Report;
use super::suggest;
use super::triggers::Context;
use super::{conditions, is_spoilt, train};
use crate::base::{Diagnostic, Span, Spanned};
use crate::syntax::{Arm, Atom, Phrase, Schedule};
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

/// So many arms, and so many values of a sweep, are compared at most.
pub const ARMS_MAX: usize = 64;

/// Checks what can be said of arms and sweeps before any is a schedule of its own: names and lets.
pub fn structure(schedule: &Schedule, report: &mut Report) {
    let lets: Vec<&str> = schedule.lets.iter().map(|definition| definition.name.node.as_str()).collect();
    arms(schedule, &lets, report);
    sweeps(schedule, &lets, report);
}

fn arms(schedule: &Schedule, lets: &[&str], report: &mut Report) {
    let names: Vec<&str> = schedule.arms.iter().map(|arm| arm.name.node.as_str()).collect();
    for arm in &schedule.arms {
        head(&arm.head, &arm.name.node, &names, report);
        goes_round(arm, schedule, report);
        for definition in &arm.lets {
            known_let(&definition.name, lets, report);
        }
    }
    if let Some(arm) = schedule.arms.get(ARMS_MAX) {
        report.add(
            Diagnostic::error("G0606", arm.name.span, format!("these are {} arms", schedule.arms.len()))
                .here(format!("at most {ARMS_MAX} are compared"))
                .help("use several files that `include` what they have in common"),
        );
    }
    if let Some(arm) = schedule.arms.first() {
        for event in schedule.events.iter().filter(|event| event.actions.iter().any(changes)) {
            report.add(
                Diagnostic::warning("G0212", event.span, "this grows every arm")
                    .here("stands outside the arms")
                    .label(arm.span, "an arm of the comparison")
                    .help("move it into the arm that is to grow"),
            );
        }
    }
    for (at, arm) in schedule.arms.iter().enumerate() {
        let name = arm.name.node.as_str();
        if matches!(name, "by" | "match" | "seeds") {
            report.add(
                Diagnostic::error("G0103", arm.name.span, format!("an arm cannot be called `{name}`"))
                    .here("a word of `compare`")
                    .help(format!("call it `{name}_1`, say")),
            );
        }
        // Each has a folder of its name, and some disks know no case.
        let alike = |other: &&Arm| other.name.node != name && other.name.node.eq_ignore_ascii_case(name);
        if let Some(first) = schedule.arms[..at].iter().find(alike) {
            report.add(
                Diagnostic::error(
                    "G0103",
                    arm.name.span,
                    format!("`{name}` and `{}` differ by case only", first.name.node),
                )
                .here("the second")
                .label(first.name.span, "the first")
                .help("give one of them another name"),
            );
        }
        for own in &arm.lets {
            if let Some(sweep) = schedule.sweeps.iter().find(|sweep| sweep.name.node == own.name.node) {
                report.add(
                    Diagnostic::warning(
                        "G0204",
                        own.name.span,
                        format!("`{}` is what the arm says, in every value of the sweep", own.name.node),
                    )
                    .here("wins over the sweep")
                    .label(sweep.name.span, "changes nothing in this arm")
                    .help("leave out one of both"),
                );
            }
        }
    }
}

fn sweeps(schedule: &Schedule, lets: &[&str], report: &mut Report) {
    let product =
        schedule.sweeps.iter().fold(1_usize, |product, sweep| product.saturating_mul(sweep.values.len().max(1)));
    if let Some(last) = schedule.sweeps.last().filter(|_| product > ARMS_MAX && schedule.sweeps.len() > 1) {
        report.add(
            Diagnostic::error("G0606", last.span, format!("the sweeps have {product} combinations"))
                .here(format!("each is a comparison; at most {ARMS_MAX}"))
                .help("use fewer values, or one sweep at a time"),
        );
    }
    for sweep in &schedule.sweeps {
        known_let(&sweep.name, lets, report);
        for (at, value) in sweep.values.iter().enumerate() {
            let text = schedule.sources.slice(value.span);
            let same = |other: &&Spanned<Atom>| schedule.sources.slice(other.span) == text;
            if let Some(first) = sweep.values[..at].iter().find(same) {
                report.add(super::twice(text, value.span, first.span));
            }
        }
        if sweep.values.is_empty() {
            report.add(
                Diagnostic::error("G0106", sweep.span, format!("the sweep of `{}` has no values", sweep.name.node))
                    .help(format!("write `sweep {} in [128, 256]`", sweep.name.node)),
            );
        }
        if sweep.values.len() > ARMS_MAX {
            report.add(
                Diagnostic::error("G0606", sweep.span, format!("this sweep has {} values", sweep.values.len()))
                    .here(format!("each is a comparison; at most {ARMS_MAX}"))
                    .help("use fewer values"),
            );
        }
    }
}

/// What a comparison is told whose first arm begins with another one's end: the message and the help.
pub fn begins_late(arm: &str, other: &str) -> (String, String) {
    (
        format!("`{arm}` is the first arm, but it begins with what `{other}` ends with"),
        format!("name `{other}` first: the others are given what the first arm spends"),
    )
}

/// Whether an action is one of the operators, which change the network or freeze it.
pub fn grows(phrase: &Phrase) -> bool {
    let is = |verb: &str| crate::grow::OPERATORS.iter().any(|o| o.doc().word.split(' ').next() == Some(verb));
    phrase.verb().is_some_and(|verb| is(verb.node))
}

/// Whether an action changes the network: those that freeze do not.
pub fn changes(phrase: &Phrase) -> bool {
    grows(phrase) && phrase.verb().is_some_and(|verb| !matches!(verb.node, "freeze" | "unfreeze"))
}

/// The arm with whose final network this one begins.
pub fn from_final(arm: &Arm) -> Option<&str> {
    match arm.head.last().map(|atom| &atom.node) {
        Some(Atom::Word(word)) if arm.head.len() == 3 => Some(word),
        _ => None,
    }
}

/// Whether an arm begins, over others, with its own end.
fn goes_round(arm: &Arm, schedule: &Schedule, report: &mut Report) {
    let mut next = from_final(arm);
    for _ in &schedule.arms {
        let Some(name) = next else { return };
        if name == arm.name.node {
            report.add(
                Diagnostic::error(
                    "G0214",
                    train::span_of(&arm.head, arm.name.span),
                    "this arm begins with its own end",
                )
                .here("goes round in a circle")
                .help(format!("let `{name}`, or one that it begins with, begin with the `model` section")),
            );
            return;
        }
        next = schedule.arms.iter().find(|other| other.name.node == name).and_then(from_final);
    }
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

/// The arms that `growrun compare` makes of a schedule without any.
pub const STANDARD: [&str; 6] = ["grown", "small", "large", "large_epochs", "grown_random", "large_rest"];

/// `compare grown, small by val_accuracy match flops seeds 5`. `names`: the arms of the file.
pub fn compare(schedule: &Schedule, names: &[&str], context: &Context, report: &mut Report) -> Option<Comparison> {
    let phrase = schedule.compare.as_ref()?;
    let known: Vec<&str> = if names.is_empty() { STANDARD.to_vec() } else { names.to_vec() };
    const FORM: &str = "the form is `compare grown, small by val_accuracy match flops seeds 5`";
    let mut line = Comparison { arms: Vec::new(), by: None, matching: None, seeds: None, span: phrase.span };
    let errors_before = report.errors();
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let mut spoilt = 0;
    let mut atoms = phrase.atoms.iter().skip(1);
    while let Some(atom) = atoms.next() {
        let word = match &atom.node {
            Atom::Word(word) => word.as_str(),
            other if is_spoilt(other) => {
                spoilt += 1;
                continue;
            }
            _ => {
                let message = format!("`compare` does not know {}", found(atom));
                report.add(Diagnostic::error("G0105", atom.span, message).help(FORM));
                continue;
            }
        };
        if let Some((_, first)) = seen.iter().find(|(before, _)| *before == word) {
            report.add(super::twice(word, atom.span, *first));
            continue;
        }
        seen.push((word, atom.span));
        if !matches!(word, "by" | "match" | "seeds") {
            if known.contains(&word) {
                line.arms.push(word.into());
            } else {
                let diagnostic =
                    Diagnostic::error("G0105", atom.span, format!("there is no arm `{word}`")).here("unknown arm");
                report.add(match suggest::help(word, known.iter().copied()) {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
            continue;
        }
        let Some(value) = atoms.next() else {
            report.add(Diagnostic::error("G0106", atom.span, format!("`{word}` needs a value")).help(FORM));
            break;
        };
        match (word, &value.node) {
            (_, node) if is_spoilt(node) => {}
            ("by", Atom::Word(metric)) => line.by = by(metric, value.span, context, report),
            ("match", Atom::Word(unit)) => match Matching::ALL.into_iter().find(|one| one.word() == unit) {
                Some(matching) => line.matching = Some(matching),
                None => {
                    let message = format!("`match` does not know `{unit}`");
                    let help = suggest::help(unit, Matching::ALL.map(Matching::word)).unwrap_or_default();
                    report.add(Diagnostic::error("G0105", value.span, message).help(help));
                }
            },
            ("seeds", Atom::Number { integer: Some(n), .. }) if (1..=SEEDS_MAX).contains(n) => line.seeds = Some(*n),
            ("seeds", _) => report.add(
                Diagnostic::error("G0106", value.span, format!("`seeds` needs a whole number, not {}", found(value)))
                    .here(format!("from 1 to {SEEDS_MAX}"))
                    .help("five seeds are usual; fewer than three decide nothing"),
            ),
            _ => report.add(
                Diagnostic::error("G0106", value.span, format!("`{word}` needs a word, not {}", found(value)))
                    .help(FORM),
            ),
        }
    }
    if line.arms.len() + spoilt < 2 && report.errors() == errors_before {
        report.add(
            Diagnostic::error("G0106", phrase.span, "a comparison needs two arms or more")
                .help("the form is `compare grown, small by val_accuracy match flops seeds 5`"),
        );
    }
    if names.is_empty() && !schedule.events.iter().flat_map(|event| &event.actions).any(changes) {
        report.add(
            Diagnostic::error("G0225", phrase.span, "nothing grows in this schedule, so that its arms are all alike")
                .help("add an event such as `at 30% widen h2 by 2x`, or arms of your own"),
        );
    }
    if names.is_empty() && line.arms.first().is_some_and(|first| first != "grown") {
        report.add(
            Diagnostic::error("G0106", phrase.span, "the standard arms are measured by `grown`")
                .help("name `grown` first, or write arms of your own"),
        );
    }
    Some(line)
}

/// So many seeds are compared at most.
const SEEDS_MAX: u64 = 1000;

/// The metric of the verdict, which every arm has to compute at its end.
fn by(name: &str, span: Span, context: &Context, report: &mut Report) -> Option<String> {
    if let Err(unknown) = conditions::metric(name, span, context.vocabulary) {
        report.add(unknown);
        return None;
    }
    if name.starts_with("train_") {
        report.add(
            Diagnostic::error(
                "G0502",
                span,
                format!("`{name}` says how well the arms remember, not what they learned"),
            )
            .help("compare by a metric of examples that no arm was trained on, such as `val_accuracy`"),
        );
        return None;
    }
    if let Some(uncomputed) =
        train::uncomputed(name, span, context.measured, context.vocabulary, context.has_test, true)
    {
        report.add(uncomputed);
        return None;
    }
    Some(name.into())
}
