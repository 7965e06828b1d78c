//! The files of CIFAR-10: records of a label and 3 · 32 · 32 values, channel by channel.

use super::*;
use crate::base::world::Entry;
use crate::data::place::{Found, too_large};

const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: &str = "test_batch.bin";
/// Where the published archive puts them.
const INSIDE: &str = "cifar-10-batches-bin";

const CHANNELS: usize = 3;
const SIDE: usize = 32;
const VALUES: usize = CHANNELS * SIDE * SIDE;
const RECORD: usize = 1 + VALUES;

/// As in `batches.meta.txt`, which is therefore not needed.
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Where the files are, and how many records each has.
struct Files {
    train: Vec<(Found, usize)>,
    test: (Found, usize),
}

/// From the sizes of the files alone.
pub fn header(folder: &Found, argument: &'static str, place: &Place) -> Result<Header, Refusal> {
    let files = files(folder, argument, place)?;
    Ok(describe(&files))
}

pub fn read(folder: &Found, argument: &'static str, place: &Place) -> Result<Raw, Refusal> {
    let files = files(folder, argument, place)?;
    let header = describe(&files);
    let mut packed: Vec<(&str, Vec<u8>)> = Vec::new();
    for ((file, records), name) in files.train.iter().chain([&files.test]).zip(TRAIN.iter().chain([&TEST])) {
        let bytes = place.bytes(file, argument)?;
        if bytes.len() != records * RECORD {
            return Err(misshapen(name, bytes.len() as u64).at(argument));
        }
        packed.push((name, bytes));
    }
    let (train, test) = packed.split_at(TRAIN.len());
    let part = |files: &[(&str, Vec<u8>)]| part(files).map_err(|refusal| blame(refusal, argument));
    let (examples, test) = (part(train)?, part(test)?);
    let (digest, bytes, read) = digest(packed.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
    Ok(Raw { header, examples, test: Some(test), digest, bytes, files: read })
}

fn files(folder: &Found, argument: &'static str, place: &Place) -> Result<Files, Refusal> {
    let inside = folder.join(INSIDE);
    let folder = match place.entry(&inside, argument)? {
        Some(Entry::Folder) => &inside,
        _ => folder,
    };
    let sized = |name: &str| -> Result<(Found, usize), Refusal> {
        let file = folder.join(name);
        let Some(Entry::File { bytes }) = place.entry(&file, argument)? else {
            // The caller knows where the files are published.
            return Err(Refusal::error("G0701", format!("there is no `{name}`"), "").at(argument));
        };
        if bytes > place.budget() {
            return Err(too_large(name, place.budget()).at(argument));
        }
        match usize::try_from(bytes) {
            Ok(size) if size > 0 && size % RECORD == 0 => Ok((file, size / RECORD)),
            _ => Err(misshapen(name, bytes).at(argument)),
        }
    };
    let train = TRAIN.iter().map(|name| sized(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(Files { train, test: sized(TEST)? })
}

fn describe(files: &Files) -> Header {
    let examples = files.train.iter().map(|(_, records)| records).sum();
    Header {
        test_examples: Some(files.test.1),
        area: Some((SIDE, SIDE)),
        class_names: CLASSES.map(String::from).to_vec(),
        ..vectors(examples, CHANNELS, Task::Classification, CLASSES.len())
    }
}

fn misshapen(name: &str, bytes: u64) -> Refusal {
    let message = format!("`{name}` has {bytes} bytes, which is no whole number of records of {RECORD} bytes");
    let help = "fetch the binary version again: each published file has 30730000 bytes, that is 10000 records";
    Refusal::error("G0716", message, help)
}

fn part(files: &[(&str, Vec<u8>)]) -> Result<Part, Refusal> {
    let records: usize = files.iter().map(|(_, bytes)| bytes.len() / RECORD).sum();
    let mut values = Vec::with_capacity(records * VALUES);
    let mut labels = Vec::with_capacity(records);
    for (name, bytes) in files {
        for (at, record) in bytes.chunks_exact(RECORD).enumerate() {
            let (&label, pixels) = record.split_first().expect("a record has a label");
            if usize::from(label) >= CLASSES.len() {
                let message = format!("`{name}`: the label of record {at} is {label}, but there are ten classes");
                return Err(Refusal::error("G0714", message, "fetch the binary version again; this is not its file"));
            }
            labels.push(u32::from(label));
            values.extend_from_slice(pixels);
        }
    }
    Ok(Part { features: Features::U8 { values, width: VALUES }, labels: Labels::Classes(labels) })
}
