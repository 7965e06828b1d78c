//! `growrun inspect FILE`: what a file of trained weights holds, and the `model` block that reads it.

use super::arguments::Inspect;
use super::render::wrap;
use super::stop::Stop;
use super::terminal::{Style, say, say_json};
use super::{Context, confine, exit, numbers};
use crate::base::Refusal;
use crate::base::text::{harmless, one_line, short};
use crate::base::world::Entry;
use crate::nn::Architecture;
use crate::record::load;
use crate::weights::names::{Part, meaning};
use crate::weights::propose::{self, Proposal, propose};
use crate::weights::symbol::{self, SymbolLayer};
use crate::weights::{self, File, OF_A_RUN, Source, Tensor, Values, moments};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Rows of the table of tensors.
const ROWS_MAX: usize = 60;
/// Lines of what is assumed, and of what does not fit.
const LINES_MAX: usize = 40;

/// A file that was read, and what can be made of it.
pub(super) struct Opened {
    /// As messages call it.
    pub name: String,
    pub bytes: u64,
    /// As a record keeps it.
    pub source: Source,
    pub file: File,
    /// Height and width of the images that it reads, where a run's record says it.
    pub area: Option<(usize, usize)>,
    /// The symbol's name, and whether it was found beside the file.
    pub symbol: Option<(String, bool)>,
    pub proposal: Proposal,
}

pub fn run(context: &Context, inspect: &Inspect) -> i32 {
    let files: Vec<PathBuf> = [Some(inspect.file.clone()), inspect.symbol.clone().or_else(|| beside(&inspect.file))]
        .into_iter()
        .flatten()
        .collect();
    // Before a byte of the file is read: it may be a stranger's.
    confine::to_weights(context, &files, None);
    match open(context, &inspect.file, inspect.symbol.as_deref()) {
        Ok(opened) if inspect.json => say_json(&format!("{}\n", object(&inspect.file, &opened))),
        Ok(opened) => say(&told(&inspect.file, &opened, context.terminal.stdout)),
        Err(stop) => return stop.tell(context, inspect.json),
    }
    exit::OK
}

/// Where MXNet puts the symbol of a `NAME-0000.params`: `NAME-symbol.json` beside it.
pub(super) fn beside(file: &Path) -> Option<PathBuf> {
    let (stem, count) = file.file_name()?.to_str()?.strip_suffix(".params")?.rsplit_once('-')?;
    let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    is_count.then(|| file.with_file_name(format!("{stem}-symbol.json")))
}

/// Reads a file, or the result of a run, with its symbol where it has one.
pub(super) fn open(context: &Context, path: &Path, symbol: Option<&Path>) -> Result<Opened, Stop> {
    let world = context.world;
    // What lies in a folder may be a stranger's run: a link in it is not followed.
    let (path, run) = match world.entry(path)? {
        Some(Entry::Folder) => {
            let file = path.join(OF_A_RUN);
            if !matches!(world.entry_beneath(path, Path::new(OF_A_RUN))?, Some(Entry::File { .. })) {
                let message = format!("`{}` is a folder without `{OF_A_RUN}`", path.display());
                return Err(Refusal::error(
                    "G0702",
                    message,
                    "name a weights file, or the folder of a run that has ended",
                )
                .into());
            }
            (file, Some(path))
        }
        _ => (path.to_path_buf(), None),
    };
    let (content_max, values_max) = weights::limits(world.memory_to_spare());
    let name = path.display().to_string();
    let content = match run {
        Some(folder) => world.read_beneath(folder, Path::new(OF_A_RUN), content_max)?,
        None => world.read(&path, content_max)?,
    };
    let file = weights::read(&name, &content, values_max)?;
    let (symbol, layers, problem) = match symbol {
        Some(given) => {
            let layers = read_symbol(context, given)??;
            (Some((given.display().to_string(), false)), Some(layers), None)
        }
        None => match beside(&path) {
            Some(found) if matches!(world.entry(&found), Ok(Some(Entry::File { .. }))) => {
                let (layers, problem) = match read_symbol(context, &found)? {
                    Ok(layers) => (Some(layers), None),
                    Err(refusal) => (None, Some(format!("{}; {}", refusal.message, refusal.help))),
                };
                (Some((found.display().to_string(), true)), layers, problem)
            }
            _ => (None, None, None),
        },
    };
    let ended = run.filter(|_| layers.is_none()).and_then(|folder| result(context, folder));
    let area = ended.as_ref().and_then(|architecture| architecture.input.area);
    let mut proposal = match ended {
        Some(architecture) => propose::of_run(&file, &architecture),
        None => propose(&file, layers.as_deref()),
    };
    proposal.problems.splice(0..0, problem);
    let source = Source::of(&name, &name, &content, &file);
    Ok(Opened { name, bytes: content.len() as u64, source, file, area, symbol, proposal })
}

