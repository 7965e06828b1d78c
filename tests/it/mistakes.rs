//! The mistakes that people make with growth: each is told with its code, place and cause, and what help
//! proposes is right when it is pasted.

use super::check::checked;
use growrun::base::{Diagnostic, Severity};

const TANH: &str = "h1 dense 32 tanh; h2 dense 32 tanh; out dense 10";
const RELU: &str = "h1 dense 32 relu; h2 dense 32 relu; out dense 10";
const BLOCK: &str = "h1 dense 32 relu; r1 residual { a dense 48 relu; b dense 32 }; out dense 10";

/// One mistake: `action` at epoch 5 of a run of `model`, behind the events `before`.
struct Mistake {
    model: &'static str,
    before: &'static str,
    action: &'static str,
}

impl Mistake {
    fn text(&self, action: &str) -> String {
        let Mistake { model, before, .. } = self;
        format!(
            "data digits {{ batch 32 }}\nmodel {{ {model} }}\ntrain 60 epochs {{ }}\n{before}\nat epoch 5 {action}\n"
        )
    }

    /// The one finding, with the place of its first label as `line:column text`, and of the second.
    fn found(&self) -> (Diagnostic, String, Option<String>) {
        let checked = checked(&self.text(self.action));
        let [found] = checked.diagnostics.as_slice() else { panic!("{:#?}", checked.diagnostics) };
        let place = |label: &growrun::base::Label| {
            let (line, column) = checked.sources.line_column(label.span);
            format!("{line}:{column} {}", checked.sources.slice(label.span))
        };
        (found.clone(), place(&found.labels[0]), found.labels.get(1).map(place))
    }

    /// Holds the finding to `severity code`, its place and message; then pastes what help proposes: all of
    /// `proposals`, each of which stands in help as it is, in one block instead of the mistake.
    fn is_told(&self, code: &str, place: &str, message: &str, proposals: &[&str]) -> Diagnostic {
        let (found, at, _) = self.found();
        let severity = if found.severity == Severity::Error { "error" } else { "warning" };
        assert_eq!((format!("{severity} {}", found.code).as_str(), at.as_str()), (code, place), "{found:#?}");
        assert_eq!(found.message, message);
        let help = found.help.as_deref().unwrap_or_default();
        for proposal in proposals {
            assert!(help.contains(&format!("`{proposal}`")), "`{proposal}` is not in: {help}");
        }
        let pasted = checked(&self.text(&format!("{{ {} }}", proposals.join("; "))));
        assert_eq!(pasted.diagnostics, [], "{proposals:?} instead of `{}`", self.action);
        assert!(!pasted.timeline.is_empty());
        found
    }
}

fn mistake(model: &'static str, action: &'static str) -> Mistake {
    Mistake { model, before: "", action }
}

#[test]
fn an_identity_with_relu_after_tanh() {
    let mistake = mistake(TANH, "insert identity relu after h1");
    let message = "`insert identity relu` here would change the network's output: \
                   `h1` is tanh, whose values can be negative, and relu changes those";
    mistake.is_told("error G0401", "5:28 relu", message, &["insert identity relu after h1 method shift"]);
    mistake.is_told("error G0401", "5:28 relu", message, &["insert identity after h1"]);
    assert_eq!(mistake.found().2.as_deref(), Some("2:21 tanh"), "the cause is the activation");
}

#[test]
fn widening_the_output() {
    mistake(RELU, "widen out to 20").is_told(
        "error G0206",
        "5:18 out",
        "cannot widen `out`: `out` holds the output axis of the network",
        &["widen h2 by 2x"],
    );
}

#[test]
fn widening_the_input() {
    let message = "cannot widen the input of the network";
    mistake(RELU, "widen input to 128").is_told("error G0206", "5:18 input", message, &["widen h1 by 2x"]);
    // A block that stands first ties its end to the input.
    let first = "r1 residual { a dense 32 relu; b dense 64 }; h1 dense 16 relu; out dense 10";
    mistake(first, "widen b to 96").is_told(
        "error G0206",
        "5:18 b",
        "cannot widen `b`: `b` holds the input axis of the network",
        &["widen h1 by 2x"],
    );
}

#[test]
fn narrowing_to_nothing() {
    let mistake = mistake(RELU, "narrow h2 to 0");
    let message = "cannot narrow `h2` to 0: a layer needs at least one unit";
    mistake.is_told("error G0301", "5:25 0", message, &["narrow h2 to 1"]);
    mistake.is_told("error G0301", "5:25 0", message, &["remove h2 accept change"]);
}

#[test]
fn stacking_what_is_no_block() {
    let proposals = ["duplicate h2 as h2_2"];
    mistake(RELU, "stack h2 2x").is_told("error G0302", "5:18 h2", "`h2` is no residual block", &proposals);
    // h1 reads 64 and gives 32, so it cannot be repeated either.
    let proposals = ["insert identity after h1"];
    mistake(RELU, "stack h1 2x").is_told("error G0302", "5:18 h1", "`h1` is no residual block", &proposals);
    let proposals = ["insert identity before out"];
    mistake(RELU, "stack out 2x").is_told("error G0302", "5:18 out", "`out` is no residual block", &proposals);
}

