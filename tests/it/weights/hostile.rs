//! Files that somebody wrote to do harm: each is refused with its code, in under a second, with little memory; and
//! nothing that they ask for is done.

use super::{LIMIT, fixture, fixtures};
use crate::fuzz_entries::{self, archive};
use growrun::base::Refusal;
use growrun::weights::{self, symbol};
use std::io::Write;
use std::time::Instant;

const SECONDS_MAX: f64 = 1.0;
const BYTES_MAX: u64 = 200_000_000;

/// What a reader says of a file, held to the bounds. On a busy machine it is asked again.
fn bounded<T>(what: &str, read: impl Fn() -> Result<T, Refusal>) -> Result<T, Refusal> {
    for _ in 0..3 {
        let (began, mut result) = (Instant::now(), None);
        let took = allocation_counter::measure(|| result = Some(read()));
        let seconds = began.elapsed().as_secs_f64();
        println!("{what}: {seconds:.3} s, {} bytes", took.bytes_max);
        assert!(took.bytes_max < BYTES_MAX, "{what}: {} bytes", took.bytes_max);
        if seconds < SECONDS_MAX {
            return result.expect("it was read");
        }
    }
    panic!("{what} takes more than a second");
}

#[track_caller]
fn is_refused(what: &str, content: &[u8], code: &str, message: &str) {
    let refusal = bounded(what, || weights::read("f", content, LIMIT)).expect_err(what);
    assert!(refusal.code == code && refusal.message.contains(message), "{what}: {refusal}");
    assert!(refusal.message.len() + refusal.help.len() < 1000 && !refusal.help.is_empty(), "{what}: {refusal:?}");
}

// --- pickles

/// A PyTorch file: its pickle, and one storage `0` of eight f32.
fn torch(pickle: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", pickle, b"."].concat();
    archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 32])])
}

fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn whole(value: i64) -> Vec<u8> {
    [b"\x8A\x08", value.to_le_bytes().as_slice()].concat()
}

fn tuple(items: &[i64]) -> Vec<u8> {
    [b"(".to_vec(), items.iter().flat_map(|&item| whole(item)).collect(), b"t".to_vec()].concat()
}

fn tensor(key: &str, length: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let function = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    let class = b"ctorch\nFloatStorage\n".to_vec();
    let id = [b"(".to_vec(), text("storage"), class, text(key), text("cpu"), whole(length), b"tQ".to_vec()].concat();
    [function, id, whole(offset), tuple(shape), tuple(strides), b"\x89NtR".to_vec()].concat()
}

fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items = items.iter().flat_map(|(key, value)| [text(key), value.clone()]).collect::<Vec<_>>().concat();
    [b"}(".to_vec(), items, b"u".to_vec()].concat()
}

#[test]
fn an_honest_pickle_is_read() {
    let file = torch(&dict(&[("w", tensor("0", 8, 1, &[2, 3], &[1, 2]))]));
    let file = bounded("honest", || weights::read("f", &file, LIMIT)).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!((file.tensors[0].name.as_str(), file.tensors[0].shape.as_slice()), ("w", [2, 3].as_slice()));
}

#[test]
fn a_kind_of_tensor_that_is_not_read_is_named() {
    for (function, kind) in [
        ("_rebuild_tensor_v3", "such as float8"),
        ("_rebuild_qtensor", "is quantised"),
        ("_rebuild_sparse_tensor", "is sparse"),
        ("_rebuild_sparse_csr_tensor", "is sparse"),
    ] {
        let pickle = dict(&[("w", [format!("ctorch._utils\n{function}\n").as_bytes(), b")R"].concat())]);
        is_refused(function, &torch(&pickle), "G0820", kind);
    }
}

