//! From a parsed schedule to a [`Program`], or to every diagnostic at once, by symbolic replay.
//!
//! Never imports `tensor` or `train`: it cannot touch a weight.

pub mod program;
pub mod vocabulary;

pub use program::Program;
pub use vocabulary::{MetricWord, Vocabulary};
