//! Names that would steer a terminal: none of their characters arrives there.

use super::*;

/// Clears the screen, sets the title, paints, goes back, turns the direction of reading; one of them in 8-bit form.
const STEERS: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}[31m\u{8}\u{9b}31m\u{202e}\u{2066}\u{200b}";

impl Refused {
    fn is_harmless(&self) -> &Refused {
        for text in [&self.stdout, &self.stderr] {
            let steers = |c: char| (c.is_control() && c != '\n') || STEERS.chars().any(|s| s == c && !s.is_ascii());
            assert!(!text.contains(steers), "{:?} in {text:?}", text.chars().find(|&c| steers(c)));
        }
        self
    }
}

#[test]
fn in_a_schedule() {
    let lines = [
        format!("experiment \"{STEERS}\"\n{DIGITS}"),
        format!("let a = \"{STEERS}\"\n{DIGITS}save \"$a\"\n"),
        format!("let {STEERS} = 1\n{DIGITS}"),
        format!("{DIGITS}at epoch 1 widen {STEERS} to 10\n"),
        format!("{DIGITS}at epoch 1 {{ save \"{STEERS}\"; widen h1 to 10 }}\n"),
        DIGITS.replace("h1", STEERS),
        format!("data csv \"{STEERS}\"\n{MODEL}{TRAIN}"),
        format!("include \"{STEERS}\"\n{DIGITS}"),
        format!("data idx \"{STEERS}\" {{ target \"{STEERS}\" }}\n{MODEL}{TRAIN}"),
    ];
    for text in lines {
        println!("{text:?}");
        let stranger = Stranger::new().with("a.grow", text);
        for arguments in [vec!["a.grow"], vec!["check", "a.grow"], vec!["plan", "a.grow"], vec!["a.grow", "--json"]] {
            stranger.call(&arguments).is_harmless();
        }
    }
}

#[test]
fn in_a_table_and_in_a_record() {
    // A `;` would be taken for the separator.
    let name = STEERS.replace(';', ":");
    let rows: String = (0..40).map(|row| format!("{row},{}\n", if row % 2 == 0 { &name } else { "plain" })).collect();
    let table = format!("x,\"{name}\"\n{rows}");
    let stranger = Stranger::new().with("a.csv", &table).reading("csv \"a.csv\" { task classification }");
    let ran = stranger.call(&["a.grow"]);
    assert_eq!(ran.is_harmless().code, Some(0), "{}", ran.stderr);
    stranger.call(&["predict", "runs/a/0001", "a.csv", "--out", "out.csv"]).is_harmless();
    let wrong = table.replace("plain", &format!("{name}2"));
    let stranger = stranger.with("b.csv", wrong);
    stranger.call(&["predict", "runs/a/0001", "b.csv", "--out", "out.csv"]).is_harmless();
    stranger.call(&["new", "--from", "a.csv"]).is_harmless();
    for target in ["nothing", "2", "x"] {
        let stranger = Stranger::new().with("a.csv", &table);
        let stranger = stranger.reading(&format!("csv \"a.csv\" {{ target {target} }}"));
        stranger.call(&["a.grow"]).is_harmless();
    }
    // A name that holds a line must not become a statement of the schedule that is written for the table.
    let stranger = Stranger::new().with("a.csv", "\"x\nstop\",y,z\na,1,2\nb,2,3\nc,3,4\n");
    let written = stranger.call(&["new", "--from", "a.csv"]);
    assert!(!written.stdout.lines().any(|line| line.starts_with("stop")), "{}", written.stdout);
}

#[cfg(unix)]
#[test]
fn of_files() {
    let name = "\u{1b}[2J\u{9b}31m.grow";
    let stranger = Stranger::new().with(name, DIGITS).with("\u{1b}[31m.csv", "a,b\n1,2\n");
    for arguments in [vec![name], vec!["check", name], vec!["plan", name], vec!["check", "\u{1b}[2J\u{9b}31n.grow"]] {
        stranger.call(&arguments).is_harmless();
    }
    stranger.reading("csv \"[31m.csv\"").call(&["a.grow"]).is_harmless();
}
