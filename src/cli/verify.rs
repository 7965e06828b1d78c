//! `growrun verify RUN`: a line for each thing that was compared with the record, and one sentence.

use super::arguments::Verify;
use super::outcome::{aligned, short_digest};
use super::recorded::{self, Again};
use super::terminal::{Style, say, say_json};
use super::{Context, confine, exit, numbers, training};
use crate::base::Error;
use crate::base::text::harmless;
use crate::record::locate::{self, Located};
use crate::record::schema::Record;
use crate::record::verify::{self, Check, Difference, Found};
use serde_json::{Value, json};

pub fn run(context: &Context, verify: &Verify) -> i32 {
    let located = locate::locate(context.world, &verify.run).ok();
    match &located {
        Some(located) => confine::to_records(context, &[located], &verify.data, None),
        // What cannot be read as a record names nothing else to read.
        None => context.world.confine(std::slice::from_ref(&verify.run), &[]),
    };
    let verified = match verify::directory(context.world, &verify.run) {
        Ok(verified) => verified,
        Err(refusal) => return training::refused(context, &refusal, verify.json),
    };
    let mut checks = verified.checks;
    let mut missing = false;
    if let Some(located) = located.as_ref().filter(|_| verified.record.is_some()) {
        match data(context, verify, located) {
            Ok(found) => {
                missing = matches!(found.last(), Some(Check { found: Found::Said(_), .. }));
                checks.extend(found);
            }
            Err(error) => return context.world_failed(&error, verify.json),
        }
    }
    let report = Report { run: verify.run.display().to_string(), record: verified.record.as_ref(), checks, missing };
    match verify.json {
        true => say_json(&format!("{}\n", report.object())),
        false => say(&report.text(context.terminal.stdout)),
    }
    if report.differences().next().is_some() { exit::FAILED } else { exit::OK }
}

/// The data, file by file, where it is on this machine.
fn data(context: &Context, verify: &Verify, located: &Located) -> Result<Vec<Check>, Error> {
    let record = &located.record;
    let what = format!("data {}", record.data.source);
    let check = |what: &str, found: Found| vec![Check { what: what.into(), found }];
    Ok(match recorded::again(context, located, &verify.data, Default::default())? {
        Again::Same { .. } => {
            let one = |word: &'static str| {
                move |file: &crate::record::schema::DataFile| Check {
                    what: format!("{word} {}", file.name),
                    found: Found::Same(format!("sha256:{}", file.sha256)),
                }
            };
            let mut checks: Vec<Check> = record.data.files.iter().map(one("data")).collect();
            if checks.is_empty() {
                checks = check(&what, Found::Same(record.data.digest.clone()));
            }
            checks.extend(record.weights.iter().map(one("weights")));
            checks
        }
        Again::Differs { file, problem } => {
            // A folder of files is called as its line in the record is.
            let name = |path: String| match path.ends_with('/') {
                true => Some(path),
                false => path.rsplit(['/', '\\']).next().map(str::to_string),
            };
            let what = file.and_then(name).map_or(what, |file| format!("data {file}"));
            check(&what, Found::Differs(Difference { problem, ..Difference::default() }))
        }
        Again::Missing(why) if verify.require_data => {
            check(&what, Found::Differs(Difference { problem: why.message, ..Difference::default() }))
        }
        Again::Missing(why) => check(&what, Found::Said(format!("not on this machine: {}", why.message))),
        Again::Refused(session) => {
            let why = recorded::errors(&session).into_iter().next().map_or_else(String::new, |why| why.message);
            let problem = format!("this version does not read the schedule: {why}");
            check(&what, Found::Differs(Difference { problem, ..Difference::default() }))
        }
    })
}

struct Report<'a> {
    run: String,
    record: Option<&'a Record>,
    checks: Vec<Check>,
    /// The data is not here.
    missing: bool,
}

