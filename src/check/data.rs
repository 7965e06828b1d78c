//! The `data` section: a source with its own words, and the statements that every source shares.

use super::arguments::{self, cover, found};
use super::program::{Choice, DataPlan};
use super::report::{Report, place};
use super::suggest;
use super::vocabulary::Vocabulary;
use crate::base::{Arg, Args, Diagnostic, Doc, Kind, Severity, Shape, Span, Spanned, Value};
use crate::data::{self, Header, Normalize, Place, Share, Source, Split};
use crate::nn::Task;
use crate::syntax::{Atom, Phrase, Section};

const fn positional(name: &'static str, kind: Kind, help: &'static str) -> Arg {
    Arg { name, shape: Shape::Positional(kind), required: true, default: "", help }
}

static BATCH: Doc = Doc {
    word: "batch",
    help: "examples in one step",
    args: &[positional(
        "size",
        Kind::Either(&[Kind::Integer, Kind::Word(|| vec!["all"])]),
        "how many, or `all` of the training part",
    )],
    one_of: &[],
    example: "batch 32",
    source: "",
};

static NORMALIZE: Doc = Doc {
    word: "normalize",
    help: "how features are scaled, with statistics of the training part only",
    args: &[positional(
        "how",
        Kind::Word(|| vec!["zscore", "minmax", "none"]),
        "zscore: mean 0, deviation 1; minmax: from 0 to 1; none: as they are",
    )],
    one_of: &[],
    example: "normalize zscore",
    source: "",
};

const fn share(name: &'static str, required: bool, help: &'static str) -> Arg {
    Arg { name, shape: Shape::Keyword(&[Kind::Either(&[Kind::Integer, Kind::Fraction])]), required, default: "", help }
}

static SPLIT: Doc = Doc {
    word: "split",
    help: "how the examples are divided: percents that sum to 100, or counts",
    args: &[
        share("train", true, "what the network learns from"),
        share("val", true, "what evaluations look at while it trains"),
        share("test", false, "what is looked at once, at the end"),
        Arg {
            name: "stratified",
            shape: Shape::Flag,
            required: false,
            default: "for classification without a `split` statement",
            help: "every part has the same share of each class",
        },
    ],
    one_of: &[],
    example: "split train 80% val 20% stratified",
    source: "",
};

static LIMIT: Doc = Doc {
    word: "limit",
    help: "uses only so many examples, drawn by the seed before the split",
    args: &[positional("count", Kind::Integer, "how many")],
    one_of: &[],
    example: "limit 1000",
    source: "",
};

static SHUFFLE: Doc = Doc {
    word: "shuffle",
    help: "whether every epoch has an order of its own (default yes)",
    args: &[positional("on", Kind::YesNo, "yes or no")],
    one_of: &[],
    example: "shuffle no",
    source: "torch.utils.data.DataLoader(shuffle=…)",
};

static DROP_LAST: Doc = Doc {
    word: "drop_last",
    help: "whether a short last batch is left out (default no: it divides by its own size)",
    args: &[positional("on", Kind::YesNo, "yes or no")],
    one_of: &[],
    example: "drop_last yes",
    source: "torch.utils.data.DataLoader(drop_last=…)",
};

static CLASS_WEIGHTS: Doc = Doc {
    word: "class_weights",
    help: "weighs the loss of each class by how rare it is in the training part",
    args: &[positional("how", Kind::Word(|| vec!["balanced"]), "n / (classes · examples of the class)")],
    one_of: &[],
    example: "class_weights balanced",
    source: "scikit-learn's class_weight=\"balanced\"",
};

/// Statements that stand in every `data` section.
pub static STATEMENTS: &[&Doc] = &[&BATCH, &NORMALIZE, &SPLIT, &LIMIT, &SHUFFLE, &DROP_LAST, &CLASS_WEIGHTS];

