//! The symbolic replay: the architecture carried through every event in time order, by the same planning
//! code as the run's.
//!
//! A `when` may fire at any evaluation or not at all, so from its first moment on two architectures are
//! carried: `never`, in which no `when` has fired, and `maybe`, the join of all in which one has. What is
//! refused on both is surely wrong; what is refused on one of them is possibly wrong, a warning.

mod refusals;
mod timeline;
mod whens;

use super::Limits;
use super::actions;
use super::cost;
use super::join::join;
use super::model::Cause;
use super::program::{Action, ActionKind, Event, Trigger};
use super::report::{Report, place};
use super::suggest;
use super::time::Timebase;
use super::windows::Windows;
use crate::base::{Args, Diagnostic, Point, Severity, Span};
use crate::grow::{Operator, Plan, Promise, Summary};
use crate::nn::{Architecture, Layer};
use crate::weights::Insertion;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// One action at one moment, as far as it can be known before the run.
#[derive(Clone, Debug)]
pub struct Planned {
    pub step: u64,
    /// Index into the events.
    pub event: usize,
    /// Index into the event's actions.
    pub action: usize,
    /// `false` behind a `when`: it may come later, or not at all.
    pub certain: bool,
    /// Whether this is the undoing of a `during`.
    pub undo: bool,
    /// What grows; `None` for the other actions.
    pub growth: Option<PlannedGrowth>,
    /// The network afterwards. Widths are intervals where a `when` may have fired.
    pub after: Arc<Architecture>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct PlannedGrowth {
    pub summary: Summary,
    pub promise: Promise,
    pub rule: &'static str,
    /// Whether the architecture surely changes, so that plateaus count anew.
    pub restarts: bool,
}

impl Planned {
    /// Whether it is growth, or pruning: freezing is neither.
    pub fn changes_the_network(&self) -> bool {
        self.growth.as_ref().is_some_and(|growth| !matches!(growth.summary.action, "freeze" | "unfreeze"))
    }

