//! Networks of convolutions: what is written means the network, under PyTorch's names and in its shapes.

use super::{apart, exported, module, onnx};
use crate::cli::{folder, growrun};
use crate::engine::blocks::{dense, settings};
use crate::engine::images::{conv, pool, residual};
use growrun::export::{self, Values};
use growrun::nn::architecture::{Norm, Padding, Pooling, Settings};
use growrun::nn::{Activation, Architecture, Task};
use std::path::Path;

const SAME: Padding = Padding::Same;
const VALID: Padding = Padding::Valid;

fn batch(activation: Activation) -> Settings {
    settings(activation, Some(Norm::Batch))
}

/// Every window, pool and block that a schedule can write, on images of 3 channels, 11×9.
fn all_kinds() -> Architecture {
    let mut net = Architecture::new(3, Some((11, 9)), Task::Classification);
    let plain = settings(Activation::Linear, None);
    conv(&mut net, "c1", 4, (3, 1, SAME), Settings { dropout: 0.2, ..batch(Activation::Relu) });
    residual(
        &mut net,
        "r1",
        false,
        &[("a", 6, (3, 1, SAME), batch(Activation::Silu)), ("b", 4, (1, 1, SAME), plain.clone())],
    );
    conv(&mut net, "even", 5, (2, 1, SAME), settings(Activation::Tanh, None));
    residual(&mut net, "r2", true, &[("d", 6, (3, 2, SAME), Settings { bias: false, ..batch(Activation::Gelu) })]);
    conv(&mut net, "even_strided", 4, (4, 2, SAME), Settings { parametric: true, ..settings(Activation::Elu, None) });
    conv(&mut net, "valid", 4, (2, 1, VALID), Settings { bias: false, ..settings(Activation::Selu, None) });
    dense(&mut net, "h1", 6, settings(Activation::Relu, Some(Norm::Layer)));
    dense(&mut net, "out", 3, plain);
    net
}

fn pooled() -> Architecture {
    let mut net = Architecture::new(1, Some((13, 12)), Task::Regression);
    conv(&mut net, "c1", 4, (5, 1, VALID), settings(Activation::LeakyRelu, None));
    pool(&mut net, "p1", Pooling::Max(2));
    conv(&mut net, "c2", 5, (3, 1, SAME), settings(Activation::Softplus, None));
    pool(&mut net, "p2", Pooling::Average(3));
    conv(&mut net, "c3", 6, (1, 1, SAME), settings(Activation::Sigmoid, None));
    pool(&mut net, "g", Pooling::Global);
    dense(&mut net, "out", 2, settings(Activation::Linear, None));
    net
}

/// Some dozen layers of f32 against f64.
const OUTPUTS: f64 = 1e-5;

#[test]
fn an_onnx_graph_computes_convolutions() {
    let mut flat = Architecture::new(2, Some((5, 4)), Task::Classification);
    pool(&mut flat, "p", Pooling::Average(2));
    dense(&mut flat, "out", 3, settings(Activation::Linear, None));
    let mut ends = Architecture::new(2, Some((5, 4)), Task::Classification);
    conv(&mut ends, "c1", 3, (1, 2, SAME), settings(Activation::Linear, None));
    pool(&mut ends, "g", Pooling::Global);
    for (what, net) in [("all kinds", all_kinds()), ("pools", pooled()), ("flat", flat), ("a pool at the end", ends)] {
        let found = apart(&net);
        assert!(found < OUTPUTS, "{what}: {found:e}");
    }
}

#[test]
fn a_graph_of_images_names_their_shape() {
    let model = onnx(&exported(&pooled()).0);
    let graph = model.graph.expect("a graph");
    let shape =
        graph.input[0].kind.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.clone()).expect("a shape");
    let extents: Vec<Option<i64>> = shape.dim.iter().map(|one| one.dim_value).collect();
    assert_eq!(extents, [None, Some(1), Some(13), Some(12)]);
}

