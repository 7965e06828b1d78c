//! The first pass: characters, quotes and braces, by hand, before the grammar sees anything.
//!
//! What it finds wrong it reports and covers in a copy of the text that has the same length, so that
//! every place stays true: a piece that cannot be read becomes a run of [`HOLE`], a brace that closes
//! nothing a blank, and where a block must have ended [`END`] stands. The grammar then matches any copy.

use super::atoms::short;
use crate::base::{Diagnostic, Span};

/// Covers what was reported and cannot be read.
pub const HOLE: u8 = 1;
/// All open blocks end here, though no brace says so.
pub const END: u8 = 2;
/// A section's block, and one in it.
const DEPTH: usize = 2;

/// Words that begin a statement outside every block. Where one begins a line inside a block that is
/// never closed, the block must have ended before it.
pub const STATEMENTS: &[&str] = &[
    "grow",
    "experiment",
    "seed",
    "let",
    "include",
    "data",
    "model",
    "train",
    "at",
    "every",
    "during",
    "when",
    "arm",
    "sweep",
    "compare",
];

/// Those of [`STATEMENTS`] that an arm may hold.
const IN_ARMS: &[&str] = &["let", "at", "every", "during", "when"];

pub fn scan(text: &str, file: u16) -> (String, Vec<Diagnostic>) {
    let mut first = Scanner::new(text, file, false);
    first.run();
    if first.open.is_empty() {
        return first.finish();
    }
    // Some block is never closed. A second look, with an eye on the words that begin lines, tells which.
    let mut second = Scanner::new(text, file, true);
    second.run();
    second.finish()
}

struct Open {
    at: usize,
    /// The block of an `arm`.
    arm: bool,
}

