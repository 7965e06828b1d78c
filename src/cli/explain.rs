//! `growrun explain CODE|WORD`: the page of a code or of another tool, or what the registries say of a word.

use super::render::{without_place, wrap};
use super::terminal::{Style, say};
use super::usage::nearest;
use super::{Context, exit};
use crate::base::{Arg, Doc, Kind, Shape, Sources};
use crate::check::codes;
use std::fmt::Write;

/// Words of one registry under the heading that a reader knows them by.
pub struct Chapter {
    pub title: &'static str,
    pub docs: Vec<&'static Doc>,
}

/// Every registry of the language.
pub fn chapters() -> Vec<Chapter> {
    let of_section = |wanted: &[&str]| -> Vec<&'static Doc> {
        crate::check::words().into_iter().filter(|(place, _)| wanted.contains(place)).map(|(_, doc)| doc).collect()
    };
    let vocabulary = crate::run::vocabulary();
    vec![
        Chapter { title: "the file", docs: of_section(&["file"]) },
        Chapter { title: "triggers", docs: of_section(&["trigger"]) },
        Chapter { title: "layers", docs: crate::nn::LAYERS.iter().map(|layer| layer.doc()).collect() },
        Chapter { title: "growth", docs: crate::grow::OPERATORS.iter().map(|operator| operator.doc()).collect() },
        Chapter { title: "other actions", docs: of_section(&["action"]) },
        Chapter { title: "data", docs: crate::data::SOURCES.iter().map(|source| source.doc()).collect() },
        Chapter { title: "data statements", docs: of_section(&["data"]) },
        Chapter { title: "model statements", docs: of_section(&["model"]) },
        Chapter { title: "training", docs: of_section(&["section", "train"]) },
        Chapter { title: "optimizers", docs: vocabulary.optimizers },
        Chapter { title: "losses", docs: vocabulary.losses },
        Chapter {
            title: "targets of export",
            docs: crate::export::TARGETS.iter().map(|target| target.doc()).collect(),
        },
        Chapter { title: "metrics", docs: vocabulary.metrics.iter().map(|metric| metric.doc).collect() },
    ]
}

/// Where trained networks live: the word, what the list says, and the page, with the way there and back.
const HOMES: [(&str, &str, &str); 4] = [
    ("pytorch", "a network from PyTorch, grown, and back", include_str!("../../docs/pytorch.md")),
    ("jax", "the same from JAX with Flax and Optax", include_str!("../../docs/jax.md")),
    ("keras", "the same from Keras", include_str!("../../docs/keras.md")),
    ("mxnet", "the same from MXNet: Gluon, export, Module", include_str!("../../docs/mxnet.md")),
];

pub fn run(context: &Context, words: &[String]) -> i32 {
    let style = context.terminal.stdout;
    let word = words.join(" ");
    if word.is_empty() {
        say(&list(style));
        return exit::OK;
    }
    match explanation(&word, style) {
        Some(text) => {
            say(&text);
            exit::OK
        }
        None => {
            let chapters = chapters();
            let known = chapters
                .iter()
                .flat_map(|chapter| &chapter.docs)
                .flat_map(|doc| std::iter::once(doc.word).chain(doc.args.iter().map(|arg| arg.name)));
            let known = known.chain(codes::CODES.iter().map(|(code, _)| *code)).chain(HOMES.map(|(home, ..)| home));
            let help = match nearest(&word, known) {
                Some(near) => format!("did you mean `growrun explain {near}`?"),
                None => "`growrun explain` alone lists every code and word".into(),
            };
            let diagnostic = without_place("G0911", format!("there is no code and no word `{word}`"), help);
            context.refuse(&[diagnostic], &Sources::default(), false)
        }
    }
}

/// The text about a code or a word; `None` when nobody knows it.
pub fn explanation(word: &str, style: Style) -> Option<String> {
    if let Some(page) = codes::page(&word.to_uppercase()) {
        return Some(page_text(page, style));
    }
    let chapters = chapters();
    let docs = || chapters.iter().flat_map(|chapter| chapter.docs.iter().map(move |doc| (chapter.title, *doc)));
    // `insert` alone explains `insert identity` and `insert dense`; one word may stand in two registries.
    let begins = format!("{word} ");
    let found: Vec<_> = docs().filter(|(_, doc)| doc.word == word || doc.word.starts_with(&begins)).collect();
    let entries = found.iter().map(|(title, doc)| entry(title, doc, style));
    // Two of the homes are targets of `export`, too.
    let home = HOMES.iter().find(|(home, ..)| *home == word);
    let all: Vec<String> = entries.chain(home.map(|(.., page)| page_text(page, style))).collect();
    if !all.is_empty() {
        return Some(all.join("\n"));
    }
    // Not the beginning of a phrase: an option, or one of an option's choices.
    let mut out = String::new();
    for (_, doc) in docs() {
        for arg in doc.args {
            if arg.name == word && matches!(arg.shape, Shape::Keyword(_) | Shape::Flag | Shape::Many(_)) {
                let _ = writeln!(out, "{}  an option of `{}`: {}", style.bold(&arg.form()), doc.word, told(arg));
            } else if choices(&arg.shape).contains(&word) {
                let _ =
                    writeln!(out, "{}  a choice for `{}` of `{}`: {}", style.bold(word), arg.name, doc.word, told(arg));
            }
        }
    }
    if out.is_empty() { None } else { Some(out) }
}

