//! The command line, driven as the real binary, and the whole text of what it prints.

use std::path::Path;
use std::process::{Command, Output};

/// What one call of the program left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn growrun(folder: &Path, arguments: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_growrun"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .output()
        .expect("the program starts");
    Ran {
        code: status.code().expect("it ends by itself"),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    }
}

fn anywhere(arguments: &[&str]) -> Ran {
    growrun(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

/// A folder with some files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file to write");
    }
    folder
}

#[test]
fn alone_it_says_what_it_is_and_what_to_try() {
    let ran = anywhere(&[]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.is_empty());
    assert_eq!(ran.stdout.matches("\n  growrun ").count(), 3, "three commands to try:\n{}", ran.stdout);
}

#[test]
fn help_names_every_command_and_what_comes_later() {
    let ran = anywhere(&["--help"]);
    assert_eq!(ran.code, 0);
    for word in ["run", "check", "plan", "explain", "predict", "new", "Coming later: compare", "Exit codes"] {
        assert!(ran.stdout.contains(word), "`{word}` in\n{}", ran.stdout);
    }
    for command in ["run", "check", "plan", "explain", "predict", "new"] {
        let ran = anywhere(&[command, "--help"]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("Example"), "an example in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "no colour into a pipe");
}

#[test]
fn an_unknown_command_is_met_with_the_one_that_was_meant() {
    let ran = anywhere(&["chekc", "first.grow"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × there is no command and no file `chekc`
      help: did you mean `growrun check`?

    1 error · growrun explain G0911
    "#);
}

#[test]
fn an_unknown_flag_is_met_with_the_one_that_was_meant() {
    let ran = anywhere(&["run", "first.grow", "--sed", "8"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × there is no flag `--sed` here
      help: did you mean `--seed`?

    1 error · growrun explain G0911
    "#);
    let ran = anywhere(&["first.grow", "--set", "width"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × `width` is no value for `--set`
      help: expected NAME=VALUE

    1 error · growrun explain G0911
    "#);
    let ran = anywhere(&["check", "first.grow", "--format", "xml"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × `xml` is no value for `--format`
      help: use one of human, json, sarif

    1 error · growrun explain G0911
    "#);
    let ran = anywhere(&["plan"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r#"
      G0911 × FILE is missing
      help: `--help` behind the command shows its flags, with examples

    1 error · growrun explain G0911
    "#);
}

#[test]
fn a_command_that_comes_later_says_so() {
    for word in ["compare", "resume", "replay", "lsp"] {
        let ran = anywhere(&[word, "--anything", "first.grow"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains("G0910"), "{}", ran.stderr);
    }
}

#[test]
fn a_mistake_on_the_command_line_is_json_too_when_asked() {
    let ran = anywhere(&["run", "first.grow", "--json", "--sed", "8"]);
    assert_eq!(ran.code, 2);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(object["status"], "failed");
    assert_eq!(object["diagnostics"][0]["help"], "did you mean `--seed`?");
}

#[test]
fn every_word_of_the_list_is_explained() {
    let list = anywhere(&["explain"]).stdout;
    let words: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_once("   "))
        .map(|(word, _)| word.trim())
        .collect();
    assert!(words.len() > 5, "{list}");
    for word in words {
        let text = growrun::cli::explain::explanation(word, growrun::cli::terminal::Style::PLAIN);
        assert!(text.is_some_and(|text| text.contains(word)), "`{word}` has no explanation");
    }
    let ran = anywhere(&["explain", "dens"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("did you mean `growrun explain dense`?"), "{}", ran.stderr);
}

#[test]
fn new_overwrites_nothing() {
    let folder = folder(&[("mine.grow", b"precious")]);
    let ran = growrun(folder.path(), &["new", "--out", "mine.grow"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("already there"), "{}", ran.stderr);
    assert_eq!(std::fs::read(folder.path().join("mine.grow")).expect("still there"), b"precious");
}
