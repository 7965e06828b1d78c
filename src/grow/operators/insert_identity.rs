//! `insert identity after h2`: a new layer that passes on what it reads, so that the function stays.

use super::*;
use crate::grow::gradmax::can_take_back;
use crate::nn::layers;
use crate::nn::layers::Description;

pub struct InsertIdentity;

const METHODS: [&str; 5] = ["identity", "shift", "mirror", "gate", "parametric"];

static DOC: Doc = Doc {
    word: "insert identity",
    help: "puts in a layer that passes on what it reads; how depends on the activation before it",
    args: &[
        Arg {
            name: "activation",
            shape: Shape::Bare(Activation::words),
            required: false,
            default: "what keeps the function",
            help: "the new layer's activation; without `method` it stands for W = I, b = 0",
        },
        Arg {
            name: "after",
            shape: Shape::Keyword(&[Kind::Name]),
            required: false,
            default: "",
            help: "the layer behind which it goes",
        },
        Arg {
            name: "before",
            shape: Shape::Keyword(&[Kind::Name]),
            required: false,
            default: "",
            help: "the layer in front of which it goes",
        },
        AS,
        Arg {
            name: "method",
            shape: Shape::Keyword(&[Kind::Word(|| METHODS.to_vec())]),
            required: false,
            default: "identity after relu, sigmoid, softplus; shift after tanh, elu, selu, gelu, silu; mirror after linear, leaky_relu",
            help: "identity: W = I, b = 0; shift: all values moved above 0 and back; mirror: two halves of opposite \
                   sign; gate: a residual block that adds 0; parametric: an activation that begins linear",
        },
    ],
    one_of: &[&["after", "before"]],
    example: "insert identity after h2",
    source: "Chen et al. 2016 (Net2Net) for identity; Wei et al. 2016 (Network Morphism) for parametric",
};

impl Operator for InsertIdentity {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let is_after = args.has("after");
        let argument = if is_after { "after" } else { "before" };
        let anchor = named(args, argument, before)?;
        let place = place_of(args, anchor, before)?;
        let name = new_name(args, &anchor.name, before)?;
        let ground = Ground::at(place, before);
        let (form, why) = choose(args, &ground, &phrase(args, argument, &anchor.name))?;

        let mut after = before.clone();
        build(&name, &form, place, &mut after);
        affordable(&after, argument)?;
        let made = after.layer(&name).expect("it was just inserted");
        let width = after.width(made.output.axis);
        let detail = format!("{name} ({width}) {}: {why}", form.activation);
        let summary = Summary { action: "insert identity", target: name.clone(), method: form.method, detail };
        let changes = vec![Change::Insert { layer: name, recipe: form.recipe() }];
        let warnings = maybe_absent(place.source(before).into_iter().chain([anchor]), argument);
        Ok(Plan { warnings, ..plan(after, changes, form.promise(), summary) })
    }
}

/// The phrase without its options, for help texts.
fn phrase(args: &Args, argument: &str, anchor: &str) -> String {
    let new = args.name("as").map(|name| format!(" as {name}")).unwrap_or_default();
    format!("insert identity {argument} {anchor}{new}")
}

/// What a new layer would stand on: the values it reads and who reads its own.
struct Ground {
    /// The activation that the values went through last, with the name of its layer. A sum and the input are linear.
    activation: Activation,
    source: String,
    /// How far dropout stretches the values in training: 1/(1−p).
    stretch: f64,
    feeds_a_sum: bool,
    feeds_a_max_pool: bool,
    in_block: bool,
    /// Whether the reader adds a bias and sees no zeros around an image.
    reader_can_shift: bool,
}

impl Ground {
    fn at(place: Place, before: &Architecture) -> Ground {
        let source = place.source(before);
        let reader = place.reader(before);
        Ground {
            // A parametric activation has no lower end once its share has moved.
            activation: source
                .filter(|layer| !layer.settings.parametric)
                .map_or(Activation::Linear, |layer| layer.settings.activation),
            source: source.map_or("what it reads".into(), |layer| format!("`{}`", layer.name)),
            stretch: source.map_or(1.0, |layer| 1.0 / (1.0 - layer.settings.dropout)),
            feeds_a_sum: place.feeds_a_sum(before),
            feeds_a_max_pool: place.feeds_a_max_pool(before),
            in_block: matches!(place, Place::Block(..)),
            reader_can_shift: reader.is_some_and(can_take_back),
        }
    }

