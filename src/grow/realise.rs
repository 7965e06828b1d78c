//! From a plan to numbers, and from numbers to a changed network.

use super::norms::{self, Renorm};
use super::rewrite::{Fresh, Origin, Rewrite, begin_anew, native, surround};
use super::{Change, Measurements, Method, Plan, Rank, Recipe, gradmax, narrowing};
use crate::base::rng::{Purpose, Stream};
use crate::nn::architecture::Norm;
use crate::nn::network::fresh_parameter;
use crate::nn::{Architecture, AxisId, Dim, Layer, Parameter, Role, Side, Slot, SlotKind};
use crate::tensor::Real;
use ndarray::{ArrayD, IxDyn};

/// Where the random numbers of an event come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dice {
    pub seed: u64,
    /// Completed steps at the event.
    pub step: u64,
}

impl Dice {
    /// The numbers for one parameter or axis.
    pub fn stream(self, name: &str) -> Stream {
        Stream::new(self.seed, Purpose::Growth, name, self.step)
    }
}

/// One step of carrying out a plan, with every choice made.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// One axis, in every tensor that spans it.
    Rewrite(Rewrite),
    /// The parameters of a layer are made.
    Insert { layer: String, recipe: Recipe },
    /// Gives a parameter that was just made its values, row-major.
    Begin { parameter: String, values: Vec<f32> },
    /// The norm of a layer that had `old` units is rescaled.
    Renorm { renorm: Renorm, old: usize },
    /// The parameters of a layer go.
    Remove { layer: String },
    /// A layer gets its input in another form: the rewrite of the axis that it read, in its weight alone.
    Reread { layer: String, rewrite: Rewrite },
    /// The layer's bias takes over what is known of others: b += by.
    MoveBias { layer: String, by: Vec<f64> },
    /// The reader's bias takes back what is added to each of its inputs: b −= W·(by·1).
    ShiftBias { reader: String, by: f64 },
    /// The parameters of a layer begin anew.
    Redraw { layer: String },
    /// The kernel of a layer gets rings of zeros until it is `to` wide and high.
    Kernel { layer: String, from: usize, to: usize, zero_moments: bool },
    /// The parameters of `to` are made as copies of those of `from`, with the optimiser's state and the ages.
    Copy { from: String, to: String },
}

/// A plan with every choice made.
#[derive(Clone, Debug, PartialEq)]
pub struct Concrete {
    pub edits: Vec<Edit>,
    pub dice: Dice,
    /// What the plan could not foresee, in words for the user.
    pub notes: Vec<String>,
    /// Floating-point operations that the choices took beside the measuring.
    pub flops: u64,
}

/// The operations of the products by which `plan` chooses units after measuring so many examples. `before`: what it
/// was made for.
pub(super) fn products(plan: &Plan, before: &Architecture, measured: u64) -> u64 {
    let forward = |layer: &Layer| before.layer(&layer.name).map_or(0, |old| old.kind.forward_flops(old, before));
    let of = |change: &Change| match change {
        // ∂L/∂z·W at every layer that reads the axis.
        Change::Narrow { axis, rank: Rank::Gradient } => super::anatomy::weight_readers(*axis, &plan.after)
            .map(forward)
            .fold(0, u64::saturating_add)
            .saturating_mul(measured),
        Change::Widen { axis, method: Method::Gradmax, .. } => gradmax::products(*axis, plan, before, measured),
        _ => 0,
    };
    plan.changes.iter().map(of).fold(0, u64::saturating_add)
}

