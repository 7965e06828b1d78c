//! `replay`: the same bits again, or the first step and tensor that differ.

use super::*;
use crate::run::{compute, dataset, program};
use growrun::record::{Origin, Recorder, replay};
use growrun::run::{self, Autosave};
use growrun::tensor::Simd;
use serde_json::Value;
use std::process::Command;

fn object(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

#[test]
fn a_run_with_two_threads_replays_with_one_on_the_portable_path() {
    let lab = Lab::new();
    // Steps this small stay on one thread unless they are forced.
    let forced = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_growrun"));
        command.args(arguments).current_dir(lab.folder.path()).env("GROWRUN_FORCE_PARALLEL", "1");
        command.output().expect("it starts")
    };
    let ran = forced(&["sides.grow", "--quiet", "--threads", "2", "--simd", "auto"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = forced(&["replay", RUN, "--threads", "1", "--simd", "portable", "--quiet"]);
    let (text, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!((ran.status.code(), said.as_ref()), (Some(0), ""), "{text}");
    let best = lab.record().host.simd;
    insta::assert_snapshot!(steady(&text.replace(&format!("2 threads · {best}"), "2 threads · BEST")), @r#"
      recorded   2 threads · BEST
      replayed   1 thread · portable
    the replay has the same bits: 10 checkpoints, 2 growth events, 6 evaluations, final weights blake3:…
    "#);
    // And the other way round: what was made on one thread replays on two.
    let ran = forced(&["sides.grow", "--quiet", "--threads", "1", "--simd", "portable"]);
    assert!(ran.status.success());
    let ran = forced(&["replay", "runs/sides/0002", "--threads", "2", "--quiet", "--json"]);
    let object: Value = serde_json::from_slice(&ran.stdout).expect("one object");
    assert_eq!((object["ok"].as_bool(), object["first_difference"].is_null()), (Some(true), true), "{object}");
    assert_eq!((object["status"].as_str(), object["steps"].as_u64()), (Some("finished"), Some(18)));
    assert_eq!(object["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(object["compared"], serde_json::json!({ "checkpoints": 10, "growth_events": 2, "evaluations": 6 }));
    assert!(!lab.path("runs/sides/0003").exists(), "a replay writes nothing");
}

#[test]
fn a_bare_record_of_built_in_data_is_enough() {
    let text = "experiment \"tiny\"\ndata digits { limit 200; batch 50 }\n\
                model { h1 dense 8 relu norm batch; out dense 10 }\n\
                train 2 epochs { optimizer adam lr 1e-3; lr cosine to 1e-4 warmup 10% }\nat epoch 1 widen h1 to 12\n";
    let lab = folder(&[("tiny.grow", text.as_bytes())]);
    assert_eq!(growrun(lab.path(), &["tiny.grow", "--quiet", "--set", "x=1"]).code, 2, "there is no such let");
    assert_eq!(growrun(lab.path(), &["tiny.grow", "--quiet"]).code, 0);
    let elsewhere = tempfile::tempdir().expect("a folder");
    std::fs::copy(lab.path().join("runs/tiny/0001/run.yaml"), elsewhere.path().join("theirs.yaml")).expect("copied");
    drop(lab);
    let ran = growrun(elsewhere.path(), &["replay", "theirs.yaml", "--json", "--quiet"]);
    let object = object(&ran);
    assert_eq!((ran.code, object["ok"].as_bool()), (0, Some(true)), "{object}");
    assert_eq!(object["compared"], serde_json::json!({ "checkpoints": 4, "growth_events": 1, "evaluations": 0 }));
}

#[test]
fn settings_from_the_command_line_are_those_of_the_record() {
    let lab = Lab::new();
    lab.train(&["--set", "width=9", "--seed", "11"]);
    // What stands in the file now is no matter.
    std::fs::write(lab.path("sides.grow"), "nonsense").expect("written");
    let ran = lab.growrun(&["replay", RUN, "--quiet", "--json"]);
    assert_eq!(object(&ran)["ok"], true, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_fragment_replays_on_the_base_that_it_had() {
    let lab = folder(&[
        ("card.grow", b"at step 5 widen h2 to 70 eps 1e-3; at step 9 stop"),
        ("base.grow", b"data digits { limit 100 }\nmodel { h2 dense 8 relu; out dense 10 }\ntrain 20 steps { }\n"),
    ]);
    for (flags, run) in [(&[][..], "runs/card/0001"), (&["--base", "base.grow"], "runs/card/0002")] {
        let ran = growrun(lab.path(), &[&["card.grow", "--quiet"][..], flags].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let ran = growrun(lab.path(), &["replay", run, "--quiet", "--json"]);
        assert_eq!(object(&ran)["ok"], true, "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_checkpoint_that_says_otherwise_is_named_with_step_and_tensor() {
    let lab = Lab::trained();
    let at = lab.record().checkpoints.iter().position(|entry| entry.name == "growth-0001-after").expect("made");
    lab.forge(|record| {
        let entry = &mut record.checkpoints[at];
        entry.weights = "blake3:0000".into();
        entry.tensors.insert("h2.weight".into(), "0000".into());
    });
    let ran = lab.growrun(&["replay", RUN, "--quiet"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(ran.stdout.lines().last().unwrap_or_default(), @"the replay differs from the record at step 6: `h2.weight` of checkpoint growth-0001-after; until then it was the same, last widen h2 8 → 12 at step 6; `growrun verify runs/sides/0001` tells whether its files are as they were written");
    let ran = lab.growrun(&["replay", RUN, "--quiet", "--json"]);
    let object = object(&ran);
    assert_eq!(object["ok"], false);
    assert_eq!(
        (object["first_difference"]["step"].as_u64(), object["first_difference"]["tensor"].as_str()),
        (Some(6), Some("h2.weight"))
    );
    assert_eq!(
        (object["status"].as_str(), object["steps"].as_u64()),
        (Some("failed"), Some(7)),
        "training ended there"
    );
}

/// What the replay of a changed record says first: step, tensor, what.
fn first_difference(lab: &Lab, change: impl FnOnce(&mut Record)) -> (u64, Option<String>, String) {
    let honest = lab.record();
    lab.forge(change);
    let ran = lab.growrun(&["replay", RUN, "--quiet", "--json"]);
    write_record(&lab.path(RUN).join("run.yaml"), &honest);
    let object = object(&ran);
    assert_eq!((ran.code, object["ok"].as_bool()), (1, Some(false)), "{object}");
    let first = &object["first_difference"];
    let text = |value: &Value| value.as_str().map(str::to_string);
    (first["step"].as_u64().expect("a step"), text(&first["tensor"]), text(&first["what"]).expect("words"))
}

#[test]
fn whatever_the_record_tells_is_compared() {
    let lab = Lab::trained();
    let told = |step: u64, tensor: Option<&str>, what: &str| (step, tensor.map(str::to_string), what.to_string());
    let other = || "blake3:0".to_string();
    // Weights at the start, with the tensor; moments later.
    let found = first_difference(&lab, |record| {
        record.checkpoints[0].weights = other();
        record.checkpoints[0].tensors.insert("out.bias".into(), "0".into());
    });
    assert_eq!(found, told(0, Some("out.bias"), "checkpoint start"));
    let found = first_difference(&lab, |record| record.checkpoints[1].optimizer = other());
    assert_eq!(found, told(6, None, "the optimiser's state in checkpoint growth-0001-before"));
    // Growth: what it was, when, and the weights, whose tensor the checkpoint behind it would name.
    let found = first_difference(&lab, |record| record.events[1].weights = other());
    assert_eq!((found.0, found.1), (12, None));
    assert!(found.2.starts_with("the weights after insert identity"), "{}", found.2);
    let found = first_difference(&lab, |record| record.events[0].step = 5);
    assert_eq!(found.0, 5);
    let found = first_difference(&lab, |record| drop(record.events.pop()));
    assert!(found.2.ends_with("which the record does not have"), "{}", found.2);
    // A checkpoint that is not made, the end, and every number of it.
    let found = first_difference(&lab, |record| record.checkpoints[2].name = "saved".into());
    assert_eq!(found, told(6, None, "checkpoint saved, which was not made again"));
    let result = |record: &mut Record| record.result.clone().expect("it ended");
    let found = first_difference(&lab, |record| {
        record.result = Some(growrun::record::schema::Outcome { weights: Some(other()), ..result(record) });
    });
    assert_eq!(found, told(18, None, "the final weights"));
    let found = first_difference(&lab, |record| {
        let metric = &mut record.result.as_mut().expect("it ended").metrics[0];
        metric.hex = format!("0x{:016x}", metric.exact().expect("a number").to_bits() ^ 1);
    });
    assert_eq!((found.0, found.2.starts_with("the final ")), (18, true), "{}", found.2);
    // A setting is told before anything is trained.
    let found = first_difference(&lab, |record| record.resolved.batch = 21);
    assert_eq!(found, told(0, None, "the setting batch is 20 and was 21"));
}

#[test]
fn an_evaluation_that_was_another_is_told_with_both_numbers() {
    let lab = Lab::trained();
    let path = lab.path(RUN).join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).expect("lines");
    let line: Value = serde_json::from_str(text.lines().nth(1).expect("two lines")).expect("an object");
    let value = line["val_loss"].as_f64().expect("a number");
    let next = f64::from_bits(value.to_bits() + 1);
    let changed = text.replace(&format!("\"val_loss\":{value}"), &format!("\"val_loss\":{next}"));
    std::fs::write(&path, &changed).expect("written");
    // As it is, the file is known to be changed, and only the rest is compared.
    let ran = lab.growrun(&["replay", RUN, "--quiet"]);
    assert!(ran.code == 0 && ran.stderr.contains("G0809 ⚠ `metrics.jsonl` is not as it was written"), "{}", ran.stderr);
    let found = first_difference(&lab, |record| {
        let files = &mut record.result.as_mut().expect("it ended").files;
        files.insert("metrics.jsonl".into(), growrun::base::digest::bytes(changed.as_bytes()));
    });
    assert_eq!(found, (6, None, format!("val_loss is {value} and was {next}")));
}

#[test]
fn with_out_it_is_a_run_of_its_own() {
    let lab = Lab::trained();
    let ran = lab.growrun(&["replay", RUN, "--out", "again", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("  record     again/sides/0001\n"), "{}", ran.stdout);
    let ran = lab.growrun(&["diff", RUN, "again/sides/0001", "--json"]);
    assert_eq!(object(&ran)["same"], true);
    assert_eq!(lab.growrun(&["verify", "again/sides/0001", "--require-data"]).code, 0);
}

#[test]
fn a_run_that_was_interrupted_is_followed_as_far_as_it_got() {
    let text = "experiment \"long\"\ndata digits { limit 300; batch 50 }\n\
                model { h1 dense 16 relu; out dense 10 }\n\
                train 100_000 epochs { optimizer adam lr 1e-4; evaluate every 200 steps; checkpoint every 100 steps }\n\
                at step 40 widen h1 to 20\n";
    let lab = folder(&[("long.grow", text.as_bytes())]);
    let run = lab.path().join("runs/long/0001");
    for signal in ["-INT", "-KILL"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_growrun"))
            .args(["long.grow", "--quiet", "--threads", "1"])
            .current_dir(lab.path())
            .spawn()
            .expect("the program starts");
        for _ in 0..1000 {
            if run.join("checkpoints/step-000200").exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
        assert!(killed.success());
        child.wait().expect("it ends");
        let ran = growrun(lab.path(), &["replay", "runs/long/0001", "--quiet"]);
        assert_eq!(ran.code, 0, "{signal}: {}{}", ran.stdout, ran.stderr);
        let last = ran.stdout.lines().last().unwrap_or_default();
        assert!(last.starts_with("the replay has the same bits as far as the run got, to step "), "{last}");
        assert!(
            last.ends_with(", 1 growth event, 1 evaluation; `growrun resume runs/long/0001` goes on with it")
                || last.contains("evaluations;"),
            "{last}"
        );
        std::fs::remove_dir_all(&run).expect("removed");
    }
}

#[test]
fn a_run_that_went_on_from_another_replays_from_where_it_began() {
    let lab = Lab::trained();
    let ran = lab.growrun(&["resume", RUN, "--train", "8 epochs", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = lab.growrun(&["replay", "runs/sides/0002", "--quiet", "--json"]);
    let object = object(&ran);
    assert_eq!((ran.code, object["ok"].as_bool()), (0, Some(true)), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(object["steps"], 24);
    assert_eq!(lab.growrun(&["verify", "runs/sides/0002"]).code, 0);
    // The record alone does not hold the weights that it began from; an archive does.
    std::fs::copy(lab.path("runs/sides/0002/run.yaml"), lab.path("bare.yaml")).expect("copied");
    let ran = lab.growrun(&["replay", "bare.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0807 × this run went on from another one, and the checkpoint that it began from is not here
      help: replay it in its run directory, where `checkpoints/start` is, or from an archive that
            `growrun pack` made

    1 error · growrun explain G0807
    "#);
    assert_eq!(lab.growrun(&["pack", "runs/sides/0002", "--out", "b.tar.gz", "--with-data"]).code, 0);
    let content = std::fs::read(lab.path("b.tar.gz")).expect("an archive");
    let into = tempfile::tempdir().expect("a folder");
    tar::Archive::new(flate2::read::GzDecoder::new(content.as_slice())).unpack(into.path()).expect("unpacked");
    let ran = growrun(into.path(), &["replay", "sides-0002/run.yaml", "--quiet"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// Diverges when the rate is set far too high, goes back, and grows behind that.
const DIVERGING: &str = "
experiment \"back\"
data digits { batch 64; limit 400 }
model { h1 dense 12 linear; out dense 10 }
train 30 steps {
  optimizer sgd lr 1e-2
  evaluate every 5 steps
  checkpoint every 5 steps keep 2
  keep best by val_loss
  on_divergence rollback lr 1e-11x at most 3 times
}
at step 10 set lr by 1e20x
at step 20 widen h1 to 16
";

#[test]
fn a_run_that_went_back_and_saved_itself_now_and_then_replays() {
    let (program, world, folder) =
        (program(DIVERGING, Some(3)), Real::default(), tempfile::tempdir().expect("a folder"));
    let program = program.unwrap_or_else(|found| panic!("{found:#?}"));
    let dataset = dataset(&program);
    let mut recorder =
        Recorder::create(&world, folder.path(), &program, &dataset, Origin::default()).expect("a writable folder");
    let mut options = compute(2, Simd::Auto);
    // As if time had passed: before and behind the step that diverges.
    options.autosave = Autosave::Steps([3, 12, 23].into());
    run::execute(&program, &dataset, &options, &world, &mut |event| recorder.consume(event)).expect("nothing fails");
    let run = recorder.folder().to_path_buf();
    drop(recorder);
    let record = load::record(&world, &run).expect("a record");
    assert!(!record.rollbacks.is_empty() && record.events.len() == 1, "{:?}", record.rollbacks);
    let autos = record.checkpoints.iter().filter(|entry| entry.name.starts_with("auto-")).count();
    assert!(autos >= 3, "{autos}");
    let content = std::fs::read(run.join("metrics.jsonl")).expect("lines");
    let lines = growrun::record::lines::read(&content).expect("whole lines");
    let repeat = |record: &Record| {
        let mut comparison = replay::Comparison::new(record, Some(lines.clone()), None);
        let mut options = compute(1, Simd::Portable);
        options.autosave = Autosave::Steps(replay::autosaved(record));
        let consumer = &mut |event: &run::Event| {
            comparison.hear(event);
            Ok(())
        };
        run::execute(&program, &dataset, &options, &world, consumer).expect("nothing fails");
        (comparison.counts, comparison.difference)
    };
    let (counts, difference) = repeat(&record);
    assert_eq!(difference, None);
    assert_eq!((counts.checkpoints, counts.growths), (record.checkpoints.len() as u64, 1));
    // A long run's record has forgotten some; those that are left are compared all the same.
    let mut forgetful = record.clone();
    forgetful.checkpoints.retain(|entry| entry.kept || entry.number % 2 == 0);
    assert_eq!(repeat(&forgetful).1, None);
    let mut other = record.clone();
    other.rollbacks[0].back_to = 5;
    let (_, difference) = repeat(&other);
    assert_eq!(difference.map(|found| found.step), Some(record.rollbacks[0].step));
    assert!(
        growrun::record::verify::directory(&world, &run)
            .expect("a record")
            .checks
            .iter()
            .all(|check| { !matches!(check.found, growrun::record::verify::Found::Differs(_)) })
    );
}

#[test]
fn a_run_that_was_interrupted_and_resumed_replays_as_one() {
    let text = "experiment \"twice\"\ndata digits { limit 200; batch 50 }\n\
                model { h1 dense 8 relu; out dense 10 }\n\
                train 20 steps { optimizer adam lr 1e-3; evaluate every 4 steps }\nat step 12 widen h1 to 12\n";
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let program = program(text, Some(3)).unwrap_or_else(|found| panic!("{found:#?}"));
    let dataset = dataset(&program);
    let mut recorder =
        Recorder::create(&world, folder.path(), &program, &dataset, Origin::default()).expect("a writable folder");
    let options = compute(1, Simd::Auto);
    let consumer = &mut |event: &run::Event| {
        if matches!(event, run::Event::Stepped(stepped) if stepped.step == 9) {
            options.interrupt.store(15, std::sync::atomic::Ordering::SeqCst);
        }
        recorder.consume(event)
    };
    run::execute(&program, &dataset, &options, &world, consumer).expect("nothing fails");
    drop(recorder);
    for (command, status) in [
        ("verify", "interrupted"),
        ("replay", "stopped"),
        ("resume", "finished"),
        ("verify", "finished"),
        ("replay", "finished"),
    ] {
        let ran = growrun(folder.path(), &[command, "twice/0001", "--json"]);
        let object = object(&ran);
        assert_eq!((ran.code, object["status"].as_str()), (0, Some(status)), "{command}: {object}{}", ran.stderr);
    }
}

/// PyYAML reads a whole record as growrun does. Said and passed over where it is not installed; `record::yaml` has the
/// traps one by one.
#[test]
fn pyyaml_reads_the_same_record() {
    let lab = Lab::trained();
    lab.forge(|record| record.reason = Some("no: 1e-7, 12:30\nyes".into()));
    std::fs::write(lab.path("record.json"), serde_json::to_vec(&lab.record()).expect("JSON")).expect("written");
    let script = "
import json, sys
try:
    import yaml
except ImportError:
    sys.exit(77)
ours, theirs = json.load(open('record.json')), yaml.safe_load(open('runs/sides/0001/run.yaml'))
def same(a, b, at):
    assert type(a) is type(b), (at, a, b)
    if isinstance(a, dict):
        assert a.keys() == b.keys(), at
        for key in a: same(a[key], b[key], at + '.' + key)
    elif isinstance(a, list):
        assert len(a) == len(b), at
        for n, (x, y) in enumerate(zip(a, b)): same(x, y, at + '.' + str(n))
    else:
        assert a == b, (at, a, b)
same(ours, theirs, 'record')
";
    let ran = Command::new("python3").args(["-c", script]).current_dir(lab.folder.path()).output();
    match ran {
        Ok(ran) if ran.status.code() != Some(77) => {
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        }
        _ => eprintln!("no python3 with PyYAML here: left out"),
    }
}

#[test]
fn a_record_of_other_numerics_or_of_another_hand_is_refused() {
    let lab = Lab::trained();
    lab.forge(|record| {
        record.growrun.numerics += 1;
        record.growrun.version = "9.9.9".into();
    });
    let ran = lab.growrun(&["replay", RUN]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("was written by growrun 9.9.9 with numerics 2"), "{}", ran.stderr);
    lab.forge(|record| record.growrun.numerics -= 1);
    flip(&lab.path(RUN).join("run.yaml"), 40, 0);
    let ran = lab.growrun(&["replay", RUN, "--json"]);
    assert_eq!((ran.code, object(&ran)["diagnostics"][0]["code"].as_str()), (2, Some("G0809")));
}

#[test]
fn a_folder_is_believed_where_the_schedule_or_the_data_of_the_record_lies() {
    let lab = Lab::trained();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let replay = || growrun(elsewhere.path(), &["replay", &lab.path(RUN).display().to_string(), "--quiet"]);
    assert_eq!(replay().code, 0);
    // The schedule goes on to be edited, the data stays.
    std::fs::write(lab.path("sides.grow"), "at start stop").expect("written");
    assert_eq!(replay().code, 0);
    // Neither is there: another table of that name is not even looked into.
    std::fs::write(lab.path("sides.csv"), table(20)).expect("written");
    let ran = replay();
    assert!(ran.code == 2 && ran.stderr.contains("G0701 × there is no `"), "{}", ran.stderr);
}

#[test]
fn a_bare_record_does_not_say_what_is_read_here() {
    // Whoever wrote it names a folder and a file of this machine; only what lies beside the record is looked at.
    let lab = Lab::trained();
    std::fs::create_dir(lab.path("mail")).expect("a folder");
    std::fs::copy(lab.path(RUN).join("run.yaml"), lab.path("mail/run.yaml")).expect("copied");
    let ran = lab.growrun(&["replay", "mail/run.yaml"]);
    assert!(ran.code == 2 && ran.stderr.contains("there is no `mail/sides.csv`"), "{}", ran.stderr);
    std::fs::copy(lab.path("sides.csv"), lab.path("mail/sides.csv")).expect("copied");
    let ran = lab.growrun(&["replay", "mail/run.yaml", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
