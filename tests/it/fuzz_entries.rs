//! What is fuzzed: one function for each kind of foreign bytes, in the order of [`TARGETS`].
//!
//! `tests/fuzz` calls them with whatever libFuzzer invents, `fuzz_corpora` with what it found worth keeping.
//! Each goes the way that a run goes, with a world that holds nothing but the bytes; each answers any bytes, and
//! panics when a promise is broken. Beside never panicking there are few: a place lies inside its text, what is
//! shown moves no cursor, a header is that of the data, what is written reads back equal.

use growrun::base::world::{Appender, Confinement, Entry, Error, Host, Lock, Result, World};
use growrun::base::{Args, Diagnostic, Kind, Refusal, Severity, Shape, Sources, Spanned, Value, digest};
use growrun::check::{self, Checked, Limits, Program, Request};
use growrun::cli::terminal::Style;
use growrun::cli::{machine, plan, render};
use growrun::data::{self, Dataset, Normalize, Options, Place, Split, part_sizes};
use growrun::record::{self, schema, weights, yaml};
use growrun::run;
use growrun::syntax::{self, Atom, Event, Phrase, Schedule, Section};
use growrun::tensor::Compute;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("grammar", grammar),
    ("checker", checker),
    ("run_yaml", run_yaml),
    ("checkpoint", checkpoint),
    ("idx", idx),
    ("images", images),
    ("csv", csv),
    ("gz", gz),
    ("npz", npz),
    ("npy", npy),
    ("safetensors", safetensors),
    ("resume", resume),
    ("report", report),
    ("weights", weights),
];

// --- schedules

/// A schedule and, behind each [`BETWEEN`], a file that it may include: `a.grow`, `b.grow`.
pub fn grammar(bytes: &[u8]) {
    let world = Shelf::of(["s.grow", "a.grow", "b.grow"], bytes);
    let (mut schedule, mut found) = syntax::load(&world, Path::new("s.grow")).expect("the file is there");
    found.extend(syntax::resolve(&mut schedule));
    hold(&schedule, &found);
    shown(&found, &schedule.sources);
    let text = String::from_utf8_lossy(bytes);
    let mut end = 0;
    for (range, _) in syntax::lexemes(&text) {
        assert!(end <= range.start && range.start < range.end, "pieces follow one another");
        end = range.end;
        assert!(text.get(range).is_some(), "a piece ends where characters end");
    }
}

/// What holds of every schedule that was parsed and resolved, and of what was found in it.
pub fn hold(schedule: &Schedule, found: &[Diagnostic]) {
    for diagnostic in found {
        assert!(syntax::CODES.iter().any(|(code, _)| *code == diagnostic.code), "{}", diagnostic.code);
        assert!(!diagnostic.message.is_empty() && diagnostic.message.len() < 1000, "{}", diagnostic.message.len());
    }
    let mut lost = false;
    let mut atoms = |atoms: &[Spanned<Atom>]| {
        for atom in atoms {
            schedule.sources.slice(atom.span);
            assert!(!matches!(atom.node, Atom::Variable(_)), "resolved");
            lost |= atom.node == Atom::Bad;
        }
    };
    fn walk(phrase: &Phrase, sources: &Sources, atoms: &mut impl FnMut(&[Spanned<Atom>])) {
        sources.slice(phrase.span);
        atoms(&phrase.atoms);
        phrase.block.iter().flatten().for_each(|inner| walk(inner, sources, atoms));
    }
    let sections: [&Option<Section>; 3] = [&schedule.data, &schedule.model, &schedule.train];
    for section in sections.into_iter().flatten() {
        schedule.sources.slice(section.span);
        atoms(&section.head);
        section.body.iter().for_each(|inner| walk(inner, &schedule.sources, &mut atoms));
    }
    let arms = schedule.arms.iter().flat_map(|arm| &arm.events);
    for Event { trigger, actions, span } in schedule.events.iter().chain(arms) {
        schedule.sources.slice(*span);
        atoms(&trigger.head);
        trigger.options.iter().for_each(|(_, option)| atoms(option));
        actions.iter().for_each(|action| walk(action, &schedule.sources, &mut atoms));
    }
    let errors = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert!(errors || !lost, "a piece was lost without a word");
}