    /// Learned numbers afterwards, smallest and largest.
    pub fn parameters(&self) -> (u64, u64) {
        self.after.parameter_count()
    }
}

/// An event that was read, with what its trigger's text said.
pub struct Read {
    pub event: Event,
    /// How an `at` was spelled, and where.
    pub point: Option<(Point, Span)>,
    /// Where the trigger's time or condition stands.
    pub head: Span,
    /// Whether it was said already that it never fires.
    pub never: bool,
}

/// What the replay starts from.
pub struct Start {
    pub architecture: Architecture,
    pub causes: HashMap<String, Cause>,
    /// Layers and other names of which something is unknown because of a mistake elsewhere.
    pub doubtful: HashSet<String>,
    /// For the estimate of memory.
    pub load: cost::Load,
    /// The steps and the `at` events that are behind a run that goes on.
    pub past: Option<(u64, BTreeSet<usize>)>,
    /// Weights that actions bring along.
    pub inserted: BTreeMap<Span, Insertion>,
}

/// Carries `start` through `events`. Everything found goes to `report`.
pub fn replay(events: &[Read], start: Start, time: &Timebase, limits: &Limits, report: &mut Report) -> Vec<Planned> {
    let mut items = in_order(events, limits, report);
    if let Some((step, done)) = &start.past {
        items = items.into_iter().filter_map(|item| item.behind(*step, done, &events[item.event].event)).collect();
        items.sort_unstable();
    }
    let mut replay = Replay {
        events,
        time,
        limits,
        report,
        never: Arc::new(start.architecture),
        maybe: None,
        causes: start.causes,
        doubtful: start.doubtful,
        load: start.load,
        inserted: start.inserted,
        said: HashSet::new(),
        pending: Vec::new(),
        born: HashMap::new(),
        gone: HashMap::new(),
        windows: Windows::default(),
        lent: HashMap::new(),
        whens: Vec::new(),
        stopped: None,
        timeline: Vec::with_capacity(items.len()),
        bytes: 0,
    };
    replay.check_size(Span::default(), true);
    let mut earlier: Option<(u64, usize)> = None;
    for item in items {
        replay.item(item, &mut earlier);
        if replay.is_full() {
            break;
        }
    }
    replay.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Leave,
    Fire,
    Enter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    step: u64,
    phase: Phase,
    event: usize,
}

impl Item {
    /// What is left of it behind a step; windows that are open and triggers that wait come at once.
    fn behind(self, now: u64, done: &BTreeSet<usize>, event: &Event) -> Option<Item> {
        let comes = match event.trigger {
            Trigger::At { end: true, .. } => !done.contains(&self.event),
            Trigger::At { step, .. } => step > now && !done.contains(&self.event),
            Trigger::Every { .. } => self.step > now,
            Trigger::During { to, .. } => to > now,
            Trigger::When { until, .. } => until > now,
        };
        comes.then_some(Item { step: self.step.max(now), ..self })
    }
}

/// Every firing in time order: at one instant leave `during`, then events in source order, then enter.
fn in_order(events: &[Read], limits: &Limits, report: &mut Report) -> Vec<Item> {
    let mut items = Vec::with_capacity(events.len());
    let mut over: Option<Span> = None;
    let mut count: u64 = 0;
    for (index, read) in events.iter().enumerate() {
        let firings = match read.event.trigger {
            Trigger::Every { first, interval, until } if first <= until => (until - first) / interval.max(1) + 1,
            Trigger::Every { .. } => 0,
            _ => 1,
        };
        count = count.saturating_add(firings);
        if count > limits.events {
            over.get_or_insert(read.head);
            // What lies beyond the limit is not expanded.
            continue;
        }
        let mut push = |step, phase| items.push(Item { step, phase, event: index });
        match read.event.trigger {
            Trigger::At { step, .. } => push(step, Phase::Fire),
            Trigger::Every { first, interval, .. } => {
                for n in 0..firings {
                    push(first + n * interval, Phase::Fire);
                }
            }
            Trigger::During { from, to } => {
                push(from, Phase::Enter);
                push(to, Phase::Leave);
            }
            Trigger::When { from, .. } => push(from, Phase::Fire),
        }
    }
    if let Some(span) = over {
        report.add(
            Diagnostic::error("G0604", span, format!("these events fire {count} times, which is beyond the limit"))
                .here(format!("more than {} here", limits.events))
                .help("use a longer interval, or raise the limit by `--events-limit`"),
        );
    }
    items.sort_unstable();
    items
}

/// A `when` that has been reached.
struct When {
    event: usize,
    /// Last step at which it may fire.
    until: u64,
    fits: bool,
    failure: Option<Diagnostic>,
    /// Whether it changes the architecture at all.
    grows: bool,
}

struct Replay<'a> {
    events: &'a [Read],
    time: &'a Timebase,
    limits: &'a Limits,
    report: &'a mut Report,
    never: Arc<Architecture>,
    maybe: Option<Arc<Architecture>>,
    causes: HashMap<String, Cause>,
    doubtful: HashSet<String>,
    load: cost::Load,
    inserted: BTreeMap<Span, Insertion>,
    /// What was said already: an event that fires ten times is wrong once.
    said: HashSet<(&'static str, Span)>,
    /// Names that were not there, to be judged again when it is known which layers come later.
    pending: Vec<(Diagnostic, String)>,
    /// When and where each layer came to exist after the start.
    born: HashMap<String, (u64, Span)>,
    gone: HashMap<String, Span>,
    /// What open `during` windows hold.
    windows: Windows,
    /// What windows froze or thawed, by event and action, to be shown again when it is undone.
    lent: HashMap<(usize, usize), PlannedGrowth>,
    whens: Vec<When>,
    stopped: Option<Span>,
    timeline: Vec<Planned>,
    /// What the timeline holds, roughly.
    bytes: usize,
}

impl Replay<'_> {
    fn item(&mut self, item: Item, earlier: &mut Option<(u64, usize)>) {
        let read = &self.events[item.event];
        if let Some(stop) = self.stopped
            && !matches!(read.event.trigger, Trigger::At { end: true, .. })
            && self.said.insert(("G0205", read.event.span))
        {
            self.report.add(
                Diagnostic::warning("G0205", read.head, "this event is never reached")
                    .here("after the run has stopped")
                    .label(stop, "stops here")
                    .help("remove one of the two, or let this one happen earlier"),
            );
        }
        match (&read.event.trigger, item.phase) {
            (Trigger::When { until, .. }, _) => self.reach_when(item.event, *until),
            (Trigger::During { .. }, Phase::Leave) => self.leave(item),
            (trigger, _) => {
                if matches!(trigger, Trigger::At { .. }) {
                    self.same_step(item, earlier);
                }
                self.fire(item);
            }
        }
    }

