//! What was measured on the way, from the lines of metrics.jsonl, by columns.
//!
//! The file is a stranger's and may be long: only numbers are kept, of so many lines and so many columns.

use crate::record::lines::{self, Line};
use serde_json::Value;

/// Longer files are not read.
pub const BYTES_MAX: u64 = 256 << 20;
const POINTS_MAX: usize = 1_000_000;
const COLUMNS_MAX: usize = 24;
/// Of a line, what is no metric.
const OTHERS: [&str; 8] = ["step", "epoch", "lr", "confusion", "parameters", "flops", "seconds", "batch_loss"];

/// The course of one run. What a line does not say is not a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Of each evaluation.
    pub steps: Vec<f64>,
    pub flops: Vec<f64>,
    pub lr: Vec<f64>,
    /// A metric and its values, in the order of the alphabet.
    pub metrics: Vec<(String, Vec<f64>)>,
    /// `log every`: step and loss of the batch.
    pub batches: Vec<(f64, f64)>,
    /// What could not be drawn of it, in words.
    pub trouble: Option<String>,
}

/// What a figure runs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    Steps,
    Flops,
}

impl Course {
    /// Reads the lines; a broken one is passed over and told.
    pub fn read(content: &[u8]) -> Course {
        let mut course = Course::default();
        let mut broken = 0_u64;
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            match lines::read(line).map(|mut lines| lines.pop()) {
                Ok(Some(line)) => course.add(&line),
                // The torn last line.
                Ok(None) => {}
                Err(_) => broken += 1,
            }
            if course.steps.len() + course.batches.len() >= POINTS_MAX {
                course.trouble = Some(format!("only the first {POINTS_MAX} lines are drawn"));
                break;
            }
        }
        if broken > 0 {
            course.trouble = Some(format!("{broken} of its lines cannot be read"));
        }
        course.metrics.sort_by(|a, b| a.0.cmp(&b.0));
        course
    }

    fn add(&mut self, line: &Line) {
        let number = |key: &str| line.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let step = lines::step(line) as f64;
        if line.contains_key("batch_loss") {
            // What a rollback took back was still trained; the course is what counted in the end.
            while self.batches.last().is_some_and(|last| last.0 >= step) {
                self.batches.pop();
            }
            self.batches.push((step, number("batch_loss")));
            return;
        }
        while self.steps.last().is_some_and(|last| *last > step) {
            self.pop();
        }
        if self.steps.last() != Some(&step) {
            self.steps.push(step);
            self.flops.push(number("flops"));
            self.lr.push(number("lr"));
            self.metrics.iter_mut().for_each(|(_, values)| values.push(f64::NAN));
        }
        let at = self.steps.len() - 1;
        for (key, value) in line.iter().filter(|(key, _)| !OTHERS.contains(&key.as_str())) {
            let Some(value) = value.as_f64() else { continue };
            let column = match self.metrics.iter().position(|(name, _)| name == key) {
                Some(column) => column,
                None if self.metrics.len() < COLUMNS_MAX => {
                    self.metrics.push((key.clone(), vec![f64::NAN; at + 1]));
                    self.metrics.len() - 1
                }
                None => continue,
            };
            self.metrics[column].1[at] = value;
        }
    }

    fn pop(&mut self) {
        self.steps.pop();
        self.flops.pop();
        self.lr.pop();
        self.metrics.iter_mut().for_each(|(_, values)| values.truncate(self.steps.len()));
    }

    pub fn along(&self, along: Along) -> &[f64] {
        match along {
            Along::Steps => &self.steps,
            Along::Flops => &self.flops,
        }
    }

    /// The finite values of a metric, in order.
    pub fn points(&self, metric: &str, along: Along) -> Vec<(f64, f64)> {
        let values = self.metrics.iter().find(|(name, _)| name == metric).map_or(&[][..], |(_, values)| values);
        in_order(self.along(along).iter().copied().zip(values.iter().copied()))
    }

    pub fn learning_rate(&self) -> Vec<(f64, f64)> {
        in_order(self.steps.iter().copied().zip(self.lr.iter().copied()))
    }

    /// Operations up to a step, between two evaluations in proportion to the steps.
    pub fn flops_at(&self, step: f64) -> Option<f64> {
        let behind = self.steps.partition_point(|known| *known < step);
        let (after, flops_after) = (*self.steps.get(behind)?, *self.flops.get(behind)?);
        let (before, flops_before) = match behind {
            0 => (0.0, 0.0),
            at => (self.steps[at - 1], self.flops[at - 1]),
        };
        let share = if after > before { (step - before) / (after - before) } else { 1.0 };
        let flops = flops_before + share * (flops_after - flops_before);
        flops.is_finite().then_some(flops)
    }
}

fn in_order(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The value at `x`, in proportion between two points; at the ends that of the end.
pub fn between(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let behind = points.partition_point(|point| point.0 < x);
    match (behind.checked_sub(1).and_then(|at| points.get(at)), points.get(behind)) {
        (Some(a), Some(b)) if b.0 > a.0 => Some(a.1 + (b.1 - a.1) * ((x - a.0) / (b.0 - a.0))),
        (_, Some(point)) | (Some(point), None) => Some(point.1),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_not_drawn_and_one_step_is_one_point() {
        let text = "{\"step\":10,\"flops\":100,\"lr\":0.1,\"val_loss\":2.0}\n\
                    {\"step\":20,\"flops\":200,\"val_loss\":null,\"b\":{}}\n\
                    {\"step\":15,\"batch_loss\":7.5}\n\
                    {\"step\":30,\"flops\":300,\"val_loss\":9.0}\n\
                    {\"step\":20,\"flops\":400,\"val_loss\":1.0}\n\
                    {\"step\":20,\"test_accuracy\":0.5,\"flops\":400}\n\
                    nonsense\n\
                    {\"step\":40,\"val_l";
        let course = Course::read(text.as_bytes());
        assert_eq!(course.steps, [10.0, 20.0]);
        assert_eq!(course.points("val_loss", Along::Steps), [(10.0, 2.0), (20.0, 1.0)]);
        assert_eq!(course.points("test_accuracy", Along::Steps), [(20.0, 0.5)]);
        assert_eq!(course.batches, [(15.0, 7.5)]);
        assert_eq!(course.trouble.as_deref(), Some("1 of its lines cannot be read"));
        assert_eq!(
            (course.flops_at(5.0), course.flops_at(15.0), course.flops_at(21.0)),
            (Some(50.0), Some(150.0), None)
        );
    }

    #[test]
    fn between_two_points_lies_their_share() {
        let points = [(0.0, 0.0), (10.0, 1.0), (10.0, 3.0)];
        assert_eq!([-1.0, 0.0, 5.0, 10.0, 99.0].map(|x| between(&points, x)), [0.0, 0.0, 0.5, 1.0, 3.0].map(Some));
        assert_eq!(between(&[], 1.0), None);
    }
}
