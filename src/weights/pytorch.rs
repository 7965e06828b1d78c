//! What `torch.save` writes since PyTorch 1.6: a zip archive with a pickle of names and shapes, and beside it a file
//! of bytes for each storage of values.

use super::pickle::{self, Element, Node, Pickle, Storage, Trouble, Value, View};
use super::{Budget, File, Format, Tensor, Values, broken, runs};
use crate::base::Refusal;
use crate::base::text::short;
use crate::data::read::zip::Entry;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Whether an entry of an archive is the pickle of a PyTorch file: `NAME/data.pkl`.
pub fn is_pickle(entry: &str) -> bool {
    entry == "data.pkl" || entry.strip_suffix("/data.pkl").is_some_and(|root| !root.contains('/'))
}

/// The tensors and numbers in the order in which the dictionaries have them.
pub fn read(name: &str, entries: &[Entry], pickle: &Entry, budget: &mut Budget) -> Result<File, Refusal> {
    let root = pickle.name.strip_suffix("data.pkl").expect("is_pickle");
    let inside: BTreeMap<&str, &Entry> =
        entries.iter().filter_map(|entry| Some((entry.name.strip_prefix(root)?, entry))).collect();
    if inside.contains_key("constants.pkl") || inside.keys().any(|entry| entry.starts_with("code/")) {
        let message = format!("`{}` is a TorchScript program, not a file of weights", short(name));
        let help = "load it in PyTorch, `m = torch.jit.load(…)`, and `torch.save(m.state_dict(), \"weights.pt\")`";
        return Err(Refusal::error("G0820", message, help));
    }
    let archive = short(name);
    if let Some(order) = inside.get("byteorder")
        && order.start(&archive, 8)? != b"little"
    {
        return Err(broken(
            name,
            Format::PyTorch,
            "its numbers are big-endian, as another kind of machine writes them",
        ));
    }
    let bytes = pickle.bytes(&archive, budget.left())?;
    let pickle = pickle::read(&bytes).map_err(|trouble| match trouble {
        Trouble::Broken(what) => broken(name, Format::PyTorch, what),
        Trouble::Runs(what) => runs(name, what),
    })?;
    let mut reader = Reader { name, inside, pickle: &pickle, storages: BTreeMap::new(), budget, tensors: Vec::new() };
    reader.walk()?;
    Ok(File { format: Format::PyTorch, tensors: reader.tensors })
}

struct Reader<'a> {
    name: &'a str,
    /// The entries by their names beneath that of the archive.
    inside: BTreeMap<&'a str, &'a Entry<'a>>,
    pickle: &'a Pickle<'a>,
    /// The bytes of each storage that was needed, by its key.
    storages: BTreeMap<&'a str, Cow<'a, [u8]>>,
    budget: &'a mut Budget,
    tensors: Vec<Tensor>,
}

/// A dictionary or list that is being walked through.
struct Level {
    node: usize,
    /// The next of its items.
    next: usize,
    /// How long its own name is.
    name: usize,
}

/// Dictionaries in dictionaries; an optimiser's state is the fourth.
const DEPTH_MAX: usize = 32;
/// Bytes of a key. With the depth this bounds a name.
const KEY_BYTES_MAX: usize = 512;
/// How many times as many things may be seen as there were instructions to make them: a thing that stands at several
/// places is made once.
const SEEN_PER_INSTRUCTION: u64 = 4;

impl<'a> Reader<'a> {
    fn broken(&self, what: impl std::fmt::Display) -> Refusal {
        broken(self.name, Format::PyTorch, what)
    }

