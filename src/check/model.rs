//! The `model` section: layers in order, from the registry of layer kinds.

mod skips;

use super::arguments::{self, found, text_of};
use super::report::{Report, place};
use super::suggest;
use super::vocabulary::Vocabulary;
use crate::base::{Arg, Args, Diagnostic, Doc, Kind, Refusal, Shape, Span, Spanned, Value};
use crate::nn::layers::{self, Description};
use crate::nn::{Architecture, Feature, LAYERS, Layer, LayerKind, Settings, Task, Width};
use crate::syntax::{Atom, Phrase, Section};
use crate::weights::fit::{self, Channels};
use std::collections::{HashMap, HashSet};

/// Names that no layer can have, because they mean something else where a layer is named.
pub const RESERVED: [&str; 2] = ["all", "map"];

static MODEL: Doc = Doc {
    word: "model",
    help: "the layers in order; `from` begins with given weights",
    args: &[
        Arg {
            name: "from",
            shape: Shape::Keyword(&[Kind::Text]),
            required: false,
            default: "",
            help: "a weights file whose tensors have the layers' names",
        },
        Arg {
            name: "prefix",
            shape: Shape::Keyword(&[Kind::Text]),
            required: false,
            default: "all of the file",
            help: "the dictionary in the file that holds the network: `model` beside `ema`",
        },
    ],
    one_of: &[],
    example: "model from \"weights.safetensors\" { h1 dense 64 relu; out dense 10 }",
    source: "",
};

static MAP: Doc = Doc {
    word: "map",
    help: "which tensor of the weights file a parameter begins with, where the names differ",
    args: &[
        Arg {
            name: "tensor",
            shape: Shape::Positional(Kind::Text),
            required: true,
            default: "",
            help: "the tensor's name in the file",
        },
        Arg {
            name: "to",
            shape: Shape::Keyword(&[Kind::Label]),
            required: true,
            default: "",
            help: "the parameter: `h1.weight`; or a layer, where `tensor` is what the file calls that: `map \"fc1\" to h1`",
        },
        Arg {
            name: "transpose",
            shape: Shape::Flag,
            required: false,
            default: "only a `kernel`",
            help: "the file has it as [in, out], or [height, width, in, out]",
        },
        Arg {
            name: "channels",
            shape: Shape::Keyword(&[Kind::Word(|| Channels::ALL.map(Channels::word).to_vec())]),
            required: false,
            default: "first; last for a `kernel`",
            help: "whether the file has the image that a dense layer reads channel by channel or pixel by pixel",
        },
    ],
    one_of: &[],
    example: "map \"fc1.weight\" to h1.weight",
    source: "",
};

/// Words of the section beside the layer kinds.
pub static STATEMENTS: &[&Doc] = &[&MODEL, &MAP];

/// Where something about a layer was last said, and what was said: the second label of a diagnostic.
#[derive(Clone, Debug)]
pub struct Cause {
    pub span: Span,
    pub text: String,
}

/// The network as written.
pub struct ModelRead {
    pub architecture: Architecture,
    /// By layer: where it got its width; by `LAYER.activation`: its activation.
    pub causes: HashMap<String, Cause>,
    /// Layers of which something is not known because of a mistake.
    pub doubtful: HashSet<String>,
    /// `model from`: the file of all that is not drawn.
    pub from: Option<Spanned<String>>,
    pub prefix: Option<String>,
    pub maps: Vec<MapRead>,
    pub layers_from: Vec<LayerFrom>,
}

/// A `map` statement.
#[derive(Clone, Debug)]
pub struct MapRead {
    pub map: fit::Map,
    pub span: Span,
}

/// A layer that begins with a file of its own.
#[derive(Clone, Debug)]
pub struct LayerFrom {
    pub layer: String,
    pub file: Spanned<String>,
    pub prefix: Option<String>,
}

