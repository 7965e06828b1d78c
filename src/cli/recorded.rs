//! The program and the data of a record, read again: what `verify`, `pack` and `replay` have in common.

use super::Context;
use super::session::{self, Changes, Session};
use crate::base::world::{Seen, Watched};
use crate::base::{Diagnostic, Error, Refusal, Severity, World};
use crate::check::{Limits, Standing};
use crate::data::Dataset;
use crate::record::locate::Located;
use crate::record::schema::Record;
use crate::record::{checkpoint, share};
use crate::run::{self, Saved};
use std::path::{Path, PathBuf};

/// What came of it.
pub enum Again {
    /// The data has the digest of the record. `start`: what a run with a parent begins from, where it is there.
    Same { session: Box<Session>, dataset: Box<Dataset>, seen: Vec<Seen>, start: Option<Box<Saved>> },
    /// It is not on this machine, for this reason.
    Missing(Diagnostic),
    /// It is another one: the file, where there is one, and what is wrong.
    Differs { file: Option<String>, problem: String },
    /// This version refuses the schedule.
    Refused(Box<Session>),
}

/// Reads what a record was trained with. `data`: where the user says that data lies.
pub fn again(context: &Context, located: &Located, data: &[(String, String)], limits: Limits) -> Result<Again, Error> {
    let record = &located.record;
    let start = start(context.world, located);
    let standing = start.as_ref().map(|saved| Standing {
        step: saved.progress.step,
        architecture: saved.architecture.clone(),
        done: saved.progress.done.clone(),
    });
    let watched = Watched::new(context.world);
    let inner = Context { world: &watched, terminal: context.terminal };
    let changes = Changes { standing: standing.as_ref(), ..Changes::default() };
    let mut named = located.places.named.clone();
    named.extend(data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))));
    let places = (located.places.home.clone(), named);
    let session = session::reopen_at(&inner, record, places, changes, limits)?;
    let dataset = session
        .checked
        .program
        .as_ref()
        .filter(|_| !session.has_errors())
        .map(|program| run::load_data(program, &session.place(&watched, program)));
    let seen = watched.into_seen();
    // A broken file is seldom read to its end, so what was read is judged before what was made of it.
    if let Some(file) = changed(record, &seen) {
        return Ok(file);
    }
    if let Some(missing) = &session.checked.missing {
        return Ok(Again::Missing(missing.clone()));
    }
    match dataset {
        None => Ok(Again::Refused(Box::new(session))),
        Some(Err(refusal)) => Ok(Again::Differs { file: None, problem: refusal.message }),
        Some(Ok(dataset)) if dataset.digest != record.data.digest => {
            // Of a folder of files the record has one line: which of them changed, nobody knows.
            let mut lines = dataset.files.iter().zip(&record.data.files);
            if let Some((now, then)) = lines.find(|(now, then)| now.sha256 != then.sha256 && now.name == then.name) {
                let (now_is, then_was) = (short(&now.sha256), short(&then.sha256));
                let problem = format!("its files have the digest {now_is}, the record says {then_was}");
                return Ok(Again::Differs { file: Some(now.name.clone()), problem });
            }
            let problem = format!("it has the digest {}, the record says {}", dataset.digest, record.data.digest);
            Ok(Again::Differs { file: None, problem })
        }
        Some(Ok(dataset)) => {
            Ok(Again::Same { session: Box::new(session), dataset: Box::new(dataset), seen, start: start.map(Box::new) })
        }
    }
}

/// Whether the checkpoint is there that a run with a parent begins from.
pub fn has_start(world: &dyn World, located: &Located) -> bool {
    start(world, located).is_some()
}

fn start(world: &dyn World, located: &Located) -> Option<Saved> {
    located.record.parent.as_ref()?;
    let folder = located.folder.join("checkpoints").join(share::START);
    checkpoint::read(world, &folder).and_then(|read| read.saved(&folder, &located.record.data)).ok()
}

/// The refusal to train without the data, which says what it was.
pub fn missing_data(record: &Record, why: &Diagnostic) -> Refusal {
    let path = record.data.arguments.get("path").map(|path| path.trim_matches('"'));
    // What the schedule says where the file is missing: a path of its data, or of weights.
    let span = why.span();
    let text =
        record.schedule.get(span.file as usize).and_then(|file| file.text.get(span.start as usize..span.end as usize));
    let written = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let name = written.or(path).unwrap_or(&record.data.source);
    const NAMED: usize = 6;
    let mut files: Vec<String> =
        record.files().take(NAMED).map(|file| format!("`{}` (sha256 {})", file.name, short(&file.sha256))).collect();
    match record.files().count() {
        count if count > NAMED => files.push(format!("{} more", count - NAMED)),
        _ => {}
    }
    let help = format!("name it by `--data \"{name}=PATH\"`: the run was trained on {}", files.join(", "));
    Refusal::error(why.code, why.message.clone(), help)
}

/// The refusal to train on other data than that of the record.
pub fn other_data(record: &Record, file: Option<String>, problem: &str) -> Refusal {
    let what = file.map_or_else(|| format!("data {}", record.data.source), |file| format!("`{file}`"));
    let message = format!("{what} is not what the run was trained on: {problem}");
    Refusal::error("G0808", message, "bring the old file back, or name it by `--data NAME=PATH`")
}

/// The first file that bears the name of a recorded one and has none of its digests.
fn changed(recorded: &Record, seen: &[Seen]) -> Option<Again> {
    seen.iter().find_map(|seen| {
        let name = seen.path.file_name()?.to_string_lossy();
        let mut known = recorded.files().filter(|file| file.name == name).peekable();
        let first = *known.peek()?;
        if known.any(|file| file.sha256 == seen.sha256) {
            return None;
        }
        let size = match seen.bytes == first.bytes {
            true => String::new(),
            false => format!(", and {} bytes instead of {}", seen.bytes, first.bytes),
        };
        let problem = format!("it has sha256 {}, the record says {}{size}", short(&seen.sha256), short(&first.sha256));
        Some(Again::Differs { file: Some(shown(&seen.path)), problem })
    })
}

/// Whether what the session says is more than a warning.
pub fn errors(session: &Session) -> Vec<Diagnostic> {
    let obstacles = session.obstacles();
    let errors = session.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.cloned().chain(obstacles).collect()
}

/// `4f1c09d2a7b3…`
fn short(digest: &str) -> String {
    match digest.char_indices().nth(12) {
        Some((at, _)) => format!("{}…", &digest[..at]),
        None => digest.into(),
    }
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}
