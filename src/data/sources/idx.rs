//! `data idx "dir"`: images and labels as MNIST has them.

use super::*;

pub struct Idx;

static DOC: Doc = Doc {
    word: "idx",
    help: "a folder of IDX files named as MNIST's, gz or plain; its t10k files become the test part",
    args: &[path("the folder that holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k files")],
    one_of: &[],
    example: "data idx \"mnist\" { batch 128 }",
    source: "LeCun, Cortes and Burges 1998, the MNIST database",
};

impl Source for Idx {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, _args: &Args, _place: &Place) -> Result<Header, Refusal> {
        Err(images::not_yet(&DOC))
    }

    fn read(&self, _args: &Args, _place: &Place) -> Result<Raw, Refusal> {
        Err(images::not_yet(&DOC))
    }
}
