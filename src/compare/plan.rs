//! What is compared, before anything is run: arms, budgets, seeds, the metric, and the folder that belongs to it.

use super::arms::{self, Judged};
use super::desk::{Closed, Desk, Opened, Wanted};
use super::schema::{ArmPlan, Budget, Comparison, SCHEMA};
use crate::base::{Args, Refusal, digest};
use crate::check::experiment;
use crate::check::program::{ActionKind, Choice};
use crate::check::{self, Matching, Planned, Program, Vocabulary, cost};
use crate::nn::Architecture;
use crate::record::schema::{File, NUMERICS, STREAMS, Version};
use crate::run;

/// Seeds where nobody says how many.
pub const SEEDS: u64 = 5;
/// So many runs are compared at most; more would not fit into `comparison.yaml`.
pub(super) const RUNS_MAX: usize = 1000;

/// What the command line and the `compare` line ask for.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The arms of the file that are compared, the reference first; empty for the standard ones.
    pub arms: Vec<String>,
    pub by: Option<String>,
    pub matching: Option<Matching>,
    pub seeds: Option<u64>,
    /// The first seed.
    pub seed: Option<u64>,
    /// Values of a sweep that are in the schedule already.
    pub settings: Vec<(String, String)>,
    pub command: Vec<String>,
}

/// A comparison that can be run.
pub struct Plan {
    pub comparison: Comparison,
    /// The part that its arms are judged by.
    pub judged: Judged,
    /// Whether no arm has to wait for what the reference has done.
    pub independent: bool,
    /// The reference as its schedule says.
    pub opened: Opened,
    /// Digest of the data of the first seed.
    pub data: String,
    /// The metric that was asked for, where the test part decides in its place.
    pub instead_of: Option<String>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Trouble {
    Refused(Refusal),
    /// An arm that the checker refuses.
    Closed(String, Box<Closed>),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        Trouble::Refused(refusal)
    }
}

pub fn plan(desk: &Desk, question: &Question) -> Result<Plan, Trouble> {
    let standard = desk.schedule.arms.is_empty();
    let name = match question.arms.first() {
        Some(first) => first.clone(),
        None if standard => arms::GROWN.to_string(),
        None => desk.schedule.arms[0].name.node.clone(),
    };
    if standard && !arms::has_growth(&desk.schedule) {
        return Err(nothing("nothing grows in this schedule", "add an event such as `at 30% widen h2 by 2x`").into());
    }
    let initial = match arms::begins_with(&desk.schedule, &name) {
        Some(other) => return Err(begins_late(&name, &other).into()),
        None => None,
    };
    let wanted = Wanted { arm: &name, seed: question.seed, steps: None, of: 0, initial, judged: None };
    let Opened { program, timeline } =
        desk.open(&wanted).map_err(|closed| Trouble::Closed(name.clone(), closed.into()))?;
    let judged = match (program.data.has_test, program.data.has_val) {
        (true, _) => Judged::Test,
        (false, true) => Judged::Val,
        (false, false) => {
            let help = "give the data a test part, such as `split train 80% val 10% test 10%`";
            return Err(nothing("every example is trained on, so that nothing can judge the arms", help).into());
        }
    };
    let word = match &question.by {
        Some(by) => by.split_once('_').map_or(by.as_str(), |(_, word)| word).to_string(),
        None => scalar(&program, &desk.vocabulary).to_string(),
    };
    let higher = desk.vocabulary.metrics.iter().any(|metric| metric.doc.word == word && metric.higher_is_better);
    let part = if judged == Judged::Test { "test" } else { "val" };
    let is_followed = program.data.has_val && program.train.evaluate_every.is_some();
    let first = timeline.iter().find(|planned| planned.changes_the_network());
    let grows_later = first.is_some_and(|first| first.step > 0 || !first.certain);
    let arms = match standard {
        true => standard_arms(&question.arms, question.matching, grows_later, arms::has_widening(&desk.schedule)),
        false => own_arms(desk, question),
    };
    let measure = Measure { word: &word, reference: &program };
    can_be_made(desk, question, &arms, &timeline, &measure)?;
    // Other data is another question, also under the same name.
    let data = run::load_data(&program, &desk.place(&program))?.digest;
    if let Some(missing) = question.arms.iter().find(|name| arms.iter().all(|arm| arm.name != **name)) {
        let help = "`grown_random` needs something that is widened, `large_rest` steps before the first growth";
        return Err(nothing(&format!("this schedule has no arm `{missing}`"), help).into());
    }
    if arms.iter().filter(|arm| arm.judged).count() < 2 {
        return Err(nothing(
            "there is one arm, and nothing to compare it with",
            "write a second one, such as `arm small { }`",
        )
        .into());
    }
    let seeds = question.seeds.unwrap_or(SEEDS);
    if seeds.saturating_mul(arms.len() as u64) > RUNS_MAX as u64 {
        return Err(Refusal::error(
            "G0606",
            format!("these are {} arms with {seeds} seeds each, more than {RUNS_MAX} runs", arms.len()),
            "use fewer seeds; five are usual",
        )
        .into());
    }
    let may_stop = program.train.stop_when.is_some()
        || program.events.iter().flat_map(|event| &event.actions).any(|action| matches!(action.kind, ActionKind::Stop));
    let by_time = |arm: &ArmPlan| matches!(arm.budget, Budget::Schedule | Budget::Epochs | Budget::Steps);
    let independent = !may_stop && arms.iter().all(|arm| by_time(arm) && arm.from_final.is_none());
    let sources = &program.sources;
    let comparison = Comparison {
        comparison: SCHEMA,
        growrun: Version {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("GROWRUN_COMMIT").into(),
            numerics: NUMERICS,
            streams: STREAMS.into(),
        },
        name: program.name.clone(),
        command: question.command.clone(),
        schedule: sources
            .0
            .iter()
            .map(|source| File { name: file_name(&source.name), text: source.text.clone() })
            .collect(),
        settings: question.settings.clone(),
        metric: format!("{part}_{word}"),
        higher_is_better: higher,
        course: is_followed.then(|| format!("val_{word}")),
        matching: match (standard, question.matching) {
            (true, None) => "standard".into(),
            (_, matching) => matching.unwrap_or_default().word().into(),
        },
        seeds: (0..seeds).map(|n| program.seed.wrapping_add(n)).collect(),
        arms,
        result: None,
    };
    let instead_of = question.by.clone().filter(|by| *by != comparison.metric);
    Ok(Plan { comparison, judged, independent, opened: Opened { program, timeline }, data, instead_of })
}