#[test]
fn nothing_that_a_pickle_asks_for_is_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mark = folder.path().join("run");
    let command = text(&format!("touch {}", mark.display()));
    let call = |function: &[u8]| [function, b"(", &command, b"tR"].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (call(b"cos\nsystem\n"), "asks to run `os.system`"),
        (call(b"cposix\nsystem\n"), "asks to run `posix.system`"),
        (call(b"c__builtin__\neval\n"), "asks to run `__builtin__.eval`"),
        (call(b"\x8C\x08builtins\x8C\x04exec\x93"), "asks to run `builtins.exec`"),
        (call(b"csubprocess\nPopen\n"), "holds an object of `subprocess.Popen`"),
        (call(b"ctorch.storage\n_load_from_bytes\n"), "asks to run `torch.storage._load_from_bytes`"),
        (call(b"cnumpy.core.multiarray\nscalar\n"), "holds a value of NumPy, `numpy.core.multiarray.scalar`"),
        (call(b"cnumpy._core.multiarray\nscalar\n"), "`float(…)` in its place"),
        (b"cargparse\nNamespace\n)\x81}b".to_vec(), "the same dictionary without it, and the optimiser stays"),
        (b"c__main__\nConfig\n)\x81".to_vec(), "if it stands in a dictionary: save the same dictionary without it"),
        (call(b"ctorch\nload\n"), "asks to run `torch.load`"),
        (call(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n"), "asks to run"),
        ([b"(".as_slice(), &command, b"ios\nsystem\n"].concat(), "asks to make an object"),
        ([b"(ccollections\nOrderedDict\n".as_slice(), &command, b"o"].concat(), "asks to make an object"),
        (b"ccollections\nOrderedDict\n)\x81".to_vec(), "asks to make an object"),
        (b"\x82\x01".to_vec(), "asks to make an object"),
        ([&tensor("0", 8, 0, &[1], &[1]), b"}b".as_slice()].concat(), "asks to change an object"),
    ];
    for (pickle, message) in &cases {
        is_refused(message, &torch(pickle), "G0821", message);
        // Also as one of many things, and behind everything good.
        let among = dict(&[("w", tensor("0", 8, 0, &[8], &[1])), ("x", pickle.clone())]);
        is_refused(message, &torch(&among), "G0821", message);
    }
    assert!(!mark.exists(), "a command of the file was run");
    // What is called is a value, or a class that makes nothing by itself.
    is_refused("a number called", &torch(&[whole(1), b")R".to_vec()].concat()), "G0820", "calls what is no function");
    is_refused("a storage made", &torch(b"ctorch\nFloatStorage\n)R"), "G0820", "with arguments");
}

#[test]
fn views_stay_within_their_storage() {
    let one = |length, offset, shape: &[i64], strides: &[i64]| {
        torch(&dict(&[("w", tensor("0", length, offset, shape, strides))]))
    };
    const FAR: i64 = 1 << 62;
    for (file, message) in [
        (one(8, 1, &[8], &[1]), "reaches beyond the 8 values"),
        (one(8, 0, &[2, 2], &[7, 1]), "reaches beyond"),
        (one(8, FAR, &[1], &[1]), "reaches beyond"),
        (one(8, i64::MAX, &[3], &[i64::MAX]), "reaches beyond"),
        (one(8, 0, &[FAR, FAR], &[1, 1]), "a shape beyond all memory"),
        (one(9, 0, &[9], &[1]), "declares 9 values of 4 bytes, but there are 32 bytes"),
        (one(FAR, 0, &[FAR], &[1]), "but there are 32 bytes"),
        (one(1_000_000_000_000, 0, &[1_000_000_000_000], &[1]), "but there are 32 bytes"),
        (one(-1, 0, &[1], &[1]), "refers to values in a way"),
        (one(8, -1, &[1], &[1]), "a negative extent"),
        (one(8, 0, &[-1], &[1]), "a negative extent"),
        (one(8, 7, &[2], &[-1]), "a negative extent"),
        (one(8, 0, &[1, 1], &[1]), "more extents than strides"),
        (one(8, 0, &[1; 33], &[1; 33]), "has 33 dimensions"),
        (torch(&dict(&[("w", tensor("7", 8, 0, &[8], &[1]))])), "refers to values `7` that are not there"),
    ] {
        is_refused(message, &file, "G0820", message);
    }
    // No values are nothing to reach beyond with.
    let empty = one(0, 5, &[0, FAR], &[1, 1]);
    assert!(bounded("empty", || weights::read("f", &empty, LIMIT)).is_ok());
}

#[test]
fn one_value_does_not_become_millions() {
    let w = |shape: &[i64]| tensor("0", 8, 0, shape, &vec![0; shape.len()]);
    is_refused("expanded", &torch(&dict(&[("w", w(&[1_000_000, 1_000_000]))])), "G0820", "would take more than");
    let names: Vec<String> = (0..200).map(|number| format!("w{number}")).collect();
    let many: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), w(&[1000, 1000]))).collect();
    is_refused("many views", &torch(&dict(&many)), "G0820", "would take more than");
}

