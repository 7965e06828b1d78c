//! `$NAME` to its value. Lets are file-wide and in no order; a value cannot name another, so one pass
//! over the tree is enough and nothing can go round in a circle.

use super::ast::*;
use super::atoms::short;
use super::suggest::nearest;
use crate::base::{Diagnostic, Sources, Span, Spanned};
use std::collections::HashMap;

/// What is wrong with a literal, if anything is: one number, percent, factor, word or text, or a duration.
pub fn literal_mistake(name: &str, value: &[Spanned<Atom>]) -> Option<Diagnostic> {
    let error = |span, message: String| {
        Some(Diagnostic::error("G0014", span, message).help(format!(
            "write one value, such as `let {} = 256`, `95%`, `2x`, `relu`, `\"text\"` or `5 epochs`",
            short(name)
        )))
    };
    match value {
        [] => None,
        _ if value.iter().any(|atom| atom.node == Atom::Bad) => None,
        [Spanned { node: Atom::Variable(other), span }, ..] => {
            error(*span, format!("the value of a name cannot be another name, `${}`", short(other)))
                .map(|error| error.here("a name"))
        }
        [Spanned { node: Atom::Range(..) | Atom::Compare(_), span }, ..] => {
            error(*span, "this is no single value".into()).map(|error| error.here("not a value"))
        }
        [_] => None,
        [Spanned { node: Atom::Number { .. }, .. }, Spanned { node: Atom::Word(unit), .. }]
            if matches!(unit.as_str(), "epoch" | "epochs" | "step" | "steps") =>
        {
            None
        }
        [_, rest @ ..] => {
            let span = rest[0].span.to(rest[rest.len() - 1].span);
            error(span, "a name has one value".into()).map(|error| error.here("too much"))
        }
    }
}

/// Puts the `--set NAME=VALUE` pairs in place of the lets' values. An arm's own values are put over them.
pub fn set(schedule: &mut Schedule, overrides: &[(String, String)]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, value) in overrides {
        set_one(schedule, name, value, &mut found);
    }
    found
}

/// Puts every let's value in place of its `$NAME`.
///
/// The span of a value is that of its use. A name that nobody defined becomes [`Atom::Bad`] and is
/// reported; a let of the file itself that nobody uses is a warning (one that was included is not: shared
/// files define more than each of their readers needs).
pub fn resolve(schedule: &mut Schedule) -> Vec<Diagnostic> {
    let mut names = Names {
        values: schedule.lets.iter().map(|item| (item.name.node.clone(), item.value.clone())).collect(),
        used: HashMap::new(),
        found: Vec::new(),
    };
    let scope = HashMap::new();
    for atom in [&mut schedule.version, &mut schedule.seed].into_iter().flatten() {
        names.single(atom, &scope);
    }
    for section in [&mut schedule.data, &mut schedule.model, &mut schedule.train].into_iter().flatten() {
        names.atoms(&mut section.head, &scope);
        names.phrases(&mut section.body, &scope);
    }
    names.events(&mut schedule.events, &scope);
    for arm in &mut schedule.arms {
        let scope: HashMap<String, Vec<Spanned<Atom>>> =
            arm.lets.iter().map(|item| (item.name.node.clone(), item.value.clone())).collect();
        names.atoms(&mut arm.head, &scope);
        names.events(&mut arm.events, &scope);
    }
    if let Some(compare) = &mut schedule.compare {
        names.phrases(std::slice::from_mut(compare), &scope);
    }
    let Names { used, mut found, .. } = names;
    for item in schedule.lets.iter().filter(|item| item.name.span.file == 0 && !used.contains_key(&item.name.node)) {
        let name = short(&item.name.node);
        found.push(
            Diagnostic::warning("G0015", item.name.span, format!("`{name}` is never used"))
                .here("defined here")
                .help(format!("write `${name}` where the value belongs, or remove the line")),
        );
    }
    found
}

/// One `--set NAME=VALUE`.
fn set_one(schedule: &mut Schedule, name: &str, value: &str, found: &mut Vec<Diagnostic>) {
    let file = schedule.sources.add(format!("<--set {}>", short(name)), value);
    let whole = Span::new(file, 0, value.len());
    let Some(item) = schedule.lets.iter_mut().find(|item| item.name.node == name) else {
        let lets = schedule.lets.iter().map(|item| item.name.node.as_str());
        found.push(unknown(name, whole, lets).here("for a name that no `let` defines"));
        return;
    };
    let (atoms, mistakes) = super::read_literal(value, file);
    let wrong = match atoms.as_slice() {
        _ if !mistakes.is_empty() => {
            found.extend(mistakes);
            true
        }
        [] => {
            found.push(
                Diagnostic::error("G0014", whole, format!("`--set {}` has no value", short(name)))
                    .here("empty")
                    .help(format!("write `--set {}=256`", short(name))),
            );
            true
        }
        atoms => {
            let mistake = literal_mistake(name, atoms);
            let wrong = mistake.is_some() || atoms.iter().any(|atom| atom.node == Atom::Bad);
            found.extend(mistake);
            wrong
        }
    };
    item.value = if wrong { vec![Spanned::new(Atom::Bad, whole)] } else { atoms };
}

