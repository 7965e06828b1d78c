//! Data files that declare more than they hold, and archives that hold more than they look.

use super::*;
use std::io::Write;

/// An IDX header: unsigned bytes of these extents.
fn idx(extents: &[u32]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, extents.len() as u8];
    extents.iter().for_each(|extent| out.extend(extent.to_be_bytes()));
    out
}

/// `bytes`, then so many times `block`, as gz.
fn gz(bytes: &[u8], block: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("into memory");
    for _ in 0..times {
        encoder.write_all(block).expect("into memory");
    }
    encoder.finish().expect("into memory")
}

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// Labels of two classes for so many images.
fn labels(n: u32) -> Vec<u8> {
    let mut out = idx(&[n]);
    out.extend((0..n).map(|example| (example % 2) as u8));
    out
}

#[test]
fn idx_that_declares_gigabytes() {
    let files = |images: Vec<u8>, labels: Vec<u8>| {
        Stranger::new().with(IMAGES, images).with(LABELS, labels).reading("idx \".\" { batch 2 }")
    };
    let short = |extents: &[u32]| [idx(extents), vec![0; 60]].concat();
    files(short(&[1 << 30, 2, 2]), labels(4)).is_refused("G0717");
    files(short(&[20, 1 << 14, 1 << 14]), labels(20)).is_refused("G0");
    files(short(&[20, 1 << 10, 1 << 10]), labels(20)).is_refused("G0716");
    files(short(&[20, u32::MAX, u32::MAX]), labels(20)).is_refused("G0");
    files(short(&[4, 2, 2]), short(&[u32::MAX])).is_refused("G07");
    files(short(&[u32::MAX, 1, 1]), short(&[u32::MAX])).is_refused("G07");
}

#[test]
fn idx_in_gz_that_is_a_bomb() {
    let zeros = vec![0; 1 << 20];
    // A GiB of labels, and a GiB of images in a header that tells the truth.
    let bomb = gz(&idx(&[1 << 30]), &zeros, 1 << 10);
    let files = |images: Vec<u8>, labels: Vec<u8>| {
        let images_gz = format!("{IMAGES}.gz");
        let labels_gz = format!("{LABELS}.gz");
        Stranger::new().with(&images_gz, images).with(&labels_gz, labels).reading("idx \".\" { batch 2 }")
    };
    let told = files(gz(&idx(&[4, 2, 2]), &[7; 16], 1), bomb).is_refused("G0705");
    assert!(told.stderr.contains("unpack it yourself"), "{}", told.stderr);
    let images = gz(&idx(&[1024, 1024, 1024]), &zeros, 1 << 10);
    files(images, gz(&labels(1024), &[], 0)).is_refused("G0705");
    // Only a header, and a whole bomb behind a modest header.
    files(gz(&idx(&[20, 1 << 14, 1 << 14]), &[], 0), gz(&labels(20), &[], 0)).is_refused("G0");
    files(gz(&idx(&[20, 2, 2]), &zeros, 1 << 10), gz(&labels(20), &[], 0)).is_refused("G0716");
}

#[test]
fn csv_in_gz_that_is_a_bomb() {
    let rows = b"0,0,0,0,0,0,0\n".repeat(1 << 16);
    for bomb in [gz(b"a,b,c,d,e,f,g\n", &rows, 1 << 10), gz(b"", &vec![b'a'; 1 << 20], 1 << 10), gz(b"", &rows, 300)] {
        Stranger::new().with("a.csv", bomb).reading("csv \"a.csv\"").is_refused("G0705");
    }
    // A gz in a gz in a gz is unpacked once, and that is no table.
    let nested = (0..3).fold(vec![b'0'; 1 << 20], |inner, _| gz(&inner, &[], 0));
    Stranger::new().with("a.csv", nested).reading("csv \"a.csv\"").is_refused("G07");
    // Many members, each of them small.
    let members = gz(b"", &vec![0; 1 << 20], 1).repeat(2000);
    Stranger::new().with("a.csv", members).reading("csv \"a.csv\"").is_refused("G0705");
}

#[test]
fn tables_of_one_piece() {
    for piece in ["\"", ",", "\n", ",\n", "a,", "\0", "0,1\n\"", ";\t,"] {
        let table = piece.repeat((1 << 20) / piece.len());
        println!("{piece:?}");
        Stranger::new().with("a.csv", table).reading("csv \"a.csv\"").is_refused("G07");
    }
}

