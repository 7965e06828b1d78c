//! Paths that lead out of the schedule's folder, and things that are no files.

use super::*;
use std::os::unix::fs::symlink;

const TABLE: &str = "a,b\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n7,0\n8,1\n9,0\n10,1\n";

impl Stranger {
    /// `outside/` lies beside the schedule's folder and holds a good table, an IDX folder and a fragment.
    fn outside(self) -> Stranger {
        let stranger = self.with("near/t.csv", TABLE).with("near/f.grow", "let width = 4\n");
        let outside = stranger.folder.path().join("outside");
        std::fs::create_dir(&outside).expect("made");
        std::fs::write(outside.join("t.csv"), TABLE).expect("written");
        std::fs::write(outside.join("f.grow"), "let width = 4\n").expect("written");
        stranger
    }

    fn link(self, name: &str, to: impl AsRef<std::path::Path>) -> Stranger {
        symlink(to, self.path(name)).expect("a link");
        self
    }
}

#[test]
fn data_that_lies_elsewhere() {
    let outside = |stranger: &Stranger| stranger.folder.path().join("outside");
    let stranger = Stranger::new().outside();
    let absolute = format!("{:?}", outside(&stranger).join("t.csv"));
    let secret = outside(&stranger);
    let stranger = stranger
        .link("file.csv", secret.join("t.csv"))
        .link("folder", &secret)
        .link("up", "..")
        .link("near.csv", "near/t.csv")
        .link("near/own.csv", "t.csv")
        .link("loop.csv", "loop.csv")
        .link("self", "/proc/self");
    let paths = [
        "\"../outside/t.csv\"",
        "\"near/../../outside/t.csv\"",
        "\"none/../../outside/t.csv\"",
        "\"/etc/passwd\"",
        absolute.as_str(),
        "\"file.csv\"",
        "\"folder/t.csv\"",
        "\"folder/../t.csv\"",
        "\"up/outside/t.csv\"",
        "\"loop.csv\"",
        "\"self/environ\"",
        // Even where they lead to what could be named itself.
        "\"near.csv\"",
        "\"near/own.csv\"",
    ];
    let mut stranger = stranger;
    for path in paths {
        println!("{path}");
        stranger = stranger.reading(&format!("csv {path}"));
        let refused = stranger.is_refused("G0704");
        assert!(!refused.stderr.contains("root:"), "nothing of it is shown");
    }
    stranger = stranger.reading("csv \"near/t.csv\" { test \"folder/t.csv\" }");
    stranger.is_refused("G0704");
    stranger = stranger.reading("idx \"folder\"");
    stranger.is_refused("G0704");
    stranger = stranger.reading("npz \"file.csv\"");
    stranger.is_refused("G0704");
    // What may be read is read, and so is a link that the user names.
    for (data, more) in [
        ("csv \"near/t.csv\"", vec![]),
        ("csv \"near/../near/./t.csv\"", vec![]),
        ("csv \"t\"", vec!["--data", "t=file.csv"]),
        ("csv \"t\"", vec!["--data", "t=../outside/t.csv"]),
        ("csv \"t\"", vec!["--data", "t=folder/t.csv"]),
    ] {
        stranger = stranger.reading(data);
        let arguments: Vec<&str> = ["a.grow", "--quiet"].into_iter().chain(more).collect();
        let ran = stranger.call(&arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {}", ran.stderr);
    }
}

#[test]
fn a_link_inside_an_idx_folder() {
    let images = [vec![0, 0, 8, 3], [4u32, 1, 2].map(u32::to_be_bytes).concat(), vec![1; 8]].concat();
    let labels = [vec![0, 0, 8, 1], 4u32.to_be_bytes().to_vec(), vec![0, 1, 0, 1]].concat();
    let stranger = Stranger::new().outside().with("d/train-labels-idx1-ubyte", &labels);
    std::fs::write(stranger.folder.path().join("outside/images"), &images).expect("written");
    let stranger = stranger.link("d/train-images-idx3-ubyte", "../../outside/images").reading("idx \"d\" { batch 2 }");
    stranger.is_refused("G0704");
    // The user's own folder of links, as collections of data are.
    let stranger = stranger.reading("idx \"m\" { batch 2; split train 2 val 2 }");
    let ran = stranger.call(&["a.grow", "--quiet", "--data", "m=d"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn includes_that_lie_elsewhere() {
    let stranger = Stranger::new().outside();
    let secret = stranger.folder.path().join("outside");
    let absolute = secret.join("f.grow").display().to_string();
    let mut stranger = stranger
        .link("file.grow", secret.join("f.grow"))
        .link("folder", &secret)
        .link("near.grow", "near/f.grow")
        .link("loop.grow", "loop.grow");
    let paths = [
        "../outside/f.grow",
        "near/../../outside/f.grow",
        "/etc/passwd",
        &absolute,
        "file.grow",
        "folder/f.grow",
        "near.grow",
        "loop.grow",
    ];
    for path in paths {
        println!("{path}");
        stranger = stranger.with("a.grow", format!("include \"{path}\"\n{DIGITS}"));
        let refused = stranger.is_refused("G0009");
        assert!(!refused.stderr.contains("root:"), "nothing of it is shown");
    }
    stranger = stranger.with("a.grow", format!("include \"../outside/f.grow\"\n{DIGITS}"));
    let refused = stranger.is_refused("G0009");
    assert!(refused.stderr.contains("it lies outside of the schedule's folder"), "{}", refused.stderr);
    stranger = stranger.with("a.grow", format!("include \"folder/f.grow\"\n{DIGITS}"));
    let refused = stranger.is_refused("G0009");
    assert!(refused.stderr.contains("`folder` is a link"), "it names the link: {}", refused.stderr);
    // A link to the schedule is the user's, and what it includes lies beside the link.
    stranger = stranger
        .with("b.grow", format!("include \"near/f.grow\"\n{}", DIGITS.replace("h1 dense 8", "h1 dense $width")));
    stranger = stranger.link("c.grow", "b.grow");
    let ran = stranger.call(&["c.grow", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// Each of the files is short, and all that they include is not.
#[test]
fn includes_that_multiply() {
    let line = "at epoch 1 set lr by 0.5x\n";
    let many = line.repeat((1 << 18) / line.len());
    let stranger = Stranger::new().with("b.grow", &many).with("a.grow", "include \"b.grow\"\n".repeat(200));
    let refused = stranger.is_refused("G0009");
    assert!(refused.stderr.contains("at most 1 MiB with all that it includes"), "{}", refused.stderr);
    let wide = "include \"c.grow\"\n".repeat(20_000);
    Stranger::new().with("a.grow", wide).with("c.grow", many).is_refused("G0009");
}

/// Opening a pipe waits for a writer, reading a device may never end.
#[test]
fn what_is_no_file() {
    let mut stranger = Stranger::new().outside();
    let fifo = std::process::Command::new("mkfifo").arg(stranger.path("pipe")).status();
    assert!(fifo.is_ok_and(|status| status.success()), "a pipe");
    let socket = std::os::unix::net::UnixListener::bind(stranger.path("socket")).expect("a socket");
    for name in ["pipe", "socket"] {
        for data in
            [format!("csv \"{name}\""), format!("npz \"{name}\""), format!("csv \"near/t.csv\" {{ test \"{name}\" }}")]
        {
            stranger = stranger.reading(&data);
            stranger.is_refused("G0703");
        }
        stranger = stranger.with("a.grow", format!("include \"{name}\"\n{DIGITS}"));
        stranger.is_refused("G0009");
    }
    stranger = stranger.reading("idx \"pipe\"");
    stranger.is_refused("G0703");
    drop(socket);
}