/// A page as the terminal shows it: headings stand out, the marks around blocks are left out.
fn page_text(page: &str, style: Style) -> String {
    let mut out = String::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let _ = writeln!(out, "    {line}");
        } else if line.starts_with('#') {
            let _ = writeln!(out, "{}", style.bold(line.trim_start_matches('#').trim()));
        } else if line.starts_with("|---") {
            // Between a table's head and its rows, which read well without it.
        } else if let Some(file) = line.strip_prefix("**").and_then(|line| line.strip_suffix("**")) {
            // What the block below is to be called.
            let _ = writeln!(out, "{}", style.bold(file));
        } else {
            for piece in wrap(line, style.width) {
                let _ = writeln!(out, "{piece}");
            }
        }
    }
    out
}

/// The closed set of words from which an argument's value comes.
fn choices(shape: &Shape) -> Vec<&'static str> {
    fn of(kind: &Kind) -> Vec<&'static str> {
        match kind {
            Kind::Word(words) => words(),
            Kind::Choice(words) => words.iter().map(|(word, _)| *word).collect(),
            Kind::Literal(word) => vec![word],
            Kind::Either(kinds) => kinds.iter().flat_map(of).collect(),
            _ => Vec::new(),
        }
    }
    match shape {
        Shape::Bare(words) => words(),
        Shape::Keyword(kinds) => kinds.iter().flat_map(of).collect(),
        Shape::Positional(kind) | Shape::Many(kind) => of(kind),
        Shape::Flag => Vec::new(),
    }
}

fn told(arg: &Arg) -> String {
    if arg.default.is_empty() { arg.help.into() } else { format!("{} (default: {})", arg.help, arg.default) }
}

fn entry(title: &str, doc: &Doc, style: Style) -> String {
    let mut out = String::new();
    for (number, line) in wrap(&doc.signature(), style.width.saturating_sub(4)).iter().enumerate() {
        let indent = if number == 0 { "" } else { "    " };
        let _ = writeln!(out, "{indent}{}", style.bold(line));
    }
    let _ = writeln!(out, "\n  {} ({title})", doc.help);
    if !doc.args.is_empty() {
        let names: Vec<String> = doc.args.iter().map(short_form).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let _ = writeln!(out);
        for (arg, name) in doc.args.iter().zip(&names) {
            let pad = " ".repeat(width - name.chars().count());
            for (number, line) in wrap(&told(arg), style.width.saturating_sub(width + 6)).iter().enumerate() {
                let lead = if number == 0 { format!("{}{pad}", style.paint("36", name)) } else { " ".repeat(width) };
                let _ = writeln!(out, "  {lead}   {line}");
            }
        }
    }
    if !doc.example.is_empty() {
        let _ = writeln!(out, "\n  example");
        for line in doc.example.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    if !doc.source.is_empty() {
        let _ = writeln!(out, "\n  source  {}", doc.source);
    }
    out
}

/// An argument as the list of options shows it: a long choice is only named, since the signature shows it whole.
fn short_form(arg: &Arg) -> String {
    let form = arg.form();
    if form.chars().count() <= 28 { form } else { arg.name.into() }
}

fn list(style: Style) -> String {
    let mut out = String::new();
    for chapter in chapters() {
        if chapter.docs.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}", style.bold(chapter.title));
        let width = chapter.docs.iter().map(|doc| doc.word.len()).max().unwrap_or(0);
        for doc in chapter.docs {
            let _ = writeln!(out, "  {:width$}   {}", doc.word, doc.help);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{}", style.bold("trained weights from elsewhere"));
    for (home, what, _) in HOMES {
        let _ = writeln!(out, "  {home:7}   {what}");
    }
    let _ = writeln!(out, "\n{}", style.bold("codes"));
    for (code, title) in codes::CODES {
        let _ = writeln!(out, "  {code}   {title}");
    }
    out.push('\n');
    out.push_str("`growrun explain WORD` shows options, defaults and an example, `growrun explain CODE` a cause and its repair\n");
    out
}
