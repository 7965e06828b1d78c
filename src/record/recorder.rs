//! Writes a run directory from the stream of events.

use super::schema::{self, Record};
use super::{describe, weights, yaml};
use crate::base::world::{Appender, Error, Result, World};
use crate::base::{Refusal, digest};
use crate::check::Program;
use crate::data::{Dataset, Scaling};
use crate::nn::architecture::Task;
use crate::run::{Checkpoint, Evaluated, Event, Finish, Growth, Started, Status};
use std::path::{Path, PathBuf};

/// One run directory while it is being written.
pub struct Recorder<'w> {
    world: &'w dyn World,
    folder: PathBuf,
    record: Record,
    metrics: Option<Box<dyn Appender>>,
    scaling: Scaling,
    /// Names of the step checkpoints that are kept, oldest first.
    kept: Vec<String>,
}

impl<'w> Recorder<'w> {
    /// Makes `RUNS/NAME/NNNN` with the next free number. Nothing is written into it before the run has started.
    pub fn create(
        world: &'w dyn World,
        runs: &Path,
        program: &Program,
        dataset: &Dataset,
        command: Vec<String>,
    ) -> Result<Recorder<'w>> {
        let folder = new_folder(world, &runs.join(slug(&program.name)))?;
        Ok(Recorder {
            world,
            folder,
            record: initial(program, dataset, command),
            metrics: None,
            scaling: dataset.scaling.clone(),
            kept: Vec::new(),
        })
    }

    /// The run directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Takes one event. An error means that it could not be written; what was written before is intact.
    pub fn consume(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started(started) => self.started(started),
            Event::Evaluated(evaluated) => self.evaluated(evaluated),
            Event::Logged(stepped) => {
                let mut line = serde_json::Map::new();
                line.insert("step".into(), stepped.step.into());
                line.insert("epoch".into(), number(stepped.epoch));
                line.insert("lr".into(), number(stepped.lr));
                line.insert("batch_loss".into(), number(stepped.loss));
                self.append(line)
            }
            Event::Grown(growth) => {
                self.record.events.push(event_record(growth));
                self.save_record()
            }
            Event::Settled { index, growth } => {
                self.record.events[*index] = event_record(growth);
                Ok(())
            }
            Event::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            Event::Finished(finish, parameters) => {
                // Weights that diverged are no result.
                if finish.weights.is_some() && !matches!(finish.status, Status::Diverged { .. }) {
                    let note = format!("{} · {}", self.record.schedule_digest, self.record.name);
                    self.world.write(&self.folder.join("final.safetensors"), &weights::values(parameters, &note))?;
                }
                self.finished(finish)
            }
            Event::Stepped(_) | Event::Noted { .. } => Ok(()),
        }
    }

    fn save_record(&self) -> Result<()> {
        self.world.write(&self.folder.join("run.yaml"), yaml::write(&self.record).as_bytes())
    }

    fn started(&mut self, started: &Started) -> Result<()> {
        let host = self.world.host();
        self.record.host = schema::Host {
            cpu: host.cpu,
            os: host.os,
            threads: started.threads,
            simd: started.simd.into(),
            started: self.world.epoch_seconds(),
        };
        self.save_record()?;
        let scaling = weights::scaling(&self.scaling.mean, &self.scaling.inverse, &self.record.data.digest);
        self.world.write(&self.folder.join("scaling.safetensors"), &scaling)?;
        self.metrics = Some(self.world.appender(&self.folder.join("metrics.jsonl"))?);
        Ok(())
    }

    fn evaluated(&mut self, evaluated: &Evaluated) -> Result<()> {
        let mut line = serde_json::Map::new();
        line.insert("step".into(), evaluated.step.into());
        line.insert("epoch".into(), number(evaluated.epoch));
        line.insert("lr".into(), number(evaluated.lr));
        for (name, value) in evaluated.metrics {
            line.insert(name.clone(), number(*value));
        }
        if let Some(confusion) = evaluated.confusion {
            line.insert("confusion".into(), serde_json::Value::from(confusion.to_vec()));
        }
        line.insert("parameters".into(), evaluated.parameters.into());
        line.insert("flops".into(), evaluated.flops.into());
        line.insert("seconds".into(), number(evaluated.seconds));
        self.append(line)
    }

    /// One line of metrics.jsonl.
    fn append(&mut self, line: serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let mut text = serde_json::Value::Object(line).to_string();
        text.push('\n');
        match &mut self.metrics {
            Some(metrics) => metrics.append(text.as_bytes()),
            None => Ok(()),
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let name = slug(checkpoint.name);
        let note = format!("{} · step {}", self.record.schedule_digest, checkpoint.step);
        let values = weights::values(checkpoint.parameters, &note);
        let meta = schema::Checkpoint {
            name: name.clone(),
            step: checkpoint.step,
            digest: digest::bytes(&values),
            parent: self.record.checkpoints.last().map(|last| last.digest.clone()),
        };
        let files = [
            ("meta.yaml", yaml::write(&meta).into_bytes()),
            ("state.safetensors", weights::state(checkpoint.parameters, &note)),
            ("weights.safetensors", values),
        ];
        let folder = self.folder.join("checkpoints");
        self.world.create_folder(&folder)?;
        self.world.write_folder(&folder.join(&name), &files)?;
        self.record.checkpoints.retain(|known| known.name != name);
        self.record.checkpoints.push(meta);
        // Save first, then delete: a name that only counts steps makes room for the newest ones.
        if name.starts_with("step-") {
            self.kept.push(name);
            while self.kept.len() > self.record.resolved.checkpoints_kept.max(1) {
                let oldest = self.kept.remove(0);
                self.world.remove_folder(&folder.join(&oldest))?;
                self.record.checkpoints.retain(|known| known.name != oldest);
            }
        }
        self.save_record()
    }

    fn finished(&mut self, finish: &Finish) -> Result<()> {
        self.record.status = finish.status.word().into();
        self.record.reason = match &finish.status {
            Status::Failed(why) => Some(format!("{}: {}", why.code, why.message)),
            Status::Diverged { step } => {
                Some(format!("the loss, a gradient or a weight was not finite at step {step}"))
            }
            Status::Interrupted { signal } => Some(format!("signal {signal}")),
            Status::Finished | Status::Stopped => None,
        };
        self.record.events = finish.events.iter().map(event_record).collect();
        self.record.result = Some(schema::Outcome {
            step: finish.step,
            epoch: finish.epoch,
            parameters: finish.parameters,
            model: describe::model(&finish.architecture),
            weights: finish.weights.clone(),
            metrics: finish
                .metrics
                .iter()
                .map(|metric| schema::Metric {
                    name: metric.name.clone(),
                    value: finite(metric.value),
                    hex: format!("0x{:016x}", metric.value.to_bits()),
                    best: finite(metric.best),
                    best_step: metric.best_step,
                })
                .collect(),
            flops: finish.flops,
            seconds: finish.seconds,
        });
        self.save_record()
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn number(value: f64) -> serde_json::Value {
    serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

fn event_record(growth: &Growth) -> schema::Event {
    schema::Event {
        step: growth.step,
        epoch: growth.epoch,
        action: growth.action.into(),
        target: growth.target.clone(),
        method: growth.method.into(),
        detail: growth.detail.clone(),
        promise: growth.promise.word().into(),
        rule: growth.rule.into(),
        bound: growth.bound,
        held: growth.held,
        drift: growth.drift,
        shock: growth.shock.map(|shock| shock.rise),
        recovered_after_steps: growth.shock.and_then(|shock| shock.recovered_after),
        grad_fresh: growth.gradient_fresh,
        grad_old: growth.gradient_old,
        parameters_before: growth.parameters_before,
        parameters_after: growth.parameters_after,
        weights: growth.weights.clone(),
    }
}

fn initial(program: &Program, dataset: &Dataset, command: Vec<String>) -> Record {
    let mut hasher = String::new();
    let schedule: Vec<schema::File> = program
        .sources
        .0
        .iter()
        .map(|source| {
            hasher.push_str(&digest::bytes(source.text.as_bytes()));
            schema::File { name: source.name.clone(), text: source.text.clone() }
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
        command,
        schedule,
        schedule_digest: digest::bytes(hasher.as_bytes()),
        base: describe::base(program),
        data: schema::Data {
            source: program.data.source.word.into(),
            arguments: describe::arguments(&program.data.source.args),
            digest: dataset.digest.clone(),
            bytes: dataset.bytes,
            train_examples: dataset.train.len(),
            val_examples: dataset.val.len(),
            test_examples: dataset.test.as_ref().map_or(0, |part| part.len()),
            inputs: header.inputs,
            outputs: header.outputs,
            task: match header.task {
                Task::Classification => "classification",
                Task::Regression => "regression",
            }
            .into(),
            class_names: header.class_names.clone(),
            area: header.area,
            target: program.data.source.args.given.get("target").map(|given| given.values[0].to_string()),
        },
        resolved: describe::resolved(program),
        host: schema::Host { cpu: String::new(), os: String::new(), threads: 0, simd: String::new(), started: 0 },
        events: Vec::new(),
        checkpoints: Vec::new(),
        result: None,
    }
}

/// `RUNS/NAME/0001` or the next number that nobody has taken.
fn new_folder(world: &dyn World, parent: &Path) -> Result<PathBuf> {
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

/// What a broken record is told as.
pub(super) fn broken(path: &Path, what: impl std::fmt::Display) -> Refusal {
    Refusal::error(
        "G0803",
        format!("`{}` is not a record that this version reads: {what}", path.display()),
        "name a run directory such as runs/first-growth/0001, written by this version of growrun",
    )
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
