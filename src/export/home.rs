//! A grown network under the names and in the layouts of the file that it came from, so that it goes back to where it
//! lives. What growth has made is called after its neighbours: beside `params/fc1/kernel` a layer `h2_id1` becomes
//! `params/h2_id1/kernel`, [in, out].

use super::named::{Named, Values};
use crate::base::Refusal;
use crate::base::text::short;
use crate::nn::{Architecture, Parameter, Role};
use crate::weights::fit::Match;
use crate::weights::layout::{Form, KERNEL, Layout};
use crate::weights::names::{self, Part, meaning};
use crate::weights::{self, File, Format};
use ndarray::ArrayD;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Where a parameter goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub parameter: String,
    pub name: String,
    /// How the file has it.
    pub layout: Layout,
    pub form: Form,
    /// Whether growth has made it.
    pub is_new: bool,
}

/// A name of the file taken apart around its layer: `params/` `fc1` `/` `kernel`.
struct Parts<'n> {
    before: &'n str,
    separator: &'n str,
    word: &'n str,
}

/// The place of every parameter, in their order. Refused when two tensors would have one name: then they stand in
/// dictionaries of their own.
pub fn places(
    file: &File,
    matches: &[Match],
    parameters: &[Parameter<f32>],
    architecture: &Architecture,
) -> Result<Vec<Place>, Refusal> {
    let by_parameter: BTreeMap<&str, &Match> = matches.iter().map(|one| (one.parameter.as_str(), one)).collect();
    let samples: BTreeMap<&str, Role> =
        parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.role)).collect();
    let mut places = Vec::new();
    let of_tensorflow = !matches.is_empty() && matches.iter().all(|one| own(file, one.tensor).ends_with(":0"));
    let mut taken = BTreeSet::new();
    let there = |one: &Match| Form::in_file(one.extents.len(), file.tensors[one.tensor].shape.len());
    let mut forms = Form::all(architecture);
    // A file of ours has no other forms.
    if matches.iter().any(|one| forms.contains_key(&one.parameter) && there(one) == Form::Plain) {
        forms.clear();
    }
    for one in matches {
        let name = own(file, one.tensor);
        if !taken.insert(name.to_string()) {
            let message = format!("two tensors of the file would both be called `{}`", short(name));
            let help = "they stand in dictionaries of their own: grow one network at a time, `model from \"FILE\" prefix \"NAME\"`";
            return Err(Refusal::error("G0824", message, help));
        }
    }
    // The parameter of each role that stands before a new one is what that is named after; else the first of the file.
    let mut last: BTreeMap<Part, &Match> = BTreeMap::new();
    let first = |role: Role| matches.iter().find(|one| samples.get(one.parameter.as_str()) == Some(&role));
    for parameter in parameters {
        if let Some(known) = by_parameter.get(parameter.name.as_str()) {
            last.insert(part(parameter.role), known);
            let name = own(file, known.tensor).to_string();
            let (layout, form) = (known.layout, there(known));
            places.push(Place { parameter: parameter.name.clone(), name, layout, form, is_new: false });
            continue;
        }
        let sample = last.get(&part(parameter.role)).copied().or_else(|| first(parameter.role));
        let like = sample.or_else(|| last.get(&Part::Weight).copied()).or_else(|| first(Role::Weight));
        let name = match like {
            Some(like) => called(file, like, parameter, sample.is_some()),
            None => parameter.name.clone(),
        };
        // Only what a file turns has an order of its own: of images, too, it is that of kernels.
        let is_turned = parameter.role == Role::Weight && sample.is_some_and(|like| like.layout.turned);
        let layout = if is_turned { KERNEL } else { Layout::default() };
        let form = forms.get(&parameter.name).copied().unwrap_or_default();
        let name = if of_tensorflow { format!("{name}:0") } else { name };
        let mut free = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}_{n}") });
        let name = free.find(|name| taken.insert(name.clone())).expect("numbers do not end");
        places.push(Place { parameter: parameter.name.clone(), name, layout, form, is_new: true });
    }
    Ok(places)
}

/// What a tensor is called within its own dictionary.
fn own(file: &File, place: usize) -> &str {
    let tensor = &file.tensors[place];
    &tensor.name[tensor.outer..]
}

/// The roles that may share a word.
fn part(role: Role) -> Part {
    match role {
        Role::Weight => Part::Weight,
        Role::Bias => Part::Bias,
        Role::Gain => Part::Gain,
        Role::RunningMean => Part::Mean,
        Role::RunningVariance => Part::Variance,
        Role::Blend => Part::Blend,
    }
}

