//! A schedule with arms and sweeps is as many schedules: each is checked as one of its own, and what is found in all of
//! them is told once.

use super::experiment::{self, ARMS_MAX};
use super::join::join;
use super::program::{Base, Sweep};
use super::report::Report;
use super::{Checked, CheckedArm, OfAnArm, Planned, Program, Request, one};
use crate::base::{Diagnostic, Span, Spanned};
use crate::nn::Architecture;
use crate::syntax::{self, Atom, Schedule};
use std::collections::HashMap;

/// What was found, and in which of the schedules.
#[derive(Default)]
struct Findings {
    /// In the order in which they were first found.
    all: Vec<(Diagnostic, Vec<(usize, usize)>)>,
    /// Places in `all`.
    known: HashMap<String, usize>,
}

impl Findings {
    /// `at`: the numbers of the sweep's value, from 0 for none, and of the arm.
    fn add(&mut self, at: (usize, usize), diagnostic: &Diagnostic) {
        let place = *self.known.entry(format!("{diagnostic:?}")).or_insert_with(|| {
            self.all.push((diagnostic.clone(), Vec::new()));
            self.all.len() - 1
        });
        self.all[place].1.push(at);
    }
}

pub(super) fn check(schedule: Schedule, base: Option<Base>, request: &Request) -> Checked {
    let Schedule { arms, sweeps, .. } = &schedule;
    if arms.is_empty() && sweeps.is_empty() {
        return one(schedule, base, request, &[]);
    }
    let mut report = Report::default();
    experiment::structure(&schedule, &mut report);
    let names: Vec<&str> = arms.iter().take(ARMS_MAX).map(|arm| arm.name.node.as_str()).collect();
    // Each value is checked with each arm; what a hostile file can cost is bounded, and `compare` checks them again.
    const CHECKS_MAX: usize = 256;
    let most = (CHECKS_MAX / names.len().max(1)).min(ARMS_MAX);
    let values: Vec<(&str, &Spanned<Atom>)> = sweeps
        .iter()
        .flat_map(|sweep| sweep.values.iter().take(ARMS_MAX).map(|value| (sweep.name.node.as_str(), value)))
        .take(most)
        .collect();
    // What is wrong with names is so wherever they stand; a name that only one arm uses is used.
    let mut whole = schedule.clone();
    report.extend(syntax::resolve(&mut whole));
    let mut findings = Findings::default();
    let mut missing = None;
    let mut first: Option<Checked> = None;
    let mut checked_arms = Vec::new();
    for number in 0..=values.len() {
        let mut this = schedule.clone();
        if let Some((name, value)) = number.checked_sub(1).and_then(|at| values.get(at))
            && let Some(item) = this.lets.iter_mut().find(|item| item.name.node == *name)
        {
            item.value = vec![(*value).clone()];
        }
        let mut of_sweep = all_arms(&this, base.as_ref(), request, &names);
        for (arm, checked) in of_sweep.iter_mut().enumerate() {
            let Some(checked) = checked else { continue };
            // Which names are used was asked above, of all arms together.
            let known = |diagnostic: &&Diagnostic| diagnostic.code != "G0015";
            checked.diagnostics.iter().filter(known).for_each(|one| findings.add((number, arm), one));
            missing = missing.or(checked.missing.take());
        }
        if number == 0 {
            let from_final = |arm: usize| schedule.arms.get(arm).and_then(experiment::from_final).map(str::to_string);
            for (arm, checked) in of_sweep.iter().enumerate().filter(|_| !names.is_empty()) {
                checked_arms.push(CheckedArm {
                    name: names[arm].into(),
                    from_final: from_final(arm),
                    program: checked.as_ref().and_then(|checked| checked.program.clone()),
                    timeline: checked.as_ref().map_or_else(Vec::new, |checked| checked.timeline.clone()),
                });
            }
            let comparison = of_sweep.iter().flatten().find_map(|checked| checked.comparison.clone());
            let reference = comparison.as_ref().and_then(|line| line.arms.first());
            let at = reference.and_then(|name| names.iter().position(|arm| arm == name)).unwrap_or(0);
            first = of_sweep.swap_remove(at);
            if let Some(first) = &mut first {
                first.comparison = comparison;
            }
        }
    }
    let arms_count = names.len().max(1);
    for (mut diagnostic, found_at) in findings.all {
        let (number, arm) = found_at[0];
        let in_this_value = found_at.iter().filter(|(other, _)| *other == number).count();
        if number > 0
            && let Some((_, value)) = values.get(number - 1)
        {
            diagnostic = diagnostic.label(value.span, "with this value");
        }
        let own = schedule.arms.get(arm).filter(|_| in_this_value < arms_count);
        if let Some(own) = own.filter(|own| !covers(own.span, diagnostic.span())) {
            diagnostic = diagnostic.label(own.name.span, "in this arm");
        }
        report.add(diagnostic);
    }
    let begins =
        |name: &String| schedule.arms.iter().find(|arm| arm.name.node == *name).and_then(experiment::from_final);
    if let Some(line) = first.as_ref().and_then(|checked| checked.comparison.as_ref())
        && let Some((reference, other)) = line.arms.first().and_then(|name| Some((name, begins(name)?)))
    {
        let (message, help) = experiment::begins_late(reference, other);
        report.add(Diagnostic::error("G0225", line.span, message).help(help));
    }
    let failed = report.errors() > 0;
    let sweeps = schedule.sweeps.iter().map(|sweep| Sweep {
        name: sweep.name.node.clone(),
        values: sweep.values.iter().map(|value| schedule.sources.slice(value.span).to_string()).collect(),
    });
    let sweeps = sweeps.collect();
    let diagnostics = report.finish();
    let (program, timeline, sources, comparison) = match first {
        Some(first) => (first.program, first.timeline, first.sources, first.comparison),
        None => (None, Vec::new(), whole.sources, None),
    };
    let program = program.filter(|_| !failed);
    Checked { diagnostics, missing, program, timeline, sources, arms: checked_arms, sweeps, comparison }
}

