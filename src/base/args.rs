//! The arguments of a phrase after `check` has read them by the word's [`Doc`]: typed, with their places.

use super::{Doc, Span};
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

    /// Where an argument stands; the whole phrase when it was not given.
    pub fn span_of(&self, name: &str) -> Span {
        self.given.get(name).map_or(self.span, |given| given.span)
    }
}
