//! `widen h2 to 256 eps 1e-3`: more units on an axis, in every tensor that spans it.

use super::*;
use crate::grow::gradmax::can_take_back;
use crate::grow::measurements::reads;
use crate::grow::norms::{self, couples_units};
use crate::grow::taps::Taps;
use crate::nn::architecture::{Init, Norm};
use crate::nn::layers::WIDTH_MAX;

pub struct Widen;

static DOC: Doc = Doc {
    word: "widen",
    help: "gives layers more units; by default the network's function stays as it is",
    args: &[
        TARGET,
        Arg {
            name: "to",
            shape: Shape::Keyword(&[Kind::Integer]),
            required: false,
            default: "",
            help: "the width afterwards",
        },
        Arg {
            name: "by",
            shape: Shape::Keyword(&[Kind::Either(&[Kind::Integer, Kind::Factor])]),
            required: false,
            default: "",
            help: "how many units more, or a factor such as 2x (rounded half-even)",
        },
        Arg {
            name: "kernel",
            shape: Shape::Keyword(&[Kind::Literal("to"), Kind::Integer]),
            required: false,
            default: "",
            help: "of a convolution: the kernel afterwards; rings of zeros are added",
        },
        Arg {
            name: "method",
            shape: Shape::Keyword(&[Kind::Word(|| Method::ALL.iter().map(|method| method.word()).collect())]),
            required: false,
            default: "pad",
            help: "pad: fresh units that nobody listens to yet; split: copies that share their output; \
                   mirror: pairs that cancel; gradmax: the units with the largest gradient; random: as a new layer",
        },
        Arg {
            name: "eps",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "0 for pad, 1 for mirror, gradmax and random",
            help: "scale of the fresh outgoing weights, relative to the reader's initialiser at its new fan-in; \
                   for gradmax to the mean of the old ones",
        },
        Arg {
            name: "fan_in",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "1",
            help: "scale of the fresh incoming weights, relative to their initialiser",
        },
        Arg {
            name: "moments",
            shape: Shape::Keyword(&[Kind::Word(|| vec!["carry", "zero"])]),
            required: false,
            default: "carry",
            help: "what becomes of the optimiser's state of the weights that were there",
        },
        Arg {
            name: "lr",
            shape: Shape::Keyword(&[Kind::Choice(&[("keep", &[]), ("rewarm", &[Kind::Duration]), ("rewind", &[])])]),
            required: false,
            default: "keep",
            help: "keep the learning rate, let it rise again from 0 over a time, or begin its schedule again",
        },
    ],
    one_of: &[&["to", "by", "kernel"]],
    example: "widen h2 to 256 eps 1e-3",
    source: "Chen et al. 2016 (Net2Net) for split; Evci et al. 2022 for gradmax",
};

impl Operator for Widen {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let target = args.target("target").unwrap_or(&Target::All);
        if args.has("kernel") {
            return kernel::plan(args, target, before);
        }
        let manner = Manner::read(args)?;
        let layers = selected(target, before)?;
        let axes = hidden_axes("widen", target, &layers, before)?;
        let mut warnings = maybe_absent(layers, "target");
        let mut after = before.clone();
        let mut changes = Vec::new();
        // Norms last: what they average and rescale has all its columns then.
        let mut renorms = Vec::new();
        let mut detail = String::new();
        let mut promise = (Promise::Bitwise, "");
        let mut skipped = Vec::new();
        for &(axis, name) in &axes {
            let from = before.width(axis);
            let Some(to) = new_width(args, axis, name, before)? else {
                skipped.push((axis, name));
                continue;
            };
            if args.integer("to").is_some_and(|to| from.max as u64 >= to) {
                warnings.push(
                    Refusal::warning(
                        "G0201",
                        format!("`{name}` may already be at least {} wide here: it is {from}", to.min),
                        "a `when` before this may have widened it; put both into one block, or use a larger size",
                    )
                    .at("to")
                    .here("perhaps not larger")
                    .cause(name),
                );
            }
            can_learn(&manner, args, axis, name, before, &mut warnings)?;
            let added = to.min - from.min;
            let repeats = from.is_exact() && to.is_exact() && to.min.is_multiple_of(from.min);
            let held = manner.promise(axis, name, (added, repeats), before, &mut warnings)?;
            if changes.is_empty() || held.0 < promise.0 {
                promise = held;
            }
            after.set_width(axis, to);
            changes.push(manner.change(axis, from, to, &mut after, &mut renorms));
            if !detail.is_empty() {
                detail.push_str(", ");
            }
            detail.push_str(&tied(axis, name, before));
            detail.push(' ');
            detail.push_str(&arrow(from, to));
        }
        if changes.is_empty() {
            return Err(nothing_to_do(args, target, &axes, before));
        }
        changes.extend(renorms);
        for (axis, name) in skipped {
            let width = before.width(axis);
            if args.integer("to").is_some_and(|to| width.max as u64 > to) {
                warnings.push(
                    Refusal::warning(
                        "G0201",
                        format!("`{name}` stays {width} wide: that is more already"),
                        format!("leave `{name}` out, or use `narrow` to prune it"),
                    )
                    .at("to")
                    .cause(name),
                );
            }
        }
        affordable(&after, if args.has("to") { "to" } else { "by" })?;
        let summary = Summary { action: "widen", target: written(target), method: manner.method.word(), detail };
        let needs = if manner.method == Method::Gradmax { Needs::Gradients } else { Needs::Nothing };
        Ok(Plan { needs, lr: lr_policy(args), warnings, ..plan(after, changes, promise, summary) })
    }
}

