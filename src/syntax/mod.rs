//! Text to [`Schedule`]: the pest grammar in `grammar/grow.pest`, recovery from mistakes, includes,
//! and the substitution of `$NAME`. Knows no layer, operator or metric by name.
//!
//! ```text
//! text ─ scan ──→ a copy in which every piece that cannot be read is covered, and what was wrong with it
//!      ─ pest ──→ a tree; the grammar matches every such copy
//!      ─ lower ─→ statements; a mistake spoils its own statement or value only
//!      ─ load ──→ a Schedule with its includes in place ─ resolve ─→ without `$NAME`
//! ```
//!
//! Parsing never fails and never panics: what is wrong is a [`Diagnostic`], and the rest is there.

mod arms;
mod assemble;
pub mod ast;
mod atoms;
mod events;
mod grammar;
mod lexemes;
mod load;
mod lower;
mod malformed;
mod pieces;
mod resolve;
mod scan;
mod suggest;

pub use arms::arm;
pub use ast::{Arm, Atom, Event, Let, Phrase, Schedule, Section, Sweep, Trigger};
pub use lexemes::{Lexeme, lexemes};
pub use load::{clean, load};
pub use resolve::{lets_as_text, resolve, set};

use crate::base::{Diagnostic, Sources, Span, Spanned};
use assemble::Assembly;
use lower::{Lower, Statement};

/// A schedule's file may be this long.
pub const LIMIT_BYTES: usize = 1 << 20;

/// A file may have this many statements and marks such as `,`. Each is small, but a mebibyte of `a;` or `:` would be
/// half a million or more of them, each with a mistake to tell.
const PARTS_MAX: usize = 1 << 15;

/// So many mistakes of one file are shown; then it is said that there are more.
pub const MISTAKES: usize = 500;

/// The codes of this floor and what each means. `docs/errors/CODE.md` has the pages.
pub const CODES: &[(&str, &str)] = &[
    ("G0001", "this statement cannot be read"),
    ("G0002", "a brace has no partner"),
    ("G0003", "a quote has no partner"),
    ("G0004", "this is no text that can be read"),
    ("G0005", "the file says nothing"),
    ("G0006", "something stands here a second time"),
    ("G0007", "no statement begins with this word"),
    ("G0008", "another version of the language"),
    ("G0009", "this include cannot be followed"),
    ("G0010", "no let defines this name"),
    ("G0011", "a character that cannot stand in a schedule"),
    ("G0012", "a block where none can stand"),
    ("G0013", "this value cannot be read"),
    ("G0014", "not one literal value"),
    ("G0015", "a let that is never used"),
];

/// Reads one text that is in no file. An `include` is an error here, since there is no folder to look in;
/// `$NAME` stays until [`resolve`].
pub fn parse(name: &str, text: &str) -> (Schedule, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let (statements, mut found) = read_text(text, file, true);
    let mut assembly = Assembly::default();
    for statement in statements {
        if let Statement::Include { path } = &statement {
            let shown = atoms::short(path);
            let message =
                format!("cannot include `{shown}`: this text is in no file, so there is no folder to look in");
            found.push(
                Diagnostic::error("G0009", path.span, message)
                    .here("relative to nothing")
                    .help("save the text as a file first"),
            );
        }
        assembly.add(statement);
    }
    let (schedule, more) = assembly.finish(sources);
    found.extend(more);
    (schedule, in_order(found))
}

/// The statements of one text and what is wrong with it.
fn read_text(text: &str, file: u16, must_say_something: bool) -> (Vec<Statement>, Vec<Diagnostic>) {
    if text.len() > LIMIT_BYTES {
        let line = text.find('\n').unwrap_or(text.len()).min(80);
        let end = (0..=line).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        return (Vec::new(), vec![too_large(Span::new(file, 0, end))]);
    }
    let (cover, found) = scan::scan(text, file);
    if let Some(at) = one_too_many(&cover) {
        return (Vec::new(), vec![too_complex(text, file, at)]);
    }
    let mut lower = Lower::new(&cover, file, found);
    let mut statements = Vec::new();
    for piece in pieces::pieces(&cover) {
        lower.offset = piece.start;
        match grammar::read(grammar::Rule::file, &cover[piece.clone()]) {
            Ok(mut pairs) => {
                if let Some(tree) = pairs.next() {
                    lower.file(tree, &mut statements);
                }
            }
            Err(stop) => lower.found.push(too_complex(text, file, piece.start + stop.at)),
        }
    }
    let mut found = lower.found;
    if must_say_something && statements.is_empty() && found.is_empty() {
        found.push(
            Diagnostic::error("G0005", Span::new(file, 0, text.trim_end().len()), "this file says nothing")
                .here("no statement here")
                .help("write an event such as `at epoch 20 widen h2 to 256`, or begin with `growrun new`"),
        );
    }
    (statements, capped(found))
}

/// Where the first part beyond [`PARTS_MAX`] begins. Looks at the marks alone, so what stands in quotes counts too:
/// no schedule has so many of either.
fn one_too_many(cover: &str) -> Option<usize> {
    let (mut count, mut begins) = (0, true);
    let mut bytes = cover.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let counts = match byte {
            b'\n' | b'\r' | b';' | b'{' | b'}' => {
                begins = true;
                false
            }
            b' ' | b'\t' => false,
            b'#' => {
                begins = true;
                bytes.by_ref().find(|(_, byte)| matches!(byte, b'\n' | b'\r'))?;
                false
            }
            b'[' | b']' | b',' | b':' => true,
            _ => std::mem::take(&mut begins),
        };
        count += usize::from(counts);
        if count > PARTS_MAX {
            return Some(at);
        }
    }
    None
}

/// One value from outside of a file, such as that of `--set`.
fn read_literal(text: &str, file: u16) -> (Vec<Spanned<Atom>>, Vec<Diagnostic>) {
    if text.len() > LIMIT_BYTES {
        return (Vec::new(), vec![too_large(Span::new(file, 0, 0))]);
    }
    let (cover, found) = scan::scan(text, file);
    let mut lower = Lower::new(&cover, file, found);
    let atoms = match grammar::read(grammar::Rule::literal_alone, &cover) {
        Ok(mut pairs) => pairs.next().map(|tree| lower.literal(tree)).unwrap_or_default(),
        Err(_) if text.trim().is_empty() => Vec::new(),
        Err(_) => {
            let whole = Span::new(file, 0, text.len());
            lower.found.push(Diagnostic::error("G0014", whole, "this is no single value").here("given here"));
            Vec::new()
        }
    };
    (atoms, capped(lower.found))
}

fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error("G0004", span, "this file is too large: a schedule has at most 1 MiB")
        .help("is it a schedule? data and weights are named in it, not written into it")
}

fn too_complex(text: &str, file: u16, at: usize) -> Diagnostic {
    let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Diagnostic::error("G0004", Span::new(file, start, start), "this file is too complex to be read")
        .here("given up here")
        .help("is it a schedule? one has at most some ten thousand statements")
}

/// Cuts a hostile file's mistakes off and says so.
fn capped(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if found.len() > MISTAKES {
        found.sort_by_key(Diagnostic::span);
        found.truncate(MISTAKES);
        let last = found[MISTAKES - 1].span();
        found.push(
            Diagnostic::error("G0004", last, format!("more than {MISTAKES} mistakes; the rest is not shown"))
                .here("and so on")
                .help("is this a schedule?"),
        );
    }
    found
}

fn in_order(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(Diagnostic::span);
    found
}
