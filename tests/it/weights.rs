//! Weights of other tools: what PyTorch, Keras, Flax and MXNet wrote is read as they read it themselves.
//! `tests/fixtures/weights` holds the files and the programs that made them.

mod hostile;
mod images;

use growrun::weights::symbol::{self, SymbolKind};
use growrun::weights::{self, File, Format, Values};
use std::path::{Path, PathBuf};

/// More than any of the files needs.
const LIMIT: u64 = 1 << 30;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights")
}

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names with these endings, sorted.
pub fn fixtures(endings: &[&str]) -> Vec<String> {
    let names = std::fs::read_dir(folder()).expect("the folder").map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    names.retain(|name| endings.iter().any(|ending| name.ends_with(ending)));
    names.sort();
    names
}

fn read(name: &str) -> File {
    weights::read(name, &fixture(name), LIMIT).unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
}

#[test]
fn every_value_is_the_one_that_the_tool_reads() {
    let mut compared = 0;
    for name in fixtures(&[".pt", ".npz", ".params", ".safetensors"]) {
        let expected = folder().join(Path::new(&name).with_extension("json"));
        let Ok(expected) = std::fs::read(expected) else { continue };
        let expected: serde_json::Value = serde_json::from_slice(&expected).expect("JSON");
        let mut expected = expected.as_object().expect("names").clone();
        let file = read(&name);
        for tensor in &file.tensors {
            let what = format!("{name}: {}", tensor.name);
            let wanted = expected.remove(&tensor.name).unwrap_or_else(|| panic!("{what} is not in it"));
            assert!(wanted[0] == tensor.dtype, "{what}: {}", tensor.dtype);
            assert_eq!(wanted[1], serde_json::json!(tensor.shape), "{what}");
            match &tensor.values {
                Values::Numbers(values) => {
                    let wanted: Vec<f32> =
                        numbers(&wanted[2]).map(|value| value.as_f64().expect("a float") as f32).collect();
                    assert_eq!(values, &wanted, "{what}");
                }
                Values::Whole(values) => {
                    // What is beyond i64 is the largest one.
                    let whole = |value: &serde_json::Value| value.as_i64().unwrap_or(i64::MAX);
                    assert_eq!(values, &numbers(&wanted[2]).map(whole).collect::<Vec<i64>>(), "{what}");
                }
                Values::Other => assert!(wanted[2].is_null(), "{what} was not read"),
            }
        }
        assert!(expected.is_empty(), "{name} lacks {:?}", expected.keys());
        compared += 1;
    }
    assert!(compared >= 18, "{compared} files");
}

pub fn numbers(list: &serde_json::Value) -> std::slice::Iter<'_, serde_json::Value> {
    list.as_array().expect("values").iter()
}

#[test]
fn tensors_come_in_the_order_of_the_file() {
    let names = |file: &str| read(file).tensors.into_iter().map(|tensor| tensor.name).collect::<Vec<String>>();
    let state = names("torch_state.pt");
    assert_eq!(state[..3], ["fc1.weight", "fc1.bias", "bn1.weight"]);
    let checkpoint = names("torch_checkpoint.pt");
    let begins = ["epoch", "best_loss", "seed", "model.fc1.weight"];
    assert_eq!(checkpoint[..4], begins);
    for name in ["optimizer.state.0.exp_avg", "optimizer.state.8.step", "optimizer.param_groups.0.betas.1"] {
        assert!(checkpoint.iter().any(|found| found == name), "{name} is not among {checkpoint:?}");
    }
    assert_eq!(names("keras_weights.npz")[..3], ["fc1.kernel", "fc1.bias", "bn1.gamma"]);
    assert_eq!(names("flax_linen.npz")[0], "params/Dense_0/kernel");
    assert_eq!(names("mxnet_list.params"), ["0", "1"]);
    assert!(names("mxnet_export-0000.params").contains(&"aux:net_batchnorm0_running_mean".to_string()));
    assert!(names("mxnet_gluon.params").contains(&"1.running_mean".to_string()));
}

