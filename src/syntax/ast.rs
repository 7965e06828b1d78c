//! A schedule as text has it: sections, triggers, phrases and values, with their places.
//!
//! No layer, operator or metric is known here. A phrase is a list of atoms; the registries' signatures
//! give them meaning in `check`.

use crate::base::{Sources, Span, Spanned};

/// A whole file with everything it includes. Parsing never fails: what could not be read is in the
/// diagnostics beside it, and the rest stands here.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    pub sources: Sources,
    /// `grow 1`
    pub version: Option<Spanned<Atom>>,
    /// `experiment "first growth"`
    pub experiment: Option<Spanned<String>>,
    /// `seed 7`; a value may come from a `let`.
    pub seed: Option<Spanned<Atom>>,
    pub lets: Vec<Let>,
    pub data: Option<Section>,
    pub model: Option<Section>,
    pub train: Option<Section>,
    /// In source order, includes in place.
    pub events: Vec<Event>,
    pub arms: Vec<Arm>,
    pub sweeps: Vec<Sweep>,
    pub compare: Option<Phrase>,
}

/// `let NAME = literal`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    pub name: Spanned<String>,
    /// The literal, one atom or two (`5 epochs`).
    pub value: Vec<Spanned<Atom>>,
    pub span: Span,
}

/// `data HEAD { BODY }`, `model from "x" { … }`, `train 60 epochs { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub keyword: Spanned<String>,
    pub head: Vec<Spanned<Atom>>,
    pub body: Vec<Phrase>,
    /// From the keyword to the closing brace.
    pub span: Span,
}

/// One statement: its atoms (the first is normally a word) and, for `r1 residual { … }`, a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    pub atoms: Vec<Spanned<Atom>>,
    pub block: Option<Vec<Phrase>>,
    pub span: Span,
}

/// `TRIGGER action` or `TRIGGER { action; action }`
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub trigger: Trigger,
    pub actions: Vec<Phrase>,
    pub span: Span,
}

/// The words of a trigger, taken apart by the grammar because they mark where the action begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `at`, `every`, `during` or `when`.
    pub word: Spanned<String>,
    /// What follows the word: a point, a duration, `epoch A..B`, or a condition's atoms.
    pub head: Vec<Spanned<Atom>>,
    /// `from`, `until`, `at most` and `cooldown`, each with its atoms (`at most 3 times` holds the 3).
    pub options: Vec<(Spanned<String>, Vec<Spanned<Atom>>)>,
    pub span: Span,
}

/// `arm grown { … }` or `arm scratch from final grown { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub name: Spanned<String>,
    /// Atoms between the name and the block: `from final grown`.
    pub head: Vec<Spanned<Atom>>,
    pub lets: Vec<Let>,
    pub events: Vec<Event>,
    /// How many of the schedule's own events stand before it.
    pub behind: usize,
    pub span: Span,
}

/// `sweep width in [128, 256, 512]`
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub name: Spanned<String>,
    pub values: Vec<Spanned<Atom>>,
    pub span: Span,
}

/// The smallest piece of a phrase.
#[derive(Clone, Debug, PartialEq)]
pub enum Atom {
    /// `relu`, `h2`: letters, digits and `_`, not beginning with a digit; dots join a tensor's name, `h1.weight`.
    Word(String),
    /// `"…"`, without its quotes.
    Text(String),
    /// `256`, `20_000`, `1e-3`: its value and whether it was written as a whole number that fits u64.
    Number { value: f64, integer: Option<u64> },
    /// `95%` is 0.95.
    Percent(f64),
    /// `2x` is 2.0.
    Factor(f64),
    /// `h1..h3` or `5..10`.
    Range(Box<Spanned<Atom>>, Box<Spanned<Atom>>),
    /// `$NAME`, until `resolve` has put the literal in its place.
    Variable(String),
    /// `<`, `<=`, `>`, `>=`.
    Compare(crate::base::args::Comparison),
    /// A piece that could not be read. It has been reported; whoever meets it stays silent.
    Bad,
}

impl Phrase {
    /// The first atom, when it is a word.
    pub fn verb(&self) -> Option<Spanned<&str>> {
        match self.atoms.first() {
            Some(Spanned { node: Atom::Word(word), span }) => Some(Spanned::new(word, *span)),
            _ => None,
        }
    }
}
