//! `growrun apply`: growth on trained weights of other tools, and back under their names.

use crate::cli::{Ran, folder, growrun};
use growrun::weights::{self, File, Values};
use std::collections::BTreeMap;
use std::path::Path;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name);
    std::fs::read(path).expect("a fixture")
}

fn read(path: &Path) -> File {
    let content = std::fs::read(path).expect("it was written");
    weights::read("it", &content, 1 << 30).expect("it reads back")
}

/// Shapes and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

fn tensors(file: &File) -> Tensors {
    let one = |tensor: &weights::Tensor| {
        let values = match &tensor.values {
            Values::Numbers(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Values::Whole(values) => values.iter().map(|value| *value as f64).collect(),
            Values::Other => Vec::new(),
        };
        // A checkpoint's network is called so, and its tensors go back without that word.
        let name = tensor.name.strip_prefix("model.").unwrap_or(&tensor.name);
        (name.to_string(), (tensor.shape.clone(), values))
    };
    file.tensors.iter().map(one).collect()
}

/// A network of `make_pytorch.py`: fc1 (4 → 5), batch norm, relu; fc2 (→ 3), layer norm, relu; out (→ 2).
const NET: &str = "model {
  map \"bn1\" to fc1.norm; map \"ln2\" to fc2.norm
  fc1 dense 5 relu norm batch
  fc2 dense 3 relu norm layer bias no
  out dense 2
}
";

