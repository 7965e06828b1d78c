//! Reads the atoms of a phrase by its word's [`Doc`]: the signature alone says what belongs to what.
//!
//! A mistake spoils only its own value: what follows an unknown word is skipped up to the next word that the
//! signature knows, and an argument that was tried and failed is not reported as missing too.

use super::conditions;
use super::refused;
use super::suggest;
use super::values::{Fit, fit};
use super::vocabulary::Vocabulary;
use crate::base::{Arg, Args, Diagnostic, Doc, Given, Kind, Shape, Span, Spanned, Value};
use crate::syntax::Atom;
use std::collections::BTreeMap;

/// Reads `atoms` (without the doc's own words) by `doc`. `whole` is where the phrase stands.
pub fn read(
    doc: &'static Doc,
    atoms: &[Spanned<Atom>],
    whole: Span,
    vocabulary: &Vocabulary,
) -> (Args, Vec<Diagnostic>) {
    let mut reader = Reader {
        doc,
        vocabulary,
        given: BTreeMap::new(),
        tried: Vec::new(),
        spoiled: false,
        diagnostics: Vec::new(),
        whole,
    };
    reader.run(atoms);
    reader.finish()
}

/// Reads one value of `kind` that must take all of `atoms`, as a trigger's options do.
/// `owner` is the word that asks for it, standing at `at`.
pub fn read_one(kind: &Kind, atoms: &[Spanned<Atom>], owner: &str, at: Span) -> Result<Value, Option<Diagnostic>> {
    match fit(kind, atoms, owner, at) {
        Fit::Taken(values, count) => {
            if let Some(extra) = atoms.get(count) {
                return Err(match extra.node {
                    Atom::Bad => None,
                    _ => Some(
                        Diagnostic::error("G0105", extra.span, format!("`{owner}` does not know {}", found(extra)))
                            .here("nothing asks for this"),
                    ),
                });
            }
            Ok(values.into_iter().next().expect("a fit takes at least one value"))
        }
        Fit::Wrong(diagnostic, _) => Err(Some(*diagnostic)),
        Fit::Unread => Err(None),
    }
}

/// The doc whose words open the phrase, the longest first (`insert identity` before `insert`), and how many atoms
/// those words are.
pub fn find<'d>(
    docs: impl IntoIterator<Item = &'d &'static Doc>,
    atoms: &[Spanned<Atom>],
) -> Option<(&'static Doc, usize)> {
    let Some(Spanned { node: Atom::Word(first), .. }) = atoms.first() else { return None };
    docs.into_iter()
        // Nearly every word differs from this one at its beginning, and there are many words for every event.
        .filter(|doc| doc.word.starts_with(first.as_str()))
        .filter_map(|doc| {
            let mut count = 0;
            for word in doc.word.split(' ') {
                match atoms.get(count) {
                    Some(Spanned { node: Atom::Word(given), .. }) if given == word => count += 1,
                    _ => return None,
                }
            }
            Some((*doc, count))
        })
        .max_by_key(|(_, count)| *count)
}

/// An atom as a reader would call it: `64`, `"x"`, `h1..h3`.
pub fn found(atom: &Spanned<Atom>) -> String {
    format!("`{}`", text_of(&atom.node))
}

/// An atom as it would be written.
pub fn text_of(atom: &Atom) -> String {
    match atom {
        Atom::Word(word) => word.clone(),
        Atom::Text(text) => format!("\"{text}\""),
        Atom::Number { value, integer } => integer.map_or_else(|| value.to_string(), |n| n.to_string()),
        // Percents are read as value/100; ×100 may be off by a rounding, which `{}` of a rounded value hides.
        Atom::Percent(fraction) => format!("{}%", (fraction * 1e10).round() / 1e8),
        Atom::Factor(factor) => format!("{factor}x"),
        Atom::Range(first, last) => format!("{}..{}", text_of(&first.node), text_of(&last.node)),
        Atom::Variable(name) => format!("${name}"),
        Atom::Compare(comparison) => conditions::sign(*comparison).into(),
        Atom::Bad => "?".into(),
    }
}

/// The smallest span over both; the first alone when they stand in different files.
pub fn cover(first: Span, last: Span) -> Span {
    if first.file == last.file { first.to(last) } else { first }
}

struct Reader<'a> {
    doc: &'static Doc,
    vocabulary: &'a Vocabulary,
    given: BTreeMap<&'static str, Given>,
    /// Arguments that stand in the text, well or badly.
    tried: Vec<&'static str>,
    /// Whether something unknown stands in the phrase, so that what seems missing may only be misspelt.
    spoiled: bool,
    diagnostics: Vec<Diagnostic>,
    whole: Span,
}