    /// Whether a layer of this form would keep the function; `Err` says why not.
    fn keeps(&self, form: &Form) -> Result<(), String> {
        let Form { method, activation } = *form;
        let (source, f) = (&self.source, self.activation);
        match method {
            "identity" if activation == Activation::Linear => Ok(()),
            "identity" if !passes_positive(activation) => {
                Err(format!("{activation} does not pass on what it is given"))
            }
            "identity" if floor(f) == Some(0.0) => Ok(()),
            "identity" => Err(format!("{source} is {f}, whose values can be negative, and {activation} changes those")),
            "shift" if self.feeds_a_sum => Err("a skip reads the values as they are, shifted ones too".into()),
            "shift" if !self.reader_can_shift => {
                Err("the layer that reads it has no bias to take the shift back, or pads its images with zeros".into())
            }
            "shift" if !passes_positive(activation) => Err(format!("{activation} does not pass on what it is given")),
            "shift" if floor(f).is_none() => Err(format!("{source} is {f}, whose values have no lower end")),
            "shift" => Ok(()),
            "mirror" if self.feeds_a_sum => Err("a skip reads the values, and it cannot read two halves".into()),
            "gate" if self.in_block => Err("a gate is a residual block, and blocks do not stand in blocks".into()),
            "mirror" if self.feeds_a_max_pool => Err("a maximum stands between the two halves and their reader".into()),
            "mirror" if !splits_in_two(activation) => {
                Err(format!("the halves {activation}(t) and {activation}(−t) do not make up t"))
            }
            _ => Ok(()),
        }
    }
}

/// How the new layer is made.
#[derive(Clone, Copy)]
struct Form {
    method: &'static str,
    activation: Activation,
}

impl Form {
    fn recipe_with(self, floor: f64) -> Recipe {
        match self.method {
            "identity" => Recipe::Identity,
            "shift" => Recipe::Shift { by: floor },
            // φ(t) − φ(−t) is (1 + α)·t for a leaky_relu of slope α, and t for the others.
            "mirror" if self.activation == Activation::LeakyRelu => Recipe::Mirror { share: 1.0 / (1.0 + LEAK) },
            "mirror" => Recipe::Mirror { share: 1.0 },
            "gate" => Recipe::Gate,
            _ => Recipe::Parametric,
        }
    }

    fn promise(self) -> (Promise, &'static str) {
        match self.method {
            "identity" => {
                (Promise::Bitwise, "the new weights are the identity, and its activation changes none of these values")
            }
            "shift" => (
                Promise::Rounding,
                "every value is moved above 0, where relu passes it, and the reader's bias takes the shift back",
            ),
            "mirror" => (Promise::Rounding, "the reader subtracts the two halves"),
            "gate" => (Promise::Bitwise, "the new block adds 0"),
            _ => (Promise::Bitwise, "the new activation begins as the identity"),
        }
    }
}

/// leaky_relu's slope below 0, as the engine has it.
const LEAK: f64 = 0.01_f32 as f64;

/// Least value of an activation, when it is bounded below; rounded down a little where it is no round number.
fn floor(activation: Activation) -> Option<f64> {
    match activation {
        Activation::Relu | Activation::Sigmoid | Activation::Softplus => Some(0.0),
        Activation::Tanh | Activation::Elu => Some(-1.0),
        Activation::Selu => Some(-1.7581),
        Activation::Gelu => Some(-0.171),
        Activation::Silu => Some(-0.2785),
        Activation::LeakyRelu | Activation::Linear => None,
    }
}

/// φ(t) = t for t ≥ 0.
fn passes_positive(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::LeakyRelu | Activation::Elu | Activation::Linear)
}

/// φ(t) − φ(−t) is t, or a multiple of it.
fn splits_in_two(activation: Activation) -> bool {
    use Activation::{Gelu, LeakyRelu, Relu, Silu, Softplus};
    matches!(activation, Relu | LeakyRelu | Gelu | Silu | Softplus)
}

/// The activation that a method takes when none is named.
fn usual_activation(method: &str, before: Activation) -> Activation {
    match method {
        "mirror" if before == Activation::LeakyRelu => Activation::LeakyRelu,
        "gate" | "parametric" if before != Activation::Linear => before,
        _ => Activation::Relu,
    }
}

