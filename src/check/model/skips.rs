//! The two ends of a skip: what comes into a residual block and what leaves it must fit.

use super::{LayerText, Reader};
use crate::base::Diagnostic;
use crate::nn::{Feature, Layer, layers};

impl Reader<'_> {
    /// Without `project` both ends of the skip must be equal.
    pub(super) fn couple(&mut self, layer: &LayerText, block: &[Layer], input: Feature, end: Feature) {
        let widths = (self.read.architecture.width(input.axis), self.read.architecture.width(end.axis));
        let first_input = self.read.architecture.input.axis == input.axis;
        if (widths.0 == widths.1 && input.area == end.area) || (first_input && !self.ends.known) {
            return;
        }
        let last = block.last().expect("the block is not empty");
        if self.read.doubtful.contains(&last.name) {
            return;
        }
        let at = self.read.causes.get(&last.name).map_or(layer.name.span, |cause| cause.span);
        let name = &layer.name.node;
        let stride = layers::stride_of(block);
        let mapped = input.area.map(|(height, width)| (height.div_ceil(stride), width.div_ceil(stride)));
        let size =
            |feature: Feature| feature.area.map_or("plain numbers".into(), |(h, w)| format!("images of {h}×{w}"));
        let (help, here, there) = match input.area == end.area {
            true => (
                format!("make `{}` {} wide, or write `{name} residual project {{ … }}`", last.name, widths.0),
                format!("{} wide", widths.1),
                format!("{} units come in here", widths.0),
            ),
            false => (
                match (end.area, mapped == end.area) {
                    (None, _) => "end the block with a convolution; `dense` layers go behind it".into(),
                    (_, true) => format!(
                        "use `pad same` and no stride in the block, or `{name} residual project {{ … }}`, whose map has \
                         the same stride"
                    ),
                    (_, false) => "use `pad same` and no stride or pool in the block".into(),
                },
                size(end),
                format!("{} come in here", size(input)),
            ),
        };
        let message = match (input.area, end.area) {
            (Some(from), Some(to)) if from != to => format!(
                "the skip around `{}` joins {} channels of {}×{} and {} of {}×{}",
                layer.name.node, widths.0, from.0, from.1, widths.1, to.0, to.1
            ),
            (Some(from), None) => {
                format!("the skip around `{}` joins images of {}×{} and plain vectors", layer.name.node, from.0, from.1)
            }
            _ => format!("the skip around `{}` joins {} and {} units", layer.name.node, widths.0, widths.1),
        };
        self.report.add(Diagnostic::error("G0302", at, message).here(here).label(layer.name.span, there).help(help));
    }

    /// The map on a skip steps over as many pixels as the block, so that both ends are equally large.
    pub(super) fn project(&mut self, layer: &LayerText, block: &[Layer], input: Feature, end: Feature) {
        let stride = layers::stride_of(block);
        let mapped = input.area.map(|(height, width)| (height.div_ceil(stride), width.div_ceil(stride)));
        let spoiled = block.iter().any(|inner| self.read.doubtful.contains(&inner.name));
        if mapped == end.area || spoiled || !self.ends.known {
            return;
        }
        let size = |area: Option<(usize, usize)>| match area {
            Some((height, width)) => format!("images of {height}×{width}"),
            None => "plain vectors".into(),
        };
        let message = format!("the skip around `{}` joins {} and {}", layer.name.node, size(mapped), size(end.area));
        let help = "the map on the skip divides the size by the strides of the block: use `pad same`, and pools whose size \
                    divides that of the image";
        self.report.add(Diagnostic::error("G0302", layer.name.span, message).here("unequal ends").help(help));
    }
}
