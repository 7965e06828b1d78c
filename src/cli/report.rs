//! `growrun report RUN|COMPARISON`: one file to look at, to show, or to print.

use super::arguments::{Report, ReportFormat};
use super::stop::Stop;
use super::terminal::{say, say_json};
use super::{Context, confine, exit, numbers};
use crate::base::text::harmless;
use crate::base::world::Entry;
use crate::report::{self, Format, Subject};
use serde_json::json;
use std::path::PathBuf;

pub fn run(context: &Context, report: &Report) -> i32 {
    match made(context, report) {
        Ok(text) => {
            if report.json {
                say_json(&text)
            } else {
                say(&text)
            }
            exit::OK
        }
        Err(stop) => stop.tell(context, report.json),
    }
}

/// Writes the report; what is to be said of it.
fn made(context: &Context, report: &Report) -> Result<String, Stop> {
    let format = match report.format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Svg => Format::Svg,
        ReportFormat::Md => Format::Markdown,
    };
    let is_file = matches!(context.world.entry(&report.run), Ok(Some(Entry::File { .. })));
    let folder = if is_file { report::parent(&report.run) } else { report.run.clone() };
    let out: PathBuf = report.out.clone().unwrap_or_else(|| folder.join(format.file()));
    // Before a byte of the record is read: it may be a stranger's.
    confine::to_report(context, &folder, &report::parent(&out));
    let subject = report::read(context.world, &report.run)?;
    let text = report::render(&subject, format);
    report::write_to(context.world, &out, &text)?;
    let (shown, size) = (out.display().to_string(), text.len() as u64);
    let about = match subject {
        Subject::Run(_) => "run",
        Subject::Comparison(_) => "comparison",
    };
    if report.json {
        let object = json!({ "report": shown, "about": about, "bytes": size, "diagnostics": [] });
        return Ok(format!("{object}\n"));
    }
    let next = match format {
        Format::Html => "open it in a browser; it holds all it shows, so it can be sent as it is",
        Format::Svg => "put it into a page or a paper; it follows the reader's light or dark scheme",
        Format::Markdown => "paste it into the appendix; `pandoc` makes LaTeX of it",
    };
    Ok(harmless(&format!("{shown} shows the {about} ({}); {next}\n", numbers::bytes(size))).into_owned())
}
