//! Which tensor of a file each parameter begins with, and all that does not fit.

use super::names::{self, Part, meaning};
use super::{File, Tensor, Values};
use crate::nn::{Architecture, AxisId, Dim, Layer, ParameterShape, Role};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter that wants values.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// `h1.norm.weight`
    pub name: String,
    pub role: Role,
    /// `None` where a width is not known: the data is not there, or a `when` may have changed it.
    pub extents: Vec<Option<usize>>,
    /// The feature axis of each dimension, where it has one.
    pub axes: Vec<Option<AxisId>>,
}

/// `map "fc1.weight" to h1.weight`, or of a layer with all its tensors `map "fc1" to h1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    pub tensor: String,
    pub to: String,
    /// The file's is [in, out].
    pub transpose: bool,
}

/// Which tensors are looked at, and whether others may be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope<'a> {
    /// All of the file belongs to the network.
    Whole { maps: &'a [Map] },
    /// Only those of one layer, which the file may call otherwise.
    Layer { name: &'a str, prefix: Option<&'a str> },
}

/// A parameter and its tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub parameter: String,
    /// By its place in the file.
    pub tensor: usize,
    /// The file's is [in, out].
    pub transposed: bool,
}

/// What does not fit. Tensors by their places in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// `like`: tensors that nobody has taken and that would fit.
    Missing {
        wanted: Wanted,
        like: Vec<usize>,
    },
    Shape {
        wanted: Wanted,
        tensor: usize,
        fits_turned: bool,
    },
    /// Two tensors could be meant.
    Several {
        parameter: String,
        tensors: Vec<usize>,
    },
    /// No parameter takes them.
    Extra {
        tensors: Vec<usize>,
    },
    /// Bool, text, or whole numbers.
    NotNumbers {
        parameter: String,
        tensor: usize,
    },
    NotFinite {
        tensor: usize,
        at: usize,
    },
    /// A `map`, by its place, that names what the file does not hold.
    NoTensor {
        map: usize,
    },
    /// A `map` to a parameter that the layer does not have.
    NoParameter {
        map: usize,
    },
}

impl Wanted {
    /// What a layer wants; `unknown` is the width of an axis that is not known.
    pub fn of(shape: ParameterShape, architecture: &Architecture, unknown: impl Fn(AxisId) -> bool) -> Wanted {
        let extent = |dim: &Dim| match dim {
            Dim::Feature(axis, _) => {
                let width = architecture.width(*axis);
                (width.is_exact() && !unknown(*axis)).then_some(width.min)
            }
            Dim::Fixed(extent) => Some(*extent),
        };
        let axis = |dim: &Dim| match dim {
            Dim::Feature(axis, _) => Some(*axis),
            Dim::Fixed(_) => None,
        };
        let (extents, axes) = shape.dims.iter().map(|dim| (extent(dim), axis(dim))).unzip();
        Wanted { extents, axes, name: shape.name, role: shape.role }
    }

    /// Of one layer, with those inside of it.
    pub fn of_layer(layer: &Layer, architecture: &Architecture) -> Vec<Wanted> {
        std::iter::once(layer)
            .chain(&layer.block)
            .flat_map(|layer| layer.kind.parameters(layer, architecture))
            .map(|shape| Wanted::of(shape, architecture, |_| false))
            .collect()
    }

    fn takes(&self, shape: &[usize]) -> bool {
        self.extents.len() == shape.len()
            && self.extents.iter().zip(shape).all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found))
    }

    /// The axes whose widths are not those of `shape`; `None` where it has another number of dimensions.
    pub fn unequal(&self, shape: &[usize]) -> Option<Vec<AxisId>> {
        let pairs = self.extents.iter().zip(&self.axes).zip(shape);
        let unequal = pairs.filter(|((wanted, _), found)| wanted.is_some_and(|wanted| wanted != **found));
        (self.extents.len() == shape.len()).then(|| unequal.filter_map(|((_, axis), _)| *axis).collect())
    }

    /// `[64, 32]`, with `_` for what is not known.
    pub fn shown(&self) -> String {
        let extent = |extent: &Option<usize>| extent.map_or("_".to_string(), |extent| extent.to_string());
        format!("[{}]", self.extents.iter().map(extent).collect::<Vec<_>>().join(", "))
    }
}