impl Reader<'_> {
    fn run(&mut self, atoms: &[Spanned<Atom>]) {
        let mut at = 0;
        while at < atoms.len() {
            let rest = &atoms[at..];
            if matches!(rest[0].node, Atom::Bad | Atom::Variable(_)) {
                // A variable that is still here is unknown, which `resolve` has reported.
                self.fill_positional_silently();
                at += 1;
                continue;
            }
            at += self.step(rest);
        }
    }

    /// Reads what stands at the front of `rest`; how many atoms it took.
    fn step(&mut self, rest: &[Spanned<Atom>]) -> usize {
        let positional = self.next_positional(true);
        if let Some((arg, kind)) = positional
            && !self.is_keyword_use(rest)
            && let Fit::Taken(values, count) = fit(kind, rest, self.doc.word, self.whole)
        {
            self.store(arg, values, cover(rest[0].span, rest[count - 1].span));
            return count;
        }
        if let Atom::Word(word) = &rest[0].node
            && let Some(count) = self.known_word(word, rest)
        {
            return count;
        }
        if let Some((arg, kind)) = self.many() {
            self.read_many(arg, kind, rest);
            return rest.len();
        }
        if let Some((arg, kind)) = positional {
            self.tried.push(arg.name);
            return match fit(kind, rest, self.doc.word, self.whole) {
                Fit::Wrong(diagnostic, count) => {
                    self.diagnostics.push(self.with_form(*diagnostic));
                    count.max(1)
                }
                _ => 1,
            };
        }
        if let Some((arg, kind)) = self.next_positional(false) {
            match fit(kind, rest, self.doc.word, self.whole) {
                Fit::Taken(values, count) => {
                    self.store(arg, values, cover(rest[0].span, rest[count - 1].span));
                    return count;
                }
                // A number or a text cannot be a misspelt keyword, so the mistake is in the value.
                Fit::Wrong(diagnostic, count) if !matches!(rest[0].node, Atom::Word(_)) => {
                    self.tried.push(arg.name);
                    self.diagnostics.push(self.with_form(*diagnostic));
                    return count.max(1);
                }
                _ => {}
            }
        }
        self.unknown(rest)
    }

    fn next_positional(&self, required: bool) -> Option<(&'static Arg, &'static Kind)> {
        self.doc.args.iter().find_map(|arg| match &arg.shape {
            Shape::Positional(kind) if arg.required == required && !self.tried.contains(&arg.name) => Some((arg, kind)),
            _ => None,
        })
    }

    fn many(&self) -> Option<(&'static Arg, &'static Kind)> {
        self.doc.args.iter().find_map(|arg| match &arg.shape {
            Shape::Many(kind) if !self.tried.contains(&arg.name) => Some((arg, kind)),
            _ => None,
        })
    }

    fn fill_positional_silently(&mut self) {
        match self.next_positional(true) {
            Some((arg, _)) => self.tried.push(arg.name),
            None => self.spoiled = true,
        }
    }

    /// Whether the front of `rest` is a keyword with its value, and so not the name of a layer:
    /// `widen to 256` lacks its target, `widen to to 256` has a layer called `to`.
    fn is_keyword_use(&self, rest: &[Spanned<Atom>]) -> bool {
        let Atom::Word(word) = &rest[0].node else { return false };
        match self.doc.arg(word).map(|arg| &arg.shape) {
            Some(Shape::Keyword(kinds)) => match kinds.first() {
                Some(kind) => matches!(fit(kind, &rest[1..], word, rest[0].span), Fit::Taken(..)),
                None => false,
            },
            _ => false,
        }
    }

    fn knows(&self, word: &str) -> bool {
        self.doc.args.iter().any(|arg| match &arg.shape {
            Shape::Keyword(_) | Shape::Flag => arg.name == word,
            Shape::Bare(choices) => choices().contains(&word),
            Shape::Positional(_) | Shape::Many(_) => false,
        })
    }

    /// Every word that this phrase could hold.
    fn words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        for arg in self.doc.args {
            match &arg.shape {
                Shape::Keyword(_) | Shape::Flag => words.push(arg.name),
                Shape::Bare(choices) => words.extend(choices()),
                Shape::Positional(kind) | Shape::Many(kind) => words.extend(words_of(kind)),
            }
        }
        words
    }

    /// A keyword with its values, a flag, or a bare word. `None` when the doc has no such word.
    fn known_word(&mut self, word: &str, rest: &[Spanned<Atom>]) -> Option<usize> {
        let here = rest[0].span;
        for arg in self.doc.args {
            match &arg.shape {
                Shape::Keyword(kinds) if arg.name == word => return Some(self.keyword(arg, kinds, rest)),
                Shape::Flag if arg.name == word => {
                    self.store(arg, vec![Value::Flag(true)], here);
                    return Some(1);
                }
                Shape::Bare(choices) if choices().contains(&word) => {
                    self.store(arg, vec![Value::Word(word.into())], here);
                    return Some(1);
                }
                _ => {}
            }
        }
        None
    }

    fn keyword(&mut self, arg: &'static Arg, kinds: &'static [Kind], rest: &[Spanned<Atom>]) -> usize {
        let keyword = rest[0].span;
        let mut values = Vec::new();
        let mut at = 1;
        for kind in kinds {
            if matches!(kind, Kind::Condition) {
                let (clauses, diagnostics) = conditions::read(&rest[at..], keyword, self.vocabulary);
                self.diagnostics.extend(diagnostics);
                values.push(Value::Condition(clauses));
                at = rest.len();
                continue;
            }
            let owner_at = rest.get(at - 1).map_or(keyword, |before| before.span);
            match fit(kind, &rest[at..], arg.name, owner_at) {
                Fit::Taken(more, count) => {
                    self.check_metrics(kind, &more, &rest[at..at + count]);
                    values.extend(more);
                    at += count;
                }
                Fit::Wrong(diagnostic, count) => {
                    self.note_twice(arg, keyword);
                    self.tried.push(arg.name);
                    self.diagnostics.push(self.with_form(*diagnostic));
                    // A word that the phrase knows is the next argument, not this one's bad value.
                    return match rest.get(at).map(|atom| &atom.node) {
                        Some(Atom::Word(word)) if self.knows(word) => at,
                        _ => (at + count).min(rest.len()),
                    };
                }
                Fit::Unread => {
                    self.tried.push(arg.name);
                    return (at + 1).min(rest.len());
                }
            }
        }
        let span = if at > 1 { cover(rest[1].span, rest[at - 1].span) } else { keyword };
        self.note_twice(arg, keyword);
        self.store_quietly(arg, values, span);
        at
    }

    fn read_many(&mut self, arg: &'static Arg, kind: &'static Kind, rest: &[Spanned<Atom>]) {
        self.tried.push(arg.name);
        if matches!(kind, Kind::Condition) {
            let (clauses, diagnostics) = conditions::read(rest, self.whole, self.vocabulary);
            self.diagnostics.extend(diagnostics);
            let span = cover(rest[0].span, rest[rest.len() - 1].span);
            self.given.insert(arg.name, Given { values: vec![Value::Condition(clauses)], span });
            return;
        }
        let mut values: Vec<Value> = Vec::new();
        let mut at = 0;
        while at < rest.len() {
            match fit(kind, &rest[at..], self.doc.word, self.whole) {
                Fit::Taken(more, count) => {
                    self.check_metrics(kind, &more, &rest[at..at + count]);
                    if more.iter().all(|value| values.contains(value)) {
                        self.diagnostics.push(
                            Diagnostic::error(
                                "G0108",
                                rest[at].span,
                                format!("{} stands here twice", found(&rest[at])),
                            )
                            .help("leave one out"),
                        );
                    } else {
                        values.extend(more);
                    }
                    at += count;
                }
                Fit::Wrong(diagnostic, count) => {
                    self.diagnostics.push(*diagnostic);
                    at += count.max(1);
                }
                Fit::Unread => at += 1,
            }
        }
        let span = cover(rest[0].span, rest[rest.len() - 1].span);
        self.given.insert(arg.name, Given { values, span });
    }

    fn check_metrics(&mut self, kind: &Kind, values: &[Value], atoms: &[Spanned<Atom>]) {
        if !matches!(kind, Kind::Metric) {
            return;
        }
        for (value, atom) in values.iter().zip(atoms) {
            if let Value::Word(name) = value
                && let Err(diagnostic) = conditions::metric(name, atom.span, self.vocabulary)
            {
                self.diagnostics.push(diagnostic);
                self.spoiled = true;
            }
        }
    }

    fn store(&mut self, arg: &'static Arg, values: Vec<Value>, span: Span) {
        self.note_twice(arg, span);
        if let Shape::Positional(kind @ Kind::Metric) = &arg.shape
            && let Some(Value::Word(name)) = values.first()
        {
            let atom = Spanned::new(Atom::Word(name.clone()), span);
            self.check_metrics(kind, &values, std::slice::from_ref(&atom));
        }
        self.store_quietly(arg, values, span);
    }

    fn store_quietly(&mut self, arg: &'static Arg, values: Vec<Value>, span: Span) {
        self.tried.push(arg.name);
        self.given.entry(arg.name).or_insert(Given { values, span });
    }

    fn note_twice(&mut self, arg: &'static Arg, span: Span) {
        if let Some(first) = self.given.get(arg.name) {
            self.diagnostics.push(
                Diagnostic::error("G0108", span, format!("`{}` has its `{}` twice", self.doc.word, arg.name))
                    .here("the second")
                    .label(first.span, "the first")
                    .help("leave one out"),
            );
        }
    }

    /// A word or a value that nothing asks for. How many atoms belong to it.
    fn unknown(&mut self, rest: &[Spanned<Atom>]) -> usize {
        self.spoiled = true;
        let span = rest[0].span;
        let Atom::Word(word) = &rest[0].node else {
            let diagnostic = Diagnostic::error(
                "G0105",
                span,
                format!("nothing in `{}` asks for {}", self.doc.word, found(&rest[0])),
            )
            .here("which word does this belong to");
            self.diagnostics.push(self.with_form(diagnostic));
            return 1;
        };
        let words = self.words();
        let near = suggest::nearest(word, words.iter().copied());
        if let Some(refused) = refused::word(word, span) {
            self.diagnostics.push(refused);
        } else if word == "lr" {
            self.diagnostics.push(refused::layer_rate(span));
        } else {
            let mut diagnostic =
                Diagnostic::error("G0105", span, format!("`{}` does not know `{word}`", self.doc.word))
                    .here("unknown word");
            diagnostic = match near {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => self.with_form(diagnostic),
            };
            self.diagnostics.push(diagnostic);
        }
        // What follows belongs to the unknown word: as many values as the word that was meant takes,
        // else everything up to the next word that is known.
        let meant = near.and_then(|near| self.doc.args.iter().find(|arg| arg.name == near));
        let at_most = match meant.map(|arg| &arg.shape) {
            Some(Shape::Keyword(_)) | None if near.is_none() || meant.is_some() => rest.len(),
            _ => 1,
        };
        if let Some(arg) = meant {
            self.tried.push(arg.name);
        }
        let skipped = rest[1..]
            .iter()
            .take(at_most.saturating_sub(1))
            .take_while(|atom| !matches!(&atom.node, Atom::Word(word) if self.knows(word)))
            .count();
        1 + skipped
    }

    fn with_form(&self, diagnostic: Diagnostic) -> Diagnostic {
        if diagnostic.help.is_some() {
            return diagnostic;
        }
        let form = self.doc.signature();
        diagnostic.help(format!("the form is `{form}`"))
    }

    fn finish(mut self) -> (Args, Vec<Diagnostic>) {
        if !self.spoiled {
            for arg in self.doc.args {
                let grouped = self.doc.one_of.iter().any(|group| group.contains(&arg.name));
                if arg.required && !grouped && !self.tried.contains(&arg.name) {
                    self.missing(&arg.form());
                }
            }
            for group in self.doc.one_of {
                let present: Vec<&&str> = group.iter().filter(|name| self.tried.contains(name)).collect();
                match present.as_slice() {
                    [] => self.missing(&suggest::any_of(group)),
                    [_] => {}
                    [first, second, ..] => {
                        let at = self.given.get(**second).map_or(self.whole, |given| given.span);
                        let before = self.given.get(**first).map_or(self.whole, |given| given.span);
                        self.diagnostics.push(
                            Diagnostic::error(
                                "G0108",
                                at,
                                format!("`{first}` and `{second}` say the same thing twice"),
                            )
                            .label(before, format!("`{first}` stands here"))
                            .help(format!("keep one of {}", suggest::all_of(group))),
                        );
                    }
                }
            }
        }
        (Args { doc: self.doc, span: self.whole, given: self.given }, self.diagnostics)
    }

    fn missing(&mut self, what: &str) {
        let diagnostic = Diagnostic::error("G0106", self.whole, format!("`{}` needs {what}", self.doc.word))
            .here(format!("{what} is missing"));
        let diagnostic = self.with_form(diagnostic);
        self.diagnostics.push(diagnostic);
    }
}

/// The words that a kind's values may begin with.
fn words_of(kind: &Kind) -> Vec<&'static str> {
    match kind {
        Kind::Word(choices) => choices(),
        Kind::Choice(words) => words.iter().map(|(word, _)| *word).collect(),
        Kind::Either(kinds) => kinds.iter().flat_map(words_of).collect(),
        _ => Vec::new(),
    }
}
