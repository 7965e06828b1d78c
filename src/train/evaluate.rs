//! The metrics of a part of the data, in evaluation mode.

use super::loss::{Loss, Targets};
use super::metrics::{MetricKind, MetricValue, Tally};
use crate::data::{Part, Scaling};
use crate::nn::{Mode, Network};
use crate::tensor::BatchMut;
use std::collections::BTreeMap;
use std::ops::Range;

/// Examples that go through the network at once, or fewer where they are large. Results do not depend on it.
pub const BATCH: usize = crate::nn::EVALUATED;

/// The metrics of a part of the data, by word, `loss` always among them. Panics on an empty part.
pub fn evaluate(
    network: &mut Network<f32>,
    part: &Part,
    scaling: &Scaling,
    loss: &Loss,
    metrics: &[&MetricKind],
) -> BTreeMap<String, MetricValue> {
    evaluate_while(|| true, network, part, scaling, loss, metrics).expect("nothing breaks it off")
}

/// [`evaluate`], broken off between two batches as soon as `goes_on` says no: `None`.
pub fn evaluate_while(
    goes_on: impl Fn() -> bool,
    network: &mut Network<f32>,
    part: &Part,
    scaling: &Scaling,
    loss: &Loss,
    metrics: &[&MetricKind],
) -> Option<BTreeMap<String, MetricValue>> {
    let path = network.compute().path();
    let batch = network.examples_at_once(BATCH);
    let gather = |range: Range<usize>, out: &mut BatchMut<'_, f32>| part.gather_range(path, range, scaling, out);
    in_batches(goes_on, network, gather, Targets::of(&part.labels), loss, metrics, batch)
}

/// Metrics by word, `loss` always among them, over `targets.len()` examples. `gather` writes the features of a
/// range of examples, scaled; see [`Network::load`]. Panics when there is no example.
pub fn evaluate_with(
    network: &mut Network<f32>,
    gather: impl Fn(Range<usize>, &mut BatchMut<'_, f32>) + Sync,
    targets: Targets<'_>,
    loss: &Loss,
    metrics: &[&MetricKind],
) -> BTreeMap<String, MetricValue> {
    let batch = network.examples_at_once(BATCH);
    evaluate_in_batches(network, gather, targets, loss, metrics, batch)
}

/// [`evaluate_with`] in batches of another size, for the test that this changes nothing.
pub fn evaluate_in_batches(
    network: &mut Network<f32>,
    gather: impl Fn(Range<usize>, &mut BatchMut<'_, f32>) + Sync,
    targets: Targets<'_>,
    loss: &Loss,
    metrics: &[&MetricKind],
    batch: usize,
) -> BTreeMap<String, MetricValue> {
    in_batches(|| true, network, gather, targets, loss, metrics, batch).expect("nothing breaks it off")
}

fn in_batches(
    goes_on: impl Fn() -> bool,
    network: &mut Network<f32>,
    gather: impl Fn(Range<usize>, &mut BatchMut<'_, f32>) + Sync,
    targets: Targets<'_>,
    loss: &Loss,
    metrics: &[&MetricKind],
    batch: usize,
) -> Option<BTreeMap<String, MetricValue>> {
    let examples = targets.len();
    assert!(examples > 0, "an empty part has no metrics: `data` refuses it");
    let mut tally = Tally::new(loss.task(), network.outputs());
    let mut row = Vec::new();
    let is_whole = network.run(batch, |network| {
        for start in (0..examples).step_by(batch) {
            if !goes_on() {
                return false;
            }
            let range = start..examples.min(start + batch);
            network.load(range.len(), |rows, out| gather(start + rows.start..start + rows.end, out));
            network.forward_loaded(Mode::Evaluate);
            let (output, targets) = (network.output(), targets.slice(range));
            loss.add_value(network.compute(), output, targets, &mut row, &mut tally.loss);
            for (example, output) in output.rows().into_iter().enumerate() {
                let output = output.to_slice().expect("a network's output is row-major");
                match targets {
                    Targets::Classes(classes) => tally.add_class(output, classes[example]),
                    Targets::Numbers { values, width } => {
                        tally.add_numbers(output, &values[example * width..][..width]);
                    }
                }
            }
        }
        true
    });
    let all = metrics.iter().copied().chain([super::METRICS[0]]);
    is_whole.then(|| all.map(|metric| (metric.doc.word.to_string(), metric.value(&tally))).collect())
}
