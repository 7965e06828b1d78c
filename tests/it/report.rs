//! The report of a run and of a comparison: what is on it, in a real browser, and of anybody's record.

mod browser;
mod formats;
mod lab;
mod mutated;
