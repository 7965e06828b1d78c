//! An optimiser's state in a weights file: what belongs to which tensor.
//!
//! By name, as growrun and most savers of safetensors keep it: `fc1.weight.exp_avg`, `….exp_avg_sq`, `….step`,
//! `….momentum_buffer`; growrun's own checkpoints say `first_moment`, `second_moment`, `updates` and `births.N`. By number,
//! as PyTorch's `optimizer.state_dict()` has it: which parameter a number is say `param_names` where they were given;
//! else number N of a single group is the N-th parameter of the state dict without its buffers, and of several groups a
//! number is believed only where no other order would fit the shapes as well. All shapes must agree.

use super::names::{Part, meaning, wrapper};
use super::{File, Tensor, Values};
use std::collections::{BTreeMap, BTreeSet};

/// What an optimiser keeps beside one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// `exp_avg`, `momentum_buffer`: places in the file of the state.
    pub first: Option<usize>,
    /// `exp_avg_sq`
    pub second: Option<usize>,
    pub steps: u64,
    /// The step at which each index was born, for every dimension in the file's order; empty: all at the beginning.
    pub births: Vec<Vec<u64>>,
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
    pub eps: Option<f64>,
    pub momentum: Option<f64>,
    pub weight_decay: Option<f64>,
    /// Whether other groups have other settings.
    pub differ: bool,
}

/// Last words of the names of an optimiser's tensors.
const STATE: [&str; 8] =
    ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "first_moment", "second_moment", "updates", "step"];

/// The places of the tensors that could be weights: not an optimiser's, and no number of a program that stands alone,
/// such as `epoch`. A scalar tensor is one: a network may have it.
pub fn weights(file: &File) -> Vec<usize> {
    let is_weight = |(_, tensor): &(usize, &Tensor)| {
        let is_number = tensor.shape.is_empty()
            && (!matches!(tensor.values, Values::Numbers(_)) || matches!(tensor.dtype, "int" | "float"));
        !is_number && !is_state(&tensor.name)
    };
    file.tensors.iter().enumerate().filter(is_weight).map(|(place, _)| place).collect()
}

/// What stands before the names of all of these that have dimensions.
pub fn wrapper_of(file: &File, places: &[usize]) -> String {
    let whole = places.iter().map(|place| &file.tensors[*place]).filter(|tensor| !tensor.shape.is_empty());
    wrapper(whole.map(|tensor| tensor.name.as_str()))
}

/// Whether a tensor's name says that it is an optimiser's.
pub fn is_state(name: &str) -> bool {
    let words: Vec<&str> = name.split(['.', '/']).collect();
    let is_numbered = |pair: &[&str]| pair[0] == "state" && pair[1].bytes().all(|byte| byte.is_ascii_digit());
    words.last().is_some_and(|last| STATE.contains(last))
        || words.contains(&"param_groups")
        || words.windows(2).any(|pair| pair[0] == "births" || is_numbered(pair))
}