/// The network of a run that has ended, where its record can be read; a file alone is read without.
fn result(context: &Context, folder: &Path) -> Option<Architecture> {
    let record = load::record(context.world, folder).ok()?;
    load::finish(folder, &record).ok().map(|finish| finish.architecture)
}

fn read_symbol(context: &Context, path: &Path) -> Result<Result<Vec<SymbolLayer>, Refusal>, Stop> {
    let content = context.world.read(path, symbol::BYTES_MAX as u64)?;
    Ok(symbol::read(&path.display().to_string(), &content))
}

/// How a schedule that lies in `folder` names the file, and whether `--data` has to say where that is.
pub(super) fn written<'p>(path: &'p Path, folder: &Path) -> (std::borrow::Cow<'p, str>, bool) {
    let beneath = path.strip_prefix(folder).ok().filter(|rest| path.is_relative() && !rest.starts_with(".."));
    let beneath = beneath.map(Path::to_string_lossy).filter(|text| propose::can_be_quoted(text) && !text.is_empty());
    match beneath {
        Some(text) => (text, false),
        None => {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            (if propose::can_be_quoted(&name) && !name.is_empty() { name } else { "weights".into() }, true)
        }
    }
}

/// What a tensor's values span; none of whole numbers' or other types' values is NaN.
struct Span {
    smallest: Option<f64>,
    largest: Option<f64>,
    nonfinite: usize,
}

fn span(tensor: &Tensor) -> Span {
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((None, None), |(low, high): (Option<f64>, Option<f64>), x| {
            (Some(low.map_or(x, |low| low.min(x))), Some(high.map_or(x, |high| high.max(x))))
        })
    };
    let ((smallest, largest), nonfinite) = match &tensor.values {
        Values::Numbers(values) => (
            bounds(&mut values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x))),
            values.iter().filter(|x| !x.is_finite()).count(),
        ),
        Values::Whole(values) => (bounds(&mut values.iter().map(|x| *x as f64)), 0),
        Values::Other => ((None, None), 0),
    };
    Span { smallest, largest, nonfinite }
}

/// Learned numbers: no running statistics, no counts, no optimiser's state.
fn parameters(file: &File) -> u64 {
    let learned = |tensor: &&Tensor| {
        let part = meaning(&tensor.name).part;
        matches!(tensor.values, Values::Numbers(_)) && !matches!(part, Part::Mean | Part::Variance | Part::Count)
    };
    let tensors = moments::weights(file).into_iter().map(|place| &file.tensors[place]);
    tensors.filter(learned).map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum()
}

