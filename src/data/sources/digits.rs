//! `data digits`: 1,797 images of handwritten digits, inside the binary.

use super::*;
use std::io::Read;

pub struct Digits;

static DOC: Doc = Doc {
    word: "digits",
    help: "1,797 handwritten digits as 8×8 images with values 0 to 16, inside the program",
    args: &[],
    one_of: &[],
    example: "data digits { batch 32 }",
    source: "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, doi 10.24432/C50P49, CC BY 4.0",
};

/// A line an image: 64 values by rows, then the digit.
static CSV_GZ: &[u8] = include_bytes!("../../../data/digits.csv.gz");
const EXAMPLES: usize = 1797;
const SIDE: usize = 8;

impl Source for Digits {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn header(&self, _args: &Args, _place: &Place) -> Result<Header, Refusal> {
        Ok(header())
    }

    fn read(&self, _args: &Args, _place: &Place) -> Result<Raw, Refusal> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(CSV_GZ).read_to_string(&mut text).expect("the embedded digits unpack");
        let width = SIDE * SIDE;
        let mut values = Vec::with_capacity(EXAMPLES * width);
        let mut classes = Vec::with_capacity(EXAMPLES);
        for line in text.lines() {
            let mut fields = line.split(',').map(|field| field.parse::<u8>().expect("the embedded digits are numbers"));
            values.extend(fields.by_ref().take(width));
            classes.push(u32::from(fields.next().expect("the embedded digits have labels")));
        }
        // It is inside the program, so it is no file.
        let (digest, bytes, _) = digest([("digits", CSV_GZ)]);
        let examples = Part { features: Features::U8 { values, width }, labels: Labels::Classes(classes) };
        Ok(Raw { header: header(), examples, test: None, digest, bytes, files: Vec::new() })
    }
}

fn header() -> Header {
    Header { area: Some((SIDE, SIDE)), ..vectors(EXAMPLES, 1, Task::Classification, 10) }
}
