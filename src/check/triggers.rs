//! When an event fires: the trigger's words to steps.

use super::arguments::{self, cover, found};
use super::conditions;
use super::program::Trigger;
use super::ranges::{self, Asker};
use super::report::Report;
use super::suggest;
use super::time::{Given, Timebase};
use super::train::{self, Measured};
use super::vocabulary::Vocabulary;
use crate::base::{Arg, Clause, Diagnostic, Doc, Duration, Kind, Point, Shape, Span, Spanned, Value};
use crate::syntax::{self, Atom};

const fn option(name: &'static str, kinds: &'static [Kind], default: &'static str, help: &'static str) -> Arg {
    Arg { name, shape: Shape::Keyword(kinds), required: false, default, help }
}

const fn head(name: &'static str, kind: Kind, help: &'static str) -> Arg {
    Arg { name, shape: Shape::Positional(kind), required: true, default: "", help }
}

static AT: Doc = Doc {
    word: "at",
    help: "fires once; `at epoch N` is the boundary after N completed epochs",
    args: &[head("point", Kind::Point, "when")],
    one_of: &[],
    example: "at epoch 20 widen h2 to 256",
    source: "",
};

static EVERY: Doc = Doc {
    word: "every",
    help: "fires again and again: first at `from` (without it after the first N), then every N, `until` included",
    args: &[
        head("interval", Kind::Duration, "time between two firings"),
        option("from", &[Kind::Point], "after one interval", "the first firing"),
        option("until", &[Kind::Point], "end", "no firing after this"),
    ],
    one_of: &[],
    example: "every 10 epochs until epoch 40 widen h2 by 2x",
    source: "",
};

static DURING: Doc = Doc {
    word: "during",
    help: "holds from one boundary to another: applied on entry, undone on exit (freeze, set)",
    args: &[
        head("epoch", Kind::Literal("epoch"), "`epoch`, or `step`"),
        head("range", Kind::Integer, "the two boundaries, such as 5..10"),
    ],
    one_of: &[],
    example: "during epoch 0..5 freeze h1",
    source: "",
};

static WHEN: Doc = Doc {
    word: "when",
    help: "fires when a condition holds at an evaluation; once unless told otherwise",
    args: &[
        Arg {
            name: "condition",
            shape: Shape::Many(Kind::Condition),
            required: true,
            default: "",
            help: "comparisons and plateaus, joined by `and`",
        },
        option("at", &[Kind::Literal("most"), Kind::Integer, Kind::Literal("times")], "1", "how often it may fire"),
        option("cooldown", &[Kind::Duration], "none", "time before it may fire again"),
        option("from", &[Kind::Point], "start", "not before"),
        option("until", &[Kind::Point], "end", "not after"),
    ],
    one_of: &[],
    example: "when val_loss plateaus for 5 epochs at most 3 times widen h2 by 2x",
    source: "",
};

/// The words that open an event.
pub static TRIGGERS: &[&Doc] = &[&AT, &EVERY, &DURING, &WHEN];

/// What a trigger is resolved with.
pub struct Context<'a> {
    pub time: &'a Timebase,
    pub measured: &'a Measured,
    pub vocabulary: &'a Vocabulary,
    pub has_test: Option<bool>,
    /// Where the run's length stands.
    pub length_span: Span,
}

/// A trigger in steps, and what is remembered of its text.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub trigger: Trigger,
    /// How the time of an `at` was spelled, and where.
    pub point: Option<(Point, Span)>,
    /// Where the time or the condition stands.
    pub span: Span,
    /// Whether it was said that it never fires.
    pub never: bool,
}

