//! Is growing worth it: the arms of a schedule with paired seeds, and a verdict.
//!
//! A comparison is a folder of runs, each of them an ordinary run directory, beside `comparison.yaml`.

pub mod schema;

/// Its file in the comparison's folder.
pub const FILE: &str = "comparison.yaml";
