//! `growrun apply FILE --weights IN --out OUT`: the growth of a schedule on trained weights, without training.

mod probe;
mod told;

use super::arguments::Apply;
use super::render::{self, without_place};
use super::stop::Stop;
use super::terminal::{note, say, say_json};
use super::{Context, confine, exit, training};
use crate::base::world::Entry;
use crate::base::{Diagnostic, Refusal, Severity, World};
use crate::check::apply::{Applied, Weights};
use crate::check::{self, Program, Request};
use crate::data::{Dataset, Place, Scaling};
use crate::export::{self, Exported, Named, Trained, home};
use crate::nn::{Architecture, Parameter, Slot, SlotKind};
use crate::optim::Optimizer;
use crate::record;
use crate::run::{self, Autosave, Event, Finish, Options, Status};
use crate::syntax::{self, Schedule};
use crate::weights::{self, File, Format, Source, Values, fit, moments};
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a run keeps what its optimiser held at its end.
const STATE_OF_A_RUN: &str = "checkpoints/end/state.safetensors";

/// `--optimizer none` leaves a state aside.
const NONE: &str = "none";

/// What the sources call a proposed model block.
const PROPOSED: &str = "<proposed>";

pub fn run(context: &Context, apply: &Apply) -> i32 {
    match made(context, apply) {
        Ok((done, code)) => {
            if apply.json {
                say_json(&format!("{}\n", done.object()));
            } else {
                say(&done.text(context.terminal.stdout));
            }
            code
        }
        Err(stop) => stop.tell(context, apply.json),
    }
}

