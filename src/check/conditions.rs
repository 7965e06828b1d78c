//! Conditions: comparisons and plateaus of metrics, joined by `and`; and the names of metrics.

use super::arguments::{cover, found, read_one};
use super::refused;
use super::suggest;
use super::vocabulary::{MetricWord, Vocabulary};
use crate::base::{Clause, Comparison, Diagnostic, Kind, Span, Spanned, Value};
use crate::syntax::Atom;

/// The parts of the data that a metric can be computed on.
pub const PARTS: [&str; 3] = ["train", "val", "test"];

pub fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// `val_accuracy` taken apart: `("val", accuracy)`. `None` when it is no metric's full name.
pub fn parts<'v>(name: &str, vocabulary: &'v Vocabulary) -> Option<(&'static str, &'v MetricWord)> {
    let (part, metric) = name.split_once('_')?;
    let part = PARTS.into_iter().find(|known| *known == part)?;
    Some((part, vocabulary.metrics.iter().find(|known| known.doc.word == metric)?))
}

/// Whether `name` is a metric's full name, standing at `span`.
pub fn metric(name: &str, span: Span, vocabulary: &Vocabulary) -> Result<(), Diagnostic> {
    if parts(name, vocabulary).is_some() {
        return Ok(());
    }
    if vocabulary.metrics.iter().any(|known| known.doc.word == name) {
        return Err(Diagnostic::error("G0502", span, format!("`{name}` of which part of the data"))
            .here("names no part")
            .help(format!("write `val_{name}` or `train_{name}`")));
    }
    let diagnostic = Diagnostic::error("G0502", span, format!("there is no metric `{name}`")).here("unknown metric");
    if unit_of_time(name) {
        return Err(diagnostic.help(format!(
            "give times by `from` and `until`, as in `when val_loss < 0.5 from {name} 10 save \"good\"`"
        )));
    }
    let mut all: Vec<String> = Vec::new();
    for part in ["val", "train", "test"] {
        all.extend(vocabulary.metrics.iter().map(|known| format!("{part}_{}", known.doc.word)));
    }
    let near = suggest::nearest(name, all.iter().map(String::as_str));
    Err(match near {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!(
            "a metric is `train_`, `val_` or `test_` with {}",
            suggest::any_of(&vocabulary.metrics.iter().map(|known| known.doc.word).collect::<Vec<_>>())
        )),
    })
}

fn unit_of_time(word: &str) -> bool {
    matches!(word, "epoch" | "step")
}

/// Reads all of `atoms` as a condition. `at` is the word that asks for it.
pub fn read(atoms: &[Spanned<Atom>], at: Span, vocabulary: &Vocabulary) -> (Vec<Clause>, Vec<Diagnostic>) {
    let mut clauses = Vec::new();
    let mut diagnostics = Vec::new();
    if atoms.is_empty() {
        diagnostics.push(
            Diagnostic::error("G0106", at, "a condition is missing")
                .here("nothing follows")
                .help("write one such as `val_loss plateaus for 5 epochs` or `val_accuracy > 90%`"),
        );
    }
    let joins = |atom: &Spanned<Atom>| matches!(&atom.node, Atom::Word(word) if word == "and" || word == "or");
    let mut before = at;
    for part in atoms.split_inclusive(joins) {
        let (clause, join) = match part.split_last() {
            Some((last, clause)) if joins(last) => (clause, Some(last)),
            _ => (part, None),
        };
        if let Some(Spanned { node: Atom::Word(word), span }) = join
            && word == "or"
        {
            diagnostics.push(refused::or(*span));
        }
        match read_clause(clause, join.map_or(before, |join| join.span), vocabulary) {
            Ok(clause) => clauses.push(clause),
            Err(Some(diagnostic)) => diagnostics.push(diagnostic),
            Err(None) => {}
        }
        before = join.map_or(before, |join| join.span);
    }
    if let Some(last) = atoms.last()
        && joins(last)
    {
        diagnostics.push(Diagnostic::error("G0106", last.span, "a comparison is missing").here("nothing follows"));
    }
    (clauses, diagnostics)
}