    /// Differently spelled times that fall on one step.
    fn same_step(&mut self, item: Item, earlier: &mut Option<(u64, usize)>) {
        let grows = |index: usize| {
            self.events[index].event.actions.iter().any(|action| matches!(action.kind, ActionKind::Grow(_)))
        };
        if !grows(item.event) {
            return;
        }
        if let Some((step, other)) = *earlier
            && step == item.step
            && let (Some((here, span)), Some((there, before))) =
                (self.events[item.event].point, self.events[other].point)
            && std::mem::discriminant(&here) != std::mem::discriminant(&there)
            && self.time.is_comparable(here)
            && self.time.is_comparable(there)
        {
            self.report.add(
                Diagnostic::warning("G0203", span, format!("two times fall on step {step}, and their order matters"))
                    .here("happens second")
                    .label(before, "happens first, because it is written first")
                    .help("spell both times in the same way, or move one of them"),
            );
        }
        *earlier = Some((item.step, item.event));
    }

    /// All actions of an event, for certain.
    fn fire(&mut self, item: Item) {
        let during = matches!(self.events[item.event].event.trigger, Trigger::During { .. });
        let count = self.events[item.event].event.actions.len();
        let events = self.events;
        let mut grown = false;
        for at in 0..count {
            if self.is_full() {
                return;
            }
            let action = &events[item.event].event.actions[at];
            let growth = match &action.kind {
                ActionKind::Grow(operator) => {
                    let planned = self.grow(*operator, action, item.step, during.then_some(item.event));
                    grown |= planned.is_some();
                    match planned {
                        Some(growth) => {
                            if during {
                                self.lent.insert((item.event, at), growth.clone());
                            }
                            Some(growth)
                        }
                        // Refused: the timeline holds only what happens.
                        None => continue,
                    }
                }
                ActionKind::SetDropout { layer, to } => {
                    self.set_dropout(during.then_some(item.event), layer, *to, &action.args);
                    None
                }
                _ => {
                    if during && !matches!(action.kind, ActionKind::SetLrBy(_) | ActionKind::SetLrTo(_)) {
                        self.cannot_undo(action.args.span, action.args.doc.word);
                    }
                    None
                }
            };
            if growth.is_some() && item.step == self.time.total && !during && !self.time.symbolic {
                self.say(
                    Diagnostic::warning("G0209", action.args.span, "this grows the network after its last step")
                        .here("learns nothing any more")
                        .help("let it happen earlier, such as `at 80%`"),
                );
            }
            let after = self.joined();
            self.remember(Planned {
                step: item.step,
                event: item.event,
                action: at,
                certain: true,
                undo: false,
                growth,
                after,
                span: action.args.span,
            });
            if matches!(action.kind, ActionKind::Stop) {
                let stop = action.args.span;
                if at + 1 < count {
                    let next = &events[item.event].event.actions[at + 1];
                    self.say(
                        Diagnostic::warning("G0205", next.args.span, "this action is never reached")
                            .here("after the run has stopped")
                            .label(stop, "stops here")
                            .help("put it before `stop`"),
                    );
                }
                self.stopped.get_or_insert(stop);
            }
        }
        if grown {
            self.refire();
        }
    }

    fn cannot_undo(&mut self, span: Span, word: &str) {
        self.say(
            Diagnostic::error("G0211", span, format!("`{word}` cannot be undone at the end of a `during`"))
                .here("only `freeze`, `unfreeze` and `set` can")
                .help("use `at` for what happens once"),
        );
    }

    fn leave(&mut self, item: Item) {
        let both = [Some(&mut self.never), self.maybe.as_mut()].into_iter().flatten();
        self.windows.leave(item.event, both.map(Arc::make_mut));
        // What lies behind the end is undone by nobody.
        let shown = item.step < self.time.total || self.time.symbolic;
        let after = self.joined();
        for (at, action) in self.events[item.event].event.actions.iter().enumerate() {
            let growth = self.lent.remove(&(item.event, at)).filter(|_| shown);
            self.remember(Planned {
                step: item.step,
                event: item.event,
                action: at,
                certain: true,
                undo: true,
                growth,
                after: Arc::clone(&after),
                span: action.args.span,
            });
        }
    }

