//! The one door to what is outside the program: files, environment variables, clock, machine.
//!
//! No other module opens a file or asks for the time, so that faults can be injected and runs repeated.

use std::path::{Path, PathBuf};

/// The world failed: which operation, on what, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{}`: {reason}", path.display())]
pub struct Error {
    pub code: &'static str,
    /// A verb phrase: `read`, `write`, `create the folder`.
    pub operation: &'static str,
    pub path: PathBuf,
    pub reason: String,
    /// How to mend it; may be empty.
    pub help: String,
}

impl Error {
    pub fn new(operation: &'static str, path: &Path, reason: impl Into<String>) -> Error {
        Error { code: "G0801", operation, path: path.into(), reason: reason.into(), help: String::new() }
    }

    fn io(operation: &'static str, path: &Path, error: &std::io::Error) -> Error {
        use std::io::ErrorKind;
        let (reason, help) = match error.kind() {
            ErrorKind::NotFound => {
                ("there is no such file", "check the name; paths are relative to the file that names them")
            }
            ErrorKind::PermissionDenied => ("permission denied", "check who owns it and whether you may write there"),
            ErrorKind::IsADirectory => ("it is a folder, not a file", ""),
            ErrorKind::NotADirectory => ("a part of the path is not a folder", ""),
            ErrorKind::StorageFull => ("the disk is full", "free some space; what was saved before is intact"),
            ErrorKind::AlreadyExists => ("it is already there", ""),
            ErrorKind::ReadOnlyFilesystem => {
                ("the file system is read-only", "use `--out` to name a folder that can be written")
            }
            _ => return Error::new(operation, path, error.to_string()),
        };
        Error { help: help.into(), ..Error::new(operation, path, reason) }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

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

/// A file that grows line by line.
pub trait Appender: Send {
    /// Adds the bytes and hands them to the system before it returns.
    fn append(&mut self, content: &[u8]) -> Result<()>;
}

pub trait World: Send + Sync {
    /// The whole file. Refused when it holds more than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>>;
    /// At most the first `bytes` bytes of a file.
    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>>;
    /// Absolute, with every link followed: where a path really leads. It must exist.
    fn canonical(&self, path: &Path) -> Result<PathBuf>;
    /// Old or new, never neither: a temporary file beside it, synced, then renamed.
    fn write(&self, path: &Path, content: &[u8]) -> Result<()>;
    /// A folder with these files: all of them or none, in the place of a folder that was there.
    fn write_folder(&self, path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()>;
    fn remove_folder(&self, path: &Path) -> Result<()>;
    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>>;
    /// `None` when nothing is there.
    fn entry(&self, path: &Path) -> Result<Option<Entry>>;
    /// Names in a folder, sorted.
    fn list(&self, path: &Path) -> Result<Vec<String>>;
    /// Makes a folder and those above it. `Ok(false)` when it was already there.
    fn create_folder(&self, path: &Path) -> Result<bool>;
    fn variable(&self, name: &str) -> Option<String>;
    /// Seconds on a clock that only goes forward.
    fn seconds(&self) -> f64;
    /// Seconds since 1970-01-01 UTC.
    fn epoch_seconds(&self) -> u64;
    fn host(&self) -> Host;
}

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
}

impl World for Real {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        use std::io::Read;
        let fail = |error: std::io::Error| Error::io("read", path, &error);
        if std::fs::metadata(path).map_err(fail)?.is_dir() {
            return Err(Error::io("read", path, &std::io::ErrorKind::IsADirectory.into()));
        }
        let file = std::fs::File::open(path).map_err(fail)?;
        let mut content = Vec::new();
        // One byte more than allowed tells a file at the limit from one above it, pipes included.
        file.take(limit + 1).read_to_end(&mut content).map_err(fail)?;
        if content.len() as u64 > limit {
            return Err(Error {
                code: "G0802",
                ..Error::new("read", path, format!("it holds more than {limit} bytes"))
            });
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

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        use std::io::Write;
        let fail = |error: std::io::Error| Error::io("write", path, &error);
        let mut name = path.file_name().expect("a file to write has a name").to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let attempt = (|| {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
                _ => Ok(()),
            }
        })();
        if attempt.is_err() {
            // Best effort: the failed write is the error to report.
            let _ = std::fs::remove_file(&temporary);
        }
        attempt.map_err(fail)
    }

    fn write_folder(&self, path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
        use std::io::Write;
        let beside = |suffix: &str| {
            let mut name = path.file_name().expect("a folder to write has a name").to_os_string();
            name.push(suffix);
            path.with_file_name(name)
        };
        let (new, old) = (beside(".tmp"), beside(".old"));
        let attempt = (|| {
            for stale in [&new, &old] {
                if stale.exists() {
                    std::fs::remove_dir_all(stale)?;
                }
            }
            std::fs::create_dir_all(&new)?;
            for (name, content) in files {
                let mut file = std::fs::File::create(new.join(name))?;
                file.write_all(content)?;
                file.sync_all()?;
            }
            std::fs::File::open(&new)?.sync_all()?;
            if path.exists() {
                std::fs::rename(path, &old)?;
            }
            std::fs::rename(&new, path)?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::File::open(parent)?.sync_all()?;
            }
            // Only now is the old one no longer needed.
            if old.exists() { std::fs::remove_dir_all(&old) } else { Ok(()) }
        })();
        if attempt.is_err() {
            // Best effort: the failed write is the error to report.
            let _ = std::fs::remove_dir_all(&new);
        }
        attempt.map_err(|error| Error::io("write", path, &error))
    }

    fn remove_folder(&self, path: &Path) -> Result<()> {
        std::fs::remove_dir_all(path).map_err(|error| Error::io("remove", path, &error))
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
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

    fn create_folder(&self, path: &Path) -> Result<bool> {
        use std::io::ErrorKind;
        // Neither "there is no such file" nor "it is already there" says what is wrong with a folder to be made.
        let fail = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Error::new("create the folder", path, "nothing can be made there"),
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Error::new("create the folder", path, "a part of the path is a file, not a folder")
            }
            _ => Error::io("create the folder", path, &error),
        };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        match std::fs::create_dir(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(error) => Err(fail(error)),
        }
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
}
