//! The FLOP counter against counts by hand: what a layer says, what `plan` expects and what a run reports.

use super::run::{checked, compute, run_with};
use growrun::check::{Checked, flops};
use growrun::tensor::Simd;

/// The digits: 1437 training examples in batches of 32, so an epoch has 44 whole batches and one of 29.
const EPOCH: u64 = 1437;
/// What growth looks at before and after.
const PROBE: u64 = 256;

fn check(text: &str) -> Checked {
    let (checked, diagnostics) = checked(text, Some(7));
    assert!(checked.program.is_some(), "{diagnostics:#?}");
    checked
}

fn expected(checked: &Checked) -> Option<u64> {
    flops::of(checked.program.as_ref().expect("a good schedule"), &checked.timeline)
}

fn counted(text: &str) -> u64 {
    run_with(text, 7, &compute(1, Simd::Auto)).flops
}

/// The phases' forward passes of one example, from the symbols.
fn forward(checked: &Checked) -> Vec<u64> {
    let course = flops::course(checked.program.as_ref().expect("a good schedule"), &checked.timeline);
    course.phases.iter().map(|phase| phase.architecture.forward_flops()).collect()
}

#[test]
fn a_chain_of_dense_layers_is_counted_as_by_hand() {
    let text = "data digits { batch 32 }
        model { h1 dense 16 relu; h2 dense 16 tanh dropout 0.1; out dense 10 }
        train 97 steps { optimizer adam lr 1e-3 }";
    let checked = check(text);
    // Two for each weight: 64·16 + 16·16 + 16·10 = 1024 + 256 + 160 = 1440.
    assert_eq!(forward(&checked), [2880]);
    // Two whole epochs of 45 steps and 7 steps of 32: 2874 + 224 = 3098 examples; forward once, backward twice.
    let by_hand = 3 * 2880 * 3098;
    assert_eq!(by_hand, 26_766_720);
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn norms_and_residual_blocks_are_counted_as_by_hand() {
    let text = "data digits { batch 100; drop_last yes }
        model {
          h1  dense 12 relu norm batch
          r1  residual project { a dense 20 relu norm layer; b dense 8 }
          r2  residual { c dense 6 relu; d dense 8 }
          out dense 10
        }
        train 2 epochs { optimizer adam lr 1e-3 }";
    let checked = check(text);
    // h1 2·64·12, a 2·12·20, b 2·20·8, the map on the skip 2·12·8, c 2·8·6, d 2·6·8, the sum of r2 8, out 2·8·10.
    let by_hand = 1536 + 480 + 320 + 192 + 96 + 96 + 8 + 160;
    assert_eq!((forward(&checked), by_hand), (vec![2888], 2888));
    // 14 steps of 100 an epoch; the last 37 examples are left out.
    let by_hand = 3 * 2888 * 2 * 1400;
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn growth_in_the_middle_of_an_epoch_is_counted_as_by_hand() {
    let text = "data digits { batch 32 }
        model { h1 dense 16 relu; h2 dense 16 relu; out dense 10 }
        train 4 epochs { optimizer adam lr 1e-3 }
        at step 50 widen h2 to 24
        at step 100 { insert identity after h1; freeze h1; assert preserved }
        at epoch 3 { narrow h2 to 12 rank gradient; evaluate val }";
    let checked = check(text);
    // 64·16 + 16·16 + 16·10; 64·16 + 16·24 + 24·10; 16·16 more; 64·16 + 16·16 + 16·12 + 12·10. Two operations each.
    assert_eq!(forward(&checked), [2880, 3296, 3808, 3184]);
    // Step 50 is 5 steps into the second epoch, step 100 is 10 steps into the third.
    let training = 3 * 2880 * (EPOCH + 160)
        + 3 * 3296 * (2 * EPOCH + 320 - EPOCH - 160)
        + 3 * 3808 * (3 * EPOCH - 2 * EPOCH - 320)
        + 3 * 3184 * EPOCH;
    let probes = PROBE * (2880 + 3296) + PROBE * (3296 + 3808) + PROBE * (3808 + 3184);
    // Forward and backward on 1024 examples, and δ·W of `out`, which reads the 24 units: [1024, 10]·[10, 24].
    let measured = 3 * 3808 * 1024 + 2 * 1024 * 10 * 24;
    let by_hand = training + probes + measured;
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn a_stop_ends_the_count_and_what_comes_at_the_end_is_in_it() {
    let text = "data digits { batch 32 }
        model { h1 dense 16 relu; out dense 10 }
        train 4 epochs { optimizer adam lr 1e-3 }
        at step 20 { stop; widen h1 by 8 }
        at step 30 widen h1 by 8
        at end widen h1 to 40";
    let checked = check(text);
    // 64·16 + 16·10 = 1184 and 64·40 + 40·10 = 2960, since the two in between are never reached.
    let by_hand = 3 * 2 * 1184 * 20 * 32 + PROBE * 2 * (1184 + 2960);
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn a_whole_batch_and_few_examples_are_counted_as_by_hand() {
    let text = "data teacher { samples 120; inputs 6; hidden 4; outputs 3; split train 100 val 20; batch all }
        model { h1 dense 5 tanh; out dense 3 }
        train 9 steps { optimizer sgd lr 0.1; loss mse }
        at step 4 widen h1 by 2x method split";
    let checked = check(text);
    // 6·5 + 5·3 = 45, then 6·10 + 10·3 = 90; the probe has the 100 examples that there are.
    let by_hand = 3 * 90 * 4 * 100 + 3 * 180 * 5 * 100 + 100 * (90 + 180);
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn what_a_condition_decides_is_not_told_as_if_it_were_known() {
    let text = |train: &str, event: &str| {
        format!(
            "data digits {{ batch 32 }}
            model {{ h1 dense 16 relu; out dense 10 }}
            train 2 epochs {{ optimizer adam lr 1e-3; metrics accuracy; {train} }}
            {event}"
        )
    };
    let known = 3 * 2 * 1184 * 2 * EPOCH;
    for (train, event, count) in [
        ("", "when val_accuracy > 1% widen h1 to 32", None),
        ("", "when val_accuracy > 1% stop", None),
        ("stop when val_accuracy > 1%", "", None),
        // These change no size and end nothing.
        ("", "when val_accuracy > 1% set lr by 0.5x", Some(known)),
        ("", "when val_accuracy > 1% freeze h1", Some(known)),
    ] {
        let text = text(train, event);
        assert_eq!(expected(&check(&text)), count, "{text}");
        if let Some(count) = count {
            assert_eq!(counted(&text), count, "{text}");
        }
    }
}

#[test]
fn convolutions_with_stride_and_no_padding_and_pools_are_counted_as_by_hand() {
    let text = "data digits { batch 32 }
        model {
          c1  conv 4 kernel 3 relu norm batch
          c2  conv 6 kernel 3 stride 2 pad valid tanh
          p1  pool avg 2
          out dense 10
        }
        train 2 epochs { optimizer adam lr 1e-3 }";
    let checked = check(text);
    assert_eq!(checked.program.as_ref().expect("good").architecture.to_string(), "1@8x8-4@8x8-6@3x3-6@1x1-10");
    // c1 2·(1·9)·4 at 64 pixels, c2 2·(4·9)·6 at 3×3 of them, the pool one for each of 6·9 numbers, out 2·6·10.
    let by_hand = 4608 + 3888 + 54 + 120;
    assert_eq!(forward(&checked), [by_hand]);
    let by_hand = 3 * by_hand * 2 * EPOCH;
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn residual_blocks_of_images_and_the_map_on_their_skip_are_counted_as_by_hand() {
    let text = "data digits { batch 100; drop_last yes }
        model {
          c1  conv 4 kernel 3 relu
          r1  residual project { a conv 8 kernel 5 stride 2 relu; b conv 8 kernel 3 norm batch }
          r2  residual { c conv 8 kernel 1 relu }
          p1  pool max 2
          p2  pool global
          out dense 10
        }
        train 1 epochs { optimizer adam lr 1e-3 }";
    let checked = check(text);
    let shape = checked.program.as_ref().expect("good").architecture.to_string();
    assert_eq!(shape, "1@8x8-4@8x8-(8@4x4-8@4x4)-(8@4x4)-8@2x2-8-10");
    // a 2·(4·25)·8 and b 2·(8·9)·8 at 16 pixels, the map 2·4·8 at those; c 2·8·8 there, and the sum of r2; then what
    // the pools look at.
    let by_hand = 4608 + 25_600 + 18_432 + 1024 + (2048 + 128) + 128 + 32 + 160;
    assert_eq!(forward(&checked), [by_hand]);
    let by_hand = 3 * by_hand * 1400;
    assert_eq!((expected(&checked), counted(text)), (Some(by_hand), by_hand));
}

#[test]
fn growth_of_channels_and_kernels_is_counted_as_by_hand() {
    let text = "data digits { batch 32 }
        model { c1 conv 4 kernel 3 relu; p1 pool max 2; out dense 10 }
        train 4 epochs { optimizer adam lr 1e-3 }
        at epoch 1 widen c1 to 6
        at epoch 2 widen c1 kernel to 5
        at epoch 3 insert identity after c1";
    let checked = check(text);
    // c1 2·9·4·64, the pool 4·64, out 2·(4·16)·10; with 6 channels; with 25 taps; and a convolution 2·(6·25)·6·64 more.
    let by_hand = [4608 + 256 + 1280, 6912 + 384 + 1920, 19_200 + 384 + 1920, 19_200 + 115_200 + 384 + 1920];
    assert_eq!(forward(&checked), by_hand);
    let training = 3 * EPOCH * by_hand.iter().sum::<u64>();
    let probes: u64 = by_hand.windows(2).map(|pair| PROBE * (pair[0] + pair[1])).sum();
    assert_eq!((expected(&checked), counted(text)), (Some(training + probes), training + probes));
}

#[test]
fn growth_of_convolutions_is_counted_as_it_is_told() {
    let text = "data digits { batch 32 }
        model { c1 conv 4 kernel 3 relu norm batch; p1 pool max 2; c2 conv 6 kernel 3 stride 2 tanh; out dense 10 }
        train 5 epochs { optimizer adam lr 1e-3 }
        at epoch 1 widen c1..c2 by 2x
        at epoch 2 widen c2 kernel to 5
        at epoch 3 { insert identity after c2; narrow c1 to 5 rank gradient }
        at epoch 4 narrow c2 to 7 rank magnitude";
    let checked = check(text);
    // c1 2·64·4·9 at 64 pixels, the pool looks at 4·64 numbers, c2 2·4·6·9·4 at 4 pixels, out 2·24·10.
    assert_eq!(forward(&checked)[0], 4608 + 256 + 1728 + 480);
    assert_eq!(expected(&checked), Some(counted(text)));
}

#[test]
fn all_but_the_decomposition_of_gradmax_is_known_before() {
    let text = "data digits { batch 32 }
        model { h1 dense 16 relu; h2 dense 16 relu; out dense 10 }
        train 6 epochs { optimizer adam lr 1e-3 }
        at epoch 2 widen h1..h2 by 8 method gradmax
        at epoch 4 widen h1..h2 by 8 method gradmax";
    let (expected, counted) = (expected(&check(text)).expect("nothing is conditional"), counted(text));
    let off = counted as f64 / expected as f64 - 1.0;
    // It takes apart matrices of the size of a weight, which training multiplies with thousands of examples.
    assert!((0.0..0.02).contains(&off), "{off:.4}: {counted} counted, {expected} expected");
}
