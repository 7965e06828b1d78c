//! Metrics: what an evaluation counts, and what each metric makes of the counts.
//!
//! Counts are integers or f64 sums in the order of the examples, so no metric depends on the size of the
//! batches in which it was computed.

use super::loss::Total;
use crate::base::Doc;
use crate::nn::Task;

/// What a metric is of a part of the data.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    Number(f64),
    /// [actual class, predicted class]: how many examples.
    Confusion(Vec<Vec<u64>>),
}

impl MetricValue {
    pub fn number(&self) -> Option<f64> {
        match self {
            MetricValue::Number(x) => Some(*x),
            MetricValue::Confusion(_) => None,
        }
    }
}

/// A metric that a schedule may name.
pub struct MetricKind {
    pub doc: &'static Doc,
    /// `None`: for every task.
    pub task: Option<Task>,
    pub higher_is_better: bool,
    /// Whether it is one number.
    pub scalar: bool,
    value: fn(&Tally) -> MetricValue,
}

impl MetricKind {
    pub fn value(&self, tally: &Tally) -> MetricValue {
        (self.value)(tally)
    }
}

impl std::fmt::Debug for MetricKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.doc.word)
    }
}

pub const METRICS: &[&MetricKind] = &[&LOSS, &ACCURACY, &F1, &MAE, &RMSE, &R2, &CONFUSION];

pub fn find(word: &str) -> Option<&'static MetricKind> {
    METRICS.iter().copied().find(|metric| metric.doc.word == word)
}

macro_rules! doc {
    ($word:literal, $help:literal) => {
        &Doc { word: $word, help: $help, args: &[], one_of: &[], example: concat!("metrics ", $word), source: "" }
    };
}

static LOSS: MetricKind = MetricKind {
    doc: doc!("loss", "the training loss, without dropout; always computed"),
    task: None,
    higher_is_better: false,
    scalar: true,
    value: |tally| MetricValue::Number(tally.loss.sum / tally.loss.weight),
};

static ACCURACY: MetricKind = MetricKind {
    doc: doc!("accuracy", "share of the examples whose class is predicted, the first of equal outputs counting"),
    task: Some(Task::Classification),
    higher_is_better: true,
    scalar: true,
    value: |tally| {
        let hits: u64 = (0..tally.width).map(|class| tally.confusion[class * tally.width + class]).sum();
        MetricValue::Number(hits as f64 / tally.examples as f64)
    },
};

static F1: MetricKind = MetricKind {
    doc: doc!(
        "f1",
        "mean over the classes of the F1 score (macro); classes that neither occur nor are predicted are left out"
    ),
    task: Some(Task::Classification),
    higher_is_better: true,
    scalar: true,
    value: |tally| {
        let at = |actual: usize, predicted: usize| tally.confusion[actual * tally.width + predicted];
        let (mut sum, mut classes) = (0.0, 0u64);
        for class in 0..tally.width {
            let actual: u64 = (0..tally.width).map(|other| at(class, other)).sum();
            let predicted: u64 = (0..tally.width).map(|other| at(other, class)).sum();
            if actual + predicted > 0 {
                sum += 2.0 * at(class, class) as f64 / (actual + predicted) as f64;
                classes += 1;
            }
        }
        MetricValue::Number(sum / classes as f64)
    },
};

static MAE: MetricKind = MetricKind {
    doc: doc!("mae", "mean absolute error over all numbers"),
    task: Some(Task::Regression),
    higher_is_better: false,
    scalar: true,
    value: |tally| MetricValue::Number(tally.absolute / (tally.examples * tally.width as u64) as f64),
};

static RMSE: MetricKind = MetricKind {
    doc: doc!("rmse", "root of the mean squared error over all numbers"),
    task: Some(Task::Regression),
    higher_is_better: false,
    scalar: true,
    value: |tally| {
        let squared = tally.squared.iter().fold(0.0, |sum, x| sum + x);
        MetricValue::Number((squared / (tally.examples * tally.width as u64) as f64).sqrt())
    },
};

static R2: MetricKind = MetricKind {
    doc: doc!("r2", "1 − squared error / squared distance from the mean, averaged over the outputs"),
    task: Some(Task::Regression),
    higher_is_better: true,
    scalar: true,
    value: |tally| {
        let one = |(error, spread): (&f64, f64)| match spread > 0.0 {
            true => 1.0 - error / spread,
            // As scikit-learn: a constant target is either hit or missed.
            false => f64::from(u8::from(*error == 0.0)),
        };
        let sum = tally.squared.iter().zip(tally.spread()).map(one).fold(0.0, |sum, x| sum + x);
        MetricValue::Number(sum / tally.width as f64)
    },
};

