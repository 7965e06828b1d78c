//! A checkpoint taken over by a changed schedule: what still means something there, and what does not.

use super::progress::{Cursor, Phase, Saved};
use super::rate::Turns;
use crate::check::program::{ActionKind, Event, Program, Trigger};

impl Saved {
    /// The same events in a run of another length. What is due at the old end has happened; `at end` will happen
    /// again, at the new one. `at` events that have fired do not fire again where a percentage now means a later step.
    pub fn lengthened(mut self, old: &Program, new: &Program) -> Saved {
        let progress = &mut self.progress;
        let (step, phase) = (progress.step, progress.cursor.phase);
        let first_due = step + u64::from(phase >= Phase::Fire);
        for (number, event) in old.events.iter().enumerate() {
            if matches!(event.trigger, Trigger::At { step, end: false } if step < first_due) {
                progress.done.insert(number);
            }
        }
        // What grew at the old end has grown; at the new one there is nothing to grow for.
        let grows = |event: &Event| event.actions.iter().any(|action| matches!(action.kind, ActionKind::Grow(_)));
        for (number, event) in old.events.iter().enumerate() {
            let is_at_end = matches!(event.trigger, Trigger::At { end: true, .. });
            if phase == Phase::Over && is_at_end && grows(event) {
                progress.done.insert(number);
            }
        }
        if phase >= Phase::Step && (phase >= Phase::CloseEvaluate || step >= old.train.steps) {
            progress.cursor = Cursor { phase: Phase::Fire, ..Cursor::default() };
        }
        for (number, event) in new.events.iter().enumerate() {
            let opens = matches!(event.trigger, Trigger::During { from, to } if from > step || to <= step);
            if opens {
                self.close(number);
            }
        }
        self
    }

    /// Another schedule from here on. The instant is over as far as the old one goes; what the old one lent until
    /// later is taken back, its changes of the rate are forgotten, and the windows of the new one that stand open now
    /// are entered.
    pub fn rescheduled(mut self, old: &Program, new: &Program) -> Saved {
        for number in 0..old.events.len() {
            self.close(number);
        }
        let progress = &mut self.progress;
        let step = progress.step;
        let is_open =
            |event: &Event| matches!(event.trigger, Trigger::During { from, to } if from <= step && step < to);
        let open = new.events.iter().enumerate().filter(|(_, event)| is_open(event)).map(|(number, _)| number);
        progress.cursor = Cursor { phase: Phase::Enter, queue: open.collect(), ..Cursor::default() };
        progress.done.clear();
        progress.fired.clear();
        progress.rate = Turns::default();
        progress.changed_at = step;
        progress.rollbacks = 0;
        // Its own results are told, not those of the old one.
        progress.metrics.clear();
        progress.confusion = None;
        self.probe = None;
        self
    }

    /// Takes back what the window of an event lends.
    fn close(&mut self, number: usize) {
        self.progress.rate.take_back(number);
        self.progress.windows.leave(number, [&mut self.architecture]);
    }
}