    fn set_dropout(&mut self, window: Option<usize>, name: &str, to: f64, args: &Args) {
        if !self.names_exist(args) {
            return;
        }
        self.windows.note_dropout(name, to, window, &self.never);
        for architecture in [Some(&mut self.never), self.maybe.as_mut()].into_iter().flatten() {
            if let Some(layer) = Arc::make_mut(architecture).layer_mut(name) {
                layer.settings.dropout = to;
            }
        }
    }

    /// Plans one operator on both architectures. `None` when it is refused on `never`.
    fn grow(
        &mut self,
        operator: &'static dyn Operator,
        action: &Action,
        step: u64,
        window: Option<usize>,
    ) -> Option<PlannedGrowth> {
        let args = &action.args;
        let never = self.plan(operator, args, &Arc::clone(&self.never));
        let maybe = self.maybe.clone().map(|maybe| self.plan(operator, args, &maybe));
        match (never, maybe) {
            (Ok(plan), maybe) => {
                let refused = matches!(maybe, Some(Err(_)));
                match maybe {
                    Some(Ok(other)) => {
                        for warning in &other.warnings {
                            self.say(self.with_cause(place(warning, args), warning.cause.as_deref()));
                        }
                        let mut possible = super::given::misfits(&self.inserted, &other, args);
                        possible.retain(|_| super::given::misfits(&self.inserted, &plan, args).is_empty());
                        for misfit in possible {
                            self.perhaps(Refused::Said(Box::new(misfit)), "once a `when` has fired");
                        }
                        self.maybe = Some(Arc::new(other.after));
                    }
                    Some(Err(diagnostic)) => self.perhaps(diagnostic, "once a `when` has fired"),
                    None => {}
                }
                if window.is_some() && !plan.changes.is_empty() {
                    self.cannot_undo(args.span, args.doc.word);
                }
                let growth = self.accept(plan, args, step, window);
                Some(PlannedGrowth { restarts: growth.restarts && !refused, ..growth })
            }
            (Err(diagnostic), Some(Ok(other))) => {
                let never = Arc::clone(&self.never);
                self.windows.note(&other, window, &never);
                self.maybe = Some(Arc::new(other.after));
                self.perhaps(diagnostic, "unless a `when` has fired");
                None
            }
            (Err(diagnostic), _) => {
                self.refuse(diagnostic, args);
                None
            }
        }
    }

    /// Takes a plan over: warnings, causes, sizes.
    fn accept(&mut self, plan: Plan, args: &Args, step: u64, window: Option<usize>) -> PlannedGrowth {
        for warning in &plan.warnings {
            let diagnostic = self.with_cause(place(warning, args), warning.cause.as_deref());
            self.say(diagnostic);
        }
        for misfit in super::given::misfits(&self.inserted, &plan, args) {
            self.say(misfit);
        }
        self.windows.note(&plan, window, &Arc::clone(&self.never));
        let grows = !plan.changes.is_empty();
        let before = std::mem::replace(&mut self.never, Arc::new(plan.after));
        for layer in self.never.all_layers().filter(|layer| layer.frozen) {
            if before.layer(&layer.name).is_some_and(|old| !old.frozen) {
                let cause = Cause { span: args.span, text: "frozen here".into() };
                self.causes.insert(format!("{}.frozen", layer.name), cause);
            }
        }
        for layer in self.never.all_layers() {
            let kernel = layer.settings.kernel;
            if before.layer(&layer.name).is_some_and(|old| old.settings.kernel != kernel) {
                let cause = Cause { span: args.span, text: format!("became a kernel of {kernel} here") };
                self.causes.insert(format!("{}.kernel", layer.name), cause);
            }
        }
        if grows {
            self.note_changes(&before, args.span, step);
            self.check_size(args.span, false);
        }
        PlannedGrowth { summary: plan.summary, promise: plan.promise, rule: plan.rule, restarts: grows }
    }

