//! PNG and JPEG: what a picture's first bytes say of it, and its pixels.
//!
//! The kind is told by the content; the name of a file says nothing about it. The header is read by hand, so that what
//! a picture declares is judged before a decoder sees it, and so that the header of a data set costs no decoding. Both
//! decoders are safe code without SIMD of their own and calculate in whole numbers: the same pixels on every machine.

use super::{RATIO_MAX, SMALL, unpacks_to};
use crate::base::Refusal;
use crate::base::text::short;
use crate::data::place::too_large;
use std::io::Cursor;

/// What a picture declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    /// One channel; otherwise three.
    pub grey: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
}

/// Bytes of a file that hold the header of most pictures.
pub const START: u64 = 4096;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xFF\xD8\xFF";

/// What stands at the start of a file with pictures of other kinds, so that the refusal can say which.
const OTHERS: [(&[u8], &str); 6] = [
    (b"GIF8", "a GIF"),
    (b"RIFF", "a WebP"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"PK\x03\x04", "a zip archive"),
];

/// How to mend a file that cannot be read as it is.
const SAVE_AGAIN: &str = "save it again as PNG or JPEG with 8 bits a value, in Python \
                          `Image.open(FILE).convert(\"RGB\").save(\"NEW.png\")` (Pillow), or remove it";

/// Pillow's `convert` cuts such values off instead of scaling them.
const SIXTEEN_BITS: &str = "has 16 bits a value; pictures of 8 are read";
const SAVE_UPPER_BYTES: &str = "keep the upper 8 bits of every value, in Python \
                                `Image.fromarray((numpy.asarray(Image.open(FILE)) >> 8).astype(\"uint8\"))\
                                .save(\"NEW.png\")` (Pillow), or remove it";

/// A picture that cannot be read, and why.
pub fn unreadable(name: &str, why: &str) -> Refusal {
    let help = if why == SIXTEEN_BITS { SAVE_UPPER_BYTES } else { SAVE_AGAIN };
    Refusal::error("G0730", format!("`{name}` {why}"), help)
}

/// The header, or `None` when it goes on beyond these first bytes of a file. `is_all`: there are no more.
pub fn look(name: &str, start: &[u8], is_all: bool) -> Result<Option<Look>, Refusal> {
    if start.is_empty() {
        return Err(unreadable(name, "is empty"));
    }
    let found = if start.starts_with(PNG) {
        png_header(start)
    } else if start.starts_with(JPEG) {
        jpeg_header(start)
    } else {
        let other = OTHERS.iter().find(|(magic, _)| start.starts_with(magic));
        return Err(unreadable(
            name,
            &match other {
                Some((_, what)) => format!("is {what} whatever its name says, not a PNG or JPEG"),
                None => "is neither a PNG nor a JPEG".into(),
            },
        ));
    };
    let found = found.map_err(|why| unreadable(name, &why))?;
    match found {
        Some(look) if look.width == 0 || look.height == 0 => Err(unreadable(name, "has no pixel")),
        None if is_all => Err(unreadable(name, "ends within its header")),
        other => Ok(other),
    }
}

/// The chunk IHDR, which is the first.
fn png_header(start: &[u8]) -> Result<Option<Look>, String> {
    let Some(&[_, _, _, length, b'I', b'H', b'D', b'R', ref rest @ ..]) = start.get(8..29) else {
        return if start.len() < 29 { Ok(None) } else { Err("does not begin with the header of a PNG".into()) };
    };
    let four = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    let (width, height, depth, colour) = (four(0), four(4), rest[8], rest[9]);
    if length != 13 || !matches!(colour, 0 | 2 | 3 | 4 | 6) {
        return Err("has a damaged header".into());
    }
    if depth == 16 {
        // Half of each value would be lost, and which half matters cannot be known.
        return Err(SIXTEEN_BITS.into());
    }
    Ok(Some(Look { width, height, grey: matches!(colour, 0 | 4), kind: Kind::Png }))
}

/// The first segment SOF, behind whatever a camera has written before it.
fn jpeg_header(start: &[u8]) -> Result<Option<Look>, String> {
    let mut at = 2;
    loop {
        let Some(&[0xFF, marker]) = start.get(at..at + 2) else {
            return if start.len() < at + 2 { Ok(None) } else { Err("has damaged segments".into()) };
        };
        if marker == 0xFF {
            // Any number of them may come before a marker.
            at += 1;
            continue;
        }
        let is_frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        if is_frame {
            let Some(&[_, _, precision, h1, h0, w1, w0, components]) = start.get(at + 2..at + 10) else {
                return Ok(None);
            };
            let why = match (marker, precision, components) {
                (0xC0..=0xC2, 8, 1 | 3) => {
                    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                    let (width, height) = (u32::from(width), u32::from(height));
                    return Ok(Some(Look { width, height, grey: components == 1, kind: Kind::Jpeg }));
                }
                (0xC0..=0xC2, 8, 4) => "has four colours of ink (CMYK); grey and RGB are read".into(),
                (0xC0..=0xC2, 8, _) => format!("has {components} channels; one or three are read"),
                (0xC0..=0xC2, ..) => format!("has {precision} bits a value; pictures of 8 are read"),
                _ => "is a JPEG of a kind that is not read: lossless, hierarchical or arithmetic".into(),
            };
            return Err(why);
        }
        if matches!(marker, 0x00 | 0xD0..=0xDA) {
            return Err("has no header before its pixels".into());
        }
        let Some(&[l1, l0]) = start.get(at + 2..at + 4) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        if length < 2 {
            return Err("has damaged segments".into());
        }
        at += 2 + length;
    }
}

