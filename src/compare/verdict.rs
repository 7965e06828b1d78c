//! Is it worth it: yes, no, or undecided, with the reason in one sentence and what would decide it.
//!
//! The rule stands before any run: *yes* when the paired 95 % t-interval of the reference minus the best of the others
//! lies above 0, *no* when it lies below, else *undecided*; also when all pairs differ by the same, and below three
//! pairs. It looks at the arms' ends only. Runs without a result cannot speak for their arm: there is no *yes* where the
//! reference lacks one, and no *no* where the other does.

use super::schema::{Answer, Difference, Interval, Verdict};
use super::statistics::{deviation, pairs_needed};
use crate::base::numbers;

/// What arms may differ by, as a fraction of their operations, that are said to match.
pub const MATCHED: f64 = 0.01;

/// Fewer pairs decide nothing.
const PAIRS_MIN: usize = 3;

/// What is asked, and what has to be known besides the differences.
pub struct Question<'a> {
    pub reference: &'a str,
    /// `test_accuracy`
    pub metric: &'a str,
    pub seeds: usize,
    /// So many seeds can be compared at most.
    pub seeds_max: u64,
    /// Why the reference's end is none, if so.
    pub cut_short: Option<String>,
    /// What stands beside the answer whatever it is: seeds in which the reference did not grow.
    pub beside: Option<String>,
    /// By how much the operations of an arm are off its budget, as a fraction, where they are its budget.
    pub off: &'a dyn Fn(&str) -> Option<f64>,
    /// How the runs of an arm ended that have no result: `diverged`.
    pub lost: &'a dyn Fn(&str) -> Vec<&'a str>,
}

impl Question<'_> {
    /// `grown has no result in 2 of 8 seeds (diverged)`
    fn without(&self, arm: &str) -> Option<String> {
        let mut how = (self.lost)(arm);
        let count = how.len();
        how.sort_unstable();
        how.dedup();
        (count > 0).then(|| format!("{arm} has no result in {count} of {} seeds ({})", self.seeds, how.join(", ")))
    }
}

