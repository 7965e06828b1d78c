//! Training steps and evaluations.

use super::event::*;
use super::execute::{Failure, Flow, Run, batch_rows};
use super::growth;
use super::progress::Phase;
use crate::base::rng::{Purpose, Stream};
use crate::data::{Labels, Part};
use crate::train::evaluate::evaluate_while;
use crate::train::{MetricValue as Measured, Targets};
use std::sync::atomic::Ordering;

/// [true class, predicted class]: how many examples.
type Confusion = Vec<Vec<u64>>;
/// Numbers by their full names, and the confusion matrix.
type Scores = (Vec<(String, f64)>, Option<Confusion>);

impl Run<'_> {
    pub(super) fn train_step(&mut self) -> Result<Flow, Failure> {
        let program = self.program;
        let position = self.progress.step % program.data.steps_per_epoch;
        if position == 0 || self.order.is_empty() {
            self.shuffle(self.progress.step / program.data.steps_per_epoch);
        }
        let rows = batch_rows(program);
        let start = position as usize * rows;
        let batch = &self.order[start..self.order.len().min(start + rows)];
        let (train, scaling) = (&self.dataset.train, &self.dataset.scaling);
        let path = self.network.compute().path();
        self.labels.gather(&self.dataset.train.labels, batch);
        let lr = self.rate.at(self.progress.step);
        self.trainer.keep_gradients = !self.progress.unmeasured.is_empty();
        let report = self.trainer.step_loaded(
            &mut self.network,
            &mut self.optimizer,
            &self.loss,
            |rows, out| train.gather_batch(path, batch[rows].iter().copied(), scaling, out),
            self.labels.targets(),
            lr,
            program.seed,
            self.progress.step,
        );
        if !report.is_finite() {
            return Ok(Flow::End(Status::Diverged { step: self.progress.step }));
        }
        self.progress.flops =
            self.progress.flops.saturating_add((3 * batch.len() as u64).saturating_mul(self.forward_flops));
        self.progress.step += 1;
        self.progress.cursor.phase = Phase::Leave;
        self.progress.since_evaluation.0 += report.loss * report.weight;
        self.progress.since_evaluation.1 += report.weight;
        if !self.progress.unmeasured.is_empty() {
            let (fresh, old) = std::mem::take(&mut self.progress.fresh).gradient_norms(self.network.parameters());
            for index in self.progress.unmeasured.drain(..) {
                self.growths[index].gradient_fresh = fresh;
                self.growths[index].gradient_old = old;
            }
        }
        let settled = self.progress.losses.add(report.loss);
        self.settle(settled)?;
        let next = self.agenda.next(self.progress.step - 1).and_then(|(at, number)| {
            let action = program.events[number].actions.first()?;
            Some((at, action.text.as_str()))
        });
        let stepped = Stepped { step: self.progress.step, epoch: self.epoch(), loss: report.loss, lr, next };
        (self.consumer)(&Event::Stepped(stepped))?;
        if program.train.log_every.is_some_and(|every| self.progress.step.is_multiple_of(every)) {
            (self.consumer)(&Event::Logged(stepped))?;
        }
        Ok(Flow::Continue)
    }

    pub(super) fn settle(&mut self, settled: Vec<(usize, Shock)>) -> Result<(), Failure> {
        for (index, shock) in settled {
            self.growths[index].shock = Some(shock);
            (self.consumer)(&Event::Settled { index, growth: &self.growths[index] })?;
        }
        Ok(())
    }

    pub(super) fn shuffle(&mut self, epoch: u64) {
        let n = self.dataset.train.len();
        self.order = if self.program.data.shuffle {
            Stream::new(self.program.seed, Purpose::Shuffle, "train", epoch).permutation(n)
        } else {
            (0..n as u32).collect()
        };
    }

    /// The evaluation that is due; `next` is what comes behind it. A signal leaves it undone, to be made again.
    pub(super) fn evaluate_schedule(&mut self, next: Phase) -> Result<Flow, Failure> {
        let mut metrics = Vec::new();
        let (sum, weight) = self.progress.since_evaluation;
        if weight > 0.0 {
            metrics.push(("train_loss".to_string(), sum / weight));
        }
        if self.measures_training_part {
            let Some((measured, _)) = self.measure(&self.dataset.train, "train") else { return Ok(Flow::Continue) };
            metrics.extend(measured.into_iter().filter(|(name, _)| name != "train_loss"));
        }
        let mut confusion = None;
        if !self.dataset.val.is_empty() {
            let Some((measured, counts)) = self.measure(&self.dataset.val, "val") else { return Ok(Flow::Continue) };
            metrics.extend(measured);
            confusion = counts;
        }
        self.progress.since_evaluation = (0.0, 0.0);
        self.progress.evaluated_at = Some(self.progress.step);
        self.progress.cursor.phase = next;
        let improved = self.remember(&metrics, confusion)?;
        if let Some((metric, _)) = &self.program.train.keep_best
            && improved.contains(metric)
        {
            return self.save(Reason::Best);
        }
        Ok(Flow::Continue)
    }

    /// `evaluate val|test`; `false` when a signal came before its end.
    pub(super) fn evaluate_part(&mut self, part: &str) -> Result<bool, Failure> {
        let examples = match part {
            "test" => self.dataset.test.as_ref(),
            _ => Some(&self.dataset.val),
        };
        if let Some(examples) = examples.filter(|examples| !examples.is_empty()) {
            // A signal leaves the action undone, to be made again.
            let Some((metrics, confusion)) = self.measure(examples, part) else { return Ok(false) };
            self.remember(&metrics, confusion)?;
        }
        Ok(true)
    }

    /// `None` when a signal came before its end.
    fn measure(&mut self, part: &Part, prefix: &str) -> Option<Scores> {
        let interrupt = &self.options.interrupt;
        let goes_on = || interrupt.load(Ordering::SeqCst) == 0;
        let measured =
            evaluate_while(goes_on, &mut self.network, part, &self.dataset.scaling, &self.loss, &self.metrics)?;
        let mut numbers = Vec::new();
        let mut confusion = None;
        for (word, value) in measured {
            match value {
                Measured::Number(value) => numbers.push((format!("{prefix}_{word}"), value)),
                Measured::Confusion(counts) => confusion = Some(counts),
            }
        }
        Some((numbers, confusion))
    }

    /// Enters metrics into the history and tells them; returns the names of those that are at their best.
    pub(super) fn remember(
        &mut self,
        metrics: &[(String, f64)],
        confusion: Option<Confusion>,
    ) -> Result<Vec<String>, Failure> {
        self.history.add(self.progress.step, metrics);
        let (step, epoch) = (self.progress.step, self.epoch());
        let mut improved = Vec::new();
        for (name, value) in metrics {
            let higher = growth::higher_is_better(name);
            match self.progress.metrics.iter_mut().find(|metric| &metric.name == name) {
                None => {
                    improved.push(name.clone());
                    let (name, value) = (name.clone(), *value);
                    let first = MetricValue { name, value, best: value, best_epoch: epoch, best_step: step };
                    self.progress.metrics.push(first);
                }
                Some(known) => {
                    known.value = *value;
                    let better = if higher { *value > known.best } else { *value < known.best };
                    if better || known.best.is_nan() {
                        improved.push(name.clone());
                        (known.best, known.best_epoch, known.best_step) = (*value, epoch, step);
                    }
                }
            }
        }
        if confusion.is_some() {
            self.progress.confusion = confusion;
        }
        let evaluated = Evaluated {
            step,
            epoch,
            lr: self.rate.at(self.progress.step.min(self.program.train.steps.saturating_sub(1))),
            metrics,
            confusion: self.progress.confusion.as_deref(),
            parameters: self.parameters(),
            flops: self.progress.flops,
            seconds: self.world.seconds() - self.began,
        };
        (self.consumer)(&Event::Evaluated(evaluated))?;
        Ok(improved)
    }
}

/// The labels of one batch, gathered into room that every step uses again.
#[derive(Default)]
pub(super) struct BatchLabels {
    classes: Vec<u32>,
    numbers: Vec<f32>,
    /// Numbers an example; `None` for classes.
    width: Option<usize>,
}

impl BatchLabels {
    fn gather(&mut self, labels: &Labels, indices: &[u32]) {
        self.classes.clear();
        self.numbers.clear();
        match labels {
            Labels::Classes(classes) => {
                self.width = None;
                self.classes.extend(indices.iter().map(|index| classes[*index as usize]));
            }
            Labels::Numbers { values, width } => {
                self.width = Some(*width);
                for index in indices {
                    self.numbers.extend_from_slice(&values[*index as usize * width..][..*width]);
                }
            }
        }
    }

    fn targets(&self) -> Targets<'_> {
        match self.width {
            None => Targets::Classes(&self.classes),
            Some(width) => Targets::Numbers { values: &self.numbers, width },
        }
    }
}
