//! Growth: operators that rewrite a network over its named axes.
//!
//! `plan` is symbolic and the same for `check` and the run; `realise` draws numbers and makes a
//! `Concrete`; `rewrite` alone changes the size of a tensor. GROWTH's mathematics is in docs/growth.md.

mod anatomy;
mod gradmax;
pub mod judge;
mod measurements;
mod narrowing;
mod norms;
mod operators;
pub mod plan;
pub mod realise;
pub mod rewrite;
mod svd;
mod taps;

pub use anatomy::at_once;
pub use judge::{Measured, Probe, Verdict};
pub use measurements::{Between, Measurements};
pub use plan::{LrPolicy, Needs, Plan, Promise, Summary};
pub use realise::{Concrete, Dice, Edit, apply, realise};
pub use rewrite::{Fresh, Given, Origin, Rewrite};

use crate::base::{Args, Doc, Refusal};
use crate::nn::{Architecture, AxisId};

/// An action that changes the architecture or what of it learns.
pub trait Operator: Sync {
    fn doc(&self) -> &'static Doc;
    /// What the action does to `before`, or which argument cannot be. Draws nothing, allocates nothing of tensor size.
    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal>;
}

/// What a schedule may write as an action that grows, shrinks or freezes. One file and one line each.
pub const OPERATORS: &[&dyn Operator] = &[
    &operators::widen::Widen,
    &operators::narrow::Narrow,
    &operators::insert_identity::InsertIdentity,
    &operators::insert_dense::InsertDense,
    &operators::remove::Remove,
    &operators::duplicate::Duplicate,
    &operators::stack::Stack,
    &operators::freeze::Freeze,
    &operators::unfreeze::Unfreeze,
];

pub fn find(word: &str) -> Option<&'static dyn Operator> {
    OPERATORS.iter().copied().find(|operator| operator.doc().word == word)
}

/// No machine holds more learned numbers. The limit that a user can raise is far lower and not growth's concern.
pub const PARAMETERS_MAX: u64 = 1_000_000_000_000;

/// The first examples of the training part, in file order, on which growth is measured.
pub const MEASURED: usize = 1024;
/// Those on which the network is compared before and after.
pub const PROBED: usize = 256;

/// How fresh units of `widen` are made (docs/growth.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Pad,
    Split,
    Mirror,
    Gradmax,
    Random,
}

impl Method {
    pub const ALL: [Method; 5] = [Method::Pad, Method::Split, Method::Mirror, Method::Gradmax, Method::Random];

    pub fn word(self) -> &'static str {
        match self {
            Method::Pad => "pad",
            Method::Split => "split",
            Method::Mirror => "mirror",
            Method::Gradmax => "gradmax",
            Method::Random => "random",
        }
    }
}

/// By what `narrow` chooses the units that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The norm of a unit's incoming weights times the norm of its outgoing ones.
    Magnitude,
    /// |gradient · activation|, measured.
    Gradient,
}

/// With which weights an inserted layer begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recipe {
    /// W = I, b = 0.
    Identity,
    /// W = I, b = `by`; the readers' biases fall by W·`by`.
    Shift { by: f64 },
    /// [I; −I], read by `share`·[W, −W]: where φ(t) − φ(−t) = t/share.
    Mirror { share: f64 },
    /// A residual block of native layers, the last of which is zero.
    Gate,
    /// W = I, b = 0, and an activation that begins as the identity.
    Parametric,
    /// As a layer that begins with the run.
    Native,
}

/// One symbolic step of a plan; `realise` turns it into edits of tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Every tensor that spans `axis` gets as many units as the axis has afterwards.
    Widen { axis: AxisId, method: Method, eps: f64, fan_in: f64, zero_moments: bool },
    /// Every tensor that spans `axis` keeps the units of the highest rank.
    Narrow { axis: AxisId, rank: Rank },
    /// The kernel of a convolution, `from` pixels wide and high, grows by rings of zeros to what it is afterwards.
    Kernel { layer: String, from: usize, zero_moments: bool },
    /// The layer's parameters are made; for a block, those of its inner layers.
    Insert { layer: String, recipe: Recipe },
    /// The norm of a layer whose axis was just widened sees more units: it is rescaled. `silenced`: readers whose bias
    /// takes back what the fresh units say.
    Renorm { layer: String, silenced: Vec<String> },
    /// The layer's parameters go.
    Remove { layer: String },
    /// The layer's weights are drawn afresh, because what it reads is another thing now.
    Redraw { layer: String },
    /// The parameters of `to` are made as copies of those of `from`, moments included.
    Copy { from: String, to: String },
}