/// How fresh units are made, as the phrase says.
struct Manner {
    method: Method,
    eps: f64,
    fan_in: f64,
    zero_moments: bool,
    /// Whether `eps` is written.
    says_eps: bool,
}

impl Manner {
    fn read(args: &Args) -> Result<Manner, Refusal> {
        let word = args.word("method").unwrap_or("pad");
        let method = Method::ALL.into_iter().find(|method| method.word() == word).unwrap_or(Method::Pad);
        for name in ["eps", "fan_in"] {
            let Some(value) = args.number(name) else { continue };
            if method == Method::Split {
                return Err(bad_value(
                    name,
                    format!("`{name}` says nothing with `method split`: copies take the weights of their originals"),
                    format!(
                        "leave it out, `{}`, or use `{}`",
                        args.phrase(&["eps", "fan_in"], &[]),
                        args.phrase(&[], &[("method", Value::Word("pad".into()))])
                    ),
                )
                .here("not with split"));
            }
            if !(0.0..=1e6).contains(&value) {
                return Err(bad_value(
                    name,
                    format!("`{name} {value}` is no scale of fresh weights"),
                    "use a number from 0 up, such as `1e-3`",
                ));
            }
        }
        if method == Method::Gradmax && args.has("fan_in") {
            return Err(bad_value(
                "fan_in",
                "`fan_in` says nothing with `method gradmax`: fresh incoming weights follow from the gradient",
                format!("`eps` scales the outgoing ones; without `fan_in`: `{}`", args.phrase(&["fan_in"], &[])),
            )
            .here("not with gradmax"));
        }
        let default_eps = if matches!(method, Method::Pad | Method::Split) { 0.0 } else { 1.0 };
        let eps = args.number("eps").unwrap_or(default_eps);
        if method == Method::Mirror && eps == 0.0 {
            return Err(Refusal::error(
                "G0207",
                "`eps 0` cannot be with `method mirror`: the units of a pair would never separate",
                format!(
                    "leave `eps` out (it is 1 for `mirror`), `{}`, or use `{}`",
                    args.phrase(&["eps"], &[]),
                    args.phrase(&[], &[("method", Value::Word("pad".into()))])
                ),
            )
            .at("eps")
            .here("pairs stay equal forever"));
        }
        if method == Method::Gradmax && eps == 0.0 {
            return Err(Refusal::error(
                "G0207",
                "`eps 0` cannot be with `method gradmax`: what it looks for is seen through the outgoing weights alone",
                format!(
                    "leave `eps` out (it is 1 for `gradmax`), `{}`, or use `{}`",
                    args.phrase(&["eps"], &[]),
                    args.phrase(&[], &[("method", Value::Word("pad".into()))])
                ),
            )
            .at("eps")
            .here("no gradient would come through"));
        }
        let zero_moments = args.word("moments") == Some("zero");
        let says_eps = args.has("eps");
        Ok(Manner { method, eps, fan_in: args.number("fan_in").unwrap_or(1.0), zero_moments, says_eps })
    }

