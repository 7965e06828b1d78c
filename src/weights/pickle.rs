//! The part of Python's pickle that a `state_dict` needs, read as data.
//!
//! A pickle is a program for a stack machine that may call any function. This machine knows the instructions that
//! build lists, dictionaries and numbers, and of all functions the handful that `torch.save` needs for a tensor, which
//! it does itself. Anything else ends the reading. Objects lie in one list and refer to one another by place, so that
//! a list that holds itself can neither overflow a stack nor be freed twice.

use crate::base::text::short;
use std::collections::BTreeMap;

/// Instructions that are followed; a tensor takes about fifty. Each of them adds at most one thing to what is kept,
/// so this bounds the memory, too.
const INSTRUCTIONS_MAX: u32 = 1 << 20;
/// As many dimensions as NumPy can have; PyTorch's layers have up to five.
const DIMENSIONS_MAX: usize = 32;

/// Why a pickle is not read.
#[derive(Debug, PartialEq)]
pub enum Trouble {
    Broken(String),
    /// What it asks for that would run code; follows the name of the file.
    Runs(String),
}

use Trouble::{Broken, Runs};

fn broken<T>(what: &str) -> Result<T, Trouble> {
    Err(Broken(what.into()))
}

/// A thing on the stack. Texts lie in the pickle, what has parts in [`Pickle::nodes`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// None, a truth value or bytes: nothing that a weight could be.
    Nothing,
    Whole(i64),
    Float(f64),
    Text(&'a str),
    Class(Class),
    Node(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// A list or a tuple.
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    Tensor(View),
}

/// Values in a file of their own, `data/KEY`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storage<'a> {
    pub element: Element,
    pub key: &'a str,
    /// How many values it declares to hold.
    pub length: usize,
}

/// A tensor as a way to walk through a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The node of the storage.
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// The type of a value in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F16,
    BF16,
    F32,
    F64,
    I8,
    U8,
    I16,
    I32,
    I64,
    Bool,
    Complex64,
    Complex128,
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    OrderedDict,
    Counter,
    Size,
    Tensor,
    Parameter,
    Storage(Element),
}

impl Class {
    fn named(module: &str, name: &str) -> Option<Class> {
        let class = match (module, name) {
            ("collections", "OrderedDict") => Class::OrderedDict,
            // Schedulers keep their milestones in one.
            ("collections", "Counter") => Class::Counter,
            ("torch", "Size") => Class::Size,
            ("torch._utils", "_rebuild_tensor_v2") => Class::Tensor,
            ("torch._utils", "_rebuild_parameter") => Class::Parameter,
            ("torch", _) => Class::Storage(match name {
                "HalfStorage" => Element::F16,
                "BFloat16Storage" => Element::BF16,
                "FloatStorage" => Element::F32,
                "DoubleStorage" => Element::F64,
                "CharStorage" => Element::I8,
                "ByteStorage" => Element::U8,
                "ShortStorage" => Element::I16,
                "IntStorage" => Element::I32,
                "LongStorage" => Element::I64,
                "BoolStorage" => Element::Bool,
                "ComplexFloatStorage" => Element::Complex64,
                "ComplexDoubleStorage" => Element::Complex128,
                _ => return None,
            }),
            _ => return None,
        };
        Some(class)
    }
}

/// What a pickle holds.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub root: Value<'a>,
    pub nodes: Vec<Node<'a>>,
    /// How many instructions it took.
    pub instructions: u32,
}

