//! Just enough zip for the files of NumPy and PyTorch: stored or deflated entries, found through the central directory.
//!
//! By hand, because the usual crate brings three C compressors along that neither ever uses.

use super::unpacks_to;
use crate::base::Refusal;
use crate::base::text::short;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;

/// What an archive is read as, for the messages about it.
pub struct Purpose {
    pub code: &'static str,
    /// As in "no npz archive".
    pub what: &'static str,
    pub help: &'static str,
    /// What is said of an entry, named `archive/entry`, that unpacks to more than is allowed; also given the bytes
    /// that it takes packed, and the limit that was passed to [`Entry::bytes`].
    pub too_large: fn(&str, usize, u64) -> Refusal,
}

/// Data in an npz.
pub const NPZ: Purpose = Purpose {
    code: "G0718",
    what: "npz archive",
    help: "save it again with NumPy's `savez` or `savez_compressed`",
    too_large: super::bomb,
};

/// A file inside an archive, still packed.
pub struct Entry<'a> {
    pub name: String,
    purpose: &'static Purpose,
    packed: &'a [u8],
    method: u16,
    /// Bytes once unpacked.
    size: u64,
    crc: u32,
}

const END_SIGNATURE: u32 = 0x0605_4B50;
const DIRECTORY_SIGNATURE: u32 = 0x0201_4B50;
const LOCAL_SIGNATURE: u32 = 0x0403_4B50;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// An archive has an entry for each array; this many are read before a directory counts as nonsense.
const ENTRIES_MAX: u16 = 4096;

/// The entries in the order of the directory.
pub fn entries<'a>(name: &str, bytes: &'a [u8], purpose: &'static Purpose) -> Result<Vec<Entry<'a>>, Refusal> {
    let broken = |what: &str| broken(purpose, name, what);
    if bytes.is_empty() {
        return Err(Refusal::error("G0708", format!("`{name}` is empty"), "save the archive again"));
    }
    // The end record is 22 bytes and a comment of at most 65,535.
    let last = bytes.len().checked_sub(22).ok_or_else(|| broken("it is too short for a zip archive"))?;
    let end = (last.saturating_sub(0xFFFF)..=last)
        .rev()
        .find(|&at| u32_at(bytes, at) == Some(END_SIGNATURE))
        .ok_or_else(|| broken("it has no directory of a zip archive"))?;
    let cut = || broken("its directory is cut off");
    let count = u16_at(bytes, end + 10).ok_or_else(cut)?;
    let mut at = u32_at(bytes, end + 16).ok_or_else(cut)? as usize;
    if count > ENTRIES_MAX {
        return Err(broken(&format!("it declares {count} entries; at most {ENTRIES_MAX} are read")));
    }
    let mut entries = Vec::new();
    // Where each entry lies: bytes that several entries share would unpack several times.
    let mut places: Vec<Range<usize>> = Vec::new();
    for _ in 0..count {
        if u32_at(bytes, at) != Some(DIRECTORY_SIGNATURE) {
            return Err(broken("its directory does not lie where it says"));
        }
        let two = |offset: usize| u16_at(bytes, at + offset).ok_or_else(cut);
        let four = |offset: usize| u32_at(bytes, at + offset).ok_or_else(cut);
        let (flags, method, crc) = (two(8)?, two(10)?, four(16)?);
        let (packed_size, size, local) = (four(20)?, four(24)?, four(42)?);
        let (name_length, extra, comment) = (two(28)?, two(30)?, two(32)?);
        let entry = slice(bytes, at + 46, usize::from(name_length)).ok_or_else(cut)?;
        let whole_name = String::from_utf8_lossy(entry).into_owned();
        let entry = short(&whole_name);
        if flags & 1 != 0 {
            return Err(broken(&format!("its entry `{entry}` is encrypted")));
        }
        if method != STORED && method != DEFLATED {
            return Err(broken(&format!(
                "its entry `{}` is packed by method {method}; only deflate is read",
                short(&entry)
            )));
        }
        if [packed_size, size, local].contains(&u32::MAX) {
            return Err(broken(&format!("its entry `{}` is larger than 4 GiB, which is not read", short(&entry))));
        }
        let local = local as usize;
        if u32_at(bytes, local) != Some(LOCAL_SIGNATURE) {
            return Err(broken(&format!("its entry `{}` does not lie where the directory says", short(&entry))));
        }
        let skip = u16_at(bytes, local + 26).zip(u16_at(bytes, local + 28)).ok_or_else(cut)?;
        let start = local + 30 + usize::from(skip.0) + usize::from(skip.1);
        let packed = slice(bytes, start, packed_size as usize)
            .ok_or_else(|| broken(&format!("its entry `{entry}` is cut off")))?;
        places.push(local..start + packed.len());
        entries.push(Entry { name: whole_name, purpose, packed, method, size: u64::from(size), crc });
        at += 46 + usize::from(name_length) + usize::from(extra) + usize::from(comment);
    }
    places.sort_by_key(|place| place.start);
    if places.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Err(broken("two of its entries lie on the same bytes"));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
        return Err(broken(&format!("it has two entries `{}`", short(&twice.name))));
    }
    Ok(entries)
}

impl<'a> Entry<'a> {
    /// All its bytes, checked against their size and checksum.
    pub fn bytes(&self, name: &str, limit: u64) -> Result<Cow<'a, [u8]>, Refusal> {
        let broken = |what: &str| broken(self.purpose, name, what);
        if self.size > unpacks_to(self.packed.len(), limit) {
            return Err((self.purpose.too_large)(&format!("{name}/{}", short(&self.name)), self.packed.len(), limit));
        }
        let out = match self.method {
            STORED => Cow::Borrowed(self.packed),
            _ => Cow::Owned(self.start(name, self.size.saturating_add(1))?),
        };
        if out.len() as u64 != self.size {
            let entry = short(&self.name);
            let what = format!("its entry `{entry}` does not unpack to the {} bytes it declares", self.size);
            return Err(broken(&what));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&out);
        if crc.sum() != self.crc {
            return Err(broken(&format!("its entry `{}` does not have its checksum", short(&self.name))));
        }
        Ok(out)
    }

    /// At most the first `bytes` of it, unchecked.
    pub fn start(&self, name: &str, bytes: u64) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        let read = match self.method {
            STORED => self.packed.take(bytes).read_to_end(&mut out),
            _ => flate2::read::DeflateDecoder::new(self.packed).take(bytes).read_to_end(&mut out),
        };
        read.map_err(|error| {
            let what = format!("its entry `{}` does not unpack: {error}", short(&self.name));
            broken(self.purpose, name, &what)
        })?;
        Ok(out)
    }
}

fn broken(purpose: &Purpose, name: &str, what: &str) -> Refusal {
    let message = format!("`{name}` is no {} that can be read: {what}", purpose.what);
    Refusal::error(purpose.code, message, purpose.help)
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    slice(bytes, at, 2).map(|two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    slice(bytes, at, 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}
