//! Every single file operation fails, in every way: what was saved stays, and what is there is whole.

pub mod memory;
mod protocols;
mod runs;
