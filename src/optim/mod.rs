//! Optimisers. Their state lives in the parameters ([`crate::nn::Parameter::slots`]), never here, so that growth
//! carries it with one rewrite.
//!
//! Without clipping a step happens inside the backward pass, which hands over each gradient as soon as it is made
//! ([`Optimizer::backward_and_update`]). Clipping needs the global norm of all gradients first: then they are
//! kept, and [`Optimizer::update`] follows. Both give the same bits. Gradients of frozen parameters count for
//! nothing, and their age stands still.

mod adam;
mod sgd;

pub use adam::EPSILON;

use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape};
use crate::nn::{Network, Parameter, Piece, SlotKind, Update};
use crate::tensor::kernels::{self, Path, flat, flat_mut};
use crate::tensor::{LANES, Real};
use ndarray::ArrayView2;

/// An optimiser that a schedule may name. One file and one line in [`OPTIMIZERS`] each.
pub trait OptimizerKind: Sync {
    fn doc(&self) -> &'static Doc;
    /// Its constants, or which argument cannot be.
    fn read(&self, args: &Args) -> Result<Rule, Refusal>;
}

pub const OPTIMIZERS: &[&dyn OptimizerKind] = &[&sgd::Sgd, &adam::Adam, &adam::AdamW];

pub fn find(word: &str) -> Option<&'static dyn OptimizerKind> {
    OPTIMIZERS.iter().copied().find(|kind| kind.doc().word == word)
}

/// What an optimiser does to a parameter in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Sgd {
        momentum: f64,
        nesterov: bool,
        /// Added to the gradient, as in PyTorch's SGD.
        weight_decay: f64,
    },
    Adam {
        betas: (f64, f64),
        epsilon: f64,
        /// Taken off the value itself, as in AdamW. 0 for plain Adam.
        weight_decay: f64,
    },
}

impl Rule {
    /// The arrays that it keeps beside a value.
    pub fn slots(&self) -> &'static [SlotKind] {
        match self {
            Rule::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Rule::Sgd { .. } => &[SlotKind::FirstMoment],
            Rule::Adam { .. } => &[SlotKind::FirstMoment, SlotKind::SecondMoment],
        }
    }
}

/// The learning rate where the schedule names none.
pub const DEFAULT_LR: f64 = 1e-3;

/// An optimiser with its constants.
#[derive(Clone, Debug)]
pub struct Optimizer {
    pub rule: Rule,
    /// The base learning rate of the schedule; each step is told its own.
    pub lr: f64,
    /// Largest global norm of the gradients.
    pub clip: Option<f64>,
    /// By age; SGD has no use for them.
    corrections: adam::Corrections,
    /// Scratch: sums of squares per output unit.
    squares: Vec<[f64; LANES]>,
    /// Scratch: corrections of every parameter in this step.
    ages: Vec<adam::Ages>,
}

impl Optimizer {
    /// From the words of a schedule: `optimizer adam lr 1e-3 clip 1`.
    /// Panics if there is no such optimiser (`check` has looked it up in the registry).
    pub fn from_args(word: &str, args: &Args) -> Result<Optimizer, Refusal> {
        let kind = find(word).unwrap_or_else(|| panic!("`{word}` is in the registry of optimisers"));
        let rule = kind.read(args)?;
        let lr = at_least_zero(args, "lr")?.unwrap_or(DEFAULT_LR);
        let clip = at_least_zero(args, "clip")?;
        if clip == Some(0.0) {
            return Err(out_of_range("clip", 0.0, "a norm above 0, such as `clip 1`"));
        }
        Ok(Optimizer::new(rule, lr, clip))
    }

    pub fn new(rule: Rule, lr: f64, clip: Option<f64>) -> Optimizer {
        let corrections = match rule {
            Rule::Adam { betas, .. } => adam::Corrections::new(betas),
            Rule::Sgd { .. } => adam::Corrections::new((0.0, 0.0)),
        };
        Optimizer { rule, lr, clip, corrections, squares: Vec::new(), ages: Vec::new() }
    }

    /// Gives every learned parameter the slots that it lacks, zero and in the rule's order. A step does this
    /// too; calling it first keeps the first step free of allocation.
    pub fn prepare<T: Real>(&self, network: &mut Network<T>) {
        network.keep_slots(self.rule.slots());
    }

