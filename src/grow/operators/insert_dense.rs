//! `insert dense 64 relu after h1 as h1b`: a new layer with weights of its own, which changes the function.

use super::*;
use crate::nn::layers;
use crate::nn::layers::{Description, WIDTH_MAX};

pub struct InsertDense;

static DOC: Doc = Doc {
    word: "insert dense",
    help: "puts in a dense layer with fresh weights, or weights from a file; the function changes",
    args: &[
        Arg {
            name: "width",
            shape: Shape::Positional(Kind::Integer),
            required: true,
            default: "",
            help: "how many units it has",
        },
        Arg {
            name: "activation",
            shape: Shape::Bare(Activation::words),
            required: false,
            default: "linear",
            help: "what is applied after the bias",
        },
        Arg {
            name: "after",
            shape: Shape::Keyword(&[Kind::Name]),
            required: true,
            default: "",
            help: "the layer behind which it goes",
        },
        AS,
        Arg {
            name: "from",
            shape: Shape::Keyword(&[Kind::Text]),
            required: false,
            default: "",
            help: "a weights file that it begins with",
        },
        Arg {
            name: "prefix",
            shape: Shape::Keyword(&[Kind::Text]),
            required: false,
            default: "the layer's name",
            help: "what the layer's tensors are called in that file",
        },
        ACCEPT,
    ],
    one_of: &[],
    example: "insert dense 64 relu after h1 as h1b accept change",
    source: "",
};

impl Operator for InsertDense {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let anchor = named(args, "after", before)?;
        let place = place_of(args, anchor, before)?;
        let name = new_name(args, &anchor.name, before)?;
        let wanted = args.integer("width").unwrap_or(1);
        if wanted == 0 || wanted > WIDTH_MAX {
            let (code, help) = if wanted == 0 { ("G0301", "use 1 or more") } else { ("G0601", "use fewer") };
            return Err(Refusal::error(code, format!("a layer cannot have {wanted} units"), help).at("width"));
        }
        let units = usize::try_from(wanted).expect("checked against WIDTH_MAX");
        let input = place.feature(before);
        let width = before.width(input.axis);
        let same = width == Width::exactly(units) && input.area.is_none();
        if input.area.is_some() && place.followers(before).iter().any(|layer| layer.kind.doc().word != "dense") {
            return Err(Refusal::error(
                "G0301",
                format!("a dense layer after `{}` would leave no image for the layer behind it", anchor.name),
                "put it behind the last convolution or pool",
            )
            .at("after"));
        }
        if !same
            && (place.feeds_a_sum(before)
                || matches!(place, Place::Block(top, at) if at == before.layers[top].block.len()))
        {
            return Err(Refusal::error(
                "G0302",
                format!("`insert dense {wanted}` would make the ends of a skip unequal: {wanted} and {width}"),
                format!("use a width of {width}, or put it inside the block"),
            )
            .at("width"));
        }
        if !same && !args.has("accept") {
            return Err(Refusal::error(
                "G0401",
                format!("this insert would change the network's output: what is read after it is {wanted} wide instead of {}, so its reader is drawn afresh", shown(input, before)),
                format!(
                    "if that is meant, `{}`; `insert identity after {}` keeps the function",
                    args.phrase(&[], &[("accept", Value::Flag(true))]),
                    anchor.name
                ),
            )
            .at("width")
            .here(format!("not {}", shown(input, before)))
            .cause(anchor.name.clone()));
        }
        let (begins, rule) = match args.has("from") {
            true => ("given", "the new layer's weights are given"),
            false => ("fresh", "the new layer's weights are fresh"),
        };
        if args.has("prefix") && !args.has("from") {
            let help = "add the file: `from \"weights.npz\" prefix \"fc1\"`";
            return Err(Refusal::error("G0106", "`prefix` says what a file calls the layer", help).at("prefix"));
        }
        let mut warnings = maybe_absent([anchor], "after");
        if same && !args.has("accept") {
            warnings.push(
                Refusal::warning(
                    "G0401",
                    format!("this insert changes the network's output: its weights are {begins}"),
                    format!(
                        "`insert identity after {}` keeps the function; `accept change` silences this",
                        anchor.name
                    ),
                )
                .at("width"),
            );
        }
        let mut after = before.clone();
        let activation = args.word("activation").and_then(Activation::find).unwrap_or(Activation::Linear);
        let settings = Settings { activation, ..Settings::default() };
        let kind = layers::find("dense").expect("`dense` is a registered layer");
        let mut layer = after.make_layer(&name, kind, Description { width: Some(units), area: None, settings }, input);
        let readers: Vec<String> = readers_at(place, before).map(|layer| layer.name.clone()).collect();
        if let Place::Block(top, at) = place
            && at == before.layers[top].block.len()
        {
            let own = layer.output;
            layer.output = input;
            layer.input = own;
            let block = &mut after.layers[top].block;
            if let Some(last) = block.last_mut() {
                last.output.axis = own.axis;
            }
            block.push(layer);
        } else {
            place.insert(layer, &mut after);
        }
        let mut changes = vec![Change::Insert { layer: name.clone(), recipe: Recipe::Native }];
        if !same {
            for reader in readers {
                after.layer_mut(&reader).expect("readers stay").input.area = None;
                changes.push(Change::Redraw { layer: reader });
            }
        }
        affordable(&after, "width")?;
        let detail = format!("{name} ({units}) {activation} after {}", anchor.name);
        let summary = Summary { action: "insert dense", target: name, method: "", detail };
        Ok(Plan { warnings, ..plan(after, changes, (Promise::None, rule), summary) })
    }
}

/// The layers with weights whose input changes when something is put at `place`.
fn readers_at(place: Place, before: &Architecture) -> impl Iterator<Item = &Layer> {
    let reader = place.reader(before);
    let inner = reader.and_then(|layer| layer.block.first());
    reader.into_iter().filter(|layer| layer.block.is_empty() || layer.settings.project).chain(inner)
}
