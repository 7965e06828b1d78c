//! Event files for TensorBoard in a run's `tensorboard/`: `tensorboard --logdir runs` shows all runs, those that go on
//! too. A view of metrics.jsonl and of the events, and no part of the record: nothing reads it back, `verify` and
//! `pack` leave it alone, and it is synced once, at the end. When a run is resumed, the file is made anew from the lines of
//! metrics.jsonl and the events that stay, so it never tells what was undone. Only growth that a rollback threw away is
//! missing from then on: the record has forgotten it, too.
//!
//! A scalar is an f32, although TensorBoard's types know f64: its data server, which it uses unless told otherwise,
//! passes over scalars that are not f32. The exact number stands in metrics.jsonl; what is not finite stands there as
//! `null` and here as NaN.
//!
//! A record is `u64 length, masked crc32c, bytes, masked crc32c`, and its bytes are the protobuf message `Event`. Of
//! four small messages we write a dozen fields, all of them lists of (number, kind, bytes): prost would need a generated
//! file that is longer than the functions below, and the checksum is a table and a loop.

use super::lines::Line;
use super::names::TENSORBOARD;
use super::schema::{self, Record};
use crate::base::World;
use crate::base::world::{Appender, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Lines of `log every` wait until so many bytes are there, an evaluation comes, or a growth.
const WAITING_MAX: usize = 1 << 14;

/// The event file of a run while it grows.
pub(super) struct Events<'w> {
    world: &'w dyn World,
    folder: PathBuf,
    file: Box<dyn Appender>,
    /// Not written yet.
    waiting: Waiting,
    /// Seconds since 1970 when the world's own clock stood at 0.
    epoch: f64,
}

impl<'w> Events<'w> {
    /// Makes the file, in the place of every one that an earlier session left. `told`: the lines of metrics.jsonl that
    /// stay; the record has the events that do.
    pub fn begin(world: &'w dyn World, run: &Path, record: &Record, told: &[u8]) -> Result<Events<'w>> {
        let folder = run.join(TENSORBOARD);
        // Fails where a link stands in its place.
        world.entry_beneath(run, Path::new(TENSORBOARD))?;
        world.create_folder(&folder)?;
        let now = world.epoch_seconds();
        let name = format!("events.out.tfevents.{now}{ENDING}");
        let mut file = world.create(&folder.join(&name))?;
        let mut waiting = history(record, told);
        file.append(&waiting.bytes)?;
        // What follows goes on counting the growths of the step.
        waiting.bytes.clear();
        for other in world.list(&folder)? {
            if other.ends_with(ENDING) && other != name {
                world.remove_file(&folder.join(&other))?;
            }
        }
        let epoch = now as f64 - world.seconds();
        Ok(Events { world, folder, file, waiting, epoch })
    }

    fn now(&self) -> f64 {
        self.epoch + self.world.seconds()
    }

    /// An evaluation, shown at once.
    pub fn evaluated(&mut self, line: &Line) -> Result<()> {
        self.waiting.line(self.now(), line);
        self.flush()
    }

    /// A line of `log every`.
    pub fn logged(&mut self, line: &Line) -> Result<()> {
        self.waiting.line(self.now(), line);
        if self.waiting.bytes.len() < WAITING_MAX { Ok(()) } else { self.flush() }
    }

    pub fn grown(&mut self, event: &schema::Event) -> Result<()> {
        self.waiting.grown(self.now(), event);
        self.flush()
    }

    pub fn rolled_back(&mut self, rollback: &schema::Rollback) -> Result<()> {
        self.waiting.rolled_back(self.now(), rollback);
        self.flush()
    }

    /// The run has ended, and nobody will make the file again: it is to survive a power cut.
    pub fn end(&mut self) -> Result<()> {
        self.flush()?;
        self.file.sync()?;
        self.world.sync_folder(&self.folder)
    }

    /// Hands all that waits to the system.
    fn flush(&mut self) -> Result<()> {
        if self.waiting.bytes.is_empty() {
            return Ok(());
        }
        self.file.append(&self.waiting.bytes)?;
        self.waiting.bytes.clear();
        Ok(())
    }
}

/// What our event files end in. TensorBoard looks for `tfevents`.
const ENDING: &str = ".growrun";

/// The file of a run that stands where its record and its lines do.
fn history(record: &Record, told: &[u8]) -> Waiting {
    let mut all = Waiting::default();
    let mut wall = record.host.started as f64;
    let (started, mut version) = (wall, event(wall, 0));
    bytes(&mut version, 3, b"brain.Event:2");
    all.record(&version);
    // Whoever has shown an earlier file of this run forgets it.
    let mut start = event(wall, 0);
    bytes(&mut start, 7, &[8, 1]);
    all.record(&start);
    all.text(wall, 0, "schedule/text_summary", &schedule(&record.schedule));
    let (mut events, mut rollbacks) = (record.events.iter().peekable(), record.rollbacks.iter().peekable());
    let lines = told.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    for line in lines {
        let step = super::lines::step(&line);
        while let Some(event) = events.next_if(|event| event.step < step) {
            all.grown(wall, event);
        }
        while let Some(rollback) = rollbacks.next_if(|rollback| rollback.step < step) {
            all.rolled_back(wall, rollback);
        }
        // Lines of `log every` have no time of their own.
        wall = line.get("seconds").and_then(Value::as_f64).map_or(wall, |seconds| started + seconds);
        all.line(wall, &line);
    }
    events.for_each(|event| all.grown(wall, event));
    rollbacks.for_each(|rollback| all.rolled_back(wall, rollback));
    all
}

/// Records, one behind the other.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The step of the last growth, and how many there have been at it.
    growth: (u64, usize),
}