/// The state that `file` holds for the tensors of `of`, which may be the same file. `Ok(None)`: it holds none.
pub fn find(file: &File, of: &File) -> Result<Option<State>, String> {
    // By what stands before the last word: a tensor's name, or `optimizer.state.3`.
    let mut found: BTreeMap<&str, Moments> = BTreeMap::new();
    let mut steps: BTreeMap<&str, &Tensor> = BTreeMap::new();
    let (mut words, mut births) = (BTreeSet::new(), Vec::new());
    for (place, tensor) in file.tensors.iter().enumerate() {
        let Some((owner, word)) = tensor.name.rsplit_once(['.', '/']) else { continue };
        match word {
            "exp_avg" | "momentum_buffer" | "first_moment" => found.entry(owner).or_default().first = Some(place),
            "exp_avg_sq" | "second_moment" => found.entry(owner).or_default().second = Some(place),
            "step" | "updates" => drop(steps.insert(owner, tensor)),
            "max_exp_avg_sq" => {}
            number if number.parse::<u64>().is_ok() && owner.ends_with(".births") => births.push((owner, tensor)),
            _ if position(owner).is_none() => continue,
            _ => {}
        }
        words.insert(word);
    }
    if let Some(other) = words.iter().find(|word| !STATE.contains(word) && word.parse::<u64>().is_err()) {
        return Err(format!("it keeps `{other}`, so it is of an optimiser that growrun does not have"));
    }
    if words.contains("max_exp_avg_sq") {
        return Err("it is of Adam with `amsgrad`, which growrun does not have".into());
    }
    found.retain(|_, moments| moments.first.is_some() || moments.second.is_some());
    if found.is_empty() {
        return Ok(None);
    }
    for (owner, moments) in &mut found {
        if let Some(tensor) = steps.get(owner) {
            let count = number(tensor).filter(|steps| (0.0..9e15).contains(steps) && steps.fract() == 0.0);
            moments.steps = count.ok_or_else(|| format!("`{}` is no count of steps", tensor.name))? as u64;
        }
    }
    for (owner, tensor) in births {
        let owner = owner.strip_suffix(".births").expect("looked at above");
        let Some(moments) = found.get_mut(owner) else { continue };
        let Values::Whole(values) = &tensor.values else { return Err(format!("`{}` holds no counts", tensor.name)) };
        let born: Result<Vec<u64>, _> = values.iter().map(|value| u64::try_from(*value)).collect();
        let born = born.ok().filter(|born| born.iter().all(|birth| *birth <= moments.steps));
        moments.births.push(born.ok_or_else(|| format!("`{}` is later than the last step", tensor.name))?);
    }
    let is_adam = found.values().any(|moments| moments.second.is_some());
    if is_adam && found.values().any(|moments| moments.first.is_none() || moments.second.is_none()) {
        return Err("some tensors have both moments and others have one".into());
    }
    if !is_adam && words.contains("exp_avg") {
        return Err("it keeps one moment as Lion does, which growrun does not have".into());
    }
    let by_number: BTreeMap<u64, Moments> =
        found.iter().filter_map(|(owner, moments)| Some((position(owner)?, moments.clone()))).collect();
    let owned = match by_number.len() == found.len() {
        true => numbered(file, of, &by_number)?,
        false => named(of, |name| found.get(name).cloned()),
    };
    for (place, moments) in &owned {
        judge(file, &of.tensors[*place], moments)?;
    }
    if owned.is_empty() {
        return Err("it belongs to none of the weights".into());
    }
    Ok(Some(State { of: owned, settings: settings(file), is_adam }))
}

/// `3` of `optimizer.state.3`.
fn position(owner: &str) -> Option<u64> {
    let (before, number) = owner.rsplit_once('.').unwrap_or(("", owner));
    let is_state = before == "state" || before.ends_with(".state");
    number.parse().ok().filter(|_| is_state)
}

/// The group and the place in it of `optimizer.param_groups.0.params.3`, when the list is called `list`.
fn in_group(name: &str, list: &str) -> Option<(u64, u64)> {
    let mut words = name.rsplit('.');
    let at = words.next()?.parse().ok()?;
    let (found, group) = (words.next()?, words.next()?.parse().ok()?);
    (found == list && words.next() == Some("param_groups")).then_some((group, at))
}

/// PyTorch's numbers as the tensors that they belong to.
fn numbered(file: &File, of: &File, found: &BTreeMap<u64, Moments>) -> Result<BTreeMap<usize, Moments>, String> {
    let mut order: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for tensor in &file.tensors {
        if let Some(place) = in_group(&tensor.name, "params") {
            let number = number(tensor).filter(|number| (0.0..9e15).contains(number));
            order.insert(place, number.ok_or_else(|| format!("`{}` is no number of a parameter", tensor.name))? as u64);
        }
    }
    let names: BTreeMap<u64, &str> = file
        .texts
        .iter()
        .filter_map(|(path, text)| Some((*order.get(&in_group(path, "param_names")?)?, text.as_str())))
        .collect();
    if !names.is_empty() {
        let by_name: BTreeMap<&str, &Moments> =
            names.iter().filter_map(|(number, name)| Some((*name, found.get(number)?))).collect();
        return Ok(named(of, |name| by_name.get(name).map(|moments| (*moments).clone())));
    }
    let is_parameter = |place: &usize| {
        let part = meaning(&of.tensors[*place].name).part;
        !matches!(part, Part::Count | Part::Mean | Part::Variance)
            && matches!(of.tensors[*place].values, Values::Numbers(_))
    };
    let parameters: Vec<usize> = weights(of).into_iter().filter(is_parameter).collect();
    let numbers: Vec<u64> = match order.is_empty() {
        true => (0..parameters.len() as u64).collect(),
        false => order.values().copied().collect(),
    };
    if numbers.len() != parameters.len() {
        return Err(format!(
            "it is of {} parameters, and the network has {}: which of them, the file does not say",
            numbers.len(),
            parameters.len()
        ));
    }
    let groups: BTreeSet<u64> = order.keys().map(|(group, _)| *group).collect();
    if groups.len() > 1 {
        return grouped(file, of, &order, found, &parameters);
    }
    let owned = parameters.iter().zip(&numbers);
    Ok(owned.filter_map(|(place, number)| Some((*place, found.get(number)?.clone()))).collect())
}

