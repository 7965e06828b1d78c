//! `remove h2`: a layer goes, and what read it reads what it read.

use super::*;

pub struct Remove;

static DOC: Doc = Doc {
    word: "remove",
    help: "takes a layer out; the function stays only where the layer passed on what it read",
    args: &[
        Arg {
            name: "name",
            shape: Shape::Positional(Kind::Name),
            required: true,
            default: "",
            help: "the layer, or a whole residual block",
        },
        ACCEPT,
    ],
    one_of: &[],
    example: "remove h2 accept change",
    source: "",
};

impl Operator for Remove {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let layer = named(args, "name", before)?;
        let name = layer.name.clone();
        if before.layers.last().is_some_and(|last| last.id == layer.id) {
            return Err(Refusal::error(
                "G0206",
                format!("cannot remove `{name}`: it is the last layer, whose output is the network's"),
                "remove a layer before it",
            )
            .at("name")
            .here("the output layer"));
        }
        let (input, output) = (layer.input, layer.output);
        let mut after = before.clone();
        let rest = match before.position(&name) {
            Some(at) => {
                after.layers.remove(at);
                &mut after.layers[at..]
            }
            None => remove_inside(&name, before, &mut after)?,
        };
        let (from, to) = (before.width(input.axis), before.width(output.axis));
        // Behind a `when` widths are intervals: where they overlap, whether they are equal the run sees.
        let overlap = from.min <= to.max && to.min <= from.max;
        let same_width = input.axis == output.axis || overlap;
        let surely = input.axis == output.axis || (from.is_exact() && to.is_exact());
        let mut redrawn = Vec::new();
        let mut previous = input;
        for next in rest.iter_mut() {
            // Up to and including the first layer with weights, what flows is the removed layer's input.
            if next.input.area != previous.area && next.kind.doc().word != "dense" {
                return Err(Refusal::error(
                    "G0301",
                    format!("cannot remove `{name}`: `{}` behind it would read images of another size", next.name),
                    "remove a layer that keeps the image's size",
                )
                .at("name"));
            }
            if next.settings.pooling.is_some() {
                previous = next.output;
                continue;
            }
            let reads_anew = !same_width || next.input.area != previous.area;
            next.input.area = previous.area;
            if reads_anew && next.block.is_empty() {
                redrawn.push(next.name.clone());
            } else if reads_anew {
                redrawn.extend(next.settings.project.then(|| next.name.clone()));
                if let Some(first) = next.block.first_mut() {
                    first.input.area = previous.area;
                    redrawn.push(first.name.clone());
                }
            }
            break;
        }
        if input.axis != output.axis {
            let tied = rest.iter().any(|next| next.output.axis == output.axis && next.settings.pooling.is_none());
            if tied && !same_width {
                return Err(Refusal::error(
                    "G0302",
                    format!("removing `{name}` would leave the ends of a skip unequal: {from} and {to}"),
                    format!(
                        "`{} {name} to {}` first, or remove the block behind it too",
                        if from.max > to.max { "widen" } else { "narrow" },
                        from.max
                    ),
                )
                .at("name"));
            }
            reroute(rest, output.axis, input.axis);
        }
        if !redrawn.is_empty() && !args.has("accept") {
            return Err(Refusal::error(
                "G0401",
                format!("removing `{name}` changes the network's output: {} would read {from} values instead of {to} and is drawn afresh", listed(redrawn.iter().map(String::as_str))),
                format!("add `accept change` if that is meant: `remove {name} accept change`"),
            )
            .at("name")
            .here(format!("{to} wide, and it reads {from}"))
            .cause(name));
        }
        let mut warnings = maybe_absent([layer], "name");
        if redrawn.is_empty() && !args.has("accept") {
            let (message, help) = if surely {
                (
                    format!("removing `{name}` changes the network's output, unless it passes on what it reads"),
                    "the change is measured and recorded either way".to_string(),
                )
            } else {
                (
                    format!(
                        "removing `{name}` changes the network's output if it reads another width than it gives: {from} and {to}"
                    ),
                    "the run refuses it where they differ".to_string(),
                )
            };
            let help = format!("`remove {name} accept change` accepts that and silences this; {help}");
            warnings.push(Refusal::warning("G0401", message, help).at("name"));
        }
        let detail =
            if redrawn.is_empty() { name.clone() } else { format!("{name}, {} drawn afresh", redrawn.join(", ")) };
        let mut changes: Vec<Change> = std::iter::once(layer)
            .chain(&layer.block)
            .map(|gone| Change::Remove { layer: gone.name.clone() })
            .collect();
        changes.extend(redrawn.into_iter().map(|layer| Change::Redraw { layer }));
        let promise = (Promise::None, "what the layer did to its input is missing");
        let summary = Summary { action: "remove", target: name, method: "", detail };
        Ok(Plan { warnings, ..plan(after, changes, promise, summary) })
    }
}

/// Takes an inner layer out of its block and returns the layers of the block behind it.
fn remove_inside<'a>(
    name: &str,
    before: &Architecture,
    after: &'a mut Architecture,
) -> Result<&'a mut [Layer], Refusal> {
    let outer = before
        .layers
        .iter()
        .position(|layer| layer.block.iter().any(|inner| inner.name == name))
        .expect("a layer that is not at the top stands in a block");
    let block = &mut after.layers[outer].block;
    let at = block.iter().position(|inner| inner.name == name).expect("it was found in this block");
    let refuse = |message: String, help: String| {
        Err(Refusal::error("G0302", message, help).at("name").here("an end of the skip").cause(name))
    };
    let outer_name = &before.layers[outer].name;
    if block.len() == 1 {
        return refuse(
            format!("cannot remove `{name}`: it is all that the block `{outer_name}` holds"),
            format!("`remove {outer_name} accept change` takes the block out"),
        );
    }
    let gone = block.remove(at);
    if at == block.len() {
        // The block's end is tied to the skip, so the layer before it must write what the removed one wrote.
        if before.width(gone.input.axis) != before.width(gone.output.axis) || gone.input.area != gone.output.area {
            let (reads, gives) = (before.width(gone.input.axis), before.width(gone.output.axis));
            let before_it = &before.layers[outer].block[at - 1].name;
            let verb = if reads.max > gives.max { "narrow" } else { "widen" };
            return refuse(
                format!(
                    "removing `{name}` would leave the ends of the skip of `{outer_name}` unequal: {gives} and {reads}"
                ),
                if gone.input.area == gone.output.area {
                    format!(
                        "`{verb} {before_it} to {}` first, or take the block out: `remove {outer_name} accept change`",
                        gives.max
                    )
                } else {
                    format!("take the block out: `remove {outer_name} accept change`")
                },
            );
        }
        if let Some(last) = block.last_mut() {
            last.output = gone.output;
        }
    }
    Ok(&mut after.layers[outer].block[at..])
}