/// Makes every choice of `plan`: which unit is copied, with which share, which unit goes. `measurements` hold what
/// the plan says that it needs.
pub fn realise<T: Real>(plan: &Plan, parameters: &[Parameter<T>], measurements: &Measurements, dice: Dice) -> Concrete {
    let after = &plan.after;
    let stay = narrowing::stay(plan, parameters, measurements);
    let mut flops = stay.iter().fold(0, |sum: u64, stay| sum.saturating_add(stay.flops));
    let mut notes = Vec::new();
    // Biases take over before any axis changes: what was measured is as wide as the network was.
    let mut first: Vec<Edit> =
        stay.iter().flat_map(|stay| narrowing::compensations(stay, plan, parameters, measurements)).collect();
    let mut edits = Vec::new();
    for change in &plan.changes {
        match change {
            Change::Widen { axis, method, eps, fan_in, zero_moments } => {
                let (from, to) = (width(*axis, parameters), after.width(*axis).exact());
                let mut given = Vec::new();
                let origins = match method {
                    Method::Split => shares(from, to, after.axis(*axis).name.as_str(), dice),
                    Method::Mirror => kept(0..from).chain(pairs(from, to)).collect(),
                    Method::Pad | Method::Random => kept(0..from).chain((from..to).map(|_| Origin::Fresh)).collect(),
                    Method::Gradmax => {
                        let units = gradmax::units(*axis, *eps, plan, parameters, measurements);
                        first.extend(units.correction);
                        notes.extend(units.note);
                        flops = flops.saturating_add(units.flops);
                        given = units.given;
                        kept(0..from).chain(units.origins).collect()
                    }
                };
                let fresh = Fresh { eps: *eps, fan_in: *fan_in };
                edits.push(Edit::Rewrite(Rewrite {
                    fresh,
                    given,
                    zero_moments: *zero_moments,
                    ..Rewrite::new(*axis, origins)
                }));
            }
            Change::Narrow { axis, .. } => {
                let stay = stay.iter().find(|stay| stay.axis == *axis).expect("each narrowed axis was ranked");
                edits.push(Edit::Rewrite(Rewrite::new(*axis, kept(stay.units.iter().copied()).collect())));
            }
            Change::Insert { layer, recipe } => {
                edits.push(Edit::Insert { layer: layer.clone(), recipe: *recipe });
                let made = after.layer(layer).expect("a plan inserts into its architecture");
                let given = measurements.given().iter().filter(|(parameter, _)| layer_of(parameter) == layer);
                edits.extend(
                    given.map(|(parameter, values)| Edit::Begin {
                        parameter: parameter.clone(),
                        values: values.clone(),
                    }),
                );
                let readers = super::anatomy::weight_readers(made.output.axis, after).map(|reader| reader.name.clone());
                match *recipe {
                    Recipe::Shift { by } => edits.extend(readers.map(|reader| Edit::ShiftBias { reader, by })),
                    Recipe::Mirror { share } => {
                        let units = 0..width(made.input.axis, parameters);
                        let half = |share| units.clone().map(move |unit| Origin::Old { unit, share });
                        let rewrite = Rewrite {
                            // What the reader was told about t says nothing about φ(t) and φ(−t) apart.
                            zero_moments: true,
                            ..Rewrite::new(made.input.axis, half(share).chain(half(-share)).collect())
                        };
                        edits.extend(readers.map(|layer| Edit::Reread { layer, rewrite: rewrite.clone() }));
                    }
                    Recipe::Identity | Recipe::Gate | Recipe::Parametric | Recipe::Native => {}
                }
            }
            Change::Renorm { layer, silenced } => {
                let axis = after.layer(layer).expect("a widened layer stays").output.axis;
                let renorm = Renorm { layer: layer.clone(), silenced: silenced.clone() };
                edits.push(Edit::Renorm { renorm, old: width(axis, parameters) });
                if after.layer(layer).is_some_and(|layer| layer.settings.norm == Some(Norm::Layer)) {
                    notes.push(format!(
                        "the optimiser's state of `{layer}` is approximate: its layer norm sees other units now"
                    ));
                }
            }
            Change::Remove { layer } => edits.push(Edit::Remove { layer: layer.clone() }),
            Change::Redraw { layer } => edits.push(Edit::Redraw { layer: layer.clone() }),
            Change::Copy { from, to } => edits.push(Edit::Copy { from: from.clone(), to: to.clone() }),
            Change::Kernel { layer, from, zero_moments } => {
                let to = after.layer(layer).expect("a layer whose kernel grows stays").settings.kernel;
                edits.push(Edit::Kernel { layer: layer.clone(), from: *from, to, zero_moments: *zero_moments });
            }
        }
    }
    first.append(&mut edits);
    Concrete { edits: first, dice, notes, flops }
}

