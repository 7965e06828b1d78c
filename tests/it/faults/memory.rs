//! A world in memory that knows what has reached the disk, and lets one operation fail.

use growrun::base::world::{Appender, Confinement, Entry, Error, Host, Lock, Result, World};
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full from here on: what needs space fails, the rest goes on.
    Full,
    /// It fails with EIO and nothing is done.
    Broken,
    /// It is done, and fails with EIO nevertheless.
    BrokenAfterwards,
    /// Half of the bytes are written, then EIO. Only for writes.
    Short,
    /// It is not done, and nothing after it.
    Crash,
}

/// What a crash takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: only the process died.
    Nothing,
    /// Every name and every byte that was not synced.
    Everything,
    /// Names stay, as on ext4; of unsynced bytes this part stays.
    Content(Torn),
    /// Folder by folder and file by file some state since its last sync, drawn by this number.
    Some(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    Nothing,
    Half,
    /// The length stays, the bytes become zeros.
    Zeros,
}

pub const LOSSES: &[Loss] = &[
    Loss::Nothing,
    Loss::Everything,
    Loss::Content(Torn::Nothing),
    Loss::Content(Torn::Half),
    Loss::Content(Torn::Zeros),
    Loss::Some(1),
    Loss::Some(2),
    Loss::Some(3),
];

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Node {
    /// Files only grow, so what is synced is a length.
    File { content: Vec<u8>, synced: usize },
    /// `before` are the states since the last sync, oldest first, without `now`.
    Folder { now: Names, before: Vec<Names> },
}

#[derive(Clone, Default)]
struct State {
    /// The first is the root.
    nodes: Vec<Node>,
    count: usize,
    fault: Option<(usize, Fault)>,
    full: bool,
    dead: bool,
    /// Whether two folders can be exchanged.
    exchanges: bool,
    operations: Vec<String>,
}

/// Files and folders of which a part has reached the disk. Relative and absolute paths are the same.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

struct Open {
    state: Memory,
    node: usize,
    path: PathBuf,
}

struct Held;

impl Lock for Held {}

fn found(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

fn raw(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

impl State {
    fn walk<'p>(&self, parts: impl Iterator<Item = &'p str>) -> io::Result<usize> {
        let mut at = 0;
        for part in parts {
            match &self.nodes[at] {
                Node::Folder { now, .. } => at = *now.get(part).ok_or_else(|| found(io::ErrorKind::NotFound))?,
                Node::File { .. } => return Err(found(io::ErrorKind::NotADirectory)),
            }
        }
        Ok(at)
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.walk(parts(path).into_iter())
    }

    /// The folder that holds the last name of a path, and the name.
    fn holder<'p>(&self, path: &'p Path) -> io::Result<(usize, &'p str)> {
        let mut all = parts(path);
        let name = all.pop().ok_or_else(|| found(io::ErrorKind::InvalidInput))?;
        Ok((self.walk(all.into_iter())?, name))
    }

    fn names(&self, folder: usize) -> io::Result<&Names> {
        match &self.nodes[folder] {
            Node::Folder { now, .. } => Ok(now),
            Node::File { .. } => Err(found(io::ErrorKind::NotADirectory)),
        }
    }

    /// Changes the names of a folder in one step.
    fn rename_in(&mut self, folder: usize, change: impl FnOnce(&mut Names)) {
        let Node::Folder { now, before } = &mut self.nodes[folder] else { panic!("not a folder") };
        before.push(now.clone());
        change(now);
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (folder, name) = self.holder(path)?;
        self.names(folder)?;
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.rename_in(folder, |names| {
            names.insert(name.into(), id);
        });
        Ok(id)
    }

    fn is_folder(&self, node: usize) -> bool {
        matches!(self.nodes[node], Node::Folder { .. })
    }
}

fn parts(path: &Path) -> Vec<&str> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_str().expect("UTF-8")),
            Component::ParentDir => panic!("no test climbs"),
            _ => None,
        })
        .collect()
}

