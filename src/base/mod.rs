//! Floor 0: what every floor may use. Places in text, diagnostics, the documentation of words and
//! their arguments, random streams, digests, and the one door to files and clock ([`World`]).

pub mod args;
pub mod diagnostic;
pub mod digest;
pub mod doc;
pub mod numbers;
pub mod rng;
pub mod span;
pub mod text;
pub mod world;

pub use args::{Args, Clause, Comparison, Duration, Given, Point, Target, Value};
pub use diagnostic::{Diagnostic, Label, Refusal, Severity};
pub use doc::{Arg, Doc, Kind, Shape};
pub use span::{Source, Sources, Span, Spanned};
pub use world::{Error, World};
