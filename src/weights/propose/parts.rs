//! Tensors by the layers that their names say they belong to: products, norms, and what is neither.

use super::{File, shown};
use crate::base::text::short;
use crate::nn::architecture::Norm;
use crate::nn::layers::PIXELS_MAX;
use crate::weights::names::{Part, meaning, wrapper};
use crate::weights::{Format, Values, moments};
use std::collections::{BTreeMap, HashMap};

/// W and b. Tensors by their places in the file.
#[derive(Clone, Debug)]
pub struct Product {
    pub stem: String,
    pub weight: usize,
    pub bias: Option<usize>,
    pub inputs: usize,
    pub units: usize,
    /// Pixels of a side of its kernel, where it is a convolution; `inputs` are channels then.
    pub kernel: Option<usize>,
    /// Where the layer begins in the file.
    pub at: usize,
}

#[derive(Clone, Debug)]
pub struct NormPart {
    pub stem: String,
    pub kind: Norm,
    pub gain: usize,
    pub shift: Option<usize>,
    pub statistics: Option<(usize, usize)>,
    pub width: usize,
    pub at: usize,
}

impl Product {
    /// Whether it can read what `before` gives: a dense layer reads all pixels of a convolution's channels.
    pub fn follows(&self, before: &Product) -> bool {
        match (before.kernel, self.kernel) {
            (Some(_), None) => before.units > 0 && self.inputs.is_multiple_of(before.units),
            (None, Some(_)) => false,
            _ => before.units == self.inputs,
        }
    }
}

impl NormPart {
    /// With what the language calls each behind the norm's name.
    pub fn tensors(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let (mean, variance) = self.statistics.unzip();
        let all =
            [(Some(self.gain), "weight"), (self.shift, "bias"), (mean, "running_mean"), (variance, "running_var")];
        all.into_iter().filter_map(|(place, word)| Some((place?, word)))
    }
}

/// Whose default a norm's epsilon most likely is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Keras,
    Flax,
    MxNet,
    PyTorch,
}

impl Tool {
    pub fn shown(self) -> &'static str {
        match self {
            Tool::Keras => "Keras",
            Tool::Flax => "Flax",
            Tool::MxNet => "Gluon",
            Tool::PyTorch => "PyTorch",
        }
    }
}

/// A file taken apart.
pub struct Parts {
    /// In the file's order, as are the norms.
    pub products: Vec<Product>,
    pub norms: Vec<NormPart>,
    /// What stands before every name.
    pub wrapper: String,
    pub tool: Tool,
    pub problems: Vec<String>,
    /// Weights that hold the same numbers, by their places.
    pub equal: Vec<(usize, usize)>,
}

/// Why a group is nothing that can be read.
enum Trouble {
    /// A tensor, and what follows its name.
    Of(usize, String),
    /// A whole sentence.
    Whole(String),
}

impl From<String> for Trouble {
    fn from(sentence: String) -> Trouble {
        Trouble::Whole(sentence)
    }
}

/// One sentence on tensors of which the same is true.
fn together(file: &File, text: &str, places: &[usize]) -> String {
    const NAMED: usize = 3;
    let named: Vec<String> = places.iter().take(NAMED).map(|place| shown(file, *place)).collect();
    let named = named.join(", ");
    match places.len() {
        1 => format!("{named} {text}"),
        count if count <= NAMED => format!("{named}: each {text}"),
        count => format!("{count} tensors: {named}, …: each {text}"),
    }
}

/// Tensors under one name.
struct Group {
    stem: String,
    tensors: Vec<(usize, Part)>,
}