/// Each arm as a schedule of its own, or the schedule itself where it has none. `None` for one that begins with what
/// another arm with a mistake, or none, ends with.
fn all_arms(schedule: &Schedule, base: Option<&Base>, request: &Request, names: &[&str]) -> Vec<Option<Checked>> {
    if names.is_empty() {
        let mut alone = schedule.clone();
        alone.sweeps.clear();
        return vec![Some(one(alone, base.cloned(), &request.again(), &[]))];
    }
    let end = |checked: &Checked| Some(last(checked.program.as_ref()?, &checked.timeline));
    let mut done: Vec<Option<Checked>> = names.iter().map(|_| None).collect();
    // Each turn settles at least one; what begins with itself, over any number of others, is never settled.
    for _ in names {
        for (at, name) in names.iter().enumerate() {
            if done[at].is_some() {
                continue;
            }
            let from = schedule.arms.iter().find(|arm| arm.name.node == *name).and_then(experiment::from_final);
            let initial = match from.and_then(|from| names.iter().position(|name| *name == from)) {
                None => None,
                Some(other) => match done[other].as_ref().and_then(end) {
                    Some(architecture) => Some(architecture.fresh()),
                    None => continue,
                },
            };
            let Some(alone) = syntax::arm(schedule, name) else { continue };
            let arm = OfAnArm { initial: initial.as_ref(), ..request.arm };
            done[at] = Some(one(alone, base.cloned(), &Request { arm, ..request.again() }, names));
        }
    }
    done
}

/// The network at the end, as far as it is known before the run: widths are intervals where a condition decides them.
pub fn last(program: &Program, timeline: &[Planned]) -> Architecture {
    timeline.iter().fold(program.architecture.clone(), |before, planned| match planned.certain {
        true => (*planned.after).clone(),
        false => join(&before, &planned.after),
    })
}

fn covers(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}
