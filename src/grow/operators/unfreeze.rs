//! `unfreeze h1`: it learns again, from the state and the age at which it stopped.

use super::*;

pub struct Unfreeze;

static DOC: Doc = Doc {
    word: "unfreeze",
    help: "lets frozen layers learn again, from the optimiser's state at which they stopped",
    args: &[TARGET],
    one_of: &[],
    example: "unfreeze h1",
    source: "",
};

impl Operator for Unfreeze {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        freeze::set_frozen("unfreeze", false, args, before)
    }
}