#[test]
fn lists_that_hold_one_another_end() {
    // A list of ten times the list before it, thirty times over: 10³⁰ things in 700 bytes.
    let again = "hold one another again and again";
    for leaf in [b"]".as_slice(), b"](K\x01K\x02e"] {
        let mut bomb = [leaf, b"q\x00"].concat();
        for level in 1..=30u8 {
            bomb.extend(b"](");
            bomb.extend([b'h', level - 1].repeat(10));
            bomb.extend([b'e', b'q', level]);
        }
        is_refused("a bomb of lists", &torch(&bomb), "G0820", again);
    }
    is_refused("a list in itself", &torch(b"]q\x00h\x00a"), "G0820", again);
    is_refused("many of itself", &torch(b"]q\x00(h\x00h\x00h\x00h\x00h\x00e"), "G0820", "nested 32 deep");
    is_refused("a dictionary in itself", &torch(b"}q\x00K\x01h\x00s"), "G0820", again);
    let deep = [b"]".repeat(400_000), b"a".repeat(399_999)].concat();
    is_refused("brackets", &torch(&deep), "G0820", "nested 32 deep");
    for instruction in [b"N".as_slice(), b"]", b"(", b"}", b")"] {
        is_refused("instructions", &torch(&instruction.repeat(3 << 20)), "G0820", "more than 1048576 instructions");
    }
    let memo = [b"N".to_vec(), b"\x94".repeat(3 << 20)].concat();
    is_refused("a memo", &torch(&memo), "G0820", "more than 1048576 instructions");
    let scattered: Vec<u8> = (0..1u32 << 20).flat_map(|at| [vec![b'r'], at.to_be_bytes().to_vec()].concat()).collect();
    is_refused("a memo all over", &torch(&[b"N".to_vec(), scattered].concat()), "G0820", "instructions");
}

#[test]
fn long_names_are_bounded() {
    let long = "n".repeat(1 << 20);
    is_refused("a long name", &torch(&dict(&[(&long, whole(1))])), "G0820", "one of its names has 1048576 bytes");
    // Names of 15 kB for each of very many numbers, which are but two bytes in the file.
    let key = "n".repeat(500);
    let leaves = [b"](".to_vec(), b"K\x01".repeat(200_000), b"e".to_vec()].concat();
    let nested = (0..30).fold(leaves, |inner, _| dict(&[(&key, inner)]));
    is_refused("names of names", &torch(&nested), "G0820", "would take more than");
    let cut = [b"\x8D".to_vec(), u64::MAX.to_le_bytes().to_vec()].concat();
    is_refused("a name of 2⁶⁴ bytes", &torch(&cut), "G0820", "its pickle is cut off");
}

#[test]
fn broken_pickles_are_told() {
    for (pickle, message) in [
        (b"".as_slice(), "takes more than it has put down"),
        (b"K\x01a", "takes more than it has put down"),
        (b"\x8A\xFFab", "is cut off"),
        (b"}(K\x01u", "a key without a value"),
        (b"e", "ends a group that was not begun"),
        (b"]K\x01(a", "takes more than it has put down"),
        (b"h\x07", "asks for what it has not kept"),
        (b"K\x01K\x02a", "adds to what is no list"),
        (b"K\x01K\x02K\x02s", "adds a key to what is no dictionary"),
        (b"\x80\x09", "of protocol 9"),
        (b"I1\n", "an instruction 0x49"),
        (b"K\x01Q", "no list where one belongs"),
        (b")Q", "refers to values in a way that is not known"),
        (b"}NN", "holds no tensors under names"),
        (b"}(NK\x01u", "a key that is neither name nor number"),
        (b"X\x01\x00\x00\x00\xFF", "a name that is no text"),
        (b"cos", "is cut off"),
    ] {
        let what = String::from_utf8_lossy(pickle).into_owned();
        is_refused(&what, &torch(pickle), "G0820", message);
    }
    let order = archive(&[("a/data.pkl", b"\x80\x02}."), ("a/byteorder", b"big")]);
    is_refused("the order of bytes", &order, "G0820", "big-endian");
}

