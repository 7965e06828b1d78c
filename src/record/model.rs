//! A network's symbols in the record, and back.

use super::schema;
use crate::nn::architecture::{Init, Norm, Padding, Pooling};
use crate::nn::layers;
use crate::nn::{
    Activation, Architecture, Axis, AxisId, Feature, Layer, LayerId, LayerKind, Presence, Settings, Task, Width,
};

const INITS: [(Init, &str); 4] =
    [(Init::He, "he"), (Init::Glorot, "glorot"), (Init::Orthogonal, "orthogonal"), (Init::Zero, "zero")];

/// Every axis and layer of a running network.
pub fn write(architecture: &Architecture) -> schema::Model {
    let described = |layer: &Layer, inside: Option<&Layer>| schema::Layer {
        name: layer.name.clone(),
        kind: layer.kind.doc().word.into(),
        reads: layer.input.axis.0,
        writes: layer.output.axis.0,
        inside: inside.map(|block| block.name.clone()),
        width: architecture.width(layer.output.axis).exact(),
        activation: layer.settings.activation.word().into(),
        parametric: layer.settings.parametric,
        norm: layer.settings.norm.map(|norm| norm.word().into()),
        norm_epsilon: layer.settings.norm_epsilon,
        norm_epsilon_written: layer.settings.norm_epsilon_written,
        project: layer.settings.project,
        kernel: is_conv(layer.kind).then_some(layer.settings.kernel),
        stride: is_conv(layer.kind).then_some(layer.settings.stride),
        pad: is_conv(layer.kind).then(|| layer.settings.padding.word().into()),
        pool: layer.settings.pooling.map(|pooling| pooling.to_string()),
        bias: layer.settings.bias,
        dropout: layer.settings.dropout,
        init: INITS.iter().find(|(init, _)| *init == layer.settings.initialiser()).expect("all are listed").1.into(),
        frozen: layer.frozen,
    };
    let mut layers = Vec::new();
    for layer in &architecture.layers {
        layers.push(described(layer, None));
        layers.extend(layer.block.iter().map(|inner| described(inner, Some(layer))));
    }
    let axis = |axis: &Axis| schema::Axis { name: axis.name.clone(), width: axis.width.exact() };
    schema::Model { axes: architecture.axes().iter().map(axis).collect(), layers }
}

/// The network that a record describes. `data` is that of the same record.
pub fn read(model: &schema::Model, data: &schema::Data) -> Result<Architecture, String> {
    let task = match data.task.as_str() {
        "classification" => Task::Classification,
        "regression" => Task::Regression,
        other => return Err(format!("no task is called `{other}`")),
    };
    let kinds = || model.layers.iter().filter_map(|layer| layers::find(&layer.kind));
    let area = data.area.filter(|_| kinds().any(|kind| kind.needs_image()));
    let values = match area {
        Some(_) => Some(1),
        None => data.area.map_or(Some(1), |(rows, columns)| rows.checked_mul(columns)),
    };
    let inputs = values.and_then(|values| values.checked_mul(data.inputs)).ok_or("its input is too large")?;
    if model.axes.first().is_none_or(|axis| axis.width != inputs) {
        return Err(format!("its first axis is not the {inputs} inputs of the data"));
    }
    let axes: Vec<Axis> =
        model.axes.iter().map(|axis| Axis { name: axis.name.clone(), width: Width::exactly(axis.width) }).collect();
    let mut layers: Vec<Layer> = Vec::new();
    for described in &model.layers {
        let layer = layer(described)?;
        if axes.get(described.writes as usize).is_none_or(|axis| axis.width.exact() != described.width) {
            return Err(format!("the width of `{}` is not that of its axis", layer.name));
        }
        match &described.inside {
            None => layers.push(layer),
            Some(block) => match layers.last_mut().filter(|outer| &outer.name == block) {
                Some(outer) => outer.block.push(layer),
                None => return Err(format!("`{}` stands in no block `{block}`", layer.name)),
            },
        }
    }
    let computes = |layer: &Layer| (layer.kind.doc().word == "residual") == layer.block.is_empty();
    if let Some(layer) =
        layers.iter().flat_map(|layer| std::iter::once(layer).chain(&layer.block)).find(|l| computes(l))
    {
        return Err(format!("the block `{}` is none", layer.name));
    }
    Architecture::assemble(axes, area, task, layers)
}

fn is_conv(kind: &dyn LayerKind) -> bool {
    kind.doc().word == "conv"
}

/// One layer; of a residual block, what it is without its layers.
fn layer(layer: &schema::Layer) -> Result<Layer, String> {
    let unknown = |what: &str, word: &str| format!("layer `{}` has {what} `{word}`", layer.name);
    let kind = layers::find(&layer.kind).ok_or_else(|| unknown("kind", &layer.kind))?;
    let activation = Activation::find(&layer.activation).ok_or_else(|| unknown("activation", &layer.activation))?;
    let init = INITS.iter().find(|(_, word)| *word == layer.init).ok_or_else(|| unknown("initialiser", &layer.init))?;
    let norm = match &layer.norm {
        Some(word) => Some(Norm::find(word).ok_or_else(|| unknown("norm", word))?),
        None => None,
    };
    if !(0.0..1.0).contains(&layer.dropout)
        || ![layer.norm_epsilon, layer.norm_epsilon_written].iter().all(|epsilon| epsilon.is_finite())
    {
        return Err(unknown("a dropout or an epsilon out of range", &layer.dropout.to_string()));
    }
    if layer.width == 0 || layer.width as u64 > layers::WIDTH_MAX {
        return Err(unknown("the width", &layer.width.to_string()));
    }
    let sizes = [layer.kernel, layer.stride].map(|size| size.unwrap_or(1));
    if sizes.iter().any(|size| !(1..=layers::PIXELS_MAX).contains(size)) {
        return Err(unknown("a kernel or a stride of", &format!("{sizes:?}")));
    }
    let padding = match &layer.pad {
        Some(word) => Padding::find(word).ok_or_else(|| unknown("padding", word))?,
        None => Padding::Same,
    };
    let pooling = match &layer.pool {
        Some(text) => Some(Pooling::find(text).ok_or_else(|| unknown("pool", text))?),
        None => None,
    };
    if pooling.is_some() != (kind.doc().word == "pool") || layer.kernel.is_some() != is_conv(kind) {
        return Err(format!("layer `{}` is a {} and does not say how", layer.name, layer.kind));
    }
    let settings = Settings {
        activation,
        parametric: layer.parametric,
        norm,
        norm_epsilon: layer.norm_epsilon,
        norm_epsilon_written: layer.norm_epsilon_written,
        project: layer.project,
        bias: layer.bias,
        dropout: layer.dropout,
        init: Some(init.0),
        kernel: sizes[0],
        stride: sizes[1],
        padding,
        pooling,
    };
    Ok(Layer {
        // Settled by `assemble`.
        id: LayerId(0),
        name: layer.name.clone(),
        kind,
        input: Feature { axis: AxisId(layer.reads), area: None },
        output: Feature { axis: AxisId(layer.writes), area: None },
        settings,
        frozen: layer.frozen,
        presence: Presence::Certain,
        block: Vec::new(),
    })
}