impl Parts {
    pub fn of(file: &File) -> Parts {
        let places = moments::weights(file);
        let wrapper = wrapper(places.iter().map(|place| file.tensors[*place].name.as_str()));
        let mut groups: Vec<Group> = Vec::new();
        // What has no part in its name stands for itself.
        let mut by_stem: HashMap<(String, bool), usize> = HashMap::new();
        // What has no kernels is PyTorch's, or has its defaults.
        let mut tool = if file.format == Format::MxNet { Tool::MxNet } else { Tool::PyTorch };
        for place in places {
            let name = &file.tensors[place].name;
            let meaning = meaning(&name[wrapper.len()..]);
            match meaning.part {
                Part::Count => continue,
                Part::Kernel if tool == Tool::PyTorch => tool = Tool::Keras,
                Part::Gain if name.ends_with("scale") => tool = Tool::Flax,
                _ => {}
            }
            let group = *by_stem.entry((meaning.stem.clone(), meaning.part == Part::Unknown)).or_insert_with(|| {
                groups.push(Group { stem: meaning.stem, tensors: Vec::new() });
                groups.len() - 1
            });
            groups[group].tensors.push((place, meaning.part));
        }
        let mut parts =
            Parts { products: Vec::new(), norms: Vec::new(), wrapper, tool, problems: Vec::new(), equal: Vec::new() };
        let mut alike: Vec<(String, Vec<usize>)> = Vec::new();
        let mut by_text: HashMap<String, usize> = HashMap::new();
        for group in groups {
            match parts.add(file, group) {
                Ok(()) => {}
                Err(Trouble::Whole(problem)) => parts.problems.push(problem),
                Err(Trouble::Of(place, text)) => {
                    let at = *by_text.entry(text.clone()).or_insert_with(|| {
                        alike.push((text, Vec::new()));
                        alike.len() - 1
                    });
                    alike[at].1.push(place);
                }
            }
        }
        // What many tensors are is said once.
        parts.problems.extend(alike.into_iter().map(|(text, places)| together(file, &text, &places)));
        parts.equal = equal(file, &parts.products);
        parts
    }

    /// Sorts one group in, or says why it is nothing that can be read.
    fn add(&mut self, file: &File, group: Group) -> Result<(), Trouble> {
        let first = group.tensors[0].0;
        // By role: a product's weight, a gain, a bias or shift, a mean, a variance.
        let mut slots: [Option<(usize, Part)>; 5] = [None; 5];
        for &(place, part) in &group.tensors {
            let tensor = &file.tensors[place];
            let tells = |what: String| Trouble::Of(place, what);
            let dimensions = tensor.shape.len();
            if tensor.shape.contains(&0) {
                return Err(tells("holds no values".into()));
            }
            if let Some(what) = foreign(&tensor.name, part, dimensions) {
                return Err(tells(format!("{what}, which growrun does not read yet")));
            }
            let Values::Numbers(values) = &tensor.values else {
                return Err(tells(format!("holds {}, which is no weight", tensor.dtype)));
            };
            let wrong = values.iter().filter(|value| !value.is_finite()).count();
            if wrong > 0 {
                let help = "the training that made it has diverged: take an earlier checkpoint";
                return Err(tells(format!("holds {wrong} NaN or infinite of {} values; {help}", values.len())));
            }
            let slot = match (part, dimensions) {
                (Part::Weight | Part::Kernel, 2 | 4) => 0,
                (Part::Weight | Part::Gain, 1) => 1,
                (Part::Bias | Part::Shift, 1) => 2,
                (Part::Mean, 1) => 3,
                (Part::Variance, 1) => 4,
                (Part::Blend, _) => {
                    let what = "is the share of an activation that a growth put in, which no `model` block can write";
                    return Err(tells(what.into()));
                }
                (Part::Unknown | Part::Count, _) => {
                    let help = match dimensions {
                        1 => "; if it is a bias or belongs to a norm, `map` it by hand",
                        2 => "; if it is a weight, `map` it by hand, with `transpose` where it is [in, out]",
                        _ => "",
                    };
                    return Err(tells(format!("has a name that does not say which part of a layer it is{help}")));
                }
                _ => return Err(tells(format!("has {dimensions} dimensions, which no such part of a layer has"))),
            };
            if let Some((other, _)) = slots[slot].replace((place, part)) {
                let name = short(&file.tensors[other].name);
                return Err(tells(format!(
                    "and `{name}` could be the same part of a layer; `map` one of them by hand"
                )));
            }
        }
        let [weight, gain, bias, mean, variance] = slots;
        let place = |slot: Option<(usize, Part)>| slot.map(|(place, _)| place);
        let width = |slot: Option<(usize, Part)>| slot.map(|(place, _)| file.tensors[place].shape[0]);
        if let Some((weight, part)) = weight {
            if gain.or(mean).or(variance).is_some() {
                let stem = short(&group.stem);
                return Err(
                    format!("`{stem}` is the name of a product and of a norm; `map` their tensors by hand").into()
                );
            }
            let (units, inputs, taps) = match (part, &file.tensors[weight].shape[..]) {
                (Part::Kernel, [inputs, units]) | (_, [units, inputs]) => (*units, *inputs, None),
                (Part::Kernel, [tall, wide, inputs, units]) | (_, [units, inputs, tall, wide]) => {
                    (*units, *inputs, Some((*tall, *wide)))
                }
                _ => unreachable!("a weight has two dimensions, or four"),
            };
            if let Some((tall, wide)) = taps.filter(|(tall, wide)| tall != wide || *tall > PIXELS_MAX) {
                let what = format!("has a kernel of {tall}×{wide} pixels; here it is a square of at most {PIXELS_MAX}");
                return Err(Trouble::Of(weight, what));
            }
            let kernel = taps.map(|(tall, _)| tall);
            if let Some((bias, _)) = bias
                && width(Some((bias, part))) != Some(units)
            {
                return Err(format!(
                    "{} does not belong to {}, which has {units} units",
                    shown(file, bias),
                    shown(file, weight)
                )
                .into());
            }
            let product = Product { stem: group.stem, weight, bias: place(bias), inputs, units, kernel, at: first };
            self.products.push(product);
            return Ok(());
        }
        let Some((gain, _)) = gain else {
            let why = match (bias, mean.or(variance)) {
                (_, Some(_)) => "is of a norm without gain (`affine=False`), which growrun does not have",
                _ => "has no `weight` or `kernel` beside it",
            };
            return Err(Trouble::Of(first, why.into()));
        };
        let units = file.tensors[gain].shape[0];
        if let Some(other) =
            [bias, mean, variance].into_iter().find(|slot| width(*slot).is_some_and(|width| width != units))
        {
            let other = shown(file, place(other).expect("it has a width"));
            return Err(format!("{other} does not belong to {}", shown(file, gain)).into());
        }
        let lower = group.stem.to_lowercase();
        if let Some(other) = ["group", "instance"].into_iter().find(|other| lower.contains(other)) {
            let what = format!("is called a norm over a {other}, which growrun does not have");
            return Err(Trouble::Of(gain, what));
        }
        if lower.contains("prelu") && bias.or(mean).or(variance).is_none() {
            return Err(Trouble::Of(gain, "is a PReLU by its name, which growrun does not have".into()));
        }
        let (kind, statistics) = match (bias, mean, variance) {
            (Some(_), Some((mean, _)), Some((variance, _))) => (Norm::Batch, Some((mean, variance))),
            (Some(_), None, None) => (Norm::Layer, None),
            (None, None, None) => (Norm::Rms, None),
            (None, ..) => {
                return Err(Trouble::Of(gain, "is of a batch norm without shift, which growrun does not have".into()));
            }
            _ => return Err(Trouble::Of(gain, "is of a norm with only one of mean and variance".into())),
        };
        let norm = NormPart { stem: group.stem, kind, gain, shift: place(bias), statistics, width: units, at: first };
        self.norms.push(norm);
        Ok(())
    }
}