fn good(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// y = x·Wᵀ + b in f64, with W: [out, in].
fn linear(net: &Tensors, name: &str, x: &[f64]) -> Vec<f64> {
    let (shape, weight) = &net[&format!("{name}.weight")];
    let bias = net.get(&format!("{name}.bias")).map(|(_, values)| values.as_slice());
    let row = |row: usize| -> f64 {
        let products = weight[row * shape[1]..][..shape[1]].iter().zip(x).map(|(w, x)| w * x);
        products.sum::<f64>() + bias.map_or(0.0, |bias| bias[row])
    };
    assert_eq!(shape[1], x.len(), "{name}");
    (0..shape[0]).map(row).collect()
}

/// The same network in evaluation mode, written down once more and in f64. `inserted`: between fc1 and fc2.
fn answers(net: &Tensors, x: &[f64], inserted: Option<&str>) -> Vec<f64> {
    let relu = |x: Vec<f64>| x.into_iter().map(|x| x.max(0.0)).collect::<Vec<f64>>();
    let of = |name: &str| &net[name].1;
    let h = linear(net, "fc1", x);
    let (mean, var) = (of("bn1.running_mean"), of("bn1.running_var"));
    let normed = |at: usize| (h[at] - mean[at]) / (var[at] + 1e-5).sqrt() * of("bn1.weight")[at] + of("bn1.bias")[at];
    let mut h = relu((0..h.len()).map(normed).collect());
    if let Some(inserted) = inserted {
        h = relu(linear(net, inserted, &h));
    }
    let z = linear(net, "fc2", &h);
    let mean = z.iter().sum::<f64>() / z.len() as f64;
    let var = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / z.len() as f64;
    let normed = |at: usize| (z[at] - mean) / (var + 1e-5).sqrt() * of("ln2.weight")[at] + of("ln2.bias")[at];
    linear(net, "out", &relu((0..z.len()).map(normed).collect()))
}

#[test]
fn pytorchs_network_grows_and_answers_the_same_with_its_adam() {
    let text = format!("{NET}at epoch 20 widen fc1 to 8\nat epoch 40 insert identity after fc1\n");
    let folder = folder(&[("grow.grow", text.as_bytes()), ("net.pt", &fixture("torch_checkpoint.pt"))]);
    let ran = good(growrun(
        folder.path(),
        &["apply", "grow.grow", "--weights", "net.pt", "--out", "g.safetensors", "--json"],
    ));
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(told["out"], "g.safetensors");
    for event in told["events"].as_array().expect("events") {
        assert_eq!((event["promise"].as_str(), event["drift"].as_f64()), (Some("bitwise"), Some(0.0)), "{event}");
    }
    assert_eq!(told["new"], serde_json::json!(["fc1_id1.weight", "fc1_id1.bias"]));

    let before = tensors(&read(&folder.path().join("net.pt")));
    let after = tensors(&read(&folder.path().join("g.safetensors")));
    assert_eq!(after["fc1.weight"].0, [8, 4]);
    assert_eq!(after["bn1.num_batches_tracked"].1, before["bn1.num_batches_tracked"].1);
    for example in 0..1000 {
        let x: Vec<f64> = (0..4).map(|at| ((example * 37 + at * 101) % 211) as f64 / 50.0 - 2.0).collect();
        let (old, new) = (answers(&before, &x, None), answers(&after, &x, Some("fc1_id1")));
        for (old, new) in old.iter().zip(&new) {
            assert!((old - new).abs() <= 1e-12 * old.abs().max(1.0), "{old} {new}");
        }
    }

    // PyTorch's optimiser numbers its parameters in the order of the network.
    let state = tensors(&read(&folder.path().join("g.optimizer.safetensors")));
    let old = &before["optimizer.state.0.exp_avg"];
    assert_eq!((&old.0[..], &state["fc1.weight.exp_avg"].0[..]), (&[5, 4][..], &[8, 4][..]));
    assert_eq!(state["fc1.weight.exp_avg"].1[..20], old.1[..], "old entries keep their moments");
    assert!(state["fc1.weight.exp_avg"].1[20..].iter().all(|moment| *moment == 0.0));
    assert_eq!(state["fc1.weight.step"].1, [3.0]);
    assert_eq!(state["fc1_id1.weight.step"].1, [0.0], "a new tensor counts from its own beginning");
    // fc2: [3, 5] became [3, 8], new columns behind the old ones.
    let (wide, narrow) = (&state["fc2.weight.exp_avg_sq"].1, &before["optimizer.state.4.exp_avg_sq"].1);
    assert_eq!(state["fc2.weight.exp_avg_sq"].0, [3, 8]);
    for row in 0..3 {
        assert_eq!(wide[row * 8..][..5], narrow[row * 5..][..5]);
        assert_eq!(wide[row * 8 + 5..][..3], [0.0; 3]);
    }
}

#[test]
fn the_same_bytes_come_out_of_any_number_of_threads() {
    let text = format!("{NET}at start widen fc1 by 2x method split\nat start widen fc2 to 7\n");
    let folder = folder(&[("grow.grow", text.as_bytes()), ("net.pt", &fixture("torch_checkpoint.pt"))]);
    for (threads, out) in [("1", "one.safetensors"), ("2", "two.safetensors")] {
        good(growrun(
            folder.path(),
            &["apply", "grow.grow", "--weights", "net.pt", "--out", out, "--threads", threads],
        ));
    }
    for part in [".safetensors", ".optimizer.safetensors"] {
        let bytes = |stem: &str| std::fs::read(folder.path().join(format!("{stem}{part}"))).expect("written");
        assert_eq!(bytes("one"), bytes("two"));
    }
}

#[test]
fn names_and_layouts_go_home() {
    let cases = [
        ("keras_weights.npz", "fc1", "g.npz"),
        ("flax_linen.npz", "Dense_0", "g.npz"),
        ("mxnet_gluon.params", "h1", "g.params"),
        ("mxnet_module-0002.params", "", "g.params"),
        ("torch_state.pt", "fc1", "g.safetensors"),
    ];
    for (name, layer, out) in cases {
        let old = fixture(name);
        let listed = weights::read(name, &old, 1 << 30).expect("a fixture reads");
        let proposal = weights::propose::propose(&listed, None);
        assert!(proposal.fits(), "{name}: {:?}", proposal.problems);
        let first = &proposal.layers[0];
        assert!(layer.is_empty() || first.name == layer, "{name}: {}", first.name);
        let text = format!("at start widen {} to 9\n", first.name);
        let folder = folder(&[("w.grow", text.as_bytes()), (name, &old)]);
        let ran = good(growrun(folder.path(), &["apply", "w.grow", "--weights", name, "--out", out]));
        assert!(ran.stdout.contains("guessed"), "{}", ran.stdout);
        let (before, after) = (tensors(&listed), tensors(&read(&folder.path().join(out))));
        // What is there has the names of before, but for what stood beside the weights.
        for (name, (shape, values)) in &after {
            let (old_shape, old_values) = &before[name];
            if shape == old_shape {
                assert_eq!(values, old_values, "{name}");
                continue;
            }
            // Each old number is where it was, in whatever layout the tool has.
            let axes: Vec<usize> = (0..shape.len()).filter(|at| shape[*at] != old_shape[*at]).collect();
            let [axis] = axes[..] else { panic!("{name}: {old_shape:?} {shape:?}") };
            assert_eq!((old_shape[axis], shape[axis]), (first.units, 9), "{name}");
            let inner: usize = old_shape[axis + 1..].iter().product();
            for (at, value) in old_values.iter().enumerate() {
                let (outer, rest) = (at / (inner * old_shape[axis]), at % (inner * old_shape[axis]));
                assert_eq!(values[outer * inner * shape[axis] + rest], *value, "{name}");
            }
        }
        assert!(after.len() + 4 >= before.len().min(12), "{name}: tensors are lost");
    }
}

#[test]
fn what_growth_makes_is_called_after_its_neighbours() {
    let keras = "model { h1 dense 5 relu bias no\n map \"a/kernel\" to h1.weight\n map \"b\" to out\n out dense 2 }\n";
    let text = format!("{keras}at start insert identity after h1 as mid");
    let npz = growrun::export::npz::write(&[
        growrun::export::Named::f32("a/kernel", &[3, 5], vec![0.5; 15]),
        growrun::export::Named::f32("b/kernel", &[5, 2], vec![0.25; 10]),
        growrun::export::Named::f32("b/bias", &[2], vec![0.0; 2]),
    ])
    .expect("an archive");
    let folder = folder(&[("m.grow", text.as_bytes()), ("net.npz", &npz)]);
    good(growrun(folder.path(), &["apply", "m.grow", "--weights", "net.npz", "--out", "g.npz"]));
    let names: Vec<String> = tensors(&read(&folder.path().join("g.npz"))).into_keys().collect();
    assert_eq!(names, ["a/kernel", "b/bias", "b/kernel", "mid/bias", "mid/kernel"]);
}

/// What is said, and the exit code.
fn refused(text: &str, more: &[&str], files: &[(&str, &[u8])]) -> Ran {
    let mut all = vec![("s.grow", text.as_bytes())];
    all.extend_from_slice(files);
    let folder = folder(&all);
    let mut arguments = vec!["apply", "s.grow", "--weights", "net.pt"];
    arguments.extend_from_slice(more);
    let before = std::fs::read_dir(folder.path()).expect("a folder").count();
    let ran = growrun(folder.path(), &arguments);
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        before,
        "nothing is written: {}",
        ran.stdout
    );
    ran
}

