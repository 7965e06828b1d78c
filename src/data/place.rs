//! Where a path of a schedule leads.
//!
//! A stranger's file may read what lies beneath its own folder and what the user named with
//! `--data NAME=PATH`, nothing else. The world holds the bounds when it opens a file, and follows no link there.

use super::Place;
use crate::base::world::Entry;
use crate::base::{Error, Refusal};
use std::path::{Component, Path, PathBuf};

/// What must lie at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    File,
    Folder,
}

/// A file or folder that was found and may be read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// As messages show it.
    pub path: PathBuf,
    /// What it must lie beneath, without a link on the way; `None` for what the user named.
    beneath: Option<Beneath>,
}

#[derive(Clone, Debug)]
struct Beneath {
    folder: PathBuf,
    /// From there on.
    way: PathBuf,
}

impl Found {
    /// What the user, not the schedule, named; nothing bounds it.
    pub(super) fn named_by_user(path: PathBuf) -> Found {
        Found { path, beneath: None }
    }

    /// A folder out of which nothing that is found in it leads, also where the user named it.
    pub(super) fn bound(self) -> Found {
        let Found { path, beneath } = self;
        let beneath = beneath.unwrap_or_else(|| Beneath { folder: path.clone(), way: ".".into() });
        Found { path, beneath: Some(beneath) }
    }

    /// What lies in it under this name, or path.
    pub(super) fn join(&self, name: &str) -> Found {
        let beneath = self
            .beneath
            .as_ref()
            .map(|Beneath { folder, way }| Beneath { folder: folder.clone(), way: way.join(name) });
        Found { path: self.path.join(name), beneath }
    }
}

impl Place<'_> {
    /// The file or folder that `text`, the value of `argument`, stands for.
    pub(super) fn find(&self, text: &str, argument: &'static str, wanted: Wanted) -> Result<Found, Refusal> {
        let found = match self.named(text) {
            Some(found) => found,
            // Before anything is asked of the system: `..` through a folder that is not there leads out, too.
            None if leads_out(Path::new(text)) => return Err(out_of_bounds(text, argument)),
            None => Found {
                path: self.folder.join(text),
                beneath: Some(Beneath { folder: self.folder.into(), way: text.into() }),
            },
        };
        match self.entry(&found, argument)? {
            None => Err(self.missing(text, &found, argument)),
            Some(Entry::Folder) if wanted == Wanted::File => Err(Refusal::error(
                "G0702",
                format!("`{text}` is a folder, not a file"),
                "name the file inside it; a folder of IDX files is read by `data idx`, one of pictures by `data images`",
            )
            .at(argument)
            .here("a folder")),
            Some(Entry::File { .. }) if wanted == Wanted::Folder => Err(Refusal::error(
                "G0702",
                format!("`{text}` is a file, not a folder"),
                "name the folder that holds it",
            )
            .at(argument)
            .here("a file")),
            Some(Entry::Other) if found.beneath.is_some() || wanted == Wanted::Folder => Err(Refusal::error(
                "G0703",
                format!("`{text}` is a pipe, a device or a socket"),
                "name a file; what is no file can only be named on the command line, by `--data NAME=PATH`",
            )
            .at(argument)
            .here("no file")),
            Some(_) => Ok(found),
        }
    }

    /// What `--data` says of a path: of `NAME` itself, or of `NAME/…`, which the schedule chose and which therefore
    /// stays beneath it.
    fn named(&self, text: &str) -> Option<Found> {
        if let Some(path) = self.named.get(text) {
            return Some(Found::named_by_user(path.clone()));
        }
        let (name, rest) = text.split_once('/')?;
        let path = self.named.get(name).filter(|_| !leads_out(Path::new(rest)))?;
        Some(Found::named_by_user(path.clone()).bound().join(rest))
    }

    /// A file in a folder that was found, or `None` when it is not there.
    pub(super) fn within(&self, folder: &Found, name: &str, argument: &'static str) -> Result<Option<Found>, Refusal> {
        let found = folder.join(name);
        let entry = self.entry(&found, argument)?;
        Ok(matches!(entry, Some(Entry::File { .. })).then_some(found))
    }

    /// The names in a folder that was found, sorted.
    pub(super) fn list(&self, folder: &Found, argument: &'static str) -> Result<Vec<String>, Refusal> {
        let names = match &folder.beneath {
            Some(beneath) => self.world.list_beneath(&beneath.folder, &beneath.way),
            None => self.world.list(&folder.path),
        };
        names.map_err(|error| unreadable(&error, argument))
    }

    /// The whole file.
    pub(super) fn bytes(&self, file: &Found, argument: &'static str) -> Result<Vec<u8>, Refusal> {
        self.at_most(file, self.budget(), argument)
    }

    /// The whole file, refused when it holds more than `limit` bytes.
    pub(super) fn at_most(&self, file: &Found, limit: u64, argument: &'static str) -> Result<Vec<u8>, Refusal> {
        let content = match &file.beneath {
            Some(beneath) => self.world.read_beneath(&beneath.folder, &beneath.way, limit),
            None => self.world.read(&file.path, limit),
        };
        content.map_err(|error| match error.code {
            "G0802" => too_large(&shown(&file.path), limit).at(argument),
            _ => unreadable(&error, argument),
        })
    }

    /// The whole of a file of another kind than data, and how messages call it. Where `text` stands for a folder, that is
    /// the file `inside` of it.
    /// Refused when it holds more than `limit` bytes. A folder may be a stranger's run: no link in it is followed.
    pub fn file(
        &self,
        text: &str,
        inside: &str,
        argument: &'static str,
        limit: u64,
    ) -> Result<(String, Vec<u8>), Refusal> {
        let found = match self.find(text, argument, Wanted::File) {
            Err(refusal) if refusal.code == "G0702" => {
                let folder = self.find(text, argument, Wanted::Folder)?;
                if folder.beneath.is_some() {
                    folder.join(inside)
                } else {
                    let content = self.world.read_beneath(&folder.path, Path::new(inside), limit);
                    let path = shown(&folder.path.join(inside));
                    return match content {
                        Ok(content) => Ok((path, content)),
                        Err(error) if error.code == "G0802" => Err(too_large(&path, limit).at(argument)),
                        Err(error) if error.code == "G0704" => Err(unreadable(&error, argument)),
                        Err(_) => Err(without(text, inside).at(argument).here("a folder")),
                    };
                }
            }
            other => other?,
        };
        let content = self.at_most(&found, limit, argument)?;
        Ok((shown(&found.path), content))
    }

    /// The first bytes of a file.
    pub(super) fn start(&self, file: &Found, bytes: u64, argument: &'static str) -> Result<Vec<u8>, Refusal> {
        let start = match &file.beneath {
            Some(beneath) => self.world.read_start_beneath(&beneath.folder, &beneath.way, bytes),
            None => self.world.read_start(&file.path, bytes),
        };
        start.map_err(|error| unreadable(&error, argument))
    }

    /// Bytes that a file may hold, packed or unpacked: 80 % of the memory that is free.
    pub fn budget(&self) -> u64 {
        self.world.memory_to_spare()
    }

    /// What lies there.
    pub(super) fn entry(&self, found: &Found, argument: &'static str) -> Result<Option<Entry>, Refusal> {
        let entry = match &found.beneath {
            Some(beneath) => self.world.entry_beneath(&beneath.folder, &beneath.way),
            None => self.world.entry(&found.path),
        };
        entry.map_err(|error| unreadable(&error, argument))
    }

    fn missing(&self, text: &str, found: &Found, argument: &'static str) -> Refusal {
        // Names for a suggestion to the user alone. The way there holds no link, or the look would have said so.
        let path = &found.path;
        let neighbours = path.parent().and_then(|folder| self.world.list(folder).ok()).unwrap_or_default();
        let names = neighbours.iter().map(String::as_str).chain(self.named.keys().map(String::as_str));
        let wanted = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let help = match nearest(&wanted, names) {
            Some(near) => format!("did you mean `{near}`? paths begin at the folder of the schedule"),
            None if self.named(text).is_some() => "check the path after `--data`".into(),
            None => "check the name; paths begin at the folder of the schedule, others are named by `--data NAME=PATH`"
                .into(),
        };
        Refusal::error("G0701", format!("there is no `{}`", shown(path)), help).at(argument).here("not there")
    }
}

