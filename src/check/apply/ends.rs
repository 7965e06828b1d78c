//! What a network that grows without training reads and gives: as its data says where that is there, else as its weights
//! do. How large an image is no weights say; what they leave open is taken, and told.

use super::super::model::{self, Ends, ModelRead};
use super::super::report::Report;
use super::{Request, Weights};
use crate::base::Diagnostic;
use crate::data::Header;
use crate::nn::{AxisId, Task};
use crate::syntax::Section;
use crate::weights::fit::{self, Misfit, Scope, Wanted};
use crate::weights::layout::Form;
use std::collections::BTreeMap;

/// Pixels of a side that are tried where nothing says how large an image is.
const SIDE_MAX: usize = 1024;
/// The side of an image where every size will do, unless it has to be larger: CIFAR's.
const SIDE: usize = 32;
/// Inputs before they are known.
const UNKNOWN: usize = 64;

/// The ends, which must be those of the weights. `told`: what was taken, and what is wrong.
pub fn of(
    section: &Section,
    weights: &Weights,
    header: Option<&Header>,
    request: &Request,
    told: (&mut Vec<String>, &mut Report),
) -> Option<Ends> {
    let (notes, report) = told;
    let task = header.map_or(Task::Classification, |header| header.task);
    let open = Ends { inputs: UNKNOWN, area: None, task, outputs: None, known: false, weights: true };
    // What it says of mistakes is said again when it is read for good.
    let read = |ends: &Ends| model::read(section, ends, request.vocabulary, &mut Report::default());
    let first = read(&open);
    let outputs = header.map(|header| header.outputs);
    if !first.architecture.all_layers().any(|layer| layer.kind.needs_image()) {
        // Where its first tensor does not fit, that is told with all else that does not.
        let Some(inputs) = inputs(&first, weights) else { return Some(open) };
        let of_data = header.map(|header| header.inputs * header.area.map_or(1, |(rows, columns)| rows * columns));
        agree(section, (inputs, of_data), "inputs", report)?;
        return Some(Ends { inputs, outputs, known: true, ..open });
    }
    if let Some(header) = header {
        // A vector is no image, and that is told where a layer needs one.
        let Some(area) = header.area else { return Some(Ends { inputs: header.inputs, outputs, known: true, ..open }) };
        let open = Ends { area: Some(area), ..open };
        let Some(inputs) = inputs(&read(&open), weights) else { return Some(open) };
        agree(section, (inputs, Some(header.inputs)), "channels", report)?;
        return Some(Ends { inputs, outputs, known: true, ..open });
    }
    let largest = Ends { area: Some(weights.area.unwrap_or((SIDE_MAX, SIDE_MAX))), ..open };
    let Some(inputs) = inputs(&read(&largest), weights) else { return Some(largest) };
    let of_area = |area| Ends { inputs, area: Some(area), known: true, ..open };
    if let Some(area) = weights.area {
        return Some(of_area(area));
    }
    let pixels = pixels(&read(&of_area((SIDE_MAX, SIDE_MAX))), weights);
    let fits = |side: &usize| {
        let mut mistakes = Report::default();
        let read = model::read(section, &of_area((*side, *side)), request.vocabulary, &mut mistakes);
        let found = read
            .architecture
            .all_layers()
            .all(|layer| pixels.get(&layer.name).is_none_or(|pixels| *pixels == layer.input.values_per_unit()));
        found && read.doubtful.is_empty() && mistakes.errors() == 0
    };
    let smallest = if pixels.is_empty() { SIDE } else { 1 };
    match (smallest..=SIDE_MAX).find(fits) {
        Some(side) => {
            let why = match pixels.is_empty() {
                true => "the network takes others, too",
                false => "the smallest square that its dense layers fit to",
            };
            notes.push(format!(
                "images of {side}×{side} pixels are taken, {why}: the weights do not say how large they are; \
                 `--probe` with images says it"
            ));
            Some(of_area((side, side)))
        }
        // Where the section has mistakes no size is right, and they are told.
        None if !first.doubtful.is_empty() && has_mistakes(section, &of_area((SIDE_MAX, SIDE_MAX)), request) => {
            Some(of_area((SIDE_MAX, SIDE_MAX)))
        }
        None => {
            let message = format!(
                "the weights do not say how large the images are, and no square of up to {SIDE_MAX} pixels a side fits"
            );
            report.add(
                Diagnostic::error("G0301", section.keyword.span, message)
                    .help("give images [n, channels, height, width] by `--probe`, or the `data` section"),
            );
            None
        }
    }
}

