//! Writes a run directory from the stream of events.

use super::checkpoint::{self, Label};
use super::initial::{self, Origin};
use super::names::{
    AUTO, CHECKPOINTS, FINAL, LOCK, METRICS, RECORD, RULE, SCALING, is_asked_for, name, new_folder, slug,
};
use super::schema::{self, Record};
use super::tensorboard::Events;
use super::{fit, lines, model, weights, yaml};
use crate::base::world::{Appender, Error, Lock, Result, World};
use crate::base::{Refusal, digest};
use crate::check::Program;
use crate::data::{Dataset, Scaling};
use crate::run::{Checkpoint, Event, Finish, Growth, Reason, RolledBack, Started, Status};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Growth events in run.yaml; the checkpoints have all of them.
const EVENTS_MAX: usize = 1000;
/// Checkpoints in run.yaml whose files are gone; beyond that every other one is forgotten.
const GONE_MAX: usize = 128;
/// Largest metrics.jsonl with which a run is gone on with, in bytes.
const METRICS_BYTES_MAX: u64 = 1 << 36;
/// Checkpoints that are kept of those that only time asked for.
const AUTO_KEPT: usize = 2;

/// One run directory while it is being written. No other process writes into it meanwhile.
pub struct Recorder<'w> {
    world: &'w dyn World,
    folder: PathBuf,
    record: Record,
    origin: Origin,
    metrics: Option<Metrics>,
    view: View<'w>,
    scaling: Scaling,
    /// Seconds that the whole run was expected to take, before its first step of this session.
    expected: Option<f64>,
    /// Whether only what resuming needs is kept: see [`Recorder::lean`].
    lean: bool,
    _lock: Box<dyn Lock>,
}

/// The event file of TensorBoard.
enum View<'w> {
    /// There is to be none.
    Closed,
    /// To be made when the run starts, from these lines of metrics.jsonl.
    Awaited(Vec<u8>),
    Open(Events<'w>),
}

/// metrics.jsonl while it grows.
struct Metrics {
    file: Box<dyn Appender>,
    bytes: u64,
    digest: blake3::Hasher,
}

impl Metrics {
    fn append(&mut self, text: &[u8]) -> Result<()> {
        self.file.append(text)?;
        self.bytes += text.len() as u64;
        self.digest.update(text);
        Ok(())
    }
}

