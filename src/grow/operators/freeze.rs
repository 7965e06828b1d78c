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
    let last = before.layers.last().map(|layer| layer.id);
    let mut layers = selected(target, before)?;
    if let [block] = layers.as_slice() {
        // The name of a block means what is in it too.
        layers.extend(block.block.iter().collect::<Vec<_>>());
    }
    let chosen: Vec<_> =
        layers.into_iter().filter(|layer| !(frozen && *target == Target::All && Some(layer.id) == last)).collect();
    let mut warnings = maybe_absent(chosen.iter().copied(), "target");
    let mut after = before.clone();
    for layer in &chosen {
        after.layer_mut(&layer.name).expect("it stands in the architecture that was cloned").frozen = frozen;
    }
    if frozen && after.all_layers().all(|layer| layer.frozen || layer.settings.pooling.is_some()) {
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
