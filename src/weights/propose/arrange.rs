//! The order of the layers, and which norm is behind which, where nothing but names, widths and the file's order tell.

use super::parts::{NormPart, Parts, Product, Tool};
use crate::base::text::short;
use crate::nn::Activation;
use crate::nn::architecture::{NORM_EPSILON, Norm};
use crate::weights::Format;
use std::collections::{BTreeMap, BTreeSet};

/// A product with what stands behind it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// By its place in [`Parts::products`].
    pub product: usize,
    /// By its place in [`Parts::norms`], and its ε.
    pub norm: Option<(usize, f64)>,
    pub activation: Activation,
    pub dropout: f64,
}

impl Unit {
    pub fn of(product: usize) -> Unit {
        Unit { product, norm: None, activation: Activation::Linear, dropout: 0.0 }
    }
}

#[derive(Default)]
pub struct Arranged {
    pub units: Vec<Unit>,
    pub assumed: Vec<String>,
    pub activations_known: bool,
}

/// Without a symbol.
pub fn arrange(format: Format, parts: &mut Parts) -> Arranged {
    let mut out = Arranged::default();
    let in_file = ordered(format, parts);
    let order = chain(parts, in_file, &mut out.assumed);
    out.units = order.iter().map(|product| Unit::of(*product)).collect();
    let file_order = order.is_sorted();
    if in_file && file_order {
        norms_in_line(parts, &mut out.units);
    } else {
        norms_by_name(parts, &mut out);
    }
    let last = out.units.len().saturating_sub(1);
    out.units[..last].iter_mut().for_each(|unit| unit.activation = Activation::Relu);
    if last > 0 {
        let symbol = match format {
            Format::MxNet => "; MXNet's symbol says them: `--symbol NAME-symbol.json`",
            _ => "",
        };
        out.assumed
            .push(format!("activations are not in the file: `relu` is a guess for all but the last layer{symbol}"));
    }
    images(parts, &mut out);
    places(parts, &mut out);
    epsilon(parts, &mut out);
    equal(parts, &mut out.assumed);
    out
}

/// What no file says of a network that reads images, and what growrun does not have there.
fn images(parts: &mut Parts, out: &mut Arranged) {
    if !parts.products.iter().any(|product| product.kernel.is_some()) {
        return;
    }
    out.assumed.push(
        "pools, strides and paddings are not in the file: none, 1 and `same` are a guess; write them as they were"
            .into(),
    );
    for (at, _) in
        out.units.iter().filter(|unit| parts.products[unit.product].kernel.is_some()).filter_map(|unit| unit.norm)
    {
        let norm = &parts.norms[at];
        if norm.kind != Norm::Batch {
            parts.problems.push(format!(
                "`{}` is a norm behind a convolution, and has no running statistics: growrun has batch norms there",
                short(&norm.stem)
            ));
        }
    }
}

/// Tensors under two names.
pub fn equal(parts: &Parts, assumed: &mut Vec<String>) {
    let of =
        |weight: usize| parts.products.iter().find(|product| product.weight == weight).map(|one| one.stem.as_str());
    if let Some(&(first, second)) = parts.equal.first() {
        let (first, second) = (short(of(first).unwrap_or_default()), short(of(second).unwrap_or_default()));
        let more = match parts.equal.len() {
            1 => String::new(),
            count => format!(", and {} more pairs", count - 1),
        };
        assumed.push(format!(
            "`{first}` and `{second}` hold the same weights{more}: if they were tied, they part here when they are trained"
        ));
    }
}

/// Norms that an assumption names.
const NAMED: usize = 3;

