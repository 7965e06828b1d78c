//! One value of one kind from the atoms that follow, or what is wrong with them.

use super::arguments::{cover, found, text_of};
use super::refused;
use super::suggest;
use crate::base::{Diagnostic, Duration, Kind, Point, Span, Spanned, Target, Value};
use crate::syntax::Atom;

/// What reading one value came to.
pub enum Fit {
    /// The values and how many atoms they took.
    Taken(Vec<Value>, usize),
    /// What is wrong and how many atoms belong to the mistake.
    Wrong(Box<Diagnostic>, usize),
    /// Something that the parser has reported already.
    Unread,
}

impl Fit {
    pub fn one(value: Value, count: usize) -> Fit {
        Fit::Taken(vec![value], count)
    }

    pub fn wrong(diagnostic: Diagnostic, count: usize) -> Fit {
        Fit::Wrong(Box::new(diagnostic), count)
    }
}

/// Reads one value of `kind` from the front of `atoms` for the word `owner` that stands at `at`.
pub fn fit(kind: &Kind, atoms: &[Spanned<Atom>], owner: &str, at: Span) -> Fit {
    let Some(first) = atoms.first() else {
        return Fit::wrong(
            Diagnostic::error("G0106", at, format!("`{owner}` needs {}", kind.expected())).here("nothing follows"),
            0,
        );
    };
    if matches!(first.node, Atom::Bad | Atom::Variable(_)) {
        return Fit::Unread;
    }
    let wrong = || {
        let message = format!("`{owner}` needs {}, not {}", kind.expected(), found(first));
        Fit::wrong(Diagnostic::error("G0106", first.span, message), 1)
    };
    match (kind, &first.node) {
        (Kind::Name, Atom::Word(word)) => Fit::one(Value::Name(word.clone()), 1),
        (Kind::NewName, Atom::Word(word)) => Fit::one(Value::Name(word.clone()), 1),
        (Kind::Target, Atom::Word(word)) if word == "all" => Fit::one(Value::Target(Target::All), 1),
        (Kind::Target, Atom::Word(word)) => Fit::one(Value::Target(Target::One(word.clone())), 1),
        (Kind::Target, Atom::Range(from, to)) => match (&from.node, &to.node) {
            (Atom::Word(from), Atom::Word(to)) => Fit::one(Value::Target(Target::Range(from.clone(), to.clone())), 1),
            _ => wrong(),
        },
        (Kind::Integer, Atom::Number { value, integer }) => whole_number(*value, *integer, first, owner),
        (Kind::Number | Kind::Fraction, Atom::Number { value, .. } | Atom::Percent(value)) => {
            sensible(*value, first, owner).unwrap_or_else(|| Fit::one(Value::Number(*value), 1))
        }
        (Kind::Factor, Atom::Factor(factor)) => {
            if factor.is_finite() && *factor > 0.0 {
                Fit::one(Value::Factor(*factor), 1)
            } else {
                Fit::wrong(
                    Diagnostic::error("G0107", first.span, format!("`{owner}` needs a factor above 0"))
                        .help("use a factor such as 2x or 0.5x"),
                    1,
                )
            }
        }
        (Kind::Factor, Atom::Number { value, .. }) => Fit::wrong(
            Diagnostic::error(
                "G0106",
                first.span,
                format!("`{owner}` needs a factor, not the number {}", found(first)),
            )
            .help(format!("write `{value}x`")),
            1,
        ),
        (Kind::Duration, _) => duration(atoms, owner).unwrap_or_else(wrong),
        (Kind::Point, _) => point(atoms, owner).unwrap_or_else(wrong),
        (Kind::Word(choices), Atom::Word(word)) => {
            let choices = choices();
            if choices.contains(&word.as_str()) {
                Fit::one(Value::Word(word.clone()), 1)
            } else {
                Fit::wrong(no_choice(owner, word, first.span, &choices), 1)
            }
        }
        (Kind::Choice(words), Atom::Word(word)) => match words.iter().find(|(choice, _)| choice == word) {
            Some((_, kinds)) => choice(word, kinds, atoms),
            None => {
                let choices: Vec<&str> = words.iter().map(|(choice, _)| *choice).collect();
                Fit::wrong(no_choice(owner, word, first.span, &choices), 1)
            }
        },
        (Kind::YesNo, Atom::Word(word)) => match word.as_str() {
            "yes" => Fit::one(Value::Flag(true), 1),
            "no" => Fit::one(Value::Flag(false), 1),
            "true" | "on" => Fit::wrong(no_choice(owner, word, first.span, &["yes"]), 1),
            "false" | "off" => Fit::wrong(no_choice(owner, word, first.span, &["no"]), 1),
            _ => Fit::wrong(no_choice(owner, word, first.span, &["yes", "no"]), 1),
        },
        (Kind::Text | Kind::Label, Atom::Text(text)) => Fit::one(Value::Text(text.clone()), 1),
        (Kind::Label, Atom::Word(word)) => Fit::one(Value::Text(word.clone()), 1),
        (Kind::Text, Atom::Word(word)) => Fit::wrong(
            Diagnostic::error("G0106", first.span, format!("`{owner}` needs text in quotes"))
                .help(format!("write `\"{word}\"`")),
            1,
        ),
        (Kind::Metric, Atom::Word(word)) => Fit::one(Value::Word(word.clone()), 1),
        (Kind::Literal(literal), Atom::Word(word)) if word == literal => Fit::Taken(Vec::new(), 1),
        (Kind::Either(kinds), _) => either(kinds, atoms, owner, at).unwrap_or_else(wrong),
        _ => wrong(),
    }
}