impl Waiting {
    /// The scalars of a line of metrics.jsonl, all in one event.
    fn line(&mut self, wall: f64, line: &Line) {
        let mut summary = Vec::new();
        for (key, value) in line {
            let number = match value {
                Value::Null => f64::NAN,
                value => value.as_f64().unwrap_or(f64::NAN),
            };
            let Some(tag) = tag(key) else { continue };
            let mut one = Vec::new();
            bytes(&mut one, 1, tag.as_bytes());
            fixed32(&mut one, 2, (number as f32).to_bits());
            bytes(&mut summary, 1, &one);
        }
        let mut event = event(wall, super::lines::step(line));
        bytes(&mut event, 5, &summary);
        self.record(&event);
    }

    fn grown(&mut self, wall: f64, event: &schema::Event) {
        self.growth = match self.growth {
            (step, count) if step == event.step => (step, count + 1),
            _ => (event.step, 1),
        };
        // The data server keeps one value of a tag and step.
        let tag = match self.growth.1 {
            1 => "growth/text_summary".to_string(),
            count => format!("growth/text_summary_{count}"),
        };
        self.text(wall, event.step, &tag, &growth(event));
    }

    fn rolled_back(&mut self, wall: f64, rollback: &schema::Rollback) {
        let schema::Rollback { step, back_to, factor } = rollback;
        let text = format!("diverged at step {step}: back to step {back_to} with {factor} times the learning rate");
        self.text(wall, *step, "rollback/text_summary", &text);
    }

    /// Markdown, as the text plugin shows it.
    fn text(&mut self, wall: f64, step: u64, tag: &str, markdown: &str) {
        const DT_STRING: u64 = 7;
        const DATA_CLASS_TENSOR: u64 = 2;
        let mut tensor = Vec::new();
        number(&mut tensor, 1, DT_STRING);
        // Its shape: no dimension at all.
        bytes(&mut tensor, 2, &[]);
        bytes(&mut tensor, 8, markdown.as_bytes());
        let (mut plugin, mut metadata) = (Vec::new(), Vec::new());
        bytes(&mut plugin, 1, b"text");
        bytes(&mut metadata, 1, &plugin);
        number(&mut metadata, 4, DATA_CLASS_TENSOR);
        let mut value = Vec::new();
        bytes(&mut value, 1, tag.as_bytes());
        bytes(&mut value, 8, &tensor);
        bytes(&mut value, 9, &metadata);
        let (mut event, mut summary) = (event(wall, step), Vec::new());
        bytes(&mut summary, 1, &value);
        bytes(&mut event, 5, &summary);
        self.record(&event);
    }

