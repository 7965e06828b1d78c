//! A schedule for `growrun apply`: its growth, on weights that are there, without training.
//!
//! It becomes a [`Program`] of no steps whose events all stand at the start, in source order, so that the run carries it
//! out with everything that it has: plans, probes, promises. Times mean nothing then; what is no `at`, and what changes no
//! network, is skipped and told. The data and train sections may be missing: the network's ends are those of the weights.

mod ends;

use super::given::Files;
use super::model;
use super::program::{Action, ActionKind, Choice, DataPlan, Divergence, Event, LrShape, TrainPlan, Trigger};
use super::replay::{self, Read};
use super::report::Report;
use super::time::Timebase;
use super::{Program, Request, actions, cost, data, experiment, train, triggers};
use crate::base::{Args, Diagnostic, Duration, Sources, Span, Spanned, Value};
use crate::data::{Normalize, Place, Share, Split};
use crate::grow::{Needs, Promise};
use crate::nn::architecture::Norm;
use crate::nn::{Architecture, Task};
use crate::syntax::{self, Schedule};
use crate::weights::fit;
use crate::weights::{Source, moments};
use std::collections::HashSet;
use std::sync::Arc;

/// The weights that are to grow.
pub struct Weights<'a> {
    pub source: Arc<Source>,
    pub file: Arc<crate::weights::File>,
    /// Whether the `model` section says the activations, rather than guesses them.
    pub activations_known: bool,
    /// What the optimiser has kept of them.
    pub state: Option<&'a moments::State>,
    /// Examples that the drift is measured on, where some are given beside the schedule's data.
    pub probe: Option<usize>,
    /// Height and width of the images that the network reads, where that is known beside the schedule's data.
    pub area: Option<(usize, usize)>,
}

/// What is left of a schedule.
pub struct Applied {
    /// Of the checker, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
    /// `None` when there is an error.
    pub program: Option<Program>,
    /// Which tensor each parameter began as.
    pub matches: Vec<fit::Match>,
    pub skipped: Vec<Skipped>,
    /// What was taken for true, and why.
    pub notes: Vec<String>,
    /// Whether the schedule's own data is there to measure on.
    pub has_data: bool,
}

/// An event or an action that does not happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    pub text: String,
    pub why: &'static str,
}

/// Checks a schedule without arms. What the parser has found stays with the caller.
pub fn apply(mut schedule: Schedule, request: &Request, weights: &Weights) -> Applied {
    let mut report = Report::default();
    report.extend(syntax::set(&mut schedule, request.set));
    report.extend(syntax::resolve(&mut schedule));
    let seed = experiment::seed(&schedule, request.seed, &mut report);
    let folder = super::folder_of(schedule.data.as_ref(), &schedule.sources, request.folder);
    let data_place = Place { world: request.world, folder: &folder, named: request.named, seed };
    let read_data =
        schedule.data.as_ref().map(|section| data::read(section, &data_place, request.vocabulary, &mut report));
    let header = read_data.as_ref().and_then(|data| data.header.clone());
    let known = train::Known {
        task: header.as_ref().map(|header| header.task),
        has_test: read_data.as_ref().and_then(|data| data.has_test),
        steps_per_epoch: read_data.as_ref().and_then(|data| data.steps_per_epoch),
        steps_max: request.limits.steps,
        budget: None,
    };
    let read_train =
        schedule.train.as_ref().map(|section| train::read(section, &known, request.vocabulary, &mut report));
    let mut known_inputs = true;
    let mut notes = Vec::new();
    let model = schedule.model.as_ref().and_then(|section| {
        let ends = ends::of(section, weights, header.as_ref(), request, (&mut notes, &mut report))?;
        known_inputs = ends.known;
        let mut model = model::read(section, &ends, request.vocabulary, &mut report);
        // `--weights` wins over the section's own file.
        model.from = Some(Spanned::new(weights.source.text.clone(), section.keyword.span));
        Some(model)
    });

    // Without a train section no time is too late.
    let endless = Timebase::new(Duration::Epochs(u64::MAX), None);
    let unknown = train::Measured {
        metrics: Vec::new(),
        evaluate_every: None,
        evaluate_span: None,
        metrics_span: None,
        doubtful: true,
    };
    let context = triggers::Context {
        time: read_train.as_ref().map_or(&endless, |train| &train.time),
        measured: read_train.as_ref().map_or(&unknown, |train| &train.measured),
        vocabulary: request.vocabulary,
        has_test: None,
        length_span: Span::default(),
    };
    let mut doubtful = model.as_ref().map(|model| model.doubtful.clone()).unwrap_or_default();
    let (events, skipped) = read_events(&schedule, &context, &mut doubtful, &mut report);

    let folder_at = |span: Span| super::folder_of_file(span, &schedule.sources, request.folder);
    let mut files = Files::new(&data_place, &folder_at, request.limits.memory);
    if let Some(model) = &model {
        files.provide(
            (folder_at)(schedule.model.as_ref().map_or(Span::default(), |section| section.keyword.span)),
            &weights.source.text,
            (Arc::clone(&weights.source), Arc::clone(&weights.file)),
        );
        files.of_the_model(model, known_inputs, &mut report);
    }
    files.of_the_events(&events, &mut report);
    let has_data = read_data.as_ref().is_some_and(|data| data.plan.is_some());
    if let Some(model) = &model {
        let batch = crate::grow::PROBED;
        let start = replay::Start {
            architecture: model.architecture.clone(),
            causes: model.causes.clone(),
            doubtful,
            load: cost::Load { batch, data: read_data.as_ref().map_or(0, |data| data.bytes), ..cost::Load::default() },
            past: None,
            inserted: files.inserted().clone(),
        };
        let at_once = Timebase::new(Duration::Steps(1), Some(1));
        replay::replay(&events, start, &at_once, &request.limits, &mut report);
        if report.errors() == 0 {
            judge(&events, &model.architecture, weights, has_data, &mut report);
        }
    }
    let (given, matches, missing) = files.finish();
    // Nothing is applied without it: what warned of its place is an error here.
    if let Some(missing) = missing {
        report.diagnostics.retain(|known| known.code != missing.code || known.span() != missing.span());
        report.add(missing);
    }
    let failed = report.errors() > 0;
    let data_plan = read_data.and_then(|data| data.plan);
    let train_plan = read_train.and_then(|train| train.plan);
    let program = model.filter(|_| !failed).map(|model| Program {
        sources: schedule.sources.clone(),
        name: experiment::name(&schedule),
        seed,
        base: None,
        data: data_plan.unwrap_or_else(|| no_data(weights.probe.unwrap_or(crate::grow::PROBED))),
        data_folder: folder.clone(),
        train: no_training(&model.architecture, train_plan, weights.state, request),
        architecture: model.architecture,
        given,
        events: events.into_iter().map(|read| read.event).collect(),
        lets: syntax::lets_as_text(&schedule),
    });
    let diagnostics = report.finish();
    Applied { diagnostics, sources: schedule.sources, program, matches, skipped, notes, has_data }
}