/// What speaks for and against each norm being where it was put: a file has no order of norm and activation.
fn places(parts: &mut Parts, out: &mut Arranged) {
    let mut placed = Vec::new();
    for unit in &out.units {
        let Some((at, _)) = unit.norm else { continue };
        let (norm, product) = (&parts.norms[at], &parts.products[unit.product]);
        let shown = short(&norm.stem);
        if norm.kind != Norm::Batch && is_called_batch_norm(&norm.stem) {
            let help = "save the state_dict, with its buffers";
            parts.problems.push(format!("`{shown}` has no running statistics: {help}"));
        }
        match (numbered(&norm.stem), numbered(&product.stem)) {
            // `0` and `2`: what has the number 1 holds no weights.
            (Some((text, number)), Some((same, before))) if text == same && number > before + 1 => {
                parts.problems.push(format!(
                    "`{shown}` is a norm that stands behind an activation, which growrun does not have: by the numbers, \
                     something without weights is between it and `{}`",
                    short(&product.stem)
                ));
            }
            (Some((text, number)), Some((same, after))) if text == same && number < after => {
                let product = short(&product.stem);
                parts.problems.push(format!(
                    "`{shown}` is a norm before `{product}`; here a norm stands behind a layer's product"
                ));
            }
            _ => placed.push(shown),
        }
    }
    let named: Vec<String> = placed.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let (named, verb, they) = match placed.len() {
        0 => return,
        1 => (named.join(", "), "is", "it stands"),
        count if count <= NAMED => (named.join(", "), "are", "one stands"),
        count => (format!("{}, … ({count} norms)", named.join(", ")), "are", "one stands"),
    };
    out.assumed.push(format!(
        "{named} {verb} taken to stand between the product and the activation; where {they} behind the activation, growrun \
         does not have that network"
    ));
}

/// `bn1`, `batch_norm`, `BatchNorm_0`.
fn is_called_batch_norm(stem: &str) -> bool {
    let lower = stem.to_lowercase();
    let mut words = lower.split(['.', '/', '_']);
    lower.contains("batchnorm")
        || lower.contains("batch_norm")
        || words.any(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()) == "bn")
}

/// Writes each norm's ε as its tool has it, since no file says it.
fn epsilon(parts: &Parts, out: &mut Arranged) {
    let mut taken: BTreeMap<&str, f64> = BTreeMap::new();
    for (at, epsilon) in out.units.iter_mut().filter_map(|unit| unit.norm.as_mut()) {
        let kind = parts.norms[*at].kind;
        *epsilon = match (parts.tool, kind) {
            (Tool::Keras, _) => 1e-3,
            (Tool::Flax, Norm::Layer | Norm::Rms) => 1e-6,
            _ => NORM_EPSILON,
        };
        taken.insert(kind.word(), *epsilon);
    }
    if taken.is_empty() {
        return;
    }
    let each: Vec<String> = taken.iter().map(|(kind, epsilon)| format!("{epsilon:e} for `norm {kind}`")).collect();
    out.assumed.push(format!(
        "the epsilon of a norm is not in the file: {}, as {} has it unless told otherwise",
        each.join(" and "),
        parts.tool.shown()
    ));
    if taken.contains_key(Norm::Rms.word()) {
        out.assumed.push(
            "a lone vector is taken for the gain of a `norm rms`: it could be a layer norm without bias, or the slopes of \
             a PReLU, which growrun does not have"
                .into(),
        );
    }
}

/// Whether the order of the tensors says anything: it does not where they are sorted by name.
fn ordered(format: Format, parts: &Parts) -> bool {
    match format {
        Format::Safetensors => false,
        // A dictionary keeps its order.
        Format::PyTorch => true,
        Format::Npz | Format::MxNet => {
            let all = parts.products.iter().map(|one| (one.at, &one.stem));
            let mut all: Vec<_> = all.chain(parts.norms.iter().map(|one| (one.at, &one.stem))).collect();
            all.sort_by_key(|(at, _)| *at);
            all.len() < 2 || !all.is_sorted_by_key(|(_, stem)| *stem)
        }
    }
}

/// The products in the order in which each reads what the one before it gives.
fn chain(parts: &mut Parts, in_file: bool, assumed: &mut Vec<String>) -> Vec<usize> {
    let products = &parts.products;
    let file: Vec<usize> = (0..products.len()).collect();
    if in_file && chains(products, &file) {
        return file;
    }
    let mut named = file.clone();
    // A vector becomes no image again.
    named.sort_by_cached_key(|at| (products[*at].kernel.is_none(), natural(&products[*at].stem)));
    let (order, how) = match chains(products, &named) {
        true => (named, "names"),
        false => match by_widths(products, &named) {
            Some(order) => (order, "widths"),
            None => {
                let order = if in_file { file } else { named };
                let problem = gaps(products, &order);
                parts.problems.push(problem);
                return order;
            }
        },
    };
    if !is_only(products, &order) {
        let shown: Vec<String> = order.iter().take(4).map(|at| format!("`{}`", short(&products[*at].stem))).collect();
        let more = if order.len() > 4 { ", …" } else { "" };
        let how = match how {
            "names" => "they are taken by the numbers and letters of their names",
            _ => "one of them is taken",
        };
        assumed.push(format!(
            "the file does not keep the order of the layers, and their widths allow several: {how}: {}{more}",
            shown.join(", ")
        ));
    }
    order
}