/// A schedule through the whole check; the files that it may name are small and there.
pub fn checker(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (mut schedule, mut found) = syntax::parse("s.grow", text);
    let completed = check::complete(&mut schedule, None);
    let world = Shelf::with_examples();
    let (vocabulary, named) = (run::vocabulary(), BTreeMap::new());
    let request = Request {
        completed,
        // Small, so that a text that fires at every step of a long run costs a refusal and no seconds.
        limits: Limits { parameters: 1_000_000, steps: 100_000, events: 200, memory: Some(1 << 30), disk: None },
        ..Request::new(&world, &vocabulary, Path::new("."), &named)
    };
    let Checked { diagnostics, missing, program, timeline, sources, .. } = check::check(schedule, &request);
    found.extend(diagnostics);
    found.extend(missing);
    for diagnostic in &found {
        assert!(check::codes::CODES.iter().any(|(code, _)| *code == diagnostic.code), "{}", diagnostic.code);
    }
    shown(&found, &sources);
    if let Some(program) = program {
        let course = check::flops::course(&program, &timeline);
        harmless(&plan::human(&program, &course, 0, None, Style::PLAIN));
    }
}

/// Every way to show what was found: for people, narrow and wide, and for programs.
fn shown(found: &[Diagnostic], sources: &Sources) {
    for diagnostic in found {
        for label in &diagnostic.labels {
            sources.slice(label.span);
        }
    }
    harmless(&render::human(found, sources, Style::PLAIN));
    render::human(found, sources, Style { color: true, width: 40 });
    machine::json_lines(found, sources);
    machine::sarif(&[(found, sources)]);
}

/// Nothing of a stranger's text moves the cursor, rings or changes colours.
fn harmless(text: &str) {
    let bad = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'));
    assert_eq!(bad, None, "reaches the terminal");
}

// --- records

/// A run directory as `predict` reads it: run.yaml, final.safetensors, scaling.safetensors.
pub fn run_yaml(bytes: &[u8]) {
    let world = Shelf::of(["run/run.yaml", "run/final.safetensors", "run/scaling.safetensors"], bytes);
    if let Ok(record) = record::load::record(&world, Path::new("run")) {
        reads_back(&record);
        for metric in record.result.iter().flat_map(|result| &result.metrics) {
            metric.exact();
        }
    }
    if let Err(refusal) = record::load::run(&world, Path::new("run"), Compute::single()) {
        refused(&refusal);
    }
}

/// A comparison with one of its runs: whatever they say, there is a page, a figure and an appendix, or a refusal.
pub fn report(bytes: &[u8]) {
    let run = "c/grown/seed-0";
    let names = ["c/comparison.yaml", "c/grown/seed-0/run.yaml", "c/grown/seed-0/metrics.jsonl"];
    // A digest that does not hold ends all; what is behind it has to answer anything, too.
    let mut files = parts(bytes).into_iter().map(<[u8]>::to_vec);
    let comparison = files.next().and_then(|text| String::from_utf8(text).ok()).map(|text| {
        let end = text.find("# digest of all above").unwrap_or(text.len());
        yaml::seal(&text[..end]).0.into_bytes()
    });
    let world = Shelf::holding(names.into_iter().zip(comparison.into_iter().chain(files)));
    if let Ok(comparison) = growrun::compare::read(&world, Path::new("c")) {
        reads_back(&comparison);
    }
    for folder in ["c", run] {
        match growrun::report::read(&world, Path::new(folder)) {
            Ok(subject) => {
                for format in growrun::report::Format::ALL {
                    let text = growrun::report::render(&subject, format);
                    assert!(!text.contains("<script") && text.len() < 64 << 20, "{} bytes", text.len());
                }
            }
            Err(refusal) => refused(&refusal),
        }
    }
}

