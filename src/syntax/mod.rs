//! Text to [`Schedule`]: the pest grammar in `grammar/grow.pest`, recovery from mistakes, includes,
//! and the substitution of `$NAME`. Knows no layer, operator or metric by name.

pub mod ast;

pub use ast::{Arm, Atom, Event, Let, Phrase, Schedule, Section, Sweep, Trigger};