/// Finds a tensor for everything that is wanted.
pub fn fit(file: &File, wanted: &[Wanted], scope: Scope) -> (Vec<Match>, Vec<Misfit>) {
    let mut found = Finder::new(file);
    let mut matches = Vec::new();
    let mut misfits = Vec::new();
    // By parameter: what a `map` gives it.
    let mut mapped: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    if let Scope::Whole { maps } = scope {
        for (at, map) in maps.iter().enumerate() {
            match found.mapped(map, wanted) {
                Ok(all) => mapped.extend(all),
                Err(Unmapped::Tensor) => misfits.push(Misfit::NoTensor { map: at }),
                Err(Unmapped::Parameter) => misfits.push(Misfit::NoParameter { map: at }),
            }
        }
    }
    found.taken.extend(mapped.values().map(|(tensor, _)| *tensor));
    let mut missing = Vec::new();
    for one in wanted {
        let candidates = match mapped.get(one.name.as_str()) {
            Some(given) => vec![*given],
            None => found.by_name(one, scope),
        };
        let (tensor, transposed) = match candidates[..] {
            [] => {
                missing.push(one);
                continue;
            }
            [one] => one,
            _ => {
                let tensors = candidates.iter().map(|(tensor, _)| *tensor).collect();
                misfits.push(Misfit::Several { parameter: one.name.clone(), tensors });
                continue;
            }
        };
        found.taken.insert(tensor);
        match judge(&file.tensors[tensor], tensor, transposed, one) {
            None => matches.push(Match { parameter: one.name.clone(), tensor, transposed }),
            Some(misfit) => misfits.push(misfit),
        }
    }
    // Of a network that is quite another one, most are missing; a few show how names differ.
    const LOOKED_FOR: usize = 100;
    for (number, one) in missing.into_iter().enumerate() {
        let like = if number < LOOKED_FOR { found.like(one) } else { Vec::new() };
        misfits.push(Misfit::Missing { wanted: one.clone(), like });
    }
    if let Scope::Whole { .. } = scope {
        let tensors = found.left();
        if !tensors.is_empty() {
            misfits.push(Misfit::Extra { tensors });
        }
    }
    (matches, misfits)
}

/// Whether a tensor can be what it is taken for.
fn judge(tensor: &Tensor, place: usize, transposed: bool, wanted: &Wanted) -> Option<Misfit> {
    let turned = |shape: &[usize]| shape.iter().rev().copied().collect::<Vec<_>>();
    let shape = if transposed { turned(&tensor.shape) } else { tensor.shape.clone() };
    if !wanted.takes(&shape) {
        let fits_turned = shape.len() == 2 && wanted.takes(&turned(&shape));
        return Some(Misfit::Shape { wanted: wanted.clone(), tensor: place, fits_turned });
    }
    let Values::Numbers(values) = &tensor.values else {
        return Some(Misfit::NotNumbers { parameter: wanted.name.clone(), tensor: place });
    };
    let at = values.iter().position(|value| !value.is_finite())?;
    Some(Misfit::NotFinite { tensor: place, at })
}

/// The values of a match, row-major in the parameter's own layout.
pub fn values(file: &File, found: &Match) -> Vec<f32> {
    let tensor = &file.tensors[found.tensor];
    let Values::Numbers(values) = &tensor.values else { unreachable!("a match holds numbers") };
    match tensor.shape[..] {
        [rows, columns] if found.transposed => turned(values, rows, columns),
        _ => values.clone(),
    }
}

/// [rows, columns] as [columns, rows].
pub fn turned<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

enum Unmapped {
    Tensor,
    Parameter,
}

/// Parameters with their tensors' places and whether those are turned.
type Mapped<'w> = Vec<(&'w str, (usize, bool))>;

struct Finder<'f> {
    file: &'f File,
    /// What stands before every name.
    wrapper: String,
    /// The places of the tensors that could be weights, by what their names say.
    meanings: Vec<(usize, names::Meaning)>,
    /// Their numbers in that list, by the layer that they name, as it is written and in one spelling.
    exact: BTreeMap<String, Vec<usize>>,
    loose: BTreeMap<String, Vec<usize>>,
    taken: BTreeSet<usize>,
}

