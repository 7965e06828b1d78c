//! An optimiser's state in a weights file: what belongs to which tensor.
//!
//! By name, as growrun and most savers of safetensors keep it: `fc1.weight.exp_avg`, `….exp_avg_sq`, `….step`,
//! `….momentum_buffer`. By position, as PyTorch's own `optimizer.state_dict()` has it: number N is the N-th parameter of
//! the network, in the order of the state dict without its buffers. A position is believed only if every shape agrees.

use super::names::{Part, meaning, wrapper};
use super::{File, Tensor, Values};
use std::collections::BTreeMap;

/// What an optimiser keeps beside one tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// `exp_avg`, `momentum_buffer`: places in the file of the state.
    pub first: Option<usize>,
    /// `exp_avg_sq`
    pub second: Option<usize>,
    pub steps: u64,
}

/// The state of a whole network.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// By the place of each tensor in the file of the weights.
    pub of: BTreeMap<usize, Moments>,
    /// What the file says of the optimiser.
    pub settings: Settings,
    /// Whether Adam's second moments are there; otherwise it is SGD's momentum.
    pub is_adam: bool,
}

/// Of the first group of parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    pub lr: Option<f64>,
    pub betas: Option<(f64, f64)>,
    pub momentum: Option<f64>,
}

/// Last words of the names of an optimiser's tensors.
const STATE: [&str; 8] =
    ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "first_moment", "second_moment", "updates", "step"];

/// The places of the tensors that could be weights: not an optimiser's, and no number that stands alone.
pub fn weights(file: &File) -> Vec<usize> {
    let is_weight = |(_, tensor): &(usize, &Tensor)| !tensor.shape.is_empty() && !is_state(&tensor.name);
    file.tensors.iter().enumerate().filter(is_weight).map(|(place, _)| place).collect()
}

/// Whether a tensor's name says that it is an optimiser's.
pub fn is_state(name: &str) -> bool {
    let mut words = name.split(['.', '/']);
    words.clone().next_back().is_some_and(|last| STATE.contains(&last)) || words.any(|word| word == "param_groups")
}

/// The state that `file` holds for the tensors of `of`, which may be the same file. `Ok(None)`: it holds none.
pub fn find(file: &File, of: &File) -> Result<Option<State>, String> {
    // By what stands before the last word: a tensor's name, or `optimizer.state.3`.
    let mut found: BTreeMap<&str, Moments> = BTreeMap::new();
    for (place, tensor) in file.tensors.iter().enumerate() {
        let Some((owner, word)) = tensor.name.rsplit_once(['.', '/']) else { continue };
        match word {
            "exp_avg" | "momentum_buffer" | "first_moment" => found.entry(owner).or_default().first = Some(place),
            "exp_avg_sq" | "second_moment" => found.entry(owner).or_default().second = Some(place),
            "step" | "updates" => {
                let steps = number(tensor).filter(|steps| (0.0..9e15).contains(steps) && steps.fract() == 0.0);
                let steps = steps.ok_or_else(|| format!("`{}` is no count of steps", tensor.name))?;
                found.entry(owner).or_default().steps = steps as u64;
            }
            "max_exp_avg_sq" => return Err("it is of Adam with `amsgrad`, which growrun does not have".into()),
            _ => {}
        }
    }
    found.retain(|_, moments| moments.first.is_some());
    if found.is_empty() {
        return Ok(None);
    }
    let by_position: BTreeMap<u64, Moments> =
        found.iter().filter_map(|(owner, moments)| Some((position(owner)?, *moments))).collect();
    let of = match by_position.len() == found.len() {
        true => positions(file, of, &by_position)?,
        false => names(of, &found),
    };
    for (place, moments) in &of.0 {
        judge(file, &of.1.tensors[*place], moments)?;
    }
    if of.0.is_empty() {
        return Err("it belongs to none of the weights".into());
    }
    let is_adam = of.0.values().any(|moments| moments.second.is_some());
    if is_adam && of.0.values().any(|moments| moments.second.is_none()) {
        return Err("some tensors have a second moment and others have none".into());
    }
    Ok(Some(State { of: of.0, settings: settings(file), is_adam }))
}

