//! The only door to pest. Its limits are settings of the whole process, so one lock owns them.

use pest::Parser;
use pest::error::InputLocation;
use pest::iterators::Pairs;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

#[derive(pest_derive::Parser)]
#[grammar = "grammar/grow.pest"]
struct Grow;

/// Where a rule stopped and which rules could have gone on there. No expectation: the call limit was reached.
pub struct Stop {
    pub at: usize,
    pub expected: Vec<Rule>,
}

static SETTINGS: Mutex<()> = Mutex::new(());

/// Reads `text` by `rule`. Valid files need 7 to 11 calls a byte, hostile ones 17; the limit leaves room
/// for both and still bounds the time by the length.
pub fn read(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, Stop> {
    // A panic of another holder leaves no broken state behind: both settings are written anew.
    let _guard = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    pest::set_call_limit(NonZeroUsize::new(20_000 + 60 * text.len()));
    // The rules at the place of failure are enough; collecting tokens would slow every file down.
    pest::set_error_detail(false);
    Grow::parse(rule, text).map_err(|error| {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let expected = match error.variant {
            pest::error::ErrorVariant::ParsingError { positives, .. } => positives,
            pest::error::ErrorVariant::CustomError { .. } => Vec::new(),
        };
        Stop { at, expected }
    })
}