/// What the section says, and what is known of the data behind it.
pub struct DataRead {
    /// `None` when the source could not be read or its data is not there.
    pub header: Option<Header>,
    /// `None` when the section has a mistake or the data is not there.
    pub plan: Option<DataPlan>,
    /// Why the data cannot be read on this machine: an error for a run, a warning for `check`.
    pub missing: Option<Diagnostic>,
    /// Whether there is a test part; `None` when that is unknown.
    pub has_test: Option<bool>,
    /// Training examples, where the data says so.
    pub steps_per_epoch: Option<u64>,
    pub batch: Option<usize>,
    /// See [`DataPlan::bytes`].
    pub bytes: u64,
}

/// Reads the section and, through its source, the header of the data.
pub fn read(section: &Section, place_of_data: &Place, vocabulary: &Vocabulary, report: &mut Report) -> DataRead {
    let errors_before = report.errors();
    let source = find_source(section, report);
    let mut common = Common::default();
    // Atoms for the source's own doc: the head, then every statement of the body that is the source's.
    let mut own: Vec<Spanned<Atom>> = section.head.get(1..).unwrap_or_default().to_vec();
    let head = section.head.last().map_or(section.keyword.span, |last| cover(section.keyword.span, last.span));
    for phrase in &section.body {
        if let Some((doc, count)) = arguments::find(STATEMENTS, &phrase.atoms) {
            let (args, diagnostics) = arguments::read(doc, &phrase.atoms[count..], phrase.span, vocabulary);
            let clean = diagnostics.is_empty();
            report.extend(diagnostics);
            common.take(doc, args, clean, report);
        } else {
            statement_of_source(phrase, source, &mut own, report);
        }
    }
    let nothing = DataRead {
        header: None,
        plan: None,
        missing: None,
        has_test: None,
        steps_per_epoch: None,
        batch: common.batch.flatten(),
        bytes: 0,
    };
    let Some(source) = source else { return nothing };
    let (args, diagnostics) = arguments::read(source.doc(), &own, head, vocabulary);
    let unreadable = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    report.extend(diagnostics);
    // An argument that was reported already is not among `args`: the source must not miss it.
    if unreadable || own.iter().any(|atom| super::is_spoilt(&atom.node)) {
        return nothing;
    }
    let header = match source.header(&args, place_of_data) {
        Ok(header) => header,
        Err(refusal) => {
            let diagnostic = place(&refusal, &args);
            if is_missing(refusal.code) {
                let warning = Diagnostic { severity: Severity::Warning, ..diagnostic.clone() };
                report.add(warning);
                return DataRead { missing: Some(diagnostic), ..nothing };
            }
            report.add(diagnostic);
            return nothing;
        }
    };
    if let Some(doubt) = source.doubt(&args, &header) {
        report.add(place(&doubt, &args));
    }
    finish(source, args, header, common, errors_before, report)
}

/// Whether a refusal means that the data is not on this machine, rather than that the schedule is wrong.
fn is_missing(code: &str) -> bool {
    matches!(code, "G0701" | "G0729")
}

