//! The record that a command line names (of a run directory, or a bare `run.yaml` that somebody sent), and where on this
//! machine its schedule's paths lead.
//!
//! A record may come from a stranger, so what it says of folders is not believed: a folder of this machine is used only
//! where the record's own schedule or data lies in it, which whoever wrote the record then has anyway.

use super::names::RECORD;
use super::schema::{Host, Record};
use super::{load, share};
use crate::base::world::Entry;
use crate::base::{Refusal, World};
use crate::syntax;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A record and where it lies.
pub struct Located {
    pub record: Record,
    /// What else belongs to the run lies here, if it is there at all.
    pub folder: PathBuf,
    pub places: Places,
}

/// Where the paths of a record's schedule lead on this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Where they begin.
    pub home: PathBuf,
    /// `--data NAME=PATH`
    pub named: BTreeMap<String, PathBuf>,
}

/// The record of a run directory, or that in the file itself when `path` is one.
pub fn locate(world: &dyn World, path: &Path) -> Result<Located, Refusal> {
    found(world, path, load::record_file)
}

/// The same for a record that must be as growrun has written it, with the numerics of this version.
pub fn intact(world: &dyn World, path: &Path) -> Result<Located, Refusal> {
    found(world, path, load::intact_file)
}

fn found(
    world: &dyn World,
    path: &Path,
    read: fn(&dyn World, &Path) -> Result<Record, Refusal>,
) -> Result<Located, Refusal> {
    let is_bare = matches!(world.entry(path), Ok(Some(Entry::File { .. })));
    let (file, folder) = match is_bare {
        true => (path.to_path_buf(), path.parent().unwrap_or(Path::new("")).to_path_buf()),
        false => (path.join(RECORD), path.to_path_buf()),
    };
    let record = read(world, &file)?;
    let places = places(world, &record, &folder, is_bare);
    Ok(Located { record, folder, places })
}

/// `here`: where the record lies. What is relative begins there, as in an archive. What is absolute was true where the run
/// was made, so a bare record's means nothing.
pub fn places(world: &dyn World, record: &Record, here: &Path, is_bare: bool) -> Places {
    let host = record.resumed.last().map_or(&record.host, |last| &last.host);
    let inside = |path: &str| share::inside(Path::new(path)).map(|path| here.join(path));
    let mut places = believed(world, record, host);
    if is_bare {
        places = Places::default();
    }
    if let Some(folder) = host.folder.as_deref().and_then(inside)
        && matches!(world.entry(&folder), Ok(Some(Entry::Folder)))
    {
        places.home = folder;
    }
    if places.home.as_os_str().is_empty() {
        places.home = here.into();
    }
    let along = host.data.iter().filter_map(|one| Some((one.name.clone(), inside(&one.value)?)));
    places.named.extend(along);
    places
}

/// Folders of this machine that a record names and that hold what the record says.
pub fn believed(world: &dyn World, record: &Record, host: &Host) -> Places {
    let argument = record.data.arguments.get("path").map_or("", |path| path.trim_matches('"'));
    // A file of the data, directly there or in the folder that the schedule names.
    let has_data = |folder: &Path, path: &str| {
        record.files().any(|file| {
            [PathBuf::from(path), Path::new(path).join(&file.name)].iter().any(|path| {
                let content = world.read_beneath(folder, path, file.bytes);
                content.is_ok_and(|content| sha256(&content) == file.sha256)
            })
        })
    };
    let has_schedule = |folder: &Path| {
        // What it includes may lie anywhere; the schedule itself and the base of a fragment are nobody else's.
        let is_main = |name: &str| record.base.as_deref() == Some(name) || record.schedule[0].name == name;
        record.schedule.iter().filter(|file| is_main(&file.name)).any(|file| {
            let content = world.read_beneath(folder, Path::new(&file.name), syntax::LIMIT_BYTES as u64);
            content.is_ok_and(|content| content == file.text.as_bytes())
        })
    };
    let folder = host.folder.as_ref().map(PathBuf::from).filter(|folder| folder.is_absolute());
    let is_known = folder.as_deref().is_some_and(has_schedule);
    let home = folder.filter(|folder| is_known || has_data(folder, argument)).unwrap_or_default();
    let named = host.data.iter().map(|one| (&one.name, Path::new(&one.value))).filter(|(_, path)| {
        let (folder, name) = (path.parent(), path.file_name().and_then(|name| name.to_str()));
        path.is_absolute() && (is_known || folder.zip(name).is_some_and(|(folder, name)| has_data(folder, name)))
    });
    Places { home, named: named.map(|(name, path)| (name.clone(), path.into())).collect() }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
