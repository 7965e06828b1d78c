//! `narrow h2 to 64`: the units that matter least go, from every tensor that spans the axis.

use super::*;

pub struct Narrow;

static DOC: Doc = Doc {
    word: "narrow",
    help: "prunes layers to fewer units, those of the lowest rank first; their mean goes into the bias that reads them",
    args: &[
        TARGET,
        Arg {
            name: "to",
            shape: Shape::Keyword(&[Kind::Integer]),
            required: true,
            default: "",
            help: "the width afterwards",
        },
        Arg {
            name: "rank",
            shape: Shape::Keyword(&[Kind::Word(|| vec!["magnitude", "gradient"])]),
            required: false,
            default: "magnitude",
            help: "magnitude: norm of a unit's incoming weights times norm of its outgoing ones; \
                   gradient: |gradient · activation| on training data",
        },
    ],
    one_of: &[],
    example: "narrow h2 to 64",
    source: "Molchanov et al. 2017 for rank gradient",
};

impl Operator for Narrow {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let target = args.target("target").unwrap_or(&Target::All);
        let to = args.integer("to").unwrap_or(1);
        let what = written(target);
        if to == 0 {
            return Err(Refusal::error(
                "G0301",
                format!("cannot narrow `{what}` to 0: a layer needs at least one unit"),
                match target {
                    Target::One(name) => {
                        format!("`narrow {name} to 1` keeps one; `remove {name} accept change` takes the layer out")
                    }
                    _ => format!("`narrow {what} to 1` keeps one; `remove` takes a layer out"),
                },
            )
            .at("to"));
        }
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        let rank = if args.word("rank") == Some("gradient") { Rank::Gradient } else { Rank::Magnitude };
        let layers = selected(target, before)?;
        let axes = hidden_axes("narrow", target, &layers, before)?;
        let mut warnings = maybe_absent(layers, "target");
        let mut after = before.clone();
        let mut changes = Vec::new();
        let mut details = Vec::new();
        for (axis, name) in &axes {
            let from = before.width(*axis);
            if from.max <= to {
                continue;
            }
            if from.min <= to {
                warnings.push(
                    Refusal::warning(
                        "G0201",
                        format!("`{name}` may already be at most {to} wide here: it is {from}"),
                        "a `when` before this may not have widened it; put both into one block",
                    )
                    .at("to")
                    .cause(*name),
                );
            }
            let width = Width { min: from.min.min(to), max: to };
            after.set_width(*axis, width);
            changes.push(Change::Narrow { axis: *axis, rank });
            details.push(format!("{} {}", tied(*axis, name, before), arrow(from, width)));
        }
        if changes.is_empty() {
            let (axis, name) = &axes[0];
            let width = before.width(*axis);
            return Err(Refusal::error(
                "G0201",
                if axes.len() == 1 {
                    format!("cannot narrow `{what}` to {to}: it is already {width} wide here")
                } else {
                    format!("cannot narrow `{what}` to {to}: no layer in it is wider than that here")
                },
                if width.max == to {
                    format!("use a size below {to}")
                } else {
                    format!("use `widen {what} to {to}` to grow, or a size below {}", width.min)
                },
            )
            .at("to")
            .here(if width.max == to { "the width that it has".into() } else { format!("larger than {width}") })
            .cause(*name));
        }
        let promise = (Promise::None, "what the removed units gave is missing, but for its mean where a bias reads it");
        let needs = if rank == Rank::Gradient { Needs::Gradients } else { Needs::Activations };
        let method = if rank == Rank::Gradient { "gradient" } else { "magnitude" };
        let summary = Summary { action: "narrow", target: what, method, detail: details.join(", ") };
        Ok(Plan { needs, warnings, ..plan(after, changes, promise, summary) })
    }
}