/// Of several groups, each in the network's own order: a tensor of a shape that stands in one group alone has one place.
fn grouped(
    file: &File,
    of: &File,
    order: &BTreeMap<(u64, u64), u64>,
    found: &BTreeMap<u64, Moments>,
    parameters: &[usize],
) -> Result<BTreeMap<usize, Moments>, String> {
    let unknown = || {
        "it has several groups of parameters, and their shapes do not tell which is which; give the optimiser \
         `model.named_parameters()`, and the file names them"
            .to_string()
    };
    // The numbers of each shape, with the one group that they are in.
    let mut by_shape: BTreeMap<&[usize], (u64, Vec<u64>)> = BTreeMap::new();
    for ((group, _), number) in order {
        let moment = found.get(number).and_then(|moments| moments.first.or(moments.second)).ok_or_else(unknown)?;
        let entry = by_shape.entry(&file.tensors[moment].shape).or_insert((*group, Vec::new()));
        if entry.0 != *group {
            return Err(unknown());
        }
        entry.1.push(*number);
    }
    let mut owned = BTreeMap::new();
    let mut used: BTreeMap<&[usize], usize> = BTreeMap::new();
    for place in parameters {
        let shape = of.tensors[*place].shape.as_slice();
        let at = used.entry(shape).or_default();
        let number = by_shape.get(shape).and_then(|(_, numbers)| numbers.get(*at)).ok_or_else(unknown)?;
        *at += 1;
        owned.insert(*place, found[number].clone());
    }
    Ok(owned)
}

/// By the name of each tensor, with and without what stands before all of them.
fn named(of: &File, found: impl Fn(&str) -> Option<Moments>) -> BTreeMap<usize, Moments> {
    let places = weights(of);
    let wrapper = wrapper_of(of, &places);
    let owned = places.into_iter().filter_map(|place| {
        let tensor = &of.tensors[place];
        let name = tensor.name.as_str();
        let bare = name.strip_prefix(wrapper.as_str()).unwrap_or(name);
        Some((place, found(name).or_else(|| found(&name[tensor.outer..])).or_else(|| found(bare))?))
    });
    owned.collect()
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
    let ages = moments.births.iter().map(Vec::len);
    if !moments.births.is_empty() && !ages.eq(tensor.shape.iter().copied()) {
        return Err(format!("the births of `{}` are not those of its shape", tensor.name));
    }
    Ok(())
}

fn settings(file: &File) -> Settings {
    // By group and name; a program's numbers were rounded to f32, and are what prints so.
    let mut known: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for tensor in &file.tensors {
        if let Some((group, rest)) = tensor.name.rsplit_once("param_groups.").and_then(|(_, rest)| rest.split_once('.'))
            && !rest.starts_with("params.")
            && let Some(number) = number(tensor)
        {
            known.insert((group, rest), (number as f32).to_string().parse().unwrap_or(number));
        }
    }
    let of = |name: &str| known.get(&("0", name)).copied();
    let differ = known.iter().any(|((_, name), value)| of(name).is_some_and(|first| first != *value));
    Settings {
        lr: of("lr"),
        betas: of("betas.0").zip(of("betas.1")),
        eps: of("eps"),
        momentum: of("momentum"),
        weight_decay: of("weight_decay"),
        differ,
    }
}

