//! `data npz "f.npz"`: arrays as NumPy saves them.

use super::*;
use crate::data::place::{Wanted, shown};
use crate::data::read::npz::{self, Array, Values};
use crate::data::read::zip;

pub struct Npz;

static DOC: Doc = Doc {
    word: "npz",
    help: "arrays saved by NumPy's savez or savez_compressed, one example along the first dimension",
    args: &[
        path("the archive"),
        keyword("x", &[Kind::Label], "x", "the array of features: [n, width], or three or four dimensions for images"),
        keyword("y", &[Kind::Label], "y", "the array of labels: whole numbers are classes, others are to be predicted"),
        keyword("x_test", &[Kind::Label], "none", "features of a test part"),
        keyword("y_test", &[Kind::Label], "none", "labels of a test part"),
        keyword(
            "layout",
            &[Kind::Word(layouts)],
            "",
            "the order of an image's four dimensions: channels before or behind rows and columns",
        ),
        TASK,
    ],
    one_of: &[],
    example: "data npz \"cells.npz\" { x images; y labels; layout nhwc }",
    source: "",
};

fn layouts() -> Vec<&'static str> {
    vec!["nchw", "nhwc"]
}

impl Source for Npz {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn value_bytes(&self) -> u64 {
        1
    }

    /// Reads the archive: how many classes there are stands in the values of `y`.
    fn header(&self, args: &Args, place: &Place) -> Result<Header, Refusal> {
        Ok(self.read(args, place)?.header)
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let path = args.text("path").expect("check requires the path");
        let found = place.find(path, "path", Wanted::File)?;
        let name = shown(&found.path);
        let bytes = place.bytes(&found, "path")?;
        let entries = zip::entries(&name, &bytes, &zip::NPZ).map_err(|refusal| blame(refusal, "path"))?;
        let archive = Archive { name, entries, limit: place.budget() };

        let x = archive.array(args, "x", Some("x"))?.expect("x has a default");
        let y = archive.array(args, "y", Some("y"))?.expect("y has a default");
        let test = match (archive.array(args, "x_test", None)?, archive.array(args, "y_test", None)?) {
            (Some(x), Some(y)) => Some((x, y)),
            (None, None) => None,
            (x, _) => {
                let (here, other) = if x.is_some() { ("x_test", "y_test") } else { ("y_test", "x_test") };
                let message = format!("`{here}` needs `{other}` beside it");
                return Err(Refusal::error("G0719", message, format!("name the array of `{other}` too")).at(here));
            }
        };

        let layout = args.word("layout");
        if let (Some(layout), true) = (layout, x.array.shape.len() != 4) {
            let message = format!("`{}` has shape {:?}, which has no `{layout}`", x.shown, x.array.shape);
            let help = "remove `layout`: it tells four dimensions apart; three are [n, height, width] of one channel";
            return Err(Refusal::error("G0721", message, help).at("layout"));
        }
        let (shape, features) = images(x, layout)?;
        let (task, labels, outputs) = labels(args, y, None)?;
        if let Labels::Classes(classes) = &labels
            && classes.first().is_some_and(|first| classes.iter().all(|class| class == first))
        {
            let message = format!("the array of `y` in `{}` holds only one class, {}", archive.name, classes[0]);
            return Err(one_class(message).at("y"));
        }
        paired(&features, &labels, "x", "y")?;
        if labels.is_empty() {
            let message = format!("`{}` holds no example", archive.name);
            return Err(Refusal::error("G0708", message, "save arrays with at least one row").at("path"));
        }
        let test = match test {
            None => None,
            Some((x, y)) => {
                let (test_shape, features) = images(x, layout)?;
                if test_shape != shape {
                    let message = "the array of `x_test` has examples of another shape than that of `x`";
                    return Err(Refusal::error("G0728", message, "save both with the same shape").at("x_test"));
                }
                let (_, labels, _) = labels_like(args, y, task, outputs)?;
                paired(&features, &labels, "x_test", "y_test")?;
                if labels.is_empty() {
                    let message = "the array of `y_test` is empty";
                    return Err(Refusal::error("G0708", message, "remove `x_test` and `y_test`").at("y_test"));
                }
                Some(Part { features, labels })
            }
        };
        let (digest, total, files) = digest([(archive.name.as_str(), bytes.as_slice())]);
        let header = Header {
            test_examples: test.as_ref().map(Part::len),
            area: shape.area,
            ..vectors(labels.len(), shape.inputs, task, outputs)
        };
        Ok(Raw { header, examples: Part { features, labels }, test, digest, bytes: total, files })
    }

