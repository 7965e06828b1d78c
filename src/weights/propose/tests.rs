use super::*;
use crate::nn::Role;
use crate::weights::fit::{self, Scope, Wanted};
use crate::weights::{Format, Tensor, Values, symbol};

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    // Other numbers in each, so that none is the copy of another.
    let seed = name.bytes().fold(7, |seed, byte| (seed * 31 + usize::from(byte)) % 8191);
    let values = (0..shape.iter().product()).map(|at: usize| (at + seed) as f32).collect();
    Tensor { name: name.into(), outer: 0, shape: shape.into(), dtype: "float32", values: Values::Numbers(values) }
}

fn file(format: Format, tensors: &[(&str, &[usize])]) -> File {
    File::new(format, tensors.iter().map(|(name, shape)| tensor(name, shape)).collect())
}

fn block(format: Format, tensors: &[(&str, &[usize])]) -> Proposal {
    proposed(&file(format, tensors), None)
}

/// A proposal that fits takes every tensor where the checker looks for it.
fn proposed(file: &File, symbol: Option<&[SymbolLayer]>) -> Proposal {
    let proposal = propose(file, symbol);
    if proposal.fits() {
        let mut wanted = Vec::new();
        for layer in &proposal.layers {
            let mut want = |name: &str, role: Role, extents: &[usize]| {
                let name = format!("{}.{name}", layer.name);
                let axes = vec![None; extents.len()];
                let extents = extents.iter().map(|extent| Some(*extent)).collect();
                wanted.push(Wanted { name, role, extents, axes, form: Default::default() });
            };
            let units = layer.units;
            match layer.kind {
                ProposedKind::Pool(_) => continue,
                ProposedKind::Dense { .. } => want("weight", Role::Weight, &[units, layer.inputs]),
                ProposedKind::Conv { kernel, .. } => {
                    want("weight", Role::Weight, &[units, layer.inputs, kernel, kernel]);
                }
            }
            if layer.bias {
                want("bias", Role::Bias, &[units]);
            }
            let Some(norm) = &layer.norm else { continue };
            want("norm.weight", Role::Gain, &[units]);
            if norm.kind != Norm::Rms {
                want("norm.bias", Role::Bias, &[units]);
            }
            if norm.kind == Norm::Batch {
                want("norm.running_mean", Role::RunningMean, &[units]);
                want("norm.running_var", Role::RunningVariance, &[units]);
            }
        }
        let (matches, misfits) = fit::fit(file, &wanted, Scope::Whole { maps: &proposal.maps, prefix: None });
        assert_eq!((matches.len(), misfits), (wanted.len(), Vec::new()), "{}", proposal.text("f"));
    }
    proposal
}

#[test]
fn a_file_in_order_is_read_in_that_order() {
    let proposal = block(
        Format::PyTorch,
        &[
            ("net.0.weight", &[5, 4]),
            ("net.0.bias", &[5]),
            ("net.1.weight", &[5]),
            ("net.1.bias", &[5]),
            ("net.1.running_mean", &[5]),
            ("net.1.running_var", &[5]),
            ("net.3.weight", &[5, 5]),
            ("net.4.weight", &[5]),
            ("net.4.bias", &[5]),
            ("net.10.weight", &[5, 5]),
            ("net.11.weight", &[5]),
            ("net.12.weight", &[2, 5]),
            ("net.12.bias", &[2]),
        ],
    );
    assert_eq!(proposal.problems, [""; 0]);
    let expected = "\
model from \"net.pt\" {
  map \"0\" to h1
  map \"1\" to h1.norm
  map \"3\" to h2
  map \"4\" to h2.norm
  map \"10\" to h3
  map \"11\" to h3.norm
  map \"12\" to out
  # activations are not in the file: relu is a guess
  h1  dense 5 relu norm batch
  h2  dense 5 relu norm layer bias no
  h3  dense 5 relu norm rms bias no
  out dense 2
}
";
    assert_eq!(proposal.text("net.pt"), expected);
    assert_eq!((proposal.inputs(), proposal.outputs(), proposal.activations_known), (Some(4), Some(2), false));
}

