//! Weights that a schedule brings along: `model from`, a layer's `from`, `insert dense … from`.
//!
//! The files are read here, each once, because all that can be wrong with them is to be told before the first step; what
//! the run needs of them goes into the [`Program`](super::Program).

use super::model::{LayerFrom, MapRead, ModelRead};
use super::program::ActionKind;
use super::replay::Read;
use super::report::Report;
use super::suggest;
use crate::base::text::short;
use crate::base::{Args, Diagnostic, Refusal, Severity, Span, Spanned};
use crate::data::Place;
use crate::grow::Plan;
use crate::nn::AxisId;
use crate::syntax::{Atom, Phrase, Section};
use crate::weights::fit::{self, Misfit, Scope, Wanted};
use crate::weights::{self, File, Given, Insertion, OF_A_RUN, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where files lie, and what was read of them so far.
pub struct Files<'a> {
    /// Of the schedule; its `folder` is that of the first file.
    pub place: &'a Place<'a>,
    /// By the number of a file of the schedule: where its paths begin.
    pub folder_of: &'a dyn Fn(Span) -> PathBuf,
    /// `--memory-limit`
    limit: Option<u64>,
    read: BTreeMap<(PathBuf, String), Option<Opened>>,
    given: Given,
    /// Of the model's own file.
    matches: Vec<fit::Match>,
    missing: Option<Diagnostic>,
}

/// A file with what is recorded of it.
pub type Opened = (Arc<Source>, Arc<File>);

