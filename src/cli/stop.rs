//! Why a command ends before it has done what it was asked to, and how that is told.

use super::Context;
use super::training::refused;
use crate::base::{Diagnostic, Error, Refusal, Sources};
use crate::run::Failure;

/// Nothing was done, or what was done stays as it is.
pub(super) enum Stop {
    /// A file, a folder or the disk failed.
    World(Error),
    Refused(Refusal),
    /// The schedule has mistakes.
    Mistakes(Vec<Diagnostic>, Sources),
}

impl Stop {
    /// Says it; the exit code.
    pub(super) fn tell(self, context: &Context, json: bool) -> i32 {
        match self {
            Stop::World(error) => context.world_failed(&error, json),
            Stop::Refused(refusal) => refused(context, &refusal, json),
            Stop::Mistakes(found, sources) => context.refuse(&found, &sources, json),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::World(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        match failure {
            Failure::World(error) => Stop::World(error),
            Failure::Refused(refusal) => Stop::Refused(refusal),
        }
    }
}