#[test]
fn where_names_are_sorted_widths_and_numbers_tell_the_order() {
    let sorted: [(&str, &[usize]); 6] = [
        ("batch_stats/bn/mean", &[8]),
        ("batch_stats/bn/var", &[8]),
        ("params/bn/bias", &[8]),
        ("params/bn/scale", &[8]),
        ("params/hidden/kernel", &[8, 6]),
        ("params/a/kernel", &[3, 8]),
    ];
    let proposal = block(Format::Safetensors, &sorted);
    assert!(proposal.fits(), "{:?}", proposal.problems);
    let expected = "  map \"bn\" to a.norm
  # activations are not in the file: relu is a guess
  a      dense 8 relu norm batch bias no
  hidden dense 6 bias no
";
    assert_eq!(proposal.body(), expected);
    assert!(!proposal.assumed.iter().any(|text| text.contains("several")), "{:?}", proposal.assumed);

    // fc10 behind fc9 and not behind fc1, and that this is a guess.
    let names: Vec<String> = (1..=12).map(|at| format!("fc{at}.weight")).collect();
    let mut square: Vec<(&str, &[usize])> = names.iter().map(|name| (name.as_str(), &[4, 4][..])).collect();
    square.sort();
    for format in [Format::Safetensors, Format::Npz] {
        let proposal = block(format, &square);
        let order: Vec<&str> = proposal.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(order, (1..=12).map(|at| format!("fc{at}")).collect::<Vec<_>>());
        assert!(
            proposal.assumed.iter().any(|text| text.contains("`fc1`, `fc2`, `fc3`, `fc4`, …")),
            "{:?}",
            proposal.assumed
        );
    }
    // PyTorch keeps the order of the layers, whatever they are called.
    assert_eq!(block(Format::PyTorch, &square).layers[1].name, "fc10");
}

#[test]
fn norms_of_one_width_go_by_their_numbers() {
    let tensors: [(&str, &[usize]); 9] = [
        ("ln1.bias", &[4]),
        ("ln1.weight", &[4]),
        ("ln2.bias", &[4]),
        ("ln2.weight", &[4]),
        ("fc1.weight", &[4, 7]),
        ("fc2.weight", &[4, 4]),
        ("fc3.weight", &[4, 4]),
        ("out.norm.weight", &[1]),
        ("out.weight", &[1, 4]),
    ];
    let proposal = block(Format::Safetensors, &tensors);
    assert!(proposal.fits(), "{:?}", proposal.problems);
    let to = |name: &str| proposal.maps.iter().find(|map| map.tensor == name).map(|map| map.to.as_str());
    assert_eq!((to("ln1"), to("ln2"), to("out.norm")), (Some("fc1.norm"), Some("fc2.norm"), None));
    assert!(
        proposal.assumed.iter().any(|text| text.contains("`ln1` could be behind several")),
        "{:?}",
        proposal.assumed
    );
    let sequence: [(&str, &[usize]); 6] = [
        ("body.0.weight", &[4, 4]),
        ("body.1.weight", &[4]),
        ("body.3.weight", &[4, 4]),
        ("body.4.weight", &[4]),
        ("body.6.weight", &[4, 4]),
        ("body.7.weight", &[4]),
    ];
    let proposal = block(Format::Safetensors, &sequence);
    let norms: Vec<(&str, &str)> = proposal
        .maps
        .iter()
        .map(|map| (map.tensor.as_str(), map.to.as_str()))
        .filter(|(_, to)| to.contains('.'))
        .collect();
    assert_eq!(norms, [("body.1", "h1.norm"), ("body.4", "h2.norm"), ("body.7", "out.norm")]);
}

