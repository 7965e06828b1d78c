//! Diagnostics as a person reads them: the code and the message, the lines with their labels, the fix.
//!
//! miette draws; what it is given is made safe first. A label of no length would vanish at the end of a
//! file, and a control character in a stranger's file would reach the terminal.

use super::numbers::plural;
use super::terminal::Style;
use crate::base::text::harmless;
use crate::base::{Diagnostic, Error, Label, Refusal, Severity, Source, Sources, Span};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
use std::borrow::Cow;
use std::fmt;

/// How many diagnostics are drawn; `--format json` lists all.
const DRAWN_MAX: usize = 50;

/// A failure of the world in the form of a diagnostic without a place.
pub fn from_error(error: &Error) -> Diagnostic {
    let help = if error.help.is_empty() { None } else { Some(error.help.clone()) };
    Diagnostic {
        code: error.code,
        severity: Severity::Error,
        message: format!("cannot {} `{}`: {}", error.operation, error.path.display(), error.reason),
        help,
        labels: Vec::new(),
    }
}

/// A refusal that no phrase of the schedule can be blamed for.
pub fn from_refusal(refusal: &Refusal) -> Diagnostic {
    Diagnostic {
        code: refusal.code,
        severity: refusal.severity,
        message: refusal.message.clone(),
        help: if refusal.help.is_empty() { None } else { Some(refusal.help.clone()) },
        labels: Vec::new(),
    }
}

/// A mistake that stands in no file, such as one on the command line.
pub fn without_place(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    from_refusal(&Refusal::error(code, message, help))
}

/// By file and place; what has no place comes first. Equal places keep their order.
pub fn sorted(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut all: Vec<&Diagnostic> = diagnostics.iter().collect();
    all.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| (label.span.file, label.span.start)));
    all
}

/// All diagnostics in order and one line that sums them up; nothing when there are none.
pub fn human(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let mut out = String::new();
    if diagnostics.is_empty() {
        return out;
    }
    let texts: Vec<Text> = sources.0.iter().map(Text::new).collect();
    for diagnostic in sorted(diagnostics).into_iter().take(DRAWN_MAX) {
        draw(&mut out, diagnostic, &texts, style);
        out.push('\n');
    }
    if diagnostics.len() > DRAWN_MAX {
        out.push_str(&format!(
            "… and {} more; `growrun check --format json` lists all\n",
            diagnostics.len() - DRAWN_MAX
        ));
    }
    if let Some(line) = summary(diagnostics) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// `3 errors, 1 warning · growrun explain G0201`
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count() as u64;
    let warnings = diagnostics.len() as u64 - errors;
    let worst = if errors > 0 { Severity::Error } else { Severity::Warning };
    let first = sorted(diagnostics).into_iter().find(|d| d.severity == worst)?;
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(plural(errors, "error"));
    }
    if warnings > 0 {
        parts.push(plural(warnings, "warning"));
    }
    Some(format!("{} · growrun explain {}", parts.join(", "), first.code))
}

fn draw(out: &mut String, diagnostic: &Diagnostic, texts: &[Text], style: Style) {
    let mark = match diagnostic.severity {
        Severity::Error => "×",
        Severity::Warning => "⚠",
    };
    let file = diagnostic.labels.first().map(|label| label.span.file);
    let (here, elsewhere): (Vec<&Label>, Vec<&Label>) =
        diagnostic.labels.iter().partition(|label| Some(label.span.file) == file);
    let view = View {
        message: harmless(&diagnostic.message).into_owned(),
        severity: diagnostic.severity,
        text: file.and_then(|file| texts.get(usize::from(file))),
        labels: here,
    };
    // The code stands before the mark, on the message's own line.
    paint(out, &view, &format!("{} {mark}", diagnostic.code), style);
    // A cause in another file follows with that file's name and line.
    for label in elsewhere {
        let view = View {
            message: if label.text.is_empty() {
                "the cause stands here".into()
            } else {
                harmless(&label.text).into_owned()
            },
            severity: Severity::Warning,
            text: texts.get(usize::from(label.span.file)),
            labels: vec![label],
        };
        paint(out, &view, "└─", style);
    }
    if let Some(help) = &diagnostic.help {
        let mut first = true;
        for line in harmless(help).lines() {
            for piece in wrap(line, style.width.saturating_sub(8)) {
                let lead = if first { format!("  {} ", style.paint("36", "help:")) } else { " ".repeat(8) };
                out.push_str(&format!("{lead}{piece}\n"));
                first = false;
            }
        }
    }
}

