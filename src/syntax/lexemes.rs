//! A text cut into pieces for colour, whatever it says.

use super::grammar::{self, Rule};
use super::scan::STATEMENTS;
use std::ops::Range;

/// What a piece is, as far as colour is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexeme {
    /// A word that begins a statement of its own kind: `model`, `at`.
    Keyword,
    Word,
    Number,
    Text,
    Comment,
    Punctuation,
}

/// The pieces in order, with their bytes; between them lie blanks only. Empty for a text past 1 MiB.
pub fn lexemes(text: &str) -> Vec<(Range<usize>, Lexeme)> {
    if text.len() > super::LIMIT_BYTES {
        return Vec::new();
    }
    let Ok(pairs) = grammar::read(Rule::lexemes, text) else { return Vec::new() };
    let mut out: Vec<(Range<usize>, Lexeme)> = Vec::new();
    for pair in pairs.flat_map(|pair| pair.into_inner()) {
        let span = pair.as_span();
        let lexeme = match pair.as_rule() {
            Rule::lex_comment => Lexeme::Comment,
            Rule::lex_text => Lexeme::Text,
            Rule::lex_number => Lexeme::Number,
            Rule::lex_word if STATEMENTS.contains(&pair.as_str()) && begins(text, &out, span.start()) => {
                Lexeme::Keyword
            }
            Rule::lex_word => Lexeme::Word,
            Rule::lex_mark => Lexeme::Punctuation,
            _ => continue,
        };
        out.push((span.start()..span.end(), lexeme));
    }
    out
}

/// Whether a statement begins at `at`: after a line's end, `;` or a brace.
fn begins(text: &str, before: &[(Range<usize>, Lexeme)], at: usize) -> bool {
    let Some((last, lexeme)) = before.last() else { return true };
    let mark = *lexeme == Lexeme::Punctuation && matches!(&text[last.clone()], ";" | "{" | "}");
    mark || text[last.end..at].contains(['\n', '\r'])
}