#[test]
fn what_does_not_fit_says_why_in_a_line() {
    type Case<'c> = (&'c [(&'c str, &'c [usize])], &'c str);
    let cases: &[Case] = &[
        (
            &[("conv1.weight", &[8, 1, 3]), ("conv1.bias", &[8])],
            "`conv1.weight` [8, 1, 3] is a convolution over lines or volumes instead of images, which growrun does not \
             read yet",
        ),
        (&[("lstm.weight_ih_l0", &[8, 4])], "belongs to a recurrent layer"),
        (&[("gru/recurrent_kernel", &[8, 4])], "belongs to a recurrent layer"),
        (&[("self_attn.in_proj_weight", &[12, 4])], "belongs to an attention layer"),
        (&[("embedding.weight", &[100, 4])], "is an embedding"),
        (&[("w1", &[3, 4])], "does not say which part"),
        (&[("fc.weight", &[3, 0])], "holds no values"),
        (&[("fc.weight", &[3, 4]), ("fc.bias", &[4])], "`fc.bias` [4] does not belong to `fc.weight` [3, 4]"),
        (&[("fc.weight", &[3, 4]), ("fc_weight", &[3, 4])], "could be the same part"),
        (&[("ln.weight", &[3]), ("ln.bias", &[3]), ("fc.weight", &[3, 4])], "norm before the first layer"),
        (&[("fc.weight", &[3, 4]), ("a.weight", &[3]), ("b.weight", &[3])], "a second norm behind `a`"),
        (&[("fc.weight", &[3, 4]), ("a.weight", &[2])], "behind no layer of that width"),
        (&[("fc.weight", &[3, 4]), ("bn.running_mean", &[3]), ("bn.running_var", &[3])], "without gain"),
        (&[("fc.weight", &[3, 4]), ("h.bias", &[3])], "has no `weight` or `kernel` beside it"),
        (&[("h.blend", &[1])], "no `model` block can write"),
        (&[("a.weight", &[3, 4]), ("b.weight", &[5, 6])], "`b` reads 6 numbers, and `a` before it gives 3"),
        (&[("a\"b.weight", &[3, 4])], "cannot be written in a schedule"),
        (&[("a\nb.weight", &[3, 4])], "cannot be written in a schedule"),
        (&[], "no layer was found"),
    ];
    for (tensors, expected) in cases {
        let proposal = block(Format::PyTorch, tensors);
        assert!(proposal.problems.iter().any(|text| text.contains(expected)), "{expected}: {:?}", proposal.problems);
    }
    let mut nan = file(Format::PyTorch, &[("fc.weight", &[1, 2])]);
    nan.tensors[0].values = Values::Numbers(vec![1.0, f32::NAN]);
    assert!(propose(&nan, None).problems[0].contains("holds 1 NaN or infinite of 2 values"));
    nan.tensors[0].values = Values::Whole(vec![1, 2]);
    assert!(propose(&nan, None).problems[0].contains("which is no weight"));
}

#[test]
fn weights_under_two_names_are_told() {
    let mut tied = file(Format::PyTorch, &[("a.weight", &[3, 3]), ("b.weight", &[3, 3])]);
    tied.tensors[1].values = tied.tensors[0].values.clone();
    assert!(propose(&tied, None).assumed.iter().any(|text| text.contains("hold the same weights")));
}

#[test]
fn names_that_look_like_code_stay_in_their_quotes() {
    let tensors: [(&str, &[usize]); 7] = [
        ("dense.weight", &[3, 2]),
        ("h2.weight", &[3, 3]),
        ("map.weight", &[3, 3]),
        ("} at start stop #.weight", &[3, 3]),
        ("x", &[3]),
        ("relu.weight", &[3, 3]),
        ("größe.weight", &[3, 3]),
    ];
    let proposal = block(Format::PyTorch, &tensors);
    let names: Vec<&str> = proposal.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["h1", "h2", "h3", "h4", "h5", "out"]);
    assert_eq!(proposal.maps[2].tensor, "} at start stop #");
    // Where the name of a layer is also that of a tensor, each tensor is named.
    let double = block(Format::PyTorch, &[("a.b.weight", &[3, 2]), ("a.b.bias", &[3]), ("a.b", &[3])]);
    let maps: Vec<(&str, &str)> = double.maps.iter().map(|map| (map.tensor.as_str(), map.to.as_str())).collect();
    assert_eq!(maps, [("a.b.weight", "h1.weight"), ("a.b.bias", "h1.bias")]);
    assert_eq!(double.text("a\"b.pt").lines().next(), Some("model from \"weights\" {"));
}

#[test]
fn a_symbol_says_what_names_do_not() {
    let json = br#"{"nodes": [{"op":"null","name":"data","inputs":[]},
      {"op":"null","name":"b_weight","inputs":[]},
      {"op":"FullyConnected","name":"b","attrs":{"num_hidden":"4","no_bias":"True"},"inputs":[[0,0],[1,0]]},
      {"op":"null","name":"n_gamma","inputs":[]}, {"op":"null","name":"n_beta","inputs":[]},
      {"op":"LayerNorm","name":"n","attrs":{"eps":"0.002"},"inputs":[[2,0],[3,0],[4,0]]},
      {"op":"Activation","name":"t","attrs":{"act_type":"tanh"},"inputs":[[5,0]]},
      {"op":"Dropout","name":"d","attrs":{"p":"0.25"},"inputs":[[6,0]]},
      {"op":"null","name":"a_weight","inputs":[]},{"op":"null","name":"a_bias","inputs":[]},
      {"op":"FullyConnected","name":"a","attrs":{"num_hidden":"4"},"inputs":[[7,0],[8,0],[9,0]]}],
      "heads": [[10,0]]}"#;
    let chain = symbol::read("s.json", json).expect("a chain");
    let file = file(
        Format::MxNet,
        &[
            ("arg:a_weight", &[4, 4]),
            ("arg:a_bias", &[4]),
            ("arg:b_weight", &[4, 4]),
            ("arg:n_gamma", &[4]),
            ("arg:n_beta", &[4]),
        ],
    );
    let proposal = proposed(&file, Some(&chain));
    assert!(proposal.fits() && proposal.activations_known && proposal.assumed.is_empty(), "{proposal:?}");
    let expected = "  map \"n\" to b.norm
  b dense 4 tanh norm layer epsilon 2e-3 dropout 0.25 bias no
  a dense 4