/// The `meta.yaml` of a checkpoint, and the same bytes as texts that one may have to hold.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(meta) = yaml::read::<schema::Meta>(text) {
        reads_back(&meta);
    }
    if let Ok(entry) = yaml::read::<schema::Checkpoint>(text) {
        reads_back(&entry);
    }
    let (name, digest) = text.split_once('\n').unwrap_or((text, text));
    let of = |name: &str, digest: &str, parent: Option<&str>| schema::Checkpoint {
        name: name.into(),
        number: 1,
        step: bytes.len() as u64,
        digest: digest.into(),
        parent: parent.map(str::to_string),
        weights: name.into(),
        optimizer: digest.into(),
        tensors: BTreeMap::from([("h1.weight".into(), name.into())]),
        kept: true,
    };
    let meta = of(name, digest, Some(text));
    assert_eq!(yaml::read(&yaml::write(&meta)), Ok(meta));
    let list = vec![of(text, name, None), of(digest, text, Some(name))];
    assert_eq!(yaml::read(&yaml::write(&list)), Ok(list));
}

/// What `growrun resume` is given: run.yaml and, of its checkpoint, meta.yaml and the two files of tensors. Texts are sealed
/// and digests put in, which no fuzzer finds; then the run goes on for three steps.
pub fn resume(bytes: &[u8]) {
    static RUN: OnceLock<(Program, Dataset)> = OnceLock::new();
    let (program, dataset) = RUN.get_or_init(small_run);
    let parts = parts(bytes);
    let part = |number: usize| parts.get(number).copied().unwrap_or_default();
    let sealed = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        yaml::seal(text.split("# digest of all above").next().unwrap_or_default()).0
    };
    let mut meta = sealed(part(1));
    if let Ok(mut read) = yaml::read::<schema::Meta>(&meta) {
        (read.weights_file, read.state_file) = (digest::bytes(part(2)), digest::bytes(part(3)));
        meta = sealed(yaml::write(&read).as_bytes());
    }
    let world = Shelf::holding([
        ("run/run.yaml", sealed(part(0)).into_bytes()),
        ("run/checkpoints/c/meta.yaml", meta.into_bytes()),
        ("run/checkpoints/c/weights.safetensors", part(2).to_vec()),
        ("run/checkpoints/c/state.safetensors", part(3).to_vec()),
    ]);
    let record = match record::load::intact(&world, Path::new("run")) {
        Ok(record) => record,
        Err(refusal) => return refused(&refusal),
    };
    if let Err(refusal) = record::load::finish(Path::new("run"), &record) {
        refused(&refusal);
    }
    let found = record::resume::find(&world, Path::new("run"), &record, true).expect("every file can be read");
    found.broken.iter().for_each(|(_, refusal)| refused(refusal));
    let Some((_, _, resumption)) = found.split() else { return };
    let interrupt = Arc::new(AtomicI32::new(0));
    let (compute, autosave) = (Compute::single(), run::Autosave::Never);
    let options =
        run::Options { compute, interrupt: interrupt.clone(), parameters_max: 10_000, memory_max: None, autosave };
    let mut steps = 0;
    let ended = run::proceed(program, dataset, &options, &world, resumption, &mut |event| {
        steps += u32::from(matches!(event, run::Event::Stepped(_)));
        if steps == 3 {
            interrupt.store(15, Ordering::SeqCst);
        }
        Ok(())
    });
    if let Err(run::Failure::Refused(refusal)) = ended {
        refused(&refusal);
    }
}

/// A run with something of everything that a checkpoint holds, and small.
pub const SMALL: &str = "data spirals { samples 40; batch 16 }
model { h1 dense 3 relu dropout 0.1; r1 residual { a dense 4 tanh; b dense 3 norm batch }; out dense 2 }
train 30 steps { optimizer adam lr 1e-2; evaluate every 4 steps; checkpoint every 5 steps; metrics accuracy confusion
  on_divergence rollback lr 0.5x at most 2 times }
at step 6 { widen a to 5 eps 1e-3 lr rewarm 4 steps; assert preserved tol 1 }
at step 7 insert identity after h1
during step 5..12 { freeze h1; set lr by 0.5x }
when val_loss plateaus for 4 steps at most 3 times set lr by 0.7x
at end evaluate test
";

fn small_run() -> (Program, Dataset) {
    let (schedule, found) = syntax::parse("s.grow", SMALL);
    let world = Shelf::holding([]);
    let (vocabulary, named) = (run::vocabulary(), BTreeMap::new());
    let request = Request::new(&world, &vocabulary, Path::new("."), &named);
    let checked = check::check(schedule, &request);
    let program = checked.program.unwrap_or_else(|| panic!("{found:?} {:?}", checked.diagnostics));
    let place = Place { world: &world, folder: Path::new("."), named: &named, seed: program.seed };
    let dataset = run::load_data(&program, &place).expect("generated data");
    (program, dataset)
}

