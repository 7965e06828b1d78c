//! The real file system, where it has something that the in-memory one of `faults` only plays.

use growrun::base::World;
use growrun::base::world::{Entry, Real};
use std::path::Path;

fn names(folder: &Path) -> Vec<String> {
    Real::default().list(folder).expect("a folder")
}

#[test]
fn a_locked_run_directory_is_refused_until_the_lock_is_let_go() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("lock");
    let lock = world.lock(&path).expect("nobody holds it");
    let refused = world.lock(&path).err().expect("held");
    assert_eq!(refused.code, "G0805");
    assert_eq!(refused.to_string(), format!("cannot lock `{}`: another process is using it", folder.path().display()));
    assert!(!refused.help.is_empty());
    drop(lock);
    world.lock(&path).expect("let go; the file that stays is no obstacle");
}

#[test]
fn a_folder_is_replaced_whole_and_nothing_is_left_beside_it() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("best");
    world.write_folder(&path, &[("a", b"1".to_vec()), ("b", b"2".to_vec())]).expect("made");
    world.write_folder(&path, &[("a", b"3".to_vec())]).expect("replaced");
    assert_eq!((names(&path), names(folder.path())), (vec!["a".into()], vec!["best".into()]));
    assert_eq!(world.read(&path.join("a"), 10).expect("there"), b"3");
    world.remove_folder(&path).expect("removed");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_a_crash_left_is_settled() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let at = |name: &str| folder.path().join(name);
    for name in ["lost.old", "kept", "kept.old", "new.tmp", "removed.gone"] {
        world.write_folder(&at(name), &[("file", name.as_bytes().to_vec())]).expect("made");
    }
    world.write(&at("text"), b"whole").expect("written");
    std::fs::write(at("text.tmp"), b"ha").expect("written");
    world.settle(folder.path()).expect("settled");
    assert_eq!(names(folder.path()), ["kept", "lost", "text"]);
    assert_eq!(world.read(&at("lost").join("file"), 10).expect("there"), b"lost.old");
    assert_eq!(world.read(&at("kept").join("file"), 10).expect("there"), b"kept");
}

#[test]
fn folders_are_made_with_those_above_them() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let deep = folder.path().join("a/b/c");
    assert_eq!(world.create_folder(&deep).ok(), Some(true));
    assert_eq!(world.create_folder(&deep).ok(), Some(false));
    world.write(&deep.join("file"), b"").expect("written");
    let refused = world.create_folder(&deep.join("file/d")).expect_err("through a file");
    assert!(refused.reason.contains("is a file, not a folder"), "{refused}");
    assert_eq!(world.disk_free(&deep.join("not/there/yet")).is_some(), cfg!(unix));
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_temporary_file_is_not_written_through() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let (victim, path) = (folder.path().join("victim"), folder.path().join("run.yaml"));
    std::fs::write(&victim, b"precious").expect("written");
    std::os::unix::fs::symlink(&victim, folder.path().join("run.yaml.tmp")).expect("a link");
    world.write(&path, b"new").expect("written");
    assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
    assert_eq!(world.entry(&path).expect("there"), Some(Entry::File { bytes: 3 }));
}