";
    assert_eq!(proposal.body(), expected);
    let other = super::propose(&block_file(), Some(&chain));
    assert!(other.problems.iter().any(|text| text.contains("takes `b_weight`, which the file does not hold")));
    assert!(other.problems.iter().any(|text| text.contains("`z` is in no layer of the symbol")));
}

fn block_file() -> File {
    file(Format::MxNet, &[("arg:z_weight", &[4, 4])])
}

/// Names as a stranger would choose them, of layers and in front of them.
#[test]
fn whatever_a_layer_is_called_its_tensors_are_found() {
    let names = [
        "",
        ".",
        "a",
        "A_1",
        "0",
        "1.5",
        "h1",
        "h2",
        "out",
        "norm",
        "x.norm",
        "h1_norm",
        "h1.norm",
        "weight",
        "bias.weight",
        "kernel_kernel",
        "params",
        "params/params",
        "model",
        "model.model",
        "module.net",
        "batch_stats/x",
        "arg:x",
        "aux:x",
        "x:0",
        "dense",
        "all",
        "map",
        "at",
        "relu",
        "} stop {",
        "$x",
        "# no",
        "a b",
        "\\",
        "'",
        "é",
        "水",
        "a/b.c_d",
        "_",
        "__",
        "model from \"x\" {",
        "new\nline",
        "\u{1b}[2J",
        "\u{202e}",
        "\u{200b}",
        "running_mean",
        "h1.weight.weight",
    ];
    let long = "long".repeat(25);
    let all: Vec<&str> = names.into_iter().chain([long.as_str()]).collect();
    let (mut whole, mut unquotable) = (0, 0);
    for wrapper in ["", "model.", "params/", "module.net."] {
        for (at, first) in all.iter().enumerate() {
            let (second, norm) = (all[(at * 7 + 3) % all.len()], all[(at * 5 + 11) % all.len()]);
            if [second, norm].contains(first) || second == norm {
                continue;
            }
            let tensors: Vec<(String, &[usize])> = vec![
                (format!("{wrapper}{first}.weight"), &[4, 3]),
                (format!("{wrapper}{first}.bias"), &[4]),
                (format!("{wrapper}{norm}.weight"), &[4]),
                (format!("{wrapper}{second}.kernel"), &[4, 2]),
            ];
            let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
            for format in [Format::PyTorch, Format::Safetensors] {
                let proposal = block(format, &tensors);
                whole += usize::from(proposal.fits());
                unquotable += usize::from(proposal.problems.iter().any(|text| text.contains("cannot be written")));
                assert!(
                    proposal.text("f").lines().all(|line| line.matches('"').count() % 2 == 0),
                    "{}",
                    proposal.text("f")
                );
            }
        }
    }
    assert!(whole > 200 && unquotable > 50, "{whole} fit, {unquotable} have names that cannot be written");
}

#[test]
fn a_hundred_thousand_tensors_are_no_work() {
    let square = |name: String| tensor(&name, &[2, 2]);
    let mut tensors: Vec<Tensor> = (0..50_000).map(|at| square(format!("fc{at}.weight"))).collect();
    tensors.extend((0..50_000).map(|at| tensor(&format!("ln{at}.weight"), &[2])));
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let begin = std::time::Instant::now();
    let proposal = propose(&File::new(Format::Safetensors, tensors), None);
    assert_eq!(proposal.layers.len(), 50_000);
    assert!(proposal.layers.iter().all(|layer| layer.norm.is_some()));
    // A quadratic search takes minutes; this takes well below a second on any machine.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    assert!(proposal.problems.iter().any(|text| text.contains("ten thousand")), "{:?}", proposal.problems);
}

