//! Weights that a schedule brings along: what a network begins with, what an event puts in, and all that does not fit.

use crate::cli::{Ran, folder, growrun};
use growrun::record::schema::Record;
use growrun::record::weights::{self, Array};
use growrun::record::yaml;
use std::collections::BTreeMap;
use std::path::Path;

/// The bytes of a safetensors file.
fn file(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let all: BTreeMap<String, Array> =
        tensors.iter().map(|(name, shape, values)| (name.to_string(), Array::f32(shape, values.clone()))).collect();
    weights::write(&all, "a test")
}

/// Different everywhere, and exact in f32.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * 7.0 % 64.0 - 32.0) / 256.0).collect()
}

/// 2-4-3 under PyTorch's names.
fn torch() -> Vec<u8> {
    file(&[
        ("model.fc1.weight", &[4, 2], values(8)),
        ("model.fc1.bias", &[4], values(4)),
        ("model.fc2.weight", &[3, 4], values(12)),
        ("model.fc2.bias", &[3], values(3)),
    ])
}

fn schedule(model: &str, events: &str) -> String {
    format!(
        "data blobs {{ samples 60; classes 3; batch 10; normalize none }}\n{model}\n\
         train 2 epochs {{ optimizer sgd lr 0.01 }}\n{events}\n"
    )
}

fn record(folder: &Path, run: &str) -> Record {
    let text = std::fs::read_to_string(folder.join(run).join("run.yaml")).expect("a record");
    yaml::read(&text).expect("a record that reads")
}

/// A tensor of a checkpoint.
fn saved(folder: &Path, run: &str, checkpoint: &str, tensor: &str) -> (Vec<usize>, Vec<f32>) {
    let path = folder.join(run).join("checkpoints").join(checkpoint).join("weights.safetensors");
    let mut tensors = weights::read(&std::fs::read(path).expect("a checkpoint")).expect("weights");
    tensors.remove(tensor).expect("the tensor").into_f32(tensor).expect("f32")
}