// --- every format

#[test]
fn a_name_that_stands_there_twice_is_refused() {
    let twice = "are named `w";
    let w = || tensor("0", 8, 0, &[8], &[1]);
    is_refused("PyTorch", &torch(&dict(&[("w", w()), ("w", w())])), "G0820", twice);
    let nested = dict(&[("w.x", w()), ("w", dict(&[("x", w())]))]);
    is_refused("PyTorch, nested", &torch(&nested), "G0820", twice);
    let keys = [b"}(K\x01K\x02".to_vec(), text("1"), b"K\x02u".to_vec()].concat();
    is_refused("PyTorch, number and text", &torch(&keys), "G0820", "are named `1`");
    let array = npy("'<f4'", "(2,)", &[0; 8]);
    is_refused("npz", &archive(&[("w.npy", &array), ("w.npy", &array)]), "G0820", "two entries `w.npy`");
    is_refused("npz, by ending", &archive(&[("w.npy", &array), ("w", &array)]), "G0820", twice);
    let arrays = [mxnet_array(2, &[1], &[0; 2]), mxnet_array(2, &[1], &[0; 2])];
    is_refused("MXNet", &mxnet(2, &arrays, &["w", "w"]), "G0820", twice);
    let tensor = r#""w":{"dtype":"F32","shape":[1],"data_offsets":"#;
    is_refused(
        "safetensors",
        &safe(&format!("{{{tensor}[0,4]}},{tensor}[4,8]}}}}"), 8),
        "G0820",
        "`w` stands there twice",
    );
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
}

fn mxnet(arrays: u64, content: &[Vec<u8>], names: &[&str]) -> Vec<u8> {
    let mut out = [0x112u64, 0, arrays].map(u64::to_le_bytes).concat();
    out.extend(content.concat());
    out.extend((names.len() as u64).to_le_bytes());
    for name in names {
        out.extend((name.len() as u64).to_le_bytes());
        out.extend(name.bytes());
    }
    out
}

/// An array of version 2, with these extents.
fn mxnet_array(dtype: u32, shape: &[i64], data: &[u8]) -> Vec<u8> {
    let mut out = [0xF993_FAC9u32, 0, shape.len() as u32].map(u32::to_le_bytes).concat();
    shape.iter().for_each(|extent| out.extend(extent.to_le_bytes()));
    out.extend([1, 0, dtype].map(u32::to_le_bytes).concat());
    out.extend(data);
    out
}

fn safe(header: &str, data: usize) -> Vec<u8> {
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn what_is_declared_must_be_there() {
    const MANY: &str = "1000000000000";
    let shapes =
        [format!("({MANY},)"), format!("({MANY}, {MANY})"), "(4294967296, 4294967296, 4)".into(), "(3,)".into()];
    for shape in shapes {
        for descr in ["'<f4'", "'<f2'", "'<i8'", "'|b1'", "'<U4'", "'|V2'", "'<c8'"] {
            let array = npy(descr, &shape, &[0; 2]);
            is_refused(&shape, &archive(&[("w.npy", &array)]), "G0820", "but 2 bytes follow");
        }
    }
    let many = MANY.parse().expect("a number");
    for shape in [[many, 1], [many, many], [i64::MAX, i64::MAX], [5, 1]] {
        let file = mxnet(1, &[mxnet_array(0, &shape, &[0; 8])], &[]);
        is_refused("MXNet", &file, "G0820", "its array 0 declares shape");
    }
    let cases = [
        (mxnet(u64::MAX, &[], &[]), "its array 2 is cut off in its beginning"),
        (mxnet(1, &[mxnet_array(0, &[-1], &[])], &[]), "an extent that is not known"),
        (mxnet(1, &[mxnet_array(0, &[1; 33], &[])], &[]), "declares 33 dimensions"),
        (mxnet(1, &[mxnet_array(77, &[1], &[0; 4])], &[]), "is of type 77"),
        (mxnet(1, &[0x1234_5678u32.to_le_bytes().to_vec()], &[]), "declares 305419896 dimensions"),
        (mxnet(1, &[mxnet_array(0, &[1], &[0; 4])], &["a", "b"]), "it has 1 arrays, but 2 names"),
        (mxnet(1, &[mxnet_array(0, &[1], &[0; 4])], &["a"])[..76].to_vec(), "it is cut off"),
        ([mxnet(1, &[mxnet_array(0, &[1], &[0; 4])], &["a"]), vec![0]].concat(), "1 bytes follow its end"),
    ];
    for (file, message) in cases {
        is_refused(message, &file, "G0820", message);
    }
    // A million arrays of nothing, and names of nothing.
    let nothing = mxnet(1 << 20, &[vec![0; 4 << 20]], &[]);
    assert!(bounded("nothing", || weights::read("f", &nothing, LIMIT)).is_ok_and(|file| file.tensors.len() == 1 << 20));
    assert_eq!(weights::read("f", &nothing, 1 << 20).expect_err("too many").code, "G0820");

    let tensor = |name: &str, shape: &str, place: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{place}]}}"#)
    };
    for (header, data) in [
        (format!("{{{}}}", tensor("w", MANY, &format!("0,{MANY}"))), 8),
        (format!("{{{}}}", tensor("w", &format!("{MANY},{MANY}"), "0,8")), 8),
        (format!("{{{},{}}}", tensor("w", "2", "0,8"), tensor("x", "2", "4,12")), 12),
        (format!("{{{},{}}}", tensor("w", "2", "0,8"), tensor("x", "2", "0,8")), 8),
        (format!("{{{}}}", tensor("w", "2", "8,0")), 8),
        ("{".repeat(1 << 20), 0),
    ] {
        is_refused("safetensors", &safe(&header, data), "G0820", "no safetensors file");
    }
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{"].concat();
    is_refused("safetensors", &long, "G0820", "declares a header of 18446744073709551615 bytes");
}

