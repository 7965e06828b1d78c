//! `growrun predict RUN DATA`: a finished network on a table, with metrics where the answers are known.

use super::arguments::Predict;
use super::render::from_refusal;
use super::terminal::{note, say};
use super::{Context, confine, exit, numbers, outcome};
use crate::base::text::{harmless, short};
use crate::base::{Args, Diagnostic, Error, Refusal, Sources};
use crate::data::table;
use crate::data::{Features, Labels, Part};
use crate::nn::{Mode, Task};
use crate::record::load::{self, Loaded};
use crate::train::metrics::{MetricValue, argmax};
use crate::train::{self, Loss};
use ndarray::ArrayView2;
use std::fmt::Write;

/// Bytes of a table that are read.
const TABLE_MAX: u64 = 4 << 30;

/// The examples of a table, in the order of its columns and rows.
struct Examples {
    /// [rows, inputs]
    features: Vec<f32>,
    /// What stands in the target's column, with its line; `None` without such a column.
    answers: Option<Vec<(String, u64)>>,
}

pub fn run(context: &Context, predict: &Predict) -> i32 {
    confine::to_prediction(context, &predict.run, &predict.data, predict.out.as_deref());
    let compute = match super::training::compute(context, context.world.host().threads, None) {
        Ok(compute) => compute,
        Err(refusal) => return refuse(context, from_refusal(&refusal)),
    };
    let mut loaded = match load::run(context.world, &predict.run, compute) {
        Ok(loaded) => loaded,
        Err(refusal) => return refuse(context, from_refusal(&refusal)),
    };
    let name = predict.data.display().to_string();
    let content = match context.world.read(&predict.data, TABLE_MAX) {
        Ok(content) => content,
        Err(error) => return context.world_failed(&error, false),
    };
    let examples = match read(&name, &content, &loaded) {
        Ok(examples) => examples,
        Err(refusal) => return refuse(context, from_refusal(&refusal)),
    };
    let text = predictions(&mut loaded, &examples);
    if let Err(error) = deliver(context, predict, &text) {
        return context.world_failed(&error, false);
    }
    let Some(answers) = &examples.answers else { return exit::OK };
    match labels(&name, answers, &loaded) {
        Ok(labels) => {
            let part = Part { features: features(&examples, &loaded), labels };
            note(&scores(&mut loaded, part));
            exit::OK
        }
        Err(refusal) => refuse(context, from_refusal(&refusal)),
    }
}

fn refuse(context: &Context, diagnostic: Diagnostic) -> i32 {
    let world = diagnostic.code == "G0801";
    let code = context.refuse(&[diagnostic], &Sources::default(), false);
    if world { exit::WORLD } else { code }
}

fn deliver(context: &Context, predict: &Predict, text: &str) -> Result<(), Error> {
    match &predict.out {
        Some(out) => context.world.write(out, text.as_bytes()),
        None => {
            // Into a pipe the names of classes go as they are.
            say(&if context.terminal.looked_at { harmless(text) } else { text.into() });
            Ok(())
        }
    }
}

fn read(name: &str, content: &[u8], loaded: &Loaded) -> Result<Examples, Refusal> {
    let inputs = loaded.network.inputs();
    let text = std::str::from_utf8(content)
        .map_err(|_| Refusal::error("G0709", format!("`{name}` is not UTF-8 text"), "save it as CSV in UTF-8"))?;
    let first = text.lines().next().unwrap_or_default();
    let separator = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|&separator| first.bytes().filter(|&byte| byte == separator).count())
        .expect("there are three");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(separator)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let broken =
        |error: csv::Error| Refusal::error("G0709", format!("`{name}` is no table: {error}"), "save it as CSV again");
    let mut examples = Examples { features: Vec::new(), answers: None };
    let (mut columns, mut target): (Option<Vec<String>>, Option<usize>) = (None, None);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(0, csv::Position::line);
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let named = record.iter().all(|field| !field.is_empty() && field.parse::<f64>().is_err());
                let names: Vec<String> = match named {
                    true => record.iter().map(str::to_string).collect(),
                    false => (1..=record.len()).map(|number| number.to_string()).collect(),
                };
                target = find_target(&names, loaded);
                let given = names.len() - usize::from(target.is_some());
                if given != inputs {
                    return Err(Refusal::error(
                        "G0709",
                        format!("`{name}` has {given} columns of features, and the network reads {inputs}"),
                        "give the columns that the run was trained on, in the same order, with or without the target",
                    ));
                }
                if target.is_some() {
                    examples.answers = Some(Vec::new());
                }
                let columns = columns.insert(names);
                if named {
                    continue;
                }
                columns
            }
        };
        if record.len() != columns.len() {
            return Err(Refusal::error(
                "G0709",
                format!("`{name}`:{line}: the row has {} fields, the first has {}", record.len(), columns.len()),
                "give every row the same columns",
            ));
        }
        for (column, field) in record.iter().enumerate() {
            match &mut examples.answers {
                Some(answers) if Some(column) == target => answers.push((field.to_string(), line)),
                _ => examples.features.push(table::number(name, line, &columns[column], field)?),
            }
        }
    }
    if examples.features.is_empty() {
        return Err(Refusal::error("G0709", format!("`{name}` has no examples"), "give at least one row of values"));
    }
    Ok(examples)
}

