//! The appendix of a paper in Markdown: what the checklists for reproducible machine learning ask for, answered from the
//! record.

use super::comparison_page::{budget, difference, interval, minus, share, to_target};
use super::events;
use super::markup::cut;
use super::run_page::{data, machine, sentence, shape, training};
use super::subject::{Compared, Run, what};
use crate::base::numbers;
use crate::base::numbers::{count, plural};
use crate::base::text::one_line;
use crate::compare::schema::{Answer, Verdict};
use crate::record::schema::{File, Record, Version};

const ROWS_MAX: usize = 200;
const SCHEDULE_BYTES: usize = 100 << 10;
const MARK: &str = "<!-- a report of growrun -->\n\n";

/// A stranger's text on one line, in which nothing is a mark of Markdown or of HTML.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(&cut(text, 600)).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // What looks like an address would become a link.
            ':' => out.push_str("&#58;"),
            c => out.push(c),
        }
    }
    out
}

/// A stranger's text as code, in as many backticks as it takes.
fn code(text: &str) -> String {
    let text = one_line(&cut(text, 2000)).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let edge = if longest > 0 { " " } else { "" };
    if text.is_empty() { "–".into() } else { format!("{fence}{edge}{text}{edge}{fence}") }
}

struct Page(String);

impl Page {
    fn heading(&mut self, text: &str) {
        self.0.push_str(&format!("\n## {text}\n\n"));
    }

    /// An answer of the checklist.
    fn item(&mut self, asked: &str, answer: &str) {
        self.0.push_str(&format!("- **{asked}**: {answer}\n"));
    }

    fn row(&mut self, cells: &[String]) {
        self.0.push_str(&format!("| {} |\n", cells.join(" | ")));
    }

    fn head(&mut self, cells: &[&str]) {
        self.row(&cells.iter().map(|cell| cell.to_string()).collect::<Vec<_>>());
        self.0.push_str(&format!("|{}\n", "---|".repeat(cells.len())));
    }

    fn facts(&mut self, facts: &[(&str, String)]) {
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            self.item(name, &plain(value));
        }
    }

    fn schedule(&mut self, files: &[File]) {
        self.heading("The schedule");
        let mut left = SCHEDULE_BYTES;
        for file in files {
            let end = (0..=file.text.len().min(left)).rev().find(|end| file.text.is_char_boundary(*end)).unwrap_or(0);
            let text = crate::base::text::harmless(&file.text[..end]);
            left -= end;
            let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
            let fence = "`".repeat(longest.max(2) + 1);
            self.0.push_str(&format!(
                "{}\n\n{fence}grow\n{}\n{fence}\n\n",
                code(&file.name),
                text.trim_end_matches('\n')
            ));
            if end < file.text.len() {
                self.0.push_str("The rest is in the record.\n\n");
                break;
            }
        }
    }
}

fn command(words: &[String]) -> String {
    let words = words.iter().map(|word| super::page::quoted(word));
    code(&std::iter::once("growrun".to_string()).chain(words).collect::<Vec<_>>().join(" "))
}

fn version(version: &Version) -> String {
    let Version { version, commit, numerics, streams } = version;
    format!(
        "growrun {} (commit {}, numerics {numerics}, random streams {})",
        plain(version),
        plain(commit),
        plain(streams)
    )
}

/// The appendix of one run.
pub fn run(run: &Run) -> String {
    let record = &run.record;
    let mut page = Page(format!("{MARK}# Reproducibility: {}\n\n{}\n", plain(&record.name), plain(&sentence(run))));
    page.heading("Checklist");
    checklist(&mut page, run);
    page.item("Number of runs, seeds", &format!("1 run, seed {}", record.seed));
    page.item("Error bars", "none: a single run; `growrun compare` repeats it over paired seeds");
    compute(&mut page, record);
    page.heading("Results");
    match record.result.as_ref() {
        None => page.0.push_str(&format!("The run has not ended: its record says {}.\n", code(&record.status))),
        Some(result) => {
            page.head(&["metric", "at the end", "best", "at step"]);
            for metric in result.metrics.iter().take(40) {
                let word = |value: Option<f64>| {
                    value.map_or_else(|| "not finite".into(), |value| numbers::metric(&metric.name, value))
                };
                page.row(&[plain(&metric.name), word(metric.exact()), word(metric.best), metric.best_step.to_string()]);
            }
        }
    }
    growth(&mut page, run);
    page.heading("To repeat it");
    page.item("Command", &command(&record.command));
    page.item(
        "From its folder",
        "`growrun verify .`, `growrun replay .`; from the record alone `growrun replay run.yaml`",
    );
    digests(&mut page, record);
    page.schedule(&record.schedule);
    page.0
}

