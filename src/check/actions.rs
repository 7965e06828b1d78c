//! What an event does: growth by the registry of operators, and the few actions that are the run's own.

use super::arguments::{self, found};
use super::program::{Action, ActionKind};
use super::ranges::{self, Asker};
use super::refused;
use super::report::Report;
use super::suggest;
use super::train;
use super::triggers::Context;
use crate::base::{Arg, Args, Diagnostic, Doc, Kind, Severity, Shape, Span, Spanned, Target, Value};
use crate::grow::{self, OPERATORS};
use crate::syntax::{Atom, Phrase};
use std::collections::HashSet;
use std::sync::LazyLock;

static SET_LR: Doc = Doc {
    word: "set lr",
    help: "changes the learning rate: `to` makes it X now, `by` multiplies its factor",
    args: &[
        Arg { name: "to", shape: Shape::Keyword(&[Kind::Number]), required: false, default: "", help: "the rate now" },
        Arg { name: "by", shape: Shape::Keyword(&[Kind::Factor]), required: false, default: "", help: "a factor" },
    ],
    one_of: &[&["to", "by"]],
    example: "set lr by 0.5x",
    source: "",
};

static SET_DROPOUT: Doc = Doc {
    word: "set dropout",
    help: "changes a layer's probability of dropping a unit",
    args: &[
        Arg { name: "layer", shape: Shape::Positional(Kind::Name), required: true, default: "", help: "which layer" },
        Arg {
            name: "to",
            shape: Shape::Keyword(&[Kind::Fraction]),
            required: true,
            default: "",
            help: "the probability, from 0 up to, not including, 1",
        },
    ],
    one_of: &[],
    example: "set dropout h1 to 0.2",
    source: "",
};

static SAVE: Doc = Doc {
    word: "save",
    help: "saves a checkpoint under a name",
    args: &[Arg {
        name: "name",
        shape: Shape::Positional(Kind::Text),
        required: true,
        default: "",
        help: "letters, digits, `-`, `_` and `.`",
    }],
    one_of: &[],
    example: "save \"before\"",
    source: "",
};

static EVALUATE: Doc = Doc {
    word: "evaluate",
    help: "computes the metrics now",
    args: &[Arg {
        name: "part",
        shape: Shape::Positional(Kind::Word(|| vec!["val", "test"])),
        required: true,
        default: "",
        help: "on which part",
    }],
    one_of: &[],
    example: "evaluate test",
    source: "",
};

static ASSERT_PRESERVED: Doc = Doc {
    word: "assert preserved",
    help: "fails the run unless the actions before it in its block kept the network's function",
    args: &[Arg {
        name: "tol",
        shape: Shape::Keyword(&[Kind::Number]),
        required: false,
        default: "what the actions promise",
        help: "the largest difference of an output that is accepted",
    }],
    one_of: &[],
    example: "assert preserved tol 1e-5",
    source: "",
};

static ASSERT: Doc = Doc {
    word: "assert",
    help: "fails the run unless the latest evaluation meets a condition",
    args: &[Arg {
        name: "condition",
        shape: Shape::Many(Kind::Condition),
        required: true,
        default: "",
        help: "comparisons joined by `and`",
    }],
    one_of: &[],
    example: "assert val_accuracy > 90%",
    source: "",
};

static STOP: Doc = Doc { word: "stop", help: "ends the run", args: &[], one_of: &[], example: "stop", source: "" };

/// Actions that are the run's own, beside the registry of growth operators.
pub static ACTIONS: &[&Doc] = &[&SET_LR, &SET_DROPOUT, &SAVE, &EVALUATE, &ASSERT_PRESERVED, &ASSERT, &STOP];

/// What an event can do: growth first, then the run's own. A list, because every event looks in it.
static DOCS: LazyLock<Vec<&'static Doc>> =
    LazyLock::new(|| OPERATORS.iter().map(|operator| operator.doc()).chain(ACTIONS.iter().copied()).collect());

/// Reads one action. `None` when it has a mistake; the names in it are then doubtful, since what it would have
/// made of them is unknown.
pub fn read(
    phrase: &Phrase,
    earlier: &[Action],
    context: &Context,
    text: &str,
    doubtful: &mut HashSet<String>,
    report: &mut Report,
) -> Option<Action> {
    let action = read_action(phrase, earlier, context, text, report);
    if action.is_none() {
        for atom in &phrase.atoms {
            mention(&atom.node, doubtful);
        }
    }
    action
}

/// The word that a phrase begins with, where it is one of an action: `insert identity`.
pub fn word(phrase: &Phrase) -> Option<&'static str> {
    arguments::find(DOCS.iter(), &phrase.atoms).map(|(doc, _)| doc.word)
}

