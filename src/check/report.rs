//! Where the readers put what they find.

use crate::base::{Args, Diagnostic, Refusal, Severity};

#[derive(Debug, Default)]
pub struct Report {
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub fn extend(&mut self, diagnostics: Vec<Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Sorted by place, each finding once.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        let list = &mut self.diagnostics;
        list.sort_by(|a, b| {
            (a.span(), a.code, a.severity, &a.message).cmp(&(b.span(), b.code, b.severity, &b.message))
        });
        list.dedup_by(|a, b| a.code == b.code && a.span() == b.span() && a.message == b.message);
        self.diagnostics
    }
}

/// A refusal of a floor that knows no text, at the place of the argument at fault.
pub fn place(refusal: &Refusal, args: &Args) -> Diagnostic {
    let span = refusal.argument.map_or(args.span, |argument| args.span_of(argument));
    let diagnostic = match refusal.severity {
        Severity::Error => Diagnostic::error(refusal.code, span, refusal.message.clone()),
        Severity::Warning => Diagnostic::warning(refusal.code, span, refusal.message.clone()),
    }
    .here(refusal.here.clone());
    if refusal.help.is_empty() { diagnostic } else { diagnostic.help(refusal.help.clone()) }
}
