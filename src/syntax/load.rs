//! A schedule from a file, with everything it includes.

use super::assemble::Assembly;
use super::lower::Statement;
use super::{LIMIT_BYTES, read_text};
use crate::base::world::{Error, World};
use crate::base::{Diagnostic, Sources, Span, Spanned};
use crate::syntax::Schedule;
use std::path::{Component, Path, PathBuf};

/// An include in an include in an include… no deeper than this.
const DEPTH: usize = 8;
/// Files in all: without a limit, nine short files that include each other widely would be billions.
const FILES: usize = 256;

/// Reads the file and what it includes, in place. Errors: the file itself is missing, a folder or unreadable.
/// All else (too large, not UTF-8, a missing include) is among the diagnostics.
pub fn load(world: &dyn World, path: &Path) -> Result<(Schedule, Vec<Diagnostic>), Error> {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut loader = Loader {
        world,
        top: clean(&folder).unwrap_or(folder),
        bytes: 0,
        is_too_long: false,
        sources: Sources::default(),
        assembly: Assembly::default(),
        found: Vec::new(),
    };
    let bytes = match world.read(path, LIMIT_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.code == "G0802" => {
            let file = loader.sources.add(path.display().to_string(), "");
            loader.found.push(super::too_large(Span::new(file, 0, 0)));
            return Ok(loader.finish());
        }
        Err(error) => return Err(error),
    };
    let start = clean(path).unwrap_or_else(|| path.to_path_buf());
    loader.text(&path.display().to_string(), bytes, &start, &mut Vec::new(), true);
    Ok(loader.finish())
}

struct Loader<'a> {
    world: &'a dyn World,
    /// The folder of the first file; nothing outside of it is included.
    top: PathBuf,
    /// Of all files so far. One file may be included many times, so a limit for each alone would bound nothing.
    bytes: usize,
    is_too_long: bool,
    sources: Sources,
    assembly: Assembly,
    found: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn finish(self) -> (Schedule, Vec<Diagnostic>) {
        let (schedule, mut found) = self.assembly.finish(self.sources);
        found.extend(self.found);
        (schedule, super::in_order(found))
    }

    /// One file's bytes. `chain` holds the files that led here. Goes down at most [`DEPTH`] times.
    fn text(&mut self, name: &str, bytes: Vec<u8>, path: &Path, chain: &mut Vec<PathBuf>, is_top: bool) {
        self.bytes += bytes.len();
        let (text, mistake) = decode(bytes);
        let file = self.sources.add(name, &text);
        if let Some((at, byte, utf16)) = mistake {
            let width = text[at..].chars().next().map_or(0, char::len_utf8);
            let error = Diagnostic::error(
                "G0004",
                Span::new(file, at, at + width),
                format!("this file is not UTF-8 text: byte {at} is 0x{byte:02x}"),
            )
            .here("not a character")
            .help(if utf16 {
                "it looks like UTF-16; save it as UTF-8"
            } else {
                "save it as UTF-8; is it a schedule at all?"
            });
            self.found.push(error);
            return;
        }
        let (statements, found) = read_text(&text, file, is_top);
        self.found.extend(found);
        chain.push(path.to_path_buf());
        for statement in statements {
            match statement {
                _ if self.is_too_long => break,
                Statement::Include { path: wanted } => self.include(&wanted, path, chain),
                other => self.assembly.add(other),
            }
        }
        chain.pop();
    }

    fn include(&mut self, wanted: &Spanned<String>, from: &Path, chain: &mut Vec<PathBuf>) {
        let refuse = |message: String, here: &str, help: &str| {
            Diagnostic::error("G0009", wanted.span, message).here(here).help(help)
        };
        let shown = super::atoms::short(wanted);
        let written = Path::new(wanted.node.as_str());
        let folder = from.parent().unwrap_or(Path::new(""));
        // Whether the words alone lead out; where the way leads on the disk, the world sees to when it is opened.
        let way =
            |path: &PathBuf| path.strip_prefix(&self.top).ok().filter(|way| !way.starts_with("..")).map(Into::into);
        let inside: Option<(PathBuf, PathBuf)> =
            clean(&folder.join(written)).and_then(|path| Some((way(&path)?, path)));
        let Some((way, path)) = inside.filter(|_| !wanted.node.is_empty() && !written.is_absolute()) else {
            self.found.push(refuse(
                format!("cannot include `{shown}`: it lies outside of the schedule's folder"),
                "leads out of the folder",
                "a schedule includes files beside it or below; move the file there",
            ));
            return;
        };
        if chain.contains(&path) {
            self.found.push(refuse(
                format!("cannot include `{shown}`: it includes this file"),
                "goes round in a circle",
                "remove one of the two includes",
            ));
            return;
        }
        if chain.len() > DEPTH {
            self.found.push(refuse(
                format!("cannot include `{shown}`: includes stand at most {DEPTH} deep"),
                "one too many",
                "include it from a file nearer to the first",
            ));
            return;
        }
        if self.sources.0.len() >= FILES {
            self.found.push(refuse(
                format!("cannot include `{shown}`: a schedule has at most {FILES} files"),
                "one too many",
                "put several of them into one",
            ));
            return;
        }
        let left = LIMIT_BYTES.saturating_sub(self.bytes) as u64;
        match self.world.read_beneath(&self.top, &way, left) {
            Ok(bytes) => self.text(&path.display().to_string(), bytes, &path, chain, false),
            Err(error) if error.code == "G0802" => {
                self.found.push(refuse(
                    format!("cannot include `{shown}`: a schedule has at most 1 MiB with all that it includes"),
                    "too much here",
                    "include fewer or shorter files; data and weights are named in them, not written into them",
                ));
                // As of a single file that is too long, nothing of it is judged.
                self.assembly = Assembly::default();
                self.is_too_long = true;
            }
            Err(error) => {
                let help = match error.help.as_str() {
                    _ if error.code == "G0704" => "put the file itself in the place of the link",
                    "" => "paths are relative to the file that writes them",
                    help => help,
                };
                self.found.push(refuse(format!("cannot include `{shown}`: {}", error.reason), "read here", help));
            }
        }
    }
}

/// The path without `.` and `..`, by its text alone; `None` when it leads above where it starts.
pub fn clean(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            // `../shared/a.grow` may be the first file; what it includes must stay below that.
            Component::ParentDir if !out.has_root() => out.push(".."),
            Component::ParentDir => return None,
            part => out.push(part),
        }
    }
    Some(out)
}

/// The text; where it is not UTF-8, the offset and the byte, with a guess at UTF-16.
fn decode(bytes: Vec<u8>) -> (String, Option<(usize, u8, bool)>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let byte = bytes[at];
            (String::from_utf8_lossy(bytes).into_owned(), Some((at, byte, utf16)))
        }
    }
}