/// The appendix of a comparison.
pub fn comparison(compared: &Compared) -> String {
    let comparison = &compared.comparison;
    let mut page = Page(format!("{MARK}# Reproducibility: {}\n\n", plain(&comparison.name)));
    match &comparison.result {
        None => page.0.push_str("The comparison is unfinished: not every run is there, so there is no verdict yet.\n"),
        Some(outcome) => {
            verdict(&mut page, "Is growing worth it?", &outcome.verdict);
            if let Some(paid) = &outcome.paid {
                verdict(&mut page, "When the small network is already paid for?", paid);
            }
        }
    }
    page.heading("Arms");
    page.head(&["arm", "what it is", "budget", "judged"]);
    for plan in comparison.arms.iter().take(ROWS_MAX) {
        page.row(&[
            plain(&plan.name),
            plain(&plan.about),
            budget(plan.budget).into(),
            if plan.judged { "yes" } else { "no" }.into(),
        ]);
    }
    if let Some(outcome) = &comparison.result {
        page.0.push('\n');
        let metric = plain(&comparison.metric);
        page.head(&[
            "arm",
            &metric,
            minus(&comparison.metric),
            "FLOPs",
            "off by",
            "steps",
            "parameters",
            "time",
            "largest shock",
            "to the target",
        ]);
        for arm in outcome.arms.iter().take(ROWS_MAX) {
            let paired = outcome.differences.iter().find(|difference| difference.arm == arm.name);
            let optional = |value: Option<f64>, word: fn(f64) -> String| value.map_or_else(|| "–".into(), word);
            page.row(&[
                plain(&arm.name),
                interval(&comparison.metric, &arm.metric),
                paired.map_or_else(|| "–".into(), |paired| difference(&comparison.metric, &paired.interval)),
                numbers::flops(arm.flops),
                optional(arm.flops_off, share),
                count(arm.steps.max(0.0) as u64),
                count(arm.parameters.max(0.0) as u64),
                numbers::seconds(arm.seconds),
                optional(arm.shock, numbers::signed_percent),
                to_target(arm),
            ]);
        }
    }
    page.heading("Checklist");
    if let Some(reference) = &compared.reference {
        checklist(&mut page, reference);
    }
    let seeds: Vec<String> = comparison.seeds.iter().take(100).map(u64::to_string).collect();
    page.item(
        "Number of runs",
        &format!("{} arms × {}", comparison.arms.len(), plural(comparison.seeds.len() as u64, "seed")),
    );
    page.item("Seeds", &seeds.join(", "));
    page.item("Error bars", "95 % t-intervals of the mean over the seeds; differences are paired by seed");
    page.item("Matched by", &plain(&comparison.matching));
    page.item(
        "Judged by",
        &format!(
            "{}, {} is better",
            plain(&comparison.metric),
            if comparison.higher_is_better { "higher" } else { "lower" }
        ),
    );
    if let Some(outcome) = &comparison.result {
        page.item("Compute", &format!("{} for all runs, one after the other", numbers::seconds(outcome.seconds)));
    }
    if let Some(reference) = &compared.reference {
        page.facts(&machine(&reference.record));
        growth(&mut page, reference);
    }
    page.heading("To repeat it");
    page.item("Version", &version(&comparison.growrun));
    page.item("Command", &command(&comparison.command));
    if let Some(outcome) = &comparison.result {
        page.0.push('\n');
        page.head(&["arm", "seed", "folder", "value", "final weights"]);
        for (arm, run) in outcome.arms.iter().flat_map(|arm| arm.runs.iter().map(move |run| (arm, run))).take(ROWS_MAX)
        {
            page.row(&[
                plain(&arm.name),
                run.seed.to_string(),
                code(&run.run),
                run.value.map_or_else(|| "none".into(), |value| numbers::metric(&comparison.metric, value)),
                run.weights.as_deref().map_or_else(|| "–".into(), code),
            ]);
        }
    }
    page.schedule(&comparison.schedule);
    page.0
}

