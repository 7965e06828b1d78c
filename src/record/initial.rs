//! What a record says before the first step: where the run comes from, and every default.

use super::describe;
use super::schema::{self, Record};
use crate::base::digest;
use crate::base::world::World;
use crate::check::Program;
use crate::data::Dataset;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a run comes from, for the record.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub command: Vec<String>,
    /// The schedule's folder.
    pub folder: PathBuf,
    /// `--data NAME=PATH`
    pub named: BTreeMap<String, PathBuf>,
    /// What keeps the process from anything but this run.
    pub sandbox: String,
}

pub(super) fn record(program: &Program, dataset: &Dataset, origin: &Origin) -> Record {
    let schedule: Vec<schema::File> = program
        .sources
        .0
        .iter()
        .enumerate()
        .map(|(number, source)| schema::File {
            name: describe::source_name(number, program),
            text: source.text.clone(),
        })
        .collect();
    let header = &dataset.header;
    Record {
        record: schema::SCHEMA,
        growrun: schema::Version {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("GROWRUN_COMMIT").into(),
            numerics: schema::NUMERICS,
            streams: schema::STREAMS.into(),
        },
        name: program.name.clone(),
        status: "running".into(),
        reason: None,
        seed: program.seed,
        command: origin.command.clone(),
        parent: None,
        arm: None,
        schedule_digest: schedule_digest(&schedule),
        schedule,
        base: describe::base(program),
        data: schema::Data {
            source: program.data.source.word.into(),
            arguments: describe::arguments(&program.data.source.args),
            digest: dataset.digest.clone(),
            bytes: dataset.bytes,
            files: dataset
                .files
                .iter()
                .map(|file| schema::DataFile {
                    name: file.name.clone(),
                    sha256: file.sha256.clone(),
                    bytes: file.bytes,
                })
                .collect(),
            train_examples: dataset.train.len(),
            val_examples: dataset.val.len(),
            test_examples: dataset.test.as_ref().map_or(0, |part| part.len()),
            inputs: header.inputs,
            outputs: header.outputs,
            task: describe::task(header.task).into(),
            class_names: header.class_names.clone(),
            area: header.area,
            target: program.data.source.args.given.get("target").map(|given| given.values[0].to_string()),
        },
        weights: weights(program),
        resolved: describe::resolved(program),
        host: schema::Host::default(),
        resumed: Vec::new(),
        metrics_damaged: false,
        events: Vec::new(),
        events_left_out: 0,
        rollbacks: Vec::new(),
        checkpoints: Vec::new(),
        result: None,
    }
}

/// The weights files that a program uses, by their own names.
pub fn weights(program: &Program) -> Vec<schema::DataFile> {
    let one = |source: &std::sync::Arc<crate::weights::Source>| schema::DataFile {
        name: source.name.rsplit(['/', '\\']).next().unwrap_or(&source.name).into(),
        sha256: source.sha256.clone(),
        bytes: source.bytes,
    };
    program.given.sources.iter().map(one).collect()
}

/// The machine that a session runs on.
pub(super) fn host(world: &dyn World, origin: &Origin) -> schema::Host {
    let host = world.host();
    let shown = |path: &Path| world.canonical(path).unwrap_or_else(|_| path.into()).display().to_string();
    schema::Host {
        cpu: host.cpu,
        os: host.os,
        threads: 0,
        simd: String::new(),
        sandbox: origin.sandbox.clone(),
        started: world.epoch_seconds(),
        folder: Some(shown(&origin.folder)),
        data: origin
            .named
            .iter()
            .map(|(name, path)| schema::Setting { name: name.clone(), value: shown(path) })
            .collect(),
    }
}

/// The digest of a schedule's files in their order.
pub(super) fn schedule_digest(schedule: &[schema::File]) -> String {
    let digests: String = schedule.iter().map(|file| digest::bytes(file.text.as_bytes())).collect();
    digest::bytes(digests.as_bytes())
}
