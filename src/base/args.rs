//! The arguments of a phrase after `check` has read them by the word's [`Doc`]: typed, with their places.

use super::{Doc, Kind, Shape, Span};
use std::collections::BTreeMap;

/// One value, already of the kind that the signature asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(u64),
    Number(f64),
    /// `2x` is 2.0.
    Factor(f64),
    Duration(Duration),
    Point(Point),
    /// A word from a closed set, or a metric's full name.
    Word(String),
    /// Text in quotes, or a [`super::Kind::Label`].
    Text(String),
    /// A layer.
    Name(String),
    Target(Target),
    Flag(bool),
    Condition(Vec<Clause>),
}

/// What an action acts on.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    All,
    One(String),
    /// Both ends included, in the model's order at that time.
    Range(String, String),
}

/// A length of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duration {
    Epochs(u64),
    Steps(u64),
    /// Of the planned steps, in 0..=1.
    Fraction(f64),
}

/// A moment of training, between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// The boundary after that many completed epochs.
    Epoch(u64),
    /// After that many completed steps.
    Step(u64),
    /// Of the planned steps, in 0..=1, rounded half-even.
    Fraction(f64),
    Start,
    End,
}

/// One condition of several joined by `and`.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    Compare {
        metric: String,
        op: Comparison,
        value: f64,
        span: Span,
    },
    /// The best of the last `window` does not beat the best before by more than `delta`.
    Plateau {
        metric: String,
        window: Duration,
        delta: f64,
        span: Span,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An argument as given.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub values: Vec<Value>,
    /// Where the values stand; for a flag, the word.
    pub span: Span,
}

/// The arguments of one phrase.
#[derive(Clone, Debug)]
pub struct Args {
    pub doc: &'static Doc,
    /// The whole phrase.
    pub span: Span,
    pub given: BTreeMap<&'static str, Given>,
}

impl Args {
    /// No argument given: every default holds.
    pub fn none(doc: &'static Doc) -> Args {
        Args { doc, span: Span::default(), given: BTreeMap::new() }
    }

    /// For tests and for the built-in starter: the same with one more argument.
    pub fn with(mut self, name: &'static str, values: Vec<Value>) -> Args {
        assert!(self.doc.arg(name).is_some(), "`{}` has no argument `{name}`", self.doc.word);
        self.given.insert(name, Given { values, span: Span::default() });
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.values(name).is_some()
    }

    /// All values of an argument, or `None` when it was not given.
    pub fn values(&self, name: &str) -> Option<&[Value]> {
        debug_assert!(self.doc.arg(name).is_some(), "`{}` has no argument `{name}`", self.doc.word);
        self.given.get(name).map(|given| given.values.as_slice())
    }

    fn first(&self, name: &str) -> Option<&Value> {
        self.values(name).and_then(|values| values.first())
    }

    pub fn integer(&self, name: &str) -> Option<u64> {
        match self.first(name) {
            Some(Value::Integer(n)) => Some(*n),
            _ => None,
        }
    }