struct Scanner<'a> {
    text: &'a str,
    file: u16,
    /// Whether a line that begins with a top-level word ends the open blocks.
    mending: bool,
    cover: Vec<u8>,
    found: Vec<Diagnostic>,
    open: Vec<Open>,
    /// A block that was too deep had no end either: do not look for one again, or the time is quadratic.
    endless: bool,
    /// The last newline, and where the statement that we are in begins.
    newline: usize,
    statement: usize,
    line_begins: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, file: u16, mending: bool) -> Scanner<'a> {
        Scanner {
            text,
            file,
            mending,
            cover: text.as_bytes().to_vec(),
            found: Vec::new(),
            open: Vec::new(),
            endless: false,
            newline: 0,
            statement: 0,
            line_begins: true,
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    fn cover(&mut self, start: usize, end: usize, with: u8) {
        self.cover[start..end].fill(with);
    }

    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        if self.text.starts_with('\u{feff}') {
            at = '\u{feff}'.len_utf8();
            self.cover(0, at, b' ');
        }
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\n' | b'\r' => {
                    (self.newline, self.statement, self.line_begins) = (at, at + 1, true);
                    at += 1;
                }
                b' ' | b'\t' => at += 1,
                b';' => {
                    (self.statement, self.line_begins) = (at + 1, false);
                    at += 1;
                }
                b'#' => at = self.line_end(at),
                b'"' => at = self.quote(at),
                b'\'' => at = self.single_quote(at),
                b'{' => at = self.opening(at),
                b'}' => {
                    self.closing(at);
                    at += 1;
                }
                b'A'..=b'Z' | b'a'..=b'z' => at = self.word(at),
                0..0x20 | 0x7f => at = self.control(at),
                0x80.. => at = self.foreign(at),
                _ => at += 1,
            }
            if !matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'#') {
                self.line_begins = false;
            }
        }
    }

    fn finish(mut self) -> (String, Vec<Diagnostic>) {
        for open in std::mem::take(&mut self.open) {
            self.never_closed(&open, None);
        }
        let cover = String::from_utf8(self.cover).expect("whole characters are covered by ASCII");
        (cover, self.found)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find(['\n', '\r']).map_or(self.text.len(), |length| at + length)
    }

    /// One past the first of `marks` on the rest of the line; else where the line ends. Looks no further
    /// than what it returns, so that a line of quotes takes linear time.
    fn closing_mark(&self, at: usize, marks: &[char]) -> Result<usize, usize> {
        for (offset, c) in self.text[at..].char_indices() {
            if marks.contains(&c) {
                return Ok(at + offset + c.len_utf8());
            }
            if matches!(c, '\n' | '\r') {
                return Err(at + offset);
            }
        }
        Err(self.text.len())
    }

    /// What the caller shows is cut elsewhere; this only bounds the memory that a hostile file can take.
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.found.len() <= super::MISTAKES {
            self.found.push(diagnostic);
        }
    }

    fn word(&mut self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at..];
        let end = at + rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len());
        if self.mending && self.line_begins && !self.open.is_empty() {
            self.mend(at, end);
        }
        end
    }

    /// Ends open blocks before a word that stands outside of blocks.
    fn mend(&mut self, at: usize, end: usize) {
        let word = &self.text[at..end];
        if !STATEMENTS.contains(&word) {
            return;
        }
        let in_arm = self.open[0].arm && IN_ARMS.contains(&word);
        if in_arm && self.open.len() == 1 {
            return;
        }
        if let Some(comment) = self.comment_above() {
            self.cover(comment, self.newline, b' ');
        }
        self.cover[self.newline] = if in_arm { b'}' } else { END };
        let ended = self.open.split_off(usize::from(in_arm));
        for open in &ended {
            self.never_closed(open, Some(self.span(at, end)));
        }
    }

    /// Where the comment of the line above begins; the newline that ended it is about to be covered.
    /// (In `\r\n` only the `\n` is covered, so the comment still ends.)
    fn comment_above(&self) -> Option<usize> {
        let line = self.text[..self.newline].rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
        // A `#` inside quotes is no comment: look at the quotes before it.
        let mut quoted = false;
        for (offset, byte) in self.text.as_bytes()[line..self.newline].iter().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b'#' if !quoted => return Some(line + offset),
                _ => {}
            }
        }
        None
    }

    fn never_closed(&mut self, open: &Open, next: Option<Span>) {
        let mut diagnostic = Diagnostic::error("G0002", self.span(open.at, open.at + 1), "this `{` is never closed")
            .here("opened here")
            .help("write `}` where the block ends");
        if let Some(next) = next {
            diagnostic = diagnostic.label(next, "this cannot stand inside the block");
        }
        self.report(diagnostic);
    }

    fn opening(&mut self, at: usize) -> usize {
        if self.open.len() == DEPTH {
            return self.too_deep(at);
        }
        let arm = self.open.is_empty() && self.text[self.statement..at].trim_start().starts_with("arm ");
        self.open.push(Open { at, arm });
        self.statement = at + 1;
        at + 1
    }

    fn closing(&mut self, at: usize) {
        self.statement = at + 1;
        if self.open.pop().is_none() {
            let span = self.span(at, at + 1);
            self.report(
                Diagnostic::error("G0002", span, "this `}` closes nothing")
                    .here("no block is open here")
                    .help("remove it, or write the `{` that it belongs to"),
            );
            self.cover[at] = b';';
        }
    }

    /// Covers a block that stands where none can, up to its own end.
    fn too_deep(&mut self, at: usize) -> usize {
        let end = match self.block_end(at) {
            Some(end) => end,
            // Never closed either: then only its own line is lost.
            None => self.line_end(at),
        };
        let span = self.span(at, at + 1);
        self.report(
            Diagnostic::error("G0012", span, "blocks stand at most two deep")
                .here("a third block opens here")
                .help("only a section or an arm has a block whose statements have blocks of their own"),
        );
        self.cover(at, end, HOLE);
        end
    }

    /// One past the `}` that belongs to the `{` at `at`.
    fn block_end(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        let mut end = at;
        while let Some(&byte) = bytes.get(end).filter(|_| !self.endless) {
            end = match byte {
                b'"' => self.closing_mark(end + 1, &['"']).unwrap_or_else(|line_end| line_end),
                b'#' => self.line_end(end),
                _ => end + 1,
            };
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 1 => return Some(end),
                b'}' => depth -= 1,
                _ => {}
            }
        }
        self.endless = true;
        None
    }

    fn quote(&mut self, at: usize) -> usize {
        let line_end = match self.closing_mark(at + 1, &['"']) {
            Ok(end) => {
                self.inside_quotes(at, end);
                return end;
            }
            Err(line_end) => line_end,
        };
        // Braces at the end of the line belong to a block far more often than to the text.
        let end = at + self.text[at..line_end].trim_end_matches([' ', '\t', '{', '}', ';']).len().max(1);
        let span = self.span(at, end);
        self.report(
            Diagnostic::error("G0003", span, "this quote is never closed")
                .here("opened here")
                .help("text ends with `\"` on the line on which it began"),
        );
        self.cover(at, end, HOLE);
        end
    }

    fn single_quote(&mut self, at: usize) -> usize {
        let end = self.closing_mark(at + 1, &['\'']).unwrap_or(at + 1);
        let span = self.span(at, end);
        self.report(
            Diagnostic::error("G0003", span, "text stands in double quotes")
                .here("a single quote")
                .help(format!("write `\"{}\"`", short(self.text[at..end].trim_matches('\'')))),
        );
        self.cover(at, end, HOLE);
        end
    }

    /// Any text can stand in quotes but what steers the terminal that shows it: titles and names of layers and
    /// checkpoints are shown.
    fn inside_quotes(&mut self, start: usize, end: usize) {
        let Some((offset, c)) = self.text[start..end].char_indices().find(|(_, c)| steers(*c)) else { return };
        let at = start + offset;
        let (span, number) = (self.span(at, at + c.len_utf8()), u32::from(c));
        self.report(
            Diagnostic::error("G0011", span, format!("a control character, U+{number:04X}, cannot stand in quotes"))
                .here("invisible here")
                .help("remove it"),
        );
        self.cover(start, end, HOLE);
    }

    fn control(&mut self, at: usize) -> usize {
        let byte = self.text.as_bytes()[at];
        let length = self.text.as_bytes()[at..].iter().take_while(|b| **b == byte).count();
        let span = self.span(at, at + length);
        self.report(
            Diagnostic::error("G0011", span, format!("a control character, U+{byte:04X}, cannot stand in a schedule"))
                .here("invisible here")
                .help("remove it; is this a text file?"),
        );
        self.cover(at, at + length, HOLE);
        at + length
    }

    /// A run of characters that are not ASCII, outside of quotes and comments.
    fn foreign(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let first = rest.chars().next().expect("the run is not empty");
        if matches!(first, '“' | '”' | '„' | '«') {
            return self.smart_quote(at, first);
        }
        let blank = is_blank(first);
        let end = at + rest.find(|c: char| c.is_ascii() || is_blank(c) != blank).unwrap_or(rest.len());
        let span = self.span(at, end);
        let (what, help) = name_character(first);
        let number = u32::from(first);
        self.report(
            Diagnostic::error("G0011", span, format!("{what}, U+{number:04X}, cannot stand here"))
                .here(if blank { "it only looks like a blank" } else { "not a character of the language" })
                .help(help),
        );
        // What looks like a blank separates words as one.
        self.cover(at, end, if blank { b' ' } else { HOLE });
        end
    }

    fn smart_quote(&mut self, at: usize, quote: char) -> usize {
        let inside = at + quote.len_utf8();
        let end = self.closing_mark(inside, &['“', '”', '„', '«', '»', '"']).unwrap_or(inside);
        let span = self.span(at, end);
        let number = u32::from(quote);
        self.report(
            Diagnostic::error("G0011", span, format!("a typographic quote, U+{number:04X}, cannot stand here"))
                .here("only looks like a quote")
                .help("write a straight `\"` at both ends"),
        );
        self.cover(at, end, HOLE);
        end
    }
}

