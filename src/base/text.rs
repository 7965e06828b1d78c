//! Foreign text on its way to a terminal: names from files, tables and records.
//!
//! This is the only place that decides which characters are harmless. Whatever shows a name that somebody else
//! chose (diagnostics, tables, progress) lets it pass through here.

use std::borrow::Cow;

/// The same number of bytes in which no character moves the cursor, changes colours or reverses the direction
/// of reading. Lines and tabs stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let harms = |c: char| (c.is_control() && !matches!(c, '\n' | '\t' | '\r')) || is_invisible(c);
    masked(text, harms, |out, c| out.extend(std::iter::repeat_n('?', c.len_utf8())))
}

/// The same number of characters for what stands on one line, such as a name: lines and tabs are masked too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    masked(text, |c| c.is_control() || is_invisible(c), |out, _| out.push('?'))
}

/// JSON that says the same in characters that a terminal only shows. Inside of strings alone can others stand.
pub fn json(text: &str) -> Cow<'_, str> {
    let harms = |c: char| (c.is_control() && c != '\n') || is_invisible(c);
    masked(text, harms, |out, c| out.push_str(&format!("\\u{:04x}", u32::from(c))))
}

/// A foreign name on one line, cut to a length that a message can bear. Masked here, since not every way to a reader
/// masks what it is given: a message becomes part of an error, a comment or a file.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", one_line(&text[..at])),
        None => one_line(text).into_owned(),
    }
}

/// Characters without a shape of their own that change how their neighbours are read.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn masked(text: &str, harms: impl Fn(char) -> bool, mask: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&harms) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if harms(c) { mask(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_masked_byte_for_byte() {
        let foreign = "a\u{1b}[2J\u{7}\u{9b}31m\u{202e}b\r\n\tc";
        assert_eq!(harmless(foreign), "a?[2J???31m???b\r\n\tc");
        assert_eq!(one_line(foreign), "a?[2J??31m?b???c");
        assert_eq!(json("{\"a\":\"\u{9b}\u{7f}\"}\n"), "{\"a\":\"\\u009b\\u007f\"}\n");
        assert_eq!(harmless(foreign).len(), foreign.len());
        assert!(matches!(harmless("größe 水"), Cow::Borrowed(_)), "letters of any script stay");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(short("kurz"), "kurz");
        assert_eq!(short(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
    }

    #[test]
    fn a_short_name_is_one_line_that_steers_nothing() {
        assert_eq!(short("a\r\nb\t\u{1b}[2J\u{202e}c"), "a??b??[2J?c");
        assert_eq!(short(&"\r".repeat(50)), format!("{}…", "?".repeat(40)));
    }
}