impl Memory {
    /// An empty disk.
    pub fn new(exchanges: bool) -> Memory {
        let root = Node::Folder { now: Names::new(), before: Vec::new() };
        Memory { state: Arc::new(Mutex::new(State { nodes: vec![root], exchanges, ..State::default() })) }
    }

    /// A copy of the disk as it is, all of it synced, in which the operation number `at` (from 1) fails.
    pub fn failing(&self, at: usize, fault: Fault) -> Memory {
        let world = self.after(Loss::Nothing);
        world.state().fault = Some((at, fault));
        world
    }

    /// Another process on the same disk, with what is not synced still on its way; the operation `at` fails in it.
    pub fn restarted(&self, at: usize, fault: Fault) -> Memory {
        let state = self.state();
        let (nodes, exchanges) = (state.nodes.clone(), state.exchanges);
        let state = State { nodes, exchanges, fault: Some((at, fault)), ..State::default() };
        Memory { state: Arc::new(Mutex::new(state)) }
    }

    /// Operations so far that changed something.
    pub fn operations(&self) -> Vec<String> {
        self.state().operations.clone()
    }

    /// The disk that is found after a crash at this moment; nothing fails in it.
    pub fn after(&self, loss: Loss) -> Memory {
        let state = self.state();
        let mut draw = Draw(match loss {
            Loss::Some(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ state.count as u64,
            _ => 1,
        });
        let nodes = state.nodes.iter().map(|node| match node {
            Node::File { content, synced } => {
                let torn = match loss {
                    Loss::Nothing => None,
                    Loss::Everything => Some(Torn::Nothing),
                    Loss::Content(torn) => Some(torn),
                    Loss::Some(_) => [None, Some(Torn::Nothing), Some(Torn::Half), Some(Torn::Zeros)][draw.below(4)],
                };
                let half = synced + (content.len() - synced) / 2;
                let content = match torn {
                    None => content.clone(),
                    Some(Torn::Nothing) => content[..*synced].to_vec(),
                    Some(Torn::Half) => content[..half].to_vec(),
                    Some(Torn::Zeros) => {
                        let mut zeros = content[..*synced].to_vec();
                        zeros.resize(content.len(), 0);
                        zeros
                    }
                };
                Node::File { synced: content.len(), content }
            }
            Node::Folder { now, before } => {
                let chosen = match loss {
                    Loss::Nothing | Loss::Content(_) => before.len(),
                    Loss::Everything => 0,
                    Loss::Some(_) => draw.below(before.len() + 1),
                };
                Node::Folder { now: before.get(chosen).unwrap_or(now).clone(), before: Vec::new() }
            }
        });
        let nodes = nodes.collect();
        let state = State { nodes, exchanges: state.exchanges, ..State::default() };
        Memory { state: Arc::new(Mutex::new(state)) }
    }

    /// Every file beneath `folder` by its path from there.
    pub fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        fn walk(state: &State, at: usize, name: &str, out: &mut BTreeMap<String, Vec<u8>>) {
            match &state.nodes[at] {
                Node::File { content, .. } => drop(out.insert(name.into(), content.clone())),
                Node::Folder { now, .. } => {
                    for (inner, node) in now {
                        let name = if name.is_empty() { inner.clone() } else { format!("{name}/{inner}") };
                        walk(state, *node, &name, out);
                    }
                }
            }
        }
        let (state, mut out) = (self.state(), BTreeMap::new());
        if let Ok(at) = state.find(Path::new(folder)) {
            walk(&state, at, "", &mut out);
        }
        out
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics inside")
    }

    fn look<T>(&self, operation: &'static str, path: &Path, act: impl FnOnce(&State) -> io::Result<T>) -> Result<T> {
        let state = self.state();
        if state.dead {
            return Err(Error::new(operation, path, "the power is cut"));
        }
        act(&state).map_err(|error| Error::io(operation, path, &error))
    }