    /// Names everything by the keys and places on the way to it.
    fn walk(&mut self) -> Result<(), Refusal> {
        let root = match self.pickle.root {
            Value::Node(node) if matches!(self.pickle.nodes[node], Node::List(_) | Node::Dict(_)) => node,
            _ => {
                let message = format!("`{}` holds no tensors under names", short(self.name));
                let help = "save a dictionary: `torch.save(model.state_dict(), \"weights.pt\")`";
                return Err(Refusal::error("G0820", message, help));
            }
        };
        let mut path = String::new();
        let mut levels = vec![Level { node: root, next: 0, name: 0 }];
        let mut left = u64::from(self.pickle.instructions) * SEEN_PER_INSTRUCTION;
        while let Some(level) = levels.last_mut() {
            path.truncate(level.name);
            let item = level.next;
            level.next += 1;
            let (key, value) = match &self.pickle.nodes[level.node] {
                Node::Dict(items) => match items.get(item) {
                    Some(&(key, value)) => (key, value),
                    None => {
                        levels.pop();
                        continue;
                    }
                },
                Node::List(items) => match items.get(item) {
                    Some(&value) => (Value::Whole(item as i64), value),
                    None => {
                        levels.pop();
                        continue;
                    }
                },
                _ => unreachable!("levels are dictionaries and lists"),
            };
            left = left.checked_sub(1).ok_or_else(|| self.broken("its lists hold one another again and again"))?;
            let outer = path.len() + usize::from(!path.is_empty());
            let separator = if path.is_empty() { "" } else { "." };
            match key {
                Value::Text(key) if key.len() <= KEY_BYTES_MAX => path.extend([separator, key]),
                Value::Text(key) => return Err(self.broken(format!("one of its names has {} bytes", key.len()))),
                Value::Whole(key) => path.push_str(&format!("{separator}{key}")),
                _ => return Err(self.broken("one of its dictionaries has a key that is neither name nor number")),
            }
            match value {
                Value::Whole(value) => self.add((&path, outer), Vec::new(), "int", Values::Whole(vec![value]))?,
                Value::Float(value) => {
                    self.add((&path, outer), Vec::new(), "float", Values::Numbers(vec![value as f32]))?
                }
                Value::Node(node) => match &self.pickle.nodes[node] {
                    Node::Tensor(view) => {
                        let (dtype, values) = self.values(view).map_err(|what| {
                            broken(self.name, Format::PyTorch, format!("its tensor `{}` {what}", short(&path)))
                        })?;
                        self.add((&path, outer), view.shape.clone(), dtype, values)?;
                    }
                    Node::Dict(_) | Node::List(_) if levels.len() == DEPTH_MAX => {
                        return Err(self.broken(format!("its dictionaries are nested {DEPTH_MAX} deep")));
                    }
                    Node::Dict(_) | Node::List(_) => levels.push(Level { node, next: 0, name: path.len() }),
                    Node::Storage(_) => {}
                },
                Value::Nothing | Value::Text(_) | Value::Class(_) => {}
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        (name, outer): (&str, usize),
        shape: Vec<usize>,
        dtype: &'static str,
        values: Values,
    ) -> Result<(), Refusal> {
        self.budget.name(name).map_err(|what| broken(self.name, Format::PyTorch, format!("its tensors {what}")))?;
        self.tensors.push(Tensor { name: name.into(), outer, shape, dtype, values });
        Ok(())
    }

    /// What a view shows; the text continues "its tensor `x` …".
    fn values(&mut self, view: &View) -> Result<(&'static str, Values), String> {
        use super::values::{bf16, f16};
        let Node::Storage(storage) = self.pickle.nodes[view.storage] else { unreachable!("a view is of a storage") };
        self.load(storage)?;
        let data = &self.storages[storage.key];
        let count = within(view, storage.length)?;
        let dtype = match storage.element {
            Element::Bool => return Ok(("bool", Values::Other)),
            Element::Complex64 => return Ok(("complex64", Values::Other)),
            Element::Complex128 => return Ok(("complex128", Values::Other)),
            Element::F16 => "float16",
            Element::BF16 => "bfloat16",
            Element::F32 => "float32",
            Element::F64 => "float64",
            Element::I8 => "int8",
            Element::U8 => "uint8",
            Element::I16 => "int16",
            Element::I32 => "int32",
            Element::I64 => "int64",
        };
        self.budget.take(count, if dtype.contains("float") { 4 } else { 8 })?;
        let values = match storage.element {
            Element::F16 => Values::Numbers(shown(data, view, count, f16)),
            Element::BF16 => Values::Numbers(shown(data, view, count, bf16)),
            Element::F32 => Values::Numbers(shown(data, view, count, f32::from_le_bytes)),
            Element::F64 => Values::Numbers(shown(data, view, count, |bytes| f64::from_le_bytes(bytes) as f32)),
            Element::I8 => Values::Whole(shown(data, view, count, |bytes| i8::from_le_bytes(bytes).into())),
            Element::U8 => Values::Whole(shown(data, view, count, |bytes| u8::from_le_bytes(bytes).into())),
            Element::I16 => Values::Whole(shown(data, view, count, |bytes| i16::from_le_bytes(bytes).into())),
            Element::I32 => Values::Whole(shown(data, view, count, |bytes| i32::from_le_bytes(bytes).into())),
            Element::I64 => Values::Whole(shown(data, view, count, i64::from_le_bytes)),
            Element::Bool | Element::Complex64 | Element::Complex128 => Values::Other,
        };
        Ok((dtype, values))
    }

    /// Makes the bytes of a storage ready, and holds its length to them.
    fn load(&mut self, storage: Storage<'a>) -> Result<(), String> {
        let Storage { element, key, length } = storage;
        if !self.storages.contains_key(key) {
            let entry = self.inside.get(format!("data/{key}").as_str());
            let entry = entry.ok_or_else(|| format!("refers to values `{}` that are not there", short(key)))?;
            let bytes = entry.bytes(&short(self.name), self.budget.left()).map_err(|refusal| refusal.message)?;
            if let Cow::Owned(bytes) = &bytes {
                self.budget.take(bytes.len(), 1)?;
            }
            self.storages.insert(key, bytes);
        }
        let bytes = self.storages[key].len();
        match length.checked_mul(element.bytes()) {
            Some(declared) if declared <= bytes => Ok(()),
            _ => Err(format!("declares {length} values of {} bytes, but there are {bytes} bytes", element.bytes())),
        }
    }
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::F16 | Element::BF16 | Element::I16 => 2,
            Element::F32 | Element::I32 => 4,
            Element::F64 | Element::I64 | Element::Complex64 => 8,
            Element::Complex128 => 16,
        }
    }
}

/// How many values a view shows, when all of them are among `length`.
fn within(view: &View, length: usize) -> Result<usize, String> {
    let count = view.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let count = count.ok_or("has a shape beyond all memory")?;
    if count == 0 {
        return Ok(0);
    }
    let last = view
        .shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |place, (&extent, &stride)| place.checked_add(stride.checked_mul(extent - 1)?));
    match last {
        Some(last) if last < length => Ok(count),
        _ => Err(format!("reaches beyond the {length} values that it is a view of")),
    }
}

/// The `count` values of a view in row-major order; [`within`] said that they are there.
fn shown<T, const N: usize>(data: &[u8], view: &View, count: usize, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (values, _) = data.as_chunks::<N>();
    let mut out = Vec::with_capacity(count);
    let mut index = vec![0usize; view.shape.len()];
    let mut at = view.offset;
    while out.len() < count {
        out.push(read(values[at]));
        for dim in (0..index.len()).rev() {
            if index[dim] + 1 < view.shape[dim] {
                index[dim] += 1;
                at += view.strides[dim];
                break;
            }
            at -= view.strides[dim] * index[dim];
            index[dim] = 0;
        }
    }
    out
}