/// Compared as texts: a NaN equals itself there.
fn reads_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) {
    let text = yaml::write(value);
    let again: T = yaml::read(&text).unwrap_or_else(|error| panic!("our own output: {error}\n{text}"));
    assert_eq!(yaml::write(&again), text);
}

/// A weights file.
pub fn safetensors(bytes: &[u8]) {
    let Ok(tensors) = weights::read(bytes) else { return };
    let declared = |shape: &[usize]| shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    for (name, array) in tensors {
        let expected = declared(array.shape());
        let whole = array.clone().into_u64(&name).map(|values| values.len());
        let double = array.clone().into_f64(&name).map(|values| values.len());
        let single = array.into_f32(&name).map(|(_, values)| values.len());
        assert_eq!(whole.or(double).or(single).ok(), expected, "{name}");
    }
}

/// Weights of another tool, in any format, or an MXNet symbol. What lies behind a checksum comes as it is: a pickle with
/// its storages, or an array.
pub fn weights(bytes: &[u8]) {
    foreign(bytes);
    if let Err(refusal) = growrun::weights::symbol::read("f-symbol.json", bytes) {
        refused(&refusal);
    }
    let names: &[&str] = match bytes {
        [0x80, ..] => &["a/data.pkl", "a/data/0", "a/data/1", "a/data/2", "a/data/3", "a/data/4", "a/byteorder"],
        [0x93, ..] => &["x.npy", "y.npy", "params/z.npy", "x"],
        _ => return,
    };
    let entries: Vec<(&str, &[u8])> = names.iter().copied().zip(parts(bytes)).collect();
    foreign(&archive(&entries));
}

fn foreign(bytes: &[u8]) {
    const LIMIT: u64 = 4 << 20;
    let file = match growrun::weights::read("f", bytes, LIMIT) {
        Ok(file) => file,
        Err(refusal) => return refused(&refusal),
    };
    let (mut names, mut held) = (std::collections::BTreeSet::new(), 0);
    for tensor in &file.tensors {
        assert!(names.insert(&tensor.name), "{} stands there twice", tensor.name);
        let declared = tensor.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        let (count, bytes) = match &tensor.values {
            growrun::weights::Values::Numbers(values) => (values.len(), 4 * values.len()),
            growrun::weights::Values::Whole(values) => (values.len(), 8 * values.len()),
            growrun::weights::Values::Other => continue,
        };
        assert_eq!(Some(count), declared, "{} of shape {:?}", tensor.name, tensor.shape);
        held += bytes;
    }
    // safetensors lies as it is; at most a byte becomes eight.
    assert!(held as u64 <= LIMIT.max(8 * bytes.len() as u64), "{held} bytes out of {}", bytes.len());
    // Whatever its names are, they stay in their quotes.
    let proposal = growrun::weights::propose::propose(&file, None);
    if proposal.fits() {
        let text = proposal.text("f");
        let (_, found) =
            syntax::load(&Shelf::of(["s.grow"], text.as_bytes()), Path::new("s.grow")).expect("it is there");
        assert!(found.is_empty(), "{text}\n{found:?}");
    }
}

// --- data

/// Images and labels of the training part, then those of the test part; each may be packed.
pub fn idx(bytes: &[u8]) {
    let names = [
        "d/train-images-idx3-ubyte",
        "d/train-labels-idx1-ubyte",
        "d/t10k-images-idx3-ubyte",
        "d/t10k-labels-idx1-ubyte",
    ];
    as_a_run_reads(&Shelf::of(names, bytes), &arguments("idx", "", "path d"));
}