fn good(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

#[test]
fn a_network_begins_with_a_run_and_a_wider_one_answers_the_same() {
    let first = schedule("model { h1 dense 4 relu norm batch; out dense 3 }", "");
    let second = schedule("model from \"first\" { h1 dense 4 relu norm batch; out dense 3 }", "at start widen h1 to 6");
    let folder = folder(&[("first.grow", first.as_bytes()), ("second.grow", second.as_bytes())]);
    good(growrun(folder.path(), &["first.grow"]));
    good(growrun(folder.path(), &["second.grow", "--data", "first=runs/first/0001"]));
    let (first, second) = (record(folder.path(), "runs/first/0001"), record(folder.path(), "runs/second/0001"));
    let begins = &second.checkpoints[0];
    assert_eq!((begins.step, &Some(begins.weights.clone())), (0, &first.result.expect("it ended").weights));
    assert_eq!((second.events[0].promise.as_str(), second.events[0].drift), ("bitwise", 0.0));
    let [weights] = &second.weights[..] else { panic!("{:?}", second.weights) };
    assert_eq!(weights.name, "final.safetensors");
    // It can be repeated, and is not where the weights are others.
    good(growrun(folder.path(), &["replay", "runs/second/0001"]));
    let path = folder.path().join("runs/first/0001/final.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let ran = growrun(folder.path(), &["replay", "runs/second/0001"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("G0808") && ran.stderr.contains("final.safetensors"), "{}", ran.stderr);
    let ran = growrun(folder.path(), &["verify", "runs/second/0001"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("final.safetensors"), "{}", ran.stdout);
}

#[test]
fn maps_say_what_the_file_calls_otherwise() {
    let torch = torch();
    let mapped = schedule(
        "model from \"net.safetensors\" { map \"fc1\" to h1; map \"model.fc2.weight\" to out.weight; map \"fc2.bias\" to out.bias; h1 dense 4 tanh; out dense 3 }",
        "",
    );
    // [in, out]: turned because a kernel is, and because it is said.
    let keras = file(&[
        ("h1/kernel", &[2, 4], vec![0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]),
        ("h1/bias", &[4], values(4)),
        ("w2", &[4, 3], values(12)),
        ("b2", &[3], values(3)),
    ]);
    let turned = schedule(
        "model from \"keras.safetensors\" {\n h1 dense 4 tanh\n out dense 3\n map \"w2\" to out.weight transpose\n map \"b2\" to out.bias\n}",
        "",
    );
    let folder = folder(&[
        ("mapped.grow", mapped.as_bytes()),
        ("net.safetensors", &torch),
        ("turned.grow", turned.as_bytes()),
        ("keras.safetensors", &keras),
    ]);
    good(growrun(folder.path(), &["mapped.grow"]));
    assert_eq!(saved(folder.path(), "runs/mapped/0001", "start", "h1.weight"), (vec![4, 2], values(8)));
    assert_eq!(saved(folder.path(), "runs/mapped/0001", "start", "out.weight"), (vec![3, 4], values(12)));
    good(growrun(folder.path(), &["turned.grow"]));
    let expected = (0..8).map(|at| at as f32).collect();
    assert_eq!(saved(folder.path(), "runs/turned/0001", "start", "h1.weight"), (vec![4, 2], expected));
    let (rows, v) = (4, values(12));
    let expected: Vec<f32> =
        (0..3).flat_map(|column| (0..rows).map(move |row| row * 3 + column)).map(|at| v[at]).collect();
    assert_eq!(saved(folder.path(), "runs/turned/0001", "start", "out.weight"), (vec![3, 4], expected));
}

#[test]
fn one_layer_begins_with_its_own_file_at_the_start_and_at_an_event() {
    let text = schedule(
        "model { h1 dense 4 tanh from \"net.safetensors\" prefix \"model.fc1\"; out dense 3 }",
        "at epoch 1 insert dense 4 tanh after h1 as h2 from \"square.safetensors\" accept change",
    );
    let square = file(&[("h2.weight", &[4, 4], values(16)), ("h2.bias", &[4], values(4)), ("x", &[9], values(9))]);
    let folder =
        folder(&[("own.grow", text.as_bytes()), ("net.safetensors", &torch()), ("square.safetensors", &square)]);
    good(growrun(folder.path(), &["own.grow"]));
    assert_eq!(saved(folder.path(), "runs/own/0001", "start", "h1.weight"), (vec![4, 2], values(8)));
    assert_eq!(saved(folder.path(), "runs/own/0001", "growth-0001-after", "h2.weight"), (vec![4, 4], values(16)));
    assert_eq!(saved(folder.path(), "runs/own/0001", "growth-0001-after", "h2.bias"), (vec![4], values(4)));
    let names: Vec<String> = record(folder.path(), "runs/own/0001").weights.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["net.safetensors", "square.safetensors"]);
    good(growrun(folder.path(), &["replay", "runs/own/0001"]));
}

#[test]
fn arms_that_begin_afresh_draw_their_weights() {
    let text = schedule(
        "model from \"net.safetensors\" { map \"fc1\" to h1; map \"fc2\" to out; h1 dense 4 relu; out dense 3 }",
        "at epoch 1 widen h1 to 8",
    );
    let folder = folder(&[("net.grow", text.as_bytes()), ("net.safetensors", &torch())]);
    let compare = ["compare", "net.grow", "--seeds", "2", "--out", "cmp"];
    let ran = good(growrun(folder.path(), &compare));
    assert!(ran.stdout.contains("begins    with the given weights"), "{}", ran.stdout);
    // The first evaluation comes before the growth, and a step is the same step in every arm.
    let mut first = BTreeMap::new();
    for run in walk(folder.path()) {
        let record = record(folder.path(), &run);
        let lines = std::fs::read_to_string(folder.path().join(&run).join("metrics.jsonl")).expect("metrics");
        let line: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
        let arm = record.arm.expect("a run of a comparison").name;
        first.insert((record.seed, arm), (line["val_loss"].to_string(), record.weights.len()));
    }
    let of = |arm: &str| first[&(0, arm.to_string())].clone();
    assert_eq!(of("grown"), of("small"));
    assert_eq!(of("grown"), of("grown_random"));
    assert_eq!((of("grown").1, of("large").1, of("large_epochs").1), (1, 0, 0));
    // Other weights are another comparison.
    let mut other = torch();
    *other.last_mut().expect("bytes") ^= 1;
    std::fs::write(folder.path().join("net.safetensors"), other).expect("written");
    let runs = walk(folder.path()).len();
    good(growrun(folder.path(), &compare));
    assert_eq!(walk(folder.path()).len(), 2 * runs);
}

/// The folders of all runs beneath a folder.
fn walk(root: &Path) -> Vec<String> {
    let mut open = vec![root.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("run.yaml") {
                let run = path.parent().expect("a folder").strip_prefix(root).expect("beneath");
                found.push(run.to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// What the checker says of a model on the file of [`torch`], or of another one.
fn said(model: &str, events: &str, other: Option<Vec<u8>>) -> String {
    let text = schedule(model, events);
    let folder = folder(&[("s.grow", text.as_bytes()), ("net.safetensors", &other.unwrap_or_else(torch))]);
    let ran = growrun(folder.path(), &["check", "s.grow"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    ran.stdout
}

#[test]
fn every_misfit_is_told_once_with_the_way_out() {
    let turned = file(&[
        ("h1.weight", &[2, 4], values(8)),
        ("h1.bias", &[4], vec![0.0, f32::NAN, 0.0, 0.0]),
        ("out.weight", &[3, 4], values(12)),
        ("out.bias", &[3], values(3)),
        ("out.extra.weight", &[5], values(5)),
        ("out.num_batches_tracked", &[1], values(1)),
    ]);
    let from = "model from \"net.safetensors\"";
    let plain = format!("{from} {{ h1 dense 4 relu; out dense 3 }}");
    let mapped = format!("{from} {{ map \"fc1\" to h1; map \"fc2\" to out");
    let cases: [(&str, &str, Option<Vec<u8>>); 7] = [
        // Names differ, and the shapes tell how.
        (&plain, "", None),
        // One width shows in three tensors.
        (&format!("{mapped}\n  h1 dense 6 relu\n  out dense 3\n}}"), "", None),
        (&format!("{from} {{ map \"fc1\" to out; out dense 3 }}"), "", None),
        (
            "model { h1 dense 4 relu; out dense 3 from \"net.safetensors\" }",
            "at epoch 1 insert dense 5 relu after h1 accept change from \"net.safetensors\" prefix \"fc2\"",
            None,
        ),
        (&plain, "", Some(turned)),
        (
            "model {\n  map \"a\" to h9; map \"b\" to h1.weight\n  h1 dense 4 relu prefix \"x\"\n  \
             out dense 3 init he from \"net.safetensors\" prefix \"fc2\"\n}",
            "",
            None,
        ),
        (
            &format!(
                "{from} {{\n  map \"fc7\" to h1; map \"fc2\" to out; map \"fc2.bias\" to out.beta\n  h1 dense 4 relu; out dense 3\n}}"
            ),
            "",
            None,
        ),
    ];
    let all: Vec<String> = cases.into_iter().map(|(model, events, other)| said(model, events, other)).collect();
    insta::assert_snapshot!(all.join("\n======\n"));
}

#[test]
fn without_its_weights_a_schedule_is_checked_and_not_run() {
    let text = schedule("model from \"gone.safetensors\" { h1 dense 4 relu; out dense 3 }", "");
    let folder = folder(&[("s.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["check", "s.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("G0701 ⚠ there is no `gone.safetensors`"), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["s.grow"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_norm_has_the_epsilon_that_is_written() {
    let text = schedule("model { h1 dense 4 relu norm batch epsilon 1e-3; out dense 3 }", "");
    let folder = folder(&[("s.grow", text.as_bytes())]);
    good(growrun(folder.path(), &["s.grow"]));
    let record = record(folder.path(), "runs/s/0001");
    assert_eq!(record.resolved.model.layers[0].norm_epsilon, 1e-3);
    let ran = growrun(folder.path(), &["check", "s.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    for (wrong, code) in [("norm batch epsilon 0", "G0107"), ("epsilon 1e-3", "G0106")] {
        let text = schedule(&format!("model {{ h1 dense 4 relu {wrong}; out dense 3 }}"), "");
        std::fs::write(folder.path().join("s.grow"), text).expect("written");
        let ran = growrun(folder.path(), &["check", "s.grow"]);
        assert!(ran.code == 2 && ran.stdout.contains(code), "{}", ran.stdout);
    }
}

#[test]
fn a_run_with_a_checkpoint_goes_on_without_what_it_began_with() {
    let text = schedule(
        "model from \"net.safetensors\" { map \"fc1\" to h1; map \"fc2\" to out; h1 dense 4 relu; out dense 3 }",
        "at epoch 1 insert dense 4 relu after h1 as h2 from \"a.safetensors\" accept change\n\
         at epoch 1 insert dense 4 relu after h2 as h3 from \"b.safetensors\" accept change",
    );
    let square = |name: &str, value: f32| {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        file(&[(&weight, &[4, 4], vec![value; 16]), (&bias, &[4], vec![value; 4])])
    };
    let folder = folder(&[
        ("s.grow", text.as_bytes()),
        ("net.safetensors", &torch()),
        ("a.safetensors", &square("h2", 0.25)),
        ("b.safetensors", &square("h3", 0.5)),
    ]);
    good(growrun(folder.path(), &["s.grow"]));
    // Its end is a checkpoint, and 20 epochs more need no first weights.
    std::fs::rename(folder.path().join("net.safetensors"), folder.path().join("gone")).expect("renamed");
    good(growrun(folder.path(), &["resume", "runs/s/0001", "--train", "4 epochs"]));
    let ran = growrun(folder.path(), &["replay", "runs/s/0001"]);
    assert!(ran.code == 2 && ran.stderr.contains("--data \"net.safetensors=PATH\""), "{}", ran.stderr);
    good(growrun(folder.path(), &["replay", "runs/s/0001", "--data", "net.safetensors=gone"]));
}

#[test]
fn one_network_of_several_is_chosen_by_its_dictionary() {
    let mut all: Vec<(&str, &[usize], Vec<f32>)> =
        vec![("model.h1.weight", &[4, 2], values(8)), ("ema.h1.weight", &[4, 2], vec![0.5; 8])];
    all.extend([("model.h1.bias", &[4][..], values(4)), ("ema.h1.bias", &[4][..], vec![0.5; 4])]);
    all.extend([("model.out.weight", &[3, 4][..], values(12)), ("ema.out.weight", &[3, 4][..], vec![0.5; 12])]);
    all.extend([("model.out.bias", &[3][..], values(3)), ("ema.out.bias", &[3][..], vec![0.5; 3])]);
    let text = schedule("model from \"two.safetensors\" prefix \"ema\" { h1 dense 4 relu; out dense 3 }", "");
    let folder = folder(&[("s.grow", text.as_bytes()), ("two.safetensors", &file(&all))]);
    good(growrun(folder.path(), &["s.grow"]));
    assert_eq!(saved(folder.path(), "runs/s/0001", "start", "h1.weight").1, vec![0.5; 8]);
}

#[test]
fn data_that_is_scaled_for_given_weights_is_told() {
    let text = schedule(
        "model from \"net.safetensors\" { map \"fc1\" to h1; map \"fc2\" to out; h1 dense 4 relu; out dense 3 }",
        "",
    );
    let folder = folder(&[("s.grow", text.replace("; normalize none", "").as_bytes()), ("net.safetensors", &torch())]);
    let ran = good(growrun(folder.path(), &["check", "s.grow"]));
    assert!(ran.stdout.contains("G0830 ⚠"), "{}", ran.stdout);
}