/// One file of a zip archive, packed by deflate unless `stored`.
#[derive(Clone)]
struct Entry {
    name: &'static str,
    packed: Vec<u8>,
    stored: bool,
    size: u32,
    crc: u32,
    /// Where its local header lies, when it shares that of another.
    at: Option<u32>,
}

impl Entry {
    fn stored(name: &'static str, content: &[u8]) -> Entry {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Entry { name, packed: content.into(), stored: true, size: content.len() as u32, crc: crc.sum(), at: None }
    }

    /// `head`, then so many bytes of 0.
    fn deflated(name: &'static str, head: &[u8], zeros: usize) -> Entry {
        let block = vec![0; 1 << 20];
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        let mut crc = flate2::Crc::new();
        encoder.write_all(head).expect("into memory");
        crc.update(head);
        for _ in 0..zeros >> 20 {
            encoder.write_all(&block).expect("into memory");
            crc.update(&block);
        }
        let packed = encoder.finish().expect("into memory");
        Entry { name, packed, stored: false, size: (head.len() + zeros) as u32, crc: crc.sum(), at: None }
    }

    /// What local header and directory have in common.
    fn common(&self) -> Vec<u8> {
        let mut out = vec![20, 0, 0, 0, if self.stored { 0 } else { 8 }, 0, 0, 0, 0, 0];
        out.extend(self.crc.to_le_bytes());
        out.extend((self.packed.len() as u32).to_le_bytes());
        out.extend(self.size.to_le_bytes());
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend([0, 0]);
        out
    }
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = entry.at.unwrap_or(out.len() as u32);
        if entry.at.is_none() {
            out.extend(b"PK\x03\x04");
            out.extend(entry.common());
            out.extend(entry.name.bytes());
            out.extend(&entry.packed);
        }
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(entry.common());
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(entry.name.bytes());
    }
    let (at, length, count) = (out.len() as u32, directory.len() as u32, entries.len() as u16);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// The header of a NumPy array of bytes.
fn npy(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", (text.len() as u16).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn reads_npz(entries: &[Entry]) -> Stranger {
    Stranger::new().with("a.npz", zip(entries)).reading("npz \"a.npz\" { batch 2 }")
}

#[test]
fn an_honest_archive_is_read() {
    let x = [npy("20, 2"), (0..40).collect()].concat();
    let y = [npy("20,"), [0, 1].repeat(10)].concat();
    let stranger = reads_npz(&[Entry::deflated("x.npy", &x, 0), Entry::stored("y.npy", &y)]);
    assert_eq!(stranger.call(&["check", "a.grow"]).code, Some(0));
}

#[test]
fn npz_that_declares_gigabytes() {
    let y = Entry::stored("y.npy", &[npy("4,"), vec![0, 1, 0, 1]].concat());
    for shape in ["4294967296,", "65536, 65536", "18446744073709551615, 18446744073709551615", &"9,".repeat(20_000)] {
        println!("{}", &shape[..shape.len().min(40)]);
        reads_npz(&[Entry::stored("x.npy", &npy(shape)), y.clone()]).is_refused("G07");
    }
    // The archive itself declares what its entry unpacks to.
    let mut lying = Entry::deflated("x.npy", &npy("4, 2"), 0);
    lying.size = u32::MAX - 1;
    reads_npz(&[lying.clone(), y.clone()]).is_refused("G0705");
    lying.stored = true;
    reads_npz(&[lying, y.clone()]).is_refused("G07");
}

#[test]
fn npz_that_is_a_bomb() {
    let y = Entry::stored("y.npy", &[npy("4,"), vec![0, 1, 0, 1]].concat());
    let bomb = Entry::deflated("x.npy", &npy("4, 268435456"), 1 << 30);
    reads_npz(&[bomb.clone(), y.clone()]).is_refused("G0705");
    // It declares less than it unpacks to.
    let modest = Entry { size: 1000, ..bomb.clone() };
    reads_npz(&[modest, y.clone()]).is_refused("G0718");
    // Entries that share one another's bytes, and two of one name.
    let shared = Entry { name: "y.npy", at: Some(0), ..Entry::deflated("x.npy", &npy("4, 2"), 0) };
    reads_npz(&[Entry::deflated("x.npy", &npy("4, 2"), 0), shared]).is_refused("lie on the same bytes");
    reads_npz(&[y.clone(), y.clone()]).is_refused("two entries `y.npy`");
    // An archive in an archive is no array.
    let inner = zip(&[bomb]);
    reads_npz(&[Entry::stored("x.npy", &inner), y]).is_refused("G0718");
}
