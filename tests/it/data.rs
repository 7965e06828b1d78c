//! Tests of data.

use growrun::base::world::Real;
use growrun::base::{Args, Refusal, Value, World};
use growrun::data::{
    CODES, Dataset, Features, Header, Labels, Normalize, Options, Place, SOURCES, Share, Split, find, load, part_sizes,
};
use growrun::nn::Task;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

fn text(value: &str) -> Vec<Value> {
    vec![Value::Text(value.into())]
}

fn word(value: &str) -> Vec<Value> {
    vec![Value::Word(value.into())]
}

fn integer(value: u64) -> Vec<Value> {
    vec![Value::Integer(value)]
}

/// Names and values of arguments.
type Props = Vec<(&'static str, Vec<Value>)>;

/// The arguments of a source.
fn args(source: &str, given: &[(&'static str, Vec<Value>)]) -> Args {
    let doc = find(source).expect("a source of the registry").doc();
    given.iter().fold(Args::none(doc), |args, (name, values)| args.with(name, values.clone()))
}

/// Runs `work` with paths beneath `folder`.
fn at<T>(folder: &Path, seed: u64, work: impl FnOnce(&Place) -> T) -> T {
    at_with(folder, seed, &BTreeMap::new(), work)
}

fn at_with<T>(folder: &Path, seed: u64, named: &BTreeMap<String, PathBuf>, work: impl FnOnce(&Place) -> T) -> T {
    work(&Place { world: &Real::default(), folder, named, seed })
}

fn options(header: &Header) -> Options {
    Options { normalize: Normalize::ZScore, split: Split::default_for(header), limit: None, balanced_classes: false }
}

/// Loads with the defaults, checking on the way that header, sizes and contents agree.
fn load_default(place: &Place, args: &Args) -> Result<Dataset, Refusal> {
    let source = find(args.doc.word).expect("a source of the registry");
    let header = source.header(args, place)?;
    let data = load(source, args, place, &options(&header))?;
    assert_eq!(data.header, header);
    let sizes = part_sizes(&header, &Split::default_for(&header), None)?;
    assert_eq!(
        (data.train.len(), data.val.len(), data.test.as_ref().map(|p| p.len())),
        (sizes.train, sizes.val, sizes.test,)
    );
    let width = header.inputs * header.area.map_or(1, |(h, w)| h * w);
    assert_eq!(data.train.features.width(), width);
    assert_eq!(data.scaling.mean.len(), width);
    Ok(data)
}

fn built_in(source: &str, given: &[(&'static str, Vec<Value>)], seed: u64) -> Dataset {
    at(Path::new("."), seed, |place| load_default(place, &args(source, given))).expect("built-in data loads")
}

fn classes(data: &growrun::data::Part) -> &[u32] {
    match &data.labels {
        Labels::Classes(classes) => classes,
        Labels::Numbers { .. } => panic!("classes expected"),
    }
}

#[test]
fn every_source_is_documented_and_found_by_its_word() {
    for source in SOURCES {
        let doc = source.doc();
        assert!(std::ptr::eq(find(doc.word).expect("found").doc(), doc), "{} is found by its word", doc.word);
        assert!(!doc.help.is_empty() && doc.example.starts_with(&format!("data {}", doc.word)), "{}", doc.word);
        for arg in doc.args {
            assert!(!arg.help.is_empty(), "{} {}", doc.word, arg.name);
        }
    }
}

const GOLDEN: [&str; 5] = [
    "digits sha256:34af3b9b1a8afa599fef9fa56f4d7d4933c3e969bdf02f3fa698213eb8c8adec",
    "spirals sha256:e805a0fc0e41d8be5797a6d6bab550c1ce3a10b80fbf9a4195dbae6f57529b9c",
    "moons sha256:c5f5fb90d960a09c7ce9407ede65f97fcef41ab47b0a4e6082763a3a721960bb",
    "blobs sha256:8d504caa8a0ed2086d6d960693179e1a62a5b79850c43f9b1da77003922c821e",
    "teacher sha256:e21c12640c34db67f33a6b2e98341b383e96bb5a4de64bcaf23f21e4bfba1d3c",
];

/// Old records replay only while these stand: a change here raises the numerics version.
#[test]
fn generated_data_has_the_bits_that_it_always_had() {
    let digests: Vec<String> = ["digits", "spirals", "moons", "blobs", "teacher"]
        .iter()
        .map(|source| format!("{source} {}", built_in(source, &[], 7).digest))
        .collect();
    assert_eq!(digests, GOLDEN);
}

#[test]
fn another_seed_is_other_data_and_the_same_seed_the_same() {
    for source in ["spirals", "moons", "blobs", "teacher"] {
        let (a, b, c) = (built_in(source, &[], 1), built_in(source, &[], 1), built_in(source, &[], 2));
        assert_eq!(a.train, b.train, "{source}");
        assert_eq!(a.digest, b.digest, "{source}");
        assert_ne!(a.digest, c.digest, "{source}");
    }
    let (a, b) = (built_in("digits", &[], 1), built_in("digits", &[], 2));
    assert_eq!(a.digest, b.digest, "the digits are the same in every run");
    assert_ne!(a.train, b.train, "but they are divided by the seed");
}

#[test]
fn more_samples_continue_the_fewer() {
    for source in ["spirals", "moons", "blobs", "teacher"] {
        let doc = find(source).expect("registered");
        let read = |samples: u64| {
            at(Path::new("."), 3, |place| {
                doc.read(&args(source, &[("samples", integer(samples))]), place).expect("generated")
            })
        };
        let (few, many) = (read(50), read(80));
        let first: Vec<u32> = (0..50).collect();
        assert_eq!(few.examples, many.examples.select(&first), "{source}");
    }
}

#[test]
fn generated_sources_have_the_sizes_asked_for() {
    let blobs = built_in("blobs", &[("samples", integer(100)), ("classes", integer(7)), ("inputs", integer(4))], 0);
    assert_eq!((blobs.header.inputs, blobs.header.outputs, blobs.header.examples), (4, 7, 100));
    let teacher = built_in("teacher", &[("inputs", integer(3)), ("hidden", integer(5)), ("outputs", integer(2))], 0);
    assert_eq!((teacher.header.inputs, teacher.header.outputs), (3, 2));
    assert_eq!(teacher.header.task, Task::Regression);
    assert!(matches!(teacher.train.labels, Labels::Numbers { width: 2, .. }));
}

#[test]
fn moons_without_noise_lie_on_their_circles() {
    let data = built_in("moons", &[("noise", vec![Value::Number(0.0)])], 5);
    for (i, &class) in classes(&data.train).iter().enumerate() {
        let (x, y) = (f64::from(data.train.features.at(i, 0)), f64::from(data.train.features.at(i, 1)));
        let (cx, cy) = if class == 0 { (0.0, 0.0) } else { (1.0, 0.5) };
        // Rounding to f32 of values below 2.
        assert!(((x - cx).hypot(y - cy) - 1.0).abs() < 1e-6, "example {i} at {x}, {y}");
    }
}

#[test]
fn sizes_are_whole_and_sum_to_all_for_every_number_of_examples() {
    let header = |examples| Header {
        examples,
        test_examples: None,
        inputs: 1,
        area: None,
        task: Task::Classification,
        outputs: 2,
        class_names: vec![],
    };
    let percents = |train, val, test| Split {
        train: Share::Fraction(train),
        val: Share::Fraction(val),
        test: Some(Share::Fraction(test)),
        stratified: false,
    };
    for n in 20..400 {
        let sizes = part_sizes(&header(n), &percents(0.8, 0.1, 0.1), None).expect("enough");
        assert_eq!(sizes.train + sizes.val + sizes.test.expect("asked for"), n);
        assert!((sizes.train as f64 - 0.8 * n as f64).abs() < 1.0, "{n}: {sizes:?}");
    }
    let sizes = part_sizes(&header(1797), &percents(0.8, 0.1, 0.1), None).expect("enough");
    assert_eq!((sizes.train, sizes.val, sizes.test), (1437, 180, Some(180)));
    let sizes = part_sizes(&header(1797), &percents(0.8, 0.1, 0.1), Some(100)).expect("enough");
    assert_eq!((sizes.train, sizes.val, sizes.test), (80, 10, Some(10)));
    let sizes = part_sizes(&header(100), &percents(0.29, 0.71, 0.0), None).expect("enough");
    assert_eq!((sizes.train, sizes.val, sizes.test), (29, 71, None), "a test share of 0 is no test part");

    let counts = Split { train: Share::Count(50), val: Share::Count(20), test: None, stratified: false };
    let sizes = part_sizes(&header(100), &counts, None).expect("enough");
    assert_eq!((sizes.train, sizes.val, sizes.test), (50, 20, None));

    let refused = |split: Split, n, own, task, limit| -> Refusal {
        let header = Header { test_examples: own, task, ..header(n) };
        part_sizes(&header, &split, limit).expect_err("refused")
    };
    let class = Task::Classification;
    let refusal = refused(percents(0.8, 0.1, 0.2), 100, None, class, None);
    assert_eq!(refusal.message, "the shares of the split sum to 110 %, not to 100 %");
    assert_eq!(refused(percents(0.8, 0.2, f64::NAN), 100, None, class, None).code, "G0722");
    assert_eq!(refused(percents(1.2, -0.2, 0.0), 100, None, class, None).code, "G0722");
    let mixed = Split { val: Share::Count(5), ..percents(0.9, 0.1, 0.0) };
    assert_eq!(refused(mixed, 100, None, class, None).code, "G0722");
    let refusal = refused(counts, 60, None, class, None);
    assert_eq!((refusal.code, refusal.message.as_str()), ("G0723", "the split asks for 70 examples, but there are 60"));
    let huge = Split { train: Share::Count(u64::MAX), ..counts };
    assert_eq!(refused(huge, 60, None, class, None).code, "G0723");
    let refusal = refused(percents(0.8, 0.1, 0.1), 3, None, class, None);
    assert_eq!((refusal.code, refusal.argument), ("G0724", Some("val")));
    assert_eq!(refused(percents(1.0, 0.0, 0.0), 100, None, class, None).argument, Some("val"));
    assert_eq!(refused(percents(0.8, 0.1, 0.1), 100, None, class, Some(0)).argument, Some("train"));
    assert_eq!(refused(percents(0.8, 0.1, 0.1), 100, Some(10), class, None).code, "G0725");
    let stratified = Split { stratified: true, ..percents(0.8, 0.1, 0.1) };
    assert_eq!(refused(stratified, 100, None, Task::Regression, None).code, "G0726");
}

#[test]
fn every_part_has_its_share_of_every_class() {
    let data = built_in("digits", &[], 11);
    let count = |part: &growrun::data::Part, class| classes(part).iter().filter(|&&c| c == class).count() as f64;
    let test = data.test.as_ref().expect("80/10/10");
    for class in 0..10 {
        let all = count(&data.train, class) + count(&data.val, class) + count(test, class);
        // Dealing in proportion leaves each class off by less than one example at either of its ends.
        for (part, share) in [(&data.train, 0.8), (&data.val, 0.1), (test, 0.1)] {
            assert!((count(part, class) - share * all).abs() < 2.0, "class {class}");
        }
    }
}

#[test]
fn parts_are_disjoint_keep_file_order_and_change_with_the_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..100).map(|i| format!("{i},{}\n", i % 2)).collect();
    std::fs::write(folder.path().join("t.csv"), rows).expect("written");
    let csv = args("csv", &[("path", text("t.csv"))]);
    let ids =
        |part: &growrun::data::Part| -> Vec<u32> { (0..part.len()).map(|i| part.features.at(i, 0) as u32).collect() };
    let loaded = |seed| at(folder.path(), seed, |place| load_default(place, &csv)).expect("loads");
    let data = loaded(1);
    let parts = [ids(&data.train), ids(&data.val), ids(data.test.as_ref().expect("80/10/10"))];
    for part in &parts {
        assert!(part.is_sorted(), "a part keeps the order of the file");
    }
    let mut all = parts.concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u32>>(), "every example is in one part");
    assert_ne!(ids(&loaded(2).val), parts[1], "another seed divides differently");

    for stratified in [false, true] {
        let limited = at(folder.path(), 1, |place| {
            let source = find("csv").expect("registered");
            let header = source.header(&csv, place).expect("reads");
            let split = Split { stratified, ..Split::default_for(&header) };
            load(source, &csv, place, &Options { limit: Some(30), split, ..options(&header) }).expect("loads")
        });
        let mut all = [ids(&limited.train), ids(&limited.val), ids(limited.test.as_ref().expect("three"))].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 30);
        assert!(all.iter().any(|&id| id >= 30), "a limit draws from the whole file, which may be sorted by class");
    }
}

/// The training part has mean 0 and deviation 1 after scaling; all examples together have not, because a
/// few of the others were put far away: statistics that leak from them would show.
#[test]
fn statistics_come_from_the_training_part_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain: String = (0..200).map(|i| format!("{},{}\n", i % 17, i % 2)).collect();
    std::fs::write(folder.path().join("t.csv"), &plain).expect("written");
    let csv = args("csv", &[("path", text("t.csv"))]);
    let before = at(folder.path(), 4, |place| load_default(place, &csv)).expect("loads");
    // Which rows fall into val and test follows from the seed and the labels; change only those.
    let train_rows: Vec<f32> = (0..before.train.len()).map(|i| before.train.features.at(i, 0)).collect();
    let marked: String = (0..200).map(|i| format!("{i},{}\n", i % 2)).collect();
    std::fs::write(folder.path().join("t.csv"), marked).expect("written");
    let numbers = at(folder.path(), 4, |place| load_default(place, &csv)).expect("loads");
    let in_train: Vec<usize> = (0..numbers.train.len()).map(|i| numbers.train.features.at(i, 0) as usize).collect();
    let poisoned: String = (0..200)
        .map(|i| {
            let value = if in_train.contains(&i) { i % 17 } else { 1_000_000 };
            format!("{value},{}\n", i % 2)
        })
        .collect();
    std::fs::write(folder.path().join("t.csv"), poisoned).expect("written");
    let after = at(folder.path(), 4, |place| load_default(place, &csv)).expect("loads");
    assert_eq!(after.train, before.train);
    assert_eq!(after.val.features.at(0, 0), 1e6, "the poison is where it was meant to be");
    assert_eq!(after.scaling, before.scaling, "val and test must not move the statistics");

    let mean = train_rows.iter().map(|&x| f64::from(x)).sum::<f64>() / train_rows.len() as f64;
    let variance = train_rows.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / train_rows.len() as f64;
    assert_eq!(after.scaling.mean[0], mean as f32);
    assert_eq!(after.scaling.inverse[0], (1.0 / variance.sqrt()) as f32);
}