/// `h1_norm`, `h1/norm` and `h1.norm` are one.
fn one_spelling(stem: &str) -> String {
    stem.replace(['_', '/'], ".")
}

impl<'f> Finder<'f> {
    fn new(file: &'f File) -> Finder<'f> {
        let places = super::moments::weights(file);
        let wrapper = names::wrapper(places.iter().map(|place| file.tensors[*place].name.as_str()));
        let meanings: Vec<(usize, names::Meaning)> = places
            .into_iter()
            .map(|place| (place, meaning(&file.tensors[place].name[wrapper.len()..])))
            .filter(|(_, meaning)| meaning.part != Part::Count)
            .collect();
        let mut exact: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut loose: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, (_, meaning)) in meanings.iter().enumerate() {
            exact.entry(meaning.stem.clone()).or_default().push(number);
            loose.entry(one_spelling(&meaning.stem)).or_default().push(number);
        }
        Finder { file, wrapper, meanings, exact, loose, taken: BTreeSet::new() }
    }

    /// The tensors whose names say that they are this parameter.
    fn by_name(&self, wanted: &Wanted, scope: Scope) -> Vec<(usize, bool)> {
        let name = match scope {
            // The layer's own name is replaced by what the file calls it; what is inside of it keeps its own.
            Scope::Layer { name, prefix: Some(prefix) } => match wanted.name.strip_prefix(name) {
                Some(rest) if rest.starts_with('.') => {
                    format!("{}{rest}", prefix.strip_prefix(self.wrapper.as_str()).unwrap_or(prefix))
                }
                _ => wanted.name.clone(),
            },
            _ => wanted.name.clone(),
        };
        let stem = stem(&name);
        let named = |index: &BTreeMap<String, Vec<usize>>, stem: &str| -> Vec<(usize, bool)> {
            let numbers = index.get(stem).map_or(&[][..], Vec::as_slice);
            let all = numbers.iter().map(|number| &self.meanings[*number]);
            all.filter(|(_, meaning)| meaning.part.is(wanted.role))
                .map(|(place, meaning)| (*place, meaning.part == Part::Kernel))
                .collect()
        };
        let exact = named(&self.exact, stem);
        if !exact.is_empty() {
            return exact;
        }
        named(&self.loose, &one_spelling(stem))
    }

    /// What a `map` gives: one tensor to one parameter, or all tensors of a layer to one.
    fn mapped<'w>(&self, map: &Map, wanted: &'w [Wanted]) -> Result<Mapped<'w>, Unmapped> {
        let named = |name: &str| self.file.tensors.iter().position(|tensor| tensor.name == name);
        let whole = named(&map.tensor).or_else(|| named(&format!("{}{}", self.wrapper, map.tensor)));
        if let Some(tensor) = whole {
            let one = wanted.iter().find(|one| one.name == map.to).ok_or(Unmapped::Parameter)?;
            let kernel = meaning(&self.file.tensors[tensor].name).part == Part::Kernel && one.role == Role::Weight;
            return Ok(vec![(one.name.as_str(), (tensor, map.transpose || kernel))]);
        }
        let prefix = map.tensor.strip_prefix(self.wrapper.as_str()).unwrap_or(&map.tensor);
        let prefix = meaning(&format!("{prefix}.weight")).stem;
        let of_the_stem: Vec<_> = self.meanings.iter().filter(|(_, meaning)| meaning.stem == prefix).collect();
        if of_the_stem.is_empty() {
            return Err(Unmapped::Tensor);
        }
        let parameters: Vec<&Wanted> = wanted.iter().filter(|one| stem(&one.name) == map.to).collect();
        if parameters.is_empty() {
            return Err(Unmapped::Parameter);
        }
        let pair = |one: &'w Wanted| {
            let (place, meaning) = of_the_stem.iter().find(|(_, meaning)| meaning.part.is(one.role))?;
            let turned = one.role == Role::Weight && (map.transpose || meaning.part == Part::Kernel);
            Some((one.name.as_str(), (*place, turned)))
        };
        Ok(parameters.into_iter().filter_map(pair).collect())
    }

    /// Tensors that are left and would fit, were they called so.
    fn like(&self, wanted: &Wanted) -> Vec<usize> {
        let fits = |place: &usize, part: Part| {
            let shape = &self.file.tensors[*place].shape;
            let turned: Vec<usize> = shape.iter().rev().copied().collect();
            wanted.takes(if part == Part::Kernel { &turned } else { shape })
        };
        let free = self.meanings.iter().filter(|(place, _)| !self.taken.contains(place));
        free.filter(|(place, meaning)| meaning.part.is(wanted.role) && fits(place, meaning.part))
            .map(|(place, _)| *place)
            .collect()
    }

    fn left(&self) -> Vec<usize> {
        self.meanings.iter().map(|(place, _)| *place).filter(|place| !self.taken.contains(place)).collect()
    }
}