/// What a tensor is by its name and dimensions, if it is of a kind of layers that is known elsewhere and not here.
fn foreign(name: &str, part: Part, dimensions: usize) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let words = || lower.split(['.', '/', '_']).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    if any(&["weight_ih", "weight_hh", "bias_ih", "bias_hh", "i2h_", "h2h_", "recurrent", "lstm", "grucell"])
        || words().any(|word| matches!(word, "rnn" | "gru" | "simplernn"))
    {
        return Some("belongs to a recurrent layer");
    }
    if any(&["in_proj", "attn", "attention"]) {
        return Some("belongs to an attention layer");
    }
    let embeds = words().any(|word| matches!(word, "embedding" | "embeddings" | "embed" | "emb" | "wte" | "wpe"));
    if embeds && dimensions == 2 {
        return Some("is an embedding");
    }
    match part {
        Part::Weight | Part::Kernel if matches!(dimensions, 3 | 5) => {
            Some("is a convolution over lines or volumes instead of images")
        }
        _ => None,
    }
}

/// Pairs of weights with the same numbers: one tensor under two names, or a copy.
fn equal(file: &File, products: &[Product]) -> Vec<(usize, usize)> {
    let mut seen: BTreeMap<(&[usize], u64), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for product in products {
        let tensor = &file.tensors[product.weight];
        let Values::Numbers(values) = &tensor.values else { continue };
        // What is constant was never trained, or is small.
        if values.iter().all(|value| *value == values[0]) {
            continue;
        }
        // FNV-1a: it only has to find candidates, which are compared.
        let hash = values.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
            (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
        });
        match seen.get(&(&tensor.shape[..], hash)) {
            Some(&other) if file.tensors[other].values == tensor.values => found.push((other, product.weight)),
            Some(_) => {}
            None => {
                seen.insert((&tensor.shape[..], hash), product.weight);
            }
        }
    }
    found
}
