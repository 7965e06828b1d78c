//! What a run leaves behind: `run.yaml`, `metrics.jsonl`, checkpoints, `final.safetensors`.

pub mod checkpoint;
mod describe;
pub mod diff;
mod fit;
pub mod lines;
pub mod load;
pub mod locate;
mod model;
mod recorder;
pub mod replay;
pub mod resume;
pub mod schema;
pub mod share;
pub mod verify;
pub mod weights;
pub mod yaml;

pub use recorder::{Origin, Recorder, slug};
