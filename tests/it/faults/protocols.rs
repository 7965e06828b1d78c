//! The commit protocols of `base::world::commit`: old or new, never neither and never a part.

use super::memory::{Fault, LOSSES, Loss, Memory};
use growrun::base::World;
use growrun::base::world::Result;
use std::collections::BTreeMap;
use std::path::Path;

type Files = BTreeMap<String, Vec<u8>>;

fn folder(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(name, content)| ((*name).into(), content.as_bytes().to_vec())).collect()
}

pub fn is_leftover(name: &str) -> bool {
    name.split('/').any(|part| part.ends_with(".tmp") || part.ends_with(".old") || part.ends_with(".gone"))
}

/// What stands under its own name.
fn in_place(world: &Memory) -> Files {
    world.files("").into_iter().filter(|(name, _)| !is_leftover(name)).collect()
}

const FAULTS: [Fault; 5] = [Fault::Full, Fault::Broken, Fault::BrokenAfterwards, Fault::Short, Fault::Crash];

/// What a program does when it starts.
fn settle(world: &Memory) -> Result<()> {
    for folder in ["a", "a/b/c"].map(Path::new) {
        if world.entry(folder)?.is_some() {
            world.settle(folder)?;
        }
    }
    Ok(())
}

/// Lets every operation of `work` fail in every way, then cuts the power with every kind of loss. An error says
/// where something else than the old or the new is in place, or the old after a success.
///
/// `mends` is whether the work promises this only once `settle` was called.
fn sweep(
    title: &str,
    start: &Memory,
    mends: bool,
    work: impl Fn(&Memory) -> Result<()>,
    [old, new]: [&Files; 2],
) -> std::result::Result<(), String> {
    let check = |world: &Memory, succeeded: bool, what: &str| {
        let found = in_place(world);
        if found == *new || (!succeeded && found == *old) { Ok(()) } else { Err(format!("{what}: {found:?}")) }
    };
    let clean = start.after(Loss::Nothing);
    work(&clean).expect("nothing fails");
    for loss in LOSSES {
        check(&clean.after(*loss), true, &format!("{title}: lost after success by {loss:?}"))?;
    }
    let all = clean.operations();
    let mut tried = 0;
    for (number, name) in all.iter().enumerate() {
        for fault in FAULTS {
            if fault == Fault::Short && !name.starts_with("write") {
                continue;
            }
            let world = start.failing(number + 1, fault);
            let result = work(&world);
            for loss in LOSSES {
                tried += 1;
                let what = format!("{title}: {fault:?} at {} ({name}), then {loss:?}", number + 1);
                let found = world.after(*loss);
                if !mends {
                    check(&found, result.is_ok(), &what)?;
                }
                settle(&found).map_err(|error| format!("{what}: {error}"))?;
                check(&found, result.is_ok(), &what)?;
                let left: Vec<String> = found.files("").into_keys().filter(|name| is_leftover(name)).collect();
                assert_eq!(left, [""; 0], "{what}");
                // What is left from the first attempt does not hinder the second, settled or not.
                for again in [found, world.after(*loss)] {
                    work(&again).map_err(|error| format!("{what}, again: {error}"))?;
                    check(&again.after(Loss::Everything), true, &format!("{what}, again"))?;
                }
            }
        }
    }
    println!("{title}: {} operations, {tried} faults", all.len());
    Ok(())
}

/// As [`sweep`], of a second process: the first one failed or was killed at any operation, and the power is cut at
/// any operation of the next one, whether that settles first or not.
fn sweep_twice(
    title: &str,
    start: &Memory,
    work: impl Fn(&Memory) -> Result<()>,
    [old, new]: [&Files; 2],
) -> std::result::Result<(), String> {
    let count = |world: Memory, work: &dyn Fn(&Memory) -> Result<()>| work(&world).map(|()| world.operations().len());
    let settled = |world: &Memory| settle(world).and_then(|()| work(world));
    let mut tried = 0;
    for first in 1..=count(start.after(Loss::Nothing), &work).expect("nothing fails") {
        for fault in [Fault::BrokenAfterwards, Fault::Crash] {
            let world = start.failing(first, fault);
            let _ = work(&world);
            for (name, next) in [("settled", &settled as &dyn Fn(&Memory) -> Result<()>), ("not settled", &work)] {
                let all = count(world.restarted(0, Fault::Crash), next).map_err(|error| error.to_string())?;
                for second in 1..=all + 1 {
                    let world = world.restarted(second, Fault::Crash);
                    let _ = next(&world);
                    for loss in LOSSES {
                        tried += 1;
                        let found = world.after(*loss);
                        settle(&found).map_err(|error| format!("{title}: {error}"))?;
                        let found = in_place(&found);
                        if found != *old && found != *new {
                            let what = format!("{title}: {fault:?} at {first}, {name}, crash at {second}, {loss:?}");
                            return Err(format!("{what}: {found:?}"));
                        }
                    }
                }
            }
        }
    }
    println!("{title}: {tried} faults after faults");
    Ok(())
}

