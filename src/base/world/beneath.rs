//! Files that a stranger names: opened beneath a folder only, without following a link, without waiting.
//!
//! Looking first and opening then would leave a moment in which a folder on the way can become a link. So the
//! system itself holds the bounds where it can (`openat2` on Linux since 5.6); elsewhere each folder of the way
//! is opened from the one before, and what is opened is what was looked at. Pipes, devices and sockets are told
//! by a look that cannot block, and are not read.

use super::{Entry, Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// What lies at `path`, `None` when nothing is there.
pub(super) fn entry(folder: &Path, path: &Path) -> Result<Option<Entry>> {
    match system::look(folder, path) {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told("look at", folder, path, &error)),
    }
}

/// The file at `path`, open to be read.
pub(super) fn open(folder: &Path, path: &Path) -> Result<File> {
    let fail = |error: std::io::Error| told("read", folder, path, &error);
    match system::look(folder, path).map_err(fail)? {
        Entry::File { .. } => {}
        Entry::Folder => return Err(fail(ErrorKind::IsADirectory.into())),
        Entry::Other => return Err(special(folder, path)),
    }
    let file = system::open(folder, path).map_err(fail)?;
    // Something else may have taken its place since the look; opening it has not blocked.
    if file.metadata().map_err(fail)?.is_file() { Ok(file) } else { Err(special(folder, path)) }
}

/// Names in the folder at `path`, sorted.
pub(super) fn list(folder: &Path, path: &Path) -> Result<Vec<String>> {
    let mut names = system::list(folder, path).map_err(|error| told("list", folder, path, &error))?;
    names.sort();
    Ok(names)
}

fn special(folder: &Path, path: &Path) -> Error {
    Error::new("read", &folder.join(path), "it is a pipe, a device or a socket, not a file")
}

/// A way out of the folder has its own code; everything else is an error as of any file.
fn told(operation: &'static str, folder: &Path, path: &Path, error: &std::io::Error) -> Error {
    let out = |reason: String| Error { code: "G0704", ..Error::new(operation, &folder.join(path), reason) };
    match error.kind() {
        _ if system::is_link(error) => match first_link(folder, path) {
            Some(link) => out(format!("`{link}` is a link, and links are not followed here")),
            None => out("there is a link on the way, and links are not followed here".into()),
        },
        ErrorKind::CrossesDevices => out("it leads out of the folder".into()),
        _ => Error::io(operation, &folder.join(path), error),
    }
}

/// Which part of the path is a link: for the message alone, the system has refused it already.
fn first_link(folder: &Path, path: &Path) -> Option<String> {
    let mut way = folder.to_path_buf();
    path.components().find_map(|part| {
        way.push(part);
        let is_link = std::fs::symlink_metadata(&way).is_ok_and(|meta| meta.is_symlink());
        is_link.then(|| way.strip_prefix(folder).unwrap_or(&way).display().to_string())
    })
}

#[cfg(unix)]
mod system {
    use super::Entry;
    use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
    use rustix::io::Errno;
    use std::fs::File;
    use std::io::{Error, Result};
    use std::os::fd::OwnedFd;
    use std::path::{Component, Path};

    /// A pipe without a writer would block, a terminal would become ours.
    const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
    const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    pub fn is_link(error: &Error) -> bool {
        error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
    }

