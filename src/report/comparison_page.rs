//! The page of a comparison: the verdict, the arms, what set them apart.

use super::course::Along;
use super::markup::{Markup, cut};
use super::page::{banner, card, commands, footer, grid, page, quoted, section, table};
use super::subject::Compared;
use super::{arms, run_page, schedule};
use crate::base::numbers;
use crate::base::numbers::plural;
use crate::compare::schema::{Answer, ArmOutcome, Budget, Comparison, Interval, Verdict};
use crate::compare::verdict::MATCHED;

const INTERVALS_NOTE: &str = "\
    A large shape is a mean, its whiskers the 95 % t-interval, the small strokes below it the single seeds. \
    A difference is taken within each seed, so what a seed does to all arms alike cancels.";
const COURSE_NOTE: &str = "\
    A line is the mean over the seeds; the band of the reference and of the arms that are judged goes from the \
    lowest to the highest seed. Numbered lines are the growth events of the reference's first run.";
const ARMS_NOTE: &str = "\
    In brackets the 95 % t-interval. A difference is how much better the reference is than the arm, paired by \
    seed: of a loss, by how much it is lower.";
const UNFINISHED: &str = "\
    Not every run is there, so there is no verdict yet. What is drawn here is what there was when this page \
    was made.";
const REPLAY_NOTE: &str = "\
    Each run of the comparison is an ordinary run directory, so each can be verified and trained again to \
    the last bit. In the folder of the comparison:";
/// More rows of runs than anybody reads.
const RUNS_MAX: usize = 300;
const ARMS_MAX: usize = 60;

pub fn html(compared: &Compared) -> String {
    let comparison = &compared.comparison;
    page(&format!("{} – growrun comparison", comparison.name), |m| {
        m.tag("header", &[], |m| {
            let kicker =
                format!("comparison {} · {}", cut(&compared.label, 80), plural(comparison.seeds.len() as u64, "seed"));
            m.leaf("p", &[("class", "kicker")], &kicker);
            m.leaf("h1", &[], &cut(&comparison.name, 200));
            m.leaf("p", &[("class", "lead")], &question(comparison));
            match &comparison.result {
                Some(outcome) => {
                    m.tag("div", &[("class", "verdicts")], |m| {
                        verdict(m, "Is growing worth it?", &outcome.verdict, true);
                        if let Some(paid) = &outcome.paid {
                            verdict(m, "And when the small network is already paid for?", paid, false);
                        }
                    });
                }
                None => {
                    let text = UNFINISHED;
                    banner(m, "warn", "Unfinished.", text);
                }
            }
            if let Some(outcome) = &comparison.result {
                let off =
                    |arm: &ArmOutcome| arm.flops_off.filter(|off| *off > MATCHED).map(|off| (cut(&arm.name, 24), off));
                let off: Vec<String> =
                    outcome.arms.iter().filter_map(off).map(|(arm, off)| format!("{arm} by {}", share(off))).collect();
                if !off.is_empty() {
                    let text = format!("These arms had another compute than their budget: {}.", off.join(", "));
                    banner(m, "bad", "Not matched.", &text);
                }
            }
            if compared.missing > 0 {
                let text = format!("{} told no metrics that can be drawn.", plural(compared.missing, "run"));
                banner(m, "warn", "Not all is drawn.", &text);
            }
            cards(m, comparison);
        });
        m.tag("main", &[], |m| {
            let settled = arms::intervals(compared);
            if settled.0.is_some() || settled.1.is_some() {
                section(m, "intervals", "How sure it is", |m| {
                    grid(m, [settled.0, settled.1]);
                    m.leaf("p", &[("class", "note")], INTERVALS_NOTE);
                });
            }
            let metric = comparison.course.as_ref().unwrap_or(&comparison.metric);
            let figures = [(Along::Flops, "course-flops"), (Along::Steps, "course-steps")]
                .map(|(along, id)| arms::course(compared, metric, along, id));
            section(m, "course", "On the way", |m| match figures.iter().any(Option::is_some) {
                true => {
                    grid(m, figures);
                    m.leaf("p", &[("class", "note")], COURSE_NOTE);
                }
                false => m.leaf("p", &[("class", "note")], "Nothing was measured on the way that could be drawn."),
            });
            section(m, "arms", "The arms", |m| arms_tables(m, comparison));
            if let Some(reference) = &compared.reference {
                let seed = reference.record.seed;
                section(m, "width", &format!("How the reference grew (seed {seed})"), |m| {
                    grid(
                        m,
                        [
                            run_page::strata(reference),
                            run_page::chart(&reference.course, reference, "loss", Along::Steps),
                        ],
                    )
                });
                run_page::growth(m, reference, &format!("Growth of the reference (seed {seed})"));
            }
            section(m, "schedule", "The schedule", |m| schedule::listing(m, &comparison.schedule));
            if let Some(reference) = &compared.reference {
                section(m, "setup", "Everything that was set, of the reference", |m| {
                    run_page::setup(m, &reference.record)
                });
            }
            section(m, "replay", "Do it again", |m| replay(m, comparison));
        });
        footer(m, &comparison.growrun);
    })
}