/// Whether a character moves the cursor, changes colours or reverses the direction of reading.
fn steers(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

/// What a character is called, and what to write in its place.
fn name_character(c: char) -> (&'static str, &'static str) {
    match c {
        '\u{a0}' | '\u{202f}' | '\u{2007}' => ("a no-break space", "write an ordinary space"),
        c if c.is_whitespace() => ("an unusual space", "write an ordinary space"),
        c if is_blank(c) => ("an invisible character", "remove it"),
        '‘' | '’' | '‚' => ("a typographic quote", "write a straight `\"` at both ends"),
        '−' | '–' | '—' | '‐' | '‑' => ("a typographic dash", "write `-`"),
        '…' => ("an ellipsis", "write `..` between the ends of a range"),
        '×' => ("a multiplication sign", "write `x`, as in `2x`"),
        '≤' => ("a sign", "write `<=`"),
        '≥' => ("a sign", "write `>=`"),
        '→' => ("an arrow", "write `to`"),
        '；' => ("a full-width semicolon", "write `;`"),
        '\u{370}'..='\u{3ff}' => ("a Greek letter", "names are made of the letters a to z, digits and `_`"),
        '\u{400}'..='\u{4ff}' => ("a Cyrillic letter", "names are made of the letters a to z, digits and `_`"),
        c if c.is_alphabetic() => ("a letter", "names are made of the letters a to z, digits and `_`"),
        _ => ("a character", "it may stand in quotes and in comments only"),
    }
}