/// The form, with the reason for it.
fn choose(args: &Args, ground: &Ground, phrase: &str) -> Result<(Shaped, String), Refusal> {
    let f = ground.activation;
    let named_activation = args.word("activation").and_then(Activation::find);
    let named_method = args.word("method").and_then(|word| METHODS.into_iter().find(|method| *method == word));
    let usual = |method| Form { method, activation: usual_activation(method, f) };
    let shaped = |form: Form| Shaped { form, shift: -floor(f).unwrap_or(0.0) * ground.stretch };

    // In this order: what keeps the function and learns best comes first.
    let first = match f {
        Activation::Relu | Activation::Sigmoid | Activation::Softplus => usual("identity"),
        Activation::LeakyRelu | Activation::Linear => usual("mirror"),
        _ => usual("shift"),
    };
    let mirror = Form { method: "mirror", activation: Activation::Relu };
    // What is exact with any activation.
    let always = if ground.in_block { "parametric" } else { "gate" };
    let natural = [first, mirror, usual(always)]
        .into_iter()
        .find(|form| ground.keeps(form).is_ok())
        .expect("the last keeps every function");

    if named_activation.is_none() && named_method.is_none() {
        let why = match natural.method {
            "identity" => format!("{} is {f}, so no value is negative and relu passes each unchanged", ground.source),
            "shift" => {
                format!(
                    "{} is {f}, never below {}, so relu passes the shifted values",
                    ground.source,
                    floor(f).unwrap_or(0.0)
                )
            }
            "mirror" => {
                format!("{} is {f}, without a lower end, so each value goes through as two halves", ground.source)
            }
            _ => format!("nothing else keeps the function behind {}", ground.source),
        };
        return Ok((shaped(natural), format!("method {}, because {why}", natural.method)));
    }
    let method = named_method.unwrap_or("identity");
    let form = Form { method, activation: named_activation.unwrap_or(usual_activation(method, f)) };
    if let Err(reason) = ground.keeps(&form) {
        let (word, argument) = match (named_method, named_activation) {
            (None, Some(activation)) => (format!("`insert identity {activation}`"), "activation"),
            (_, Some(activation)) => (format!("`insert identity {activation} … method {method}`"), "method"),
            (_, None) => (format!("`method {method}`"), "method"),
        };
        return Err(Refusal::error(
            "G0401",
            format!("{word} here would change the network's output: {reason}"),
            match named_activation {
                None => format!(
                    "`{phrase}` takes method `{}` here; `{phrase} method {always}` keeps any function",
                    natural.method
                ),
                Some(activation) => {
                    let method = [natural.method, "shift", "mirror", always]
                        .into_iter()
                        .find(|method| *method != "identity" && ground.keeps(&Form { method, activation }).is_ok())
                        .unwrap_or(always);
                    format!(
                        "`{}` keeps the function; without a named activation `{phrase}` takes method `{}` here",
                        args.phrase(&[], &[("method", Value::Word(method.into()))]),
                        natural.method
                    )
                }
            },
        )
        .at(argument)
        .here(format!("not exact after {f}"))
        .cause(format!("{}.activation", ground.source.trim_matches('`'))));
    }
    Ok((shaped(form), format!("method {method}, as written")))
}

/// A form with the shift that its ground asks for.
#[derive(Clone, Copy)]
struct Shaped {
    form: Form,
    shift: f64,
}

impl std::ops::Deref for Shaped {
    type Target = Form;
    fn deref(&self) -> &Form {
        &self.form
    }
}

impl Shaped {
    fn recipe(&self) -> Recipe {
        self.form.recipe_with(self.shift)
    }
}

/// Puts the new layer (or block) into the architecture.
fn build(name: &str, form: &Form, place: Place, after: &mut Architecture) {
    let input = place.feature(after);
    let width = after.width(input.axis);
    let outer = |factor: usize| Width { min: width.min.saturating_mul(factor), max: width.max.saturating_mul(factor) };
    let parametric = form.method == "parametric";
    let linear = Settings { kernel: kernel_at(place, after), ..Settings::default() };
    let activated = Settings { activation: form.activation, parametric, ..linear.clone() };
    match (form.method, place) {
        ("gate", Place::Top(_)) => {
            let free = |stem: String, after: &Architecture| match after.layer(&stem) {
                Some(_) => next_free(&format!("{stem}_"), 2, after),
                None => stem,
            };
            let (first_name, last_name) = (free(format!("{name}_a"), after), free(format!("{name}_b"), after));
            let mut first = plain(&first_name, activated, input, width, after);
            let mut last = plain(&last_name, linear, first.output, width, after);
            last.output = input;
            first.presence = Presence::Certain;
            let description = Description {
                width: None,
                area: input.area,
                settings: Settings { bias: false, ..Settings::default() },
            };
            let kind = layers::find("residual").expect("`residual` is a registered layer");
            let block = after.make_layer(name, kind, description, input);
            place.insert(Layer { block: vec![first, last], ..block }, after);
        }
        (_, Place::Block(top, at)) if at == after.layers[top].block.len() => {
            // The sum ties the block's end to its skip, so the new layer takes over the tied axis and
            // the layer before it gets one of its own.
            let mut layer = plain(name, activated, input, width, after);
            let own = layer.output;
            layer.input = own;
            layer.output = input;
            let block = &mut after.layers[top].block;
            if let Some(last) = block.last_mut() {
                last.output.axis = own.axis;
            }
            block.push(layer);
        }
        (method, _) => {
            let units = outer(if method == "mirror" { 2 } else { 1 });
            let layer = plain(name, activated, input, units, after);
            place.insert(layer, after);
        }
    }
}

/// The kernel of a convolution at this place: that of the one whose output it reads, if it has a middle.
fn kernel_at(place: Place, before: &Architecture) -> usize {
    let usual = |layer: &&Layer| layer.input.area.is_some() && layer.output.area.is_some();
    let kernel = place.source(before).filter(usual).map(|layer| layer.settings.kernel);
    kernel.filter(|kernel| kernel % 2 == 1).unwrap_or(3)
}

/// A dense layer, or a convolution that keeps the image's size, that reads `input`.
fn plain(name: &str, settings: Settings, input: crate::nn::Feature, width: Width, after: &mut Architecture) -> Layer {
    let (word, settings) = match input.area {
        None => ("dense", Settings { kernel: 1, ..settings }),
        Some(_) => ("conv", settings),
    };
    let kind = layers::find(word).expect("`dense` and `conv` are registered layers");
    let layer = after.make_layer(name, kind, Description { width: Some(width.max), area: input.area, settings }, input);
    after.set_width(layer.output.axis, width);
    layer
}
