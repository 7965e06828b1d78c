//! What comparisons can hold at all: the values that a metric can take, and those that a condition leaves of them.

use super::conditions::{parts, sign};
use super::vocabulary::{MetricWord, Vocabulary};
use crate::base::{Clause, Comparison, Diagnostic, Span};
use crate::nn::Task;

/// An interval of numbers whose ends may belong to it or not.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    low: f64,
    low_included: bool,
    high: f64,
    high_included: bool,
}

impl Range {
    /// What a metric can be: shares lie in 0..=1, losses and errors are not negative, r2 is at most 1.
    fn of(metric: &MetricWord) -> Range {
        let (low, high) = match (metric.higher_is_better, metric.task) {
            (true, Some(Task::Classification)) => (0.0, 1.0),
            (true, _) => (f64::NEG_INFINITY, 1.0),
            (false, _) => (0.0, f64::INFINITY),
        };
        Range { low, low_included: true, high, high_included: true }
    }

    /// What is left of it under a comparison.
    fn under(self, op: Comparison, value: f64) -> Range {
        let mut range = self;
        match op {
            Comparison::Greater if value >= range.low => (range.low, range.low_included) = (value, false),
            Comparison::GreaterOrEqual if value > range.low => (range.low, range.low_included) = (value, true),
            Comparison::Less if value <= range.high => (range.high, range.high_included) = (value, false),
            Comparison::LessOrEqual if value < range.high => (range.high, range.high_included) = (value, true),
            _ => {}
        }
        range
    }

    fn is_empty(self) -> bool {
        self.low > self.high || (self.low == self.high && !(self.low_included && self.high_included))
    }

    /// Whether all of it lies in `other`.
    fn is_within(self, other: Range) -> bool {
        let low = self.low > other.low || (self.low == other.low && (other.low_included || !self.low_included));
        let high = self.high < other.high || (self.high == other.high && (other.high_included || !self.high_included));
        low && high
    }

    /// In words, for the metrics that have it.
    fn words(self) -> &'static str {
        match (self.low == 0.0, self.high == 1.0) {
            (true, true) => "lies between 0 and 1",
            (false, true) => "is never above 1",
            _ => "is never below 0",
        }
    }
}

/// Who asks: what to say of a condition that never or always holds depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    When,
    StopWhen,
    Assert,
}

/// Warnings about a condition that can never hold (G0204), or that always does (G0213).
pub fn judge(clauses: &[Clause], asker: Asker, vocabulary: &Vocabulary) -> Vec<Diagnostic> {
    let never: Vec<Diagnostic> = clauses.iter().filter_map(|clause| never(clause, vocabulary)).collect();
    if !never.is_empty() {
        return never;
    }
    let found = contradiction(clauses, vocabulary).or_else(|| always(clauses, asker, vocabulary));
    found.or_else(|| never_better(clauses, vocabulary)).into_iter().collect()
}

/// Whether `one` holds only where all of `other` holds. Plateaus are not judged.
pub fn implies(one: &[Clause], other: &[Clause], vocabulary: &Vocabulary) -> bool {
    !other.is_empty()
        && other.iter().all(|clause| {
            let Clause::Compare { metric, op, value, .. } = clause else { return false };
            let Some((_, word)) = parts(metric, vocabulary) else { return false };
            let full = Range::of(word);
            let left = one.iter().fold(full, |range, clause| match clause {
                Clause::Compare { metric: same, op, value, .. } if same == metric => range.under(*op, *value),
                _ => range,
            });
            left.is_within(full.under(*op, *value))
        })
}

fn never(clause: &Clause, vocabulary: &Vocabulary) -> Option<Diagnostic> {
    let Clause::Compare { metric, op, value, span } = clause else { return None };
    let (_, word) = parts(metric, vocabulary)?;
    let full = Range::of(word);
    if !full.under(*op, *value).is_empty() {
        return None;
    }
    let comparison = sign(*op);
    let diagnostic = Diagnostic::warning("G0204", *span, format!("`{metric}` is never {comparison} {value}"));
    let help = match full.high == 1.0 {
        true if *value > 1.0 && *value <= 100.0 && full.low == 0.0 => format!("write `{metric} {comparison} {value}%`"),
        true => "use a percent such as 95%".into(),
        false => "compare with a number above 0".into(),
    };
    Some(diagnostic.here(full.words()).help(help))
}