fn verdict(page: &mut Page, asked: &str, verdict: &Verdict) {
    page.0.push_str(&format!(
        "**{asked} {}.** {}. {}{}.\n\n",
        verdict.answer.word(),
        plain(&verdict.reason),
        if verdict.answer == Answer::Undecided { "What would decide it: " } else { "" },
        plain(&verdict.next.replace('`', ""))
    ));
}

/// Data, model and training.
fn checklist(page: &mut Page, run: &Run) {
    let record = &run.record;
    page.facts(&data(record));
    let sizes = match (run.first_parameters(), run.last_parameters()) {
        (Some(first), Some(last)) => format!("{} parameters before growth, {} after", count(first), count(last)),
        _ => "not known yet".into(),
    };
    page.item("Model", &format!("{} (units, input to output); {sizes}", plain(&shape(record))));
    page.facts(&training(&record.resolved));
    let lets: Vec<String> =
        record.resolved.lets.iter().take(60).map(|one| format!("{} = {}", one.name, one.value)).collect();
    if !lets.is_empty() {
        page.item("Values given by name", &plain(&lets.join(", ")));
    }
}

fn compute(page: &mut Page, record: &Record) {
    if let Some(result) = &record.result {
        page.item(
            "Compute",
            &format!("{}, {} wall time", numbers::flops(result.flops as f64), numbers::seconds(result.seconds)),
        );
    }
    page.facts(&machine(record));
    page.item("Version", &version(&record.growrun));
}

fn growth(page: &mut Page, run: &Run) {
    let events = &run.record.events;
    page.heading("Growth");
    if events.is_empty() {
        page.0.push_str("The network never grew.\n");
        return;
    }
    page.head(&["", "step", "what", "method", "promise", "drift", "kept", "shock", "parameters", "network"]);
    for (at, event) in events.iter().take(ROWS_MAX).enumerate() {
        page.row(&[
            (at + 1).to_string(),
            event.step.to_string(),
            plain(&what(event).0),
            plain(&event.method),
            plain(&events::promise(event)),
            numbers::tiny(event.drift),
            if event.held { "yes" } else { "**no**" }.into(),
            events::shock(event),
            events::parameters(event),
            code(&cut(&event.shape, 200)),
        ]);
    }
    let hidden = run.event_count().saturating_sub(events.len().min(ROWS_MAX) as u64);
    if hidden > 0 {
        page.0.push_str(&format!("\n{hidden} more events are in the record.\n"));
    }
}

fn digests(page: &mut Page, record: &Record) {
    let weights = record.result.as_ref().and_then(|result| result.weights.as_deref());
    page.item("Final weights", &weights.map_or_else(|| "–".into(), code));
    page.item("Schedule", &code(&record.schedule_digest));
    page.item("Data", &code(&record.data.digest));
    for file in &record.weights {
        page.item(
            "Begins with",
            &format!("{} {}", code(&cut(&file.name, 80)), code(&format!("sha256:{}", file.sha256))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_no_mark() {
        assert_eq!(
            plain("a|b <i> *x* [y](http://z) `q`\n# h"),
            "a\\|b &lt;i&gt; \\*x\\* \\[y\\](http&#58;//z) \\`q\\`?\\# h"
        );
        assert_eq!(code("a`b``c|d"), "``` a`b``c\\|d ```");
        assert_eq!(code(""), "–");
    }
}
