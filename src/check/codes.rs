//! Every code with its title, and its page in `docs/errors/`.
//!
//! The parser's codes and those of data files stand with their floors; this table holds them all.

use crate::{data, syntax};

/// The codes of the checker and of the floors that it judges by.
const OWN: &[(&str, &str)] = &[
    ("G0101", "unknown layer"),
    ("G0102", "the layer does not exist yet"),
    ("G0103", "the name is taken"),
    ("G0104", "a time needs its unit"),
    ("G0105", "unknown word"),
    ("G0106", "a value is missing or is of another kind"),
    ("G0107", "a number out of sense"),
    ("G0108", "given twice"),
    ("G0109", "a section is missing"),
    ("G0201", "already at least that wide"),
    ("G0202", "an event after the end"),
    ("G0203", "two times fall on one step"),
    ("G0204", "this never happens"),
    ("G0205", "unreachable after stop"),
    ("G0206", "the input or output cannot be changed"),
    ("G0207", "fresh units could never learn"),
    ("G0208", "the method cannot make that many units"),
    ("G0209", "growth after the last step"),
    ("G0210", "all repeats come at once"),
    ("G0211", "`during` cannot undo this"),
    ("G0212", "growth outside the arms"),
    ("G0213", "this always holds"),
    ("G0214", "an arm begins with its own end"),
    ("G0220", "an assertion does not hold"),
    ("G0221", "growth broke its promise"),
    ("G0222", "growth moved the outputs"),
    ("G0223", "the learning rate cannot be set here"),
    ("G0224", "which arm is to run"),
    ("G0225", "there is nothing to compare"),
    ("G0301", "a shape does not fit"),
    ("G0302", "the ends of a skip are unequal"),
    ("G0401", "the edit would change the function"),
    ("G0501", "the metric is never computed"),
    ("G0502", "unknown metric"),
    ("G0503", "of another task"),
    ("G0601", "too many parameters"),
    ("G0602", "too much memory"),
    ("G0603", "too many steps"),
    ("G0604", "too many events"),
    ("G0605", "too much disk"),
    ("G0606", "too many arms"),
    ("G0801", "a file cannot be read or written"),
    ("G0802", "a file is too large"),
    ("G0803", "this is no record that can be read"),
    ("G0804", "the run has not ended"),
    ("G0805", "another process is using it"),
    ("G0806", "the run diverged"),
    ("G0807", "there is nothing to go on from"),
    ("G0808", "the data is not that of the record"),
    ("G0809", "a file of a run was changed"),
    ("G0820", "a weights file cannot be read"),
    ("G0821", "the weights file asks to run code"),
    ("G0822", "a weight is not finite"),
    ("G0823", "no tensor is found for a parameter"),
    ("G0824", "a tensor belongs to no layer"),
    ("G0825", "a tensor has another shape"),
    ("G0826", "there is no data to measure on"),
    ("G0827", "the activations are not in the file"),
    ("G0828", "the optimiser's state does not fit"),
    ("G0829", "the examples cannot be used"),
    ("G0830", "data is scaled for given weights"),
    ("G0901", "a learning rate for one layer"),
    ("G0902", "`or` in a condition"),
    ("G0903", "a time on the clock"),
    ("G0904", "hooks, callbacks and code"),
    ("G0905", "a device"),
    ("G0906", "weight decay inside adam"),
    ("G0910", "not available yet"),
    ("G0911", "the command line was not understood"),
];

const COUNT: usize = OWN.len() + syntax::CODES.len() + data::CODES.len();

const ALL: [(&str, &str); COUNT] = {
    let mut all = [("", ""); COUNT];
    let mut at = 0;
    let parts = [syntax::CODES, OWN, data::CODES];
    let mut part = 0;
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            all[at] = parts[part][row];
            at += 1;
            row += 1;
        }
        part += 1;
    }
    all
};

/// Every code with its title.
pub const CODES: &[(&str, &str)] = &ALL;

macro_rules! pages {
    ($($code:literal)*) => {
        &[$(($code, include_str!(concat!("../../docs/errors/", $code, ".md")))),*]
    };
}

const PAGES: &[(&str, &str)] = pages! {
    "G0001" "G0002" "G0003" "G0004" "G0005" "G0006" "G0007" "G0008"
    "G0009" "G0010" "G0011" "G0012" "G0013" "G0014" "G0015" "G0101"
    "G0102" "G0103" "G0104" "G0105" "G0106" "G0107" "G0108" "G0109"
    "G0201" "G0202" "G0203" "G0204" "G0205" "G0206" "G0207" "G0208"
    "G0209" "G0210" "G0211" "G0212" "G0213" "G0214" "G0220" "G0221" "G0222" "G0223" "G0224" "G0225" "G0301" "G0302" "G0401" "G0501"
    "G0502" "G0503" "G0601" "G0602" "G0603" "G0604" "G0605" "G0606" "G0701" "G0702"
    "G0703" "G0704" "G0705" "G0706" "G0707" "G0708" "G0709" "G0710"
    "G0711" "G0712" "G0713" "G0714" "G0715" "G0716" "G0717" "G0718"
    "G0719" "G0720" "G0721" "G0722" "G0723" "G0724" "G0725" "G0726"
    "G0727" "G0728" "G0729" "G0730" "G0731" "G0732" "G0733" "G0801" "G0802" "G0803" "G0804" "G0805" "G0806"
    "G0807" "G0808" "G0809" "G0820" "G0821" "G0822" "G0823" "G0824" "G0825" "G0826" "G0827" "G0828" "G0829" "G0830"
    "G0901" "G0902" "G0903" "G0904" "G0905" "G0906" "G0910" "G0911"
};

/// The page about a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}