    /// The changes for one axis, whose width `after` has already.
    fn change(
        &self,
        axis: AxisId,
        from: Width,
        to: Width,
        after: &mut Architecture,
        renorms: &mut Vec<Change>,
    ) -> Change {
        let Manner { method, mut eps, fan_in, zero_moments, says_eps } = *self;
        let writers: Vec<&Layer> = weight_writers(axis, after).collect();
        let coupled: Vec<String> =
            writers.iter().filter(|layer| couples_units(layer)).map(|layer| layer.name.clone()).collect();
        if method != Method::Pad || coupled.is_empty() {
            return Change::Widen { axis, method, eps, fan_in, zero_moments };
        }
        // Mean-valued units say the same for every example, so a bias can take it back.
        let readers: Vec<&Layer> = weight_readers(axis, after).collect();
        let constant = writers.len() == 1 && writers[0].settings.norm == Some(Norm::Layer);
        let mut silenced = Vec::new();
        if constant && !says_eps && readers.iter().all(|layer| layer.settings.bias && layer.block.is_empty()) {
            eps = 1.0;
            silenced = readers.iter().map(|layer| layer.name.clone()).collect();
        }
        for layer in coupled {
            let settings = &mut after.layer_mut(&layer).expect("it was just found").settings;
            settings.norm_epsilon = norms::epsilon(settings.norm_epsilon, from.min, to.min);
            renorms.push(Change::Renorm { layer, silenced: std::mem::take(&mut silenced) });
        }
        Change::Widen { axis, method, eps, fan_in, zero_moments }
    }

    /// What widening one axis by at least `added` units promises, and why. `repeats`: whether the new width is a
    /// multiple of the old one.
    fn promise(
        &self,
        axis: AxisId,
        name: &str,
        (added, repeats): (usize, bool),
        before: &Architecture,
        warnings: &mut Vec<Refusal>,
    ) -> Result<(Promise, &'static str), Refusal> {
        let mut writers = weight_writers(axis, before);
        let has = |norm| weight_writers(axis, before).any(|layer| layer.settings.norm == Some(norm));
        // Where several layers write the axis, what promises least comes first.
        let norm = [Norm::Rms, Norm::Layer].into_iter().find(|norm| has(*norm));
        let padded = |rest: usize, warnings: &mut Vec<Refusal>| {
            let makes = if rest < added { added - rest } else { added + rest };
            warnings.push(
                Refusal::warning(
                    "G0208",
                    format!(
                        "`{}` cannot make all {added} units of `{name}`; {rest} of them are `pad` units",
                        self.method.word()
                    ),
                    format!("`widen {name} by {makes} method {}` makes them all alike", self.method.word()),
                )
                .at("method"),
            );
        };
        Ok(match (self.method, norm) {
            (Method::Random, _) => (Promise::None, "fresh units speak at once, at the scale of a new layer"),
            (Method::Split, None) => (Promise::Rounding, "the shares of a unit's copies sum to 1"),
            (Method::Mirror, None) => {
                if added % 2 == 1 {
                    padded(1, warnings);
                }
                (Promise::Rounding, "the two units of a pair cancel")
            }
            (Method::Split, Some(_)) if repeats => {
                (Promise::Rounding, "every unit is repeated equally often, which leaves mean and deviation as they are")
            }
            (Method::Split | Method::Mirror, Some(_)) => {
                (Promise::None, "a norm over the whole layer sees the fresh units")
            }
            (Method::Gradmax, _) => {
                let (writer, reader) = measurable(axis, name, before)?;
                let told = before.width(reader.output.axis).max.saturating_mul(Taps::of(reader).count());
                let rank = told.min(reads(writer, before));
                if added > rank {
                    padded(added - rank, warnings);
                }
                let activation = writer.settings.activation;
                if activation == Activation::Relu {
                    (Promise::Bounded, "fresh incoming weights are a thousandth of the old ones")
                } else if zero_at_zero(activation) {
                    (
                        Promise::Bitwise,
                        "fresh incoming weights are 0, so the units give 0, and they come last in every sum",
                    )
                } else if can_take_back(reader) {
                    (
                        Promise::Rounding,
                        "fresh incoming weights are 0, and the reader's bias takes back what that gives",
                    )
                } else if reader.settings.bias {
                    (
                        Promise::Bounded,
                        "fresh incoming weights are 0, but what that gives ends at the border of the image",
                    )
                } else {
                    (Promise::Bounded, "fresh incoming weights are 0, but no bias takes back what that gives")
                }
            }
            (Method::Pad, Some(Norm::Rms))
                if self.fan_in == 0.0
                    && !has(Norm::Layer)
                    && writers.all(|layer| zero_at_zero(layer.settings.activation)) =>
            {
                (Promise::Rounding, "fresh units give 0, and the root mean square is rescaled to the new width")
            }
            (Method::Pad, Some(Norm::Rms)) => (Promise::Bounded, "the root mean square is rescaled to the new width"),
            (Method::Pad, Some(_)) if self.eps == 0.0 => {
                (Promise::Rounding, "fresh coordinates equal the mean, and the gain is rescaled")
            }
            (Method::Pad, _) if self.eps == 0.0 => {
                (Promise::Bitwise, "fresh outgoing weights are 0, and they come last in every sum")
            }
            (Method::Pad, None)
                if self.fan_in == 0.0
                    // The statistics of a fresh batch norm leave 0 where it is.
                    && writers.all(|layer| zero_at_zero(layer.settings.activation)) =>
            {
                (Promise::Bitwise, "fresh units give 0, and they come last in every sum")
            }
            (Method::Pad, _) => (Promise::Bounded, "fresh outgoing weights are eps times their initialiser"),
        })
    }
}

