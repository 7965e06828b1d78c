//! The world with some files in it that are not on the disk: those of a schedule that a record holds.

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

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.below.list(path)
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

    fn create(&self, path: &Path) -> Result<Box<dyn Appender>> {
        self.below.create(path)
    }

    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>> {
        self.below.appender(path)
    }

    fn make_folder(&self, path: &Path) -> Result<bool> {
        self.below.make_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.below.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<bool> {
        self.below.exchange(one, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.below.remove_file(path)
    }

    fn remove_empty_folder(&self, path: &Path) -> Result<()> {
        self.below.remove_empty_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        self.below.sync_folder(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.below.lock(path)
    }

    fn disk_free(&self, path: &Path) -> Option<u64> {
        self.below.disk_free(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.below.variable(name)
    }

    fn seconds(&self) -> f64 {
        self.below.seconds()
    }

    fn epoch_seconds(&self) -> u64 {
        self.below.epoch_seconds()
    }

    fn host(&self) -> Host {
        self.below.host()
    }

    fn confine(&self, reads: &[PathBuf], writes: &[PathBuf]) -> Confinement {
        self.below.confine(reads, writes)
    }
}