static CONFUSION: MetricKind = MetricKind {
    doc: doc!("confusion", "how many examples of each class are predicted to be of each class"),
    task: Some(Task::Classification),
    higher_is_better: true,
    scalar: false,
    value: |tally| MetricValue::Confusion(tally.confusion.chunks(tally.width).map(<[u64]>::to_vec).collect()),
};

/// What an evaluation counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub(super) loss: Total,
    examples: u64,
    /// Outputs of the network.
    width: usize,
    /// [actual, predicted], row-major; empty for regression.
    confusion: Vec<u64>,
    absolute: f64,
    /// Per output.
    squared: Vec<f64>,
    /// Welford's mean and sum of squared distances of the targets, per output.
    mean: Vec<f64>,
    distance: Vec<f64>,
}

impl Tally {
    pub(super) fn new(task: Task, width: usize) -> Tally {
        match task {
            Task::Classification => Tally { width, confusion: vec![0; width * width], ..Tally::default() },
            Task::Regression => Tally {
                width,
                squared: vec![0.0; width],
                mean: vec![0.0; width],
                distance: vec![0.0; width],
                ..Tally::default()
            },
        }
    }

    pub(super) fn add_class(&mut self, output: &[f32], class: u32) {
        self.examples += 1;
        self.confusion[class as usize * self.width + argmax(output)] += 1;
    }

    pub(super) fn add_numbers(&mut self, output: &[f32], wanted: &[f32]) {
        self.examples += 1;
        for (at, (&y, &wanted)) in output.iter().zip(wanted).enumerate() {
            let (y, wanted) = (f64::from(y), f64::from(wanted));
            let error = y - wanted;
            self.absolute += error.abs();
            self.squared[at] += error * error;
            let from_old = wanted - self.mean[at];
            self.mean[at] += from_old / self.examples as f64;
            self.distance[at] += from_old * (wanted - self.mean[at]);
        }
    }

    /// Squared distance of the targets from their mean, per output.
    fn spread(&self) -> impl Iterator<Item = f64> + '_ {
        self.distance.iter().copied()
    }
}

/// The first of the largest.
pub fn argmax(output: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in output.iter().enumerate() {
        if *value > output[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(metric: &MetricKind, tally: &Tally) -> f64 {
        metric.value(tally).number().expect("a scalar metric")
    }

    #[test]
    fn classification_by_hand() {
        // Actual 0 0 1 1 1; predicted 0 1 1 1 0; a third class that never occurs.
        let mut tally = Tally::new(Task::Classification, 3);
        for (actual, predicted) in [(0, 0), (0, 1), (1, 1), (1, 1), (1, 0)] {
            let mut output = [0.0f32; 3];
            output[predicted] = 1.0;
            tally.add_class(&output, actual);
        }
        assert_eq!(number(&ACCURACY, &tally), 0.6);
        // F1 of class 0: 2·1/(2+2); of class 1: 2·2/(3+3).
        assert_eq!(number(&F1, &tally), (0.5 + 2.0 / 3.0) / 2.0);
        let expected = vec![vec![1, 1, 0], vec![1, 2, 0], vec![0, 0, 0]];
        assert_eq!(CONFUSION.value(&tally), MetricValue::Confusion(expected));
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1, "the first of equals");
    }

    #[test]
    fn regression_by_hand() {
        let mut tally = Tally::new(Task::Regression, 1);
        for (y, wanted) in [(1.0, 2.0), (3.0, 3.0), (6.0, 4.0)] {
            tally.add_numbers(&[y], &[wanted]);
        }
        assert_eq!(number(&MAE, &tally), 1.0);
        assert_eq!(number(&RMSE, &tally), (5.0f64 / 3.0).sqrt());
        assert_eq!(number(&R2, &tally), 1.0 - 5.0 / 2.0);
        let mut constant = Tally::new(Task::Regression, 1);
        constant.add_numbers(&[1.0], &[1.0]);
        assert_eq!(number(&R2, &constant), 1.0);
        constant.add_numbers(&[2.0], &[1.0]);
        assert_eq!(number(&R2, &constant), 0.0);
    }
}