fn made(context: &Context, apply: &Apply) -> Result<(told::Done, i32), Stop> {
    let world = context.world;
    let (folder, stem, form) = place(world, &apply.out)?;
    confine::to_apply(context, apply, &folder);
    let opened = super::inspect::open(context, &apply.weights, apply.symbol.as_deref())?;
    let (schedule, found, guessed) = schedule(context, apply, &opened)?;
    let super::inspect::Opened { name, source, file, area, .. } = opened;
    if let (Form::Folder(_), Some(_)) = (&form, &guessed) {
        let message = "a `model.py` says the activations, and they are not in the file";
        let help = "write the `model` block with them, or write the weights alone: `--out grown.safetensors`";
        return Err(Stop::Refused(Refusal::error("G0827", message, help)));
    }
    let is_run = matches!(world.entry(&apply.weights)?, Some(Entry::Folder));
    let state_file = state_file(world, apply, is_run)?;
    let (state, state_why) = match apply.optimizer.as_deref() {
        Some(path) if path == Path::new(NONE) => (None, "left aside: moments begin at 0".into()),
        asked => state(state_file.as_ref(), &file, asked.is_some())?,
    };
    let given = apply.probe.as_ref().map(|path| probe::read(world, path)).transpose()?;
    let vocabulary = run::vocabulary();
    let named: BTreeMap<String, PathBuf> =
        apply.overrides.data.iter().map(|(name, path)| (name.clone(), PathBuf::from(path))).collect();
    let schedule_folder = apply.file.parent().unwrap_or(Path::new("")).to_path_buf();
    let request = Request {
        seed: apply.overrides.seed,
        set: &apply.overrides.set,
        limits: apply.resources.limits(world, Path::new("")),
        ..Request::new(world, &vocabulary, &schedule_folder, &named)
    };
    let (source, file) = (Arc::new(source), Arc::new(file));
    let weights = Weights {
        source: Arc::clone(&source),
        file: Arc::clone(&file),
        activations_known: guessed.is_none(),
        state: state.as_ref(),
        probe: given.as_ref().map(probe::Given::examples),
        area: given.as_ref().and_then(probe::Given::area).or(area),
    };
    let Applied { diagnostics, sources, program, matches, skipped, notes, has_data } =
        check::apply::apply(schedule, &request, &weights);
    let found: Vec<Diagnostic> = found.into_iter().chain(diagnostics).collect();
    let Some(program) = program.filter(|_| !found.iter().any(|one| one.severity == Severity::Error)) else {
        return Err(Stop::Mistakes(found, sources));
    };
    note(&render::human(&found, &sources, context.terminal.stderr));
    if program.events.is_empty() {
        let message = "this schedule has no growth at a time, so there is nothing to apply";
        let help = "write events such as `at start widen h1 to 256`; other triggers need training";
        return Err(Stop::Refused(Refusal::error("G0106", message, help)));
    }
    if has_data && given.is_some() {
        let message = "`--probe` gives examples, and so does the schedule's `data` section";
        let help = "leave one of them out; growth that needs answers has them from the data alone";
        return Err(Stop::Refused(Refusal::error("G0829", message, help)));
    }
    let (dataset, measured_on) = dataset(context, &program, has_data, given, &schedule_folder, &named)?;
    let state_of = state_file.as_ref().unwrap_or(&file);
    let carry = |parameter: &mut Parameter<f32>| carry(parameter, state.as_ref(), state_of, &matches);
    let mut options = training::options(context, &apply.resources)?;
    options.autosave = Autosave::Never;
    let grown = grow(world, &program, &dataset, &options, &carry)?;
    let mut done = told::Done {
        name,
        form: source.told(),
        guessed,
        skipped,
        measured_on,
        notes: notes.into_iter().chain(grown.notes).collect(),
        finish: grown.finish,
        state: state_why,
        files: Vec::new(),
        new: Vec::new(),
        next: String::new(),
        found: serde_json::json!(super::machine::findings(&found, &sources)),
    };
    if let Status::Failed(assertion) = &done.finish.status {
        let failed =
            Diagnostic::error(assertion.code, assertion.span, assertion.message.clone()).help(assertion.help.clone());
        note(&render::human(&[failed], &sources, context.terminal.stderr));
        return Ok((done, exit::FAILED));
    }
    if !matches!(done.finish.status, Status::Finished | Status::Stopped) {
        let message = match done.finish.status {
            Status::Diverged { .. } => "the network gives numbers that are not finite",
            _ => "it was interrupted; nothing is written",
        };
        return Err(Stop::Refused(Refusal::error(
            "G0806",
            message,
            "check the weights, and the examples of `--probe`",
        )));
    }
    let places = home::places(&file, &matches, &grown.parameters, &done.finish.architecture)?;
    done.new = places.iter().filter(|place| place.is_new).map(|place| place.name.clone()).collect();
    let mut exported = exported(&program, &source, grown.parameters, done.finish.clone(), state.is_some())?;
    if is_run {
        let scaling = record::load::scaling(world, &apply.weights, exported.inputs())?;
        exported.scaling = Some(scaling).filter(Scaling::changes);
        if let (Form::File(..), Some(_)) = (&form, &exported.scaling) {
            done.notes
                .push("the run scales its inputs, and so must whoever uses these: `growrun export` has by what".into());
        }
    }
    let files = match form {
        Form::Folder(target) => {
            done.next = target.next(&folder.join("model.py").display().to_string());
            done.new.clear();
            export::files(target, &exported, &stem)?
        }
        Form::File(extension, write) => {
            let weights = home::weights(&file, &matches, &places, &exported.parameters);
            let state = exported.own_state();
            let state = home::state(&places, &state);
            done.next =
                next(extension, &folder.join(format!("{stem}.{extension}")).display().to_string(), &file, &places);
            done.notes.extend(rescaled(&program.architecture, &exported.architecture));
            let one = |part: &str, tensors: &[Named], what: &str| -> Result<export::File, Refusal> {
                Ok(export::File {
                    name: format!("{stem}{part}.{extension}"),
                    content: write(tensors, &exported.metadata())?,
                    what: what.into(),
                })
            };
            let mut files = vec![one("", &weights, "the grown weights, under the names of the file")?];
            if !state.is_empty() {
                files.push(one(".optimizer", &state, "what the optimiser kept of them")?);
            }
            files
        }
    };
    export::write(world, &folder, &files)?;
    done.files =
        files.iter().map(|file| (folder.join(&file.name), file.content.len() as u64, file.what.clone())).collect();
    Ok((done, exit::OK))
}

