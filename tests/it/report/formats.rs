//! What `growrun report` writes, where, and what it refuses.

use super::lab::{self, Lab};
use crate::cli::growrun;
use growrun::base::world::Real;
use growrun::compare::schema::Comparison;
use growrun::record::{load, yaml};
use growrun::report::{self, Format};
use std::path::Path;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn each_format_lies_in_the_runs_folder_and_verify_knows_it() {
    let (_lab, run) = Lab::trained();
    for (format, file) in [("html", "report.html"), ("svg", "report.svg"), ("md", "report.md")] {
        let ran = growrun(&run, &["report", ".", "--format", format]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.starts_with(&format!("./{file} shows the run (")), "{}", ran.stdout);
        let first = text(&run.join(file));
        // Again over itself, and the same bytes.
        let ran = growrun(&run, &["report", ".", "--format", format, "--json"]);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
        assert_eq!((&object["report"], &object["about"]), (&format!("./{file}").into(), &"run".into()));
        assert_eq!(text(&run.join(file)), first);
    }
    let ran = growrun(&run, &["verify", "."]);
    assert_eq!(ran.code, 0);
    assert!(!ran.stdout.contains("report"), "{}", ran.stdout);
    // From the record alone, elsewhere.
    let lone = tempfile::tempdir().expect("a folder");
    std::fs::copy(run.join("run.yaml"), lone.path().join("run.yaml")).expect("copied");
    let ran = growrun(lone.path(), &["report", "run.yaml", "--out", "page.html"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = text(&lone.path().join("page.html"));
    assert!(page.contains("metrics.jsonl:</strong> there is no such file") && page.contains("Before and after"));
}

#[test]
fn the_page_holds_what_was_asked_for() {
    let (lab, run) = Lab::trained();
    let path = report::write(&Real::default(), &run).expect("a page");
    assert_eq!(path, run.join("report.html"));
    let page = text(&path);
    let told = [
        "accuracy against steps",
        "accuracy against FLOPs",
        "loss against steps",
        "loss against FLOPs",
        "Width × depth",
        "growth events",
        "every promise kept",
        "Before and after",
        "sides &amp; &lt;more&gt;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "<span class=\"kw\">experiment</span>",
        "growrun replay .",
        "growrun verify .",
        "id=\"after-2-title\"",
        "class=\"fresh\"",
        "class=\"skip\"",
        "prefers-color-scheme: dark",
        "Content-Security-Policy",
    ];
    for word in told {
        assert!(page.contains(word), "`{word}`");
    }
    let record = load::record(&Real::default(), &run).expect("a record");
    assert!(page.contains(record.result.as_ref().and_then(|result| result.weights.as_ref()).expect("weights")));
    // Nothing of this machine's folders.
    let home = std::fs::canonicalize(lab.folder.path()).expect("a folder");
    for format in Format::ALL {
        let text = report::render(&report::read(&Real::default(), &run).expect("a run"), format);
        assert!(!text.contains(home.to_str().expect("UTF-8")), "{format:?}");
        // In Markdown the schedule stands in a fence.
        assert!(format == Format::Markdown || !text.contains("<script"), "{format:?}");
        assert!(!text.contains("src="), "{format:?}");
    }
}

#[test]
fn a_comparison_has_its_verdict_its_arms_and_its_intervals() {
    let (_lab, folder) = Lab::compared();
    let path = report::write(&Real::default(), &folder).expect("a page");
    let page = text(&path);
    let told = [
        "Is growing worth it?",
        "<p class=\"answer\">undecided</p>",
        "8 seeds more would tell",
        "already paid for?",
        "<p class=\"answer\">yes</p>",
        "val_accuracy against FLOPs",
        "val_accuracy against steps",
        "class=\"band k0\"",
        "class=\"interval k1\"",
        "class=\"zero\"",
        "0.31 %",
        "How the reference grew (seed 1)",
        "Before and after",
        "growrun compare sides.grow --seeds 2",
    ];
    for word in told {
        assert!(page.contains(word), "`{word}`");
    }
    assert!(!page.contains("/home/ada"), "a path of the command");
    let appendix = report::render(&report::read(&Real::default(), &folder).expect("it is there"), Format::Markdown);
    for word in
        ["## Checklist", "95 % t-intervals", "| grown |", "**Is growing worth it? undecided.**", "- **Seeds**: 1, 2"]
    {
        assert!(appendix.contains(word), "`{word}` in\n{appendix}");
    }
    // Without a result, what is there is found by the arms that the records name.
    let mut comparison: Comparison = yaml::read(&text(&folder.join("comparison.yaml"))).expect("a comparison");
    comparison.result = None;
    for (arm, seed) in [("grown", 1), ("grown", 2), ("small", 1)] {
        let inside =
            std::fs::read_dir(folder.join(arm)).expect("a folder").next().expect("an entry").expect("read").path();
        let run = inside.join(format!("000{seed}"));
        let mut record = load::record(&Real::default(), &run).expect("a record");
        record.arm =
            Some(growrun::record::schema::Arm { name: arm.into(), steps: None, stretched_of: None, from_final: false });
        std::fs::write(run.join("run.yaml"), yaml::write(&record)).expect("written");
    }
    lab::write(&folder, &comparison);
    let page = text(&report::write(&Real::default(), &folder).expect("a page"));
    for word in ["Unfinished.", "val_accuracy against FLOPs", "How the reference grew"] {
        assert!(page.contains(word), "`{word}`");
    }
    assert!(!page.contains("class=\"verdict"), "no verdict yet");
}

#[test]
fn images_are_drawn_with_their_sizes_kernels_and_maps() {
    let (_lab, run) = Lab::of_images();
    let subject = report::read(&Real::default(), &run).expect("a run");
    let page = report::render(&subject, Format::Html);
    // The words that stand at the bars of the second event: a kernel grows, and nothing becomes wider.
    let drawing =
        page.split("id=\"after-1-title\"").nth(1).and_then(|rest| rest.split("</svg>").next()).expect("drawn");
    let texts = drawing.split("<text ").skip(1).map(|text| {
        let (marks, word) = text.split_once('>').expect("a tag");
        let changed = if marks.contains("changed") { "!" } else { "" };
        format!("{changed}{}", word.split('<').next().unwrap_or_default())
    });
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join(" · "), @"r1 + map /2 · 1 · input · 8×8 · 8 · c1 · !5×5 · relu · 8×8 · 8 · p1 · max 2 · 4×4 · 6 · a · 3×3 /2 · leaky_relu · 2×2 · 8 · b · 1×1 · linear · 2×2 · 8 · top · global · 10 · out · linear");
    let about = page.split("id=\"after-1-about\">").nth(1).and_then(|rest| rest.split('<').next()).expect("described");
    insta::assert_snapshot!(about, @"Layers from input to output: input 1 of 8×8; c1 8 of 8×8 by 5×5, another kernel; p1 8 of 4×4 by max 2; a 6 of 2×2 by 3×3 /2; b 8 of 2×2 by 1×1; top 8 by global; out 10");
    for word in ["conv kernel 3 stride 2", "pool max 2", "pool global", "residual project"] {
        assert!(page.contains(word), "`{word}`");
    }
    let appendix = report::render(&subject, Format::Markdown);
    assert!(appendix.contains("1@8×8-4@8×8-4@4×4-(6@2×2-8@2×2)-8-10"), "{appendix}");
    // A record that no network can be made of is drawn by what it says.
    let mut record = load::record(&Real::default(), &run).expect("a record");
    record.events.clear();
    record.data.area = None;
    std::fs::write(run.join("run.yaml"), yaml::write(&record)).expect("written");
    let page = report::render(&report::read(&Real::default(), &run).expect("a run"), Format::Html);
    assert!(page.contains("The network") && page.contains(">c1<"), "{page}");
}

#[test]
fn the_appendix_answers_the_checklist() {
    let (_lab, run) = Lab::trained();
    let mut record = load::record(&Real::default(), &run).expect("a record");
    // What differs between machines and days.
    record.growrun.commit = "0123456789ab".into();
    (record.host.cpu, record.host.os, record.host.simd) = ("a processor".into(), "an os".into(), "avx2".into());
    (record.host.threads, record.host.sandbox) = (2, "full".into());
    record.result.as_mut().expect("it has ended").seconds = 0.5;
    std::fs::write(run.join("run.yaml"), yaml::write(&record)).expect("written");
    let appendix = report::render(&report::read(&Real::default(), &run).expect("a run"), Format::Markdown);
    insta::assert_snapshot!(appendix);
}

#[test]
fn nothing_but_a_report_is_written_over() {
    let (_lab, run) = Lab::trained();
    let before = text(&run.join("run.yaml"));
    let ran = growrun(&run, &["report", ".", "--out", "run.yaml"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("already there and is no report"), "{}", ran.stderr);
    assert_eq!(text(&run.join("run.yaml")), before);
    let ran = growrun(&run, &["report", ".", "--out", "no/such/page.html"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
}

#[test]
fn what_is_no_record_is_refused_by_its_code() {
    let folder = crate::cli::folder(&[
        ("run.yaml", b"record: 3\n"),
        ("comparison.yaml", yaml::seal("comparison: 1\n").0.as_bytes()),
    ]);
    for (path, code, exit) in [("run.yaml", "G0803", 2), (".", "G0803", 2), ("nowhere", "G0801", 4)] {
        let ran = growrun(folder.path(), &["report", path, "--json"]);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
        assert_eq!((ran.code, object["diagnostics"][0]["code"].as_str()), (exit, Some(code)), "{path}: {}", ran.stderr);
    }
}

/// A run or comparison that leads elsewhere by a link or a path tells nothing of what is there.
#[cfg(unix)]
#[test]
fn a_strangers_paths_lead_nowhere() {
    let (lab, folder) = Lab::compared();
    let mut comparison: Comparison = yaml::read(&text(&folder.join("comparison.yaml"))).expect("a comparison");
    let outside = lab.train("sides.grow", "outside", 3);
    let runs = &mut comparison.result.as_mut().expect("it has one").arms[0].runs;
    runs[0].run = outside.to_string_lossy().into_owned();
    runs[1].run = "../../outside/sides-more/0001".into();
    lab::write(&folder, &comparison);
    let page = text(&report::write(&Real::default(), &folder).expect("a page"));
    assert!(page.contains("2 runs told no metrics that can be drawn"));
    assert!(!page.contains("Before and after"));
    let (_lab, run) = Lab::trained();
    std::fs::remove_file(run.join("metrics.jsonl")).expect("removed");
    std::os::unix::fs::symlink(outside.join("metrics.jsonl"), run.join("metrics.jsonl")).expect("a link");
    let page = text(&report::write(&Real::default(), &run).expect("a page"));
    assert!(page.contains("links are not followed here") && !page.contains("accuracy against steps"));
}
