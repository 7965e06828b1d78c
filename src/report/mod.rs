//! One offline file about a run or a comparison: a page, a figure, or the appendix of a paper.
//!
//! ```text
//! folder ── subject::read ─→ Run or Compared, without a path of its machine
//!        ── run_page, comparison_page ─→ HTML   made of markup, page; chart, timeline, network, arms; schedule
//!        ── figure ─→ SVG                       one of those figures alone
//!        ── markdown ─→ Markdown                the reproducibility checklist
//! ```
//!
//! What is read may be a stranger's. Nothing of it is believed: every text passes through `markup`, which escapes it;
//! every number may be absent, infinite or absurd; every list is cut at a bound that the page names. A page holds no
//! script and, by its own policy, makes no request.

mod arms;
mod chart;
mod comparison_page;
mod course;
mod events;
mod figure;
mod markdown;
mod markup;
mod network;
mod page;
mod run_page;
mod scale;
mod schedule;
mod sketch;
mod subject;
mod timeline;

pub use subject::{Subject, parent, read};

use crate::base::{Refusal, World};
use std::path::{Path, PathBuf};
use subject::of_world;

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page for a browser.
    Html,
    /// One figure.
    Svg,
    /// The appendix of a paper.
    Markdown,
}

impl Format {
    pub const ALL: [Format; 3] = [Format::Html, Format::Svg, Format::Markdown];

    /// Its file in the folder that the report is about.
    pub fn file(self) -> &'static str {
        match self {
            Format::Html => "report.html",
            Format::Svg => "report.svg",
            Format::Markdown => "report.md",
        }
    }
}

/// The report as text. The same subject gives the same bytes.
pub fn render(subject: &Subject, format: Format) -> String {
    match (subject, format) {
        (Subject::Run(run), Format::Html) => run_page::html(run),
        (Subject::Run(run), Format::Svg) => figure::run(run),
        (Subject::Run(run), Format::Markdown) => markdown::run(run),
        (Subject::Comparison(compared), Format::Html) => comparison_page::html(compared),
        (Subject::Comparison(compared), Format::Svg) => figure::comparison(compared),
        (Subject::Comparison(compared), Format::Markdown) => markdown::comparison(compared),
    }
}

/// Writes `report.html` into the folder of a run or a comparison, over an older one; where it is then.
pub fn write(world: &dyn World, folder: &Path) -> Result<PathBuf, Refusal> {
    let text = render(&read(world, folder)?, Format::Html);
    let path = folder.join(Format::Html.file());
    write_to(world, &path, &text)?;
    Ok(path)
}

/// Writes a report into a file. Refused when something else is there: only a report is written over.
pub fn write_to(world: &dyn World, path: &Path, text: &str) -> Result<(), Refusal> {
    // Its mark stands in the first bytes.
    const LOOKED_AT: u64 = 256;
    if world.entry(path).map_err(|error| of_world(&error))?.is_some() {
        let start = world.read_start(path, LOOKED_AT).unwrap_or_default();
        if !String::from_utf8_lossy(&start).contains(page::MARK) {
            return Err(Refusal::error(
                "G0801",
                format!("`{}` is already there and is no report; nothing else is overwritten", path.display()),
                "name another file with `--out`, or remove it first",
            ));
        }
    }
    world.write(path, text.as_bytes()).map_err(|error| of_world(&error))
}
