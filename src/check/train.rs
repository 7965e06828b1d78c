//! The `train` section: how long, by which optimiser and loss, what is measured and kept.

mod measured;

pub use measured::{resolve, uncomputed};

use super::Budget;
use super::arguments::{self, cover, found, text_of};
use super::conditions;
use super::program::{Choice, Condition, Divergence, LrShape, TrainPlan};
use super::ranges::{self, Asker};
use super::report::Report;
use super::suggest;
use super::time::{Given, Timebase, is_zero};
use super::train_words::*;
use super::vocabulary::{MetricWord, Vocabulary};
use crate::base::{Args, Clause, Diagnostic, Doc, Duration, Severity, Span, Spanned, Value};
use crate::nn::Task;
use crate::syntax::{Atom, Phrase, Section};

/// What is known of the data, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub task: Option<Task>,
    pub has_test: Option<bool>,
    pub steps_per_epoch: Option<u64>,
    /// Largest number of steps that a run may have.
    pub steps_max: u64,
    /// Steps that an arm of a comparison has, whatever the file says, and whether its events go along.
    pub budget: Option<Budget>,
}

/// What the section says.
pub struct TrainRead {
    /// `None` when there is a mistake.
    pub plan: Option<TrainPlan>,
    pub time: Timebase,
    pub measured: Measured,
    /// The conditions of `stop when`, as far as they were read.
    pub stop_when: Vec<Condition>,
}

/// Which metrics exist while the run goes on, for conditions.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Words without a part: `accuracy`; the loss always.
    pub metrics: Vec<&'static str>,
    /// Steps between evaluations; `None` is `never`.
    pub evaluate_every: Option<u64>,
    pub evaluate_span: Option<Span>,
    pub metrics_span: Option<Span>,
    /// Whether nothing may be said about what is measured, because a statement about it has a mistake.
    pub doubtful: bool,
}

pub fn read(section: &Section, known: &Known, vocabulary: &Vocabulary, report: &mut Report) -> TrainRead {
    let errors_before = report.errors();
    let (head, diagnostics) = arguments::read(&TRAIN, &section.head, section.keyword.span, vocabulary);
    report.extend(diagnostics);
    let length = length(&head, report);
    let mut time = Timebase::new(length.unwrap_or(Duration::Epochs(60)), known.steps_per_epoch);
    if let Some(budget) = known.budget {
        time.total = budget.steps;
        time.given = budget.stretched_of.map_or(Given::Budget, |of| Given::Stretched { of });
    }
    // A length that has a mistake ends nowhere in particular, so nothing is said to lie behind it.
    if length.is_none() {
        time.symbolic = true;
        time.in_epochs = false;
    }
    if time.total > known.steps_max && !time.symbolic {
        report.add(
            Diagnostic::error("G0603", head.span_of("length"), format!("{} steps are beyond the limit", time.total))
                .here(format!("at most {}", known.steps_max))
                .help("train for less, or raise it by `--steps-limit`"),
        );
    }
    let mut reader = Reader { known, vocabulary, report, time, seen: Vec::new() };
    let mut texts = Texts::default();
    for phrase in &section.body {
        reader.statement(phrase, &mut texts);
    }
    let optimizer = reader.optimizer(texts.optimizer);
    let loss = reader.loss(texts.loss);
    let metrics = reader.metrics(texts.metrics);
    let evaluate_span = texts.evaluate.as_ref().map(|args| args.span);
    let measured = Measured {
        metrics: metrics.0,
        evaluate_every: reader.evaluate(texts.evaluate.as_ref()),
        evaluate_span,
        metrics_span: metrics.1,
        doubtful: metrics.2,
    };
    let log_every = reader.every(texts.log.as_ref());
    let checkpoint_every = reader.every(texts.checkpoint.as_ref());
    let (lr, warmup_steps) = reader.lr(texts.lr.as_ref(), optimizer.as_ref());
    let stop_when = texts.stop.as_ref().and_then(|args| args.condition("when")).map(|clauses| {
        let mut conditions = Vec::new();
        let mistakes = resolve(clauses, &measured, &time, vocabulary, known.has_test, &mut conditions);
        if mistakes.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) {
            reader.report.extend(ranges::judge(clauses, Asker::StopWhen, vocabulary));
        }
        reader.report.extend(mistakes);
        conditions
    });
    let keep_best = texts.keep_best.as_ref().and_then(|args| {
        let name = args.word("by")?;
        let span = args.span_of("by");
        let (_, word) = conditions::parts(name, vocabulary)?;
        if let Some(diagnostic) = uncomputed(name, span, &measured, vocabulary, known.has_test, false) {
            reader.report.add(diagnostic);
            return None;
        }
        Some((name.to_string(), word.higher_is_better))
    });
    let kept = texts.checkpoint.as_ref().and_then(|args| args.integer("keep")).unwrap_or(2);
    let on_divergence = match texts.on_divergence.as_ref().and_then(|args| args.values("then")) {
        Some([_, Value::Factor(factor), Value::Integer(at_most)]) => {
            if let Some(args) = texts.on_divergence.as_ref().filter(|_| !(*factor > 0.0 && *factor < 1.0)) {
                let message = format!("going back with {factor}x the learning rate diverges again");
                reader.report.add(
                    Diagnostic::error("G0107", args.span_of("then"), message)
                        .help("use a factor between 0 and 1, such as `rollback lr 0.5x at most 3 times`"),
                );
            }
            Divergence::Rollback { factor: *factor, at_most: *at_most }
        }
        _ => Divergence::Stop,
    };
    let conditions = stop_when.clone().unwrap_or_default();
    let plan = match (optimizer, loss) {
        (Some((optimizer, base_lr)), Some(loss)) if reader.report.errors() == errors_before => Some(TrainPlan {
            steps: time.total,
            length: time.length,
            optimizer,
            base_lr,
            lr,
            warmup_steps,
            loss,
            metrics: measured.metrics.iter().copied().filter(|word| *word != "loss").collect(),
            evaluate_every: measured.evaluate_every,
            log_every,
            stop_when,
            keep_best,
            checkpoint_every,
            checkpoints_kept: usize::try_from(kept).unwrap_or(usize::MAX),
            on_divergence,
        }),
        _ => None,
    };
    TrainRead { plan, time, measured, stop_when: conditions }
}

