//! From a file's name to what the checker says of it: what `run`, `check` and `plan` begin with.

use super::Context;
use super::arguments::Overrides;
use super::render::without_place;
use crate::base::world::Overlay;
use crate::base::{Diagnostic, Error, Severity, Sources, World};
use crate::check::program::Base;
use crate::check::{self, Checked, Limits, Program, Request, Standing};
use crate::data::Place;
use crate::record::Origin;
use crate::record::locate::{self, Places};
use crate::record::schema::Record;
use crate::syntax;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A schedule that was read and checked.
pub struct Session {
    /// Of the parser and the checker, with `unavailable` as warnings where nothing is to be run.
    pub diagnostics: Vec<Diagnostic>,
    pub checked: Checked,
    pub named: BTreeMap<String, PathBuf>,
    /// The schedule's own.
    pub folder: PathBuf,
}

impl Session {
    pub fn sources(&self) -> &Sources {
        &self.checked.sources
    }

    /// Where the data of its program lies.
    pub fn place<'a>(&'a self, world: &'a dyn World, program: &'a Program) -> Place<'a> {
        Place { world, folder: &program.data_folder, named: &self.named, seed: program.seed }
    }

    /// For the record; the command is the caller's.
    pub fn origin(&self) -> Origin {
        // Paths of a fragment's sections begin at its base.
        let base = self.checked.program.as_ref().and_then(|program| program.base.as_ref());
        let folder = match base {
            Some(Base::File(path)) => path.parent().unwrap_or(Path::new("")).to_path_buf(),
            _ => self.folder.clone(),
        };
        Origin { folder, named: self.named.clone(), ..Origin::default() }
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// What forbids to run a schedule that has no error: words that wait for a later version, missing data.
    pub fn obstacles(&self) -> Vec<Diagnostic> {
        self.checked.unavailable.iter().chain(&self.checked.missing).cloned().collect()
    }

    /// Everything to tell when nothing is going to run: the words of later versions only warn.
    pub fn told(&self) -> Vec<Diagnostic> {
        let later = self.checked.unavailable.iter().cloned();
        let later = later.map(|diagnostic| Diagnostic { severity: Severity::Warning, ..diagnostic });
        self.diagnostics.iter().cloned().chain(later).collect()
    }
}

/// Reads and checks a schedule. Errors: the file, or that of `--base`, cannot be read.
pub fn open(context: &Context, file: &Path, overrides: &Overrides, limits: Limits) -> Result<Session, Error> {
    let named = overrides.data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))).collect();
    let base = overrides.base.as_deref().map(Text::File);
    let changes = Changes { set: &overrides.set, seed: overrides.seed, length: None, standing: None };
    let mut session = read(context.world, file, base, named, &changes, limits)?;
    if let Some(arm) = &overrides.arm {
        session.diagnostics.push(without_place(
            "G0910",
            format!("`--arm {arm}` is not there yet: arms are checked, and a later version runs them"),
            "leave the flag out, and move the arm's events out of the arm",
        ));
    }
    Ok(session)
}

/// The same for a run that goes on with another schedule. Where that holds events only, they stand on the sections of the
/// run's own.
pub fn open_standing(
    context: &Context,
    (run, record): (&Path, &Record),
    file: &Path,
    data: &[(String, String)],
    changes: Changes,
    limits: Limits,
) -> Result<Session, Error> {
    let (folder, named) = places(context.world, (run, record), data);
    let world = Overlay::new(context.world, files(record, &folder));
    let starter = text(record, check::STARTER_NAME);
    let first = record.schedule.first().map_or("", |file| file.name.as_str());
    let own = folder.join(record.base.as_deref().unwrap_or(first));
    let base = starter.map_or(Text::File(&own), Text::Starter);
    read(&world, file, Some(base), named, &changes, limits)
}

/// A text of a record by its name.
fn text<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    record.schedule.iter().find(|file| file.name == name).map(|file| file.text.as_str())
}

/// The schedule's files of a record, where they lie when its paths begin at `folder`.
fn files(record: &Record, folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = record.schedule.iter().filter(|file| !file.name.starts_with('<'));
    files.map(|file| (folder.join(&file.name), file.text.clone().into_bytes())).collect()
}