/// The `at` events with what changes the network, all at the start, and what is left out.
fn read_events(
    schedule: &Schedule,
    context: &triggers::Context,
    doubtful: &mut HashSet<String>,
    report: &mut Report,
) -> (Vec<Read>, Vec<Skipped>) {
    let mut all = Vec::new();
    let mut skipped = Vec::new();
    let text = |span: Span| schedule.sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" ");
    for event in &schedule.events {
        if event.trigger.word.node != "at" {
            skipped.push(Skipped { text: text(event.span), why: "there is no training that it could follow" });
            continue;
        }
        if let Some(refused) = triggers::wall_clock(event) {
            report.add(refused);
            continue;
        }
        let point = triggers::resolve(&event.trigger, context, report);
        let mut good: Vec<Action> = Vec::new();
        for phrase in &event.actions {
            let told = schedule.sources.slice(phrase.span);
            let word = actions::word(phrase);
            if word.is_some_and(|word| !changes(word)) {
                skipped.push(Skipped { text: text(phrase.span), why: "it belongs to training" });
                continue;
            }
            good.extend(actions::read(phrase, &good, context, told, doubtful, report));
        }
        if point.is_some() && !good.is_empty() {
            let trigger = Trigger::At { step: 0, end: false };
            let event = Event { trigger, actions: good, span: event.span };
            all.push(Read { event, point: None, head: Span::default(), never: false });
        }
    }
    (all, skipped)
}

/// Whether an action means something without training.
fn changes(word: &str) -> bool {
    crate::grow::find(word).is_some() || matches!(word, "set dropout" | "assert preserved")
}

/// Refuses what cannot be done honestly: growth that measures the data where there is none, and growth that goes by an
/// activation that is a guess.
fn judge(events: &[Read], start: &Architecture, weights: &Weights, has_data: bool, report: &mut Report) {
    let mut now = start.clone();
    for action in events.iter().flat_map(|read| &read.event.actions) {
        let ActionKind::Grow(operator) = action.kind else { continue };
        let Ok(plan) = operator.plan(&action.args, &now) else { return };
        let span = action.args.span;
        let is_measured = match plan.needs {
            Needs::Nothing => true,
            Needs::Activations => has_data || weights.probe.is_some(),
            Needs::Gradients => has_data,
        };
        if !is_measured {
            let message = format!("`{}` measures the network on data, and there is none", plan.summary.action);
            let help = match plan.needs {
                Needs::Gradients => "add the `data` section of what it was trained on: the answers are needed, too",
                _ => "add a `data` section, or give examples by `--probe FILE`",
            };
            report.add(Diagnostic::error("G0826", span, message).help(help));
        }
        // Where a layer norm of widened units stands is as much a guess as the activation.
        let is_renormed = now.all_layers().any(|layer| {
            matches!(layer.settings.norm, Some(Norm::Layer | Norm::Rms))
                && plan
                    .after
                    .layer(&layer.name)
                    .is_some_and(|after| plan.after.width(after.output.axis) != now.width(layer.output.axis))
        });
        let is_exact = matches!(plan.promise, Promise::Bitwise | Promise::Rounding) && !is_renormed;
        let is_free = plan.promise == Promise::None || is_exact;
        let is_insertion = plan.summary.action == "insert identity";
        if !weights.activations_known
            && !plan.changes.is_empty()
            && (!is_free || is_insertion || plan.needs != Needs::Nothing)
        {
            let message = format!("`{}` goes by the activations, which are not in the file", action.args.doc.word);
            let help = "write the `model` block with them: `growrun inspect` proposes one";
            report.add(Diagnostic::error("G0827", span, message).here("depends on them").help(help));
        }
        now = plan.after;
    }
}