pub fn no_choice(owner: &str, word: &str, span: Span, choices: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::error("G0105", span, format!("`{owner}` does not know `{word}`")).here("unknown word");
    match suggest::help(word, choices.iter().copied()) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

pub fn choice(word: &str, kinds: &[Kind], atoms: &[Spanned<Atom>]) -> Fit {
    let mut values = vec![Value::Word(word.into())];
    let mut at = 1;
    for kind in kinds {
        match fit(kind, &atoms[at..], word, atoms[at - 1].span) {
            Fit::Taken(more, count) => {
                values.extend(more);
                at += count;
            }
            Fit::Wrong(diagnostic, count) => return Fit::Wrong(diagnostic, at + count),
            Fit::Unread => return Fit::Unread,
        }
    }
    Fit::Taken(values, at)
}

pub fn either(kinds: &[Kind], atoms: &[Spanned<Atom>], owner: &str, at: Span) -> Option<Fit> {
    let mut telling = None;
    for kind in kinds {
        match fit(kind, atoms, owner, at) {
            Fit::Wrong(diagnostic, count) => {
                // A missing unit or a number out of range says more than "expected this or that".
                if diagnostic.code != "G0106" && telling.is_none() {
                    telling = Some(Fit::Wrong(diagnostic, count));
                }
            }
            taken => return Some(taken),
        }
    }
    telling
}

pub fn whole_number(value: f64, integer: Option<u64>, atom: &Spanned<Atom>, owner: &str) -> Fit {
    // Above 2^53 a number with an exponent no longer says which whole number it is.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if let Some(n) = integer {
        return Fit::one(Value::Integer(n), 1);
    }
    if value < 0.0 || !value.is_finite() || value > EXACT_MAX {
        let diagnostic = Diagnostic::error("G0107", atom.span, format!("`{owner}` cannot be {}", found(atom)))
            .help("use a whole number of 0 or more that a machine can count to");
        return Fit::wrong(diagnostic, 1);
    }
    if value.fract() == 0.0 {
        return Fit::one(Value::Integer(value as u64), 1);
    }
    let diagnostic =
        Diagnostic::error("G0106", atom.span, format!("`{owner}` needs a whole number, not {}", found(atom)))
            .help(format!("use `{}` or `{}`", value.floor(), value.ceil()));
    Fit::wrong(diagnostic, 1)
}

/// Every number of the language is finite and not negative; only a condition compares with others.
pub fn sensible(value: f64, atom: &Spanned<Atom>, owner: &str) -> Option<Fit> {
    if value.is_finite() && value >= 0.0 {
        return None;
    }
    let diagnostic = Diagnostic::error("G0107", atom.span, format!("`{owner}` cannot be {}", found(atom)))
        .help("use a finite number of 0 or more");
    Some(Fit::wrong(diagnostic, 1))
}

pub fn unit_of(word: &str) -> Option<bool> {
    match word {
        "epoch" | "epochs" => Some(true),
        "step" | "steps" => Some(false),
        _ => None,
    }
}

pub fn fraction_of_run(fraction: f64, atom: &Spanned<Atom>, owner: &str) -> Result<f64, Fit> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let diagnostic = Diagnostic::error("G0107", atom.span, format!("`{owner}` cannot be {} of the run", found(atom)))
        .help("use a percent from 0% to 100%");
    Err(Fit::wrong(diagnostic, 1))
}

