//! The lines of metrics.jsonl: one for an evaluation, one for each `log every`.

use crate::run::{Evaluated, Stepped};
use serde_json::{Map, Value};

/// One line, by key in the order of the alphabet.
pub type Line = Map<String, Value>;

/// Never compared: how long it took, and what it would have cost, which is counted and not computed.
const NO_RESULT: [&str; 2] = ["seconds", "flops"];

pub fn evaluated(evaluated: &Evaluated) -> Line {
    let mut line = Line::new();
    line.insert("step".into(), evaluated.step.into());
    line.insert("epoch".into(), number(evaluated.epoch));
    line.insert("lr".into(), number(evaluated.lr));
    for (name, value) in evaluated.metrics {
        line.insert(name.clone(), number(*value));
    }
    if let Some(confusion) = evaluated.confusion {
        line.insert("confusion".into(), Value::from(confusion.to_vec()));
    }
    line.insert("parameters".into(), evaluated.parameters.into());
    line.insert("flops".into(), evaluated.flops.into());
    line.insert("seconds".into(), number(evaluated.seconds));
    line
}

pub fn logged(stepped: &Stepped) -> Line {
    let mut line = Line::new();
    line.insert("step".into(), stepped.step.into());
    line.insert("epoch".into(), number(stepped.epoch));
    line.insert("lr".into(), number(stepped.lr));
    line.insert("batch_loss".into(), number(stepped.loss));
    line
}

/// What is not finite has no word in JSON.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The lines of a file. A torn last one is passed over: a power cut may have taken its end. Else the number, from 1,
/// of the first that is none.
pub fn read(content: &[u8]) -> Result<Vec<Line>, usize> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |at| &content[..at]);
    if whole.is_empty() {
        return Ok(Vec::new());
    }
    let line = |(at, line): (usize, &[u8])| match serde_json::from_slice(line) {
        Ok(Value::Object(line)) if line.get("step").is_some_and(Value::is_u64) => Ok(line),
        _ => Err(at + 1),
    };
    whole.split(|byte| *byte == b'\n').enumerate().map(line).collect()
}

/// The step that a line is about.
pub fn step(line: &Line) -> u64 {
    line.get("step").and_then(Value::as_u64).unwrap_or(0)
}

/// What differs between two lines, the first by alphabet: its key, what it was and what it is. Numbers are compared
/// bit by bit, since the decimals of a line are exact.
pub fn first_difference(was: &Line, is: &Line) -> Option<(String, Value, Value)> {
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let value = |line: &Line, key: &String| line.get(key).cloned().unwrap_or(Value::Null);
    keys.into_iter()
        .filter(|key| !NO_RESULT.contains(&key.as_str()))
        .find(|key| was.get(*key) != is.get(*key))
        .map(|key| (key.clone(), value(was, key), value(is, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_passed_over_and_a_broken_one_is_not() {
        let read = |text: &str| read(text.as_bytes()).map(|lines| lines.iter().map(step).collect::<Vec<_>>());
        assert_eq!(read("{\"step\":1}\n{\"step\":2}\n{\"st"), Ok(vec![1, 2]));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("{\"st"), Ok(vec![]));
        assert_eq!(read("{\"step\":1}\n{\"step\"\n{\"step\":3}\n"), Err(2));
        assert_eq!(read("{\"step\":1}\n\n"), Err(2));
        assert_eq!(read("{}\n"), Err(1));
    }

    #[test]
    fn neighbouring_numbers_are_told_apart_and_time_is_no_difference() {
        let line = |loss: f64, seconds: f64| {
            let text = format!("{{\"step\":1,\"val_loss\":{loss},\"seconds\":{seconds}}}\n");
            super::read(text.as_bytes()).expect("a line").remove(0)
        };
        for value in [0.1_f64, 1.0 / 3.0, 2.302585092994046e-5, 123456789.12345678] {
            let next = f64::from_bits(value.to_bits() + 1);
            assert_eq!(first_difference(&line(value, 1.0), &line(value, 2.0)), None);
            let (key, was, is) = first_difference(&line(value, 1.0), &line(next, 1.0)).expect("one bit");
            assert_eq!((key.as_str(), was, is), ("val_loss", value.into(), next.into()));
        }
    }
}
