//! Which tensor of a file each parameter begins with, and all that does not fit.

pub use super::layout::Channels;
use super::layout::{Form, KERNEL, Layout};
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
    /// How other tools write its dimensions.
    pub form: Form,
}

/// `map "fc1.weight" to h1.weight`, or of a layer with all its tensors `map "fc1" to h1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    pub tensor: String,
    pub to: String,
    /// The file's is [in, out].
    pub transpose: bool,
    /// How the file has the values of an image that a dense layer reads, where the schedule says it.
    pub channels: Option<Channels>,
}

/// Which tensors are looked at, and whether others may be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope<'a> {
    /// All of the file belongs to the network; with `prefix`, all that stands in this dictionary of it.
    Whole { maps: &'a [Map], prefix: Option<&'a str> },
    /// Only those of one layer, which the file may call otherwise.
    Layer { name: &'a str, prefix: Option<&'a str> },
}

/// A parameter and its tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub parameter: String,
    /// By its place in the file.
    pub tensor: usize,
    pub layout: Layout,
    /// Of the parameter.
    pub extents: Vec<usize>,
    /// Whether the file has an image's values pixel by pixel and does not say so: it is taken from the kernels of its
    /// convolutions.
    pub by_kernels: bool,
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
    /// A tensor [in, out] of a dense layer behind an image, whose values come channel by channel or pixel by pixel.
    Order {
        wanted: Wanted,
        tensor: usize,
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
    /// A variance below 0.
    Negative {
        tensor: usize,
        at: usize,
    },
    /// Two parameters would begin as one tensor.
    Twice {
        tensor: usize,
        parameters: [String; 2],
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
    /// What a layer wants for a parameter; `unknown` is the width of an axis that is not known.
    pub fn of(
        layer: &Layer,
        shape: ParameterShape,
        architecture: &Architecture,
        unknown: impl Fn(AxisId) -> bool,
    ) -> Wanted {
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
        Wanted { extents, axes, form: Form::of(layer, &shape), name: shape.name, role: shape.role }
    }

    /// All that a layer wants for itself.
    pub fn all(layer: &Layer, architecture: &Architecture, unknown: impl Fn(AxisId) -> bool) -> Vec<Wanted> {
        let shapes = layer.kind.parameters(layer, architecture);
        shapes.into_iter().map(|shape| Wanted::of(layer, shape, architecture, &unknown)).collect()
    }

    /// Of one layer, with those inside of it.
    pub fn of_layer(layer: &Layer, architecture: &Architecture) -> Vec<Wanted> {
        std::iter::once(layer)
            .chain(&layer.block)
            .flat_map(|layer| Wanted::all(layer, architecture, |_| false))
            .collect()
    }

    fn takes(&self, shape: &[usize], layout: Layout) -> bool {
        [self.form, Form::Plain].into_iter().any(|form| {
            let wanted = self.in_file(layout, form);
            wanted.len() == shape.len()
                && wanted.iter().zip(shape).all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found))
        })
    }

    /// The extents that a file has of it.
    fn in_file(&self, layout: Layout, form: Form) -> Vec<Option<usize>> {
        layout.shape(&self.extents, form, Some(1), |a, b| a.zip(b).and_then(|(a, b)| a.checked_mul(b)))
    }

    /// How many channels a file's tensor says that it reads, and how many pixels of each, where it has them together
    /// and the pixels are known.
    pub fn reads(&self, shape: &[usize], layout: Layout) -> Option<usize> {
        if self.extents.len() < 2 {
            return None;
        }
        let form = Form::in_file(self.extents.len(), shape.len());
        // Where the numbers 0, 1, … of its dimensions go.
        let places: Vec<usize> = (0..self.extents.len()).collect();
        let at = layout.shape(&places, form, usize::MAX, |a, _| a).iter().position(|place| *place == 1)?;
        let pixels = self.extents[2..].iter().try_fold(1usize, |all, extent| all.checked_mul((*extent)?))?;
        let read = *shape.get(at)?;
        match form {
            Form::Flat => (pixels > 0 && read % pixels == 0).then(|| read / pixels),
            _ => Some(read),
        }
    }

    /// The extents with those that only the file's tensor says; it has the right shape.
    fn known(&self, shape: &[usize], layout: Layout) -> Vec<usize> {
        let said = |dimension: usize| match (dimension, self.extents.len()) {
            (0, 2..) => shape.get(if layout.turned { shape.len() - 1 } else { 0 }).copied(),
            (1, _) => self.reads(shape, layout),
            _ => shape.get(dimension).copied(),
        };
        let known = self.extents.iter().enumerate().map(|(dimension, extent)| extent.or_else(|| said(dimension)));
        known.map(|extent| extent.unwrap_or(1)).collect()
    }

    /// Whether the order of an image's values matters to it.
    fn is_of_an_image(&self) -> bool {
        self.form == Form::Flat && self.extents[2..].iter().any(|extent| *extent != Some(1))
    }

    /// The axes whose widths are not those of `shape`; `None` where it has another number of dimensions.
    pub fn unequal(&self, shape: &[usize]) -> Option<Vec<AxisId>> {
        let pairs = self.extents.iter().zip(&self.axes).zip(shape);
        let unequal = pairs.filter(|((wanted, _), found)| wanted.is_some_and(|wanted| wanted != **found));
        (self.extents.len() == shape.len()).then(|| unequal.filter_map(|((_, axis), _)| *axis).collect())
    }

    /// `[64, 32]`, with `_` for what is not known; `[10, 8·12·12]` behind an image.
    pub fn shown(&self) -> String {
        let extent = |extent: &Option<usize>| extent.map_or("_".to_string(), |extent| extent.to_string());
        let all: Vec<String> = self.extents.iter().map(extent).collect();
        match (self.form, &all[..]) {
            (Form::Flat, [out, read @ ..]) => format!("[{out}, {}]", read.join("·")),
            _ => format!("[{}]", all.join(", ")),
        }
    }
}

