//! `growrun resume` as a user meets it: whole output, and what it leaves on the disk.

use std::path::Path;
use std::process::Command;

const FIRST: &str = "\
experiment \"first growth\"
seed 7
let width = 24
include \"common/data.grow\"
model {
  h1 dense 16 relu
  h2 dense 16 relu
  out dense 10
}
train 6 epochs { optimizer adam lr 1e-3; lr cosine to 1e-5; checkpoint every 2 epochs }
at 50% widen h2 to $width eps 1e-3
at end evaluate test
";

/// What one call left behind: exit code, stdout, stderr.
fn growrun(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_growrun"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A folder with the schedule and a finished run of it with another width.
fn finished() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("common")).expect("made");
    std::fs::write(folder.path().join("common/data.grow"), "data digits { batch 64; limit 600 }\n").expect("written");
    std::fs::write(folder.path().join("first.grow"), FIRST).expect("written");
    let (code, _, errors) = growrun(folder.path(), &["first.grow", "--set", "width=32", "--quiet", "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    folder
}

const RUN: &str = "runs/first-growth/0001";

/// Times and digests vary with the machine's load and with the numerics; the rest is the output.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words = line.split(' ').map(|word| match word.split_once("blake3:") {
            Some((before, _)) => format!("{before}blake3:…"),
            None => word.into(),
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let time = line.rfind(" · ").filter(|at| line[*at..].ends_with(" ms") || line[*at..].ends_with(" s"));
        out.push_str(time.map_or(line.as_str(), |at| &line[..at]));
        out.push('\n');
    }
    out
}