    fn doubt(&self, args: &Args, header: &Header) -> Option<Refusal> {
        let (layout, other) = match args.word("layout")? {
            "nchw" => ("nchw", "nhwc"),
            _ => ("nhwc", "nchw"),
        };
        let (height, width) = header.area?;
        let swapped = swapped(header.inputs, height, width, layout == "nchw")?;
        let help = format!("write `layout {other}`, or leave it if it is meant so");
        Some(Refusal::warning("G0733", swapped, help).at("layout"))
    }
}

struct Archive<'a> {
    name: String,
    entries: Vec<zip::Entry<'a>>,
    limit: u64,
}

/// An array and the argument that asked for it.
struct Named {
    argument: &'static str,
    shown: String,
    array: Array,
}

impl Archive<'_> {
    fn array(&self, args: &Args, argument: &'static str, default: Option<&str>) -> Result<Option<Named>, Refusal> {
        let Some(wanted) = args.text(argument).or(default) else { return Ok(None) };
        let shown = format!("{}/{wanted}", self.name);
        let array = npz::entry(&self.name, &self.entries, wanted)
            .and_then(|entry| entry.bytes(&self.name, self.limit))
            .and_then(|bytes| npz::array(&shown, &bytes))
            .map_err(|refusal| blame(refusal, argument))?;
        Ok(Some(Named { argument, shown, array }))
    }
}

impl Named {
    fn misshapen(&self, expected: &str, help: &str) -> Refusal {
        let message = format!("`{}` has shape {:?}; {expected}", self.shown, self.array.shape);
        Refusal::error("G0721", message, help).at(self.argument)
    }

    /// All values as f32, each of them finite.
    fn floats(&self) -> Result<Vec<f32>, Refusal> {
        let floats: Vec<f32> = match &self.array.values {
            Values::U8(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Values::Whole(values) => values.iter().map(|&value| value as f32).collect(),
            Values::F32(values) => values.clone(),
        };
        match floats.iter().position(|value| !value.is_finite()) {
            None => Ok(floats),
            Some(at) => {
                let row = at / (floats.len() / self.array.shape.first().copied().unwrap_or(1).max(1)).max(1);
                let message = format!("`{}` holds {} in row {row}", self.shown, floats[at]);
                let help = "remove or replace values that are not finite as f32 before saving";
                Err(Refusal::error("G0710", message, help).at(self.argument))
            }
        }
    }
}

/// What an example looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    inputs: usize,
    area: Option<(usize, usize)>,
}

/// Features as [n, channels · height · width].
fn images(x: Named, layout: Option<&str>) -> Result<(Shape, Features), Refusal> {
    let extents = x.array.shape.clone();
    if extents.iter().skip(1).any(|&extent| extent == 0) {
        return Err(x.misshapen("an example needs values", "save arrays with at least one value an example"));
    }
    let (shape, by_channel) = match (extents.as_slice(), layout) {
        (_, _) if extents.is_empty() => {
            return Err(x.misshapen("features have examples along the first dimension", "save it as [n, width]"));
        }
        ([_], _) => (Shape { inputs: 1, area: None }, true),
        (&[_, width], _) => (Shape { inputs: width, area: None }, true),
        (&[_, height, width], _) => (Shape { inputs: 1, area: Some((height, width)) }, true),
        (&[_, channels, height, width], Some("nchw")) => {
            (Shape { inputs: channels, area: Some((height, width)) }, true)
        }
        (&[_, height, width, channels], Some(_)) => (Shape { inputs: channels, area: Some((height, width)) }, false),
        ([_, _, _, _], None) => {
            return Err(x.misshapen(
                "four dimensions can be read in two ways",
                "write `layout nchw` (channels first) or `layout nhwc` (channels last)",
            ));
        }
        _ => return Err(x.misshapen("features have one to four dimensions", "save it as [n, width]")),
    };
    let width: usize = extents[1..].iter().product();
    fn channels_first<T: Copy>(values: &[T], extents: &[usize]) -> Vec<T> {
        let [_, height, width, channels] = *extents else { unreachable!("only four dimensions are reordered") };
        let strides = [height * width * channels, width * channels, channels, 1];
        npz::gathered(values, extents, &strides, &[0, 3, 1, 2])
    }
    let features = match &x.array.values {
        Values::U8(values) if by_channel => Features::U8 { values: values.clone(), width },
        Values::U8(values) => Features::U8 { values: channels_first(values, &extents), width },
        _ => {
            let values = x.floats()?;
            let values = if by_channel { values } else { channels_first(&values, &extents) };
            Features::F32 { values, width }
        }
    };
    Ok((shape, features))
}

