//! Readers of foreign bytes: text tables, IDX, npz and the gz around them.
//!
//! They take bytes and the name to show, and know no file, no argument and no schedule. Every declared
//! size is checked against the bytes present, in arithmetic that cannot overflow, before memory is taken.

pub mod idx;
pub mod npz;
pub mod table;
pub mod zip;

use super::place::too_large;
use crate::base::Refusal;
use std::borrow::Cow;
use std::io::Read;

/// Whether the bytes begin as gzip does.
pub fn is_gz(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B])
}

/// The bytes themselves, or what their gz holds, when that is at most `limit` bytes.
pub fn unpacked<'a>(name: &str, bytes: &'a [u8], limit: u64) -> Result<Cow<'a, [u8]>, Refusal> {
    if !is_gz(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = Vec::new();
    // One byte more than allowed tells a file at the limit from a bomb.
    flate2::read::MultiGzDecoder::new(bytes)
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|error| broken_gz(name, &error))?;
    if out.len() as u64 > limit { Err(too_large(name, limit)) } else { Ok(Cow::Owned(out)) }
}

fn broken_gz(name: &str, error: &std::io::Error) -> Refusal {
    let cause = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it ends in the middle".to_string(),
        _ => error.to_string(),
    };
    Refusal::error("G0706", format!("`{name}` is a broken gz file: {cause}"), "fetch or pack the file again")
}
