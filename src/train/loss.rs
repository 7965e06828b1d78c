//! Losses: their value in f64, example by example in index order, and their gradient at the network's output.

use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape};
use crate::data::Labels;
use crate::nn::Task;
use crate::tensor::{Compute, Real, kernels};
use ndarray::ArrayView2;

/// The words after `loss`.
pub const LOSSES: &[&Doc] = &[&CROSS_ENTROPY, &MSE];

static CROSS_ENTROPY: Doc = Doc {
    word: "cross_entropy",
    help: "softmax and the negative log-likelihood of the right class, as nn.CrossEntropyLoss",
    args: &[Arg {
        name: "label_smoothing",
        shape: Shape::Keyword(&[Kind::Fraction]),
        required: false,
        default: "0",
        help: "share of the target that is spread over all classes",
    }],
    one_of: &[],
    example: "loss cross_entropy label_smoothing 0.1",
    source: "Szegedy et al. 2016 (label smoothing)",
};

static MSE: Doc = Doc {
    word: "mse",
    help: "mean squared error over all numbers, as nn.MSELoss",
    args: &[],
    one_of: &[],
    example: "loss mse",
    source: "",
};

/// What examples should give.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// The number of each example's class.
    Classes(&'a [u32]),
    /// [examples, width], row-major.
    Numbers { values: &'a [f32], width: usize },
}

impl<'a> Targets<'a> {
    /// All labels of a part.
    pub fn of(labels: &'a Labels) -> Targets<'a> {
        match labels {
            Labels::Classes(classes) => Targets::Classes(classes),
            Labels::Numbers { values, width } => Targets::Numbers { values, width: *width },
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Numbers { values, width } => values.len() / (*width).max(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of the examples in `range`.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Targets<'a> {
        match *self {
            Targets::Classes(classes) => Targets::Classes(&classes[range]),
            Targets::Numbers { values, width } => {
                Targets::Numbers { values: &values[range.start * width..range.end * width], width }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    CrossEntropy {
        label_smoothing: f64,
        /// One per class: the mean over a batch is then weighted, as PyTorch's.
        class_weights: Option<Vec<f64>>,
    },
    Mse,
}

impl Loss {
    /// The default of a task.
    pub fn of(task: Task) -> Loss {
        match task {
            Task::Classification => Loss::CrossEntropy { label_smoothing: 0.0, class_weights: None },
            Task::Regression => Loss::Mse,
        }
    }

    /// From the words of a schedule. Class weights come with the data.
    /// Panics if there is no such loss (`check` has looked it up in the registry).
    pub fn from_args(word: &str, args: &Args, class_weights: Option<Vec<f64>>) -> Result<Loss, Refusal> {
        if word == MSE.word {
            return Ok(Loss::Mse);
        }
        assert_eq!(word, CROSS_ENTROPY.word, "`{word}` is in the registry of losses");
        let label_smoothing = args.number("label_smoothing").unwrap_or(0.0);
        if !(0.0..1.0).contains(&label_smoothing) {
            return Err(Refusal::error(
                "G0105",
                format!("a label smoothing of {label_smoothing} leaves nothing of the label"),
                "use a share from 0 up to, not including, 1, such as 0.1",
            )
            .at("label_smoothing"));
        }
        Ok(Loss::CrossEntropy { label_smoothing, class_weights })
    }

    pub fn word(&self) -> &'static str {
        match self {
            Loss::CrossEntropy { .. } => CROSS_ENTROPY.word,
            Loss::Mse => MSE.word,
        }
    }

    pub fn task(&self) -> Task {
        match self {
            Loss::CrossEntropy { .. } => Task::Classification,
            Loss::Mse => Task::Regression,
        }
    }

    /// (Σ, weight) over a batch: the loss is Σ / weight. Parts of one data set may be added up.
    /// output: [batch, classes or numbers].
    pub fn value<T: Real>(&self, compute: &Compute, output: ArrayView2<'_, T>, targets: Targets<'_>) -> (f64, f64) {
        let mut total = Total::default();
        self.add_value(compute, output, targets, &mut Vec::new(), &mut total);
        (total.sum, total.weight)
    }

    /// Adds a batch to a running total, so that the order of additions does not depend on how a data set is cut
    /// into batches. `row` is scratch.
    pub(super) fn add_value<T: Real>(
        &self,
        compute: &Compute,
        output: ArrayView2<'_, T>,
        targets: Targets<'_>,
        row: &mut Vec<T>,
        total: &mut Total,
    ) {
        let (values, width) = self.checked(&output, targets);
        row.resize(width, T::ZERO);
        for (example, z) in values.chunks_exact(width).enumerate() {
            match targets {
                Targets::Classes(classes) => {
                    let softmax = kernels::softmax(compute.path(), z, row);
                    let (loss, weight) = self.cross_entropy(z, softmax, classes[example] as usize);
                    total.sum += loss;
                    total.weight += weight;
                }
                Targets::Numbers { values, .. } => {
                    total.sum += squared_error(z, &values[example * width..][..width]);
                    total.weight += width as f64;
                }
            }
        }
    }

    /// The value as [`Loss::value`], and ∂(Σ / weight)/∂output into `d`: [batch, width], row-major.
    pub fn gradient<T: Real>(
        &self,
        compute: &Compute,
        output: ArrayView2<'_, T>,
        targets: Targets<'_>,
        d: &mut [T],
    ) -> (f64, f64) {
        let (values, width) = self.checked(&output, targets);
        assert_eq!(d.len(), values.len(), "one gradient per output");
        let rows = values.chunks_exact(width).zip(d.chunks_exact_mut(width));
        let mut sum = 0.0;
        let weight;
        match (self, targets) {
            (Loss::CrossEntropy { label_smoothing, class_weights }, Targets::Classes(classes)) => {
                let weight_of = |class: usize| class_weights.as_ref().map_or(1.0, |weights| weights[class]);
                weight = classes.iter().fold(0.0, |sum, &class| sum + weight_of(class as usize));
                // Target of class c: (1 − s)·w_y for the right one, plus s/C·w_c for each.
                let spread = label_smoothing / width as f64;
                let all = (0..width).fold(0.0, |sum, class| sum + weight_of(class)) * spread;
                for ((z, d), &class) in rows.zip(classes) {
                    let class = class as usize;
                    let softmax = kernels::softmax(compute.path(), z, d);
                    sum += self.cross_entropy(z, softmax, class).0;
                    let hit = (1.0 - label_smoothing) * weight_of(class);
                    let factor = T::from_f64((hit + all) / weight) / softmax.1;
                    for (c, d) in d.iter_mut().enumerate() {
                        let target = spread * weight_of(c) + if c == class { hit } else { 0.0 };
                        *d = d.mul_add(factor, -T::from_f64(target / weight));
                    }
                }
            }
            (Loss::Mse, Targets::Numbers { values: wanted, .. }) => {
                weight = values.len() as f64;
                let factor = T::from_f64(2.0 / weight);
                for ((y, d), wanted) in rows.zip(wanted.chunks_exact(width)) {
                    sum += squared_error(y, wanted);
                    for ((d, &y), &wanted) in d.iter_mut().zip(y).zip(wanted) {
                        *d = (y - T::from_f64(f64::from(wanted))) * factor;
                    }
                }
            }
            _ => unreachable!("`checked` has compared the loss with its targets"),
        }
        (sum, weight)
    }

    /// The output as a slice and its width, after comparing shapes.
    fn checked<'a, T>(&self, output: &'a ArrayView2<'_, T>, targets: Targets<'_>) -> (&'a [T], usize) {
        let (batch, width) = output.dim();
        assert_eq!(batch, targets.len(), "one target per example");
        match targets {
            Targets::Classes(classes) => {
                assert_eq!(self.task(), Task::Classification, "{} needs numbers as targets", self.word());
                let largest = classes.iter().max().copied().unwrap_or(0) as usize;
                assert!(largest < width, "class {largest} of {width} outputs: `data` has checked the labels");
            }
            Targets::Numbers { width: wanted, .. } => {
                assert_eq!(self.task(), Task::Regression, "{} needs classes as targets", self.word());
                assert_eq!(wanted, width, "one output per number to predict");
            }
        }
        assert!(width > 0, "a network has at least one output");
        (output.to_slice().expect("a network's output is row-major"), width)
    }

    /// (loss, weight) of one example with logits z, given (max z, Σ exp(z − max)):
    /// −log p_c = ln Σ − (z_c − max), in f64.
    fn cross_entropy<T: Real>(&self, z: &[T], (max, sum): (T, T), class: usize) -> (f64, f64) {
        let Loss::CrossEntropy { label_smoothing, class_weights } = self else {
            unreachable!("`checked` has compared the loss with its targets");
        };
        let weight_of = |class: usize| class_weights.as_ref().map_or(1.0, |weights| weights[class]);
        let (max, ln_sum) = (max.to_f64(), libm::log(sum.to_f64()));
        let surprise = |c: usize| ln_sum - (z[c].to_f64() - max);
        let mut loss = (1.0 - label_smoothing) * weight_of(class) * surprise(class);
        if *label_smoothing > 0.0 {
            let all = (0..z.len()).fold(0.0, |sum, c| sum + weight_of(c) * surprise(c));
            loss += label_smoothing / z.len() as f64 * all;
        }
        (loss, weight_of(class))
    }
}

/// Running sum of a loss and of what it is divided by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    pub sum: f64,
    pub weight: f64,
}

/// Σ (y − wanted)², the difference in the network's precision, the rest in f64.
fn squared_error<T: Real>(y: &[T], wanted: &[f32]) -> f64 {
    y.iter().zip(wanted).fold(0.0, |sum, (&y, &wanted)| {
        let difference = (y - T::from_f64(f64::from(wanted))).to_f64();
        sum + difference * difference
    })
}
