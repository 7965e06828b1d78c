//! What a run tells while it goes on: a bar on a terminal, a few plain lines elsewhere, and every
//! growth event on a line of its own.

use super::chart::{self, Curve};
use super::numbers;
use super::outcome;
use super::terminal::{Terminal, note};
use crate::base::text::one_line;
use crate::run::{Evaluated, Event, Started, Stepped};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Evaluations that are told where no terminal is.
const LINES_MAX: u64 = 20;

/// Seconds from which on it is told how long a run will take.
const SECONDS_TOLD: f64 = 5.0;

/// The terminal as a consumer of a run's events. Everything goes to stderr.
pub struct Progress {
    terminal: Terminal,
    quiet: bool,
    bar: Option<ProgressBar>,
    pub started: Option<Started>,
    /// Seconds that the run will take in all, earlier sessions included.
    pub expected: Option<f64>,
    /// For the table at the end.
    pub curve: Curve,
    steps: u64,
    steps_per_epoch: u64,
    /// The part of the run, out of [`LINES_MAX`], up to which evaluations have been told.
    told: u64,
    score: String,
}

impl Progress {
    pub fn new(terminal: Terminal, quiet: bool) -> Progress {
        Progress {
            terminal,
            quiet,
            bar: None,
            started: None,
            expected: None,
            curve: Curve::default(),
            steps: 0,
            steps_per_epoch: 1,
            told: 0,
            score: String::new(),
        }
    }

    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Started(started) => self.begin(started),
            Event::Stepped(stepped) => self.step(stepped),
            Event::Evaluated(evaluated) => self.evaluated(evaluated),
            Event::Grown(growth) => {
                self.curve.grown(growth.step);
                let cells: Vec<String> = outcome::row(growth).into_iter().filter(|cell| !cell.is_empty()).collect();
                self.line(&cells.join("   "));
                if let (_, Some(why)) = outcome::what(&growth.detail, &growth.target) {
                    self.line(&format!("  {why}"));
                }
                self.redraw();
            }
            Event::Noted { epoch, text, .. } => self.line(&format!("epoch {}   {text}", outcome::epoch(*epoch))),
            Event::Logged(stepped) => {
                let text = format!("step {}   loss {:.4}   lr {:.3e}", stepped.step, stepped.loss, stepped.lr);
                self.line(&text);
            }
            Event::RolledBack(back) => {
                self.curve.rolled_back(back.back_to);
                self.line(&format!(
                    "step {}   diverged: back to step {} with {}x the learning rate",
                    back.step,
                    back.back_to,
                    numbers::short(back.factor)
                ));
            }
            Event::Settled { .. } | Event::Checkpoint(_) => {}
            Event::Finished(..) => self.end(),
        }
    }

    /// Takes the bar away, so that an error message stands on lines of its own.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn begin(&mut self, started: &Started) {
        self.steps = started.steps;
        self.steps_per_epoch = started.steps_per_epoch.max(1);
        self.started = Some(started.clone());
        if let Some(base) = &started.base {
            self.line(&format!("this schedule holds events only, so it runs on {base}"));
        }
        let examples = started.examples;
        let parts = [(examples.train, "training"), (examples.val, "validation"), (examples.test, "test")];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, part)| format!("{n} {part}")).collect();
        // Of a run that is over before this was read nothing is said.
        let expected = self.expected.filter(|seconds| *seconds >= SECONDS_TOLD);
        let expected =
            expected.map(|seconds| format!(" · about {} expected", numbers::seconds(seconds))).unwrap_or_default();
        self.line(&format!(
            "{} · {} · {} examples · {} parameters · {} steps{expected}",
            started.name,
            started.data,
            parts.join(", "),
            numbers::count(started.parameters),
            started.steps
        ));
        if self.terminal.watched && !self.quiet {
            let bar = ProgressBar::with_draw_target(Some(started.steps), ProgressDrawTarget::stderr_with_hz(10));
            let template = if self.terminal.stderr.color {
                "  {bar:30.green/dim} epoch {prefix}  {msg}  eta {eta}"
            } else {
                "  {bar:30} epoch {prefix}  {msg}  eta {eta}"
            };
            bar.set_style(
                ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("━━─"),
            );
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, stepped: &Stepped) {
        let Some(bar) = &self.bar else { return };
        // Text is made ten times a second at most, not at every step.
        if stepped.step != self.steps && !stepped.step.is_multiple_of(self.steps / 2000 + 1) {
            return;
        }
        let epochs = self.steps.div_ceil(self.steps_per_epoch);
        bar.set_position(stepped.step);
        bar.set_prefix(format!("{}/{epochs}", outcome::epoch(stepped.epoch.floor())));
        let mut message = format!("loss {}", numbers::significant(stepped.loss));
        if !self.score.is_empty() {
            message.push_str(&format!("  {}", self.score));
        }
        if let Some((step, text)) = stepped.next {
            let at = step as f64 / self.steps_per_epoch as f64;
            message.push_str(&format!("  next: {text} at epoch {}", outcome::epoch(at)));
        }
        bar.set_message(one_line(&message).into_owned());
    }

    fn evaluated(&mut self, evaluated: &Evaluated) {
        self.curve.evaluated(evaluated);
        let of = |wanted: &dyn Fn(&str) -> bool| {
            let found = evaluated.metrics.iter().find(|(name, _)| wanted(name));
            found.map(|(name, value)| format!("{name} {}", numbers::metric(name, *value)))
        };
        let score = chart::score(evaluated.metrics.iter().map(|(name, _)| name.as_str()));
        self.score = score.and_then(|score| of(&|name| name == score)).unwrap_or_default();
        let part = evaluated.step * LINES_MAX / self.steps.max(1);
        if self.bar.is_some() || part <= self.told {
            return;
        }
        self.told = part;
        let losses = ["train_loss", "val_loss"].into_iter().filter_map(|loss| of(&|name| name == loss));
        let mut cells: Vec<String> =
            std::iter::once(format!("epoch {}", outcome::epoch(evaluated.epoch))).chain(losses).collect();
        if !self.score.is_empty() && !self.score.starts_with("val_loss") {
            cells.push(self.score.clone());
        }
        self.line(&cells.join("   "));
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        let text = one_line(text);
        match &self.bar {
            Some(bar) => bar.println(format!("  {text}")),
            None => note(&format!("  {text}\n")),
        }
    }

    fn redraw(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }
}