/// What all arms are measured by.
struct Measure<'a> {
    /// The metric without its part.
    word: &'a str,
    reference: &'a Program,
}

impl Measure<'_> {
    /// Refuses an arm whose number would mean something else.
    fn fits(&self, arm: &str, program: &Program) -> Result<(), Refusal> {
        let (reference, word) = (self.reference, self.word);
        if word != "loss" && !program.train.metrics.contains(&word) {
            let message = format!("`{arm}` does not compute `{word}`, by which the arms are compared");
            return Err(nothing(
                &message,
                &format!("write `metrics {word}` in every arm, or compare by another metric"),
            ));
        }
        let examples = |program: &Program| {
            let data = &program.data;
            let Choice { word, args } = &data.source;
            format!("{word} {:?} {:?} {:?} {:?}", values(args), data.split, data.limit, program.data_folder)
        };
        if examples(program) != examples(reference) {
            let help = "arms may differ in `batch`, `normalize`, `shuffle` and all that is no data";
            return Err(nothing(&format!("`{arm}` is trained or tested on other examples than the first arm"), help));
        }
        let objective = |program: &Program| {
            let loss = &program.train.loss;
            format!("{} {:?} {}", loss.word, values(&loss.args), program.data.balanced_classes)
        };
        if word == "loss" && objective(program) != objective(reference) {
            let help = "compare by a metric that does not depend on it, such as `val_accuracy`";
            return Err(nothing(
                &format!("`{arm}` has another loss than the first arm, so that its loss says nothing"),
                help,
            ));
        }
        Ok(())
    }
}

/// Arguments without their places.
fn values(args: &Args) -> Vec<(&'static str, String)> {
    args.given.iter().map(|(name, given)| (*name, format!("{:?}", given.values))).collect()
}