/// What a schedule is read with.
#[derive(Default)]
pub struct Changes<'a> {
    /// `--set`
    pub set: &'a [(String, String)],
    /// `--seed`
    pub seed: Option<u64>,
    /// `--train`
    pub length: Option<&'a str>,
    /// Where the run stands that goes on with it.
    pub standing: Option<&'a Standing>,
}

/// Reads and checks the schedule of a record, with the data where it was, or where `data` says. `changes`: what is new;
/// the record's own settings hold besides. Errors: a record without a schedule.
pub fn reopen(
    context: &Context,
    run: (&Path, &Record),
    data: &[(String, String)],
    changes: Changes,
    limits: Limits,
) -> Result<Session, Error> {
    let places = places(context.world, run, data);
    reopen_at(context, run.1, places, changes, limits)
}

/// The same with its paths leading where the caller says.
pub fn reopen_at(
    context: &Context,
    record: &Record,
    (folder, named): (PathBuf, BTreeMap<String, PathBuf>),
    changes: Changes,
    limits: Limits,
) -> Result<Session, Error> {
    let text = |name: &str| text(record, name);
    let world = Overlay::new(context.world, files(record, &folder));
    let first = record.schedule.first().map_or("", |file| file.name.as_str());
    let base_path = record.base.as_ref().map(|name| folder.join(name));
    let base = match (&base_path, text(check::STARTER_NAME)) {
        (Some(_), Some(starter)) => Some(Text::Starter(starter)),
        (Some(path), None) => Some(Text::File(path)),
        (None, _) => None,
    };
    let mut set: Vec<(String, String)> = record
        .schedule
        .iter()
        .filter_map(|file| Some((file.name.strip_prefix("<--set ")?.strip_suffix('>')?.into(), file.text.clone())))
        .collect();
    set.extend_from_slice(changes.set);
    let changes = Changes {
        set: &set,
        seed: changes.seed.or(Some(record.seed)),
        length: changes.length.or_else(|| text(check::LENGTH_NAME).and_then(check::length_words)),
        standing: changes.standing,
    };
    read(&world, &folder.join(first), base, named, &changes, limits)
}

/// The schedule's folder and the named data of a record, with what `data` says of them. What a stranger's record says
/// of folders is not believed where neither its schedule nor its data lies.
pub fn places(
    world: &dyn World,
    (run, record): (&Path, &Record),
    data: &[(String, String)],
) -> (PathBuf, BTreeMap<String, PathBuf>) {
    let Places { home, mut named } = locate::places(world, record, run, false);
    named.extend(data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))));
    (home, named)
}

/// A schedule's base.
enum Text<'a> {
    File(&'a Path),
    /// The text that the starter had.
    Starter(&'a str),
}

fn read(
    world: &dyn World,
    file: &Path,
    base: Option<Text>,
    named: BTreeMap<String, PathBuf>,
    changes: &Changes,
    limits: Limits,
) -> Result<Session, Error> {
    let (mut schedule, mut diagnostics) = syntax::load(world, file)?;
    let base = match base {
        Some(Text::Starter(text)) => Some(syntax::parse(check::STARTER_NAME, text).0),
        Some(Text::File(path)) if check::is_fragment(&schedule) => {
            let (base, found) = syntax::load(world, path)?;
            // The base's texts follow the fragment's own.
            let by = u16::try_from(schedule.sources.0.len()).expect("includes are capped");
            diagnostics.extend(found.into_iter().map(|mut diagnostic| {
                diagnostic.labels.iter_mut().for_each(|label| label.span.file += by);
                diagnostic
            }));
            Some(base)
        }
        _ => None,
    };
    let completed = check::complete(&mut schedule, base);
    let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let vocabulary = crate::run::vocabulary();
    let request = Request {
        seed: changes.seed,
        standing: changes.standing,
        completed,
        set: changes.set,
        length: changes.length,
        limits,
        ..Request::new(world, &vocabulary, &folder, &named)
    };
    let checked = check::check(schedule, &request);
    diagnostics.extend(checked.diagnostics.iter().cloned());
    Ok(Session { diagnostics, checked, named, folder })
}