/// What was compared with what.
fn question(comparison: &Comparison) -> String {
    let names: Vec<String> = comparison.arms.iter().take(12).map(|plan| cut(&plan.name, 40)).collect();
    let settings: Vec<String> = comparison
        .settings
        .iter()
        .take(12)
        .map(|(name, value)| format!("{} = {}", cut(name, 40), cut(value, 40)))
        .collect();
    let settings = if settings.is_empty() { String::new() } else { format!(", with {}", settings.join(", ")) };
    format!(
        "{} trained with {}{settings}, judged by {} ({} is better), {}.",
        names.join(", "),
        plural(comparison.seeds.len() as u64, "paired seed"),
        cut(&comparison.metric, 60),
        if comparison.higher_is_better { "higher" } else { "lower" },
        matching(&comparison.matching)
    )
}

fn matching(word: &str) -> String {
    match word {
        "flops" => "all arms with as many floating-point operations as the reference".into(),
        "steps" => "all arms with as many steps as the reference".into(),
        "epochs" => "all arms with as many epochs as the reference".into(),
        "standard" => "each arm with the budget that its row names".into(),
        other => format!("matched by {}", cut(other, 60)),
    }
}

fn verdict(m: &mut Markup, asked: &str, verdict: &Verdict, large: bool) {
    let kind = match verdict.answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Undecided => "undecided",
    };
    let class = format!("verdict {kind}{}", if large { " large" } else { "" });
    m.tag("div", &[("class", &class)], |m| {
        m.leaf("p", &[("class", "asked")], asked);
        m.leaf("p", &[("class", "answer")], verdict.answer.word());
        prose(m, "reason", "", &verdict.reason);
        if !verdict.next.is_empty() {
            let undecided = verdict.answer == Answer::Undecided;
            let before = if undecided { "What would decide it: " } else { "" };
            prose(m, "next", before, &verdict.next);
        }
        if !verdict.against.is_empty() {
            m.leaf("p", &[("class", "against")], &format!("compared with {}", cut(&verdict.against, 60)));
        }
    });
}

/// A sentence, in which backticks stand around code.
fn prose(m: &mut Markup, kind: &str, before: &str, sentence: &str) {
    let sentence = cut(sentence.trim_end_matches('.'), 1000);
    m.tag("p", &[("class", kind)], |m| {
        m.text(before);
        for (at, piece) in sentence.split('`').enumerate() {
            if at % 2 == 1 { m.leaf("code", &[], piece) } else { m.text(piece) }
        }
        m.text(".");
    });
}