fn finish(
    source: &'static dyn Source,
    args: Args,
    header: Header,
    common: Common,
    errors_before: usize,
    report: &mut Report,
) -> DataRead {
    let split = common.split.as_ref().map_or_else(|| Split::default_for(&header), |(split, _)| *split);
    if let (Some(span), Task::Regression) = (common.class_weights, header.task) {
        report.add(
            Diagnostic::error("G0503", span, "class weights need classes")
                .here("the data is a regression")
                .help("remove `class_weights`"),
        );
    }
    let sizes = match data::part_sizes(&header, &split, common.limit) {
        Ok(sizes) => Some(sizes),
        Err(refusal) => {
            let none = Args::none(&SPLIT);
            let fallback = Args { span: common.limit_span.unwrap_or(args.span), ..none };
            report.add(place(&refusal, common.split.as_ref().map_or(&fallback, |(_, args)| args)));
            None
        }
    };
    let steps_per_epoch = sizes.and_then(|sizes| {
        let examples = sizes.train as u64;
        // A missing `batch` statement means 32, a spoilt one is taken for 32 so that times still resolve.
        let batch = match common.batch {
            Some(None) => examples,
            Some(Some(batch)) => batch as u64,
            None => 32,
        }
        .max(1);
        let steps = if common.drop_last { examples / batch } else { examples.div_ceil(batch) };
        if steps == 0 {
            report.add(
                Diagnostic::error(
                    "G0107",
                    common.batch_span.unwrap_or(args.span),
                    format!("an epoch would have no step: {examples} training examples, {batch} in a batch"),
                )
                .help("use a smaller `batch`, or `drop_last no`"),
            );
            return None;
        }
        Some(steps)
    });
    let bytes = bytes_of(source, &header);
    let batch = common.batch.unwrap_or(Some(32));
    let plan = match (sizes, steps_per_epoch) {
        (Some(sizes), Some(steps_per_epoch)) if report.errors() == errors_before => Some(DataPlan {
            source: Choice { word: source.doc().word, args },
            batch,
            normalize: common.normalize.unwrap_or(Normalize::ZScore),
            split,
            limit: common.limit,
            shuffle: common.shuffle.unwrap_or(true),
            drop_last: common.drop_last,
            balanced_classes: common.class_weights.is_some(),
            examples: sizes.train,
            has_val: sizes.val > 0,
            has_test: sizes.test.is_some_and(|test| test > 0),
            steps_per_epoch,
            bytes,
        }),
        _ => None,
    };
    // No batch holds more than the whole part: the run allocates no more, so no more is reckoned with.
    let batch = match sizes {
        Some(sizes) => Some(batch.unwrap_or(sizes.train).min(sizes.train)),
        None => batch,
    };
    DataRead {
        header: Some(header),
        plan,
        missing: None,
        has_test: sizes.map(|sizes| sizes.test.is_some()),
        steps_per_epoch,
        batch,
        bytes,
    }
}

/// The whole of the examples, and once more the parts that are taken out of it.
fn bytes_of(source: &dyn Source, header: &Header) -> u64 {
    let (rows, columns) = header.area.unwrap_or((1, 1));
    let examples = header.examples.saturating_add(header.test_examples.unwrap_or(0));
    [header.inputs, rows, columns]
        .iter()
        .fold(examples as u64, |product, &extent| product.saturating_mul(extent as u64))
        .saturating_mul(2 * source.value_bytes())
}