/// `h1.norm` of `h1.norm.weight`.
fn stem(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or("", |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Format;

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let values = (0..shape.iter().product()).map(|at: usize| at as f32).collect();
        Tensor { name: name.into(), outer: 0, shape: shape.into(), dtype: "float32", values: Values::Numbers(values) }
    }

    fn file(tensors: Vec<Tensor>) -> File {
        File { format: Format::Npz, tensors }
    }

    fn want(name: &str, role: Role, extents: &[usize]) -> Wanted {
        let axes = vec![None; extents.len()];
        Wanted { name: name.into(), role, extents: extents.iter().map(|extent| Some(*extent)).collect(), axes }
    }

    fn h1() -> [Wanted; 2] {
        [want("h1.weight", Role::Weight, &[2, 3]), want("h1.bias", Role::Bias, &[2])]
    }

    #[test]
    fn a_kernel_is_turned_and_a_weight_is_not() {
        let keras = file(vec![tensor("h1/kernel", &[3, 2]), tensor("h1/bias", &[2])]);
        let (matches, misfits) = fit(&keras, &h1(), Scope::Whole { maps: &[] });
        assert_eq!(misfits, []);
        assert_eq!(values(&keras, &matches[0]), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let wrong = file(vec![tensor("h1.weight", &[3, 2]), tensor("h1.bias", &[2])]);
        let (_, misfits) = fit(&wrong, &h1(), Scope::Whole { maps: &[] });
        assert!(matches!(&misfits[..], [Misfit::Shape { fits_turned: true, .. }]), "{misfits:?}");
    }

    #[test]
    fn maps_name_a_tensor_or_a_layer() {
        let torch = file(vec![tensor("model.fc1.weight", &[2, 3]), tensor("model.fc1.bias", &[2])]);
        let map = |tensor: &str, to: &str| Map { tensor: tensor.into(), to: to.into(), transpose: false };
        for maps in [
            vec![map("fc1", "h1")],
            vec![map("model.fc1", "h1")],
            vec![map("fc1.weight", "h1.weight"), map("model.fc1.bias", "h1.bias")],
        ] {
            let (matches, misfits) = fit(&torch, &h1(), Scope::Whole { maps: &maps });
            assert_eq!((matches.len(), misfits), (2, vec![]), "{maps:?}");
        }
        let (_, misfits) = fit(&torch, &h1(), Scope::Whole { maps: &[map("fc2", "h1")] });
        assert!(misfits.contains(&Misfit::NoTensor { map: 0 }), "{misfits:?}");
        assert!(misfits.iter().any(|misfit| matches!(misfit, Misfit::Missing { like, .. } if like == &[0])));
        assert!(misfits.contains(&Misfit::Extra { tensors: vec![0, 1] }), "{misfits:?}");
    }

    #[test]
    fn one_layer_takes_its_own_and_leaves_the_rest() {
        let others = file(vec![tensor("fc2.weight", &[2, 3]), tensor("fc2.bias", &[2]), tensor("x.weight", &[9])]);
        let (matches, misfits) = fit(&others, &h1(), Scope::Layer { name: "h1", prefix: Some("fc2") });
        assert_eq!((matches.len(), misfits), (2, vec![]));
        let (_, misfits) = fit(&others, &h1(), Scope::Layer { name: "h1", prefix: None });
        assert_eq!(misfits.len(), 2);
    }
}
