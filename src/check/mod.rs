//! From a parsed schedule to a [`Program`], or to every diagnostic at once, by symbolic replay.
//!
//! The readers ([`data`], [`model`], [`train`], [`triggers`], [`actions`]) give words their meaning by the
//! registries' docs; [`replay`] carries the architecture through every event with the run's own planning code.
//! A mistake spoils only its own value, so a file with ten mistakes gives ten diagnostics.
//!
//! Never imports `tensor` or `train`: it cannot touch a weight.

pub mod actions;
pub mod apply;
pub mod arguments;
pub mod base;
pub mod codes;
pub mod conditions;
pub mod cost;
pub mod data;
pub mod experiment;
mod file_words;
pub mod flops;
mod given;
mod join;
pub mod model;
pub mod program;
mod ranges;
mod reach;
mod refused;
pub mod replay;
mod report;
pub mod suggest;
pub mod time;
pub mod train;
mod train_words;
pub mod triggers;
mod values;
mod variants;
pub mod vocabulary;
pub mod windows;

pub use base::{LENGTH_NAME, STARTER_NAME, add_events, add_model, complete, is_fragment, length_words, set_length};
pub use program::{Comparison, Matching, Program, Sweep};
pub use replay::{Planned, PlannedGrowth};
pub use variants::last;
pub use vocabulary::{MetricWord, Vocabulary};

use crate::base::{Diagnostic, Doc, Duration, Severity, Sources, Span, World};
use crate::nn::{Architecture, EVALUATED, Task};
use crate::syntax::{self, Atom, Schedule, Section};
use program::{Base, Event, Trigger};
use replay::Read;
use report::Report;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a schedule is checked against.
pub struct Request<'a> {
    pub world: &'a dyn World,
    pub vocabulary: &'a Vocabulary,
    /// The schedule's folder: where its paths begin.
    pub folder: &'a Path,
    /// `--data NAME=PATH`
    pub named: &'a BTreeMap<String, PathBuf>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--base FILE`, parsed and resolved; only a fragment uses it.
    pub base: Option<Schedule>,
    /// Where a run stands that goes on with this schedule; `None` for one that begins.
    pub standing: Option<&'a Standing>,
    /// Whether that run has a checkpoint, so that what it began with is not needed any more.
    pub begun: bool,
    /// What [`complete`] returned, when the caller has completed a fragment already.
    pub completed: Option<Base>,
    /// `--set NAME=VALUE`
    pub set: &'a [(String, String)],
    /// The words of `--train`.
    pub length: Option<&'a str>,
    /// What makes this an arm of a comparison.
    pub arm: OfAnArm<'a>,
    pub limits: Limits,
}

impl<'a> Request<'a> {
    /// A schedule as it stands in its file, under the usual limits.
    pub fn new(
        world: &'a dyn World,
        vocabulary: &'a Vocabulary,
        folder: &'a Path,
        named: &'a BTreeMap<String, PathBuf>,
    ) -> Request<'a> {
        Request {
            world,
            vocabulary,
            folder,
            named,
            seed: None,
            base: None,
            standing: None,
            begun: false,
            completed: None,
            set: &[],
            length: None,
            arm: OfAnArm::default(),
            limits: Limits::default(),
        }
    }

    /// The same once more, for a schedule that is complete.
    fn again(&self) -> Request<'a> {
        Request { base: None, completed: self.completed.clone(), ..*self }
    }
}

/// What an arm has that its schedule does not say.
#[derive(Clone, Copy, Default)]
pub struct OfAnArm<'a> {
    /// `None`: as long as the schedule says.
    pub budget: Option<Budget>,
    /// The network that it begins with, in the place of the `model` section's.
    pub initial: Option<&'a Architecture>,
}

/// How long an arm trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub steps: u64,
    /// The steps of the reference that the times of its events are stretched by; without, they are those of the file, and
    /// what lies behind the end is left out. The learning rate's shape covers the budget in any case.
    pub stretched_of: Option<u64>,
}

/// A run that goes on: what its past has made of the network, and which events are behind it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Completed steps. Events of this step count as past.
    pub step: u64,
    pub architecture: crate::nn::Architecture,
    /// Numbers of `at` events that have fired, wherever they stand now.
    pub done: BTreeSet<usize>,
}

/// How large a run may become. Each is raised by the flag of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Learned numbers: `--parameters-limit`.
    pub parameters: u64,
    /// `--steps-limit`
    pub steps: u64,
    /// Firings: `--events-limit`.
    pub events: u64,
    /// Bytes: `--memory-limit`. `None`: not judged.
    pub memory: Option<u64>,
    /// Bytes: `--disk-limit`. `None`: not judged.
    pub disk: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { parameters: 1_000_000_000, steps: 100_000_000, events: 100_000, memory: None, disk: None }
    }
}