#[test]
fn what_cannot_be_done_honestly_is_refused() {
    let net = fixture("torch_checkpoint.pt");
    let out = ["--out", "g.safetensors"];
    let net_with = |events: &str| format!("{NET}{events}\n");
    let said = |text: &str, more: &[&str], code: &str| {
        let ran = refused(text, more, &[("net.pt", &net), ("probe.npz", &fixture("keras_weights.npz"))]);
        assert!(ran.code == 2 && ran.stderr.contains(code), "{code} {text}: {} {}", ran.code, ran.stderr);
    };
    said(&net_with("at start narrow fc1 to 3 rank gradient"), &out, "G0826");
    said(&net_with("at start narrow fc1 to 3"), &out, "G0826");
    said("at start insert identity after fc1", &out, "G0827");
    said(&net_with("at start widen fc1 by 2x"), &["--out", "g.pt"], "G0911");
    said(&net_with("when val_loss < 1 widen fc1 by 2x"), &out, "G0106");
    said(&net_with("at start widen fc1 by 2x"), &["--out", "g.npz", "--probe", "probe.npz"], "G0829");
    said(&net_with("at start widen fc9 by 2x"), &out, "G0101");
    said(&net_with("at start widen fc1 to 4"), &out, "G0201");
    said(&net_with("arm a { at start widen fc1 by 2x }"), &out, "G0224");
    said(&net_with("data moons { }\nat start widen fc1 by 2x"), &out, "G0301");
    said("model { fc1 dense 5 relu; out dense 2 }\nat start widen fc1 by 2x", &out, "G0824");
    // With data behind it, growth that measures is done.
    let data = "data blobs { inputs 4; classes 2; samples 60 }\n";
    let text = format!("{data}{NET}at start widen fc2 by 2x eps 1e-3\nat start narrow fc1 to 4");
    let folder = folder(&[("s.grow", text.as_bytes()), ("net.pt", &net)]);
    let ran = good(growrun(folder.path(), &["apply", "s.grow", "--weights", "net.pt", "--out", "g.safetensors"]));
    assert!(ran.stdout.contains("the first examples of blobs"), "{}", ran.stdout);
}