#[test]
fn removing_an_end_of_a_skip() {
    let mistake = mistake(BLOCK, "remove b accept change");
    let message = "removing `b` would leave the ends of the skip of `r1` unequal: 32 and 48";
    mistake.is_told("error G0302", "5:19 b", message, &["remove r1 accept change"]);
    let found = mistake.is_told("error G0302", "5:19 b", message, &["narrow a to 32"]);
    assert!(found.help.is_some_and(|help| help.starts_with("`narrow a to 32` first")));
    let both = mistake.text("{ narrow a to 32; remove b accept change }");
    assert_eq!(checked(&both).diagnostics, [], "first the one, then what was wanted");
}

#[test]
fn widening_before_a_frozen_reader() {
    let mistake = Mistake { model: RELU, before: "at epoch 2 freeze out", action: "widen h2 to 64" };
    let message = "fresh units of `h2` can never learn: `out`, which reads them, is frozen, \
                   and its weights for them are 0";
    mistake.is_told("error G0207", "5:18 h2", message, &["widen h2 to 64 eps 0.01"]);
    assert_eq!(mistake.found().2.as_deref(), Some("4:12 freeze out"), "the cause is the freeze");
    mistake.is_told("error G0207", "5:18 h2", message, &["unfreeze out"]);
    let both = mistake.text("{ unfreeze out; widen h2 to 64 }");
    assert_eq!(checked(&both).diagnostics, [], "first the one, then what was wanted");
}

#[test]
fn more_units_than_gradmax_can_make() {
    mistake(RELU, "widen h2 to 128 method gradmax").is_told(
        "warning G0208",
        "5:35 gradmax",
        "`gradmax` cannot make all 96 units of `h2`; 86 of them are `pad` units",
        &["widen h2 by 10 method gradmax"],
    );
    mistake(RELU, "widen h2 by 3 method mirror").is_told(
        "warning G0208",
        "5:33 mirror",
        "`mirror` cannot make all 3 units of `h2`; 1 of them are `pad` units",
        &["widen h2 by 2 method mirror"],
    );
}

#[test]
fn eps_for_copies() {
    let mistake = mistake(RELU, "widen h2 to 64 method split eps 1e-3");
    let message = "`eps` says nothing with `method split`: copies take the weights of their originals";
    mistake.is_told("error G0105", "5:44 1e-3", message, &["widen h2 to 64 method split"]);
    mistake.is_told("error G0105", "5:44 1e-3", message, &["widen h2 to 64 method pad eps 0.001"]);
}

#[test]
fn mirrored_pairs_without_a_voice() {
    mistake(RELU, "widen h2 to 64 method mirror eps 0").is_told(
        "error G0207",
        "5:45 0",
        "`eps 0` cannot be with `method mirror`: the units of a pair would never separate",
        &["widen h2 to 64 method mirror"],
    );
}

#[test]
fn widening_to_fewer() {
    let mistake = mistake(RELU, "widen h2 to 16");
    let message = "cannot widen `h2` to 16: it is already 32 wide here";
    mistake.is_told("error G0201", "5:24 16", message, &["narrow h2 to 16"]);
    assert_eq!(mistake.found().2.as_deref(), Some("2:36 32"), "the cause is the width");
}

#[test]
fn inserting_after_the_last_layer() {
    let message = "nothing can be inserted after `out`: it is the last layer";
    let proposals = ["insert identity after h2"];
    mistake(RELU, "insert identity after out").is_told("error G0206", "5:34 out", message, &proposals);
    let proposals = ["insert dense 32 relu after h2 accept change"];
    mistake(RELU, "insert dense 32 relu after out accept change").is_told(
        "error G0206",
        "5:39 out",
        message,
        &proposals,
    );
}

#[test]
fn repeating_a_layer_with_unequal_ends() {
    mistake(RELU, "duplicate h1 as h3").is_told(
        "error G0302",
        "5:22 h1",
        "`h1` cannot follow itself: it reads 64 and gives 32",
        &["insert identity after h1"],
    );
    mistake(RELU, "duplicate out as out2").is_told(
        "error G0206",
        "5:22 out",
        "nothing can stand after `out`: it is the last layer",
        &["insert identity before out"],
    );
}

#[test]
fn a_layer_goes_and_its_reader_reads_another_width() {
    mistake(RELU, "remove h1").is_told(
        "error G0401",
        "5:19 h1",
        "removing `h1` changes the network's output: `h2` would read 64 values instead of 32 and is drawn afresh",
        &["remove h1 accept change"],
    );
    mistake(RELU, "insert dense 48 relu after h1 as h3").is_told(
        "error G0401",
        "5:25 48",
        "this insert would change the network's output: what is read after it is 48 wide instead of 32, \
         so its reader is drawn afresh",
        &["insert dense 48 relu after h1 as h3 accept change"],
    );
}

/// A coupling is explained, not refused.
#[test]
fn tied_layers_grow_together_and_the_plan_says_so() {
    let mistake = mistake(BLOCK, "widen b to 64");
    let checked = checked(&mistake.text(mistake.action));
    assert_eq!(checked.diagnostics, []);
    let growth = checked.timeline[0].growth.as_ref().expect("it grows");
    assert_eq!(growth.summary.detail, "h1 + b (tied by r1) 32 → 64");
}
