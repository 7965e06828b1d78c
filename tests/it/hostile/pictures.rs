//! Pictures that declare more than they hold, that are worked on for long, or that are something else.

use super::*;
use crate::data::images::png;

/// A folder of two classes with this picture in each.
fn pictures(name: &str, content: &[u8]) -> Stranger {
    Stranger::new()
        .with(&format!("pets/cat/{name}"), content)
        .with(&format!("pets/dog/{name}"), content)
        .reading("images \"pets\" { batch 2; split train 50% val 50% }")
}

fn small() -> Vec<u8> {
    png(4, 4, png::ColorType::Rgb, 0)
}

/// A PNG whose chunks have the checksums that they should have.
fn png_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in chunks {
        let mut crc = flate2::Crc::new();
        crc.update(*kind);
        crc.update(content);
        out.extend((content.len() as u32).to_be_bytes());
        out.extend(*kind);
        out.extend(*content);
        out.extend(crc.sum().to_be_bytes());
    }
    out
}

fn header(width: u32, height: u32, colour: u8) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, 0]].concat()
}

fn deflated(bytes: &[u8], times: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        encoder.write_all(bytes).expect("into memory");
    }
    encoder.finish().expect("into memory")
}

/// Segments of a JPEG up to its first scan.
fn jpeg(width: u16, height: u16, progressive: bool) -> Vec<u8> {
    let mut out = b"\xFF\xD8\xFF\xDB\0\x43\0".to_vec();
    out.extend([1; 64]);
    out.extend([0xFF, if progressive { 0xC2 } else { 0xC0 }, 0, 17, 8]);
    out.extend([height.to_be_bytes(), width.to_be_bytes()].concat());
    out.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    // One code of one bit, for nothing and for the end of a block.
    for table in [0x00, 0x10] {
        out.extend([0xFF, 0xC4, 0, 20, table, 1]);
        out.extend([0; 16]);
    }
    out
}

/// A scan over all that is there, with the codes of its first few blocks.
fn scan(first: u8, last: u8) -> Vec<u8> {
    match first {
        0 => [&[0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, last, 0], [0; 8].as_slice()].concat(),
        _ => [&[0xFF, 0xDA, 0, 8, 1, 1, 0, first, last, 0], [0; 8].as_slice()].concat(),
    }
}

const END: [u8; 2] = [0xFF, 0xD9];