/// Refuses an arm that cannot be made, before the first one has trained for hours. Its budget is not known yet, so it is
/// taken to be the schedule's length; what begins with a network that a condition makes waits until that is there.
fn can_be_made(
    desk: &Desk,
    question: &Question,
    arms: &[ArmPlan],
    timeline: &[Planned],
    measure: &Measure,
) -> Result<(), Trouble> {
    let reference = measure.reference;
    measure.fits(&arms[0].name, reference)?;
    let mut ends: Vec<(&str, Option<Architecture>)> = vec![(&arms[0].name, Some(check::last(reference, timeline)))];
    // What an arm begins with may stand behind it.
    for _ in arms {
        for arm in arms {
            let known = |name: &str| ends.iter().find(|(known, _)| *known == name);
            let initial = match &arm.from_final {
                _ if known(&arm.name).is_some() => continue,
                None => None,
                Some(from) => match known(from) {
                    None => continue,
                    Some((_, end)) => match end.as_ref().filter(|end| end.is_exact()) {
                        Some(end) => Some(end.fresh()),
                        None => {
                            ends.push((&arm.name, None));
                            continue;
                        }
                    },
                },
            };
            let wanted = Wanted {
                arm: &arm.name,
                seed: question.seed,
                steps: Some(reference.train.steps),
                of: reference.train.steps,
                initial: initial.as_ref(),
                judged: None,
            };
            let opened = desk.open(&wanted).map_err(|closed| Trouble::Closed(arm.name.clone(), closed.into()))?;
            measure.fits(&arm.name, &opened.program)?;
            ends.push((&arm.name, Some(check::last(&opened.program, &opened.timeline))));
        }
    }
    Ok(())
}

/// The metric of a schedule that names none: its first that is one number, else the loss.
fn scalar(program: &Program, vocabulary: &Vocabulary) -> &'static str {
    let is_scalar = |word: &&&'static str| vocabulary.metrics.iter().any(|one| one.doc.word == **word && one.scalar);
    program.train.metrics.iter().find(is_scalar).copied().unwrap_or("loss")
}

/// A comparison is repeated on other machines, and no folder of this one belongs into it.
fn file_name(name: &str) -> String {
    let path = std::path::Path::new(name);
    path.file_name().map_or_else(|| name.to_string(), |name| name.to_string_lossy().into_owned())
}

fn standard_arms(named: &[String], matching: Option<Matching>, grows_later: bool, widens: bool) -> Vec<ArmPlan> {
    let budget = match matching {
        None | Some(Matching::Flops) => Budget::Flops,
        Some(Matching::Epochs) => Budget::Epochs,
        Some(Matching::Steps) => Budget::Steps,
    };
    let much = match budget {
        Budget::Epochs => "as many epochs",
        Budget::Steps => "as many steps",
        _ => "as many FLOPs",
    };
    let grown = Some(arms::GROWN.to_string());
    let arm = |name: &str, about: String, budget, judged, from_final| ArmPlan {
        name: name.into(),
        about,
        budget,
        judged,
        from_final,
    };
    let mut all = vec![
        arm(arms::GROWN, "as the schedule says".into(), Budget::Schedule, true, None),
        arm(arms::SMALL, format!("never grows, {much}"), budget, true, None),
        arm(arms::LARGE, format!("the final network from fresh weights, {much}"), budget, true, grown.clone()),
        arm(
            arms::LARGE_EPOCHS,
            "the final network from fresh weights, as many epochs".into(),
            Budget::Epochs,
            false,
            grown.clone(),
        ),
    ];
    if widens {
        let about = format!("the same growth with fresh weights at random, {much}");
        all.push(arm(arms::GROWN_RANDOM, about, budget, false, None));
    }
    // What is left of the budget is another one only if something was spent before.
    if grows_later {
        let about = "the final network from fresh weights, the FLOPs that are left at the first growth".into();
        all.push(arm(arms::LARGE_REST, about, Budget::FlopsFromFirstGrowth, false, grown));
    }
    if !named.is_empty() {
        all.retain(|arm| named.contains(&arm.name));
        // Who leaves out both that usually decide asks about the others.
        if all.iter().skip(1).all(|arm| !arm.judged) {
            all.iter_mut().for_each(|arm| arm.judged = true);
        }
    }
    all
}

