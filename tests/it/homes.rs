//! The pages of the tools where trained networks live, and what `growrun apply` says for the way back to them.
//! `tests/evidence/homes.sh` does what the pages say, in those tools.

use crate::cli::{folder, growrun};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures/weights").join(name)).expect("a fixture")
}

#[test]
fn the_page_of_a_home_is_explained() {
    for home in ["pytorch", "jax", "keras", "mxnet"] {
        let page = std::fs::read_to_string(root().join(format!("docs/{home}.md"))).expect("a page");
        assert!(page.lines().count() <= 150, "docs/{home}.md is long");
        let title = page.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a title");
        let shown = growrun(Path::new("."), &["explain", home]).stdout;
        assert!(shown.lines().any(|line| line == title), "{shown}");
        // Commands and files are whole, to copy; the marks around them are left out.
        assert!(shown.contains("\n    growrun apply grow.grow --weights small"), "{shown}");
        assert!(!shown.contains("```") && !shown.contains("**net.py**"), "{shown}");
    }
    let shown = growrun(Path::new("."), &["explain", "mxnet"]).stdout;
    assert!(shown.contains("targets of export"), "{shown}");
    let list = growrun(Path::new("."), &["explain"]).stdout;
    assert!(list.contains("\n  keras     the same from Keras\n"), "{list}");
}

/// What `growrun apply` prints for a fixture.
fn applied(name: &str, schedule: &str, out: &str) -> String {
    let folder = folder(&[("grow.grow", schedule.as_bytes()), (name, &fixture(name))]);
    let ran = growrun(folder.path(), &["apply", "grow.grow", "--weights", name, "--out", out]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

const SMALL: &str = "model {
  map \"bn1\" to fc1.norm; map \"ln2\" to fc2.norm
  fc1 dense 5 relu norm batch
  fc2 dense 3 relu norm layer bias no
  out dense 2
}
";

#[test]
fn an_epsilon_that_growth_changes_is_told() {
    let said = applied("torch_state.pt", &format!("{SMALL}at start widen fc2 to 6"), "grown.safetensors");
    let note = "note    the epsilon of `fc2`'s norm is 5e-6 now, not 1e-5: set it where the weights go";
    assert!(said.contains(note), "{said}");
    let said = applied("torch_state.pt", &format!("{SMALL}at start widen fc1 to 8"), "grown.safetensors");
    assert!(!said.contains("epsilon"), "{said}");
    // model.py has it, so there is nothing to set.
    let said = applied("torch_state.pt", &format!("{SMALL}at start widen fc2 to 6"), "grown");
    assert!(!said.contains("epsilon"), "{said}");
}

#[test]
fn what_to_do_next_is_right_for_each_home() {
    let cases = [
        (
            "torch_state.pt",
            "fc1",
            "g.safetensors",
            "safetensors.torch.load_file(\"g.safetensors\")) · growrun explain pytorch",
        ),
        ("torch_state.safetensors", "fc1", "g.npz", "numpy.load(\"g.npz\") · growrun explain pytorch"),
        ("keras_weights.npz", "fc1", "g.safetensors", "safetensors.numpy.load_file(\"g.safetensors\")"),
        ("flax_linen.npz", "Dense_0", "g.npz", "numpy.load(\"g.npz\") · growrun explain jax"),
        ("mxnet_gluon.params", "h1", "g.params", "net.load_parameters(\"g.params\") · growrun explain mxnet"),
        ("mxnet_export-0000.params", "net_dense0", "g.params", "mx.nd.load(\"g.params\") · growrun explain mxnet"),
    ];
    for (name, layer, out, next) in cases {
        let said = applied(name, &format!("at start widen {layer} by 2x"), out);
        let line = said.lines().find(|line| line.trim_start().starts_with("next ")).expect("a next line");
        assert!(line.ends_with(next), "{name}: {line}");
    }
}
