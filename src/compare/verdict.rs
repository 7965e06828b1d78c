//! Is it worth it: yes, no, or undecided, with the reason in one sentence and what would decide it.
//!
//! The rule stands before any run: *yes* when the paired 95 % t-interval of the reference minus the best of the others
//! lies above 0, *no* when it lies below, else *undecided*; also when all pairs differ by the same, and below three
//! pairs. It looks at the arms' ends only.

use super::schema::{Answer, Difference, Interval, Verdict};
use super::statistics::{deviation, pairs_needed};
use crate::base::numbers;

/// Fewer pairs decide nothing.
const PAIRS_MIN: usize = 3;

/// What is asked, for the sentence.
pub struct Question<'a> {
    pub reference: &'a str,
    /// `test_accuracy`
    pub metric: &'a str,
    pub seeds: usize,
}

/// `others`: the differences to the arms that count, each positive where the reference is better.
pub fn verdict(question: &Question, others: &[&Difference]) -> Verdict {
    let Question { reference, metric, seeds } = *question;
    // The best of the others is the one that the reference is ahead of by least.
    let known = |difference: &&&Difference| difference.interval.mean.is_some();
    let by_mean = |a: &&&Difference, b: &&&Difference| {
        let mean = |difference: &Difference| difference.interval.mean.unwrap_or(f64::INFINITY);
        mean(a).total_cmp(&mean(b))
    };
    let Some(best) = others.iter().filter(known).min_by(by_mean) else {
        return Verdict {
            answer: Answer::Undecided,
            against: others.first().map_or_else(String::new, |other| other.arm.clone()),
            reason: format!("no seed has both {reference} and another arm with a result in {metric}"),
            next: "the records of the runs say how each of them ended; a smaller `lr` may keep them from diverging"
                .into(),
        };
    };
    let pairs: Vec<f64> = best.pairs.iter().flatten().copied().collect();
    let mean = best.interval.mean.expect("filtered above");
    let lost = seeds.saturating_sub(pairs.len());
    let broken = match lost {
        0 => String::new(),
        _ => format!("; in {lost} of {seeds} seeds one of both has no result"),
    };
    let against = best.arm.clone();
    let is_ahead = |answer, word: &str, next: String| Verdict {
        answer,
        reason: format!(
            "{reference} is {word} than {against} by {} in {metric}, 95 % interval {} of {} paired seeds{broken}",
            amount(metric, mean.abs()),
            range(metric, &best.interval),
            pairs.len(),
        ),
        against: against.clone(),
        next,
    };
    if pairs.len() < PAIRS_MIN {
        return Verdict {
            answer: Answer::Undecided,
            reason: format!(
                "{} too few to tell {reference} from {against}, which it is {} in {metric}{broken}",
                if pairs.len() == 1 { "one pair is".into() } else { format!("{} pairs are", pairs.len()) },
                standing(metric, mean),
            ),
            against,
            next: "five seeds are usual: `--seeds 5`, or `seeds 5` in the `compare` line".into(),
        };
    }
    // Shares of a few hundred examples are no exact numbers; what their last bits differ by is no variance.
    if deviation(&pairs, mean) <= 1e-9 * mean.abs() {
        let reason = match mean == 0.0 {
            true => format!("{reference} and {against} end alike with every seed: the same {metric}{broken}"),
            false => format!(
                "{reference} is {} in {metric} with every seed alike, so that chance cannot be measured{broken}",
                standing(metric, mean) + " " + &against
            ),
        };
        let next = "a metric that tells more apart (the loss), a harder task or a larger test part".into();
        return Verdict { answer: Answer::Undecided, against, reason, next };
    }
    let next = "it holds for this data, this budget and these sizes; `sweep` asks for others".to_string();
    match (best.interval.low, best.interval.high) {
        (Some(low), _) if low > 0.0 => is_ahead(Answer::Yes, "better", next),
        (_, Some(high)) if high < 0.0 => is_ahead(Answer::No, "worse", next),
        _ => {
            let next = match pairs_needed(mean, deviation(&pairs, mean)) {
                Some(n) => format!("about {n} seeds, if the difference stays what it is: `--seeds {n}`"),
                None => {
                    "no number of seeds up to 1000, if the difference stays what it is: for this purpose it is none"
                        .into()
                }
            };
            Verdict {
                answer: Answer::Undecided,
                reason: format!(
                    "{reference} is {} {against} in {metric}, but the 95 % interval {} of {} paired seeds holds 0{broken}",
                    standing(metric, mean),
                    range(metric, &best.interval),
                    pairs.len(),
                ),
                against,
                next,
            }
        }
    }
}

