//! `export`: what is written means the network, by readers and a computation that share nothing with the writers. Real
//! tools look at the same in `tests/evidence/export.sh`.

mod graph;
mod images;

use crate::cli::{folder, growrun, table};
use crate::engine::blocks::{NORMS, blocks, dense, residual, settings};
use growrun::base::world::Real;
use growrun::data::Scaling;
use growrun::data::read::{npz, zip};
use growrun::export::{self, Exported, Named, Trained, Values, onnx_proto::Model};
use growrun::nn::architecture::{Norm, Settings};
use growrun::nn::{Activation, Architecture, Mode, Network, Role, Slot, SlotKind, Task};
use growrun::optim::Rule;
use growrun::tensor::Compute;
use ndarray::{ArrayD, ArrayView2};
use prost::Message;
use std::path::Path;

const INPUTS: usize = 5;

/// Numbers without a pattern in [−1, 1), the same every time.
fn noise(seed: u64, n: usize) -> Vec<f32> {
    use growrun::base::rng::{Purpose, Stream};
    let mut stream = Stream::new(seed, Purpose::Data, "noise", 0);
    let mut row = stream.row(0);
    (0..n).map(|_| (2.0 * row.uniform() - 1.0) as f32).collect()
}

/// A network whose every parameter has been moved from where it begins, variances kept positive.
fn exported(net: &Architecture) -> (Exported, Network<f32>) {
    let pixels = net.input.values_per_unit();
    let channels = net.width(net.input.axis).exact();
    // Of images one number a channel, as a run measures it.
    let each = |seed| noise(seed, channels).into_iter().flat_map(|x| vec![x; pixels]).collect();
    let mut network: Network<f32> = Network::new(net, 3, Compute::single());
    for (seed, parameter) in network.parameters().iter_mut().enumerate() {
        let more = noise(seed as u64, parameter.value.len());
        let moved = parameter.value.iter().zip(more).map(|(x, more)| match parameter.role {
            Role::RunningVariance => (x + 0.5 * more).abs(),
            _ => x + 0.3 * more,
        });
        parameter.value = ArrayD::from_shape_vec(parameter.value.raw_dim(), moved.collect()).expect("the same shape");
    }
    let exported = Exported {
        name: "a net".into(),
        origin: "run a-net/0001, step 20".into(),
        digest: "blake3:00".into(),
        untrained: false,
        step: 20,
        data: "noise".into(),
        architecture: net.clone(),
        parameters: network.parameters().clone(),
        scaling: Some(Scaling { mean: each(90), inverse: each(91) }),
        class_names: vec!["left".into(), "ri\"ght\n".into(), "ö".into()],
        optimizer: None,
    };
    (exported, network)
}

fn onnx(exported: &Exported) -> Model {
    let files = export::files(export::find("onnx").expect("a target"), exported, "net").expect("written");
    assert_eq!(files[0].name, "net.onnx");
    Model::decode(files[0].content.as_slice()).expect("a message")
}

/// Largest difference between the graph and the network, in shares of the outputs' size.
fn apart(net: &Architecture) -> f64 {
    let (exported, mut network) = exported(net);
    let inputs = exported.inputs();
    let x = noise(80, 6 * inputs);
    let by_graph = graph::compute(&onnx(&exported), &x, &exported.input_shape());
    let scaling = exported.scaling.as_ref().expect("given above");
    let scaled: Vec<f32> =
        x.iter().enumerate().map(|(at, x)| (x - scaling.mean[at % inputs]) * scaling.inverse[at % inputs]).collect();
    let batch = ArrayView2::from_shape((6, inputs), &scaled).expect("whole rows");
    let ours = network.forward(batch, Mode::Evaluate);
    let size = ours.iter().fold(1.0f64, |size, y| size.max(f64::from(y.abs())));
    let differences = ours.iter().zip(by_graph).map(|(a, b)| (f64::from(*a) - b).abs() / size);
    differences.fold(0.0, f64::max)
}