fn length(head: &Args, report: &mut Report) -> Option<Duration> {
    let length = head.duration("length")?;
    let span = head.span_of("length");
    if matches!(length, Duration::Fraction(_)) {
        report.add(
            Diagnostic::error("G0106", span, "a run's length cannot be a percent of itself")
                .help("write `train 60 epochs` or `train 20_000 steps`"),
        );
        return None;
    }
    if is_zero(length) {
        report.add(
            Diagnostic::error("G0107", span, "a run of no steps learns nothing").help("train for 1 epoch or more"),
        );
        return None;
    }
    Some(length)
}

/// The phrases of the section by what they are about, read as far as their docs go.
#[derive(Default)]
struct Texts<'a> {
    optimizer: Option<&'a Phrase>,
    loss: Option<&'a Phrase>,
    metrics: Option<&'a Phrase>,
    lr: Option<Args>,
    evaluate: Option<Args>,
    log: Option<Args>,
    stop: Option<Args>,
    keep_best: Option<Args>,
    checkpoint: Option<Args>,
    on_divergence: Option<Args>,
}

struct Reader<'a> {
    known: &'a Known,
    vocabulary: &'a Vocabulary,
    report: &'a mut Report,
    time: Timebase,
    seen: Vec<(&'static str, Span)>,
}