#[test]
fn model_py_of_convolutions() {
    insta::assert_snapshot!("model_py_images", module(&exported(&all_kinds()).0));
    let text = module(&exported(&pooled()).0);
    for line in [
        "        x = F.max_pool2d(x, 2)  # p1\n",
        "        x = F.avg_pool2d(x, 3)  # p2\n",
        "        x = x.mean((2, 3))  # g\n",
        "        x = self.out(x)\n",
        "model(torch.zeros(1, 1, 13, 12))",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn shapes_are_pytorchs() {
    let (exported, _) = exported(&all_kinds());
    let weights = exported.weights();
    let shape = |name: &str| weights.iter().find(|tensor| tensor.name == name).expect("it is there").shape.clone();
    assert_eq!(shape("c1.weight"), [4, 3, 3, 3]);
    assert_eq!(shape("r2.project.weight"), [6, 5, 1, 1]);
    assert_eq!(shape("h1.weight"), [6, 4 * 2 * 2]);
    assert_eq!(shape("c1.norm.running_var"), [4]);
    for word in ["safetensors", "npz", "mxnet"] {
        let files = export::files(export::find(word).expect("a target"), &exported, "net").expect("written");
        let read = growrun::weights::read(&files[0].name, &files[0].content, u64::MAX).expect("a file");
        for tensor in &weights {
            let name = export::mxnet::name(&tensor.name);
            let found = read.tensors.iter().find(|found| found.name == tensor.name || found.name == name);
            let found = found.expect("it is there");
            assert_eq!(found.shape, tensor.shape, "{word}: {name}");
            let Values::F32(values) = &tensor.values else { panic!("weights are f32") };
            assert_eq!(found.values, growrun::weights::Values::Numbers(values.to_vec()), "{word}: {name}");
        }
        let scaling = growrun::weights::read(&files[1].name, &files[1].content, u64::MAX).expect("a file");
        assert!(scaling.tensors.iter().all(|tensor| tensor.shape == [3, 1, 1]), "{word}");
    }
}

const SCHEDULE: &str = "\
experiment \"shapes\"
data digits { batch 64; limit 400 }
model {
  c1 conv 4 kernel 3 relu norm batch
  p1 pool max 2
  r1 residual project { c2 conv 6 kernel 3 relu stride 2 }
  h1 dense 12 relu
  out dense 10
}
train 3 epochs { optimizer adam lr 1e-3 }
at epoch 2 widen c2 to 8
";

#[test]
fn a_run_of_convolutions_is_exported_and_begins_another() {
    let folder = folder(&[("shapes.grow", SCHEDULE.as_bytes())]);
    let ran = growrun(folder.path(), &["shapes.grow", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let run = "runs/shapes/0001";
    for target in export::TARGETS {
        let ran = growrun(folder.path(), &["export", run, "--to", target.doc().word]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", target.doc().word);
        let ran = growrun(folder.path(), &["export", run, "--to", target.doc().word, "--checkpoint", "end"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", target.doc().word);
    }
    let read = |name: &str| {
        let path = folder.path().join(run).join(name);
        growrun::weights::read(name, &std::fs::read(path).expect("a file"), u64::MAX).expect("tensors")
    };
    let state = read("export/pytorch/optimizer.safetensors");
    let shape =
        |name: &str| state.tensors.iter().find(|tensor| tensor.name == name).expect("it is there").shape.clone();
    assert_eq!(shape("c2.weight.exp_avg"), [8, 4, 3, 3]);
    assert_eq!(shape("h1.weight.exp_avg_sq"), [12, 8 * 2 * 2]);
    assert_eq!(shape("r1.project.weight.exp_avg"), [8, 4, 1, 1]);
    // What went out in PyTorch's shapes comes in as what it was, and so do our own files.
    for (name, file) in [("again", "export/safetensors/model.safetensors"), ("own", "final.safetensors")] {
        let text =
            SCHEDULE.replace("shapes", name).replace("conv 6", "conv 8").replace("at epoch 2 widen c2 to 8\n", "");
        let text = text.replace("3 epochs", "1 epochs").replace("model {", &format!("model from \"{run}/{file}\" {{"));
        std::fs::write(folder.path().join(format!("{name}.grow")), &text).expect("written");
        let ran = growrun(folder.path(), &[&format!("{name}.grow"), "--quiet"]);
        assert_eq!(ran.code, 0, "{text}{}", ran.stderr);
        let own = format!("runs/{name}/0001");
        let ran = growrun(folder.path(), &["export", &own, "--to", "npz", "--checkpoint", "start"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let place = folder.path().join(own).join("export/start/npz/model.npz");
        let began = growrun::weights::read("began", &std::fs::read(place).expect("a file"), u64::MAX).expect("tensors");
        assert_eq!(began.tensors, read("export/npz/model.npz").tensors, "{name}");
    }
    assert!(Path::new(&folder.path().join(run).join("export/onnx/model.onnx")).is_file());
}
