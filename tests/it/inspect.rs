//! `growrun inspect` and `growrun new --from` on files of other tools: what is shown, and that what is proposed reads
//! the file.

use crate::cli::{folder, growrun};
use crate::weights::{fixture, fixtures};
use growrun::record::weights::{self, Array};
use std::collections::BTreeMap;

/// The bytes of a safetensors file.
fn file(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let all: BTreeMap<String, Array> =
        tensors.iter().map(|(name, shape, values)| (name.to_string(), Array::f32(shape, values.clone()))).collect();
    weights::write(&all, "a test")
}

/// Different everywhere.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|at| at as f32 / 8.0 - 1.0).collect()
}

#[test]
fn each_tools_file_is_shown_with_its_block() {
    let shown = [
        "torch_checkpoint.pt",
        "torch_half.pt",
        "torch_state.safetensors",
        "torch_views.pt",
        "keras_weights.npz",
        "flax_linen.npz",
        "mxnet_module-0002.params",
        "mxnet_module-symbol.json",
        "mxnet_export-0000.params",
        "mxnet_export-symbol.json",
    ];
    let contents: Vec<(&str, Vec<u8>)> = shown.iter().map(|name| (*name, fixture(name))).collect();
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (*name, &content[..])).collect();
    let folder = folder(&files);
    let mut all = String::new();
    for name in shown.iter().filter(|name| !name.ends_with(".json")) {
        let ran = growrun(folder.path(), &["inspect", name]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        all.push_str(&format!("{}\n", ran.stdout));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn every_block_that_fits_reads_its_file() {
    let mut fitted = Vec::new();
    for name in fixtures(&[".pt", ".npz", ".params", ".safetensors"]) {
        let symbol = name.rsplit_once('-').map(|(stem, _)| format!("{stem}-symbol.json"));
        let symbol = symbol.filter(|symbol| fixtures(&["-symbol.json"]).contains(symbol));
        let mut contents = vec![(name.clone(), fixture(&name))];
        contents.extend(symbol.map(|symbol| (symbol.clone(), fixture(&symbol))));
        let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
        let folder = folder(&files);
        let ran = growrun(folder.path(), &["inspect", &name, "--json"]);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
        let made = growrun(folder.path(), &["new", "--from", &name, "--out", "new.grow"]);
        if ran.code != 0 || object["model"].is_null() {
            assert_eq!(made.code, 2, "{name}: {}", made.stderr);
            assert!(!folder.path().join("new.grow").exists());
            continue;
        }
        assert_eq!((object["problems"].clone(), made.code), (serde_json::json!([]), 0), "{name}: {}", made.stderr);
        let text = std::fs::read_to_string(folder.path().join("new.grow")).expect("a schedule");
        assert!(text.contains(object["model"].as_str().expect("a block")), "{name}: {text}");
        let ran = growrun(folder.path(), &["check", "new.grow"]);
        assert!(ran.code == 0 && ran.stdout.starts_with("new.grow is fine"), "{name}: {}\n{text}", ran.stdout);
        fitted.push(name);
    }
    assert!(fitted.len() >= 12, "{fitted:?}");
    for name in
        ["torch_checkpoint.pt", "keras_half.npz", "flax_nnx.npz", "mxnet_gluon.params", "mxnet_module-0002.params"]
    {
        assert!(fitted.iter().any(|fitted| fitted == name), "{name} is not among {fitted:?}");
    }
}

#[test]
fn names_that_look_like_code_or_steer_a_terminal_do_no_harm() {
    let hostile = file(&[
        ("} at start stop #.weight", &[3, 2], values(6)),
        ("model from \"x\" {.weight", &[4, 3], values(12)),
        ("\u{1b}[31m\u{7}.weight", &[5, 4], values(20)),
        ("two\nlines.weight", &[6, 5], values(30)),
        (&"long".repeat(25), &[7], vec![f32::NAN; 7]),
    ]);
    let good = file(&[
        ("} at start stop #.weight", &[3, 2], values(6)),
        ("$x' \\.weight", &[4, 3], values(12)),
        (&format!("{}.weight", "long".repeat(25)), &[5, 4], values(20)),
    ]);
    let folder = folder(&[("bad.safetensors", &hostile), ("it's good.safetensors", &good)]);
    let ran = growrun(folder.path(), &["inspect", "bad.safetensors"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{7}']) && !ran.stdout.contains("\nlines"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("cannot be written in a schedule").count(), 3, "{}", ran.stdout);
    let ran = growrun(folder.path(), &["inspect", "bad.safetensors", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(object["model"].is_null() && !ran.stdout.contains('\u{1b}'));
    let tensors = object["tensors"].as_array().expect("tensors");
    assert!(tensors.iter().any(|tensor| tensor["nonfinite"] == 7 && tensor["min"].is_null()), "{tensors:?}");

    let ran = growrun(folder.path(), &["new", "--from", "it's good.safetensors", "--out", "good.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = growrun(folder.path(), &["check", "good.grow"]);
    assert!(ran.code == 0 && ran.stdout.contains("is fine"), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["inspect", "it's good.safetensors"]);
    assert!(ran.stdout.contains("--from 'it'\\''s good.safetensors' --out 'it'\\''s good.grow'"), "{}", ran.stdout);
}

#[test]
fn a_run_is_looked_at_and_begun_with() {
    let text = "data blobs { samples 60 }\nmodel { h1 dense 4 tanh norm layer; out dense 3 }\n\
                train 1 epochs { optimizer sgd lr 0.01 }\n";
    let folder = folder(&[("first.grow", text.as_bytes())]);
    assert_eq!(growrun(folder.path(), &["first.grow", "--quiet"]).code, 0);
    let ran = growrun(folder.path(), &["inspect", "runs/first/0001"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let block = "model from \"runs/first/0001\" {\n  h1  dense 4 tanh norm layer\n  out dense 3\n}\n";
    assert!(ran.stdout.contains(block) && !ran.stdout.contains("assumed"), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["new", "--from", "runs/first/0001", "--out", "second.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(growrun(folder.path(), &["check", "second.grow"]).code, 0);
    // From another folder the file has to be named.
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    let ran = growrun(&folder.path().join("sub"), &["new", "--from", "../runs/first/0001", "--out", "third.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = growrun(&folder.path().join("sub"), &["check", "third.grow", "--data", "0001=../runs/first/0001"]);
    assert!(ran.code == 0 && ran.stdout.contains("is fine"), "{}", ran.stdout);
}

/// The JSON object of `inspect` on a run, with the block checked where there is one.
fn inspected(folder: &std::path::Path, run: &str) -> serde_json::Value {
    let ran = growrun(folder, &["inspect", run, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    if let Some(block) = object["model"].as_str() {
        let text = "data blobs { samples 60 }\ntrain 1 epochs { optimizer sgd lr 0.01 }\n";
        std::fs::write(folder.join("again.grow"), format!("{text}{block}")).expect("a schedule");
        let ran = growrun(folder, &["check", "again.grow"]);
        assert!(ran.code == 0 && ran.stdout.contains("is fine"), "{}\n{block}", ran.stdout);
        let new = format!("new-{}.grow", run.replace('/', "-"));
        assert_eq!(growrun(folder, &["new", "--from", run, "--out", &new]).code, 0);
        let ran = growrun(folder, &["check", &new]);
        assert!(ran.code == 0 && ran.stdout.contains("is fine"), "{}\n{block}", ran.stdout);
    }
    object
}

#[test]
fn a_grown_run_has_the_block_of_its_end() {
    let text = "data blobs { samples 60 }\nmodel {\n  h1 dense 4 gelu norm layer dropout 0.25\n  \
                r1 residual { a dense 3 silu; b dense 4 }\n  r2 residual project { c dense 3 elu bias no; d dense 5 }\n  \
                h2 dense 4 linear norm batch epsilon 1e-3\n  out dense 3\n}\n\
                train 1 epochs { optimizer sgd lr 0.01 }\nat start widen h2 to 8\nat start widen a to 6\n";
    let folder = folder(&[("grown.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["grown.grow", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object = inspected(folder.path(), "runs/grown/0001");
    assert_eq!((&object["problems"], &object["assumed"]), (&serde_json::json!([]), &serde_json::json!([])));
    let expected = "model from \"runs/grown/0001\" {
  h1  dense 4 gelu norm layer dropout 0.25
  r1  residual {
    a dense 6 silu
    b dense 4 linear
  }
  r2  residual project {
    c dense 3 elu bias no
    d dense 5 linear
  }
  h2  dense 8 linear norm batch epsilon 1e-3
  out dense 3
}
";
    assert_eq!(object["model"].as_str(), Some(expected));
}

#[test]
fn what_no_block_can_write_of_a_run_is_told() {
    let text = "data blobs { samples 60 }\nmodel { h1 dense 4 gelu norm layer; out dense 3 }\n\
                train 2 epochs { optimizer sgd lr 0.01 }\nat epoch 1 insert identity gelu after h1 as h2 method parametric\n";
    let folder = folder(&[("share.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["share.grow", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let run = folder.path().join("runs/share/0001");
    let object = inspected(folder.path(), "runs/share/0001");
    let problem = object["problems"][0].as_str().unwrap_or_default();
    assert!(problem.contains("`h2` mixes its activation") && object["model"].is_null(), "{object}");

    // Without a record the file alone is read, and of a record only that of its own folder.
    std::fs::write(run.join("run.yaml"), "no: record\n").expect("a file");
    let object = inspected(folder.path(), "runs/share/0001");
    assert!(object["assumed"].to_string().contains("`relu` is a guess"), "{object}");
    #[cfg(unix)]
    {
        let outside = folder.path().join("outside.safetensors");
        std::fs::rename(run.join("final.safetensors"), &outside).expect("moved");
        std::os::unix::fs::symlink(&outside, run.join("final.safetensors")).expect("a link");
        for arguments in [&["inspect", "runs/share/0001"], &["new", "--from", "runs/share/0001"][..]] {
            let ran = growrun(folder.path(), arguments);
            assert!(ran.code != 0 && ran.stdout.is_empty() && ran.stderr.contains("G0704"), "{}", ran.stderr);
        }
    }
}

#[test]
fn weights_that_a_schedule_cannot_name_are_given_on_the_command_line() {
    let good = file(&[("a.weight", &[3, 2], values(6)), ("b.weight", &[4, 3], values(12))]);
    let name = "deep net \"x\".safetensors";
    let folder = folder(&[(name, &good)]);
    let option = format!("--data 'weights={name}'");
    let ran = growrun(folder.path(), &["new", "--from", name, "--out", "new.grow"]);
    assert!(ran.code == 0 && ran.stderr.contains(&format!("next  growrun new.grow {option}")), "{}", ran.stderr);
    let text = std::fs::read_to_string(folder.path().join("new.grow")).expect("a schedule");
    let comment = format!("# The weights have a name that a schedule cannot write: growrun FILE {option}\n");
    assert!(text.contains(&comment) && text.contains("model from \"weights\""), "{text}");
    let ran = growrun(folder.path(), &["check", "new.grow", "--data", &format!("weights={name}")]);
    assert!(ran.code == 0 && ran.stdout.contains("is fine"), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["new", "--from", name]);
    assert!(ran.code == 0 && ran.stdout == text && ran.stderr.contains(&option), "{}", ran.stderr);
}

#[test]
fn what_stands_beside_the_tensors_is_wrapped_and_what_is_long_is_cut() {
    let names: Vec<String> = (0..9).map(|at| format!("{at}.{}", "a_long_name_".repeat(4))).collect();
    let mut tensors: Vec<(&str, &[usize], Vec<f32>)> = vec![("a.weight", &[3, 2], values(6))];
    tensors.extend(names.iter().map(|name| (name.as_str(), &[][..], vec![1.0])));
    let folder = folder(&[("many.safetensors", &file(&tensors))]);
    let ran = growrun(folder.path(), &["inspect", "many.safetensors"]);
    assert!(ran.code == 0 && ran.stdout.contains("9 single numbers: "), "{}{}", ran.stdout, ran.stderr);
    let widest = ran.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}: {}", ran.stdout);

    // A block that is only a beginning is cut off, too.
    let names: Vec<String> = (0..12_000).map(|at| format!("a{at:05}.weight")).collect();
    let layers: Vec<(&str, &[usize], Vec<f32>)> =
        names.iter().map(|name| (name.as_str(), &[1, 1][..], vec![0.5])).collect();
    let folder = self::folder(&[("deep.safetensors", &file(&layers))]);
    let ran = growrun(folder.path(), &["inspect", "deep.safetensors"]);
    assert!(ran.code == 0 && ran.stdout.contains("ten thousand"), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.lines().count() < 200 && ran.stdout.contains("more lines"), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["new", "--from", "deep.safetensors", "--out", "deep.grow"]);
    assert!(ran.code == 2 && ran.stderr.contains("G0824"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_read_is_refused_and_json_then_too() {
    let module = fixture("mxnet_module-0002.params");
    let residual = fixture("mxnet_residual-symbol.json");
    let folder = folder(&[("text.txt", b"words"), ("net-0002.params", &module), ("net-symbol.json", &residual)]);
    for (arguments, code, text) in [
        (&["inspect", "text.txt"][..], 2, "G0820"),
        (&["inspect", "missing.pt"], 4, "G0801"),
        (&["inspect", "."], 2, "G0702"),
        (&["inspect", "net-0002.params", "--symbol", "net-symbol.json"], 2, "no chain of layers"),
        (&["new", "--from", "net-0002.params"], 2, "growrun inspect net-0002.params"),
        (&["new", "--from", "missing.pt"], 4, "G0801"),
    ] {
        let ran = growrun(folder.path(), arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{arguments:?}: {}", ran.stderr);
        if arguments[0] == "inspect" {
            let ran = growrun(folder.path(), &[arguments, &["--json"]].concat());
            let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert!(ran.code == code && object["diagnostics"][0]["code"].is_string(), "{}", ran.stdout);
        }
    }
    // One that was only found beside the file is no reason to show nothing.
    let ran = growrun(folder.path(), &["inspect", "net-0002.params"]);
    assert!(ran.code == 0 && ran.stdout.contains("- the network of `net-symbol.json` is no chain"), "{}", ran.stdout);
}
