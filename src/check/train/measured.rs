//! Whether the metric of a condition is ever computed, and the times of conditions in steps.

use super::*;

/// Clauses with their times in steps; what is wrong with them comes back.
pub fn resolve(
    clauses: &[Clause],
    measured: &Measured,
    time: &Timebase,
    vocabulary: &Vocabulary,
    has_test: Option<bool>,
    into: &mut Vec<Condition>,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for clause in clauses {
        let (metric, span) = match clause {
            Clause::Compare { metric, span, .. } | Clause::Plateau { metric, span, .. } => (metric, *span),
        };
        diagnostics.extend(uncomputed(metric, span, measured, vocabulary, has_test, false));
        let Some((_, word)) = conditions::parts(metric, vocabulary) else { continue };
        let window_steps = match clause {
            Clause::Compare { .. } => 0,
            Clause::Plateau { window, .. } => {
                let steps = time.duration(*window);
                let same_unit = !time.symbolic || matches!(window, Duration::Epochs(_));
                if let Some(every) = measured.evaluate_every
                    && steps < every
                    && same_unit
                {
                    let mut diagnostic = Diagnostic::warning(
                        "G0501",
                        span,
                        format!("this plateau is shorter than the time between two evaluations ({every} steps)"),
                    )
                    .here(format!("{steps} steps"))
                    .help("give it at least the time of two evaluations, or evaluate more often");
                    if let Some(at) = measured.evaluate_span {
                        diagnostic = diagnostic.label(at, "evaluations are this far apart");
                    }
                    diagnostics.push(diagnostic);
                }
                steps
            }
        };
        into.push(Condition { clause: clause.clone(), window_steps, higher_is_better: word.higher_is_better });
    }
    diagnostics
}

/// Says when a metric is never computed while the run goes on. `at_test` allows the test part, which only
/// an `evaluate test` looks at.
pub fn uncomputed(
    name: &str,
    span: Span,
    measured: &Measured,
    vocabulary: &Vocabulary,
    has_test: Option<bool>,
    at_test: bool,
) -> Option<Diagnostic> {
    let (part, word) = conditions::parts(name, vocabulary)?;
    let never = Diagnostic::error("G0501", span, format!("`{name}` is never computed"));
    if !word.scalar {
        return Some(
            Diagnostic::error("G0502", span, format!("`{name}` is not one number"))
                .here("cannot be compared")
                .help("compare a metric such as `val_accuracy`"),
        );
    }
    if part == "test" && has_test == Some(false) {
        return Some(never.here("there is no test part").help("add one, as in `split train 80% val 10% test 10%`"));
    }
    if part == "test" && !at_test {
        return Some(
            never
                .here("the test part is not looked at while training")
                .help(format!("use `val_{}`; the test part is for the end", word.doc.word)),
        );
    }
    if measured.evaluate_every.is_none() && !at_test {
        let diagnostic = never.here("there is no evaluation").help("write `evaluate every 1 epochs`");
        return Some(match measured.evaluate_span {
            Some(at) => diagnostic.label(at, "turned off here"),
            None => diagnostic,
        });
    }
    if !measured.doubtful && !measured.metrics.contains(&word.doc.word) {
        let diagnostic =
            never.here("not among the metrics").help(format!("write `metrics {}`", with(measured, word.doc.word)));
        return Some(match measured.metrics_span {
            Some(at) => diagnostic.label(at, "these are computed"),
            None => diagnostic,
        });
    }
    None
}

fn with(measured: &Measured, word: &str) -> String {
    let mut words: Vec<&str> = measured.metrics.iter().copied().filter(|metric| *metric != "loss").collect();
    words.push(word);
    words.join(" ")
}