impl Look {
    /// Values of the picture as its file has them.
    fn values(&self) -> u64 {
        (u64::from(self.width) * u64::from(self.height)).saturating_mul(if self.grey { 1 } else { 3 })
    }

    /// Refuses a picture that holds more than its file of so many bytes may unpack to, on a machine that can spare
    /// `limit`.
    pub fn bounded(&self, name: &str, packed: u64, limit: u64) -> Result<(), Refusal> {
        let size = usize::try_from(packed).unwrap_or(usize::MAX);
        if self.values() <= unpacks_to(size, limit) {
            return Ok(());
        }
        if unpacks_to(size, u64::MAX) >= limit {
            return Err(too_large(name, limit));
        }
        let (width, height) = (self.width, self.height);
        let message = format!(
            "`{name}` declares {width}×{height} pixels, more than {RATIO_MAX} times its {packed} bytes, as a bomb does"
        );
        Err(Refusal::error("G0705", message, SAVE_AGAIN))
    }
}

/// Appends the pixels of a whole file to `out`, channel by channel, each row by row. A grey picture of which three
/// `channels` are wanted has three equal ones. `look`: what [`look`] said of the same bytes.
pub fn decode(
    name: &str,
    bytes: &[u8],
    look: Look,
    channels: usize,
    limit: u64,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    look.bounded(name, bytes.len() as u64, limit)?;
    let (values, samples) = match look.kind {
        Kind::Png => png_pixels(name, bytes, look, limit)?,
        Kind::Jpeg => jpeg_pixels(name, bytes, look, limit)?,
    };
    let own = if look.grey { 1 } else { 3 };
    assert!(channels == own || look.grey && channels == 3, "three channels do not become one");
    for channel in 0..channels {
        out.extend(values.iter().skip(channel.min(own - 1)).step_by(samples));
    }
    Ok(())
}

/// The pixels as the decoder has them, and how many values each has: alpha may be the last.
fn png_pixels(name: &str, bytes: &[u8], look: Look, limit: u64) -> Result<(Vec<u8>, usize), Refusal> {
    let broken = |error: png::DecodingError| {
        let why = match error {
            png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                "it ends in the middle".to_string()
            }
            other => short(&other.to_string()),
        };
        unreadable(name, &format!("is a broken PNG: {why}"))
    };
    let mut options = png::DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(png::Limits { bytes: usize::try_from(unpacks_to(bytes.len(), limit)).unwrap_or(usize::MAX) });
    // Palettes become RGB, one to four bits become eight.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(broken)?;
    let samples = reader.output_color_type().0.samples();
    let declared = (look.values() / if look.grey { 1 } else { 3 }).saturating_mul(samples as u64);
    let size = reader.output_buffer_size().filter(|&size| size as u64 == declared);
    let size = size.ok_or_else(|| unreadable(name, "is a broken PNG: its header is doubtful"))?;
    let mut values = vec![0; size];
    let frame = reader.next_frame(&mut values).map_err(broken)?;
    if (frame.width, frame.height) != (look.width, look.height) {
        return Err(unreadable(name, "is an animation whose first picture is smaller than the whole"));
    }
    reader.finish().map_err(broken)?;
    Ok((values, samples))
}

/// Scans that a picture may have: encoders make about ten.
const SCANS_MAX: u64 = 100;

fn jpeg_pixels(name: &str, bytes: &[u8], look: Look, limit: u64) -> Result<(Vec<u8>, usize), Refusal> {
    // Each scan goes over the whole picture, however short it is: a few bytes can ask for hours. In the compressed
    // values themselves the marker cannot stand, in a comment it is counted too much.
    let scans = bytes.windows(2).filter(|pair| *pair == [0xFF, 0xDA]).count() as u64;
    let work = look.values().saturating_mul(scans);
    if scans > SCANS_MAX || work > (8 * SMALL).max((bytes.len() as u64).saturating_mul(1000)) {
        let message =
            format!("`{name}` would be gone over {scans} times for its {} bytes, as a bomb does", bytes.len());
        return Err(Refusal::error("G0705", message, SAVE_AGAIN));
    }
    let broken = |error: jpeg_decoder::Error| {
        let why = match error {
            jpeg_decoder::Error::Io(_) => "it ends in the middle".to_string(),
            other => short(&other.to_string()),
        };
        unreadable(name, &format!("is a broken JPEG: {why}"))
    };
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    decoder.set_max_decoding_buffer_size(usize::try_from(unpacks_to(bytes.len(), limit)).unwrap_or(usize::MAX));
    let values = decoder.decode().map_err(broken)?;
    if values.len() as u64 != look.values() {
        return Err(unreadable(name, "is a broken JPEG: its header is doubtful"));
    }
    Ok((values, if look.grey { 1 } else { 3 }))
}
