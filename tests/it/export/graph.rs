//! An ONNX graph computed by its definition, in f64: what the written file means, without a runtime.

use growrun::export::onnx_proto::{Model, Node};
use std::collections::BTreeMap;

/// Row-major values; the first dimension of what is no parameter is the batch.
#[derive(Clone)]
struct Value {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Value {
    /// All dimensions before the last as one, and the last.
    fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Values of one channel, and the number of channels: those of the second dimension.
    fn channel(&self, place: usize) -> usize {
        let pixels: usize = self.shape[2..].iter().product();
        place / pixels % self.shape[1]
    }
}

/// The output [batch, out] for x: [batch, …].
pub fn compute(model: &Model, x: &[f32], shape: &[usize]) -> Vec<f64> {
    let graph = model.graph.as_ref().expect("a graph");
    let mut known: BTreeMap<&str, Value> = BTreeMap::new();
    for tensor in &graph.initializer {
        let values: Vec<f64> =
            tensor.raw_data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
        known.insert(&tensor.name, Value { shape: tensor.dims.iter().map(|&n| n as usize).collect(), values });
    }
    let values: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let batch = x.len() / shape.iter().product::<usize>();
    known.insert("input", Value { shape: [&[batch], shape].concat(), values });
    for node in &graph.node {
        let given: Vec<&Value> = node.input.iter().map(|name| &known[name.as_str()]).collect();
        let made = apply(node, &given);
        known.insert(&node.output[0], made);
    }
    known["output"].values.clone()
}

fn apply(node: &Node, given: &[&Value]) -> Value {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let float = |name: &str| f64::from(attribute(name).and_then(|attribute| attribute.f).expect("it is there"));
    let ints =
        |name: &str| -> Vec<usize> { attribute(name).expect("it is there").ints.iter().map(|&n| n as usize).collect() };
    let x = given[0];
    let each = |f: &dyn Fn(f64) -> f64| Value { values: x.values.iter().map(|&x| f(x)).collect(), ..x.clone() };
    let with = |f: &dyn Fn(f64, f64) -> f64| pairwise(x, given[1], f);
    match node.op_type.as_str() {
        "Gemm" => {
            assert_eq!(attribute("transB").and_then(|attribute| attribute.i), Some(1));
            let (weight, outputs, inputs) = (given[1], given[1].shape[0], x.columns());
            assert_eq!(weight.shape[1], inputs);
            let value = |row: usize, out: usize| {
                let products = (0..inputs).map(|i| x.values[row * inputs + i] * weight.values[out * inputs + i]);
                products.sum::<f64>() + given.get(2).map_or(0.0, |bias| bias.values[out])
            };
            let values = (0..x.shape[0] * outputs).map(|at| value(at / outputs, at % outputs)).collect();
            Value { shape: vec![x.shape[0], outputs], values }
        }
        "Conv" => convolved(x, given[1], given.get(2).copied(), &ints("strides"), &ints("pads")),
        "MaxPool" => pooled(x, &ints("kernel_shape"), &ints("strides"), &|all| all.fold(f64::NEG_INFINITY, f64::max)),
        "AveragePool" => {
            let kernel = ints("kernel_shape");
            let count = kernel.iter().product::<usize>() as f64;
            pooled(x, &kernel, &ints("strides"), &|all| all.sum::<f64>() / count)
        }
        "GlobalAveragePool" => {
            let kernel = x.shape[2..].to_vec();
            let count = kernel.iter().product::<usize>() as f64;
            pooled(x, &kernel, &[1, 1], &|all| all.sum::<f64>() / count)
        }
        "Flatten" => {
            assert_eq!(attribute("axis").and_then(|attribute| attribute.i), Some(1));
            Value { shape: vec![x.shape[0], x.shape[1..].iter().product()], values: x.values.clone() }
        }
        "BatchNormalization" => {
            let epsilon = float("epsilon");
            let value = |(place, x0): (usize, &f64)| {
                let [gain, shift, mean, variance] = [1, 2, 3, 4].map(|input| given[input].values[x.channel(place)]);
                (x0 - mean) / (variance + epsilon).sqrt() * gain + shift
            };
            Value { values: x.values.iter().enumerate().map(value).collect(), ..x.clone() }
        }
        "LayerNormalization" => {
            let (epsilon, n) = (float("epsilon"), x.columns() as f64);
            let row = |row: &[f64]| -> Vec<f64> {
                let mean = row.iter().sum::<f64>() / n;
                let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                let root = (variance + epsilon).sqrt();
                let scaled = row.iter().map(|x| (x - mean) / root).enumerate();
                scaled.map(|(column, x)| x * given[1].values[column] + given[2].values[column]).collect()
            };
            Value { values: x.values.chunks(x.columns()).flat_map(row).collect(), ..x.clone() }
        }
        "ReduceMean" => {
            let n = x.columns();
            let values = x.values.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
            Value { shape: vec![x.shape[0], 1], values }
        }
        "Add" => with(&|a, b| a + b),
        "Sub" => with(&|a, b| a - b),
        "Mul" => with(&|a, b| a * b),
        "Div" => with(&|a, b| a / b),
        "Relu" => each(&|x| x.max(0.0)),
        "LeakyRelu" => each(&|x| if x < 0.0 { float("alpha") * x } else { x }),
        "Tanh" => each(&f64::tanh),
        "Sigmoid" => each(&|x| 1.0 / (1.0 + (-x).exp())),
        "Softplus" => each(&|x| x.exp().ln_1p()),
        "Elu" => each(&|x| if x < 0.0 { float("alpha") * x.exp_m1() } else { x }),
        // The operator's own constants.
        "Selu" => each(&|x| 1.050_700_987_355_480_5 * if x < 0.0 { 1.673_263_242_354_377_2 * x.exp_m1() } else { x }),
        "Erf" => each(&libm::erf),
        "Sqrt" => each(&f64::sqrt),
        other => panic!("no network of ours needs {other}"),
    }
}

/// The right one is stretched to the left one, dimensions counted from the last.
fn pairwise(a: &Value, b: &Value, f: &dyn Fn(f64, f64) -> f64) -> Value {
    let behind = a.shape.len() - b.shape.len();
    let value = |(mut place, &x): (usize, &f64)| {
        let (mut at, mut stride) = (0, 1);
        for dimension in (0..a.shape.len()).rev() {
            let index = place % a.shape[dimension];
            place /= a.shape[dimension];
            if let Some(own) = dimension.checked_sub(behind) {
                at += index % b.shape[own] * stride;
                stride *= b.shape[own];
            }
        }
        f(x, b.values[at])
    };
    Value { values: a.values.iter().enumerate().map(value).collect(), ..a.clone() }
}

/// Σ over the taps that lie in the image; `pads`: above, left, below, right.
fn convolved(x: &Value, weight: &Value, bias: Option<&Value>, strides: &[usize], pads: &[usize]) -> Value {
    let [examples, channels, height, width] = x.shape[..] else { panic!("images") };
    let [outputs, read, tall, wide] = weight.shape[..] else { panic!("kernels") };
    assert_eq!(read, channels);
    let rows = (height + pads[0] + pads[2] - tall) / strides[0] + 1;
    let columns = (width + pads[1] + pads[3] - wide) / strides[1] + 1;
    let mut values = Vec::new();
    for at in 0..examples * outputs * rows * columns {
        let (e, o, y, z) =
            (at / columns / rows / outputs, at / columns / rows % outputs, at / columns % rows, at % columns);
        let mut sum = bias.map_or(0.0, |bias| bias.values[o]);
        for tap in 0..channels * tall * wide {
            let (c, ky, kx) = (tap / wide / tall, tap / wide % tall, tap % wide);
            let (iy, ix) = ((y * strides[0] + ky).wrapping_sub(pads[0]), (z * strides[1] + kx).wrapping_sub(pads[1]));
            if iy < height && ix < width {
                let pixel = x.values[((e * channels + c) * height + iy) * width + ix];
                sum += pixel * weight.values[((o * channels + c) * tall + ky) * wide + kx];
            }
        }
        values.push(sum);
    }
    Value { shape: vec![examples, outputs, rows, columns], values }
}

fn pooled(x: &Value, kernel: &[usize], strides: &[usize], of: &dyn Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Value {
    let [examples, channels, height, width] = x.shape[..] else { panic!("images") };
    let (rows, columns) = ((height - kernel[0]) / strides[0] + 1, (width - kernel[1]) / strides[1] + 1);
    let mut values = Vec::new();
    for at in 0..examples * channels * rows * columns {
        let (image, y, z) = (at / columns / rows, at / columns % rows, at % columns);
        let mut square = (0..kernel[0] * kernel[1]).map(|tap| {
            let (iy, ix) = (y * strides[0] + tap / kernel[1], z * strides[1] + tap % kernel[1]);
            x.values[(image * height + iy) * width + ix]
        });
        values.push(of(&mut square));
    }
    Value { shape: vec![examples, channels, rows, columns], values }
}