    /// Remembers where layers were made, removed, and given their width.
    fn note_changes(&mut self, before: &Architecture, span: Span, step: u64) {
        let after = Arc::clone(&self.never);
        let mut old = before.all_layers().peekable();
        for layer in after.all_layers() {
            let same = old.next_if(|before| before.id == layer.id).or_else(|| before.layer(&layer.name));
            match same {
                None => {
                    self.born.insert(layer.name.clone(), (step, span));
                    self.gone.remove(&layer.name);
                    let width = after.width(layer.output.axis);
                    self.causes.insert(layer.name.clone(), Cause { span, text: format!("made here, {width} wide") });
                }
                Some(same) => {
                    let width = after.width(layer.output.axis);
                    if before.width(same.output.axis) != width {
                        let text = format!("became {width} here");
                        self.causes.insert(layer.name.clone(), Cause { span, text });
                    }
                }
            }
        }
        if after.layers.len() < before.layers.len() {
            for layer in before.all_layers().filter(|layer| after.layer(&layer.name).is_none()) {
                self.gone.insert(layer.name.clone(), span);
            }
        }
    }

    /// Parameters and memory against the limits.
    fn check_size(&mut self, span: Span, at_start: bool) {
        let architecture = Arc::clone(&self.never);
        // Widths only: `h1.activation` is no reason for a size.
        let widths = self.causes.iter().filter(|(name, _)| !name.contains('.')).map(|(_, cause)| cause.span);
        let span = if at_start { widths.max().unwrap_or(span) } else { span };
        // A product costs two operations a weight, so few operations mean few weights; counting them costs more.
        let operations = architecture.forward_flops();
        let memory = self.limits.memory.unwrap_or(u64::MAX);
        let roughly = cost::memory(operations, &architecture, self.load);
        if operations < self.limits.parameters && roughly < memory {
            return;
        }
        let (low, high) = architecture.parameter_count();
        if high > self.limits.parameters {
            let message = format!("the network would have {high} parameters, which is beyond the limit");
            let help = "use smaller widths, or raise the limit by `--parameters-limit`";
            let here = format!("at most {}", self.limits.parameters);
            let diagnostic = if low > self.limits.parameters {
                Diagnostic::error("G0601", span, message)
            } else {
                Diagnostic::warning("G0601", span, message)
            };
            self.say(diagnostic.here(here).help(help));
            return;
        }
        let bytes = cost::memory(high, &architecture, self.load);
        if bytes > memory {
            // Of images the pixels count, not the weights.
            let values = |layer: &&Layer| {
                let units = architecture.width(layer.output.axis).max as u64;
                units.saturating_mul(layer.output.values_per_unit() as u64)
            };
            let largest = architecture.all_layers().max_by_key(values).filter(|_| at_start);
            let span = largest.and_then(|layer| self.causes.get(&layer.name)).map_or(span, |cause| cause.span);
            let message = format!("the network would need about {} of memory", cost::size(bytes));
            self.say(
                Diagnostic::error("G0602", span, message)
                    .here(format!("the limit is {}", cost::size(memory)))
                    .help("use smaller widths or a smaller batch, or raise the limit by `--memory-limit`"),
            );
        }
    }

    fn finish(mut self) -> Vec<Planned> {
        for when in std::mem::take(&mut self.whens) {
            let Some(diagnostic) = when.failure else { continue };
            if when.fits {
                let message = format!("{} (if it fires at a bad time)", diagnostic.message);
                self.say(Diagnostic { severity: Severity::Warning, message, ..diagnostic });
            } else {
                self.say(diagnostic);
            }
        }
        for (diagnostic, name) in std::mem::take(&mut self.pending) {
            let Some((step, span)) = self.born.get(&name).filter(|_| !self.gone.contains_key(&name)) else {
                self.report.add(diagnostic);
                continue;
            };
            self.report.add(
                Diagnostic::error("G0102", diagnostic.span(), format!("there is no layer `{name}` yet"))
                    .here("comes too early")
                    .label(*span, format!("`{name}` comes to exist here, at {}", self.time.moment(*step)))
                    .help(format!("let this happen after {}", self.time.moment(*step))),
            );
        }
        self.timeline
    }
}

/// Why an operator cannot be carried out.
enum Refused {
    /// Because of a mistake that was reported elsewhere.
    Silent,
    Said(Box<Diagnostic>),
    /// A layer of this name is not there.
    Unknown(Box<Diagnostic>, String),
}
