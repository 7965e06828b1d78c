//! How many floating-point operations a run will count, told before it begins, and the phases that it passes through.
//!
//! What is counted, here and in the run alike:
//!
//! - A training step: 3 forward passes of each of its examples, since a backward pass costs two. The last batch of
//!   an epoch may be short, so examples are counted and not batches. What is frozen is counted as if it learned.
//! - A forward pass: 2 for each multiply-add of a product (a dense layer: 2·in·out; a bias is where the chain of
//!   additions begins; a convolution: 2·channels·taps·channels for each pixel that it makes, those that read zeros beside
//!   the image like all others), 1 for each sum of a residual block without `project`, 1 for each number that a pool looks
//!   at. Activations, norms, dropout, the loss and the optimiser's arithmetic are not counted.
//! - Growth: the passes that measure, the products that choose units, and the probe before and after
//!   ([`crate::grow::Plan::flops`]). The run also counts the decomposition of `gradmax`, which depends on the data.
//! - Not evaluations and assertions: they look, and nothing learns from them.
//!
//! Training that a rollback threw away is counted by the run and cannot be known here.

use super::program::{ActionKind, DataPlan, Program, Trigger};
use super::replay::Planned;
use crate::nn::Architecture;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Forward passes that a training step costs.
const FORWARD_PASSES: u64 = 3;

/// Training between two changes of the network.
#[derive(Clone, Debug)]
pub struct Phase<'a> {
    pub from: u64,
    pub to: u64,
    pub architecture: Arc<Architecture>,
    /// What happens at its beginning.
    pub events: Vec<&'a Planned>,
    /// Operations of its training steps.
    pub training: u64,
    /// Operations of the growth at its beginning.
    pub growth: u64,
}

impl Phase<'_> {
    pub fn flops(&self) -> u64 {
        self.training.saturating_add(self.growth)
    }
}

/// A run from its first step to its last, as far as it is known before it begins.
#[derive(Clone, Debug)]
pub struct Course<'a> {
    /// At least one, in order.
    pub phases: Vec<Phase<'a>>,
    /// Whether a condition decides how large the network becomes or when training ends. Then a `when` is taken to
    /// fire at its first chance, and training to go on to the planned end.
    pub conditional: bool,
    /// The step at which training ends: earlier than planned where `stop` comes first.
    pub steps: u64,
}

impl Course<'_> {
    pub fn flops(&self) -> u64 {
        self.phases.iter().map(Phase::flops).fold(0, u64::saturating_add)
    }
}

/// The operations that a run of the program from step 0 will report; `None` where a condition decides. Exact but for
/// what the module says: rollbacks, and the decomposition of `gradmax`.
pub fn of(program: &Program, timeline: &[Planned]) -> Option<u64> {
    let course = course(program, timeline);
    (!course.conditional).then(|| course.flops())
}

/// Training examples that the first `steps` steps see, each as often as it is seen.
pub fn examples(data: &DataPlan, steps: u64) -> u64 {
    let rows = data.batch.unwrap_or(data.examples).min(data.examples) as u64;
    let within = |steps: u64| steps.saturating_mul(rows).min(data.examples as u64);
    let epoch = data.steps_per_epoch.max(1);
    (steps / epoch).saturating_mul(within(epoch)).saturating_add(within(steps % epoch))
}

/// Operations of the training steps from one step to another.
pub fn training(data: &DataPlan, architecture: &Architecture, from: u64, to: u64) -> u64 {
    let seen = examples(data, to).saturating_sub(examples(data, from));
    architecture.forward_flops().saturating_mul(FORWARD_PASSES).saturating_mul(seen)
}

/// The phases of a run of the program from step 0.
pub fn course<'a>(program: &Program, timeline: &'a [Planned]) -> Course<'a> {
    rest(program, timeline, 0, &program.architecture)
}

/// What is left of a run that stands at a step with this network. What happens at that very step counts as left.
pub fn rest<'a>(program: &Program, timeline: &'a [Planned], from: u64, standing: &Architecture) -> Course<'a> {
    let begin =
        Phase { from, to: from, architecture: Arc::new(standing.clone()), events: Vec::new(), training: 0, growth: 0 };
    let mut course =
        Course { phases: vec![begin], conditional: program.train.stop_when.is_some(), steps: program.train.steps };
    let mut stopped = false;
    // Events whose remaining actions are not reached.
    let mut over: BTreeSet<usize> = BTreeSet::new();
    for planned in timeline {
        let event = &program.events[planned.event];
        let at_end = matches!(event.trigger, Trigger::At { end: true, .. });
        let step = if at_end { course.steps } else { planned.step };
        if over.contains(&planned.event) || step < from || step > course.steps || (stopped && !at_end) {
            continue;
        }
        let action = &event.actions[planned.action];
        match action.kind {
            ActionKind::Stop if !planned.certain => course.conditional = true,
            ActionKind::Stop => {
                over.insert(planned.event);
                // Behind the last step the run is over anyway.
                if !at_end {
                    (course.steps, stopped) = (step, true);
                }
            }
            ActionKind::Grow(operator) => {
                let last = course.phases.last_mut().expect("begins with one");
                let plan = (!planned.undo).then(|| operator.plan(&action.args, &last.architecture));
                let plan = plan.and_then(Result::ok);
                let growth =
                    plan.as_ref().map_or(0, |plan| plan.flops(&last.architecture, program.data.examples as u64));
                course.conditional |= !planned.certain && planned.growth.is_some() && growth > 0;
                if planned.growth.is_none() {
                    continue;
                }
                // What was planned behind the stop has growth before it that does not happen.
                let architecture = match plan {
                    Some(plan) if stopped => Arc::new(plan.after),
                    _ => Arc::clone(&planned.after),
                };
                if last.from == step && (!last.events.is_empty() || step == from) {
                    last.architecture = architecture;
                    last.events.push(planned);
                    last.growth = last.growth.saturating_add(growth);
                } else {
                    let (events, training) = (vec![planned], 0);
                    course.phases.push(Phase { from: step, to: 0, architecture, events, training, growth });
                }
            }
            _ => {}
        }
    }
    let ends: Vec<u64> = course.phases.iter().skip(1).map(|phase| phase.from).chain([course.steps]).collect();
    for (phase, end) in course.phases.iter_mut().zip(ends) {
        phase.to = end.max(phase.from);
        phase.training = training(&program.data, &phase.architecture, phase.from, phase.to);
    }
    course
}