impl<'w> Recorder<'w> {
    /// Makes `RUNS/NAME/NNNN` with the next free number. Nothing is written into it before the run has started.
    pub fn create(
        world: &'w dyn World,
        runs: &Path,
        program: &Program,
        dataset: &Dataset,
        origin: Origin,
    ) -> Result<Recorder<'w>> {
        Recorder::begin(world, || new_folder(world, &runs.join(slug(&program.name))), program, dataset, origin)
    }

    /// The same in a folder of the caller's choice, which is made when it is not there.
    pub fn create_in(
        world: &'w dyn World,
        folder: &Path,
        program: &Program,
        dataset: &Dataset,
        origin: Origin,
    ) -> Result<Recorder<'w>> {
        let made = || world.create_folder(folder).map(|_| folder.to_path_buf());
        Recorder::begin(world, made, program, dataset, origin)
    }

    fn begin(
        world: &'w dyn World,
        folder: impl FnOnce() -> Result<PathBuf>,
        program: &Program,
        dataset: &Dataset,
        origin: Origin,
    ) -> Result<Recorder<'w>> {
        let record = initial::record(program, dataset, &origin);
        if !fit::leaves_room(&record) {
            let path = program.sources.0.first().map_or_else(PathBuf::new, |source| PathBuf::from(&source.name));
            return Err(Error {
                code: "G0802",
                help: "a record holds the schedule with all that it includes: leave out comments, or what is not used"
                    .into(),
                ..Error::new("record", &path, "it is longer than a record may be")
            });
        }
        let folder = folder()?;
        let lock = Recorder::lock(world, &folder)?;
        Ok(Recorder {
            world,
            folder,
            record,
            origin,
            metrics: None,
            view: View::Awaited(Vec::new()),
            scaling: dataset.scaling.clone(),
            expected: None,
            lean: false,
            _lock: lock,
        })
    }

    /// How many seconds the run will take, as far as that is known: for the record, beside what it took.
    pub fn expecting(mut self, seconds: Option<f64>) -> Recorder<'w> {
        self.expected = seconds;
        self
    }

    /// For a run of a comparison, one of many: no file for TensorBoard, and of checkpoints only those that resuming needs
    /// (by time and by a signal) and that the schedule names (`save`, `keep best`). None at the start, around growth, by
    /// `checkpoint every`, of a failure or at the end; and once the run has finished, the first kind goes, too. A run that
    /// may roll back needs what it goes back to, so it keeps all until it has finished.
    pub fn lean(mut self) -> Recorder<'w> {
        (self.lean, self.view) = (true, View::Closed);
        self
    }

    /// Keeps other processes from writing into a run directory, while the lock lives.
    pub fn lock(world: &dyn World, folder: &Path) -> Result<Box<dyn Lock>> {
        world.lock(&folder.join(LOCK))
    }

    /// The same for a run that begins where another one stood.
    pub fn branch(mut self, parent: schema::Parent) -> Recorder<'w> {
        self.record.parent = Some(parent);
        self
    }

    /// For a run of one arm of its schedule.
    pub fn of_arm(mut self, arm: schema::Arm) -> Recorder<'w> {
        self.record.arm = Some(arm);
        self
    }

    /// Goes on in a run directory that was locked and read. `entry`: the checkpoint that the run goes on from, with the
    /// bytes of metrics.jsonl and the growth events that it has behind it; `None` where it begins again.
    #[allow(clippy::too_many_arguments)]
    pub fn reopen(
        world: &'w dyn World,
        folder: &Path,
        lock: Box<dyn Lock>,
        mut record: Record,
        dataset: &Dataset,
        origin: Origin,
        entry: Option<(&schema::Checkpoint, &schema::Meta)>,
    ) -> Result<Recorder<'w>> {
        world.settle(folder)?;
        let checkpoints = folder.join(CHECKPOINTS);
        let there = match world.entry(&checkpoints)? {
            Some(_) => {
                world.settle(&checkpoints)?;
                world.list(&checkpoints)?
            }
            None => Vec::new(),
        };
        let number = entry.map_or(0, |(entry, _)| entry.number);
        record.checkpoints.retain(|known| known.number < number);
        // A crash may have come between the checkpoint and the record.
        record.checkpoints.extend(entry.map(|(entry, _)| entry.clone()));
        // Of several of one name the last one's files are there.
        let mut names = there;
        for known in record.checkpoints.iter_mut().rev() {
            let place = names.iter().position(|name| *name == known.name);
            known.kept = place.map(|place| names.swap_remove(place)).is_some();
        }
        let events = entry.map_or(&[][..], |(_, meta)| &meta.events);
        record.events = events.iter().take(EVENTS_MAX).cloned().collect();
        record.events_left_out = events.len().saturating_sub(EVENTS_MAX) as u64;
        record.rollbacks.truncate(entry.map_or(0, |(_, meta)| meta.progress.rollbacks as usize));
        (record.status, record.reason, record.result) = ("running".into(), None, None);
        record.resumed.push(schema::Resumed {
            checkpoint: entry.map(|(entry, _)| entry.name.clone()),
            step: entry.map_or(0, |(entry, _)| entry.step),
            command: origin.command.clone(),
            host: initial::host(world, &origin),
        });
        // The weights of an interrupted session are not those of the run.
        if world.entry(&folder.join(FINAL))?.is_some() {
            world.remove_file(&folder.join(FINAL))?;
            world.sync_folder(folder)?;
        }
        // What was told behind the checkpoint will be told again.
        let path = folder.join(METRICS);
        let mut told = match world.entry(&path)? {
            Some(_) => world.read_beneath(folder, Path::new(METRICS), METRICS_BYTES_MAX)?,
            None => Vec::new(),
        };
        told.truncate(entry.map_or(0, |(_, meta)| meta.metrics_bytes as usize));
        // A power cut may have torn the last line.
        told.truncate(told.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        world.write(&path, &told)?;
        let mut digest = blake3::Hasher::new();
        digest.update(&told);
        // Training does not need them, so it goes on; but the file is not what it was, for good.
        record.metrics_damaged |= entry.is_some_and(|(_, meta)| meta.metrics != written(&digest));
        let metrics = Metrics { file: world.appender(&path)?, bytes: told.len() as u64, digest };
        let scaling = dataset.scaling.clone();
        Ok(Recorder {
            world,
            folder: folder.into(),
            record,
            origin,
            metrics: Some(metrics),
            view: View::Awaited(told),
            scaling,
            expected: None,
            lean: false,
            _lock: lock,
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
            Event::Evaluated(evaluated) => {
                let line = lines::evaluated(evaluated);
                self.append(&line)?;
                self.show(|events| events.evaluated(&line))
            }
            Event::Logged(stepped) => {
                let line = lines::logged(stepped);
                self.append(&line)?;
                self.show(|events| events.logged(&line))
            }
            Event::Grown(growth) => self.grown(growth),
            Event::Settled { index, growth } => {
                if let Some(event) = self.record.events.get_mut(*index) {
                    *event = checkpoint::event(growth);
                }
                Ok(())
            }
            Event::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            Event::RolledBack(back) => self.rolled_back(back),
            Event::Finished(finish, parameters) => {
                let mut files = BTreeMap::new();
                // Weights that diverged are no result.
                if finish.weights.is_some() && !matches!(finish.status, Status::Diverged { .. }) {
                    let note = format!("{} · {}", self.record.schedule_digest, self.record.name);
                    let content = weights::values(parameters, &note);
                    self.world.write(&self.folder.join(FINAL), &content)?;
                    files.insert(FINAL.to_string(), digest::bytes(&content));
                }
                self.finished(finish, files)
            }
            Event::Stepped(_) | Event::Noted { .. } => Ok(()),
        }
    }

    fn save_record(&self) -> Result<()> {
        let (text, _) = yaml::seal(&fit::write(&self.record));
        self.world.write(&self.folder.join(RECORD), text.as_bytes())
    }

    fn scaling(&self) -> Vec<u8> {
        weights::scaling(&self.scaling.mean, &self.scaling.inverse, &self.record.data.digest)
    }

    fn started(&mut self, started: &Started) -> Result<()> {
        let host = match self.record.resumed.last_mut() {
            Some(resumed) => &mut resumed.host,
            None => {
                self.record.host = initial::host(self.world, &self.origin);
                &mut self.record.host
            }
        };
        (host.threads, host.simd) = (started.threads, started.simd.into());
        self.save_record()?;
        self.world.write(&self.folder.join(SCALING), &self.scaling())?;
        if self.metrics.is_none() {
            let file = self.world.appender(&self.folder.join(METRICS))?;
            self.metrics = Some(Metrics { file, bytes: 0, digest: blake3::Hasher::new() });
        }
        if let View::Awaited(told) = &self.view {
            self.view = View::Open(Events::begin(self.world, &self.folder, &self.record, told)?);
        }
        Ok(())
    }

    fn show(&mut self, tell: impl FnOnce(&mut Events) -> Result<()>) -> Result<()> {
        match &mut self.view {
            View::Open(events) => tell(events),
            View::Closed | View::Awaited(_) => Ok(()),
        }
    }

    /// The checkpoint behind the growth writes the record.
    fn grown(&mut self, growth: &Growth) -> Result<()> {
        let event = checkpoint::event(growth);
        self.show(|events| events.grown(&event))?;
        if self.record.events.len() < EVENTS_MAX {
            self.record.events.push(event);
        } else {
            self.record.events_left_out += 1;
        }
        Ok(())
    }

    fn rolled_back(&mut self, back: &RolledBack) -> Result<()> {
        self.record.events.truncate(back.growths);
        self.record.events_left_out = back.growths.saturating_sub(EVENTS_MAX) as u64;
        let rollback = schema::Rollback { step: back.step, back_to: back.back_to, factor: back.factor };
        self.show(|events| events.rolled_back(&rollback))?;
        self.record.rollbacks.push(rollback);
        self.save_record()
    }

    /// One line of metrics.jsonl.
    fn append(&mut self, line: &lines::Line) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("a map of numbers");
        text.push('\n');
        match &mut self.metrics {
            Some(metrics) => metrics.append(text.as_bytes()),
            None => Ok(()),
        }
    }

    fn checkpoint(&mut self, saved: &Checkpoint) -> Result<()> {
        if !self.keeps(saved.reason) {
            return Ok(());
        }
        let name = name(saved);
        // Resuming goes on behind these lines, so they must be there after a power cut.
        let (metrics_bytes, metrics) = match &mut self.metrics {
            Some(metrics) => {
                metrics.file.sync()?;
                (metrics.bytes, written(&metrics.digest))
            }
            None => (0, written(&blake3::Hasher::new())),
        };
        let last = self.record.checkpoints.last();
        let from = self.record.parent.as_ref().map(|parent| &parent.digest);
        let label = Label {
            name: name.clone(),
            number: last.map_or(1, |last| last.number.saturating_add(1)),
            schedule_digest: self.record.schedule_digest.clone(),
            parent: last.map(|last| &last.digest).or(from).cloned(),
            metrics_bytes,
            metrics,
        };
        let (files, entry) = checkpoint::write(saved, label);
        let folder = self.folder.join(CHECKPOINTS);
        self.world.create_folder(&folder)?;
        self.world.write_folder(&folder.join(&name), &files)?;
        for known in self.record.checkpoints.iter_mut().filter(|known| known.name == name) {
            known.kept = false;
        }
        self.record.checkpoints.push(entry);
        // Save first, then delete.
        match saved.reason {
            Reason::Rule => self.keep_newest(RULE, self.record.resolved.checkpoints_kept.max(1))?,
            Reason::Auto => self.keep_newest(AUTO, AUTO_KEPT)?,
            _ => {}
        }
        self.forget();
        self.save_record()
    }

    fn keeps(&self, reason: Reason) -> bool {
        let is_needed = matches!(reason, Reason::Auto | Reason::Interrupted | Reason::Named(_) | Reason::Best);
        is_needed || !self.lean || self.record.resolved.on_divergence.starts_with("rollback")
    }

    /// Of the checkpoints whose names begin so, only the newest ones stay.
    fn keep_newest(&mut self, prefix: &str, count: usize) -> Result<()> {
        let kept = |known: &schema::Checkpoint| known.kept && known.name.starts_with(prefix);
        let mut surplus = self.record.checkpoints.iter().filter(|known| kept(known)).count().saturating_sub(count);
        for known in self.record.checkpoints.iter_mut().filter(|known| kept(known)) {
            if surplus == 0 {
                break;
            }
            self.world.remove_folder(&self.folder.join(CHECKPOINTS).join(&known.name))?;
            known.kept = false;
            surplus -= 1;
        }
        Ok(())
    }

    /// Keeps the record of what is gone short: every other entry goes, so that what stays is spread over the run.
    fn forget(&mut self) {
        let gone = self.record.checkpoints.iter().filter(|known| !known.kept).count();
        if gone > GONE_MAX {
            let mut place = 0;
            self.record.checkpoints.retain(|known| {
                place += usize::from(!known.kept);
                known.kept || place % 2 == 0
            });
        }
    }

    fn finished(&mut self, finish: &Finish, mut files: BTreeMap<String, String>) -> Result<()> {
        if let Some(metrics) = &mut self.metrics {
            metrics.file.sync()?;
            files.insert(METRICS.into(), written(&metrics.digest));
        }
        self.show(|events| events.end())?;
        files.insert(SCALING.into(), digest::bytes(&self.scaling()));
        self.record.status = finish.status.word().into();
        self.record.reason = match &finish.status {
            Status::Failed(why) => Some(format!("{}: {}", why.code, why.message)),
            Status::Diverged { step } => {
                Some(format!("the loss, a gradient or a weight was not finite at step {step}"))
            }
            Status::Interrupted { signal } => Some(format!("signal {signal}")),
            Status::Finished | Status::Stopped => None,
        };
        self.record.events = finish.events.iter().take(EVENTS_MAX).map(checkpoint::event).collect();
        self.record.result = Some(schema::Outcome {
            step: finish.step,
            epoch: finish.epoch,
            parameters: finish.parameters,
            model: model::write(&finish.architecture),
            weights: finish.weights.clone(),
            metrics: finish
                .metrics
                .iter()
                .map(|metric| schema::Metric {
                    name: metric.name.clone(),
                    value: finite(metric.value),
                    hex: hex(metric.value),
                    best: finite(metric.best),
                    best_hex: hex(metric.best),
                    best_step: metric.best_step,
                })
                .collect(),
            confusion: finish.confusion.clone(),
            flops: finish.flops,
            seconds: finish.seconds,
            expected_seconds: self.expected,
            files,
        });
        // First the record, then what it no longer needs: whoever reads it meanwhile misses nothing.
        let has_ended = matches!(finish.status, Status::Finished | Status::Stopped);
        let gone = if self.lean && has_ended { self.let_go() } else { Vec::new() };
        self.save_record()?;
        gone.iter().try_for_each(|name| self.world.remove_folder(&self.folder.join(CHECKPOINTS).join(name)))
    }

    /// Takes what only resuming would need out of the record: the names of the folders.
    fn let_go(&mut self) -> Vec<String> {
        let mut gone = Vec::new();
        for known in self.record.checkpoints.iter_mut().filter(|known| known.kept && !is_asked_for(&known.name)) {
            known.kept = false;
            gone.push(known.name.clone());
        }
        gone
    }
}

fn written(digest: &blake3::Hasher) -> String {
    format!("blake3:{}", digest.finalize().to_hex())
}

fn hex(value: f64) -> String {
    format!("0x{:016x}", value.to_bits())
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// What a file is told as that is not as growrun has written it.
pub(super) fn changed(path: &Path) -> Refusal {
    Refusal::error(
        "G0809",
        format!("`{}` is not as it was written: its digest differs", path.display()),
        "copy it again from where it came; `growrun verify RUN` looks at every file of a run",
    )
}

/// What a broken record is told as.
pub(super) fn broken(path: &Path, what: impl std::fmt::Display) -> Refusal {
    Refusal::error(
        "G0803",
        format!("`{}` is not a record that this version reads: {what}", path.display()),
        "name a run directory such as runs/first-growth/0001, written by this version of growrun",
    )
}
