//! What may fire at any evaluation or not at all: each `when` is tried on both courses of the replay.

use super::*;

impl Replay<'_> {
    /// A `when` may fire from now on.
    pub(super) fn reach_when(&mut self, event: usize, until: u64) {
        let actions = &self.events[event].event.actions;
        let grows = actions.iter().any(|action| matches!(action.kind, ActionKind::Grow(_)));
        let mut when = When { event, until, fits: false, failure: None, grows };
        // A second firing and those of other `when`s meet what an earlier one has made.
        let on_maybe = self.maybe.clone();
        self.try_when(&mut when, Arc::clone(&self.never), true);
        if let Some(maybe) = on_maybe
            && grows
        {
            self.try_when(&mut when, maybe, false);
        }
        if let Trigger::When { at_most, .. } = self.events[event].event.trigger
            && at_most > 1
            && grows
            && when.fits
            && let Some(maybe) = self.maybe.clone()
        {
            self.try_when(&mut when, maybe, false);
        }
        self.whens.push(when);
    }

    /// After the architecture has changed, every `when` that may still fire meets the new one.
    pub(super) fn refire(&mut self) {
        // Every `when` after every change is quadratic: past this many only the first meeting is judged.
        const MEETINGS_MAX: usize = 64;
        if self.whens.is_empty() || self.whens.len() > MEETINGS_MAX {
            return;
        }
        let step = self.timeline.last().map_or(0, |planned| planned.step);
        let mut whens = std::mem::take(&mut self.whens);
        for when in whens.iter_mut().filter(|when| when.grows && when.until >= step) {
            self.try_when(when, Arc::clone(&self.never), false);
        }
        self.whens = whens;
    }

    /// Carries a `when`'s actions out on a copy and joins it with what may be.
    pub(super) fn try_when(&mut self, when: &mut When, on: Arc<Architecture>, show: bool) {
        let events = self.events;
        let read = &events[when.event];
        let mut current = on;
        let mut failure = None;
        for (at, action) in read.event.actions.iter().enumerate() {
            if self.is_full() {
                break;
            }
            let mut growth = None;
            match &action.kind {
                ActionKind::Grow(operator) => match self.plan(*operator, &action.args, &current) {
                    Ok(plan) => {
                        for warning in &plan.warnings {
                            let diagnostic = self.with_cause(place(warning, &action.args), warning.cause.as_deref());
                            self.say(diagnostic);
                        }
                        for layer in plan.after.all_layers().filter(|layer| current.layer(&layer.name).is_none()) {
                            let step = self.timeline.last().map_or(0, |planned| planned.step);
                            self.born.entry(layer.name.clone()).or_insert((step, action.args.span));
                        }
                        current = Arc::new(plan.after);
                        growth = Some(PlannedGrowth {
                            summary: plan.summary,
                            promise: plan.promise,
                            rule: plan.rule,
                            restarts: false,
                        });
                    }
                    Err(refused) => {
                        failure = Some(refused);
                        break;
                    }
                },
                ActionKind::SetDropout { layer, to } => {
                    let (old, _) = actions::names(&action.args);
                    if let Some((name, span)) = old.iter().find(|(name, _)| current.layer(name).is_none()) {
                        failure = Some(self.unknown(name, *span, &current));
                        break;
                    }
                    if let Some(layer) = Arc::make_mut(&mut current).layer_mut(layer) {
                        layer.settings.dropout = *to;
                    }
                }
                _ => {}
            }
            if show {
                let step = match read.event.trigger {
                    Trigger::When { from, .. } => from,
                    _ => 0,
                };
                let after = Arc::clone(&current);
                self.remember(Planned {
                    step,
                    event: when.event,
                    action: at,
                    certain: false,
                    undo: false,
                    growth,
                    after,
                    span: action.args.span,
                });
            }
        }
        match failure {
            None => {
                when.fits = true;
                if when.grows {
                    self.maybe = Some(match self.maybe.take() {
                        None => current,
                        Some(maybe) => Arc::new(join(&maybe, &current)),
                    });
                }
            }
            Some(Refused::Silent) => when.fits = true,
            Some(Refused::Said(diagnostic) | Refused::Unknown(diagnostic, _)) => {
                when.failure.get_or_insert(*diagnostic);
            }
        }
    }

    /// Both courses in one: what `plan` and `check` show.
    pub(super) fn joined(&self) -> Arc<Architecture> {
        match &self.maybe {
            None => Arc::clone(&self.never),
            Some(maybe) => Arc::new(join(&self.never, maybe)),
        }
    }
}
