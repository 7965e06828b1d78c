//! How files are changed so that a crash at any moment leaves the old or the new, never neither and never a part.
//!
//! New content is written beside its place and synced there; one rename then puts it in place, and a sync of
//! the folder makes the rename last. Names that end in `.tmp`, `.old` or `.gone` are on their way in or out:
//! nobody reads them, and [`settle`] clears them away after a crash. Whoever writes into a folder must be the
//! only one who does.
//!
//! The order of the syncs is held by `tests/it/faults.rs`, which lets every single operation fail.

use super::{Entry, Error, Result, World};
use std::path::{Path, PathBuf};

/// Not yet in place.
const NEW: &str = ".tmp";
/// Out of its place while the new one gets there, on systems that cannot exchange two folders.
const OLD: &str = ".old";
/// No longer wanted.
const GONE: &str = ".gone";

/// The whole content of a file, in the place of a file that was there.
pub fn write<W: World + ?Sized>(world: &W, path: &Path, content: &[u8]) -> Result<()> {
    let new = beside(path, NEW);
    let attempt = (|| {
        let mut file = world.create(&new)?;
        file.append(content)?;
        file.sync()?;
        world.rename(&new, path)
    })();
    if attempt.is_err() {
        // Best effort, to free the space: the failed write is the error to report.
        let _ = world.remove_file(&new);
    }
    attempt.and_then(|()| world.sync_folder(parent(path))).map_err(|error| of("write", path, error))
}

/// A folder with these files and no others, in the place of a folder that was there.
///
/// Where the system cannot exchange two folders, there is a moment in which the path leads nowhere, with the old
/// folder beside it: a crash in this moment is mended by [`settle`], or by writing the same folder again.
pub fn write_folder<W: World + ?Sized>(world: &W, path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let attempt = (|| {
        prepare(world, path, files)?;
        let replaced = put_in_place(world, path)?;
        world.sync_folder(parent(path))?;
        // Best effort: what was asked for is done, and what stays here is cleared by the next write or start.
        let _ = match replaced {
            // A leftover `.tmp` never comes back, a leftover `.old` might: it gets another name first.
            Some(OLD) => set_aside(world, path, &beside(path, OLD)),
            Some(suffix) => clear(world, &beside(path, suffix)),
            None => Ok(()),
        };
        Ok(())
    })();
    attempt.map_err(|error| of("write", path, error))
}

/// Makes `path.tmp` with all files, synced.
fn prepare<W: World + ?Sized>(world: &W, path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let new = beside(path, NEW);
    if is_there(world, &beside(path, OLD))? {
        bring_back(world, path)?;
    }
    clear_leftover(world, &new)?;
    world.make_folder(&new)?;
    let filled = (|| {
        for (name, content) in files {
            let mut file = world.create(&new.join(name))?;
            file.append(content)?;
            file.sync()?;
        }
        world.sync_folder(&new)
    })();
    if filled.is_err() {
        // Best effort, to free the space: the failed write is the error to report.
        let _ = clear(world, &new);
    }
    filled
}

/// Lets `path.tmp` become `path`; the suffix of what was replaced, if anything was. After an error nothing is
/// cleared: a rename that failed may have happened, and then the old folder is the one that will survive a crash.
fn put_in_place<W: World + ?Sized>(world: &W, path: &Path) -> Result<Option<&'static str>> {
    let (new, old) = (beside(path, NEW), beside(path, OLD));
    if !is_there(world, path)? {
        world.rename(&new, path)?;
        return Ok(None);
    }
    if world.exchange(&new, path)? {
        return Ok(Some(NEW));
    }
    world.rename(path, &old)?;
    if let Err(error) = world.rename(&new, path) {
        // Best effort: if this fails too, the next start brings it back.
        let _ = world.rename(&old, path);
        return Err(error);
    }
    Ok(Some(OLD))
}

/// A folder and those above it that are not there yet. `Ok(false)` when it was already there.
pub fn create_folder<W: World + ?Sized>(world: &W, path: &Path) -> Result<bool> {
    const OPERATION: &str = "create the folder";
    let through_a_file = || Error::new(OPERATION, path, "a part of the path is a file, not a folder");
    let above: Vec<&Path> = path.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
    let mut made = false;
    for part in above.into_iter().rev() {
        match world.entry(part).map_err(|error| of(OPERATION, path, error))? {
            Some(Entry::Folder) => made = false,
            Some(_) => return Err(through_a_file()),
            None => {
                made = world.make_folder(part).map_err(|error| of(OPERATION, path, error))?;
                world.sync_folder(parent(part))?;
            }
        }
    }
    Ok(made)
}

/// Removes a folder that holds files only. It loses its name before its first file, so that nobody takes what is
/// left of it for the whole.
pub fn remove_folder<W: World + ?Sized>(world: &W, path: &Path) -> Result<()> {
    set_aside(world, path, path).map_err(|error| of("remove", path, error))
}

/// Ends or undoes, in the folder `folder`, what a crash interrupted: a folder that was out of its place comes
/// back, everything else that was on its way in or out is cleared away.
///
/// Only for folders into which nothing but these protocols writes: what is cleared is told by its name.
pub fn settle<W: World + ?Sized>(world: &W, folder: &Path) -> Result<()> {
    for name in world.list(folder)? {
        let path = folder.join(&name);
        if let Some(place) = name.strip_suffix(OLD) {
            bring_back(world, &folder.join(place))?;
        } else if name.ends_with(NEW) || name.ends_with(GONE) {
            match world.entry(&path)? {
                Some(Entry::Folder) => clear_leftover(world, &path)?,
                _ => world.remove_file(&path)?,
            }
        }
    }
    Ok(())
}

/// Puts `path.old` back to `path`, or away when a newer one is in the place.
fn bring_back<W: World + ?Sized>(world: &W, path: &Path) -> Result<()> {
    let old = beside(path, OLD);
    if is_there(world, path)? {
        return set_aside(world, path, &old);
    }
    world.rename(&old, path)
}

/// Removes `folder`, which is or was at `path`, by way of `path.gone`.
fn set_aside<W: World + ?Sized>(world: &W, path: &Path, folder: &Path) -> Result<()> {
    let gone = beside(path, GONE);
    clear_leftover(world, &gone)?;
    world.rename(folder, &gone)?;
    // Without this the files could vanish and the name come back.
    world.sync_folder(parent(path))?;
    clear(world, &gone)
}

/// Removes a folder that an earlier process or a failed step left.
fn clear_leftover<W: World + ?Sized>(world: &W, folder: &Path) -> Result<()> {
    if is_there(world, folder)? {
        // The exchange or rename that brought it here may not last yet, and then these are files in use.
        world.sync_folder(parent(folder))?;
    }
    clear(world, folder)
}

/// Removes a folder and the files in it, if it is there. A folder inside it is not ours: an error.
fn clear<W: World + ?Sized>(world: &W, folder: &Path) -> Result<()> {
    if !is_there(world, folder)? {
        return Ok(());
    }
    for name in world.list(folder)? {
        world.remove_file(&folder.join(name))?;
    }
    world.remove_empty_folder(folder)
}

fn is_there<W: World + ?Sized>(world: &W, path: &Path) -> Result<bool> {
    Ok(world.entry(path)?.is_some())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().expect("what is written has a name").to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// The folder that holds the last name of a path.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The error of a step, told as what the user asked for.
fn of(operation: &'static str, path: &Path, error: Error) -> Error {
    Error { operation, path: path.into(), ..error }
}
