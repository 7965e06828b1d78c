//! Diagnostics as other programs read them: one JSON object a line, and SARIF 2.1.0 for code hosts.

use super::render::sorted;
use crate::base::{Diagnostic, Severity, Sources};
use serde::Serialize;
use serde_json::{Value, json};

/// One diagnostic. `labels[0]` is the place of the mistake; there is none when it stands in no file.
#[derive(Serialize)]
pub struct Finding<'a> {
    code: &'a str,
    severity: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    labels: Vec<Place<'a>>,
}

/// Line and column from 1; column and length count characters.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    length: usize,
    text: &'a str,
    /// Line and column one past the last character, which only SARIF asks for.
    #[serde(skip)]
    end: (usize, usize),
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Line and column of a byte, both from 1, found by bisection: a file may hold thousands of mistakes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }

    fn position(&self, offset: u32) -> (usize, usize) {
        let offset = offset as usize;
        let line = self.starts.partition_point(|&start| start <= offset);
        (line, self.text[self.starts[line - 1]..offset].chars().count() + 1)
    }
}

/// All of them by place, as `check --format json` and the `diagnostics` of `--json` show them.
pub fn findings<'a>(diagnostics: &'a [Diagnostic], sources: &'a Sources) -> Vec<Finding<'a>> {
    let lines: Vec<Lines> = sources.0.iter().map(|source| Lines::new(&source.text)).collect();
    sorted(diagnostics)
        .into_iter()
        .map(|diagnostic| Finding {
            code: diagnostic.code,
            severity: severity_word(diagnostic.severity),
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
            labels: diagnostic
                .labels
                .iter()
                .map(|label| {
                    let file = usize::from(label.span.file);
                    let (line, column) = lines[file].position(label.span.start);
                    Place {
                        file: &sources.0[file].name,
                        line,
                        column,
                        end: lines[file].position(label.span.end),
                        length: sources.slice(label.span).chars().count(),
                        text: &label.text,
                    }
                })
                .collect(),
        })
        .collect()
}

/// One object a line; nothing when there is nothing to tell.
pub fn json_lines(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for finding in findings(diagnostics, sources) {
        out.push_str(&serde_json::to_string(&finding).expect("strings and numbers serialise"));
        out.push('\n');
    }
    out
}

/// A SARIF log of one run over all files.
pub fn sarif(files: &[(&[Diagnostic], &Sources)]) -> String {
    let mut rules: Vec<&str> = Vec::new();
    let mut results: Vec<Value> = Vec::new();
    for (diagnostics, sources) in files {
        for (diagnostic, finding) in sorted(diagnostics).into_iter().zip(findings(diagnostics, sources)) {
            if !rules.contains(&diagnostic.code) {
                rules.push(diagnostic.code);
            }
            let location = |place: &Place| {
                json!({
                    "physicalLocation": {
                        "artifactLocation": { "uri": place.file.replace('\\', "/") },
                        "region": {
                            "startLine": place.line,
                            "startColumn": place.column,
                            "endLine": place.end.0,
                            "endColumn": place.end.1,
                        },
                    },
                    "message": { "text": if place.text.is_empty() { finding.message } else { place.text } },
                })
            };
            let mut message = diagnostic.message.clone();
            if let Some(help) = &diagnostic.help {
                message.push_str("\nhelp: ");
                message.push_str(help);
            }
            results.push(json!({
                "ruleId": diagnostic.code,
                "level": severity_word(diagnostic.severity),
                "message": { "text": message },
                "locations": finding.labels.iter().take(1).map(location).collect::<Vec<_>>(),
                "relatedLocations": finding.labels.iter().skip(1).map(location).collect::<Vec<_>>(),
            }));
        }
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "growrun",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|code| json!({ "id": code })).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).expect("strings and numbers serialise");
    text.push('\n');
    text
}