/// Finds a tensor for everything that is wanted.
pub fn fit(file: &File, wanted: &[Wanted], scope: Scope) -> (Vec<Match>, Vec<Misfit>) {
    let prefix = match scope {
        Scope::Whole { prefix, .. } => prefix,
        Scope::Layer { .. } => None,
    };
    let mut found = Finder::new(file, prefix);
    let mut owner: BTreeMap<usize, &str> = BTreeMap::new();
    let mut matches = Vec::new();
    let mut misfits = Vec::new();
    // By parameter: what a `map` gives it.
    let mut mapped: BTreeMap<&str, Candidate> = BTreeMap::new();
    if let Scope::Whole { maps, .. } = scope {
        for (at, map) in maps.iter().enumerate() {
            match found.mapped(map, wanted) {
                Ok(all) => mapped.extend(all),
                Err(Unmapped::Tensor) => misfits.push(Misfit::NoTensor { map: at }),
                Err(Unmapped::Parameter) => misfits.push(Misfit::NoParameter { map: at }),
            }
        }
    }
    found.taken.extend(mapped.values().map(|one| one.tensor));
    let mut missing = Vec::new();
    for one in wanted {
        let candidates = match mapped.get(one.name.as_str()) {
            Some(given) => vec![*given],
            None => found.by_name(one, scope),
        };
        let candidate = match candidates[..] {
            [] => {
                missing.push(one);
                continue;
            }
            [one] => one,
            _ => {
                let tensors = candidates.iter().map(|one| one.tensor).collect();
                misfits.push(Misfit::Several { parameter: one.name.clone(), tensors });
                continue;
            }
        };
        let tensor = candidate.tensor;
        found.taken.insert(tensor);
        if let Some(other) = owner.insert(tensor, &one.name) {
            misfits.push(Misfit::Twice { tensor, parameters: [other.into(), one.name.clone()] });
            continue;
        }
        let Some((layout, by_kernels)) = found.layout(candidate, one) else {
            misfits.push(Misfit::Order { wanted: one.clone(), tensor });
            continue;
        };
        match judge(&file.tensors[tensor], tensor, layout, one) {
            None => {
                let extents = one.known(&file.tensors[tensor].shape, layout);
                matches.push(Match { parameter: one.name.clone(), tensor, layout, extents, by_kernels });
            }
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
fn judge(tensor: &Tensor, place: usize, layout: Layout, wanted: &Wanted) -> Option<Misfit> {
    // Where a width is not known here, a number of values that no width gives must not pass, and neither must none.
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
    let values = count(&tensor.shape).filter(|values| *values > 0);
    let is_whole = values.is_some() && values == count(&wanted.known(&tensor.shape, layout));
    if !wanted.takes(&tensor.shape, layout) || !is_whole {
        let fits_turned = !layout.turned && wanted.extents.len() > 1 && wanted.takes(&tensor.shape, KERNEL);
        return Some(Misfit::Shape { wanted: wanted.clone(), tensor: place, fits_turned });
    }
    let Values::Numbers(values) = &tensor.values else {
        return Some(Misfit::NotNumbers { parameter: wanted.name.clone(), tensor: place });
    };
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Some(Misfit::NotFinite { tensor: place, at });
    }
    let at = values.iter().position(|value| *value < 0.0).filter(|_| wanted.role == Role::RunningVariance)?;
    Some(Misfit::Negative { tensor: place, at })
}

/// The values of a match, row-major in the parameter's own layout.
pub fn values(file: &File, found: &Match) -> Vec<f32> {
    let tensor = &file.tensors[found.tensor];
    let Values::Numbers(values) = &tensor.values else { unreachable!("a match holds numbers") };
    found.layout.from_file(values, &found.extents)
}

/// A tensor that may be a parameter, and what is known of how it lies.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    tensor: usize,
    is_kernel: bool,
    transpose: bool,
    channels: Option<Channels>,
}

enum Unmapped {
    Tensor,
    Parameter,
}

/// Parameters with their tensors.
type Mapped<'w> = Vec<(&'w str, Candidate)>;

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
    /// Whether its convolutions are [h, w, in, out].
    has_kernels: bool,
}

