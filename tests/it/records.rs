//! What a run leaves behind, handed on: looked through, compared, packed, trained again.

mod diff;
mod images;
mod pack;
mod replay;
mod runs;
mod verify;

use crate::cli::{Ran, folder, growrun, table};
use growrun::base::world::Real;
use growrun::record::schema::Record;
use growrun::record::{load, yaml};
use std::path::{Path, PathBuf};

/// Two files and a table: growth twice, checkpoints of every kind that a schedule asks for.
const SCHEDULE: &str = "\
experiment \"sides\"
seed 7
let width = 12
data csv \"sides.csv\" { target label; batch 20; normalize zscore; split train 75% val 25% }
include \"parts/model.grow\"
train 6 epochs { optimizer adam lr 1e-2; metrics accuracy; checkpoint every 2 epochs keep 2 }
at epoch 2 widen h2 to $width eps 1e-3
at epoch 4 { insert identity after h2; save \"grown\" }
";

const MODEL: &str = "model { h1 dense 8 relu; h2 dense 8 relu; out dense 2 }\n";

/// A folder with the schedule, its data, and perhaps a run of it.
struct Lab {
    folder: tempfile::TempDir,
}

const RUN: &str = "runs/sides/0001";

impl Lab {
    fn new() -> Lab {
        let folder = folder(&[("sides.grow", SCHEDULE.as_bytes()), ("sides.csv", table(80).as_bytes())]);
        std::fs::create_dir(folder.path().join("parts")).expect("a folder");
        std::fs::write(folder.path().join("parts/model.grow"), MODEL).expect("a file");
        Lab { folder }
    }

    /// With one run of it.
    fn trained() -> Lab {
        let lab = Lab::new();
        lab.train(&["--threads", "1"]);
        lab
    }

    fn train(&self, flags: &[&str]) {
        let arguments: Vec<&str> = ["sides.grow", "--quiet"].into_iter().chain(flags.iter().copied()).collect();
        let ran = self.growrun(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    fn growrun(&self, arguments: &[&str]) -> Ran {
        growrun(self.folder.path(), arguments)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self) -> Record {
        load::record(&Real::default(), &self.path(RUN)).expect("a record")
    }

    /// Changes the record as somebody would who knows how to seal it.
    fn forge(&self, change: impl FnOnce(&mut Record)) {
        let mut record = self.record();
        change(&mut record);
        write_record(&self.path(RUN).join("run.yaml"), &record);
    }
}

fn write_record(path: &Path, record: &Record) {
    std::fs::write(path, yaml::seal(&yaml::write(record)).0).expect("written");
}

/// Flips one bit of a file.
fn flip(path: &Path, byte: usize, bit: u8) {
    let mut content = std::fs::read(path).expect("a file");
    content[byte] ^= 1 << bit;
    std::fs::write(path, content).expect("written");
}

/// Digits of digests and times, which are others for every build or day, as one sign each.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end();
        let rest = &word[bare.len()..];
        let digest = ["blake3:", "sha256:"].iter().find(|name| bare.starts_with(*name));
        match digest {
            Some(name) if bare.len() > name.len() + 8 => out.push_str(&format!("{name}…{rest}")),
            _ => out.push_str(word),
        }
    }
    out
}
