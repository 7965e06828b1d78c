//! The parse tree to [`Statement`]s, by rule and never by position, with every mistake on the way.

use super::ast::*;
use super::atoms::{self, Piece};
use super::grammar::Rule;
use super::malformed;
use super::scan::STATEMENTS;
use super::suggest::nearest;
use crate::base::{Diagnostic, Span, Spanned};
use pest::iterators::Pair;

/// What stands outside of blocks, in source order.
#[derive(Debug)]
pub enum Statement {
    Version(Spanned<Atom>),
    Experiment(Spanned<String>),
    Seed(Spanned<Atom>),
    Let(Let),
    Include { path: Spanned<String> },
    Section(Section),
    Event(Event),
    Arm(Arm),
    Sweep(Sweep),
    Compare(Phrase),
}

pub struct Lower<'a> {
    /// The text as the grammar saw it: of the same length as the user's, what was reported covered.
    pub(super) cover: &'a str,
    file: u16,
    /// Where the piece that the trees come from begins in `cover`.
    pub offset: usize,
    pub found: Vec<Diagnostic>,
}

pub type Tree<'a> = Pair<'a, Rule>;

impl<'a> Lower<'a> {
    pub fn new(cover: &'a str, file: u16, found: Vec<Diagnostic>) -> Lower<'a> {
        Lower { cover, file, offset: 0, found }
    }

    /// Adds all statements of the tree of a file, or of a piece of one.
    pub fn file(&mut self, tree: Tree<'_>, statements: &mut Vec<Statement>) {
        for pair in tree.into_inner() {
            if pair.as_rule() == Rule::loose {
                self.loose(pair, statements.last_mut());
                continue;
            }
            statements.extend(self.statement(pair));
        }
    }

    pub(super) fn span(&self, pair: &Tree<'_>) -> Span {
        let span = pair.as_span();
        Span::new(self.file, self.offset + span.start(), self.offset + span.end())
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        if self.found.len() <= super::MISTAKES {
            self.found.push(diagnostic);
        }
    }

    fn statement(&mut self, pair: Tree<'_>) -> Option<Statement> {
        match pair.as_rule() {
            Rule::event => self.event(pair).map(Statement::Event),
            Rule::let_ => self.assignment(pair).map(Statement::Let),
            Rule::include => {
                let text = pair.into_inner().find(|p| p.as_rule() == Rule::text)?;
                let span = self.span(&text);
                Some(Statement::Include { path: Spanned::new(unquoted(text.as_str()), span) })
            }
            Rule::arm => self.arm(pair).map(Statement::Arm),
            Rule::sweep => Some(Statement::Sweep(self.sweep(pair))),
            Rule::compare => Some(Statement::Compare(self.compare(pair))),
            Rule::setting | Rule::section => self.keyword(pair),
            Rule::other => self.other(pair),
            // `EOI`.
            _ => None,
        }
    }

    // ── Sections and settings ──

    fn keyword(&mut self, pair: Tree<'_>) -> Option<Statement> {
        let span = self.span(&pair);
        let mut keyword = None;
        let mut head = Vec::new();
        let mut body = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::setting_word | Rule::section_word => keyword = Some(self.word(&inner)),
                Rule::body => body = Some(self.body(inner)),
                _ => head.extend(self.atom(&inner)),
            }
        }
        self.by_keyword(keyword?, head, body, span)
    }

    /// Sections and settings differ in their first word only, so a corrected one goes this way too.
    fn by_keyword(
        &mut self,
        keyword: Spanned<String>,
        mut head: Vec<Spanned<Atom>>,
        body: Option<Vec<Phrase>>,
        span: Span,
    ) -> Option<Statement> {
        let wanted = match keyword.as_str() {
            "data" | "model" | "train" => {
                return Some(Statement::Section(Section { keyword, head, body: body.unwrap_or_default(), span }));
            }
            "grow" => "the version of the language: `grow 1`",
            "seed" => "a whole number: `seed 7`",
            _ => "a title in quotes: `experiment \"first growth\"`",
        };
        let word = keyword.node.as_str();
        if head.iter().any(|atom| atom.node == Atom::Bad) {
            return None;
        }
        let fits = |atom: &Atom| match word {
            "experiment" => matches!(atom, Atom::Text(_) | Atom::Word(_)),
            "seed" => matches!(atom, Atom::Number { integer: Some(_), .. } | Atom::Variable(_)),
            _ => matches!(atom, Atom::Number { .. }),
        };
        match head.as_slice() {
            [one] if fits(&one.node) => {}
            [] => {
                self.report(
                    Diagnostic::error("G0001", keyword.span, format!("`{word}` needs {wanted}"))
                        .here("nothing follows"),
                );
                return None;
            }
            [first, rest @ ..] => {
                let (at, what) = match rest.first() {
                    Some(extra) if fits(&first.node) => (extra.span, format!("`{word}` takes one value")),
                    _ => (first.span, format!("`{word}` needs {wanted}")),
                };
                self.report(Diagnostic::error("G0001", at, what).here("not this").help(format!("write {wanted}")));
                return None;
            }
        }
        let value = head.remove(0);
        Some(match (word, value.node) {
            ("experiment", Atom::Text(title) | Atom::Word(title)) => {
                Statement::Experiment(Spanned::new(title, value.span))
            }
            ("seed", node) => Statement::Seed(Spanned::new(node, value.span)),
            (_, node) => Statement::Version(Spanned::new(node, value.span)),
        })
    }

    pub(super) fn body(&mut self, pair: Tree<'_>) -> Vec<Phrase> {
        let mut phrases: Vec<Phrase> = Vec::new();
        for inner in pair.into_inner() {
            if matches!(inner.as_rule(), Rule::phrase | Rule::leaf) {
                phrases.extend(self.phrase(inner));
                continue;
            }
            let span = self.span(&inner);
            self.loose_block(span);
            // `r1 residual` and its block on the next line: the mistake is the line only.
            let block = self.body(inner);
            if let Some(last) = phrases.last_mut().filter(|last| last.block.is_none() && self.adjacent(last.span, span))
            {
                last.block = Some(block);
            }
        }
        phrases
    }

    /// A phrase with its block, when it has one. `None` when nothing of it could be used.
    pub(super) fn phrase(&mut self, pair: Tree<'_>) -> Option<Phrase> {
        let span = self.span(&pair);
        let mut atoms = Vec::new();
        let mut block = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::inner | Rule::body => block = Some(self.body(inner)),
                _ => atoms.extend(self.atom(&inner)),
            }
        }
        (!atoms.is_empty()).then_some(Phrase { atoms, block, span })
    }

    /// A block that opens on a line of its own. It still belongs to the section above it.
    fn loose(&mut self, pair: Tree<'_>, above: Option<&mut Statement>) {
        let span = self.span(&pair);
        self.loose_block(span);
        let Some(block) = pair.into_inner().next() else { return };
        let block = self.body(block);
        if let Some(Statement::Section(section)) = above
            && section.body.is_empty()
            && self.adjacent(section.span, span)
        {
            section.body = block;
            section.span = section.span.to(span);
        }
    }

    fn loose_block(&mut self, span: Span) {
        self.report(
            Diagnostic::error("G0012", Span { end: span.start + 1, ..span }, "this block belongs to no statement")
                .here("begins a line or follows a whole statement")
                .help("a `{` stands on the line of the statement that it opens: `model {`"),
        );
    }

    /// Nothing but blanks lies between the two.
    fn adjacent(&self, before: Span, after: Span) -> bool {
        self.cover[before.end as usize..after.start as usize].trim().is_empty()
    }

    // ── Lets, sweeps, comparisons, arms ──

    fn assignment(&mut self, pair: Tree<'_>) -> Option<Let> {
        let span = self.span(&pair);
        let mut name = None;
        let mut value = Vec::new();
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::name => name = Some(self.word(&inner)),
                Rule::literal => {
                    for piece in inner.into_inner() {
                        value.extend(self.atom(&piece));
                    }
                }
                _ => {}
            }
        }
        let name = name?;
        let mistake = super::resolve::literal_mistake(&name.node, &value);
        if mistake.is_some() || value.iter().any(|atom| atom.node == Atom::Bad) {
            // The name exists; its value stays silent wherever it is used.
            let place = value.first().map_or(name.span, |first| first.span);
            value = vec![Spanned::new(Atom::Bad, place)];
        }
        if let Some(error) = mistake {
            self.report(error);
        }
        if value.is_empty() {
            return None;
        }
        Some(Let { name, value, span })
    }

    /// The atoms of a value that stands alone.
    pub fn literal(&mut self, pair: Tree<'_>) -> Vec<Spanned<Atom>> {
        let pieces: Vec<Tree<'_>> = pair.into_inner().flat_map(|literal| literal.into_inner()).collect();
        pieces.iter().filter_map(|piece| self.atom(piece)).collect()
    }

    fn sweep(&mut self, pair: Tree<'_>) -> Sweep {
        let span = self.span(&pair);
        let mut name = Spanned::new(String::new(), span);
        let mut values = Vec::new();
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::name => name = self.word(&inner),
                Rule::list => {
                    for piece in inner.into_inner().flat_map(|item| item.into_inner()) {
                        values.extend(self.value_or_atom(piece));
                    }
                }
                _ => {}
            }
        }
        let variables: Vec<Span> =
            values.iter().filter(|v| matches!(v.node, Atom::Variable(_))).map(|v| v.span).collect();
        for place in variables {
            self.report(
                Diagnostic::error("G0014", place, "a sweep's value cannot be another name")
                    .here("a name")
                    .help("write the value itself"),
            );
        }
        Sweep { name, values, span }
    }

    /// `compare grown, small by val_accuracy`: the commas are for the reader only.
    fn compare(&mut self, pair: Tree<'_>) -> Phrase {
        let span = self.span(&pair);
        let word = Span { end: span.start + "compare".len() as u32, ..span };
        let mut atoms = vec![Spanned::new(Atom::Word("compare".into()), word)];
        for inner in pair.into_inner().filter(|inner| inner.as_rule() != Rule::comma) {
            atoms.extend(self.atom(&inner));
        }
        Phrase { atoms, block: None, span }
    }

    fn arm(&mut self, pair: Tree<'_>) -> Option<Arm> {
        let span = self.span(&pair);
        let (mut name, mut head, mut lets, mut events) = (None, Vec::new(), Vec::new(), Vec::new());
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::name => name = Some(self.word(&inner)),
                Rule::arm_body => {
                    for item in inner.into_inner() {
                        match item.as_rule() {
                            Rule::event => events.extend(self.event(item)),
                            Rule::let_ => lets.extend(self.assignment(item)),
                            Rule::phrase => self.stranger(item, "an arm holds `let` and events only"),
                            _ => {
                                let span = self.span(&item);
                                self.loose_block(span);
                            }
                        }
                    }
                }
                _ => head.extend(self.atom(&inner)),
            }
        }
        Some(Arm { name: name?, head, lets, events, behind: 0, span })
    }

    // ── What could not be read ──

    fn other(&mut self, pair: Tree<'_>) -> Option<Statement> {
        let span = self.span(&pair);
        let pieces: Vec<Tree<'_>> = pair.clone().into_inner().collect();
        let first = pieces.first()?;
        let word = first.as_str();
        if first.as_rule() != Rule::word {
            self.stranger(pair, "a statement begins with a word");
            return None;
        }
        if STATEMENTS.contains(&word) {
            self.spoilt(span, |slice| malformed::explain(word, slice, span));
            return None;
        }
        let place = self.span(first);
        let meant = nearest(word, STATEMENTS.iter().copied());
        self.report(unknown_statement(word, place, meant));
        // What the word was meant to be is as good as certain, so the rest is read as that.
        let meant =
            meant.filter(|meant| matches!(*meant, "grow" | "experiment" | "seed" | "data" | "model" | "train"))?;
        let mut head = Vec::new();
        let mut body = None;
        for inner in pieces.into_iter().skip(1) {
            match inner.as_rule() {
                Rule::body => body = Some(self.body(inner)),
                _ => head.extend(self.atom(&inner)),
            }
        }
        self.by_keyword(Spanned::new(meant.into(), place), head, body, span)
    }

    /// A statement that cannot stand where it does.
    fn stranger(&mut self, pair: Tree<'_>, rule: &'static str) {
        let span = self.span(&pair);
        let slice = &self.cover[span.start as usize..span.end as usize];
        let word: String = slice.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if matches!(word.as_str(), "at" | "every" | "during" | "when" | "let") {
            self.spoilt(span, |slice| malformed::explain(&word, slice, span));
            return;
        }
        let first = pair.into_inner().next();
        let place = first.as_ref().map_or(span, |first| self.span(first));
        self.spoilt(place, |text| {
            let message = format!("a statement cannot begin with `{}` here", atoms::short(text));
            Diagnostic::error("G0001", place, message).here("not here").help(rule)
        });
    }

    /// Reports a statement that is lost, unless something in it has been reported already.
    fn spoilt(&mut self, span: Span, error: impl FnOnce(&str) -> Diagnostic) {
        let slice = &self.cover[span.start as usize..span.end as usize];
        // To explain a statement is to read it again: past the limit nobody would see the answer.
        if !slice.contains('\u{1}') && self.found.len() <= super::MISTAKES {
            let error = error(slice);
            self.report(error);
        }
    }

    // ── Pieces ──

    fn word(&self, pair: &Tree<'_>) -> Spanned<String> {
        Spanned::new(pair.as_str().into(), self.span(pair))
    }

    pub(super) fn atom(&mut self, pair: &Tree<'_>) -> Option<Spanned<Atom>> {
        let span = self.span(pair);
        match atoms::read(pair.as_rule(), pair.as_str(), span) {
            Piece::Atom(atom) => Some(Spanned::new(atom, span)),
            Piece::Bad(error) => {
                if let Some(error) = error {
                    self.report(error);
                }
                Some(Spanned::new(Atom::Bad, span))
            }
            Piece::Stray(error) => {
                self.report(error);
                None
            }
        }
    }

    fn value_or_atom(&mut self, pair: Tree<'_>) -> Option<Spanned<Atom>> {
        match pair.as_rule() {
            Rule::value => pair.into_inner().next().and_then(|inner| self.atom(&inner)),
            _ => self.atom(&pair),
        }
    }

    /// The atoms of a trigger's part, in order. The grammar nests its parts four deep at most.
    pub(super) fn leaves(&mut self, pair: Tree<'_>, into: &mut Vec<Spanned<Atom>>) {
        let mut inner = pair.clone().into_inner().peekable();
        if inner.peek().is_none() {
            into.extend(self.atom(&pair));
        }
        for part in inner {
            self.leaves(part, into);
        }
    }
}

fn unquoted(text: &str) -> String {
    text[1..text.len() - 1].into()
}

fn unknown_statement(word: &str, place: Span, meant: Option<&str>) -> Diagnostic {
    let error = Diagnostic::error("G0007", place, format!("`{}` begins no statement", atoms::short(word)))
        .here("not known here");
    match meant {
        Some(meant) => error.help(format!("did you mean `{meant}`?")),
        None => error.help(
            "outside of blocks stand `data`, `model`, `train`, `let`, events such as `at epoch 20 widen h2 to 256`, and a few more; layers stand in `model { … }`",
        ),
    }
}
