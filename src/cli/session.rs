//! From a file's name to what the checker says of it: what `run`, `check` and `plan` begin with.

use super::Context;
use super::arguments::Overrides;
use super::render::without_place;
use crate::base::text::short;
use crate::base::world::Overlay;
use crate::base::{Diagnostic, Error, Severity, Sources, World};
use crate::check::program::Base;
use crate::check::{self, Budget, Checked, Limits, OfAnArm, Program, Request, Standing, suggest};
use crate::compare::arms::{self, Cut, Judged};
use crate::compare::desk::Desk;
use crate::data::Place;
use crate::record::locate::{self, Places};
use crate::record::schema::{Arm, Record};
use crate::record::{Origin, load};
use crate::syntax::{self, Schedule};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A schedule that was read and checked.
pub struct Session {
    /// Of the parser and the checker.
    pub diagnostics: Vec<Diagnostic>,
    pub checked: Checked,
    pub named: BTreeMap<String, PathBuf>,
    /// The schedule's own.
    pub folder: PathBuf,
    /// The schedule with all its arms, on the sections of its base and with the values of `--set`.
    pub schedule: Schedule,
    pub base: Option<Base>,
    /// The arm that was chosen.
    pub arm: Option<Arm>,
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

    /// Makes `--arm NAME` the schedule that is run.
    fn choose(&mut self, name: &str) {
        if self.has_errors() {
            return;
        }
        let arms = &self.checked.arms;
        let Some(arm) = arms.iter().find(|arm| arm.name == name) else {
            let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
            let help = match suggest::help(name, names) {
                Some(help) => help,
                None => {
                    "leave `--arm` out; `growrun compare FILE` makes the standard arms of a schedule without any".into()
                }
            };
            self.diagnostics.push(without_place("G0224", format!("there is no arm `{name}`"), help));
            return;
        };
        if let Some(from) = arm
            .from_final
            .as_ref()
            .filter(|_| arm.program.as_ref().is_some_and(|program| !program.architecture.is_exact()))
        {
            let message = format!("only a run of `{from}` can tell which network `{name}` begins with");
            let help = "a condition decides it; `growrun compare FILE` runs both";
            self.diagnostics.push(without_place("G0224", message, help));
            return;
        }
        self.arm =
            Some(Arm { name: name.into(), steps: None, stretched_of: None, from_final: arm.from_final.is_some() });
        (self.checked.program, self.checked.timeline) = (arm.program.clone(), arm.timeline.clone());
    }

    /// What its arms are made from, for a comparison.
    pub fn desk<'w>(&self, world: &'w dyn World, limits: Limits) -> Desk<'w> {
        Desk {
            world,
            vocabulary: crate::run::vocabulary(),
            schedule: self.schedule.clone(),
            base: self.base.clone(),
            folder: self.folder.clone(),
            named: self.named.clone(),
            limits,
        }
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// What forbids to run a schedule that has no error: its data is not there.
    pub fn obstacles(&self) -> Vec<Diagnostic> {
        self.checked.missing.iter().cloned().collect()
    }

    /// Everything to tell before a run: what the checker says and, without a mistake, what forbids it.
    pub fn found_for_a_run(&self) -> Vec<Diagnostic> {
        let mut found = self.diagnostics.clone();
        if !self.has_errors() {
            let obstacles = self.obstacles();
            // What only warned of the same place is now what forbids the run.
            found.retain(|known| !obstacles.iter().any(|new| new.code == known.code && new.span() == known.span()));
            found.extend(obstacles);
        }
        found
    }
}

/// Reads and checks a schedule. Errors: the file, or that of `--base`, cannot be read.
pub fn open(context: &Context, file: &Path, overrides: &Overrides, limits: Limits) -> Result<Session, Error> {
    let named = overrides.data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))).collect();
    let base = overrides.base.as_deref().map(Text::File);
    let changes = Changes { set: &overrides.set, seed: overrides.seed, ..Changes::default() };
    let mut session = read(context.world, file, base, named, &changes, limits)?;
    if let Some(arm) = &overrides.arm {
        session.choose(arm);
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
    /// Whether the run has a checkpoint to go on from.
    pub begun: bool,
    /// The record of a run that is one arm of its schedule.
    pub of_arm: Option<&'a Record>,
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
        begun: changes.begun,
        of_arm: Some(record).filter(|record| record.arm.is_some()),
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
            let (base, found) = load_base(world, &schedule, path)?;
            diagnostics.extend(found);
            Some(base)
        }
        _ => None,
    };
    let base = check::complete(&mut schedule, base);
    diagnostics.extend(syntax::set(&mut schedule, changes.set));
    let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let vocabulary = crate::run::vocabulary();
    let again = changes.of_arm.and_then(|record| Some((record, record.arm.as_ref()?)));
    let initial = again.filter(|(_, arm)| arm.from_final).and_then(|(record, _)| load::start(file, record).ok());
    // With a length of its own it is measured by nothing else any more.
    let steps = again.and_then(|(_, arm)| arm.steps).filter(|_| changes.length.is_none());
    let stretched_of = again.and_then(|(_, arm)| arm.stretched_of);
    let one = match again {
        None => schedule.clone(),
        Some((record, arm)) => {
            let cut = Cut { budgeted: arm.steps.is_some(), judged: judged(record) };
            match arms::schedule(&schedule, &arm.name, cut) {
                Some(one) => one,
                None => {
                    let message =
                        format!("the record is of an arm `{}`, which its schedule does not have", short(&arm.name));
                    diagnostics.push(without_place("G0803", message, "copy the run again from where it came"));
                    schedule.clone()
                }
            }
        }
    };
    let request = Request {
        seed: changes.seed,
        standing: changes.standing,
        begun: changes.begun,
        completed: base.clone(),
        length: changes.length,
        arm: OfAnArm { budget: steps.map(|steps| Budget { steps, stretched_of }), initial: initial.as_ref() },
        limits,
        ..Request::new(world, &vocabulary, &folder, &named)
    };
    let checked = check::check(one, &request);
    diagnostics.extend(checked.diagnostics.iter().cloned());
    Ok(Session { diagnostics, checked, named, folder, schedule, base, arm: again.map(|(_, arm)| arm.clone()) })
}

/// The base of a fragment, and what the parser says of it: its texts follow the fragment's own.
pub fn load_base(world: &dyn World, fragment: &Schedule, path: &Path) -> Result<(Schedule, Vec<Diagnostic>), Error> {
    let (base, mut found) = syntax::load(world, path)?;
    let by = u16::try_from(fragment.sources.0.len()).expect("includes are capped");
    found.iter_mut().flat_map(|diagnostic| &mut diagnostic.labels).for_each(|label| label.span.file += by);
    Ok((base, found))
}

/// What the run of an arm was evaluated with at its end beside what its schedule says.
fn judged(record: &Record) -> Option<Judged> {
    let is_added = record.schedule.iter().any(|file| file.name == arms::ADDED);
    is_added.then_some(if record.data.test_examples > 0 { Judged::Test } else { Judged::Val })
}
