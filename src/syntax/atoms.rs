//! One piece of a phrase: from its text to an [`Atom`], or to what is wrong with it.

use super::ast::Atom;
use super::grammar::Rule;
use crate::base::args::Comparison;
use crate::base::{Diagnostic, Span, Spanned};
use std::borrow::Cow;

/// What a piece came out as.
pub enum Piece {
    Atom(Atom),
    /// It cannot be read; the diagnostic is missing when the piece was reported before.
    Bad(Option<Diagnostic>),
    /// A mark that does not belong here, but without it the rest can be read.
    Stray(Diagnostic),
}

/// Reads the text of a pair that matched one of the atom rules.
pub fn read(rule: Rule, text: &str, span: Span) -> Piece {
    match rule {
        Rule::number | Rule::percent | Rule::factor => numeric(text, span),
        Rule::text => Piece::Atom(Atom::Text(text[1..text.len() - 1].into())),
        Rule::variable => Piece::Atom(Atom::Variable(text[1..].into())),
        Rule::range => range(text, span),
        Rule::comparison => Piece::Atom(Atom::Compare(match text {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            _ => Comparison::GreaterOrEqual,
        })),
        Rule::hole => Piece::Bad(None),
        Rule::junk => junk(text, span),
        // Every word of the grammar's own is a word to the reader of the tree.
        _ => Piece::Atom(Atom::Word(text.into())),
    }
}

fn numeric(text: &str, span: Span) -> Piece {
    let (digits, make): (&str, fn(f64) -> Atom) = match text.as_bytes()[text.len() - 1] {
        b'%' => (&text[..text.len() - 1], |value| Atom::Percent(value / 100.0)),
        b'x' => (&text[..text.len() - 1], Atom::Factor),
        _ => (text, |value| Atom::Number { value, integer: None }),
    };
    // Most numbers have no `_`, and then their text is read as it stands.
    let digits = if digits.contains('_') { Cow::Owned(digits.replace('_', "")) } else { Cow::Borrowed(digits) };
    let value: f64 = digits.parse().expect("the grammar's numbers are numbers to Rust");
    if !value.is_finite() {
        let error = Diagnostic::error("G0013", span, format!("`{}` is too large for a number", short(text)));
        return Piece::Bad(Some(error.here("more than 1.8e308")));
    }
    match make(value) {
        Atom::Number { value, .. } => Piece::Atom(Atom::Number { value, integer: whole(&digits) }),
        atom => Piece::Atom(atom),
    }
}

/// The value of `256` and of `2e4`, exactly; `2.0`, `-1` and what exceeds u64 are not whole numbers here.
fn whole(digits: &str) -> Option<u64> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let mantissa: u64 = mantissa.parse().ok()?;
    let exponent: u32 = exponent.trim_start_matches('+').parse().ok()?;
    mantissa.checked_mul(10u64.checked_pow(exponent)?)
}

fn range(text: &str, span: Span) -> Piece {
    let (first, last) = text.split_once("..").expect("the grammar's ranges have two dots");
    let middle = span.start as usize + first.len();
    let ends = [
        (first, Span::new(span.file, span.start as usize, middle)),
        (last, Span::new(span.file, middle + 2, span.end as usize)),
    ];
    let mut atoms = Vec::with_capacity(2);
    for (text, span) in ends {
        let rule = match text.as_bytes()[0] {
            b'$' => Rule::variable,
            b'0'..=b'9' | b'-' => Rule::number,
            _ => Rule::word,
        };
        match read(rule, text, span) {
            Piece::Atom(atom) => atoms.push(Box::new(Spanned::new(atom, span))),
            bad => return bad,
        }
    }
    let last = atoms.pop().expect("two ends");
    let first = atoms.pop().expect("two ends");
    Piece::Atom(Atom::Range(first, last))
}

/// Names the mistake in a piece that is no atom, by what people write instead.
fn junk(text: &str, span: Span) -> Piece {
    if text.contains('\u{1}') {
        return Piece::Bad(None);
    }
    let stray =
        |message: &str, help: &str| Piece::Stray(Diagnostic::error("G0013", span, message).here("not here").help(help));
    match text {
        "," => return stray("a `,` cannot stand here", "values are separated by spaces"),
        ":" => return stray("a `:` cannot stand here", "no mark stands between a word and its value"),
        "=" => return stray("a `=` cannot stand here", "a word and its value are separated by a space: `lr 1e-3`"),
        "[" | "]" => {
            return stray(
                &format!("a `{text}` cannot stand here"),
                "only `sweep NAME in [1, 2]` has a list in brackets",
            );
        }
        _ => {}
    }
    let shown = short(text);
    let error = Diagnostic::error("G0013", span, format!("cannot read `{shown}`"));
    Piece::Bad(Some(match reading(text) {
        Some((here, help)) => error.here(here).help(help),
        None => error.here("not a word, a number or text").help("text with other characters stands in quotes"),
    }))
}

/// What is wrong with the piece, and how to write it.
fn reading(text: &str) -> Option<(&'static str, String)> {
    let inner = text.trim_end_matches('.');
    let is_number = |text: &str| text.parse::<f64>().is_ok() && text.ends_with(|c: char| c.is_ascii_digit());
    if matches!(text, "==" | "!=" | "<>" | "===" | "=>" | "=<") {
        return Some(("not a comparison", "write `<`, `<=`, `>` or `>=`".into()));
    }
    if text == "%" {
        return Some(("no number before it", "write the percent without a space: `95%`".into()));
    }
    if text == "$" || text.starts_with("${") {
        return Some(("no name after it", "write `$NAME` without a space or braces".into()));
    }
    if let Some(rest) = text.strip_prefix('.').filter(|rest| is_number(rest) && !rest.starts_with('-')) {
        return Some(("a number begins with a digit", format!("write `0.{rest}`")));
    }
    if inner.len() + 1 == text.len() && is_number(inner) {
        return Some(("a number ends with a digit", format!("write `{inner}`")));
    }
    if let Some(rest) = text.strip_prefix('+').filter(|rest| is_number(rest)) {
        return Some(("a number has no `+`", format!("write `{rest}`")));
    }
    if text.contains(['/', '\\']) {
        return Some(("looks like a path", format!("write it in quotes: `\"{}\"`", short(text))));
    }
    if let Some((before, after)) = text.split_once("..") {
        if before.is_empty() || after.is_empty() {
            return Some(("a range has two ends", "write both, as in `5..10` or `h1..h3`".into()));
        }
        return Some(("not a range", "write `5..10` or `h1..h3`".into()));
    }
    let letters = text.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(text.len());
    let (number, unit) = text.split_at(letters);
    if is_number(number) && !unit.is_empty() && unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return Some(("a number and a word without a space", format!("write `{number} {unit}`")));
    }
    if text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains(['_', '.', '-'])
        && !text.contains(char::is_alphabetic)
    {
        return Some(("not a number", "write numbers as `256`, `20_000`, `0.5` or `1e-3`".into()));
    }
    if let Some((size, other)) = text.split_once(['x', 'X', '×'])
        && [size, other].iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
    {
        return Some(("no number", format!("kernels and pools are square: write one number, `{size}`")));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(("a name cannot begin with a digit", "names are made of letters, digits and `_`".into()));
    }
    let spelled = text.replace('-', "_");
    if spelled != text && spelled.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some(("a word has no `-`", format!("write `{spelled}`")));
    }
    if text.contains(['(', ')']) {
        return Some(("there are no brackets", "write words and values with spaces between them".into()));
    }
    None
}

/// The piece as a message shows it: a hostile one can be a megabyte long.
pub use crate::base::text::short;