fn own_arms(desk: &Desk, question: &Question) -> Vec<ArmPlan> {
    let every = || desk.schedule.arms.iter().map(|arm| arm.name.node.clone()).collect();
    let names: Vec<String> = if question.arms.is_empty() { every() } else { question.arms.clone() };
    let (budget, much) = match question.matching.unwrap_or_default() {
        Matching::Epochs => (Budget::Epochs, "as many epochs"),
        Matching::Steps => (Budget::Steps, "as many steps"),
        Matching::Flops => (Budget::Flops, "as many FLOPs"),
    };
    let reference = names[0].clone();
    let compared = names.len();
    let mut names = names;
    // What another arm begins with has to be run, too.
    let mut at = 0;
    while let Some(name) = names.get(at) {
        let from = arms::begins_with(&desk.schedule, name).filter(|from| !names.contains(from));
        names.extend(from);
        at += 1;
    }
    let plan = |(at, name): (usize, String)| {
        let from_final = arms::begins_with(&desk.schedule, &name);
        let begins = from_final.as_ref().map(|other| format!("begins with the final network of {other}, fresh; "));
        let is_reference = name == reference;
        ArmPlan {
            about: match is_reference {
                true => "as the schedule says".into(),
                false => format!("{}{much} as {reference}", begins.unwrap_or_default()),
            },
            budget: if is_reference { Budget::Schedule } else { budget },
            judged: at < compared,
            from_final,
            name,
        }
    };
    names.into_iter().enumerate().map(plan).collect()
}

fn nothing(message: &str, help: &str) -> Refusal {
    Refusal::error("G0225", message, help)
}

fn begins_late(arm: &str, other: &str) -> Refusal {
    let (message, help) = experiment::begins_late(arm, other);
    nothing(&message, &help)
}

/// The name of its folder: the same for the same question, so that one that was interrupted is found again, the jobs of
/// one comparison find each other, and more seeds, or another metric, go on with the runs that are there.
pub fn folder_name(plan: &Plan) -> String {
    let Comparison { schedule, settings, matching, arms, growrun, .. } = &plan.comparison;
    let names: Vec<(&String, &String)> = schedule.iter().map(|file| (&file.name, &file.text)).collect();
    let arms: Vec<&String> = arms.iter().map(|arm| &arm.name).collect();
    let sources = &plan.opened.program.given.sources;
    let weights: String = sources.iter().map(|source| format!(" {}", source.sha256)).collect();
    let key = format!("{names:?} {settings:?} {matching} {arms:?} {} {}{weights}", growrun.numerics, plan.data);
    let digest = digest::bytes(key.as_bytes());
    let hex = digest.rsplit(':').next().expect("a digest is never empty");
    format!("compare-{}", &hex[..8])
}

/// Bytes that so many of its runs need: each leaves its final weights and its lines, and those that go on at once have
/// checkpoints besides.
pub fn disk(plan: &Plan, runs: usize, workers: usize) -> u64 {
    /// Of a line of metrics.jsonl, and of the record and the page.
    const LINE: u64 = 500;
    const REST: u64 = 64 << 10;
    let Opened { program, timeline } = &plan.opened;
    let checkpoint = cost::checkpoint(&check::last(program, timeline));
    let evaluations = program.train.evaluate_every.map_or(1, |every| program.train.steps / every.max(1) + 1);
    let each = checkpoint / 2 + evaluations.saturating_mul(LINE) + REST;
    each.saturating_mul(runs as u64).saturating_add(3 * checkpoint * workers.min(runs) as u64)
}

/// The runs of a comparison that can be made apart: of each job the arms and the seed, by their places in the plan. A job
/// is one seed with all its arms where one arm needs to know what another one spent, or ends with.
pub fn jobs(plan: &Plan) -> Vec<Vec<(usize, usize)>> {
    let Comparison { arms, seeds, .. } = &plan.comparison;
    let of_seed = |seed: usize| (0..arms.len()).map(move |arm| (arm, seed));
    match plan.independent {
        true => (0..seeds.len()).flat_map(of_seed).map(|one| vec![one]).collect(),
        false => (0..seeds.len()).map(|seed| of_seed(seed).collect()).collect(),
    }
}

/// The sweeps of a schedule as the values that each of its comparisons has: all combinations. A name that `--set` gives a
/// value to has that one.
pub fn settings(sweeps: &[check::Sweep], set: &[(String, String)]) -> Vec<Vec<(String, String)>> {
    let mut all: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for sweep in sweeps.iter().filter(|sweep| set.iter().all(|(name, _)| *name != sweep.name)) {
        all = all
            .into_iter()
            .flat_map(|before| {
                sweep.values.iter().map(move |value| {
                    let mut with = before.clone();
                    with.push((sweep.name.clone(), value.clone()));
                    with
                })
            })
            .collect();
    }
    all
}