/// What an optimiser left in the file.
struct State {
    tensors: usize,
    /// By its slots: Adam, or SGD with momentum.
    kind: Option<(&'static str, u64)>,
    steps: Option<u64>,
}

fn state(file: &File) -> Option<State> {
    let mut state = State { tensors: 0, kind: None, steps: None };
    let (mut adam, mut momentum) = (0, 0);
    for tensor in file.tensors.iter().filter(|tensor| moments::is_state(&tensor.name)) {
        state.tensors += 1;
        let first = match &tensor.values {
            Values::Numbers(values) => values.first().map(|x| f64::from(*x)),
            Values::Whole(values) => values.first().map(|x| *x as f64),
            Values::Other => None,
        };
        match tensor.name.rsplit(['.', '/']).next() {
            Some("exp_avg" | "first_moment") => adam += 1,
            Some("momentum_buffer") => momentum += 1,
            // A float that is no count is as good as none.
            Some("step") => state.steps = state.steps.max(first.filter(|x| *x >= 0.0).map(|x| x as u64)),
            _ => {}
        }
    }
    state.kind = match (adam, momentum) {
        (0, 0) => None,
        (0, count) => Some(("SGD's momentum", count)),
        (count, _) => Some(("Adam's moments", count)),
    };
    (state.tensors > 0).then_some(state)
}

impl State {
    fn told(&self) -> String {
        let what = match self.kind {
            Some((what, count)) => format!("{what} for {}", numbers::plural(count, "parameter")),
            None => format!("{} of an optimiser's state", numbers::plural(self.tensors as u64, "tensor")),
        };
        match self.steps {
            Some(steps) => format!("{what}, {}", numbers::plural(steps, "step")),
            None => what,
        }
    }
}

/// Counted by type: `12 tensors float16 → float32`.
fn conversions(file: &File) -> Vec<String> {
    let mut found: Vec<(&str, u64)> = Vec::new();
    let weights = moments::weights(file).into_iter().map(|place| &file.tensors[place]);
    for tensor in weights.filter(|tensor| tensor.is_converted()) {
        match found.iter_mut().find(|(dtype, _)| *dtype == tensor.dtype) {
            Some((_, count)) => *count += 1,
            None => found.push((tensor.dtype, 1)),
        }
    }
    found.iter().map(|(dtype, count)| format!("{} {dtype} → float32", numbers::plural(*count, "tensor"))).collect()
}

fn object(path: &Path, opened: &Opened) -> Value {
    let Opened { file, proposal, .. } = opened;
    let tensors: Vec<Value> = file
        .tensors
        .iter()
        .map(|tensor| {
            let Span { smallest, largest, nonfinite } = span(tensor);
            json!({
                "name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape,
                "min": smallest, "max": largest, "nonfinite": nonfinite,
            })
        })
        .collect();
    let optimizer = state(file).map(|state| {
        let (kind, parameters) = state.kind.unzip();
        json!({ "kind": kind, "parameters": parameters, "steps": state.steps, "tensors": state.tensors })
    });
    json!({
        "file": opened.name,
        "format": file.format.shown(),
        "bytes": opened.bytes,
        "symbol": opened.symbol.as_ref().map(|(name, _)| name),
        "tensors": tensors,
        "parameters": parameters(file),
        "optimizer": optimizer,
        // A block that is only a beginning is for people.
        "model": proposal.fits().then(|| proposal.text(&written(path, Path::new("")).0)),
        "assumed": proposal.assumed,
        "problems": proposal.problems,
        "diagnostics": [],
    })
}

fn told(path: &Path, opened: &Opened, style: Style) -> String {
    let Opened { file, proposal, .. } = opened;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}   {}, {}",
        style.bold(&one_line(&opened.name)),
        file.format.shown(),
        numbers::bytes(opened.bytes)
    );
    table(&mut out, file);
    summary(&mut out, opened, style);
    let (name, elsewhere) = written(path, Path::new(""));
    if !proposal.layers.is_empty() {
        if !proposal.fits() {
            out.push_str("\na beginning of a block, which cannot read the file as it is:");
        }
        let text = proposal.text(&name);
        // A block that reads the file is there to be copied, and so is shown whole.
        let shown = if proposal.fits() { usize::MAX } else { ROWS_MAX };
        out.push('\n');
        for line in text.lines().take(shown) {
            let _ = writeln!(out, "{}", harmless(line));
        }
        if let more @ 1.. = text.lines().count().saturating_sub(shown) {
            let _ = writeln!(out, "  … and {more} more lines");
        }
    }
    lines(&mut out, "assumed", &proposal.assumed, style);
    lines(&mut out, "does not fit", &proposal.problems, style);
    let next = match (proposal.fits(), elsewhere) {
        (true, _) => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            let schedule = if propose::can_be_quoted(&stem) { stem } else { "weights".into() };
            let schedule = format!("{schedule}.grow");
            format!("growrun new --from {} --out {}", quoted(&path.to_string_lossy()), quoted(&schedule))
        }
        (false, _) => "growrun explain map   says how a tensor with another name is read".into(),
    };
    let _ = writeln!(out, "\n  next   {}", one_line(&next));
    out
}

