//! `verify`: whatever was changed since it was written is found and named.

use super::*;
use growrun::record::verify::{Check, Found, directory};

fn checks(run: &Path) -> Vec<Check> {
    directory(&Real::default(), run).expect("a record").checks
}

fn differences(run: &Path) -> Vec<Check> {
    checks(run).into_iter().filter(|check| matches!(check.found, Found::Differs(_))).collect()
}

/// Every file beneath a folder, by its path within.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn a_whole_run_has_a_line_for_everything_and_one_sentence() {
    let lab = Lab::trained();
    let ran = lab.growrun(&["verify", RUN]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    insta::assert_snapshot!(steady(&ran.stdout), @r#"
      run.yaml                         ok   version 4
      the schedule                     ok   sides.grow, parts/model.grow
      metrics.jsonl                    ok   6 lines
      scaling.safetensors              ok
      final.safetensors                ok   blake3:…
      checkpoints/start                ok   step 0
      checkpoints/growth-0001-before   ok   step 6
      checkpoints/growth-0001-after    ok   step 6
      checkpoints/growth-0002-before   ok   step 12
      checkpoints/growth-0002-after    ok   step 12
      checkpoints/grown                ok   step 12
      checkpoints/step-000012          ok   step 12
      checkpoints/step-000018          ok   step 18
      checkpoints/end                  ok   step 18
      data sides.csv                   ok   sha256:…
    everything in runs/sides/0001 is as it was written; `growrun replay runs/sides/0001` trains it again and compares every checkpoint
    "#);
    let ran = lab.growrun(&["verify", RUN, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!((object["ok"].as_bool(), object["first_difference"].is_null()), (Some(true), true));
    assert_eq!(object["checks"].as_array().map(Vec::len), Some(15));
}

#[test]
fn one_bit_of_any_file_is_found_and_named() {
    let lab = Lab::trained();
    let run = lab.path(RUN);
    let all = files(&run);
    assert!(all.len() > 20, "{all:?}");
    // The lock is empty, and nothing reads it; what TensorBoard shows is a view of what is looked at here.
    for name in all.iter().filter(|name| *name != "lock" && !name.starts_with("tensorboard/")) {
        let path = run.join(name);
        let length = std::fs::read(&path).expect("a file").len();
        // Front, back and places in between: magic numbers, headers, values, seals.
        let places = (0..16).map(|part| part * length / 16).chain([1, 8, 9, length - 2, length - 1]);
        for byte in places {
            flip(&path, byte, (byte % 8) as u8);
            let found = differences(&run);
            let named = found.first().map(|check| check.what.as_str());
            assert_eq!(named, Some(name.as_str()), "bit {} of byte {byte} of {length}", byte % 8);
            flip(&path, byte, (byte % 8) as u8);
        }
    }
    assert_eq!(differences(&run), [], "all is as it was");
}

#[test]
fn a_flipped_weight_is_named_with_its_tensor_and_step() {
    let lab = Lab::trained();
    for file in ["final.safetensors", "checkpoints/growth-0001-after/weights.safetensors"] {
        let path = lab.path(RUN).join(file);
        let content = std::fs::read(&path).expect("a file");
        let header = u64::from_le_bytes(content[..8].try_into().expect("eight")) as usize;
        let tensors: serde_json::Value = serde_json::from_slice(&content[8..8 + header]).expect("a header");
        for (name, about) in tensors.as_object().expect("a map").iter().filter(|(name, _)| *name != "__metadata__") {
            let end = about["data_offsets"][1].as_u64().expect("an offset") as usize;
            // The sign of the last number, and a bit that makes a NaN or an infinity of many.
            for (byte, bit) in [(1, 7), (1, 6), (4, 0)] {
                flip(&path, 8 + header + end - byte, bit);
                let found = differences(&lab.path(RUN));
                let Some(Found::Differs(difference)) = found.first().map(|check| &check.found) else {
                    panic!("{file}")
                };
                assert_eq!(difference.tensor.as_ref(), Some(name), "{file}");
                assert!(difference.step.is_some());
                flip(&path, 8 + header + end - byte, bit);
            }
        }
    }
    let path = lab.path(RUN).join("final.safetensors");
    flip(&path, std::fs::read(&path).expect("a file").len() - 1, 7);
    let ran = lab.growrun(&["verify", RUN]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let told: Vec<&str> = ran.stdout.lines().filter(|line| line.contains('×') || !line.starts_with(' ')).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
      final.safetensors                ×    `out.weight` (step 18): it is not as it was written: its digest differs
    1 thing is not as the record says: `out.weight` in final.safetensors; copy it again from where it is whole, or make the run again with `growrun replay runs/sides/0001 --out FOLDER`
    "#);
    let ran = lab.growrun(&["verify", RUN, "--json"]);
    assert_eq!(ran.code, 1);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["ok"], false);
    assert_eq!(object["first_difference"]["what"], "final.safetensors");
    assert_eq!(object["first_difference"]["step"], 18);
    assert!(object["first_difference"]["tensor"].is_string());
}

#[test]
fn one_bit_of_the_data_is_found_and_its_file_named() {
    let lab = Lab::trained();
    let path = lab.path("sides.csv");
    let length = std::fs::read(&path).expect("the table").len();
    // Another number, a word that is none, another class, a broken line, no UTF-8.
    for (byte, bit) in [(12, 0), (12, 6), (length - 3, 1), (length - 1, 0), (30, 7), (0, 0), (6, 1)] {
        flip(&path, byte, bit);
        let ran = lab.growrun(&["verify", RUN]);
        assert_eq!(ran.code, 1, "bit {bit} of byte {byte}: {}", ran.stdout);
        let told: Vec<&str> = ran.stdout.lines().filter(|line| line.contains('×')).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("  data sides.csv  ") && told[0].contains("×    it has sha256 "), "{told:?}");
        flip(&path, byte, bit);
    }
    // A table of another length.
    std::fs::write(&path, table(81)).expect("written");
    let ran = lab.growrun(&["verify", RUN]);
    assert!(ran.code == 1 && ran.stdout.contains(" bytes instead of "), "{}", ran.stdout);
}

#[test]
fn data_that_is_elsewhere_is_said_and_can_be_named() {
    let lab = Lab::trained();
    std::fs::rename(lab.path("sides.csv"), lab.path("moved.csv")).expect("moved");
    let ran = lab.growrun(&["verify", RUN]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let last = ran.stdout.lines().last().unwrap_or_default();
    insta::assert_snapshot!(last, @"everything in runs/sides/0001 is as it was written; its data is not on this machine, so name it with `--data NAME=PATH` to have it compared too");
    let ran = lab.growrun(&["verify", RUN, "--require-data"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let ran = lab.growrun(&["verify", RUN, "--require-data", "--data", "sides.csv=moved.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn what_is_missing_or_too_many_is_named() {
    let lab = Lab::trained();
    let run = lab.path(RUN);
    let first = |run: &Path| differences(run).first().map(|check| check.what.clone());
    std::fs::rename(run.join("checkpoints/end"), run.join("checkpoints/broken-end")).expect("moved");
    assert_eq!(first(&run).as_deref(), Some("checkpoints/end"));
    std::fs::rename(run.join("checkpoints/broken-end"), run.join("checkpoints/end")).expect("moved");
    for name in ["final.safetensors", "metrics.jsonl", "scaling.safetensors", "checkpoints/end/state.safetensors"] {
        std::fs::rename(run.join(name), run.join("away")).expect("moved");
        assert_eq!(first(&run).as_deref(), Some(name));
        std::fs::rename(run.join("away"), run.join(name)).expect("moved");
    }
    std::fs::create_dir(run.join("checkpoints/strange")).expect("a folder");
    assert_eq!(first(&run).as_deref(), Some("checkpoints/strange"));
    std::fs::remove_dir(run.join("checkpoints/strange")).expect("removed");
    // What says that it was set aside, and what nobody asked about, is said and no more.
    std::fs::create_dir(run.join("checkpoints/broken-end")).expect("a folder");
    std::fs::write(run.join("notes.txt"), "mine").expect("written");
    let said: Vec<String> = checks(&run)
        .into_iter()
        .filter(|check| matches!(check.found, Found::Said(_)))
        .map(|check| check.what)
        .collect();
    assert_eq!(said, ["notes.txt", "checkpoints/broken-end"]);
    assert_eq!(differences(&run), []);
}

#[test]
fn a_forged_record_contradicts_its_files() {
    let lab = Lab::trained();
    let first = || differences(&lab.path(RUN)).first().map(|check| check.what.clone());
    let honest = lab.record();
    let forge = |change: &dyn Fn(&mut Record)| {
        write_record(&lab.path(RUN).join("run.yaml"), &honest);
        lab.forge(change);
        first()
    };
    let whole = |what: &str| Some(what.to_string());
    assert_eq!(forge(&|record| record.schedule[0].text.push('#')), whole("the schedule"));
    assert_eq!(forge(&|record| record.checkpoints.swap(0, 1)), whole("checkpoints/start"));
    assert_eq!(
        forge(&|record| record.checkpoints[1].weights = "blake3:0".into()),
        whole("checkpoints/growth-0001-before/meta.yaml")
    );
    let tensors = |record: &mut Record| drop(record.checkpoints[1].tensors.insert("h1.weight".into(), "0".into()));
    assert_eq!(forge(&tensors), whole("checkpoints/growth-0001-before/weights.safetensors"));
    let weights = |record: &mut Record| record.result.as_mut().expect("it ended").weights = Some("blake3:0".into());
    assert_eq!(forge(&weights), whole("final.safetensors"));
    let metric = |record: &mut Record| record.result.as_mut().expect("it ended").metrics[0].value = Some(0.0);
    assert_eq!(forge(&metric), whole("the result"));
    // A name that leads out of the run is no name.
    let name = |record: &mut Record| record.checkpoints[0].name = "../../..".into();
    assert_eq!(forge(&name), whole("checkpoints/../../.."));
}

#[test]
fn a_run_that_has_not_ended_says_so() {
    let lab = Lab::trained();
    lab.forge(|record| {
        record.status = "running".into();
        record.result = None;
        // As after a kill between the making of a checkpoint and the record of it.
        record.checkpoints.pop();
    });
    let ran = lab.growrun(&["verify", RUN]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let told: Vec<&str> = ran.stdout.lines().filter(|line| line.contains('–') || !line.starts_with(' ')).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
      final.safetensors                –    newer than the record
      checkpoints/end                  –    newer than the record
    everything in runs/sides/0001 is as it was written so far, and the run has not ended: it is going on, or it was killed and `growrun resume runs/sides/0001` goes on with it
    "#);
}

#[test]
fn what_is_no_run_is_told_as_such() {
    let lab = Lab::new();
    let ran = lab.growrun(&["verify", "parts"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0801 × cannot read `parts/run.yaml`: there is no such file
      help: check the name; paths are relative to the file that names them

    1 error · growrun explain G0801
    "#);
}