fn unknown<'a>(name: &str, span: Span, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.collect();
    let error = Diagnostic::error("G0010", span, format!("no `let` defines `{}`", short(name)));
    match nearest(name, known.iter().copied()) {
        Some(meant) => error.help(format!("did you mean `{meant}`?")),
        None if known.is_empty() => error.help(format!("this file has no `let`; add `let {} = 256`", short(name))),
        None => {
            let few: Vec<String> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
            error.help(format!("defined are {}{}", few.join(", "), if known.len() > 8 { " and more" } else { "" }))
        }
    }
}

type Scope = HashMap<String, Vec<Spanned<Atom>>>;

struct Names {
    values: Scope,
    used: HashMap<String, ()>,
    found: Vec<Diagnostic>,
}

impl Names {
    fn value(&mut self, name: &str, span: Span, scope: &Scope) -> Vec<Spanned<Atom>> {
        self.used.insert(name.into(), ());
        match scope.get(name).or_else(|| self.values.get(name)) {
            Some(value) => value.iter().map(|atom| Spanned::new(atom.node.clone(), span)).collect(),
            None => {
                // What is shown is cut elsewhere; this only bounds what a hostile file can cost.
                if self.found.len() <= super::MISTAKES {
                    let mut known: Vec<&str> = self.values.keys().map(String::as_str).collect();
                    // Sorted, so that the same file always gets the same help.
                    known.sort_unstable();
                    let error = unknown(name, span, known.into_iter()).here("not defined");
                    self.found.push(error);
                }
                vec![Spanned::new(Atom::Bad, span)]
            }
        }
    }

    fn atoms(&mut self, atoms: &mut Vec<Spanned<Atom>>, scope: &Scope) {
        let has_name = |atom: &Spanned<Atom>| matches!(atom.node, Atom::Variable(_) | Atom::Range(..));
        if !atoms.iter().any(has_name) {
            return;
        }
        let mut out = Vec::with_capacity(atoms.len() + 1);
        for mut atom in std::mem::take(atoms) {
            match &mut atom.node {
                Atom::Variable(name) => out.extend(self.value(name, atom.span, scope)),
                Atom::Range(first, last) => {
                    self.single(first, scope);
                    self.single(last, scope);
                    let bad = matches!(first.node, Atom::Bad) || matches!(last.node, Atom::Bad);
                    out.push(if bad { Spanned::new(Atom::Bad, atom.span) } else { atom });
                }
                _ => out.push(atom),
            }
        }
        *atoms = out;
    }

    /// Where one atom stands, a value of two (`5 epochs`) does not fit.
    fn single(&mut self, atom: &mut Spanned<Atom>, scope: &Scope) {
        let Atom::Variable(name) = &atom.node else { return };
        let name = name.clone();
        let mut value = self.value(&name, atom.span, scope);
        if value.len() > 1 {
            self.found.push(
                Diagnostic::error(
                    "G0014",
                    atom.span,
                    format!("`${}` is a duration, and one value stands here", short(&name)),
                )
                .here("not a duration")
                .help("use a `let` without a unit"),
            );
            value = vec![Spanned::new(Atom::Bad, atom.span)];
        }
        if let Some(value) = value.pop() {
            *atom = value;
        }
    }

    fn phrases(&mut self, phrases: &mut [Phrase], scope: &Scope) {
        for phrase in phrases {
            self.atoms(&mut phrase.atoms, scope);
            for inner in phrase.block.iter_mut().flatten() {
                self.atoms(&mut inner.atoms, scope);
                // Blocks stand two deep at most: there is no third level to go down to.
                debug_assert!(inner.block.is_none());
            }
        }
    }

    fn events(&mut self, events: &mut [Event], scope: &Scope) {
        for event in events {
            self.atoms(&mut event.trigger.head, scope);
            for (_, atoms) in &mut event.trigger.options {
                self.atoms(atoms, scope);
            }
            self.phrases(&mut event.actions, scope);
        }
    }
}

/// The lets as text, in order of their definition, for a record.
pub fn lets_as_text(schedule: &Schedule) -> Vec<(String, String)> {
    let text = |sources: &Sources, value: &[Spanned<Atom>]| match value {
        [first, .., last] => sources.slice(first.span.to(last.span)).to_string(),
        [one] => sources.slice(one.span).to_string(),
        [] => String::new(),
    };
    schedule.lets.iter().map(|item| (item.name.node.clone(), text(&schedule.sources, &item.value))).collect()
}