/// What the check found.
pub struct Checked {
    /// Sorted by place, each finding once.
    pub diagnostics: Vec<Diagnostic>,
    /// Why the data cannot be read on this machine; a warning of it is among `diagnostics`.
    pub missing: Option<Diagnostic>,
    /// `None` when there is an error or the data is missing.
    pub program: Option<Program>,
    /// Every action in time order, as far as it is known before the run.
    pub timeline: Vec<Planned>,
    pub sources: Sources,
    /// Of a schedule with arms each of them; `program` and `timeline` are then those of the reference.
    pub arms: Vec<CheckedArm>,
    /// `sweep`, in source order.
    pub sweeps: Vec<Sweep>,
    /// The `compare` line.
    pub comparison: Option<Comparison>,
}

/// One arm of a schedule.
#[derive(Clone)]
pub struct CheckedArm {
    pub name: String,
    /// The arm with whose final network it begins.
    pub from_final: Option<String>,
    /// As long as the schedule says. Where it begins with a network that a `when` makes, widths are intervals.
    pub program: Option<Program>,
    pub timeline: Vec<Planned>,
}

impl Checked {
    /// Whether this is more than one schedule to run.
    pub fn is_several(&self) -> bool {
        !self.arms.is_empty() || !self.sweeps.is_empty() || self.comparison.is_some()
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// All words of the language that are not in a registry, by where they stand, for `explain` and the reference.
pub fn words() -> Vec<(&'static str, &'static Doc)> {
    let mut words: Vec<(&'static str, &'static Doc)> = Vec::new();
    words.extend(file_words::STATEMENTS.iter().map(|doc| ("file", *doc)));
    words.extend(data::STATEMENTS.iter().map(|doc| ("data", *doc)));
    words.extend(model::STATEMENTS.iter().map(|doc| ("model", *doc)));
    words.push(("section", train_words::HEAD));
    words.extend(train_words::STATEMENTS.iter().map(|doc| ("train", *doc)));
    words.extend(triggers::TRIGGERS.iter().map(|doc| ("trigger", *doc)));
    words.extend(actions::ACTIONS.iter().map(|doc| ("action", *doc)));
    words
}

/// Checks a schedule with all its arms and sweeps. What the parser has found stays with the caller.
pub fn check(mut schedule: Schedule, request: &Request) -> Checked {
    let base = complete(&mut schedule, request.base.clone()).or_else(|| request.completed.clone());
    let found = syntax::set(&mut schedule, request.set);
    let mut checked = variants::check(schedule, base, request);
    if !found.is_empty() {
        checked.program = None;
        checked.arms.clear();
        checked.diagnostics.splice(0..0, found);
    }
    checked
}

/// Checks a schedule of which no arm and no sweep is left. `arms`: the names that its `compare` line may use.
fn one(mut schedule: Schedule, base: Option<Base>, request: &Request, arms: &[&str]) -> Checked {
    let mut report = Report::default();
    report.extend(syntax::resolve(&mut schedule));
    if let Some(words) = request.length {
        report.extend(set_length(&mut schedule, words));
    }
    missing_sections(&schedule, &mut report);
    let seed = experiment::seed(&schedule, request.seed, &mut report);

    let folder = folder_of(schedule.data.as_ref(), &schedule.sources, request.folder);
    let place = crate::data::Place { world: request.world, folder: &folder, named: request.named, seed };
    let data = schedule.data.as_ref().map(|section| data::read(section, &place, request.vocabulary, &mut report));
    let header = data.as_ref().and_then(|data| data.header.clone());
    let known = train::Known {
        task: header.as_ref().map(|header| header.task),
        has_test: data.as_ref().and_then(|data| data.has_test),
        steps_per_epoch: data.as_ref().and_then(|data| data.steps_per_epoch),
        steps_max: request.limits.steps,
        budget: request.arm.budget,
    };
    let ends = match &header {
        Some(header) => model::Ends {
            inputs: header.inputs,
            area: header.area,
            task: header.task,
            outputs: Some(header.outputs),
            known: true,
            weights: false,
        },
        // Some width must stand there; nothing is said that depends on it.
        None => model::Ends {
            inputs: 64,
            area: None,
            task: Task::Classification,
            outputs: None,
            known: false,
            weights: false,
        },
    };
    let model = schedule.model.as_ref().map(|section| model::read(section, &ends, request.vocabulary, &mut report));
    let train = schedule.train.as_ref().map(|section| train::read(section, &known, request.vocabulary, &mut report));

    let time = train.as_ref().map_or_else(|| time::Timebase::new(Duration::Epochs(60), None), |train| train.time);
    let unknown = train::Measured {
        metrics: Vec::new(),
        evaluate_every: Some(time.steps_per_epoch),
        evaluate_span: None,
        metrics_span: None,
        doubtful: true,
    };
    let context = triggers::Context {
        time: &time,
        measured: train.as_ref().map_or(&unknown, |train| &train.measured),
        vocabulary: request.vocabulary,
        has_test: known.has_test,
        length_span: schedule
            .train
            .as_ref()
            .map_or(Span::default(), |section| train::span_of(&section.head, section.keyword.span)),
    };
    let mut doubtful: HashSet<String> = model.as_ref().map(|model| model.doubtful.clone()).unwrap_or_default();
    let read = read_events(&schedule.events, &schedule.sources, &context, &mut doubtful, &mut report);
    let comparison = experiment::compare(&schedule, arms, &context, &mut report);

    let folder_at = |span: Span| folder_of_file(span, &schedule.sources, request.folder);
    let mut files = given::Files::new(&place, &folder_at, request.limits.memory);
    // A run that goes on has its weights, and an arm with another arm's network draws them.
    if let (Some(model), None, None, false) = (&model, request.standing, request.arm.initial, request.begun) {
        files.of_the_model(model, header.is_some(), &mut report);
    }
    files.of_the_events(&read, &mut report);
    report.extend(files.scaled(model.as_ref(), schedule.data.as_ref()).into_iter().collect());

    let mut timeline = Vec::new();
    if let Some(model) = &model {
        let evaluated = data.as_ref().and_then(|data| data.plan.as_ref()).map_or(EVALUATED, |data| data.examples);
        let load = cost::Load {
            batch: data.as_ref().and_then(|data| data.batch).unwrap_or(32),
            evaluated: evaluated.min(EVALUATED),
            // Given weights stay in memory beside the network.
            data: data.as_ref().map_or(0, |data| data.bytes).saturating_add(files.bytes()),
            rolls_back: train
                .as_ref()
                .and_then(|train| train.plan.as_ref())
                .is_some_and(program::TrainPlan::rolls_back),
        };
        let given = request.standing.map(|standing| &standing.architecture).or(request.arm.initial);
        let start = replay::Start {
            architecture: given.unwrap_or(&model.architecture).clone(),
            // Of a run that goes on the widths come from its past, not from the `model` section.
            causes: if given.is_none() { model.causes.clone() } else { HashMap::new() },
            doubtful: doubtful.clone(),
            load,
            past: request.standing.map(|standing| (standing.step, standing.done.clone())),
            inserted: files.inserted().clone(),
        };
        let stop_when = train.as_ref().map_or(&[][..], |train| &train.stop_when);
        timeline = replay::replay(&read, start, &time, &request.limits, &mut report);
        // It counts evaluations from the beginning of a run.
        if request.standing.is_none() {
            reach::judge(&read, stop_when, &timeline, &context, &mut report);
        }
    }
    let (given, _, weights_missing) = files.finish();
    let missing = data.as_ref().and_then(|data| data.missing.clone()).or(weights_missing);
    let failed = report.errors() > 0;
    let program = match (data.and_then(|data| data.plan), model, train.and_then(|train| train.plan)) {
        (Some(data), Some(model), Some(train)) if !failed && missing.is_none() => Some(Program {
            sources: schedule.sources.clone(),
            name: experiment::name(&schedule),
            seed,
            base,
            data,
            data_folder: folder,
            architecture: request.arm.initial.cloned().unwrap_or(model.architecture),
            given,
            train,
            events: read.into_iter().map(|read| read.event).collect(),
            lets: crate::syntax::lets_as_text(&schedule),
        }),
        _ => None,
    };
    let needed =
        program.as_ref().map(|program| cost::disk(&program.architecture, &program.train, &program.events, &timeline));
    let at = schedule.train.as_ref().map_or(Span::default(), |section| section.keyword.span);
    let too_much = needed.and_then(|bytes| cost::judge_disk(bytes, &request.limits, at));
    let program = program.filter(|_| too_much.is_none());
    report.extend(too_much.into_iter().collect());
    let diagnostics = report.finish();
    let sources = schedule.sources;
    let (arms, sweeps) = (Vec::new(), Vec::new());
    Checked { diagnostics, missing, program, timeline, sources, arms, sweeps, comparison }
}

/// Reads events in source order; one with a mistake is left out, its good actions' names become doubtful.
fn read_events(
    events: &[crate::syntax::Event],
    sources: &Sources,
    context: &triggers::Context,
    doubtful: &mut HashSet<String>,
    report: &mut Report,
) -> Vec<Read> {
    let mut all = Vec::with_capacity(events.len());
    // Where each stands in the file's own time; in a small budget several fall on one step, and keep their order.
    let mut times: Vec<Option<u64>> = Vec::new();
    for event in events {
        if let Some(refused) = triggers::wall_clock(event) {
            report.add(refused);
            continue;
        }
        let resolved = triggers::resolve(&event.trigger, context, report);
        let mut good = Vec::with_capacity(event.actions.len());
        for phrase in &event.actions {
            let text = sources.slice(phrase.span);
            good.extend(actions::read(phrase, &good, context, text, doubtful, report));
        }
        match resolved {
            Some(resolved) => {
                let at = resolved.point.map(|(point, _)| context.time.as_written().point(point));
                for (written, trigger) in stretched(resolved.trigger, context.time) {
                    let event = Event { trigger, actions: good.clone(), span: event.span };
                    times.push(written.or(at).or_else(|| times.last().copied().flatten()));
                    all.push(Read { event, point: resolved.point, head: resolved.span, never: resolved.never });
                }
            }
            None => {
                // When it would have happened is unknown, and so is what it would have made.
                for action in &good {
                    let (old, new) = actions::names(&action.args);
                    doubtful.extend(old.into_iter().chain(new).map(|(name, _)| name.to_string()));
                }
            }
        }
    }
    if let time::Given::Stretched { .. } = context.time.given {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|place| times[*place]);
        let mut places: Vec<Option<Read>> = all.into_iter().map(Some).collect();
        return order.into_iter().map(|place| places[place].take().expect("each is taken once")).collect();
    }
    all
}

/// What repeats in a budget that stretches it: each firing where its own part of the budget is, beside the step that it
/// has in the file. Other triggers as they are.
fn stretched(trigger: Trigger, time: &time::Timebase) -> Vec<(Option<u64>, Trigger)> {
    match (trigger, time.given) {
        (Trigger::Every { first, interval, until }, time::Given::Stretched { .. }) => {
            let firings = (first..=until).step_by(usize::try_from(interval.max(1)).unwrap_or(usize::MAX));
            let steps = firings.map(|step| (Some(step), time.event(step))).take_while(|(_, step)| *step <= time.total);
            steps.map(|(written, step)| (written, Trigger::At { step, end: step == time.total })).collect()
        }
        (trigger, _) => vec![(None, trigger)],
    }
}

/// When only some of the sections are there, shows the others to paste.
fn missing_sections(schedule: &Schedule, report: &mut Report) {
    let there: Vec<&Section> =
        [&schedule.data, &schedule.model, &schedule.train].into_iter().filter_map(Option::as_ref).collect();
    let Some(first) = there.first() else { return };
    let sections = [
        ("data", schedule.data.is_some(), "data digits { batch 32 }"),
        ("model", schedule.model.is_some(), "model { h1 dense 64 relu; out dense 10 }"),
        ("train", schedule.train.is_some(), "train 60 epochs { optimizer adam lr 1e-3 }"),
    ];
    for (word, _, block) in sections.iter().filter(|(_, present, _)| !present) {
        report.add(
            Diagnostic::error("G0109", first.keyword.span, format!("this schedule has no `{word}` section"))
                .here(format!("there is `{}`, but no `{word}`", first.keyword.node))
                .help(format!("add one, such as `{block}`")),
        );
    }
}

/// The folder of the file that a section stands in: its paths are relative to that.
fn folder_of(section: Option<&Section>, sources: &Sources, folder: &Path) -> PathBuf {
    section.map_or_else(|| folder.into(), |section| folder_of_file(section.keyword.span, sources, folder))
}

/// The folder of the file that `span` lies in.
fn folder_of_file(span: Span, sources: &Sources, folder: &Path) -> PathBuf {
    let file = span.file as usize;
    match sources.0.get(file) {
        Some(source) if file > 0 && !source.name.starts_with('<') => {
            Path::new(&source.name).parent().map_or_else(|| folder.into(), Path::to_path_buf)
        }
        _ => folder.into(),
    }
}

/// The second statement of one word.
fn twice(word: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error("G0108", span, format!("`{word}` stands here twice"))
        .here("the second")
        .label(first, "the first")
        .help("leave one out")
}

/// An interval of no step at all.
fn no_interval(span: Span, duration: Duration) -> Diagnostic {
    let message = match duration {
        Duration::Fraction(_) => "this share of the run is less than a step",
        _ => "an interval of 0 never moves on",
    };
    Diagnostic::error("G0107", span, message).help("use a longer time, such as `1 epochs`")
}

impl Trigger {
    /// The first step at which it can fire, if that is known.
    pub fn first_step(&self) -> u64 {
        match self {
            Trigger::At { step, .. } => *step,
            Trigger::Every { first, .. } => *first,
            Trigger::During { from, .. } | Trigger::When { from, .. } => *from,
        }
    }
}

/// Whether an atom was reported already, by the parser or by the substitution of `$NAME`.
fn is_spoilt(atom: &Atom) -> bool {
    matches!(atom, Atom::Bad | Atom::Variable(_))
}
