//! Where words go: results to stdout, everything else to stderr, with colour and width only where a
//! terminal is. A reader that went away (`growrun explain | head`) is no failure.

use crate::base::World;
use crate::base::text::{harmless, json};
use std::io::{ErrorKind, IsTerminal, Write};

/// What a stream can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// What a file, a pipe or a test gets.
    pub const PLAIN: Style = Style { color: false, width: 100 };

    /// Wraps `text` in an ANSI style such as `1` (bold) or `36` (cyan). What is wrapped brings no style of its own.
    pub fn paint(self, ansi: &str, text: &str) -> String {
        let text = harmless(text);
        if self.color { format!("\u{1b}[{ansi}m{text}\u{1b}[0m") } else { text.into_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Both streams of the program.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    pub stdout: Style,
    pub stderr: Style,
    /// Whether somebody watches stderr: only then is there a progress bar.
    pub watched: bool,
    /// Whether somebody looks at stdout: only then are foreign names in a table of results masked.
    pub looked_at: bool,
    /// Whether it shows more than ASCII, as far as the locale says: bars of a chart.
    pub unicode: bool,
}

impl Terminal {
    pub fn detect(world: &dyn World) -> Terminal {
        let color = world.variable("NO_COLOR").is_none() && world.variable("TERM").as_deref() != Some("dumb");
        let width = || match terminal_size::terminal_size() {
            Some((terminal_size::Width(columns), _)) => usize::from(columns).clamp(40, 140),
            None => Style::PLAIN.width,
        };
        let style = |terminal: bool| {
            if terminal { Style { color, width: width() } } else { Style::PLAIN }
        };
        let (watched, looked_at) = (std::io::stderr().is_terminal(), std::io::stdout().is_terminal());
        let unicode = speaks_utf8(world);
        Terminal { stdout: style(looked_at), stderr: style(watched), watched, looked_at, unicode }
    }
}

/// By the first of the variables that is set; without one the locale is C.
fn speaks_utf8(world: &dyn World) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| world.variable(name));
    let locale = set.filter(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase()).next();
    // Windows has no such variables, and its terminals show it.
    locale.map_or(cfg!(windows), |locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// Writes a result. Ends with exit code 4 when the result cannot be delivered, and quietly when the
/// reader closed the pipe.
pub fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note(&format!("cannot write the result: {error}\n"));
        std::process::exit(4);
    }
}

/// Writes a result in JSON, in which a stranger's name can steer no terminal either.
pub fn say_json(text: &str) {
    say(&json(text));
}

/// Writes what is no result. There is nowhere left to complain when stderr itself fails.
pub fn note(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