/// `others`: the differences to the arms that count, each positive where the reference is better.
pub fn verdict(question: &Question, others: &[&Difference]) -> Verdict {
    let Question { reference, metric, .. } = *question;
    let undecided = |against: &str, reason: String, next: &str| Verdict {
        answer: Answer::Undecided,
        against: against.into(),
        reason,
        next: next.into(),
    };
    let failed = others.iter().map(|other| other.arm.as_str()).chain([reference]).flat_map(|arm| (question.lost)(arm));
    let look = match failed.clone().any(|how| how == "diverged") {
        true => "the records of the runs say how each ended; a smaller `lr`, or `clip 1`, keeps them from diverging",
        false => "the records of the runs say how each ended, and why",
    };
    // The best of the others is the one that the reference is ahead of by least.
    let known = |difference: &&&Difference| difference.interval.mean.is_some();
    let by_mean = |a: &&&Difference, b: &&&Difference| {
        let mean = |difference: &Difference| difference.interval.mean.unwrap_or(f64::INFINITY);
        mean(a).total_cmp(&mean(b))
    };
    let Some(best) = others.iter().filter(known).min_by(by_mean) else {
        let arms = std::iter::once(reference).chain(others.iter().map(|other| other.arm.as_str()));
        let lost: Vec<String> = arms.filter_map(|arm| question.without(arm)).collect();
        let against = others.first().map_or("", |other| other.arm.as_str());
        return undecided(against, format!("there is no pair to compare: {}", lost.join("; ")), look);
    };
    let against = best.arm.as_str();
    if let Some(why) = &question.cut_short {
        let next = "let the schedule run to its end without `stop`, or keep the learning rate constant";
        return undecided(against, why.clone(), next);
    }
    let pairs: Vec<f64> = best.pairs.iter().flatten().copied().collect();
    // What sums of shares differ from 0 by in their last bits is no difference.
    let mean = best.interval.mean.filter(|mean| mean.abs() > 1e-12).unwrap_or(0.0);
    let lost = [question.without(reference), question.without(against)];
    // Of every arm that counts, also of one of which nothing is known at all.
    let arms = std::iter::once(reference).chain(others.iter().map(|other| other.arm.as_str()));
    let told = arms.filter_map(|arm| question.without(arm)).chain(question.beside.clone());
    let broken: String = told.map(|told| format!("; {told}")).collect();
    let unknown =
        others.iter().find(|other| other.interval.mean.is_none()).and_then(|other| question.without(&other.arm));
    let off = std::iter::once(reference).chain(others.iter().map(|other| other.arm.as_str()));
    let off: Vec<String> = off
        .filter_map(|arm| Some((arm, (question.off)(arm).filter(|off| *off > MATCHED)?)))
        .map(|(arm, off)| format!("{arm} by {:.1} %", 100.0 * off))
        .collect();
    let standing = format!("{reference} is {} {against} in {metric}", standing(metric, mean));
    if pairs.len() < PAIRS_MIN {
        let few = if pairs.len() == 1 { "one pair is".to_string() } else { format!("{} pairs are", pairs.len()) };
        let next = if question.seeds < PAIRS_MIN { "five seeds are usual: `--seeds 5`" } else { look };
        return undecided(against, format!("{standing}, but {few} too few{broken}"), next);
    }
    let interval = range(metric, &best.interval);
    if !off.is_empty() {
        let reason =
            format!("{standing}, {interval}, but the compute is not equal: {} off its budget{broken}", off.join(", "));
        let next = "growth at times that are given in advance, not by conditions, or more steps";
        return undecided(against, reason, next);
    }
    // Shares of a few hundred examples are no exact numbers; what their last bits differ by is no variance.
    if deviation(&pairs, mean) <= 1e-9 * mean.abs().max(1e-3) {
        let next = "a metric that tells more apart (the loss), a harder task or a larger test part";
        return undecided(
            against,
            format!("{standing}, with every seed alike, so that chance cannot be measured{broken}"),
            next,
        );
    }
    let (low, high) = (best.interval.low.unwrap_or(0.0), best.interval.high.unwrap_or(0.0));
    let next = "it holds for this data, this budget and these sizes; `sweep` asks for others";
    let decided = |answer, word: &str, one_sided: &Option<String>| match one_sided {
        // The runs that are left are not those that anybody would have drawn.
        Some(lost) => undecided(against, format!("{standing} where both have a result, {interval}, but {lost}"), look),
        None => Verdict {
            answer,
            against: against.into(),
            reason: format!(
                "{reference} is {word} than {against} by {} in {metric}, 95 % interval {interval} of {} paired seeds{broken}",
                amount(metric, mean.abs()),
                pairs.len(),
            ),
            next: next.into(),
        },
    };
    if low > 0.0 {
        return decided(Answer::Yes, "better", &lost[0].clone().or(unknown));
    }
    if high < 0.0 {
        return decided(Answer::No, "worse", &lost[1]);
    }
    let reason =
        format!("{standing}, but the 95 % interval {interval} of {} paired seeds holds 0{broken}", pairs.len());
    let next = match pairs_needed(mean, deviation(&pairs, mean)).filter(|n| *n <= question.seeds_max) {
        // An estimate from few pairs may say that there are enough.
        Some(n) => {
            let n = n.max(question.seeds as u64 + 1);
            format!("about {n} seeds, if the difference stays what it is: `--seeds {n}`")
        }
        None => format!(
            "more seeds than can be compared ({}), if the difference stays what it is: for most purposes it is none",
            question.seeds_max
        ),
    };
    undecided(against, reason, &next)
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

    /// Pairs without a number are the fault of the arm `culprit`.
    fn ask_of(culprit: &str, pairs: &[&[Option<f64>]]) -> Verdict {
        ask_off(culprit, 0.0, pairs)
    }

    /// The operations of `large` are off its budget.
    fn ask_off(culprit: &str, off: f64, pairs: &[&[Option<f64>]]) -> Verdict {
        let differences: Vec<Difference> =
            pairs.iter().zip(["small", "large"]).map(|(pairs, arm)| difference(arm, pairs)).collect();
        let own = usize::from(culprit == "large").min(pairs.len() - 1);
        let count = pairs[own].iter().filter(|pair| pair.is_none()).count();
        let lost = |arm: &str| vec!["diverged"; if arm == culprit { count } else { 0 }];
        let question = Question {
            reference: "grown",
            metric: "test_accuracy",
            seeds: pairs[0].len(),
            seeds_max: 100,
            cut_short: None,
            beside: None,
            off: &|arm| (arm == "large").then_some(off),
            lost: &lost,
        };
        verdict(&question, &differences.iter().collect::<Vec<_>>())
    }

    fn ask(pairs: &[&[Option<f64>]]) -> Verdict {
        ask_of("grown", pairs)
    }

    const fn some(values: [f64; 5]) -> [Option<f64>; 5] {
        let [a, b, c, d, e] = values;
        [Some(a), Some(b), Some(c), Some(d), Some(e)]
    }

    const AHEAD: [Option<f64>; 5] = some([0.02, 0.03, 0.025, 0.02, 0.03]);
    const BEHIND: [Option<f64>; 5] = some([-0.02, -0.03, -0.025, -0.02, -0.03]);

    #[test]
    fn the_interval_decides_and_the_better_arm_counts() {
        let mixed = some([0.02, -0.03, 0.01, -0.02, 0.03]);
        assert_eq!(ask(&[&AHEAD, &AHEAD]).answer, Answer::Yes);
        let no = ask(&[&AHEAD, &BEHIND]);
        assert_eq!((no.answer, no.against.as_str()), (Answer::No, "large"));
        let undecided = ask(&[&AHEAD, &mixed]);
        assert_eq!((undecided.answer, undecided.against.as_str()), (Answer::Undecided, "large"));
        assert!(undecided.next.contains("more seeds than can be compared (100)"), "{}", undecided.next);
        let nearly = ask(&[&some([0.02, 0.03, -0.01, 0.02, 0.01])]);
        assert_eq!(nearly.answer, Answer::Undecided);
        assert!(nearly.next.contains("`--seeds "), "{}", nearly.next);
        assert_eq!(
            ask(&[&AHEAD, &AHEAD]).reason,
            "grown is better than small by 2.50 points in test_accuracy, 95 % interval [1.88, 3.12] of 5 paired seeds"
        );
    }

    #[test]
    fn runs_without_a_result_decide_nothing_for_their_arm() {
        let (mut ahead, mut behind) = (AHEAD, BEHIND);
        (ahead[0], behind[0]) = (None, None);
        let claimed = ask_of("grown", &[&ahead]);
        assert_eq!(claimed.answer, Answer::Undecided);
        assert!(claimed.reason.contains("grown has no result in 1 of 5 seeds (diverged)"), "{}", claimed.reason);
        assert_eq!(ask_of("small", &[&ahead]).answer, Answer::Yes, "what the other lacks does not help it");
        assert_eq!(ask_of("small", &[&behind]).answer, Answer::Undecided);
        assert_eq!(ask_of("grown", &[&behind]).answer, Answer::No);
    }

    #[test]
    fn an_arm_of_which_nothing_is_known_might_have_been_the_better_one() {
        let yes = ask_of("large", &[&AHEAD, &[None; 5]]);
        assert_eq!(yes.answer, Answer::Undecided);
        assert!(yes.reason.contains("large has no result in"), "{}", yes.reason);
        assert_eq!(ask_of("large", &[&BEHIND, &[None; 5]]).answer, Answer::No, "small is better in any case");
    }

    #[test]
    fn arms_that_are_off_their_budget_decide_nothing() {
        assert_eq!(ask_off("grown", 0.009, &[&AHEAD, &AHEAD]).answer, Answer::Yes);
        let off = ask_off("grown", 0.93, &[&AHEAD, &AHEAD]);
        assert_eq!(off.answer, Answer::Undecided);
        assert!(off.reason.contains("large by 93.0 %"), "{}", off.reason);
    }

    #[test]
    fn what_cannot_be_told_is_undecided() {
        let few: [Option<f64>; 5] = [Some(0.1), Some(0.2), None, None, None];
        let verdict = ask(&[&few]);
        assert_eq!(verdict.answer, Answer::Undecided);
        assert!(verdict.reason.contains("3 of 5 seeds"), "{}", verdict.reason);
        assert!(!verdict.next.contains("--seeds"), "five were given: {}", verdict.next);
        assert_eq!(ask(&[&some([0.1; 5])]).answer, Answer::Undecided, "no variance");
        assert_eq!(ask(&[&some([0.0; 5])]).answer, Answer::Undecided);
        let dust = ask(&[&some([1e-17, -1e-17, 0.0, 1e-17, 0.0])]);
        assert!(dust.answer == Answer::Undecided && dust.reason.contains("level with"), "{}", dust.reason);
        assert_eq!(ask(&[&[None; 5]]).answer, Answer::Undecided);
    }
}