    fn record(&mut self, event: &[u8]) {
        let length = (event.len() as u64).to_le_bytes();
        self.bytes.extend(length);
        self.bytes.extend(masked_crc32c(&length).to_le_bytes());
        self.bytes.extend(event);
        self.bytes.extend(masked_crc32c(event).to_le_bytes());
    }
}

/// TensorBoard's name of a number in metrics.jsonl: `val_accuracy` is `val/accuracy`.
fn tag(key: &str) -> Option<String> {
    match key {
        "step" | "seconds" | "confusion" => None,
        "lr" | "parameters" | "flops" | "epoch" => Some(key.into()),
        "batch_loss" => Some("train/batch_loss".into()),
        metric => Some(metric.replacen('_', "/", 1)),
    }
}

/// The files of the schedule as code.
fn schedule(files: &[schema::File]) -> String {
    let mut text = String::new();
    for file in files {
        text.push_str(&format!("{}\n\n", cell(&file.name)));
        file.text.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
        text.push('\n');
    }
    text
}

/// What a growth did, promised and kept.
fn growth(event: &schema::Event) -> String {
    let what = if event.detail.is_empty() { &event.target } else { &event.detail };
    let bound = event.bound.map_or_else(String::new, |bound| format!(" ≤ {bound:.1e}"));
    let held = if event.held { "" } else { ", BROKEN" };
    let rows = [
        ("target", event.target.clone()),
        ("method", event.method.clone()),
        ("promise", format!("{}{bound}{held}", event.promise)),
        ("because", event.rule.clone()),
        ("drift", format!("{:.1e}", event.drift)),
        ("parameters", format!("{} → {}", event.parameters_before, event.parameters_after)),
        ("network", event.shape.clone()),
        ("epoch", format!("{:.2}", event.epoch)),
    ];
    let mut text = format!("**{}** {}\n\n| | |\n|---|---|\n", event.action, cell(what));
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("| {name} | {} |\n", cell(value)));
    }
    text
}

/// A text that stays within its line and its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

// --- protobuf: a field is its number and kind, then what it holds

fn event(wall: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    varint(&mut event, 1 << 3 | 1);
    event.extend(wall.to_le_bytes());
    number(&mut event, 2, step);
    event
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn fixed32(out: &mut Vec<u8>, field: u64, bits: u32) {
    varint(out, field << 3 | 5);
    out.extend(bits.to_le_bytes());
}

/// Seven bits a byte, the lowest first; the eighth says that more come.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

// --- the checksum

/// The remainders of Castagnoli's polynomial, bits reversed.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut rest, mut bit) = (byte as u32, 0);
        while bit < 8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0x82f6_3b78 } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

fn crc32c(content: &[u8]) -> u32 {
    !content.iter().fold(!0, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8)
}

/// As TensorFlow writes it, so that checksums of checksums are no fixed points.
fn masked_crc32c(content: &[u8]) -> u32 {
    crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn the_bytes_are_those_that_tensorboard_itself_would_write() {
        let mut all = Waiting::default();
        let line = r#"{"confusion":[[1]],"lr":0.001,"seconds":9.0,"step":300,"val_loss":0.3}"#;
        all.line(1.5, &serde_json::from_str(line).expect("a line"));
        all.rolled_back(2.5, &schema::Rollback { step: 7, back_to: 2, factor: 0.5 });
        let hex: String = all.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Made by the classes of the Python package tensorboard 2.21 and its `masked_crc32c`.
        let theirs = "\
            2a00000000000000ae8d91f509000000000000f83f10ac022a1c0a090a026c72156f12833a0a0f0a0876616c2f6c6f737315\
            9a99993ef4fedb2e7d0000000000000061558d7e09000000000000044010072a700a6e0a15726f6c6c6261636b2f74657874\
            5f73756d6d61727942490807120042436469766572676564206174207374657020373a206261636b20746f20737465702032\
            207769746820302e352074696d657320746865206c6561726e696e6720726174654a0a0a060a04746578742002f79259ab";
        assert_eq!(hex, theirs);
    }
}
