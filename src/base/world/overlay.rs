//! The world with some files in it that are not on the disk: those of a schedule that a record holds.

use super::over::hands_down;
use super::{Appender, Confinement, Entry, Host, Lock, Result, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A world as it is below, but for some files that can be read only. What is written goes below.
pub struct Overlay<'w> {
    below: &'w dyn World,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl<'w> Overlay<'w> {
    pub fn new(below: &'w dyn World, files: BTreeMap<PathBuf, Vec<u8>>) -> Overlay<'w> {
        Overlay { below, files }
    }
}

impl World for Overlay<'_> {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        match self.files.get(path) {
            Some(content) if content.len() as u64 <= limit => Ok(content.clone()),
            Some(_) => Err(super::Error {
                code: "G0802",
                ..super::Error::new("read", path, format!("it holds more than {limit} bytes"))
            }),
            None => self.below.read(path, limit),
        }
    }

    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        match self.files.get(path) {
            Some(content) => Ok(content.iter().copied().take(bytes as usize).collect()),
            None => self.below.read_start(path, bytes),
        }
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        if self.files.contains_key(path) { Ok(path.into()) } else { self.below.canonical(path) }
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        match self.files.get(path) {
            Some(content) => Ok(Some(Entry::File { bytes: content.len() as u64 })),
            None => self.below.entry(path),
        }
    }

    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>> {
        match self.files.get(&folder.join(path)) {
            Some(content) => Ok(Some(Entry::File { bytes: content.len() as u64 })),
            None => self.below.entry_beneath(folder, path),
        }
    }

    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        match self.files.get(&folder.join(path)) {
            Some(content) => Ok(content.iter().copied().take(bytes as usize).collect()),
            None => self.below.read_start_beneath(folder, path, bytes),
        }
    }

    hands_down!();
}
