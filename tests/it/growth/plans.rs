//! Plans: widths, names, promises and refusals, on symbols alone.

use super::*;
use growrun::grow::{OPERATORS, Promise};
use growrun::nn::Width;

fn widths(plan: &Plan) -> Vec<(String, usize)> {
    plan.after.all_layers().map(|layer| (layer.name.clone(), plan.after.width(layer.output.axis).exact())).collect()
}

fn width(plan: &Plan, layer: &str) -> Width {
    plan.after.width(plan.after.layer(layer).expect("the layer is there").output.axis)
}

/// h1 64; r1 residual { a 48; b 64 }; out 10, all relu but the end of the block.
pub fn residual() -> Architecture {
    let mut net = architecture(8, &[("h1", 64, Activation::Relu)]);
    let stream = net.output();
    let dense = layers::find("dense").expect("dense is a layer");
    let relu = Settings { activation: Activation::Relu, ..Settings::default() };
    let description = |width, settings| Description { width: Some(width), area: None, settings };
    let a = net.make_layer("a", dense, description(48, relu), stream);
    let mut b = net.make_layer("b", dense, description(64, Settings::default()), a.output);
    b.output = stream;
    let kind = layers::find("residual").expect("residual is a layer");
    net.push(
        "r1",
        kind,
        Description { width: None, area: None, settings: Settings { bias: false, ..Settings::default() } },
    )
    .block = vec![a, b];
    push(&mut net, "out", 10, Settings::default());
    net
}

#[test]
fn every_operator_explains_itself() {
    for operator in OPERATORS {
        let doc = operator.doc();
        assert!(doc.example.starts_with(doc.word), "{}: {}", doc.word, doc.example);
        assert!(!doc.help.is_empty() && doc.args.iter().all(|arg| !arg.help.is_empty()), "{}", doc.word);
        for group in doc.one_of {
            assert!(group.iter().all(|name| doc.arg(name).is_some()), "{}: {group:?}", doc.word);
        }
        assert_eq!(grow::find(doc.word).map(|found| found.doc().word), Some(doc.word));
    }
}

#[test]
fn widen_reaches_its_size() {
    let net = usual(Activation::Relu);
    for (arguments, expected) in [
        (&[("target", "h2"), ("to", "256")][..], [32, 256]),
        (&[("target", "h2"), ("by", "8")], [32, 40]),
        (&[("target", "h2"), ("by", "1.5x")], [32, 48]),
        // 32 · 1.046875 = 33.5: half to even.
        (&[("target", "h2"), ("by", "1.046875x")], [32, 34]),
        (&[("target", "h1..h2"), ("to", "64")], [64, 64]),
        (&[("target", "all"), ("by", "2x")], [64, 64]),
    ] {
        let plan = planned(&net, "widen", arguments);
        assert_eq!([width(&plan, "h1"), width(&plan, "h2")], expected.map(Width::exactly), "{arguments:?}");
        assert_eq!(plan.promise, Promise::Bitwise);
        assert!(plan.warnings.is_empty());
    }
    // 32 · 1.015625 = 32.5 goes to the even 32, so nothing grows.
    assert_eq!(refused(&net, "widen", &[("target", "h2"), ("by", "1.015625x")]).code, "G0201");
}

#[test]
fn layers_at_the_size_are_skipped_until_none_is_left() {
    let net = planned(&usual(Activation::Relu), "widen", &[("target", "h1"), ("to", "64")]).after;
    let plan = planned(&net, "widen", &[("target", "all"), ("to", "64")]);
    assert_eq!(plan.summary.detail, "h2 32 → 64");
    assert!(plan.warnings.is_empty());
    let refusal = refused(&plan.after, "widen", &[("target", "h1..h2"), ("to", "64")]);
    assert_eq!((refusal.code, refusal.argument), ("G0201", Some("to")));
    let wider = planned(&usual(Activation::Relu), "widen", &[("target", "h1"), ("to", "100")]).after;
    let plan = planned(&wider, "widen", &[("target", "h1..h2"), ("to", "64")]);
    assert_eq!(width(&plan, "h1").exact(), 100);
    assert_eq!(plan.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["G0201"]);
}

