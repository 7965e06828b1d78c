//! `growrun plan`: what a schedule will do and what it will cost, phase by phase; nothing is trained.

use super::arguments::Plan;
use super::outcome::{aligned, what};
use super::session::{self, Session};
use super::terminal::{Style, note, say, say_json};
use super::{Context, confine, exit, machine, numbers, render, training};
use crate::base::text::one_line;
use crate::check::flops::{self, Course};
use crate::check::{CheckedArm, Planned, Program, cost};
use crate::nn::Architecture;
use crate::run::{Calibration, Expected};
use serde_json::{Value, json};
use std::fmt::Write;

pub fn run(context: &Context, plan: &Plan) -> i32 {
    confine::to_schedules(context, std::slice::from_ref(&plan.file), &plan.overrides, None);
    let session = match session::open(context, &plan.file, &plan.overrides, Default::default()) {
        Ok(session) => session,
        Err(error) => return context.world_failed(&error, plan.json),
    };
    let mut found = session.diagnostics.clone();
    if !session.has_errors() {
        found.extend(session.checked.missing.clone());
    }
    let Some(program) = session.checked.program.as_ref().filter(|_| !session.has_errors()) else {
        return context.refuse(&found, session.sources(), plan.json);
    };
    note(&render::human(&found, session.sources(), context.terminal.stderr));
    let threads = plan.threads.map_or_else(|| context.world.host().threads, |threads| threads as usize);
    let compute = match training::compute(context, threads, plan.simd) {
        Ok(compute) => compute,
        Err(refusal) => return training::refused(context, &refusal, plan.json),
    };
    let parts = parts(&session, program);
    let mut objects = serde_json::Map::new();
    let mut texts = Vec::new();
    for Part { arm, program, timeline } in &parts {
        let course = flops::course(program, timeline);
        let seconds = CALIBRATION_SECONDS / parts.len() as f64;
        let calibration = Calibration::measure(program, &course, &compute, context.world, seconds);
        let expected = calibration.map(|calibration| calibration.expected(program, &course, timeline));
        let name = arm.unwrap_or_default().to_string();
        if plan.json {
            objects.insert(name, object(program, timeline, &course, expected.as_ref()));
        } else {
            let disk = disk(program, timeline);
            let text = human(program, &course, disk, expected.as_ref(), context.terminal.stdout);
            let head = arm.map_or_else(String::new, |arm| format!("arm {arm} · "));
            texts.push(head + &text);
        }
    }
    let late = session.checked.arms.iter().filter(|arm| session.arm.is_none() && !is_known(arm));
    for arm in late {
        let from = arm.from_final.as_deref().unwrap_or_default();
        texts.push(format!("arm {} · only a run of `{from}` can tell which network it begins with\n", arm.name));
    }
    if plan.json {
        let mut all = match objects.remove("") {
            Some(one) => one,
            None => json!({ "arms": objects }),
        };
        all["diagnostics"] = json!(machine::findings(&found, session.sources()));
        say_json(&format!("{all}\n"));
    } else {
        say(&texts.join("\n"));
    }
    exit::OK
}

/// What is planned: the schedule, or each of its arms as long as the schedule says.
struct Part<'a> {
    arm: Option<&'a str>,
    program: &'a Program,
    timeline: &'a [Planned],
}

fn parts<'a>(session: &'a Session, program: &'a Program) -> Vec<Part<'a>> {
    let arms = &session.checked.arms;
    if session.arm.is_some() || arms.is_empty() {
        return vec![Part { arm: None, program, timeline: &session.checked.timeline }];
    }
    arms.iter()
        .filter(|arm| is_known(arm))
        .filter_map(|arm| Some(Part { arm: Some(&arm.name), program: arm.program.as_ref()?, timeline: &arm.timeline }))
        .collect()
}

/// Whether it is known before a run which network an arm begins with.
fn is_known(arm: &CheckedArm) -> bool {
    arm.program.as_ref().is_some_and(|program| program.architecture.is_exact())
}

/// What measuring takes in all.
const CALIBRATION_SECONDS: f64 = 1.0;

fn parameters(architecture: &Architecture) -> String {
    match architecture.parameter_count() {
        (low, high) if low == high => numbers::count(low),
        (low, high) => format!("{}..{}", numbers::count(low), numbers::count(high)),
    }
}

/// Bytes at work and while it is saved.
fn memory(program: &Program, architecture: &Architecture) -> u64 {
    cost::memory(architecture.parameter_count().1, architecture, cost::Load::of(program))
}

