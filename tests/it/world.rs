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
