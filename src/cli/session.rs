//! From a file's name to what the checker says of it: what `run`, `check` and `plan` begin with.

use super::Context;
use super::arguments::Overrides;
use super::render::without_place;
use crate::base::{Diagnostic, Error, Severity, Sources};
use crate::check::{self, Checked, Limits, Request};
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
    let (mut schedule, mut diagnostics) = syntax::load(context.world, file)?;
    let base = match &overrides.base {
        Some(path) if check::is_fragment(&schedule) => {
            let (base, found) = syntax::load(context.world, path)?;
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
    diagnostics.extend(syntax::resolve(&mut schedule, &overrides.set));
    if let Some(arm) = &overrides.arm {
        diagnostics.push(without_place(
            "G0910",
            format!("`--arm {arm}` is not there yet: arms are checked, and a later version runs them"),
            "leave the flag out, and move the arm's events out of the arm",
        ));
    }
    let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let named: BTreeMap<String, PathBuf> =
        overrides.data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))).collect();
    let vocabulary = crate::run::vocabulary();
    let request = Request {
        world: context.world,
        vocabulary: &vocabulary,
        folder: &folder,
        named: &named,
        seed: overrides.seed,
        base: None,
        completed,
        limits,
    };
    let checked = check::check(schedule, &request);
    diagnostics.extend(checked.diagnostics.iter().cloned());
    Ok(Session { diagnostics, checked, named, folder })
}
