//! Networks of convolutions that PyTorch, Flax, Keras and MXNet wrote: they answer here as there, grow, and go back in
//! the layouts of their files.

use super::{LIMIT, fixture, numbers};
use crate::cli::{folder, growrun};
use crate::engine::blocks::{dense, settings};
use crate::engine::images::{conv, pool};
use growrun::nn::architecture::{Norm, Padding, Pooling, Settings};
use growrun::nn::{Activation, Architecture, Mode, Network, Task};
use growrun::tensor::Compute;
use growrun::weights::fit::{self, Scope, Wanted};
use growrun::weights::{self, File, Values};
use ndarray::{ArrayD, ArrayView2};

/// A tool's file, and the epsilon of its norms.
const TOOLS: [(&str, f64); 4] = [("torch.pt", 1e-5), ("flax.npz", 1e-5), ("keras.npz", 1e-3), ("mxnet.params", 1e-5)];

fn name(file: &str) -> String {
    format!("images/{file}")
}

fn net(epsilon: f64) -> Architecture {
    let window = (3, 1, Padding::Same);
    let mut net = Architecture::new(2, Some((8, 6)), Task::Classification);
    let norm = Settings { norm_epsilon: epsilon, ..settings(Activation::Relu, Some(Norm::Batch)) };
    conv(&mut net, "c1", 3, window, norm);
    pool(&mut net, "p1", Pooling::Max(2));
    conv(&mut net, "c2", 4, window, settings(Activation::Tanh, None));
    dense(&mut net, "out", 3, settings(Activation::Linear, None));
    net
}

#[test]
fn convolutions_of_other_tools_answer_as_they_do_there() {
    for (tool, epsilon) in TOOLS {
        let file = weights::read(tool, &fixture(&name(tool)), LIMIT).expect("a file");
        let net = net(epsilon);
        let wanted: Vec<Wanted> = net.all_layers().flat_map(|layer| Wanted::all(layer, &net, |_| false)).collect();
        let map = |tensor: &str, to: &str| fit::Map {
            tensor: tensor.into(),
            to: to.into(),
            transpose: false,
            channels: None,
        };
        let maps = [map("bn1", "c1.norm")];
        let (matches, misfits) = fit::fit(&file, &wanted, Scope::Whole { maps: &maps, prefix: None });
        assert_eq!((matches.len(), misfits), (wanted.len(), vec![]), "{tool}");
        let mut network: Network<f32> = Network::new(&net, 1, Compute::single());
        for parameter in network.parameters().iter_mut() {
            let found = matches.iter().find(|one| one.parameter == parameter.name).expect("all are there");
            let values = fit::values(&file, found);
            parameter.value = ArrayD::from_shape_vec(parameter.value.raw_dim(), values).expect("its shape");
        }
        let json = tool.split('.').next().expect("a name").to_string() + ".json";
        let expected: serde_json::Value = serde_json::from_slice(&fixture(&name(&json))).expect("JSON");
        let floats = |word: &str| -> Vec<f32> {
            numbers(&expected[word]).map(|value| value.as_f64().expect("a number") as f32).collect()
        };
        let x = floats("x");
        let answers = network.forward(ArrayView2::from_shape((2, 96), &x).expect("two images"), Mode::Evaluate);
        for (own, theirs) in answers.iter().zip(floats("y")) {
            // Sums of f32 in another order.
            assert!((own - theirs).abs() < 1e-5, "{tool}: {own} {theirs}");
        }
    }
}

fn model(epsilon: f64, more: &str) -> String {
    format!(
        "model {{\n  {more}map \"bn1\" to c1.norm\n  c1 conv 3 kernel 3 relu norm batch epsilon {epsilon:e}\n  p1 pool max 2\n  \
         c2 conv 4 kernel 3 tanh\n  out dense 3\n}}\n"
    )
}

/// An npz with images of that shape.
fn probe(shape: &[usize]) -> Vec<u8> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|at: usize| (at * 7 % 23) as f32 / 11.0 - 1.0).collect();
    growrun::export::npz::write(&[growrun::export::Named::f32("x", shape, values)]).expect("an archive")
}

