//! `growrun new`: a commented schedule to begin with, for the built-in digits, for a reader's own table, or for
//! trained weights.

mod weights;

use super::arguments::New;
use super::render::{from_error, without_place};
use super::terminal::{note, say};
use super::{Context, exit};
use crate::base::text::one_line;
use crate::base::{Diagnostic, Sources};
use std::collections::BTreeSet;
use std::path::Path;

/// The schedule that `growrun new` writes.
pub const STARTER: &str = include_str!("starter.grow");

/// Bytes of a table that are looked at.
const TABLE_MAX: u64 = 256 << 20;

pub fn run(context: &Context, new: &New) -> i32 {
    let mut data = None;
    let text = match &new.from {
        Some(file) if weights::is_weights(context, file) => {
            match weights::schedule(context, file, new.out.as_deref()) {
                Ok((text, needed)) => {
                    data = needed;
                    Ok(text)
                }
                Err(stop) => return stop.tell(context, false),
            }
        }
        None => Ok(STARTER.to_string()),
        Some(table) => from_table(context, table, new.out.as_deref()),
    };
    let text = match text {
        Ok(text) => text,
        Err(diagnostic) => {
            let world = diagnostic.code.starts_with("G08");
            let code = context.refuse(&[diagnostic], &Sources::default(), false);
            return if world { exit::WORLD } else { code };
        }
    };
    let Some(out) = &new.out else {
        say(&text);
        if let Some(data) = data {
            note(&format!("the weights are found by `growrun FILE {data}`\n"));
        }
        return exit::OK;
    };
    match context.world.entry(out) {
        Ok(None) => {}
        Ok(Some(_)) => {
            let diagnostic = without_place(
                "G0801",
                format!("`{}` is already there, and nothing is overwritten", out.display()),
                "choose another name, or remove the file first",
            );
            context.refuse(&[diagnostic], &Sources::default(), false);
            return exit::WORLD;
        }
        Err(error) => return context.world_failed(&error, false),
    }
    if let Err(error) = context.world.write(out, text.as_bytes()) {
        return context.world_failed(&error, false);
    }
    let data = data.map_or(String::new(), |data| format!(" {data}"));
    note(&format!("wrote {}\nnext  growrun {}{data}\n", out.display(), out.display()));
    exit::OK
}

/// What a table's header and values tell.
#[derive(Debug, PartialEq)]
struct Guess {
    target: String,
    /// Distinct classes; `None` for regression.
    classes: Option<usize>,
    features: usize,
    rows: usize,
    /// Columns besides the target that hold something else than numbers.
    words: Vec<String>,
}

fn from_table(context: &Context, table: &Path, out: Option<&Path>) -> Result<String, Diagnostic> {
    let content = context.world.read(table, TABLE_MAX).map_err(|error| from_error(&error))?;
    let guess = guess(&content).map_err(|reason| {
        without_place(
            "G0701",
            format!("`{}` {reason}", table.display()),
            "a CSV needs a header with the names of its columns and at least one row of values",
        )
    })?;
    // A schedule reads what lies beneath its own folder; anything else is named on the command line.
    let folder = out.and_then(Path::parent).unwrap_or(Path::new(""));
    let beneath = table.strip_prefix(folder).ok().filter(|_| table.is_relative() && !table.starts_with(".."));
    Ok(write(&guess, table, beneath))
}

fn guess(content: &[u8]) -> Result<Guess, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(false).from_reader(content);
    let mut records = reader.records().map(|record| record.map_err(|error| format!("is no table: {error}")));
    let header = records.next().ok_or("is empty")??;
    let names: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
    let has_header = names.iter().all(|name| !name.is_empty() && name.parse::<f64>().is_err());
    if !has_header {
        return Err("has no header: its first line holds numbers or empty cells".into());
    }
    if names.len() < 2 {
        return Err("has one column only, so there is nothing to predict it from".into());
    }
    // Enough distinct values to tell a class from a number.
    const DISTINCT_MAX: usize = 1000;
    let mut columns: Vec<(bool, bool, BTreeSet<String>)> = vec![(true, true, BTreeSet::new()); names.len()];
    let mut rows = 0;
    for record in records {
        let record = record?;
        rows += 1;
        for (cell, (numeric, whole, distinct)) in record.iter().zip(&mut columns) {
            let cell = cell.trim();
            let number = cell.parse::<f64>().ok();
            *numeric &= number.is_some();
            *whole &= number.is_some_and(|number| number.fract() == 0.0);
            if distinct.len() < DISTINCT_MAX {
                distinct.insert(cell.to_string());
            }
        }
    }
    if rows == 0 {
        return Err("has a header and no rows".into());
    }
    const USUAL: [&str; 8] = ["target", "label", "class", "y", "outcome", "species", "category", "price"];
    let at = USUAL
        .iter()
        .find_map(|usual| names.iter().position(|name| name.eq_ignore_ascii_case(usual)))
        .unwrap_or(names.len() - 1);
    let (numeric, whole, distinct) = &columns[at];
    // Few whole numbers, each met often, are classes; other numbers are amounts.
    let is_class = !numeric || (*whole && distinct.len() <= 30 && distinct.len() * 5 <= rows);
    Ok(Guess {
        target: names[at].clone(),
        classes: is_class.then_some(distinct.len()),
        features: names.len() - 1,
        rows,
        words: names
            .iter()
            .zip(&columns)
            .enumerate()
            .filter(|(column, (_, (numeric, ..)))| *column != at && !numeric)
            .map(|(_, (name, _))| name.clone())
            .collect(),
    })
}

