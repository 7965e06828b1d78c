//! What is told when a file, a folder or the disk failed.

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

    pub fn too_large(path: &Path, limit: u64) -> Error {
        Error { code: "G0802", ..Error::new("read", path, format!("it holds more than {limit} bytes")) }
    }

    /// What the system's error means to a user.
    pub fn io(operation: &'static str, path: &Path, error: &std::io::Error) -> Error {
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
