//! `data csv "f.csv"`: a table with one example a row.

use super::*;
use crate::base::Value;
use crate::base::text::short;
use crate::data::place::{Wanted as Entry, shown};
use crate::data::read::table::{self, Field, Table, Wanted};
use crate::data::read::unpacked;

pub struct Csv;

static DOC: Doc = Doc {
    word: "csv",
    help: "a table of numbers with one example a row; a header line is detected",
    args: &[
        path("the table, plain or gz"),
        keyword(
            "target",
            &[Kind::Either(&[Kind::Label, Kind::Integer])],
            "the last column",
            "the column to predict, by name, or by number from 1 where there is no header",
        ),
        TASK,
        keyword("test", &[Kind::Text], "none", "a second table with the same columns, used as the test part"),
    ],
    one_of: &[],
    example: "data csv \"flowers.csv\" { target species; test \"flowers_test.csv\" }",
    source: "",
};

impl Source for Csv {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    /// Reads the whole table: how many classes there are stands in its last row.
    fn header(&self, args: &Args, place: &Place) -> Result<Header, Refusal> {
        Ok(self.read(args, place)?.header)
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let wanted = match args.values("target").and_then(|values| values.first()) {
            Some(Value::Integer(number)) => Wanted::Number(*number),
            Some(Value::Text(name) | Value::Word(name) | Value::Name(name)) => Wanted::Name(name.clone()),
            _ => Wanted::Last,
        };
        let main = open(args, place, "path", &wanted)?.expect("check requires the path");
        let test = open(args, place, "test", &wanted)?;
        if let Some(test) = &test {
            same_columns(&main, test)?;
        }

        let width = main.table.columns.len() - 1;
        let task = task(args, &main)?;
        let (labels, test_labels, names) = match task {
            Task::Classification => {
                let classes = Classes::of(&main)?;
                let labels = classes.labels(&main)?;
                (labels, test.as_ref().map(|test| classes.labels(test)).transpose()?, Some(classes.names))
            }
            Task::Regression => (numbers(&main)?, test.as_ref().map(numbers).transpose()?, None),
        };
        let outputs = names.as_ref().map_or(1, Vec::len);
        // Classes that are called 0, 1, 2, … need no names.
        let class_names = names
            .filter(|names| names.iter().enumerate().any(|(class, name)| *name != class.to_string()))
            .unwrap_or_default();
        let read = std::iter::once(&main).chain(&test);
        let (digest, bytes, files) = digest(read.map(|file| (file.name.as_str(), file.bytes.as_slice())));
        let header = Header {
            test_examples: test.as_ref().map(|test| test.table.targets.len()),
            class_names,
            ..vectors(main.table.targets.len(), width, task, outputs)
        };
        let part = |file: File, labels| Part { features: Features::F32 { values: file.table.features, width }, labels };
        let test = test.zip(test_labels).map(|(file, labels)| part(file, labels));
        Ok(Raw { header, examples: part(main, labels), test, digest, bytes, files })
    }
}

/// A table, where it comes from, and its bytes on the disk.
struct File {
    argument: &'static str,
    name: String,
    bytes: Vec<u8>,
    table: Table,
}

fn open(args: &Args, place: &Place, argument: &'static str, wanted: &Wanted) -> Result<Option<File>, Refusal> {
    let Some(text) = args.text(argument) else { return Ok(None) };
    let found = place.find(text, argument, Entry::File)?;
    let name = shown(&found.path);
    let bytes = place.bytes(&found, argument)?;
    let table = unpacked(&name, &bytes, place.budget())
        .and_then(|content| table::read(&name, &content, wanted))
        .map_err(|refusal| blame(refusal, argument))?;
    Ok(Some(File { argument, name, bytes, table }))
}

fn same_columns(main: &File, test: &File) -> Result<(), Refusal> {
    let (a, b) = (&main.table.columns, &test.table.columns);
    if a == b {
        return Ok(());
    }
    let difference = match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) if a.len() == b.len() => format!("column {} is `{}`, not `{}`", at + 1, short(&b[at]), short(&a[at])),
        _ => format!("it has {} columns, not {}", b.len(), a.len()),
    };
    let message = format!("`{}` does not have the columns of `{}`: {difference}", test.name, main.name);
    Err(Refusal::error("G0728", message, "save both tables with the same columns in the same order").at("test"))
}

