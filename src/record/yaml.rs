//! The one module that knows serde_yaml, so that replacing it is one file.
//!
//! serde_yaml writes YAML 1.2 while PyYAML reads YAML 1.1: `1e-7` would come back as text, `no` as False,
//! `12:30` as 750. What is written here reads back equal in both.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest record that is read, in bytes.
pub const BYTES_MAX: u64 = 1 << 20;

/// A record as text. Panics when a type cannot be YAML, which the types of a record can.
pub fn write<T: Serialize>(value: &T) -> String {
    let text = serde_yaml::to_string(value).expect("a record's types are plain maps, lists and scalars");
    let mut out = String::with_capacity(text.len() + 64);
    // Indentation of the key whose literal block we are in; its lines are the user's text.
    let mut block: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(outer) = block {
            // The other characters that break lines in YAML 1.1 stand before the indentation of what follows them.
            if line.trim().is_empty() || indent > outer || line.starts_with(['\u{85}', '\u{2028}', '\u{2029}']) {
                out.push_str(line);
                continue;
            }
            block = None;
        }
        let bare = line.trim_end_matches('\n');
        let at = scalar_start(bare);
        let scalar = &bare[at..];
        if scalar.starts_with(['|', '>']) {
            block = Some(indent);
        }
        out.push_str(&bare[..at]);
        out.push_str(&plain(scalar));
        out.push('\n');
    }
    out
}

/// What stands before the digest in the last line of a sealed text. A comment, so that every reader of YAML passes
/// over it.
const SEAL: &str = "# digest of all above: ";

/// A text with its digest in a last line, and the digest.
pub fn seal(text: &str) -> (String, String) {
    let digest = crate::base::digest::bytes(text.as_bytes());
    (format!("{text}{SEAL}{digest}\n"), digest)
}

/// The digest in the last line of a text, if it is that of the text above it.
pub fn sealed(text: &str) -> Option<String> {
    let at = text.rfind(SEAL)?;
    let digest = crate::base::digest::bytes(&text.as_bytes()[..at]);
    (text[at + SEAL.len()..].strip_suffix('\n') == Some(digest.as_str())).then_some(digest)
}

/// Reads a record. The error is serde_yaml's sentence with line and column.
///
/// A record is a stranger's: what makes little text into much work (anchors with their aliases, brackets in
/// brackets, keys that are collections) is refused before serde_yaml builds anything of it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("it holds more than {BYTES_MAX} bytes"));
    }
    plain_structure(text)?;
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

/// Whether the text is made of the maps, lists and scalars that [`write`] makes, and of nothing that refers or nests
/// without bounds.
///
/// Which `&` or `[` is structure, and which stands in a name or in the text of a schedule, only a scanner of YAML
/// can tell, and two scanners may disagree. So the real one is asked: in a copy these characters are replaced by
/// `@`, which YAML allows wherever they are text and forbids wherever they are structure.
fn plain_structure(text: &str) -> Result<(), String> {
    let mut copy = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    // How many `- ` stand one behind the other: a list in a list in a list.
    const DASHES_MAX: usize = 16;
    let mut dashes = 0;
    while let Some(c) = characters.next() {
        dashes = match c {
            '-' => dashes + 1,
            ' ' => dashes,
            _ => 0,
        };
        let structure = match c {
            '&' | '*' => true,
            // An empty list or map is written `[]`, `{}`; every other one by its lines.
            '[' => characters.peek() != Some(&']'),
            '{' => characters.peek() != Some(&'}'),
            '-' if dashes > DASHES_MAX => characters.peek().is_none_or(|next| next.is_whitespace()),
            '?' => characters.peek().is_none_or(|next| next.is_whitespace()),
            _ => false,
        };
        copy.push(if structure { '@' } else { c });
    }
    let Err(error) = serde_yaml::from_str::<serde::de::IgnoredAny>(&copy) else { return Ok(()) };
    let Some(place) = error.location() else { return Err(error.to_string()) };
    // Copy and text have the same bytes at the same places.
    let kind = match text.get(place.index()..).and_then(|rest| rest.chars().next()) {
        Some('&') => "an anchor",
        Some('*') => "an alias",
        Some('[' | '{') => "a list or map in brackets",
        Some('?') => "a key that is no word",
        Some('-') => "a list in too many lists",
        _ => return Err(error.to_string()),
    };
    Err(format!("{kind} at line {} column {}, which no record has", place.line(), place.column()))
}

