//! What `growrun apply` says.

use crate::base::text::{harmless, one_line};
use crate::check::apply::Skipped;
use crate::cli::numbers;
use crate::cli::outcome::{self, aligned};
use crate::cli::terminal::Style;
use crate::run::Finish;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

/// What was done.
pub struct Done {
    /// The file of the weights.
    pub name: String,
    /// That, and what was converted.
    pub form: String,
    /// The proposed model block, where its activations are a guess.
    pub guessed: Option<String>,
    pub skipped: Vec<Skipped>,
    pub measured_on: String,
    pub notes: Vec<String>,
    pub finish: Finish,
    /// What became of the optimiser's state.
    pub state: String,
    /// Path, bytes and what it holds; empty when nothing was written.
    pub files: Vec<(PathBuf, u64, String)>,
    /// The tensors that growth has made, by their names in the file.
    pub new: Vec<String>,
    pub next: String,
    pub found: Value,
}

impl Done {
    pub fn text(&self, style: Style) -> String {
        let mut out = format!("{}\n", style.bold(&one_line(&self.form)));
        let rows: Vec<Vec<String>> = self
            .finish
            .events
            .iter()
            // Without the epoch: there is none.
            .map(|growth| outcome::row(growth).into_iter().skip(1).collect())
            .collect();
        for line in aligned(&rows) {
            let _ = writeln!(out, "  {line}");
        }
        let mut line = |word: &str, text: &str| {
            let _ = writeln!(out, "  {word:<8}{}", harmless(&one_line(text)));
        };
        for note in &self.notes {
            line("note", note);
        }
        for skipped in &self.skipped {
            line("skipped", &format!("{}: {}", skipped.text, skipped.why));
        }
        line("probe", &self.measured_on);
        if self.guessed.is_some() {
            line(
                "guessed",
                "the activations are not in the file: the drift is measured with relu; widening keeps to \
                             its promise whatever they are",
            );
        }
        line("state", &self.state);
        if !self.new.is_empty() {
            const SHOWN: usize = 8;
            let more = if self.new.len() > SHOWN { ", …" } else { "" };
            let shown: Vec<&str> = self.new.iter().take(SHOWN).map(String::as_str).collect();
            line("new", &format!("{}{more}", shown.join(", ")));
        }
        for (path, bytes, what) in &self.files {
            line("wrote", &format!("{} ({}): {what}", path.display(), numbers::bytes(*bytes)));
        }
        if !self.next.is_empty() {
            line("next", &self.next);
        }
        out
    }

    pub fn object(&self) -> Value {
        let events = outcome::object(&self.finish, None, Value::Null)["events"].clone();
        let file = |(path, bytes, what): &(PathBuf, u64, String)| json!({ "path": path.display().to_string(), "bytes": bytes, "what": what });
        json!({
            "weights": self.name,
            "out": self.files.first().map(|(path, ..)| path.display().to_string()),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "status": self.finish.status.word(),
            "parameters": self.finish.parameters,
            "events": events,
            "skipped": self.skipped.iter().map(|skipped| json!({ "text": skipped.text, "why": skipped.why })).collect::<Vec<_>>(),
            "notes": self.notes,
            "probe": self.measured_on,
            "activations_guessed": self.guessed.is_some(),
            "optimizer_state": self.state,
            "new": self.new,
            "diagnostics": self.found,
        })
    }
}
