//! `data csv "f.csv"`: a table with one example a row.

use super::*;

pub struct Csv;

static DOC: Doc = Doc {
    word: "csv",
    help: "a table of numbers with one example a row; a header line is detected",
    args: &[
        path("the table, plain or gz"),
        keyword(
            "target",
            &[Kind::Either(&[Kind::Label, Kind::Integer])],
            "the last column",
            "the column to predict, by name, or by number from 1 where there is no header",
        ),
        keyword(
            "task",
            &[Kind::Word(tasks)],
            "by the target's values",
            "whether the target is a class or a number, where the values alone do not tell",
        ),
        keyword("test", &[Kind::Text], "none", "a second table with the same columns, used as the test part"),
    ],
    one_of: &[],
    example: "data csv \"flowers.csv\" { target species; test \"flowers_test.csv\" }",
    source: "",
};

fn tasks() -> Vec<&'static str> {
    vec!["classification", "regression"]
}

impl Source for Csv {
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
