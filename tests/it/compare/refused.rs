//! What cannot be compared is told with its code, before anything is trained.

use super::*;

/// The code and exit code of a comparison of `schedule`, and that it leaves nothing behind.
fn refused(schedule: &str, flags: &[&str], code: &str, says: &str) {
    let lab = Lab::new(schedule);
    let arguments: Vec<&str> = ["compare", "worth.grow"].into_iter().chain(flags.iter().copied()).collect();
    let ran = lab.growrun(&arguments);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(code) && ran.stderr.contains(says), "{}", ran.stderr);
    assert!(!lab.path("runs").exists(), "{code}");
}

const QUIET: &str = "\
data digits { limit 300; batch 30 }
model { h1 dense 4 relu; out dense 10 }
train 2 epochs { optimizer adam lr 3e-3 }
";

#[test]
fn what_cannot_be_compared_is_said() {
    refused(QUIET, &[], "G0225", "nothing grows");
    refused(&format!("{QUIET}at epoch 1 freeze h1\n"), &[], "G0225", "nothing grows");
    refused(&format!("{QUIET}compare grown, small\n"), &[], "G0225", "all alike");
    refused(&format!("{QUIET}arm a {{ at epoch 1 widen h1 to 8 }}\n"), &[], "G0225", "one arm");
    let inserts = format!("{QUIET}at epoch 1 insert identity after h1\n");
    refused(&format!("{inserts}compare grown, grown_random\n"), &[], "G0225", "no arm `grown_random`");
    refused(SCHEDULE, &["--list", "--index", "1"], "G0911", "do not go together");
    refused(SCHEDULE, &["--by", "train_loss"], "G0502", "train_loss");
    refused(SCHEDULE, &["--by", "accuracy"], "G0502", "--by accuracy");
    refused(SCHEDULE, &["--by", "val_f1"], "G0502", "does not compute it");
    refused(SCHEDULE, &["--arm", "small"], "G0911", "needs all");
    refused(SCHEDULE, &["--index", "9"], "G0911", "the jobs are 1 to 5");
    refused(SCHEDULE, &["--seeds", "500"], "G0606", "more than 1000 runs");
    let untested = QUIET.replace("batch 30", "batch 30; split train 100% val 0%");
    refused(&format!("{untested}at epoch 1 widen h1 to 8\n"), &[], "G0", "");
    let late = format!("{QUIET}arm a from final b {{ }}\narm b {{ at epoch 1 widen h1 to 8 }}\ncompare a, b\n");
    refused(&late, &[], "G0225", "name `b` first");
}

#[test]
fn a_limit_ends_the_comparison_and_cuts_no_budget() {
    let lab = Lab::new(SCHEDULE);
    // `small` needs more steps than the schedule has.
    let ran = lab.growrun(&["compare", "worth.grow", "--seeds", "1", "--steps-limit", "70"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("G0603") && ran.stderr.contains("`small` needs more than 70 steps"), "{}", ran.stderr);
    let told = lab.compare(&["--seeds", "1"]);
    assert!(told["arms"]["small"]["flops_off"].as_f64().is_some_and(|off| off < 0.01), "it was not kept: {told}");
}

#[test]
fn arms_are_measured_by_the_same() {
    let arms = |first: &str, second: &str, by: &str| {
        format!(
            "let it = {first}\narm a {{ at epoch 1 widen h1 to 8 }}\narm b {{ let it = {second} }}\ncompare a, b by {by}\n"
        )
    };
    let metrics = QUIET.replace("lr 3e-3", "lr 3e-3; metrics $it");
    refused(&(metrics + &arms("accuracy", "f1", "val_accuracy")), &[], "G0501", "in this arm");
    let part = QUIET.replace("batch 30", "batch 30; split train $it val 20% test 20%");
    refused(&(part + &arms("60%", "40%", "val_accuracy")), &[], "G0", "");
    let limit = QUIET.replace("limit 300", "limit $it");
    refused(&(limit + &arms("300", "200", "val_accuracy")), &[], "G0225", "other examples");
    let smooth = QUIET.replace("lr 3e-3", "lr 3e-3; loss cross_entropy label_smoothing $it");
    refused(&(smooth + &arms("0", "0.1", "val_loss")), &[], "G0225", "another loss");
}

#[test]
fn what_a_file_can_cost_is_bounded() {
    use std::fmt::Write;
    let mut many = String::new();
    let mut uses = String::new();
    for n in 0..8 {
        let values: Vec<String> = (10..30).map(|value| format!("0.{value}")).collect();
        let _ = writeln!(many, "let w{n} = 0.9\nsweep w{n} in [{}]", values.join(", "));
        let _ = writeln!(uses, "at step {} set lr to $w{n}", n + 1);
    }
    refused(&format!("{many}{QUIET}{uses}at epoch 1 widen h1 to 8\n"), &[], "G0606", "combinations");
    let twice = format!("let w = 9\n{QUIET}at epoch 1 widen h1 to $w\nsweep w in [16, 16]\n");
    refused(&twice, &[], "G0108", "stands here twice");
    for (name, says) in [("by", "a word of `compare`"), ("A", "differ by case only")] {
        refused(&format!("{QUIET}arm a {{ at epoch 1 widen h1 to 8 }}\narm {name} {{ }}\n"), &[], "G0103", says);
    }
}

#[test]
fn a_mistake_of_one_arm_names_the_arm() {
    let schedule = format!(
        "let hidden = 4\n{}arm a {{ at epoch 1 widen h1 to 8 }}\narm b {{ let hidden = 8; at epoch 1 widen h1 to 8 }}\ncompare a, b\n",
        QUIET.replace("dense 4", "dense $hidden")
    );
    refused(&schedule, &[], "G0201", "already 8 wide");
    let shared = format!(
        "let hidden = 4\n{}at epoch 1 widen h1 to 8\narm a {{ }}\narm b {{ let hidden = 9 }}\ncompare a, b\n",
        QUIET.replace("dense 4", "dense $hidden")
    );
    refused(&shared, &[], "G0201", "in this arm");
    let swept = format!("let width = 8\n{QUIET}at epoch 1 widen h1 to $width\nsweep width in [8, 3]\n");
    refused(&swept, &[], "G0201", "with this value");
}

#[test]
fn the_compare_line_is_read_word_by_word() {
    let base = format!("{QUIET}arm a {{ at epoch 1 widen h1 to 8 }}\narm b {{ }}\n");
    for (line, code, says) in [
        ("compare a", "G0106", "two arms or more"),
        ("compare a, c", "G0105", "there is no arm `c`"),
        ("compare a, b, a", "G0108", "stands here twice"),
        ("compare a, b seeds", "G0106", "`seeds` needs a value"),
        ("compare a, b seeds 0", "G0106", "from 1 to 1000"),
        ("compare a, b seeds few", "G0106", "a whole number"),
        ("compare a, b match flop", "G0105", "did you mean `flops`?"),
        ("compare a, b by accuracy", "G0502", "which part"),
        ("compare a, b by train_accuracy", "G0502", "how well the arms remember"),
        ("compare a, b by val_f1", "G0501", "never computed"),
        ("compare a, b by val_confusion", "G0502", "not one number"),
        ("compare a, 3", "G0105", "does not know"),
    ] {
        refused(&format!("{base}{line}\n"), &[], code, says);
    }
    let standard = format!("{QUIET}at epoch 1 widen h1 to 8\ncompare small, large\n");
    refused(&standard, &[], "G0106", "name `grown` first");
}
