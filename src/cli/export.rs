//! `growrun export RUN --to TARGET`: the network of a run for another tool.

use super::arguments::Export;
use super::stop::Stop;
use super::terminal::{say, say_json};
use super::{Context, confine, exit, numbers};
use crate::base::Refusal;
use crate::base::text::{harmless, one_line};
use crate::export::{self, Target};
use crate::record::slug;
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn run(context: &Context, export: &Export) -> i32 {
    match made(context, export) {
        Ok(text) => {
            if export.json {
                say_json(&text)
            } else {
                say(&text)
            }
            exit::OK
        }
        Err(stop) => stop.tell(context, export.json),
    }
}

/// Writes the files; what is to be said of them.
fn made(context: &Context, export: &Export) -> Result<String, Stop> {
    let world = context.world;
    let target = export::find(&export.to).expect("the command line takes no other word");
    let (folder, stem) = place(target, export)?;
    // Before a byte of the record is read: it may be a stranger's, with a link in the place of the folder.
    if let Ok(own) = folder.strip_prefix(&export.run)
        && export.out.is_none()
    {
        world.entry_beneath(&export.run, own)?;
    }
    confine::to_report(context, &export.run, &folder);
    let compute = super::training::compute(context, 1, None)?;
    let source = export::of_run(world, &export.run, export.checkpoint.as_deref(), compute)?;
    let exported = &source.exported;
    let files = export::files(target, exported, &stem)?;
    export::write(world, &folder, &files)?;
    let parameters = exported.architecture.parameter_count().1;
    let without_update = exported.without_update();
    let shown = |name: &str| folder.join(name).display().to_string();
    if export.json {
        let files: Vec<_> = files
            .iter()
            .map(|file| json!({ "path": shown(&file.name), "bytes": file.content.len(), "what": file.what }))
            .collect();
        let object = json!({
            "run": export.run.display().to_string(),
            "to": export.to,
            "out": files,
            "step": exported.step,
            "parameters": parameters,
            "optimizer_state": exported.has_state(),
            "without_state": source.without_state,
            "entries_without_update": without_update,
            "checked": target.checked(),
            "diagnostics": [],
        });
        return Ok(format!("{object}\n"));
    }
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| vec![shown(&file.name), numbers::bytes(file.content.len() as u64), file.what.clone()])
        .collect();
    let mut text = String::new();
    super::outcome::aligned(&rows).iter().for_each(|line| text.push_str(&format!("  {}\n", harmless(line))));
    let count = numbers::count(parameters);
    let checked = target.checked().map(|how| format!("; {how}")).unwrap_or_default();
    text.push_str(&format!("  {count} parameters of {}{checked}\n", one_line(&exported.origin)));
    if let Some(why) = &source.without_state {
        text.push_str(&format!("  without the optimiser's state: {}\n", one_line(why)));
    }
    if without_update > 0 {
        text.push_str(&format!(
            "  {} of them have had no update yet; their first one in PyTorch will not be ours: docs/export.md\n",
            numbers::count(without_update)
        ));
    }
    let main = files.first().map(|file| shown(&file.name)).unwrap_or_default();
    text.push_str(&format!("  next    {}\n", one_line(&target.next(&main))));
    Ok(text)
}

/// The folder that takes the files, and what they are named after. `--out` is a folder, or the main file itself.
fn place(target: &dyn Target, export: &Export) -> Result<(PathBuf, String), Refusal> {
    const STEM: &str = "model";
    let Some(out) = &export.out else {
        let mut folder = export.run.join("export");
        // Several checkpoints of a run can be compared, and its end.
        if let Some(checkpoint) = &export.checkpoint {
            folder.push(slug(checkpoint));
        }
        return Ok((folder.join(&export.to), STEM.into()));
    };
    let Some(extension) = target.extension() else { return Ok((out.clone(), STEM.into())) };
    let (stem, given) = (out.file_stem(), out.extension());
    match (stem.and_then(|stem| stem.to_str()), given.and_then(|given| given.to_str())) {
        (Some(stem), Some(given)) if given == extension => {
            Ok((out.parent().unwrap_or(Path::new("")).to_path_buf(), stem.into()))
        }
        (_, Some(other)) if export::TARGETS.iter().any(|target| target.extension() == Some(other)) => {
            Err(Refusal::error(
                "G0911",
                format!("`{}` is named as another format than {}", out.display(), export.to),
                format!("end it in `.{extension}`, or name a folder"),
            ))
        }
        _ => Ok((out.clone(), STEM.into())),
    }
}