/// Where the scalar of a line begins: behind `- ` and `key: `.
fn scalar_start(line: &str) -> usize {
    let mut at = line.len() - line.trim_start_matches(' ').len();
    while line[at..].starts_with("- ") {
        at += 2;
    }
    if !line[at..].starts_with(['"', '\'']) {
        if let Some(colon) = line[at..].find(": ") {
            at += colon + 2;
        } else if line[at..].ends_with(':') {
            at = line.len();
        }
    }
    at
}

/// A scalar as both versions of YAML read it.
fn plain(scalar: &str) -> String {
    if scalar.is_empty() || scalar.starts_with(['"', '\'', '|', '>', '[', '{', '!', '&', '*']) {
        return scalar.into();
    }
    if let Some((mantissa, exponent)) = scalar.split_once('e')
        && is_number(mantissa)
        && is_whole(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
    {
        // serde_yaml quotes a text that is a number; what overflows it takes for no number, and writes it bare.
        if !scalar.parse::<f64>().is_ok_and(f64::is_finite) {
            return format!("'{scalar}'");
        }
        let mantissa = if mantissa.contains('.') { mantissa.to_string() } else { format!("{mantissa}.0") };
        let exponent = if exponent.starts_with(['+', '-']) { exponent.to_string() } else { format!("+{exponent}") };
        return format!("{mantissa}e{exponent}");
    }
    if surprises_yaml_1_1(scalar) { format!("'{scalar}'") } else { scalar.into() }
}

/// Digits alone, at least one.
fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Digits with at most one dot and perhaps a sign.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
        && digits.bytes().next().is_some_and(|b| b.is_ascii_digit())
}