#[test]
fn normalisation_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    // The second column never varies; the third holds 0.1, whose mean is one rounding away from it.
    let rows: String = (0..40).map(|i| format!("{},5,0.1,{}\n", [2, 4, 10, 4][i % 4], i % 2)).collect();
    std::fs::write(folder.path().join("t.csv"), rows).expect("written");
    let csv = args("csv", &[("path", text("t.csv"))]);
    let scaling = |normalize| {
        at(folder.path(), 0, |place| {
            let source = find("csv").expect("registered");
            let header = source.header(&csv, place).expect("reads");
            load(source, &csv, place, &Options { normalize, ..options(&header) }).expect("loads").scaling
        })
    };
    let minmax = scaling(Normalize::MinMax);
    assert_eq!((minmax.mean[0], minmax.inverse[0]), (2.0, 0.125));
    assert_eq!((minmax.mean[1], minmax.inverse[1]), (5.0, 0.0));
    let zscore = scaling(Normalize::ZScore);
    assert_eq!((zscore.mean[1], zscore.inverse[1]), (5.0, 0.0), "a constant feature becomes 0, not NaN");
    assert_eq!(zscore.inverse[2], 0.0, "rounding is no variation");
    let none = scaling(Normalize::None);
    assert_eq!((none.mean, none.inverse), (vec![0.0; 3], vec![1.0; 3]));
}