pub fn read(bytes: &[u8]) -> Result<Pickle<'_>, Trouble> {
    let mut machine =
        Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), nodes: Vec::new() };
    for instructions in 1..=INSTRUCTIONS_MAX {
        if machine.step()? {
            let root = machine.pop()?;
            return Ok(Pickle { root, nodes: machine.nodes, instructions });
        }
    }
    Err(Broken(format!("its pickle has more than {INSTRUCTIONS_MAX} instructions")))
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Lengths of the stack where groups begin.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Machine<'a> {
    /// Follows one instruction; true for the last.
    fn step(&mut self) -> Result<bool, Trouble> {
        let [code] = self.array()?;
        match code {
            b'.' => return Ok(true),
            // PROTO, and FRAME, which is only a hint to read ahead.
            0x80 => match self.array()? {
                [2..=5] => {}
                [protocol] => return Err(Broken(format!("its pickle is of protocol {protocol}"))),
            },
            0x95 => drop(self.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),

            b'N' | 0x88 | 0x89 => self.stack.push(Value::Nothing),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Whole(value.into()));
            }
            b'K' => {
                let [value] = self.array()?;
                self.stack.push(Value::Whole(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Whole(value.into()));
            }
            0x8A => {
                let [length] = self.array()?;
                let value = whole(self.bytes(length.into())?);
                self.stack.push(Value::Whole(value));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.stack.push(Value::Float(value));
            }
            // Texts, by how their length is written.
            0x8C | b'U' => {
                let [length] = self.array()?;
                self.text(length.into())?;
            }
            b'X' | b'T' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length.into())?;
            }
            0x8D => {
                let length = u64::from_le_bytes(self.array()?);
                self.text(length)?;
            }
            // Bytes.
            b'C' => {
                let [length] = self.array()?;
                self.bytes(length.into())?;
                self.stack.push(Value::Nothing);
            }
            b'B' => {
                let length = u32::from_le_bytes(self.array()?);
                self.bytes(length.into())?;
                self.stack.push(Value::Nothing);
            }

            b'}' => self.keep(Node::Dict(Vec::new())),
            b']' | b')' => self.keep(Node::List(Vec::new())),
            b't' => {
                let items = self.group()?;
                self.keep(Node::List(items));
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=code {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.keep(Node::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.list()?.push(item);
            }
            b'e' => {
                let items = self.group()?;
                self.list()?.extend(items);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.dict()?.push((key, value));
            }
            b'u' => {
                let items = self.group()?;
                if items.len() % 2 != 0 {
                    return broken("its pickle has a key without a value");
                }
                self.dict()?.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }

            b'q' => {
                let [place] = self.array()?;
                self.memoize(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.memoize(place)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let [place] = self.array()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.class(module, name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.class(module, name)?,
                _ => return broken("its pickle names a function by what is no name"),
            },
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            b'b' => {
                // The attributes of an OrderedDict: versions of modules, which no weight depends on.
                self.pop()?;
                match self.top()? {
                    Value::Node(at) if matches!(self.nodes[at], Node::Dict(_)) => {}
                    _ => return Err(Runs("asks to change an object by a function of its own".into())),
                }
            }
            b'i' | b'o' | 0x81 | 0x92 | 0x82..=0x84 => {
                return Err(Runs("asks to make an object of a class".into()));
            }
            _ => return Err(Broken(format!("its pickle has an instruction {code:#04x}, which no tensor needs"))),
        }
        Ok(false)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Trouble> {
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => broken("its pickle is cut off"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        Ok(self.bytes(N as u64)?.try_into().expect("that many bytes"))
    }

    fn line(&mut self) -> Result<&'a str, Trouble> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let Some(end) = end else { return broken("its pickle is cut off") };
        let line = self.bytes(end as u64)?;
        self.bytes(1)?;
        std::str::from_utf8(line).or_else(|_| broken("its pickle has a name that is no text"))
    }

    fn text(&mut self, length: u64) -> Result<(), Trouble> {
        let text =
            std::str::from_utf8(self.bytes(length)?).or_else(|_| broken("its pickle has a name that is no text"))?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    /// The topmost value, which is not below the last mark.
    fn top(&self) -> Result<Value<'a>, Trouble> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&value) if self.stack.len() > floor => Ok(value),
            _ => broken("its pickle takes more than it has put down"),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, Trouble> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// Everything above the last mark.
    fn group(&mut self) -> Result<Vec<Value<'a>>, Trouble> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => broken("its pickle ends a group that was not begun"),
        }
    }

    fn keep(&mut self, node: Node<'a>) {
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
    }

    fn list(&mut self) -> Result<&mut Vec<Value<'a>>, Trouble> {
        match self.top()? {
            Value::Node(at) => match &mut self.nodes[at] {
                Node::List(items) => Ok(items),
                _ => broken("its pickle adds to what is no list"),
            },
            _ => broken("its pickle adds to what is no list"),
        }
    }

    fn dict(&mut self) -> Result<&mut Vec<(Value<'a>, Value<'a>)>, Trouble> {
        match self.top()? {
            Value::Node(at) => match &mut self.nodes[at] {
                Node::Dict(items) => Ok(items),
                _ => broken("its pickle adds a key to what is no dictionary"),
            },
            _ => broken("its pickle adds a key to what is no dictionary"),
        }
    }

    fn memoize(&mut self, place: u32) -> Result<(), Trouble> {
        let value = self.top()?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), Trouble> {
        match self.memo.get(&place) {
            Some(&value) => self.stack.push(value),
            None => return broken("its pickle asks for what it has not kept"),
        }
        Ok(())
    }

    fn class(&mut self, module: &str, name: &str) -> Result<(), Trouble> {
        let class = Class::named(module, name).ok_or_else(|| unknown(module, name))?;
        self.stack.push(Value::Class(class));
        Ok(())
    }

    /// The items of the list or tuple that a value is.
    fn items(&self, value: Value<'a>) -> Result<&[Value<'a>], Trouble> {
        match value {
            Value::Node(at) => match &self.nodes[at] {
                Node::List(items) => Ok(items),
                _ => broken("its pickle has no list where one belongs"),
            },
            _ => broken("its pickle has no list where one belongs"),
        }
    }

    /// `("storage", class, key, device, length)` stands for values that lie beside the pickle.
    fn storage(&mut self) -> Result<(), Trouble> {
        let id = self.pop()?;
        let storage = match *self.items(id)? {
            [
                Value::Text("storage"),
                Value::Class(Class::Storage(element)),
                Value::Text(key),
                _,
                Value::Whole(length),
            ] => usize::try_from(length).ok().map(|length| Storage { element, key, length }),
            _ => None,
        };
        let Some(storage) = storage else { return broken("its pickle refers to values in a way that is not known") };
        self.keep(Node::Storage(storage));
        Ok(())
    }

    /// Does what one of the functions would do.
    fn call(&mut self) -> Result<(), Trouble> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Class(class) = function else { return broken("its pickle calls what is no function") };
        match (class, self.items(arguments)?) {
            (Class::OrderedDict | Class::Counter, []) => self.keep(Node::Dict(Vec::new())),
            (Class::Counter, &[Value::Node(at)]) if matches!(self.nodes[at], Node::Dict(_)) => {
                self.stack.push(Value::Node(at));
            }
            (Class::Size, &[Value::Node(at)]) if matches!(self.nodes[at], Node::List(_)) => {
                self.stack.push(Value::Node(at));
            }
            (Class::Parameter, &[Value::Node(at), ..]) if matches!(self.nodes[at], Node::Tensor(_)) => {
                self.stack.push(Value::Node(at));
            }
            (Class::Tensor, &[Value::Node(storage), Value::Whole(offset), shape, strides, _, _, ref more @ ..])
                if matches!(self.nodes[storage], Node::Storage(_)) =>
            {
                // What PyTorch notes here are views of the negated or conjugated values.
                let plain = |&value: &Value| match value {
                    Value::Node(at) => matches!(&self.nodes[at], Node::Dict(items) if items.is_empty()),
                    value => value == Value::Nothing,
                };
                if !more.iter().all(plain) {
                    return broken("one of its tensors is a view that changes the values");
                }
                let offset = extent(Value::Whole(offset))?;
                let (shape, strides) = (self.extents(shape)?, self.extents(strides)?);
                if shape.len() != strides.len() {
                    return broken("one of its tensors has more extents than strides, or fewer");
                }
                self.keep(Node::Tensor(View { storage, offset, shape, strides }));
            }
            _ => return broken("its pickle calls a function with arguments that it does not have"),
        }
        Ok(())
    }

    fn extents(&self, value: Value<'a>) -> Result<Vec<usize>, Trouble> {
        let items = self.items(value)?;
        if items.len() > DIMENSIONS_MAX {
            return Err(Broken(format!("one of its tensors has {} dimensions", items.len())));
        }
        items.iter().map(|&item| extent(item)).collect()
    }
}