impl Reader<'_> {
    fn statement<'p>(&mut self, phrase: &'p Phrase, texts: &mut Texts<'p>) {
        let Some((doc, count)) = arguments::find(STATEMENTS, &phrase.atoms) else {
            self.unknown(phrase);
            return;
        };
        if let Some((_, first)) = self.seen.iter().find(|(word, _)| *word == doc.word) {
            self.report.add(super::twice(doc.word, phrase.span, *first));
            return;
        }
        self.seen.push((doc.word, phrase.span));
        match doc.word {
            "optimizer" => texts.optimizer = Some(phrase),
            "loss" => texts.loss = Some(phrase),
            "metrics" => texts.metrics = Some(phrase),
            _ => {
                let rest = &phrase.atoms[count..];
                if doc.word == "lr" && self.is_rate_without_shape(rest) {
                    return;
                }
                let (args, diagnostics) = arguments::read(doc, rest, phrase.span, self.vocabulary);
                self.report.extend(diagnostics);
                let slot = match doc.word {
                    "lr" => &mut texts.lr,
                    "evaluate" => &mut texts.evaluate,
                    "log" => &mut texts.log,
                    "stop" => &mut texts.stop,
                    "keep best" => &mut texts.keep_best,
                    "checkpoint" => &mut texts.checkpoint,
                    "on_divergence" => &mut texts.on_divergence,
                    other => unreachable!("`{other}` is not in STATEMENTS"),
                };
                *slot = Some(args);
            }
        }
    }

    /// `lr 1e-3` alone: the rate stands with the optimiser.
    fn is_rate_without_shape(&mut self, rest: &[Spanned<Atom>]) -> bool {
        let Some(first @ Spanned { node: Atom::Number { .. }, .. }) = rest.first() else { return false };
        let rate = text_of(&first.node);
        self.report.add(
            Diagnostic::error("G0106", first.span, "`lr` in `train` says how the rate changes, not how large it is")
                .here("the rate stands with the optimizer")
                .help(format!("write `optimizer adam lr {rate}`")),
        );
        true
    }

    fn unknown(&mut self, phrase: &Phrase) {
        let Some(first) = phrase.atoms.first() else { return };
        match &first.node {
            Atom::Bad | Atom::Variable(_) => {}
            Atom::Word(word) => {
                if let Some(refused) = super::refused::word(word, first.span) {
                    self.report.add(refused);
                    return;
                }
                let words: Vec<&str> = STATEMENTS.iter().map(|doc| doc.word).collect();
                let diagnostic = Diagnostic::error("G0105", first.span, format!("`train` does not know `{word}`"))
                    .here("unknown statement");
                let known_optimizer = self.vocabulary.optimizers.iter().any(|doc| doc.word == word);
                let help = match word.as_str() {
                    _ if known_optimizer => Some(format!("write `optimizer {word}`")),
                    "keep" => Some("write `keep best by val_accuracy`".into()),
                    "batch" | "normalize" | "split" | "shuffle" | "drop_last" => {
                        Some(format!("`{word}` stands in the `data` section"))
                    }
                    _ => suggest::help(word, words.iter().copied()),
                };
                self.report.add(match help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
            _ => {
                let message = format!("a statement begins with a word, not {}", found(first));
                self.report.add(Diagnostic::error("G0106", first.span, message).help("such as `optimizer adam`"));
            }
        }
    }

    /// Reads `optimizer adam …` or `loss mse …`: a word of `docs`, then what that word's doc asks for.
    fn choice(&mut self, phrase: &Phrase, docs: &[&'static Doc], what: &str) -> Option<(Args, bool)> {
        let Some(first) = phrase.atoms.get(1) else {
            let words: Vec<&str> = docs.iter().map(|doc| doc.word).collect();
            self.report.add(
                Diagnostic::error("G0106", phrase.span, format!("which {what}"))
                    .help(suggest::help("", words).unwrap_or_default()),
            );
            return None;
        };
        let Atom::Word(word) = &first.node else {
            if !matches!(first.node, Atom::Bad | Atom::Variable(_)) {
                let message = format!("`{what}` needs a word, not {}", found(first));
                let words: Vec<&str> = docs.iter().map(|doc| doc.word).collect();
                self.report.add(
                    Diagnostic::error("G0106", first.span, message).help(suggest::help("", words).unwrap_or_default()),
                );
            }
            return None;
        };
        let Some(doc) = docs.iter().find(|doc| doc.word == word) else {
            let words: Vec<&str> = docs.iter().map(|doc| doc.word).collect();
            let diagnostic =
                Diagnostic::error("G0105", first.span, format!("there is no {what} `{word}`")).here("unknown word");
            self.report.add(match suggest::help(word, words) {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            return None;
        };
        let mut atoms = phrase.atoms[2..].to_vec();
        let mut clean = true;
        if *word == "adam"
            && let Some(at) = atoms.iter().position(|atom| atom.node == Atom::Word("weight_decay".into()))
        {
            self.report.add(
                Diagnostic::error("G0906", atoms[at].span, "weight decay inside adam is not weight decay")
                    .here("adam would divide it by the gradient's size")
                    .help("use `adamw`, which decays the weights themselves"),
            );
            let value = usize::from(matches!(atoms.get(at + 1).map(|a| &a.node), Some(Atom::Number { .. })));
            atoms.drain(at..=at + value);
            clean = false;
        }
        let (args, diagnostics) = arguments::read(doc, &atoms, phrase.span, self.vocabulary);
        clean &= diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning);
        self.report.extend(diagnostics);
        Some((args, clean))
    }

    fn optimizer(&mut self, phrase: Option<&Phrase>) -> Option<(Choice, f64)> {
        let docs = &self.vocabulary.optimizers;
        let Some(phrase) = phrase else {
            let doc = *docs.iter().find(|doc| doc.word == "adam")?;
            return Some((Choice { word: doc.word, args: Args::none(doc) }, 1e-3));
        };
        let (args, clean) = self.choice(phrase, docs, "optimizer")?;
        let sensible = self.rates(&args);
        let base = args.number("lr").or((args.doc.word != "sgd").then_some(1e-3));
        let Some(base) = base else {
            // A doc that asks for `lr` has said so already.
            if clean && !args.doc.arg("lr").is_some_and(|lr| lr.required) {
                self.report.add(
                    Diagnostic::error("G0106", phrase.span, format!("`{}` needs its learning rate", args.doc.word))
                        .help(format!("write `optimizer {} lr 1e-2`", args.doc.word)),
                );
            }
            return None;
        };
        (clean && sensible).then_some((Choice { word: args.doc.word, args }, base))
    }

    /// Whether the optimiser's numbers make sense.
    fn rates(&mut self, args: &Args) -> bool {
        let mut good = true;
        let given: Vec<&'static str> = args.given.keys().copied().collect();
        for name in given {
            let numbers: Vec<f64> = args
                .values(name)
                .unwrap_or_default()
                .iter()
                .filter_map(|value| match value {
                    Value::Number(x) => Some(*x),
                    Value::Integer(n) => Some(*n as f64),
                    _ => None,
                })
                .collect();
            let (holds, range): (fn(f64) -> bool, &str) = match name {
                "lr" | "clip" | "epsilon" | "eps" => (|x| x > 0.0, "more than 0"),
                "momentum" | "betas" | "beta1" | "beta2" => {
                    (|x| (0.0..1.0).contains(&x), "from 0 up to, not including, 1")
                }
                "label_smoothing" => (|x| (0.0..1.0).contains(&x), "from 0 up to, not including, 1"),
                _ => (|x| x >= 0.0, "0 or more"),
            };
            if let Some(bad) = numbers.iter().find(|x| !x.is_finite() || !holds(**x)) {
                good = false;
                self.report.add(
                    Diagnostic::error("G0107", args.span_of(name), format!("`{name}` cannot be {bad}"))
                        .help(format!("use a number {range}")),
                );
            }
        }
        if args.doc.arg("nesterov").is_some()
            && args.flag("nesterov") == Some(true)
            && args.number("momentum").unwrap_or(0.0) == 0.0
        {
            good = false;
            self.report.add(
                Diagnostic::error("G0107", args.span_of("nesterov"), "nesterov needs momentum")
                    .help("write `momentum 0.9 nesterov yes`"),
            );
        }
        good
    }

    fn loss(&mut self, phrase: Option<&Phrase>) -> Option<Choice> {
        let docs = &self.vocabulary.losses;
        let of_task = |task: Task| match task {
            Task::Classification => "cross_entropy",
            Task::Regression => "mse",
        };
        let Some(phrase) = phrase else {
            let word = of_task(self.known.task.unwrap_or(Task::Classification));
            let doc = *docs.iter().find(|doc| doc.word == word)?;
            return Some(Choice { word: doc.word, args: Args::none(doc) });
        };
        let (args, clean) = self.choice(phrase, docs, "loss")?;
        let sensible = self.rates(&args);
        if let Some(task) = self.known.task
            && task == Task::Regression
            && args.doc.word == "cross_entropy"
        {
            self.report.add(
                Diagnostic::error("G0503", phrase.span, "`cross_entropy` needs classes")
                    .here("the data is a regression")
                    .help("use `loss mse`, or `task classification` in the `data` section"),
            );
            return None;
        }
        (clean && sensible).then_some(Choice { word: args.doc.word, args })
    }

    /// The metrics, where they were named, and whether one of them has a mistake.
    fn metrics(&mut self, phrase: Option<&Phrase>) -> (Vec<&'static str>, Option<Span>, bool) {
        let mut names: Vec<&'static str> = vec!["loss"];
        let Some(phrase) = phrase else {
            names.push(match self.known.task {
                Some(Task::Regression) => "rmse",
                _ => "accuracy",
            });
            // Without the data, the default metric is not known.
            return (names, None, self.known.task.is_none());
        };
        let mut doubtful = false;
        let (_, diagnostics) = arguments::read(&METRICS, &phrase.atoms[1..], phrase.span, self.vocabulary);
        doubtful |= !diagnostics.is_empty();
        self.report.extend(diagnostics);
        for atom in &phrase.atoms[1..] {
            let Atom::Word(word) = &atom.node else { continue };
            match self.metric(word, atom.span) {
                Some(metric) => {
                    if metric.doc.word != "loss" && !names.contains(&metric.doc.word) {
                        names.push(metric.doc.word);
                    }
                }
                None => doubtful = true,
            }
        }
        (names, Some(phrase.span), doubtful)
    }

    fn metric(&mut self, word: &str, span: Span) -> Option<&MetricWord> {
        let vocabulary = self.vocabulary;
        let all: Vec<&str> = vocabulary.metrics.iter().map(|metric| metric.doc.word).collect();
        let Some(metric) = vocabulary.metrics.iter().find(|metric| metric.doc.word == word) else {
            let diagnostic =
                Diagnostic::error("G0502", span, format!("there is no metric `{word}`")).here("unknown metric");
            let help = match conditions::parts(word, vocabulary) {
                Some((_, metric)) => {
                    Some(format!("write `{}`: every metric is computed on every part", metric.doc.word))
                }
                None => suggest::help(word, all),
            };
            self.report.add(match help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            return None;
        };
        if let (Some(task), Some(needs)) = (self.known.task, metric.task)
            && task != needs
        {
            let (this, other) = match task {
                Task::Classification => ("a classification", "rmse"),
                Task::Regression => ("a regression", "accuracy"),
            };
            let fitting: Vec<&str> = vocabulary
                .metrics
                .iter()
                .filter(|metric| metric.task == Some(task))
                .map(|metric| metric.doc.word)
                .collect();
            debug_assert!(!fitting.contains(&other), "a metric fits one task");
            self.report.add(
                Diagnostic::error("G0503", span, format!("`{word}` does not fit this data"))
                    .here(format!("the data is {this}"))
                    .help(format!("use {}", suggest::any_of(&fitting))),
            );
            return None;
        }
        Some(metric)
    }

    fn evaluate(&mut self, args: Option<&Args>) -> Option<u64> {
        match args {
            None => Some(self.time.steps_per_epoch),
            Some(args) if args.has("never") => None,
            Some(args) => self.every(Some(args)).or(Some(self.time.steps_per_epoch)),
        }
    }

    /// The interval of an `every D`, at least one step.
    fn every(&mut self, args: Option<&Args>) -> Option<u64> {
        let args = args?;
        let duration = args.duration("every")?;
        let steps = self.time.duration(duration);
        if steps == 0 {
            self.report.add(super::no_interval(args.span_of("every"), duration));
            return None;
        }
        Some(steps)
    }

    fn lr(&mut self, args: Option<&Args>, optimizer: Option<&(Choice, f64)>) -> (LrShape, u64) {
        let Some(args) = args else { return (LrShape::Constant, 0) };
        let warmup = args.duration("warmup").map_or(0, |duration| self.time.warmup(duration));
        if warmup > self.time.total && !self.time.symbolic {
            self.report.add(
                Diagnostic::warning("G0204", args.span_of("warmup"), "the warm-up is longer than the run")
                    .here(format!("{warmup} steps of {}", self.time.total))
                    .help("the rate never reaches its base; use a shorter warm-up, such as 5%"),
            );
        }
        let base = optimizer.map_or(1e-3, |(_, base)| *base);
        let last = match args.values("to").and_then(|values| values.first()) {
            Some(Value::Factor(factor)) => *factor,
            Some(Value::Number(rate)) => rate / base,
            _ => 0.0,
        };
        let shape = match args.values("shape") {
            Some([Value::Word(word)]) if word == "cosine" => LrShape::Cosine { last },
            Some([Value::Word(word)]) if word == "linear" => LrShape::Linear { last },
            Some([Value::Word(_), Value::Factor(factor), Value::Duration(every)]) => {
                let every_steps = self.time.as_written().duration(*every);
                if every_steps == 0 {
                    self.report.add(super::no_interval(args.span_of("shape"), *every));
                }
                LrShape::Step { factor: *factor, every_steps: every_steps.max(1) }
            }
            _ => LrShape::Constant,
        };
        if args.has("to") && !matches!(shape, LrShape::Cosine { .. } | LrShape::Linear { .. }) && args.has("shape") {
            self.report.add(
                Diagnostic::error("G0105", args.span_of("to"), "this shape of the rate has no last rate")
                    .help("`to` belongs to `cosine` and `linear`"),
            );
        }
        (shape, warmup)
    }
}

/// The span of a phrase's atoms, for callers that have no phrase.
pub fn span_of(atoms: &[Spanned<Atom>], otherwise: Span) -> Span {
    match (atoms.first(), atoms.last()) {
        (Some(first), Some(last)) => cover(first.span, last.span),
        _ => otherwise,
    }
}
