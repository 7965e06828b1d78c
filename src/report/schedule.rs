//! The schedule as its author wrote it, with line numbers and colours by the language's own lexemes.

use super::markup::Markup;
use crate::record::schema::File;
use crate::syntax::{self, Lexeme};

/// Of all files together; the record holds the rest.
const SHOWN_BYTES: usize = 200 << 10;
/// Colour makes a hostile text ten times as long, so a text past this has none.
const COLOURED_BYTES: usize = 48 << 10;

fn class(lexeme: Lexeme) -> Option<&'static str> {
    match lexeme {
        Lexeme::Keyword => Some("kw"),
        Lexeme::Number => Some("nu"),
        Lexeme::Text => Some("st"),
        Lexeme::Comment => Some("co"),
        Lexeme::Word | Lexeme::Punctuation => None,
    }
}

/// All files of a schedule, the first of which includes the others.
pub fn listing(m: &mut Markup, files: &[File]) {
    let mut left = SHOWN_BYTES;
    for (at, file) in files.iter().enumerate() {
        if left == 0 {
            let more = format!("{} more files are in the record.", files.len() - at);
            m.leaf("p", &[("class", "note")], &more);
            break;
        }
        let end = (0..=file.text.len().min(left)).rev().find(|end| file.text.is_char_boundary(*end)).unwrap_or(0);
        let text = &file.text[..end];
        left -= end;
        m.tag("figure", &[("class", "listing")], |m| {
            m.leaf("figcaption", &[], &super::markup::cut(&file.name, 200));
            m.tag("pre", &[("tabindex", "0")], |m| m.tag("code", &[], |m| lines(m, text)));
            if end < file.text.len() {
                let more = format!("{} more bytes are in the record.", file.text.len() - end);
                m.leaf("p", &[("class", "note")], &more);
            }
        });
    }
}

/// Each line in an element of its own, which numbers it; nothing is added to the text, so that it can be copied.
fn lines(m: &mut Markup, text: &str) {
    let lexemes = if text.len() <= COLOURED_BYTES { syntax::lexemes(text) } else { Vec::new() };
    let mut next = lexemes.iter().peekable();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        m.tag("span", &[("class", "l")], |m| {
            let mut at = start;
            while let Some((range, lexeme)) = next.next_if(|(range, _)| range.start < end) {
                let (from, to) = (range.start.max(at), range.end.min(end));
                if let Some(class) = class(*lexeme).filter(|_| from < to) {
                    m.text(&text[at..from]);
                    m.leaf("span", &[("class", class)], text[from..to].trim_end_matches('\n'));
                    at = to;
                }
            }
            m.text(text[at..end].trim_end_matches('\n'));
        });
        m.line();
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut m = Markup::new();
        lines(&mut m, text);
        m.into_string()
    }

    #[test]
    fn a_listing_holds_the_text_and_nothing_else() {
        let html = shown("at epoch 2 widen h1 to 8 # <b>\nexperiment \"a & b\"\r\n\nlast");
        assert_eq!(
            html,
            "<span class=\"l\"><span class=\"kw\">at</span> epoch <span class=\"nu\">2</span> widen h1 to \
             <span class=\"nu\">8</span> <span class=\"co\"># &lt;b&gt;</span></span>\n\
             <span class=\"l\"><span class=\"kw\">experiment</span> <span class=\"st\">&quot;a &amp; b&quot;</span></span>\n\
             <span class=\"l\"></span>\n<span class=\"l\">last</span>\n"
        );
    }

    #[test]
    fn a_hostile_text_is_bounded() {
        let mut m = Markup::new();
        let file = |text: String| File { name: "a.grow".into(), text };
        listing(&mut m, &[file("1;".repeat(400_000)), file("x".into())]);
        assert!(m.len() < 2_000_000, "{}", m.len());
        let text = m.into_string();
        let told = ["more bytes are in the record", "1 more files"];
        assert!(told.iter().all(|word| text.contains(word)), "{}", &text[text.len() - 400..]);
    }
}
