//! npz: a zip archive of numpy's arrays, as `numpy.savez` writes it. Nothing is packed, and every date is the archive
//! format's first day, so that the same tensors give the same bytes.

use super::named::{Named, Values, too_large};
use super::{Exported, File, Target};
use crate::base::text::short;
use crate::base::{Doc, Refusal};
use crate::data::read::{npz, zip};

/// 1980-01-01 as MS-DOS writes a date: the first there is.
const DATE: u16 = 0x0021;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 2.0: the version of the format that plain files need.
const VERSION: u16 = 20;

/// Tensors in the order of the archive. Refused past 4 GB and 65,535 tensors, where the plain format ends.
pub fn write(tensors: &[Named]) -> Result<Vec<u8>, Refusal> {
    let all: u64 = tensors.iter().map(|tensor| tensor.bytes() as u64 + 1024 + 3 * tensor.name.len() as u64).sum();
    if all > u64::from(u32::MAX) || tensors.len() > usize::from(u16::MAX) {
        return Err(too_large("npz", all, u32::MAX.into()));
    }
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let size = |n: usize| u32::try_from(n).expect("the sum was compared");
    for tensor in tensors {
        let name = format!("{}.npy", tensor.name);
        let content = npy(tensor);
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        // What both headers hold: flags, method, time, date, checksum, sizes, lengths of name and extra.
        let mut common = Vec::new();
        for field in [VERSION, FLAGS, 0, 0, DATE] {
            common.extend(field.to_le_bytes());
        }
        for field in [crc.sum(), size(content.len()), size(content.len())] {
            common.extend(field.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).map_err(|_| name_too_long(&tensor.name))?.to_le_bytes());
        common.extend(0u16.to_le_bytes());
        let offset = size(out.len());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.bytes());
        out.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // Comment, disk and attributes: none.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (begin, length) = (size(out.len()), size(directory.len()));
    let count = u16::try_from(tensors.len()).expect("compared above").to_le_bytes();
    out.append(&mut directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend([length.to_le_bytes(), begin.to_le_bytes()].concat());
    out.extend([0, 0]);
    Ok(out)
}

/// The same, read back and compared.
pub fn checked(tensors: &[Named]) -> Result<Vec<u8>, Refusal> {
    let content = write(tensors)?;
    let entries = zip::entries("the export", &content, &zip::NPZ)?;
    for tensor in tensors {
        let entry = npz::entry("the export", &entries, &tensor.name)?;
        let array = npz::array(&tensor.name, &entry.bytes("the export", u64::MAX)?)?;
        let same = match (&tensor.values, &array.values) {
            (Values::F32(values), npz::Values::F32(found)) => {
                values.iter().map(|x| x.to_bits()).eq(found.iter().map(|x| x.to_bits()))
            }
            (Values::I64(values), npz::Values::Whole(found)) => values.iter().eq(found),
            _ => false,
        };
        if !same || array.shape != tensor.shape {
            let message = format!("`{}` does not read back as it was written", short(&tensor.name));
            return Err(Refusal::error("G0803", message, "report this, with the run's record"));
        }
    }
    Ok(content)
}

fn name_too_long(name: &str) -> Refusal {
    let message = format!("the name `{}` is too long for an archive", short(name));
    Refusal::error("G0802", message, "export to safetensors, which has no such bound")
}

/// One array with numpy's header, version 1.0.
fn npy(tensor: &Named) -> Vec<u8> {
    let descr = match tensor.values {
        Values::F32(_) => "<f4",
        Values::I64(_) => "<i8",
    };
    let extents: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    // A tuple of one has a comma.
    let shape = if extents.len() == 1 { format!("({},)", extents[0]) } else { format!("({})", extents.join(", ")) };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version, length, header and a line's end make a multiple of 64.
    let before = 10 + header.len() + 1;
    header.push_str(&" ".repeat(before.next_multiple_of(64) - before));
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend(u16::try_from(header.len()).expect("a shape of few dimensions is short").to_le_bytes());
    out.extend(header.bytes());
    tensor.append(&mut out);
    out
}

pub struct Npz;

static DOC: Doc = Doc {
    word: "npz",
    help: "the weights as numpy's arrays, for Keras, JAX and anything that reads numpy",
    args: &[],
    one_of: &[],
    example: "growrun export runs/first-growth/0001 --to npz",
    source: "",
};

impl Target for Npz {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn extension(&self) -> Option<&'static str> {
        Some("npz")
    }

    fn files(&self, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal> {
        super::tensor_files(exported, stem, "npz", checked)
    }

    fn checked(&self) -> Option<&'static str> {
        Some("the tensors read back with the same bits")
    }

    fn next(&self, main: &str) -> String {
        format!(
            "`numpy.load(\"{main}\")` in Python; weights are [out, in], so a dense layer is `x @ weight.T + bias`; those of convolutions are [out, in, height, width]"
        )
    }
}
