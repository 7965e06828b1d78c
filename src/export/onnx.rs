//! ONNX: the network as it predicts, the scaling of its inputs included, in operators of opset 17 that every runtime
//! has. Dropout is left out, and a batch norm uses its running statistics.
//!
//! ```text
//! input [batch, in] ─ (x − mean)·inverse ─ for each layer: Gemm ─ norm ─ activation ─→ output [batch, out]
//!       [batch, c, h, w]                                   Conv, MaxPool, AveragePool, GlobalAveragePool, Flatten
//! ```
//!
//! The output is what the last layer gives: logits or values, no softmax.

use super::onnx_proto::*;
use super::{Exported, File, Named, Target, Values, named, onnx_check};
use crate::base::{Doc, Refusal};
use crate::nn::architecture::{Layer, Norm, Padding, Pooling};
use crate::nn::{Activation, Task};
use prost::Message;
use std::collections::BTreeMap;

/// LayerNormalization came with it; every runtime since 2022 has it.
const OPSET: i64 = 17;
/// The version of the file's format that goes with it.
const IR: i64 = 8;
/// A message of protobuf ends here.
const BYTES_MAX: u64 = (2 << 30) - 1;

/// The model, its structure checked.
pub fn model(exported: &Exported) -> Result<Model, Refusal> {
    let numbers: u64 = exported.parameters.iter().map(|parameter| parameter.value.len() as u64).sum();
    // Names, nodes and headers take far less than this.
    let bytes = numbers.saturating_mul(4).saturating_add(4096 * (exported.parameters.len() as u64 + 4));
    if bytes > BYTES_MAX {
        return Err(named::too_large("an ONNX file", bytes, BYTES_MAX));
    }
    let mut builder = Builder::default();
    for weight in exported.weights() {
        builder.kept.insert(weight.name.clone(), tensor_of(&weight.name, &weight));
    }
    let mut x = "input".to_string();
    if let Some([mean, inverse]) = exported.scaling_tensors() {
        let mut scaling = |name: &str, values: &Named| {
            builder.used.push(tensor_of(name, values));
            name.to_string()
        };
        let (mean, inverse) = (scaling("scaling/mean", &mean), scaling("scaling/inverse", &inverse));
        x = builder.node("Sub", "scaling/centred", &[&x, &mean]);
        x = builder.node("Mul", "scaling/scaled", &[&x, &inverse]);
    }
    for layer in &exported.architecture.layers {
        if layer.block.is_empty() {
            x = builder.layer(layer, x);
            continue;
        }
        let skip = match layer.settings.project {
            true if layer.input.area.is_some() => builder.conv(layer, &x, "project.weight"),
            true => builder.product(layer, &x, "project.weight"),
            false => x.clone(),
        };
        for inner in &layer.block {
            x = builder.layer(inner, x);
        }
        x = builder.node("Add", &format!("{}/sum", layer.name), &[&x, &skip]);
    }
    builder.rename(&x, "output");
    let model = Model {
        ir_version: IR,
        producer_name: "growrun".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: exported.origin.clone(),
        graph: Some(builder.graph(exported)),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: properties(exported),
    };
    let (inputs, outputs) = (exported.input_shape(), exported.outputs());
    if let Err(what) = onnx_check::check(&model, &inputs, outputs) {
        // Ours alone can be at fault, but the network is a stranger's: no panic.
        let message = format!("the network makes no ONNX graph: {what}");
        return Err(Refusal::error("G0803", message, "export to safetensors, and report this"));
    }
    Ok(model)
}

fn properties(exported: &Exported) -> Vec<Property> {
    let task = match exported.architecture.task {
        Task::Classification => "classification",
        Task::Regression => "regression",
    };
    let mut all =
        vec![("schedule_digest", exported.digest.clone()), ("step", exported.step.to_string()), ("task", task.into())];
    if !exported.class_names.is_empty() {
        all.push(("classes", serde_json::json!(exported.class_names).to_string()));
    }
    all.into_iter().map(|(key, value)| Property { key: key.into(), value }).collect()
}

