//! The system's bounds around a command that reads a stranger's file: see [`crate::base::world::sandbox`].
//!
//! They are set before the file is read, by the one thread there is, so that every later thread has them. What may
//! be read is known from the command line alone: the folders of the schedules and what `--data` and `--base` name.

use super::Context;
use super::arguments::Overrides;
use crate::base::World;
use crate::base::world::{Confinement, Entry};
use crate::record::locate::Located;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// For a command that reads schedules and, with `out`, writes into that folder.
pub(super) fn to_schedules(
    context: &Context,
    files: &[PathBuf],
    overrides: &Overrides,
    out: Option<&Path>,
) -> Confinement {
    let world = context.world;
    let mut reads = Vec::new();
    for file in files.iter().chain(&overrides.base) {
        // The file may be a link of the user's; what it includes lies beside the link.
        reads.extend([folder_of(file), file.clone()]);
    }
    let mut named: Vec<PathBuf> = overrides.data.iter().map(|(_, path)| PathBuf::from(path)).collect();
    named.extend(published(world));
    for path in named {
        reads.extend(links_in(world, &path));
        reads.push(path);
    }
    world.confine(&reads, &out.map(|out| existing(world, out)).into_iter().collect::<Vec<_>>())
}

/// For `apply`: a schedule, the files that its line names, and the folder that takes the grown weights.
pub(super) fn to_apply(context: &Context, apply: &super::arguments::Apply, out: &Path) -> Confinement {
    let world = context.world;
    let mut reads = vec![folder_of(&apply.file), apply.file.clone(), apply.weights.clone()];
    reads.extend(apply.symbol.clone().or_else(|| super::inspect::beside(&apply.weights)));
    reads.extend(apply.optimizer.iter().chain(&apply.probe).cloned());
    reads.extend(apply.overrides.base.iter().flat_map(|file| [folder_of(file), file.clone()]));
    let named = apply.overrides.data.iter().map(|(_, path)| PathBuf::from(path));
    for path in named.chain(published(world)) {
        reads.extend(links_in(world, &path));
        reads.push(path);
    }
    world.confine(&reads, &[existing(world, out)])
}

/// For a command that goes on with a run or repeats it: reads the run, the places of its data, and `files` of the user's;
/// writes beneath `out`.
pub(super) fn to_run(
    context: &Context,
    run: &Path,
    (folder, named): &(PathBuf, BTreeMap<String, PathBuf>),
    files: &[PathBuf],
    out: &Path,
) -> Confinement {
    let world = context.world;
    let mut reads = vec![run.to_path_buf()];
    if !folder.as_os_str().is_empty() {
        reads.push(folder.clone());
    }
    for file in files {
        reads.extend([folder_of(file), file.clone()]);
    }
    for path in named.values().cloned().chain(published(world)) {
        reads.extend(links_in(world, &path));
        reads.push(path);
    }
    world.confine(&reads, &[existing(world, out)])
}

/// For a command that only looks at runs, or repeats one: reads them, the places of their data, and what the user named;
/// writes beneath `out`, or nowhere.
pub(super) fn to_records(
    context: &Context,
    records: &[&Located],
    data: &[(String, String)],
    out: Option<&Path>,
) -> Confinement {
    let world = context.world;
    let mut reads = Vec::new();
    let mut named: Vec<PathBuf> = data.iter().map(|(_, path)| PathBuf::from(path)).collect();
    for Located { folder, places, .. } in records {
        reads.extend([folder, &places.home].map(|folder| here(folder)));
        named.extend(places.named.values().cloned());
    }
    named.extend(published(world));
    for path in named {
        reads.extend(links_in(world, &path));
        reads.push(path);
    }
    world.confine(&reads, &out.map(|out| existing(world, out)).into_iter().collect::<Vec<_>>())
}

/// For a command that makes a report of what lies in `folder` and writes it into the folder `out`.
pub(super) fn to_report(context: &Context, folder: &Path, out: &Path) -> Confinement {
    context.world.confine(&[here(folder)], &[existing(context.world, out)])
}

/// Where published data may lie that needs no path.
fn published(world: &dyn World) -> Vec<PathBuf> {
    let root = world.variable("GROWRUN_DATA");
    let of = |root: String| crate::data::SOURCES.iter().map(move |source| Path::new(&root).join(source.doc().word));
    root.into_iter().flat_map(of).collect()
}

/// Narrows what this thread may write to the run directory, once there is one. The threads that compute keep the
/// wider bounds: they open no files.
pub(super) fn to_run_directory(context: &Context, folder: &Path) -> Confinement {
    // Nothing is read any more that has not been read, but what lies in the run itself.
    context.world.confine(&[], &[folder.into()])
}

/// For `predict`: a run that may be a stranger's, a table, and the folder that takes the predictions.
pub(super) fn to_prediction(context: &Context, run: &Path, data: &Path, out: Option<&Path>) -> Confinement {
    let writes: Vec<PathBuf> = out.map(folder_of).into_iter().collect();
    context.world.confine(&[run.into(), data.into()], &writes)
}

/// For a command that looks at a file of weights, or the folder of a run, and at what lies beside it; writes beneath
/// `out`, or nowhere.
pub(super) fn to_weights(context: &Context, files: &[PathBuf], out: Option<&Path>) -> Confinement {
    let writes: Vec<PathBuf> = out.map(folder_of).into_iter().collect();
    context.world.confine(files, &writes)
}

fn folder_of(file: &Path) -> PathBuf {
    here(file.parent().unwrap_or(Path::new("")))
}

/// The folder that an empty path means.
fn here(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { ".".into() } else { folder.into() }
}

/// The folder itself, or the nearest above it that is there: what is missing has to be made.
fn existing(world: &dyn World, folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|part| matches!(world.entry(part), Ok(Some(Entry::Folder))));
    match there {
        Some(part) if !part.as_os_str().is_empty() => part.into(),
        _ => ".".into(),
    }
}

/// What the links directly in a folder of the user's lead to: collections of data are often made of links.
fn links_in(world: &dyn World, folder: &Path) -> Vec<PathBuf> {
    const LOOKED_AT: usize = 10_000;
    let Ok(real) = world.canonical(folder) else { return Vec::new() };
    let names = world.list(folder).unwrap_or_default();
    let paths = names.iter().take(LOOKED_AT).filter_map(|name| world.canonical(&folder.join(name)).ok());
    paths.filter(|path| !path.starts_with(&real)).collect()
}
