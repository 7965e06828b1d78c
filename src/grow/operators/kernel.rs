//! `widen c1 kernel to 5`: rings of zeros around a convolution's kernel. A form of `widen` that changes no axis.

use super::*;
use crate::nn::architecture::Padding;
use crate::nn::layers::{PIXELS_MAX, largest_kernel};

/// The plan for `args`, which name a kernel.
pub(super) fn plan(args: &Args, target: &Target, before: &Architecture) -> Result<Plan, Refusal> {
    for name in ["method", "eps", "fan_in"] {
        if args.has(name) {
            return Err(bad_value(
                name,
                format!("`{name}` says nothing about a kernel: what is added to it is 0"),
                format!("leave `{name}` out"),
            ));
        }
    }
    let to = args.integer("kernel").unwrap_or(1);
    let zero_moments = args.word("moments") == Some("zero");
    let layers = selected(target, before)?;
    let mut warnings = maybe_absent(layers.iter().copied(), "target");
    let mut after = before.clone();
    let mut changes = Vec::new();
    let mut details = Vec::new();
    // The first that is as large already.
    let mut large: Option<&Layer> = None;
    for layer in layers {
        let from = layer.settings.kernel;
        if layer.kind.doc().word != "conv" {
            if matches!(target, Target::One(_)) {
                let message = format!("`{}` has no kernel: it is no convolution", layer.name);
                return Err(Refusal::error("G0301", message, "name a `conv` layer").at("kernel"));
            }
            continue;
        }
        let kernel_of = format!("{}.kernel", layer.name);
        if to <= from as u64 {
            large = large.or(Some(layer));
            continue;
        }
        let help = if layer.settings.padding == Padding::Valid {
            Some("without padding the image would shrink with it: give the layer `pad same` from the start".into())
        } else if from.is_multiple_of(2) {
            Some("rings of zeros go around a middle, which an even kernel does not have: begin with an odd one".into())
        } else if to > PIXELS_MAX as u64 {
            Some(format!("the largest kernel has {PIXELS_MAX} rows"))
        } else if to.is_multiple_of(2) {
            let larger = if to > from as u64 + 1 { format!("`{}` or ", to - 1) } else { String::new() };
            Some(format!("rings of zeros go around its middle: use {larger}`{}`", to.saturating_add(1)))
        } else {
            None
        };
        if let Some(help) = help {
            let message = format!("the kernel of `{}` cannot grow from {from} to {to}", layer.name);
            return Err(Refusal::error("G0301", message, help).at("kernel").cause(kernel_of));
        }
        if let Some(largest) = layer.input.area.map(largest_kernel).filter(|largest| to > *largest as u64) {
            warnings.push(
                Refusal::warning(
                    "G0301",
                    format!(
                        "a kernel of {to} is larger than what `{}` can see: farther out every tap reads zeros",
                        layer.name
                    ),
                    format!("use a size up to {largest}"),
                )
                .at("kernel"),
            );
        }
        if layer.frozen && layer.presence == Presence::Certain {
            warnings.push(
                Refusal::warning(
                    "G0207",
                    format!("what is added to the kernel of `{}` does not learn while it is frozen", layer.name),
                    format!("`unfreeze {}` later", layer.name),
                )
                .at("target")
                .cause(format!("{}.frozen", layer.name)),
            );
        }
        let changed = after.layer_mut(&layer.name).expect("it stands in the architecture that was cloned");
        changed.settings.kernel = usize::try_from(to).expect("checked against PIXELS_MAX");
        changes.push(Change::Kernel { layer: layer.name.clone(), from, zero_moments });
        details.push(format!("{} kernel {from} → {to}", layer.name));
    }
    if let (true, Some(layer)) = (changes.is_empty(), large) {
        let (name, kernel) = (&layer.name, layer.settings.kernel);
        return Err(Refusal::error(
            "G0201",
            format!("cannot widen the kernel of `{name}` to {to}: it is already {kernel} wide here"),
            format!("use an odd size above {kernel}"),
        )
        .at("kernel")
        .here(if to < kernel as u64 { format!("smaller than {kernel}") } else { "the size that it has".into() })
        .cause(format!("{name}.kernel")));
    }
    if changes.is_empty() {
        let message = format!("`{}` holds no convolution", written(target));
        return Err(Refusal::error("G0301", message, "name a `conv` layer").at("target"));
    }
    affordable(&after, "kernel")?;
    let promise = (Promise::Rounding, "the rings that are added to the kernel are 0");
    let summary = Summary { action: "widen", target: written(target), method: "", detail: details.join(", ") };
    Ok(Plan { lr: lr_policy(args), warnings, ..super::plan(after, changes, promise, summary) })
}