/// Some dozen layers of f32 against f64.
const OUTPUTS: f64 = 1e-5;

#[test]
fn an_onnx_graph_computes_the_network() {
    for activation in Activation::ALL {
        for norm in NORMS {
            let found = apart(&blocks(INPUTS, activation, norm, 3));
            assert!(found < OUTPUTS, "{activation} {norm:?}: {found:e}");
            let mut net = Architecture::new(INPUTS, None, Task::Regression);
            let parametric = Settings { parametric: true, ..settings(activation, norm) };
            dense(&mut net, "h1", 7, Settings { dropout: 0.3, ..parametric.clone() });
            residual(&mut net, "r1", true, &[("a", 4, Settings { bias: false, ..parametric })]);
            let found = apart(&net);
            assert!(found < OUTPUTS, "parametric {activation} {norm:?}: {found:e}");
        }
    }
}

#[test]
fn a_wrong_graph_would_be_seen() {
    let net = blocks(INPUTS, Activation::Gelu, Some(Norm::Layer), 3);
    let (exported, _) = exported(&net);
    let model = onnx(&exported);
    let x = noise(80, INPUTS);
    let right = graph::compute(&model, &x, &[INPUTS]);
    let mut wrong = model.clone();
    let node = |model: &mut Model, op: &str| {
        let nodes = &mut model.graph.as_mut().expect("a graph").node;
        nodes.iter().position(|node| node.op_type == op).expect("there is one")
    };
    let at = node(&mut wrong, "Gemm");
    wrong.graph.as_mut().expect("a graph").node[at].input.truncate(2);
    assert_ne!(graph::compute(&wrong, &x, &[INPUTS]), right, "a bias was forgotten");
}

#[test]
fn what_is_written_reads_back() {
    let (exported, _) = exported(&blocks(INPUTS, Activation::Relu, Some(Norm::Batch), 3));
    let weights = exported.weights();
    let files = |word: &str| export::files(export::find(word).expect("a target"), &exported, "net").expect("written");

    let read = growrun::record::weights::read(&files("safetensors")[0].content).expect("a file of ours");
    assert_eq!(read.len(), weights.len());
    let scaling = growrun::record::weights::read(&files("safetensors")[1].content).expect("a file of ours");
    assert_eq!(scaling.keys().collect::<Vec<_>>(), ["inverse", "mean"]);

    let archive = files("npz");
    let entries = zip::entries("net.npz", &archive[0].content, &zip::NPZ).expect("an archive");
    assert_eq!(entries.len(), weights.len());
    let params = &files("mxnet")[0].content;
    for tensor in &weights {
        let Values::F32(values) = &tensor.values else { panic!("weights are f32") };
        let (shape, found) = read[&tensor.name].clone().into_f32(&tensor.name).expect("f32");
        assert_eq!((&shape, &found[..]), (&tensor.shape, &values[..]), "{}", tensor.name);
        let entry = npz::entry("net.npz", &entries, &tensor.name).expect("it is there");
        let array = npz::array("net.npz", &entry.bytes("net.npz", 1 << 20).expect("stored")).expect("an array");
        assert_eq!((array.shape, array.values), (tensor.shape.clone(), npz::Values::F32(values.to_vec())));
        // The values stand in MXNet's file as they are; its header is looked at below.
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(params.windows(bytes.len()).any(|window| window == bytes), "{}", tensor.name);
    }
    assert_eq!(files("mxnet"), files("mxnet"));
    assert_eq!(files("npz"), archive, "the same bytes each time");
}