/// A plan of as many examples that nobody reads: they are given to the run.
fn no_data(examples: usize) -> DataPlan {
    let blobs = crate::data::find("blobs").expect("a source that is generated is registered");
    DataPlan {
        source: Choice { word: blobs.doc().word, args: Args::none(blobs.doc()) },
        batch: Some(examples),
        normalize: Normalize::None,
        split: Split { train: Share::Fraction(1.0), val: Share::Fraction(0.0), test: None, stratified: false },
        limit: None,
        shuffle: false,
        drop_last: false,
        balanced_classes: false,
        examples,
        has_val: false,
        has_test: false,
        steps_per_epoch: 1,
        bytes: 0,
    }
}

/// No step, with the loss and the optimiser of the section where there is one. The optimiser is the state's.
fn no_training(
    architecture: &Architecture,
    plan: Option<TrainPlan>,
    state: Option<&moments::State>,
    request: &Request,
) -> TrainPlan {
    let doc = |docs: &[&'static crate::base::Doc], word: &str| -> &'static crate::base::Doc {
        docs.iter().copied().find(|doc| doc.word == word).expect("a word of the registry")
    };
    let vocabulary = request.vocabulary;
    let choice = |doc: &'static crate::base::Doc, args: Args| Choice { word: doc.word, args };
    let loss = match architecture.task {
        Task::Classification => "cross_entropy",
        Task::Regression => "mse",
    };
    let loss = doc(&vocabulary.losses, loss);
    let optimizer = optimizer(plan.as_ref(), state, &|word| doc(&vocabulary.optimizers, word));
    TrainPlan {
        steps: 0,
        length: 0,
        optimizer,
        base_lr: plan.as_ref().map_or(1e-3, |plan| plan.base_lr),
        lr: LrShape::Constant,
        warmup_steps: 0,
        loss: plan.map_or_else(|| choice(loss, Args::none(loss)), |plan| plan.loss),
        metrics: Vec::new(),
        evaluate_every: None,
        log_every: None,
        stop_when: None,
        keep_best: None,
        checkpoint_every: None,
        checkpoints_kept: 1,
        on_divergence: Divergence::Stop,
    }
}

fn optimizer(
    plan: Option<&TrainPlan>,
    state: Option<&moments::State>,
    doc: &dyn Fn(&str) -> &'static crate::base::Doc,
) -> Choice {
    let own = plan.map(|plan| &plan.optimizer);
    let Some(state) = state else {
        let sgd = doc("sgd");
        // Nothing is kept, so nothing is carried.
        return Choice { word: sgd.word, args: Args::none(sgd) };
    };
    let is_adam = |choice: &&Choice| choice.word.starts_with("adam") == state.is_adam;
    let mut choice = own.filter(is_adam).cloned().unwrap_or_else(|| {
        let doc = doc(if state.is_adam { "adam" } else { "sgd" });
        Choice { word: doc.word, args: Args::none(doc) }
    });
    // The file knows better than the schedule what its state was made with.
    let settings = &state.settings;
    let number = |number: f64| vec![Value::Number(number)];
    let mut args = std::mem::replace(&mut choice.args, Args::none(doc(choice.word)));
    if let Some(lr) = settings.lr.filter(|lr| *lr > 0.0) {
        args = args.with("lr", number(lr));
    }
    if let (true, Some((one, two))) = (state.is_adam, settings.betas) {
        args = args.with("betas", vec![Value::Number(one), Value::Number(two)]);
    }
    if !state.is_adam {
        let momentum = settings.momentum.filter(|momentum| *momentum > 0.0).unwrap_or(0.9);
        args = args.with("momentum", number(momentum));
        if let Some(decay) = settings.weight_decay.filter(|decay| *decay > 0.0) {
            args = args.with("weight_decay", number(decay));
        }
    }
    choice.args = args;
    choice
}
