//! npz archives, and random damage to every kind of foreign bytes.

use super::*;
use proptest::prelude::*;

/// A `.npy` with this header text.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A zip archive as Python's zipfile writes it, without its dates.
fn zip(entries: &[(&str, Vec<u8>)], deflate: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let packed = if deflate {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).expect("packs");
            encoder.finish().expect("packs")
        } else {
            content.clone()
        };
        let mut common = Vec::new();
        common.extend([20u16, 0, if deflate { 8 } else { 0 }, 0, 0].map(u16::to_le_bytes).concat());
        common.extend([crc.sum(), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let at = out.len() as u32;
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0u8; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(packed);
    }
    let (at, n) = (out.len() as u32, entries.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([n, n].map(u16::to_le_bytes).concat());
    out.extend([directory.len() as u32, at].map(u32::to_le_bytes).concat());
    out.extend([0, 0]);
    out
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn i64s(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn read(archive: &[u8], given: &[(&'static str, Vec<Value>)]) -> Result<growrun::data::Raw, Refusal> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.npz"), archive).expect("written");
    let given = [&[("path", text("a.npz"))], given].concat();
    at(folder.path(), 0, |place| {
        find("npz").expect("registered").read(&args("npz", &given), place).map_err(|r| without_folder(r, folder.path()))
    })
}

fn classes_of(n: i64) -> (&'static str, Vec<u8>) {
    ("y.npy", npy("'<i8'", false, &format!("({n},)"), &i64s(&(0..n).map(|i| i % 2).collect::<Vec<i64>>())))
}

#[test]
fn arrays_of_every_kind_are_read() {
    let rows: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let expected = Features::F32 { values: rows.clone(), width: 3 };
    let f64s: Vec<u8> = rows.iter().flat_map(|&x| f64::from(x).to_be_bytes()).collect();
    let columns = f32s(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let i16s: Vec<u8> = (0..6i16).flat_map(i16::to_le_bytes).collect();
    for (what, array) in [
        ("f4", npy("'<f4'", false, "(2, 3)", &f32s(&rows))),
        ("big-endian f8", npy("'>f8'", false, "(2, 3)", &f64s)),
        ("Fortran order", npy("'<f4'", true, "(2, 3)", &columns)),
        ("i2", npy("'<i2'", false, "(2, 3)", &i16s)),
    ] {
        for deflate in [false, true] {
            let raw = read(&zip(&[("x.npy", array.clone()), classes_of(2)], deflate), &[]).expect(what);
            assert_eq!(raw.examples.features, expected, "{what}");
            assert_eq!(raw.examples.labels, Labels::Classes(vec![0, 1]), "{what}");
        }
    }
    let negative = npy("'|i1'", false, "(2,)", &[0xFF, 1]);
    let raw = read(&zip(&[("x.npy", negative), classes_of(2)], false), &[]).expect("one feature");
    assert_eq!(raw.examples.features, Features::F32 { values: vec![-1.0, 1.0], width: 1 });

    // [n, height, width, channels] = [2, 1, 2, 3] becomes channel by channel.
    let pixels = npy("'|u1'", false, "(2, 1, 2, 3)", &(0..12).collect::<Vec<u8>>());
    let archive = zip(&[("x.npy", pixels), classes_of(2)], true);
    let raw = read(&archive, &[("layout", word("nhwc"))]).expect("channels last");
    assert_eq!((raw.header.inputs, raw.header.area), (3, Some((1, 2))));
    let values = vec![0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
    assert_eq!(raw.examples.features, Features::U8 { values, width: 6 });
    let raw = read(&archive, &[("layout", word("nchw"))]).expect("channels first");
    assert_eq!((raw.header.inputs, raw.header.area), (1, Some((2, 3))));
    assert_eq!(read(&archive, &[]).expect_err("ambiguous").code, "G0721");

    // Column-major: the first index runs fastest, whatever the layout.
    let turned: Vec<u8> = (0..12u8).map(|at| 6 * (at % 2) + 3 * (at / 2 % 2) + at / 4).collect();
    let archive = zip(&[("x.npy", npy("'|u1'", true, "(2, 1, 2, 3)", &turned)), classes_of(2)], true);
    let raw = read(&archive, &[("layout", word("nhwc"))]).expect("Fortran order");
    let values = vec![0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
    assert_eq!(raw.examples.features, Features::U8 { values, width: 6 });
    let rows_of_pixels = npy("'<f4'", false, "(2, 2, 3)", &f32s(&(0..12).map(|i| i as f32).collect::<Vec<f32>>()));
    let archive = zip(&[("x.npy", rows_of_pixels), classes_of(2)], true);
    let raw = read(&archive, &[]).expect("three dimensions");
    assert_eq!((raw.header.inputs, raw.header.area), (1, Some((2, 3))), "one channel");
    let refusal = read(&archive, &[("layout", word("nhwc"))]).expect_err("a layout of three dimensions");
    let told = "`a.npz/x` has shape [2, 2, 3], which has no `nhwc`";
    assert_eq!((refusal.code, refusal.argument, refusal.message.as_str()), ("G0721", Some("layout"), told));

    let targets = ("t.npy", npy("'<f4'", false, "(2, 2)", &f32s(&[1.0, 2.0, 3.0, 4.0])));
    let x = ("x.npy", npy("'<f4'", false, "(2, 3)", &f32s(&rows)));
    let raw = read(&zip(&[x.clone(), targets], true), &[("y", text("t"))]).expect("regression");
    assert_eq!((raw.header.task, raw.header.outputs), (Task::Regression, 2));
    let entries = [x.clone(), classes_of(2), ("u.npy", x.1.clone()), ("v.npy", npy("'|u1'", false, "(2,)", &[1, 1]))];
    let raw = read(&zip(&entries, true), &[("x_test", text("u")), ("y_test", text("v"))]).expect("a test part");
    assert_eq!(raw.header.test_examples, Some(2));
}

#[test]
fn channels_that_look_like_rows_are_doubted() {
    let source = find("npz").expect("registered");
    let header = |inputs, area| Header {
        examples: 2,
        test_examples: None,
        inputs,
        area,
        task: Task::Classification,
        outputs: 2,
        class_names: Vec::new(),
    };
    let doubt =
        |layout: &str, inputs, area| source.doubt(&args("npz", &[("layout", word(layout))]), &header(inputs, area));
    for (layout, inputs, area) in [("nchw", 32, (32, 3)), ("nchw", 28, (28, 1)), ("nhwc", 32, (3, 32))] {
        let warning = doubt(layout, inputs, Some(area)).expect("it looks swapped");
        assert_eq!((warning.code, warning.argument), ("G0733", Some("layout")));
    }
    let told = doubt("nchw", 32, Some((32, 3))).expect("it looks swapped");
    assert_eq!(told.message, "pictures of 32×3 pixels in 32 channels look like 32×32 in 3 channels");
    assert_eq!(told.help, "write `layout nhwc`, or leave it if it is meant so");
    for (layout, inputs, area) in [
        ("nchw", 3, (32, 32)),
        ("nhwc", 3, (32, 32)),
        ("nchw", 64, (32, 3)),
        ("nchw", 3, (3, 3)),
        ("nchw", 32, (32, 32)),
    ] {
        assert_eq!(doubt(layout, inputs, Some(area)), None, "{layout} {inputs} {area:?}");
    }
    assert_eq!(source.doubt(&args("npz", &[]), &header(784, None)), None);
    let idx = find("idx").expect("registered").doubt(&args("idx", &[]), &header(32, Some((32, 3)))).expect("swapped");
    assert_eq!((idx.code, idx.argument), ("G0733", Some("path")));
}

#[test]
fn mistakes_in_archives_are_told() {
    let x = || ("x.npy", npy("'<f4'", false, "(2, 1)", &f32s(&[0.0, 1.0])));
    let y = |shape: &str, values: &[i64]| ("y.npy", npy("'<i8'", false, shape, &i64s(values)));
    let with_x = |array: Vec<u8>| zip(&[("x.npy", array), classes_of(2)], true);
    let mut lying = zip(&[x(), classes_of(2)], false);
    let at = lying.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory") + 24;
    lying[at..at + 4].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    let mut flipped = zip(&[x(), classes_of(2)], false);
    let at = flipped.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory") + 16;
    flipped[at] ^= 1;
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (vec![], "G0708", "`a.npz` is empty"),
        (b"not a zip archive at all".to_vec(), "G0718", "it has no directory of a zip archive"),
        (flipped, "G0718", "its entry `x.npy` does not have its checksum"),
        (zip(&[x()], false), "G0719", "`a.npz` holds no array `y`"),
        (zip(&[("x.npy", b"text".to_vec()), classes_of(2)], false), "G0718", "`a.npz/x` is no NumPy array"),
        (with_x(npy("'|O'", false, "(2,)", b"pickle")), "G0720", "holds Python objects"),
        (with_x(npy("[('a', '<f4')]", false, "(2,)", &[0; 8])), "G0720", "holds values of type struct"),
        (with_x(npy("'<c8'", false, "(2,)", &[0; 16])), "G0720", "holds values of type <c8"),
        (with_x(npy("'<f4'", false, "(3, 1)", &f32s(&[0.0, 1.0]))), "G0721", "but 8 bytes follow"),
        (with_x(npy("'<f4'", false, "(4294967296, 4294967296, 4)", &[])), "G0721", "but 0 bytes follow"),
        (with_x(npy("'<f4'", false, "()", &f32s(&[0.0]))), "G0721", "features have examples along the first dimension"),
        (with_x(npy("'<f4'", false, "(2, 1)", &f32s(&[0.0, f32::NAN]))), "G0710", "holds NaN in row 1"),
        (zip(&[x(), classes_of(3)], false), "G0717", "the array of `x` has 2 examples, but that of `y` has 3"),
        (zip(&[x(), y("(2,)", &[0, -1])], false), "G0714", "holds -1 in row 1, which is no class"),
        (zip(&[x(), y("(2,)", &[0, 1 << 40])], false), "G0714", "holds 1099511627776 in row 1"),
        (zip(&[x(), y("(2,)", &[3, 3])], false), "G0713", "holds only one class, 3"),
        (zip(&[x(), y("(2, 2)", &[0, 1, 1, 0])], false), "G0721", "classes are one number an example"),
        (with_x(npy(&"(".repeat(60_000), false, "(2,)", &[])), "G0720", "struct"),
    ];
    for (archive, code, message) in cases {
        let refusal = read(&archive, &[]).expect_err(message);
        assert!(refusal.code == code && refusal.message.contains(message), "{code} {message}: {refusal}");
        assert!(refusal.argument.is_some() && !refusal.help.is_empty(), "{refusal}");
    }
    // A size that lies is refused for what it is or as too large, by the memory of the machine.
    assert!(["G0705", "G0718"].contains(&read(&lying, &[]).expect_err("lies").code));
}

/// Eight mebibytes of zeros in eight kibibytes: what unpacks to more than it declares stops there.
#[test]
fn a_bomb_stops_at_the_size_that_it_declares() {
    let zeros = vec![0u8; 8 << 20];
    let mut bomb = zip(&[("x.npy", zeros.clone()), classes_of(2)], true);
    let at = bomb.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory") + 24;
    bomb[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
    let refusal = read(&bomb, &[]).expect_err("a bomb");
    assert!(refusal.message.contains("does not unpack to the 100 bytes it declares"), "{refusal}");

    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&idx_bytes(&[20, 2, 3], &zeros)).expect("packs");
    let labels = idx_bytes(&[20], &(0..20).map(|i| i % 2).collect::<Vec<u8>>());
    let files = [("train-images-idx3-ubyte.gz", gz.finish().expect("packs")), ("train-labels-idx1-ubyte", labels)];
    let refusal = idx_folder(&files).expect_err("a bomb");
    assert!(refusal.message.ends_with("that is 120 bytes, but more follow"), "{refusal}");
}

/// A valid file with some bytes changed, some cut off.
fn damaged(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = original.len();
    (prop::collection::vec((0..n, any::<u8>()), 0..8), 0..=n).prop_map(move |(changes, length)| {
        let mut bytes = original.clone();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if length % 3 == 0 {
            bytes.truncate(length);
        }
        bytes
    })
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).expect("packs");
    gz.finish().expect("packs")
}

fn sample_archive() -> Vec<u8> {
    let x = npy("'<f8'", true, "(4, 2)", &[0; 64]);
    zip(&[("x.npy", x), classes_of(4)], true)
}

fn sample_images() -> Vec<u8> {
    idx_bytes(&[4, 2, 2], &(0..16).collect::<Vec<u8>>())
}

const SAMPLE_TABLE: &str = "a,b,kind\n1,2,x\n3,\"4\",y\n5,6e2,x\n7,8,y\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_table_panics(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged(SAMPLE_TABLE.into()),
        damaged(gz(SAMPLE_TABLE.as_bytes())),
        "[0-9a,;\t\"\n.naif-]{0,80}".prop_map(String::into_bytes),
    ]) {
        let _ = table(bytes, &[]);
    }

    #[test]
    fn no_idx_panics(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged(sample_images()),
        damaged(gz(&sample_images())),
    ]) {
        let labels = idx_bytes(&[4], &[0, 1, 0, 1]);
        let _ = idx_folder(&[("train-images-idx3-ubyte", bytes.clone()), ("train-labels-idx1-ubyte", labels)]);
        let _ = idx_folder(&[("train-images-idx3-ubyte", sample_images()), ("train-labels-idx1-ubyte", bytes)]);
    }

    #[test]
    fn no_archive_panics(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged(sample_archive()),
    ]) {
        let _ = read(&bytes, &[]);
    }

    /// The checksum stops most damage before the array's header, so that is damaged inside a sound archive.
    #[test]
    fn no_array_panics(array in damaged(npy("'<f8'", true, "(4, 2)", &[0; 64]))) {
        let _ = read(&zip(&[("x.npy", array), classes_of(4)], false), &[]);
    }
}
