//! `freeze h1`: its parameters, norm statistics and ages stand still.

use super::*;

pub struct Freeze;

static DOC: Doc = Doc {
    word: "freeze",
    help: "stops the learning of layers; their norm statistics and ages stand still too",
    args: &[Arg { help: "a layer, a range `h1..h3`, or `all`: every layer but the last", ..TARGET }],
    one_of: &[],
    example: "freeze h1",
    source: "",
};

impl Operator for Freeze {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        set_frozen("freeze", true, args, before)
    }
}

/// What `freeze` and `unfreeze` share.
pub(super) fn set_frozen(
    action: &'static str,
    frozen: bool,
    args: &Args,
    before: &Architecture,
) -> Result<Plan, Refusal> {
    let target = args.target("target").unwrap_or(&Target::All);
    let mut layers: Vec<&Layer> = Vec::new();
    for layer in selected(target, before)? {
        // The name of a block means what is in it too.
        for layer in std::iter::once(layer).chain(&layer.block) {
            if !layers.iter().any(|known| known.id == layer.id) {
                layers.push(layer);
            }
        }
    }
    let is_last = |layer: &Layer| {
        let last = before.layers.last();
        last.is_some_and(|last| last.id == layer.id || last.block.iter().any(|inner| inner.id == layer.id))
    };
    let chosen: Vec<_> =
        layers.into_iter().filter(|layer| !(frozen && *target == Target::All && is_last(layer))).collect();
    let mut warnings = maybe_absent(chosen.iter().copied(), "target");
    let mut after = before.clone();
    for layer in &chosen {
        after.layer_mut(&layer.name).expect("it stands in the architecture that was cloned").frozen = frozen;
    }
    if frozen && after.all_layers().all(|layer| layer.frozen || layer.kind.parameters(layer, &after).is_empty()) {
        warnings.push(
            Refusal::warning("G0207", "every layer is frozen: nothing learns from here", "leave one layer unfrozen")
                .at("target"),
        );
    }
    let detail = chosen.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", ");
    let summary = Summary { action, target: written(target), method: "", detail };
    let freezes = Some((frozen, chosen.iter().map(|layer| layer.name.clone()).collect()));
    Ok(Plan { freezes, warnings, ..plan(after, Vec::new(), (Promise::Bitwise, "no number changes"), summary) })
}