/// A number that stands alone, or the one of an array that holds one.
fn number(tensor: &Tensor) -> Option<f64> {
    match &tensor.values {
        Values::Numbers(values) => values.first().filter(|_| values.len() == 1).map(|value| f64::from(*value)),
        Values::Whole(values) => values.first().filter(|_| values.len() == 1).map(|value| *value as f64),
        Values::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Format;

    fn tensor(name: &str, shape: &[usize], value: f32) -> Tensor {
        let values = Values::Numbers(vec![value; shape.iter().product()]);
        Tensor { name: name.into(), outer: 0, shape: shape.into(), dtype: "float32", values }
    }

    /// Two groups of square weights a, b, and a third of another shape; moment 1 of number N is N + 1.
    fn grouped(shapes: [&[usize]; 3], groups: &[&[u64]], names: &[&str]) -> File {
        let mut tensors = Vec::new();
        for (at, shape) in shapes.iter().enumerate() {
            let name = ["a", "b", "c"][at];
            tensors.push(tensor(&format!("model.{name}.weight"), shape, 0.5));
        }
        let mut texts = Vec::new();
        for (group, numbers) in groups.iter().enumerate() {
            for (at, number) in numbers.iter().enumerate() {
                let path = format!("optimizer.param_groups.{group}");
                tensors.push(tensor(&format!("{path}.params.{at}"), &[], *number as f32));
                if let Some(name) = names.get(*number as usize) {
                    texts.push((format!("{path}.param_names.{at}"), name.to_string()));
                    let place = usize::from(*name == "b.weight") + 2 * usize::from(*name == "c.weight");
                    for word in ["exp_avg", "exp_avg_sq"] {
                        let name = format!("optimizer.state.{number}.{word}");
                        tensors.push(tensor(&name, shapes[place], *number as f32 + 1.0));
                    }
                }
            }
        }
        File { texts, ..File::new(Format::PyTorch, tensors) }
    }

    fn firsts(file: &File) -> Result<Vec<f32>, String> {
        let state = find(file, file)?.expect("there is one");
        let first = |moments: &Moments| match &file.tensors[moments.first.expect("a moment")].values {
            Values::Numbers(values) => values[0],
            _ => unreachable!("numbers"),
        };
        Ok(state.of.values().map(first).collect())
    }

    #[test]
    fn numbers_of_several_groups_are_believed_only_where_they_are_sure() {
        let square: [&[usize]; 3] = [&[2, 2], &[2, 2], &[3, 2]];
        // c first, then b and a in this order: the names say so.
        let groups: &[&[u64]] = &[&[0], &[1, 2]];
        let named = grouped(square, groups, &["c.weight", "b.weight", "a.weight"]);
        assert_eq!(firsts(&named), Ok(vec![3.0, 2.0, 1.0]));
        // Without names the shapes say which is c, and within a group the order is the network's.
        let mut plain = grouped(square, groups, &["c.weight", "a.weight", "b.weight"]);
        plain.texts.clear();
        assert_eq!(firsts(&plain), Ok(vec![2.0, 3.0, 1.0]));
        // Two of one shape in two groups: either order would fit.
        let mut either = grouped(square, &[&[0, 1], &[2]], &["c.weight", "a.weight", "b.weight"]);
        either.texts.clear();
        assert!(firsts(&either).is_err_and(|why| why.contains("several groups")));
    }

    #[test]
    fn other_optimisers_are_named_and_not_guessed() {
        let with = |word: &str| {
            let tensors = vec![tensor("w.weight", &[2], 1.0), tensor(&format!("optimizer.state.0.{word}"), &[2], 1.0)];
            find(&File::new(Format::PyTorch, tensors.clone()), &File::new(Format::PyTorch, tensors))
        };
        assert!(with("square_avg").is_err_and(|why| why.contains("square_avg")));
        assert!(with("exp_avg").is_err_and(|why| why.contains("Lion")));
        assert!(with("momentum_buffer").is_ok_and(|state| state.is_some_and(|state| !state.is_adam)));
        assert!(is_state("optimizer.state.0.sum") && is_state("h1.weight.births.0") && !is_state("state.weight"));
    }
}
