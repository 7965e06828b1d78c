//! `growrun pack RUN`: one archive to share.

use super::arguments::Pack;
use super::recorded::{self, Again};
use super::stop::Stop;
use super::terminal::{say, say_json};
use super::{Context, confine, exit, numbers};
use crate::base::text::harmless;
use crate::base::{Refusal, World, digest};
use crate::record::locate::{self, Located};
use crate::record::verify::{self, Found};
use crate::record::{share, slug, yaml};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Largest file that goes into an archive, in bytes: it is made in memory.
const FILE_MAX: u64 = 8 << 30;
/// Of a run directory, as far as they are there.
const FILES: [&str; 3] = ["metrics.jsonl", "final.safetensors", "scaling.safetensors"];

pub fn run(context: &Context, pack: &Pack) -> i32 {
    match archive(context, pack) {
        Ok(text) => {
            if pack.json {
                say_json(&text)
            } else {
                say(&text)
            }
            exit::OK
        }
        Err(stop) => stop.tell(context, pack.json),
    }
}

/// Writes the archive; what is to be said of it.
fn archive(context: &Context, pack: &Pack) -> Result<String, Stop> {
    let world = context.world;
    let located = locate::locate(world, &pack.run)?;
    let top = name(world, &pack.run, &located);
    let out = pack.out.clone().unwrap_or_else(|| PathBuf::from(format!("{top}.tar.gz")));
    confine::to_records(context, &[&located], &pack.data, Some(out.parent().unwrap_or(Path::new(""))));
    whole(context, pack, &located)?;
    if world.entry(&out)?.is_some() {
        return Err(Stop::Refused(Refusal::error(
            "G0801",
            format!("`{}` is already there, and nothing is overwritten", out.display()),
            "name another file with `--out`, or remove it first",
        )));
    }
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut named = BTreeMap::new();
    if pack.with_data {
        data(context, pack, &located, &mut files, &mut named)?;
    }
    let record = share::stripped(&located.record, named);
    for file in &record.schedule {
        if let Some(path) = share::schedule_path(&file.name) {
            files.insert(path, file.text.clone().into_bytes());
        }
    }
    let kept =
        record.checkpoints.iter().filter(|entry| entry.kept).flat_map(|entry| share::checkpoint_files(&entry.name));
    for path in FILES.map(String::from).into_iter().chain(kept) {
        // Never through a link: a stranger's run must not pack what it does not hold.
        if world.entry_beneath(&located.folder, Path::new(&path))?.is_some() {
            files.insert(path.clone(), world.read_beneath(&located.folder, Path::new(&path), FILE_MAX)?);
        }
    }
    files.insert("README.txt".into(), share::readme(&record, &top).into_bytes());
    files.insert("run.yaml".into(), yaml::seal(&yaml::write(&record)).0.into_bytes());
    let content = share::archive(&top, &files);
    world.write(&out, &content)?;
    let (archive, size) = (out.display().to_string(), content.len() as u64);
    if pack.json {
        let object = json!({
            "archive": archive,
            "bytes": size,
            "digest": digest::bytes(&content),
            "files": files.iter().map(|(path, content)| json!({ "path": path, "bytes": content.len() })).collect::<Vec<_>>(),
            "diagnostics": [],
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = String::new();
    const ROWS_MAX: usize = 40;
    let shown = if files.len() > ROWS_MAX { ROWS_MAX / 2 } else { files.len() };
    let rows: Vec<Vec<String>> = files
        .iter()
        .take(shown)
        .map(|(path, content)| vec![path.clone(), numbers::bytes(content.len() as u64)])
        .collect();
    super::outcome::aligned(&rows).iter().for_each(|line| text.push_str(&format!("  {}\n", harmless(line))));
    if shown < files.len() {
        text.push_str(&format!("  and {} more\n", files.len() - shown));
    }
    let without = match (record.files().next().is_none(), pack.with_data) {
        (false, false) => ", without the data",
        _ => "",
    };
    let sentence = format!(
        "{archive} holds the run in {}{without}: whoever unpacks it can `growrun verify {top}` and `growrun replay {top}`",
        numbers::bytes(size)
    );
    Ok(format!("{text}{}\n", harmless(&sentence)))
}

/// Only a run that has ended and is as it was written is handed on.
fn whole(context: &Context, pack: &Pack, located: &Located) -> Result<(), Stop> {
    let run = pack.run.display();
    if located.record.status == "running" {
        return Err(Stop::Refused(Refusal::error(
            "G0804",
            format!("the run `{run}` has not ended: its record says `running`"),
            format!("wait for it, or go on with it by `growrun resume {run}`"),
        )));
    }
    let checks = verify::directory(context.world, &pack.run)?.checks;
    let differs = checks.into_iter().find_map(|check| match check.found {
        Found::Differs(difference) => Some((check.what, difference.problem)),
        _ => None,
    });
    match differs {
        None => Ok(()),
        Some((what, problem)) => Err(Stop::Refused(Refusal::error(
            "G0809",
            format!("the run `{run}` is not as it was written: {what}: {problem}"),
            format!("`growrun verify {run}` shows all that differs; pack it where it is whole"),
        ))),
    }
}

/// The archive's folder: `first-growth-0001`.
fn name(world: &dyn World, run: &Path, located: &Located) -> String {
    let path = world.canonical(run).unwrap_or_else(|_| run.into());
    let number = path.file_name().map(|name| slug(&name.to_string_lossy())).unwrap_or_default();
    format!("{}-{number}", slug(&located.record.name))
}

/// The data's files, and what `--data` has to say of them.
fn data(
    context: &Context,
    pack: &Pack,
    located: &Located,
    files: &mut BTreeMap<String, Vec<u8>>,
    named: &mut BTreeMap<String, String>,
) -> Result<(), Stop> {
    let record = &located.record;
    let (seen, dataset) = match recorded::again(context, located, &pack.data, Default::default())? {
        Again::Same { seen, dataset, .. } => (seen, dataset),
        Again::Missing(why) => return Err(Stop::Refused(recorded::missing_data(record, &why))),
        Again::Differs { file, problem } => return Err(Stop::Refused(recorded::other_data(record, file, &problem))),
        Again::Refused(session) => {
            let found = recorded::errors(&session);
            return Err(Stop::Mistakes(found, session.checked.sources.clone()));
        }
    };
    let mut places = located.places.clone();
    places.named.extend(pack.data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))));
    // Sources of published data find their files without a path.
    let finds_itself = crate::data::find(&record.data.source).is_some_and(|source| source.doc().args.is_empty());
    let source = finds_itself.then_some(record.data.source.as_str());
    // A folder of pictures is one line of the record; its data is the record's, so each of its files is.
    let mut known: BTreeSet<&str> = record.files().map(|file| file.sha256.as_str()).collect();
    known.extend(dataset.files.iter().flat_map(|file| &file.inside).map(String::as_str));
    let known = |seen: &&crate::base::world::Seen| known.contains(seen.sha256.as_str());
    let paths: Vec<PathBuf> = seen.iter().filter(known).map(|seen| seen.path.clone()).collect();
    for (path, placed) in paths.iter().zip(share::place(&paths, &places, source)) {
        let Some(placed) = placed else {
            let message = format!("`{}` lies where an archive cannot hold it", path.display());
            return Err(Stop::Refused(Refusal::error(
                "G0704",
                message,
                "name it with `--data NAME=PATH`, or leave `--with-data` out",
            )));
        };
        named.extend(placed.named);
        files.insert(placed.path, context.world.read(path, FILE_MAX)?);
    }
    Ok(())
}
