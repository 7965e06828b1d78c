//! `data idx "dir"`: images and labels as MNIST has them.

use super::*;
use crate::data::place::{Found, Wanted, shown};
use crate::data::read::idx;

pub struct Idx;

static DOC: Doc = Doc {
    word: "idx",
    help: "a folder of IDX files named as MNIST's, gz or plain; its t10k files become the test part",
    args: &[path("the folder that holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k files")],
    one_of: &[],
    example: "data idx \"mnist\" { batch 128 }",
    source: "LeCun, Cortes and Burges 1998, the MNIST database",
};

impl Source for Idx {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn value_bytes(&self) -> u64 {
        1
    }

    fn header(&self, args: &Args, place: &Place) -> Result<Header, Refusal> {
        header(&folder(args, place)?, "path", place)
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        read(&folder(args, place)?, "path", place)
    }

    fn doubt(&self, _args: &Args, header: &Header) -> Option<Refusal> {
        let (height, width) = header.area?;
        let swapped = swapped(header.inputs, height, width, true)?;
        let help = "IDX files have channels before rows and columns: write them so, or leave it if it is meant so";
        Some(Refusal::warning("G0733", swapped, help).at("path"))
    }
}

fn folder(args: &Args, place: &Place) -> Result<Found, Refusal> {
    place.find(args.text("path").expect("check requires the path"), "path", Wanted::Folder)
}

/// The files of one part.
struct Files {
    images: Found,
    labels: Found,
}

/// The shape of the data in a folder. Reads the headers of the images, and the labels for their classes.
pub fn header(folder: &Found, argument: &'static str, place: &Place) -> Result<Header, Refusal> {
    let shape = |files: &Files| -> Result<Vec<usize>, Refusal> {
        let start = place.start(&files.images, idx::START, argument)?;
        idx::shape(&shown(&files.images.path), &start, place.budget()).map_err(|refusal| blame(refusal, argument))
    };
    let (train, test) = files(folder, argument, place)?;
    let (images, labels) = (shape(&train)?, Packed::open(&train.labels, argument, place)?.labels(argument, place)?);
    let test = match &test {
        Some(test) => {
            let labels = Packed::open(&test.labels, argument, place)?.labels(argument, place)?;
            Some((test, shape(test)?, labels))
        }
        None => None,
    };
    describe(
        (&train, &images, &labels),
        test.as_ref().map(|(files, images, labels)| (*files, images.as_slice(), labels.as_slice())),
    )
    .map_err(|refusal| blame(refusal, argument))
}

/// Everything in a folder.
pub fn read(folder: &Found, argument: &'static str, place: &Place) -> Result<Raw, Refusal> {
    let (train, test) = files(folder, argument, place)?;
    let mut packed = Vec::new();
    let mut open = |files: Files| -> Result<(Files, idx::Array, Vec<u8>), Refusal> {
        let images = Packed::open(&files.images, argument, place)?;
        let labels = Packed::open(&files.labels, argument, place)?;
        let unpacked = (images.array(argument, place)?, labels.labels(argument, place)?);
        packed.extend([images, labels]);
        Ok((files, unpacked.0, unpacked.1))
    };
    let train = open(train)?;
    let test = test.map(open).transpose()?;
    let header = describe(
        (&train.0, &train.1.shape, &train.2),
        test.as_ref().map(|(files, images, labels)| (files, images.shape.as_slice(), labels.as_slice())),
    )
    .map_err(|refusal| blame(refusal, argument))?;
    let width = header.inputs * header.area.map_or(1, |(height, width)| height * width);
    let part = |(_, images, labels): (Files, idx::Array, Vec<u8>)| Part {
        features: Features::U8 { values: images.values, width },
        labels: Labels::Classes(labels.into_iter().map(u32::from).collect()),
    };
    let (digest, bytes, read) = digest(packed.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())));
    Ok(Raw { examples: part(train), test: test.map(part), header, digest, bytes, files: read })
}

/// A file as it lies on the disk.
struct Packed {
    name: String,
    bytes: Vec<u8>,
}

impl Packed {
    fn open(file: &Found, argument: &'static str, place: &Place) -> Result<Packed, Refusal> {
        Ok(Packed { name: shown(&file.path), bytes: place.bytes(file, argument)? })
    }

    fn array(&self, argument: &'static str, place: &Place) -> Result<idx::Array, Refusal> {
        idx::read(&self.name, &self.bytes, place.budget()).map_err(|refusal| blame(refusal, argument))
    }

    fn labels(&self, argument: &'static str, place: &Place) -> Result<Vec<u8>, Refusal> {
        let array = self.array(argument, place)?;
        if array.shape.len() != 1 {
            let message = format!("`{}` has sizes {:?}; labels have one dimension", self.name, array.shape);
            let help = "check that the labels' file is not the images'";
            return Err(Refusal::error("G0715", message, help).at(argument));
        }
        Ok(array.values)
    }
}

