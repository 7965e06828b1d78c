//! NumPy's npz: named arrays in a zip archive, as `numpy.savez` writes them, and as weights leave Keras and Flax.

use super::{Budget, File, Format, Tensor, Values, broken, values};
use crate::base::Refusal;
use crate::base::text::short;
use crate::data::read::npz::{self, Header, Kind};
use crate::data::read::zip::Entry;

/// The arrays in the order of the archive.
pub fn read(name: &str, entries: &[Entry], budget: &mut Budget) -> Result<File, Refusal> {
    if entries.iter().any(|entry| entry.name == "model.weights.h5") {
        let message = format!("`{}` is a whole model of Keras, which is not read", short(name));
        let help = "save its weights with `numpy.savez`: `growrun explain keras` shows how";
        return Err(Refusal::error("G0820", message, help));
    }
    let mut tensors = Vec::new();
    for entry in entries {
        let array = entry.name.strip_suffix(".npy").unwrap_or(&entry.name);
        let bytes = entry.bytes(&short(name), budget.left())?;
        let wrong = |what: String| broken(name, Format::Npz, format!("its array `{}` {what}", short(array)));
        let header = npz::header(&bytes).map_err(|what| wrong(format!("is none: {what}")))?;
        if header.descr.as_deref().is_some_and(|word| word.contains('O')) {
            return Err(objects(name, array));
        }
        let data = &bytes[header.at..];
        let (dtype, values) = numbers(&header, data, budget).map_err(wrong)?;
        budget.name(array).map_err(wrong)?;
        tensors.push(Tensor { name: array.into(), outer: 0, shape: header.shape, dtype, values });
    }
    Ok(File { format: Format::Npz, tensors })
}

fn objects(name: &str, array: &str) -> Refusal {
    let message = format!(
        "the array `{}` of `{}` holds Python objects, which are a program and are never opened",
        short(array),
        short(name)
    );
    Refusal::error("G0821", message, "save arrays of numbers, for instance with `numpy.asarray(x, 'float32')`")
}

/// The values behind a header, and the word for their type.
fn numbers(header: &Header, data: &[u8], budget: &mut Budget) -> Result<(&'static str, Values), String> {
    let declares = |each: usize| {
        if header.bytes(each) == Some(data.len()) {
            return Ok(());
        }
        let shape = &header.shape;
        Err(format!("declares shape {shape:?} of {each} bytes each, but {} bytes follow", data.len()))
    };
    let descr = header.descr.as_deref();
    // Half precision is for weights alone: the reader of data does not know it.
    if let Some(descr @ ("<f2" | ">f2")) = descr {
        declares(2)?;
        budget.take(data.len() / 2, 4)?;
        let half = |bytes: [u8; 2]| values::f16(if descr == ">f2" { [bytes[1], bytes[0]] } else { bytes });
        let values = values::numbers(data, half);
        let values = if header.fortran { npz::row_major(&values, &header.shape) } else { values };
        return Ok(("float16", Values::Numbers(values)));
    }
    let Some((kind, big_endian)) = descr.and_then(npz::kind) else {
        // How long one of these is, is not known; none is shorter than a byte.
        return match header.bytes(1) {
            Some(values) if values <= data.len() => Ok((other(descr), Values::Other)),
            _ => Err(format!("declares shape {:?}, but {} bytes follow", header.shape, data.len())),
        };
    };
    declares(kind.bytes())?;
    let dtype = match kind {
        Kind::Bool => return Ok(("bool", Values::Other)),
        Kind::Signed(1) => "int8",
        Kind::Signed(2) => "int16",
        Kind::Signed(4) => "int32",
        Kind::Signed(_) => "int64",
        Kind::Unsigned(1) => "uint8",
        Kind::Unsigned(2) => "uint16",
        Kind::Unsigned(4) => "uint32",
        Kind::Unsigned(_) => "uint64",
        Kind::Float(4) => "float32",
        Kind::Float(_) => "float64",
    };
    budget.take(data.len() / kind.bytes(), if matches!(kind, Kind::Float(_)) { 4 } else { 8 })?;
    let values = match npz::values(header, kind, big_endian, data) {
        npz::Values::F32(values) => Values::Numbers(values),
        npz::Values::Whole(values) => Values::Whole(values),
        npz::Values::U8(values) => Values::Whole(values.into_iter().map(i64::from).collect()),
    };
    Ok((dtype, values))
}

/// What is listed and not read. NumPy has no bfloat16 and writes that of others as two bytes without a meaning.
fn other(descr: Option<&str>) -> &'static str {
    match descr.map(|word| word.trim_start_matches(['<', '>', '|', '='])) {
        None => "struct",
        Some("V2") => "two bytes without a type",
        Some(word) => match word.as_bytes().first() {
            Some(b'c') => "complex",
            Some(b'U' | b'S' | b'a') => "text",
            Some(b'M' | b'm') => "time",
            _ => "another type",
        },
    }
}
