//! What an operator intends, in symbols.

use crate::base::{Duration, Refusal};
use crate::nn::Architecture;

/// What a growth event promises about the network's function in evaluation mode (docs/growth.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nothing.
    None,
    /// Off by at most a number that is computed at the event.
    Bounded,
    /// Equal but for the rounding of reordered sums.
    Rounding,
    /// Equal f32 values.
    Bitwise,
}

impl Promise {
    pub fn word(self) -> &'static str {
        match self {
            Promise::None => "none",
            Promise::Bounded => "bounded",
            Promise::Rounding => "rounding",
            Promise::Bitwise => "bitwise",
        }
    }
}

/// What must be measured on the data before the plan can be carried out; see [`super::Measurements`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// What layers read: a forward pass.
    Activations,
    /// Also the gradients at their pre-activations: a forward and a backward pass.
    Gradients,
}

impl Needs {
    /// What measuring costs, in forward passes; a backward pass costs two.
    pub fn forward_passes(self) -> u64 {
        match self {
            Needs::Nothing => 0,
            Needs::Activations => 1,
            Needs::Gradients => 3,
        }
    }
}

/// What happens to the learning rate at the event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LrPolicy {
    Keep,
    /// Rises from 0 to where it was over this time.
    Rewarm(Duration),
    /// The lr schedule begins again.
    Rewind,
}

/// How an event is called in the record, in `plan` and on the terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// `widen`, `insert identity`.
    pub action: &'static str,
    /// The layer or the range as written: `h2`, `h1..h3`.
    pub target: String,
    /// `pad`, `shift`; empty where there is no choice.
    pub method: &'static str,
    /// What changes: `h2 32 → 256`; for an insertion also what was chosen and why.
    pub detail: String,
}

/// One action on one architecture.
#[derive(Clone, Debug)]
pub struct Plan {
    pub after: Architecture,
    /// What to do to the tensors, in order. Empty for `freeze`.
    pub changes: Vec<super::Change>,
    pub promise: Promise,
    /// Why that promise holds, in words: `fresh columns are 0, and they come last in the sum`.
    pub rule: &'static str,
    pub needs: Needs,
    pub lr: LrPolicy,
    /// Of `freeze` and `unfreeze`: whether layers are frozen, and which; those that were so already, too.
    pub freezes: Option<(bool, Vec<String>)>,
    pub summary: Summary,
    /// What may go wrong without being surely wrong.
    pub warnings: Vec<Refusal>,
}

impl Plan {
    /// Floating-point operations of carrying the plan out, as a run counts them, on a training part of so many
    /// examples: the passes that measure, the products that choose units, and the probe before and after. Not with
    /// it, because it depends on the data: the decomposition of `gradmax`, small beside the product that it decomposes.
    pub fn flops(&self, before: &Architecture, examples: u64) -> u64 {
        if self.changes.is_empty() {
            return 0;
        }
        let (measured, probed) = (examples.min(super::MEASURED as u64), examples.min(super::PROBED as u64));
        let (forward, forward_after) = (before.forward_flops(), self.after.forward_flops());
        let passes = forward.saturating_mul(self.needs.forward_passes()).saturating_mul(measured);
        let probe = forward.saturating_add(forward_after).saturating_mul(probed);
        let products = super::realise::products(self, before, measured);
        passes.saturating_add(probe).saturating_add(products)
    }
}