fn chains(products: &[Product], order: &[usize]) -> bool {
    order.windows(2).all(|pair| products[pair[1]].follows(&products[pair[0]]))
}

/// Where the layers do not follow on each other.
fn gaps(products: &[Product], order: &[usize]) -> String {
    let mut gaps = order.windows(2).filter(|pair| !products[pair[1]].follows(&products[pair[0]]));
    let pair = gaps.next().expect("the layers do not chain");
    let (before, after) = (&products[pair[0]], &products[pair[1]]);
    let more = match gaps.count() {
        0 => String::new(),
        count => format!("; {count} more do not follow on the one before, either"),
    };
    format!(
        "`{}` reads {} numbers, and `{}` before it gives {}{more}: branches, residual blocks and what stands between \
         cannot be told from a file; write the `model` section by hand",
        short(&after.stem),
        after.inputs,
        short(&before.stem),
        before.units
    )
}

/// An order in which all products chain: a path over the widths that takes each once (Hierholzer). Where it may choose,
/// it takes what comes first in `named`.
fn by_widths(products: &[Product], named: &[usize]) -> Option<Vec<usize>> {
    let mut leaving: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut balance: BTreeMap<usize, isize> = BTreeMap::new();
    for &at in named.iter().rev() {
        leaving.entry(products[at].inputs).or_default().push(at);
        *balance.entry(products[at].inputs).or_default() += 1;
        *balance.entry(products[at].units).or_default() -= 1;
    }
    let mut starts = balance.iter().filter(|(_, balance)| **balance > 0);
    let start = match (starts.next(), starts.next()) {
        (None, _) => products[*named.first()?].inputs,
        (Some((width, 1)), None) => *width,
        _ => return None,
    };
    let mut path = Vec::new();
    let mut open: Vec<(usize, Option<usize>)> = vec![(start, None)];
    while let Some((width, by)) = open.last().copied() {
        match leaving.get_mut(&width).and_then(Vec::pop) {
            Some(next) => open.push((products[next].units, Some(next))),
            None => {
                open.pop();
                path.extend(by);
            }
        }
    }
    path.reverse();
    (path.len() == products.len() && chains(products, &path)).then_some(path)
}

/// Whether the widths allow no other order. Another one swaps two loops through a width that comes three times, two
/// stretches between widths that come by turns, or begins a closed chain elsewhere.
fn is_only(products: &[Product], order: &[usize]) -> bool {
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return true };
    if order.len() > 1 && products[*first].inputs == products[*last].units {
        return false;
    }
    let widths = std::iter::once(products[*first].inputs).chain(order.iter().map(|at| products[*at].units));
    let widths: Vec<usize> = widths.collect();
    let mut count: BTreeMap<usize, usize> = BTreeMap::new();
    widths.iter().for_each(|width| *count.entry(*width).or_default() += 1);
    if count.values().any(|count| *count > 2) {
        return false;
    }
    // Pairs that come by turns do not nest.
    let mut open = Vec::new();
    let mut seen = BTreeSet::new();
    for width in widths.into_iter().filter(|width| count[width] == 2) {
        if seen.insert(width) {
            open.push(width);
        } else if open.pop() != Some(width) {
            return false;
        }
    }
    true
}

/// A name in pieces that sort as a person would: `fc2` before `fc10`.
fn natural(name: &str) -> Vec<(bool, usize, String)> {
    let mut pieces: Vec<(bool, usize, String)> = Vec::new();
    for c in name.chars() {
        let text = !c.is_ascii_digit();
        match pieces.last_mut() {
            Some((kind, length, piece)) if *kind == text => {
                // 02 is 2; the longer of two numbers is the larger one.
                if !text && piece == "0" {
                    piece.clear();
                    *length = 0;
                }
                piece.push(c);
                *length += usize::from(!text);
            }
            _ => pieces.push((text, usize::from(!text), c.to_string())),
        }
    }
    pieces
}

/// A name without its last number, and that number: `features.`, 3.
fn numbered(name: &str) -> Option<(String, u64)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let begin = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + name[at..].chars().next().map_or(1, char::len_utf8));
    Some((format!("{}#{}", &name[..begin], &name[end..]), name[begin..end].parse().ok()?))
}