/// Landlock bounds the calling thread alone, so that a thread can try what a process would meet.
#[cfg(target_os = "linux")]
#[test]
fn a_confined_thread_reads_and_writes_what_it_was_given_and_nothing_else() {
    use growrun::base::world::Confinement;
    use std::io::ErrorKind::PermissionDenied;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["given", "other", "runs"] {
        std::fs::create_dir(at(name)).expect("made");
        std::fs::write(at(name).join("file"), name).expect("written");
    }
    std::os::unix::fs::symlink(at("other"), at("given/link")).expect("a link");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let confined = std::thread::spawn({
        let (given, other, runs) = (at("given"), at("other"), at("runs"));
        move || {
            let world = Real::default();
            let confinement = world.confine(std::slice::from_ref(&given), std::slice::from_ref(&runs));
            if confinement == Confinement::Absent {
                return confinement;
            }
            let denied = |done: std::io::Result<()>| assert_eq!(done.map_err(|e| e.kind()), Err(PermissionDenied));
            assert_eq!(world.read(&given.join("file"), 10).expect("given"), b"given");
            denied(std::fs::read(other.join("file")).map(drop));
            denied(std::fs::read(given.join("link/file")).map(drop));
            denied(std::fs::read("/etc/passwd").map(drop));
            denied(std::fs::write(given.join("new"), b""));
            denied(std::fs::remove_file(other.join("file")));
            // All that a run does in its folder.
            assert_eq!(world.create_folder(&runs.join("a/0001")).ok(), Some(true));
            for content in ["1", "2"] {
                let files = [("file", content.as_bytes().to_vec())];
                world.write_folder(&runs.join("a/0001/best"), &files).expect("written");
                world.write(&runs.join("a/0001/run.yaml"), content.as_bytes()).expect("written");
            }
            world.appender(&runs.join("file")).and_then(|mut file| file.append(b"!")).expect("continued");
            world.lock(&runs.join("a/0001/lock")).expect("nobody holds it");
            world.remove_folder(&runs.join("a/0001/best")).expect("removed");
            assert!(world.host().memory_free.is_some(), "the system still tells");
            assert!(std::thread::available_parallelism().is_ok());
            // No program, and no thread has more than the one that started it.
            let started = std::process::Command::new("/bin/true").status();
            denied(started.map(drop));
            std::thread::spawn(move || denied(std::fs::read(other.join("file")).map(drop))).join().expect("denied too");
            if confinement == Confinement::Full {
                denied(std::net::TcpStream::connect(address).map(drop));
            }
            // Narrower, never wider.
            world.confine(std::slice::from_ref(&given), &[runs.join("a")]);
            denied(std::fs::write(runs.join("b"), b""));
            std::fs::write(runs.join("a/b"), b"").expect("still given");
            confinement
        }
    });
    let confinement = confined.join().expect("the thread has met what it expected");
    println!("landlock: {}", confinement.word());
    assert_eq!(std::fs::read(at("other/file")).expect("this thread is free"), b"other");
}

#[cfg(unix)]
#[test]
fn a_strangers_path_is_read_beneath_its_folder_and_through_no_link() {
    let (world, folder) = (Real::default(), tempfile::tempdir().expect("a folder"));
    let top = folder.path().join("top");
    std::fs::create_dir_all(top.join("in")).expect("made");
    std::fs::write(top.join("in/file"), b"12345").expect("written");
    std::fs::write(folder.path().join("out"), b"secret").expect("written");
    std::os::unix::fs::symlink("in", top.join("door")).expect("a link");
    let read = |path: &str| world.read_beneath(&top, Path::new(path), 5);
    assert_eq!(read("in/../in/file").expect("there"), b"12345");
    assert_eq!(world.read_start_beneath(&top, Path::new("in/file"), 2).expect("there"), b"12");
    assert_eq!(world.entry_beneath(&top, Path::new("in/none")).expect("looked"), None);
    let code = |path: &str, limit| world.read_beneath(&top, Path::new(path), limit).err().map(|error| error.code);
    assert_eq!(code("in/file", 4), Some("G0802"));
    assert_eq!(code("in", 9), Some("G0801"));
    for path in ["../out", "in/../../out", "/etc/passwd", "door/file"] {
        assert_eq!(code(path, 9), Some("G0704"), "{path}");
        assert!(world.entry_beneath(&top, Path::new(path)).is_err_and(|error| error.code == "G0704"), "{path}");
    }
    let told = read("door/file").expect_err("a link").to_string();
    assert!(told.contains("`door` is a link"), "{told}");
    // The folder itself is the user's.
    std::os::unix::fs::symlink(&top, folder.path().join("mine")).expect("a link");
    let mine = folder.path().join("mine");
    assert_eq!(world.read_beneath(&mine, Path::new("in/file"), 9).expect("there"), b"12345");
}