#[test]
fn archives_that_are_bombs() {
    let is_bomb = |entries: &[(&str, Vec<u8>)], message: &str| {
        is_refused(message, &deflated(entries), "G0820", message);
    };
    let zeros = |mebibytes: usize| {
        let values = mebibytes << 18;
        npy("'<f4'", &format!("({values},)"), &vec![0; 4 * values])
    };
    is_bomb(&[("w.npy", zeros(64))], "as a bomb does");
    // Each alone is small.
    is_bomb(&[("v.npy", zeros(20)), ("w.npy", zeros(20)), ("x.npy", zeros(20))], "f/w.npy` would unpack");
    let bytes = npy("'|u1'", "(20971520,)", &vec![0; 20 << 20]);
    is_bomb(&[("w.npy", bytes)], "its array `w` would take more than");
    let pickle = [b"\x80\x02".to_vec(), b"N".repeat(64 << 20)].concat();
    is_bomb(&[("a/data.pkl", pickle)], "as a bomb does");
    let storages = [
        ("a/data.pkl", [b"\x80\x02".to_vec(), dict(&[("w", tensor("0", 8, 0, &[8], &[1]))]), b".".to_vec()].concat()),
        ("a/data/0", vec![0; 64 << 20]),
    ];
    is_bomb(&storages, "as a bomb does");
    // Too much for this machine, however it is packed.
    let plain = archive(&[("w.npy", &zeros(4))]);
    let refusal = weights::read("f", &plain, 1 << 20).expect_err("more than the machine has");
    assert_eq!(refusal.code, "G0820", "{refusal}");
    is_refused("a model of Keras", &archive(&[("model.weights.h5", b"")]), "G0820", "a whole model of Keras");
    is_refused("an archive of texts", &archive(&[("a.txt", b"text")]), "G0820", "its array `a.txt` is none");
    is_refused("an empty archive", b"PK\x05\x06", "G0820", "too short for a zip archive");
}