/// `0.4 points ahead of`
fn standing(metric: &str, mean: f64) -> String {
    match mean {
        0.0 => "level with".into(),
        _ => format!("{} {}", amount(metric, mean.abs()), if mean > 0.0 { "ahead of" } else { "behind" }),
    }
}

/// `0.42 points` of an accuracy, else four digits that matter.
pub fn amount(metric: &str, difference: f64) -> String {
    match metric.ends_with("accuracy") {
        true => format!("{:.2} points", 100.0 * difference),
        false => numbers::significant(difference),
    }
}

/// `[0.12, 0.71]`
pub fn range(metric: &str, interval: &Interval) -> String {
    let end = |end: Option<f64>| match end {
        None => "–".to_string(),
        Some(end) if metric.ends_with("accuracy") => format!("{:.2}", 100.0 * end),
        Some(end) => numbers::significant(end),
    };
    format!("[{}, {}]", end(interval.low), end(interval.high))
}

#[cfg(test)]
mod tests {
    use super::super::statistics::interval;
    use super::*;

    fn difference(arm: &str, pairs: &[Option<f64>]) -> Difference {
        let there: Vec<f64> = pairs.iter().flatten().copied().collect();
        Difference { arm: arm.into(), interval: interval(&there), pairs: pairs.to_vec() }
    }

    fn ask(pairs: &[&[Option<f64>]]) -> Verdict {
        let differences: Vec<Difference> =
            pairs.iter().zip(["small", "large"]).map(|(pairs, arm)| difference(arm, pairs)).collect();
        let question = Question { reference: "grown", metric: "test_accuracy", seeds: pairs[0].len() };
        verdict(&question, &differences.iter().collect::<Vec<_>>())
    }

    const fn some(values: [f64; 5]) -> [Option<f64>; 5] {
        let [a, b, c, d, e] = values;
        [Some(a), Some(b), Some(c), Some(d), Some(e)]
    }

    #[test]
    fn the_interval_decides_and_the_better_arm_counts() {
        let ahead = some([0.02, 0.03, 0.025, 0.02, 0.03]);
        let behind = some([-0.02, -0.03, -0.025, -0.02, -0.03]);
        let mixed = some([0.02, -0.03, 0.01, -0.02, 0.03]);
        assert_eq!(ask(&[&ahead, &ahead]).answer, Answer::Yes);
        let no = ask(&[&ahead, &behind]);
        assert_eq!((no.answer, no.against.as_str()), (Answer::No, "large"));
        let undecided = ask(&[&ahead, &mixed]);
        assert_eq!((undecided.answer, undecided.against.as_str()), (Answer::Undecided, "large"));
        assert!(undecided.next.contains("--seeds"), "{}", undecided.next);
        assert_eq!(
            ask(&[&ahead, &ahead]).reason,
            "grown is better than small by 2.50 points in test_accuracy, 95 % interval [1.88, 3.12] of 5 paired seeds"
        );
    }

    #[test]
    fn what_cannot_be_told_is_undecided() {
        let few: [Option<f64>; 5] = [Some(0.1), Some(0.2), None, None, None];
        let verdict = ask(&[&few]);
        assert_eq!(verdict.answer, Answer::Undecided);
        assert!(verdict.reason.contains("3 of 5 seeds"), "{}", verdict.reason);
        assert_eq!(ask(&[&some([0.1; 5])]).answer, Answer::Undecided, "no variance");
        assert_eq!(ask(&[&some([0.0; 5])]).answer, Answer::Undecided);
        assert_eq!(ask(&[&[None; 5]]).answer, Answer::Undecided);
    }
}
