//! Readers of foreign bytes: text tables, IDX, npz and the gz around them, PNG and JPEG.
//!
//! They take bytes and the name to show, and know no file, no argument and no schedule. Every declared
//! size is checked against the bytes present, in arithmetic that cannot overflow, before memory is taken.

pub mod idx;
pub mod image;
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

/// Bytes that anything may unpack to: a file of this size is small to us however well it was packed, and the
/// labels of MNIST in order are six hundred times smaller once packed.
const SMALL: u64 = 32 << 20;
/// Beyond that, how many bytes one packed byte may become. Deflate ends at 1032; at its fastest level zlib makes a
/// table of zeros 187 times smaller, so its bombs of any level are beyond this. MNIST is at 5, images of which one pixel in a
/// hundred is lit at 40, a table with one 1 among a hundred columns of 0 at 57. One with a thousand such columns
/// reaches 250 and is refused beyond [`SMALL`]: the message says the way round.
const RATIO_MAX: u64 = 100;

/// Bytes that are unpacked between two looks at how many there are.
const CHUNK: u64 = 1 << 20;

/// How many bytes `packed` bytes may unpack to, on a machine that can spare `limit`.
pub fn unpacks_to(packed: usize, limit: u64) -> u64 {
    limit.min(SMALL.max((packed as u64).saturating_mul(RATIO_MAX)))
}

/// What would hold more than [`unpacks_to`] allows.
fn bomb(name: &str, packed: usize, limit: u64) -> Refusal {
    if unpacks_to(packed, u64::MAX) >= limit {
        return too_large(name, limit);
    }
    let message = format!("`{name}` would unpack to more than {RATIO_MAX} times its {packed} bytes, as a bomb does");
    Refusal::error("G0705", message, "if you trust it, unpack it yourself and use the plain file")
}

/// The bytes themselves, or what their gz holds, when that is at most `limit` bytes.
pub fn unpacked<'a>(name: &str, bytes: &'a [u8], limit: u64) -> Result<Cow<'a, [u8]>, Refusal> {
    if !is_gz(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut reader = flate2::bufread::MultiGzDecoder::new(bytes);
    let mut out = Vec::new();
    loop {
        // Asked again and again, because a bomb looks like one long before its end.
        let read = reader.by_ref().take(CHUNK).read_to_end(&mut out).map_err(|error| broken_gz(name, &error))?;
        if read == 0 {
            return Ok(Cow::Owned(out));
        }
        let packed = bytes.len() - reader.get_ref().len();
        if out.len() as u64 > unpacks_to(packed, limit) {
            return Err(bomb(name, packed, limit));
        }
    }
}

fn broken_gz(name: &str, error: &std::io::Error) -> Refusal {
    let cause = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it ends in the middle".to_string(),
        _ => error.to_string(),
    };
    Refusal::error("G0706", format!("`{name}` is a broken gz file: {cause}"), "fetch or pack the file again")
}