    fn kind(stat: &Stat) -> Entry {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Entry::File { bytes: u64::try_from(stat.st_size).unwrap_or(0) },
            FileType::Directory => Entry::Folder,
            _ => Entry::Other,
        }
    }

    /// The folder itself is the user's: a link to it is followed.
    fn start(folder: &Path) -> Result<OwnedFd> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Ok(openat(CWD, folder, FOLDER, Mode::empty())?)
    }

    pub fn look(folder: &Path, path: &Path) -> Result<Entry> {
        let start = start(folder)?;
        #[cfg(target_os = "linux")]
        if let Some(found) = bounded(&start, path, OFlags::PATH | OFlags::CLOEXEC) {
            return Ok(kind(&fstat(found?)?));
        }
        walk(start, path, None).map(|(entry, _)| entry)
    }

    pub fn open(folder: &Path, path: &Path) -> Result<File> {
        let start = start(folder)?;
        #[cfg(target_os = "linux")]
        if let Some(found) = bounded(&start, path, READ) {
            return Ok(File::from(found?));
        }
        let (_, opened) = walk(start, path, Some(READ))?;
        opened.map(File::from).ok_or_else(|| Errno::ISDIR.into())
    }

    pub fn list(folder: &Path, path: &Path) -> Result<Vec<String>> {
        let start = start(folder)?;
        #[cfg(target_os = "linux")]
        if let Some(found) = bounded(&start, path, FOLDER) {
            return names(found?);
        }
        let (_, opened) = walk(start, path, None)?;
        names(opened.ok_or(Errno::NOTDIR)?)
    }

    /// What stands in an open folder, but for itself and the one above.
    fn names(folder: OwnedFd) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::new(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Opened by the system within the bounds; `None` where it has no such call, or a filter forbids it.
    #[cfg(target_os = "linux")]
    fn bounded(start: &OwnedFd, path: &Path, flags: OFlags) -> Option<Result<OwnedFd>> {
        use rustix::fs::{ResolveFlags, openat2};
        let bounds = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // It asks to be called again when a rename somewhere made a `..` doubtful.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            match openat2(start, path, flags, Mode::empty(), bounds) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => return None,
                other => return Some(other.map_err(Error::from)),
            }
        }
        None
    }

    /// Folder by folder, each opened from the one before. `flags` opens what is found, unless it is a folder; without
    /// them, it is a folder that comes back open.
    pub(super) fn walk(start: OwnedFd, path: &Path, flags: Option<OFlags>) -> Result<(Entry, Option<OwnedFd>)> {
        // `..` goes back to the folder that we came from, whatever has been renamed since.
        let mut way = vec![start];
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let name = match part {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                Component::ParentDir if way.len() > 1 => {
                    way.pop();
                    continue;
                }
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV.into()),
            };
            let here = way.last().expect("`..` leaves the first");
            let stat = statat(here, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                return Err(Errno::LOOP.into());
            }
            let entry = kind(&stat);
            if entry == Entry::Folder {
                let next = openat(here, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
                way.push(next);
            } else if parts.peek().is_some() {
                return Err(Errno::NOTDIR.into());
            } else {
                let opened = match flags {
                    Some(flags) if entry != Entry::Other => {
                        Some(openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty())?)
                    }
                    _ => None,
                };
                return Ok((entry, opened));
            }
        }
        Ok((Entry::Folder, if flags.is_none() { way.pop() } else { None }))
    }

    /// What the system does where it can, the walk does too.
    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_walk_and_the_system_agree() {
            let folder = tempfile::tempdir().expect("a folder");
            let at = |name: &str| folder.path().join(name);
            std::fs::create_dir_all(at("top/in")).expect("made");
            std::fs::write(at("top/a"), b"1").expect("written");
            std::fs::write(at("top/in/b"), b"22").expect("written");
            std::fs::write(at("out"), b"333").expect("written");
            for (link, to) in [("top/near", "a"), ("top/far", "../out"), ("top/door", "in"), ("top/in/loop", "loop")] {
                std::os::unix::fs::symlink(to, at(link)).expect("a link");
            }
            let file = |bytes| Ok(Entry::File { bytes });
            let cases = [
                ("a", file(1)),
                ("./in/b", file(2)),
                ("in/../a", file(1)),
                ("in", Ok(Entry::Folder)),
                (".", Ok(Entry::Folder)),
                ("none", Err(Errno::NOENT)),
                ("a/b", Err(Errno::NOTDIR)),
                ("near", Err(Errno::LOOP)),
                ("far", Err(Errno::LOOP)),
                ("door/b", Err(Errno::LOOP)),
                ("in/loop", Err(Errno::LOOP)),
                ("..", Err(Errno::XDEV)),
                ("../out", Err(Errno::XDEV)),
                ("in/../../out", Err(Errno::XDEV)),
                ("/etc/passwd", Err(Errno::XDEV)),
            ];
            let top = at("top");
            for (path, expected) in cases {
                let walked = walk(start(&top).expect("a folder"), Path::new(path), None).map(|(entry, _)| entry);
                let asked = look(&top, Path::new(path));
                let number = |found: Result<Entry>| found.map_err(|error| error.raw_os_error());
                let expected = expected.map_err(|errno| Some(errno.raw_os_error()));
                assert_eq!(number(walked), expected, "the walk to {path}");
                assert_eq!(number(asked), expected, "the look at {path}");
            }
            let walked = |path: &str| {
                let (_, opened) = walk(start(&top).expect("a folder"), Path::new(path), None).expect("there");
                names(opened.expect("a folder")).expect("listed")
            };
            for path in ["in", ".", "in/.."] {
                assert_eq!(walked(path), list(&top, Path::new(path)).expect("listed"), "{path}");
            }
            assert_eq!(walked("in").len(), 2);
            for path in ["a", "door", "..", "in/../.."] {
                list(&top, Path::new(path)).expect_err("no folder beneath");
            }
            let (_, opened) = walk(start(&top).expect("a folder"), Path::new("in/b"), Some(READ)).expect("there");
            assert_eq!(std::io::read_to_string(File::from(opened.expect("a file"))).expect("text"), "22");
        }
    }
}

/// Systems without `openat`: each part is looked at before the whole is opened, so that a link is refused but
/// somebody who is quick enough could still make one in between.
#[cfg(not(unix))]
mod system {
    use super::Entry;
    use std::fs::File;
    use std::io::{Error, ErrorKind, Result};
    use std::path::{Component, Path};

    const LINK: &str = "a link";

    pub fn is_link(error: &Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.to_string() == LINK)
    }

    pub fn look(folder: &Path, path: &Path) -> Result<Entry> {
        let mut way = vec![folder.to_path_buf()];
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    let next = way.last().expect("`..` leaves the first").join(name);
                    if std::fs::symlink_metadata(&next)?.is_symlink() {
                        return Err(Error::other(LINK));
                    }
                    way.push(next);
                }
                Component::CurDir => {}
                Component::ParentDir if way.len() > 1 => drop(way.pop()),
                _ => return Err(ErrorKind::CrossesDevices.into()),
            }
        }
        let meta = std::fs::metadata(way.last().expect("`..` leaves the first"))?;
        Ok(match () {
            () if meta.is_dir() => Entry::Folder,
            () if meta.is_file() => Entry::File { bytes: meta.len() },
            () => Entry::Other,
        })
    }

    pub fn open(folder: &Path, path: &Path) -> Result<File> {
        look(folder, path)?;
        File::open(folder.join(path))
    }

    pub fn list(folder: &Path, path: &Path) -> Result<Vec<String>> {
        look(folder, path)?;
        let names = std::fs::read_dir(folder.join(path))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into()));
        names.collect()
    }
}
