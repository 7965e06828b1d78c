//! The interpreter: the only module that sees both the program and the engine.
//!
//! It emits a stream of [`Event`]s; terminal, record and report are consumers of the same stream.

mod actions;
mod agenda;
mod apply;
mod calibrate;
mod carry;
pub mod event;
mod execute;
mod growing;
mod growth;
mod history;
mod measuring;
mod progress;
mod rate;
mod restore;
mod shock;
mod training;

pub use crate::grow::MEASURED;
pub use apply::apply;
pub use calibrate::{Calibration, Expected, expected_seconds, worth};
pub use event::{
    Assertion, Checkpoint, Evaluated, Event, Examples, Finish, Growth, Heading, MetricValue, Reason, RolledBack, Shock,
    Started, Status, Stepped,
};
pub use execute::{AUTOSAVE_SECONDS, Autosave, Consumer, Failure, Options, execute, proceed};
pub use history::History;
pub use measuring::measure;
pub use progress::{Progress, Resumption, Saved};

use crate::base::Refusal;
use crate::check::{MetricWord, Program, Vocabulary};
use crate::data::{self, Dataset, Place};

/// The words of the registries that `check` may not import.
pub fn vocabulary() -> Vocabulary {
    Vocabulary {
        optimizers: crate::optim::OPTIMIZERS.iter().map(|kind| kind.doc()).collect(),
        losses: crate::train::LOSSES.to_vec(),
        metrics: crate::train::METRICS
            .iter()
            .map(|metric| MetricWord {
                doc: metric.doc,
                task: metric.task,
                higher_is_better: metric.higher_is_better,
                scalar: metric.scalar,
            })
            .collect(),
    }
}

/// Whether a checkpoint can be gone on with by a program; the refusal says what does not fit.
pub fn fits(saved: &Saved, program: &Program) -> Result<(), Refusal> {
    restore::fits(saved, program)
}

/// Reads, splits and scales the program's data.
pub fn load_data(program: &Program, place: &Place) -> Result<Dataset, Refusal> {
    let plan = &program.data;
    let source = data::find(plan.source.word).expect("`check` has found the source");
    let options = data::Options {
        normalize: plan.normalize,
        split: plan.split,
        limit: plan.limit,
        balanced_classes: plan.balanced_classes,
    };
    data::load(source, &plan.source.args, place, &options)
}