/// `5 epochs`, `100 steps`, `10%`. `None` when it is nothing like a duration.
pub fn duration(atoms: &[Spanned<Atom>], owner: &str) -> Option<Fit> {
    let first = &atoms[0];
    match &first.node {
        Atom::Percent(fraction) => Some(match fraction_of_run(*fraction, first, owner) {
            Ok(fraction) => Fit::one(Value::Duration(Duration::Fraction(fraction)), 1),
            Err(wrong) => wrong,
        }),
        Atom::Number { value, integer } => {
            let unit = match atoms.get(1) {
                Some(Spanned { node: Atom::Word(word), span }) => Some((word.as_str(), *span)),
                _ => None,
            };
            let Some((word, span)) = unit else { return Some(no_unit(first, owner)) };
            if refused::is_clock_unit(word) {
                let text = format!("{} {word}", text_of(&first.node));
                return Some(Fit::wrong(refused::clock(cover(first.span, span), &text), 2));
            }
            let Some(epochs) = unit_of(word) else {
                return Some(match suggest::nearest(word, ["epochs", "steps"]) {
                    Some(near) => Fit::wrong(
                        Diagnostic::error("G0105", span, format!("`{word}` is no unit of time"))
                            .help(format!("did you mean `{near}`?")),
                        2,
                    ),
                    None => no_unit(first, owner),
                });
            };
            Some(match whole_number(*value, *integer, first, owner) {
                Fit::Taken(values, _) => match values.first() {
                    Some(Value::Integer(n)) if epochs => Fit::one(Value::Duration(Duration::Epochs(*n)), 2),
                    Some(Value::Integer(n)) => Fit::one(Value::Duration(Duration::Steps(*n)), 2),
                    _ => unreachable!("a whole number is an integer"),
                },
                Fit::Wrong(diagnostic, _) => {
                    let help = "times between two epochs are given in steps or percent: `150 steps`, `2.5%`";
                    Fit::wrong(diagnostic.help(help), 2)
                }
                Fit::Unread => Fit::Unread,
            })
        }
        Atom::Word(word) if unit_of(word).is_some() => match atoms.get(1) {
            Some(number @ Spanned { node: Atom::Number { .. }, .. }) => {
                let text = text_of(&number.node);
                let unit = format!("{}s", word.trim_end_matches('s'));
                let span = cover(first.span, number.span);
                let message = format!("`{owner}` needs a length of time, not a point in time");
                Some(Fit::wrong(Diagnostic::error("G0106", span, message).help(format!("write `{text} {unit}`")), 2))
            }
            _ => None,
        },
        _ => None,
    }
}

pub fn no_unit(number: &Spanned<Atom>, owner: &str) -> Fit {
    let text = text_of(&number.node);
    Fit::wrong(
        Diagnostic::error("G0104", number.span, format!("`{owner} {text}` could be epochs or steps"))
            .here("needs its unit")
            .help(format!("write `{text} epochs` or `{text} steps`")),
        1,
    )
}

/// `epoch 5`, `step 100`, `10%`, `start`, `end`. `None` when it is nothing like a point.
pub fn point(atoms: &[Spanned<Atom>], owner: &str) -> Option<Fit> {
    let first = &atoms[0];
    match &first.node {
        Atom::Percent(fraction) => Some(match fraction_of_run(*fraction, first, owner) {
            Ok(fraction) => Fit::one(Value::Point(Point::Fraction(fraction)), 1),
            Err(wrong) => wrong,
        }),
        Atom::Word(word) => match (word.as_str(), unit_of(word)) {
            ("start", _) => Some(Fit::one(Value::Point(Point::Start), 1)),
            ("end", _) => Some(Fit::one(Value::Point(Point::End), 1)),
            (_, Some(epochs)) => {
                let Some(number) = atoms.get(1) else {
                    let message = format!("`{owner} {word}` needs a number");
                    return Some(Fit::wrong(
                        Diagnostic::error("G0106", first.span, message).help(format!("write `{word} 5`")),
                        1,
                    ));
                };
                let Atom::Number { value, integer } = number.node else {
                    if matches!(number.node, Atom::Bad | Atom::Variable(_)) {
                        return Some(Fit::Unread);
                    }
                    let message = format!("`{owner} {word}` needs a whole number, not {}", found(number));
                    return Some(Fit::wrong(
                        Diagnostic::error("G0106", number.span, message).help(format!("write `{word} 5`")),
                        2,
                    ));
                };
                Some(match whole_number(value, integer, number, &format!("{owner} {word}")) {
                    Fit::Taken(values, _) => match values.first() {
                        Some(Value::Integer(n)) if epochs => Fit::one(Value::Point(Point::Epoch(*n)), 2),
                        Some(Value::Integer(n)) => Fit::one(Value::Point(Point::Step(*n)), 2),
                        _ => unreachable!("a whole number is an integer"),
                    },
                    Fit::Wrong(diagnostic, _) => Fit::wrong(
                        diagnostic.help("times between two epochs are given in steps or percent: `step 150`, `2.5%`"),
                        2,
                    ),
                    Fit::Unread => Fit::Unread,
                })
            }
            _ => None,
        },
        Atom::Number { .. } => {
            let text = text_of(&first.node);
            match atoms.get(1) {
                Some(Spanned { node: Atom::Word(word), span }) if refused::is_clock_unit(word) => {
                    Some(Fit::wrong(refused::clock(cover(first.span, *span), &format!("{text} {word}")), 2))
                }
                Some(Spanned { node: Atom::Word(word), span }) if unit_of(word).is_some() => {
                    let unit = word.trim_end_matches('s');
                    let diagnostic = Diagnostic::error(
                        "G0106",
                        cover(first.span, *span),
                        format!("`{owner}` needs a point in time, not a length of time"),
                    );
                    Some(Fit::wrong(diagnostic.help(format!("write `{unit} {text}`")), 2))
                }
                _ => Some(Fit::wrong(
                    Diagnostic::error("G0104", first.span, format!("`{owner} {text}` could be an epoch or a step"))
                        .here("needs its unit")
                        .help(format!("write `epoch {text}` or `step {text}`")),
                    1,
                )),
            }
        }
        _ => None,
    }
}