/// Carries out `concrete`. Afterwards the parameters are those of `after`, in its order, with its frozen marks.
/// Panics when they are not: then plan and rewrite disagree, which is a bug.
pub fn apply<T: Real>(concrete: Concrete, parameters: &mut Vec<Parameter<T>>, after: &Architecture) {
    let Concrete { edits, dice, .. } = concrete;
    let slots: Vec<SlotKind> = parameters
        .iter()
        .map(|p| p.slots.iter().map(|slot| slot.kind).collect())
        .max_by_key(Vec::len)
        .unwrap_or_default();
    for edit in edits {
        match edit {
            Edit::Rewrite(rewrite) => {
                for parameter in parameters.iter_mut() {
                    let layer = owner(&parameter.name, after);
                    rewrite.apply(parameter, layer, after, dice);
                }
            }
            Edit::Insert { layer, recipe } => {
                let layer = after.layer(&layer).expect("a plan inserts into its architecture");
                let last = layer.block.last().map(|last| last.id);
                for made in std::iter::once(layer).chain(&layer.block) {
                    for shape in made.kind.parameters(made, after) {
                        let mut parameter = fresh_parameter(made, shape, after, dice.seed);
                        match recipe {
                            Recipe::Gate if Some(made.id) == last => parameter.value.fill(T::ZERO),
                            _ => begin(&mut parameter, recipe),
                        }
                        if parameter.role.is_learned() {
                            let zeros = || ArrayD::from_elem(parameter.value.raw_dim(), T::ZERO);
                            parameter.slots = slots.iter().map(|&kind| Slot { kind, value: zeros() }).collect();
                        }
                        parameters.push(parameter);
                    }
                }
            }
            Edit::Begin { parameter, values } => {
                let made = parameters.iter_mut().find(|p| p.name == parameter).expect("it was inserted just before");
                assert_eq!(made.value.len(), values.len(), "given values have the shape of `{parameter}`");
                made.value.iter_mut().zip(values).for_each(|(value, given)| *value = T::from_f64(f64::from(given)));
            }
            Edit::Copy { from, to } => {
                let copies: Vec<Parameter<T>> = parameters
                    .iter()
                    .filter_map(|parameter| {
                        let (layer, rest) = parameter.name.split_once('.')?;
                        (layer == from).then(|| Parameter { name: format!("{to}.{rest}"), ..parameter.clone() })
                    })
                    .collect();
                parameters.extend(copies);
            }
            Edit::Reread { layer, rewrite } => {
                let reads = |p: &&mut Parameter<T>| {
                    layer_of(&p.name) == layer && p.dims.contains(&Dim::Feature(rewrite.axis, Side::Reads))
                };
                let layer = after.layer(&layer).expect("what reads an insertion stays");
                for parameter in parameters.iter_mut().filter(reads) {
                    // A layer that is a block's only one writes the axis that it reads, and writes as much as before.
                    let dims = parameter.dims.clone();
                    for dim in parameter.dims.iter_mut().filter(|dim| **dim == Dim::Feature(rewrite.axis, Side::Emits))
                    {
                        *dim = Dim::Fixed(after.width(layer.output.axis).exact());
                    }
                    rewrite.apply(parameter, layer, after, dice);
                    parameter.dims = dims;
                }
            }
            Edit::Renorm { renorm, old } => norms::renorm(&renorm, old, parameters, after, dice),
            Edit::Remove { layer } => parameters.retain(|parameter| layer_of(&parameter.name) != layer),
            Edit::MoveBias { layer, by } => {
                let name = format!("{layer}.bias");
                let bias = parameters.iter_mut().find(|p| p.name == name).expect("a layer whose bias moves has one");
                assert_eq!(bias.value.len(), by.len(), "`{name}` moves as a whole");
                // What is not moved keeps even the sign of its 0.
                for (b, by) in bias.value.iter_mut().zip(by).filter(|(_, by)| *by != 0.0) {
                    *b = T::from_f64(b.to_f64() + by);
                }
            }
            Edit::ShiftBias { reader, by } => shift_bias(&reader, by, parameters),
            Edit::Kernel { layer, to, zero_moments, .. } => {
                let is_kernel = |p: &&mut Parameter<T>| layer_of(&p.name) == layer && p.role == Role::Weight;
                let kernel = parameters.iter_mut().find(is_kernel).expect("a convolution has a kernel");
                surround(kernel, to);
                if zero_moments {
                    begin_anew(kernel);
                }
            }
            Edit::Redraw { layer } => {
                let layer = after.layer(&layer).expect("a plan redraws layers of its architecture");
                for parameter in parameters.iter_mut().filter(|p| layer_of(&p.name) == layer.name) {
                    redraw(parameter, layer, after, dice);
                }
            }
        }
    }
    settle(parameters, after);
}

/// `h1` of `h1.norm.weight`. Names of layers hold no dot.
fn layer_of(parameter: &str) -> &str {
    parameter.split_once('.').map_or(parameter, |(layer, _)| layer)
}