/// Bytes of the run directory at its fullest.
fn disk(program: &Program, timeline: &[Planned]) -> u64 {
    cost::disk(&program.architecture, &program.train, &program.events, timeline)
}

fn epochs(program: &Program, step: u64) -> String {
    super::outcome::epoch(step as f64 / program.data.steps_per_epoch.max(1) as f64)
}

/// The plan of a checked schedule as a person reads it. `disk`: bytes of its run directory. `expected`: what it takes,
/// where that was measured.
pub fn human(program: &Program, course: &Course, disk: u64, expected: Option<&Expected>, style: Style) -> String {
    let phases = &course.phases;
    let mut out = String::new();
    let head = [
        program.name.clone(),
        program.data.source.word.to_string(),
        format!("{} training examples", program.data.examples),
        format!("{} in {} epochs", numbers::plural(program.train.steps, "step"), epochs(program, program.train.steps)),
    ];
    let _ = writeln!(out, "{}", style.bold(&one_line(&head.join(" · "))));
    for source in &program.given.sources {
        let _ = writeln!(out, "  {}", one_line(&source.told()));
    }
    let rows: Vec<Vec<String>> = phases
        .iter()
        .enumerate()
        .map(|(number, phase)| {
            vec![
                format!("epoch {} to {}", epochs(program, phase.from), epochs(program, phase.to)),
                format!("steps {} to {}", phase.from, phase.to),
                phase.architecture.to_string(),
                format!("{} parameters", parameters(&phase.architecture)),
                numbers::flops(phase.flops() as f64),
                expected.map_or_else(String::new, |expected| numbers::seconds(expected.phases[number])),
            ]
        })
        .collect();
    for (line, phase) in aligned(&rows).iter().zip(phases) {
        for planned in &phase.events {
            let Some(growth) = &planned.growth else { continue };
            let maybe = if planned.certain { "" } else { ", if its condition holds" };
            let undo = if planned.undo { "undo " } else { "" };
            let (what, why) = what(&growth.summary.detail, &growth.summary.target);
            let promise = growth.promise.word();
            let _ = writeln!(out, "  └ {undo}{} {what}{maybe}: promise {promise}", growth.summary.action);
            for reason in [why.unwrap_or_default(), growth.rule].into_iter().filter(|reason| !reason.is_empty()) {
                let _ = writeln!(out, "    {}", style.faint(reason));
            }
        }
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(
        out,
        "  {}{} in all, forward and backward{} · about {} of memory · about {} of disk",
        if course.conditional { "about " } else { "" },
        numbers::flops(course.flops() as f64),
        expected.map_or_else(String::new, |expected| format!(" · about {}", numbers::seconds(expected.all))),
        numbers::bytes(phases.iter().map(|phase| memory(program, &phase.architecture)).max().unwrap_or(0)),
        numbers::bytes(disk),
    );
    out
}

fn object(program: &Program, timeline: &[Planned], course: &Course, expected: Option<&Expected>) -> Value {
    let memory_bytes = course.phases.iter().map(|phase| memory(program, &phase.architecture)).max();
    let phases: Vec<Value> = course
        .phases
        .iter()
        .enumerate()
        .map(|(number, phase)| {
            let (low, high) = phase.architecture.parameter_count();
            json!({
                "from_step": phase.from,
                "to_step": phase.to,
                "architecture": phase.architecture.to_string(),
                "parameters": high,
                "parameters_min": low,
                "flops": phase.flops(),
                "growth_flops": phase.growth,
                "expected_seconds": expected.map(|expected| expected.phases[number]),
                "memory_bytes": memory(program, &phase.architecture),
                "checkpoint_bytes": cost::checkpoint(&phase.architecture),
            })
        })
        .collect();
    let events: Vec<Value> = timeline
        .iter()
        .filter_map(|planned| {
            let growth = planned.growth.as_ref()?;
            Some(json!({
                "step": planned.step,
                "action": super::outcome::verb(growth.summary.action),
                "target": growth.summary.target,
                "method": growth.summary.method,
                "detail": growth.summary.detail,
                "promise": growth.promise.word(),
                "rule": growth.rule,
                "certain": planned.certain,
                "undo": planned.undo,
                "parameters_after": planned.parameters().1,
            }))
        })
        .collect();
    json!({
        "name": program.name,
        "steps": program.train.steps,
        "steps_per_epoch": program.data.steps_per_epoch,
        "phases": phases,
        "flops": course.flops(),
        "conditional": course.conditional,
        "expected_seconds": expected.map(|expected| expected.all),
        "memory_bytes": memory_bytes,
        "disk_bytes": disk(program, timeline),
        "events": events,
    })
}
