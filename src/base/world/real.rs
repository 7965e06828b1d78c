//! The machine we run on, by the standard library and two calls of the system that it does not have.

use super::{Appender, Confinement, Entry, Error, Host, Lock, Result, World};
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The machine we run on.
pub struct Real {
    start: std::time::Instant,
}

impl Default for Real {
    fn default() -> Real {
        Real { start: std::time::Instant::now() }
    }
}

struct RealAppender {
    file: std::fs::File,
    path: PathBuf,
}

impl Appender for RealAppender {
    fn append(&mut self, content: &[u8]) -> Result<()> {
        use std::io::Write;
        self.file.write_all(content).map_err(|error| Error::io("write", &self.path, &error))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io("write", &self.path, &error))
    }
}

/// The system lets go of the lock when the file is closed.
struct RealLock {
    _file: std::fs::File,
}

impl Lock for RealLock {}

impl World for Real {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        use std::io::Read;
        let fail = |error: std::io::Error| Error::io("read", path, &error);
        if std::fs::metadata(path).map_err(fail)?.is_dir() {
            return Err(Error::io("read", path, &ErrorKind::IsADirectory.into()));
        }
        let file = std::fs::File::open(path).map_err(fail)?;
        let mut content = Vec::new();
        // One byte more than allowed tells a file at the limit from one above it, pipes included.
        file.take(limit + 1).read_to_end(&mut content).map_err(fail)?;
        if content.len() as u64 > limit {
            return Err(Error::too_large(path, limit));
        }
        Ok(content)
    }

    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        use std::io::Read;
        let fail = |error: std::io::Error| Error::io("read", path, &error);
        let file = std::fs::File::open(path).map_err(fail)?;
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content).map_err(fail)?;
        Ok(content)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        std::fs::canonicalize(path).map_err(|error| Error::io("follow", path, &error))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn Appender>> {
        let fresh = || std::fs::File::options().write(true).create_new(true).open(path);
        let file = match fresh() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => std::fs::remove_file(path).and_then(|()| fresh()),
            other => other,
        };
        let file = file.map_err(|error| Error::io("write", path, &error))?;
        Ok(Box::new(RealAppender { file, path: path.into() }))
    }

    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>> {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| Error::io("write", path, &error))?;
        Ok(Box::new(RealAppender { file, path: path.into() }))
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Some(Entry::Folder)),
            Ok(meta) if meta.is_file() => Ok(Some(Entry::File { bytes: meta.len() })),
            Ok(_) => Ok(Some(Entry::Other)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let fail = |error: std::io::Error| Error::io("list", path, &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>> {
        super::beneath::entry(folder, path)
    }

    fn list_beneath(&self, folder: &Path, path: &Path) -> Result<Vec<String>> {
        super::beneath::list(folder, path)
    }

    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        use std::io::Read;
        let file = super::beneath::open(folder, path)?;
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content).map_err(|error| Error::io("read", &folder.join(path), &error))?;
        Ok(content)
    }

    fn make_folder(&self, path: &Path) -> Result<bool> {
        match std::fs::create_dir(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            // "there is no such file" would not say what is wrong with a folder to be made.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::new("create the folder", path, "nothing can be made there"))
            }
            Err(error) => Err(Error::io("create the folder", path, &error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to).map_err(|error| Error::io("rename", from, &error))
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn exchange(&self, one: &Path, other: &Path) -> Result<bool> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            // An old system or a file system that does not know it (some of them say so by EINVAL).
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => Ok(false),
            Err(errno) => Err(Error::io("rename", one, &errno.into())),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    fn exchange(&self, _: &Path, _: &Path) -> Result<bool> {
        Ok(false)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path).map_err(|error| Error::io("remove", path, &error))
    }

    fn remove_empty_folder(&self, path: &Path) -> Result<()> {
        std::fs::remove_dir(path).map_err(|error| Error::io("remove", path, &error))
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> Result<()> {
        let fail = |error: std::io::Error| Error::io("write", path, &error);
        match std::fs::File::open(path).map_err(fail)?.sync_all() {
            // Some file systems over a network know no sync of a folder; their renames last without it or not at all.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            other => other.map_err(fail),
        }
    }

    /// Elsewhere a folder cannot be opened to be synced.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let fail = |error: std::io::Error| Error::io("lock", path, &error);
        let file = std::fs::File::options().write(true).create(true).truncate(false).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(path);
                return Err(Error {
                    code: "G0805",
                    help: "wait until it has ended, or end it: what it saved stays".into(),
                    ..Error::new("lock", folder, "another process is using it")
                });
            }
            // A file system without locks must not forbid to train on it.
            Err(TryLockError::Error(_)) => {}
        }
        Ok(Box::new(RealLock { _file: file }))
    }

    #[cfg(unix)]
    fn disk_free(&self, path: &Path) -> Option<u64> {
        let here = path.ancestors().map(|part| if part.as_os_str().is_empty() { Path::new(".") } else { part });
        let volume = here.into_iter().find_map(|part| rustix::fs::statvfs(part).ok())?;
        volume.f_bavail.checked_mul(volume.f_frsize)
    }

    #[cfg(not(unix))]
    fn disk_free(&self, _: &Path) -> Option<u64> {
        None
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn epoch_seconds(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn host(&self) -> Host {
        let field = |file: &str, key: &str| -> Option<String> {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let memory_free = field("/proc/meminfo", "MemAvailable")
            .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
            .map(|kib| kib * 1024);
        Host {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            memory_free,
        }
    }
    fn confine(&self, reads: &[PathBuf], writes: &[PathBuf]) -> Confinement {
        super::sandbox::confine(reads, writes)
    }
}