fn cards(m: &mut Markup, comparison: &Comparison) {
    m.tag("dl", &[("class", "cards")], |m| {
        card(
            m,
            "judged by",
            &cut(&comparison.metric, 30),
            if comparison.higher_is_better { "higher is better" } else { "lower is better" },
        );
        card(m, "arms", &comparison.arms.len().to_string(), &format!("matched: {}", cut(&comparison.matching, 20)));
        card(m, "seeds", &comparison.seeds.len().to_string(), "the same in every arm");
        if let Some(outcome) = &comparison.result {
            let off = outcome
                .arms
                .iter()
                .filter_map(|arm| arm.flops_off)
                .filter(|off| off.is_finite())
                .fold(None, |most: Option<f64>, off| Some(most.map_or(off, |most| most.max(off))));
            if let Some(off) = off {
                let what = if off > MATCHED { "operations are off by" } else { "operations match within" };
                card(m, what, &share(off), "counted, the worst run");
            }
            let runs: usize = outcome.arms.iter().map(|arm| arm.runs.len()).sum();
            card(m, "time", &numbers::seconds(outcome.seconds), &plural(runs as u64, "run"));
        }
    });
}

/// `0.31 %`
pub fn share(fraction: f64) -> String {
    if fraction == 0.0 { "0 %".into() } else { format!("{} %", numbers::short(100.0 * fraction)) }
}

/// `96.1 % [95.2 %, 97.0 %]`
pub fn interval(metric: &str, interval: &Interval) -> String {
    let word = |value: f64| numbers::metric(metric, value);
    match (interval.mean, interval.low, interval.high) {
        (Some(mean), Some(low), Some(high)) => format!("{} [{}, {}]", word(mean), word(low), word(high)),
        (Some(mean), ..) => word(mean),
        _ => "none".into(),
    }
}

/// `+1.20 [+0.30, +2.10]`: of a share in points.
pub fn difference(metric: &str, interval: &Interval) -> String {
    let word = |value: f64| match metric.ends_with("accuracy") {
        true => format!("{:+.2}", 100.0 * value),
        false if value > 0.0 => format!("+{}", numbers::significant(value)),
        false => numbers::significant(value),
    };
    match (interval.mean, interval.low, interval.high) {
        (Some(mean), Some(low), Some(high)) => format!("{} [{}, {}]", word(mean), word(low), word(high)),
        (Some(mean), ..) => word(mean),
        _ => "none".into(),
    }
}

/// What the column of differences is called.
pub fn minus(metric: &str) -> &'static str {
    if metric.ends_with("accuracy") { "reference better by, points" } else { "reference better by" }
}

/// How long an arm may train, in words.
pub fn budget(budget: Budget) -> &'static str {
    match budget {
        Budget::Schedule => "as the schedule says",
        Budget::Epochs => "the reference's epochs",
        Budget::Steps => "the reference's steps",
        Budget::Flops => "the reference's FLOPs",
        Budget::FlopsFromFirstGrowth => "the reference's FLOPs from its first growth on",
    }
}

/// What it took to reach the target.
pub fn to_target(arm: &ArmOutcome) -> String {
    match (arm.to_target.reached, arm.to_target.flops) {
        (0, _) => "not reached".into(),
        (reached, flops) => {
            let flops = flops.map_or_else(String::new, |flops| format!("{}, ", numbers::flops(flops)));
            let seconds =
                arm.to_target.seconds.map_or_else(String::new, |seconds| format!("{}, ", numbers::seconds(seconds)));
            format!("{flops}{seconds}{reached} of {}", arm.runs.len())
        }
    }
}