fn tensor_of(name: &str, named: &Named) -> Tensor {
    match &named.values {
        Values::F32(values) => tensor(name, &named.shape, values),
        Values::I64(_) => unreachable!("weights and scalings are f32"),
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor {
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: FLOAT,
        name: name.into(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// A graph in the making. Names of ours within a layer have a `/`, which no layer's name has.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    /// Parameters that no node has used yet, by name.
    kept: BTreeMap<String, Tensor>,
    used: Vec<Tensor>,
}

impl Builder {
    /// Adds a node with one output, which bears its name.
    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str]) -> String {
        self.node_with(op_type, name, inputs, Vec::new())
    }

    fn node_with(&mut self, op_type: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) -> String {
        self.nodes.push(Node {
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![name.into()],
            name: name.into(),
            op_type: op_type.into(),
            attribute,
        });
        name.into()
    }

    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.used.push(tensor(name, shape, values));
        name.into()
    }

    /// A number that stands alone.
    fn number(&mut self, name: &str, value: f64) -> String {
        self.constant(name, &[], &[value as f32])
    }

    /// A parameter, if the layer has it.
    fn parameter(&mut self, layer: &Layer, suffix: &str) -> Option<String> {
        let name = format!("{}.{suffix}", layer.name);
        let tensor = self.kept.remove(&name)?;
        self.used.push(tensor);
        Some(name)
    }

    /// x·Wᵀ + b
    fn product(&mut self, layer: &Layer, x: &str, weight: &str) -> String {
        let weight = self.parameter(layer, weight).unwrap_or_default();
        let bias = self.parameter(layer, "bias");
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        self.node_with("Gemm", &format!("{}/product", layer.name), &inputs, vec![int("transB", 1)])
    }

    /// A convolution with the zeros that `pad same` puts around, of which what is uneven is behind.
    fn conv(&mut self, layer: &Layer, x: &str, weight: &str) -> String {
        let settings = &layer.settings;
        let zeros = match settings.padding {
            Padding::Same => settings.kernel - 1,
            Padding::Valid => 0,
        };
        let (before, after) = (zeros / 2, zeros - zeros / 2);
        let weight = self.parameter(layer, weight).unwrap_or_default();
        let bias = self.parameter(layer, "bias");
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        let pads = [before, before, after, after].map(|zeros| zeros as i64);
        let attributes =
            vec![square("kernel_shape", settings.kernel), square("strides", settings.stride), ints("pads", &pads)];
        self.node_with("Conv", &format!("{}/product", layer.name), &inputs, attributes)
    }

    fn pool(&mut self, layer: &Layer, pooling: Pooling, x: &str) -> String {
        let name = format!("{}/pool", layer.name);
        let (op_type, size) = match pooling {
            Pooling::Max(size) => ("MaxPool", size),
            Pooling::Average(size) => ("AveragePool", size),
            Pooling::Global => {
                let mean = self.node("GlobalAveragePool", &name, &[x]);
                return self.node_with("Flatten", &format!("{}/flat", layer.name), &[&mean], vec![int("axis", 1)]);
            }
        };
        self.node_with(op_type, &name, &[x], vec![square("kernel_shape", size), square("strides", size)])
    }

    fn layer(&mut self, layer: &Layer, x: String) -> String {
        if let Some(pooling) = layer.settings.pooling {
            return self.pool(layer, pooling, &x);
        }
        let x = match (layer.input.area, layer.output.area) {
            (_, Some(_)) => self.conv(layer, &x, "weight"),
            (Some(_), None) => {
                let x = self.node_with("Flatten", &format!("{}/flat", layer.name), &[&x], vec![int("axis", 1)]);
                self.product(layer, &x, "weight")
            }
            (None, None) => self.product(layer, &x, "weight"),
        };
        let x = match layer.settings.norm {
            Some(norm) => self.norm(layer, norm, x),
            None => x,
        };
        let y = self.activation(layer, &x);
        let Some(share) = self.parameter(layer, "blend") else { return y };
        // t + a·(φ(t) − t)
        let name = |part: &str| format!("{}/{part}", layer.name);
        let bend = self.node("Sub", &name("bend"), &[&y, &x]);
        let part = self.node("Mul", &name("part"), &[&bend, &share]);
        self.node("Add", &name("blend"), &[&x, &part])
    }

    fn norm(&mut self, layer: &Layer, norm: Norm, x: String) -> String {
        let name = |part: &str| format!("{}/{part}", layer.name);
        let epsilon = layer.settings.norm_epsilon;
        let mut parameter = |suffix: &str| self.parameter(layer, suffix).unwrap_or_default();
        let gain = parameter("norm.weight");
        match norm {
            Norm::Batch => {
                let rest = ["norm.bias", "norm.running_mean", "norm.running_var"].map(&mut parameter);
                let inputs = [&x, &gain, &rest[0], &rest[1], &rest[2]].map(String::as_str);
                self.node_with("BatchNormalization", &name("norm"), &inputs, vec![float("epsilon", epsilon)])
            }
            Norm::Layer => {
                let shift = parameter("norm.bias");
                let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
                self.node_with("LayerNormalization", &name("norm"), &[&x, &gain, &shift], attributes)
            }
            Norm::Rms => {
                let epsilon = self.number(&name("epsilon"), epsilon);
                let square = self.node("Mul", &name("square"), &[&x, &x]);
                let axes = vec![ints("axes", &[-1]), int("keepdims", 1)];
                let mean = self.node_with("ReduceMean", &name("mean"), &[&square], axes);
                let sum = self.node("Add", &name("mean_epsilon"), &[&mean, &epsilon]);
                let root = self.node("Sqrt", &name("root"), &[&sum]);
                let scaled = self.node("Div", &name("scaled"), &[&x, &root]);
                self.node("Mul", &name("norm"), &[&scaled, &gain])
            }
        }
    }

    /// φ(x); of a linear layer x itself.
    fn activation(&mut self, layer: &Layer, x: &str) -> String {
        let name = |part: &str| format!("{}/{part}", layer.name);
        let y = name("activation");
        match layer.settings.activation {
            Activation::Linear => x.into(),
            Activation::Relu => self.node("Relu", &y, &[x]),
            Activation::LeakyRelu => self.node_with("LeakyRelu", &y, &[x], vec![float("alpha", 0.01)]),
            Activation::Tanh => self.node("Tanh", &y, &[x]),
            Activation::Sigmoid => self.node("Sigmoid", &y, &[x]),
            Activation::Softplus => self.node("Softplus", &y, &[x]),
            Activation::Elu => self.node_with("Elu", &y, &[x], vec![float("alpha", 1.0)]),
            // PyTorch's and our α and λ are the operator's own.
            Activation::Selu => self.node("Selu", &y, &[x]),
            Activation::Silu => {
                let share = self.node("Sigmoid", &name("share"), &[x]);
                self.node("Mul", &y, &[x, &share])
            }
            Activation::Gelu => {
                // x·(1 + erf(x/√2))/2: the operator of this name came with opset 20.
                let root = self.number(&name("inverse_root"), std::f64::consts::FRAC_1_SQRT_2);
                let (one, half) = (self.number(&name("one"), 1.0), self.number(&name("half"), 0.5));
                let part = self.node("Mul", &name("over_root"), &[x, &root]);
                let part = self.node("Erf", &name("erf"), &[&part]);
                let part = self.node("Add", &name("erf_one"), &[&part, &one]);
                let part = self.node("Mul", &name("twice"), &[x, &part]);
                self.node("Mul", &y, &[&part, &half])
            }
        }
    }

    /// Gives a value, made by the last node, another name.
    fn rename(&mut self, from: &str, to: &str) {
        for node in &mut self.nodes {
            node.output.iter_mut().filter(|output| *output == from).for_each(|output| *output = to.into());
        }
    }

    fn graph(self, exported: &Exported) -> Graph {
        let input = format!(
            "{} as they are in the data, {}",
            if exported.architecture.input.area.is_some() { "images, channels first," } else { "examples" },
            if exported.scaling.is_some() { "unscaled" } else { "as the run read them" }
        );
        let output = match exported.architecture.task {
            Task::Classification => "logits, one for each class; a softmax makes probabilities of them",
            Task::Regression => "the predicted values",
        };
        Graph {
            node: self.nodes,
            name: exported.name.clone(),
            initializer: self.used,
            doc_string: String::new(),
            input: vec![value("input", &exported.input_shape(), &input)],
            output: vec![value("output", &[exported.outputs()], output)],
        }
    }
}