#[test]
fn png_that_declares_gigabytes() {
    let pixels = deflated(&[0; 1 << 20], 1);
    for (width, height) in [(65_535, 65_535), (1, u32::MAX), (u32::MAX, u32::MAX), (1 << 30, 4), (1 << 15, 1 << 15)] {
        for colour in [0, 2, 3, 6] {
            let file = png_of(&[(b"IHDR", &header(width, height, colour)), (b"IDAT", &pixels), (b"IEND", b"")]);
            pictures("a.png", &file).is_refused("G07");
        }
    }
    // More pixels than are declared: those that are declared are read.
    let zeros = deflated(&[0; 1 << 20], 200);
    let more = png_of(&[(b"IHDR", &header(2, 2, 2)), (b"IDAT", &zeros), (b"IEND", b"")]);
    let text = format!("data images \"pets\" {{ batch 2; split train 50% val 50% }}\n{MODEL}train 1 steps {{ }}\n");
    let ended = pictures("a.png", &more).with("a.grow", text).call(&["a.grow"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn png_with_a_bomb_beside_its_pixels() {
    let zeros = deflated(&[0; 1 << 20], 500);
    let text = [b"Comment\0\0".as_slice(), &zeros].concat();
    for kind in [b"zTXt", b"iCCP"] {
        let file =
            png_of(&[(b"IHDR", &header(4, 4, 3)), (kind, &text), (b"IDAT", &deflated(&[0; 20], 1)), (b"IEND", b"")]);
        // A palette is missing, which is told only once the pixels are read.
        pictures("a.png", &file).is_refused("G0730");
    }
}

#[test]
fn jpeg_that_declares_gigabytes() {
    for progressive in [false, true] {
        let file = [jpeg(65_535, 65_535, progressive), scan(0, 0), END.to_vec()].concat();
        pictures("a.jpg", &file).is_refused("G07");
    }
    // As much as is unpacked of so small a file, in one scan; then gone over again and again.
    let twice = [jpeg(900, 900, true), scan(0, 0), scan(1, 63)].concat();
    let often = [jpeg(900, 900, true), scan(0, 0), scan(1, 63).repeat(5000), END.to_vec()].concat();
    let whole = [jpeg(3000, 3000, false), scan(0, 63).repeat(20), END.to_vec()].concat();
    for (file, code) in [(twice, "G0730"), (often, "G0705"), (whole, "G0")] {
        let text =
            "data images \"pets\" { batch 2; split train 50% val 50% }\nmodel { out dense 2 }\ntrain 1 steps { }\n";
        pictures("a.jpg", &file).with("a.grow", text).is_refused(code);
    }
    // Segments without an end.
    let file = [b"\xFF\xD8".to_vec(), b"\xFF\xE1\xFF\xFF".repeat(1 << 18)].concat();
    pictures("a.jpg", &file).is_refused("G0730");
    pictures("a.jpg", &[b"\xFF\xD8".to_vec(), vec![0xFF; 1 << 20]].concat()).is_refused("G0730");
}

#[test]
fn pictures_that_are_something_else() {
    let zip = b"PK\x03\x04\x14\0\0\0\0\0".as_slice();
    for content in [zip, b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"data", &small()[..40]] {
        for name in ["a.png", "a.jpg"] {
            pictures(name, content).is_refused("G0730");
        }
    }
    pictures("a.webp", b"RIFF").is_refused("G0730");
    // Names that would steer a terminal.
    let told = pictures("\u{1b}[31m\u{202e}.png", b"?").is_refused("G0730");
    assert!(!told.stderr.contains(['\u{1b}', '\u{202e}']), "{}", told.stderr);
}

#[test]
fn thousands_of_folders_and_files() {
    let mut stranger = Stranger::new().reading("images \"pets\" { batch 2 }");
    for class in 0..300 {
        stranger = stranger.with(&format!("pets/{class}/a.png"), small());
    }
    for file in 0..2000 {
        stranger = stranger.with(&format!("pets/0/{file}.png"), b"x");
    }
    stranger.is_refused("G0730");
}

#[cfg(unix)]
#[test]
fn pictures_that_lie_elsewhere() {
    use std::os::unix::fs::symlink;
    let outside = |stranger: &Stranger| stranger.folder.path().join("outside");
    let folder = || {
        let stranger = pictures("a.png", &small()).with("pets/bird/a.png", small());
        std::fs::create_dir(outside(&stranger)).expect("made");
        std::fs::write(outside(&stranger).join("b.png"), small()).expect("written");
        stranger
    };
    let stranger = folder();
    symlink(outside(&stranger), stranger.path("pets/eel")).expect("a link");
    stranger.is_refused("G0704");
    let stranger = folder();
    symlink(outside(&stranger).join("b.png"), stranger.path("pets/dog/b.png")).expect("a link");
    stranger.is_refused("G0704");
    let stranger = folder();
    symlink(outside(&stranger), stranger.path("pets/dog/more")).expect("a link");
    stranger.is_refused("G0704");
    let stranger = folder();
    symlink("..", stranger.path("pets/dog/more")).expect("a link");
    stranger.is_refused("G0704");
    let stranger = folder().reading("images \"pets/../../outside\"");
    stranger.is_refused("G0704");
    let stranger = folder().reading("images \"pets\" { test \"../outside\" }");
    stranger.is_refused("G0704");
    // A pipe would be waited for.
    let stranger = folder();
    let pipe = stranger.path("pets/dog/c.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    stranger.is_refused("G0703");
}