fn arms_tables(m: &mut Markup, comparison: &Comparison) {
    let metric = &comparison.metric;
    m.leaf("h3", &[], "What they are");
    table(m, "what the arms are", &["arm", "what it is", "budget", "judged"], |m| {
        for (at, plan) in comparison.arms.iter().take(ARMS_MAX).enumerate() {
            m.tag("tr", &[], |m| {
                m.leaf("th", &[("scope", "row")], &cut(&plan.name, 60));
                m.leaf("td", &[("class", "wrap")], &cut(&plan.about, 300));
                m.leaf("td", &[("class", "wrap")], budget(plan.budget));
                m.leaf(
                    "td",
                    &[],
                    if at == 0 {
                        "reference"
                    } else if plan.judged {
                        "yes"
                    } else {
                        "no"
                    },
                );
            });
        }
    });
    let Some(outcome) = &comparison.result else { return };
    m.leaf("h3", &[], "What came out, means over the seeds");
    let target = outcome
        .target
        .zip(comparison.course.as_ref())
        .map(|(target, course)| format!("to {} {}", cut(course, 40), numbers::metric(course, target)));
    let shown = cut(metric, 40);
    let apart = minus(metric);
    let head = [shown.as_str(), apart, "FLOPs", "off by", "steps", "parameters", "time", "largest shock"];
    let head: Vec<&str> = std::iter::once("arm").chain(head).chain(target.as_deref()).collect();
    table(m, "what came out", &head, |m| {
        for arm in outcome.arms.iter().take(ARMS_MAX) {
            let paired = outcome.differences.iter().find(|difference| difference.arm == arm.name);
            // The difference is told from the arm's side: what it has more than the reference.
            let paired = paired.map_or_else(|| "–".into(), |paired| difference(metric, &paired.interval));
            let optional = |value: Option<f64>, word: fn(f64) -> String| value.map_or_else(|| "–".into(), word);
            m.tag("tr", &[], |m| {
                m.leaf("th", &[("scope", "row")], &cut(&arm.name, 60));
                let cells = [
                    interval(metric, &arm.metric),
                    paired,
                    numbers::flops(arm.flops),
                    optional(arm.flops_off, share),
                    numbers::count(arm.steps.max(0.0) as u64),
                    numbers::count(arm.parameters.max(0.0) as u64),
                    numbers::seconds(arm.seconds),
                    optional(arm.shock, numbers::signed_percent),
                ];
                cells.iter().for_each(|cell| m.leaf("td", &[("class", "n")], cell));
                if target.is_some() {
                    m.leaf("td", &[("class", "n")], &to_target(arm));
                }
            });
        }
    });
    m.leaf("p", &[("class", "note")], ARMS_NOTE);
    m.tag("details", &[], |m| {
        m.leaf("summary", &[], "Every run");
        let head =
            ["arm", "seed", "status", shown.as_str(), "FLOPs", "steps", "parameters", "time", "folder", "weights"];
        table(m, "every run", &head, |m| {
            for (arm, run) in
                outcome.arms.iter().flat_map(|arm| arm.runs.iter().map(move |run| (arm, run))).take(RUNS_MAX)
            {
                let cells = [
                    cut(&arm.name, 60),
                    run.seed.to_string(),
                    cut(&run.status, 20),
                    run.value.map_or_else(|| "none".into(), |value| numbers::metric(metric, value)),
                    numbers::flops(run.flops as f64),
                    run.steps.to_string(),
                    numbers::count(run.parameters),
                    numbers::seconds(run.seconds),
                    cut(&run.run, 80),
                    run.weights.as_deref().map_or_else(|| "–".into(), |weights| cut(weights, 23)),
                ];
                m.tag("tr", &[], |m| cells.iter().for_each(|cell| m.leaf("td", &[], cell)));
            }
        });
    });
}

fn replay(m: &mut Markup, comparison: &Comparison) {
    m.leaf("p", &[], REPLAY_NOTE);
    let first = comparison.result.as_ref().and_then(|outcome| outcome.arms.first()).and_then(|arm| arm.runs.first());
    let run = first.map_or_else(|| "RUN".into(), |run| quoted(&run.run));
    commands(
        m,
        &[
            (format!("growrun verify {run}"), "compares its files and data with its record"),
            (format!("growrun replay {run}"), "trains it again and compares every checkpoint"),
        ],
    );
    let command: Vec<String> =
        std::iter::once("growrun".to_string()).chain(comparison.command.iter().map(|word| quoted(word))).collect();
    m.leaf("p", &[], "All of it was made by this command; of its paths only the last part is told here:");
    commands(m, &[(command.join(" "), "")]);
}