impl<'a> Files<'a> {
    pub fn new(place: &'a Place<'a>, folder_of: &'a dyn Fn(Span) -> PathBuf, limit: Option<u64>) -> Files<'a> {
        Files {
            place,
            folder_of,
            limit,
            read: BTreeMap::new(),
            given: Given::default(),
            matches: Vec::new(),
            missing: None,
        }
    }

    /// What the files hold, together.
    pub fn bytes(&self) -> u64 {
        self.given.sources.iter().fold(0, |sum, source| sum.saturating_add(source.bytes))
    }

    /// What was found, which tensor each parameter of the model's own file is, and why a file cannot be read on this
    /// machine.
    pub fn finish(self) -> (Given, Vec<fit::Match>, Option<Diagnostic>) {
        (self.given, self.matches, self.missing)
    }

    /// What a name stands for in a folder, whatever lies there.
    pub fn provide(&mut self, folder: PathBuf, text: &str, opened: Opened) {
        self.read.insert((folder, text.into()), Some(opened));
    }

    /// The file that `text` stands for. `None` when that was reported.
    fn open(&mut self, text: &Spanned<String>, report: &mut Report) -> Option<Opened> {
        let folder = (self.folder_of)(text.span);
        let key = (folder.clone(), text.node.clone());
        if let Some(known) = self.read.get(&key) {
            return known.clone();
        }
        let opened = match self.load(&folder, &text.node) {
            Ok(opened) => {
                self.given.sources.push(Arc::clone(&opened.0));
                Some(opened)
            }
            Err(refusal) => {
                let diagnostic =
                    Diagnostic::error(refusal.code, text.span, refusal.message).here(refusal.here).help(refusal.help);
                // As with data: a schedule can be checked where its files are not, and not be run.
                if refusal.code == "G0701" {
                    report.add(Diagnostic { severity: Severity::Warning, ..diagnostic.clone() });
                    self.missing.get_or_insert(diagnostic);
                } else {
                    report.add(diagnostic);
                }
                None
            }
        };
        self.read.insert(key, opened.clone());
        opened
    }

    fn load(&self, folder: &Path, text: &str) -> Result<Opened, Refusal> {
        let place = Place { folder, ..*self.place };
        let (content_max, values_max) = weights::limits(self.limit.unwrap_or(u64::MAX).min(place.budget()));
        let (name, content) = place.file(text, OF_A_RUN, "from", content_max)?;
        let file = weights::read(&name, &content, values_max)?;
        Ok((Arc::new(Source::of(text, &name, &content, &file)), Arc::new(file)))
    }

    /// What the network of the `model` section begins with.
    pub fn of_the_model(&mut self, model: &ModelRead, inputs_known: bool, report: &mut Report) {
        let architecture = &model.architecture;
        // Without the data no convolution knows what it reads: what would be said of its tensors is untrue.
        if architecture.input.area.is_none() && !inputs_known && architecture.all_layers().any(|l| l.kind.needs_image())
        {
            let texts = model.layers_from.iter().map(|one| &one.file).chain(&model.from);
            texts.for_each(|text| {
                self.open(text, report);
            });
            return;
        }
        let unknown = |axis: AxisId| !inputs_known && axis == architecture.input.axis;
        let all = |layer: &str| -> Vec<Wanted> {
            let layer = architecture.layer(layer);
            layer.map_or_else(Vec::new, |layer| Wanted::all(layer, architecture, unknown))
        };
        let sure = |layer: &str| !model.doubtful.contains(layer);
        for one in &model.layers_from {
            let Some((source, file)) = self.open(&one.file, report) else { continue };
            let scope = Scope::Layer { name: &one.layer, prefix: one.prefix.as_deref() };
            let wanted = if sure(&one.layer) { all(&one.layer) } else { Vec::new() };
            let (matches, misfits) = fit::fit(&file, &wanted, scope);
            self.take(&file, &matches);
            let told = Told {
                source: &source,
                file: &file,
                at: one.file.span,
                maps: &[],
                of_one_layer: true,
                model: Some(model),
            };
            told.add(&misfits, report);
        }
        let Some(text) = &model.from else { return };
        let Some((source, file)) = self.open(text, report) else { return };
        let own = |layer: &str| model.layers_from.iter().any(|LayerFrom { layer: own, .. }| own == layer);
        let names: Vec<&str> = architecture.all_layers().map(|layer| layer.name.as_str()).collect();
        let wanted: Vec<Wanted> =
            names.iter().filter(|name| !own(name) && sure(name)).flat_map(|name| all(name)).collect();
        let maps: Vec<fit::Map> = model.maps.iter().map(|read| read.map.clone()).collect();
        let scope = Scope::Whole { maps: &maps, prefix: model.prefix.as_deref() };
        let (matches, mut misfits) = fit::fit(&file, &wanted, scope);
        // A layer with a mistake, and one that has a file of its own, may be what a tensor is for.
        if !names.iter().all(|name| !own(name) && sure(name)) {
            misfits.retain(|misfit| !matches!(misfit, Misfit::Extra { .. }));
        }
        self.take(&file, &matches);
        self.matches = matches;
        let told = Told {
            source: &source,
            file: &file,
            at: text.span,
            maps: &model.maps,
            of_one_layer: false,
            model: Some(model),
        };
        told.add(&misfits, report);
    }

    fn take(&mut self, file: &File, matches: &[fit::Match]) {
        let values = matches.iter().map(|one| (one.parameter.clone(), Arc::new(fit::values(file, one))));
        self.given.initial.extend(values);
        for one in matches.iter().filter(|one| one.by_kernels) {
            self.given.notes.push(format!(
                "`{}` of the file has the image that `{}` reads pixel by pixel, as Keras and Flax flatten it; here it is \
                 channel by channel",
                short(&file.tensors[one.tensor].name),
                one.parameter
            ));
        }
    }

    /// Opens what the actions of the events name.
    pub fn of_the_events(&mut self, events: &[Read], report: &mut Report) {
        for action in events.iter().flat_map(|read| &read.event.actions) {
            let args = &action.args;
            if !matches!(action.kind, ActionKind::Grow(_)) || args.doc.arg("from").is_none() {
                continue;
            }
            let Some(text) = args.text("from") else { continue };
            let text = Spanned::new(text.to_string(), args.span_of("from"));
            if let Some((source, file)) = self.open(&text, report) {
                let prefix = args.text("prefix").map(str::to_string);
                self.given.inserted.insert(args.span, Insertion { source, file, prefix });
            }
        }
    }

    /// A warning where data is scaled, by default, for weights that were trained on it as it is. A run of growrun has
    /// scaled its own.
    pub fn scaled(&self, model: Option<&ModelRead>, data: Option<&Section>) -> Option<Diagnostic> {
        let from = model?.from.as_ref()?;
        let says = |phrase: &Phrase| matches!(phrase.atoms.first(), Some(Spanned { node: Atom::Word(word), .. }) if word == "normalize");
        let source = self.given.sources.iter().find(|source| source.text == from.node)?;
        if data?.body.iter().any(says) || source.name.ends_with(OF_A_RUN) {
            return None;
        }
        Some(
            Diagnostic::warning("G0830", from.span, "the data is scaled, by default, for weights that are given")
                .here("were they trained on scaled data?")
                .help("write `normalize none` in the `data` section, or `normalize zscore` where they were"),
        )
    }

    /// What is known of the events' files.
    pub fn inserted(&self) -> &BTreeMap<Span, Insertion> {
        &self.given.inserted
    }
}

/// What does not fit when an action puts a layer in that begins with given weights.
pub fn misfits(inserted: &BTreeMap<Span, Insertion>, plan: &Plan, args: &Args) -> Vec<Diagnostic> {
    let layer = plan.summary.target.as_str();
    let (Some(insertion), Some(made)) = (inserted.get(&args.span), plan.after.layer(layer)) else { return Vec::new() };
    let wanted = Wanted::of_layer(made, &plan.after);
    let scope = Scope::Layer { name: layer, prefix: insertion.prefix.as_deref() };
    let (_, misfits) = fit::fit(&insertion.file, &wanted, scope);
    let at = args.span_of("from");
    let told =
        Told { source: &insertion.source, file: &insertion.file, at, maps: &[], of_one_layer: true, model: None };
    let mut report = Report::default();
    told.add(&misfits, &mut report);
    report.diagnostics
}

/// What stands in a diagnostic about a file.
struct Told<'a> {
    source: &'a Source,
    file: &'a File,
    /// Where the schedule names it.
    at: Span,
    maps: &'a [MapRead],
    /// Whether the file is one layer's, which names it by `prefix`.
    of_one_layer: bool,
    /// To find where a layer got its width.
    model: Option<&'a ModelRead>,
}

