//! TensorBoard's file says what metrics.jsonl and the record say, also after an interruption; and runs of a comparison,
//! which have none. A reader of our own checks the framing; TensorBoard's does so in tests/evidence/tensorboard.sh.

use super::every_place::{Subject, told};
use crate::faults::memory::Memory;
use growrun::base::World;
use growrun::record::verify::{Found, directory};
use growrun::record::{Origin, Recorder, load};
use growrun::run::{Event, Status};
use std::path::{Path, PathBuf};

/// One value of an event file.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub struct Told {
    pub step: u64,
    pub tag: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Value {
    Scalar(f32),
    Text(String),
}

/// One bit at a time, unlike the table of the writer.
fn masked_crc32c(content: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(message: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = message[0];
        *message = &message[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// The fields of a protobuf message: number, and its bytes; of a varint eight of them.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut message).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            other => panic!("kind {other} is none that is written"),
        };
        found.push((key >> 3, message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    fields(message).into_iter().find(|(known, _)| *known == number).map(|(_, bytes)| bytes).unwrap_or_default()
}

/// Every value of a file, in order. Panics where it is not framed as TensorBoard wants it.
pub fn read(mut file: &[u8]) -> Vec<Told> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let mut all = Vec::new();
    let mut records = 0;
    while !file.is_empty() {
        let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
        assert_eq!(word(&file[8..12]), masked_crc32c(&file[..8]), "record {records}: length");
        let event = &file[12..12 + length];
        assert_eq!(word(&file[12 + length..16 + length]), masked_crc32c(event), "record {records}: bytes");
        file = &file[16 + length..];
        let wall = f64::from_le_bytes(field(event, 1).try_into().expect("a time"));
        assert!((1.0e9..1.0e10).contains(&wall), "{wall} is no time of these years");
        let step = u64::from_le_bytes(field(event, 2).try_into().expect("a step"));
        match records {
            0 => assert_eq!(field(event, 3), b"brain.Event:2"),
            1 => assert_eq!(field(event, 7), [8, 1], "the start of a session"),
            _ => {}
        }
        for (_, value) in fields(&field(event, 5)) {
            let tag = String::from_utf8(field(&value, 1)).expect("UTF-8");
            let tensor = field(&value, 8);
            let value = if tensor.is_empty() {
                Value::Scalar(f32::from_bits(word(&field(&value, 2))))
            } else {
                assert_eq!(field(&field(&field(&value, 9), 1), 1), b"text", "the plugin that shows it");
                Value::Text(String::from_utf8(field(&tensor, 8)).expect("UTF-8"))
            };
            all.push(Told { step, tag, value });
        }
        records += 1;
    }
    all
}

/// The one event file of a run; `None` where it has none.
pub fn file(world: &dyn World, run: &Path) -> Option<Vec<u8>> {
    let folder = run.join("tensorboard");
    world.entry(&folder).expect("readable")?;
    let names = world.list(&folder).expect("readable");
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("events.out.tfevents."), "{names:?}");
    Some(world.read(&folder.join(&names[0]), 1 << 24).expect("readable"))
}

/// All values, ordered so that two files that tell the same are equal. NaN stands as its bits.
pub fn sorted(file: &[u8]) -> Vec<String> {
    let mut all: Vec<String> = read(file).iter().map(|told| format!("{told:?}")).collect();
    all.sort();
    all
}

const SCHEDULE: &str = "
experiment \"small\"
data digits { batch 64; limit 400 }
model { h1 dense 12 relu; out dense 10 }
train 40 steps { optimizer adam lr 1e-2; metrics accuracy; evaluate every 5 steps; log every 3 steps; checkpoint every 10 steps }
at step 10 { widen h1 to 20 eps 1e-3; insert identity after h1; evaluate val }
at step 22 { save \"kept\"; widen h1 to 24 method split }
at end evaluate test
";

#[test]
fn every_number_of_metrics_jsonl_is_there_as_f32_and_every_growth_as_text() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let (run, _) = subject.begin(&world, Path::new("runs"), |_| false);
    let all = read(&file(&world, &run).expect("an event file"));
    let mut scalars = all.iter().filter(|told| matches!(told.value, Value::Scalar(_)));
    let metrics = world.read(&run.join("metrics.jsonl"), 1 << 20).expect("metrics");
    let mut tags = std::collections::BTreeSet::new();
    for line in String::from_utf8(metrics).expect("text").lines() {
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect("an object");
        for (key, number) in line.iter().filter(|(key, _)| !["step", "seconds"].contains(&key.as_str())) {
            let told = scalars.next().expect("as many as in metrics.jsonl");
            let tag = match key.as_str() {
                "batch_loss" => "train/batch_loss".to_string(),
                key => key.replacen('_', "/", 1),
            };
            let number = number.as_f64().expect("a number") as f32;
            assert_eq!((&told.tag, told.step), (&tag, line["step"].as_u64().expect("a step")));
            assert_eq!(told.value, Value::Scalar(number), "{tag} at step {}", told.step);
            tags.insert(tag);
        }
    }
    assert_eq!(scalars.next(), None);
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    assert_eq!(
        tags.join(" "),
        "epoch flops lr parameters test/accuracy test/loss train/batch_loss train/loss val/accuracy val/loss"
    );
    let texts: Vec<(u64, &str, &str)> = all
        .iter()
        .filter_map(|told| match &told.value {
            Value::Text(text) => Some((told.step, told.tag.as_str(), text.as_str())),
            Value::Scalar(_) => None,
        })
        .collect();
    let places: Vec<(u64, &str)> = texts.iter().map(|(step, tag, _)| (*step, *tag)).collect();
    let growth = ["growth/text_summary", "growth/text_summary_2"];
    assert_eq!(places, [(0, "schedule/text_summary"), (10, growth[0]), (10, growth[1]), (22, growth[0])]);
    assert!(texts[0].2.contains("\n    at step 22 { save \"kept\"; widen h1 to 24 method split }\n"), "{}", texts[0].2);
    insta::assert_snapshot!(texts[3].2, @"
    **widen** h1 20 → 24

    | | |
    |---|---|
    | target | h1 |
    | method | split |
    | promise | rounding |
    | because | the shares of a unit's copies sum to 1 |
    | drift | 1.4e-6 |
    | parameters | 1930 → 2270 |
    | network | 64-24-20-10 |
    | epoch | 4.40 |
    ");
}

#[test]
fn the_file_of_an_interrupted_run_tells_what_an_uninterrupted_one_tells() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let (whole, _) = subject.begin(&world, Path::new("whole"), |_| false);
    let expected = sorted(&file(&world, &whole).expect("an event file"));
    for interrupted_at in [1, 9, 10, 11, 22, 39] {
        let at = |event: &Event| matches!(event, Event::Stepped(stepped) if stepped.step == interrupted_at);
        let (run, finish) = subject.begin(&world, Path::new(&interrupted_at.to_string()), at);
        assert_eq!(finish.step, interrupted_at);
        // What a power cut may leave of it, and what a copy may bring along.
        let folder = run.join("tensorboard");
        let name = world.list(&folder).expect("a folder").remove(0);
        world.write(&folder.join(&name), b"torn").expect("written");
        world.write(&folder.join("events.out.tfevents.1.growrun"), b"of an earlier session").expect("written");
        subject.resume(&world, &run, |_| false);
        assert_eq!(sorted(&file(&world, &run).expect("an event file")), expected, "{interrupted_at}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_folder_is_not_followed() {
    let (world, subject) = (growrun::base::world::Real::default(), Subject::new(SCHEDULE));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    std::fs::write(elsewhere.join("mine.growrun"), "mine").expect("a file");
    let made = Recorder::create(&world, folder.path(), &subject.program, &subject.dataset, Origin::default());
    let mut recorder = made.expect("a writable folder");
    std::os::unix::fs::symlink(&elsewhere, recorder.folder().join("tensorboard")).expect("a link");
    let options = crate::run::compute(1, growrun::tensor::Simd::Auto);
    let ran = growrun::run::execute(&subject.program, &subject.dataset, &options, &world, &mut |event| {
        recorder.consume(event)
    });
    assert!(matches!(ran, Err(growrun::run::Failure::World(error)) if error.code == "G0704"));
    assert_eq!(std::fs::read_dir(&elsewhere).expect("a folder").count(), 1);
}

// --- runs of a comparison

fn begin(subject: &Subject, world: &dyn World, runs: &str, ends: impl FnMut(&Event) -> bool) -> PathBuf {
    let recorder = Recorder::create(world, Path::new(runs), &subject.program, &subject.dataset, Origin::default());
    let recorder = recorder.expect("a writable folder").lean();
    let folder = recorder.folder().to_path_buf();
    subject.train(world, recorder, None, ends);
    folder
}

fn checkpoints(world: &dyn World, run: &Path) -> Vec<String> {
    let folder = run.join("checkpoints");
    let there = world.entry(&folder).expect("readable").is_some();
    if there { world.list(&folder).expect("readable") } else { Vec::new() }
}

#[test]
fn a_lean_run_keeps_what_was_asked_for_and_verifies() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let (full, _) = subject.begin(&world, Path::new("full"), |_| false);
    let run = begin(&subject, &world, "lean", |_| false);
    assert_eq!(file(&world, &run), None);
    assert_eq!(checkpoints(&world, &run), ["kept"]);
    let [full, lean] = [&full, &run].map(|run| load::intact(&world, run).expect("a record"));
    let weights = |record: &growrun::record::schema::Record| record.result.as_ref().and_then(|one| one.weights.clone());
    assert_eq!(weights(&full), weights(&lean));
    assert_eq!(whole(&world, &run), [""; 0]);
}

#[test]
fn a_lean_run_goes_on_after_a_signal_and_lets_go_of_the_checkpoint_at_its_end() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let expected = told(&world, &begin(&subject, &world, "whole", |_| false));
    for at in [0, 1, 10, 23, 40] {
        let ends = |event: &Event| match event {
            Event::Started(_) => at == 0,
            Event::Stepped(stepped) => stepped.step == at,
            _ => false,
        };
        let run = begin(&subject, &world, &at.to_string(), ends);
        assert_eq!(load::intact(&world, &run).expect("a record").status, "interrupted", "{at}");
        assert!(checkpoints(&world, &run).contains(&"interrupted".to_string()), "{at}");
        assert_eq!(whole(&world, &run), [""; 0], "{at}");
        let finish = subject.resume_as(&world, &run, Recorder::lean, |_| false);
        assert_eq!(finish.status, Status::Finished, "{at}");
        assert_eq!(told(&world, &run), expected, "{at}");
        assert_eq!((checkpoints(&world, &run), file(&world, &run)), (vec!["kept".to_string()], None), "{at}");
        assert_eq!(whole(&world, &run), [""; 0], "{at}");
    }
}

#[test]
fn a_lean_run_that_was_killed_before_its_first_checkpoint_begins_again() {
    let (world, subject) = (Memory::new(true), Subject::new(SCHEDULE));
    let expected = told(&world, &begin(&subject, &world, "whole", |_| false));
    let recorder = Recorder::create(&world, Path::new("torn"), &subject.program, &subject.dataset, Origin::default());
    let mut recorder = recorder.expect("a writable folder").lean();
    let run = recorder.folder().to_path_buf();
    let mut steps = 0;
    // The power goes after 17 steps: nothing is told any more.
    let options = crate::run::compute(1, growrun::tensor::Simd::Auto);
    let torn = growrun::run::execute(&subject.program, &subject.dataset, &options, &world, &mut |event| {
        steps += u64::from(matches!(event, Event::Stepped(_)));
        match steps {
            17 => Err(growrun::base::Error::new("write", Path::new("here"), "no power")),
            _ => recorder.consume(event),
        }
    });
    assert!(torn.is_err());
    drop(recorder);
    assert_eq!(checkpoints(&world, &run), [""; 0]);
    assert_eq!(whole(&world, &run), [""; 0]);
    subject.resume_as(&world, &run, Recorder::lean, |_| false);
    assert_eq!(told(&world, &run), expected);
    assert_eq!(whole(&world, &run), [""; 0]);
}

/// What `verify` finds to differ.
fn whole(world: &dyn World, run: &Path) -> Vec<String> {
    let checks = directory(world, run).expect("a record").checks;
    let differs = checks.into_iter().filter(|check| matches!(check.found, Found::Differs(_)));
    differs.map(|check| format!("{check:?}")).collect()
}