/// Each norm behind the product that stands before it in the file.
fn norms_in_line(parts: &mut Parts, units: &mut [Unit]) {
    let mut problems = Vec::new();
    for (at, norm) in parts.norms.iter().enumerate() {
        // Units are in the file's order.
        let behind = units.partition_point(|unit| parts.products[unit.product].at < norm.at);
        let Some(unit) = behind.checked_sub(1).map(|place| &mut units[place]) else {
            problems.push(before_all(norm));
            continue;
        };
        let product = &parts.products[unit.product];
        match unit.norm {
            _ if product.units != norm.width => problems.push(homeless(norm)),
            Some((other, _)) => problems.push(two_in_a_row(&parts.norms[other], norm)),
            None => unit.norm = Some((at, NORM_EPSILON)),
        }
    }
    parts.problems.extend(problems);
}

pub fn before_all(norm: &NormPart) -> String {
    format!("`{}` is a norm before the first layer; here a norm stands behind a layer's product", short(&norm.stem))
}

pub fn two_in_a_row(first: &NormPart, second: &NormPart) -> String {
    let (first, second) = (short(&first.stem), short(&second.stem));
    format!("`{second}` is a second norm behind `{first}`; here a layer has one")
}

fn homeless(norm: &NormPart) -> String {
    format!("`{}` is a norm of {} units that is behind no layer of that width", short(&norm.stem), norm.width)
}

/// Each norm behind a product that is as wide: the one whose name says it, else the next in order.
fn norms_by_name(parts: &mut Parts, out: &mut Arranged) {
    let units = &mut out.units;
    let product = |unit: &Unit| &parts.products[unit.product];
    let mut free: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut by_stem: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_number: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    let mut in_sequence: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for (place, unit) in units.iter().enumerate() {
        let product = product(unit);
        free.entry(product.units).or_default().insert(place);
        by_stem.insert(&product.stem, place);
        if let Some((text, number)) = numbered(&product.stem) {
            by_number.entry((product.units, number)).or_insert(place);
            in_sequence.insert((text, number), place);
        }
    }
    let mut order: Vec<usize> = (0..parts.norms.len()).collect();
    order.sort_by_cached_key(|at| natural(&parts.norms[*at].stem));
    let mut guessed = Vec::new();
    let mut problems = Vec::new();
    // Names first, so that a guess takes nothing away.
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut left = Vec::new();
    for at in order {
        let norm = &parts.norms[at];
        let owner = norm.stem.strip_suffix(".norm").or_else(|| norm.stem.strip_suffix("_norm"));
        match owner.and_then(|owner| by_stem.get(owner)) {
            Some(&place) if free.get_mut(&norm.width).is_some_and(|free| free.remove(&place)) => {
                found.push((place, at))
            }
            _ => left.push(at),
        }
    }
    for at in left {
        let norm = &parts.norms[at];
        let Some(free) = free.get_mut(&norm.width).filter(|free| !free.is_empty()) else {
            problems.push(homeless(norm));
            continue;
        };
        let sure = free.len() == 1;
        let number = numbered(&norm.stem);
        // `net.1` behind `net.0`, `bn1` behind `fc1`.
        let before = number.clone().and_then(|(text, number)| {
            let (key, place) = in_sequence.range(..(text.clone(), number)).next_back()?;
            (key.0 == text).then_some(*place)
        });
        let same = || number.as_ref().and_then(|(_, number)| by_number.get(&(norm.width, *number)).copied());
        let named = before.or_else(same).filter(|place| free.contains(place));
        let place = named.or_else(|| free.first().copied()).expect("some are free");
        free.remove(&place);
        if !sure {
            guessed.push(at);
        }
        found.push((place, at));
    }
    if let Some(first) = guessed.first() {
        let behind = found.iter().find(|(_, at)| at == first).map(|(place, _)| short(&product(&units[*place]).stem));
        let more = match guessed.len() {
            1 => String::new(),
            count => format!(", and so are {} more", count - 1),
        };
        out.assumed.push(format!(
            "`{}` could be behind several layers of its width: it is put behind `{}`{more}",
            short(&parts.norms[*first].stem),
            behind.unwrap_or_default()
        ));
    }
    for (place, at) in found {
        units[place].norm = Some((at, NORM_EPSILON));
    }
    parts.problems.extend(problems);
}