/// The name of a new parameter after one that is there. `same`: that is of the same role, so its word is right.
fn called(file: &File, like: &Match, parameter: &Parameter<f32>, same: bool) -> String {
    let known = own(file, like.tensor);
    let Some(parts) = apart(known) else { return parameter.name.clone() };
    let (layer, ours) = parameter.name.rsplit_once('.').expect("a parameter is called after its layer");
    let of_a_norm = layer.ends_with(".norm");
    let stem = match parts.separator {
        "." => layer.to_string(),
        other => layer.replace('.', other),
    };
    let sample_is_of_a_norm = like.parameter.contains(".norm.");
    let word = match (same && of_a_norm == sample_is_of_a_norm, file.format, parameter.role) {
        (true, ..) => parts.word,
        (false, Format::MxNet, Role::Gain) => "gamma",
        (false, Format::MxNet, Role::Bias) if of_a_norm => "beta",
        _ => ours,
    };
    format!("{}{stem}{}{word}", parts.before, parts.separator)
}

/// `None` where the name has no layer, such as `w1`.
fn apart(name: &str) -> Option<Parts<'_>> {
    let said = meaning(name);
    if said.stem.is_empty() || matches!(said.part, Part::Unknown | Part::Count) {
        return None;
    }
    let bare = name.strip_suffix(":0").unwrap_or(name);
    let word = names::word(bare)?;
    let rest = bare.strip_suffix(word)?;
    let separator = rest.get(rest.len().checked_sub(1)?..)?;
    let whole = rest.strip_suffix(separator)?;
    // The layer's own name is the last piece; what stands before it is where it lies.
    let at = whole.rfind(['.', '/', ':']).map_or(0, |at| at + 1);
    Some(Parts { before: &whole[..at], separator, word })
}

/// The weights, in the order of their places, and the counts of the norms that are still there.
pub fn weights<'p>(
    file: &'p File,
    matches: &[Match],
    places: &[Place],
    parameters: &'p [Parameter<f32>],
) -> Vec<Named<'p>> {
    let mut all: Vec<Named> =
        places.iter().zip(parameters).map(|(place, parameter)| tensor(place, &parameter.value)).collect();
    let stays: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let stems: BTreeSet<String> = matches
        .iter()
        .filter(|one| stays.contains(one.parameter.as_str()))
        .map(|one| meaning(own(file, one.tensor)).stem)
        .collect();
    for (place, tensor) in file.tensors.iter().enumerate() {
        let said = meaning(own(file, place));
        if said.part == Part::Count && stems.contains(&said.stem) && !weights::moments::is_state(&tensor.name) {
            let name = own(file, place);
            match &tensor.values {
                weights::Values::Whole(values) => all.push(Named::i64(name, &tensor.shape, values.as_slice())),
                weights::Values::Numbers(values) => all.push(Named::f32(name, &tensor.shape, values.as_slice())),
                weights::Values::Other => {}
            }
        }
    }
    all
}

/// What the optimiser keeps, under the names of the places. `state`: under our own.
pub fn state<'s>(places: &[Place], state: &'s [Named<'s>]) -> Vec<Named<'s>> {
    let by_parameter: BTreeMap<&str, &Place> = places.iter().map(|place| (place.parameter.as_str(), place)).collect();
    let one = |named: &'s Named<'s>| {
        let (parameter, word) = named.name.rsplit_once('.').expect("a state is called after its parameter");
        let place = by_parameter.get(parameter).expect("a state is of a parameter that is there");
        let name = format!("{}.{word}", place.name);
        match &named.values {
            // A count of steps has no dimensions.
            Values::F32(values) if !named.shape.is_empty() => laid(place, name, &named.shape, &values[..]),
            _ => Named { name, ..named.clone() },
        }
    };
    state.iter().map(one).collect()
}

fn tensor<'v>(place: &Place, value: &'v ArrayD<f32>) -> Named<'v> {
    let named = Named::array(place.name.as_str(), value);
    match named.values {
        Values::F32(values) => laid(place, named.name, &named.shape, values),
        Values::I64(_) => unreachable!("parameters are f32"),
    }
}

/// Values of a parameter's shape as the file has them.
fn laid<'v>(place: &Place, name: String, extents: &[usize], values: impl Into<Cow<'v, [f32]>>) -> Named<'v> {
    let shape = place.layout.extents(extents, place.form);
    let values: Cow<[f32]> = values.into();
    match place.layout == Layout::default() {
        true => Named::f32(name, &shape, values),
        false => Named::f32(name, &shape, place.layout.to_file(&values, extents)),
    }
}