fn mention(atom: &Atom, names: &mut HashSet<String>) {
    match atom {
        Atom::Word(word) => {
            names.insert(word.clone());
        }
        Atom::Range(first, last) => {
            mention(&first.node, names);
            mention(&last.node, names);
        }
        _ => {}
    }
}

fn read_action(
    phrase: &Phrase,
    earlier: &[Action],
    context: &Context,
    text: &str,
    report: &mut Report,
) -> Option<Action> {
    let Some((doc, count)) = arguments::find(DOCS.iter(), &phrase.atoms) else {
        unknown(phrase, &DOCS, report);
        return None;
    };
    let rest = &phrase.atoms[count..];
    if std::ptr::eq(doc, &SET_LR)
        && let Some(Spanned { node: Atom::Word(word), span }) = rest.first()
        && !matches!(word.as_str(), "to" | "by")
        && suggest::nearest(word, ["to", "by"]).is_none()
    {
        report.add(refused::layer_rate(*span));
        return None;
    }
    if let Some(block) = &phrase.block {
        let span = block.first().map_or(phrase.span, |inner| inner.span);
        report.add(
            Diagnostic::error("G0105", span, format!("`{}` has no block", doc.word))
                .help("put the braces right after the trigger: `at epoch 5 { widen h1 to 64; save \"wide\" }`"),
        );
        return None;
    }
    let (args, diagnostics) = arguments::read(doc, rest, phrase.span, context.vocabulary);
    let mut clean = diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning)
        && !rest.iter().any(|atom| matches!(atom.node, Atom::Bad | Atom::Variable(_)));
    report.extend(diagnostics);
    let errors = report.errors();
    let kind = match grow::find(doc.word) {
        Some(operator) => ActionKind::Grow(operator),
        None => own(doc, &args, earlier, context, report)?,
    };
    clean &= report.errors() == errors;
    clean.then(|| Action { kind, args, text: text.into() })
}

/// The actions that are the run's own. `None` when an argument is missing.
fn own(
    doc: &'static Doc,
    args: &Args,
    earlier: &[Action],
    context: &Context,
    report: &mut Report,
) -> Option<ActionKind> {
    let bad = |name: &str, message: String, help: &str| {
        Diagnostic::error("G0107", args.span_of(name), message).help(help.to_string())
    };
    Some(match doc.word {
        "set lr" => {
            if let Some(factor) = args.factor("by") {
                return Some(ActionKind::SetLrBy(factor));
            }
            let rate = args.number("to")?;
            if rate <= 0.0 {
                report.add(bad(
                    "to",
                    format!("a learning rate cannot be {rate}"),
                    "freeze layers to keep them as they are",
                ));
            }
            ActionKind::SetLrTo(rate)
        }
        "set dropout" => {
            let to = args.number("to")?;
            if !(0.0..1.0).contains(&to) {
                report.add(bad(
                    "to",
                    format!("a dropout of {to} would drop every unit"),
                    "use a probability from 0 up to, not including, 1",
                ));
            }
            ActionKind::SetDropout { layer: args.name("layer")?.into(), to }
        }
        "save" => {
            let name = args.text("name")?;
            let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
            if name.trim().is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(fits) {
                report.add(bad(
                    "name",
                    format!("`{name}` cannot be the name of a checkpoint"),
                    "use letters, digits, `-`, `_` and `.`, at most 100 of them",
                ));
            }
            ActionKind::Save { name: name.into() }
        }
        "evaluate" => {
            let part = if args.word("part")? == "test" { "test" } else { "val" };
            if part == "test" && context.has_test == Some(false) {
                report.add(
                    Diagnostic::error("G0501", args.span_of("part"), "there is no test part to evaluate")
                        .help("add one, as in `split train 80% val 10% test 10%`"),
                );
            }
            ActionKind::Evaluate { part }
        }
        "assert preserved" => {
            if !earlier.iter().any(|action| matches!(action.kind, ActionKind::Grow(_))) {
                report.add(
                    Diagnostic::error("G0106", args.span, "nothing before this could have changed the function")
                        .here("looks at the actions before it in its block")
                        .help("put both in one block: `at epoch 5 { widen h1 to 64; assert preserved }`"),
                );
            }
            ActionKind::AssertPreserved { tolerance: args.number("tol") }
        }
        "assert" => {
            let clauses = args.condition("condition")?;
            let mut conditions = Vec::new();
            let errors = report.errors();
            for clause in clauses {
                assert_clause(clause, context, report);
            }
            if report.errors() == errors {
                report.extend(ranges::judge(clauses, Asker::Assert, context.vocabulary));
            }
            let time = context.time;
            // What is computed has just been judged, with the test part allowed.
            let _ = train::resolve(clauses, context.measured, time, context.vocabulary, None, &mut conditions);
            ActionKind::Assert(conditions)
        }
        "stop" => ActionKind::Stop,
        other => unreachable!("`{other}` is not in ACTIONS"),
    })
}