fn disk(exchanges: bool) -> Memory {
    let world = Memory::new(exchanges);
    world.create_folder(Path::new("a")).expect("an empty disk");
    world
}

fn holds(found: std::result::Result<(), String>) {
    found.unwrap_or_else(|what| panic!("{what}"));
}

#[test]
fn a_file_is_the_old_or_the_new_whatever_fails() {
    let write = |world: &Memory| world.write(Path::new("a/run.yaml"), b"the new content");
    let new = folder(&[("a/run.yaml", "the new content")]);
    let world = disk(true);
    holds(sweep("a new file", &world, false, write, [&Files::new(), &new]));
    world.write(Path::new("a/run.yaml"), b"old").expect("a disk");
    let old = folder(&[("a/run.yaml", "old")]);
    holds(sweep("a file replaced", &world, false, write, [&old, &new]));
    holds(sweep_twice("a file replaced", &world, write, [&old, &new]));
}

#[test]
fn a_folder_is_the_old_or_the_new_whatever_fails() {
    let files = [("meta", b"new meta".to_vec()), ("weights", b"new weights".to_vec())];
    let write = |world: &Memory| world.write_folder(Path::new("a/best"), &files);
    let new = folder(&[("a/best/meta", "new meta"), ("a/best/weights", "new weights")]);
    for exchanges in [true, false] {
        let world = disk(exchanges);
        holds(sweep("a new folder", &world, false, write, [&Files::new(), &new]));
        let old = [("meta", b"old".to_vec()), ("other", b"older".to_vec())];
        world.write_folder(Path::new("a/best"), &old).expect("a disk");
        let old = folder(&[("a/best/meta", "old"), ("a/best/other", "older")]);
        let title = if exchanges { "a folder exchanged" } else { "a folder replaced by two renames" };
        holds(sweep(title, &world, !exchanges, write, [&old, &new]));
        holds(sweep_twice(title, &world, write, [&old, &new]));
    }
}

#[test]
fn a_folder_is_removed_whole_or_not_at_all() {
    let world = disk(true);
    world.write_folder(Path::new("a/step"), &[("meta", b"m".to_vec()), ("weights", b"w".to_vec())]).expect("a disk");
    let old = folder(&[("a/step/meta", "m"), ("a/step/weights", "w")]);
    let remove = |world: &Memory| match world.entry(Path::new("a/step"))? {
        Some(_) => world.remove_folder(Path::new("a/step")),
        // The second attempt finds nothing to remove, and then only clears.
        None => world.settle(Path::new("a")),
    };
    holds(sweep("a folder removed", &world, false, remove, [&old, &Files::new()]));
    holds(sweep_twice("a folder removed", &world, remove, [&old, &Files::new()]));
}

#[test]
fn folders_that_were_made_last_with_all_that_are_above_them() {
    let make = |world: &Memory| {
        world.create_folder(Path::new("a/b/c"))?;
        // Files show that the folder is there.
        world.write(Path::new("a/b/c/file"), b"x")
    };
    let new = folder(&[("a/b/c/file", "x")]);
    holds(sweep("folders", &disk(true), false, make, [&Files::new(), &new]));
    holds(sweep_twice("folders", &disk(true), make, [&Files::new(), &new]));
}

#[test]
fn the_sweep_sees_a_protocol_that_forgets_a_sync() {
    for forgotten in ["nothing", "file", "folder"] {
        // The same steps as `write`, without one of the syncs.
        let careless = |world: &Memory| {
            let mut file = world.create(Path::new("a/run.yaml.tmp"))?;
            file.append(b"the new content")?;
            if forgotten != "file" {
                file.sync()?;
            }
            world.rename(Path::new("a/run.yaml.tmp"), Path::new("a/run.yaml"))?;
            if forgotten == "folder" { Ok(()) } else { world.sync_folder(Path::new("a")) }
        };
        let new = folder(&[("a/run.yaml", "the new content")]);
        let seen = sweep(forgotten, &disk(true), false, careless, [&Files::new(), &new]);
        assert_eq!(seen.is_ok(), forgotten == "nothing", "{forgotten}: {seen:?}");
    }
}