/// A picture of each class, and one of a test part; the first is taken where there is no second. As they are, and the
/// chunks of a PNG with checksums that hold.
pub fn images(bytes: &[u8]) {
    let given = parts(bytes);
    let sealed: Vec<Vec<u8>> = given.iter().map(|part| sealed_png(part)).collect();
    let mut ways = vec![given.iter().map(|part| part.to_vec()).collect()];
    if sealed != given {
        ways.push(sealed);
    }
    for mut files in ways {
        if files.len() == 1 {
            files.push(files[0].clone());
        }
        let test = if files.len() > 2 { "test t" } else { "" };
        let world = Shelf::holding(["d/a/0.png", "d/b/0.jpg", "t/b/0.png"].into_iter().zip(files));
        as_a_run_reads(&world, &arguments("images", "", &format!("path d {test}")));
    }
}

/// The same with the checksum of every chunk, as far as the chunks go.
fn sealed_png(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 8;
    while let Some(&[l3, l2, l1, l0, ..]) = out.get(at..) {
        let end = (at + 8).saturating_add(u32::from_be_bytes([l3, l2, l1, l0]) as usize);
        let (Some(content), true) = (out.get(at + 4..end), out.len() >= end.saturating_add(4)) else { break };
        let sum = checksum(content);
        out[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
    if bytes.starts_with(b"\x89PNG") { out } else { bytes.to_vec() }
}

/// A table and perhaps a second one as the test part. See [`with_arguments`].
pub fn csv(bytes: &[u8]) {
    let (given, bytes) = with_arguments(bytes);
    table(&given, bytes);
}

fn table(given: &str, bytes: &[u8]) {
    let world = Shelf::of(["t.csv", "u.csv"], bytes);
    let test = if world.files.len() > 1 { "test u.csv" } else { "" };
    as_a_run_reads(&world, &arguments("csv", given, &format!("path t.csv {test}")));
}

/// A packed table as it is, and the same bytes as deflated data in a gz whose checksum and length are right.
pub fn gz(bytes: &[u8]) {
    table("", bytes);
    let mut content = Vec::new();
    // What there is before the first mistake counts: the reader has to find the mistake.
    let _ = flate2::read::DeflateDecoder::new(bytes).take(1 << 20).read_to_end(&mut content);
    let mut sealed = b"\x1F\x8B\x08\0\0\0\0\0\0\xFF".to_vec();
    sealed.extend(bytes);
    sealed.extend(checksum(&content).to_le_bytes());
    sealed.extend((content.len() as u32).to_le_bytes());
    as_a_run_reads(&Shelf::holding([("t.csv", sealed.clone())]), &arguments("csv", "", "path t.csv"));
    let both = [("d/train-images-idx3-ubyte", sealed.clone()), ("d/train-labels-idx1-ubyte", sealed)];
    as_a_run_reads(&Shelf::holding(both), &arguments("idx", "", "path d"));
}

/// An archive. See [`with_arguments`].
pub fn npz(bytes: &[u8]) {
    let (given, bytes) = with_arguments(bytes);
    let world = Shelf::holding([("a.npz", bytes.to_vec())]);
    as_a_run_reads(&world, &arguments("npz", &given, "path a.npz"));
}

/// The arrays x, y and perhaps u and v, which are a test part, in an archive whose checksums are right.
/// See [`with_arguments`].
pub fn npy(bytes: &[u8]) {
    let (given, bytes) = with_arguments(bytes);
    let names = ["x.npy", "y.npy", "u.npy", "v.npy"];
    let entries: Vec<(&str, &[u8])> = names.into_iter().zip(parts(bytes)).collect();
    let test = if entries.len() > 2 { "x_test u y_test v" } else { "" };
    let world = Shelf::holding([("a.npz", archive(&entries))]);
    as_a_run_reads(&world, &arguments("npz", &given, &format!("path a.npz {test}")));
}

/// Header, then everything, divided and scaled in every way.
fn as_a_run_reads(world: &Shelf, args: &Args) {
    let source = data::find(args.doc.word).expect("a source of the registry");
    let place = Place { world, folder: Path::new("."), named: &BTreeMap::new(), seed: 7 };
    let header = match source.header(args, &place) {
        Ok(header) => header,
        Err(refusal) => {
            refused(&refusal);
            assert!(source.read(args, &place).is_err(), "data without a header");
            return;
        }
    };
    let values = header.inputs * header.area.map_or(1, |(rows, columns)| rows * columns);
    let ways = [(Normalize::ZScore, None), (Normalize::MinMax, Some(5)), (Normalize::None, Some(usize::MAX))];
    for (normalize, limit) in ways {
        let split = Split::default_for(&header);
        let options = Options { normalize, split, limit, balanced_classes: split.stratified };
        let dataset = match data::load(source, args, &place, &options) {
            Ok(dataset) => dataset,
            Err(refusal) => {
                refused(&refusal);
                continue;
            }
        };
        assert_eq!(dataset.header, header);
        let sizes = part_sizes(&header, &split, limit).expect("it was loaded");
        assert_eq!((dataset.train.len(), dataset.val.len()), (sizes.train, sizes.val));
        assert_eq!(dataset.train.features.width(), values);
        assert!(
            dataset.scaling.mean.iter().chain(&dataset.scaling.inverse).all(|x| x.is_finite()),
            "scales to nothing"
        );
        let indices: Vec<u32> = (0..dataset.val.len() as u32).collect();
        let mut out = vec![0.0; indices.len() * values];
        dataset.val.gather(&indices, &dataset.scaling, &mut out);
    }
}

/// A refusal says something, in a code that has a page, and is safe to show.
fn refused(refusal: &Refusal) {
    assert!(check::codes::CODES.iter().any(|(code, _)| *code == refusal.code), "{}", refusal.code);
    assert!(!refusal.message.is_empty() && !refusal.help.is_empty(), "{refusal:?}");
    // The record's own sentences quote a file of ours; those about data quote what a stranger wrote.
    let length = refusal.message.len() + refusal.help.len();
    assert!(length < 2000 || refusal.code == "G0803", "{length} bytes are no message");
    harmless(&render::human(&[render::from_refusal(refusal)], &Sources::default(), Style::PLAIN));
}

/// The first line, when it begins with `data `: arguments as a schedule writes them, `task regression`.
fn with_arguments(bytes: &[u8]) -> (String, &[u8]) {
    let Some(rest) = bytes.strip_prefix(b"data ") else { return (String::new(), bytes) };
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    (String::from_utf8_lossy(&rest[..end]).into_owned(), &rest[(end + 1).min(rest.len())..])
}

/// Pairs of a name and a value, fuzzed ones and then our own, which win. What the source does not know is left out,
/// as the checker would have refused it.
fn arguments(source: &str, fuzzed: &str, own: &str) -> Args {
    let doc = data::find(source).expect("a source of the registry").doc();
    let [fuzzed, own] = [fuzzed, own].map(|given| given.split_whitespace().collect::<Vec<&str>>());
    let mut args = Args::none(doc);
    for pair in fuzzed.chunks_exact(2).chain(own.chunks_exact(2)) {
        // A schedule's own words are quoted as they are; only what the data holds is foreign here.
        let Some(arg) = doc.arg(pair[0]).filter(|_| pair[1].len() < 100) else { continue };
        let value = match (&arg.shape, pair[1].parse()) {
            (Shape::Keyword([Kind::Word(choices)]), _) if !choices().contains(&pair[1]) => continue,
            (Shape::Keyword([Kind::Word(_)]), _) => Value::Word(pair[1].into()),
            (Shape::Keyword([Kind::Either(_)]), Ok(number)) => Value::Integer(number),
            _ => Value::Text(pair[1].into()),
        };
        args = args.with(arg.name, vec![value]);
    }
    args
}

// --- what the bytes are made into

/// Stands between two files in one input.
pub const BETWEEN: &[u8] = b"\n=====\n";

fn parts(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + BETWEEN.len()..];
    }
    parts.push(bytes);
    parts
}