#[test]
fn pixels_of_an_image_share_the_statistics_of_their_channel() {
    let data = built_in("digits", &[], 0);
    assert!(data.scaling.mean.iter().all(|&mean| mean == data.scaling.mean[0]));
    assert!(data.scaling.inverse.iter().all(|&inverse| inverse == data.scaling.inverse[0]));
    let mut batch = vec![0.0; data.train.len() * 64];
    let all: Vec<u32> = (0..data.train.len() as u32).collect();
    data.train.gather(&all, &data.scaling, &mut batch);
    let n = batch.len() as f64;
    let mean = batch.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = batch.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    // Mean and deviation are rounded to f32, and so is every scaled value: errors near 2^-24 each.
    assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
}

#[test]
fn balanced_classes_weigh_the_same_in_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..100).map(|i| format!("{i},{}\n", u8::from(i % 10 == 0))).collect();
    std::fs::write(folder.path().join("t.csv"), rows).expect("written");
    let csv = args("csv", &[("path", text("t.csv"))]);
    let data = at(folder.path(), 0, |place| {
        let source = find("csv").expect("registered");
        let header = source.header(&csv, place).expect("reads");
        load(source, &csv, place, &Options { balanced_classes: true, ..options(&header) }).expect("loads")
    });
    // 80 examples, 72 of class 0: 80 / (2 · 72) and 80 / (2 · 8).
    assert_eq!(data.class_weights, Some(vec![(80.0f64 / 144.0) as f32, 5.0]));
    let teacher = args("teacher", &[]);
    let refusal = at(folder.path(), 0, |place| {
        let source = find("teacher").expect("registered");
        let header = source.header(&teacher, place).expect("reads");
        load(source, &teacher, place, &Options { balanced_classes: true, ..options(&header) }).expect_err("refused")
    });
    assert_eq!((refusal.code, refusal.argument), ("G0726", Some("class_weights")));
}