/// The column with the answers: the one that the run was told to predict, else one more than the features.
fn find_target(names: &[String], loaded: &Loaded) -> Option<usize> {
    let wanted = loaded.record.data.target.as_deref().map(|name| name.trim_matches('"'));
    let by_name = wanted.and_then(|wanted| names.iter().position(|name| name == wanted));
    let spare = (names.len() == loaded.network.inputs() + 1).then(|| names.len() - 1);
    by_name.or(spare)
}

fn features(examples: &Examples, loaded: &Loaded) -> Features {
    Features::F32 { values: examples.features.clone(), width: loaded.network.inputs() }
}

/// The name of a class, as the data called it.
fn class_name(loaded: &Loaded, class: usize) -> String {
    loaded.record.data.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

fn predictions(loaded: &mut Loaded, examples: &Examples) -> String {
    let inputs = loaded.network.inputs();
    let outputs = loaded.network.outputs();
    let mut out = match loaded.architecture.task {
        Task::Classification => String::from("prediction,probability\n"),
        Task::Regression if outputs == 1 => String::from("prediction\n"),
        Task::Regression => (1..=outputs).map(|n| format!("prediction_{n}")).collect::<Vec<_>>().join(",") + "\n",
    };
    let at_once = loaded.network.examples_at_once(train::evaluate::BATCH);
    for rows in examples.features.chunks(at_once * inputs) {
        let scaled: Vec<f32> = rows
            .iter()
            .enumerate()
            .map(|(at, x)| (x - loaded.scaling.mean[at % inputs]) * loaded.scaling.inverse[at % inputs])
            .collect();
        let batch = ArrayView2::from_shape((rows.len() / inputs, inputs), &scaled).expect("whole rows");
        let output = loaded.network.forward(batch, Mode::Evaluate).to_owned();
        for row in output.rows() {
            let row: Vec<f32> = row.to_vec();
            let line = match loaded.architecture.task {
                Task::Classification => {
                    let class = argmax(&row);
                    let sum: f64 = row.iter().map(|&z| libm::exp(f64::from(z) - f64::from(row[class]))).sum();
                    format!("{},{:.4}", quoted(&class_name(loaded, class)), 1.0 / sum)
                }
                Task::Regression => row.iter().map(f32::to_string).collect::<Vec<_>>().join(","),
            };
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.into() }
}

fn labels(name: &str, answers: &[(String, u64)], loaded: &Loaded) -> Result<Labels, Refusal> {
    if loaded.architecture.task == Task::Regression {
        let values = answers.iter().map(|(text, line)| table::number(name, *line, "target", text));
        return Ok(Labels::Numbers { values: values.collect::<Result<_, _>>()?, width: loaded.network.outputs() });
    }
    let classes: Vec<String> = (0..loaded.network.outputs()).map(|class| class_name(loaded, class)).collect();
    let class = |(text, line): &(String, u64)| {
        let same = |class: &String| {
            class == text || matches!((class.parse::<f64>(), text.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
        };
        let found = classes.iter().position(same).and_then(|class| u32::try_from(class).ok());
        found.ok_or_else(|| {
            Refusal::error(
                "G0714",
                format!("`{name}`:{line}: `{}` is no class that the run has learned", short(text)),
                "predictions were written all the same; leave the column out if it is no label",
            )
        })
    };
    Ok(Labels::Classes(answers.iter().map(class).collect::<Result<_, _>>()?))
}

/// The metrics of the run's task, the confusion matrix last.
fn scores(loaded: &mut Loaded, part: Part) -> String {
    let task = loaded.architecture.task;
    let usual = if task == Task::Classification { "cross_entropy" } else { "mse" };
    let doc = train::LOSSES.iter().find(|doc| doc.word == usual).expect("both losses are registered");
    let loss = Loss::from_args(usual, &Args::none(doc), None).expect("a loss without arguments is good");
    let metrics: Vec<_> = train::METRICS.iter().copied().filter(|metric| metric.task == Some(task)).collect();
    let values = train::evaluate::evaluate(&mut loaded.network, &part, &loaded.scaling, &loss, &metrics);
    let mut out = Vec::new();
    let mut matrix = String::new();
    for (word, value) in &values {
        match value {
            MetricValue::Number(value) => out.push(format!("{word} {}", numbers::metric(word, *value))),
            MetricValue::Confusion(counts) => matrix = outcome::confusion_matrix(counts),
        }
    }
    let mut text = String::new();
    let _ = writeln!(text, "  {}\n{matrix}", out.join(" · "));
    text
}
