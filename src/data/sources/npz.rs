//! `data npz "f.npz"`: arrays as NumPy saves them.

use super::*;

pub struct Npz;

static DOC: Doc = Doc {
    word: "npz",
    help: "arrays saved by NumPy's savez or savez_compressed, one example along the first dimension",
    args: &[
        path("the archive"),
        keyword("x", &[Kind::Label], "x", "the array of features: [n, width], or four dimensions for images"),
        keyword("y", &[Kind::Label], "y", "the array of labels: whole numbers are classes, others are to be predicted"),
        keyword("x_test", &[Kind::Label], "none", "features of a test part"),
        keyword("y_test", &[Kind::Label], "none", "labels of a test part"),
        keyword(
            "layout",
            &[Kind::Word(layouts)],
            "",
            "the order of an image's dimensions; needed when `x` has four of them",
        ),
        keyword(
            "task",
            &[Kind::Word(tasks)],
            "by the type of `y`",
            "whether `y` is a class or a number, where its type alone does not tell",
        ),
    ],
    one_of: &[],
    example: "data npz \"cells.npz\" { x images; y labels; layout nhwc }",
    source: "",
};

fn layouts() -> Vec<&'static str> {
    vec!["nchw", "nhwc"]
}

fn tasks() -> Vec<&'static str> {
    vec!["classification", "regression"]
}

impl Source for Npz {
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
