//! What a user is told about a mistake: a code, the place, the cause and the fix.
//!
//! Style: lowercase, no full stop, the message stands alone, the fix is only in `help`.

use super::Span;

/// Whether a run may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// A place and what is to be said there. The first label of a diagnostic is the mistake, the others its causes.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One finding about a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Stable code such as `G0201`; `docs/errors/CODE.md` explains it.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    pub help: Option<String>,
    pub labels: Vec<Label>,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            labels: vec![Label { span, text: String::new() }],
        }
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The text at the place of the mistake.
    pub fn here(mut self, text: impl Into<String>) -> Diagnostic {
        self.labels[0].text = text.into();
        self
    }

    /// A second place: where the cause stands.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The place of the mistake.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }
}

/// Why a floor that knows no text (growth, data, an optimiser) cannot do what it was asked to.
/// It names the argument at fault; `check` adds the span.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: &'static str,
    pub severity: Severity,
    /// Name of the argument at fault, as in its [`super::Arg`]; `None` means the whole phrase.
    pub argument: Option<&'static str>,
    /// What to say at the place of the mistake.
    pub here: String,
    /// A layer (or other name) whose last change is the cause; `check` finds where that happened.
    pub cause: Option<String>,
    pub message: String,
    pub help: String,
}

impl Refusal {
    pub fn error(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Refusal {
        Refusal {
            code,
            severity: Severity::Error,
            argument: None,
            here: String::new(),
            cause: None,
            message: message.into(),
            help: help.into(),
        }
    }

    pub fn warning(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Refusal {
        Refusal { severity: Severity::Warning, ..Refusal::error(code, message, help) }
    }

    pub fn at(mut self, argument: &'static str) -> Refusal {
        self.argument = Some(argument);
        self
    }

    pub fn here(mut self, text: impl Into<String>) -> Refusal {
        self.here = text.into();
        self
    }

    pub fn cause(mut self, name: impl Into<String>) -> Refusal {
        self.cause = Some(name.into());
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if !self.help.is_empty() {
            write!(f, " (help: {})", self.help)?;
        }
        Ok(())
    }
}
