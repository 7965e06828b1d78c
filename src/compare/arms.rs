//! The arms of a comparison as schedules: those that the file writes, and the standard ones of a file without any.
//!
//! The reference trains as its schedule says. The other arms have a budget, so nothing that ends a run early or judges it
//! (`stop`, `stop when`, `assert`) is in them. The standard arms are made of the file itself: `small` is what is left of
//! it without growth; `large` the same for the network that the growth ends with, in fresh weights.

use crate::base::Spanned;
use crate::check::experiment::{changes, from_final};
use crate::check::{self};
use crate::syntax::{self, Atom, Event, Phrase, Schedule};
use std::collections::HashSet;

/// The reference of the standard arms.
pub const GROWN: &str = "grown";
/// Never grows.
pub const SMALL: &str = "small";
/// The final network in fresh weights.
pub const LARGE: &str = "large";
pub const LARGE_EPOCHS: &str = "large_epochs";
/// With what is left of the budget at the first growth: when the small network is already paid for.
pub const LARGE_REST: &str = "large_rest";
/// The same growth with weights that nothing is preserved by.
pub const GROWN_RANDOM: &str = "grown_random";

/// Whether an arm is one of those that are made of a schedule without any.
pub fn is_standard(arm: &str) -> bool {
    crate::check::experiment::STANDARD.contains(&arm)
}

/// Whether an arm begins with fresh weights of the network that another one ends with: that arm.
pub fn begins_with(schedule: &Schedule, arm: &str) -> Option<String> {
    match schedule.arms.iter().find(|known| known.name.node == arm) {
        Some(own) => from_final(own).map(str::to_string),
        None => matches!(arm, LARGE | LARGE_EPOCHS | LARGE_REST).then(|| GROWN.to_string()),
    }
}

/// Whether the times of an arm's events are stretched with its budget. A file's own arms say themselves when what
/// happens.
pub fn stretches(schedule: &Schedule) -> bool {
    schedule.arms.is_empty()
}

/// How an arm is made a schedule of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// Its length is not its own.
    pub budgeted: bool,
    /// It is evaluated at its end, whatever its schedule says: with the test part, where there is one.
    pub judged: Option<Judged>,
}

/// What it is evaluated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Val,
    Test,
}

/// What the sources call the words that a comparison adds to an arm.
pub const ADDED: &str = "<compare>";

/// The schedule of an arm, to be resolved and checked. `None` when there is no such arm.
pub fn schedule(schedule: &Schedule, arm: &str, cut: Cut) -> Option<Schedule> {
    let mut one = match (schedule.arms.is_empty(), arm) {
        (false, _) => syntax::arm(schedule, arm)?,
        (true, GROWN) => schedule.clone(),
        (true, SMALL | LARGE | LARGE_EPOCHS | LARGE_REST) => without_growth(schedule),
        (true, GROWN_RANDOM) => at_random(schedule),
        _ => return None,
    };
    (one.compare, one.sweeps) = (None, Vec::new());
    if cut.budgeted {
        if let Some(train) = &mut one.train {
            train.body.retain(|phrase| phrase.verb().is_none_or(|verb| verb.node != "stop"));
        }
        keep_actions(&mut one.events, |phrase| {
            phrase.verb().is_none_or(|verb| !matches!(verb.node, "stop" | "assert"))
        });
    }
    match cut.judged {
        Some(Judged::Test) => check::add_events(&mut one, ADDED, "at end evaluate test\n"),
        // Elsewhere the end is due.
        Some(Judged::Val) if never_evaluates(&one) => check::add_events(&mut one, ADDED, "at end evaluate val\n"),
        _ => {}
    }
    Some(one)
}

/// `evaluate never`
fn never_evaluates(schedule: &Schedule) -> bool {
    let is_never = |phrase: &Phrase| matches!(phrase.atoms.get(1).map(|atom| &atom.node), Some(Atom::Word(word)) if word == "never");
    schedule.train.iter().flat_map(|train| &train.body).any(|phrase| is(phrase, "evaluate") && is_never(phrase))
}

/// Whether anything in a schedule changes the network.
pub fn has_growth(schedule: &Schedule) -> bool {
    actions(schedule).any(changes)
}

/// Whether some growth can also be made at random.
pub fn has_widening(schedule: &Schedule) -> bool {
    actions(schedule).any(adds_units)
}

/// Whether a phrase widens an axis; a kernel that is widened gets zeros, by no method.
fn adds_units(phrase: &Phrase) -> bool {
    let says_kernel = phrase.atoms.iter().any(|atom| matches!(&atom.node, Atom::Word(word) if word == "kernel"));
    is(phrase, "widen") && !says_kernel
}

fn actions(schedule: &Schedule) -> impl Iterator<Item = &Phrase> {
    schedule.events.iter().flat_map(|event| &event.actions)
}

fn is(phrase: &Phrase, verb: &str) -> bool {
    phrase.verb().is_some_and(|word| word.node == verb)
}

/// What sets the rate stays, and the dropout of layers that are surely there; what freezes goes with the growth that
/// it was for.
fn without_growth(schedule: &Schedule) -> Schedule {
    let mut one = schedule.clone();
    let removes = actions(schedule).any(|phrase| is(phrase, "remove"));
    let layers: HashSet<&str> = schedule
        .model
        .iter()
        .flat_map(|model| &model.body)
        .flat_map(|phrase| std::iter::once(phrase).chain(phrase.block.iter().flatten()))
        .filter_map(|phrase| phrase.verb().map(|verb| verb.node))
        .collect();
    let word = |phrase: &Phrase, at: usize| match phrase.atoms.get(at).map(|atom| &atom.node) {
        Some(Atom::Word(word)) => word.clone(),
        _ => String::new(),
    };
    keep_actions(&mut one.events, |phrase| {
        is(phrase, "set") && (word(phrase, 1) != "dropout" || (!removes && layers.contains(word(phrase, 2).as_str())))
    });
    one
}

/// Every `widen` by method `random`, without what belongs to the method that it had.
fn at_random(schedule: &Schedule) -> Schedule {
    let mut one = schedule.clone();
    for phrase in one.events.iter_mut().flat_map(|event| &mut event.actions).filter(|phrase| adds_units(phrase)) {
        let place = phrase.atoms[0].span;
        let mut kept = Vec::with_capacity(phrase.atoms.len() + 2);
        let mut atoms = std::mem::take(&mut phrase.atoms).into_iter();
        while let Some(atom) = atoms.next() {
            match &atom.node {
                Atom::Word(word) if matches!(word.as_str(), "method" | "eps" | "fan_in") => {
                    atoms.next();
                }
                _ => kept.push(atom),
            }
        }
        kept.extend(["method", "random"].map(|word| Spanned::new(Atom::Word(word.into()), place)));
        phrase.atoms = kept;
    }
    one
}

/// Leaves out actions, and events of which none is left.
fn keep_actions(events: &mut Vec<Event>, keep: impl Fn(&Phrase) -> bool) {
    for event in events.iter_mut() {
        event.actions.retain(&keep);
    }
    events.retain(|event| !event.actions.is_empty());
}