#[test]
fn a_broken_assertion_writes_nothing() {
    let text = format!("{NET}at start {{ widen fc1 by 2x method random; assert preserved }}\n");
    let ran = refused(&text, &["--out", "g.safetensors"], &[("net.pt", &fixture("torch_checkpoint.pt"))]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("G0222") && !ran.stdout.contains("wrote"), "{}", ran.stdout);
}

#[test]
fn a_state_by_name_comes_from_a_file_of_its_own_and_must_fit() {
    use growrun::export::{Named, safetensors};
    let net = safetensors::write(
        &[
            Named::f32("h1.weight", &[2, 3], vec![0.5; 6]),
            Named::f32("h1.bias", &[2], vec![0.1; 2]),
            Named::f32("out.weight", &[1, 2], vec![0.5; 2]),
        ],
        &[],
    );
    let text = "model { h1 dense 2 tanh; out dense 1 bias no }\nat start widen h1 to 3\n";
    let run = |state: &[Named]| {
        let state = safetensors::write(state, &[]);
        let folder = folder(&[("s.grow", text.as_bytes()), ("net.safetensors", &net), ("adam.safetensors", &state)]);
        let arguments =
            ["apply", "s.grow", "--weights", "net.safetensors", "--optimizer", "adam.safetensors", "--out", "g.npz"];
        let ran = growrun(folder.path(), &arguments);
        let state = (ran.code == 0).then(|| tensors(&read(&folder.path().join("g.optimizer.npz"))));
        (ran, state)
    };
    let moment = |name: &str, shape: &[usize], value: f32| {
        Named::f32(name.to_string(), shape, vec![value; shape.iter().product()])
    };
    let whole = [
        moment("h1.weight.exp_avg", &[2, 3], 0.25),
        moment("h1.weight.exp_avg_sq", &[2, 3], 0.125),
        moment("h1.weight.step", &[], 40.0),
    ];
    let (ran, state) = run(&whole);
    let state = state.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert_eq!(state["h1.weight.exp_avg"].1, [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.0, 0.0, 0.0]);
    assert_eq!(state["h1.weight.step"].1, [40.0]);
    let bad: [(&[Named], &str); 5] = [
        (&[moment("h1.weight.exp_avg", &[3, 2], 0.25), moment("h1.weight.exp_avg_sq", &[3, 2], 0.1)], "[3, 2]"),
        (&[moment("h1.weight.exp_avg", &[2, 3], 0.25), moment("h1.weight.exp_avg_sq", &[2, 3], -0.1)], "no optimiser"),
        (&[moment("h1.weight.max_exp_avg_sq", &[2, 3], 0.25)], "amsgrad"),
        (&[moment("h7.weight.exp_avg", &[2, 3], 0.25), moment("h7.weight.exp_avg_sq", &[2, 3], 0.25)], "none of the"),
        (&[moment("h1.weight", &[2, 3], 0.25)], "holds no optimiser"),
    ];
    for (state, why) in bad {
        let (ran, _) = run(state);
        let told = ran.stderr.replace("\n  │ ", " ");
        assert!(ran.code == 2 && told.contains("G0828") && told.contains(why), "{why}: {told}");
    }
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let bytes = growrun::export::safetensors::write(
        &[growrun::export::Named::f32("out.weight", &[1, 2], vec![f32::NAN, 1.0])],
        &[],
    );
    let text = "model { out dense 1 bias no }\nat start insert identity after out\n";
    let ran = refused(text, &["--out", "g.npz"], &[("net.pt", &bytes)]);
    assert!(ran.code == 2 && ran.stderr.contains("G0822"), "{} {}", ran.code, ran.stderr);
}

