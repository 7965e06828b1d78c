//! What a run leaves behind: `run.yaml`, `metrics.jsonl`, checkpoints, `final.safetensors`.

pub mod checkpoint;
mod describe;
pub mod diff;
mod fit;
mod initial;
pub mod lines;
pub mod load;
pub mod locate;
pub(crate) mod model;
mod names;
mod recorder;
pub mod replay;
pub mod resume;
pub mod schema;
pub mod share;
mod tensorboard;
pub mod verify;
pub mod weights;
pub mod yaml;

pub use initial::Origin;
pub use names::slug;
pub use recorder::Recorder;