    /// One operation that changes something, unless this is the one to fail.
    fn change<T>(
        &self,
        operation: &'static str,
        path: &Path,
        needs_space: bool,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T> {
        let fail = |error: io::Error| Error::io(operation, path, &error);
        let mut state = self.state();
        state.count += 1;
        state.operations.push(format!("{operation} {}", path.display()));
        let fault = state.fault.filter(|(at, _)| *at == state.count).map(|(_, fault)| fault);
        match fault {
            Some(Fault::Crash) => state.dead = true,
            Some(Fault::Full) => {
                state.full = true;
                return Err(fail(raw(ENOSPC)));
            }
            Some(Fault::Broken | Fault::Short) => return Err(fail(raw(EIO))),
            Some(Fault::BrokenAfterwards) | None => {}
        }
        if state.dead {
            return Err(Error::new(operation, path, "the power is cut"));
        }
        if state.full && needs_space {
            return Err(fail(raw(ENOSPC)));
        }
        let done = act(&mut state).map_err(fail)?;
        if fault == Some(Fault::BrokenAfterwards) { Err(fail(raw(EIO))) } else { Ok(done) }
    }

    fn open(&self, path: &Path, node: usize) -> Box<dyn Appender> {
        Box::new(Open { state: self.clone(), node, path: path.into() })
    }
}

impl Appender for Open {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let write = |state: &mut State, bytes: &[u8]| {
            let Node::File { content, .. } = &mut state.nodes[self.node] else { panic!("not a file") };
            content.extend_from_slice(bytes);
        };
        let is_short = {
            let state = self.state.state();
            !state.dead && state.fault == Some((state.count + 1, Fault::Short))
        };
        if is_short {
            write(&mut self.state.state(), &bytes[..bytes.len() / 2]);
        }
        self.state.change("write", &self.path, true, |state| {
            write(state, bytes);
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<()> {
        self.state.change("sync", &self.path, false, |state| {
            let Node::File { content, synced } = &mut state.nodes[self.node] else { panic!("not a file") };
            *synced = content.len();
            Ok(())
        })
    }
}

impl World for Memory {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let content = self.read_start(path, u64::MAX)?;
        if content.len() as u64 > limit {
            return Err(Error { code: "G0802", ..Error::new("read", path, "too large") });
        }
        Ok(content)
    }

    fn read_start(&self, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        self.look("read", path, |state| match &state.nodes[state.find(path)?] {
            Node::File { content, .. } => Ok(content.iter().copied().take(bytes as usize).collect()),
            Node::Folder { .. } => Err(found(io::ErrorKind::IsADirectory)),
        })
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.look("follow", path, |state| state.find(path).map(|_| Path::new("/").join(parts(path).join("/"))))
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        self.look("look at", path, |state| match state.find(path) {
            Ok(at) => Ok(Some(match &state.nodes[at] {
                Node::File { content, .. } => Entry::File { bytes: content.len() as u64 },
                Node::Folder { .. } => Entry::Folder,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn list_beneath(&self, folder: &Path, path: &Path) -> Result<Vec<String>> {
        self.list(&folder.join(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.look("list", path, |state| Ok(state.names(state.find(path)?)?.keys().cloned().collect()))
    }

    /// There are no links here, and no test climbs.
    fn entry_beneath(&self, folder: &Path, path: &Path) -> Result<Option<Entry>> {
        self.entry(&folder.join(path))
    }

    fn read_start_beneath(&self, folder: &Path, path: &Path, bytes: u64) -> Result<Vec<u8>> {
        self.read_start(&folder.join(path), bytes)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn Appender>> {
        let node = self.change("create", path, true, |state| {
            if state.find(path).is_ok_and(|at| state.is_folder(at)) {
                return Err(found(io::ErrorKind::IsADirectory));
            }
            state.add(path, Node::File { content: Vec::new(), synced: 0 })
        })?;
        Ok(self.open(path, node))
    }

    fn appender(&self, path: &Path) -> Result<Box<dyn Appender>> {
        let node = self.change("open", path, true, |state| match state.find(path) {
            Ok(at) if state.is_folder(at) => Err(found(io::ErrorKind::IsADirectory)),
            Ok(at) => Ok(at),
            Err(_) => state.add(path, Node::File { content: Vec::new(), synced: 0 }),
        })?;
        Ok(self.open(path, node))
    }

    fn make_folder(&self, path: &Path) -> Result<bool> {
        self.change("make the folder", path, true, |state| match state.find(path) {
            Ok(at) if state.is_folder(at) => Ok(false),
            Ok(_) => Err(found(io::ErrorKind::AlreadyExists)),
            Err(_) => state.add(path, Node::Folder { now: Names::new(), before: Vec::new() }).map(|_| true),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change("rename", from, false, |state| {
            let node = state.find(from)?;
            let ((folder, old), (same, new)) = (state.holder(from)?, state.holder(to)?);
            assert_eq!(folder, same, "everything is renamed within its folder");
            if let Ok(there) = state.find(to) {
                match (&state.nodes[node], &state.nodes[there]) {
                    (Node::File { .. }, Node::File { .. }) => {}
                    (Node::Folder { .. }, Node::Folder { now, .. }) if now.is_empty() => {}
                    (Node::Folder { .. }, Node::Folder { .. }) => {
                        return Err(found(io::ErrorKind::DirectoryNotEmpty));
                    }
                    _ => return Err(found(io::ErrorKind::IsADirectory)),
                }
            }
            state.rename_in(folder, |names| {
                names.remove(old);
                names.insert(new.into(), node);
            });
            Ok(())
        })
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<bool> {
        if !self.state().exchanges {
            return Ok(false);
        }
        self.change("exchange", one, false, |state| {
            let (first, second) = (state.find(one)?, state.find(other)?);
            let ((folder, here), (same, there)) = (state.holder(one)?, state.holder(other)?);
            assert_eq!(folder, same, "everything is renamed within its folder");
            state.rename_in(folder, |names| {
                names.insert(here.into(), second);
                names.insert(there.into(), first);
            });
            Ok(true)
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.change("remove", path, false, |state| {
            if state.is_folder(state.find(path)?) {
                return Err(found(io::ErrorKind::IsADirectory));
            }
            let (folder, name) = state.holder(path)?;
            state.rename_in(folder, |names| {
                names.remove(name);
            });
            Ok(())
        })
    }

    fn remove_empty_folder(&self, path: &Path) -> Result<()> {
        self.change("remove", path, false, |state| {
            if !state.names(state.find(path)?)?.is_empty() {
                return Err(found(io::ErrorKind::DirectoryNotEmpty));
            }
            let (folder, name) = state.holder(path)?;
            state.rename_in(folder, |names| {
                names.remove(name);
            });
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        self.change("sync", path, false, |state| {
            let at = state.find(path)?;
            let Node::Folder { before, .. } = &mut state.nodes[at] else {
                return Err(found(io::ErrorKind::NotADirectory));
            };
            before.clear();
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.appender(path)?;
        Ok(Box::new(Held))
    }

    fn disk_free(&self, _: &Path) -> Option<u64> {
        Some(1 << 40)
    }

    fn confine(&self, _: &[PathBuf], _: &[PathBuf]) -> Confinement {
        Confinement::Absent
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn seconds(&self) -> f64 {
        1.0
    }

    fn epoch_seconds(&self) -> u64 {
        1_700_000_000
    }

    fn host(&self) -> Host {
        Host { cpu: "memory".into(), os: "memory".into(), threads: 1, memory_free: Some(8 << 30) }
    }
}

/// Numbers for [`Loss::Some`]: splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