    /// √Σ g² over all learned parameters that are not frozen, after [`Network::backward`]: f64, per output unit in
    /// index order, units in order, parameters in declaration order. As PyTorch's `clip_grad_norm_` sees it.
    pub fn gradient_norm<T: Real>(&mut self, network: &mut Network<T>) -> f64 {
        let mut total = 0.0;
        network.squares(&mut self.squares, |is_vector, columns, squares| {
            let units = squares.iter().flatten().take(columns);
            if is_vector {
                total += units.sum::<f64>();
            } else {
                units.for_each(|unit| total += unit);
            }
        });
        f64::sqrt(total)
    }

    /// The backward pass from ∂L/∂output: [batch, out] and one step with the learning rate `lr`, without clipping.
    /// Tells whether every new value is finite: if not, the parameters are lost, and the run is over.
    pub fn backward_and_update<T: Real>(
        &mut self,
        network: &mut Network<T>,
        d_output: ArrayView2<'_, T>,
        lr: f64,
    ) -> bool {
        self.prepare(network);
        network.count_update();
        let step = self.step(network.compute().path(), network.marks(), lr, 1.0);
        network.backward_and_update(d_output, &step)
    }

    /// One step with the learning rate `lr` on the gradients of [`Network::backward`], clipped. Returns their norm
    /// before clipping (when it is not finite, nothing is changed), and whether every new value is finite.
    pub fn update<T: Real>(&mut self, network: &mut Network<T>, lr: f64) -> (f64, bool) {
        self.prepare(network);
        let norm = self.gradient_norm(network);
        if !norm.is_finite() {
            return (norm, false);
        }
        let scale = match self.clip {
            // PyTorch's coefficient.
            Some(largest) => (largest / (norm + 1e-6)).min(1.0),
            None => 1.0,
        };
        network.count_update();
        let step = self.step(network.compute().path(), network.marks(), lr, scale);
        let finite = network.update(&step);
        (norm, finite)
    }

    /// What this step does to every entry. `parameters` count it already.
    fn step<T: Real>(&mut self, path: Path, parameters: &[Parameter<T>], lr: f64, scale: f64) -> Step<'_, T> {
        let constants = match self.rule {
            Rule::Sgd { momentum, nesterov, weight_decay } => Constants::Sgd(kernels::Sgd {
                lr: T::from_f64(lr),
                momentum: T::from_f64(momentum),
                nesterov,
                weight_decay: T::from_f64(weight_decay),
                scale: T::from_f64(scale),
            }),
            Rule::Adam { betas, epsilon, weight_decay } => {
                adam::ages(&mut self.corrections, parameters, &mut self.ages);
                Constants::Adam(kernels::Adam {
                    lr: T::from_f64(lr),
                    beta1: T::from_f64(betas.0),
                    beta2: T::from_f64(betas.1),
                    fresh1: T::from_f64(1.0 - betas.0),
                    fresh2: T::from_f64(1.0 - betas.1),
                    epsilon: T::from_f64(epsilon),
                    keep: T::from_f64(1.0 - lr * weight_decay),
                    scale: T::from_f64(scale),
                })
            }
        };
        Step { path, constants, ages: &self.ages }
    }
}

/// One step: its constants, and the age of every parameter where that counts.
struct Step<'a, T> {
    path: Path,
    constants: Constants<T>,
    ages: &'a [adam::Ages],
}

enum Constants<T> {
    Sgd(kernels::Sgd<T>),
    Adam(kernels::Adam<T>),
}

impl<T: Real> Update<T> for Step<'_, T> {
    fn apply(&self, piece: Piece<'_, T>) -> bool {
        match &self.constants {
            Constants::Sgd(rule) => sgd::apply(self.path, *rule, piece),
            Constants::Adam(rule) => adam::apply(self.path, *rule, &self.ages[piece.parameter], piece),
        }
    }
}

// --- arguments that several optimisers share

const LR: Arg = Arg {
    name: "lr",
    shape: Shape::Keyword(&[Kind::Number]),
    required: true,
    default: "",
    help: "learning rate that the schedule starts from",
};
const CLIP: Arg = Arg {
    name: "clip",
    shape: Shape::Keyword(&[Kind::Number]),
    required: false,
    default: "no clipping",
    help: "largest global norm of the gradients, as PyTorch's clip_grad_norm_",
};

/// A number that may not be negative, or the refusal.
fn at_least_zero(args: &Args, name: &'static str) -> Result<Option<f64>, Refusal> {
    match args.number(name) {
        Some(x) if !(x.is_finite() && x >= 0.0) => Err(out_of_range(name, x, "a number from 0 up")),
        given => Ok(given),
    }
}

fn out_of_range(name: &'static str, given: f64, wanted: &str) -> Refusal {
    Refusal::error("G0105", format!("`{name}` cannot be {given}"), format!("use {wanted}")).at(name)
}