fn find_source(section: &Section, report: &mut Report) -> Option<&'static dyn Source> {
    let Some(first) = section.head.first() else {
        report.add(
            Diagnostic::error("G0106", section.keyword.span, "`data` needs a source")
                .here("which data")
                .help(suggest::help("", source_words()).unwrap_or_default()),
        );
        return None;
    };
    match &first.node {
        Atom::Word(word) => {
            let source = data::find(word);
            if source.is_none() {
                let diagnostic =
                    Diagnostic::error("G0105", first.span, format!("there is no data `{word}`")).here("unknown source");
                report.add(match suggest::help(word, source_words()) {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
            source
        }
        Atom::Bad | Atom::Variable(_) => None,
        _ => {
            report.add(
                Diagnostic::error("G0106", first.span, format!("`data` needs a source, not {}", found(first)))
                    .help("say what kind of data it is, such as `data csv \"flowers.csv\" { target species }`"),
            );
            None
        }
    }
}

fn source_words() -> Vec<&'static str> {
    data::SOURCES.iter().map(|source| source.doc().word).collect()
}

/// Words that open a statement of this source in the body.
fn words_of(source: &'static dyn Source) -> Vec<&'static str> {
    source
        .doc()
        .args
        .iter()
        .filter(|arg| matches!(arg.shape, Shape::Keyword(_) | Shape::Flag))
        .map(|arg| arg.name)
        .collect()
}

fn statement_of_source(
    phrase: &Phrase,
    source: Option<&'static dyn Source>,
    own: &mut Vec<Spanned<Atom>>,
    report: &mut Report,
) {
    let Some(first) = phrase.atoms.first() else { return };
    let Atom::Word(word) = &first.node else {
        if !matches!(first.node, Atom::Bad | Atom::Variable(_)) {
            report.add(
                Diagnostic::error("G0106", first.span, format!("a statement begins with a word, not {}", found(first)))
                    .help("such as `batch 32`"),
            );
        }
        return;
    };
    let known = match source {
        Some(source) => words_of(source),
        // Which words the unknown source has cannot be known: those of any source pass.
        None => data::SOURCES.iter().flat_map(|source| words_of(*source)).collect(),
    };
    if known.contains(&word.as_str()) {
        own.extend(phrase.atoms.iter().cloned());
        return;
    }
    if let Some(refused) = super::refused::word(word, first.span) {
        report.add(refused);
        return;
    }
    let mut words: Vec<&str> = STATEMENTS.iter().map(|doc| doc.word).collect();
    words.extend(known);
    let kind = source.map_or("data", |source| source.doc().word);
    let diagnostic =
        Diagnostic::error("G0105", first.span, format!("`{kind}` does not know `{word}`")).here("unknown statement");
    report.add(match suggest::help(word, words) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    });
}

/// The statements that every source shares, as far as they were read.
#[derive(Default)]
struct Common {
    /// Outer `None`: no statement, or a spoilt one; inner `None`: `all`.
    batch: Option<Option<usize>>,
    batch_span: Option<Span>,
    normalize: Option<Normalize>,
    split: Option<(Split, Args)>,
    limit: Option<usize>,
    limit_span: Option<Span>,
    shuffle: Option<bool>,
    drop_last: bool,
    class_weights: Option<Span>,
    seen: Vec<(&'static str, Span)>,
}

impl Common {
    fn take(&mut self, doc: &'static Doc, args: Args, clean: bool, report: &mut Report) {
        if let Some((_, first)) = self.seen.iter().find(|(word, _)| *word == doc.word) {
            report.add(super::twice(doc.word, args.span, *first));
            return;
        }
        self.seen.push((doc.word, args.span));
        if !clean {
            return;
        }
        let count = |name: &str, report: &mut Report| match args.integer(name) {
            Some(0) => {
                report.add(
                    Diagnostic::error("G0107", args.span_of(name), format!("`{}` cannot be 0", doc.word))
                        .help("use 1 or more"),
                );
                None
            }
            // More than fits an address is more than there are examples.
            Some(n) => Some(usize::try_from(n).unwrap_or(usize::MAX)),
            None => None,
        };
        match doc.word {
            "batch" => {
                self.batch_span = Some(args.span_of("size"));
                self.batch = if args.word("size").is_some() { Some(None) } else { count("size", report).map(Some) };
            }
            "normalize" => {
                self.normalize = args.word("how").map(|word| match word {
                    "zscore" => Normalize::ZScore,
                    "minmax" => Normalize::MinMax,
                    _ => Normalize::None,
                });
            }
            "split" => {
                let share = |name: &str| match args.values(name).and_then(|values| values.first()) {
                    Some(Value::Integer(n)) => Some(Share::Count(*n)),
                    Some(Value::Number(fraction)) => Some(Share::Fraction(*fraction)),
                    _ => None,
                };
                if let (Some(train), Some(val)) = (share("train"), share("val")) {
                    let stratified = args.has("stratified");
                    self.split = Some((Split { train, val, test: share("test"), stratified }, args));
                }
            }
            "limit" => {
                self.limit_span = Some(args.span);
                self.limit = count("count", report);
            }
            "shuffle" => self.shuffle = args.flag("on"),
            "drop_last" => self.drop_last = args.flag("on").unwrap_or(false),
            "class_weights" => self.class_weights = Some(args.span),
            other => unreachable!("`{other}` is not in STATEMENTS"),
        }
    }
}
