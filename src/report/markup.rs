//! Marks and text, for HTML and SVG alike: whatever is not a tag of ours is escaped, so that no name of a stranger can
//! become one.
//!
//! Tags are closed by the function that opens them, so every page and figure is well-formed XML.

use crate::base::text::harmless;

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Markup(String);

impl Markup {
    pub fn new() -> Markup {
        Markup::default()
    }

    /// An element with what `inside` puts into it.
    pub fn tag(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Markup)) {
        self.open(name, attributes);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with a text.
    pub fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.tag(name, attributes, |m| m.text(text));
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.open(name, attributes);
        self.0.push_str("/>");
    }

    /// Anybody's text.
    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    /// What is already markup.
    pub fn add(&mut self, other: &Markup) {
        self.0.push_str(&other.0);
    }

    /// A text of this program that may hold marks, such as its style sheet. Never a stranger's.
    pub fn own(&mut self, text: &'static str) {
        self.0.push_str(text);
    }

    pub fn line(&mut self) {
        self.0.push('\n');
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn into_string(self) -> String {
        self.0
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push(' ');
            self.0.push_str(key);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
    }
}

/// Appends a text in which no character is a mark, moves the cursor or is forbidden in XML.
fn escape(text: &str, out: &mut String) {
    for c in harmless(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => {}
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
    }
}

/// A coordinate: one decimal is a tenth of a pixel.
pub fn px(x: f64) -> String {
    if !x.is_finite() {
        return "0".into();
    }
    let text = format!("{x:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}

/// A foreign text cut to a length that a page can bear.
pub fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_never_becomes_a_tag() {
        let mut m = Markup::new();
        let name = "</script><img src=http://evil onerror='x'>&\u{1b}[2J\u{202e}\u{ffff}\r\n";
        m.leaf("td", &[("title", name)], name);
        let told = "&lt;/script&gt;&lt;img src=http://evil onerror=&#39;x&#39;&gt;&amp;?[2J????\n";
        assert_eq!(m.into_string(), format!("<td title=\"{told}\">{told}</td>"));
    }

    #[test]
    fn coordinates_are_short_and_never_nan() {
        let cases = [(1.0, "1"), (1.25, "1.2"), (-0.01, "0"), (f64::NAN, "0"), (f64::INFINITY, "0"), (12.06, "12.1")];
        for (x, text) in cases {
            assert_eq!(px(x), text, "{x}");
        }
    }
}
