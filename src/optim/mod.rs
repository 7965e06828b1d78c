//! Optimisers. Their state lives in the parameters ([`crate::nn::Parameter::slots`]), never here, so that growth
//! carries it with one rewrite.
//!
//! A step is: global norm of the gradients, clipping, then one kernel per parameter. Gradients of frozen
//! parameters count for nothing, and their age stands still.

mod adam;
mod sgd;

use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape};
use crate::nn::{Parameter, Slot, SlotKind};
use crate::tensor::{Compute, Real, kernels};
use ndarray::ArrayD;

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
    squares: Vec<f64>,
    scratch: adam::Scratch,
}

impl Optimizer {
    /// From the words of a schedule: `optimizer adam lr 1e-3 clip 1`.
    /// Panics if there is no such optimiser (`check` has looked it up in the registry).
    pub fn from_args(word: &str, args: &Args) -> Result<Optimizer, Refusal> {
        let kind = find(word).unwrap_or_else(|| panic!("`{word}` is in the registry of optimisers"));
        let rule = kind.read(args)?;
        let lr = at_least_zero(args, "lr")?.unwrap_or(1e-3);
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
        Optimizer { rule, lr, clip, corrections, squares: Vec::new(), scratch: adam::Scratch::default() }
    }

    /// Gives every learned parameter the slots that it lacks, zero and in the rule's order. A step does this
    /// too; calling it first keeps the first step free of allocation.
    pub fn prepare<T: Real>(&self, parameters: &mut [Parameter<T>]) {
        let wanted = self.rule.slots();
        for parameter in parameters.iter_mut().filter(|parameter| parameter.role.is_learned()) {
            let present = parameter.slots.iter().map(|slot| slot.kind);
            if present.eq(wanted.iter().copied()) {
                continue;
            }
            let mut old = std::mem::take(&mut parameter.slots);
            for &kind in wanted {
                let slot = match old.iter().position(|slot| slot.kind == kind) {
                    Some(at) => old.swap_remove(at),
                    None => Slot { kind, value: ArrayD::from_elem(parameter.value.raw_dim(), T::ZERO) },
                };
                parameter.slots.push(slot);
            }
        }
    }

    /// √Σ g² over all learned parameters that are not frozen: f64, per output unit in index order, units in
    /// order, parameters in declaration order. As PyTorch's `clip_grad_norm_` sees it.
    pub fn gradient_norm<T: Real>(&mut self, parameters: &[Parameter<T>], compute: &Compute) -> f64 {
        let mut total = 0.0;
        for parameter in parameters.iter().filter(|parameter| learns(parameter)) {
            let gradient = parameter.gradient.as_slice().expect("gradients are kept in row-major order");
            let (rows, width) = rows_and_columns(parameter.value.shape());
            self.squares.resize(rows, 0.0);
            let out = &mut self.squares[..];
            match compute.piece(gradient.len(), 8 * width).filter(|_| rows > 8) {
                Some((pool, piece)) => pool.install(|| {
                    use rayon::prelude::*;
                    gradient
                        .par_chunks(piece.max(8 * width))
                        .zip(out.par_chunks_mut(piece.max(8 * width) / width))
                        .for_each(|(g, out)| kernels::squares(compute.path(), g, width, out));
                }),
                None => kernels::squares(compute.path(), gradient, width, out),
            }
            for &unit in &*out {
                total += unit;
            }
        }
        f64::sqrt(total)
    }

    /// One step with the learning rate `lr`. Returns the norm of the gradients before clipping; when it is not
    /// finite, nothing is changed.
    pub fn update<T: Real>(&mut self, parameters: &mut [Parameter<T>], lr: f64, compute: &Compute) -> f64 {
        self.prepare(parameters);
        let norm = self.gradient_norm(parameters, compute);
        if !norm.is_finite() {
            return norm;
        }
        let scale = match self.clip {
            // PyTorch's coefficient.
            Some(largest) => (largest / (norm + 1e-6)).min(1.0),
            None => 1.0,
        };
        for parameter in parameters.iter_mut().filter(|parameter| learns(parameter)) {
            parameter.updates += 1;
            match self.rule {
                Rule::Sgd { momentum, nesterov, weight_decay } => {
                    let constants = kernels::Sgd {
                        lr: T::from_f64(lr),
                        momentum: T::from_f64(momentum),
                        nesterov,
                        weight_decay: T::from_f64(weight_decay),
                        scale: T::from_f64(scale),
                    };
                    sgd::step(constants, parameter, compute);
                }
                Rule::Adam { betas, epsilon, weight_decay } => {
                    let constants = kernels::Adam {
                        lr: T::from_f64(lr),
                        beta1: T::from_f64(betas.0),
                        beta2: T::from_f64(betas.1),
                        fresh1: T::from_f64(1.0 - betas.0),
                        fresh2: T::from_f64(1.0 - betas.1),
                        epsilon: T::from_f64(epsilon),
                        keep: T::from_f64(1.0 - lr * weight_decay),
                        scale: T::from_f64(scale),
                    };
                    adam::step(constants, parameter, &mut self.corrections, &mut self.scratch, compute);
                }
            }
        }
        norm
    }
}

fn learns<T>(parameter: &Parameter<T>) -> bool {
    parameter.role.is_learned() && !parameter.frozen
}

/// A parameter as a matrix: its first dimension by all others; one dimension alone is one row.
fn rows_and_columns(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] | [_] => (1, shape.iter().product()),
        [rows, rest @ ..] => (*rows, rest.iter().product()),
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
