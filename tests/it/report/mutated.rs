//! A report of anybody's record: it may be absurd, and the report is still made, in bounds.

use super::lab::Lab;
use growrun::base::world::Real;
use growrun::compare::schema::Comparison;
use growrun::record::{load, yaml};
use growrun::report::{self, Format};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A page that no browser would like to open.
const BYTES_MAX: usize = 6 << 20;

fn all_formats(folder: &Path) {
    let Ok(subject) = report::read(&Real::default(), folder) else { return };
    for format in Format::ALL {
        let text = report::render(&subject, format);
        assert!(text.len() < BYTES_MAX, "{format:?}: {} bytes", text.len());
        assert!(!text.contains("NaN\"") && !text.contains("inf\""), "{format:?}: a coordinate that is none");
        if format != Format::Markdown {
            well_formed(&text);
        }
    }
}

/// Every tag is closed by its own name, and no text holds a mark.
fn well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.split_once("growrun -->").expect("the mark stands first").1;
    while let Some((before, tag)) = rest.split_once('<') {
        assert!(
            open.last() == Some(&"style") || !before.contains('>'),
            "a stray mark: {}",
            &before[..before.len().min(200)]
        );
        let end = tag.find('>').expect("a tag ends");
        let inside = &tag[..end];
        assert!(!inside.contains('<'));
        let name = inside.split([' ', '/']).find(|name| !name.is_empty()).expect("a name");
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !inside.ends_with('/') {
            open.push(name);
        }
        rest = &tag[end + 1..];
    }
    assert_eq!(open, [""; 0]);
}

struct Texts {
    run: String,
    metrics: String,
    comparison: String,
}

/// Without its last line, which holds the digest.
fn unsealed(text: String) -> String {
    let end = text.trim_end().rfind('\n').expect("many lines");
    text[..=end].to_string()
}

fn texts() -> &'static Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let (_lab, run) = Lab::trained();
        let (_other, compared) = Lab::compared();
        let text = |path: PathBuf| std::fs::read_to_string(path).expect("a file");
        Texts {
            run: text(run.join("run.yaml")),
            metrics: text(run.join("metrics.jsonl")),
            comparison: unsealed(text(compared.join("comparison.yaml"))),
        }
    })
}

/// One value of a text in lines, or one line, by something that hurts.
fn mutate(text: &str, changes: &[(usize, usize)]) -> String {
    const VALUES: [&str; 22] = [
        "null",
        "-1",
        "0",
        "18446744073709551615",
        "1.0e+308",
        "-1.0e+308",
        "5.0e-324",
        "1.0e-12",
        ".nan",
        ".inf",
        "-.inf",
        "''",
        "'<b>&\"'",
        "[]",
        "{}",
        "true",
        "x",
        "'a: b'",
        "'input:1 a:dense:18446744073709551615:relu'",
        "'r:residual:1(a:d:1:x b:d:0:y)'",
        "9007199254740993",
        "'\u{202e}\u{1}'",
    ];
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    for (place, what) in changes {
        let at = place % lines.len().max(1);
        let Some(line) = lines.get_mut(at) else { continue };
        match what % (VALUES.len() + 4) {
            kind if kind < VALUES.len() => {
                if let Some((key, _)) = line.split_once(": ") {
                    *line = format!("{key}: {}", VALUES[kind]);
                } else if let Some((before, _)) = line.rsplit_once(',') {
                    *line = format!("{before},\"step\":{}}}", VALUES[kind].trim_matches('\''));
                }
            }
            kind if kind == VALUES.len() => drop(lines.remove(at)),
            kind if kind == VALUES.len() + 1 => lines.insert(at, lines[at].clone()),
            kind if kind == VALUES.len() + 2 => lines.truncate(at),
            _ => {
                let other = place / 7 % lines.len();
                lines.swap(at, other);
            }
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn changes() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..100_usize), 0..4)
        .prop_map(|all| all.into_iter().map(|(place, what)| (place.index(100_000), what)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_run_has_a_report_or_a_refusal(run in changes(), metrics in changes()) {
        let folder = crate::cli::folder(&[
            ("run.yaml", mutate(&texts().run, &run).as_bytes()),
            ("metrics.jsonl", mutate(&texts().metrics, &metrics).as_bytes()),
        ]);
        all_formats(folder.path());
    }

    #[test]
    fn a_mutated_comparison_has_a_report_or_a_refusal(comparison in changes()) {
        // With a digest that holds, so that what is behind it is looked at.
        let text = yaml::seal(&mutate(&texts().comparison, &comparison)).0;
        let folder = crate::cli::folder(&[("comparison.yaml", text.as_bytes())]);
        all_formats(folder.path());
    }
}

/// As much of everything as a record may hold.
#[test]
fn an_enormous_run_has_a_page_of_some_megabytes() {
    let folder = crate::cli::folder(&[("run.yaml", texts().run.as_bytes())]);
    let mut record = load::record(&Real::default(), folder.path()).expect("a record");
    let event = record.events[1].clone();
    record.events = (0..1000_u64)
        .map(|step| {
            let mut event = event.clone();
            event.step = step * 100;
            event.detail = "<".repeat(200);
            event.layers = format!("input:4 h1:dense:{}:relu out:dense:2:linear", 1 + step * step);
            event
        })
        .collect();
    record.events_left_out = u64::MAX;
    record.resolved.events = Vec::new();
    let text = yaml::write(&record);
    assert!(text.len() < 1 << 20, "{}", text.len());
    std::fs::write(folder.path().join("run.yaml"), text).expect("written");
    let line = |step: u64| {
        let (loss, score) = (1e3 / (step + 1) as f64, (step as f64).sin().abs());
        format!(
            "{{\"flops\":{},\"lr\":0.1,\"step\":{step},\"train_loss\":{loss},\"val_accuracy\":{score},\"val_loss\":{loss}}}\n",
            step * 1_000_000
        )
    };
    let lines: String = (1..=100_000).map(line).collect();
    std::fs::write(folder.path().join("metrics.jsonl"), lines).expect("written");
    all_formats(folder.path());
    let page = report::render(&report::read(&Real::default(), folder.path()).expect("a run"), Format::Html);
    for told in ["more events are not drawn", "more events are not shown", "accuracy against FLOPs"] {
        assert!(page.contains(told), "{told}");
    }
}

/// A comparison that names one long file ten thousand times is not read ten thousand times.
#[test]
fn a_comparison_of_many_runs_reads_a_bounded_part() {
    let mut comparison: Comparison = yaml::read(&texts().comparison).expect("a comparison");
    let run = comparison.result.as_ref().expect("a result").arms[0].runs[0].clone();
    let arms = &mut comparison.result.as_mut().expect("a result").arms;
    arms[0].runs =
        (0..2000).map(|seed| growrun::compare::schema::RunOutcome { seed, run: "r".into(), ..run.clone() }).collect();
    let text = yaml::write(&comparison);
    assert!(text.len() < 1 << 20, "{}", text.len());
    let folder = crate::cli::folder(&[("comparison.yaml", yaml::seal(&text).0.as_bytes())]);
    std::fs::create_dir(folder.path().join("r")).expect("a folder");
    std::fs::write(folder.path().join("r/metrics.jsonl"), &texts().metrics).expect("written");
    all_formats(folder.path());
    let page = report::render(&report::read(&Real::default(), folder.path()).expect("it is there"), Format::Html);
    assert!(page.contains("told no metrics that can be drawn"));
}
