//! What the proofs share: small networks of every shape, the optimisers, a training step, and phrases as text.
//! A new kind of layer is one line in [`PLACES`].

use super::*;
use growrun::base::Kind;
use growrun::base::Shape;
use growrun::base::rng::{Purpose, Stream};
use growrun::grow::{Dice, OPERATORS};
use growrun::nn::architecture::Pooling;
use growrun::nn::{Mode, Network};
use growrun::optim::{Optimizer, Rule};
use growrun::run;
use growrun::tensor::{Compute, Real};
use growrun::train::{Loss, Targets};
use ndarray::Array2;

pub const SGD: Rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
pub const MOMENTUM: Rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
pub const NESTEROV: Rule = Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
pub const ADAM: Rule = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
pub const ADAMW: Rule = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 };

/// Every optimiser, with its name and a learning rate at which also the wide ones of these networks learn.
pub const RULES: [(&str, Rule, f64); 5] = [
    ("sgd", SGD, 0.005),
    ("momentum", MOMENTUM, 0.002),
    ("nesterov", NESTEROV, 0.002),
    ("adam", ADAM, 0.01),
    ("adamw", ADAMW, 0.01),
];

pub const NORMS: [(&str, Option<Norm>); 4] =
    [("no norm", None), ("batch", Some(Norm::Batch)), ("layer", Some(Norm::Layer)), ("rms", Some(Norm::Rms))];

/// Where the axis that grows lies. Every network has a layer `h` that writes it, and `c` or `r`, which can follow
/// itself.
pub struct Place {
    pub word: &'static str,
    /// With `h` of this width, hidden layers with these settings.
    pub build: fn(usize, &Settings) -> Architecture,
}

pub const PLACES: [Place; 3] = [
    Place { word: "chain", build: chain },
    Place { word: "block", build: block },
    Place { word: "stream", build: stream },
];

/// The same for images; behind the last of them a dense layer reads what is flattened, or the mean of each channel.
pub const IMAGE_PLACES: [Place; 5] = [
    Place { word: "convs", build: convs },
    Place { word: "pooled", build: pooled },
    Place { word: "flattened", build: flattened },
    Place { word: "conv block", build: conv_block },
    Place { word: "conv stream", build: conv_stream },
];

const INPUTS: usize = 4;
const OUTPUTS: usize = 3;
/// Two channels, higher than wide, so that the two sides cannot be mistaken for each other.
const AREA: (usize, usize) = (5, 4);

