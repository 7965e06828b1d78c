//! Which checkpoint a run goes on from: the newest that is whole.
//!
//! Checkpoints that are broken are set aside, but only once a whole one has been loaded: until then nothing in the run
//! directory changes.

use super::checkpoint::{self, Read};
use super::names::CHECKPOINTS;
use super::recorder::broken;
use super::schema::{self, Record};
use super::weights;
use crate::base::{Refusal, World};
use crate::run::{Resumption, Saved};
use std::path::{Path, PathBuf};

/// What a run directory can go on from.
pub struct Found {
    /// The newest whole checkpoint with what it holds; `None` when there is none: the run begins again.
    pub newest: Option<(Read, Saved)>,
    /// The newest whole one that the schedule asked for, where that is another and was needed.
    good: Option<Saved>,
    /// Steps and growth events at the newest one that the schedule asked for.
    saved_at: Option<(u64, usize)>,
    /// Folders that are no whole checkpoint, with what is wrong.
    pub broken: Vec<(PathBuf, Refusal)>,
}

/// Looks at all checkpoints of a run, newest first, and reads the first that is whole. `rolls_back`: whether one that
/// the schedule asked for is needed, too. Changes nothing.
pub fn find(world: &dyn World, run: &Path, record: &Record, rolls_back: bool) -> Result<Found, Refusal> {
    let folder = run.join(CHECKPOINTS);
    let unreadable = |error| super::load::unreadable(&error);
    let names = match world.entry(&folder).map_err(unreadable)? {
        Some(_) => world.list(&folder).map_err(unreadable)?,
        None => Vec::new(),
    };
    let mut found = Found { newest: None, good: None, saved_at: None, broken: Vec::new() };
    let mut metas = Vec::new();
    for name in names.iter().filter(|name| !is_set_aside(name) && !is_on_its_way(name)) {
        let path = folder.join(name);
        match checkpoint::meta(world, &path) {
            Ok((meta, _)) if meta.schedule_digest != record.schedule_digest => {
                let what = "it belongs to another schedule than the record";
                found.broken.push((path.clone(), broken(&path, what)));
            }
            Ok((meta, _)) if meta.name != *name => {
                found.broken.push((path.clone(), broken(&path, "it has the name of another checkpoint")));
            }
            Ok((meta, _)) => metas.push((meta.number, is_by_schedule(name), (meta.step, meta.events.len()), path)),
            Err(refusal) => found.broken.push((path, refusal)),
        }
    }
    metas.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    let mut needs_good = rolls_back;
    for (_, by_schedule, at, path) in metas {
        if found.newest.is_some() && by_schedule {
            found.saved_at.get_or_insert(at);
        }
        if found.newest.is_some() && !(needs_good && by_schedule) {
            continue;
        }
        let whole = checkpoint::read(world, &path).and_then(|mut read| {
            let saved = read.saved(&path, &record.data)?;
            read.entry.tensors = weights::tensor_digests(&saved.parameters);
            Ok((read, saved))
        });
        match whole {
            Ok((read, saved)) => {
                if found.newest.is_none() {
                    found.newest = Some((read, saved));
                    found.saved_at = by_schedule.then_some(at);
                } else {
                    found.good = Some(saved);
                }
                needs_good &= !by_schedule;
            }
            Err(refusal) => found.broken.push((path, refusal)),
        }
    }
    Ok(found)
}

impl Found {
    /// What the recorder and the interpreter go on from.
    pub fn split(self) -> Option<(schema::Checkpoint, schema::Meta, Resumption)> {
        let (read, saved) = self.newest?;
        Some((read.entry, read.meta, Resumption { saved, saved_at: self.saved_at, good: self.good }))
    }

    /// Gives what is broken another name, so that nobody takes it for a checkpoint; it is never deleted.
    pub fn set_aside(&self, world: &dyn World) -> crate::base::world::Result<()> {
        for (path, _) in &self.broken {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let mut aside = path.with_file_name(format!("{SET_ASIDE}{name}"));
            for number in 2.. {
                if world.entry(&aside)?.is_none() {
                    break;
                }
                aside = path.with_file_name(format!("{SET_ASIDE}{number}-{name}"));
            }
            world.rename(path, &aside)?;
        }
        match self.broken.first().and_then(|(path, _)| path.parent()) {
            Some(folder) => world.sync_folder(folder),
            None => Ok(()),
        }
    }
}

const SET_ASIDE: &str = "broken-";

/// Whether `resume` has found this folder broken.
pub fn is_set_aside(name: &str) -> bool {
    name.starts_with(SET_ASIDE)
}

/// What a crash left of a write; see [`crate::base::world::commit`].
fn is_on_its_way(name: &str) -> bool {
    [".tmp", ".old", ".gone"].iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a checkpoint of this name was asked for by the schedule.
fn is_by_schedule(name: &str) -> bool {
    name != "interrupted" && !name.starts_with("auto-")
}
