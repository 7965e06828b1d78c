//! A run as one archive: everything to verify it and to train it again, and nothing about the machine that made it.
//!
//! ```text
//! NAME-NNNN/README.txt            how to verify and to repeat it
//! NAME-NNNN/run.yaml              the record without folders and paths
//! NAME-NNNN/schedule/…            the schedule's files as files, and its data when that goes along
//! NAME-NNNN/data/NAME/…           data that `--data NAME=PATH` named
//! NAME-NNNN/metrics.jsonl, final.safetensors, scaling.safetensors
//! NAME-NNNN/checkpoints/start/…   only of a run that went on from another one
//! ```

use super::locate::Places;
use super::names::{CHECKPOINTS, slug};
use super::schema::{Record, Setting};
use flate2::{Compression, GzBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// The folder of the schedule's files within an archive.
pub const SCHEDULE: &str = "schedule";
/// The folder of named data within an archive.
pub const DATA: &str = "data";
/// The checkpoint that a run with a parent begins from.
pub const START: &str = "start";

/// Where a file of the schedule lies within an archive; `None` for texts that are no files (`<starter>`, `<--set x>`)
/// and for names that would lead elsewhere.
pub fn schedule_path(name: &str) -> Option<String> {
    let is_text = name.starts_with('<');
    inside(Path::new(name)).filter(|_| !is_text).map(|path| format!("{SCHEDULE}/{path}"))
}

/// A path of plain names, with `/` between them on every system.
pub fn inside(path: &Path) -> Option<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().filter(|name| !name.contains(['\\', ':']))?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    if names.is_empty() { None } else { Some(names.join("/")) }
}

/// Where a data file goes.
pub struct Placed {
    /// Within the archive.
    pub path: String,
    /// The name of `--data` that leads to it, and where that will lead.
    pub named: Option<(String, String)>,
}

/// The places of data files: beneath the schedule's folder as they lay there, what `--data` named in a folder of its
/// own. `source`: the word of a source that finds its files without a path, which lie in a folder of that name.
/// `None` in the place of a file that has none.
pub fn place(files: &[PathBuf], places: &Places, source: Option<&str>) -> Vec<Option<Placed>> {
    let mut folders = BTreeSet::new();
    let named: Vec<(&String, &PathBuf, String)> = places
        .named
        .iter()
        .map(|(name, path)| {
            let wanted = format!("{DATA}/{}", slug(name));
            let mut free = (1..).map(|n| if n == 1 { wanted.clone() } else { format!("{wanted}-{n}") });
            let folder = free.find(|folder| folders.insert(folder.clone())).expect("numbers do not end");
            (name, path, folder)
        })
        .collect();
    let beneath = |file: &Path| {
        let rest = file.strip_prefix(&places.home).ok()?;
        Some(Placed { path: format!("{SCHEDULE}/{}", inside(rest)?), named: None })
    };
    let by_name = |file: &Path| {
        named.iter().find_map(|(name, path, folder)| {
            if file == path.as_path() {
                let path = format!("{folder}/{}", inside(Path::new(file.file_name()?))?);
                return Some(Placed { named: Some((name.to_string(), path.clone())), path });
            }
            let rest = inside(file.strip_prefix(path).ok()?)?;
            Some(Placed { path: format!("{folder}/{rest}"), named: Some((name.to_string(), folder.clone())) })
        })
    };
    let by_source = |file: &Path| {
        let (source, name) = (source?, inside(Path::new(file.file_name()?))?);
        let folder = format!("{DATA}/{source}");
        Some(Placed { path: format!("{folder}/{name}"), named: Some((source.into(), folder)) })
    };
    files.iter().map(|file| by_name(file).or_else(|| beneath(file)).or_else(|| by_source(file))).collect()
}