/// 4 → a 7 → h → b 6 → c 6 → out 3
fn chain(h: usize, settings: &Settings) -> Architecture {
    let mut net = Architecture::new(INPUTS, None, Task::Regression);
    for (name, width) in [("a", 7), ("h", h), ("b", 6), ("c", 6)] {
        push(&mut net, name, width, settings.clone());
    }
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 4 → a 7 → r { h; k 7 } → out 3: the axis lies inside a residual block.
fn block(h: usize, settings: &Settings) -> Architecture {
    let mut net = Architecture::new(INPUTS, None, Task::Regression);
    push(&mut net, "a", 7, settings.clone());
    residual(&mut net, [("h", h), ("k", 7)], settings);
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 4 → h → r { p 6; q } → out 3: the axis is the stream, which a skip ties to the end of the block.
fn stream(h: usize, settings: &Settings) -> Architecture {
    let mut net = Architecture::new(INPUTS, None, Task::Regression);
    push(&mut net, "h", h, settings.clone());
    residual(&mut net, [("p", 6), ("q", h)], settings);
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// `r residual { first; last }`, the last layer linear as at the end of a block.
fn residual(net: &mut Architecture, [first, last]: [(&str, usize); 2], settings: &Settings) {
    let stream = net.output();
    let dense = layers::find("dense").expect("dense is a layer");
    let describe = |width, settings| Description { width: Some(width), area: None, settings };
    let inner = net.make_layer(first.0, dense, describe(first.1, settings.clone()), stream);
    let linear = Settings { activation: Activation::Linear, ..settings.clone() };
    let mut end = net.make_layer(last.0, dense, describe(last.1, linear), inner.output);
    end.output = stream;
    let kind = layers::find("residual").expect("residual is a layer");
    let settings = Settings { bias: false, ..Settings::default() };
    net.push("r", kind, Description { width: None, area: None, settings }).block = vec![inner, end];
}

fn images() -> Architecture {
    Architecture::new(2, Some(AREA), Task::Regression)
}

fn conv(net: &mut Architecture, name: &str, width: usize, kernel: usize, settings: &Settings) {
    let kind = layers::find("conv").expect("conv is a layer");
    let (area, settings) = (net.output().area, Settings { kernel, ..settings.clone() });
    net.push(name, kind, Description { width: Some(width), area, settings });
}

fn pool(net: &mut Architecture, name: &str, pooling: Pooling) {
    let (rows, columns) = net.output().area.expect("a pool reads images");
    let area = match pooling {
        Pooling::Max(size) | Pooling::Average(size) => Some((rows / size, columns / size)),
        Pooling::Global => None,
    };
    let kind = layers::find("pool").expect("pool is a layer");
    let settings = Settings { pooling: Some(pooling), ..Settings::default() };
    net.push(name, kind, Description { width: None, area, settings });
}

/// 2@5x4 → a 12 → h → b 4 → c 4 → out 3: with a kernel of 5, what `h` reads is longer than a block of 256.
fn convs(h: usize, settings: &Settings) -> Architecture {
    let mut net = images();
    for (name, width, kernel) in [("a", 12, 3), ("h", h, 3), ("b", 4, 3), ("c", 4, 1)] {
        conv(&mut net, name, width, kernel, settings);
    }
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 2@5x4 → a 3 → h → max 2 → b 4 → c 4 → global → out 3: a maximum stands between the axis and its reader.
fn pooled(h: usize, settings: &Settings) -> Architecture {
    let mut net = images();
    conv(&mut net, "a", 3, 3, settings);
    conv(&mut net, "h", h, 3, settings);
    pool(&mut net, "p", Pooling::Max(2));
    conv(&mut net, "b", 4, 3, settings);
    conv(&mut net, "c", 4, 3, settings);
    pool(&mut net, "q", Pooling::Global);
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 2@5x4 → a 3 → h → avg 2 → b 6 → c 6 → out 3: a mean and a flatten stand between the axis and its reader.
fn flattened(h: usize, settings: &Settings) -> Architecture {
    let mut net = images();
    conv(&mut net, "a", 3, 3, settings);
    conv(&mut net, "h", h, 3, settings);
    pool(&mut net, "p", Pooling::Average(2));
    push(&mut net, "b", 6, settings.clone());
    push(&mut net, "c", 6, settings.clone());
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 2@5x4 → a 4 → r { h; k 4 } → max 2 → out 3: the axis lies inside a residual block.
fn conv_block(h: usize, settings: &Settings) -> Architecture {
    let mut net = images();
    conv(&mut net, "a", 4, 3, settings);
    conv_residual(&mut net, "r", false, [("h", h), ("k", 4)], settings);
    pool(&mut net, "p", Pooling::Max(2));
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// 2@5x4 → h → r { p 3; q } → s project { t 3; u 4 } → out 3: the axis is the stream, which a skip ties to the end of
/// one block, and which a map on the skip of the next one reads.
fn conv_stream(h: usize, settings: &Settings) -> Architecture {
    let mut net = images();
    conv(&mut net, "h", h, 3, settings);
    conv_residual(&mut net, "r", false, [("p", 3), ("q", h)], settings);
    conv_residual(&mut net, "s", true, [("t", 3), ("u", 4)], settings);
    push(&mut net, "out", OUTPUTS, Settings::default());
    net
}

/// `name residual { first; last }` of convolutions, the last one linear as at the end of a block.
fn conv_residual(net: &mut Architecture, name: &str, project: bool, inner: [(&str, usize); 2], settings: &Settings) {
    let stream = net.output();
    let kind = layers::find("conv").expect("conv is a layer");
    let linear = Settings { activation: Activation::Linear, ..settings.clone() };
    let (mut block, mut end) = (Vec::new(), stream);
    for ((name, width), settings) in inner.into_iter().zip([settings.clone(), linear]) {
        let settings = Settings { kernel: 3, ..settings };
        block.push(net.make_layer(name, kind, Description { width: Some(width), area: stream.area, settings }, end));
        end = block.last().expect("it was just added").output;
    }
    let kind = layers::find("residual").expect("residual is a layer");
    let settings = Settings { bias: false, project, ..Settings::default() };
    net.push_block(name, kind, Description { width: None, area: stream.area, settings }, block);
}

// --- numbers

/// Standard normal numbers: [examples, width].
pub fn normal<T: Real>(count: usize, width: usize, name: &str) -> Array2<T> {
    let mut stream = Stream::new(11, Purpose::Data, name, 0);
    let mut out = Array2::from_elem((count, width), T::ZERO);
    for (at, mut row) in out.outer_iter_mut().enumerate() {
        let mut draws = stream.row(at as u64);
        row.iter_mut().for_each(|x| *x = T::from_f64(draws.normal()));
    }
    out
}

/// Inputs and targets.
pub struct Examples<T> {
    pub x: Array2<T>,
    pub target: Array2<T>,
}

impl<T: Real> Examples<T> {
    /// Batch `number` of examples for a network. Each target is a product of two inputs: there is something to learn.
    pub fn batch(network: &Network<T>, number: u64) -> Examples<T> {
        let x = normal::<T>(16, network.inputs(), &format!("x{number}"));
        let inputs = x.ncols();
        let target = |(example, at)| x[[example, at % inputs]] * x[[example, (at + 1) % inputs]];
        Examples { target: Array2::from_shape_fn((16, network.outputs()), target), x }
    }
}

/// A network whose biases are not zero either.
pub fn network<T: Real>(net: &Architecture) -> Network<T> {
    let mut network = Network::new(net, 3, Compute::single());
    let mut stream = Stream::new(3, Purpose::Data, "biases", 0);
    for (at, parameter) in network.parameters().iter_mut().enumerate() {
        if parameter.role == growrun::nn::Role::Bias {
            let mut draws = stream.row(at as u64);
            parameter.value.iter_mut().for_each(|b| *b = T::from_f64(0.2 * draws.normal()));
        }
    }
    network
}

/// ∂/∂output of the halved mean square, forward and backward.
fn gradients<T: Real>(network: &mut Network<T>, Examples { x, target }: &Examples<T>, mode: Mode) {
    let output = network.forward(x.view(), mode).to_owned();
    let scale = T::from_f64(1.0 / output.nrows() as f64);
    let d = (&output - target).mapv(|d| d * scale);
    network.backward(d.view());
}

/// Steps `from..to`, each on a batch of its own, dropout included. Tells whether all new values were finite.
pub fn train<T: Real>(network: &mut Network<T>, rule: Rule, lr: f64, steps: std::ops::Range<u64>) -> bool {
    let mut optimizer = Optimizer::new(rule, lr, None);
    steps.fold(true, |finite, step| {
        let examples = Examples::batch(network, step);
        gradients(network, &examples, Mode::Train { seed: 5, step });
        optimizer.update(network, lr).1 && finite
    })
}

// --- growth

/// Carries out a plan.
pub fn grow<T: Real>(plan: &Plan, network: &mut Network<T>) {
    let dice = Dice { seed: 3, step: 40 };
    let Examples { x, target } = Examples::batch(network, 1000);
    let values: Vec<f32> = target.iter().map(|target| target.to_f64() as f32).collect();
    let targets = Targets::Numbers { values: &values, width: network.outputs() };
    let measurements = run::measure(network, plan, &Loss::Mse, x.view(), targets);
    let concrete = grow::realise(plan, network.parameters(), &measurements, dice);
    grow::apply(concrete, network.parameters(), &plan.after);
    network.replan(&plan.after, 0);
}

/// Plans a phrase as a schedule writes it: `widen h to 12 method split`.
pub fn plan_of(phrase: &str, net: &Architecture) -> Result<Plan, Refusal> {
    let (operator, args) = read(phrase);
    operator.plan(&args, net)
}

/// Plans a phrase that must be planned, and carries it out. The architecture afterwards.
pub fn grown<T: Real>(phrase: &str, net: &Architecture, network: &mut Network<T>) -> Architecture {
    let plan = plan_of(phrase, net).unwrap_or_else(|refusal| panic!("{phrase}: {refusal}"));
    grow(&plan, network);
    plan.after
}

/// The operator and the arguments of a phrase, by the operator's own documentation. What `check` does with places
/// and suggestions, in few lines.
fn read(phrase: &str) -> (&'static dyn grow::Operator, Args) {
    let operator = OPERATORS
        .iter()
        .copied()
        .filter(|operator| phrase == operator.doc().word || phrase.starts_with(&format!("{} ", operator.doc().word)))
        .max_by_key(|operator| operator.doc().word.len())
        .unwrap_or_else(|| panic!("`{phrase}` begins with no operator"));
    let doc = operator.doc();
    let mut args = Args::none(doc);
    let mut words = phrase[doc.word.len()..].split_whitespace().peekable();
    while let Some(word) = words.next() {
        let keyword = doc.arg(word).filter(|arg| matches!(arg.shape, Shape::Keyword(_) | Shape::Flag));
        let bare = |shape: &Shape| matches!(shape, Shape::Bare(choices) if choices().contains(&word));
        let arg = keyword
            .or_else(|| doc.args.iter().find(|arg| bare(&arg.shape)))
            .or_else(|| doc.args.iter().find(|arg| matches!(arg.shape, Shape::Positional(_)) && !args.has(arg.name)))
            .unwrap_or_else(|| panic!("`{word}` in `{phrase}`"));
        let values = match &arg.shape {
            Shape::Keyword(kinds) => kinds
                .iter()
                .map(|kind| value_of(kind, words.next().unwrap_or_default()))
                // `kernel to 5`: what only leads to a value is none where another follows.
                .filter(|value| kinds.len() == 1 || !matches!(value, Value::Flag(_)))
                .collect(),
            Shape::Positional(kind) => vec![value_of(kind, word)],
            Shape::Flag => vec![Value::Flag(true)],
            _ => vec![Value::Word(word.into())],
        };
        args = args.with(arg.name, values);
    }
    (operator, args)
}

fn value_of(kind: &Kind, text: &str) -> Value {
    let number = || text.parse::<f64>().unwrap_or_else(|_| panic!("`{text}` is a number"));
    match kind {
        Kind::Name | Kind::NewName => Value::Name(text.into()),
        Kind::Target => value("target", text),
        Kind::Integer => Value::Integer(number() as u64),
        Kind::Number => Value::Number(number()),
        Kind::Factor | Kind::Either(_) => value("by", text),
        Kind::Literal(_) => Value::Flag(true),
        _ => Value::Word(text.into()),
    }
}