fn read_clause(atoms: &[Spanned<Atom>], near: Span, vocabulary: &Vocabulary) -> Result<Clause, Option<Diagnostic>> {
    let form = "the forms are `val_accuracy > 90%` and `val_loss plateaus for 5 epochs delta 1e-3`";
    if atoms.iter().any(|atom| matches!(atom.node, Atom::Bad | Atom::Variable(_))) {
        return Err(None);
    }
    let Some(first) = atoms.first() else {
        return Err(Some(Diagnostic::error("G0106", near, "a comparison is missing").help(form)));
    };
    let span = cover(first.span, atoms[atoms.len() - 1].span);
    let Atom::Word(name) = &first.node else {
        let message = format!("a condition begins with a metric, not {}", found(first));
        return Err(Some(Diagnostic::error("G0106", first.span, message).help(form)));
    };
    metric(name, first.span, vocabulary).map_err(Some)?;
    let metric = name.clone();
    match &atoms[1..] {
        [Spanned { node: Atom::Compare(op), .. }, value] => {
            let (Atom::Number { value: number, .. } | Atom::Percent(number)) = &value.node else {
                let message = format!("`{metric}` is compared with a number, not {}", found(value));
                return Err(Some(Diagnostic::error("G0106", value.span, message).help(form)));
            };
            if !number.is_finite() {
                return Err(Some(
                    Diagnostic::error("G0107", value.span, format!("`{metric}` is never {}", found(value)))
                        .help("compare with a finite number"),
                ));
            }
            Ok(Clause::Compare { metric, op: *op, value: *number, span })
        }
        [Spanned { node: Atom::Word(plateaus), span: verb }, rest @ ..] if plateaus == "plateaus" => {
            let Some(Spanned { node: Atom::Word(word), span: preposition }) = rest.first() else {
                return Err(Some(
                    Diagnostic::error("G0106", *verb, "`plateaus` needs `for` and how long")
                        .here("how long")
                        .help("write `plateaus for 5 epochs`"),
                ));
            };
            if word != "for" {
                return Err(Some(
                    Diagnostic::error("G0105", *preposition, format!("`plateaus` does not know `{word}`"))
                        .help("write `plateaus for 5 epochs`"),
                ));
            }
            let delta_at = rest.iter().position(|atom| matches!(&atom.node, Atom::Word(word) if word == "delta"));
            let until = delta_at.unwrap_or(rest.len());
            let window = match read_one(&Kind::Duration, &rest[1..until], "plateaus for", *preposition)? {
                Value::Duration(window) => window,
                _ => unreachable!("a duration was asked for"),
            };
            if super::time::is_zero(window) {
                return Err(Some(
                    Diagnostic::error("G0107", span, "nothing can be flat for no time")
                        .help("give a length such as `5 epochs`"),
                ));
            }
            let delta = match delta_at {
                None => 0.0,
                Some(at) => match read_one(&Kind::Number, &rest[at + 1..], "delta", rest[at].span)? {
                    Value::Number(delta) => delta,
                    _ => unreachable!("a number was asked for"),
                },
            };
            Ok(Clause::Plateau { metric, window, delta, span })
        }
        [] => Err(Some(
            Diagnostic::error("G0106", first.span, format!("what about `{metric}`")).here("not compared").help(form),
        )),
        [Spanned { node: Atom::Word(word), span }, ..] => {
            let diagnostic = Diagnostic::error("G0105", *span, format!("a condition does not know `{word}`"));
            Err(Some(match suggest::nearest(word, ["plateaus"]) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(form),
            }))
        }
        [other, ..] => {
            let message = format!("a condition cannot go on with {}", found(other));
            Err(Some(Diagnostic::error("G0106", other.span, message).help(form)))
        }
    }
}
