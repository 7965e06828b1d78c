//! `duplicate h2 as h3`: a layer once more, behind itself, with the same weights and moments.

use super::*;

pub struct Duplicate;

static DOC: Doc = Doc {
    word: "duplicate",
    help: "puts a copy of a layer behind itself, weights and optimiser state included; the function changes",
    args: &[
        Arg {
            name: "name",
            shape: Shape::Positional(Kind::Name),
            required: true,
            default: "",
            help: "a layer as wide as what it reads, or a residual block",
        },
        Arg { required: true, default: "", help: "what the copy is called", ..AS },
    ],
    one_of: &[],
    example: "duplicate h2 as h3",
    source: "Gong et al. 2019 (Progressive Stacking)",
};

impl Operator for Duplicate {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let layer = named(args, "name", before)?;
        let new = args.name("as").unwrap_or_default();
        free_name(new, before)?;
        let mut after = before.clone();
        let mut changes = Vec::new();
        repeat(layer, new, &mut after, &mut changes).map_err(|refusal| refusal.at("name"))?;
        affordable(&after, "name")?;
        let summary = Summary {
            action: "duplicate",
            target: layer.name.clone(),
            method: "",
            detail: format!("{new}, a copy of {}", layer.name),
        };
        let warnings = maybe_absent([layer], "name");
        let promise = (Promise::None, "what the layer does is done twice");
        Ok(Plan { warnings, ..plan(after, changes, promise, summary) })
    }
}

/// Puts a copy of `layer` called `new` behind the layer of that name, and says which parameters to copy.
pub(super) fn repeat(
    layer: &Layer,
    new: &str,
    after: &mut Architecture,
    changes: &mut Vec<Change>,
) -> Result<(), Refusal> {
    let place = match after.position(&layer.name) {
        Some(at) if at + 1 == after.layers.len() => {
            return Err(Refusal::error(
                "G0206",
                format!("nothing can stand after `{}`: it is the last layer", layer.name),
                format!("repeat a layer before it; `insert identity before {}` adds one", layer.name),
            ));
        }
        Some(at) => Place::Top(at + 1),
        None => Place::beside(&layer.name, true, after)?,
    };
    if layer.settings.pooling.is_some() {
        return Err(Refusal::error(
            "G0302",
            format!("`{}` is a pool, which has no weights to be copied", layer.name),
            format!("only a layer with weights can be repeated; `insert identity after {}` adds one", layer.name),
        ));
    }
    let (reads, gives) = (shown(layer.input, after), shown(layer.output, after));
    if reads != gives {
        let same = if layer.output.area.is_some() { "of the shape of" } else { "as wide as" };
        return Err(Refusal::error(
            "G0302",
            format!("`{}` cannot follow itself: it reads {reads} and gives {gives}", layer.name),
            format!(
                "only a layer {same} what it reads can be repeated; `insert identity after {}` adds one that is",
                layer.name
            ),
        ));
    }
    if matches!(place, Place::Block(top, at) if at == after.layers[top].block.len()) {
        return Err(Refusal::error(
            "G0302",
            format!("`{}` ends its block, where the skip is tied to it", layer.name),
            "repeat a layer before it, or the whole block",
        ));
    }
    let mut copy = Layer { id: after.next_layer_id(), name: new.into(), input: layer.output, ..layer.clone() };
    changes.push(Change::Copy { from: layer.name.clone(), to: new.into() });
    if layer.input.axis != layer.output.axis {
        copy.output.axis = after.add_axis(new, after.width(layer.output.axis));
    }
    // Axes inside a block belong to the copy alone; those of its ends follow the block's own.
    let mut renamed = vec![(layer.input.axis, copy.input.axis), (layer.output.axis, copy.output.axis)];
    for at in 0..copy.block.len() {
        let inner = layer.block[at].clone();
        let free = |name: &String| {
            after.layer(name).is_none() && name != new && copy.block[..at].iter().all(|made| made.name != *name)
        };
        let mut names = (2..).map(|number| format!("{}_{number}", inner.name));
        let name = names.find(free).expect("numbers do not run out");
        changes.push(Change::Copy { from: inner.name.clone(), to: name.clone() });
        let output = match renamed.iter().find(|(old, _)| *old == inner.output.axis) {
            Some((_, known)) => *known,
            None => {
                let own = after.add_axis(&name, after.width(inner.output.axis));
                renamed.push((inner.output.axis, own));
                own
            }
        };
        let input =
            renamed.iter().find(|(old, _)| *old == inner.input.axis).map_or(inner.input.axis, |(_, axis)| *axis);
        let id = after.next_layer_id();
        let made = &mut copy.block[at];
        (made.id, made.name, made.input.axis, made.output.axis) = (id, name, input, output);
    }
    place.insert(copy, after);
    Ok(())
}