/// The header that the files give, or what does not fit together.
fn describe(
    (files, images, labels): (&Files, &[usize], &[u8]),
    test: Option<(&Files, &[usize], &[u8])>,
) -> Result<Header, Refusal> {
    counted(files, images, labels)?;
    let (inputs, area) = match *images {
        [_, width] => (width, None),
        [_, height, width] => (1, Some((height, width))),
        [_, channels, height, width] => (channels, Some((height, width))),
        _ => {
            let message = format!("`{}` has sizes {images:?}; images have two to four", shown(&files.images.path));
            return Err(Refusal::error("G0715", message, "check that the images' file is not the labels'"));
        }
    };
    if images[1..].contains(&0) {
        let message = format!("`{}` has sizes {images:?}: its images have no pixel", shown(&files.images.path));
        return Err(Refusal::error("G0708", message, "fetch the file again"));
    }
    let Some(&largest) = labels.iter().max() else {
        let message = format!("`{}` holds no example", shown(&files.labels.path));
        return Err(Refusal::error("G0708", message, "fetch the file again"));
    };
    if labels.iter().all(|&label| label == largest) {
        return Err(one_class(format!("`{}` holds only one class, {largest}", shown(&files.labels.path))));
    }
    let outputs = usize::from(largest) + 1;
    if let Some((files, test_images, test_labels)) = test {
        counted(files, test_images, test_labels)?;
        if test_images[1..] != images[1..] {
            let (name, theirs, ours) = (shown(&files.images.path), &test_images[1..], &images[1..]);
            let message = format!("`{name}` has images of {theirs:?}, but the training images are {ours:?}");
            return Err(Refusal::error("G0728", message, "use the test files of the same data set"));
        }
        if let Some(at) = test_labels.iter().position(|&label| usize::from(label) >= outputs) {
            let (name, label) = (shown(&files.labels.path), test_labels[at]);
            let message = format!("`{name}`: label {at} is {label}, but the training labels end at {largest}");
            return Err(Refusal::error("G0714", message, "use the test files of the same data set"));
        }
        if test_labels.is_empty() {
            let message = format!("`{}` holds no example", shown(&files.labels.path));
            return Err(Refusal::error("G0708", message, "fetch the file again, or remove the test files"));
        }
    }
    Ok(Header {
        test_examples: test.map(|(_, _, labels)| labels.len()),
        area,
        ..vectors(labels.len(), inputs, Task::Classification, outputs)
    })
}

fn counted(files: &Files, images: &[usize], labels: &[u8]) -> Result<(), Refusal> {
    let n = images.first().copied().unwrap_or(0);
    if n == labels.len() {
        return Ok(());
    }
    let (many, few) = (shown(&files.images.path), shown(&files.labels.path));
    let message = format!("`{many}` holds {n} images, but `{few}` holds {} labels", labels.len());
    Err(Refusal::error("G0717", message, "use images and labels of the same data set"))
}

/// The files of the training part and, when they are there, of the test part.
fn files(folder: &Found, argument: &'static str, place: &Place) -> Result<(Files, Option<Files>), Refusal> {
    let train = (any(folder, "train", "images", argument, place)?, any(folder, "train", "labels", argument, place)?);
    let (Some(images), Some(labels)) = train else {
        let what = if train.0.is_none() { "images" } else { "labels" };
        let (wanted, folder) = (names("train", what), shown(&folder.path));
        let message = format!("`{folder}` holds no `{}`", wanted[0]);
        let help = format!("name the folder that holds `{}`, `{}` or either of them with .gz", wanted[0], wanted[2]);
        return Err(Refusal::error("G0701", message, help).at(argument));
    };
    let test = (any(folder, "t10k", "images", argument, place)?, any(folder, "t10k", "labels", argument, place)?);
    let test = match test {
        (Some(images), Some(labels)) => Some(Files { images, labels }),
        (None, None) => None,
        (Some(found), None) | (None, Some(found)) => {
            let message = format!("`{}` has no partner: a test part needs images and labels", shown(&found.path));
            let help = "add the other t10k file, or remove this one";
            return Err(Refusal::error("G0701", message, help).at(argument));
        }
    };
    Ok((Files { images, labels }, test))
}

fn any(
    folder: &Found,
    part: &str,
    what: &str,
    argument: &'static str,
    place: &Place,
) -> Result<Option<Found>, Refusal> {
    for name in names(part, what) {
        if let Some(file) = place.within(folder, &name, argument)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The names under which the files are published and unpacked: `train-images-idx3-ubyte`, with a dot, with .gz.
fn names(part: &str, what: &str) -> [String; 4] {
    let dimensions = if what == "images" { 3 } else { 1 };
    let [dash, dot] = ["-", "."].map(|joint| format!("{part}-{what}{joint}idx{dimensions}-ubyte"));
    [dash.clone(), format!("{dash}.gz"), dot.clone(), format!("{dot}.gz")]
}