/// Loads a table and renders what comes of it.
fn table(content: impl AsRef<[u8]>, given: &[(&'static str, Vec<Value>)]) -> Result<Dataset, Refusal> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("t.csv"), content).expect("written");
    let given = [&[("path", text("t.csv"))], given].concat();
    at(folder.path(), 0, |place| {
        load_default(place, &args("csv", &given)).map_err(|refusal| without_folder(refusal, folder.path()))
    })
}

/// Messages show the path; the temporary folder's name is not part of what is tested.
fn without_folder(mut refusal: Refusal, folder: &Path) -> Refusal {
    let prefix = format!("{}/", folder.display());
    for said in [&mut refusal.message, &mut refusal.help] {
        *said = said.replace(&prefix, "");
    }
    refusal
}

#[test]
fn mistakes_in_tables_are_told_with_their_place() {
    let good: String = (0..20).map(|i| format!("{i},{}\n", i % 2)).collect();
    let with = |line: &str| format!("a,b\n{good}{line}\n");
    let target = |name: &str| vec![("target", text(name))];
    let cases: Vec<(Vec<u8>, Props, &str)> = vec![
        (with("1,2,3").into(), vec![], "G0709: `t.csv`:22: the row has 3 fields, the first has 2"),
        (with("1").into(), vec![], "G0709: `t.csv`:22: the row has 1 fields, the first has 2"),
        (with("nan,1").into(), vec![], "G0710: `t.csv`:22: column `a` holds `nan`: the value is missing"),
        (with(",1").into(), vec![], "G0710: `t.csv`:22: column `a` is empty: the value is missing"),
        (with("3,").into(), vec![], "G0710: `t.csv`:22: column `b` is empty: the value is missing"),
        (with("inf,1").into(), vec![], "G0710: `t.csv`:22: column `a` holds `inf`, which is not finite as f32"),
        (with("1e39,1").into(), vec![], "G0710: `t.csv`:22: column `a` holds `1e39`, which is not finite as f32"),
        (with("red,1").into(), vec![], "G0710: `t.csv`:22: column `a` holds `red`, which is no number"),
        (with("1,1").into(), target("bb"), "G0711: `t.csv` has no column `bb`"),
        (good.clone().into(), target("b"), "G0711: `t.csv` has no column `b`"),
        (with("1,1").into(), vec![("target", integer(3))], "G0711: `t.csv` has no column `3`"),
        ("".into(), vec![], "G0708: `t.csv` holds no example: it is empty"),
        ("a,b\n".into(), vec![], "G0708: `t.csv` holds no example: it has a header line and nothing else"),
        ("1\n2\n".into(), vec![], "G0709: `t.csv` has a single column, which leaves no feature"),
        (b"a,b\n1,2\n\xE4,3\n".to_vec(), vec![], "G0707: `t.csv`:3: the text is not UTF-8"),
        ("a,b\n1,x\n2,x\n".into(), vec![], "G0713: column `b` of `t.csv` holds only one class, `x`"),
        (
            "a,b\n1,0\n2,1.0\n3,1\n4,5\n".into(),
            vec![],
            "G0712: column `b` of `t.csv` holds 3 different whole numbers: classes, or a quantity",
        ),
        (
            "a,b\n1,x\n2,7\n".into(),
            vec![("task", word("regression"))],
            "G0710: `t.csv`:2: column `b` holds `x`, which is no number",
        ),
        ("a,b\n1,x\n2,y\n".into(), vec![], "G0724: the val part would be empty: there are 2 examples to divide"),
        (b"\x1F\x8B\x08\0\0\0\0\0".to_vec(), vec![], "G0706: `t.csv` is a broken gz file: it ends in the middle"),
    ];
    for (content, given, expected) in cases {
        let refusal = table(&content, &given).expect_err(expected);
        assert_eq!(format!("{}: {}", refusal.code, refusal.message), expected);
        assert!(!refusal.help.is_empty(), "{expected}");
        assert!(refusal.argument.is_some(), "{expected}");
    }
    let refusal = table("length,width,species\n1,2,a\n2,3,b\n", &target("specie")).expect_err("absent");
    assert_eq!(refusal.help, "did you mean `species`?");
}

#[test]
fn tables_as_people_write_them() {
    let rows = |separator: &str, names: &[&str]| -> String {
        (0..20).map(|i| format!("{i}{separator}{}{separator}{}\n", i * 2, names[i % names.len()])).collect()
    };
    let data = table(rows(",", &["setosa", "virginica", "setosa"]), &[]).expect("no header line, words as classes");
    assert_eq!(data.header.class_names, ["setosa", "virginica"]);
    assert_eq!((data.header.examples, data.header.inputs, data.header.outputs), (20, 2, 2));
    let data = table(format!("\u{FEFF}a;b;c\r\n{}", rows(";", &["0", "1"]).replace('\n', "\r\n")), &[])
        .expect("a spreadsheet's CSV: mark, semicolons, CRLF");
    assert_eq!((data.header.examples, data.header.class_names.len()), (20, 0));
    let data = table(format!("y\tb\tc\n{}", rows("\t", &["0.5", "1.5"])), &[("target", text("y"))]).expect("tabs");
    assert_eq!((data.header.task, data.header.outputs), (Task::Classification, 20), "0, 1, 2, … are classes");
    let data = table(rows(",", &["0.5", "1.5"]), &[]).expect("fractions");
    assert_eq!((data.header.task, data.header.outputs), (Task::Regression, 1));
    let data = table(rows(",", &["3", "5"]), &[("task", word("classification"))]).expect("told");
    assert_eq!(data.header.class_names, ["3", "5"]);
    let data =
        table(format!("\"a, or b\",c,d\n{}\n", rows(",", &["0", "1"])), &[("target", integer(3))]).expect("quotes");
    assert_eq!((data.header.examples, data.header.inputs), (20, 2));

    let folder = tempfile::tempdir().expect("a folder");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(rows(",", &["x", "y"]).as_bytes()).expect("packs");
    std::fs::write(folder.path().join("t.csv.gz"), gz.finish().expect("packs")).expect("written");
    std::fs::write(folder.path().join("u.csv"), "1,2,y\n3,4,x\n").expect("written");
    std::fs::write(folder.path().join("v.csv"), "1,2,z\n").expect("written");
    std::fs::write(folder.path().join("w.csv"), "1,y\n").expect("written");
    let with_test = |test: &str| {
        let csv = args("csv", &[("path", text("t.csv.gz")), ("test", text(test))]);
        at(folder.path(), 0, |place| load_default(place, &csv))
            .map_err(|refusal| without_folder(refusal, folder.path()))
    };
    let data = with_test("u.csv").expect("a test table");
    assert_eq!((data.train.len(), data.val.len()), (18, 2), "90/10 beside a test table");
    assert_eq!(classes(data.test.as_ref().expect("its own")), [1, 0]);
    let refusal = with_test("v.csv").expect_err("an unknown class");
    assert_eq!((refusal.code, refusal.argument), ("G0714", Some("test")));
    assert_eq!(refusal.message, "`v.csv`:1: class `z` is not in the training table");
    assert_eq!(with_test("w.csv").expect_err("other columns").code, "G0728");
}

#[test]
fn paths_stay_beneath_the_folder_or_are_named() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("project");
    std::fs::create_dir(&folder).expect("made");
    let rows: String = (0..20).map(|i| format!("{i},{}\n", i % 2)).collect();
    for path in [outer.path().join("secret.csv"), folder.join("t.csv")] {
        std::fs::write(path, &rows).expect("written");
    }
    let try_path = |path: &str, named: &BTreeMap<String, PathBuf>| {
        at_with(&folder, 0, named, |place| load_default(place, &args("csv", &[("path", text(path))])))
            .map(|data| data.name)
            .map_err(|refusal| (refusal.code, refusal.help))
    };
    let none = BTreeMap::new();
    assert_eq!(try_path("t.csv", &none), Ok("csv t.csv".into()));
    for path in ["../secret.csv", "/etc/passwd", "x/../../secret.csv"] {
        let (code, help) = try_path(path, &none).expect_err("outside");
        assert_eq!((code, help.contains("--data NAME=PATH")), ("G0704", true), "{path}");
    }
    let (code, help) = try_path("tt.csv", &none).expect_err("missing");
    assert_eq!((code, help.contains("did you mean `t.csv`")), ("G0701", true), "{help}");
    assert_eq!(try_path(".", &none).expect_err("a folder").0, "G0702");
    let named = BTreeMap::from([("mine".to_string(), outer.path().join("secret.csv"))]);
    assert_eq!(try_path("mine", &named), Ok("csv mine".into()));

    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outer.path().join("secret.csv"), folder.join("link.csv")).expect("linked");
        assert_eq!(try_path("link.csv", &none).expect_err("a link out").0, "G0704");
        // As an IDX folder: the folder is inside, its files are links out.
        std::fs::create_dir(folder.join("idx")).expect("made");
        std::os::unix::fs::symlink(outer.path().join("secret.csv"), folder.join("idx/train-images-idx3-ubyte"))
            .expect("linked");
        let refusal = at(&folder, 0, |place| load_default(place, &args("idx", &[("path", text("idx"))])));
        assert_eq!(refusal.expect_err("a link out").code, "G0704");
    }
}

