//! `growrun replay RUN`: trains a record again and compares all that is computed on the way.

use super::arguments::Replay;
use super::outcome::{self, short_digest};
use super::progress::Progress;
use super::recorded::{self, Again};
use super::render;
use super::stop::Stop;
use super::terminal::{note, say, say_json};
use super::{Context, confine, exit, numbers, training};
use crate::base::text::harmless;
use crate::base::{Diagnostic, Error, Refusal, Sources, World, digest};
use crate::check::Program;
use crate::data::Dataset;
use crate::record::lines::{self, Line};
use crate::record::locate::{self, Located};
use crate::record::replay::{self, Comparison, Counts, Difference};
use crate::record::schema::{Host, Record};
use crate::record::{Origin, Recorder};
use crate::run::{self, Autosave, Event, Finish, Resumption, Status};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Asks the run to end because enough is known; no signal has this number.
const ENOUGH: i32 = i32::MAX;
/// Largest metrics.jsonl that is read, in bytes.
const METRICS_MAX: u64 = 1 << 30;

pub fn run(context: &Context, replay: &Replay, command: Vec<String>) -> i32 {
    match repeat(context, replay, command) {
        Ok(told) => {
            match replay.json {
                true => say_json(&told.object()),
                false => say(&told.text()),
            }
            told.code()
        }
        Err(stop) => stop.tell(context, replay.json),
    }
}

fn repeat(context: &Context, replay: &Replay, command: Vec<String>) -> Result<Told, Stop> {
    let world = context.world;
    let located = locate::intact(world, &replay.run)?;
    let record = &located.record;
    if record.parent.is_some() && !recorded::has_start(world, &located) {
        return Err(Stop::Refused(Refusal::error(
            "G0807",
            "this run went on from another one, and the checkpoint that it began from is not here",
            "replay it in its run directory, where `checkpoints/start` is, or from an archive that `growrun pack` made",
        )));
    }
    let sandbox = confine::to_records(context, &[&located], &replay.data, replay.out.as_deref()).word();
    let mut limits = replay.resources.limits(world, replay.out.as_deref().unwrap_or(Path::new(".")));
    if replay.out.is_none() {
        // What is not written needs no disk.
        limits.disk = None;
    }
    let (session, dataset, start) = match recorded::again(context, &located, &replay.data, limits)? {
        Again::Same { session, dataset, start, .. } => (session, dataset, start),
        Again::Missing(why) => {
            return Err(Stop::Refused(recorded::missing_data(record, &why)));
        }
        Again::Differs { file, problem } => return Err(Stop::Refused(recorded::other_data(record, file, &problem))),
        Again::Refused(session) => {
            return Err(Stop::Mistakes(recorded::errors(&session), session.checked.sources.clone()));
        }
    };
    let program = session.checked.program.as_ref().expect("its data was read");
    let mut told = Told {
        run: replay.run.display().to_string(),
        out: None,
        recorded: record.resumed.last().map_or(&record.host, |last| &last.host).clone(),
        host: Host::default(),
        comparison: (Counts::default(), None, None),
        unfinished: matches!(record.status.as_str(), "running" | "interrupted"),
        interrupted: None,
        finish: None,
    };
    if let Some(setting) = replay::resolved_otherwise(record, program) {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        let what = format!("the setting {} is {} and was {}", setting.what, value(&setting.b), value(&setting.a));
        told.comparison.2 = Some(Difference { step: 0, tensor: None, what });
        return Ok(told);
    }
    let lines = metrics(context, &located);
    let mut comparison = Comparison::new(record, lines, start.as_deref());
    let origin = Origin { command, sandbox: sandbox.into(), ..session.origin() };
    let mut recorder = recorder(world, replay, record, program, &dataset, origin)?;
    let mut progress = Progress::new(context.terminal, replay.quiet);
    let mut options = training::options(context, &replay.resources)?;
    options.autosave = Autosave::Steps(replay::autosaved(record));
    let mut host = Host::default();
    let mut consumer = |event: &Event| {
        if let Some(recorder) = &mut recorder {
            recorder.consume(event)?;
        }
        if let Event::Started(started) = event {
            (host.threads, host.simd) = (started.threads, started.simd.into());
        }
        progress.hear(event);
        comparison.hear(event);
        // A run that is recorded is made whole.
        if comparison.is_over() && recorder.is_none() {
            let _ = options.interrupt.compare_exchange(0, ENOUGH, Ordering::SeqCst, Ordering::SeqCst);
        }
        Ok(())
    };
    let finished = match start {
        None => run::execute(program, &dataset, &options, world, &mut consumer),
        Some(saved) => {
            let resumption = Resumption { saved: *saved, saved_at: None, good: None };
            run::proceed(program, &dataset, &options, world, resumption, &mut consumer)
        }
    };
    progress.end();
    let finish = finished?;
    told.out = recorder.map(|recorder| recorder.folder().display().to_string());
    told.host = host;
    told.comparison = (comparison.counts, comparison.agreed, comparison.difference);
    told.interrupted = match finish.status {
        Status::Interrupted { signal } if signal != ENOUGH => Some(signal),
        _ => None,
    };
    told.finish = Some(finish);
    Ok(told)
}

