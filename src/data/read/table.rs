//! Text tables: one example a row, numbers in every column but the target's.
//!
//! The separator (comma, semicolon or tab) and the header line are found by looking; what was found wrong
//! is said with file, line and column.

use crate::base::Refusal;
use crate::base::text::short;
use crate::data::place::nearest;

/// The column to predict.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Last,
    Name(String),
    /// A column of that name, else the column of that number, from 1.
    Number(u64),
}

/// A table that was read: features as numbers, targets still as text.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names of the header line; without one, the columns are called 1, 2, 3, …
    pub columns: Vec<String>,
    /// Which of them is the target.
    pub target: usize,
    /// [targets.len(), columns.len() − 1]
    pub features: Vec<f32>,
    pub targets: Vec<Field>,
}

/// The text of a field and the line that it stands on.
#[derive(Clone, Debug)]
pub struct Field {
    pub text: String,
    pub line: u64,
}

/// Columns beyond this are a file that is no table.
const COLUMNS_MAX: usize = 1_000_000;

/// Reads a table. `name` is shown in messages.
pub fn read(name: &str, bytes: &[u8], wanted: &Wanted) -> Result<Table, Refusal> {
    let text = text(name, bytes)?;
    let separator = separator(text);
    let reader = || {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(separator)
            .from_reader(text.as_bytes())
    };
    let broken =
        |error: csv::Error| Refusal::error("G0709", format!("`{name}` is no table: {error}"), "save it as CSV again");

    let mut first_rows = reader().into_records();
    let Some(first) = first_rows.next().transpose().map_err(broken)? else {
        return Err(no_examples(name, "it is empty"));
    };
    let second = first_rows.next().transpose().map_err(broken)?;
    if first.len() > COLUMNS_MAX {
        return Err(Refusal::error(
            "G0709",
            format!("`{name}` has {} columns; at most {COLUMNS_MAX} are read", first.len()),
            "put one example on each line",
        ));
    }
    let named = is_header(&first, second.as_ref());
    let columns: Vec<String> = match named {
        true => first.iter().map(str::to_string).collect(),
        false => (1..=first.len()).map(|number| number.to_string()).collect(),
    };
    let target = find_target(name, &columns, named, wanted)?;
    if columns.len() < 2 {
        return Err(Refusal::error(
            "G0709",
            format!("`{name}` has a single column, which leaves no feature"),
            "separate the columns with commas, semicolons or tabs",
        ));
    }

    let mut table = Table { columns, target, features: Vec::new(), targets: Vec::new() };
    let mut record = csv::StringRecord::new();
    let mut rows = reader();
    let mut skip = named;
    while rows.read_record(&mut record).map_err(broken)? {
        if std::mem::take(&mut skip) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != table.columns.len() {
            return Err(Refusal::error(
                "G0709",
                format!("`{name}`:{line}: the row has {} fields, the first has {}", record.len(), table.columns.len()),
                "give every row the same columns; text with separators in it belongs in quotes",
            ));
        }
        for (column, text) in record.iter().enumerate() {
            if column == target {
                if is_missing(text) {
                    return Err(missing(name, line, &table.columns[column], text));
                }
                table.targets.push(Field { text: text.to_string(), line });
            } else {
                table.features.push(number(name, line, &table.columns[column], text)?);
            }
        }
    }
    if table.targets.is_empty() {
        return Err(no_examples(name, "it has a header line and nothing else"));
    }
    Ok(table)
}

/// A finite number, or what is wrong with the field.
pub fn number(name: &str, line: u64, column: &str, text: &str) -> Result<f32, Refusal> {
    let place = || format!("`{name}`:{line}: column `{}`", short(column));
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ if is_missing(text) => Err(missing(name, line, column, text)),
        Ok(_) => Err(Refusal::error(
            "G0710",
            format!("{} holds `{}`, which is not finite as f32", place(), short(text)),
            "remove the row, or put a number in its place",
        )),
        Err(_) => Err(Refusal::error(
            "G0710",
            format!("{} holds `{}`, which is no number", place(), short(text)),
            "encode it as numbers (one column per kind), or remove the column",
        )),
    }
}

fn missing(name: &str, line: u64, column: &str, text: &str) -> Refusal {
    let said = if text.is_empty() { "is empty".to_string() } else { format!("holds `{text}`") };
    Refusal::error(
        "G0710",
        format!("`{name}`:{line}: column `{}` {said}: the value is missing", short(column)),
        "fill in a value, or remove the row",
    )
}

/// What tables write where there is no value. Infinities are values, if useless ones.
fn is_missing(text: &str) -> bool {
    text.is_empty()
        || text == "?"
        || ["na", "n/a", "nan", "-nan", "+nan", "null", "none"].contains(&text.to_ascii_lowercase().as_str())
}

fn is_number(text: &str) -> bool {
    text.parse::<f32>().is_ok_and(|value| !value.is_nan())
}

fn is_word(text: &str) -> bool {
    !is_number(text) && !is_missing(text)
}

/// A header line has a word above a number, or words only.
fn is_header(first: &csv::StringRecord, second: Option<&csv::StringRecord>) -> bool {
    first.iter().all(is_word)
        || second.is_some_and(|second| first.iter().zip(second).any(|(name, value)| is_word(name) && is_number(value)))
}

fn find_target(name: &str, columns: &[String], named: bool, wanted: &Wanted) -> Result<usize, Refusal> {
    let by_name = |wanted: &str| columns.iter().position(|column| column == wanted);
    let (text, found) = match wanted {
        Wanted::Last => return Ok(columns.len() - 1),
        Wanted::Name(text) => (text.clone(), by_name(text)),
        Wanted::Number(number) => {
            let at = usize::try_from(*number).ok().and_then(|n| n.checked_sub(1)).filter(|&at| at < columns.len());
            (number.to_string(), by_name(&number.to_string()).or(at))
        }
    };
    found.ok_or_else(|| {
        let help = if !named {
            format!("it has no header line; write the number of the column, 1 to {}", columns.len())
        } else if let Some(near) = nearest(&text, columns.iter().map(String::as_str)) {
            format!("did you mean `{near}`?")
        } else {
            let listed: Vec<String> = columns.iter().take(20).map(|column| format!("`{}`", short(column))).collect();
            let more = if columns.len() > 20 { ", …" } else { "" };
            format!("its columns are {}{more}", listed.join(", "))
        };
        Refusal::error("G0711", format!("`{name}` has no column `{text}`"), help).at("target").here("no such column")
    })
}

/// The text without its byte-order mark.
fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Refusal> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Refusal::error(
            "G0707",
            format!("`{name}`:{line}: the text is not UTF-8"),
            "save the file as UTF-8; a spreadsheet offers `CSV UTF-8`",
        )
    })
}

/// The most frequent of comma, semicolon and tab on the first line; a comma when there is none.
fn separator(text: &str) -> u8 {
    let first = text.trim_start().lines().next().unwrap_or("").as_bytes();
    let count = |separator: u8| first.iter().filter(|&&byte| byte == separator).count();
    // The last of equals wins, so the comma stands last.
    [b'\t', b';', b','].into_iter().max_by_key(|&separator| count(separator)).unwrap_or(b',')
}

fn no_examples(name: &str, why: &str) -> Refusal {
    Refusal::error("G0708", format!("`{name}` holds no example: {why}"), "name a file with one example on each line")
}
