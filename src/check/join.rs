//! Either of two architectures: widths become intervals, layers may be there.

use crate::nn::{Architecture, AxisId, Feature, Layer, Presence};
use std::collections::HashMap;

/// What is true of both. Layers are matched by name, those inside a block within blocks of one name.
///
/// An axis of `other` means nothing in the join until it is translated: the same number may stand for
/// another axis there, or for none.
pub fn join(one: &Architecture, other: &Architecture) -> Architecture {
    let mut joined = one.clone();
    joined.change_layers(|layer| {
        if other.layer(&layer.name).is_none() {
            layer.presence = Presence::Maybe;
        }
    });
    // Every layer that both have, before any is added: a layer may write an axis that a later one is tied to.
    let mut axes = Axes { known: HashMap::from([(other.input.axis, joined.input.axis)]), other };
    for layer in other.all_layers() {
        let Some(same) = joined.layer_mut(&layer.name) else { continue };
        // Frozen only where it is so in both, so that nothing is called hopeless that may learn.
        same.frozen &= layer.frozen;
        let (axis, there) = (same.output.axis, layer.output.axis);
        // Where growth has parted a tied axis, its parts are all of the join's one axis, or the other way round.
        axes.known.entry(there).or_insert(axis);
        let width = joined.width(axis).join(other.width(there));
        joined.set_width(axis, width);
    }
    let mut layers = std::mem::take(&mut joined.layers);
    axes.merge(&mut layers, &other.layers, &mut joined);
    joined.layers = layers;
    joined
}

/// From an axis of the other architecture to the one that stands for it in the join.
struct Axes<'a> {
    known: HashMap<AxisId, AxisId>,
    other: &'a Architecture,
}

impl Axes<'_> {
    /// Puts the layers that are only in `theirs` in their places, inside blocks too.
    fn merge(&mut self, ours: &mut Vec<Layer>, theirs: &[Layer], joined: &mut Architecture) {
        let mut next = 0;
        for layer in theirs {
            let at = match ours.iter().position(|same| same.name == layer.name) {
                Some(at) => {
                    // A single layer that took a removed block's name stays a single layer.
                    if !ours[at].block.is_empty() {
                        self.merge(&mut ours[at].block, &layer.block, joined);
                    }
                    at
                }
                None => {
                    ours.insert(next, self.bring(layer, joined));
                    next
                }
            };
            next = at + 1;
        }
    }

    /// A layer of the other architecture as one that may be there in the join.
    fn bring(&mut self, layer: &Layer, joined: &mut Architecture) -> Layer {
        let input = self.feature(layer.input, &layer.name, joined);
        // What is inside comes first: a projecting block writes the axis of its last layer.
        let block = layer.block.iter().map(|inner| self.bring(inner, joined)).collect();
        let output = self.feature(layer.output, &layer.name, joined);
        // Its number there may be another layer's here.
        let id = joined.next_layer_id();
        Layer { id, input, output, presence: Presence::Maybe, block, ..layer.clone() }
    }

    fn feature(&mut self, feature: Feature, name: &str, joined: &mut Architecture) -> Feature {
        let width = self.other.width(feature.axis);
        let axis = *self.known.entry(feature.axis).or_insert_with(|| joined.add_axis(name, width));
        Feature { axis, ..feature }
    }
}