/// What the target is: as told, else text is a class, a fraction is a number, and whole numbers are classes
/// only when they are plainly numbered 0, 1, 2, … or 1, 2, 3, …
fn task(args: &Args, file: &File) -> Result<Task, Refusal> {
    match args.word("task") {
        Some("classification") => return Ok(Task::Classification),
        Some(_) => return Ok(Task::Regression),
        None => {}
    }
    let targets = &file.table.targets;
    let numbers: Vec<f64> = targets.iter().map_while(|field| field.text.parse::<f64>().ok()).collect();
    if numbers.len() < targets.len() {
        return Ok(Task::Classification);
    }
    if numbers.iter().any(|number| number.fract() != 0.0) {
        return Ok(Task::Regression);
    }
    let mut distinct = numbers;
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let plainly_numbered = distinct.len() <= PLAIN_CLASSES_MAX
        && (distinct[0] == 0.0 || distinct[0] == 1.0)
        && distinct.windows(2).all(|pair| pair[1] == pair[0] + 1.0);
    if plainly_numbered {
        return Ok(Task::Classification);
    }
    let column = short(&file.table.columns[file.table.target]);
    let message = format!(
        "column `{column}` of `{}` holds {} different whole numbers: classes, or a quantity",
        file.name,
        distinct.len()
    );
    let help = "write `task classification` or `task regression` in the data block";
    Err(Refusal::error("G0712", message, help).at(file.argument).here("ambiguous target"))
}

/// More whole numbers in a row than this may well be a quantity such as an age.
const PLAIN_CLASSES_MAX: usize = 20;

/// The classes of a target column: numbers by size, then words by alphabet.
struct Classes {
    names: Vec<String>,
}

impl Classes {
    fn of(file: &File) -> Result<Classes, Refusal> {
        let mut names: Vec<String> = file.table.targets.iter().map(class_name).collect();
        names.sort_unstable();
        names.dedup();
        let key = |name: &String| name.parse::<f64>().unwrap_or(f64::INFINITY);
        names.sort_by(|a, b| key(a).total_cmp(&key(b)));
        if let [only] = names.as_slice() {
            let (column, only) = (short(&file.table.columns[file.table.target]), short(only));
            let message = format!("column `{column}` of `{}` holds only one class, `{only}`", file.name);
            return Err(one_class(message).at(file.argument));
        }
        if names.len() > CLASSES_MAX {
            let message = format!("`{}` has {} classes; at most {CLASSES_MAX} are read", file.name, names.len());
            let help = "write `task regression` if the target is a quantity, or name another `target`";
            return Err(Refusal::error("G0714", message, help).at(file.argument));
        }
        Ok(Classes { names })
    }

    fn labels(&self, file: &File) -> Result<Labels, Refusal> {
        let index: std::collections::BTreeMap<&str, u32> = self.names.iter().map(String::as_str).zip(0..).collect();
        let class = |field: &Field| {
            index.get(class_name(field).as_str()).copied().ok_or_else(|| {
                let class = short(&field.text);
                let message = format!("`{}`:{}: class `{class}` is not in the training table", file.name, field.line);
                Refusal::error("G0714", message, "remove the row, or train with examples of that class")
                    .at(file.argument)
            })
        };
        Ok(Labels::Classes(file.table.targets.iter().map(class).collect::<Result<_, Refusal>>()?))
    }
}

/// `1`, `1.0` and `1e0` are one class; words are themselves.
fn class_name(field: &Field) -> String {
    match field.text.parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{}", if number == 0.0 { 0.0 } else { number }),
        _ => field.text.clone(),
    }
}

fn numbers(file: &File) -> Result<Labels, Refusal> {
    let column = &file.table.columns[file.table.target];
    let number = |field: &Field| table::number(&file.name, field.line, column, &field.text);
    let values: Result<Vec<f32>, Refusal> = file.table.targets.iter().map(number).collect();
    Ok(Labels::Numbers { values: values.map_err(|refusal| blame(refusal, file.argument))?, width: 1 })
}
