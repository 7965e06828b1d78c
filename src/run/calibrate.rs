//! How long a run will take on this machine, from training steps on made-up data.
//!
//! The networks that the schedule will have are built one by one, each takes a few steps and evaluates a batch, and what
//! lies between two of them is interpolated by its operations. Everything is measured on networks, optimisers and
//! numbers of its own, and the streams of random numbers have no state, so a run has the same bits whether or not it was
//! calibrated.
//!
//! Not measured, and taken from constants: what it takes to write a checkpoint, since nothing is written here.

use super::execute::batch_rows;
use crate::base::World;
use crate::check::flops::{self, Course};
use crate::check::program::{ActionKind, Program, Trigger};
use crate::check::{Planned, cost};
use crate::data::{Features, Labels, Part, Scaling, Share};
use crate::nn::{Architecture, Network, Task};
use crate::optim::Optimizer;
use crate::tensor::{BatchMut, Compute};
use crate::train::{Loss, MetricKind, Targets, Trainer};
use std::ops::Range;

/// Operations a second of a small machine, to decide how long it is worth measuring.
const CRUDE_FLOPS: f64 = 20e9;
/// What a run spends on it, of the time that it will roughly take, and at least and at most in seconds.
const SHARE: f64 = 0.02;
const SECONDS: (f64, f64) = (0.002, 1.0);
/// Seconds to make an initial weight, about.
const SECONDS_A_PARAMETER: f64 = 2e-8;
/// Networks that are measured; those in between are interpolated.
const NETWORKS_MAX: usize = 8;
/// A network gets at least so long, or there are fewer of them.
const SECONDS_A_NETWORK: f64 = 0.001;
/// Steps beyond which nothing more is learned from one network.
const STEPS_MAX: usize = 20_000;
/// Examples that are evaluated at once, and the most that are trained on: of a larger batch each takes as long.
const EXAMPLES: usize = crate::train::evaluate::BATCH;
const ROWS_MAX: usize = 4096;
/// A step takes at most this share of a network's time, or fewer examples are measured.
const STEP_SHARE: f64 = 0.125;
/// Of a checkpoint: what its three files and the syncs take on an SSD that nobody else writes to, and each byte.
const SECONDS_A_CHECKPOINT: f64 = 3e-3;
const SECONDS_A_BYTE: f64 = 4e-9;

/// What steps and evaluations take with the networks of a schedule.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// From few operations to many, at least one.
    points: Vec<Point>,
}

/// One network.
#[derive(Clone, Debug)]
struct Point {
    network: String,
    /// Operations of a forward pass of one example.
    forward: f64,
    /// Seconds of a training step on one example of a whole batch, and of evaluating one.
    train: f64,
    evaluate: f64,
}

/// Seconds of a run, or of what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Each phase of the course with its growth, evaluations and checkpoints.
    pub phases: Vec<f64>,
    pub all: f64,
}

/// For how long a run is worth calibrating, in seconds: in proportion to what it will roughly take.
pub fn worth(course: &Course) -> f64 {
    (SHARE * course.flops() as f64 / CRUDE_FLOPS).clamp(SECONDS.0, SECONDS.1)
}

/// How long a run of the program takes from its first step, found out in so many seconds; without a number, in
/// proportion to the run.
pub fn expected_seconds(
    program: &Program,
    timeline: &[Planned],
    compute: &Compute,
    world: &dyn World,
    seconds: Option<f64>,
) -> Option<f64> {
    let course = flops::course(program, timeline);
    let seconds = seconds.unwrap_or_else(|| worth(&course));
    let calibration = Calibration::measure(program, &course, compute, world, seconds)?;
    Some(calibration.expected(program, &course, timeline).all)
}

impl Calibration {
    /// Measures for about `seconds` in all. `None` where the networks are too large to be built in such a time, or time
    /// stands still.
    pub fn measure(
        program: &Program,
        course: &Course,
        compute: &Compute,
        world: &dyn World,
        seconds: f64,
    ) -> Option<Calibration> {
        let known = |architecture: &Architecture| architecture.parameter_count().1 as f64 * SECONDS_A_PARAMETER;
        let free = world.host().memory_free.unwrap_or(u64::MAX);
        let batch = batch_rows(program).min(ROWS_MAX);
        let load = cost::Load { batch, evaluated: EXAMPLES, ..cost::Load::default() };
        let mut all: Vec<(String, &Architecture)> = Vec::new();
        for phase in &course.phases {
            let architecture = phase.architecture.as_ref();
            let (low, high) = architecture.parameter_count();
            let fits = low == high
                && all_exact(architecture)
                && known(architecture) <= seconds.max(SECONDS_A_NETWORK)
                && cost::memory(high, architecture, load) <= free / 4;
            let name = name(architecture);
            if fits && !all.iter().any(|(known, _)| *known == name) {
                all.push((name, architecture));
            }
        }
        all.sort_by_key(|(_, architecture)| architecture.forward_flops());
        let all: Vec<&Architecture> = all.into_iter().map(|(_, architecture)| architecture).collect();
        let wanted = ((seconds / SECONDS_A_NETWORK) as usize).clamp(1, NETWORKS_MAX);
        // To build them all takes no longer than to measure them.
        let builds = |count: &usize| spread(&all, *count).into_iter().map(known).sum::<f64>() <= seconds;
        let chosen = spread(&all, (1..=wanted).rev().find(builds).unwrap_or(1));
        let share = seconds / chosen.len().max(1) as f64;
        let subject = Subject::new(program)?;
        let mut points: Vec<Point> = Vec::new();
        for architecture in chosen {
            points.push(subject.measure(architecture, compute, world, share)?);
        }
        (!points.is_empty()).then_some(Calibration { points })
    }

