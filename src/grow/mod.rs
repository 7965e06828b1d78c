//! Growth: operators that rewrite a network over its named axes.
//!
//! `plan` is symbolic and the same for `check` and the run; `realise` draws numbers and makes a
//! `Concrete`; `rewrite` alone changes the size of a tensor. GROWTH's mathematics is in docs/growth.md.

pub mod plan;

pub use plan::{LrPolicy, Needs, Plan, Promise, Summary};

use crate::base::{Args, Doc, Refusal};
use crate::nn::Architecture;

/// An action that changes the architecture or what of it learns.
pub trait Operator: Sync {
    fn doc(&self) -> &'static Doc;
    /// What the action does to `before`, or which argument cannot be. Draws nothing, allocates nothing of tensor size.
    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal>;
    /// Whether the engine carries it out yet. What does not run still parses and is checked.
    fn runs(&self) -> bool {
        true
    }
}

/// What a schedule may write as an action that grows, shrinks or freezes. One file and one line each.
pub const OPERATORS: &[&dyn Operator] = &[];

pub fn find(word: &str) -> Option<&'static dyn Operator> {
    OPERATORS.iter().copied().find(|operator| operator.doc().word == word)
}

/// One symbolic step of a plan; `realise` turns it into edits of tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {}
