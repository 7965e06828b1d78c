//! Runs a program on its data: trains, evaluates, fires events, and tells every consumer.

use super::agenda::Agenda;
use super::event::*;
use super::history::History;
use super::progress::{Fired, Phase, Progress, Resumption, Saved};
use super::rate::Rate;
use super::training::BatchLabels;
use super::{growth, restore};
use crate::base::world::{Error, World};
use crate::base::{Clause, Refusal, Span};
use crate::check::program::{Divergence, Program, Trigger};
use crate::data::{Dataset, Part};
use crate::nn::{Architecture, Network};
use crate::optim::Optimizer;
use crate::tensor::Compute;
use crate::train::{Loss, MetricKind, Trainer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// What is not part of the result: how fast it is computed, when it is saved, and how it may be ended.
pub struct Options {
    pub compute: Compute,
    /// The number of a signal that asks the run to end; 0 while there is none.
    pub interrupt: Arc<AtomicI32>,
    /// Growth beyond this many learned numbers fails the run before anything is allocated.
    pub parameters_max: u64,
    /// Growth beyond this many bytes, by the estimate that the checker goes by, likewise; `None`: not judged. Only a
    /// condition can bring a network that the checker has not seen.
    pub memory_max: Option<u64>,
    /// Checkpoints that the schedule does not ask for.
    pub autosave: Autosave,
}

/// When a run is saved beside what its schedule says.
#[derive(Clone, Debug, PartialEq)]
pub enum Autosave {
    Never,
    /// When so many seconds have passed since the last checkpoint; more rarely where saving takes long.
    Seconds(f64),
    /// After these numbers of steps, for a run that repeats another one.
    Steps(BTreeSet<u64>),
}

/// What a crash may cost of a run that its schedule never saves.
pub const AUTOSAVE_SECONDS: f64 = 300.0;

/// Saving takes at most this share of the time, but for what the schedule asks for.
const AUTOSAVE_SHARE: f64 = 0.02;

/// Why a run could not begin or could not be recorded. What happens to a run that has begun is a [`Status`].
#[derive(Debug)]
pub enum Failure {
    World(Error),
    Refused(Refusal),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::World(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// Takes each event as it happens. An error ends the run: nothing goes on unrecorded.
pub type Consumer<'c> = dyn FnMut(&Event) -> Result<(), Error> + 'c;

/// Trains the program's network on the data. Everything that happens goes to `consumer` first.
pub fn execute(
    program: &Program,
    dataset: &Dataset,
    options: &Options,
    world: &dyn World,
    consumer: &mut Consumer,
) -> Result<Finish, Failure> {
    Run::new(program, dataset, options, world, consumer)?.complete()
}

/// Goes on from where another session of the same program stood. Refused when what was saved does not fit it.
pub fn proceed(
    program: &Program,
    dataset: &Dataset,
    options: &Options,
    world: &dyn World,
    resumption: Resumption,
    consumer: &mut Consumer,
) -> Result<Finish, Failure> {
    let mut run = Run::new(program, dataset, options, world, consumer)?;
    let Resumption { saved, saved_at, good } = resumption;
    if program.train.rolls_back() {
        run.last_good = Some(Box::new(good.unwrap_or_else(|| saved.clone())));
    }
    run.saved_at = saved_at;
    run.take_over(saved)?;
    run.complete()
}

/// Why the loop ends; the status is what the run is remembered by.
pub(super) enum Flow {
    Continue,
    /// The action was broken off and has changed nothing.
    Again,
    End(Status),
}

pub(super) struct Run<'r> {
    pub(super) program: &'r Program,
    pub(super) dataset: &'r Dataset,
    pub(super) options: &'r Options,
    pub(super) world: &'r dyn World,
    pub(super) consumer: &'r mut Consumer<'r>,
    pub(super) network: Network<f32>,
    pub(super) architecture: Architecture,
    pub(super) trainer: Trainer<f32>,
    pub(super) optimizer: Optimizer,
    pub(super) loss: Loss,
    pub(super) metrics: Vec<&'static MetricKind>,
    /// A condition asks for a training metric other than the loss.
    pub(super) measures_training_part: bool,
    pub(super) rate: Rate,
    pub(super) history: History,
    pub(super) agenda: Agenda,
    pub(super) growths: Vec<Growth>,
    /// Where the run stands.
    pub(super) progress: Progress,
    /// What the network answered when the event that is going on began.
    pub(super) probe: Option<Vec<f32>>,
    /// What `on_divergence rollback` goes back to.
    pub(super) last_good: Option<Box<Saved>>,
    /// Steps and growth events at the last checkpoint.
    pub(super) saved_at: Option<(u64, usize)>,
    /// When the last checkpoint was made, and how long that took.
    pub(super) saved: (f64, f64),
    pub(super) order: Vec<u32>,
    pub(super) labels: BatchLabels,
    /// Of one example through the architecture of now; counting it makes names, which no step should.
    pub(super) forward_flops: u64,
    /// When this session began, earlier by what others have taken.
    pub(super) began: f64,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        program: &'r Program,
        dataset: &'r Dataset,
        options: &'r Options,
        world: &'r dyn World,
        consumer: &'r mut Consumer<'r>,
    ) -> Result<Run<'r>, Failure> {
        let train = &program.train;
        let architecture = program.architecture.clone();
        let class_weights =
            dataset.class_weights.as_ref().map(|weights| weights.iter().map(|w| f64::from(*w)).collect());
        let loss = Loss::from_args(train.loss.word, &train.loss.args, class_weights)?;
        let optimizer = Optimizer::from_args(train.optimizer.word, &train.optimizer.args)?;
        let mut network = Network::new(&architecture, program.seed, options.compute.clone());
        for (name, values) in &program.given.initial {
            let parameter = network.parameter_mut(name).expect("the checker gives values to parameters that are there");
            parameter.value.iter_mut().zip(values.iter()).for_each(|(value, given)| *value = *given);
        }
        network.replan(&architecture, batch_rows(program));
        optimizer.prepare(&mut network);
        let metrics = train.metrics.iter().filter_map(|word| crate::train::metrics::find(word)).collect();
        let began = world.seconds();
        Ok(Run {
            rate: Rate::new(train.base_lr, train.lr, train.warmup_steps, train.steps).stretched(train.length),
            agenda: Agenda::new(&program.events),
            measures_training_part: growth::mentions_training_metric(program),
            program,
            dataset,
            options,
            world,
            consumer,
            network,
            architecture,
            trainer: Trainer::new(),
            optimizer,
            loss,
            metrics,
            history: History::default(),
            growths: Vec::new(),
            progress: Progress::default(),
            probe: None,
            last_good: None,
            saved_at: None,
            saved: (began, 0.0),
            order: Vec::new(),
            labels: BatchLabels::default(),
            forward_flops: program.architecture.forward_flops(),
            began,
        })
    }

    /// The run from where it stands to its end.
    pub(super) fn complete(mut self) -> Result<Finish, Failure> {
        self.announce()?;
        if self.saved_at.is_none() {
            self.save(Reason::Start)?;
        }
        // A run that was ended between its last checkpoint and its record has only the latter to write.
        let was_over = self.progress.cursor.phase == Phase::Over;
        let status = loop {
            if let Some(signal) = self.interrupted() {
                self.save(Reason::Interrupted)?;
                break Status::Interrupted { signal };
            }
            match self.advance()? {
                Flow::Continue if self.progress.cursor.phase == Phase::Over => {
                    if !was_over && let Flow::End(status) = self.save(Reason::End)? {
                        break status;
                    }
                    break if self.progress.cursor.stopped { Status::Stopped } else { Status::Finished };
                }
                Flow::Continue | Flow::Again => {}
                Flow::End(Status::Diverged { step }) => {
                    if !self.roll_back(step)? {
                        break Status::Diverged { step };
                    }
                }
                Flow::End(status) => {
                    self.save(Reason::Failed)?;
                    break status;
                }
            }
        };
        self.finish(status)
    }

    pub(super) fn announce(&mut self) -> Result<(), Failure> {
        let dataset = self.dataset;
        let started = Started {
            name: self.program.name.clone(),
            seed: self.program.seed,
            threads: self.options.compute.threads(),
            simd: self.options.compute.simd(),
            data: dataset.name.clone(),
            data_digest: dataset.digest.clone(),
            data_bytes: dataset.bytes,
            examples: Examples {
                train: dataset.train.len(),
                val: dataset.val.len(),
                test: dataset.test.as_ref().map_or(0, Part::len),
            },
            architecture: self.architecture.clone(),
            parameters: self.parameters(),
            steps: self.program.train.steps,
            steps_per_epoch: self.program.data.steps_per_epoch,
            step: self.progress.step,
            base: self.program.base.as_ref().map(|base| match base {
                crate::check::program::Base::Starter => "the built-in starter".into(),
                crate::check::program::Base::File(path) => path.display().to_string(),
            }),
        };
        (self.consumer)(&Event::Started(&started))?;
        if self.progress.step == 0 {
            for source in &self.program.given.sources {
                self.note(source.told(), Span::default())?;
            }
            for note in &self.program.given.notes {
                self.note(note.clone(), Span::default())?;
            }
        }
        Ok(())
    }

    pub(super) fn epoch(&self) -> f64 {
        self.progress.step as f64 / self.program.data.steps_per_epoch as f64
    }

    pub(super) fn parameters(&self) -> u64 {
        self.architecture.parameter_count().0
    }

    /// The signal that asks the run to end.
    pub(super) fn interrupted(&self) -> Option<i32> {
        Some(self.options.interrupt.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    // --- one instant, in the order that docs/LANGUAGE.md gives

    /// What comes next: one phase of the instant, one action, or one training step. Between two calls the run can
    /// be saved.
    pub(super) fn advance(&mut self) -> Result<Flow, Failure> {
        let (step, program) = (self.progress.step, self.program);
        let is_last = step >= program.train.steps;
        let evaluates =
            program.train.evaluate_every.is_some_and(|every| is_last || (step > 0 && step.is_multiple_of(every)));
        match self.progress.cursor.phase {
            Phase::Leave => {
                for number in self.agenda.take_leaving(step) {
                    self.leave(number);
                }
                self.enter(Phase::Evaluate);
            }
            Phase::Evaluate if evaluates => return self.evaluate_schedule(Phase::StopWhen),
            Phase::Evaluate => self.enter(Phase::Due),
            Phase::StopWhen => match self.stop_condition() {
                Some(span) => {
                    self.note("the condition of `stop when` holds".into(), span)?;
                    self.stop();
                }
                None => self.enter(Phase::Due),
            },
            Phase::Due => {
                self.enter(Phase::Fire);
                self.progress.cursor.queue = self.agenda.take_due(step, &program.events, evaluates, is_last).into();
            }
            Phase::Fire | Phase::Enter | Phase::CloseFire if !self.progress.cursor.queue.is_empty() => {
                return self.fire();
            }
            Phase::Fire if !is_last => {
                self.enter(Phase::Enter);
                self.progress.cursor.queue = self.agenda.take_entering(step).into();
            }
            Phase::Fire | Phase::Enter => self.enter(Phase::Checkpoint),
            Phase::Checkpoint => {
                self.enter(Phase::Step);
                if program.train.checkpoint_every.is_some_and(|every| step > 0 && step.is_multiple_of(every)) {
                    return self.save(Reason::Rule);
                }
                if self.is_time_to_save() {
                    return self.save(Reason::Auto);
                }
            }
            Phase::Step if is_last => self.close(),
            Phase::Step => return self.train_step(),
            Phase::CloseEvaluate => {
                if program.train.evaluate_every.is_some() && self.progress.evaluated_at != Some(step) {
                    return self.evaluate_schedule(Phase::CloseFire);
                }
                self.progress.cursor.phase = Phase::CloseFire;
            }
            Phase::CloseFire => self.enter(Phase::Over),
            Phase::Over => {}
        }
        Ok(Flow::Continue)
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        let cursor = &mut self.progress.cursor;
        cursor.phase = phase;
        cursor.queue.clear();
        cursor.begun = None;
    }

    /// `stop` or `stop when`.
    pub(super) fn stop(&mut self) {
        self.close();
        self.progress.cursor.stopped = true;
    }

    /// What is due at the end comes next. Events that were not reached are dropped, but for those of `at end`.
    fn close(&mut self) {
        let events = &self.program.events;
        let is_at_end = |number: &usize| matches!(events[*number].trigger, Trigger::At { end: true, .. });
        let unreached = std::mem::take(&mut self.progress.cursor.queue);
        self.enter(Phase::CloseEvaluate);
        let queue = &mut self.progress.cursor.queue;
        queue.extend(self.agenda.take_at_end());
        queue.extend(unreached.into_iter().filter(is_at_end));
        queue.make_contiguous().sort_unstable();
    }

    /// The place of the condition of `stop when`, if that holds.
    fn stop_condition(&self) -> Option<Span> {
        let conditions = self.program.train.stop_when.as_deref()?;
        let holds = self.history.holds(conditions, self.progress.step, self.progress.changed_at);
        let first = conditions.first().filter(|_| holds)?;
        Some(match first.clause {
            Clause::Compare { span, .. } | Clause::Plateau { span, .. } => span,
        })
    }

    /// `at` and `every` are due when the agenda says so; a `when` must hold, too.
    pub(super) fn is_due(&mut self, number: usize) -> bool {
        let step = self.progress.step;
        let Trigger::When { conditions, at_most, cooldown, from, until } = &self.program.events[number].trigger else {
            return true;
        };
        let fired = self.progress.fired.get(&number).copied();
        let rested = fired.is_none_or(|fired| step >= fired.last.saturating_add(*cooldown));
        let (times, last) = fired.map_or((0, 0), |fired| (fired.times, fired.last));
        let holds = (*from..=*until).contains(&step)
            && times < *at_most
            && rested
            && self.history.holds(conditions, step, last.max(self.progress.changed_at));
        if holds {
            self.progress.fired.insert(number, Fired { times: times + 1, last: step });
        }
        holds
    }

    pub(super) fn note(&mut self, text: String, span: crate::base::Span) -> Result<(), Failure> {
        let (step, epoch) = (self.progress.step, self.epoch());
        (self.consumer)(&Event::Noted { step, epoch, text, span })?;
        Ok(())
    }

    // --- saving

    /// Tells the consumers everything that is needed to go on from here. Weights that are not finite are never
    /// saved: the run has diverged.
    pub(super) fn save(&mut self, reason: Reason) -> Result<Flow, Failure> {
        let began = self.world.seconds();
        self.progress.rate = self.rate.turns().clone();
        self.progress.seconds = began - self.began;
        if self.network.parameters().iter().any(|p| p.value.iter().any(|value| !value.is_finite())) {
            return Ok(Flow::End(Status::Diverged { step: self.progress.step }));
        }
        let checkpoint = Checkpoint {
            reason,
            progress: &self.progress,
            history: &self.history,
            growths: &self.growths,
            probe: self.probe.as_deref(),
            architecture: &self.architecture,
            parameters: self.network.parameters(),
        };
        (self.consumer)(&Event::Checkpoint(checkpoint))?;
        if reason.is_by_schedule() {
            self.saved_at = Some((self.progress.step, self.growths.len()));
            if self.program.train.rolls_back() {
                self.last_good = Some(Box::new(self.snapshot()));
            }
        }
        let now = self.world.seconds();
        self.saved = (now, now - began);
        Ok(Flow::Continue)
    }

    fn snapshot(&mut self) -> Saved {
        Saved {
            architecture: self.architecture.clone(),
            parameters: self.network.parameters().clone(),
            progress: self.progress.clone(),
            history: self.history.clone(),
            growths: self.growths.clone(),
            probe: self.probe.clone(),
        }
    }

    fn is_time_to_save(&self) -> bool {
        match &self.options.autosave {
            Autosave::Never => false,
            Autosave::Seconds(seconds) => {
                let (when, took) = self.saved;
                self.world.seconds() - when >= seconds.max(took / AUTOSAVE_SHARE)
            }
            Autosave::Steps(steps) => steps.contains(&self.progress.step),
        }
    }

    /// Continues from what was saved. Refused when that is not of this program's shapes.
    pub(super) fn take_over(&mut self, saved: Saved) -> Result<(), Refusal> {
        restore::fits(&saved, self.program)?;
        let Saved { architecture, mut parameters, progress, history, growths, probe } = saved;
        // `replan` settles dims and marks; fresh numbers are never drawn for what is there.
        std::mem::swap(self.network.parameters(), &mut parameters);
        self.architecture = architecture;
        self.replan();
        self.agenda = Agenda::new(&self.program.events);
        self.agenda.skip_to(&progress, self.program.train.steps, &self.program.events);
        self.rate.turn(&progress.rate);
        self.began = self.world.seconds() - progress.seconds;
        self.saved = (self.world.seconds(), 0.0);
        self.order.clear();
        self.history = history;
        self.growths = growths;
        self.progress = progress;
        self.probe = probe;
        Ok(())
    }

    /// `on_divergence rollback`: back to the last checkpoint with a smaller rate. `false` when the run is over.
    fn roll_back(&mut self, step: u64) -> Result<bool, Failure> {
        let Divergence::Rollback { factor, at_most } = self.program.train.on_divergence else { return Ok(false) };
        let times = self.progress.rollbacks.saturating_add(1);
        let Some(saved) = self.last_good.as_deref().cloned().filter(|_| times <= at_most) else { return Ok(false) };
        let (back_to, seconds, flops) = (saved.progress.step, self.world.seconds() - self.began, self.progress.flops);
        let known = saved.progress.rollbacks;
        self.take_over(saved)?;
        // What was spent is spent.
        self.began = self.world.seconds() - seconds;
        self.progress.flops = flops;
        self.progress.rollbacks = times;
        for _ in known..times {
            self.rate.scale(factor);
        }
        (self.consumer)(&Event::RolledBack(RolledBack { step, back_to, factor, growths: self.growths.len() }))?;
        Ok(true)
    }

    // --- the end

    pub(super) fn finish(mut self, status: Status) -> Result<Finish, Failure> {
        // What will go on is not judged before its time.
        if !matches!(status, Status::Interrupted { .. }) {
            let settled = self.progress.losses.finish();
            self.settle(settled)?;
        }
        let finish = Finish {
            status,
            step: self.progress.step,
            epoch: self.epoch(),
            parameters: self.parameters(),
            metrics: self.progress.metrics.clone(),
            confusion: self.progress.confusion,
            events: self.growths,
            weights: crate::nn::parameter::digest(self.network.parameters()),
            flops: self.progress.flops,
            seconds: self.world.seconds() - self.began,
            architecture: self.architecture,
        };
        (self.consumer)(&Event::Finished(&finish, self.network.parameters()))?;
        Ok(finish)
    }
}

pub(super) fn batch_rows(program: &Program) -> usize {
    program.data.batch.unwrap_or(program.data.examples).min(program.data.examples)
}