fn write(guess: &Guess, table: &Path, beneath: Option<&Path>) -> String {
    let stem = table.file_stem().map_or("table".into(), |stem| stem.to_string_lossy().into_owned());
    // Nothing that stands in the table may become a statement, or a command to the terminal.
    let quoted = |text: &str| one_line(text).replace(['"', '\\'], "_");
    let stem = quoted(&stem);
    let (path, hint) = match beneath {
        Some(path) => (quoted(&path.to_string_lossy()), String::new()),
        None => (
            stem.clone(),
            format!(
                "# The table lies elsewhere: growrun FILE --data {stem}={}\n",
                one_line(&table.display().to_string())
            ),
        ),
    };
    let (task, reason, metric, outputs) = match guess.classes {
        Some(classes) => ("classification", format!("{classes} classes"), "accuracy f1", classes.max(2)),
        None => ("regression", "a number".to_string(), "rmse r2", 1),
    };
    let width = (guess.features * 2).next_power_of_two().clamp(16, 128);
    let stratified = if guess.classes.is_some() { " stratified" } else { "" };
    let mut words = String::new();
    if !guess.words.is_empty() {
        words = format!(
            "# These columns hold words, which have to become numbers first: {}\n",
            one_line(&guess.words.join(", "))
        );
    }
    format!(
        "\
# A schedule for {stem}: {rows} rows, {features} columns to predict `{target}` from ({reason}).
# Guessed from the table: look at `target`, `task` and the widths.
#   growrun FILE            checks it, trains, grows
#   growrun explain WORD    tells what a word does, with its options
grow 1
experiment \"{stem}\"
seed 1

{hint}{words}data csv \"{path}\" {{
  target \"{target}\"
  task {task}
  batch 32
  normalize zscore
  split train 80% val 20%{stratified}
}}

# One layer a line: name, kind, units, activation. The input width comes from the data.
model {{
  h1  dense {width} relu
  h2  dense {width} relu
  out dense {outputs}
}}

train 60 epochs {{
  optimizer adam lr 1e-3
  metrics {metric}
}}

# Begin small; grow when there is something learned to grow from.
at 40% widen h1..h2 by 2x eps 1e-3
at 70% insert identity after h2
",
        rows = guess.rows,
        features = guess.features,
        target = quoted(&guess.target),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_repeated_whole_numbers_are_classes_and_other_numbers_amounts() {
        let mut classes = String::from("a,b,label\n");
        let mut amounts = String::from("price,b,c\n");
        for row in 0..20 {
            classes.push_str(&format!("{row}.5,1,{}\n", row % 3));
            amounts.push_str(&format!("{row}.25,{row},red\n"));
        }
        let guessed = guess(classes.as_bytes()).expect("a table");
        assert_eq!((guessed.target.as_str(), guessed.classes, guessed.features), ("label", Some(3), 2));
        let guessed = guess(amounts.as_bytes()).expect("a table");
        assert_eq!((guessed.target.as_str(), guessed.classes), ("price", None));
        assert_eq!(guessed.words, ["c"]);
    }

    #[test]
    fn what_is_no_table_is_told_apart() {
        assert!(guess(b"").is_err_and(|reason| reason.contains("empty")));
        assert!(guess(b"1,2\n3,4\n").is_err_and(|reason| reason.contains("no header")));
        assert!(guess(b"a,b\n").is_err_and(|reason| reason.contains("no rows")));
        assert!(guess(b"a,b\n1\n").is_err_and(|reason| reason.contains("no table")));
        assert!(guess(b"a\n1\n").is_err_and(|reason| reason.contains("one column")));
    }
}
