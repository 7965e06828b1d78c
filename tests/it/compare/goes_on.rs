//! A comparison that was interrupted goes on where it stopped.

use super::*;

#[test]
fn what_is_there_is_not_done_again() {
    let lab = Lab::new(SCHEDULE);
    let first = lab.compare(&["--seeds", "2"]);
    let stamp = |arm: &str| {
        let file = lab.comparison_folder().join(arm).join("seed-3/run.yaml");
        std::fs::metadata(file).and_then(|data| data.modified()).expect("a record")
    };
    let before = stamp("large");
    std::fs::remove_dir_all(lab.comparison_folder().join("small/seed-4")).expect("removed");
    let second = lab.compare(&["--seeds", "2"]);
    assert_eq!(before, stamp("large"), "it was not trained again");
    assert_eq!(first["verdict"], second["verdict"]);
    // More seeds and another metric go on with what is there.
    let more = lab.compare(&["--seeds", "3", "--by", "val_loss"]);
    assert_eq!((&first["comparison"], before), (&more["comparison"], stamp("large")));
    assert_eq!(more["arms"]["large"]["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!((&more["metric"], &more["higher_is_better"]), (&Value::from("test_loss"), &Value::from(false)));
}

#[test]
fn a_comparison_is_listed_and_told_from_a_run() {
    let lab = Lab::new(SCHEDULE);
    lab.compare(&["--seeds", "1"]);
    let listed = lab.growrun(&["runs"]);
    assert!(listed.stdout.contains("undecided   grown is"), "{}", listed.stdout);
    let folder = lab.comparison_folder();
    let verified = lab.growrun(&["verify", &folder.display().to_string()]);
    assert!(verified.code == 2 && verified.stderr.contains("is a comparison, not a run"), "{}", verified.stderr);
    // An answer that somebody has written in the place of another one is none.
    let file = folder.join("comparison.yaml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("answer: undecided", "answer: yes")).expect("written");
    let listed = lab.growrun(&["runs"]);
    assert!(listed.stdout.contains("unreadable") && !listed.stdout.contains("  yes"), "{}", listed.stdout);
    let reported = lab.growrun(&["report", &folder.display().to_string()]);
    assert!(reported.code == 2 && reported.stderr.contains("G0809"), "{}", reported.stderr);
    lab.compare(&["--seeds", "1"]);
    assert_eq!(lab.comparison().result.map(|result| result.verdict.answer.word()), Some("undecided"));
}

/// A table of two clouds, the second `apart` from the first.
fn clouds(apart: usize) -> String {
    let row = |n: usize| format!("{},{},{}\n", n % 7 + n % 2 * apart, n % 5, n % 2);
    "a,b,label\n".to_string() + &(0..60).map(row).collect::<String>()
}

#[test]
fn other_data_is_another_question() {
    let schedule = "\
experiment \"worth\"
data csv \"t.csv\" { target label; batch 16; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 2 }
train 4 epochs { optimizer adam lr 1e-2 }
at epoch 2 widen h1 to 8
";
    let lab = Lab::new(schedule);
    std::fs::write(lab.path("t.csv"), clouds(1)).expect("written");
    let first = lab.compare(&["--seeds", "3"]);
    std::fs::write(lab.path("t.csv"), clouds(9)).expect("written");
    let second = lab.compare(&["--seeds", "3"]);
    assert_ne!(first["comparison"], second["comparison"]);
    assert_ne!(first["arms"]["grown"]["runs"][0]["weights"], second["arms"]["grown"]["runs"][0]["weights"]);
    std::fs::write(lab.path("other.csv"), clouds(1)).expect("written");
    let third = lab.compare(&["--seeds", "3", "--data", "t.csv=other.csv"]);
    assert_eq!(third["comparison"], first["comparison"], "the same bytes are the same data");
}

#[test]
fn two_at_once_come_to_one_answer() {
    let lab = Lab::new(SCHEDULE);
    let (one, two) = std::thread::scope(|scope| {
        let both = [(), ()].map(|()| scope.spawn(|| lab.compare(&["--seeds", "2"])));
        let [one, two] = both.map(|thread| thread.join().expect("it is told"));
        (one, two)
    });
    assert_eq!(one["differences"], two["differences"]);
}

#[test]
fn a_run_that_was_changed_is_not_believed() {
    let lab = Lab::new(SCHEDULE);
    lab.compare(&["--seeds", "1"]);
    let file = lab.comparison_folder().join("small/seed-3/run.yaml");
    let text = std::fs::read_to_string(&file).expect("a record");
    std::fs::write(&file, text.replacen("value: 0.", "value: 1.", 1)).expect("written");
    let ran = lab.growrun(&["compare", "worth.grow", "--seeds", "1"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("G0809") && ran.stderr.contains("small/seed-3"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn killed_again_and_again_it_comes_to_the_same_answer() {
    use std::process::{Command, Stdio};
    use std::time::Duration;
    let whole = Lab::new(SCHEDULE);
    let expected = whole.compare(&["--seeds", "2"]);
    let lab = Lab::new(SCHEDULE);
    let flags = ["compare", "worth.grow", "--seeds", "2", "--json", "--quiet"];
    let (mut kills, mut code) = (0, None);
    for turn in 0..200 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_growrun"))
            .args(flags)
            .current_dir(lab.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // Longer from turn to turn, so that it comes to its end on a slow machine, too.
        std::thread::sleep(Duration::from_millis(10 + 4 * turn));
        if let Some(status) = child.try_wait().expect("a child") {
            code = status.code();
            break;
        }
        match turn % 2 {
            0 => child.kill().expect("killed"),
            _ => rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
                .expect("asked to end"),
        }
        child.wait().expect("gone");
        kills += 1;
    }
    assert_eq!(code, Some(0));
    assert!(kills > 2, "{kills}");
    let told = lab.compare(&["--seeds", "2"]);
    assert_eq!(all_weights(&lab), all_weights(&whole), "after {kills} kills");
    assert_eq!(told["verdict"], expected["verdict"]);
}
