//! MXNet's `.params`: a list of arrays and a list of their names, as `nd.save`, `save_parameters` and `export` write
//! it. The format of an array has changed three times; all four are read.

use super::{Budget, File, Format, Tensor, Values, broken, values};
use crate::base::Refusal;

const LIST: u64 = 0x112;
/// First words of an array. What is none of them is the number of dimensions, as before 0.11.
const V1: u32 = 0xF993_FAC8;
const V2: u32 = 0xF993_FAC9;
/// With the shapes of NumPy, where an array without dimensions is a number and not nothing.
const V3: u32 = 0xF993_FACA;
/// As many as MXNet and NumPy can have.
const DIMENSIONS_MAX: u32 = 32;

/// Whether the bytes begin as a list of arrays.
pub fn begins(content: &[u8]) -> bool {
    let mut cursor = Cursor(content);
    cursor.u64() == Ok(LIST) && cursor.u64() == Ok(0)
}

/// The arrays in the order of the file. One without a name is named by its place.
pub fn read(name: &str, content: &[u8], budget: &mut Budget) -> Result<File, Refusal> {
    let tensors = list(content, budget).map_err(|what| broken(name, Format::MxNet, what))?;
    Ok(File { format: Format::MxNet, tensors })
}

fn list(content: &[u8], budget: &mut Budget) -> Result<Vec<Tensor>, String> {
    // Behind the first two words, which `begins` has seen.
    let mut cursor = Cursor(content.get(16..).unwrap_or_default());
    let arrays = cursor.u64()?;
    let mut tensors = Vec::new();
    for number in 0..arrays {
        let tensor = array(&mut cursor, budget).map_err(|what| format!("its array {number} {what}"))?;
        tensors.push(tensor);
    }
    let names = cursor.u64()?;
    if names != arrays && names != 0 {
        return Err(format!("it has {arrays} arrays, but {names} names"));
    }
    for (number, tensor) in tensors.iter_mut().enumerate() {
        tensor.name = if names == 0 { number.to_string() } else { text(&mut cursor)? };
        budget.take(tensor.name.len(), 1).map_err(|what| format!("its arrays {what}"))?;
    }
    match cursor.0.len() {
        0 => Ok(tensors),
        more => Err(format!("{more} bytes follow its end")),
    }
}

fn text(cursor: &mut Cursor) -> Result<String, String> {
    let length = cursor.u64()?;
    let bytes = cursor.bytes(length)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| "one of its names is no text".to_string())
}

/// An array, still without its name. What is wrong continues "its array N …".
fn array(cursor: &mut Cursor, budget: &mut Budget) -> Result<Tensor, String> {
    // What a hostile file is made of: arrays of nothing, which take more memory than bytes.
    budget.name("")?;
    let cut = |what| move |_| format!("is cut off in its {what}");
    let version = cursor.u32().map_err(cut("beginning"))?;
    if matches!(version, V2 | V3) {
        match cursor.u32().map_err(cut("beginning"))? {
            0 => {}
            kind @ (1 | 2) => {
                let kind = if kind == 1 { "row_sparse" } else { "csr" };
                return Err(format!("is sparse ({kind}); save `x.tostype('default')`"));
            }
            kind => return Err(format!("is stored in a way {kind} that is not known")),
        }
    }
    let wide = matches!(version, V1..=V3);
    let dimensions = if wide { cursor.u32().map_err(cut("shape"))? } else { version };
    // Nothing but a shape that says so: of no dimensions, or with NumPy's shapes of -1.
    let nothing = if version == V3 { dimensions == u32::MAX } else { dimensions == 0 || dimensions == u32::MAX };
    let none = Tensor { name: String::new(), outer: 0, shape: Vec::new(), dtype: "nothing", values: Values::Other };
    if nothing && wide || dimensions == 0 && version != V3 {
        return Ok(none);
    }
    if dimensions > DIMENSIONS_MAX {
        return Err(format!("declares {dimensions} dimensions"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let extent = if wide { cursor.u64() } else { cursor.u32().map(u64::from) }.map_err(cut("shape"))?;
        // -1 is an extent that MXNet does not know yet.
        let extent = i64::try_from(extent).ok().and_then(|extent| usize::try_from(extent).ok());
        shape.push(extent.ok_or("has an extent that is not known")?);
    }
    // The device that it was on, with its number.
    cursor.u64().map_err(cut("header"))?;
    let number = cursor.u32().map_err(cut("header"))?;
    let Some(&(_, dtype, each)) = TYPES.iter().find(|(known, _, _)| *known == number) else {
        return Err(format!("is of type {number}, which is not known"));
    };
    let count = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let data = count.and_then(|count| count.checked_mul(each)).and_then(|bytes| cursor.bytes(bytes as u64).ok());
    let data = data
        .ok_or_else(|| format!("declares shape {shape:?} of {each} bytes each, but {} bytes follow", cursor.0.len()))?;
    let values = converted(dtype, data, budget)?;
    Ok(Tensor { name: String::new(), outer: 0, shape, dtype, values })
}

/// The numbers of the types, and the bytes of a value.
const TYPES: &[(u32, &str, usize)] = &[
    (0, "float32", 4),
    (1, "float64", 8),
    (2, "float16", 2),
    (3, "uint8", 1),
    (4, "int32", 4),
    (5, "int8", 1),
    (6, "int64", 8),
    (7, "bool", 1),
    (8, "int16", 2),
    (9, "uint16", 2),
    (10, "uint32", 4),
    (11, "uint64", 8),
    (12, "bfloat16", 2),
];

fn converted(dtype: &str, data: &[u8], budget: &mut Budget) -> Result<Values, String> {
    use values::{bf16, f16, numbers, whole};
    let each = TYPES.iter().find(|(_, word, _)| *word == dtype).map_or(1, |(_, _, each)| *each);
    budget.take(data.len() / each, if dtype.contains("float") { 4 } else { 8 })?;
    Ok(match dtype {
        "float32" => Values::Numbers(numbers(data, f32::from_le_bytes)),
        "float64" => Values::Numbers(numbers(data, |bytes| f64::from_le_bytes(bytes) as f32)),
        "float16" => Values::Numbers(numbers(data, f16)),
        "bfloat16" => Values::Numbers(numbers(data, bf16)),
        "uint8" => Values::Whole(numbers(data, |bytes| u8::from_le_bytes(bytes).into())),
        "int8" => Values::Whole(numbers(data, |bytes| i8::from_le_bytes(bytes).into())),
        "int16" => Values::Whole(numbers(data, |bytes| i16::from_le_bytes(bytes).into())),
        "uint16" => Values::Whole(numbers(data, |bytes| u16::from_le_bytes(bytes).into())),
        "int32" => Values::Whole(numbers(data, |bytes| i32::from_le_bytes(bytes).into())),
        "uint32" => Values::Whole(numbers(data, |bytes| u32::from_le_bytes(bytes).into())),
        "int64" => Values::Whole(numbers(data, i64::from_le_bytes)),
        "uint64" => Values::Whole(numbers(data, |bytes| whole(u64::from_le_bytes(bytes)))),
        _ => Values::Other,
    })
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).ok();
        let Some((bytes, rest)) = length.and_then(|length| self.0.split_at_checked(length)) else {
            return Err("it is cut off".into());
        };
        self.0 = rest;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.bytes(8)?.try_into().expect("eight bytes")))
    }
}