fn assert_clause(clause: &crate::base::Clause, context: &Context, report: &mut Report) {
    use crate::base::Clause;
    match clause {
        Clause::Compare { metric, span, .. } => {
            let found = train::uncomputed(metric, *span, context.measured, context.vocabulary, context.has_test, true);
            report.diagnostics.extend(found);
        }
        Clause::Plateau { span, .. } => report.add(
            Diagnostic::error("G0106", *span, "an assertion looks at one evaluation, which cannot be flat")
                .help("compare a metric: `assert val_accuracy > 90%`"),
        ),
    }
}

fn unknown(phrase: &Phrase, docs: &[&'static Doc], report: &mut Report) {
    let Some(first) = phrase.atoms.first() else { return };
    let Atom::Word(word) = &first.node else {
        if !matches!(first.node, Atom::Bad | Atom::Variable(_)) {
            let message = format!("an action begins with a verb, not {}", found(first));
            report.add(Diagnostic::error("G0106", first.span, message).help("such as `widen h2 to 256`"));
        }
        return;
    };
    if let Some(refused) = refused::word(word, first.span) {
        report.add(refused);
        return;
    }
    // `insert` and `set` ask for a second word.
    let seconds: Vec<&str> =
        docs.iter().filter_map(|doc| doc.word.strip_prefix(word.as_str())?.strip_prefix(' ')).collect();
    if !seconds.is_empty() {
        let next = phrase.atoms.get(1);
        if matches!(next, Some(Spanned { node: Atom::Bad | Atom::Variable(_), .. })) {
            return;
        }
        let full: Vec<String> = seconds.iter().map(|second| format!("{word} {second}")).collect();
        let (span, message) = match next {
            Some(atom) => (atom.span, format!("`{word}` does not know {}", found(atom))),
            None => (first.span, format!("`{word}` needs a second word")),
        };
        let near = match next.map(|atom| &atom.node) {
            Some(Atom::Word(second)) => suggest::nearest(second, seconds.iter().copied()),
            _ => None,
        };
        let help = match near {
            Some(near) => format!("did you mean `{word} {near}`?"),
            None => format!("use {}", suggest::any_of(&full)),
        };
        report.add(Diagnostic::error("G0105", span, message).here("unknown word").help(help));
        return;
    }
    let verbs: Vec<&str> = docs.iter().map(|doc| doc.word.split(' ').next().unwrap_or(doc.word)).collect();
    let mut all = verbs.clone();
    all.dedup();
    let diagnostic =
        Diagnostic::error("G0105", first.span, format!("there is no action `{word}`")).here("unknown verb");
    let help = match (suggest::nearest(word, all.iter().copied()), word.as_str()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, "grow" | "expand" | "add") => "use `widen` for more units, `insert` for another layer".into(),
        (None, "prune" | "shrink") => "use `narrow` for fewer units, `remove` for a layer".into(),
        (None, _) => format!("the actions are {}", suggest::all_of(&all)),
    };
    report.add(diagnostic.help(help));
}

/// A layer's name and where it stands.
pub type Named<'a> = (&'a str, Span);

/// The layers that an action names, and those that it makes.
pub fn names(args: &Args) -> (Vec<Named<'_>>, Vec<Named<'_>>) {
    let (mut old, mut new): (Vec<Named>, Vec<Named>) = (Vec::new(), Vec::new());
    for (key, given) in &args.given {
        let makes = args.doc.arg(key).is_some_and(|arg| match &arg.shape {
            Shape::Positional(kind) => matches!(kind, Kind::NewName),
            Shape::Keyword(kinds) => kinds.iter().any(|kind| matches!(kind, Kind::NewName)),
            _ => false,
        });
        for value in &given.values {
            match value {
                Value::Name(name) if makes => new.push((name.as_str(), given.span)),
                Value::Name(name) => old.push((name, given.span)),
                Value::Target(Target::One(name)) => old.push((name, given.span)),
                Value::Target(Target::Range(first, last)) => {
                    old.push((first, given.span));
                    old.push((last, given.span));
                }
                _ => {}
            }
        }
    }
    (old, new)
}
