//! One file for each operator: its documentation, and what it does to an architecture.

pub mod duplicate;
pub mod freeze;
pub mod insert_dense;
pub mod insert_identity;
mod kernel;
pub mod narrow;
pub mod remove;
pub mod stack;
pub mod unfreeze;
pub mod widen;

use super::anatomy::*;
use super::plan::{Needs, Plan, Promise, Summary};
use super::{Change, Method, Operator, Rank, Recipe};
use crate::base::{Arg, Args, Doc, Kind, Refusal, Shape, Target, Value};
use crate::nn::{Activation, Architecture, AxisId, Layer, Presence, Settings, Width};

const TARGET: Arg = Arg {
    name: "target",
    shape: Shape::Positional(Kind::Target),
    required: true,
    default: "",
    help: "a layer, a range `h1..h3` in the model's order, or `all`",
};

const ACCEPT: Arg = Arg {
    name: "accept",
    shape: Shape::Keyword(&[Kind::Literal("change")]),
    required: false,
    default: "",
    help: "`accept change`: the network's function may change",
};

const AS: Arg = Arg {
    name: "as",
    shape: Shape::Keyword(&[Kind::NewName]),
    required: false,
    default: "NAME_id1, with the next free number",
    help: "what the new layer is called",
};