fn owner<'a>(parameter: &str, architecture: &'a Architecture) -> &'a Layer {
    let layer = layer_of(parameter);
    architecture.layer(layer).unwrap_or_else(|| panic!("`{parameter}` belongs to a layer of the architecture"))
}

fn kept(units: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Origin> {
    units.into_iter().map(|unit| Origin::Old { unit, share: 1.0 })
}

/// Units of an axis, as the tensors have it.
pub(super) fn width<T>(axis: AxisId, parameters: &[Parameter<T>]) -> usize {
    parameters
        .iter()
        .find_map(|parameter| parameter.dims_of(axis).next().map(|at| parameter.value.shape()[at]))
        .expect("a hidden axis is spanned by the weight that writes it")
}

/// New units in pairs that cancel: first the first of each pair, then their opposites. An odd one is left over at
/// the end; nobody listens to it.
fn pairs(from: usize, to: usize) -> impl Iterator<Item = Origin> {
    let half = (to - from) / 2;
    let odd = (to - from) % 2;
    let firsts = (0..half).map(|_| Origin::Fresh);
    firsts.chain((0..half).map(move |at| Origin::Opposite { of: from + at })).chain((0..odd).map(|_| Origin::Silent))
}

/// The old units, then copies in a drawn order, each unit as often as any other. The shares of one unit's copies
/// sum to 1 and are unequal: with equal shares the copies would get equal gradients and never separate.
/// Source: Chen et al. 2016 (Net2Net), there with equal shares and noise.
fn shares(from: usize, to: usize, axis: &str, dice: Dice) -> Vec<Origin> {
    let mut stream = dice.stream(axis);
    let order = stream.permutation(from);
    let copied: Vec<usize> = (0..from).chain((0..to - from).map(|at| order[at % from] as usize)).collect();
    let mut copies = vec![0usize; from];
    let number: Vec<usize> = copied
        .iter()
        .map(|&unit| {
            copies[unit] += 1;
            copies[unit] - 1
        })
        .collect();
    let mut draws = stream.row(1);
    let turns: Vec<usize> = copies.iter().map(|&copies| (draws.uniform() * copies as f64) as usize).collect();
    // Around 1, each copy of a unit in a part of its own with gaps between: drawn from one interval, two could be so
    // nearly equal that hundreds of steps would not separate them.
    let weights: Vec<f64> = copied
        .iter()
        .zip(&number)
        .map(|(&unit, number)| {
            let part = (number + turns[unit]) % copies[unit];
            0.75 + 0.5 * (part as f64 + 0.25 + 0.5 * draws.uniform()) / copies[unit] as f64
        })
        .collect();
    let mut sums = vec![0.0; from];
    for (&unit, weight) in copied.iter().zip(&weights) {
        sums[unit] += weight;
    }
    copied
        .iter()
        .zip(&weights)
        .map(|(&unit, weight)| Origin::Old { unit, share: if copies[unit] == 1 { 1.0 } else { weight / sums[unit] } })
        .collect()
}

/// The values with which an inserted layer begins; `parameter` is fresh.
fn begin<T: Real>(parameter: &mut Parameter<T>, recipe: Recipe) {
    if matches!(recipe, Recipe::Native | Recipe::Gate) {
        return;
    }
    match parameter.role {
        Role::Weight => {
            let shape = parameter.value.shape().to_vec();
            parameter.value.fill(T::ZERO);
            // The middle of a kernel passes each pixel on.
            let mut at: Vec<usize> = shape.iter().map(|extent| extent / 2).collect();
            for unit in 0..shape[0] {
                // The second half of a mirror is −I.
                (at[0], at[1]) = (unit, unit % shape[1]);
                parameter.value[at.as_slice()] = if unit < shape[1] { T::ONE } else { -T::ONE };
            }
        }
        Role::Bias => {
            if let Recipe::Shift { by } = recipe {
                parameter.value.fill(T::from_f64(by));
            }
        }
        _ => {}
    }
}

/// b −= c·W·1, and the moments as the gradients change: W now reads h + c, so ∂W gains c·∂b in every column.
/// First moments follow exactly; √v′ = √v_W + c·√v_b is an upper bound (docs/growth.md §7).
fn shift_bias<T: Real>(reader: &str, by: f64, parameters: &mut [Parameter<T>]) {
    let place = |suffix: &str| {
        let name = format!("{reader}.{suffix}");
        parameters.iter().position(|p| p.name == name).expect("a reader that can be shifted has a weight and a bias")
    };
    let (weight, bias) = (place("weight"), place("bias"));
    let [weight, bias] = parameters.get_disjoint_mut([weight, bias]).expect("weight and bias are two parameters");
    // What was added is the rounded constant, so that is what has to be taken back.
    let by = T::from_f64(by).to_f64();
    for (b, row) in bias.value.iter_mut().zip(weight.value.outer_iter()) {
        let sum = row.iter().fold(0.0, |sum, w| sum + w.to_f64());
        *b = T::from_f64(b.to_f64() - by * sum);
    }
    let plus = |into: &mut ArrayD<T>, from: &ArrayD<T>, second: bool| {
        for (mut row, b) in into.outer_iter_mut().zip(from.iter()) {
            row.mapv_inplace(|w| {
                T::from_f64(if second {
                    let root = w.to_f64().max(0.0).sqrt() + by * b.to_f64().max(0.0).sqrt();
                    root * root
                } else {
                    w.to_f64() + by * b.to_f64()
                })
            });
        }
    };
    plus(&mut weight.gradient, &bias.gradient, false);
    for (slot, from) in weight.slots.iter_mut().zip(&bias.slots) {
        plus(&mut slot.value, &from.value, slot.kind == SlotKind::SecondMoment);
    }
}

/// A parameter whose layer reads something else now: drawn as at the beginning of a run, without state.
fn redraw<T: Real>(parameter: &mut Parameter<T>, layer: &Layer, after: &Architecture, dice: Dice) {
    let shape = layer
        .kind
        .parameters(layer, after)
        .into_iter()
        .find(|shape| shape.name == parameter.name)
        .expect("a layer keeps its parameters when it is drawn afresh");
    let extents = shape.extents(after);
    let mut value = ArrayD::from_elem(IxDyn(&extents), T::ZERO);
    match parameter.role {
        Role::Weight => {
            let law = native(layer, &shape.dims, after);
            let mut stream = dice.stream(&parameter.name);
            let length: usize = extents[1..].iter().product();
            let mut drawn = vec![0.0; length];
            for (row, mut into) in value.outer_iter_mut().enumerate() {
                law.fill(&mut stream, row, 0, &mut drawn);
                into.iter_mut().zip(&drawn).for_each(|(into, draw)| *into = T::from_f64(*draw));
            }
        }
        Role::Gain | Role::RunningVariance => value.fill(T::ONE),
        Role::Bias | Role::RunningMean | Role::Blend => {}
    }
    parameter.gradient = ArrayD::from_elem(IxDyn(&extents), T::ZERO);
    for slot in &mut parameter.slots {
        slot.value = ArrayD::from_elem(IxDyn(&extents), T::ZERO);
    }
    parameter.births = extents.iter().map(|&extent| vec![parameter.updates; extent]).collect();
    parameter.value = value;
    begin_anew(parameter);
}

/// Brings the parameters into the architecture's order, with its axes and frozen marks, and checks every shape.
fn settle<T: Real>(parameters: &mut Vec<Parameter<T>>, after: &Architecture) {
    let mut names = after.names();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a plan gives every layer a name of its own: {names:?}");
    let mut given = std::mem::take(parameters);
    for layer in after.all_layers() {
        for shape in layer.kind.parameters(layer, after) {
            let name = &shape.name;
            let at = given.iter().position(|p| &p.name == name).unwrap_or_else(|| panic!("growth made no `{name}`"));
            let mut parameter = given.swap_remove(at);
            let extents = shape.extents(after);
            assert_eq!(parameter.value.shape(), extents, "`{name}` has the shape that was planned");
            assert_eq!(parameter.gradient.shape(), extents, "the gradient of `{name}` has its shape");
            for slot in &parameter.slots {
                assert_eq!(slot.value.shape(), extents, "every slot of `{name}` has its shape");
            }
            for (births, extent) in parameter.births.iter().zip(&extents) {
                assert_eq!(births.len(), *extent, "`{name}` knows the age of every index");
            }
            parameter.frozen = layer.frozen;
            parameter.dims = shape.dims;
            parameters.push(parameter);
        }
    }
    let left: Vec<&str> = given.iter().map(|parameter| parameter.name.as_str()).collect();
    assert!(left.is_empty(), "growth left {left:?} behind");
}