/// What the data says of both ends; unknown ends are taken as they come.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub inputs: usize,
    pub area: Option<(usize, usize)>,
    pub task: Task,
    /// `None` when the data is not there.
    pub outputs: Option<usize>,
    /// Whether `inputs` and `area` are true or only stand for them.
    pub known: bool,
    /// Whether weights come along, whatever the section says.
    pub weights: bool,
}

pub fn read(section: &Section, ends: &Ends, vocabulary: &Vocabulary, report: &mut Report) -> ModelRead {
    let (head, diagnostics) = arguments::read(&MODEL, &section.head, section.keyword.span, vocabulary);
    report.extend(diagnostics);
    if head.has("prefix") && !head.has("from") && !ends.weights {
        report.add(
            Diagnostic::error("G0106", head.span_of("prefix"), "`prefix` says where in a file the network is")
                .here("there is no `from`")
                .help("add the file: `model from \"net.pt\" prefix \"ema\" { … }`"),
        );
    }
    let from = head.text("from").map(|text| Spanned::new(text.to_string(), head.span_of("from")));
    // As in PyTorch, a network without a convolution sees an image as one long vector: `h1.weight` is [out, in].
    let kind_of = |phrase: &Phrase| match phrase.atoms.get(1) {
        Some(Spanned { node: Atom::Word(word), .. }) => layers::find(word).or_else(|| layers::find(meant(word)?)),
        _ => None,
    };
    let statements =
        section.body.iter().flat_map(|phrase| std::iter::once(phrase).chain(phrase.block.iter().flatten()));
    let reads_images = statements.filter_map(kind_of).any(|kind| kind.needs_image());
    let flat =
        Ends { inputs: ends.inputs * ends.area.map_or(1, |(rows, columns)| rows * columns), area: None, ..*ends };
    let ends = if reads_images { ends } else { &flat };
    let mut reader = Reader {
        read: ModelRead {
            architecture: Architecture::new(ends.inputs, ends.area, ends.task),
            causes: HashMap::new(),
            doubtful: HashSet::new(),
            from,
            prefix: head.text("prefix").map(str::to_string),
            maps: Vec::new(),
            layers_from: Vec::new(),
        },
        names: HashMap::new(),
        ends,
        vocabulary,
        report,
    };
    for phrase in &section.body {
        reader.statement(phrase);
    }
    reader.finish(section)
}

/// The kind of layer that was probably meant: by a slip, or by what other tools call it.
fn meant(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "linear" | "fc" => Some("dense"),
        _ => suggest::nearest(word, LAYERS.iter().map(|kind| kind.doc().word)),
    }
}

struct Reader<'a> {
    read: ModelRead,
    /// Where each name stands.
    names: HashMap<String, Span>,
    ends: &'a Ends,
    vocabulary: &'a Vocabulary,
    report: &'a mut Report,
}

/// One statement taken apart.
struct LayerText<'a> {
    name: Spanned<String>,
    kind: Option<&'static dyn LayerKind>,
    args: Args,
    block: Option<&'a [Phrase]>,
    /// Whether its arguments were read without a mistake.
    clean: bool,
}