/// Whether YAML 1.1 takes this text for something else than text, where YAML 1.2 does not.
fn surprises_yaml_1_1(scalar: &str) -> bool {
    let lower = scalar.to_ascii_lowercase();
    if matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "=" | "<<") {
        return true;
    }
    // What serde_yaml writes for our numbers; digits that are more than those hold are a text, which it leaves bare.
    let leading_zero = scalar.trim_start_matches('-').starts_with('0') && scalar.len() > 1;
    let ours = match scalar.contains('.') {
        true => scalar.parse::<f64>().is_ok_and(f64::is_finite),
        false => !leading_zero && (scalar.parse::<u64>().is_ok() || scalar.parse::<i64>().is_ok()),
    };
    if is_number(scalar) && ours {
        return false;
    }
    // 12:30, 1_000, 017, 0b1, 2001-12-14, .5e1: begins like a number and holds nothing but a number's characters.
    let starts = scalar.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    starts
        && scalar.bytes().any(|b| b.is_ascii_digit())
        && scalar.bytes().all(|b| b.is_ascii_hexdigit() || b"_:.+-xobTtZz ".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        texts: Vec<String>,
        numbers: Vec<f64>,
        whole: Vec<u64>,
        flag: bool,
        none: Option<f64>,
        nested: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        name: String,
        text: String,
    }

    fn sample() -> Sample {
        let texts = [
            "no",
            "on",
            "Off",
            "y",
            "12:30",
            "1:2:3.5",
            "1_000",
            "010",
            "0x1f",
            "0b1",
            "1e5",
            "1e-7",
            "1.5",
            ".5",
            "2001-12-14",
            "2001-12-14 21:59:43",
            "=",
            "<<",
            "~",
            "null",
            "true",
            "",
            " padded ",
            "a: b",
            "- a",
            "#x",
            "it's",
            "tab\there",
            "line\nline\n",
            "\nleading",
            "trailing\n\n",
            "  indented\nkey: 1e-7\n",
            "h2 32 → 256",
            "blake3:4f1c",
            "+1",
            "51453479e6375796",
            "1e999",
            "-1.5e400",
            "1234567e7654321",
            "-",
            "1e",
            "1e-",
            "1e+-5",
            "1e6666",
            "-1.5e+400",
            "999999999999999999999999999999999999999999",
            "-99999999999999999999",
            "e5",
            ".inf",
            ".nan",
            "-.INF",
            "1.",
            "\u{7}",
            "x\r\ny",
            "a\n\u{2028}b\n1_000\nno",
            "\u{2029}\n12:30\n",
            "\u{85}\nno\n",
        ];
        Sample {
            texts: texts.iter().map(|text| text.to_string()).collect(),
            numbers: vec![1e-7, 1e16, 1.5e300, 0.1, -2.5e-9, 0.0, 3.0, -1e22, 123456.789, 5e-324],
            whole: vec![0, 7, u64::MAX],
            flag: true,
            none: None,
            nested: texts.iter().map(|text| Inner { name: text.to_string(), text: format!("a\n{text}\n") }).collect(),
        }
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let text = write(&sample());
        assert_eq!(read::<Sample>(&text).expect("our own output"), sample(), "{text}");
    }

    #[test]
    fn what_refers_or_nests_is_refused_with_its_place() {
        let cases = [
            ("a: &x 1\nb: *x\n", "an anchor at line 1 column 4"),
            ("a: 1\nb: *x\n", "an alias at line 2 column 4"),
            ("- &x [*x]\n", "an anchor at line 1 column 3"),
            ("a: [1, 2]\n", "a list or map in brackets at line 1 column 4"),
            ("a: {b: 1}\n", "a list or map in brackets at line 1 column 4"),
            ("? a\n: 1\n", "a key that is no word at line 1 column 1"),
            (&"- ".repeat(20), "a list in too many lists at line 1 column 33"),
            // A literal block that ends where a careless scanner would not see it.
            ("a: |\n    x\n  y\nb: &x 1\n", "did not find expected key"),
            ("a: |\n  x\nb: &x 1\n", "an anchor at line 3 column 4"),
            ("a: \"x\"\nb: &x 1\n", "an anchor at line 2 column 4"),
            ("a: é\nb: &x 1\n", "an anchor at line 2 column 4"),
        ];
        for (text, told) in cases {
            let error = read::<serde::de::IgnoredAny>(text).expect_err(text);
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_same_characters_in_a_text_are_read() {
        for text in [
            "&x",
            "*x",
            "a & *b*",
            "[1]",
            "{a: b}",
            "?x",
            "? x",
            "a ? b",
            &"- ".repeat(40),
            "-----------------------",
            "f(&x, *x) [0] {1}\n*x &x\n",
            "@",
        ] {
            let written = write(&vec![text, "*x", "&x"]);
            assert_eq!(read::<Vec<String>>(&written).expect("our own output"), [text, "*x", "&x"], "{written}");
        }
        // By another writer, without quotes.
        assert_eq!(read::<Vec<String>>("- R & D *x [1] {2} ? y\n").expect("plain"), ["R & D *x [1] {2} ? y"]);
        assert_eq!(read::<Vec<Vec<u8>>>("- []\n").expect("an empty list"), [Vec::<u8>::new()]);
    }

    #[test]
    fn floats_and_words_are_written_as_pyyaml_reads_them() {
        #[derive(Serialize)]
        struct Doc {
            a: f64,
            b: f64,
            c: &'static str,
            d: &'static str,
            e: &'static str,
            f: u64,
        }
        let text = write(&Doc { a: 1e-7, b: 2.5e16, c: "no", d: "12:30", e: "1_000", f: 10 });
        assert_eq!(text, "a: 1.0e-7\nb: 2.5e+16\nc: 'no'\nd: '12:30'\ne: '1_000'\nf: 10\n");
    }

    #[test]
    fn digits_beyond_every_number_are_a_text_in_pyyaml_too() {
        let (whole, fraction) = ("9".repeat(60), format!("{}.5", "1".repeat(400)));
        let text = write(&[whole.as_str(), fraction.as_str(), "1e6666"]);
        assert_eq!(text, format!("- '{whole}'\n- '{fraction}'\n- '1e6666'\n"));
    }

    #[test]
    fn a_schedule_stays_as_it_was() {
        #[derive(Serialize)]
        struct Doc {
            text: &'static str,
            after: f64,
        }
        let text = write(&Doc { text: "lr: 1e-3\nno: on\n", after: 1e-3 });
        assert_eq!(text, "text: |\n  lr: 1e-3\n  no: on\nafter: 0.001\n");
    }
}
