//! The frame of a page and its building blocks.

use super::markup::{Markup, cut};

/// The first line of every file made here: `report` overwrites nothing else.
pub const MARK: &str = "a report of growrun";
/// What the browser itself holds: nothing is fetched, nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A whole page.
pub fn page(title: &str, body: impl FnOnce(&mut Markup)) -> String {
    let mut m = Markup::new();
    m.own("<!doctype html>\n<!-- a report of growrun -->\n");
    m.tag("html", &[("lang", "en")], |m| {
        m.line();
        m.tag("head", &[], |m| {
            m.empty("meta", &[("charset", "utf-8")]);
            m.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            m.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            m.empty("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            m.empty("meta", &[("name", "referrer"), ("content", "no-referrer")]);
            // Else some browsers ask for an icon beside the file.
            m.empty("link", &[("rel", "icon"), ("href", "data:,")]);
            m.leaf("title", &[], &cut(title, 200));
            m.tag("style", &[], |m| {
                m.own(include_str!("figure.css"));
                m.own(include_str!("style.css"));
            });
        });
        m.line();
        m.tag("body", &[], |m| {
            patterns(m);
            body(m);
        });
    });
    m.line();
    m.into_string()
}

/// The hatching of what is fresh, which all drawings of the page share.
pub fn patterns(m: &mut Markup) {
    let svg = [
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("class", "patterns"),
        ("width", "0"),
        ("height", "0"),
        ("aria-hidden", "true"),
    ];
    m.tag("svg", &svg, |m| {
        let pattern = [
            ("id", "hatch"),
            ("patternUnits", "userSpaceOnUse"),
            ("width", "5"),
            ("height", "5"),
            ("patternTransform", "rotate(45)"),
        ];
        m.tag("pattern", &pattern, |m| {
            m.empty("rect", &[("class", "hatch-ground"), ("width", "5"), ("height", "5")]);
            m.empty("rect", &[("class", "hatch-line"), ("width", "2"), ("height", "5")]);
        });
    });
    m.line();
}

/// A part of the page with its heading.
pub fn section(m: &mut Markup, id: &str, title: &str, inside: impl FnOnce(&mut Markup)) {
    let heading = format!("{id}-heading");
    m.tag("section", &[("id", id), ("aria-labelledby", &heading)], |m| {
        m.leaf("h2", &[("id", &heading)], title);
        inside(m);
    });
    m.line();
}

/// A number that matters, with what it is.
pub fn card(m: &mut Markup, what: &str, value: &str, about: &str) {
    m.tag("div", &[("class", "card")], |m| {
        m.leaf("dt", &[], what);
        m.tag("dd", &[], |m| {
            // A number and its unit stay together.
            m.leaf("b", &[], &value.replace(' ', "\u{a0}"));
            if !about.is_empty() {
                m.leaf("span", &[], about);
            }
        });
    });
}

/// Figures side by side where there is room.
pub fn grid(m: &mut Markup, figures: impl IntoIterator<Item = Option<Markup>>) {
    m.tag("div", &[("class", "grid-of-figures")], |m| {
        for figure in figures.into_iter().flatten() {
            m.tag("figure", &[("class", "chart")], |m| m.add(&figure));
        }
    });
}

/// A table in a box of its own, which scrolls where the page is narrow.
pub fn table(m: &mut Markup, label: &str, head: &[&str], rows: impl FnOnce(&mut Markup)) {
    // A box that scrolls has to be reachable by the keyboard.
    m.tag("div", &[("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", label)], |m| {
        m.tag("table", &[], |m| {
            m.tag("thead", &[], |m| {
                m.tag("tr", &[], |m| head.iter().for_each(|cell| m.leaf("th", &[("scope", "col")], cell)))
            });
            m.tag("tbody", &[], rows);
        });
    });
}

/// Names and what they are.
pub fn facts(m: &mut Markup, title: &str, facts: &[(&str, String)]) {
    m.tag("div", &[("class", "facts")], |m| {
        m.leaf("h3", &[], title);
        m.tag("dl", &[], |m| {
            for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                m.leaf("dt", &[], &cut(name, 80));
                m.leaf("dd", &[], &cut(value, 1000));
            }
        });
    });
}

/// What has to be known before anything else.
pub fn banner(m: &mut Markup, kind: &str, word: &str, text: &str) {
    m.tag("p", &[("class", &format!("banner {kind}")), ("role", "note")], |m| {
        m.leaf("strong", &[], word);
        m.text(" ");
        m.text(&cut(text, 2000));
    });
}

/// Commands, one a line.
pub fn commands(m: &mut Markup, lines: &[(String, &str)]) {
    m.tag("pre", &[("class", "commands"), ("tabindex", "0")], |m| {
        m.tag("code", &[], |m| {
            let wide = lines.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0).min(60);
            for (command, about) in lines {
                m.text(&cut(command, 2000));
                if !about.is_empty() {
                    let gap = " ".repeat((wide + 3).saturating_sub(command.chars().count()).max(3));
                    m.text(&gap);
                    m.leaf("span", &[("class", "co")], &format!("# {about}"));
                }
                m.text("\n");
            }
        });
    });
}

/// A word that may have blanks, as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,%@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The last lines of a page.
pub fn footer(m: &mut Markup, version: &crate::record::schema::Version) {
    m.tag("footer", &[], |m| {
        m.tag("p", &[], |m| {
            m.text(&format!(
                "Made by growrun {} from the record of growrun {} (commit {}, numerics {}, random streams {}). ",
                env!("CARGO_PKG_VERSION"),
                cut(&version.version, 40),
                cut(&version.commit, 40),
                version.numerics,
                cut(&version.streams, 60)
            ));
            m.text("This file is complete in itself: it asks for nothing and runs no script.");
        });
    });
}
