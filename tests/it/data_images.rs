//! Pictures: the kinds of PNG and JPEG, folders of classes, CIFAR-10, and layouts of arrays.

use super::*;
use std::fmt::Write as _;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    std::fs::read(folder.join(name)).expect("a fixture")
}

/// A PNG of so many pixels; its values count from `first` on.
pub fn png(width: u32, height: u32, colour: png::ColorType, first: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(colour);
    let values: Vec<u8> =
        (0..width as usize * height as usize * colour.samples()).map(|i| first.wrapping_add(i as u8)).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&values)).expect("into memory");
    out
}

fn grey(first: u8) -> Vec<u8> {
    png(2, 3, png::ColorType::Grayscale, first)
}

fn rgb(first: u8) -> Vec<u8> {
    png(2, 3, png::ColorType::Rgb, first)
}

/// Files in folders.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, Vec<u8>)]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(name, content)| folder.put(name, content));
        folder
    }

    fn put(&self, name: &str, content: &[u8]) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("beneath the folder")).expect("made");
        std::fs::write(path, content).expect("written");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).expect("it was there");
    }

    /// Header and contents, which agree.
    fn read(&self, given: &[(&'static str, Vec<Value>)]) -> Result<growrun::data::Raw, Refusal> {
        let given = [&[("path", text("d"))], given].concat();
        let source = find("images").expect("registered");
        at(self.0.path(), 0, |place| {
            let args = args("images", &given);
            let header = source.header(&args, place);
            let raw = source.read(&args, place);
            match (&header, &raw) {
                (Ok(header), Ok(raw)) => assert_eq!(*header, raw.header),
                (Err(header), Err(raw)) => assert_eq!(header, raw),
                (Ok(_), Err(_)) => {}
                (Err(refusal), Ok(_)) => panic!("read what the header refuses: {refusal}"),
            }
            raw.map_err(|refusal| without_folder(refusal, self.0.path()))
        })
    }

    /// The refusal, as `code: message`.
    fn refused(&self, given: &[(&'static str, Vec<Value>)]) -> String {
        let refusal = self.read(given).expect_err("refused");
        assert!(refusal.argument.is_some() && !refusal.help.is_empty(), "{refusal}");
        format!("{}: {}", refusal.code, refusal.message)
    }
}

/// Two classes with these pictures beside a grey one each.
fn beside(name: &str, content: Vec<u8>) -> Folder {
    Folder::of(&[("d/a/0.png", grey(0)), ("d/b/0.png", grey(9)), (name, content)])
}

#[test]
fn every_kind_of_picture_has_the_pixels_that_pillow_reads() {
    let pixels: BTreeMap<String, (usize, String)> =
        serde_json::from_slice(&fixture("pixels.json")).expect("channels and values");
    let mut digests = String::new();
    for (name, (channels, hex)) in &pixels {
        let folder = Folder::of(&[(&format!("d/a/{name}"), fixture(name)), (&format!("d/b/{name}"), fixture(name))]);
        let raw = folder.read(&[]).expect(name);
        assert_eq!((raw.header.inputs, raw.header.area), (*channels, Some((13, 20))), "{name}");
        let Features::U8 { values, width } = &raw.examples.features else { panic!("bytes stay bytes") };
        assert_eq!(*width, channels * 13 * 20);
        let (values, size) = (&values[..*width], 13 * 20);
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal");
        let expected: Vec<u8> = (0..*width).map(|at| byte(at % size * channels + at / size)).collect();
        if name.ends_with(".png") {
            assert_eq!(values, expected, "{name}");
            continue;
        }
        // ITU-T T.83 allows a decoder one level in each coefficient; colour and coarser chroma add to that.
        let far = values.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels");
        let _ = writeln!(digests, "{name} {far} {}", growrun::base::digest::bytes(values));
        assert!(far <= 4, "{name}: {far} levels from libjpeg");
    }
    // Other pixels of the same file are other data: they need another numerics version.
    insta::assert_snapshot!(digests);
}

#[test]
fn folders_are_classes() {
    let folder = Folder::of(&[
        ("d/rose/2.PNG", grey(30)),
        ("d/rose/10.png", grey(40)),
        ("d/daisy/deep/down/x.Jpeg", grey(20)),
        ("d/daisy/x.png", grey(10)),
        // Left out: hidden, no picture, beside the classes.
        ("d/daisy/.hidden.png", b"?".to_vec()),
        ("d/.cache/x.png", b"?".to_vec()),
        ("d/daisy/notes.txt", b"?".to_vec()),
        ("d/daisy/empty/Thumbs.db", b"?".to_vec()),
        ("d/labels.csv", b"?".to_vec()),
    ]);
    let raw = folder.read(&[]).expect("reads");
    assert_eq!(raw.header.class_names, ["daisy", "rose"]);
    assert_eq!((raw.header.examples, raw.header.inputs, raw.header.area), (4, 1, Some((3, 2))));
    assert_eq!(raw.examples.labels, Labels::Classes(vec![0, 0, 1, 1]));
    let firsts: Vec<f32> = (0..4).map(|example| raw.examples.features.at(example, 0)).collect();
    assert_eq!(firsts, [20.0, 10.0, 40.0, 30.0], "sorted by path");
    let names: Vec<&str> = raw.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["daisy/", "rose/", "daisy/deep/down/x.Jpeg"], "each class, and a file to know it by");
    assert_eq!(raw.files[0].inside.len(), 2);
    // As the shell makes it: sha256sum daisy/deep/down/x.Jpeg … | sha256sum
    use sha2::{Digest, Sha256};
    let sha = |content: &[u8]| Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut lines = String::new();
    for (name, content) in [
        ("daisy/deep/down/x.Jpeg", grey(20)),
        ("daisy/x.png", grey(10)),
        ("rose/10.png", grey(40)),
        ("rose/2.PNG", grey(30)),
    ] {
        let _ = writeln!(lines, "{}  {name}", sha(&content));
    }
    assert_eq!(raw.digest, format!("sha256:{}", sha(lines.as_bytes())));

    // A grey picture among coloured ones has three equal channels; alpha says nothing.
    folder.put("d/rose/2.PNG", &rgb(100));
    folder.put("d/daisy/x.png", &png(2, 3, png::ColorType::GrayscaleAlpha, 10));
    let raw = folder.read(&[]).expect("reads");
    assert_eq!((raw.header.inputs, raw.examples.features.width()), (3, 18));
    let row = |example| (0..18).map(|at| raw.examples.features.at(example, at)).collect::<Vec<f32>>();
    assert_eq!(row(1), [10.0, 12.0, 14.0, 16.0, 18.0, 20.0].repeat(3));
    assert_eq!(row(3)[..7], [100.0, 103.0, 106.0, 109.0, 112.0, 115.0, 101.0]);
}

#[test]
fn a_second_folder_is_the_test_part() {
    let folder = Folder::of(&[
        ("d/a/0.png", grey(0)),
        ("d/b/0.png", grey(9)),
        ("d/c/0.png", grey(18)),
        ("t/c/1.png", rgb(7)),
        ("t/a/1.png", grey(5)),
    ]);
    let test = |name: &str| [("test", text(name))];
    let raw = folder.read(&test("t")).expect("reads");
    assert_eq!((raw.header.examples, raw.header.test_examples, raw.header.inputs), (3, Some(2), 3));
    assert_eq!(raw.test.as_ref().expect("given").labels, Labels::Classes(vec![0, 2]));
    let names: Vec<&str> = raw.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a/", "b/", "c/", "test/a/", "test/c/", "a/0.png"]);
    folder.put("t/aa/1.png", &grey(5));
    assert_eq!(folder.refused(&test("t")), "G0728: `t/aa` is no class of `d`, which the test part is to be like");
    folder.remove("t/aa/1.png");
    assert_eq!(folder.refused(&test("t")), "G0708: `t/aa` holds no PNG and no JPEG");
    assert_eq!(folder.refused(&test("u")), "G0701: there is no `u`");
}

#[test]
fn parts_of_a_data_set_are_no_classes() {
    let folder = Folder::of(&[("d/train/a/0.png", grey(0)), ("d/train/b/0.png", grey(9))]);
    let help = |folder: &Folder| folder.read(&[]).expect_err("refused").help;
    assert_eq!(folder.refused(&[]), "G0732: `d` holds `train`: parts of a data set, not classes");
    assert_eq!(help(&folder), "write `images \"d/train\"`");
    folder.put("d/val/a/0.png", &grey(0));
    assert_eq!(help(&folder), "write `images \"d/train\" { test \"d/val\" }`");
    folder.put("d/test/a/0.png", &grey(0));
    assert_eq!(help(&folder), "write `images \"d/train\" { test \"d/test\" }`");
    let train = [("path", text("d/train")), ("test", text("d/test"))];
    let raw = at(folder.0.path(), 0, |place| find("images").expect("registered").read(&args("images", &train), place));
    assert_eq!(raw.expect("reads").header.test_examples, Some(1));
    // The same below a folder that `--data` names, from where nothing leads out.
    let named = BTreeMap::from([("flowers".to_string(), folder.0.path().join("d"))]);
    let read = |path: &str| {
        let args = args("images", &[("path", text(path)), ("test", text("flowers/test"))]);
        at_with(Path::new("nowhere"), 0, &named, |place| find("images").expect("registered").read(&args, place))
    };
    assert_eq!(read("flowers/train").expect("reads").header.examples, 2);
    assert_eq!(read("flowers/../d/train").expect_err("climbs").code, "G0701");
}

#[test]
fn mistakes_in_folders_are_told() {
    let cases: [(&str, Vec<u8>, &str); 12] = [
        (
            "d/b/1.png",
            png(3, 2, png::ColorType::Grayscale, 0),
            "G0731: `d/b/1.png` has 3×2 pixels, but `d/a/0.png` has 2×3",
        ),
        ("d/b/1.bmp", b"BM".to_vec(), "G0730: `d/b/1.bmp` is a picture of a kind that is not read"),
        ("d/b/1.png", b"GIF89a".to_vec(), "G0730: `d/b/1.png` is a GIF whatever its name says, not a PNG or JPEG"),
        ("d/b/1.png", b"<html>".to_vec(), "G0730: `d/b/1.png` is neither a PNG nor a JPEG"),
        ("d/b/1.png", Vec::new(), "G0730: `d/b/1.png` is empty"),
        ("d/b/1.png", grey(0)[..20].to_vec(), "G0730: `d/b/1.png` ends within its header"),
        ("d/b/1.png", grey(0)[..50].to_vec(), "G0730: `d/b/1.png` is a broken PNG: it ends in the middle"),
        ("d/b/1.png", fixture("bits_16.png"), "G0730: `d/b/1.png` has 16 bits a value; pictures of 8 are read"),
        ("d/b/1.jpg", fixture("cmyk.jpg"), "G0730: `d/b/1.jpg` has four colours of ink (CMYK); grey and RGB are read"),
        ("d/b/1.jpg", fixture("turned.jpeg")[..1000].to_vec(), "G0730: `d/b/1.jpg` ends within its header"),
        ("d/c/notes.txt", b"?".to_vec(), "G0708: `d/c` holds no PNG and no JPEG"),
        ("d/b/1/2/3/4/5/6/7/8/9/x.png", grey(0), "G0732: `d/b/1/2/3/4/5/6/7/8/9` lies too deep"),
    ];
    for (name, content, told) in cases {
        assert_eq!(beside(name, content).refused(&[]), told);
    }
    let jpeg = fixture("rgb_420.jpg");
    let cut = Folder::of(&[("d/a/0.jpg", jpeg.clone()), ("d/b/0.jpg", jpeg[..jpeg.len() - 40].to_vec())]);
    assert_eq!(cut.refused(&[]), "G0730: `d/b/0.jpg` is a broken JPEG: it ends in the middle");
    let mut damaged = grey(0);
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    assert!(beside("d/b/1.png", damaged).refused(&[]).starts_with("G0730: `d/b/1.png` is a broken PNG: "));

    let one = Folder::of(&[("d/a/0.png", grey(0))]);
    assert_eq!(one.refused(&[]), "G0713: `d` holds only one class, `a`");
    one.put("d/0.png", &grey(0));
    std::fs::remove_dir_all(one.0.path().join("d/a")).expect("removed");
    assert_eq!(one.refused(&[]), "G0732: `d` holds 1 pictures and no folder, so no class");
}

#[test]
fn a_picture_that_declares_too_much_is_refused_by_its_header() {
    let mut bomb = grey(0);
    bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let folder = Folder::of(&[("d/a/0.png", bomb.clone()), ("d/b/0.png", bomb)]);
    let told = folder.refused(&[]);
    assert!(told.starts_with("G0705: `d/a/0.png` declares 16384×16384 pixels, more than 100 times its"), "{told}");
    // A progressive JPEG that goes over its pixels again and again.
    let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0];
    let jpeg = fixture("progressive.jpg");
    let often = [&jpeg[..jpeg.len() - 2], &scan.repeat(200), &jpeg[jpeg.len() - 2..]].concat();
    let folder = Folder::of(&[("d/a/0.jpg", often), ("d/b/0.jpg", jpeg)]);
    let told = folder.refused(&[]);
    assert!(told.starts_with("G0705: `d/a/0.jpg` would be gone over 2"), "{told}");
}

#[cfg(unix)]
#[test]
fn links_lead_to_classes_that_the_user_named_and_nowhere_else() {
    use std::os::unix::fs::symlink;
    let folder = beside("out/c/0.png", grey(1));
    let path = folder.0.path();
    symlink(path.join("out/c"), path.join("d/c")).expect("a link");
    assert_eq!(folder.refused(&[]).split(':').next(), Some("G0704"));
    let named = BTreeMap::from([("d".to_string(), path.join("d"))]);
    let read = || {
        let args = args("images", &[("path", text("d"))]);
        at_with(Path::new("nowhere"), 0, &named, |place| find("images").expect("registered").read(&args, place))
    };
    assert_eq!(read().expect("a class that is a link").header.class_names, ["a", "b", "c"]);
    symlink(path.join("d/a/0.png"), path.join("out/c/1.png")).expect("a link");
    assert_eq!(read().expect_err("a picture that is a link").code, "G0704");
}

/// So many records of CIFAR-10, whose labels count from `first` on.
fn records(n: usize, first: u8) -> Vec<u8> {
    let record = |at: usize| {
        let label = (first as usize + at) % 10;
        std::iter::once(label as u8).chain((0..3072).map(move |pixel| (pixel / 1024 * 50 + label) as u8))
    };
    (0..n).flat_map(record).collect()
}

#[test]
fn cifar10_is_read_from_its_published_files() {
    for inside in ["", "cifar-10-batches-bin/"] {
        let folder = Folder::of(&[]);
        for batch in 1..=5 {
            folder.put(&format!("{inside}data_batch_{batch}.bin"), &records(4, batch));
        }
        folder.put(&format!("{inside}test_batch.bin"), &records(3, 0));
        let named = BTreeMap::from([("cifar10".to_string(), folder.0.path().to_path_buf())]);
        let read = || at_with(Path::new("."), 0, &named, |place| load_default(place, &args("cifar10", &[])));
        let data = read().expect("reads");
        assert_eq!((data.header.inputs, data.header.area, data.header.outputs), (3, Some((32, 32)), 10));
        assert_eq!((data.train.len(), data.val.len()), (18, 2));
        assert_eq!(data.header.class_names[9], "truck");
        let test = data.test.expect("its own");
        assert_eq!(classes(&test), [0, 1, 2]);
        assert_eq!((test.features.at(2, 0), test.features.at(2, 1024)), (2.0, 52.0), "channel by channel");
        assert_eq!(data.files.len(), 6);
        // A channel has one mean, whatever the pixel.
        assert!(data.scaling.mean[..1024].iter().all(|mean| *mean == data.scaling.mean[0]));
        assert_eq!(data.scaling.mean[1024] - data.scaling.mean[0], 50.0);

        let mut wrong = records(4, 0);
        wrong[3073] = 10;
        folder.put(&format!("{inside}data_batch_3.bin"), &wrong);
        let refusal = read().expect_err("a label out of range");
        let told = "`data_batch_3.bin`: the label of record 1 is 10, but there are ten classes";
        assert_eq!((refusal.code, refusal.argument, refusal.message.as_str()), ("G0714", None, told));
        folder.put(&format!("{inside}data_batch_3.bin"), &wrong[1..]);
        let refusal = read().expect_err("cut off");
        let told = "`data_batch_3.bin` has 12291 bytes, which is no whole number of records of 3073 bytes";
        assert_eq!((refusal.code, refusal.message.as_str()), ("G0716", told));
        folder.remove(&format!("{inside}data_batch_3.bin"));
        assert_eq!(read().expect_err("one is missing").code, "G0729");
    }
}