#[test]
fn a_widen_that_does_not_grow_says_where_it_grew() {
    let net = planned(&usual(Activation::Relu), "widen", &[("target", "h2"), ("to", "256")]).after;
    let refusal = refused(&net, "widen", &[("target", "h2"), ("to", "192")]);
    assert_eq!(refusal.code, "G0201");
    assert_eq!(refusal.message, "cannot widen `h2` to 192: it is already 256 wide here");
    assert_eq!(refusal.help, "use `narrow h2 to 192` to prune, or a size above 256");
    assert_eq!(refusal.here, "smaller than 256");
    assert_eq!(refusal.cause.as_deref(), Some("h2"));
    assert_eq!(refusal.argument, Some("to"));
}

#[test]
fn mistakes_are_refused_with_their_code_and_argument() {
    let net = usual(Activation::Relu);
    let tanh = usual(Activation::Tanh);
    for (net, word, arguments, code, argument) in [
        (&net, "widen", &[("target", "h9"), ("to", "64")][..], "G0101", "target"),
        (&net, "widen", &[("target", "h2..h1"), ("to", "64")], "G0101", "target"),
        (&net, "widen", &[("target", "out"), ("to", "64")], "G0206", "target"),
        (&net, "widen", &[("target", "h2..out"), ("to", "64")], "G0206", "target"),
        (&net, "widen", &[("target", "h2"), ("to", "0")], "G0201", "to"),
        (&net, "widen", &[("target", "h2"), ("by", "0")], "G0201", "by"),
        (&net, "widen", &[("target", "h2"), ("by", "0.5x")], "G0201", "by"),
        (&net, "widen", &[("target", "h2"), ("by", "1e300x")], "G0601", "by"),
        (&net, "widen", &[("target", "h2"), ("to", "1000000000000")], "G0601", "to"),
        (&net, "widen", &[("target", "all"), ("to", "900000000")], "G0601", "to"),
        (&net, "widen", &[("target", "h2"), ("to", "64"), ("method", "split"), ("eps", "0.1")], "G0105", "eps"),
        (&net, "widen", &[("target", "h2"), ("to", "64"), ("eps", "-1")], "G0105", "eps"),
        (&net, "widen", &[("target", "h2"), ("to", "64"), ("method", "mirror"), ("eps", "0")], "G0207", "eps"),
        (&net, "widen", &[("target", "h2"), ("to", "64"), ("fan_in", "0")], "G0207", "fan_in"),
        (&net, "widen", &[("target", "h2"), ("to", "64"), ("fan_in", "0"), ("eps", "1")], "G0207", "fan_in"),
        (&net, "narrow", &[("target", "h2"), ("to", "0")], "G0301", "to"),
        (&net, "narrow", &[("target", "h2"), ("to", "64")], "G0201", "to"),
        (&net, "narrow", &[("target", "out"), ("to", "5")], "G0206", "target"),
        (&net, "insert identity", &[("after", "out")], "G0206", "after"),
        (&net, "insert identity", &[("after", "h9")], "G0101", "after"),
        (&net, "insert identity", &[("before", "h9")], "G0101", "before"),
        (&net, "insert identity", &[("after", "h1"), ("as", "h2")], "G0103", "as"),
        (&net, "insert identity", &[("after", "h1"), ("as", "all")], "G0103", "as"),
        (&net, "insert identity", &[("after", "h1"), ("activation", "tanh")], "G0401", "activation"),
        (&tanh, "insert identity", &[("after", "h1"), ("activation", "relu")], "G0401", "activation"),
        (&tanh, "insert identity", &[("after", "h1"), ("method", "identity")], "G0401", "method"),
        (&net, "insert identity", &[("before", "h1"), ("method", "shift")], "G0401", "method"),
        (&net, "insert dense", &[("width", "16"), ("after", "h1")], "G0401", "width"),
        (&net, "insert dense", &[("width", "0"), ("after", "h1")], "G0301", "width"),
        (&net, "remove", &[("name", "out")], "G0206", "name"),
        (&net, "remove", &[("name", "h1")], "G0401", "name"),
        (&net, "duplicate", &[("name", "h1"), ("as", "h3")], "G0302", "name"),
        (&net, "duplicate", &[("name", "h2"), ("as", "h1")], "G0103", "as"),
        (&net, "stack", &[("block", "h1"), ("times", "2x")], "G0302", "block"),
        (&net, "freeze", &[("target", "h9")], "G0101", "target"),
    ] {
        let refusal = refused(net, word, arguments);
        assert_eq!((refusal.code, refusal.argument), (code, Some(argument)), "{word} {arguments:?}: {refusal}");
        assert!(!refusal.message.is_empty() && !refusal.help.is_empty(), "{word} {arguments:?}");
        assert!(!refusal.message.ends_with('.') && !refusal.help.ends_with('.'), "{refusal}");
    }
}

