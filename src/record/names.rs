//! What the files and folders of a run are called.

use crate::base::world::{Error, Result, World};
use crate::run::{Checkpoint, Reason};
use std::path::{Path, PathBuf};

pub(super) const RECORD: &str = "run.yaml";
pub(super) const LOCK: &str = "lock";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const FINAL: &str = crate::weights::OF_A_RUN;
/// Event files, a view of the run and no part of its record.
pub(super) const TENSORBOARD: &str = "tensorboard";
pub(super) const SCALING: &str = "scaling.safetensors";
/// What the names of checkpoints begin with that come and go.
pub(super) const RULE: &str = "step-";
pub(super) const AUTO: &str = "auto-";

/// The folder of a checkpoint.
pub(super) fn name(saved: &Checkpoint) -> String {
    let step = saved.progress.step;
    match saved.reason {
        Reason::Start => "start".into(),
        Reason::Rule => format!("{RULE}{step:06}"),
        Reason::BeforeGrowth(number) => format!("growth-{number:04}-before"),
        Reason::AfterGrowth(number) => format!("growth-{number:04}-after"),
        Reason::Best => "best".into(),
        Reason::Auto => format!("{AUTO}{step:06}"),
        Reason::Interrupted => "interrupted".into(),
        Reason::Failed => "failed".into(),
        Reason::End => "end".into(),
        Reason::Named(name) => {
            let name = slug(name);
            let is_ours = name == "best" || name.starts_with("broken-") || !is_asked_for(&name);
            // What is on its way in or out is told by these ends, and cleared away.
            let name = match [".tmp", ".old", ".gone"].iter().any(|end| name.ends_with(end)) {
                true => name.replace('.', "-"),
                false => name,
            };
            if is_ours { format!("saved-{name}") } else { name }
        }
    }
}

/// Whether a checkpoint's name is one of `save` or `keep best`, and none that a run gives by itself.
pub(super) fn is_asked_for(name: &str) -> bool {
    !["start", "interrupted", "failed", "end"].contains(&name)
        && ![RULE, AUTO, "growth-"].iter().any(|prefix| name.starts_with(prefix))
}

/// `RUNS/NAME/0001` or the next number that nobody has taken.
pub(super) fn new_folder(world: &dyn World, parent: &Path) -> Result<PathBuf> {
    world.create_folder(parent)?;
    let taken = world.list(parent)?.iter().filter_map(|name| name.parse::<u32>().ok()).max().unwrap_or(0);
    // Somebody may take a number between the look and the making.
    for number in taken + 1..=taken + 1000 {
        let folder = parent.join(format!("{number:04}"));
        if world.create_folder(&folder)? {
            return Ok(folder);
        }
    }
    Err(Error::new("create the folder", parent, "a thousand numbers in a row were taken by others"))
}

/// A name as part of a path: lowercase letters, digits, `-`, `_`, `.`; never empty, never hidden.
pub fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' | '_' => out.push(c),
            '.' if !out.is_empty() => out.push(c),
            _ if !out.ends_with('-') && !out.is_empty() => out.push('-'),
            _ => {}
        }
    }
    let trimmed: String = out.trim_end_matches(['-', '.']).chars().take(80).collect();
    if trimmed.is_empty() { "run".into() } else { trimmed }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_name_becomes_one_harmless_part_of_a_path() {
        assert_eq!(slug("first growth"), "first-growth");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("ÄÖ \u{7}"), "run");
        assert_eq!(slug("..."), "run");
        assert_eq!(slug("v1.2"), "v1.2");
        assert_eq!(slug(&"x".repeat(500)).len(), 80);
    }
}
