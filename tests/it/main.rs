//! One test binary: linking once keeps the suite quick.

mod calibrate;
mod check;
mod cli;
mod compare;
mod data;
mod engine;
mod examples;
mod export;
mod faults;
mod flops;
mod fuzz_corpora;
mod fuzz_entries;
mod given;
mod growth;
mod hostile;
mod house;
mod inspect;
mod mistakes;
mod records;
mod report;
mod resume;
mod run;
mod syntax;
mod triggers;
mod weights;
mod world;