/// An archive whose entries are packed by deflate.
fn deflated(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let packed: Vec<Vec<u8>> = entries
        .iter()
        .map(|(_, content)| {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).expect("into memory");
            encoder.finish().expect("into memory")
        })
        .collect();
    let stored: Vec<(&str, &[u8])> =
        entries.iter().zip(&packed).map(|((name, _), packed)| (*name, packed.as_slice())).collect();
    let mut out = archive(&stored);
    // The directory alone says how an entry is packed, how long it is once unpacked, and its checksum.
    let mut at = 0;
    for (_, content) in entries {
        at += out[at..].windows(4).position(|window| window == b"PK\x01\x02").expect("a directory");
        let mut crc = flate2::Crc::new();
        crc.update(content);
        out[at + 10] = 8;
        out[at + 16..at + 20].copy_from_slice(&crc.sum().to_le_bytes());
        out[at + 24..at + 28].copy_from_slice(&(content.len() as u32).to_le_bytes());
        at += 46;
    }
    out
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let names =
        ["torch_state.pt", "keras_half.npz", "mxnet_export-0000.params", "mxnet_v0.params", "torch_state.safetensors"];
    for name in names {
        let whole = fixture(name);
        assert!(weights::read(name, &whole, LIMIT).is_ok(), "{name}");
        let began = Instant::now();
        for length in 0..whole.len() {
            let refusal = weights::read(name, &whole[..length], LIMIT).expect_err(name);
            assert_eq!(refusal.code, "G0820", "{name} of {length} bytes: {refusal}");
        }
        println!("{name}: {:.3} s", began.elapsed().as_secs_f64());
    }
}

#[test]
fn symbols_that_lie_are_refused() {
    let node = |op: &str, inputs: &str| format!(r#"{{"op":"{op}","name":"n","inputs":[{inputs}]}}"#);
    let graph = |nodes: &[String], heads: &str| format!(r#"{{"nodes":[{}],"heads":[{heads}]}}"#, nodes.join(","));
    let relu = |inputs: &str| node("relu", inputs);
    let cases = [
        ("[".repeat(1 << 20), "can be read"),
        ("{\"nodes\":".repeat(1 << 18), "can be read"),
        (graph(&[relu("[0,0,0]")], "[0,0,0]"), "stands behind"),
        (graph(&[relu("[1,0,0]"), relu("[0,0,0]")], "[1,0,0]"), "stands behind"),
        (graph(&[node("null", "")], "[1000000000000,0,0]"), "stands behind"),
        (graph(&[node("null", ""), relu("[0,0,0],[9,0,0]")], "[1,0,0]"), "node 9 is not there"),
        (graph(&[relu("")], "[0,0,0]"), "has no input"),
        (graph(&[node("null", "")], "[0,1,0]"), "output 1"),
        (graph(&[node("null", "")], "[0,0,0],[0,0,0]"), "it has 2 outputs"),
        (graph(&[node("null", "")], "[0]"), "a place is missing"),
        (graph(&[node("null", ""), node("FullyConnected", "[0,0]")], "[1,0]"), "`n` has no `num_hidden`"),
        (graph(&vec![node("null", ""); 300_000], ""), "it has 0 outputs"),
        (" ".repeat(17 << 20), "at most 16777216 are read"),
    ];
    for (content, message) in cases {
        let refusal = bounded(message, || symbol::read("f-symbol.json", content.as_bytes())).expect_err(message);
        assert!(refusal.code == "G0820" && refusal.message.contains(message), "{message}: {refusal}");
        assert!(refusal.message.len() < 1000, "{refusal}");
    }
    // As many layers as there can be are no recursion.
    let nodes: Vec<String> =
        (0..200_000).map(|at| if at == 0 { node("null", "") } else { relu(&format!("[{},0]", at - 1)) }).collect();
    let long = graph(&nodes, "[199999,0]");
    assert_eq!(bounded("a long chain", || symbol::read("f", long.as_bytes())).expect("a chain").len(), 199_999);
}

/// Each file with random bytes of it changed, also where a checksum would notice: no panic, and what
/// `fuzz_entries::weights` promises.
#[test]
fn changed_bytes_are_read_or_refused() {
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/weights");
    let mut inputs: Vec<(String, Vec<u8>)> = fixtures(&[".pt", ".npz", ".params", ".safetensors", "symbol.json"])
        .into_iter()
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    for entry in std::fs::read_dir(corpus).expect("a corpus") {
        let path = entry.expect("readable").path();
        inputs.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
    }
    for (name, content) in inputs {
        println!("{name}");
        for _ in 0..100 {
            let mut changed = content.clone();
            for _ in 0..=random(6) {
                let at = random(changed.len());
                changed[at] = if random(2) == 0 { changed[at] ^ 1 << random(8) } else { random(256) as u8 };
            }
            fuzz_entries::weights(&changed);
        }
    }
}