/// `None` when the trigger has a mistake, which has been reported.
pub fn resolve(trigger: &syntax::Trigger, context: &Context, report: &mut Report) -> Option<Resolved> {
    let word = trigger.word.node.as_str();
    let span = train::span_of(&trigger.head, trigger.word.span);
    let Some(doc) = TRIGGERS.iter().find(|doc| doc.word == word) else {
        let words: Vec<&str> = TRIGGERS.iter().map(|doc| doc.word).collect();
        let diagnostic = Diagnostic::error("G0105", trigger.word.span, format!("there is no trigger `{word}`"));
        report.add(diagnostic.help(suggest::help(word, words).unwrap_or_default()));
        return None;
    };
    let mut options = Options::default();
    let good = options.read(doc, trigger, report);
    let trigger = match word {
        "at" => at(trigger, span, context, report)?,
        "every" => every(trigger, span, &options, context, report)?,
        "during" => during(trigger, span, context, report)?,
        _ => when(trigger, span, &options, context, report)?,
    };
    good.then_some(trigger)
}

/// `from`, `until`, `at most` and `cooldown`.
#[derive(Default)]
struct Options {
    from: Option<(Point, Span)>,
    until: Option<(Point, Span)>,
    at_most: Option<u64>,
    cooldown: Option<(Duration, Span)>,
}

impl Options {
    fn read(&mut self, doc: &Doc, trigger: &syntax::Trigger, report: &mut Report) -> bool {
        let mut good = true;
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for (word, atoms) in &trigger.options {
            let name = word.node.as_str();
            let known = doc.arg(name.split(' ').next().unwrap_or(name)).is_some();
            if !known {
                good = false;
                report.add(
                    Diagnostic::error("G0105", word.span, format!("`{}` has no `{name}`", doc.word))
                        .here("does not belong here")
                        .help(format!("the form is `{} action`", doc.signature())),
                );
                continue;
            }
            if let Some((_, first)) = seen.iter().find(|(before, _)| *before == name) {
                good = false;
                report.add(super::twice(name, word.span, *first));
                continue;
            }
            seen.push((name, word.span));
            let kind = match name {
                "from" | "until" => Kind::Point,
                "cooldown" => Kind::Duration,
                _ => Kind::Integer,
            };
            let span = train::span_of(atoms, word.span);
            match arguments::read_one(&kind, atoms, name, word.span) {
                Ok(Value::Point(point)) if name == "from" => self.from = Some((point, span)),
                Ok(Value::Point(point)) => self.until = Some((point, span)),
                Ok(Value::Duration(duration)) => self.cooldown = Some((duration, span)),
                Ok(Value::Integer(0)) => {
                    good = false;
                    report.add(
                        Diagnostic::error("G0107", span, "an event that fires at most 0 times never fires")
                            .help("use 1 or more, or remove the event"),
                    );
                }
                Ok(Value::Integer(n)) => self.at_most = Some(n),
                Ok(_) => unreachable!("the kind was asked for"),
                Err(diagnostic) => {
                    good = false;
                    report.diagnostics.extend(diagnostic);
                }
            }
        }
        good
    }
}

fn at(trigger: &syntax::Trigger, span: Span, context: &Context, report: &mut Report) -> Option<Resolved> {
    let point = match arguments::read_one(&Kind::Point, &trigger.head, "at", trigger.word.span) {
        Ok(Value::Point(point)) => point,
        Ok(_) => unreachable!("a point was asked for"),
        Err(diagnostic) => {
            report.diagnostics.extend(diagnostic);
            return None;
        }
    };
    let time = context.time;
    let step = time.point(point);
    let comparable = time.is_comparable(point);
    if step > time.total && comparable {
        after_the_end(span, context, report);
        return None;
    }
    let end = comparable && step == time.total;
    Some(Resolved { trigger: Trigger::At { step, end }, point: Some((point, span)), span, never: false })
}

/// Nothing is wrong with an event behind the end of a budget: the file gives its time for the reference.
fn after_the_end(span: Span, context: &Context, report: &mut Report) {
    if context.time.given != Given::Length {
        return;
    }
    report.add(
        Diagnostic::error("G0202", span, "this comes after the end of the run")
            .here("never reached")
            .label(context.length_span, format!("the run ends at {}", context.time.moment(context.time.total)))
            .help("give an earlier time, such as `at 90%`, or train longer"),
    );
}

