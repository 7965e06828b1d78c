//! `pack`: an archive that says nothing of the machine, verifies and replays.

use super::*;

fn unpack(archive: &Path, into: &Path) {
    let content = std::fs::read(archive).expect("an archive");
    tar::Archive::new(flate2::read::GzDecoder::new(content.as_slice())).unpack(into).expect("unpacked");
}

#[test]
fn an_archive_says_what_is_in_it_and_overwrites_nothing() {
    let lab = Lab::trained();
    let ran = lab.growrun(&["pack", RUN]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    // Sizes hold times and versions of the machine.
    let text: String =
        ran.stdout.lines().map(|line| line.split("   ").next().unwrap_or(line).to_string() + "\n").collect();
    let text = text.split(" holds the run in ").collect::<Vec<_>>();
    insta::assert_snapshot!(text[0], @r#"
      README.txt
      final.safetensors
      metrics.jsonl
      run.yaml
      scaling.safetensors
      schedule/parts/model.grow
      schedule/sides.grow
    sides-0001.tar.gz
    "#);
    let sentence = text[1].split_once(',').map_or("", |(_, rest)| rest);
    insta::assert_snapshot!(sentence, @" without the data: whoever unpacks it can `growrun verify sides-0001` and `growrun replay sides-0001`");
    let before = std::fs::read(lab.path("sides-0001.tar.gz")).expect("an archive");
    let ran = lab.growrun(&["pack", RUN]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.contains("already there, and nothing is overwritten"), "{}", ran.stderr);
    assert_eq!(std::fs::read(lab.path("sides-0001.tar.gz")).expect("an archive"), before);
    let ran = lab.growrun(&["pack", RUN, "--out", "again.tar.gz", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(
        (object["archive"].as_str(), object["bytes"].as_u64()),
        (Some("again.tar.gz"), Some(before.len() as u64))
    );
    assert_eq!(
        std::fs::read(lab.path("again.tar.gz")).expect("an archive"),
        before,
        "the same bytes, whenever it is made"
    );
}

#[test]
fn no_path_of_this_machine_goes_along() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("secret-place")).expect("a folder");
    std::fs::rename(lab.path("sides.csv"), lab.path("secret-place/hidden.csv")).expect("moved");
    let named = format!("sides.csv={}", lab.path("secret-place/hidden.csv").display());
    let schedule = lab.path("sides.grow");
    let ran = lab.growrun(&[&schedule.display().to_string(), "--quiet", "--data", &named]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for flags in [&["--out", "bare.tar.gz"][..], &["--out", "full.tar.gz", "--with-data"]] {
        let ran = lab.growrun(&[&["pack", RUN][..], flags].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let into = tempfile::tempdir().expect("a folder");
        unpack(&lab.path(flags[1]), into.path());
        let text = std::fs::read_to_string(into.path().join("sides-0001/run.yaml")).expect("a record");
        let here = lab.folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        for leak in [here.as_str(), "secret-place", "/tmp"] {
            assert!(!text.contains(leak), "`{leak}` in\n{text}");
        }
        assert_eq!(into.path().join("sides-0001/data/sides.csv/hidden.csv").exists(), flags.len() == 3);
    }
}

#[test]
fn what_was_unpacked_verifies_and_replays_from_its_record_alone() {
    let lab = Lab::trained();
    let ran = lab.growrun(&["pack", RUN, "--with-data"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let elsewhere = tempfile::tempdir().expect("a folder");
    unpack(&lab.path("sides-0001.tar.gz"), elsewhere.path());
    // Nothing of the old place is left to lean on.
    drop(lab);
    let ran = growrun(elsewhere.path(), &["verify", "sides-0001", "--require-data"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    for run in ["sides-0001", "sides-0001/run.yaml"] {
        let ran = growrun(elsewhere.path(), &["replay", run, "--quiet", "--json"]);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
        assert_eq!((ran.code, object["ok"].as_bool()), (0, Some(true)), "{}{}", ran.stdout, ran.stderr);
        assert_eq!(object["compared"]["evaluations"], 6, "metrics.jsonl lies beside it");
    }
    // The schedule is there as a schedule, too, and changing it is found.
    let ran = growrun(elsewhere.path(), &["check", "sides-0001/schedule/sides.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let model = elsewhere.path().join("sides-0001/schedule/parts/model.grow");
    std::fs::write(model, MODEL.replace("h1 dense 8", "h1 dense 9")).expect("written");
    let ran = growrun(elsewhere.path(), &["verify", "sides-0001"]);
    assert!(ran.code == 1 && ran.stdout.contains("schedule/parts/model.grow   ×"), "{}", ran.stdout);
}

/// A folder of pictures has one line for each class in the record, and goes along with every file.
#[test]
fn a_folder_of_pictures_goes_along() {
    use crate::data::images::png;
    const GREY: ::png::ColorType = ::png::ColorType::Grayscale;
    let schedule = "experiment \"sides\"\ndata images \"pets/train\" { test \"pets/test\"; batch 8 }\n\
                    model { h1 dense 4 relu; out dense 2 }\ntrain 2 epochs { }\nat epoch 1 widen h1 to 6\n";
    let lab = Lab { folder: folder(&[("sides.grow", schedule.as_bytes())]) };
    for (class, first) in [("cat", 0), ("dog", 128)] {
        for (part, count) in [("train", 30), ("test", 3)] {
            let folder = lab.path(&format!("pets/{part}/{class}"));
            std::fs::create_dir_all(&folder).expect("made");
            for file in 0..count {
                std::fs::write(folder.join(format!("{file}.png")), png(3, 3, GREY, first + file)).expect("written");
            }
        }
    }
    lab.train(&[]);
    let names: Vec<String> = lab.record().data.files.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["cat/", "dog/", "test/cat/", "test/dog/", "cat/0.png"]);
    let ran = lab.growrun(&["pack", RUN, "--with-data"]);
    assert!(ran.code == 0 && ran.stdout.contains("\n  and 52 more\n"), "{}{}", ran.stdout, ran.stderr);
    // Its folder is known by its first picture where the schedule is another one by now.
    std::fs::write(lab.path("sides.grow"), format!("{schedule}# more\n")).expect("written");
    let ran = lab.growrun(&["verify", RUN, "--require-data"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    std::fs::write(lab.path("pets/train/dog/7.png"), png(3, 3, GREY, 9)).expect("written");
    let ran = lab.growrun(&["verify", RUN]);
    assert!(ran.code == 1 && ran.stdout.contains("  data dog/ "), "{}", ran.stdout);
    assert!(ran.stdout.contains("its files have the digest"), "{}", ran.stdout);
    let elsewhere = tempfile::tempdir().expect("a folder");
    unpack(&lab.path("sides-0001.tar.gz"), elsewhere.path());
    drop(lab);
    let ran = growrun(elsewhere.path(), &["verify", "sides-0001", "--require-data"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = growrun(elsewhere.path(), &["replay", "sides-0001/run.yaml", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn without_its_data_the_record_says_which_is_wanted() {
    let lab = Lab::trained();
    assert_eq!(lab.growrun(&["pack", RUN]).code, 0);
    let elsewhere = tempfile::tempdir().expect("a folder");
    unpack(&lab.path("sides-0001.tar.gz"), elsewhere.path());
    let ran = growrun(elsewhere.path(), &["replay", "sides-0001/run.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0701 × there is no `sides-0001/schedule/sides.csv`
      help: name it by `--data "sides.csv=PATH"`: the run was trained on `sides.csv` (sha256
            e78ed16fbd5b…)

    1 error · growrun explain G0701
    "#);
    let named = format!("sides.csv={}", lab.path("sides.csv").display());
    let ran = growrun(elsewhere.path(), &["replay", "sides-0001/run.yaml", "--data", &named, "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    std::fs::write(lab.path("sides.csv"), table(81)).expect("written");
    let ran = growrun(elsewhere.path(), &["replay", "sides-0001/run.yaml", "--data", &named, "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("G0808 × `") && ran.stderr.contains("sides.csv` is not what the run"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_run_that_is_not_whole_is_not_handed_on() {
    let lab = Lab::trained();
    let path = lab.path(RUN).join("final.safetensors");
    let length = std::fs::read(&path).expect("a file").len();
    flip(&path, length - 1, 0);
    let ran = lab.growrun(&["pack", RUN]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0809 × the run `runs/sides/0001` is not as it was written: final.safetensors: it is not as it
      │ was written: its digest differs
      help: `growrun verify runs/sides/0001` shows all that differs; pack it where it is whole

    1 error · growrun explain G0809
    "#);
    flip(&path, length - 1, 0);
    lab.forge(|record| record.status = "running".into());
    let ran = lab.growrun(&["pack", RUN]);
    assert!(ran.code == 2 && ran.stderr.contains("G0804"), "{}", ran.stderr);
    assert!(!lab.path("sides-0001.tar.gz").exists());
}
