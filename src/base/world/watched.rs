//! The world with an eye on what is read from it: which files, and their digests.

use super::over::hands_down;
use super::{Appender, Confinement, Entry, Host, Lock, Result, World};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A file that was read whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub path: PathBuf,
    /// What `sha256sum` prints.
    pub sha256: String,
    pub bytes: u64,
}

/// A world as it is below, that remembers what was read whole.
pub struct Watched<'w> {
    below: &'w dyn World,
    seen: Mutex<Memory>,
}

/// A folder of pictures has thousands of files, so whether one is known is asked of a set.
#[derive(Default)]
struct Memory {
    known: HashSet<PathBuf>,
    seen: Vec<Seen>,
}

impl<'w> Watched<'w> {
    pub fn new(below: &'w dyn World) -> Watched<'w> {
        Watched { below, seen: Mutex::default() }
    }

    /// What is shorter than was asked for is the whole file.
    fn remember_whole(&self, path: &Path, content: &[u8], asked: u64) {
        if (content.len() as u64) < asked {
            self.remember(path, content);
        }
    }

    fn remember(&self, path: &Path, content: &[u8]) {
        let mut seen = self.seen.lock().expect("nobody panics while holding it");
        if seen.known.insert(path.into()) {
            let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
            seen.seen.push(Seen { path: path.into(), sha256, bytes: content.len() as u64 });
        }
    }

    /// Each file once, in the order in which they were first read.
    pub fn into_seen(self) -> Vec<Seen> {
        self.seen.into_inner().expect("nobody panics while holding it").seen
    }
}

impl World for Watched<'_> {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let content = self.below.read(path, limit)?;
        self.remember(path, &content);
        Ok(content)
    }

    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        let content = self.below.read_start(path, bytes)?;
        self.remember_whole(path, &content, bytes);
        Ok(content)
    }

    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>> {
        self.below.entry_beneath(folder, path)
    }

    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        let content = self.below.read_start_beneath(folder, path, bytes)?;
        self.remember_whole(&folder.join(path), &content, bytes);
        Ok(content)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.below.canonical(path)
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        self.below.entry(path)
    }

    hands_down!();
}