fn checksum(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

/// A zip archive with stored entries, as NumPy's `savez` makes it.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let length = content.len() as u32;
        let mut common = [20u16, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
        common.extend([checksum(content), length, length].map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*content);
    }
    let (at, n) = (out.len() as u32, entries.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([n, n].map(u16::to_le_bytes).concat());
    out.extend([directory.len() as u32, at].map(u32::to_le_bytes).concat());
    out.extend([0, 0]);
    out
}

/// A few files that can be read; nothing can be written. Relative paths begin at its root.
struct Shelf {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Shelf {
    fn holding<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Shelf {
        Shelf { files: files.into_iter().map(|(name, content)| (PathBuf::from(name), content)).collect() }
    }

    /// The parts of an input under these names; what has no part is not there.
    fn of<const N: usize>(names: [&str; N], bytes: &[u8]) -> Shelf {
        Shelf::holding(names.into_iter().zip(parts(bytes)).map(|(name, part)| (name, part.to_vec())))
    }

    /// One small data set of every kind: `t.csv`, `a.npz`, the folder `d`.
    fn with_examples() -> Shelf {
        let array = |shape: &str, values: [u8; 4]| {
            let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut array = b"\x93NUMPY\x01\x00".to_vec();
            array.extend((header.len() as u16).to_le_bytes());
            array.extend(header.as_bytes());
            array.extend(values);
            array
        };
        let (x, y) = (array("(4, 1)", [0, 1, 2, 3]), array("(4,)", [0, 1, 0, 1]));
        Shelf::holding([
            ("t.csv", b"a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n".repeat(5)),
            ("a.npz", archive(&[("x.npy", &x), ("y.npy", &y)])),
            ("d/train-images-idx3-ubyte", b"\0\0\x08\x03\0\0\0\x04\0\0\0\x01\0\0\0\x01abcd".to_vec()),
            ("d/train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x04\0\x01\0\x01".to_vec()),
        ])
    }

    /// A path without `.` and `..`; above the root is the root.
    fn clean(path: &Path) -> PathBuf {
        let mut clean = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => clean.push(name),
                Component::ParentDir => drop(clean.pop()),
                _ => {}
            }
        }
        clean
    }

    fn file(&self, path: &Path) -> Result<&[u8]> {
        let missing = || Error::io("read", path, &std::io::ErrorKind::NotFound.into());
        self.files.get(&Shelf::clean(path)).map(Vec::as_slice).ok_or_else(missing)
    }
}