#[test]
fn of_a_finished_run_the_result_is_told_again() {
    let folder = finished();
    let (code, output, errors) = growrun(folder.path(), &["resume", RUN]);
    assert_eq!(code, Some(0), "{errors}");
    insta::assert_snapshot!(steady(&output), @r#"
    first growth · digits · seed 7 · 1 thread
      epoch 3   widen h2 16 → 32   promise bounded ≤ 6.0e-3   drift 3.2e-3   params 1.5k → 1.9k   shock 0   grad 0.60 fresh, 1.2 old
      val_accuracy 10.0 % · test_accuracy 10.0 % · 1.9k parameters · 30.2 MFLOP
      record  runs/first-growth/0001   weights blake3:…
      next    growrun verify runs/first-growth/0001 · growrun resume runs/first-growth/0001 --train '12 epochs'
    "#);
    insta::assert_snapshot!(errors, @r#"
    `runs/first-growth/0001` has finished: nothing is left to go on with.
    `--train '12 epochs'` trains it for longer, `--schedule FILE` goes on with another schedule.
    "#);
    let (_, first, _) = growrun(folder.path(), &["resume", RUN, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&first).expect("one JSON object");
    assert_eq!((&object["status"], &object["steps"]), (&"finished".into(), &48.into()));
}

#[test]
fn a_longer_run_is_a_new_one_that_names_its_parent() {
    let folder = finished();
    let (code, output, errors) = growrun(folder.path(), &["resume", RUN, "--train", "8 epochs", "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    insta::assert_snapshot!(steady(&output), @r#"
    first growth · digits · seed 7 · 1 thread
      epoch 3   widen h2 16 → 32   promise bounded ≤ 6.0e-3   drift 3.2e-3   params 1.5k → 1.9k   shock 0   grad 0.60 fresh, 1.2 old
      val_accuracy ▁▁▁▁▁▁██  10.0 % → 11.7 %
                     ▲       ▲ growth
      val_accuracy 11.7 % · test_accuracy 10.0 % · 1.9k parameters · 40.9 MFLOP
      record  runs/first-growth/0002   weights blake3:…
      next    growrun verify runs/first-growth/0002 · growrun resume runs/first-growth/0002 --train '16 epochs'
    "#);
    insta::assert_snapshot!(errors, @r#"
    goes on from `end`, step 48
    first growth · digits · 480 training, 60 validation, 60 test examples · 1.9k parameters · 64 steps
    epoch 7   train_loss 2.187   val_loss 2.196   val_accuracy 11.7 %
    epoch 8   train_loss 2.179   val_loss 2.193   val_accuracy 11.7 %
    "#);
    let record = std::fs::read_to_string(folder.path().join("runs/first-growth/0002/run.yaml")).expect("a record");
    let parent = record.split("\nparent:\n").nth(1).expect("a parent");
    assert!(parent.starts_with("  run: first-growth/0001\n"), "{parent}");
    // The record holds the words of --train, so the new run can be resumed itself.
    let (code, _, errors) = growrun(folder.path(), &["resume", "runs/first-growth/0002"]);
    assert_eq!(code, Some(0));
    assert!(errors.contains("`--train '16 epochs'`"), "{errors}");
}

#[test]
fn another_schedule_goes_on_from_where_the_run_stands() {
    let folder = finished();
    let second = FIRST.replace("train 6 epochs", "train 9 epochs") + "at epoch 7 widen h1 to 32\n";
    std::fs::write(folder.path().join("second.grow"), second).expect("written");
    let (code, output, errors) =
        growrun(folder.path(), &["resume", RUN, "--schedule", "second.grow", "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    insta::assert_snapshot!(steady(&output), @r#"
    first growth · digits · seed 7 · 1 thread
      epoch 3   widen h2 16 → 32   promise bounded ≤ 6.0e-3   drift 3.2e-3   params 1.5k → 1.9k   shock 0   grad 0.60 fresh, 1.2 old
      epoch 7   widen h1 16 → 32   promise bitwise            drift 0        params 1.9k → 3.5k   shock 0   grad 0.29 fresh, 0.87 old
      val_accuracy ▁▁▁▁▁▁▅██  10.0 % → 13.3 %
                     ▲   ▲    ▲ growth
      val_accuracy 13.3 % · test_accuracy 11.7 % · 3.5k parameters · 57.7 MFLOP
      record  runs/first-growth/0002   weights blake3:…
      next    growrun verify runs/first-growth/0002 · growrun resume runs/first-growth/0002 --train '18 epochs'
    "#);
    insta::assert_snapshot!(errors, @r#"
    goes on from `end`, step 48
    past already: widen h2 to $width eps 1e-3 (step 36)
    first growth · digits · 480 training, 60 validation, 60 test examples · 1.9k parameters · 72 steps
    epoch 7   train_loss 2.183   val_loss 2.185   val_accuracy 11.7 %
    epoch 7   widen h1 16 → 32   promise bitwise   drift 0   params 1.9k → 3.5k
    epoch 8   train_loss 2.165   val_loss 2.174   val_accuracy 13.3 %
    epoch 9   train_loss 2.158   val_loss 2.171   val_accuracy 13.3 %
    "#);
    // What the network has become is what the new schedule is judged by.
    let third = FIRST.replace("train 6 epochs", "train 9 epochs") + "at epoch 7 widen h2 to 32\n";
    std::fs::write(folder.path().join("third.grow"), third).expect("written");
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--schedule", "third.grow"]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(errors, @r#"
      G0201 × cannot widen `h2` to 32: it is already 32 wide here
        ╭─[third.grow:13:24]
     13 │ at epoch 7 widen h2 to 32
        ·                        ─┬
        ·                         ╰── the width that it has
        ╰────
      help: use a size above 32

    1 error · growrun explain G0201
    "#);
}

#[test]
fn a_length_that_is_reached_already_is_refused() {
    let folder = finished();
    let (code, output, errors) = growrun(folder.path(), &["resume", RUN, "--train", "6 epochs"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    insta::assert_snapshot!(errors, @r#"
      G0807 × the run stands at step 48, and the schedule ends at step 48: nothing is left to train
      help: train for longer, such as `--train '12 epochs'`: a length counts from the first step

    1 error · growrun explain G0807
    "#);
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--train", "banana"]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(errors, @r#"
      G0106 × `train` needs a duration such as `5 epochs`, `100 steps` or `10%`, not `banana`
       ╭─[<--train>:1:7]
     1 │ train banana { }
       ·       ──────
       ╰────
      help: the form is `train N epochs`

    1 error · growrun explain G0106
    "#);
}

/// As after a crash: the record says that the run goes on.
fn crashed(folder: &Path) {
    use growrun::base::{World, world::Real};
    let run = folder.join(RUN);
    let mut record = growrun::record::load::intact(&Real::default(), &run).expect("a record");
    record.status = "running".into();
    record.result = None;
    let (text, _) = growrun::record::yaml::seal(&growrun::record::yaml::write(&record));
    Real::default().write(&run.join("run.yaml"), text.as_bytes()).expect("written");
    std::fs::remove_dir_all(run.join("checkpoints/end")).expect("it is there");
}

#[test]
fn broken_checkpoints_are_told_and_set_aside() {
    let folder = finished();
    let final_weights = std::fs::read(folder.path().join(RUN).join("final.safetensors")).expect("weights");
    crashed(folder.path());
    let newest = folder.path().join(RUN).join("checkpoints/step-000048/weights.safetensors");
    let mut content = std::fs::read(&newest).expect("weights");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&newest, content).expect("written");
    let (code, output, errors) = growrun(folder.path(), &["resume", RUN, "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    insta::assert_snapshot!(steady(&output), @r#"
    first growth · digits · seed 7 · 1 thread
      epoch 3   widen h2 16 → 32   promise bounded ≤ 6.0e-3   drift 3.2e-3   params 1.5k → 1.9k   shock 0   grad 0.60 fresh, 1.2 old
      val_accuracy ▄▄▄▄▄▄  10.0 % → 10.0 %
                     ▲     ▲ growth
      val_accuracy 10.0 % · test_accuracy 10.0 % · 1.9k parameters · 30.2 MFLOP
      record  runs/first-growth/0001   weights blake3:…
      next    growrun verify runs/first-growth/0001 · growrun resume runs/first-growth/0001 --train '12 epochs'
    "#);
    insta::assert_snapshot!(errors, @r#"
      G0809 ⚠ `runs/first-growth/0001/checkpoints/step-000048/weights.safetensors` is not as it was
      │ written: its digest differs
      help: it gets a name that begins with `broken-`; the newest that is whole is taken

    1 warning · growrun explain G0809
      goes on from `step-000032`, step 32
      first growth · digits · 480 training, 60 validation, 60 test examples · 1.9k parameters · 48 steps
      epoch 5   train_loss 2.207   val_loss 2.212   val_accuracy 10.0 %
      epoch 6   train_loss 2.194   val_loss 2.208   val_accuracy 10.0 %
    "#);
    assert!(folder.path().join(RUN).join("checkpoints/broken-step-000048").exists());
    let again = std::fs::read(folder.path().join(RUN).join("final.safetensors")).expect("weights");
    assert!(again == final_weights, "the same bits");
}

#[test]
fn data_that_has_changed_is_refused_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = |last: &str| {
        let rows = (0..40).map(|n| format!("{},{},{}\n", n % 7, n % 5, n % 2)).collect::<String>();
        format!("a,b,c\n{rows}{last}\n")
    };
    std::fs::write(folder.path().join("t.csv"), rows("1,2,1")).expect("written");
    let schedule = "experiment \"first growth\"\ndata csv \"t.csv\" { target c }\nmodel { h1 dense 4 relu; out dense 2 }\n\
                    train 2 epochs { optimizer adam lr 1e-3; checkpoint every 1 epochs }\n";
    std::fs::write(folder.path().join("first.grow"), schedule).expect("written");
    let (code, _, errors) = growrun(folder.path(), &["first.grow", "--quiet"]);
    assert_eq!(code, Some(0), "{errors}");
    crashed(folder.path());
    std::fs::rename(folder.path().join("t.csv"), folder.path().join("old.csv")).expect("renamed");
    std::fs::write(folder.path().join("t.csv"), rows("1,3,1")).expect("written");
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(errors, @r#"
      G0808 × `t.csv` is not the file that the run was trained on: its sha256 is
      │ fb22e39b0683b4e411235adc50a79359d95e42989ad004822ecd7700e4369650, the record says
      │ ab1702fbef3f699985e0144930244f28a581b8986d5025cd96900782313a204f
      help: bring the old file back, or name it by `--data NAME=PATH`

    1 error · growrun explain G0808
    "#);
    // Nothing was changed, so the old file helps.
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--data", "t.csv=old.csv", "--quiet"]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn a_record_that_was_changed_is_not_gone_on_with() {
    let folder = finished();
    let path = folder.path().join(RUN).join("run.yaml");
    let text = std::fs::read_to_string(&path).expect("a record");
    std::fs::write(&path, text.replace("seed: 7", "seed: 8")).expect("written");
    let (code, output, errors) = growrun(folder.path(), &["resume", RUN]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    insta::assert_snapshot!(errors, @r#"
      G0809 × `runs/first-growth/0001/run.yaml` is not as it was written: its digest differs
      help: copy it again from where it came; `growrun verify RUN` looks at every file of a run

    1 error · growrun explain G0809
    "#);
}

#[test]
fn a_fragment_with_a_base_of_its_own_name_resumes_and_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("fr/f.grow", "experiment \"first growth\"\nat epoch 2 widen h1 to 24\nat epoch 3 set lr by 0.1x\n"),
        (
            "b/f.grow",
            "data csv \"t.csv\" { target c; batch 8 }\ninclude \"m.grow\"\n\
             train 4 epochs { optimizer adam lr 1e-2; checkpoint every 1 epochs }\n",
        ),
        ("b/m.grow", "model { h1 dense 16 relu; out dense 2 }\n"),
    ] {
        std::fs::create_dir_all(folder.path().join(name).parent().expect("a folder")).expect("made");
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let rows: String = (0..60).map(|n| format!("{},{},{}\n", n % 7, n % 5, n % 2)).collect();
    std::fs::write(folder.path().join("b/t.csv"), format!("a,b,c\n{rows}")).expect("written");
    let (code, _, errors) = growrun(folder.path(), &["fr/f.grow", "--base", "b/f.grow", "--quiet", "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    let weights = std::fs::read(folder.path().join(RUN).join("final.safetensors")).expect("weights");
    for command in ["verify", "replay"] {
        let (code, output, errors) = growrun(folder.path(), &[command, RUN]);
        assert_eq!(code, Some(0), "{command}: {output}{errors}");
    }
    crashed(folder.path());
    std::fs::remove_dir_all(folder.path().join(RUN).join("checkpoints/growth-0001-after")).expect("there");
    for name in ["step-000018", "step-000024", "step-000012"] {
        let _ = std::fs::remove_dir_all(folder.path().join(RUN).join("checkpoints").join(name));
    }
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--quiet", "--threads", "1"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(std::fs::read(folder.path().join(RUN).join("final.safetensors")).expect("weights") == weights);
}

#[test]
fn lines_that_were_lost_are_told_for_good() {
    let folder = finished();
    crashed(folder.path());
    let path = folder.path().join(RUN).join("metrics.jsonl");
    let lines = std::fs::read_to_string(&path).expect("metrics");
    std::fs::write(&path, lines.split_once('\n').expect("a line").1).expect("written");
    let verify = || growrun(folder.path(), &["verify", RUN]);
    assert_eq!(verify().0, Some(1), "before");
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--quiet"]);
    assert_eq!(code, Some(0), "{errors}");
    let (code, output, _) = verify();
    assert!(code == Some(1) && output.contains("changed or lost before the run was resumed"), "{output}");
}

#[test]
fn a_longer_run_reads_the_same_data_and_events_alone_stand_on_its_own_sections() {
    let folder = finished();
    std::fs::write(folder.path().join("more.grow"), "at epoch 5 widen h1 to 20\n").expect("written");
    std::fs::write(folder.path().join("wider.grow"), "at epoch 7 widen h1 to 20\n").expect("written");
    // Six epochs are over, so nothing is left of a schedule of six.
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--schedule", "more.grow"]);
    assert!(code == Some(2) && errors.contains("G0807"), "{errors}");
    assert!(!folder.path().join("runs/more").exists(), "nothing is left behind");
    let longer = ["resume", RUN, "--schedule", "wider.grow", "--train", "9 epochs", "--json"];
    let (code, output, errors) = growrun(folder.path(), &longer);
    assert_eq!(code, Some(0), "{errors}");
    let object: serde_json::Value = serde_json::from_str(&output).expect("one JSON object");
    // 480 of 600 examples in batches of 64: the run's own data, not the starter's.
    assert_eq!((&object["steps"], object["events"].as_array().map(Vec::len)), (&72.into(), Some(2)));
}

#[test]
fn growth_at_the_end_does_not_happen_again_in_a_longer_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "experiment \"first growth\"\ndata digits { batch 64; limit 200 }\nmodel { h1 dense 8 relu; out dense 10 }\n\
                train 2 epochs { optimizer adam lr 1e-3 }\nat end { widen h1 to 12; save \"a.tmp\" }\n";
    std::fs::write(folder.path().join("first.grow"), text).expect("written");
    assert_eq!(growrun(folder.path(), &["first.grow", "--quiet"]).0, Some(0));
    assert!(folder.path().join(RUN).join("checkpoints/a-tmp").exists(), "a name that nothing clears away");
    let (code, _, errors) = growrun(folder.path(), &["resume", RUN, "--train", "4 epochs", "--quiet"]);
    assert_eq!(code, Some(0), "{errors}");
}