/// `val_loss > 2 and val_loss < 1`
fn contradiction(clauses: &[Clause], vocabulary: &Vocabulary) -> Option<Diagnostic> {
    for (at, clause) in clauses.iter().enumerate() {
        let Clause::Compare { metric, op, value, span } = clause else { continue };
        let (_, word) = parts(metric, vocabulary)?;
        for before in &clauses[..at] {
            let Clause::Compare { metric: same, op: first, value: bound, span: there } = before else { continue };
            if same == metric && Range::of(word).under(*first, *bound).under(*op, *value).is_empty() {
                let message = format!("`{metric}` is never both {} {bound} and {} {value}", sign(*first), sign(*op));
                return Some(
                    Diagnostic::warning("G0204", *span, message)
                        .here("not together with the other")
                        .label(*there, "the other")
                        .help("`and` asks for both at the same evaluation; write two events for one or the other"),
                );
            }
        }
    }
    None
}

/// Every comparison holds whatever the metric is.
fn always(clauses: &[Clause], asker: Asker, vocabulary: &Vocabulary) -> Option<Diagnostic> {
    let mut all: Option<(&str, Comparison, f64, Span, Range)> = None;
    for clause in clauses {
        let Clause::Compare { metric, op, value, span } = clause else { return None };
        let (_, word) = parts(metric, vocabulary)?;
        let full = Range::of(word);
        if !full.is_within(Range { low: f64::NEG_INFINITY, high: f64::INFINITY, ..full }.under(*op, *value)) {
            return None;
        }
        all.get_or_insert((metric, *op, *value, *span, full));
    }
    let (metric, op, value, span, full) = all?;
    let usual = if full.high == 1.0 { format!("{metric} > 90%") } else { format!("{metric} < 0.1") };
    let help = match asker {
        Asker::When => format!("compare with what it reaches later, as in `{usual}`, or use `every 5 epochs`"),
        Asker::StopWhen => {
            format!("this stops at the first evaluation; compare with what it reaches later, as in `{usual}`")
        }
        Asker::Assert => format!("compare with what it should have reached, as in `{usual}`"),
    };
    let message = format!("`{metric}` is always {} {value}, so this holds at every evaluation", sign(op));
    Some(Diagnostic::warning("G0213", span, message).here(full.words()).help(help))
}

/// A plateau whose `delta` no improvement can exceed.
fn never_better(clauses: &[Clause], vocabulary: &Vocabulary) -> Option<Diagnostic> {
    clauses.iter().find_map(|clause| {
        let Clause::Plateau { metric, delta, span, .. } = clause else { return None };
        let (_, word) = parts(metric, vocabulary)?;
        let full = Range::of(word);
        if *delta < full.high - full.low {
            return None;
        }
        let message = format!("no improvement of `{metric}` is larger than {delta}, so it always plateaus");
        let help = if *delta <= 100.0 && *delta > 1.0 {
            format!("the delta is absolute; write `delta {delta}%`")
        } else {
            "the delta is absolute; write a small one, such as `delta 1%`".into()
        };
        Some(Diagnostic::warning("G0213", *span, message).here(full.words()).help(help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Range = Range { low: 0.0, low_included: true, high: 1.0, high_included: true };

    #[test]
    fn ends_belong_to_a_range_or_not() {
        use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual};
        for (op, value, empty, whole) in [
            (Greater, 1.0, true, false),
            (GreaterOrEqual, 1.0, false, false),
            (GreaterOrEqual, 1.1, true, false),
            (Less, 0.0, true, false),
            (LessOrEqual, 0.0, false, false),
            (LessOrEqual, -0.1, true, false),
            (Greater, 0.0, false, false),
            (GreaterOrEqual, 0.0, false, true),
            (Greater, -0.1, false, true),
            (LessOrEqual, 1.0, false, true),
            (Less, 1.0, false, false),
        ] {
            let left = SHARE.under(op, value);
            assert_eq!((left.is_empty(), left == SHARE), (empty, whole), "{op:?} {value}");
            assert!(left.is_empty() || left.is_within(SHARE));
            assert_eq!(SHARE.is_within(left), whole, "{op:?} {value}");
        }
    }
}
