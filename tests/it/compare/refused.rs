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