/// Names that a message lists.
const LISTED: usize = 6;

impl Told<'_> {
    fn add(&self, misfits: &[Misfit], report: &mut Report) {
        // What a `map` with a mistake was to give is not missing.
        let meant = |wanted: &Wanted| {
            let mut lost = misfits.iter().filter_map(|misfit| match misfit {
                Misfit::NoTensor { map } => Some(self.maps[*map].map.to.as_str()),
                _ => None,
            });
            lost.any(|to| wanted.name.strip_prefix(to).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        let missing: Vec<(&Wanted, &Vec<usize>)> = misfits
            .iter()
            .filter_map(|misfit| match misfit {
                Misfit::Missing { wanted, like } if !meant(wanted) => Some((wanted, like)),
                _ => None,
            })
            .collect();
        if !missing.is_empty() {
            report.add(self.missing(&missing));
        }
        // A width that differs shows in every tensor that spans it, and is one mistake.
        let mut told = BTreeSet::new();
        for misfit in misfits.iter().filter(|misfit| !matches!(misfit, Misfit::Missing { .. })) {
            // What is missing and what is left over are one mistake: names that differ.
            if matches!(misfit, Misfit::Extra { .. })
                && misfits.iter().any(|other| matches!(other, Misfit::Missing { .. }))
            {
                continue;
            }
            if let Misfit::Shape { wanted, tensor, fits_turned: false } = misfit
                && let Some(unequal) = wanted.unequal(&self.file.tensors[*tensor].shape)
                && !unequal.is_empty()
            {
                let before = told.len();
                told.extend(unequal);
                if told.len() == before {
                    continue;
                }
            }
            report.add(self.one(misfit));
        }
    }

    fn tensor(&self, place: usize) -> String {
        let tensor = &self.file.tensors[place];
        format!("`{}` {:?}", short(&tensor.name), tensor.shape)
    }

    fn name(&self, place: usize) -> String {
        short(&self.file.tensors[place].name)
    }

    fn file(&self) -> String {
        short(&self.source.name)
    }

    /// The layer that a parameter belongs to, where it got its width.
    fn layer_span(&self, parameter: &str) -> Option<Span> {
        let layer = parameter.split('.').next().unwrap_or(parameter);
        self.model?.causes.get(layer).map(|cause| cause.span)
    }

    fn missing(&self, missing: &[(&Wanted, &Vec<usize>)]) -> Diagnostic {
        let file = self.file();
        let names = |count: usize| -> Vec<String> {
            missing.iter().take(count).map(|(wanted, _)| format!("`{}` {}", wanted.name, wanted.shown())).collect()
        };
        let message = match missing {
            [_] => format!("`{file}` holds no tensor for {}", names(1)[0]),
            _ => format!(
                "`{file}` holds no tensors for {} parameters: {}{}",
                missing.len(),
                names(LISTED).join(", "),
                if missing.len() > LISTED { ", …" } else { "" }
            ),
        };
        // Where one tensor alone would fit, its name is what differs.
        let mut proposals: Vec<String> = Vec::new();
        for (wanted, like) in missing {
            if let ([tensor], Some((layer, _))) = (&like[..], wanted.name.rsplit_once('.')) {
                let stem = weights::names::meaning(&self.file.tensors[*tensor].name).stem;
                let stem = short(&stem);
                let proposal = match self.of_one_layer {
                    true => format!("`prefix \"{stem}\"`"),
                    false => format!("`map \"{stem}\" to {layer}`"),
                };
                if !stem.is_empty() && !proposals.contains(&proposal) {
                    proposals.push(proposal);
                }
            }
        }
        proposals.truncate(LISTED);
        let help = match (self.of_one_layer, proposals.is_empty()) {
            (false, false) => {
                format!("if only the names differ, write {} in the `model` block", proposals.join(" and "))
            }
            (false, true) => format!("`growrun inspect {file}` shows what it holds, and proposes a `model` block"),
            (true, false) => format!("if only the name differs, write {}", proposals.join(" or ")),
            (true, true) => {
                format!("say what the file calls it, by `prefix`; `growrun inspect {file}` shows what it holds")
            }
        };
        Diagnostic::error("G0823", self.at, message).here("its tensors have other names").help(help)
    }

    fn one(&self, misfit: &Misfit) -> Diagnostic {
        let file = self.file();
        match misfit {
            Misfit::Missing { .. } => unreachable!("they are told together"),
            Misfit::Shape { wanted, tensor, fits_turned } => {
                let found = &self.file.tensors[*tensor].shape;
                let message =
                    format!("`{}` is {} here, but {} in `{file}`", wanted.name, wanted.shown(), self.tensor(*tensor));
                let layer = wanted.name.split('.').next().unwrap_or(&wanted.name);
                let help = match (wanted.extents.first(), found.first()) {
                    _ if *fits_turned => format!(
                        "if the file has it as [{}], write `map \"{}\" to {} transpose`",
                        if found.len() == 4 { "height, width, in, out" } else { "in, out" },
                        self.name(*tensor),
                        wanted.name
                    ),
                    (_, Some(units)) if self.model.is_none() => {
                        format!(
                            "the layer of the file has {units} units; put it in where what it reads is as wide as there"
                        )
                    }
                    // The last layer answers as the data says, and is not widened.
                    _ if self.model.is_some_and(|model| {
                        model.architecture.layers.last().is_some_and(|last| last.name == layer)
                    }) =>
                    {
                        "the last layer has as many units as there are classes, or numbers to predict: is it other data?"
                            .into()
                    }
                    (Some(Some(wide)), Some(&narrow)) if found.len() == wanted.extents.len() && narrow < *wide => {
                        format!(
                            "give `{layer}` the width of the file, {narrow}, and let it grow: `at start widen {layer} to {wide}`"
                        )
                    }
                    _ => "give the layers the widths of the file; events change them afterwards".into(),
                };
                let at = self.layer_span(&wanted.name);
                let diagnostic = Diagnostic::error("G0825", at.unwrap_or(self.at), message).help(help);
                match at {
                    Some(_) => diagnostic.label(self.at, "of this file"),
                    None => diagnostic,
                }
            }
            Misfit::Order { wanted, tensor } => {
                let message = format!(
                    "{} of `{file}` does not say whether channels or pixels come first, and `{}` is {} here",
                    self.tensor(*tensor),
                    wanted.name,
                    wanted.shown()
                );
                let help = match self.of_one_layer {
                    true => "name it in a `map` of `model from`, with `channels last` or `channels first`".into(),
                    false => format!(
                        "write `map \"{}\" to {} transpose channels last` where it was flattened as Keras and Flax do, \
                         `channels first` where as PyTorch does",
                        self.name(*tensor),
                        wanted.name
                    ),
                };
                let at = self.layer_span(&wanted.name).unwrap_or(self.at);
                Diagnostic::error("G0825", at, message).here("reads an image").help(help)
            }
            Misfit::Several { parameter, tensors } => {
                let named: Vec<String> = tensors.iter().map(|place| format!("`{}`", self.name(*place))).collect();
                let message = format!("more than one tensor of `{file}` could be `{parameter}`: {}", named.join(", "));
                let help = format!("say which: `map \"{}\" to {parameter}`", self.name(tensors[0]));
                Diagnostic::error("G0823", self.at, message).help(help)
            }
            Misfit::Extra { tensors } => {
                let named: Vec<String> = tensors.iter().take(LISTED).map(|place| self.tensor(*place)).collect();
                let more = if tensors.len() > LISTED { ", …" } else { "" };
                let count = match tensors.len() {
                    1 => "a tensor that no layer takes".into(),
                    count => format!("{count} tensors that no layer takes"),
                };
                let message = format!("`{file}` holds {count}: {}{more}", named.join(", "));
                let help = "write the layer that they belong to; to begin with some of a file's layers only, \
                            give those a `from` of their own: `h1 dense 64 relu from \"FILE\"`";
                Diagnostic::error("G0824", self.at, message).here("not all of it is used").help(help)
            }
            Misfit::NotNumbers { parameter, tensor } => {
                let message = format!(
                    "`{}` of `{file}` holds {}, which cannot be `{parameter}`",
                    self.name(*tensor),
                    self.file.tensors[*tensor].dtype
                );
                Diagnostic::error("G0825", self.at, message).help("save it as float32")
            }
            Misfit::NotFinite { tensor, at } => {
                let message = format!("{} of `{file}` is not finite at value {at}", self.tensor(*tensor));
                Diagnostic::error("G0822", self.at, message)
                    .help("the training that made it has diverged: take an earlier checkpoint")
            }
            Misfit::Negative { tensor, at } => {
                let message = format!("{} of `{file}` is a variance, and below 0 at value {at}", self.tensor(*tensor));
                Diagnostic::error("G0822", self.at, message).help("take another checkpoint, or save the file again")
            }
            Misfit::Twice { tensor, parameters: [one, other] } => {
                let message = format!("`{}` of `{file}` would be both `{one}` and `{other}`", self.name(*tensor));
                let help = "a tensor is one parameter's: change a `map`, or let an event `duplicate` the layer";
                Diagnostic::error("G0823", self.at, message).here("taken twice").help(help)
            }
            Misfit::NoTensor { map } => {
                let read = &self.maps[*map];
                let wanted = &read.map.tensor;
                let message = format!("`{file}` holds no tensor and no layer `{}`", short(wanted));
                let names = self.file.tensors.iter().take(1000).map(|tensor| tensor.name.as_str());
                let stems =
                    self.file.tensors.iter().take(1000).map(|tensor| weights::names::meaning(&tensor.name).stem);
                let all: Vec<String> = names.map(str::to_string).chain(stems).collect();
                let help = match suggest::nearest(wanted, all.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean \"{}\"?", short(near)),
                    None => format!("`growrun inspect {file}` lists what it holds"),
                };
                Diagnostic::error("G0823", read.span, message).here("not in the file").help(help)
            }
            Misfit::NoParameter { map } => {
                let read = &self.maps[*map];
                let message = format!("no layer has a parameter `{}`", read.map.to);
                let help = "the parameters of `h1` are `h1.weight` and `h1.bias`, and of its norm `h1.norm.weight` and so \
                            on; a whole layer is mapped by its name: `map \"fc1\" to h1`";
                Diagnostic::error("G0101", read.span, message).help(help)
            }
        }
    }
}