#[test]
fn the_format_is_told_by_the_first_bytes() {
    for (name, format) in [
        ("torch_state.pt", Format::PyTorch),
        ("torch_state.safetensors", Format::Safetensors),
        ("keras_weights.npz", Format::Npz),
        ("mxnet_gluon.params", Format::MxNet),
    ] {
        assert_eq!(read(name).format, format, "{name}");
    }
}

#[test]
fn what_is_no_weight_is_listed_and_not_read() {
    let types: Vec<(String, &str)> =
        read("numpy_other.npz").tensors.into_iter().map(|tensor| (tensor.name, tensor.dtype)).collect();
    let expected = [
        ("mask", "bool"),
        ("text", "text"),
        ("complex", "complex"),
        ("bfloat16", "two bytes without a type"),
        ("time", "time"),
        ("struct", "struct"),
    ];
    assert_eq!(types, expected.map(|(name, dtype)| (name.to_string(), dtype)));
}

#[test]
fn what_is_refused_says_how_to_save_it() {
    let cases = [
        ("torch_model.pt", "G0821", "`torch.nn.modules.container.Sequential`", "state_dict()"),
        ("torch_script.pt", "G0820", "a TorchScript program", "torch.jit.load"),
        ("torch_legacy.pt", "G0820", "a bare pickle", "PyTorch 1.6 or later"),
        ("numpy_objects.npz", "G0821", "holds Python objects", "asarray"),
        ("mxnet_sparse.params", "G0820", "is sparse (row_sparse)", "save"),
        ("mxnet_export-symbol.json", "G0820", "it is JSON", ".params"),
    ];
    for (name, code, message, help) in cases {
        let refusal = weights::read(name, &fixture(name), LIMIT).expect_err(name);
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.message.contains(message) && refusal.help.contains(help), "{refusal:?}");
        assert!(refusal.message.starts_with(&format!("`{name}`")) || name.starts_with("numpy"), "{refusal}");
    }
}

#[test]
fn a_symbol_is_a_chain_of_layers() {
    let layers = |name: &str| symbol::read(name, &fixture(name)).unwrap_or_else(|refusal| panic!("{refusal}"));
    let export = layers("mxnet_export-symbol.json");
    let kinds: Vec<SymbolKind> = export.iter().map(|layer| layer.kind.clone()).collect();
    let dense = |units, no_bias| SymbolKind::FullyConnected { units, no_bias, flatten: true };
    let expected = [
        dense(5, false),
        SymbolKind::BatchNorm { eps: 1e-5, fix_gamma: false },
        SymbolKind::Activation("relu".into()),
        SymbolKind::Dropout { p: 0.25 },
        dense(3, true),
        SymbolKind::LayerNorm { eps: 1e-5 },
        SymbolKind::LeakyReLU { act_type: "leaky".into(), slope: 0.1 },
        dense(2, false),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(export[0].variables, ["net_dense0_weight", "net_dense0_bias"]);
    let module = layers("mxnet_module-symbol.json");
    let names: Vec<&str> = module.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["fc1", "bn1", "act1", "fc2", "softmax"]);
    assert_eq!(module[1].kind, SymbolKind::BatchNorm { eps: 1e-5, fix_gamma: false });
    assert_eq!(module[4].kind, SymbolKind::Output("SoftmaxOutput".into()));

    // The oldest files: arguments under `param`, two numbers to an input, and the user's own words under `attr`.
    let old = br#"{"nodes": [{"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "fc_weight", "inputs": [], "backward_source_id": -1},
        {"op": "FullyConnected", "param": {"no_bias": "True", "num_hidden": "7"}, "name": "fc", "inputs": [[0, 0], [1, 0]],
         "attr": {"ctx_group": "one"}, "backward_source_id": -1}], "arg_nodes": [0, 1], "heads": [[2, 0]]}"#;
    assert_eq!(symbol::read("old", old).expect("a chain")[0].kind, dense(7, true));

    let residual = symbol::read("r.json", &fixture("mxnet_residual-symbol.json")).expect_err("no chain");
    assert!(residual.message.contains("no chain of layers: `_plus0` (elemwise_add)"), "{residual}");
}
