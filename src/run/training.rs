//! Training steps and evaluations.

use super::event::*;
use super::execute::{Failure, Flow, Run, batch_rows};
use super::growth;
use crate::base::rng::{Purpose, Stream};
use crate::data::{Labels, Part};
use crate::train::{MetricValue as Measured, Targets, evaluate};

/// [true class, predicted class]: how many examples.
type Confusion = Vec<Vec<u64>>;

impl Run<'_> {
    pub(super) fn train_step(&mut self) -> Result<Flow, Failure> {
        let program = self.program;
        let position = self.step % program.data.steps_per_epoch;
        if position == 0 || self.order.is_empty() {
            self.shuffle(self.step / program.data.steps_per_epoch);
        }
        let rows = batch_rows(program);
        let start = position as usize * rows;
        let batch = &self.order[start..self.order.len().min(start + rows)];
        let (train, scaling) = (&self.dataset.train, &self.dataset.scaling);
        let path = self.network.compute().path();
        self.labels.gather(&self.dataset.train.labels, batch);
        let lr = self.rate.at(self.step);
        self.trainer.keep_gradients = !self.unmeasured.is_empty();
        let report = self.trainer.step_loaded(
            &mut self.network,
            &mut self.optimizer,
            &self.loss,
            |rows, out| train.gather_batch(path, batch[rows].iter().copied(), scaling, out),
            self.labels.targets(),
            lr,
            program.seed,
            self.step,
        );
        if !report.is_finite() {
            return Ok(Flow::End(Status::Diverged { step: self.step }));
        }
        self.flops = self.flops.saturating_add((3 * batch.len() as u64).saturating_mul(self.forward_flops));
        self.step += 1;
        self.since_evaluation.0 += report.loss * report.weight;
        self.since_evaluation.1 += report.weight;
        if !self.unmeasured.is_empty() {
            let (fresh, old) = std::mem::take(&mut self.fresh).gradient_norms(self.network.parameters());
            for index in self.unmeasured.drain(..) {
                self.growths[index].gradient_fresh = fresh;
                self.growths[index].gradient_old = old;
            }
        }
        let settled = self.losses.add(report.loss);
        self.settle(settled)?;
        let next = self.agenda.next(self.step - 1).and_then(|(at, number)| {
            let action = program.events[number].actions.first()?;
            Some((at, action.text.as_str()))
        });
        let stepped = Stepped { step: self.step, epoch: self.epoch(), loss: report.loss, lr, next };
        (self.consumer)(&Event::Stepped(stepped))?;
        if program.train.log_every.is_some_and(|every| self.step.is_multiple_of(every)) {
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

    pub(super) fn evaluate_schedule(&mut self) -> Result<(), Failure> {
        let mut metrics = Vec::new();
        if self.since_evaluation.1 > 0.0 {
            metrics.push(("train_loss".to_string(), self.since_evaluation.0 / self.since_evaluation.1));
            self.since_evaluation = (0.0, 0.0);
        }
        if self.measures_training_part {
            let (measured, _) = self.measure(&self.dataset.train, "train");
            metrics.extend(measured.into_iter().filter(|(name, _)| name != "train_loss"));
        }
        let mut confusion = None;
        if !self.dataset.val.is_empty() {
            let (measured, counts) = self.measure(&self.dataset.val, "val");
            metrics.extend(measured);
            confusion = counts;
        }
        self.evaluated_at = Some(self.step);
        let improved = self.remember(&metrics, confusion)?;
        if let Some((metric, _)) = &self.program.train.keep_best
            && improved.contains(metric)
        {
            self.checkpoint("best")?;
        }
        Ok(())
    }

    pub(super) fn evaluate_part(&mut self, part: &str) -> Result<(), Failure> {
        let examples = match part {
            "test" => self.dataset.test.as_ref(),
            _ => Some(&self.dataset.val),
        };
        if let Some(examples) = examples.filter(|examples| !examples.is_empty()) {
            let (metrics, confusion) = self.measure(examples, part);
            self.remember(&metrics, confusion)?;
        }
        Ok(())
    }

    pub(super) fn measure(&mut self, part: &Part, prefix: &str) -> (Vec<(String, f64)>, Option<Confusion>) {
        let measured = evaluate(&mut self.network, part, &self.dataset.scaling, &self.loss, &self.metrics);
        let mut numbers = Vec::new();
        let mut confusion = None;
        for (word, value) in measured {
            match value {
                Measured::Number(value) => numbers.push((format!("{prefix}_{word}"), value)),
                Measured::Confusion(counts) => confusion = Some(counts),
            }
        }
        (numbers, confusion)
    }

    /// Enters metrics into the history and tells them; returns the names of those that are at their best.
    pub(super) fn remember(
        &mut self,
        metrics: &[(String, f64)],
        confusion: Option<Confusion>,
    ) -> Result<Vec<String>, Failure> {
        self.history.add(self.step, metrics);
        let (step, epoch) = (self.step, self.epoch());
        let mut improved = Vec::new();
        for (name, value) in metrics {
            let higher = growth::higher_is_better(name);
            match self.best.get_mut(name) {
                None => {
                    self.names.push(name.clone());
                    improved.push(name.clone());
                    let first = MetricValue {
                        name: name.clone(),
                        value: *value,
                        best: *value,
                        best_epoch: epoch,
                        best_step: step,
                    };
                    self.best.insert(name.clone(), first);
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
            self.confusion = confusion;
        }
        let evaluated = Evaluated {
            step,
            epoch,
            lr: self.rate.at(self.step.min(self.program.train.steps.saturating_sub(1))),
            metrics,
            confusion: self.confusion.as_deref(),
            parameters: self.parameters(),
            flops: self.flops,
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