#[test]
fn convolutions_grow_and_go_back_in_the_layouts_of_their_files() {
    let events =
        "at start widen c1..c2 by 2x\nat start widen c1 kernel to 5\nat start insert identity relu after c1 as c3";
    for (tool, epsilon) in TOOLS {
        let ending = match tool.rsplit('.').next() {
            Some("pt") => "safetensors",
            other => other.expect("an ending"),
        };
        let text = model(epsilon, "") + events;
        let folder =
            folder(&[("grow.grow", text.as_bytes()), (tool, &fixture(&name(tool))), ("x.npz", &probe(&[9, 2, 8, 6]))]);
        let out = format!("grown.{ending}");
        let arguments = ["apply", "grow.grow", "--weights", tool, "--out", &out, "--probe", "x.npz"];
        let ran = growrun(folder.path(), &arguments);
        assert_eq!(ran.code, 0, "{tool}: {}", ran.stderr);
        let is_kernel = ending == "npz";
        let note = "has the image that `out.weight` reads pixel by pixel, as Keras and Flax flatten it";
        assert_eq!(ran.stdout.contains(note), is_kernel, "{}", ran.stdout);
        let bytes = std::fs::read(folder.path().join(&out)).expect("a file");
        let grown = weights::read(&out, &bytes, LIMIT).expect("a file");
        let old = weights::read(tool, &fixture(&name(tool)), LIMIT).expect("a file");
        let tensor = |file: &File, layer: &str, word: &str| -> (Vec<usize>, Vec<f32>) {
            let found = file.tensors.iter().find(|one| one.name.contains(layer) && one.name.ends_with(word));
            let found = found.unwrap_or_else(|| panic!("{tool}: {layer} {word}"));
            let Values::Numbers(values) = &found.values else { panic!("numbers") };
            (found.shape.clone(), values.clone())
        };
        let word = if is_kernel { "kernel" } else { "weight" };
        let shape = |own: [usize; 4]| if is_kernel { vec![own[2], own[3], own[1], own[0]] } else { own.to_vec() };
        assert_eq!(tensor(&grown, "c1", word).0, shape([6, 2, 5, 5]), "{tool}");
        assert_eq!(tensor(&grown, "c3", word).0, shape([6, 6, 5, 5]), "{tool}");
        // Channels are behind: of each unit its old numbers come first, or in each pixel.
        let ((wide, new), (_, before)) = (tensor(&grown, "out", word), tensor(&old, "out", word));
        assert_eq!(wide, if is_kernel { vec![12 * 8, 3] } else { vec![3, 8 * 12] }, "{tool}");
        for (at, value) in before.iter().enumerate() {
            let place = match is_kernel {
                true => (at / 3 / 4 * 8 + at / 3 % 4) * 3 + at % 3,
                false => at / 48 * 96 + at % 48,
            };
            assert_eq!(new[place], *value, "{tool}: {at}");
        }
    }
}

#[test]
fn how_large_an_image_is_comes_from_the_probe_or_is_told() {
    let text = model(1e-5, "") + "at start widen c1 by 2x";
    let files: &[(&str, &[u8])] = &[
        ("grow.grow", text.as_bytes()),
        ("torch.pt", &fixture(&name("torch.pt"))),
        ("last.npz", &probe(&[9, 8, 6, 2])),
        ("other.npz", &probe(&[9, 2, 8, 8])),
        ("rows.npz", &probe(&[9, 96])),
    ];
    let folder = folder(files);
    let with = |more: &[&str]| {
        let mut arguments = vec!["apply", "grow.grow", "--weights", "torch.pt", "--out", "grown.npz"];
        arguments.extend(more);
        growrun(folder.path(), &arguments)
    };
    // 4×3 pixels are of no square.
    let ran = with(&[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("G0301 × the weights do not say how large the images are, and no square"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("give images [n, channels, height, width] by `--probe`"), "{}", ran.stderr);
    let ran = with(&["--probe", "other.npz"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("G0825 × `out.weight` is [3, 4·4·4] here, but `out.weight` [3, 48]"), "{}", ran.stderr);
    let ran = with(&["--probe", "last.npz"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let text = text.replace("out dense 3", "g pool global; out dense 3");
    std::fs::write(folder.path().join("grow.grow"), text).expect("written");
    let ran = with(&["--probe", "rows.npz"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
}

#[test]
fn an_order_that_no_file_says_is_refused_until_it_is_written() {
    // Keras's dense kernel beside PyTorch's convolutions.
    let torch = weights::read("torch.pt", &fixture(&name("torch.pt")), LIMIT).expect("a file");
    let named: Vec<growrun::export::Named> = torch
        .tensors
        .iter()
        .filter_map(|tensor| match &tensor.values {
            Values::Numbers(values) if tensor.name == "out.weight" => {
                Some(growrun::export::Named::f32("out.kernel", &[48, 3], &values[..]))
            }
            Values::Numbers(values) => Some(growrun::export::Named::f32(&tensor.name, &tensor.shape, &values[..])),
            _ => None,
        })
        .collect();
    let mixed = growrun::export::safetensors::write(&named, &[]);
    let text = model(1e-5, "") + "at start widen c1 by 2x";
    let folder =
        folder(&[("grow.grow", text.as_bytes()), ("mixed.safetensors", &mixed), ("x.npz", &probe(&[9, 2, 8, 6]))]);
    let arguments =
        ["apply", "grow.grow", "--weights", "mixed.safetensors", "--out", "grown.safetensors", "--probe", "x.npz"];
    let ran = growrun(folder.path(), &arguments);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let message = "G0825 × `out.kernel` [48, 3] of `mixed.safetensors` does not say whether channels or pixels come";
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    assert!(ran.stderr.contains("write `map \"out.kernel\" to out.weight transpose channels last`"), "{}", ran.stderr);
    let text = model(1e-5, "map \"out.kernel\" to out.weight channels last; ") + "at start widen c2 by 2x";
    std::fs::write(folder.path().join("grow.grow"), text).expect("written");
    let ran = growrun(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_block_and_a_schedule_are_proposed() {
    for (tool, _) in TOOLS {
        let folder = folder(&[(tool, &fixture(&name(tool)))]);
        let ran = growrun(folder.path(), &["inspect", tool]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let out = ran.stdout;
        for line in [
            "  c1  conv 3 kernel 3 relu norm batch",
            "  c2  conv 4 kernel 3 relu",
            "  # `out` reads 12 pixels of each channel: pools and strides before it make them",
            "  out dense 3\n",
            "pools, strides and paddings are not in the file",
        ] {
            assert!(out.contains(line), "{tool}: {line}\n{out}");
        }
        assert!(!out.contains("does not fit"), "{out}");
        let ran = growrun(folder.path(), &["new", "--from", tool, "--out", "mine.grow"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let ran = growrun(folder.path(), &["check", "mine.grow"]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
    }
}