/// The one writer and the one reader between which gradmax makes units of an axis.
fn measurable<'a>(axis: AxisId, name: &str, before: &'a Architecture) -> Result<(&'a Layer, &'a Layer), Refusal> {
    let refuse = |cause: &str| {
        Err(Refusal::error(
            "G0208",
            format!("`method gradmax` cannot make units of `{name}`: {cause}"),
            "use `method pad` or `method split`",
        )
        .at("method"))
    };
    let writers: Vec<&Layer> = weight_writers(axis, before).collect();
    let readers: Vec<&Layer> = weight_readers(axis, before).collect();
    let between = before
        .all_layers()
        .any(|layer| layer.input.axis == axis && layer.input.area.is_some() && layer.output.area.is_none())
        || before.all_layers().any(|layer| layer.input.axis == axis && layer.settings.pooling.is_some());
    if between || writers.iter().any(|layer| layer.settings.norm.is_some()) {
        return refuse("a norm, a pool or a flatten stands between them and their reader");
    }
    if writers.iter().any(|layer| layer.settings.parametric) {
        return refuse("the activation before it changes its form while it learns");
    }
    match (writers.as_slice(), readers.as_slice()) {
        ([writer], [reader]) => Ok((writer, reader)),
        _ => refuse("more than one layer writes or reads them, and their gradients do not make up one matrix"),
    }
}

/// Whether f(0) = 0.
fn zero_at_zero(activation: Activation) -> bool {
    !matches!(activation, Activation::Sigmoid | Activation::Softplus)
}

/// The width after the phrase, as an interval where it is one before; `None` when it surely stays.
fn new_width(args: &Args, axis: AxisId, name: &str, before: &Architecture) -> Result<Option<Width>, Refusal> {
    let from = before.width(axis);
    let argument = if args.has("to") { "to" } else { "by" };
    let grown = |width: usize| -> u64 {
        match (args.integer("to"), args.factor("by"), args.integer("by")) {
            (Some(to), _, _) => to.max(width as u64),
            (None, Some(factor), _) => (width as f64 * factor).round_ties_even().max(0.0) as u64,
            (None, None, more) => (width as u64).saturating_add(more.unwrap_or(0)),
        }
    };
    let (min, max) = (grown(from.min), grown(from.max));
    if max > WIDTH_MAX {
        return Err(Refusal::error(
            "G0601",
            format!("cannot widen `{name}` to {max}: more units than any machine holds"),
            format!("the largest width is {WIDTH_MAX}"),
        )
        .at(argument)
        .here("too many"));
    }
    if min <= from.min as u64 {
        return Ok(None);
    }
    let to_usize = |n: u64| usize::try_from(n).expect("checked against WIDTH_MAX");
    Ok(Some(Width { min: to_usize(min), max: to_usize(max) }))
}