/// `3` of `optimizer.state.3`.
fn position(owner: &str) -> Option<u64> {
    let (before, number) = owner.rsplit_once('.').unwrap_or(("", owner));
    let is_state = before == "state" || before.ends_with(".state");
    number.parse().ok().filter(|_| is_state)
}

type Owned<'f> = (BTreeMap<usize, Moments>, &'f File);

/// PyTorch's numbers, in the order of the groups, and its parameters, in the order of the state dict.
fn positions<'f>(file: &File, of: &'f File, found: &BTreeMap<u64, Moments>) -> Result<Owned<'f>, String> {
    let mut order: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for tensor in &file.tensors {
        let mut words = tensor.name.rsplit('.');
        let last = words.next().and_then(|word| word.parse().ok());
        let (list, group, groups) = (words.next(), words.next().and_then(|word| word.parse().ok()), words.next());
        if let (Some(at), Some("params"), Some(group), Some("param_groups")) = (last, list, group, groups) {
            let number = number(tensor).filter(|number| *number >= 0.0).unwrap_or(f64::NAN);
            order.insert((group, at), number as u64);
        }
    }
    let is_parameter = |place: &usize| {
        let part = meaning(&of.tensors[*place].name).part;
        !matches!(part, Part::Count | Part::Mean | Part::Variance)
            && matches!(of.tensors[*place].values, Values::Numbers(_))
    };
    let parameters: Vec<usize> = weights(of).into_iter().filter(is_parameter).collect();
    let numbers: Vec<u64> = match order.is_empty() {
        true => (0..parameters.len() as u64).collect(),
        false => order.into_values().collect(),
    };
    if numbers.len() != parameters.len() {
        return Err(format!("it is of {} parameters, and the file holds {}", numbers.len(), parameters.len()));
    }
    let owned = parameters.iter().zip(&numbers).filter_map(|(place, number)| Some((*place, *found.get(number)?)));
    Ok((owned.collect(), of))
}

fn names<'f>(of: &'f File, found: &BTreeMap<&str, Moments>) -> Owned<'f> {
    let places = weights(of);
    let wrapper = wrapper(places.iter().map(|place| of.tensors[*place].name.as_str()));
    let owned = places.into_iter().filter_map(|place| {
        let name = of.tensors[place].name.as_str();
        let moments = found.get(name).or_else(|| found.get(&name[wrapper.len()..]))?;
        Some((place, *moments))
    });
    (owned.collect(), of)
}

/// Refuses a moment that cannot be this tensor's.
fn judge(file: &File, tensor: &Tensor, moments: &Moments) -> Result<(), String> {
    for place in [moments.first, moments.second].into_iter().flatten() {
        let moment = &file.tensors[place];
        if moment.shape != tensor.shape {
            return Err(format!(
                "`{}` is {:?}, and `{}`, which it would be of, {:?}",
                moment.name, moment.shape, tensor.name, tensor.shape
            ));
        }
        let is_second = moments.second == Some(place);
        let fits = |value: &f32| value.is_finite() && !(is_second && *value < 0.0);
        match &moment.values {
            Values::Numbers(values) if values.iter().all(fits) => {}
            Values::Numbers(_) => return Err(format!("`{}` holds what no optimiser makes", moment.name)),
            _ => return Err(format!("`{}` holds {}", moment.name, moment.dtype)),
        }
    }
    Ok(())
}

fn settings(file: &File) -> Settings {
    let mut known: BTreeMap<&str, f64> = BTreeMap::new();
    for tensor in &file.tensors {
        let Some((group, rest)) = tensor.name.rsplit_once("param_groups.").and_then(|(_, rest)| rest.split_once('.'))
        else {
            continue;
        };
        if group == "0"
            && let Some(number) = number(tensor)
        {
            known.insert(rest, number);
        }
    }
    let of = |name: &str| known.get(name).copied();
    Settings { lr: of("lr"), betas: of("betas.0").zip(of("betas.1")), momentum: of("momentum") }
}

/// A number that stands alone, or the one of an array that holds one.
fn number(tensor: &Tensor) -> Option<f64> {
    match &tensor.values {
        Values::Numbers(values) => values.first().filter(|_| values.len() == 1).map(|value| f64::from(*value)),
        Values::Whole(values) => values.first().filter(|_| values.len() == 1).map(|value| *value as f64),
        Values::Other => None,
    }
}
