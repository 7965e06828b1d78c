//! Whether a graph of ours is one: every value is made once and before it is used, and all shapes fit. A runtime would
//! find the same mistakes, later and on somebody else's machine.

use super::onnx_proto::{FLOAT, Model, Node};
use std::collections::BTreeMap;

/// A shape; `None` stands for the batch.
type Shape = Vec<Option<i64>>;

/// `Err`: what is wrong, and where.
pub fn check(model: &Model, inputs: &[usize], outputs: usize) -> Result<(), String> {
    let graph = model.graph.as_ref().ok_or("there is no graph")?;
    let mut shapes: BTreeMap<&str, Shape> = BTreeMap::new();
    shapes.insert("input", std::iter::once(None).chain(inputs.iter().map(|&extent| Some(extent as i64))).collect());
    let mut unused = BTreeMap::new();
    for tensor in &graph.initializer {
        let count = tensor.dims.iter().try_fold(4i64, |product, &extent| product.checked_mul(extent));
        if tensor.data_type != FLOAT || count != i64::try_from(tensor.raw_data.len()).ok() {
            return Err(format!("`{}` does not hold the values of its shape", tensor.name));
        }
        if shapes.insert(&tensor.name, tensor.dims.iter().map(|&extent| Some(extent)).collect()).is_some() {
            return Err(format!("two values are called `{}`", tensor.name));
        }
        unused.insert(tensor.name.as_str(), ());
    }
    for node in &graph.node {
        let given: Vec<&Shape> = node
            .input
            .iter()
            .map(|name| {
                shapes.get(name.as_str()).ok_or_else(|| format!("`{}` reads `{name}`, which is not there", node.name))
            })
            .collect::<Result<_, _>>()?;
        let made = made(node, &given).ok_or_else(|| {
            let shown: Vec<String> = given.iter().map(|shape| format!("{shape:?}")).collect();
            format!("`{}`, a {}, cannot read {}", node.name, node.op_type, shown.join(" and "))
        })?;
        let [output] = node.output.as_slice() else { return Err(format!("`{}` has no single output", node.name)) };
        if shapes.insert(output, made).is_some() {
            return Err(format!("two values are called `{output}`"));
        }
        node.input.iter().for_each(|name| {
            unused.remove(name.as_str());
        });
    }
    if let Some(name) = unused.keys().next() {
        return Err(format!("no node reads `{name}`"));
    }
    let names =
        |values: &[super::onnx_proto::ValueInfo]| values.iter().map(|value| value.name.clone()).collect::<Vec<_>>();
    if names(&graph.input) != ["input"] || names(&graph.output) != ["output"] {
        return Err("its input and output are not called so".into());
    }
    match shapes.get("output") {
        Some(shape) if *shape == [None, Some(outputs as i64)] => Ok(()),
        shape => Err(format!("its output is {shape:?}, not [batch, {outputs}]")),
    }
}

/// The shape that a node makes, if it can read these.
fn made(node: &Node, given: &[&Shape]) -> Option<Shape> {
    let vector_of = |x: &Shape, vector: &Shape| vector.len() == 1 && x.len() == 2 && x[1] == vector[0];
    let channels_of = |x: &Shape, vector: &Shape| vector.len() == 1 && [2, 4].contains(&x.len()) && x[1] == vector[0];
    let numbers = |name: &str| node.attribute.iter().find(|one| one.name == name).map(|one| one.ints.as_slice());
    match (node.op_type.as_str(), given) {
        ("Gemm", [x, weight, rest @ ..]) => {
            let fits = x.len() == 2 && weight.len() == 2 && x[1] == weight[1];
            let bias = match rest {
                [] => true,
                [bias] => bias.len() == 1 && bias[0] == weight[0],
                _ => false,
            };
            (fits && bias).then(|| vec![x[0], weight[0]])
        }
        ("BatchNormalization", [x, vectors @ ..]) if vectors.len() == 4 => {
            vectors.iter().all(|vector| channels_of(x, vector)).then(|| x.to_vec())
        }
        ("Conv", [x, weight, rest @ ..]) => {
            let bias = match rest {
                [] => true,
                [bias] => bias.len() == 1 && bias[0] == weight[0],
                _ => false,
            };
            let kernel = numbers("kernel_shape")?;
            let fits = x.len() == 4 && weight.len() == 4 && x[1] == weight[1] && bias;
            let is_its =
                weight.get(2..)?.iter().eq(kernel.iter().map(|&extent| Some(extent)).collect::<Shape>().iter());
            (fits && is_its).then(|| windows(x, weight[0], kernel, numbers("strides")?, numbers("pads")?))?
        }
        ("MaxPool" | "AveragePool", [x]) if x.len() == 4 => {
            windows(x, x[1], numbers("kernel_shape")?, numbers("strides")?, &[0; 4])
        }
        ("GlobalAveragePool", [x]) if x.len() == 4 => Some(vec![x[0], x[1], Some(1), Some(1)]),
        ("Flatten", [x]) => {
            let values = x[1..].iter().try_fold(1i64, |all, extent| all.checked_mul((*extent)?))?;
            Some(vec![x[0], Some(values)])
        }
        ("LayerNormalization", [x, vectors @ ..]) if vectors.len() == 2 => {
            vectors.iter().all(|vector| vector_of(x, vector)).then(|| x.to_vec())
        }
        ("ReduceMean", [x]) => (x.len() == 2).then(|| vec![x[0], Some(1)]),
        ("Add" | "Sub" | "Mul" | "Div", [a, b]) => broadcast(a, b),
        ("Relu" | "LeakyRelu" | "Tanh" | "Sigmoid" | "Softplus" | "Elu" | "Selu" | "Erf" | "Sqrt", [x]) => {
            Some(x.to_vec())
        }
        _ => None,
    }
}

/// Of a window that goes over images; `pads`: above, left, below, right.
fn windows(x: &Shape, channels: Option<i64>, kernel: &[i64], strides: &[i64], pads: &[i64]) -> Option<Shape> {
    let [above, left, below, right] = *pads else { return None };
    let mut out = vec![x[0], channels];
    for (side, zeros) in [(0, above + below), (1, left + right)] {
        let (kernel, stride) = (*kernel.get(side)?, *strides.get(side)?);
        let room = x[2 + side]?.checked_add(zeros)?.checked_sub(kernel)?;
        if room < 0 || stride < 1 {
            return None;
        }
        out.push(Some(room / stride + 1));
    }
    Some(out)
}

/// The right operand is stretched to the left one, as ours always can be; never the other way.
fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
    let behind = a.len().checked_sub(b.len())?;
    let fits = b.iter().zip(&a[behind..]).all(|(b, a)| b == a || *b == Some(1));
    fits.then(|| a.to_vec())
}
