//! `runs`: what is in a folder of runs.

use super::*;

/// The column of the time, which is another every day.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| word.len() == 16 && word.starts_with("20") && word.contains(':');
    let at = |line: &str| (0..line.len().saturating_sub(15)).find(|at| line.get(*at..at + 16).is_some_and(is_time));
    let line = |line: &str| match at(line) {
        Some(at) => format!("{}2026-01-01 00:00{}\n", &line[..at], &line[at + 16..]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_best_come_first_and_broken_ones_are_named() {
    let lab = Lab::trained();
    lab.train(&["--seed", "8"]);
    lab.train(&["--set", "width=9"]);
    std::fs::create_dir_all(lab.path("runs/other/0001")).expect("a folder");
    std::fs::write(lab.path("runs/other/0001/run.yaml"), "record: 2\n").expect("written");
    let ran = lab.growrun(&["runs", "--sort", "loss"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(timeless(&ran.stdout), @r#"
      run          status     epochs   parameters   val_loss   best     started            parent
      sides/0001   finished   6        314          0.2357     0.2357   2026-01-01 00:00
      sides/0003   finished   6        215          0.2608     0.2608   2026-01-01 00:00
      sides/0002   finished   6        314          0.3992     0.3992   2026-01-01 00:00
      other/0001   `runs/other/0001/run.yaml` is not a record that this version reads: missing field `growrun`
    4 runs in runs, the best val_loss first, of which 1 cannot be read; `growrun diff runs/sides/0001 runs/sides/0003` shows what sets the first two apart
    "#);
    // Another folder, another metric, in the other direction.
    let ran = lab.growrun(&["runs", "runs/sides", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["sort"], "val_accuracy");
    let scores = |key: &str| -> Vec<f64> {
        object["runs"].as_array().expect("a list").iter().filter_map(|run| run["metrics"][key].as_f64()).collect()
    };
    assert!(scores("val_accuracy").is_sorted_by(|a, b| a >= b) && scores("val_loss").len() == 3, "{object}");
    let ran = lab.growrun(&["runs", "--sort", "f1"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r#"
      G0502 × no run in `runs` has a metric `f1`
      help: they have train_loss, val_accuracy, val_loss

    1 error · growrun explain G0502
    "#);
}

#[test]
fn a_folder_without_runs_says_how_to_make_one() {
    let lab = Lab::new();
    let ran = lab.growrun(&["runs"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, "there is no run in runs; `growrun FILE` makes one\n");
    let ran = lab.growrun(&["runs", "elsewhere", "--json"]);
    assert_eq!(ran.code, 4);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["diagnostics"][0]["code"], "G0801");
}