    /// A number, a fraction or a factor; a whole number counts as one too.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.first(name) {
            Some(Value::Number(x) | Value::Factor(x)) => Some(*x),
            Some(Value::Integer(n)) => Some(*n as f64),
            _ => None,
        }
    }

    pub fn factor(&self, name: &str) -> Option<f64> {
        match self.first(name) {
            Some(Value::Factor(x)) => Some(*x),
            _ => None,
        }
    }

    pub fn word(&self, name: &str) -> Option<&str> {
        match self.first(name) {
            Some(Value::Word(word)) => Some(word),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.first(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn name(&self, name: &str) -> Option<&str> {
        match self.first(name) {
            Some(Value::Name(text)) => Some(text),
            _ => None,
        }
    }

    pub fn target(&self, name: &str) -> Option<&Target> {
        match self.first(name) {
            Some(Value::Target(target)) => Some(target),
            _ => None,
        }
    }

    /// A flag that is present, or a `yes`/`no`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.first(name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.first(name) {
            Some(Value::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    pub fn condition(&self, name: &str) -> Option<&[Clause]> {
        match self.first(name) {
            Some(Value::Condition(clauses)) => Some(clauses),
            _ => None,
        }
    }

    /// The phrase as the language writes it, without some arguments and with others: what a help text proposes.
    pub fn phrase(&self, without: &[&str], with: &[(&'static str, Value)]) -> String {
        let mut words = vec![self.doc.word.to_string()];
        for arg in self.doc.args.iter().filter(|arg| !without.contains(&arg.name)) {
            let new = with.iter().find(|(name, _)| *name == arg.name).map(|(_, value)| std::slice::from_ref(value));
            let Some(values) = new.or_else(|| self.values(arg.name)) else { continue };
            let mut values = values.iter().map(Value::to_string);
            match &arg.shape {
                Shape::Flag => words.push(arg.name.into()),
                Shape::Positional(_) | Shape::Bare(_) | Shape::Many(_) => words.extend(values),
                Shape::Keyword(kinds) => {
                    words.push(arg.name.into());
                    for kind in kinds.iter() {
                        match kind {
                            // A literal comes with its keyword and is no value.
                            Kind::Literal(word) => words.push((*word).into()),
                            // A choice may bring more values than one.
                            Kind::Choice(_) => words.extend(values.by_ref()),
                            _ => words.extend(values.next()),
                        }
                    }
                }
            }
        }
        words.join(" ")
    }

    /// Where an argument stands; the whole phrase when it was not given.
    pub fn span_of(&self, name: &str) -> Span {
        self.given.get(name).map_or(self.span, |given| given.span)
    }
}

impl std::fmt::Display for Duration {
    /// As the language writes it: `5 epochs`, `1 step`, `10%`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        match self {
            Duration::Epochs(n) => write!(f, "{n} epoch{}", plural(*n)),
            Duration::Steps(n) => write!(f, "{n} step{}", plural(*n)),
            Duration::Fraction(part) => write!(f, "{}%", part * 100.0),
        }
    }
}

impl std::fmt::Display for Point {
    /// As the language writes it: `epoch 5`, `step 100`, `10%`, `start`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Point::Epoch(n) => write!(f, "epoch {n}"),
            Point::Step(n) => write!(f, "step {n}"),
            Point::Fraction(part) => write!(f, "{}%", part * 100.0),
            Point::Start => f.write_str("start"),
            Point::End => f.write_str("end"),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::All => f.write_str("all"),
            Target::One(name) => f.write_str(name),
            Target::Range(first, last) => write!(f, "{first}..{last}"),
        }
    }
}

impl Comparison {
    pub fn word(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl std::fmt::Display for Clause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Clause::Compare { metric, op, value, .. } => write!(f, "{metric} {} {value}", op.word()),
            Clause::Plateau { metric, window, delta, .. } => {
                write!(f, "{metric} plateaus for {window}")?;
                if *delta != 0.0 { write!(f, " delta {delta}") } else { Ok(()) }
            }
        }
    }
}

impl std::fmt::Display for Value {
    /// As the language writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Integer(n) => write!(f, "{n}"),
            Value::Number(x) => write!(f, "{x}"),
            Value::Factor(x) => write!(f, "{x}x"),
            Value::Duration(duration) => write!(f, "{duration}"),
            Value::Point(point) => write!(f, "{point}"),
            Value::Word(word) | Value::Name(word) => f.write_str(word),
            Value::Text(text) => write!(f, "\"{text}\""),
            Value::Target(target) => write!(f, "{target}"),
            Value::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Value::Condition(clauses) => {
                let all: Vec<String> = clauses.iter().map(Clause::to_string).collect();
                f.write_str(&all.join(" and "))
            }
        }
    }
}