/// What is wrong with a name that is none of [`Class`], and how the rest of the file can be kept.
fn unknown(module: &str, name: &str) -> Trouble {
    let whole = format!("`{}.{}`", short(module), short(name));
    // Kinds of tensors that are made by a function of their own.
    let kind = match (module, name) {
        ("torch._utils", "_rebuild_tensor_v3") => "of a type that growrun does not read, such as float8",
        ("torch._utils", "_rebuild_qtensor") => "quantised, which growrun does not read",
        ("torch._utils", name) if name.contains("sparse") => "sparse, which growrun does not read",
        ("torch._utils", "_rebuild_nested_tensor") => "nested, which growrun does not read",
        _ => "",
    };
    if !kind.is_empty() {
        let help = "turn it into a dense float32 tensor before saving";
        return Broken(format!("one of its tensors is {kind} ({whole}); {help}"));
    }
    if module.split('.').next() == Some("numpy") {
        let help = "save the same dictionary with `float(…)` in its place, or a tensor for an array";
        return Runs(format!("holds a value of NumPy, {whole} ({help}, and the optimiser stays in the file)"));
    }
    let without = "save the same dictionary without it, and the optimiser stays in the file";
    if (module, name) == ("argparse", "Namespace") {
        return Runs(format!("holds the arguments of a script, an object of {whole} ({without})"));
    }
    // Python's classes begin with a capital letter, its functions do not.
    if !name.starts_with(char::is_uppercase) {
        return Runs(format!("asks to run {whole}"));
    }
    Runs(format!("holds an object of {whole} (if it stands in a dictionary: {without})"))
}

fn extent(value: Value) -> Result<usize, Trouble> {
    match value {
        Value::Whole(value) => usize::try_from(value).or_else(|_| broken("one of its tensors has a negative extent")),
        _ => broken("one of its tensors has an extent that is no number"),
    }
}

/// Two's complement of any length, little-endian. What is too large for i64 counts nothing here: seeds of random
/// numbers are.
fn whole(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let fill = if negative { 0xFF } else { 0 };
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(fill);
    let value = i64::from_le_bytes(std::array::from_fn(byte));
    let fits = bytes.iter().skip(8).all(|&byte| byte == fill) && (value < 0) == negative;
    match (fits, negative) {
        (true, _) => value,
        (false, true) => i64::MIN,
        (false, false) => i64::MAX,
    }
}
