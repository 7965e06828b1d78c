//! The real program, killed and signalled at random moments, also while it resumes and while it saves.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Long enough to be hit anywhere, and most of its time is saving: a checkpoint after each third step, two growths.
const SCHEDULE: &str = "
experiment \"small\"
data digits { batch 32 }
model { h1 dense 48 relu dropout 0.1; h2 dense 32 relu norm batch; out dense 10 }
train 60 steps {
  optimizer adam lr 2e-3
  evaluate every 5 steps
  checkpoint every 3 steps keep 2
  keep best by val_loss
}
at step 20 widen h1 to 96 eps 1e-3
at step 40 insert identity after h1
when val_loss plateaus for 10 steps at most 3 times set lr by 0.5x
";

fn growrun(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_growrun"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

fn end(mut child: Child) -> Ended {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("UTF-8");
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
    Ended { status: child.wait().expect("it ends"), stdout, stderr }
}

/// Waits for the end, but no longer than until a moment; then sends a signal, if it still runs, and waits.
fn end_or_signal(mut child: Child, after: Duration, signal: &str) -> Ended {
    let began = Instant::now();
    while began.elapsed() < after {
        if child.try_wait().expect("it can be asked").is_some() {
            return end(child);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).output();
    sent.expect("`kill` is there");
    end(child)
}

/// The digest that `--json` tells.
fn weights(ended: &Ended) -> String {
    let object: serde_json::Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|_| panic!("one JSON object: {:?} {} {}", ended.status, ended.stdout, ended.stderr));
    object["weights"].as_str().unwrap_or_else(|| panic!("a digest in {object}")).to_string()
}

fn run_folder(folder: &Path) -> PathBuf {
    folder.join("runs/small/0001")
}

/// A sequence of numbers in 0..1 that is the same every time; what happens at these moments is not.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Kills until `wanted` kills have hit a process that was at work; every run ends with the digest of one that nobody
/// touched.
fn killed(signals: &[&str], wanted: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.grow"), SCHEDULE).expect("written");
    let began = Instant::now();
    let whole = end(growrun(folder.path(), &["small.grow", "--json", "--out", "whole"]));
    let lasts = began.elapsed();
    assert!(whole.status.success(), "{}", whole.stderr);
    let expected = weights(&whole);
    let mut moments = Moments(0x9e37_79b9_7f4a_7c15);
    let (mut hits, mut while_resuming, mut while_saving, mut runs) = (0, 0, 0, 0);
    while hits < wanted {
        let _ = std::fs::remove_dir_all(folder.path().join("runs"));
        let run = run_folder(folder.path());
        runs += 1;
        loop {
            let resumes = run.join("run.yaml").exists();
            let arguments: &[&str] = match resumes {
                true => &["resume", "runs/small/0001", "--json"],
                // Killed before there was anything to go on with.
                false => &["small.grow", "--json"],
            };
            if !resumes {
                let _ = std::fs::remove_dir_all(folder.path().join("runs"));
            }
            let child = growrun(folder.path(), arguments);
            let ended = match hits < wanted {
                true => {
                    let signal = signals[(moments.next() * signals.len() as f64) as usize];
                    end_or_signal(child, lasts.mul_f64(moments.next() * 0.8), signal)
                }
                false => end(child),
            };
            match ended.status.code() {
                Some(0) => {
                    assert_eq!(weights(&ended), expected, "after {hits} hits");
                    break;
                }
                // By the signal itself, or because the program has obeyed it.
                None | Some(130 | 138 | 143) => {}
                Some(code) => panic!("exit code {code} after {hits} hits: {}{}", ended.stdout, ended.stderr),
            }
            hits += 1;
            while_resuming += usize::from(resumes);
            let names = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
            while_saving += usize::from(names.into_iter().any(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.ends_with(".tmp") || name.ends_with(".gone")
            }));
        }
    }
    println!(
        "{hits} times hit by {}: {while_resuming} of them while it resumed, {while_saving} within the writing of a \
         checkpoint; {runs} runs ended with the digest {expected}",
        signals.join(", ")
    );
    assert!(while_resuming > 0, "some come while it resumes");
}

/// How many hits: `GROWRUN_KILLS=200 cargo test --release --test it -- killed --nocapture`.
fn wanted() -> usize {
    std::env::var("GROWRUN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn a_run_that_is_killed_at_random_moments_ends_with_the_same_bits() {
    killed(&["KILL"], wanted());
}

#[test]
fn a_run_that_is_signalled_at_random_moments_ends_with_the_same_bits() {
    killed(&["TERM", "INT", "USR1"], wanted());
}

#[test]
fn a_signal_saves_and_the_exit_code_names_it() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("USR1", 138)] {
        let folder = tempfile::tempdir().expect("a folder");
        let endless = SCHEDULE
            .replace("train 60 steps", "train 100_000 steps")
            .replace("checkpoint every 3 steps", "checkpoint every 5_000 steps");
        std::fs::write(folder.path().join("small.grow"), endless).expect("written");
        let child = growrun(folder.path(), &["small.grow"]);
        wait_for(&run_folder(folder.path()).join("metrics.jsonl"));
        let ended = end_or_signal(child, Duration::ZERO, signal);
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        assert!(run_folder(folder.path()).join("checkpoints/interrupted/meta.yaml").exists());
        assert!(ended.stdout.contains("interrupted at epoch"), "{}", ended.stdout);
        assert!(ended.stdout.contains("growrun resume runs/small/0001"), "what to do next: {}", ended.stdout);
    }
}

#[test]
fn a_run_directory_in_use_is_refused_to_a_second_process() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.grow"), SCHEDULE.replace("train 60 steps", "train 100_000 steps"))
        .expect("written");
    let child = growrun(folder.path(), &["small.grow"]);
    wait_for(&run_folder(folder.path()).join("metrics.jsonl"));
    let second = end(growrun(folder.path(), &["resume", "runs/small/0001"]));
    assert_eq!(second.status.code(), Some(4), "{}", second.stderr);
    assert!(
        second.stderr.contains("G0805") && second.stderr.contains("another process is using it"),
        "{}",
        second.stderr
    );
    let first = end_or_signal(child, Duration::ZERO, "KILL");
    assert_eq!(first.status.code(), None);
    // The system has taken the lock back.
    let child = growrun(folder.path(), &["resume", "runs/small/0001"]);
    std::thread::sleep(Duration::from_millis(300));
    let third = end_or_signal(child, Duration::ZERO, "INT");
    assert_eq!(third.status.code(), Some(130), "{}", third.stderr);
}

fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "`{}` does not come", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}