impl Reader<'_> {
    fn statement(&mut self, phrase: &Phrase) {
        if let Some((doc, count)) = arguments::find(&[&MAP], &phrase.atoms)
            && !matches!(phrase.atoms.get(1), Some(Spanned { node: Atom::Word(kind), .. }) if layers::find(kind).is_some())
        {
            self.map(doc, phrase, count);
            return;
        }
        let Some(layer) = self.take_apart(phrase) else { return };
        match layer.kind {
            Some(kind) if kind.doc().word == "residual" => self.residual(kind, layer),
            _ => {
                let input = self.read.architecture.output();
                self.refuse_block(&layer, phrase);
                let made = self.make(&layer, input);
                self.read.architecture.layers.push(made);
            }
        }
    }

    fn map(&mut self, doc: &'static Doc, phrase: &Phrase, count: usize) {
        let (args, diagnostics) = arguments::read(doc, &phrase.atoms[count..], phrase.span, self.vocabulary);
        self.report.extend(diagnostics);
        let (Some(tensor), Some(to)) = (args.text("tensor"), args.text("to")) else { return };
        let map = fit::Map {
            tensor: tensor.into(),
            to: to.into(),
            transpose: args.has("transpose"),
            channels: args.word("channels").and_then(Channels::find),
        };
        if let Some(first) = self.read.maps.iter().find(|read| read.map.to == map.to) {
            self.report.add(
                Diagnostic::error("G0108", args.span_of("to"), format!("`{}` is mapped twice", map.to))
                    .here("the second")
                    .label(first.span, "the first")
                    .help("leave one out"),
            );
            return;
        }
        self.read.maps.push(MapRead { map, span: phrase.span });
    }

    fn refuse_block(&mut self, layer: &LayerText, phrase: &Phrase) {
        if layer.block.is_some() {
            let word = layer.kind.map_or("layer", |kind| kind.doc().word);
            self.report.add(
                Diagnostic::error("G0105", phrase.span, format!("a `{word}` holds no other layers"))
                    .help("only `residual` has a block: `r1 residual { a dense 64 relu; b dense 64 }`"),
            );
        }
    }

    /// Name, kind and arguments of a layer's statement. `None` when nothing of it could be made out.
    fn take_apart<'p>(&mut self, phrase: &'p Phrase) -> Option<LayerText<'p>> {
        let form = "the form is `NAME KIND …`, such as `h1 dense 64 relu`";
        let first = phrase.atoms.first()?;
        let name = match &first.node {
            Atom::Word(word) => Spanned::new(word.clone(), first.span),
            Atom::Bad | Atom::Variable(_) => return None,
            _ => {
                let message = format!("a layer begins with its name, not {}", found(first));
                self.report.add(Diagnostic::error("G0106", first.span, message).help(form));
                return None;
            }
        };
        let next = phrase.atoms.get(1);
        let kind_here = layers::find(&name.node);
        let next_is_kind = matches!(next, Some(Spanned { node: Atom::Word(word), .. }) if layers::find(word).is_some());
        if let Some(kind) = kind_here
            && !next_is_kind
        {
            self.report.add(
                Diagnostic::error("G0106", first.span, format!("this `{}` layer has no name", name.node))
                    .here("the name goes before")
                    .help(format!("write `{} {}`", self.free_name(), self.text(phrase))),
            );
            let (args, diagnostics) = arguments::read(kind.doc(), &phrase.atoms[1..], phrase.span, self.vocabulary);
            let clean = diagnostics.is_empty();
            self.report.extend(diagnostics);
            let name = Spanned::new(self.free_name(), first.span);
            return Some(LayerText { name, kind: Some(kind), args, block: phrase.block.as_deref(), clean });
        }
        self.name(&name);
        let Some(next) = next else {
            self.report.add(
                Diagnostic::error("G0106", first.span, format!("what kind of layer is `{}`", name.node)).help(form),
            );
            return Some(self.unknown_layer(name, phrase));
        };
        let Atom::Word(word) = &next.node else {
            if !matches!(next.node, Atom::Bad | Atom::Variable(_)) {
                let message = format!("after the name `{}` comes the kind of layer, not {}", name.node, found(next));
                self.report.add(Diagnostic::error("G0106", next.span, message).help(form));
            }
            return Some(self.unknown_layer(name, phrase));
        };
        let words: Vec<&str> = LAYERS.iter().map(|kind| kind.doc().word).collect();
        let kind = match layers::find(word) {
            Some(kind) => kind,
            None => {
                let near = meant(word);
                let diagnostic = Diagnostic::error("G0105", next.span, format!("there is no kind of layer `{word}`"))
                    .here("unknown kind");
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if word.eq_ignore_ascii_case("flatten") => {
                        "leave it out: a `dense` layer reads an image as it is, channel by channel".into()
                    }
                    None => format!("the kinds are {}", suggest::all_of(&words)),
                };
                self.report.add(diagnostic.help(help));
                match near.and_then(layers::find) {
                    Some(kind) => kind,
                    None => return Some(self.unknown_layer(name, phrase)),
                }
            }
        };
        let (args, diagnostics) = arguments::read(kind.doc(), &phrase.atoms[2..], phrase.span, self.vocabulary);
        let clean = diagnostics.is_empty();
        // `maxpool 2` is no `pool 2`: what another tool's word takes is no matter.
        let is_longer = word.len() > kind.doc().word.len() && word.to_lowercase().contains(kind.doc().word);
        self.report.extend(if is_longer { Vec::new() } else { diagnostics });
        Some(LayerText { name, kind: Some(kind), args, block: phrase.block.as_deref(), clean: clean && !is_longer })
    }

    /// A layer of unknown kind: the first whole number is most likely its width.
    fn unknown_layer<'p>(&mut self, name: Spanned<String>, phrase: &'p Phrase) -> LayerText<'p> {
        let kind = layers::find("dense").expect("dense layers are registered");
        let mut args = Args { span: phrase.span, ..Args::none(kind.doc()) };
        for atom in &phrase.atoms {
            if let Atom::Number { integer: Some(width), .. } = atom.node {
                args = args.with("width", vec![Value::Integer(width)]);
                break;
            }
        }
        self.read.doubtful.insert(name.node.clone());
        LayerText { name, kind: None, args, block: phrase.block.as_deref(), clean: false }
    }

    /// The statement as it could be written.
    fn text(&self, phrase: &Phrase) -> String {
        phrase.atoms.iter().map(|atom| text_of(&atom.node)).collect::<Vec<_>>().join(" ")
    }

    fn free_name(&self) -> String {
        (1..)
            .map(|n| format!("h{n}"))
            .find(|name| !self.names.contains_key(name))
            .expect("there are more numbers than layers")
    }

    /// Notes a name; a reserved or taken one is an error.
    fn name(&mut self, name: &Spanned<String>) {
        if RESERVED.contains(&name.node.as_str()) {
            self.report.add(
                Diagnostic::error("G0103", name.span, format!("no layer can be called `{}`", name.node))
                    .here("this word has a meaning of its own")
                    .help("choose another name, such as `h1`"),
            );
        }
        if let Some(first) = self.names.get(&name.node) {
            self.report.add(
                Diagnostic::error("G0103", name.span, format!("there are two layers called `{}`", name.node))
                    .here("the second")
                    .label(*first, "the first")
                    .help("give one of them another name"),
            );
        } else {
            self.names.insert(name.node.clone(), name.span);
        }
    }

    /// Makes a layer that reads `input`. A refused argument is reported and left out, so that the rest counts.
    fn make(&mut self, layer: &LayerText, input: Feature) -> Layer {
        let kind = layer.kind.unwrap_or_else(|| layers::find("dense").expect("dense layers are registered"));
        let mut args = layer.args.clone();
        let mut description = None;
        if !layer.clean && args.doc.arg("width").is_some() && !args.has("width") {
            self.read.doubtful.insert(layer.name.node.clone());
        }
        // Every round takes away one argument, so it ends.
        for _ in 0..=args.given.len() {
            match kind.describe(&args, input) {
                Ok(good) => {
                    description = Some(good);
                    break;
                }
                Err(refusal) => {
                    // What depends on the data's shape is silent while that is unknown.
                    let judged = self.ends.known || refusal.code != "G0301" || refusal.argument == Some("width");
                    if judged && layer.kind.is_some() {
                        let diagnostic = self.no_image(layer, &refusal, &args);
                        self.report.add(diagnostic.unwrap_or_else(|| place(&refusal, &args)));
                    }
                    self.read.doubtful.insert(layer.name.node.clone());
                    match refusal.argument {
                        Some(argument) if args.given.remove(argument).is_some() => {}
                        _ => break,
                    }
                }
            }
        }
        let description = description.unwrap_or_else(|| {
            let width = args.given.contains_key("width").then(|| args.integer("width")).flatten();
            let width = width.map(|n| n.clamp(1, layers::WIDTH_MAX) as usize);
            // What it does to an image is not known; that it is one, is.
            let area = input.area.filter(|_| kind.needs_image());
            Description { width, area, settings: Settings::default() }
        });
        self.begins_with(&layer.name.node, &args);
        let span = if args.doc.arg("width").is_some() { args.span_of("width") } else { args.span };
        if let Some(width) = description.width {
            let cause = Cause { span, text: format!("is {width} wide here") };
            self.read.causes.insert(layer.name.node.clone(), cause);
        }
        if args.doc.arg("activation").is_some() && args.has("activation") {
            let text = format!("is {} here", description.settings.activation);
            let cause = Cause { span: args.span_of("activation"), text };
            self.read.causes.insert(format!("{}.activation", layer.name.node), cause);
        }
        if args.doc.arg("kernel").is_some() && args.has("kernel") {
            let text = format!("a kernel of {} here", description.settings.kernel);
            let cause = Cause { span: args.span_of("kernel"), text };
            self.read.causes.insert(format!("{}.kernel", layer.name.node), cause);
        }
        self.read.architecture.make_layer(&layer.name.node, kind, description, input)
    }

    /// Why there is no image for a layer any more, where the data has some.
    fn no_image(&self, layer: &LayerText, refusal: &Refusal, args: &Args) -> Option<Diagnostic> {
        let kind = layer.kind.filter(|kind| kind.needs_image() && refusal.argument.is_none())?;
        self.ends.area?;
        let message = format!("`{}` is a `{}` and finds no image any more", layer.name.node, kind.doc().word);
        let diagnostic = Diagnostic::error(refusal.code, args.span, message).here("needs an image");
        let layers = &self.read.architecture.layers;
        let flat = layers.iter().find(|before| before.output.area.is_none()).map(|before| before.name.as_str());
        Some(match flat.and_then(|name| Some((name, *self.names.get(name)?))) {
            Some((name, span)) => diagnostic
                .label(span, "gives plain numbers, no image")
                .help(format!("put it before `{name}`; behind it use `dense` layers")),
            None => diagnostic.help("a `dense` layer and `pool global` give plain numbers: put it before them"),
        })
    }

    /// Notes the file that a layer begins with.
    fn begins_with(&mut self, layer: &str, args: &Args) {
        let text = |name: &str| args.doc.arg(name).and_then(|_| args.text(name));
        let (from, prefix) = (text("from"), text("prefix").map(str::to_string));
        let Some(from) = from else {
            if prefix.is_some() {
                self.report.add(
                    Diagnostic::error("G0106", args.span_of("prefix"), "`prefix` says what a file calls the layer")
                        .here("there is no `from`")
                        .help("add the file: `from \"weights.npz\" prefix \"fc1\"`"),
                );
            }
            return;
        };
        if args.has("init") {
            self.report.add(
                Diagnostic::error("G0108", args.span_of("init"), format!("`{layer}` begins with given weights"))
                    .here("and here it is drawn")
                    .label(args.span_of("from"), "given here")
                    .help("leave out `init` or `from`"),
            );
        }
        let file = Spanned::new(from.to_string(), args.span_of("from"));
        self.read.layers_from.push(LayerFrom { layer: layer.into(), file, prefix });
    }

    fn residual(&mut self, kind: &'static dyn LayerKind, layer: LayerText) {
        let input = self.read.architecture.output();
        let project = layer.args.flag("project").unwrap_or(false);
        let mut block = Vec::new();
        let mut end = input;
        for inner in layer.block.unwrap_or_default() {
            let Some(inner_layer) = self.take_apart(inner) else { continue };
            if inner_layer.kind.is_some_and(|kind| kind.doc().word == "residual") {
                self.report.add(
                    Diagnostic::error("G0105", inner.span, "a residual block holds no other residual block")
                        .help("put one after the other"),
                );
                continue;
            }
            self.refuse_block(&inner_layer, inner);
            let made = self.make(&inner_layer, end);
            end = made.output;
            block.push(made);
        }
        if block.is_empty() {
            if layer.block.is_none_or(|block| block.is_empty()) {
                self.report.add(
                    Diagnostic::error("G0106", layer.name.span, format!("`{}` has no layers", layer.name.node))
                        .help("write them in braces: `r1 residual { a dense 64 relu; b dense 64 }`"),
                );
            }
            return;
        }
        let settings = Settings { project, bias: false, ..Settings::default() };
        let description = Description { width: None, area: end.area, settings };
        match project {
            false => self.couple(&layer, &block, input, end),
            true => self.project(&layer, &block, input, end),
        }
        // The coupled axis is as wide as its input, whatever the block's last layer said.
        self.read.architecture.push_block(&layer.name.node, kind, description, block);
    }

    fn finish(self, section: &Section) -> ModelRead {
        let mut read = self.read;
        read.maps.retain(|MapRead { map, span }| {
            let layer = map.to.split('.').next().unwrap_or(&map.to);
            if self.names.contains_key(layer) {
                return true;
            }
            let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let diagnostic = Diagnostic::error("G0101", *span, format!("there is no layer `{layer}`"));
            self.report.add(match suggest::help(layer, names) {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            false
        });
        if let (None, Some(map), false) = (&read.from, read.maps.first(), self.ends.weights) {
            self.report.add(
                Diagnostic::error(
                    "G0106",
                    map.span,
                    "`map` says which tensor of a weights file a parameter begins with",
                )
                .here("this model has no file")
                .help("name it: `model from \"weights.safetensors\" { … }`"),
            );
        }
        let Some(last) = read.architecture.layers.last() else {
            let spoiled = section.body.iter().any(|phrase| phrase.atoms.iter().any(|atom| atom.node == Atom::Bad));
            if section.body.is_empty() && !spoiled {
                self.report.add(
                    Diagnostic::error("G0106", section.keyword.span, "this model has no layers")
                        .help("write one layer a line, such as `h1 dense 64 relu`"),
                );
            }
            return read;
        };
        if let Some((height, width)) = last.output.area
            && !read.doubtful.contains(&last.name)
        {
            let name = self.names.get(&last.name).copied().unwrap_or(section.keyword.span);
            let span = read.causes.get(&last.name).map_or(name, |cause| cause.span);
            let message =
                format!("`{}` gives images of {height}×{width}, and the network is to give numbers", last.name);
            self.report.add(
                Diagnostic::error("G0301", span, message)
                    .here("the last layer")
                    .help("end with `pool global`, or with a `dense` layer"),
            );
        }
        if let Some(outputs) = self.ends.outputs
            && last.output.area.is_none()
            && read.architecture.width(last.output.axis) != Width::exactly(outputs)
            && !read.doubtful.contains(&last.name)
        {
            let width = read.architecture.width(last.output.axis);
            let name = self.names.get(&last.name).copied().unwrap_or(section.keyword.span);
            let span = read.causes.get(&last.name).map_or(name, |cause| cause.span);
            let help = match last.settings.pooling {
                None => format!("write `{} {} {outputs}`", last.name, last.kind.doc().word),
                Some(_) => format!("let what comes before it have {outputs} channels, or add `out dense {outputs}`"),
            };
            let what = match self.ends.task {
                Task::Classification => "classes",
                Task::Regression => "numbers to predict",
            };
            self.report.add(
                Diagnostic::error(
                    "G0301",
                    span,
                    format!("`{}` gives {width} outputs, but the data has {outputs} {what}", last.name),
                )
                .here(format!("{width} wide"))
                .help(help),
            );
        }
        read
    }
}
