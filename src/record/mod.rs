//! What a run leaves behind: `run.yaml`, `metrics.jsonl`, checkpoints, `final.safetensors`.

mod describe;
pub mod load;
mod recorder;
pub mod schema;
pub mod weights;
pub mod yaml;

pub use recorder::{Recorder, slug};