#[test]
fn nothing_is_written_that_could_not_be_read_or_would_be_a_guess() {
    use growrun::export::{Named, safetensors};
    let out = ["--out", "g.safetensors"];
    let net = fixture("torch_checkpoint.pt");
    let said = |text: &str, more: &[&str], weights: &[u8], code: &str| {
        let ran = refused(text, more, &[("net.pt", weights), ("probe.npz", &fixture("keras_weights.npz"))]);
        assert!(ran.code == 2 && ran.stderr.contains(code), "{code} {text}: {} {}", ran.code, ran.stderr);
    };
    // One tensor for two layers.
    let one = safetensors::write(
        &[Named::f32("fc.weight", &[2, 2], vec![0.5; 4]), Named::f32("fc.bias", &[2], vec![0.0; 2])],
        &[],
    );
    let tied = "model { map \"fc\" to h1; map \"fc\" to out; h1 dense 2 relu; out dense 2 }\nat start widen h1 to 3\n";
    said(tied, &out, &one, "G0823");
    // What only a network that is written can promise.
    said("at start widen fc1 by 2x eps 1e-3", &out, &net, "G0827");
    said("at start widen fc2 by 2x", &out, &net, "G0827");
    said("at start widen fc1 by 2x", &["--out", "folder"], &net, "G0827");
    // A probe has no answers, and the data has.
    let both =
        format!("data blobs {{ inputs 4; classes 2; samples 60 }}\n{NET}at start narrow fc1 to 4 rank gradient\n");
    said(&both, &["--out", "g.npz", "--probe", "probe.npz"], &net, "G0829");
    // A variance below 0.
    let negative = safetensors::write(
        &[
            Named::f32("h1.weight", &[1, 1], vec![1.0]),
            Named::f32("h1.bias", &[1], vec![0.0]),
            Named::f32("h1.norm.weight", &[1], vec![1.0]),
            Named::f32("h1.norm.bias", &[1], vec![0.0]),
            Named::f32("h1.norm.running_mean", &[1], vec![0.0]),
            Named::f32("h1.norm.running_var", &[1], vec![-0.5]),
            Named::f32("out.weight", &[1, 1], vec![1.0]),
            Named::f32("out.bias", &[1], vec![0.0]),
        ],
        &[],
    );
    said("model { h1 dense 1 relu norm batch; out dense 1 }\nat start widen h1 to 2\n", &out, &negative, "G0822");
}

#[test]
fn a_runs_folder_brings_what_the_run_knows() {
    let run = "data moons { samples 80; batch 20 }\nmodel { h1 dense 4 tanh; out dense 2 }\n\
               train 4 epochs { optimizer adam lr 1e-2 }\nat epoch 2 widen h1 to 6\n";
    let folder = folder(&[
        ("run.grow", run.as_bytes()),
        ("more.grow", b"at start widen h1 to 9\nat start insert identity after h1\n"),
    ]);
    good(growrun(folder.path(), &["run.grow"]));
    let apply = |out: &str, more: &[&str]| {
        let mut arguments = vec!["apply", "more.grow", "--weights", "runs/run/0001", "--out", out];
        arguments.extend_from_slice(more);
        good(growrun(folder.path(), &arguments))
    };
    let ran = apply("g.safetensors", &[]);
    assert!(!ran.stdout.contains("guessed") && ran.stdout.contains("Adam's moments of 4 tensors"), "{}", ran.stdout);
    assert!(ran.stdout.contains("scales its inputs"), "{}", ran.stdout);
    // The state goes out as `export` has it: entries that came later are younger.
    good(growrun(folder.path(), &["export", "runs/run/0001", "--to", "safetensors", "--out", "e.safetensors"]));
    let state = |file: &str| tensors(&read(&folder.path().join(file)));
    let (grown, run) = (state("g.optimizer.safetensors"), state("e.optimizer.safetensors"));
    assert_eq!(grown["h1.weight.exp_avg"].1[..12], run["h1.weight.exp_avg"].1[..]);
    assert_eq!(grown["h1.weight.exp_avg_sq"].1[..12], run["h1.weight.exp_avg_sq"].1[..]);
    assert_eq!(grown["h1.weight.step"], run["h1.weight.step"]);
    let ran = apply("none.safetensors", &["--optimizer", "none"]);
    assert!(ran.stdout.contains("left aside") && !folder.path().join("none.optimizer.safetensors").exists());
    apply("folder", &[]);
    let model = std::fs::read_to_string(folder.path().join("folder/model.py")).expect("written");
    assert!(model.contains("tanh") && model.contains("grew."), "{model}");
}
