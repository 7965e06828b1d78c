//! `data images "dir"`: a word of the language that is not carried out yet.

use super::*;

pub struct Images;

static DOC: Doc = Doc {
    word: "images",
    help: "a folder with one folder of png or jpeg files per class (not available yet)",
    args: &[path("the folder that holds one folder per class")],
    one_of: &[],
    example: "data images \"flowers\" { batch 32 }",
    source: "as torchvision's ImageFolder",
};

/// What a source answers that parses and is checked but cannot be read yet.
pub fn not_yet(doc: &Doc) -> Refusal {
    Refusal::error(
        "G0910",
        format!("the data source `{}` is not available yet", doc.word),
        "save the data as `npz` (NumPy's savez) or `idx`, which can be read",
    )
    .here("cannot be read yet")
}

impl Source for Images {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, _args: &Args, _place: &Place) -> Result<Header, Refusal> {
        Err(not_yet(&DOC))
    }

    fn read(&self, _args: &Args, _place: &Place) -> Result<Raw, Refusal> {
        Err(not_yet(&DOC))
    }

    fn runs(&self) -> bool {
        false
    }
}