#[test]
fn a_frozen_reader_hears_fresh_units_only_with_eps() {
    let net = planned(&usual(Activation::Relu), "freeze", &[("target", "out")]).after;
    let refusal = refused(&net, "widen", &[("target", "h2"), ("to", "64")]);
    assert_eq!((refusal.code, refusal.cause.as_deref()), ("G0207", Some("out.frozen")));
    planned(&net, "widen", &[("target", "h2"), ("to", "64"), ("eps", "0.01")]);
    planned(&net, "widen", &[("target", "h1"), ("to", "64")]);
    let again = planned(&net, "unfreeze", &[("target", "all")]).after;
    planned(&again, "widen", &[("target", "h2"), ("to", "64")]);
}

#[test]
fn freeze_all_leaves_the_last_layer() {
    let frozen = |plan: &Plan| plan.after.all_layers().map(|layer| layer.frozen).collect::<Vec<_>>();
    let net = usual(Activation::Relu);
    let all = planned(&net, "freeze", &[("target", "all")]);
    assert_eq!(frozen(&all), [true, true, false]);
    assert!(all.warnings.is_empty() && all.changes.is_empty());
    assert_eq!(frozen(&planned(&all.after, "unfreeze", &[("target", "h2..out")])), [true, false, false]);
    let nothing = planned(&all.after, "freeze", &[("target", "out")]);
    assert_eq!(nothing.warnings[0].code, "G0207");
    assert_eq!(frozen(&planned(&residual(), "freeze", &[("target", "r1")])), [false, true, true, true, false]);
}