/// f32 of [batch, …], any batch.
fn value(name: &str, extents: &[usize], doc: &str) -> ValueInfo {
    let batch = Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let one = |extent: &usize| Dimension { dim_value: Some(*extent as i64), dim_param: None };
    let dim = std::iter::once(batch).chain(extents.iter().map(one)).collect();
    let tensor_type = TensorType { elem_type: FLOAT, shape: Some(Shape { dim }) };
    ValueInfo { name: name.into(), kind: Some(Type { tensor_type: Some(tensor_type) }), doc_string: doc.into() }
}

fn float(name: &str, value: f64) -> Attribute {
    Attribute { name: name.into(), f: Some(value as f32), kind: FLOAT_ATTRIBUTE, ..Attribute::default() }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: INT_ATTRIBUTE, ..Attribute::default() }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: name.into(), ints: values.to_vec(), kind: INTS_ATTRIBUTE, ..Attribute::default() }
}

/// Height and width alike.
fn square(name: &str, extent: usize) -> Attribute {
    ints(name, &[extent as i64; 2])
}

pub struct Onnx;

static DOC: Doc = Doc {
    word: "onnx",
    help: "the network with its scaling as one graph, for ONNX Runtime and other engines that predict",
    args: &[],
    one_of: &[],
    example: "growrun export runs/first-growth/0001 --to onnx",
    source: "ONNX opset 17",
};

impl Target for Onnx {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn extension(&self) -> Option<&'static str> {
        Some("onnx")
    }

    fn files(&self, exported: &Exported, stem: &str) -> Result<Vec<File>, Refusal> {
        let model = model(exported)?;
        let nodes = model.graph.as_ref().map_or(0, |graph| graph.node.len());
        let scaled = if exported.scaling.is_some() { ", the scaling of its inputs included" } else { "" };
        let what = format!("the network as {nodes} nodes of opset {OPSET}{scaled}");
        Ok(vec![File { name: format!("{stem}.onnx"), content: model.encode_to_vec(), what }])
    }

    fn checked(&self) -> Option<&'static str> {
        Some("every value is made before it is used, and all shapes fit")
    }

    fn next(&self, main: &str) -> String {
        format!("`onnxruntime.InferenceSession(\"{main}\").run(None, {{\"input\": x}})` in Python")
    }
}