    /// What the run of this course will take.
    pub fn expected(&self, program: &Program, course: &Course, timeline: &[Planned]) -> Expected {
        let val = validation(program);
        let train = program.data.examples as f64;
        let measured = if super::growth::mentions_training_metric(program) { train } else { 0.0 };
        let last = course.phases.len() - 1;
        let mut phases = Vec::with_capacity(course.phases.len());
        for (number, phase) in course.phases.iter().enumerate() {
            let architecture = phase.architecture.as_ref();
            let (step, evaluate) = self.seconds(architecture);
            let forward = architecture.forward_flops().max(1) as f64;
            let between =
                |every: Option<u64>| every.map_or(0, |every| phase.to / every.max(1) - phase.from / every.max(1));
            let examples = phase.training as f64 / (3.0 * forward);
            let evaluations = between(program.train.evaluate_every) as f64;
            let asked = actions(program, timeline, phase.from, phase.to, number == last);
            let growths = phase.events.iter().filter(|planned| is_growth(program, planned)).count();
            let ends = usize::from(number == 0) + usize::from(number == last);
            let checkpoints = growths + usize::from(growths > 0) + ends + asked.saves;
            let checkpoints = checkpoints as f64 + between(program.train.checkpoint_every) as f64;
            let save = SECONDS_A_CHECKPOINT + SECONDS_A_BYTE * cost::checkpoint(architecture) as f64;
            let growing = phase.growth as f64 / forward * evaluate;
            let evaluating = (evaluations * (val + measured) + asked.evaluated) * evaluate;
            phases.push(examples * step + evaluating + growing + checkpoints * save);
        }
        let all = phases.iter().sum();
        Expected { phases, all }
    }

    /// Of one example: seconds of training and of evaluating.
    fn seconds(&self, architecture: &Architecture) -> (f64, f64) {
        let name = name(architecture);
        if let Some(point) = self.points.iter().find(|point| point.network == name) {
            return (point.train, point.evaluate);
        }
        let forward = architecture.forward_flops() as f64;
        let above = self.points.partition_point(|point| point.forward < forward);
        match (above.checked_sub(1).map(|below| &self.points[below]), self.points.get(above)) {
            (Some(below), Some(above)) => {
                let way = (forward - below.forward) / (above.forward - below.forward).max(1.0);
                let between = |from: f64, to: f64| from + way * (to - from);
                (between(below.train, above.train), between(below.evaluate, above.evaluate))
            }
            // What is larger than all takes as long an operation; what is smaller than all has the same fixed costs.
            (Some(below), None) => {
                let times = forward / below.forward.max(1.0);
                (below.train * times, below.evaluate * times)
            }
            (None, Some(above)) => (above.train, above.evaluate),
            (None, None) => (0.0, 0.0),
        }
    }
}

/// What is as fast has the same name: its layers, and which of them are frozen.
fn name(architecture: &Architecture) -> String {
    let frozen = architecture.all_layers().filter(|layer| layer.frozen).map(|layer| format!(" {}", layer.name));
    format!("{}{}", architecture.sketch(), frozen.collect::<String>())
}

fn all_exact(architecture: &Architecture) -> bool {
    architecture.axes().iter().all(|axis| axis.width.is_exact())
}

/// The first, the last, and others evenly between them.
fn spread<'a>(all: &[&'a Architecture], wanted: usize) -> Vec<&'a Architecture> {
    let (count, wanted) = (all.len(), wanted.min(all.len()));
    match wanted {
        0 => Vec::new(),
        // Of one the largest: it takes most of the time.
        1 => vec![all[count - 1]],
        _ => (0..wanted).map(|at| all[at * (count - 1) / (wanted - 1)]).collect(),
    }
}

fn is_growth(program: &Program, planned: &Planned) -> bool {
    let action = &program.events[planned.event].actions[planned.action];
    // A `freeze` changes nothing that is saved or measured.
    matches!(action.kind, ActionKind::Grow(operator) if !matches!(operator.doc().word, "freeze" | "unfreeze"))
}

/// What events ask for within some steps, beside growth.
#[derive(Default)]
struct Asked {
    saves: usize,
    /// Examples that are evaluated.
    evaluated: f64,
}