/// What the run directory has of evaluations; nothing of a bare record.
fn metrics(context: &Context, located: &Located) -> Option<Vec<Line>> {
    const NAME: &str = "metrics.jsonl";
    let content = context.world.read_beneath(&located.folder, Path::new(NAME), METRICS_MAX).ok()?;
    let recorded = located.record.result.as_ref().and_then(|result| result.files.get(NAME));
    let is_whole = recorded.is_none_or(|recorded| *recorded == digest::bytes(&content));
    let lines = lines::read(&content).ok().filter(|_| is_whole);
    if lines.is_none() {
        let style = context.terminal.stderr;
        let warning = render::without_place(
            "G0809",
            format!("`{NAME}` is not as it was written, so that evaluations are not compared"),
            "`growrun verify` shows all that was changed",
        );
        let warning = Diagnostic { severity: crate::base::Severity::Warning, ..warning };
        note(&render::human(&[warning], &Sources::default(), style));
    }
    lines
}

/// A run directory for the replay, where one was asked for.
fn recorder<'w>(
    world: &'w dyn World,
    replay: &Replay,
    record: &Record,
    program: &Program,
    dataset: &Dataset,
    origin: Origin,
) -> Result<Option<Recorder<'w>>, Error> {
    let Some(out) = &replay.out else { return Ok(None) };
    let recorder = Recorder::create(world, out, program, dataset, origin)?;
    world.confine(&[], &[recorder.folder().into()]);
    let recorder = match &record.arm {
        Some(arm) => recorder.of_arm(arm.clone()),
        None => recorder,
    };
    Ok(Some(match &record.parent {
        Some(parent) => recorder.branch(parent.clone()),
        None => recorder,
    }))
}

/// All that is to be told.
struct Told {
    run: String,
    /// The run directory of the replay.
    out: Option<String>,
    /// Where the record was made, and where the replay.
    recorded: Host,
    host: Host,
    comparison: (Counts, Option<replay::Agreed>, Option<Difference>),
    /// The record is of a run that has not ended.
    unfinished: bool,
    /// The user's signal.
    interrupted: Option<i32>,
    /// `None` where nothing was trained.
    finish: Option<Finish>,
}

impl Told {
    fn code(&self) -> i32 {
        match (&self.comparison.2, self.interrupted) {
            (Some(_), _) => exit::FAILED,
            (None, Some(signal)) => 128 + signal,
            (None, None) => exit::OK,
        }
    }

    fn text(&self) -> String {
        let machine = |host: &Host| format!("{} · {}", numbers::plural(host.threads as u64, "thread"), host.simd);
        let mut rows = vec![vec!["recorded".to_string(), machine(&self.recorded)]];
        if self.finish.is_some() {
            rows.push(vec!["replayed".to_string(), machine(&self.host)]);
        }
        rows.extend(self.out.iter().map(|out| vec!["record".to_string(), out.clone()]));
        let mut out: String = outcome::aligned(&rows).iter().map(|line| format!("  {}\n", harmless(line))).collect();
        out.push_str(&format!("{}\n", harmless(&self.sentence())));
        out
    }

    fn sentence(&self) -> String {
        let (counts, agreed, difference) = &self.comparison;
        let mut same = vec![numbers::plural(counts.checkpoints, "checkpoint")];
        same.push(numbers::plural(counts.growths, "growth event"));
        if counts.evaluations > 0 {
            same.push(numbers::plural(counts.evaluations, "evaluation"));
        }
        if let Some(difference) = difference {
            let tensor = difference.tensor.as_ref().map_or_else(String::new, |tensor| format!("`{tensor}` of "));
            let before = match agreed {
                Some(agreed) => format!("; until then it was the same, last {} at step {}", agreed.what, agreed.step),
                None => String::new(),
            };
            let next = match &self.out {
                Some(out) => format!("; `growrun diff {} {out}` shows all of it", self.run),
                None => format!("; `growrun verify {}` tells whether its files are as they were written", self.run),
            };
            return format!(
                "the replay differs from the record at step {}: {tensor}{}{before}{next}",
                difference.step, difference.what
            );
        }
        if self.interrupted.is_some() {
            let step = self.finish.as_ref().map_or(0, |finish| finish.step);
            return format!(
                "the replay was interrupted at step {step}; until then it had the same bits: {}",
                same.join(", ")
            );
        }
        if self.unfinished {
            let step = agreed.as_ref().map_or(0, |agreed| agreed.step);
            return format!(
                "the replay has the same bits as far as the run got, to step {step}: {}; `growrun resume {}` goes on with it",
                same.join(", "),
                self.run
            );
        }
        if let Some(weights) = self.finish.as_ref().and_then(|finish| finish.weights.as_ref()) {
            same.push(format!("final weights {}", short_digest(weights)));
        }
        format!("the replay has the same bits: {}", same.join(", "))
    }

    fn object(&self) -> String {
        let (counts, agreed, difference) = &self.comparison;
        let mut object = match &self.finish {
            Some(finish) => outcome::object(finish, self.out.as_deref(), json!([])),
            None => json!({ "run": null, "status": "failed", "diagnostics": [] }),
        };
        // What ended early only because enough was known has not been interrupted by anybody.
        if self.interrupted.is_none() && object["status"] == "interrupted" {
            object["status"] = if difference.is_some() { "failed" } else { "stopped" }.into();
        }
        object["record"] = self.run.clone().into();
        object["ok"] = json!(difference.is_none() && self.interrupted.is_none());
        object["first_difference"] = json!(
            difference.as_ref().map(|found| json!({ "step": found.step, "tensor": found.tensor, "what": found.what }))
        );
        object["agreed"] = json!(agreed.as_ref().map(|agreed| json!({ "step": agreed.step, "what": agreed.what })));
        object["compared"] = json!({
            "checkpoints": counts.checkpoints,
            "growth_events": counts.growths,
            "evaluations": counts.evaluations,
        });
        format!("{object}\n")
    }
}
