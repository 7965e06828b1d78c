//! What a newcomer copies works: the schedules, and every schedule in the documentation.

use super::run::{compute, dataset, program, run_with};
use growrun::base::Severity;
use growrun::run::Status;
use growrun::tensor::Simd;
use std::path::{Path, PathBuf};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schedules() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = std::fs::read_dir(root("schedules"))
        .expect("the examples")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "grow"))
        .map(|path| {
            (path.file_name().expect("a file").to_string_lossy().into(), std::fs::read_to_string(path).expect("text"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn every_example_is_commented_and_runs() {
    let all = schedules();
    assert!(all.len() >= 8, "eight examples at least, not {}", all.len());
    for (name, text) in &all {
        assert!(text.starts_with('#'), "{name} begins with what it is about");
        // Its files are not in the repository; a test of the data looks at them where they are.
        if name.starts_with("mnist") {
            continue;
        }
        let finish = run_with(text, 0, &compute(2, Simd::Auto));
        assert_eq!(finish.status, Status::Finished, "{name}");
        assert!(finish.events.iter().all(|event| event.held), "{name}: {:#?}", finish.events);
    }
}

#[test]
fn the_quickstart_reaches_97_percent_over_five_seeds() {
    let text = std::fs::read_to_string(root("schedules/quickstart.grow")).expect("the quickstart");
    let accuracies: Vec<f64> = (1..=5)
        .map(|seed| {
            let finish = run_with(&text, seed, &compute(1, Simd::Auto));
            assert!(finish.events.len() >= 2);
            finish.metrics.iter().find(|metric| metric.name == "val_accuracy").expect("measured").value
        })
        .collect();
    let mean = accuracies.iter().sum::<f64>() / 5.0;
    let worst = accuracies.iter().copied().fold(1.0, f64::min);
    println!("mean {mean:.4}, worst {worst:.4}: {accuracies:?}");
    assert!(mean >= 0.97, "mean {mean:.4}, worst {worst:.4}");
}

#[test]
fn every_schedule_in_the_documentation_checks_clean() {
    let mut blocks = 0;
    for page in ["README.md", "docs/LANGUAGE.md", "docs/data.md", "docs/growth.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        for block in text.split("```grow\n").skip(1) {
            let block = block.split("```").next().expect("a block ends");
            blocks += 1;
            if let Err(found) = program(block, None) {
                // Files of the reader's own are not here; everything else must be right.
                let errors: Vec<_> = found
                    .iter()
                    .filter(|finding| finding.severity == Severity::Error && !finding.code.starts_with("G07"))
                    .collect();
                assert!(errors.is_empty(), "{page}:\n{block}\n{errors:#?}");
            }
        }
    }
    assert!(blocks >= 2, "the README shows two schedules at least");
    // The data behind the README's schedule is there, so it would run.
    let readme = std::fs::read_to_string(root("README.md")).expect("the README");
    let block = readme.split("```grow\nexperiment").nth(1).and_then(|rest| rest.split("```").next()).expect("the tour");
    let program = program(&format!("experiment{block}"), None).expect("it checks clean");
    assert_eq!(dataset(&program).train.len(), program.data.examples);
}

#[test]
fn the_readme_begins_with_its_two_commands() {
    let readme = std::fs::read_to_string(root("README.md")).expect("the README");
    let first = readme.split("```").nth(1).expect("a block").trim();
    assert_eq!(first, "cargo run --release -- schedules/quickstart.grow\ncargo test");
}