fn paint(out: &mut String, view: &View, mark: &str, style: Style) {
    let mut theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    theme.characters.error = mark.into();
    theme.characters.warning = mark.into();
    GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_links(false)
        .with_break_words(false)
        .render_report(out, view)
        .expect("a string takes every character");
}

/// Lines of at most `width` characters, broken between words; a longer word stands alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("begins with one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines
}

/// One file made ready for drawing.
struct Text<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// Bytes of one line that are drawn; a longer line is cut around its label.
const LINE_MAX: usize = 400;
/// Bytes before the label that a cut line shows.
const LEAD: usize = 40;

impl<'a> Text<'a> {
    fn new(source: &'a Source) -> Text<'a> {
        // A label needs something to stand under.
        let text = if source.text.is_empty() { Cow::Borrowed(" ") } else { harmless(&source.text) };
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Text { name: harmless(&source.name), text, lines }
    }

    /// The number of the line, from 0, in which a byte stands.
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset) - 1
    }

    /// Where a line's visible part ends.
    fn line_end(&self, line: usize) -> usize {
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        self.lines[line] + self.text[self.lines[line]..end].trim_end().len()
    }

    /// What is drawn for a span: at least one visible character, at most the rest of its first line.
    fn visible(&self, span: Span) -> (usize, usize) {
        let inside = |at: u32| self.at_boundary(at as usize);
        let (mut start, mut end) = (inside(span.start), inside(span.end));
        if start >= self.line_end(self.line(start)) {
            // The end of a line or of the file: the character before it is the last that can be seen.
            if let Some((at, c)) = self.text[..start].char_indices().rev().find(|(_, c)| !c.is_whitespace()) {
                (start, end) = (at, at + c.len_utf8());
            }
        }
        end = end.min(self.line_end(self.line(start))).min(self.at_boundary(start + LINE_MAX - 2 * LEAD));
        if end <= start {
            end = start + self.text[start..].chars().next().map_or(0, char::len_utf8);
        }
        (start, end)
    }

    /// The nearest place at or before `at` where a character begins.
    fn at_boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

impl SourceCode for Text<'_> {
    /// With context: the whole lines that hold the span. Without: the span itself, which tells its line and column.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let (first, last) = (self.line(start), self.line(end));
        let (mut from, mut to) = (start, end);
        if context_before > 0 {
            (from, to) = (self.lines[first], self.line_end(last).max(end));
            if to - from > LINE_MAX && first == last {
                if end - start > LINE_MAX {
                    // miette asks whether two labels fit into one picture: these do not.
                    return Err(MietteError::OutOfBounds);
                }
                from = from.max(self.at_boundary(start.saturating_sub(LEAD)));
                to = to.min(self.at_boundary(end + LEAD));
            }
        }
        let column = self.text[self.lines[first]..start].chars().count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_string(),
            &self.text.as_bytes()[from..to],
            (from, to - from).into(),
            first,
            if context_before > 0 { 0 } else { column },
            last - first + 1,
        )))
    }
}

/// A diagnostic as miette wants it.
struct View<'a> {
    message: String,
    severity: Severity,
    text: Option<&'a Text<'a>>,
    labels: Vec<&'a Label>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for View<'_> {}

impl miette::Diagnostic for View<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let text = self.text?;
        Some(Box::new(self.labels.iter().enumerate().map(move |(number, label)| {
            let (start, end) = text.visible(label.span);
            let said = if label.text.is_empty() { None } else { Some(harmless(&label.text).into_owned()) };
            if number == 0 {
                LabeledSpan::new_primary_with_span(said, (start, end - start))
            } else {
                LabeledSpan::new_with_span(said, (start, end - start))
            }
        })))
    }
}
