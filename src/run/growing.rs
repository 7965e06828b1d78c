//! A growth event: planned, carried out on the tensors, probed before and after.

use super::event::*;
use super::execute::{Failure, Flow, Run};
use super::measuring;
use crate::base::{Duration, Refusal};
use crate::check::cost;
use crate::check::program::{Action, Program};
use crate::check::time::share;
use crate::grow::{LrPolicy, MEASURED, Measurements, Needs, Operator, PROBED, Plan, Promise};
use crate::train::Targets;
use crate::weights::fit;
use std::collections::BTreeMap;

impl Run<'_> {
    /// `window`: the number of the `during` whose end undoes the action.
    pub(super) fn grow(
        &mut self,
        operator: &dyn Operator,
        action: &Action,
        window: Option<usize>,
    ) -> Result<Flow, Failure> {
        let plan = match operator.plan(&action.args, &self.architecture) {
            Ok(plan) => plan,
            // Only a `when` can bring a network that is already large enough; everything else the checker has seen.
            Err(refusal) if refusal.code == "G0201" => {
                self.note(format!("{}: skipped, {}", action.text, refusal.message), action.args.span)?;
                return Ok(Flow::Continue);
            }
            Err(refusal) => return Ok(self.fail(action, refusal.code, refusal.message, refusal.help)),
        };
        let wanted = plan.after.parameter_count().0;
        if wanted > self.options.parameters_max {
            let message = format!(
                "the network would have {wanted} parameters, more than the {} allowed",
                self.options.parameters_max
            );
            let help = "grow less, or raise `--parameters-limit`".to_string();
            return Ok(self.fail(action, "G0601", message, help));
        }
        let memory = cost::memory(wanted, &plan.after, cost::Load::of(self.program));
        if let Some(limit) = self.options.memory_max.filter(|limit| memory > *limit && wanted > self.parameters()) {
            let message = format!(
                "the run would need about {} of memory; the limit is {}",
                cost::size(memory),
                cost::size(limit)
            );
            let help = "grow less, or raise `--memory-limit`".to_string();
            return Ok(self.fail(action, "G0602", message, help));
        }
        if plan.changes.is_empty() {
            self.progress.windows.note(&plan, window, &self.architecture);
            self.architecture = plan.after;
            self.replan();
            self.note(action.text.clone(), action.args.span)?;
            return Ok(Flow::Continue);
        }
        if self.saved_at != Some((self.progress.step, self.growths.len())) {
            let flow = self.save(Reason::BeforeGrowth(self.growths.len() + 1))?;
            if !matches!(flow, Flow::Continue) {
                return Ok(flow);
            }
        }
        match plan.lr {
            LrPolicy::Keep => {}
            LrPolicy::Rewarm(duration) => self.rate.rewarm(self.progress.step, steps_of(duration, self.program)),
            LrPolicy::Rewind => self.rate.rewind(self.progress.step),
        }
        self.progress.windows.note(&plan, window, &self.architecture);
        let given = match self.given_to(&plan, action) {
            Ok(given) => given,
            Err(refusal) => return Ok(self.fail(action, refusal.code, refusal.message, refusal.help)),
        };
        let Some((growth, notes)) = self.rewrite(plan, action, given)? else {
            return Ok(Flow::End(Status::Diverged { step: self.progress.step }));
        };
        (self.consumer)(&Event::Grown(&growth))?;
        for note in notes {
            self.note(note, action.args.span)?;
        }
        let index = self.growths.len();
        let held = growth.held;
        let (promise, detail) = (growth.promise, growth.detail.clone());
        self.growths.push(growth);
        self.progress.losses.grown(index);
        self.progress.unmeasured.push(index);
        // A plateau of the smaller network says nothing about this one.
        self.progress.changed_at = self.progress.step;
        if !held {
            let message = format!("{detail} promised `{}` and did not keep it", promise.word());
            let help = "this is a bug of growrun: please report it with the run directory".to_string();
            return Ok(self.fail(action, "G0221", message, help));
        }
        Ok(Flow::Continue)
    }

    /// Carries a plan out on the tensors, with the probe before and after. Also tells what the plan could not foresee.
    /// `None` where the network gives no finite numbers any more.
    pub(super) fn rewrite(
        &mut self,
        plan: Plan,
        action: &Action,
        given: BTreeMap<String, Vec<f32>>,
    ) -> Result<Option<(Growth, Vec<String>)>, Failure> {
        let began = self.world.seconds();
        let (parameters_before, forward_before) = (self.parameters(), self.forward_flops);
        let x = self.probe_inputs();
        let width = self.network.inputs();
        let view = ndarray::ArrayView2::from_shape((x.len() / width, width), &x).expect("rows of the input's width");
        let probe = crate::grow::Probe::before(&mut self.network, view, &plan);
        if !probe.is_finite() {
            return Ok(None);
        }
        let dice = crate::grow::Dice { seed: self.program.seed, step: self.progress.step };
        let measurements = self.measure_for(&plan).with_given(given);
        let concrete = crate::grow::realise(&plan, self.network.parameters(), &measurements, dice);
        self.progress.flops = self.progress.flops.saturating_add(concrete.flops);
        let notes = concrete.notes.clone();
        self.progress.fresh.add(&concrete, &plan.after);
        crate::grow::apply(concrete, self.network.parameters(), &plan.after);
        self.architecture = plan.after.clone();
        self.replan();
        // Here, where the parameters are in the form that a digest reads: the probe packs them.
        let weights = crate::nn::parameter::digest(self.network.parameters());
        let measured = probe.after(&mut self.network, view, &plan);
        // The probe went once through the network as it was and once through that of now.
        let forward = forward_before.saturating_add(self.forward_flops);
        self.progress.flops = self.progress.flops.saturating_add(forward.saturating_mul((x.len() / width) as u64));
        let growth = Growth {
            step: self.progress.step,
            epoch: self.epoch(),
            action: plan.summary.action.into(),
            target: plan.summary.target,
            method: plan.summary.method.into(),
            detail: plan.summary.detail,
            promise: plan.promise,
            rule: plan.rule.into(),
            bound: measured.verdict.bound.filter(|_| plan.promise == Promise::Bounded),
            held: measured.verdict.held,
            drift: measured.drift,
            parameters_before,
            parameters_after: self.parameters(),
            shape: self.architecture.to_string(),
            layers: self.architecture.sketch(),
            weights: weights.unwrap_or_else(|| "not finite".into()),
            seconds: self.world.seconds() - began,
            shock: None,
            gradient_fresh: None,
            gradient_old: None,
            span: action.args.span,
        };
        Ok(Some((growth, notes)))
    }

    /// What the layer begins with that the plan puts in; empty where it is drawn.
    fn given_to(&self, plan: &Plan, action: &Action) -> Result<BTreeMap<String, Vec<f32>>, Refusal> {
        let Some(insertion) = self.program.given.inserted.get(&action.args.span) else { return Ok(BTreeMap::new()) };
        let name = plan.summary.target.as_str();
        let layer = plan.after.layer(name).expect("an insertion is named after the layer that it makes");
        let scope = fit::Scope::Layer { name, prefix: insertion.prefix.as_deref() };
        let (matches, misfits) = fit::fit(&insertion.file, &fit::Wanted::of_layer(layer, &plan.after), scope);
        // Only a `when` can bring a width that the checker has not seen.
        if !misfits.is_empty() {
            let message =
                format!("`{}` does not hold a layer that fits in the place of `{name}`", insertion.source.name);
            let help = "let the event come when the layer before it is as wide as the file's";
            return Err(Refusal::error("G0825", message, help));
        }
        let values = |found: fit::Match| (found.parameter.clone(), fit::values(&insertion.file, &found));
        Ok(matches.into_iter().map(values).collect())
    }

    /// What the plan needs to know of the network on training data.
    fn measure_for(&mut self, plan: &Plan) -> Measurements {
        if plan.needs == Needs::Nothing {
            return Measurements::none();
        }
        let x = self.first_inputs(MEASURED);
        let (width, train) = (self.network.inputs(), &self.dataset.train);
        let examples = x.len() / width;
        let view = ndarray::ArrayView2::from_shape((examples, width), &x).expect("rows of the input's width");
        let targets = Targets::of(&train.labels).slice(0..examples);
        self.progress.flops =
            self.progress.flops.saturating_add(measuring::flops(plan.needs, examples, self.forward_flops));
        measuring::measure(&self.network, plan, &self.loss, view, targets)
    }

    /// The first training examples in file order, scaled, row-major.
    pub(super) fn probe_inputs(&self) -> Vec<f32> {
        self.first_inputs(PROBED)
    }

    /// The first min(`count`, n) training examples in file order, scaled, row-major.
    fn first_inputs(&self, count: usize) -> Vec<f32> {
        let part = &self.dataset.train;
        let indices: Vec<u32> = (0..part.len().min(count) as u32).collect();
        let mut x = vec![0.0; indices.len() * self.network.inputs()];
        part.gather(&indices, &self.dataset.scaling, &mut x);
        x
    }

    pub(super) fn probe_output(&mut self) -> Vec<f32> {
        let x = self.probe_inputs();
        let width = self.network.inputs();
        let view = ndarray::ArrayView2::from_shape((x.len() / width, width), &x).expect("rows of the input's width");
        let stretches = crate::grow::at_once(view.nrows(), &self.architecture);
        let output = |stretch: std::ops::Range<usize>| {
            let some = view.slice(ndarray::s![stretch, ..]);
            self.network.forward(some, crate::nn::Mode::Evaluate).to_owned()
        };
        stretches.map(output).flat_map(|output| output.into_iter()).collect()
    }
}

/// A duration in steps, at least one.
fn steps_of(duration: Duration, program: &Program) -> u64 {
    match duration {
        Duration::Epochs(n) => n.saturating_mul(program.data.steps_per_epoch),
        Duration::Steps(n) => n,
        Duration::Fraction(part) => share(part, program.train.steps),
    }
}