impl Report<'_> {
    fn differences(&self) -> impl Iterator<Item = (&str, &Difference)> {
        self.checks.iter().filter_map(|check| match &check.found {
            Found::Differs(difference) => Some((check.what.as_str(), difference)),
            _ => None,
        })
    }

    fn text(&self, style: Style) -> String {
        let rows: Vec<Vec<String>> = self
            .checks
            .iter()
            .map(|check| {
                let (word, about) = match &check.found {
                    Found::Same(about) if about.starts_with("blake3:") => ("ok", short_digest(about)),
                    Found::Same(about) => ("ok", about.clone()),
                    Found::Said(about) => ("–", about.clone()),
                    Found::Differs(difference) => ("×", told(difference)),
                };
                vec![check.what.clone(), word.into(), about]
            })
            .collect();
        let mut out = String::new();
        for (line, check) in aligned(&rows).iter().zip(&self.checks) {
            let line = harmless(line);
            let line = match &check.found {
                Found::Differs(_) => style.paint("31", &line),
                Found::Said(_) => style.faint(&line),
                Found::Same(_) => line.into_owned(),
            };
            out.push_str(&format!("  {line}\n"));
        }
        out.push_str(&format!("{}\n", harmless(&self.sentence())));
        out
    }

    fn sentence(&self) -> String {
        let run = &self.run;
        let count = self.differences().count() as u64;
        if let Some((what, difference)) = self.differences().next() {
            let tensor = difference.tensor.as_ref().map_or_else(String::new, |tensor| format!("`{tensor}` in "));
            let (things, first) = match count {
                1 => ("1 thing is".to_string(), ""),
                _ => (format!("{} are", numbers::plural(count, "thing")), "first "),
            };
            // A changed record cannot be repeated, and neither can one whose data is gone.
            let is_of_files = |(what, _): (&str, &Difference)| what.starts_with("data ") || what == "run.yaml";
            let mend = match what.starts_with("data ") {
                true => "bring the old file back, or name it by `--data NAME=PATH`".to_string(),
                false if self.differences().any(is_of_files) => "copy it again from where it is whole".to_string(),
                false => format!(
                    "copy it again from where it is whole, or make the run again with `growrun replay {run} --out FOLDER`"
                ),
            };
            return format!("{things} not as the record says: {first}{tensor}{what}; {mend}");
        }
        match self.record.map(|record| record.status.as_str()) {
            Some("running") => format!(
                "everything in {run} is as it was written so far, and the run has not ended: it is going on, or it was killed \
                 and `growrun resume {run}` goes on with it"
            ),
            _ if self.missing => format!(
                "everything in {run} is as it was written; its data is not on this machine, so name it with \
                 `--data NAME=PATH` to have it compared too"
            ),
            _ => format!(
                "everything in {run} is as it was written; `growrun replay {run}` trains it again and compares every checkpoint"
            ),
        }
    }

    fn object(&self) -> Value {
        let difference = |what: &str, found: &Difference| json!({ "what": what, "problem": found.problem, "step": found.step, "tensor": found.tensor });
        let check = |check: &Check| {
            let (ok, about) = match &check.found {
                Found::Same(about) => (Some(true), about.clone()),
                Found::Said(about) => (None, about.clone()),
                Found::Differs(difference) => (Some(false), told(difference)),
            };
            json!({ "what": check.what, "ok": ok, "about": about })
        };
        json!({
            "run": self.run,
            "ok": self.differences().next().is_none(),
            "status": self.record.map(|record| &record.status),
            "first_difference": self.differences().next().map(|(what, found)| difference(what, found)),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "diagnostics": [],
        })
    }
}

/// The problem, with the tensor it is about.
fn told(difference: &Difference) -> String {
    let step = difference.step.map_or_else(String::new, |step| format!(" (step {step})"));
    match &difference.tensor {
        Some(tensor) => format!("`{tensor}`{step}: {}", difference.problem),
        None => difference.problem.clone(),
    }
}
