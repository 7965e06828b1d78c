//! IDX, the format of MNIST: `0 0 TYPE NDIM`, NDIM sizes as big-endian u32, then the values.

use super::{bomb, broken_gz, is_gz, unpacks_to};
use crate::base::Refusal;
use crate::data::place::too_large;
use std::io::Read;

/// An array of bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<u8>,
}

/// Bytes of a file, packed or not, that hold the longest header.
pub const START: u64 = 4096;

const DIMENSIONS_MAX: usize = 4;

/// The whole array. `limit` bounds what it may unpack to.
pub fn read(name: &str, bytes: &[u8], limit: u64) -> Result<Array, Refusal> {
    let mut reader = reader(bytes);
    let (shape, declared) = read_shape(name, bytes, &mut reader, limit)?;
    if is_gz(bytes) && declared > unpacks_to(bytes.len(), limit) {
        return Err(bomb(name, bytes.len(), limit));
    }
    let mut values = Vec::new();
    // One byte more than declared shows that something follows.
    reader.take(declared + 1).read_to_end(&mut values).map_err(|error| broken_gz(name, &error))?;
    let present = values.len() as u64;
    if present < declared {
        return Err(lies(name, &shape, declared, &format!("only {present} follow")));
    }
    if present > declared {
        return Err(lies(name, &shape, declared, "more follow"));
    }
    Ok(Array { shape, values })
}

/// The sizes alone, from the first [`START`] bytes of a file. `limit` bounds what they may declare, as in [`read`].
pub fn shape(name: &str, start: &[u8], limit: u64) -> Result<Vec<usize>, Refusal> {
    Ok(read_shape(name, start, &mut reader(start), limit)?.0)
}

fn reader(bytes: &[u8]) -> Box<dyn Read + '_> {
    if is_gz(bytes) { Box::new(flate2::read::MultiGzDecoder::new(bytes)) } else { Box::new(bytes) }
}

/// The sizes, and how many values they declare: at most `limit`.
fn read_shape(name: &str, bytes: &[u8], reader: &mut dyn Read, limit: u64) -> Result<(Vec<usize>, u64), Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::error("G0708", format!("`{name}` is empty"), "fetch the file again"));
    }
    let mut word = || -> Result<[u8; 4], Refusal> {
        let mut word = [0; 4];
        match reader.read_exact(&mut word) {
            Ok(()) => Ok(word),
            Err(error) if is_gz(bytes) => Err(broken_gz(name, &error)),
            Err(_) => Err(Refusal::error(
                "G0716",
                format!("`{name}` ends within its header"),
                "fetch the file again; it was cut off",
            )),
        }
    };
    let [zero, nought, kind, dimensions] = word()?;
    if (zero, nought) != (0, 0) {
        return Err(Refusal::error(
            "G0715",
            format!("`{name}` is no IDX file: it begins with {zero:#04x} {nought:#04x}, not with two zeros"),
            "name a file in MNIST's format; tables are read by `data csv`, NumPy's archives by `data npz`",
        ));
    }
    if kind != 8 {
        return Err(Refusal::error(
            "G0715",
            format!("`{name}` holds values of IDX type {kind:#04x}; only bytes (0x08) are read"),
            "save other values as npz and use `data npz`",
        ));
    }
    if dimensions == 0 || usize::from(dimensions) > DIMENSIONS_MAX {
        return Err(Refusal::error(
            "G0715",
            format!("`{name}` declares {dimensions} dimensions; 1 to {DIMENSIONS_MAX} are read"),
            "name a file in MNIST's format",
        ));
    }
    let mut shape = Vec::with_capacity(DIMENSIONS_MAX);
    for _ in 0..dimensions {
        // u32 fits usize on every machine that we run on.
        shape.push(u32::from_be_bytes(word()?) as usize);
    }
    let declared = count(name, &shape)?;
    if declared > limit {
        return Err(too_large(name, limit));
    }
    Ok((shape, declared))
}

/// How many values the sizes declare.
fn count(name: &str, shape: &[usize]) -> Result<u64, Refusal> {
    shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent as u64)).ok_or_else(|| {
        Refusal::error(
            "G0716",
            format!("`{name}` declares sizes {shape:?}, more than any file can hold"),
            "fetch the file again; its header is damaged",
        )
    })
}

fn lies(name: &str, shape: &[usize], declared: u64, truth: &str) -> Refusal {
    Refusal::error(
        "G0716",
        format!("`{name}` declares sizes {shape:?}, that is {declared} bytes, but {truth}"),
        "fetch the file again; it was cut off or its header is damaged",
    )
}
