//! The timeline under a bound: it holds the network after every action, so a few lines that repeat a block a
//! thousand times and widen it at every step would ask for more than any memory holds.

use super::{Planned, Replay};
use crate::base::Diagnostic;
use crate::nn::Layer;
use std::sync::Arc;

/// What a timeline may hold, in bytes: thousands of changes of a network of a hundred layers.
pub(super) const BYTES_MAX: usize = 512 << 20;

impl Replay<'_> {
    /// Adds what was planned. Past the bound it says so and the replay ends.
    pub(super) fn remember(&mut self, planned: Planned) {
        let was_full = self.is_full();
        let known = self.timeline.last().is_some_and(|last| Arc::ptr_eq(&last.after, &planned.after));
        if !known {
            // A layer has a name, and about as much again on its axis and around both.
            let layers = planned.after.all_layers();
            self.bytes += layers.map(|layer| 2 * (size_of::<Layer>() + layer.name.len())).sum::<usize>();
        }
        self.bytes += planned.growth.as_ref().map_or(0, |growth| growth.summary.detail.len());
        let span = planned.span;
        self.timeline.push(planned);
        if self.is_full() && !was_full {
            self.say(
                Diagnostic::error("G0604", span, "the network is too large to be followed through so many events")
                    .here("given up here")
                    .help("change it less often, or repeat fewer blocks"),
            );
        }
    }

    /// Whether nothing more is followed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > BYTES_MAX
    }
}