/// G0201 when no axis of the target grows.
fn nothing_to_do(args: &Args, target: &Target, axes: &[(AxisId, &str)], before: &Architecture) -> Refusal {
    let what = written(target);
    let argument = if args.has("to") { "to" } else { "by" };
    let (axis, name) = &axes[0];
    let width = before.width(*axis);
    match (args.integer("to"), args.factor("by"), axes) {
        (Some(to), _, [_]) => {
            let smaller = (width.min as u64) > to;
            Refusal::error(
                "G0201",
                format!("cannot widen `{what}` to {to}: it is already {width} wide here"),
                if smaller && to > 0 {
                    format!("use `narrow {what} to {to}` to prune, or a size above {}", width.max)
                } else {
                    format!("use a size above {}", width.max)
                },
            )
            .here(if smaller { format!("smaller than {width}") } else { "the width that it has".into() })
        }
        (Some(to), ..) => {
            let largest = axes.iter().map(|(axis, _)| before.width(*axis).max).max().unwrap_or(0);
            Refusal::error(
                "G0201",
                format!("cannot widen `{what}` to {to}: every layer in it is already at least that wide here"),
                format!("use a size above {largest} to widen all of them"),
            )
            .here("no layer grows")
        }
        (None, Some(factor), _) => Refusal::error(
            "G0201",
            format!("widening `{what}` by {factor}x adds no unit"),
            if factor < 1.0 {
                format!("use `narrow {what} to N` to prune")
            } else {
                "use a larger factor, such as `2x`".into()
            },
        )
        .here("no layer grows"),
        (None, None, _) => Refusal::error("G0201", format!("widening `{what}` by 0 adds no unit"), "use 1 or more")
            .here("no layer grows"),
    }
    .at(argument)
    .cause(*name)
}

/// G0207 when the fresh units of an axis would stay without effect or all alike forever.
fn can_learn(
    manner: &Manner,
    args: &Args,
    axis: AxisId,
    name: &str,
    before: &Architecture,
    warnings: &mut Vec<Refusal>,
) -> Result<(), Refusal> {
    let surely_frozen = |layer: &Layer| layer.frozen && layer.presence == Presence::Certain;
    let readers: Vec<&Layer> = weight_readers(axis, before).collect();
    let writers: Vec<&Layer> = weight_writers(axis, before).collect();
    let eps_or_target = if args.has("eps") { "eps" } else { "target" };
    let drawn = matches!(manner.method, Method::Pad | Method::Random | Method::Mirror);
    let silent_out =
        drawn && (manner.eps == 0.0 || readers.iter().all(|layer| layer.settings.init == Some(Init::Zero)));
    let silent_in =
        drawn && (manner.fan_in == 0.0 || writers.iter().all(|layer| layer.settings.init == Some(Init::Zero)));
    let fan_in_or_target = if args.has("fan_in") { "fan_in" } else { "target" };
    if silent_out && silent_in {
        return Err(Refusal::error(
            "G0207",
            format!("fresh units of `{name}` can never learn: their incoming and their outgoing weights are both 0"),
            "give `fan_in` or `eps` a value above 0, such as `eps 1e-3`",
        )
        .at(fan_in_or_target)
        .here("both sides are 0"));
    }
    if silent_in && writers.iter().all(|layer| layer.settings.activation == Activation::Relu) {
        return Err(Refusal::error(
            "G0207",
            format!("fresh units of `{name}` can never learn: relu gives 0 at 0, and its slope there is 0 too"),
            "give `fan_in` a value above 0; to keep the function, leave `eps` at 0 instead",
        )
        .at(fan_in_or_target)
        .here("dead units"));
    }
    let frozen_readers = !readers.is_empty() && readers.iter().all(|layer| surely_frozen(layer));
    if silent_out && frozen_readers {
        let reader = &readers[0].name;
        return Err(Refusal::error(
            "G0207",
            format!("fresh units of `{name}` can never learn: `{reader}`, which reads them, is frozen, and its weights for them are 0"),
            format!(
                "`unfreeze {reader}` first, or give them a voice: `{}`",
                args.phrase(&[], &[("eps", Value::Number(1e-2))])
            ),
        )
        .at(eps_or_target)
        .here("read by a frozen layer")
        .cause(format!("{reader}.frozen")));
    }
    if frozen_readers && writers.iter().all(|layer| surely_frozen(layer)) {
        warnings.push(
            Refusal::warning(
                "G0207",
                format!("fresh units of `{name}` do not learn while both sides of them are frozen"),
                format!("`unfreeze {name}` or `unfreeze {}` later", readers[0].name),
            )
            .at("target")
            .cause(name),
        );
    }
    Ok(())
}
