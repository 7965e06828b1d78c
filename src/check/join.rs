//! Either of two architectures: widths become intervals, layers may be there.

use crate::nn::{Architecture, Feature, Presence};

/// What is true of both. Layers are matched by name.
pub fn join(one: &Architecture, other: &Architecture) -> Architecture {
    let mut joined = one.clone();
    for layer in &mut joined.layers {
        if other.position(&layer.name).is_none() {
            layer.presence = Presence::Maybe;
        }
    }
    let mut before: Option<usize> = None;
    for layer in &other.layers {
        match joined.position(&layer.name) {
            Some(at) => {
                let axis = joined.layers[at].output.axis;
                let width = joined.width(axis).join(other.width(layer.output.axis));
                joined.set_width(axis, width);
                // Frozen only where it is so in both, so that nothing is called hopeless that may learn.
                joined.layers[at].frozen &= layer.frozen;
                for (inner, same) in layer.block.iter().zip(joined.layers[at].block.clone()) {
                    let width = joined.width(same.output.axis).join(other.width(inner.output.axis));
                    joined.set_width(same.output.axis, width);
                }
                before = Some(at);
            }
            None => {
                let at = before.map_or(0, |before| before + 1);
                let input = before.map_or(joined.input, |before| joined.layers[before].output);
                let mut added = layer.clone();
                let passes_on = layer.input.axis == layer.output.axis;
                added.input = input;
                added.output = if passes_on {
                    Feature { axis: input.axis, area: layer.output.area }
                } else {
                    let axis = joined.add_axis(&layer.name, other.width(layer.output.axis));
                    Feature { axis, area: layer.output.area }
                };
                added.presence = Presence::Maybe;
                joined.layers.insert(at, added);
                before = Some(at);
            }
        }
    }
    joined
}
