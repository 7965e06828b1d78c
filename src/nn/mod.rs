//! Networks: first as symbols (axes, widths, layers: what `check` and `plan` replay), then with tensors.
//!
//! The symbolic half ([`Architecture`], [`layers`]) imports nothing of the other half, so a checker that
//! uses it cannot touch a weight.

pub mod activation;
pub mod architecture;
mod arrays;
pub mod axis;
mod blend;
mod gradients;
mod graph;
pub mod init;
pub mod layers;
mod look;
pub mod network;
mod norm;
pub mod parameter;
mod pass;
mod passage;
mod product;
mod window;

/// Examples that are evaluated at once.
pub const EVALUATED: usize = 512;

pub use activation::Activation;
pub use architecture::{Architecture, Feature, Layer, LayerId, Presence, Settings, Task};
pub use axis::{Axis, AxisId, Dim, Side, Width};
pub use gradients::{Piece, Update};
pub use layers::{LAYERS, LayerKind, ParameterShape, Role};
pub use look::Normalised;
pub use network::{Mode, Network};
pub use parameter::{Parameter, Slot, SlotKind};