fn has_mistakes(section: &Section, ends: &Ends, request: &Request) -> bool {
    let mut report = Report::default();
    model::read(section, ends, request.vocabulary, &mut report);
    report.errors() > 0
}

/// `None` when the data has another number of them; that is reported.
fn agree(section: &Section, (own, of_data): (usize, Option<usize>), what: &str, report: &mut Report) -> Option<()> {
    match of_data {
        Some(of_data) if of_data != own => {
            let message = format!("the weights read {own} {what}, and the data has {of_data}");
            report.add(
                Diagnostic::error("G0301", section.keyword.span, message)
                    .help("leave the `data` section out, or name the data that they were trained on"),
            );
            None
        }
        _ => Some(()),
    }
}

/// How many values, or channels, the first layer reads, by its tensor.
fn inputs(read: &ModelRead, weights: &Weights) -> Option<usize> {
    let architecture = &read.architecture;
    let input = architecture.input.axis;
    let unknown = |axis: AxisId| axis == input;
    let wanted: Vec<Wanted> =
        architecture.all_layers().flat_map(|layer| Wanted::all(layer, architecture, unknown)).collect();
    let (matches, _) = matches(read, weights, &wanted);
    wanted.iter().find_map(|one| {
        let at = one.axes.iter().position(|axis| *axis == Some(input))?;
        let found = matches.iter().find(|found| found.parameter == one.name)?;
        found.extents.get(at).copied()
    })
}

fn matches(read: &ModelRead, weights: &Weights, wanted: &[Wanted]) -> (Vec<fit::Match>, Vec<Misfit>) {
    let maps: Vec<fit::Map> = read.maps.iter().map(|read| read.map.clone()).collect();
    fit::fit(&weights.file, wanted, Scope::Whole { maps: &maps, prefix: read.prefix.as_deref() })
}

/// By layer: how many pixels of each channel the dense layers behind images read, as their tensors have it.
fn pixels(read: &ModelRead, weights: &Weights) -> BTreeMap<String, usize> {
    let architecture = &read.architecture;
    let layers = architecture.all_layers().filter(|layer| layer.block.is_empty());
    let wanted: Vec<(&str, Wanted)> = layers
        .flat_map(|layer| Wanted::all(layer, architecture, |_| false).into_iter().map(|one| (layer.name.as_str(), one)))
        .filter(|(_, one)| one.form == Form::Flat)
        .collect();
    let all: Vec<Wanted> = wanted.iter().map(|(_, one)| one.clone()).collect();
    let (matches, misfits) = matches(read, weights, &all);
    let of_match = matches.iter().map(|found| (found.parameter.as_str(), found.tensor));
    let of_misfit = misfits.iter().filter_map(|misfit| match misfit {
        Misfit::Shape { wanted, tensor, .. } | Misfit::Order { wanted, tensor } => {
            Some((wanted.name.as_str(), *tensor))
        }
        _ => None,
    });
    let tensors: BTreeMap<&str, usize> = of_match.chain(of_misfit).collect();
    let found = wanted.iter().filter_map(|(layer, one)| {
        let shape = &weights.file.tensors[*tensors.get(one.name.as_str())?].shape;
        let (units, channels) = (one.extents[0]?, one.extents[1]?);
        let values = shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent))?;
        let each = units.checked_mul(channels).filter(|each| *each > 0)?;
        (values % each == 0).then(|| (layer.to_string(), values / each))
    });
    found.collect()
}