/// `h1_norm`, `h1/norm` and `h1.norm` are one.
fn one_spelling(stem: &str) -> String {
    stem.replace(['_', '/'], ".")
}

impl<'f> Finder<'f> {
    fn new(file: &'f File, prefix: Option<&str>) -> Finder<'f> {
        let mut places = super::moments::weights(file);
        let wrapper = match prefix {
            Some(prefix) => {
                let is_in = |place: &usize| {
                    let rest = file.tensors[*place].name.strip_prefix(prefix);
                    rest.is_some_and(|rest| rest.starts_with(['.', '/']))
                };
                places.retain(is_in);
                let first = places.first().map_or("", |place| file.tensors[*place].name.as_str());
                first.get(..prefix.len() + 1).unwrap_or_default().to_string()
            }
            None => super::moments::wrapper_of(file, &places),
        };
        // A scalar beside the network is none of its.
        places.retain(|place| file.tensors[*place].name.starts_with(&wrapper));
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
        let is_kernel = |(place, meaning): &(usize, names::Meaning)| {
            meaning.part == Part::Kernel && file.tensors[*place].shape.len() == 4
        };
        let has_kernels = meanings.iter().any(is_kernel);
        Finder { file, wrapper, meanings, exact, loose, taken: BTreeSet::new(), has_kernels }
    }

    /// How a tensor lies, and whether that hangs on the kernels of the file; `None` where it cannot be known.
    fn layout(&self, candidate: Candidate, wanted: &Wanted) -> Option<(Layout, bool)> {
        if wanted.role != Role::Weight {
            return Some((Layout::default(), false));
        }
        let turned = candidate.is_kernel || candidate.transpose;
        let by_kernels = candidate.is_kernel && self.has_kernels;
        let (channels_last, by_kernels) = match (candidate.channels, wanted.is_of_an_image()) {
            (Some(channels), _) => (channels == Channels::Last, false),
            (None, true) if turned && !by_kernels => return None,
            (None, is_of_an_image) => (turned, turned && is_of_an_image),
        };
        Some((Layout { turned, channels_last }, by_kernels))
    }

    /// The tensors whose names say that they are this parameter.
    fn by_name(&self, wanted: &Wanted, scope: Scope) -> Vec<Candidate> {
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
        let named = |index: &BTreeMap<String, Vec<usize>>, stem: &str| -> Vec<Candidate> {
            let numbers = index.get(stem).map_or(&[][..], Vec::as_slice);
            let all = numbers.iter().map(|number| &self.meanings[*number]);
            all.filter(|(_, meaning)| meaning.part.is(wanted.role))
                .map(|(place, meaning)| Candidate {
                    tensor: *place,
                    is_kernel: meaning.part == Part::Kernel,
                    transpose: false,
                    channels: None,
                })
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
            let is_kernel = meaning(&self.file.tensors[tensor].name).part == Part::Kernel;
            let (transpose, channels) = (map.transpose, map.channels);
            return Ok(vec![(one.name.as_str(), Candidate { tensor, is_kernel, transpose, channels })]);
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
            let is_kernel = meaning.part == Part::Kernel;
            let (transpose, channels) = (map.transpose, map.channels);
            Some((one.name.as_str(), Candidate { tensor: *place, is_kernel, transpose, channels }))
        };
        Ok(parameters.into_iter().filter_map(pair).collect())
    }

    /// Tensors that are left and would fit, were they called so.
    fn like(&self, wanted: &Wanted) -> Vec<usize> {
        let fits = |place: &usize, part: Part| {
            let layout = if part == Part::Kernel { KERNEL } else { Layout::default() };
            wanted.takes(&self.file.tensors[*place].shape, layout)
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
        File::new(Format::Npz, tensors)
    }

    fn want(name: &str, role: Role, extents: &[usize]) -> Wanted {
        let axes = vec![None; extents.len()];
        let extents = extents.iter().map(|extent| Some(*extent)).collect();
        Wanted { name: name.into(), role, extents, axes, form: Form::Plain }
    }

    fn h1() -> [Wanted; 2] {
        [want("h1.weight", Role::Weight, &[2, 3]), want("h1.bias", Role::Bias, &[2])]
    }

    #[test]
    fn a_kernel_is_turned_and_a_weight_is_not() {
        let keras = file(vec![tensor("h1/kernel", &[3, 2]), tensor("h1/bias", &[2])]);
        let (matches, misfits) = fit(&keras, &h1(), Scope::Whole { maps: &[], prefix: None });
        assert_eq!(misfits, []);
        assert_eq!(values(&keras, &matches[0]), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let wrong = file(vec![tensor("h1.weight", &[3, 2]), tensor("h1.bias", &[2])]);
        let (_, misfits) = fit(&wrong, &h1(), Scope::Whole { maps: &[], prefix: None });
        assert!(matches!(&misfits[..], [Misfit::Shape { fits_turned: true, .. }]), "{misfits:?}");
    }

    #[test]
    fn kernels_of_images_are_turned_where_that_is_sure() {
        let conv = want("c1.weight", Role::Weight, &[3, 2, 5, 5]);
        let flat = Wanted { form: Form::Flat, ..want("out.weight", Role::Weight, &[4, 3, 2, 2]) };
        let all = Scope::Whole { maps: &[], prefix: None };
        let keras = file(vec![tensor("c1/kernel", &[5, 5, 2, 3]), tensor("out/kernel", &[12, 4])]);
        let (matches, misfits) = fit(&keras, &[conv.clone(), flat.clone()], all);
        assert_eq!(misfits, []);
        assert!(matches[1].by_kernels && matches.iter().all(|one| one.layout == KERNEL), "{matches:?}");
        // Unit 1, channel 2, pixel (1, 0) stands at [(1·2 + 0)·3 + 2, 1].
        assert_eq!(values(&keras, &matches[1])[((3 + 2) * 2 + 1) * 2], 8.0 * 4.0 + 1.0);
        let torch = file(vec![tensor("c1.weight", &[3, 2, 5, 5]), tensor("out.weight", &[4, 12])]);
        let (matches, misfits) = fit(&torch, &[conv.clone(), flat.clone()], all);
        assert_eq!((matches.len(), misfits), (2, vec![]));
        // Without convolutions that say it, an [in, out] of an image is refused until a `map` says it.
        let alone = file(vec![tensor("c1.weight", &[3, 2, 5, 5]), tensor("out/kernel", &[12, 4])]);
        let (_, misfits) = fit(&alone, &[conv.clone(), flat.clone()], all);
        assert!(matches!(&misfits[..], [Misfit::Order { tensor: 1, .. }]), "{misfits:?}");
        for channels in Channels::ALL {
            let map = |tensor: &str, to: &str, transpose| Map {
                tensor: tensor.into(),
                to: to.into(),
                transpose,
                channels: Some(channels),
            };
            let maps = [map("out/kernel", "out.weight", false)];
            let (matches, misfits) =
                fit(&alone, &[conv.clone(), flat.clone()], Scope::Whole { maps: &maps, prefix: None });
            assert_eq!(misfits, []);
            assert_eq!(matches[1].layout, Layout { turned: true, channels_last: channels == Channels::Last });
        }
    }

    #[test]
    fn no_width_is_made_of_numbers_that_do_not_divide() {
        let mut flat = Wanted { form: Form::Flat, ..want("out.weight", Role::Weight, &[3, 1, 4, 3]) };
        flat.extents[1] = None;
        for (read, fits) in [(12, true), (36, true), (5, false), (47, false), (0, false)] {
            let net = file(vec![tensor("out.weight", &[3, read])]);
            let (matches, _) = fit(&net, &[flat.clone()], Scope::Whole { maps: &[], prefix: None });
            assert_eq!(matches.len(), usize::from(fits), "{read}");
            assert!(matches.iter().all(|one| values(&net, one).len() == 3 * read && one.extents[1] == read / 12));
        }
    }

    #[test]
    fn maps_name_a_tensor_or_a_layer() {
        let torch = file(vec![tensor("model.fc1.weight", &[2, 3]), tensor("model.fc1.bias", &[2])]);
        let map =
            |tensor: &str, to: &str| Map { tensor: tensor.into(), to: to.into(), transpose: false, channels: None };
        for maps in [
            vec![map("fc1", "h1")],
            vec![map("model.fc1", "h1")],
            vec![map("fc1.weight", "h1.weight"), map("model.fc1.bias", "h1.bias")],
        ] {
            let (matches, misfits) = fit(&torch, &h1(), Scope::Whole { maps: &maps, prefix: None });
            assert_eq!((matches.len(), misfits), (2, vec![]), "{maps:?}");
        }
        let (_, misfits) = fit(&torch, &h1(), Scope::Whole { maps: &[map("fc2", "h1")], prefix: None });
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