/// `from` behind the end: nothing of the event is left.
fn from_after_the_end(options: &Options, context: &Context, report: &mut Report) -> Option<()> {
    match options.from {
        Some((point, span)) if context.time.point(point) > context.time.total && context.time.is_comparable(point) => {
            after_the_end(span, context, report);
            None
        }
        _ => Some(()),
    }
}

fn never(span: Span, message: &str, here: String, help: &str) -> Diagnostic {
    Diagnostic::warning("G0204", span, message).here(here).help(help)
}

fn every(
    trigger: &syntax::Trigger,
    span: Span,
    options: &Options,
    context: &Context,
    report: &mut Report,
) -> Option<Resolved> {
    let duration = match arguments::read_one(&Kind::Duration, &trigger.head, "every", trigger.word.span) {
        Ok(Value::Duration(duration)) => duration,
        Ok(_) => unreachable!("a duration was asked for"),
        Err(diagnostic) => {
            report.diagnostics.extend(diagnostic);
            return None;
        }
    };
    // One that is stretched is taken apart by who reads events, so that no firing is lost to rounding.
    let time = &match context.time.given {
        Given::Stretched { .. } => context.time.as_written(),
        _ => *context.time,
    };
    let interval = time.duration(duration);
    if interval == 0 {
        report.add(super::no_interval(span, duration));
        return None;
    }
    from_after_the_end(options, context, report)?;
    let first = options.from.map_or(interval, |(point, _)| time.point(point));
    let until = options.until.map_or(time.total, |(point, _)| time.point(point).min(time.total));
    let comparable = !time.symbolic || (matches!(duration, Duration::Epochs(_)) && time.in_epochs);
    let is_never = first > until && comparable;
    if is_never {
        let here = format!("would first fire at {}", time.moment(first));
        let help = "use a shorter interval, or a later `until`";
        report.add(match options.until.or(options.from) {
            Some((_, at)) => never(span, "this event never fires", here, help)
                .label(at, format!("it is over at {}", time.moment(until))),
            None => never(span, "this event never fires", here, "use an interval that is shorter than the run")
                .label(context.length_span, format!("the run ends at {}", time.moment(until))),
        });
    }
    Some(Resolved { trigger: Trigger::Every { first, interval, until }, point: None, span, never: is_never })
}

fn during(trigger: &syntax::Trigger, span: Span, context: &Context, report: &mut Report) -> Option<Resolved> {
    let form = "the form is `during epoch 5..10 freeze h1`";
    let head = trigger.head.as_slice();
    if head.iter().any(|atom| matches!(atom.node, Atom::Bad | Atom::Variable(_))) {
        return None;
    }
    let whole = |atom: &Spanned<Atom>| match atom.node {
        Atom::Number { integer: Some(n), .. } => Some(n),
        _ => None,
    };
    let (unit, range) = match head {
        [Spanned { node: Atom::Word(unit), .. }, range] if unit == "epoch" || unit == "step" => (unit.as_str(), range),
        [range @ Spanned { node: Atom::Range(..), .. }] => {
            let text = arguments::text_of(&range.node);
            report.add(
                Diagnostic::error("G0104", range.span, format!("`during {text}` could be epochs or steps"))
                    .here("needs its unit")
                    .help(format!("write `during epoch {text}` or `during step {text}`")),
            );
            return None;
        }
        _ => {
            report.add(Diagnostic::error("G0106", span, "`during` needs a range of epochs").help(form));
            return None;
        }
    };
    let ends = match &range.node {
        Atom::Range(from, to) => whole(from).zip(whole(to)),
        _ => None,
    };
    let Some((from, to)) = ends else {
        let message = format!("`during {unit}` needs a range of whole numbers, not {}", found(range));
        report.add(Diagnostic::error("G0106", range.span, message).help(form));
        return None;
    };
    let point = |n: u64| if unit == "epoch" { Point::Epoch(n) } else { Point::Step(n) };
    let time = context.time;
    let (first, last) = (time.point(point(from)), time.point(point(to)));
    if from >= to {
        report.add(
            Diagnostic::error("G0107", range.span, "this time ends before it begins")
                .help(format!("write the earlier first, such as `during {unit} {to}..{}`", from.max(to + 1))),
        );
        return None;
    }
    if first >= time.total && time.is_comparable(point(from)) {
        after_the_end(span, context, report);
        return None;
    }
    // A window that a small budget leaves no step of.
    if first == last {
        return None;
    }
    Some(Resolved { trigger: Trigger::During { from: first, to: last }, point: None, span, never: false })
}