#[test]
fn a_params_file_is_mxnets() {
    let tensors = [Named::f32("h1.weight", &[2, 1], vec![1.0, 2.0]), Named::i64("count", &[], vec![7])];
    let written = export::mxnet::write(&tensors);
    let mut expected: Vec<u8> = Vec::new();
    let words = |out: &mut Vec<u8>, words: &[u64]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
    let halves = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
    // By hand, from MXNet's NDArray::Save of version 2.
    words(&mut expected, &[0x112, 0, 2]);
    halves(&mut expected, &[0xF993_FAC9, 0, 2]);
    words(&mut expected, &[2, 1]);
    halves(&mut expected, &[1, 0, 0, 1.0f32.to_bits(), 2.0f32.to_bits(), 0xF993_FAC9, 0, 1]);
    words(&mut expected, &[1]);
    halves(&mut expected, &[1, 0, 6]);
    words(&mut expected, &[7, 2, 9]);
    expected.extend(b"h1.weight");
    words(&mut expected, &[5]);
    expected.extend(b"count");
    assert_eq!(written, expected);
    assert_eq!(export::mxnet::name("h1.norm.weight"), "h1.norm.gamma");
    assert_eq!(export::mxnet::name("h1.weight"), "h1.weight");
}

/// Adam as PyTorch writes it, of one entry, in f64.
struct Adam {
    m: f64,
    v: f64,
    steps: i32,
}

impl Adam {
    /// The corrected moments after one more gradient.
    fn step(&mut self, gradient: f64) -> (f64, f64) {
        self.steps += 1;
        self.m = 0.9 * self.m + 0.1 * gradient;
        self.v = 0.999 * self.v + 0.001 * gradient * gradient;
        self.corrected()
    }

    fn corrected(&self) -> (f64, f64) {
        (self.m / (1.0 - 0.9f64.powi(self.steps)), self.v / (1.0 - 0.999f64.powi(self.steps)))
    }
}

#[test]
fn corrected_moments_agree_under_one_count_of_steps() {
    // A weight [3, 2] of 30 updates; row 1 was born at 10, row 2 at 30, column 1 at 25.
    let mut net = Architecture::new(2, None, Task::Regression);
    dense(&mut net, "out", 3, Settings { bias: false, ..settings(Activation::Linear, None) });
    let mut network: Network<f32> = Network::new(&net, 1, Compute::single());
    let mut parameter = network.parameters().remove(0);
    parameter.updates = 30;
    parameter.births = vec![vec![0, 10, 30], vec![0, 25]];
    let ages = [[30, 5], [20, 5], [0, 0]];
    let gradients = noise(5, 31);
    let mut sides = Vec::new();
    for age in ages.iter().flatten() {
        let mut side = Adam { m: 0.0, v: 0.0, steps: 0 };
        gradients[30 - age..30].iter().for_each(|gradient| {
            side.step((*gradient).into());
        });
        sides.push(side);
    }
    let slot = |kind, value: &dyn Fn(&Adam) -> f64| Slot {
        kind,
        value: ArrayD::from_shape_vec(vec![3, 2], sides.iter().map(|side| value(side) as f32).collect()).expect("six"),
    };
    parameter.slots = vec![slot(SlotKind::FirstMoment, &|side| side.m), slot(SlotKind::SecondMoment, &|side| side.v)];
    let rule = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
    let named = export::optimizer::tensors(&[parameter], &rule);
    let of = |name: &str| match &named.iter().find(|tensor| tensor.name == name).expect("exported").values {
        Values::F32(values) => values.to_vec(),
        Values::I64(_) => panic!("f32"),
    };
    assert_eq!(of("out.weight.step"), [30.0]);
    let (m, v) = (of("out.weight.exp_avg"), of("out.weight.exp_avg_sq"));
    for (at, mut side) in sides.into_iter().enumerate() {
        let mut theirs = Adam { m: m[at].into(), v: v[at].into(), steps: 30 };
        // Two roundings to f32.
        let same = |a: f64, b: f64| (a - b).abs() <= 2e-7 * b.abs();
        match side.steps {
            0 => assert_eq!((theirs.m, theirs.v), (0.0, 0.0), "what has no update has no moments"),
            _ => {
                let (ours, found) = (side.corrected(), theirs.corrected());
                assert!(same(found.0, ours.0) && same(found.1, ours.1), "{at}: {found:?} {ours:?}");
            }
        }
        let (ours, found) = (side.step(gradients[30].into()), theirs.step(gradients[30].into()));
        let (step, other) = (ours.0 / ours.1.sqrt(), found.0 / found.1.sqrt());
        match side.steps {
            31 => assert!((step - other).abs() < 1e-6, "an old entry takes the same step: {step} {other}"),
            1 => {
                let wanted = ((1.0 - 0.999f64.powi(31)) / 0.001).sqrt() * 0.1 / (1.0 - 0.9f64.powi(31));
                assert!((other / step / wanted - 1.0).abs() < 1e-6, "{} {wanted}", other / step);
            }
            _ => assert!((step - other).abs() < 0.5, "{step} {other}"),
        }
    }
}