#[test]
fn promises_follow_from_method_and_norm() {
    let net = usual(Activation::Relu);
    let tanh = usual(Activation::Tanh);
    let widen = |net: &Architecture, target, more: &[(&'static str, &str)]| {
        let mut arguments = vec![("target", target), ("to", "48")];
        arguments.extend_from_slice(more);
        planned(net, "widen", &arguments)
    };
    assert_eq!(widen(&net, "h1", &[]).promise, Promise::Bitwise);
    assert_eq!(widen(&net, "h1", &[("eps", "1e-3")]).promise, Promise::Bounded);
    assert_eq!(widen(&tanh, "h1", &[("eps", "1"), ("fan_in", "0")]).promise, Promise::Bitwise);
    assert_eq!(widen(&net, "h1", &[("method", "split")]).promise, Promise::Rounding);
    assert_eq!(widen(&net, "h1", &[("method", "random")]).promise, Promise::None);
    assert_eq!(widen(&with_norm(Norm::Batch), "h1", &[]).promise, Promise::Bitwise);
    assert_eq!(widen(&with_norm(Norm::Layer), "h1", &[]).promise, Promise::Rounding);
    assert_eq!(widen(&with_norm(Norm::Rms), "h1", &[]).promise, Promise::Bounded);
    let mirror = widen(&net, "h1", &[("method", "mirror")]);
    assert_eq!(mirror.promise, Promise::Rounding);
    let odd = planned(&net, "widen", &[("target", "h1"), ("by", "3"), ("method", "mirror")]);
    assert_eq!(odd.warnings[0].code, "G0208");
    // M = E[δ xᵀ] at h1 is [h2, input] = [32, 8]: rank 8 at most.
    let gradmax = widen(&tanh, "h1", &[("method", "gradmax")]);
    assert_eq!((gradmax.promise, gradmax.warnings[0].code), (Promise::Bitwise, "G0208"));
}

#[test]
fn an_identity_is_chosen_by_the_activation_before_it() {
    for activation in Activation::ALL {
        let plan = planned(&usual(activation), "insert identity", &[("after", "h1")]);
        let made = plan.after.layer("h1_id1").expect("named after its anchor");
        let expected = match activation {
            Activation::Relu | Activation::Sigmoid | Activation::Softplus => ("identity", Activation::Relu, 32),
            Activation::LeakyRelu => ("mirror", Activation::LeakyRelu, 64),
            Activation::Linear => ("mirror", Activation::Relu, 64),
            _ => ("shift", Activation::Relu, 32),
        };
        let width = plan.after.width(made.output.axis).exact();
        assert_eq!((plan.summary.method, made.settings.activation, width), expected, "after {activation}");
        let promise = if plan.summary.method == "identity" { Promise::Bitwise } else { Promise::Rounding };
        assert_eq!(plan.promise, promise);
        assert!(plan.summary.detail.contains(activation.word()), "{}", plan.summary.detail);
        assert_eq!(plan.after.names(), ["h1", "h1_id1", "h2", "out"]);
        assert_eq!(plan.after.layer("h2").map(|layer| layer.input), Some(made.output));
    }
    let linear = planned(&usual(Activation::Tanh), "insert identity", &[("after", "h1"), ("activation", "linear")]);
    assert_eq!((linear.summary.method, linear.promise), ("identity", Promise::Bitwise));
    let again = planned(&linear.after, "insert identity", &[("after", "h1")]);
    assert_eq!(again.after.names(), ["h1", "h1_id2", "h1_id1", "h2", "out"]);
}

#[test]
fn a_reader_without_a_bias_cannot_take_a_shift_back() {
    let mut net = architecture(8, &[("h1", 16, Activation::Tanh)]);
    push(&mut net, "out", 4, Settings { bias: false, ..Settings::default() });
    assert_eq!(planned(&net, "insert identity", &[("after", "h1")]).summary.method, "mirror");
    let refusal = refused(&net, "insert identity", &[("after", "h1"), ("method", "shift")]);
    assert_eq!(refusal.code, "G0401");
    assert!(refusal.help.contains("takes method `mirror` here"), "{}", refusal.help);
}

#[test]
fn a_coupled_name_means_its_whole_axis() {
    let net = residual();
    let plan = planned(&net, "widen", &[("target", "b"), ("to", "96")]);
    assert_eq!(widths(&plan), [("h1", 96), ("r1", 96), ("a", 48), ("b", 96), ("out", 10)].map(|(n, w)| (n.into(), w)));
    assert_eq!(plan.changes.len(), 1);
    let all = planned(&net, "widen", &[("target", "all"), ("by", "2x")]);
    assert_eq!(all.changes.len(), 2, "the stream once, the inner axis once");
    assert_eq!(width(&all, "a").exact(), 96);
}

#[test]
fn an_insertion_keeps_skips_tied() {
    let net = residual();
    // Before the block, the whole stream behind the new layer is its axis.
    let plan = planned(&net, "insert identity", &[("after", "h1")]);
    let new = plan.after.layer("h1_id1").expect("it was made").output.axis;
    for (layer, reads, writes) in [("r1", true, true), ("a", true, false), ("b", false, true), ("out", true, false)] {
        let layer = plan.after.layer(layer).expect("it is there");
        assert_eq!((layer.input.axis == new, layer.output.axis == new), (reads, writes), "{}", layer.name);
    }
    // At the end of the block the sum reads it, so nothing shifted or halved is taken.
    let end = planned(&net, "insert identity", &[("after", "b")]);
    assert_eq!(end.after.names(), ["h1", "r1", "a", "b", "b_id1", "out"]);
    assert_eq!(end.after.width(end.after.layer("b_id1").expect("it was made").output.axis).exact(), 64);
    for plan in [&plan, &end] {
        for layer in plan.after.all_layers() {
            for shape in layer.kind.parameters(layer, &plan.after) {
                assert!(shape.extents(&plan.after).iter().all(|&extent| extent > 0));
            }
        }
    }
    let stacked = planned(&net, "stack", &[("block", "r1"), ("times", "3x")]);
    assert_eq!(stacked.after.names(), ["h1", "r1", "a", "b", "r1_2", "a_2", "b_2", "r1_3", "a_2_2", "b_2_2", "out"]);
    let wide = planned(&stacked.after, "widen", &[("target", "r1_2"), ("to", "100")]);
    assert_eq!(width(&wide, "h1").exact(), 100);
    assert_eq!(width(&wide, "b_2_2").exact(), 100);
}

#[test]
fn removing_is_checked_against_what_reads_it() {
    let net = usual(Activation::Relu);
    let same = planned(&net, "remove", &[("name", "h2")]);
    assert_eq!((same.after.names(), same.promise), (vec!["h1", "out"], Promise::None));
    assert_eq!(same.warnings[0].code, "G0401");
    assert!(planned(&net, "remove", &[("name", "h2"), ("accept", "change")]).warnings.is_empty());
    let first = planned(&net, "remove", &[("name", "h1"), ("accept", "change")]);
    assert_eq!(first.after.layer("h2").map(|layer| layer.input), Some(first.after.input));
    assert!(first.summary.detail.contains("h2 drawn afresh"));
    let inner = planned(&residual(), "remove", &[("name", "a"), ("accept", "change")]);
    assert_eq!(inner.after.names(), ["h1", "r1", "b", "out"]);
    assert_eq!(planned(&residual(), "remove", &[("name", "r1")]).after.names(), ["h1", "out"]);
    let refusal = refused(&inner.after, "remove", &[("name", "b")]);
    assert_eq!(refusal.code, "G0302");
}

#[test]
fn what_may_go_wrong_is_a_warning() {
    let mut net = usual(Activation::Relu);
    let h2 = net.layer("h2").expect("it is there").output.axis;
    net.set_width(h2, Width { min: 32, max: 256 });
    let plan = planned(&net, "widen", &[("target", "h2"), ("to", "128")]);
    assert_eq!(plan.after.width(h2), Width { min: 128, max: 256 });
    assert_eq!(plan.warnings[0].code, "G0201");
    let plan = planned(&net, "widen", &[("target", "h2"), ("to", "512")]);
    assert_eq!((plan.after.width(h2), plan.warnings.len()), (Width::exactly(512), 0));
    assert_eq!(refused(&net, "widen", &[("target", "h2"), ("to", "32")]).code, "G0201");
    assert_eq!(planned(&net, "widen", &[("target", "h2"), ("by", "2x")]).after.width(h2), Width { min: 64, max: 512 });
    let plan = planned(&net, "narrow", &[("target", "h2"), ("to", "64")]);
    assert_eq!((plan.after.width(h2), plan.warnings[0].code), (Width { min: 32, max: 64 }, "G0201"));
    let id = planned(&net, "insert identity", &[("after", "h2")]);
    let made = id.after.layer("h2_id1").expect("it was made").output.axis;
    assert_eq!(id.after.width(made), Width { min: 32, max: 256 });
}

#[test]
fn gates_and_copies_take_names_that_are_free() {
    let unique = |net: &Architecture| {
        let mut names = net.names();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    };
    let tanh = Activation::Tanh;
    let net =
        architecture(8, &[("h1", 16, tanh), ("g_a", 16, tanh), ("g_b_2", 16, tanh), ("out", 10, Activation::Linear)]);
    let gate = planned(&net, "insert identity", &[("after", "h1"), ("method", "gate"), ("as", "g")]);
    assert!(unique(&gate.after), "{:?}", gate.after.names());
    let again = planned(&gate.after, "insert identity", &[("after", "g"), ("method", "gate"), ("as", "z")]);
    assert!(unique(&again.after), "{:?}", again.after.names());
    // The copy takes the very name that its inner layer would have got.
    let copy = planned(&gate.after, "duplicate", &[("name", "g"), ("as", "g_b_3")]);
    assert!(unique(&copy.after), "{:?}", copy.after.names());
    let copy = planned(&gate.after, "duplicate", &[("name", "g"), ("as", "g_a_2_2")]);
    assert!(unique(&copy.after), "{:?}", copy.after.names());
}

#[test]
fn freezing_a_range_or_all_means_what_is_in_blocks() {
    let mut net = architecture(8, &[("h1", 16, Activation::Relu)]);
    let of = |activation| Settings { activation, ..Settings::default() };
    let inner = [("a", 8, of(Activation::Relu)), ("b", 16, of(Activation::Linear))];
    crate::engine::blocks::residual(&mut net, "r1", false, &inner);
    let frozen = |plan: Plan| -> Vec<String> {
        plan.after.all_layers().filter(|layer| layer.frozen).map(|layer| layer.name.clone()).collect()
    };
    let mut longer = net.clone();
    push(&mut longer, "out", 10, Settings::default());
    assert_eq!(frozen(planned(&longer, "freeze", &[("target", "h1..r1")])), ["h1", "r1", "a", "b"]);
    assert_eq!(frozen(planned(&longer, "freeze", &[("target", "all")])), ["h1", "r1", "a", "b"]);
    // A block at the end is what `all` leaves free.
    assert_eq!(frozen(planned(&net, "freeze", &[("target", "all")])), ["h1"]);
}