fn actions(program: &Program, timeline: &[Planned], from: u64, to: u64, is_last: bool) -> Asked {
    let mut asked = Asked::default();
    for planned in timeline.iter().filter(|planned| planned.certain && !planned.undo) {
        let event = &program.events[planned.event];
        let is_at_end = matches!(event.trigger, Trigger::At { end: true, .. });
        let is_within = (from..to).contains(&planned.step) || (is_last && (planned.step == to || is_at_end));
        match &event.actions[planned.action].kind {
            _ if !is_within => {}
            ActionKind::Save { .. } => asked.saves += 1,
            ActionKind::Evaluate { .. } => asked.evaluated += validation(program),
            _ => {}
        }
    }
    asked
}

/// Examples of the validation part, about: exactly where the split counts them.
fn validation(program: &Program) -> f64 {
    match (program.data.split.val, program.data.split.train) {
        (Share::Count(count), _) => count as f64,
        (Share::Fraction(val), Share::Fraction(train)) if train > 0.0 => program.data.examples as f64 * val / train,
        (Share::Fraction(val), _) => program.data.examples as f64 * val,
    }
}

/// What does not depend on the network.
struct Subject<'p> {
    program: &'p Program,
    rows: usize,
    /// One batch, and what is evaluated.
    part: Part,
    scaling: Scaling,
    loss: Loss,
    metrics: Vec<&'static MetricKind>,
}

impl<'p> Subject<'p> {
    fn new(program: &'p Program) -> Option<Subject<'p>> {
        let input = program.architecture.input;
        let width = program.architecture.width(input.axis).max * input.values_per_unit();
        let outputs = program.architecture.width(program.architecture.output().axis).max;
        let rows = batch_rows(program).clamp(1, ROWS_MAX);
        let count = EXAMPLES.max(rows);
        // Normal numbers in −1..1, all different enough: a denormal would take a hundred times as long.
        let values =
            (0..count * width).map(|at| ((at as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0);
        let labels = match program.architecture.task {
            Task::Classification => Labels::Classes((0..count).map(|at| (at % outputs.max(1)) as u32).collect()),
            Task::Regression => Labels::Numbers { values: vec![0.5; count * outputs], width: outputs },
        };
        let train = &program.train;
        let loss = Loss::from_args(train.loss.word, &train.loss.args, None).ok()?;
        let metrics = train.metrics.iter().filter_map(|word| crate::train::metrics::find(word)).collect();
        let features = Features::F32 { values: values.collect(), width };
        Some(Subject {
            program,
            rows,
            part: Part { features, labels },
            scaling: Scaling::identity(width),
            loss,
            metrics,
        })
    }

    /// `None` where time stands still.
    fn measure(
        &self,
        architecture: &Architecture,
        compute: &Compute,
        world: &dyn World,
        seconds: f64,
    ) -> Option<Point> {
        let began = world.seconds();
        let train = &self.program.train;
        let mut optimizer = Optimizer::from_args(train.optimizer.word, &train.optimizer.args).ok()?;
        let forward = architecture.forward_flops().max(1) as f64;
        let passes = STEP_SHARE * seconds * CRUDE_FLOPS / forward;
        let rows = self.rows.min((passes / 3.0) as usize).max(1);
        let evaluated = EXAMPLES.min(passes as usize).max(1);
        let mut network = Network::<f32>::new(architecture, self.program.seed, compute.clone());
        network.replan(architecture, rows);
        optimizer.prepare(&mut network);
        let (mut trainer, path) = (Trainer::new(), compute.path());
        let targets = |count| Targets::of(&self.part.labels).slice(0..count);
        let fill = |rows: Range<usize>, out: &mut BatchMut<'_, f32>| {
            self.part.gather_range(path, rows, &self.scaling, out);
        };
        let mut step = |number: u64| {
            // At a rate of 0 nothing can diverge, and every operation is made all the same.
            let (seed, lr) = (self.program.seed, 0.0);
            trainer.step_loaded(&mut network, &mut optimizer, &self.loss, fill, targets(rows), lr, seed, number);
        };
        // The first one makes room.
        step(0);
        let built = world.seconds();
        if built <= began {
            return None;
        }
        let until = (began + 0.8 * seconds).max(built);
        let train = typical(world, until, |number| step(number + 1));
        let mut evaluate = || {
            crate::train::evaluate_with(&mut network, fill, targets(evaluated), &self.loss, &self.metrics);
        };
        evaluate();
        let evaluate = typical(world, began + seconds, |_| evaluate());
        Some(Point {
            forward,
            network: name(architecture),
            train: train / rows as f64,
            evaluate: evaluate / evaluated as f64,
        })
    }
}

/// What one call takes: three calls at least, and more until the clock says `until`. The mean once that was long enough
/// to meet what else the machine does, else the median, which one interruption does not move.
fn typical(world: &dyn World, until: f64, mut call: impl FnMut(u64)) -> f64 {
    const LONG: f64 = 0.05;
    let mut took = Vec::new();
    let began = world.seconds();
    let mut now = began;
    while took.len() < 3 || (now < until && took.len() < STEPS_MAX) {
        call(took.len() as u64);
        let then = world.seconds();
        took.push(then - now);
        now = then;
    }
    if now - began >= LONG {
        return (now - began) / took.len() as f64;
    }
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