/// A word of a command line as a shell reads it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Tensors that could be weights.
fn table(out: &mut String, file: &File) {
    let places = moments::weights(file);
    if places.is_empty() {
        return;
    }
    let heads = ["tensor", "type", "shape", "numbers", "smallest", "largest", ""];
    let mut rows = vec![heads.map(str::to_string).to_vec()];
    for tensor in places.iter().take(ROWS_MAX).map(|place| &file.tensors[*place]) {
        let Span { smallest, largest, nonfinite } = span(tensor);
        let number = |x: Option<f64>| x.map_or_else(|| "-".into(), numbers::significant);
        rows.push(vec![
            short(&tensor.name),
            tensor.dtype.into(),
            format!("{:?}", tensor.shape),
            numbers::count(tensor.shape.iter().product::<usize>() as u64),
            number(smallest),
            number(largest),
            if nonfinite > 0 { format!("{nonfinite} NaN or infinite") } else { String::new() },
        ]);
    }
    super::outcome::aligned(&rows).iter().for_each(|line| {
        let _ = writeln!(out, "  {line}");
    });
    if places.len() > ROWS_MAX {
        let _ = writeln!(out, "  … and {} more; `--json` lists all", places.len() - ROWS_MAX);
    }
}

/// What stands beside the tensors, and the sums.
fn summary(out: &mut String, opened: &Opened, style: Style) {
    const NAMED: usize = 5;
    let file = &opened.file;
    let weights = moments::weights(file).len() as u64;
    let mut rows = vec![(
        "total",
        format!("{}, {}", numbers::plural(weights, "tensor"), numbers::plural(parameters(file), "parameter")),
    )];
    if let Some(state) = state(file) {
        rows.push(("optimiser", state.told()));
    }
    let alone = file.tensors.iter().filter(|tensor| tensor.shape.is_empty() && !moments::is_state(&tensor.name));
    let alone: Vec<&str> = alone.map(|tensor| tensor.name.as_str()).collect();
    if !alone.is_empty() {
        let named: Vec<String> = alone.iter().take(NAMED).map(|name| short(name)).collect();
        let more = if alone.len() > NAMED { ", …" } else { "" };
        rows.push((
            "alone",
            format!("{}: {}{more}", numbers::plural(alone.len() as u64, "single number"), named.join(", ")),
        ));
    }
    let converted = conversions(file);
    if !converted.is_empty() {
        rows.push(("converted", converted.join(", ")));
    }
    if let Some((symbol, found)) = &opened.symbol {
        let found = if *found { ", which lies beside it" } else { "" };
        rows.push(("symbol", format!("{symbol}{found}")));
    }
    out.push('\n');
    let label = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (name, text) in rows {
        // Two in front, three between.
        for (at, line) in wrap(&one_line(&text), style.width.saturating_sub(label + 5)).iter().enumerate() {
            let _ = writeln!(out, "  {:label$}   {line}", if at == 0 { name } else { "" });
        }
    }
}

fn lines(out: &mut String, title: &str, all: &[String], style: Style) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", style.bold(title));
    for text in all.iter().take(LINES_MAX) {
        for (at, line) in wrap(&one_line(text), style.width.saturating_sub(4)).iter().enumerate() {
            let _ = writeln!(out, "  {} {line}", if at == 0 { "-" } else { " " });
        }
    }
    if all.len() > LINES_MAX {
        let _ = writeln!(out, "  … and {} more; `--json` lists all", all.len() - LINES_MAX);
    }
}
