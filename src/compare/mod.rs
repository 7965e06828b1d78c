//! Is growing worth it: the arms of a schedule with paired seeds, and a verdict.
//!
//! A comparison is a folder of runs, each of them an ordinary run directory, beside `comparison.yaml`:
//!
//! ```text
//! a checked schedule ── plan ────→ arms, budgets, seeds, metric, and the folder's name
//!                    ── conduct ─→ the runs, on all cores; what is there already is not done again
//!                    ── collect ─→ every record read back, paired over the seeds: the verdict
//! ```
//!
//! The verdict looks at the arms' ends alone, never at a point in the middle of a schedule.

pub mod arms;
mod budget;
pub mod conduct;
pub mod desk;
pub mod outcome;
pub mod plan;
pub mod schema;
pub mod statistics;
pub mod verdict;

use crate::base::world::{Error, Lock};
use crate::base::{Refusal, World};
use crate::record::yaml;
use schema::{Comparison, SCHEMA};
use std::path::Path;

/// Its file in the comparison's folder.
pub const FILE: &str = crate::record::load::COMPARISON;
/// Its point keeps it apart from the folders of arms.
const LOCK: &str = "comparison.lock";

/// The same before the first run, where nobody has begun it yet.
pub fn begin(world: &dyn World, folder: &Path, comparison: &Comparison) -> Result<(), Error> {
    world.create_folder(folder)?;
    let _lock = alone(world, folder)?;
    match read(world, folder) {
        Ok(known) if known.schedule == comparison.schedule => Ok(()),
        _ => write_alone(world, folder, comparison),
    }
}

/// Writes what is compared, and what came out once it has.
pub fn write(world: &dyn World, folder: &Path, comparison: &Comparison) -> Result<(), Error> {
    world.create_folder(folder)?;
    let _lock = alone(world, folder)?;
    write_alone(world, folder, comparison)
}

/// Several jobs of one comparison may begin at the same moment; each holds this for a few milliseconds.
fn alone(world: &dyn World, folder: &Path) -> Result<Box<dyn Lock>, Error> {
    const TRIES: usize = 500;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 1..TRIES {
        match world.lock(&folder.join(LOCK)) {
            Err(error) if error.code == "G0805" => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    world.lock(&folder.join(LOCK))
}

fn write_alone(world: &dyn World, folder: &Path, comparison: &Comparison) -> Result<(), Error> {
    let (text, _) = yaml::seal(&yaml::write(comparison));
    let path = folder.join(FILE);
    if text.len() as u64 > yaml::BYTES_MAX {
        return Err(Error::too_large(&path, yaml::BYTES_MAX));
    }
    world.write(&path, text.as_bytes())
}

/// Reads it back. It may be a stranger's.
pub fn read(world: &dyn World, folder: &Path) -> Result<Comparison, Refusal> {
    read_file(world, folder, Path::new(FILE))
}

/// The same of a file with another name in the folder.
pub fn read_file(world: &dyn World, folder: &Path, name: &Path) -> Result<Comparison, Refusal> {
    let path = folder.join(name);
    let broken = |what: String| {
        Refusal::error(
            "G0803",
            format!("`{}` is not a comparison that this version reads: {what}", path.display()),
            "name the folder of a comparison, such as runs/first-growth/compare-1f2e3d4c",
        )
    };
    let content = world
        .read_beneath(folder, name, yaml::BYTES_MAX)
        .map_err(|error| Refusal::error(error.code, error.to_string(), error.help.clone()))?;
    let text = String::from_utf8(content).map_err(|_| broken("it is not UTF-8".into()))?;
    if yaml::sealed(&text).is_none() {
        return Err(Refusal::error(
            "G0809",
            format!("`{}` is not as it was written: its digest differs", path.display()),
            "`growrun compare` with the same words writes it again from its runs",
        ));
    }
    let comparison: Comparison = yaml::read(&text).map_err(broken)?;
    match comparison.comparison {
        SCHEMA => Ok(comparison),
        other => Err(broken(format!("it has version {other}, this is {SCHEMA}"))),
    }
}