/// `model.py`, whatever the version of the program.
fn module(exported: &Exported) -> String {
    export::pytorch::model_py(exported).replacen(env!("CARGO_PKG_VERSION"), "VERSION", 1)
}

#[test]
fn model_py_of_every_kind_of_layer() {
    let mut net = Architecture::new(INPUTS, None, Task::Classification);
    dense(&mut net, "lambda", 8, Settings { bias: false, ..settings(Activation::LeakyRelu, Some(Norm::Batch)) });
    let parametric = Settings { parametric: true, ..settings(Activation::Gelu, Some(Norm::Layer)) };
    residual(&mut net, "r1", false, &[("a", 8, parametric)]);
    residual(&mut net, "r2", true, &[("train", 6, settings(Activation::Silu, Some(Norm::Rms)))]);
    dense(&mut net, "input_mean", 4, Settings { dropout: 0.25, ..settings(Activation::Selu, None) });
    dense(&mut net, "out", 3, settings(Activation::Linear, None));
    net.layers[0].frozen = true;
    let (mut exported, _) = exported(&net);
    exported.optimizer = Some(Trained {
        rule: Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 },
        lr: 1e-3,
        last_lr: Some(1e-5),
        clip: Some(1.0),
    });
    for parameter in exported.parameters.iter_mut().filter(|parameter| parameter.role.is_learned()) {
        for kind in [SlotKind::FirstMoment, SlotKind::SecondMoment] {
            parameter.slots.push(Slot { kind, value: ArrayD::zeros(parameter.value.raw_dim()) });
        }
    }
    insta::assert_snapshot!("model_py", module(&exported));
}

#[test]
fn model_py_of_a_small_net() {
    let mut net = Architecture::new(INPUTS, None, Task::Regression);
    dense(&mut net, "h1", 8, settings(Activation::Relu, None));
    dense(&mut net, "out", 2, settings(Activation::Linear, None));
    let (exported, _) = exported(&net);
    let rule = Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
    let optimizer = Some(Trained { rule, lr: 0.1, last_lr: None, clip: None });
    let exported = Exported { scaling: None, class_names: Vec::new(), optimizer, ..exported };
    insta::assert_snapshot!("model_py_small", module(&exported));
}

#[test]
fn no_foreign_name_becomes_code() {
    let mut net = Architecture::new(INPUTS, None, Task::Regression);
    dense(&mut net, "x = 1\nimport os", 2, settings(Activation::Linear, None));
    let (hostile, _) = exported(&net);
    for target in export::TARGETS {
        let refusal = export::files(*target, &hostile, "net").expect_err("no name of the language");
        assert_eq!(refusal.code, "G0803");
    }
    let mut net = Architecture::new(INPUTS, None, Task::Classification);
    dense(&mut net, "out", 3, settings(Activation::Linear, None));
    let (mut named, _) = exported(&net);
    let evil = "\"\"\"\nimport os\r\u{2028}\u{202e}#";
    (named.name, named.data, named.digest, named.origin) = (evil.into(), evil.into(), evil.into(), evil.into());
    named.class_names = vec![evil.into()];
    let text = export::pytorch::model_py(&named);
    assert!(!text.lines().any(|line| line.trim_start().starts_with("import os")), "{text}");
    assert_eq!(text.matches("    \"\\\"\\\"\\\"\\U0000000aimport os\\U0000000d").count(), 1, "{text}");
    assert!(!text.contains(['\r', '\u{202e}']));
}

