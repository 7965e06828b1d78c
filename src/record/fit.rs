//! Keeps run.yaml within what its reader takes: a mebibyte, however many events, checkpoints and growths there are.

use super::schema::Record;
use super::yaml;

/// What a schedule may take of it, in bytes.
const SCHEDULE_BYTES_MAX: usize = 900 << 10;

/// Whether the record of a run that begins has room for what the run will add.
pub fn leaves_room(record: &Record) -> bool {
    let mut least = record.clone();
    least.resolved.cut_events(0);
    yaml::write(&least).len() <= SCHEDULE_BYTES_MAX
}

/// The record as text. One that is too long loses first what can be had elsewhere: tensors' digests of old checkpoints
/// (their own files have them), then old checkpoints, then events.
pub fn write(record: &Record) -> String {
    /// Room for the digest in the last line.
    const BYTES_MAX: usize = yaml::BYTES_MAX as usize - 1000;
    let text = yaml::write(record);
    if text.len() <= BYTES_MAX {
        return text;
    }
    let mut record = record.clone();
    for left in [64, 8, 0] {
        let old = record.checkpoints.len().saturating_sub(left);
        record.checkpoints[..old].iter_mut().for_each(|checkpoint| checkpoint.tensors.clear());
        let text = yaml::write(&record);
        if text.len() <= BYTES_MAX {
            return text;
        }
        // One is left in any case: the next one is counted and chained from it.
        record.checkpoints.drain(..record.checkpoints.len().saturating_sub(4 * left + 1));
        record.resolved.cut_events(16 * left);
        let kept = record.events.len().min(4 * left);
        record.events_left_out += (record.events.len() - kept) as u64;
        record.events.truncate(kept);
    }
    yaml::write(&record)
}