/// Labels, and how many classes or numbers an example has. Whole numbers are classes unless told otherwise.
fn labels(args: &Args, y: Named, task: Option<Task>) -> Result<(Task, Labels, usize), Refusal> {
    let is_float = matches!(y.array.values, Values::F32(_));
    let task = task.unwrap_or(match args.word("task") {
        Some("classification") => Task::Classification,
        Some(_) => Task::Regression,
        None if is_float => Task::Regression,
        None => Task::Classification,
    });
    let width = match *y.array.shape.as_slice() {
        [_] => 1,
        [_, width] if width > 0 => width,
        _ => return Err(y.misshapen("labels are [n] or [n, outputs]", "save one row of labels an example")),
    };
    if task == Task::Regression {
        return Ok((task, Labels::Numbers { values: y.floats()?, width }, width));
    }
    if width > 1 {
        return Err(y.misshapen(
            "classes are one number an example",
            "save `y.argmax(1)` if it is one-hot, or write `task regression`",
        ));
    }
    let out_of_range = |row: usize, value: &dyn std::fmt::Display| {
        let message = format!("`{}` holds {value} in row {row}, which is no class", y.shown);
        let help = format!("classes are whole numbers from 0 to at most {}", CLASSES_MAX - 1);
        Refusal::error("G0714", message, help).at(y.argument)
    };
    let class = |(row, value): (usize, i64)| match u32::try_from(value) {
        Ok(class) if (class as usize) < CLASSES_MAX => Ok(class),
        _ => Err(out_of_range(row, &value)),
    };
    let classes: Result<Vec<u32>, Refusal> = match &y.array.values {
        Values::U8(values) => Ok(values.iter().map(|&value| u32::from(value)).collect()),
        Values::Whole(values) => values.iter().copied().enumerate().map(class).collect(),
        Values::F32(values) => values
            .iter()
            .enumerate()
            .map(|(row, &value)| {
                let whole = value.fract() == 0.0 && value.abs() < CLASSES_MAX as f32;
                if whole { class((row, value as i64)) } else { Err(out_of_range(row, &value)) }
            })
            .collect(),
    };
    let classes = classes?;
    let outputs = classes.iter().max().map_or(0, |&largest| largest as usize + 1);
    Ok((task, Labels::Classes(classes), outputs))
}

/// Labels of the test part, which must be of the same kind and within the classes of the training part.
fn labels_like(args: &Args, y: Named, task: Task, outputs: usize) -> Result<(Task, Labels, usize), Refusal> {
    let (argument, shown) = (y.argument, y.shown.clone());
    let read = labels(args, y, Some(task))?;
    if task == Task::Regression && read.2 != outputs {
        let message = format!("`{shown}` has {} numbers an example, but `y` has {outputs}", read.2);
        return Err(Refusal::error("G0728", message, "save both with the same width").at(argument));
    }
    if read.2 > outputs {
        let message = format!("`{shown}` holds class {}, but the classes of `y` end at {}", read.2 - 1, outputs - 1);
        return Err(Refusal::error("G0714", message, "use a test part of the same data set").at(argument));
    }
    Ok(read)
}

fn paired(features: &Features, labels: &Labels, x: &'static str, y: &'static str) -> Result<(), Refusal> {
    if features.len() == labels.len() {
        return Ok(());
    }
    let message = format!("the array of `{x}` has {} examples, but that of `{y}` has {}", features.len(), labels.len());
    Err(Refusal::error("G0717", message, "save one row of labels for every row of features").at(y))
}
