//! The interpreter: the only module that sees both the program and the engine.
//!
//! It emits a stream of [`Event`]s; terminal, record and report are consumers of the same stream.

pub mod event;

pub use event::{
    Assertion, Checkpoint, Evaluated, Event, Examples, Finish, Growth, MetricValue, Shock, Started, Status, Stepped,
};