fn read_only<T>(path: &Path) -> Result<T> {
    Err(Error::io("write", path, &std::io::ErrorKind::ReadOnlyFilesystem.into()))
}

impl World for Shelf {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let content = self.file(path)?;
        if content.len() as u64 > limit {
            let error = Error::new("read", path, format!("it holds more than {limit} bytes"));
            return Err(Error { code: "G0802", ..error });
        }
        Ok(content.to_vec())
    }

    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        Ok(self.file(path)?.iter().copied().take(bytes as usize).collect())
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        Ok(Path::new("/").join(Shelf::clean(path)))
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        let path = Shelf::clean(path);
        Ok(match self.files.get(&path) {
            Some(content) => Some(Entry::File { bytes: content.len() as u64 }),
            None if self.files.keys().any(|file| file.starts_with(&path)) => Some(Entry::Folder),
            None => None,
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let path = Shelf::clean(path);
        let inside = self.files.keys().filter_map(|file| file.strip_prefix(&path).ok()?.components().next());
        let mut names: Vec<String> = inside.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
        names.dedup();
        Ok(names)
    }

    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>> {
        self.entry(&folder.join(path))
    }

    fn list_beneath(&self, folder: &Path, path: &Path) -> Result<Vec<String>> {
        self.list(&folder.join(path))
    }

    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        self.read_start(&folder.join(path), bytes)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn Appender>> {
        read_only(path)
    }

    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>> {
        read_only(path)
    }

    fn make_folder(&self, path: &Path) -> Result<bool> {
        read_only(path)
    }

    fn rename(&self, from: &Path, _: &Path) -> Result<()> {
        read_only(from)
    }

    fn exchange(&self, one: &Path, _: &Path) -> Result<bool> {
        read_only(one)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        read_only(path)
    }

    fn remove_empty_folder(&self, path: &Path) -> Result<()> {
        read_only(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        read_only(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        read_only(path)
    }

    fn disk_free(&self, _: &Path) -> Option<u64> {
        None
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn seconds(&self) -> f64 {
        0.0
    }

    fn epoch_seconds(&self) -> u64 {
        0
    }

    fn host(&self) -> Host {
        // So little that a bomb is refused in milliseconds.
        Host { cpu: String::new(), os: String::new(), threads: 1, memory_free: Some(8 << 20) }
    }

    fn confine(&self, _: &[PathBuf], _: &[PathBuf]) -> Confinement {
        Confinement::Absent
    }
}