#[test]
fn a_block_that_fits_is_one_that_the_parser_reads() {
    let of = |count: usize, name: &dyn Fn(usize) -> String| {
        let tensors = (0..count).map(|at| tensor(&name(at), &[1, 1])).collect();
        propose(&File::new(Format::PyTorch, tensors), None)
    };
    let read = |proposal: &Proposal| crate::syntax::parse("block", &proposal.text("weights.pt")).1;
    let plain = |at: usize| format!("a{at:05}.weight");
    for count in [33_500, STATEMENTS_MAX + 1] {
        let refused = of(count, &plain);
        assert!(refused.problems.iter().any(|text| text.contains("ten thousand")), "{:?}", refused.problems);
    }
    // The comment on activations is a line with two marks.
    let largest = of(STATEMENTS_MAX - 3, &plain);
    assert_eq!((&largest.problems[..], read(&largest).len()), (&[][..], 0));
    // Marks in a name count for the parser, wherever they stand.
    let marks = |at: usize| format!("{at}{}.weight", "[,:]".repeat(20));
    assert!(!of(500, &marks).fits());
    let some = of(100, &marks);
    assert_eq!((&some.problems[..], read(&some).len()), (&[][..], 0));
}

#[test]
fn where_a_norm_stands_is_assumed_unless_numbers_speak_against_it() {
    let assumes = |proposal: &Proposal, text: &str| proposal.assumed.iter().any(|one| one.contains(text));
    let names: Vec<String> = (1..=6).flat_map(|at| [format!("fc{at}.weight"), format!("ln{at}.weight")]).collect();
    let tensors: Vec<(&str, &[usize])> =
        names.iter().map(|name| (name.as_str(), if name.starts_with("fc") { &[4, 4][..] } else { &[4] })).collect();
    for format in [Format::PyTorch, Format::Safetensors] {
        let proposal = block(format, &tensors);
        assert!(proposal.fits(), "{:?}", proposal.problems);
        let expected = "`ln1`, `ln2`, `ln3`, … (6 norms) are taken to stand between the product and the activation";
        assert!(assumes(&proposal, expected), "{:?}", proposal.assumed);
        assert!(assumes(&block(format, &tensors[..2]), "`ln1` is taken to stand between"));
        for (norm, behind) in [("net.1.weight", None), ("net.2.weight", Some("activation")), ("net.7.weight", Some(""))]
        {
            let proposal = block(format, &[("net.0.weight", &[4, 3]), (norm, &[4]), ("net.9.weight", &[2, 4])]);
            assert_eq!(proposal.fits(), behind.is_none(), "{:?}", proposal.problems);
            assert!(behind.is_none_or(|text| proposal.problems[0].contains(text)), "{:?}", proposal.problems);
        }
    }
    // Sorted names alone do not put a norm behind what it stands before.
    let before = block(Format::Safetensors, &[("net.0.weight", &[4]), ("net.1.weight", &[4, 4])]);
    assert!(before.problems[0].contains("`0` is a norm before `1`"), "{:?}", before.problems);
}

#[test]
fn a_lone_vector_and_a_batch_norm_without_statistics_are_not_taken_silently() {
    let layer = ("fc.weight", &[4, 3][..]);
    let lone = block(Format::PyTorch, &[layer, ("act.weight", &[4])]);
    assert!(lone.fits() && lone.assumed.iter().any(|text| text.contains("a PReLU")), "{:?}", lone.assumed);
    let named = block(Format::PyTorch, &[layer, ("prelu1.weight", &[4])]);
    assert!(named.problems.iter().any(|text| text.contains("is a PReLU by its name")), "{:?}", named.problems);
    for stem in ["bn1", "bn", "block.bn_2", "BatchNorm_0", "batch_norm", "batch_normalization_3"] {
        let (gain, shift) = (format!("{stem}.weight"), format!("{stem}.bias"));
        for count in [1, 2] {
            let proposal =
                block(Format::PyTorch, &[&[layer], &[(gain.as_str(), &[4][..]), (&shift, &[4])][..count]].concat());
            assert!(
                proposal.problems.iter().any(|text| text.contains("has no running statistics")),
                "{stem}: {proposal:?}"
            );
        }
    }
    let other = block(Format::PyTorch, &[layer, ("subnet.weight", &[4]), ("subnet.bias", &[4])]);
    assert!(other.fits(), "{:?}", other.problems);
}

