//! An ONNX graph computed by its definition, in f64: what the written file means, without a runtime.

use growrun::export::onnx_proto::{Model, Node};
use std::collections::BTreeMap;

/// Rows and columns of a value; a vector is one row, a number one of each.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

/// The output [batch, out] for x: [batch, in].
pub fn compute(model: &Model, x: &[f32], inputs: usize) -> Vec<f64> {
    let graph = model.graph.as_ref().expect("a graph");
    let mut known: BTreeMap<&str, Matrix> = BTreeMap::new();
    for tensor in &graph.initializer {
        let values: Vec<f64> =
            tensor.raw_data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
        let columns = tensor.dims.last().map_or(1, |&extent| extent as usize);
        known.insert(&tensor.name, Matrix { rows: values.len() / columns, columns, values });
    }
    let values = x.iter().map(|&x| f64::from(x)).collect();
    known.insert("input", Matrix { rows: x.len() / inputs, columns: inputs, values });
    for node in &graph.node {
        let given: Vec<&Matrix> = node.input.iter().map(|name| &known[name.as_str()]).collect();
        let made = apply(node, &given);
        known.insert(&node.output[0], made);
    }
    known["output"].values.clone()
}

fn apply(node: &Node, given: &[&Matrix]) -> Matrix {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let float = |name: &str| f64::from(attribute(name).and_then(|attribute| attribute.f).expect("it is there"));
    let x = given[0];
    let each = |f: &dyn Fn(f64) -> f64| Matrix { values: x.values.iter().map(|&x| f(x)).collect(), ..x.clone() };
    let with = |f: &dyn Fn(f64, f64) -> f64| pairwise(x, given[1], f);
    let at = |vector: &Matrix, column: usize| vector.values[column % vector.values.len()];
    match node.op_type.as_str() {
        "Gemm" => {
            assert_eq!(attribute("transB").and_then(|attribute| attribute.i), Some(1));
            let (weight, outputs) = (given[1], given[1].rows);
            let value = |row: usize, out: usize| {
                let products = (0..x.columns)
                    .map(|i| x.values[row * x.columns + i] * weight.values[out * weight.columns + i])
                    .sum::<f64>();
                products + given.get(2).map_or(0.0, |bias| bias.values[out])
            };
            let values = (0..x.rows * outputs).map(|at| value(at / outputs, at % outputs)).collect();
            Matrix { rows: x.rows, columns: outputs, values }
        }
        "BatchNormalization" => {
            let epsilon = float("epsilon");
            let value = |(place, x): (usize, &f64)| {
                let column = place % given[0].columns;
                let [gain, shift, mean, variance] = [1, 2, 3, 4].map(|input| at(given[input], column));
                (x - mean) / (variance + epsilon).sqrt() * gain + shift
            };
            Matrix { values: x.values.iter().enumerate().map(value).collect(), ..x.clone() }
        }
        "LayerNormalization" => {
            let (epsilon, n) = (float("epsilon"), x.columns as f64);
            let row = |row: &[f64]| -> Vec<f64> {
                let mean = row.iter().sum::<f64>() / n;
                let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                let root = (variance + epsilon).sqrt();
                let scaled = row.iter().map(|x| (x - mean) / root).enumerate();
                scaled.map(|(column, x)| x * at(given[1], column) + at(given[2], column)).collect()
            };
            Matrix { values: x.values.chunks(x.columns).flat_map(row).collect(), ..x.clone() }
        }
        "ReduceMean" => {
            let values = x.values.chunks(x.columns).map(|row| row.iter().sum::<f64>() / x.columns as f64).collect();
            Matrix { rows: x.rows, columns: 1, values }
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

fn pairwise(a: &Matrix, b: &Matrix, f: &dyn Fn(f64, f64) -> f64) -> Matrix {
    let value = |(place, &x): (usize, &f64)| {
        let (row, column) = (place / a.columns, place % a.columns);
        f(x, b.values[(row % b.rows) * b.columns + column % b.columns])
    };
    Matrix { values: a.values.iter().enumerate().map(value).collect(), ..a.clone() }
}