fn idx_bytes(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn idx_folder(files: &[(&str, Vec<u8>)]) -> Result<Dataset, Refusal> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("d")).expect("made");
    for (name, bytes) in files {
        std::fs::write(folder.path().join("d").join(name), bytes).expect("written");
    }
    at(folder.path(), 0, |place| {
        load_default(place, &args("idx", &[("path", text("d"))]))
            .map_err(|refusal| without_folder(refusal, folder.path()))
    })
}

#[test]
fn idx_files_are_read_and_their_lies_told() {
    let pixels: Vec<u8> = (0..20 * 6).map(|i| i as u8).collect();
    let images = idx_bytes(&[20, 2, 3], &pixels);
    let labels = idx_bytes(&[20], &(0..20).map(|i| i % 3).collect::<Vec<u8>>());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&images).expect("packs");
    let gz = gz.finish().expect("packs");

    let plain = idx_folder(&[("train-images-idx3-ubyte", images.clone()), ("train-labels-idx1-ubyte", labels.clone())])
        .expect("plain");
    assert_eq!((plain.header.examples, plain.header.area, plain.header.outputs), (20, Some((2, 3)), 3));
    assert!(matches!(plain.train.features, Features::U8 { width: 6, .. }), "bytes stay bytes");
    let packed = idx_folder(&[
        ("train-images-idx3-ubyte.gz", gz.clone()),
        ("train-labels.idx1-ubyte", labels.clone()),
        ("t10k-images-idx3-ubyte", images.clone()),
        ("t10k-labels-idx1-ubyte", labels.clone()),
    ])
    .expect("gz, with a dot, with a test part");
    assert_eq!((packed.header.test_examples, packed.train.len(), packed.val.len()), (Some(20), 18, 2));

    let name = "d/train-images-idx3-ubyte";
    let cases: Vec<(Vec<u8>, Vec<u8>, String)> = vec![
        (vec![], labels.clone(), format!("G0708: `{name}` is empty")),
        (
            b"\x89PNG....".to_vec(),
            labels.clone(),
            format!("G0715: `{name}` is no IDX file: it begins with 0x89 0x50, not with two zeros"),
        ),
        (
            vec![0, 0, 13, 1, 0, 0, 0, 0],
            labels.clone(),
            format!("G0715: `{name}` holds values of IDX type 0x0d; only bytes (0x08) are read"),
        ),
        (vec![0, 0, 8, 200], labels.clone(), format!("G0715: `{name}` declares 200 dimensions; 1 to 4 are read")),
        (vec![0, 0, 8, 3, 0, 0], labels.clone(), format!("G0716: `{name}` ends within its header")),
        (
            idx_bytes(&[20, 2, 3], &pixels[..100]),
            labels.clone(),
            format!("G0716: `{name}` declares sizes [20, 2, 3], that is 120 bytes, but only 100 follow"),
        ),
        (
            idx_bytes(&[20, 2, 2], &pixels),
            labels.clone(),
            format!("G0716: `{name}` declares sizes [20, 2, 2], that is 80 bytes, but more follow"),
        ),
        (
            idx_bytes(&[u32::MAX; 4], &pixels),
            labels.clone(),
            format!("G0716: `{name}` declares sizes {:?}, more than any file can hold", [u32::MAX; 4]),
        ),
        (
            gz[..gz.len() / 2].to_vec(),
            labels.clone(),
            format!("G0706: `{name}` is a broken gz file: it ends in the middle"),
        ),
        (
            images.clone(),
            idx_bytes(&[19], &[0; 19]),
            format!("G0717: `{name}` holds 20 images, but `d/train-labels-idx1-ubyte` holds 19 labels"),
        ),
        (
            images.clone(),
            idx_bytes(&[20], &[4; 20]),
            "G0713: `d/train-labels-idx1-ubyte` holds only one class, 4".into(),
        ),
        (
            images.clone(),
            images.clone(),
            "G0715: `d/train-labels-idx1-ubyte` has sizes [20, 2, 3]; labels have one dimension".into(),
        ),
    ];
    for (images, labels, expected) in cases {
        let refusal = idx_folder(&[("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)])
            .expect_err(&expected);
        assert_eq!(format!("{}: {}", refusal.code, refusal.message), expected);
        assert_eq!(refusal.argument, Some("path"), "{expected}");
    }
    // As many images as labels, and so large that height times width times anything overflows.
    let huge = idx_bytes(&[20, 1 << 31, 1 << 28], &pixels);
    let refusal = idx_folder(&[("train-images-idx3-ubyte", huge), ("train-labels-idx1-ubyte", labels.clone())])
        .expect_err("the header alone is refused, before anything is multiplied with it");
    assert_eq!((refusal.code, refusal.argument), ("G0705", Some("path")));
    let refusal = idx_folder(&[("train-images-idx3-ubyte", images.clone())]).expect_err("no labels");
    assert_eq!((refusal.code, refusal.message.as_str()), ("G0701", "`d` holds no `train-labels-idx1-ubyte`"));
    let refusal = idx_folder(&[
        ("train-images-idx3-ubyte", images.clone()),
        ("train-labels-idx1-ubyte", labels.clone()),
        ("t10k-images-idx3-ubyte", images.clone()),
        ("t10k-labels-idx1-ubyte", idx_bytes(&[20], &[9; 20])),
    ])
    .expect_err("a label out of range");
    assert_eq!(refusal.message, "`d/t10k-labels-idx1-ubyte`: label 0 is 9, but the training labels end at 2");
}

/// The files that the data set is published as; looked for where benches and tests look.
#[test]
fn mnist_by_name() {
    let world = Real::default();
    let candidates = [
        world.variable("GROWRUN_DATA").map(|root| Path::new(&root).join("mnist")),
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist")),
    ];
    let Some(folder) = candidates.into_iter().flatten().find(|folder| folder.is_dir()) else {
        eprintln!("skipped: MNIST is neither in $GROWRUN_DATA nor in ../shared/data");
        return;
    };
    let named = BTreeMap::from([("mnist".to_string(), folder)]);
    let data = at_with(Path::new("."), 0, &named, |place| load_default(place, &args("mnist", &[]))).expect("loads");
    assert_eq!((data.train.len(), data.val.len()), (54_000, 6_000));
    assert_eq!(data.test.as_ref().map(|test| test.len()), Some(10_000));
    assert_eq!((data.header.area, data.header.outputs), (Some((28, 28)), 10));
    assert_eq!(&classes(data.test.as_ref().expect("its own"))[..5], [7, 2, 1, 0, 4]);
}

#[test]
fn a_published_set_that_is_absent_says_which_files_to_fetch() {
    let empty = tempfile::tempdir().expect("a folder");
    for (word, hints) in [
        ("mnist", ["6bbc9ace898e44ae57da46a324031adb", "yann.lecun.com", "--data mnist="]),
        ("cifar10", ["c32a1d4ab5d03f1284b67883e8d87530", "www.cs.toronto.edu/~kriz/cifar.html", "--data cifar10="]),
        ("fashion_mnist", ["t10k-labels-idx1-ubyte", "zalandoresearch/fashion-mnist", "$GROWRUN_DATA/fashion_mnist"]),
    ] {
        for path in [empty.path().to_path_buf(), empty.path().join("nowhere")] {
            let named = BTreeMap::from([(word.to_string(), path)]);
            let refusal =
                at_with(Path::new("."), 0, &named, |place| load_default(place, &args(word, &[]))).expect_err("absent");
            assert_eq!((refusal.code, refusal.argument), ("G0729", None));
            assert!(hints.iter().all(|hint| refusal.help.contains(hint)), "{}", refusal.help);
        }
    }
}

#[test]
fn sizes_that_cannot_be_generated_are_refused_before_they_are() {
    for (source, name, value, argument) in [
        ("spirals", "samples", Value::Integer(0), "samples"),
        ("spirals", "samples", Value::Integer(u64::MAX), "samples"),
        ("spirals", "classes", Value::Integer(1), "classes"),
        ("blobs", "classes", Value::Integer(1001), "classes"),
        ("blobs", "inputs", Value::Integer(200_000_000), "samples"),
        ("teacher", "hidden", Value::Integer(200_000_000), "hidden"),
        ("teacher", "outputs", Value::Integer(0), "outputs"),
        ("moons", "noise", Value::Number(-1.0), "noise"),
        ("moons", "noise", Value::Number(f64::INFINITY), "noise"),
    ] {
        let args = args(source, &[(name, vec![value.clone()])]);
        let source = find(source).expect("registered");
        let refusal = at(Path::new("."), 0, |place| source.header(&args, place)).expect_err("refused");
        assert_eq!((refusal.code, refusal.argument), ("G0727", Some(argument)), "{name} {value:?}");
    }
}

#[test]
fn every_code_has_its_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
    for (code, title) in CODES {
        let page = std::fs::read_to_string(folder.join(format!("{code}.md"))).unwrap_or_default();
        assert_eq!(page.lines().next(), Some(format!("# {code}: {title}").as_str()));
        for part in ["\n## Fails\n", "\n## Repaired\n"] {
            assert!(page.contains(part), "{code} lacks `{}`", part.trim());
        }
    }
}

#[path = "data_foreign.rs"]
mod foreign;

#[path = "data_images.rs"]
pub mod images;

#[path = "data_pages.rs"]
mod pages;
