//! The one door to what is outside the program: files, environment variables, clock, machine.
//!
//! No other module opens a file or asks for the time, so that faults can be injected and runs repeated. Every
//! change of a file is made of a few primitives, each of which a test can let fail; what must survive a crash
//! is written by the protocols in [`commit`], which stand above the primitives and are the same in every world.

mod beneath;
pub mod commit;
mod error;
mod over;
mod overlay;
mod real;
pub mod sandbox;
mod watched;

pub use error::{Error, Result};
pub use overlay::Overlay;
pub use real::Real;
pub use sandbox::Confinement;
pub use watched::{Seen, Watched};

use std::path::{Path, PathBuf};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    File { bytes: u64 },
    Folder,
    Other,
}

/// What the record says about the machine; it never changes a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub cpu: String,
    pub os: String,
    /// Threads that the machine can run at once.
    pub threads: usize,
    /// Memory that is free now, in bytes, where the system tells.
    pub memory_free: Option<u64>,
}

/// A file that is open to be written from its end on.
pub trait Appender: Send {
    /// Adds the bytes and hands them to the system before it returns. After an error a part of them may be there.
    fn append(&mut self, content: &[u8]) -> Result<()>;
    /// Returns when what was added will survive a power cut.
    fn sync(&mut self) -> Result<()>;
}

/// Held while this value lives, and by no other process meanwhile. A process that dies lets go of it.
pub trait Lock: Send {}

/// Files, folders, clock and machine.
///
/// What the methods without a body change survives a power cut only after a sync: contents by
/// [`Appender::sync`] of the file, the making, renaming and removing of a name by
/// [`sync_folder`](World::sync_folder) of the folder that holds the name. The methods with a body are the
/// protocols of [`commit`] and need no sync after them.
pub trait World: Send + Sync {
    /// The whole file. Refused when it holds more than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>>;
    /// At most the first `bytes` bytes of a file.
    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>>;
    /// Absolute, with every link followed: where a path really leads. It must exist.
    fn canonical(&self, path: &Path) -> Result<PathBuf>;
    /// `None` when nothing is there.
    fn entry(&self, path: &Path) -> Result<Option<Entry>>;
    /// Names in a folder, sorted.
    fn list(&self, path: &Path) -> Result<Vec<String>>;

    /// What lies at `path` beneath `folder`, for a path that a stranger chose. A way out of the folder, and a link
    /// anywhere behind the folder, is an error with code G0704.
    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>>;
    /// Names in such a folder, sorted.
    fn list_beneath(&self, folder: &Path, path: &Path) -> Result<Vec<String>>;
    /// At most the first `bytes` bytes of such a file. Never waits: a pipe or a device is refused.
    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>>;
    /// The whole of such a file. Refused when it holds more than `limit` bytes.
    fn read_beneath(&self, folder: &Path, path: &Path, limit: u64) -> Result<Vec<u8>> {
        // One byte more than allowed tells a file at the limit from one above it.
        let content = self.read_start_beneath(folder, path, limit.saturating_add(1))?;
        if content.len() as u64 > limit { Err(Error::too_large(&folder.join(path), limit)) } else { Ok(content) }
    }

    /// A new, empty file in the place of a file or link that was there; a link is never written through.
    fn create(&self, path: &Path) -> Result<Box<dyn Appender>>;
    /// A file to be continued, made when it is not there.
    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>>;
    /// One folder in a folder that is there. `Ok(false)` when it was already there.
    fn make_folder(&self, path: &Path) -> Result<bool>;
    /// Another name for a file or folder. A file in the place is replaced, a folder with files is an error.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Each of two paths becomes what the other was, in one step. `Ok(false)` when nothing was done because
    /// the system or the file system has no such step.
    fn exchange(&self, one: &Path, other: &Path) -> Result<bool>;
    /// Removes a file, or a link itself.
    fn remove_file(&self, path: &Path) -> Result<()>;
    /// Removes a folder in which nothing is.
    fn remove_empty_folder(&self, path: &Path) -> Result<()>;
    /// Returns when the names in a folder will survive a power cut.
    fn sync_folder(&self, path: &Path) -> Result<()>;

    /// Takes the lock file `path`, which is made when it is not there and stays. When another process holds it:
    /// an error with code G0805, about the folder that the file is in. On file systems without locks it succeeds.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;
    /// Bytes that may still be written where `path` is or will be, where the system tells.
    fn disk_free(&self, path: &Path) -> Option<u64>;
    fn variable(&self, name: &str) -> Option<String>;
    /// Seconds on a clock that only goes forward.
    fn seconds(&self) -> f64;
    /// Seconds since 1970-01-01 UTC.
    fn epoch_seconds(&self) -> u64;
    fn host(&self) -> Host;

    /// Memory that a command may take: 80 % of what is free, or what a small machine has where the system does not tell.
    fn memory_to_spare(&self) -> u64 {
        self.host().memory_free.map_or(4 << 30, |free| free / 5 * 4)
    }

    /// Bounds this thread, and those that it will start, by the system itself: see [`sandbox`].
    fn confine(&self, reads: &[PathBuf], writes: &[PathBuf]) -> Confinement;

    /// Old or new, never neither. See [`commit::write`].
    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        commit::write(self, path, content)
    }

    /// A folder with these files: all of them or none, in the place of a folder that was there.
    /// See [`commit::write_folder`].
    fn write_folder(&self, path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
        commit::write_folder(self, path, files)
    }

    /// Makes a folder and those above it. `Ok(false)` when it was already there. See [`commit::create_folder`].
    fn create_folder(&self, path: &Path) -> Result<bool> {
        commit::create_folder(self, path)
    }

    /// Removes a folder that holds files only: all of it or nothing. See [`commit::remove_folder`].
    fn remove_folder(&self, path: &Path) -> Result<()> {
        commit::remove_folder(self, path)
    }

    /// Ends or undoes what a crash left half done in a folder. See [`commit::settle`].
    fn settle(&self, folder: &Path) -> Result<()> {
        commit::settle(self, folder)
    }
}