fn when(
    trigger: &syntax::Trigger,
    span: Span,
    options: &Options,
    context: &Context,
    report: &mut Report,
) -> Option<Resolved> {
    let (clauses, mistakes) = conditions::read(&trigger.head, trigger.word.span, context.vocabulary);
    let spoiled = !mistakes.is_empty() || clauses.is_empty();
    report.extend(mistakes);
    let mut conditions = Vec::new();
    let mistakes =
        train::resolve(&clauses, context.measured, context.time, context.vocabulary, context.has_test, &mut conditions);
    let computed = mistakes.iter().all(|diagnostic| diagnostic.severity == crate::base::Severity::Warning);
    report.extend(mistakes);
    let time = context.time;
    from_after_the_end(options, context, report)?;
    let from = options.from.map_or(0, |(point, _)| time.point(point));
    let until = options.until.map_or(time.total, |(point, _)| time.point(point));
    let at_most = options.at_most.unwrap_or(1);
    let mut is_never = false;
    if computed && !spoiled {
        let judged = ranges::judge(&clauses, Asker::When, context.vocabulary);
        is_never |= judged.iter().any(|diagnostic| diagnostic.code == "G0204");
        let always = !judged.is_empty() && !is_never;
        report.extend(judged);
        let comparable = [options.from, options.until].into_iter().flatten().all(|(p, _)| time.is_comparable(p));
        if comparable {
            // The first evaluation at or after `from` is the first time that it is looked at.
            let every = context.measured.evaluate_every.unwrap_or(time.total).max(1);
            let first_look = from.max(1).div_ceil(every).saturating_mul(every).min(time.total.max(from));
            if first_look > until.min(time.total) {
                let at = options.until.or(options.from).map_or(span, |(_, span)| span);
                let here = format!("no evaluation between {} and {}", time.moment(from), time.moment(until));
                report.add(never(at, "this event never fires", here, "give it a time in which evaluations happen"));
                is_never = true;
            }
        }
        let levels = clauses.iter().all(|clause| matches!(clause, Clause::Compare { .. }));
        let rests = options.cooldown.is_some_and(|(duration, _)| !super::time::is_zero(duration));
        if at_most > 1 && !rests && levels && !clauses.is_empty() && !always && !is_never {
            report.add(
                Diagnostic::warning(
                    "G0210",
                    span,
                    "this holds at one evaluation after the other, so all firings come at once",
                )
                .here("a level, not a change")
                .help("add a pause, such as `cooldown 5 epochs`"),
            );
        }
    }
    if spoiled || !computed {
        return None;
    }
    let cooldown = options.cooldown.map_or(0, |(duration, _)| time.duration(duration));
    let trigger = Trigger::When { conditions, at_most, cooldown, from, until };
    Some(Resolved { trigger, point: None, span, never: is_never })
}

/// `at 10 minutes stop`: the parser takes the unit for the first word of the action.
pub fn wall_clock(event: &syntax::Event) -> Option<Diagnostic> {
    let [number @ Spanned { node: Atom::Number { .. }, .. }] = event.trigger.head.as_slice() else { return None };
    let Some(Spanned { node: Atom::Word(unit), span }) = event.actions.first()?.atoms.first() else { return None };
    let text = format!("{} {unit}", arguments::text_of(&number.node));
    super::refused::is_clock_unit(unit).then(|| super::refused::clock(cover(number.span, *span), &text))
}