/// The file of the optimiser's state, where it is not that of the weights.
fn state_file(world: &dyn World, apply: &Apply, is_run: bool) -> Result<Option<File>, Stop> {
    let (content_max, values_max) = weights::limits(world.memory_to_spare());
    let (name, content) = match &apply.optimizer {
        Some(path) if path == Path::new(NONE) => return Ok(None),
        Some(path) => (path.display().to_string(), world.read(path, content_max)?),
        // What a run's optimiser kept at its end lies beside its weights, where that checkpoint is still there.
        None if is_run => match world.read_beneath(&apply.weights, Path::new(STATE_OF_A_RUN), content_max) {
            Ok(content) => (STATE_OF_A_RUN.into(), content),
            Err(_) => return Ok(None),
        },
        None => return Ok(None),
    };
    Ok(Some(weights::read(&name, &content, values_max)?))
}

type Write = fn(&[Named], &[(String, String)]) -> Result<Vec<u8>, Refusal>;

/// In which form the grown network goes out.
enum Form {
    /// Under the file's own names.
    File(&'static str, Write),
    Folder(&'static dyn export::Target),
}

/// The folder that takes the files, what they are named after, and their form.
fn place(world: &dyn World, out: &Path) -> Result<(PathBuf, String, Form), Refusal> {
    let forms: [(&'static str, Write); 3] = [
        ("safetensors", |tensors, metadata| export::safetensors::checked(tensors, metadata)),
        ("npz", |tensors, _| export::npz::checked(tensors)),
        ("params", |tensors, _| Ok(export::mxnet::write(tensors))),
    ];
    let extension = out.extension().and_then(|extension| extension.to_str());
    if let Some((extension, write)) = forms.into_iter().find(|(known, _)| Some(*known) == extension)
        && let Some(stem) = out.file_stem().and_then(|stem| stem.to_str())
    {
        let folder = out.parent().unwrap_or(Path::new("")).to_path_buf();
        return Ok((folder, stem.into(), Form::File(extension, write)));
    }
    let is_folder = matches!(world.entry(out), Ok(Some(Entry::Folder)));
    if let Some(other) = extension.filter(|_| !is_folder) {
        let help = match other {
            "pt" | "pth" => {
                "PyTorch reads safetensors: write `--out grown.safetensors` and `load_file(\"grown.safetensors\")`"
            }
            _ => "use `.safetensors`, `.npz` or `.params`, or a folder for PyTorch's model.py",
        };
        return Err(Refusal::error("G0911", format!("growrun writes no `.{other}` files"), help));
    }
    let target = export::find("pytorch").expect("a target of the registry");
    Ok((out.to_path_buf(), "model".into(), Form::Folder(target)))
}

/// The schedule, what the parser says of it, and what was guessed where it has no `model` section: the block.
fn schedule(
    context: &Context,
    apply: &Apply,
    opened: &super::inspect::Opened,
) -> Result<(Schedule, Vec<Diagnostic>, Option<String>), Stop> {
    let (mut schedule, mut found) = syntax::load(context.world, &apply.file)?;
    if let Some(base) = &apply.overrides.base
        && check::is_fragment(&schedule)
    {
        let (base, more) = super::session::load_base(context.world, &schedule, base)?;
        found.extend(more);
        check::complete(&mut schedule, Some(base));
    }
    match (&apply.overrides.arm, schedule.arms.first().map(|arm| arm.name.node.clone())) {
        (None, None) => {}
        (Some(wanted), _) => match syntax::arm(&schedule, wanted) {
            Some(arm) => schedule = arm,
            None => {
                let help = "leave `--arm` out, or name an arm of the schedule";
                found.push(without_place("G0224", format!("there is no arm `{wanted}`"), help));
            }
        },
        (None, Some(first)) => {
            let help = format!("choose one: `--arm {first}`");
            found.push(without_place("G0224", "this schedule has arms, and one of them is to be applied", help));
        }
    }
    schedule.sweeps.clear();
    if schedule.model.is_some() {
        return Ok((schedule, found, None));
    }
    let (name, proposal) = (&opened.name, &opened.proposal);
    if !proposal.fits() {
        let why = proposal.problems.first().cloned().unwrap_or_else(|| "it holds no layers".into());
        let message = format!("`{}` does not say what network it is of: {why}", crate::base::text::short(name));
        let help = "write the `model` block; `growrun inspect` shows what the file holds";
        return Err(Stop::Refused(Refusal::error("G0827", message, help)));
    }
    let text = proposal.text(name);
    found.extend(check::add_model(&mut schedule, PROPOSED, &text));
    let guessed = (!proposal.activations_known).then_some(text);
    Ok((schedule, found, guessed))
}

/// What the optimiser has kept, and in words what comes of it.
fn state(file: Option<&File>, weights: &File, asked: bool) -> Result<(Option<moments::State>, String), Refusal> {
    match moments::find(file.unwrap_or(weights), weights) {
        Ok(Some(state)) => {
            let kind = if state.is_adam { "Adam's moments" } else { "SGD's momentum" };
            let steps = state.of.values().map(|moments| moments.steps).max().unwrap_or(0);
            let count = state.of.len();
            let text = match state.is_adam {
                true => {
                    let more = beside(&state.settings);
                    format!("{kind} of {count} tensors are carried, after {steps} steps{more}")
                }
                false => format!("{kind} of {count} tensors is carried"),
            };
            Ok((Some(state), text))
        }
        Ok(None) if asked => {
            let help = "name a file with `….exp_avg` and `….exp_avg_sq`, or with what `optimizer.state_dict()` gives";
            Err(Refusal::error("G0828", "the file of `--optimizer` holds no optimiser's state", help))
        }
        Ok(None) => Ok((None, "the file holds no optimiser's state: moments begin at 0".into())),
        Err(why) => Err(Refusal::error(
            "G0828",
            format!("the optimiser's state does not fit the weights: {why}"),
            "`--optimizer none` leaves it aside: moments then begin at 0",
        )),
    }
}

/// What of the optimiser's settings nothing here takes over.
fn beside(settings: &moments::Settings) -> String {
    let mut left = Vec::new();
    left.extend(settings.weight_decay.filter(|decay| *decay > 0.0).map(|decay| format!("weight_decay {decay}")));
    left.extend(settings.eps.filter(|eps| *eps != 1e-8).map(|eps| format!("eps {eps:e}")));
    if settings.differ {
        left.push("the settings of other groups".into());
    }
    if left.is_empty() { String::new() } else { format!("; {} of its optimiser is yours to set", left.join(", ")) }
}

/// Gives a parameter what the file has of its optimiser.
fn carry(parameter: &mut Parameter<f32>, state: Option<&moments::State>, file: &File, matches: &[fit::Match]) {
    let Some(found) = matches.iter().find(|one| one.parameter == parameter.name) else { return };
    let Some(kept) = state.and_then(|state| state.of.get(&found.tensor)) else { return };
    let array = |place: usize| {
        let tensor = &file.tensors[place];
        let Values::Numbers(values) = &tensor.values else { unreachable!("`moments::find` has looked at it") };
        let values = found.layout.from_file(values, parameter.value.shape());
        ArrayD::from_shape_vec(IxDyn(parameter.value.shape()), values).expect("a moment has its weight's shape")
    };
    let slots = [(SlotKind::FirstMoment, kept.first), (SlotKind::SecondMoment, kept.second)];
    parameter.slots = slots.into_iter().filter_map(|(kind, place)| Some(Slot { kind, value: array(place?) })).collect();
    parameter.updates = kept.steps;
    if kept.births.len() == parameter.value.ndim() {
        parameter.births = found.layout.own(&kept.births);
    }
}

/// What promises are judged on, and how that is called.
fn dataset(
    context: &Context,
    program: &Program,
    has_data: bool,
    given: Option<probe::Given>,
    folder: &Path,
    named: &BTreeMap<String, PathBuf>,
) -> Result<(Dataset, String), Stop> {
    match given {
        Some(given) => Ok(given.dataset(program)?),
        None if has_data => {
            let folder = if program.data_folder.as_os_str().is_empty() { folder } else { &program.data_folder };
            let place = Place { world: context.world, folder, named, seed: program.seed };
            let dataset = run::load_data(program, &place)?;
            let told = format!("the first examples of {}", dataset.name);
            Ok((dataset, told))
        }
        None => Ok(probe::random(program)),
    }
}

struct Grown {
    finish: Finish,
    parameters: Vec<Parameter<f32>>,
    notes: Vec<String>,
}

fn grow(
    world: &dyn World,
    program: &Program,
    dataset: &Dataset,
    options: &Options,
    carry: &dyn Fn(&mut Parameter<f32>),
) -> Result<Grown, Stop> {
    let mut parameters = Vec::new();
    let mut notes = Vec::new();
    // Its sources are told with the rest.
    let own: Vec<String> = program.given.sources.iter().map(|source| source.told()).collect();
    let mut consumer = |event: &Event| {
        match event {
            Event::Noted { text, .. } if !own.contains(text) => notes.push(text.clone()),
            Event::Finished(_, grown) => parameters = grown.to_vec(),
            _ => {}
        }
        Ok(())
    };
    let finish = run::apply(program, dataset, options, world, carry, &mut consumer)?;
    Ok(Grown { finish, parameters, notes })
}

/// The grown network as the writers take it.
fn exported(
    program: &Program,
    source: &Source,
    parameters: Vec<Parameter<f32>>,
    finish: Finish,
    has_state: bool,
) -> Result<Exported, Refusal> {
    let optimizer = Optimizer::from_args(program.train.optimizer.word, &program.train.optimizer.args)?;
    let trained = Trained { rule: optimizer.rule, lr: optimizer.lr, last_lr: None, clip: optimizer.clip };
    let architecture = finish.architecture;
    Ok(Exported {
        name: program.name.clone(),
        origin: "growrun apply".into(),
        digest: format!("sha256:{}", source.sha256),
        untrained: true,
        step: 0,
        data: "as the given weights were trained on".into(),
        architecture,
        parameters,
        scaling: None,
        class_names: Vec::new(),
        optimizer: has_state.then_some(trained),
    })
}

/// Norms whose epsilon growth has changed: it belongs to the network, and a file of weights cannot hold it.
fn rescaled(before: &Architecture, after: &Architecture) -> Vec<String> {
    let all = after.all_layers();
    let changed = all.filter_map(|layer| {
        let old = before.layer(&layer.name)?.settings.norm_epsilon;
        let new = layer.settings.norm_epsilon;
        let text = format!(
            "the epsilon of `{}`'s norm is {new:e} now, not {old:e}: set it where the weights go, no file holds it",
            layer.name
        );
        (layer.settings.norm.is_some() && old != new).then_some(text)
    });
    changed.collect()
}

/// What to do with the file, and the page of its home, where the names say which that is.
fn next(extension: &str, path: &str, file: &File, places: &[home::Place]) -> String {
    let is_turned = places.iter().any(|place| place.layout.turned);
    let begin = |start: &str| places.iter().any(|place| place.name.starts_with(start));
    let load = match extension {
        "safetensors" if is_turned => format!("safetensors.numpy.load_file(\"{path}\")"),
        "safetensors" => format!("model.load_state_dict(safetensors.torch.load_file(\"{path}\"))"),
        "npz" => format!("numpy.load(\"{path}\")"),
        // Gluon's `load_parameters` knows names of attributes only.
        _ if begin("arg:") => format!("mx.nd.load(\"{path}\")"),
        _ => format!("net.load_parameters(\"{path}\")"),
    };
    let home = match file.format {
        Format::MxNet => "mxnet",
        Format::PyTorch => "pytorch",
        Format::Safetensors if !is_turned => "pytorch",
        _ if begin("params/") => "jax",
        _ => return load,
    };
    format!("{load} · growrun explain {home}")
}
