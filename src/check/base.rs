//! What a fragment runs on: the sections and lets of `--base FILE`, or the built-in starter.

use super::program::Base;
use crate::base::{Diagnostic, Span, Spanned};
use crate::syntax::{self, Atom, Let, Phrase, Schedule, Section};
use std::path::{Path, PathBuf};

/// The text of the starter.
pub const STARTER: &str = include_str!("starter.grow");
/// What the sources call it.
pub const STARTER_NAME: &str = "<starter>";
/// What the sources call the words of `--train`.
pub const LENGTH_NAME: &str = "<--train>";

/// Whether a schedule has none of `data`, `model` and `train`.
pub fn is_fragment(schedule: &Schedule) -> bool {
    schedule.data.is_none() && schedule.model.is_none() && schedule.train.is_none()
}

/// Gives a fragment the sections and lets of `base`, or of the starter. Call it before `syntax::resolve`, so that
/// the fragment's `$NAME` may come from the base. `None` when the schedule is no fragment.
pub fn complete(schedule: &mut Schedule, base: Option<Schedule>) -> Option<Base> {
    if !is_fragment(schedule) {
        return None;
    }
    let (base, kind) = match base {
        Some(base) => {
            let path = base.sources.0.first().map_or_else(PathBuf::new, |source| PathBuf::from(&source.name));
            // A record holds the starter's text, which a later version may have changed.
            let kind = if path == Path::new(STARTER_NAME) { Base::Starter } else { Base::File(path) };
            (base, kind)
        }
        None => {
            let (starter, diagnostics) = syntax::parse(STARTER_NAME, STARTER);
            assert!(diagnostics.is_empty(), "the starter is a valid schedule: {diagnostics:?}");
            (starter, Base::Starter)
        }
    };
    let by = schedule.sources.0.len() as u16;
    schedule.sources.0.extend(base.sources.0);
    let moved = |section: Option<Section>| {
        section.map(|mut section| {
            shift_section(&mut section, by);
            section
        })
    };
    schedule.data = moved(base.data);
    schedule.model = moved(base.model);
    schedule.train = moved(base.train);
    schedule.seed = schedule.seed.take().or_else(|| {
        base.seed.map(|mut seed| {
            shift_atom(&mut seed, by);
            seed
        })
    });
    for mut definition in base.lets {
        // The fragment's own value wins, as an override does.
        if schedule.lets.iter().all(|own| own.name.node != definition.name.node) {
            shift_let(&mut definition, by);
            schedule.lets.push(definition);
        }
    }
    Some(kind)
}

/// Gives the `train` section another length, in the words of `--train`: `80 epochs`. What they are is judged with the
/// schedule; what cannot be read is told here.
pub fn set_length(schedule: &mut Schedule, words: &str) -> Vec<Diagnostic> {
    let by = schedule.sources.0.len() as u16;
    let (mut read, mut found) = syntax::parse(LENGTH_NAME, &length_text(words));
    schedule.sources.0.append(&mut read.sources.0);
    for label in found.iter_mut().flat_map(|diagnostic| &mut diagnostic.labels) {
        shift(&mut label.span, by);
    }
    if let (Some(train), Some(mut section)) = (&mut schedule.train, read.train) {
        shift_section(&mut section, by);
        train.head = section.head;
    }
    found
}

/// The source that [`set_length`] reads.
fn length_text(words: &str) -> String {
    format!("train {words} {{ }}")
}

/// The words that [`set_length`] was given, out of its source.
pub fn length_words(text: &str) -> Option<&str> {
    text.strip_prefix("train ")?.strip_suffix(" { }")
}

/// Gives a schedule without one the `model` section that `text` holds, which the sources call `name`.
pub fn add_model(schedule: &mut Schedule, name: &str, text: &str) {
    let by = schedule.sources.0.len() as u16;
    let (mut read, found) = syntax::parse(name, text);
    assert!(found.is_empty(), "our own words are good: {found:?}");
    schedule.sources.0.append(&mut read.sources.0);
    schedule.model = read.model.map(|mut section| {
        shift_section(&mut section, by);
        section
    });
}

/// Adds events in the words of `text`, which the sources call `name`; they come last.
pub fn add_events(schedule: &mut Schedule, name: &str, text: &str) {
    let by = schedule.sources.0.len() as u16;
    let (mut read, found) = syntax::parse(name, text);
    assert!(found.is_empty(), "our own words are good: {found:?}");
    schedule.sources.0.append(&mut read.sources.0);
    for mut event in read.events {
        shift(&mut event.span, by);
        shift(&mut event.trigger.span, by);
        shift(&mut event.trigger.word.span, by);
        event.trigger.head.iter_mut().for_each(|atom| shift_atom(atom, by));
        event.actions.iter_mut().for_each(|phrase| shift_phrase(phrase, by));
        schedule.events.push(event);
    }
}

fn shift(span: &mut Span, by: u16) {
    span.file += by;
}

fn shift_section(section: &mut Section, by: u16) {
    shift(&mut section.span, by);
    shift(&mut section.keyword.span, by);
    section.head.iter_mut().for_each(|atom| shift_atom(atom, by));
    section.body.iter_mut().for_each(|phrase| shift_phrase(phrase, by));
}

fn shift_phrase(phrase: &mut Phrase, by: u16) {
    shift(&mut phrase.span, by);
    phrase.atoms.iter_mut().for_each(|atom| shift_atom(atom, by));
    phrase.block.iter_mut().flatten().for_each(|inner| shift_phrase(inner, by));
}

fn shift_atom(atom: &mut Spanned<Atom>, by: u16) {
    shift(&mut atom.span, by);
    if let Atom::Range(first, last) = &mut atom.node {
        shift(&mut first.span, by);
        shift(&mut last.span, by);
    }
}

fn shift_let(definition: &mut Let, by: u16) {
    shift(&mut definition.span, by);
    shift(&mut definition.name.span, by);
    definition.value.iter_mut().for_each(|atom| shift_atom(atom, by));
}