#[test]
fn only_the_same_bytes_are_written_over() {
    let lab = tempfile::tempdir().expect("a folder");
    let (exported, _) = exported(&blocks(INPUTS, Activation::Tanh, None, 3));
    let files = export::files(export::find("npz").expect("a target"), &exported, "net").expect("written");
    let place = lab.path().join("a/b");
    export::write(&Real::default(), &place, &files).expect("made");
    export::write(&Real::default(), &place, &files).expect("the same is there already");
    std::fs::remove_file(place.join("net.npz")).expect("there");
    std::fs::write(place.join("net.scaling.npz"), b"precious").expect("written");
    let refusal = export::write(&Real::default(), &place, &files).expect_err("something else is there");
    assert!(refusal.message.contains("net.scaling.npz"), "{}", refusal.message);
    assert!(!place.join("net.npz").exists(), "nothing was written");
}

const SCHEDULE: &str = "\
experiment \"sides\"
seed 7
data csv \"sides.csv\" { target label; batch 20; split train 75% val 25% }
model { h1 dense 8 relu; out dense 2 }
train 4 epochs { optimizer adam lr 1e-2; metrics accuracy }
at epoch 2 widen h1 to 12
";

fn trained() -> tempfile::TempDir {
    let folder = folder(&[("sides.grow", SCHEDULE.as_bytes()), ("sides.csv", table(80).as_bytes())]);
    let ran = growrun(folder.path(), &["sides.grow", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    folder
}

const RUN: &str = "runs/sides/0001";

#[test]
fn a_run_is_exported_to_every_target() {
    let folder = trained();
    let run = folder.path().join(RUN);
    for target in export::TARGETS {
        let word = target.doc().word;
        let ran = growrun(folder.path(), &["export", RUN, "--to", word]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{word}");
        assert!(ran.stdout.contains("\n  next    "), "{}", ran.stdout);
        assert!(run.join("export").join(word).is_dir());
        let again = growrun(folder.path(), &["export", RUN, "--to", word, "--json"]);
        let object: serde_json::Value = serde_json::from_str(&again.stdout).expect("one object");
        assert_eq!(object["parameters"], 62);
        for file in object["out"].as_array().expect("a list") {
            assert!(folder.path().join(file["path"].as_str().expect("a path")).is_file());
        }
    }
    let ran = growrun(folder.path(), &["export", RUN, "--to", "safetensors", "--out", "mine/grown.safetensors"]);
    insta::assert_snapshot!(ran.stdout, @r#"
      mine/grown.safetensors             632 B    the weights: 4 tensors
      mine/grown.scaling.safetensors     256 B    the scaling: give the network (x - mean) * inverse
      mine/grown.optimizer.safetensors   1.5 kB   what the optimiser kept, under PyTorch's names
      62 parameters of run sides/0001, step 12; the tensors read back with the same bits
      next    `safetensors.torch.load_file("mine/grown.safetensors")` in Python, or `model from "mine/grown.safetensors"` in a schedule
    "#);
    // The weights are the run's, to the last bit, and a run's record is not touched by an export.
    let read = |path: &Path| growrun::record::weights::read(&std::fs::read(path).expect("a file")).expect("tensors");
    assert_eq!(read(&folder.path().join("mine/grown.safetensors")), read(&run.join("final.safetensors")));
    assert_eq!(growrun(folder.path(), &["verify", RUN]).code, 0);
}

#[test]
fn a_checkpoint_is_exported_with_its_own_network_and_state() {
    let folder = trained();
    let ran = growrun(folder.path(), &["export", RUN, "--to", "pytorch", "--checkpoint", "growth-0001-before"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let place = folder.path().join(RUN).join("export/growth-0001-before/pytorch");
    let text = std::fs::read_to_string(place.join("model.py")).expect("a module");
    assert!(text.contains("self.h1 = nn.Linear(2, 8)"), "{text}");
    assert!(place.join("optimizer.safetensors").is_file());
    // Four fresh units: rows of 2 and a bias each, and columns of 2.
    let ran = growrun(folder.path(), &["export", RUN, "--to", "pytorch", "--checkpoint", "growth-0001-after"]);
    assert!(ran.stdout.contains("\n  20 of them have had no update yet; "), "{}", ran.stdout);
    let ran = growrun(folder.path(), &["export", RUN, "--to", "npz", "--checkpoint", "../../../etc"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("those that are kept: start, growth-0001-before, "), "{}", ran.stderr);
}

#[test]
fn a_schedule_that_names_no_optimiser_leaves_its_state_too() {
    let schedule = SCHEDULE.replace(" { optimizer adam lr 1e-2; metrics accuracy }", "");
    let folder = folder(&[("sides.grow", schedule.as_bytes()), ("sides.csv", table(80).as_bytes())]);
    assert_eq!(growrun(folder.path(), &["sides.grow", "--quiet"]).code, 0);
    let ran = growrun(folder.path(), &["export", RUN, "--to", "pytorch"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let place = folder.path().join(RUN).join("export/pytorch");
    assert!(place.join("optimizer.safetensors").is_file(), "{}", ran.stdout);
    let text = std::fs::read_to_string(place.join("model.py")).expect("a module");
    assert!(text.contains("\nLR = 0.001\n"), "{text}");
}

#[test]
fn without_a_checkpoint_of_the_end_there_is_no_state_and_it_says_so() {
    let folder = trained();
    std::fs::remove_dir_all(folder.path().join(RUN).join("checkpoints/end")).expect("there");
    let ran = growrun(folder.path(), &["export", RUN, "--to", "pytorch"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("without the optimiser's state: "), "{}", ran.stdout);
    let place = folder.path().join(RUN).join("export/pytorch");
    assert!(!place.join("optimizer.safetensors").exists());
    let text = std::fs::read_to_string(place.join("model.py")).expect("a module");
    assert!(text.contains("    return torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.999), eps=1e-8)\n"));
}

#[test]
#[cfg(unix)]
fn a_link_in_a_strangers_run_leads_nowhere() {
    let folder = trained();
    std::fs::create_dir(folder.path().join("mine")).expect("made");
    std::os::unix::fs::symlink(folder.path().join("mine"), folder.path().join(RUN).join("export")).expect("a link");
    let ran = growrun(folder.path(), &["export", RUN, "--to", "npz"]);
    assert!(ran.code != 0 && ran.stderr.contains("G0704"), "{} {}", ran.code, ran.stderr);
    assert_eq!(std::fs::read_dir(folder.path().join("mine")).expect("a folder").count(), 0);
}

#[test]
fn what_is_no_run_and_what_is_misnamed_is_refused() {
    let folder = folder(&[("comparison.yaml", b""), ("sides.csv", table(8).as_bytes())]);
    let ran = growrun(folder.path(), &["export", ".", "--to", "onnx", "--json"]);
    assert_eq!(ran.code, 2);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert!(object["diagnostics"][0]["help"].as_str().is_some_and(|help| help.starts_with("name one of its runs")));
    let ran = growrun(folder.path(), &["export", "nowhere", "--to", "npz", "--out", "net.onnx"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × `net.onnx` is named as another format than npz
      help: end it in `.npz`, or name a folder

    1 error · growrun explain G0911
    "#);
    assert_eq!(growrun(folder.path(), &["export", "nowhere", "--to", "npz"]).code, 4);
}
