//! The command line, driven as the real binary, and the whole text of what it prints.

use std::path::Path;
use std::process::{Command, Output};

/// What one call of the program left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn growrun(folder: &Path, arguments: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_growrun"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        // What is not ASCII is shown.
        .env("LC_ALL", "C.UTF-8")
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
pub fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
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
    for word in
        ["run", "check", "plan", "explain", "predict", "new", "compare", "report", "Coming later: fmt", "Exit codes"]
    {
        assert!(ran.stdout.contains(word), "`{word}` in\n{}", ran.stdout);
    }
    for command in [
        "run", "check", "plan", "explain", "predict", "new", "runs", "verify", "diff", "pack", "replay", "report",
        "compare", "export", "inspect",
    ] {
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
    for word in ["fmt", "lsp"] {
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

const TEN_MISTAKES: &str = "\
data digits { batch 32; normalise zscore }
model {
  h1 dense 32 rellu
  h2 dense 256 relu
  out dense 10
}
train 60 epochs { optimizer adam lr 1e-3; metrics acuracy }

at epoch 30 widen h2 to 192
at epoch 70 widen h1 to 64
at epoch 10 widen h9 to 64
at epoch 12 widen out to 20
at 20 widen h1 to 64
wden h2 to 512
at epoch 15 insert identity after h1 as out
";

#[test]
fn ten_mistakes_are_ten_diagnostics() {
    let folder = folder(&[("ten.grow", TEN_MISTAKES.as_bytes())]);
    let ran = growrun(folder.path(), &["check", "ten.grow"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stdout, @r#"
      G0105 × `digits` does not know `normalise`
       ╭─[ten.grow:1:25]
     1 │ data digits { batch 32; normalise zscore }
       ·                         ────┬────
       ·                             ╰── unknown statement
       ╰────
      help: did you mean `normalize`?

      G0105 × `dense` does not know `rellu`
       ╭─[ten.grow:3:15]
     3 │   h1 dense 32 rellu
       ·               ──┬──
       ·                 ╰── unknown word
       ╰────
      help: did you mean `relu`?

      G0502 × there is no metric `acuracy`
       ╭─[ten.grow:7:51]
     7 │ train 60 epochs { optimizer adam lr 1e-3; metrics acuracy }
       ·                                                   ───┬───
       ·                                                      ╰── unknown metric
       ╰────
      help: did you mean `accuracy`?

      G0201 × cannot widen `h2` to 192: it is already 256 wide here
       ╭─[ten.grow:4:12]
     4 │   h2 dense 256 relu
       ·            ─┬─
       ·             ╰── is 256 wide here
       ╰────
       ╭─[ten.grow:9:25]
     9 │ at epoch 30 widen h2 to 192
       ·                         ─┬─
       ·                          ╰── smaller than 256
       ╰────
      help: use `narrow h2 to 192` to prune, or a size above 256

      G0202 × this comes after the end of the run
       ╭─[ten.grow:7:7]
     7 │ train 60 epochs { optimizer adam lr 1e-3; metrics acuracy }
       ·       ────┬────
       ·           ╰── the run ends at epoch 60 (step 2700)
       ╰────
        ╭─[ten.grow:10:4]
     10 │ at epoch 70 widen h1 to 64
        ·    ────┬───
        ·        ╰── never reached
        ╰────
      help: give an earlier time, such as `at 90%`, or train longer

      G0101 × there is no layer `h9` here
        ╭─[ten.grow:11:19]
     11 │ at epoch 10 widen h9 to 64
        ·                   ─┬
        ·                    ╰── unknown layer
        ╰────
      help: did you mean `h1`? the layers are `h1`, `h2` and `out`

      G0206 × cannot widen `out`: `out` holds the output axis of the network
        ╭─[ten.grow:12:19]
     12 │ at epoch 12 widen out to 20
        ·                   ─┬─
        ·                    ╰── the output axis
        ╰────
      help: it changes only with the classes or targets of the data; `h1` and `h2` can be widened, as in
            `widen h2 by 2x`

      G0104 × `at 20` could be an epoch or a step
        ╭─[ten.grow:13:4]
     13 │ at 20 widen h1 to 64
        ·    ─┬
        ·     ╰── needs its unit
        ╰────
      help: write `epoch 20` or `step 20`

      G0007 × `wden` begins no statement
        ╭─[ten.grow:14:1]
     14 │ wden h2 to 512
        · ──┬─
        ·   ╰── not known here
        ╰────
      help: did you mean `when`?

      G0103 × there is a layer called `out` already
       ╭─[ten.grow:5:13]
     5 │   out dense 10
       ·             ─┬
       ·              ╰── made here
       ╰────
        ╭─[ten.grow:15:41]
     15 │ at epoch 15 insert identity after h1 as out
        ·                                         ─┬─
        ·                                          ╰── taken
        ╰────
      help: choose another name

    10 errors · growrun explain G0105
    "#);

    let ran = growrun(folder.path(), &["check", "ten.grow", "--format", "json"]);
    assert_eq!(ran.code, 2);
    let found: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert_eq!(found.len(), 10, "{}", ran.stdout);
    for diagnostic in &found {
        let place = &diagnostic["labels"][0];
        assert_eq!(place["file"], "ten.grow");
        for key in ["line", "column", "length"] {
            assert!(place[key].as_u64().is_some_and(|n| n > 0), "`{key}` of {diagnostic}");
        }
    }

    let ran = growrun(folder.path(), &["check", "ten.grow", "--format", "sarif"]);
    assert_eq!(ran.code, 2);
    let log: serde_json::Value = serde_json::from_str(&ran.stdout).expect("a SARIF log");
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(log["runs"][0]["results"].as_array().map(Vec::len), Some(10));

    // A run refuses the same, on stderr, and leaves nothing behind.
    let ran = growrun(folder.path(), &["ten.grow", "--json"]);
    assert_eq!(ran.code, 2);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["diagnostics"].as_array().map(Vec::len), Some(10));
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn what_is_no_schedule_is_told_apart() {
    let folder =
        folder(&[("utf16.grow", b"\xff\xfea\0t\0"), ("empty.grow", b""), ("escape.grow", b"\x1b[31mat\x07\n")]);
    std::fs::create_dir(folder.path().join("dir.grow")).expect("a folder");
    let cases = [
        ("missing.grow", 4, "there is no such file"),
        ("dir.grow", 4, "it is a folder"),
        ("utf16.grow", 2, "not UTF-8"),
        ("empty.grow", 2, "says nothing"),
        ("escape.grow", 2, "G00"),
    ];
    for (file, code, text) in cases {
        for arguments in [vec![file], vec!["check", file], vec!["plan", file]] {
            let ran = growrun(folder.path(), &arguments);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, code, "{arguments:?}: {all}");
            assert!(all.contains(text), "{arguments:?}: {all}");
            assert!(!all.contains(['\u{1b}', '\u{7}']), "no control character of the file reaches the terminal");
        }
    }
}

#[test]
fn every_code_has_its_page() {
    let codes = growrun::check::codes::CODES;
    assert!(codes.len() > 50);
    for (code, title) in codes {
        let page = growrun::cli::explain::explanation(code, growrun::cli::terminal::Style::PLAIN);
        assert!(page.is_some_and(|page| page.contains(code)), "`{code}` ({title}) has no page");
    }
}

#[test]
fn new_checks_clean_and_plans() {
    let folder = folder(&[]);
    let ran = growrun(folder.path(), &["new", "--out", "first.grow"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let ran = growrun(folder.path(), &["check", "first.grow"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stdout,
        "first.grow is fine: 2700 steps, 2 growth events, 3.5k → 78.9k parameters
  epoch 20   step 900    widen h2 32 → 256
  epoch 40   step 1800   insert identity h2_id1 (256) relu
"
    );
    let ran = growrun(folder.path(), &["plan", "first.grow", "--set", "width=64", "--json"]);
    assert_eq!(ran.code, 0);
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    let shapes: Vec<&str> =
        plan["phases"].as_array().expect("phases").iter().filter_map(|p| p["architecture"].as_str()).collect();
    assert_eq!(shapes, ["64-32-32-10", "64-32-64-10", "64-32-64-64-10"]);
    // 3 · 2 · (64·32 + 32·32 + 32·10) · 1438 examples · 20 epochs
    assert_eq!(plan["phases"][0]["flops"], 585_323_520.0);
}

#[test]
fn check_shows_when_everything_happens_and_what_is_tied() {
    let text = "data digits { }
model { h1 dense 32 relu; r1 residual { a dense 48 relu; b dense 32 }; out dense 10 }
train 90 steps { evaluate every 9 steps }
at 35% save \"third\"
when val_loss plateaus for 9 steps widen b to 64
during step 50..80 freeze a
at end evaluate test
";
    let folder = folder(&[("tied.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["check", "tied.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    // 35% of 90 is 31.5, half to even.
    assert_eq!(
        ran.stdout,
        "tied.grow is fine: 90 steps, 2 growth events, 5.6k → 11.1k parameters
  from epoch 0   step 0    widen h1 + b (tied by r1) 32 → 64, when its condition holds
  epoch 0.7      step 32   save \"third\"
  epoch 1.1      step 50   freeze a
  epoch 1.8      step 80   undo freeze a
  epoch 2        step 90   evaluate test
"
    );
}

/// Two classes, told apart by the sign of `a`, with every column a number.
pub fn table(rows: usize) -> String {
    let mut text = String::from("a,b,label\n");
    for row in 0..rows {
        let (sign, class) = if row % 2 == 0 { ("", "left") } else { ("-", "right") };
        text.push_str(&format!("{sign}{}.5,{},{class}\n", 1 + row % 7, row % 5));
    }
    text
}

#[test]
fn from_a_table_to_a_schedule_a_run_and_predictions() {
    let folder = folder(&[("sides.csv", table(200).as_bytes()), ("new.csv", b"a,b\n3.5,1\n-2.5,4\n")]);
    let ran = growrun(folder.path(), &["new", "--from", "sides.csv", "--out", "sides.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = growrun(folder.path(), &["check", "sides.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("is fine"), "{}", ran.stdout);

    let ran = growrun(folder.path(), &["sides.grow", "--json", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["status"], "finished");
    assert_eq!(object["metrics"]["val_accuracy"], 1.0);
    assert!(object["weights"].as_str().is_some_and(|digest| digest.starts_with("blake3:")));
    let events = object["events"].as_array().expect("events");
    assert!(events.iter().all(|event| event["held"] == true && event["parameters_after"].is_u64()), "{events:?}");
    let run = object["run"].as_str().expect("a folder");

    let ran = growrun(folder.path(), &["predict", run, "new.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let classes: Vec<&str> = ran.stdout.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(classes, ["left", "right"]);
    let ran = growrun(folder.path(), &["predict", run, "sides.csv", "--out", "said.csv"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("accuracy 100.0 %"), "{}", ran.stderr);
    assert!(ran.stderr.contains("true \\ said"), "{}", ran.stderr);
    let ran = growrun(folder.path(), &["predict", run, "said.csv"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("G07"), "{}", ran.stderr);
}

#[test]
fn the_table_at_the_end_of_a_run_holds_what_was_promised_and_measured() {
    let text = "experiment \"tiny\"\nmodel { h1 dense 8 relu; h2 dense 8 relu; out dense 10 }\n\
                data digits { }\ntrain 2 epochs { optimizer adam lr 1e-3 }\n\
                at epoch 1 widen h2 to 16\nat epoch 1 insert identity after h2\n";
    let folder = folder(&[("tiny.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["tiny.grow", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for piece in [
        "tiny · digits · seed 0 · 1 thread\n",
        "  epoch 1   widen h2 8 → 16",
        "promise bitwise   drift 0   params 682 → 834",
        "  record  runs/tiny/0001   weights blake3:",
        "  next    growrun ",
    ] {
        assert!(ran.stdout.contains(piece), "`{piece}` in\n{}", ran.stdout);
    }
    let ran = growrun(folder.path(), &["tiny.grow", "--threads", "1", "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
}

#[test]
fn a_line_of_events_alone_runs_on_the_starter_and_says_so_first() {
    let folder = folder(&[(
        "card.grow",
        b"at step 5 widen h2 to 70 eps 1e-3; at step 8 insert identity after h2; at step 9 stop",
    )]);
    let ran = growrun(folder.path(), &["card.grow", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let first = ran.stderr.lines().next().unwrap_or_default();
    assert!(first.contains("runs on the built-in starter"), "{first}");
    assert!(ran.stdout.contains("stopped at epoch"), "{}", ran.stdout);
}

#[test]
fn an_interrupt_saves_and_ends_with_its_code() {
    let text = "data digits { }\nmodel { h1 dense 512 relu; h2 dense 512 relu; out dense 10 }\n\
                train 100_000 epochs { optimizer adam lr 1e-4 }\n";
    let folder = folder(&[("long.grow", text.as_bytes())]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_growrun"))
        .args(["long.grow", "--json", "--threads", "1"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    // The record exists from before the first step on.
    let record = folder.path().join("runs/long/0001/run.yaml");
    for _ in 0..600 {
        if record.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    let mut out = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().expect("piped"), &mut out).expect("UTF-8");
    let object: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!(object["status"], "interrupted");
    let checkpoints = std::fs::read_dir(folder.path().join("runs/long/0001/checkpoints")).expect("checkpoints").count();
    assert!(checkpoints > 0, "the work is saved");
}

#[test]
fn a_batch_larger_than_the_data_is_the_whole_data() {
    let text = "data digits { limit 100; batch 999999999 }\nmodel { h1 dense 4 relu; out dense 10 }\n\
                train 1 epochs { }\n";
    let folder = folder(&[("large.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["large.grow", "--memory-limit", "10MB"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn missing_data_is_told_once() {
    let text = "data csv \"gone.csv\"\nmodel { h1 dense 4 relu; out dense 2 }\ntrain 1 epochs { }\n";
    let folder = folder(&[("gone.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["gone.grow"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stderr.matches("there is no `gone.csv`").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_seed_that_is_none_is_told_as_such() {
    for seed in ["-1", "18446744073709551616", "1.5"] {
        let ran = anywhere(&["run", "schedules/quickstart.grow", "--seed", seed]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(&format!("`{seed}` is no value for `--seed`")), "{}", ran.stderr);
        assert!(ran.stderr.contains("a seed is a whole number from 0"), "{}", ran.stderr);
    }
}

#[test]
fn a_folder_of_runs_below_a_file_is_an_error_of_the_world() {
    let text = "data digits { limit 100 }\nmodel { h1 dense 4 relu; out dense 10 }\ntrain 1 epochs { }\n";
    let folder = folder(&[("a.grow", text.as_bytes())]);
    for out in ["a.grow", "a.grow/runs"] {
        let ran = growrun(folder.path(), &["a.grow", "--out", out]);
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(ran.stderr.contains("a part of the path is a file, not a folder"), "{}", ran.stderr);
    }
}

#[test]
fn the_chart_at_the_end_speaks_the_language_of_the_terminal() {
    let text = "data digits { batch 64; limit 300 }\nmodel { h1 dense 8 relu; out dense 10 }\n\
                train 10 epochs { optimizer adam lr 1e-2; metrics accuracy }\nat epoch 5 widen h1 to 12\n";
    let folder = folder(&[("small.grow", text.as_bytes())]);
    let chart = |locale: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_growrun"));
        command.args(["small.grow", "--seed", "1"]).current_dir(folder.path());
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            command.env_remove(name);
        }
        let output = command.envs(locale.iter().copied()).output().expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().skip(2).take(2).map(|line| format!("{line}\n")).collect::<String>()
    };
    let bars = chart(&[("LANG", "en_GB.UTF-8")]);
    assert!(bars.contains('█') && bars.contains("▲ growth"), "{bars}");
    assert_eq!(chart(&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.utf8"), ("LANG", "C")]), bars);
    for plain in [chart(&[]), chart(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")])] {
        assert!(plain.is_ascii() && plain.contains("^ growth"), "{plain}");
        assert_eq!(plain.lines().map(str::len).collect::<Vec<_>>(), bars_len(&bars), "the same columns");
    }
}

/// Columns of each line, of which `→` takes one more in ASCII.
fn bars_len(text: &str) -> Vec<usize> {
    text.lines().map(|line| line.chars().count() + line.matches('→').count()).collect()
}

#[test]
fn gradmax_between_convolutions_without_padding_takes_back_what_new_channels_say() {
    // sigmoid gives 0.5 at 0, which every tap of the reader hears.
    let text = "data digits { limit 200 }\nmodel { c1 conv 5 kernel 3 sigmoid; c2 conv 7 kernel 2 relu pad valid; \
                out dense 10 }\ntrain 8 steps { optimizer adam lr 1e-3 }\nat step 5 widen c1 by 3 method gradmax\n";
    let folder = folder(&[("taps.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["taps.grow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("promise rounding"), "{}", ran.stdout);
}

#[test]
fn a_schedule_that_widens_a_kernel_is_compared() {
    let text = "data digits { limit 200 }\nmodel { c1 conv 3 kernel 3 relu; out dense 10 }\ntrain 8 steps { }\n\
                at step 3 widen c1 kernel to 5\nat step 4 widen c1 by 2\n";
    let folder = folder(&[("kernel.grow", text.as_bytes())]);
    let ran = growrun(folder.path(), &["compare", "kernel.grow", "--list"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("grown_random"), "{}", ran.stdout);
}
