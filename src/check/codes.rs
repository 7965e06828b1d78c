//! Every code with its title; `docs/errors/CODE.md` has its page.

/// The codes of the checker, in order.
pub const CODES: &[(&str, &str)] = &[];
