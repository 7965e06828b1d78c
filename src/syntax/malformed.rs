//! A statement whose first word is known and whose form is wrong: what was expected, and where.

use super::grammar::{self, Rule};
use crate::base::{Diagnostic, Span};

/// `slice` is the statement as the grammar saw it, `span` its place.
pub fn explain(word: &str, slice: &str, span: Span) -> Diagnostic {
    let (rule, form) = match word {
        "let" => (Rule::strict_let, "let width = 256"),
        "include" => (Rule::strict_include, "include \"common/digits.grow\""),
        "sweep" => (Rule::strict_sweep, "sweep width in [128, 256]"),
        "arm" => (Rule::strict_arm, "arm grown { at 30% widen h2 by 2x }"),
        "every" => (Rule::strict_event, "every 10 epochs widen h2 by 2x"),
        "during" => (Rule::strict_event, "during epoch 5..10 freeze h1"),
        "when" => (Rule::strict_event, "when val_loss plateaus for 5 epochs widen h2 by 2x"),
        _ => (Rule::strict_event, "at epoch 20 widen h2 to 256"),
    };
    let form = format!("the form is `{form}`");
    let Err(stop) = grammar::read(rule, slice) else {
        return Diagnostic::error("G0001", span, format!("`{word}` cannot stand here")).help(form);
    };
    // The place may lie before blanks; what was found there is the next piece.
    let at = slice.len() - slice[stop.at..].trim_start_matches([' ', '\t']).len();
    let before = tail(slice[..at].trim_end());
    let mut expected: Vec<&str> = Vec::new();
    for text in stop.expected.iter().filter_map(|rule| describe(*rule, word)) {
        if !expected.contains(&text) {
            expected.push(text);
        }
    }
    let last = last_piece(before);
    if expected == ["a number"] && matches!(last, "every" | "cooldown" | "for") {
        expected = vec!["a duration such as `5 epochs`"];
    }
    if expected.is_empty() {
        expected.push("the end of the statement");
    }
    let message = format!("expected {} after `{before}`", super::suggest::any_of(&expected));
    let found: &str = piece(&slice[at..]);
    let start = span.start as usize;
    if found.is_empty() {
        // A label of no length would vanish: the last piece stands for what is missing behind it.
        let end = slice[..at].trim_end().len();
        let begin = end - last_piece(&slice[..end]).len();
        let place = Span::new(span.file, start + begin, start + end);
        return Diagnostic::error("G0001", place, message).here("the statement ends here").help(form);
    }
    let place = Span::new(span.file, start + at, start + at + found.len());
    Diagnostic::error("G0001", place, message).here(format!("found `{}`", super::atoms::short(found))).help(form)
}

/// What a reader calls the thing that a rule stands for; `None` for what is only one of many ways on.
fn describe(rule: Rule, word: &str) -> Option<&'static str> {
    Some(match rule {
        Rule::name if word == "arm" => "the arm's name",
        Rule::name => "a name",
        Rule::equals => "`=`",
        Rule::literal => "a value",
        Rule::text => "a path in quotes",
        Rule::in_word => "`in`",
        Rule::list => "a list such as `[128, 256]`",
        Rule::item => "a value",
        Rule::arm_body => "`{`",
        Rule::point => "a point in time",
        Rule::duration => "a duration such as `5 epochs`",
        Rule::value => "a number",
        Rule::stretch | Rule::range => "a stretch of time such as `epoch 5..10`",
        Rule::condition => "a condition",
        Rule::comparison => "a comparison such as `> 95%`",
        Rule::plateau | Rule::plateaus => "`plateaus for`",
        Rule::for_word => "`for`",
        Rule::phrase | Rule::body => "an action",
        _ => return None,
    })
}

/// The piece at the beginning of `text`: a word, a number, a mark.
fn piece(text: &str) -> &str {
    let end = text.find([' ', '\t', '\n', '\r', ';', '{', '}', ',', '[', ']', '#']).unwrap_or(text.len());
    match (end, text.chars().next()) {
        (0, Some(first)) if !first.is_whitespace() => &text[..first.len_utf8()],
        _ => &text[..end],
    }
}

fn last_piece(text: &str) -> &str {
    text.rsplit([' ', '\t', '\n', '\r', ';']).next().unwrap_or(text)
}

/// The last words of what came before, enough to find the place by.
fn tail(text: &str) -> &str {
    if text.len() <= 40 && !text.contains(['\n', '\r']) {
        return text;
    }
    // A hostile piece can be a megabyte long; its end says where we are.
    let mut start = text.len().saturating_sub(60);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let near = &text[start..];
    let third = near.rmatch_indices([' ', '\t', '\n', '\r', ';', '{']).nth(2).map_or(0, |(at, _)| at + 1);
    near[third..].trim_start()
}
