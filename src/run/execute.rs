//! Runs a program on its data: trains, evaluates, fires events, and tells every consumer.

use super::agenda::Agenda;
use super::conditions::History;
use super::event::*;
use super::growth;
use super::rate::Rate;
use super::shock::Losses;
use super::training::BatchLabels;
use crate::base::Refusal;
use crate::base::world::{Error, World};
use crate::check::program::{Program, Trigger};
use crate::check::windows::Windows;
use crate::data::{Dataset, Part};
use crate::nn::{Architecture, Network};
use crate::optim::Optimizer;
use crate::tensor::Compute;
use crate::train::{Loss, MetricKind, Trainer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// What is not part of the result: how fast it is computed, and how it may be ended.
pub struct Options {
    pub compute: Compute,
    /// The number of a signal that asks the run to end; 0 while there is none.
    pub interrupt: Arc<AtomicI32>,
    /// Growth beyond this many learned numbers fails the run before anything is allocated.
    pub parameters_max: u64,
}

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

/// How often a `when` has fired and since when its plateaus count.
#[derive(Clone, Copy, Default)]
pub(super) struct Fired {
    pub(super) times: u64,
    pub(super) last: Option<u64>,
    pub(super) since: u64,
}

/// Why the loop ends; the status is what the run is remembered by.
pub(super) enum Flow {
    Continue,
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
    pub(super) fired: Vec<Fired>,
    pub(super) windows: Windows,
    pub(super) stop_since: u64,
    pub(super) losses: Losses,
    pub(super) growths: Vec<Growth>,
    /// Growth events whose gradients the next step shows.
    pub(super) unmeasured: Vec<usize>,
    /// What they made.
    pub(super) fresh: growth::Fresh,
    /// Sum of the batch losses since the last evaluation, and of their weights.
    pub(super) since_evaluation: (f64, f64),
    pub(super) order: Vec<u32>,
    pub(super) labels: BatchLabels,
    pub(super) best: BTreeMap<String, MetricValue>,
    pub(super) names: Vec<String>,
    pub(super) confusion: Option<Vec<Vec<u64>>>,
    pub(super) evaluated_at: Option<u64>,
    pub(super) step: u64,
    pub(super) flops: u64,
    /// Of one example through the architecture of now; counting it makes names, which no step should.
    pub(super) forward_flops: u64,
    pub(super) began: f64,
}

impl<'r> Run<'r> {
    fn new(
        program: &'r Program,
        dataset: &'r Dataset,
        options: &'r Options,
        world: &'r dyn World,
        consumer: &'r mut Consumer<'r>,
    ) -> Result<Run<'r>, Failure> {
        let train = &program.train;
        let architecture = program.architecture.clone();
        crate::nn::network::runs(&architecture)?;
        let class_weights =
            dataset.class_weights.as_ref().map(|weights| weights.iter().map(|w| f64::from(*w)).collect());
        let loss = Loss::from_args(train.loss.word, &train.loss.args, class_weights)?;
        let optimizer = Optimizer::from_args(train.optimizer.word, &train.optimizer.args)?;
        let mut network = Network::new(&architecture, program.seed, options.compute.clone());
        network.replan(&architecture, batch_rows(program));
        optimizer.prepare(&mut network);
        let metrics = train.metrics.iter().filter_map(|word| crate::train::metrics::find(word)).collect();
        Ok(Run {
            rate: Rate::new(train.base_lr, train.lr, train.warmup_steps, train.steps),
            agenda: Agenda::new(&program.events),
            fired: vec![Fired::default(); program.events.len()],
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
            windows: Windows::default(),
            stop_since: 0,
            losses: Losses::default(),
            growths: Vec::new(),
            unmeasured: Vec::new(),
            fresh: growth::Fresh::default(),
            since_evaluation: (0.0, 0.0),
            order: Vec::new(),
            labels: BatchLabels::default(),
            best: BTreeMap::new(),
            names: Vec::new(),
            confusion: None,
            evaluated_at: None,
            step: 0,
            flops: 0,
            forward_flops: program.architecture.forward_flops(),
            began: world.seconds(),
        })
    }

    pub(super) fn complete(mut self) -> Result<Finish, Failure> {
        self.announce()?;
        let status = loop {
            if let Flow::End(status) = self.boundary()? {
                break status;
            }
            if self.step == self.program.train.steps {
                break Status::Finished;
            }
            if let Flow::End(status) = self.train_step()? {
                break status;
            }
        };
        let status = self.close(status)?;
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
            base: self.program.base.as_ref().map(|base| match base {
                crate::check::program::Base::Starter => "the built-in starter".into(),
                crate::check::program::Base::File(path) => path.display().to_string(),
            }),
        };
        (self.consumer)(&Event::Started(&started))?;
        Ok(())
    }

    pub(super) fn epoch(&self) -> f64 {
        self.step as f64 / self.program.data.steps_per_epoch as f64
    }

    pub(super) fn parameters(&self) -> u64 {
        self.architecture.parameter_count().0
    }

    pub(super) fn interrupted(&self) -> Option<Status> {
        match self.options.interrupt.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(Status::Interrupted { signal }),
        }
    }

    // --- one instant, in the order that docs/LANGUAGE.md gives

    pub(super) fn boundary(&mut self) -> Result<Flow, Failure> {
        let (step, program) = (self.step, self.program);
        for number in self.agenda.take_leaving(step) {
            self.leave(number);
        }
        let last = step == program.train.steps;
        let due = program.train.evaluate_every.is_some_and(|every| last || (step > 0 && step.is_multiple_of(every)));
        if due {
            self.evaluate_schedule()?;
            if let Some(conditions) = &program.train.stop_when
                && self.history.holds(conditions, step, self.stop_since)
            {
                let text = "the condition of `stop when` holds".to_string();
                let span = conditions.first().map_or_else(Default::default, |condition| match condition.clause {
                    crate::base::Clause::Compare { span, .. } | crate::base::Clause::Plateau { span, .. } => span,
                });
                self.note(text, span)?;
                return Ok(Flow::End(Status::Stopped));
            }
        }
        let due = self.agenda.take_due(step, &program.events, due, last);
        for (place, &number) in due.iter().enumerate() {
            if !self.is_due(number) {
                continue;
            }
            match self.fire(number)? {
                Flow::Continue => {}
                // The run is over anyway.
                Flow::End(Status::Stopped)
                    if matches!(program.events[number].trigger, Trigger::At { end: true, .. }) => {}
                Flow::End(status) => {
                    self.agenda.put_back_at_end(&due[place + 1..], &program.events);
                    return Ok(Flow::End(status));
                }
            }
        }
        if !last {
            for number in self.agenda.take_entering(step) {
                if let Flow::End(status) = self.fire(number)? {
                    return Ok(Flow::End(status));
                }
            }
        }
        if program.train.checkpoint_every.is_some_and(|every| step > 0 && step.is_multiple_of(every)) {
            self.checkpoint(&format!("step-{step:06}"))?;
        }
        Ok(self.interrupted().map_or(Flow::Continue, Flow::End))
    }

    /// `at` and `every` are due when the agenda says so; a `when` must hold, too.
    pub(super) fn is_due(&mut self, number: usize) -> bool {
        let step = self.step;
        let Trigger::When { conditions, at_most, cooldown, from, until } = &self.program.events[number].trigger else {
            return true;
        };
        let fired = &mut self.fired[number];
        let rested = fired.last.is_none_or(|last| step >= last.saturating_add(*cooldown));
        let holds = (*from..=*until).contains(&step)
            && fired.times < *at_most
            && rested
            && self.history.holds(conditions, step, fired.since);
        if holds {
            *fired = Fired { times: fired.times + 1, last: Some(step), since: step };
        }
        holds
    }

    pub(super) fn note(&mut self, text: String, span: crate::base::Span) -> Result<(), Failure> {
        let (step, epoch) = (self.step, self.epoch());
        (self.consumer)(&Event::Noted { step, epoch, text, span })?;
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, name: &str) -> Result<(), Failure> {
        let checkpoint = Checkpoint {
            step: self.step,
            epoch: self.epoch(),
            name,
            architecture: &self.architecture,
            parameters: self.network.parameters(),
        };
        (self.consumer)(&Event::Checkpoint(checkpoint))?;
        Ok(())
    }

    // --- the end

    /// What is due at the end whatever ended the run: the evaluation, `at end`, the work saved.
    pub(super) fn close(&mut self, status: Status) -> Result<Status, Failure> {
        match status {
            Status::Finished | Status::Stopped => {
                if self.program.train.evaluate_every.is_some() && self.evaluated_at != Some(self.step) {
                    self.evaluate_schedule()?;
                }
                for number in self.agenda.take_due(u64::MAX, &self.program.events, false, true) {
                    match self.fire(number)? {
                        // The run is over anyway.
                        Flow::Continue | Flow::End(Status::Stopped) => {}
                        Flow::End(worse) => return Ok(worse),
                    }
                }
            }
            Status::Interrupted { .. } => self.checkpoint("interrupted")?,
            Status::Failed(_) | Status::Diverged { .. } => {}
        }
        Ok(status)
    }

    pub(super) fn finish(mut self, status: Status) -> Result<Finish, Failure> {
        let settled = self.losses.finish();
        self.settle(settled)?;
        let finish = Finish {
            status,
            step: self.step,
            epoch: self.epoch(),
            parameters: self.parameters(),
            metrics: self.names.iter().map(|name| self.best[name].clone()).collect(),
            confusion: self.confusion,
            events: self.growths,
            weights: crate::nn::parameter::digest(self.network.parameters()),
            flops: self.flops,
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
