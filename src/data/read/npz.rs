//! NumPy's arrays: `\x93NUMPY`, version, a header that reads like a Python dict, then the values.
//!
//! The header is taken apart by hand: it needs three keys, and a general parser of Python literals can be
//! driven into a stack overflow by brackets. Object arrays are pickles and are never opened.

use super::zip;
use crate::base::Refusal;
use crate::base::text::short;

/// What the header of an array says, and where it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The type of a value as NumPy writes it, `<f4`; `None` for a structure of several.
    pub descr: Option<String>,
    pub fortran: bool,
    pub shape: Vec<usize>,
    /// Where the values begin.
    pub at: usize,
}

/// Type of a value; the number is its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
}

impl Kind {
    pub fn bytes(self) -> usize {
        match self {
            Kind::Bool => 1,
            Kind::Signed(bytes) | Kind::Unsigned(bytes) | Kind::Float(bytes) => bytes,
        }
    }
}

/// Values in row-major order, whatever the file has.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    U8(Vec<u8>),
    Whole(Vec<i64>),
    F32(Vec<f32>),
}

const DIMENSIONS_MAX: usize = 8;

/// The entry that holds array `wanted`, or a refusal that lists what there is.
pub fn entry<'a, 'b>(name: &str, entries: &'a [zip::Entry<'b>], wanted: &str) -> Result<&'a zip::Entry<'b>, Refusal> {
    let arrays = || entries.iter().map(|entry| entry.name.strip_suffix(".npy").unwrap_or(&entry.name));
    arrays().position(|array| array == wanted).map(|at| &entries[at]).ok_or_else(|| {
        let listed: Vec<String> = arrays().take(20).map(|array| format!("`{}`", short(array))).collect();
        let help = match crate::data::place::nearest(wanted, arrays()) {
            Some(near) => format!("did you mean `{}`?", short(near)),
            None if listed.is_empty() => "save arrays with `savez(FILE, x=…, y=…)`".into(),
            None => format!("it holds {}", listed.join(", ")),
        };
        Refusal::error("G0719", format!("`{name}` holds no array `{wanted}`"), help)
    })
}

/// Reads the header at the start of an entry; otherwise says why this is no NumPy array.
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("it does not begin as one".into());
    }
    let cut = || "it is cut off".to_string();
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (from, length) = match version {
        1 => (10, usize::from(u16::from_le_bytes([byte(bytes, 8), byte(bytes, 9)]))),
        2 | 3 => {
            let length = u32::from_le_bytes([byte(bytes, 8), byte(bytes, 9), byte(bytes, 10), byte(bytes, 11)]);
            (12, length as usize)
        }
        _ => return Err(format!("version {version} of the format is not known")),
    };
    // NumPy itself reads no longer ones unless told to.
    const HEADER_BYTES_MAX: usize = 1 << 16;
    let long = || "its header is cut off or too long".to_string();
    if length > HEADER_BYTES_MAX {
        return Err(long());
    }
    let at = from + length;
    let text = bytes.get(from..at).ok_or_else(long)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text".to_string())?;

    let fortran = match value_of(text, "fortran_order") {
        Some(value) if value.starts_with("True") => true,
        Some(value) if value.starts_with("False") => false,
        _ => return Err("its header has no `fortran_order`".into()),
    };
    let shape = value_of(text, "shape")
        .and_then(|value| value.strip_prefix('('))
        .and_then(|value| value.split_once(')'))
        .ok_or_else(|| "its header has no `shape`".to_string())?
        .0
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(|extent| {
            extent.trim_end_matches('L').parse::<usize>().map_err(|_| "its shape is no list of sizes".to_string())
        })
        .collect::<Result<Vec<usize>, String>>()?;
    if shape.len() > DIMENSIONS_MAX {
        return Err(format!("it has {} dimensions", shape.len()));
    }
    let descr = value_of(text, "descr").ok_or_else(|| "its header has no `descr`".to_string())?;
    let quoted = descr.strip_prefix(['\'', '"']).and_then(|rest| rest.split_once(['\'', '"']));
    let descr = quoted.map(|(word, _)| word.to_string());
    Ok(Header { descr, fortran, shape, at })
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// What follows `'key':` in the header.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let after = ['\'', '"'].iter().find_map(|quote| text.split_once(&format!("{quote}{key}{quote}")))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