#[test]
fn what_many_tensors_are_is_said_once() {
    let names: Vec<String> = (0..12).map(|at| format!("conv{at}.weight")).collect();
    let tensors: Vec<(&str, &[usize])> = names.iter().map(|name| (name.as_str(), &[8, 1, 3][..])).collect();
    let proposal = block(Format::PyTorch, &tensors);
    let expected = "12 tensors: `conv0.weight` [8, 1, 3], `conv1.weight` [8, 1, 3], `conv2.weight` [8, 1, 3], \
                    …: each is a convolution over lines or volumes instead of images, which growrun does not read yet";
    assert_eq!(proposal.problems[0], expected);
    assert_eq!(proposal.problems.len(), 2);
}

#[test]
fn convolutions_are_read_and_what_lies_between_is_said_to_be_a_guess() {
    let torch: &[(&str, &[usize])] = &[
        ("c1.weight", &[6, 3, 5, 5]),
        ("bn1.weight", &[6]),
        ("bn1.bias", &[6]),
        ("bn1.running_mean", &[6]),
        ("bn1.running_var", &[6]),
        ("c2.weight", &[8, 6, 3, 3]),
        ("c2.bias", &[8]),
        ("fc1.weight", &[20, 8 * 49]),
        ("fc1.bias", &[20]),
        ("fc2.weight", &[10, 20]),
        ("fc2.bias", &[10]),
    ];
    let expected = "  map \"bn1\" to c1.norm
  # activations are not in the file: relu is a guess
  c1  conv 6 kernel 5 relu norm batch bias no
  c2  conv 8 kernel 3 relu
  # `fc1` reads 49 pixels of each channel, such as 7×7: pools and strides before it make them
  fc1 dense 20 relu
  fc2 dense 10
";
    // A file that is sorted by name has the convolutions first all the same.
    for (format, sorted) in [(Format::PyTorch, false), (Format::Safetensors, true)] {
        let mut tensors = torch.to_vec();
        if sorted {
            tensors.sort();
        }
        let file = file(format, &tensors);
        let proposal = propose(&file, None);
        assert_eq!((proposal.body().as_str(), &proposal.problems[..]), (expected, &[][..]));
        assert!(proposal.assumed.iter().any(|text| text.starts_with("pools, strides and paddings")));
        assert_eq!((proposal.inputs(), proposal.reads_images(), proposal.hidden()), (Some(3), true, Some("fc1")));
    }
    // One number a channel: the mean of its pixels; and what ends in images has one, too.
    let keras: &[(&str, &[usize])] =
        &[("c1/kernel", &[3, 3, 1, 4]), ("c2/kernel", &[1, 1, 4, 8]), ("out/kernel", &[8, 10])];
    let expected = "  # activations are not in the file: relu is a guess
  c1     conv 4 kernel 3 relu bias no
  c2     conv 8 kernel 1 relu bias no
  pooled pool global
  out    dense 10 bias no
";
    assert_eq!(block(Format::Npz, keras).body(), expected);
    let ends = block(Format::Npz, &keras[..2]).body();
    assert!(ends.ends_with("c2     conv 8 kernel 1 linear bias no\n  pooled pool global\n"), "{ends}");
}

#[test]
fn convolutions_that_growrun_does_not_have_are_named() {
    let said = |tensors: &[(&str, &[usize])]| block(Format::PyTorch, tensors).problems.join("\n");
    let wide = said(&[("c1.weight", &[6, 3, 1, 5]), ("out.weight", &[2, 6])]);
    assert!(wide.contains("`c1.weight` [6, 3, 1, 5] has a kernel of 1×5 pixels; here it is a square"), "{wide}");
    let depthwise = said(&[("c1.weight", &[6, 3, 3, 3]), ("c2.weight", &[6, 1, 3, 3]), ("out.weight", &[2, 6])]);
    assert!(depthwise.contains("`c2` reads 1 numbers, and `c1` before it gives 6"), "{depthwise}");
    let flat = said(&[("c1.weight", &[6, 3, 3, 3]), ("out.weight", &[2, 25])]);
    assert!(flat.contains("`out` reads 25 numbers, and `c1` before it gives 6"), "{flat}");
    let group = said(&[("c1.weight", &[6, 3, 3, 3]), ("n.weight", &[6]), ("n.bias", &[6]), ("out.weight", &[2, 6])]);
    assert!(group.contains("`n` is a norm behind a convolution"), "{group}");
    let nothing = said(&[("c1.weight", &[6, 0, 3, 3])]);
    assert!(nothing.contains("holds no values"), "{nothing}");
}
