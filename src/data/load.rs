//! From a source to a [`Dataset`]: read, limit, split, measure the scaling, weigh the classes.

use super::{Header, Labels, Normalize, Part, Place, Scaling, Source, Split, part_sizes, scaling, split};
use crate::base::{Args, Refusal};
use crate::nn::Task;

/// All examples as their source has them, before limit and split.
#[derive(Clone, Debug)]
pub struct Raw {
    pub header: Header,
    pub examples: Part,
    /// The source's own test part.
    pub test: Option<Part>,
    /// `sha256:HEX` of the bytes read, or of the generated content.
    pub digest: String,
    /// Bytes read, or generated.
    pub bytes: u64,
    /// The files that were read, in the order of the digest.
    pub files: Vec<FileRead>,
}

/// A file of a source, or a folder of so many files that a record has no room for each.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRead {
    /// Its own name, without its folder; a folder's ends in `/`.
    pub name: String,
    /// What `sha256sum` prints; for a folder, the digest of the lines that `sha256sum` prints of its files.
    pub sha256: String,
    pub bytes: u64,
    /// What `sha256sum` prints of each file in a folder.
    pub inside: Vec<String>,
}

/// What a data block asks for beside its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub normalize: Normalize,
    pub split: Split,
    /// At most so many examples before the split, drawn by the seed.
    pub limit: Option<usize>,
    /// `class_weights balanced`
    pub balanced_classes: bool,
}

/// Data ready for training.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub header: Header,
    pub train: Part,
    pub val: Part,
    pub test: Option<Part>,
    /// From the training part alone; [`Part::gather`] applies it.
    pub scaling: Scaling,
    /// n / (k · examples of the class) over the training part, one per class.
    pub class_weights: Option<Vec<f32>>,
    /// What the record calls it: `digits`, `csv flowers.csv`.
    pub name: String,
    /// `sha256:HEX` of the source's bytes as they lie on the disk (several files one behind the other),
    /// or of the generated values.
    pub digest: String,
    /// Bytes that the digest covers.
    pub bytes: u64,
    /// The files that were read, in the order of the digest; none of data that is built in or generated.
    pub files: Vec<FileRead>,
}

/// Reads a source and divides it. The sizes of the parts are those of [`part_sizes`].
pub fn load(source: &dyn Source, args: &Args, place: &Place, options: &Options) -> Result<Dataset, Refusal> {
    let Raw { header, examples, test, digest, bytes, files } = source.read(args, place)?;
    assert_eq!(examples.len(), header.examples, "a source reads as many examples as its header says");
    assert_eq!(examples.features.len(), examples.labels.len(), "every example has a label");
    assert_eq!(test.as_ref().map(Part::len), header.test_examples, "a source reads the test part of its header");
    let sizes = part_sizes(&header, &options.split, options.limit)?;
    let mut asked = vec![sizes.train, sizes.val];
    if header.test_examples.is_none() {
        asked.extend(sizes.test);
    }
    let classes = match &examples.labels {
        Labels::Classes(classes) if options.split.stratified => Some(classes.as_slice()),
        _ => None,
    };
    let dealt = split::deal(examples.len(), &asked, classes, place.seed);
    let train = examples.select(&dealt[0]);
    let val = examples.select(&dealt[1]);
    let test = test.or_else(|| dealt.get(2).map(|indices| examples.select(indices)));
    let values_per_channel = header.area.map_or(1, |(height, width)| height * width);
    let scaling = scaling::measure(&train.features, options.normalize, values_per_channel);
    let class_weights = if options.balanced_classes { Some(balanced(&header, &train.labels)?) } else { None };
    let name = match args.doc.args.iter().find_map(|arg| (arg.name == "path").then(|| args.text("path"))).flatten() {
        Some(path) => format!("{} {path}", source.doc().word),
        None => source.doc().word.to_string(),
    };
    Ok(Dataset { header, train, val, test, scaling, class_weights, name, digest, bytes, files })
}

/// n / (k · count) for each of k classes, as scikit-learn's `balanced`; 0 for a class without an example.
fn balanced(header: &Header, labels: &Labels) -> Result<Vec<f32>, Refusal> {
    let Labels::Classes(classes) = labels else {
        debug_assert_eq!(header.task, Task::Regression);
        return Err(Refusal::error(
            "G0726",
            "cannot balance the classes of a regression: there are none",
            "remove `class_weights balanced`",
        )
        .at("class_weights"));
    };
    let mut counts = vec![0u64; header.outputs];
    for &class in classes {
        counts[class as usize] += 1;
    }
    let weight = |&count: &u64| {
        if count == 0 { 0.0 } else { (classes.len() as f64 / (header.outputs as f64 * count as f64)) as f32 }
    };
    Ok(counts.iter().map(weight).collect())
}