/// `<f4` is (Float(4), little-endian).
pub fn kind(word: &str) -> Option<(Kind, bool)> {
    let (big_endian, rest) = match word.as_bytes().first()? {
        b'>' => (true, &word[1..]),
        b'<' | b'|' | b'=' => (false, &word[1..]),
        _ => (false, word),
    };
    let kind = match rest {
        "b1" | "?" => Kind::Bool,
        "i1" => Kind::Signed(1),
        "i2" => Kind::Signed(2),
        "i4" => Kind::Signed(4),
        "i8" => Kind::Signed(8),
        "u1" => Kind::Unsigned(1),
        "u2" => Kind::Unsigned(2),
        "u4" => Kind::Unsigned(4),
        "u8" => Kind::Unsigned(8),
        "f4" => Kind::Float(4),
        "f8" => Kind::Float(8),
        _ => return None,
    };
    Some((kind, big_endian))
}

/// The values of an entry whose bytes are all there. `shown` names archive and array.
pub fn array(shown: &str, bytes: &[u8]) -> Result<Array, Refusal> {
    let header = header(bytes).map_err(|what| {
        let message = format!("`{shown}` is no NumPy array: {what}");
        Refusal::error("G0718", message, "save it again with NumPy's `savez` or `savez_compressed`")
    })?;
    let descr = header.descr.as_deref();
    let (kind, big_endian) = descr.and_then(kind).ok_or_else(|| match descr {
        Some(word) if word.contains('O') => Refusal::error(
            "G0720",
            format!("`{shown}` holds Python objects, which are a program and are never opened"),
            "convert it to an array of numbers, for instance with `astype('float32')`",
        ),
        _ => Refusal::error(
            "G0720",
            format!("`{shown}` holds values of type {}, which is not read", short(descr.unwrap_or("struct"))),
            "convert it with `astype('float32')`, or `astype('int64')` for classes",
        ),
    })?;
    let data = &bytes[header.at..];
    if header.bytes(kind.bytes()) != Some(data.len()) {
        return Err(Refusal::error(
            "G0721",
            format!(
                "`{shown}` declares shape {:?} of {} bytes each, but {} bytes follow",
                header.shape,
                kind.bytes(),
                data.len()
            ),
            "save it again with NumPy's `savez`",
        ));
    }
    let values = values(&header, kind, big_endian, data);
    Ok(Array { shape: header.shape, values })
}

impl Header {
    /// Bytes of all values of so many each, as far as they can be counted.
    pub fn bytes(&self, each: usize) -> Option<usize> {
        self.shape.iter().try_fold(each, |product, &extent| product.checked_mul(extent))
    }
}

/// The values in row-major order, out of as many bytes as [`Header::bytes`] says.
pub fn values(header: &Header, kind: Kind, big_endian: bool, data: &[u8]) -> Values {
    let word = |chunk: &[u8]| -> u64 {
        let fold = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        if big_endian { chunk.iter().fold(0, fold) } else { chunk.iter().rev().fold(0, fold) }
    };
    let words = data.chunks_exact(kind.bytes()).map(word);
    let values = match kind {
        Kind::Unsigned(1) => Values::U8(data.to_vec()),
        Kind::Bool => Values::U8(data.iter().map(|&byte| u8::from(byte != 0)).collect()),
        Kind::Float(4) => Values::F32(words.map(|bits| f32::from_bits(bits as u32)).collect()),
        Kind::Float(_) => Values::F32(words.map(|bits| f64::from_bits(bits) as f32).collect()),
        // Past i64 a class or a pixel is nonsense anyway; it is refused as out of range, not wrapped.
        Kind::Unsigned(_) => Values::Whole(words.map(|bits| i64::try_from(bits).unwrap_or(i64::MAX)).collect()),
        Kind::Signed(bytes) => {
            let unused = 64 - 8 * bytes as u32;
            Values::Whole(words.map(|bits| (bits << unused) as i64 >> unused).collect())
        }
    };
    match values {
        values if !header.fortran => values,
        Values::U8(values) => Values::U8(row_major(&values, &header.shape)),
        Values::Whole(values) => Values::Whole(row_major(&values, &header.shape)),
        Values::F32(values) => Values::F32(row_major(&values, &header.shape)),
    }
}

/// Column-major values in row-major order.
pub fn row_major<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let order: Vec<usize> = (0..shape.len()).collect();
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    gathered(values, shape, &strides, &order)
}

/// The values of an array with these strides, its dimensions walked in `order`, the last one fastest.
pub fn gathered<T: Copy>(values: &[T], shape: &[usize], strides: &[usize], order: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0usize; order.len()];
    for _ in 0..values.len() {
        let at: usize = order.iter().zip(&index).map(|(&dim, &i)| strides[dim] * i).sum();
        out.push(values[at]);
        for (place, &dim) in order.iter().enumerate().rev() {
            index[place] += 1;
            if index[place] < shape[dim] {
                break;
            }
            index[place] = 0;
        }
    }
    out
}