/// The record as strangers get it: no folder of its maker, no path of a command, and of the checkpoints only what goes
/// along. `named`: where the data of `--data` lies within the archive.
pub fn stripped(record: &Record, named: BTreeMap<String, String>) -> Record {
    let mut record = record.clone();
    let command = |words: &mut Vec<String>| words.iter_mut().for_each(|word| *word = without_path(word));
    command(&mut record.command);
    let named: Vec<Setting> = named.into_iter().map(|(name, value)| Setting { name, value }).collect();
    (record.host.folder, record.host.data) = (Some(SCHEDULE.into()), named.clone());
    for resumed in &mut record.resumed {
        command(&mut resumed.command);
        (resumed.host.folder, resumed.host.data) = (Some(SCHEDULE.into()), named.clone());
    }
    let branched = record.parent.is_some();
    for checkpoint in &mut record.checkpoints {
        checkpoint.kept = checkpoint.kept && branched && checkpoint.name == START;
    }
    record
}

/// A word of a command line; of a path only its last name: `--data mnist=…/mnist`.
pub fn without_path(word: &str) -> String {
    let (name, path) = match word.split_once('=') {
        Some((name, path)) if !name.contains(['/', '\\']) => (Some(name), path),
        _ => (None, word),
    };
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty() && *part != "~").unwrap_or(path);
    match name {
        Some(name) => format!("{name}={last}"),
        None => last.into(),
    }
}

/// `README.txt` of an archive.
pub fn readme(record: &Record, name: &str) -> String {
    let data = match (record.files().next().is_none(), record.host.data.is_empty()) {
        (true, _) => String::from("The data is inside growrun or made by it."),
        _ => {
            let files = record.files().map(|file| format!("  {}  {}\n", file.sha256, file.name));
            let folders = match record.files().any(|file| file.name.ends_with('/')) {
                true => "Of a folder it is the digest of the lines that `sha256sum` prints of its files, sorted.\n",
                false => "",
            };
            format!(
                "The data and the weights that it begins with, as `sha256sum` prints it; what is not in this archive goes beneath `{SCHEDULE}`, or is named by\n\
                 `--data NAME=PATH`:\n\n{}{folders}",
                files.collect::<String>()
            )
        }
    };
    format!(
        "{name}: a run of growrun {} (numerics {}, streams {})\n\n\
         run.yaml says everything: the schedule, every setting, the data, what happened, and the digests of the files here.\n\n  \
         growrun verify {name}      compares every file here with the record, in seconds\n  \
         growrun replay {name}      trains it again and compares every checkpoint, to the last bit\n\n\
         {data}\n",
        record.growrun.version, record.growrun.numerics, record.growrun.streams
    )
}

/// A `.tar.gz` with these files in a folder `top`. The same files give the same bytes: sorted, without times, owners
/// and the name of a system.
pub fn archive(top: &str, files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    const WHOLE: &str = "a vector takes every byte";
    let gz = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut builder = tar::Builder::new(gz);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, format!("{top}/{path}"), content.as_slice()).expect(WHOLE);
    }
    builder.into_inner().and_then(|gz| gz.finish()).expect(WHOLE)
}

/// The files of a checkpoint's folder within a run directory.
pub fn checkpoint_files(name: &str) -> Vec<String> {
    use super::checkpoint::{META, STATE, WEIGHTS};
    [META, STATE, WEIGHTS].iter().map(|file| format!("{CHECKPOINTS}/{name}/{file}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_words_and_loses_its_folders() {
        let cases = [
            ("run", "run"),
            ("first.grow", "first.grow"),
            ("/home/ada/first.grow", "first.grow"),
            ("mnist=~/data/mnist/", "mnist=mnist"),
            ("--data=mnist=/data/mnist", "--data=mnist"),
            ("width=64", "width=64"),
            ("C:\\ada\\first.grow", "first.grow"),
            ("/", "/"),
        ];
        for (word, kept) in cases {
            assert_eq!(without_path(word), kept, "{word}");
        }
    }

    #[test]
    fn only_plain_names_become_paths_of_an_archive() {
        assert_eq!(inside(Path::new("./parts/a.grow")).as_deref(), Some("parts/a.grow"));
        for name in ["../a.grow", "/a.grow", "a/../../b", "", "a\\b", "C:x"] {
            assert_eq!(inside(Path::new(name)), None, "{name}");
        }
        assert_eq!(schedule_path("<starter>"), None);
    }
}
