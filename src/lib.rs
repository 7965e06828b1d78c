//! growrun: a neural network grows while it trains, by a schedule in a text file.
//!
//! Floors, imports downwards only (a test holds them):
//!
//! ```text
//! 9  cli
//! 8  report
//! 7  compare | export
//! 6  record
//! 5  run
//! 4  check | train
//! 3  grow | optim | weights
//! 2  nn
//! 1  tensor | syntax | data
//! 0  base
//! ```
#![deny(unsafe_code)]

pub mod base;
pub mod check;
pub mod cli;
pub mod compare;
pub mod data;
pub mod export;
pub mod grow;
pub mod nn;
pub mod optim;
pub mod record;
pub mod report;
pub mod run;
pub mod syntax;
pub mod tensor;
pub mod train;
pub mod weights;