/// A folder that is no run's.
fn without(text: &str, inside: &str) -> Refusal {
    let message = format!("`{text}` is a folder without `{inside}`");
    Refusal::error("G0702", message, "name a weights file, or the folder of a run that has ended")
}

/// Whether the words of a path alone lead out of the folder it begins at.
fn leads_out(path: &Path) -> bool {
    let mut depth = 0i64;
    path.components().any(|component| {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => depth = i64::MIN / 2,
        }
        depth < 0
    })
}

fn out_of_bounds(text: &str, argument: &'static str) -> Refusal {
    Refusal::error(
        "G0704",
        format!("`{text}` leads out of the schedule's folder"),
        "use `--data NAME=PATH` on the command line and write NAME here",
    )
    .at(argument)
    .here("outside")
}

/// A world that failed, said as the data floor says things.
fn unreadable(error: &Error, argument: &'static str) -> Refusal {
    if error.code == "G0704" {
        let help = "put the file itself there, or use `--data NAME=PATH` on the command line and write NAME here";
        return Refusal::error("G0704", error.to_string(), help).at(argument).here("leads elsewhere");
    }
    let help = if error.help.is_empty() { "check the file and its folder" } else { &error.help };
    Refusal::error("G0703", error.to_string(), help).at(argument)
}

pub(super) fn too_large(name: &str, limit: u64) -> Refusal {
    Refusal::error(
        "G0705",
        format!("`{name}` holds more than {limit} bytes, which is what this machine can spare"),
        "use a smaller file, or free some memory",
    )
}

/// A path as messages show it.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

/// The name most like `wanted`, if any is like it.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_climb_above_the_folder_lead_out() {
        for inside in ["a.csv", "./a.csv", "b/a.csv", "b/../a.csv", "b/./c/../../a.csv", ""] {
            assert!(!leads_out(Path::new(inside)), "{inside}");
        }
        for outside in ["../a.csv", "/etc/passwd", "b/../../a.csv", "..", "./../b/a.csv"] {
            assert!(leads_out(Path::new(outside)), "{outside}");
        }
    }
}
