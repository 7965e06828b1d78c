//! Statements to one [`Schedule`]: what may stand once stands once.

use super::ast::*;
use super::lower::Statement;
use crate::base::{Diagnostic, Span};
use std::collections::HashMap;

/// Puts statements into a schedule in source order, includes in place, and reports what is there twice.
#[derive(Default)]
pub struct Assembly {
    schedule: Schedule,
    lets: HashMap<String, Span>,
    arms: HashMap<String, Span>,
    sweeps: HashMap<String, Span>,
    /// Places of the sections and settings, by their word.
    once: HashMap<&'static str, Span>,
    pub found: Vec<Diagnostic>,
}

impl Assembly {
    /// Everything that was added, over the texts that it came from.
    pub fn finish(self, sources: crate::base::Sources) -> (Schedule, Vec<Diagnostic>) {
        (Schedule { sources, ..self.schedule }, self.found)
    }

    pub fn add(&mut self, statement: Statement) {
        match statement {
            Statement::Version(version) => {
                if self.once("grow", version.span) {
                    self.version(&version.node, version.span);
                    self.schedule.version = Some(version);
                }
            }
            Statement::Experiment(title) => {
                if self.once("experiment", title.span) {
                    self.schedule.experiment = Some(title);
                }
            }
            Statement::Seed(seed) => {
                if self.once("seed", seed.span) {
                    self.schedule.seed = Some(seed);
                }
            }
            Statement::Let(item) => {
                if first_of(&mut self.lets, &mut self.found, "let", &item.name.node, item.name.span) {
                    self.schedule.lets.push(item);
                }
            }
            // Whoever follows includes replaces this statement by those of the file.
            Statement::Include { .. } => {}
            Statement::Section(section) => {
                let (word, place) = match section.keyword.as_str() {
                    "data" => ("data", &mut self.schedule.data),
                    "model" => ("model", &mut self.schedule.model),
                    _ => ("train", &mut self.schedule.train),
                };
                if let Some(first) = self.once.get(word) {
                    self.found.push(twice(word, section.keyword.span, *first));
                    return;
                }
                self.once.insert(word, section.keyword.span);
                *place = Some(section);
            }
            Statement::Event(event) => self.schedule.events.push(event),
            Statement::Arm(mut arm) => {
                if first_of(&mut self.arms, &mut self.found, "arm", &arm.name.node, arm.name.span) {
                    self.inner_lets(&arm);
                    arm.behind = self.schedule.events.len();
                    self.schedule.arms.push(arm);
                }
            }
            Statement::Sweep(sweep) => {
                if first_of(&mut self.sweeps, &mut self.found, "sweep", &sweep.name.node, sweep.name.span) {
                    self.schedule.sweeps.push(sweep);
                }
            }
            Statement::Compare(phrase) => {
                if self.once("compare", phrase.span) {
                    self.schedule.compare = Some(phrase);
                }
            }
        }
    }

    fn inner_lets(&mut self, arm: &Arm) {
        let mut seen = HashMap::new();
        for item in &arm.lets {
            first_of(&mut seen, &mut self.found, "let", &item.name.node, item.name.span);
        }
    }

    fn once(&mut self, word: &'static str, span: Span) -> bool {
        if let Some(first) = self.once.get(word) {
            self.found.push(twice(word, span, *first));
            return false;
        }
        self.once.insert(word, span);
        true
    }

    fn version(&mut self, version: &Atom, span: Span) {
        if !matches!(version, Atom::Number { integer: Some(1), .. }) {
            self.found.push(
                Diagnostic::error("G0008", span, "this growrun reads version 1 of the language only")
                    .here("another version")
                    .help("write `grow 1`, or use the growrun that the file was written for"),
            );
        }
    }
}

fn first_of(seen: &mut HashMap<String, Span>, found: &mut Vec<Diagnostic>, word: &str, name: &str, span: Span) -> bool {
    if let Some(first) = seen.get(name) {
        found.push(twice(&format!("{word} {}", super::atoms::short(name)), span, *first));
        return false;
    }
    seen.insert(name.into(), span);
    true
}

fn twice(what: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error("G0006", span, format!("`{what}` stands here a second time"))
        .here("again")
        .label(first, "first here")
        .help("keep one of them; nothing is merged")
}
