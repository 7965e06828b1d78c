//! What open `during` windows have set on layers, and what holds once they are over. The checker and the run
//! keep it in the same way, so that `plan` says what the run does.

use crate::grow::{Change, Plan};
use crate::nn::Architecture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything of a layer that a window can set, beside the learning rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    frozen: Lent<bool>,
    dropouts: Lent<f64>,
}

impl Windows {
    /// A plan is about to be carried out: by the window of event `window`, or for good.
    pub fn note(&mut self, plan: &Plan, window: Option<usize>, before: &Architecture) {
        if let Some((value, layers)) = &plan.freezes {
            for layer in layers {
                match window {
                    Some(number) => {
                        let now = before.layer(layer).is_some_and(|layer| layer.frozen);
                        self.frozen.lend(layer, number, *value, now);
                    }
                    None => self.frozen.settle(layer),
                }
            }
        }
        self.frozen.follow(&plan.changes);
        self.dropouts.follow(&plan.changes);
    }

    /// The dropout of `layer` becomes `to`.
    pub fn note_dropout(&mut self, layer: &str, to: f64, window: Option<usize>, before: &Architecture) {
        match window {
            Some(number) => {
                let now = before.layer(layer).map_or(0.0, |layer| layer.settings.dropout);
                self.dropouts.lend(layer, number, to, now);
            }
            None => self.dropouts.settle(layer),
        }
    }

    /// The window of event `number` is over: gives its layers in each of `architectures` what they have from now on.
    /// Whether that changes anything.
    pub fn leave<'a>(&mut self, number: usize, architectures: impl IntoIterator<Item = &'a mut Architecture>) -> bool {
        let (frozen, dropouts) = (self.frozen.take_back(number), self.dropouts.take_back(number));
        for architecture in architectures {
            for (name, value) in &frozen {
                if let Some(layer) = architecture.layer_mut(name) {
                    layer.frozen = *value;
                }
            }
            for (name, value) in &dropouts {
                if let Some(layer) = architecture.layer_mut(name) {
                    layer.settings.dropout = *value;
                }
            }
        }
        !frozen.is_empty() || !dropouts.is_empty()
    }
}

/// One property of layers, such as whether they are frozen, while windows are open.
///
/// A window lends a value to a layer and takes it back at its end. What holds is what was lent last by a window
/// that is still open, else the layer's own value. An action outside of windows sets a layer for good: its value
/// holds at once, and no window that is open undoes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lent<T> {
    /// By layer; only those to which something is lent.
    layers: BTreeMap<String, Loan<T>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loan<T> {
    own: T,
    /// The number of the window's event and what it lends, the last one last.
    lenders: Vec<(usize, T)>,
}

impl<T: Copy> Lent<T> {
    /// The window of event `number` gives `layer` a value; `now` is the one that it has.
    fn lend(&mut self, layer: &str, number: usize, value: T, now: T) {
        let loan = self.layers.entry(layer.into()).or_insert(Loan { own: now, lenders: Vec::new() });
        loan.lenders.push((number, value));
    }

    /// The layer was set for good.
    fn settle(&mut self, layer: &str) {
        self.layers.remove(layer);
    }

    /// The window of event `number` is over: its layers, and the value that each has from now on.
    fn take_back(&mut self, number: usize) -> Vec<(String, T)> {
        let mut changed = Vec::new();
        self.layers.retain(|layer, loan| {
            let before = loan.lenders.len();
            loan.lenders.retain(|(lender, _)| *lender != number);
            if loan.lenders.len() < before {
                let value = loan.lenders.last().map_or(loan.own, |(_, value)| *value);
                changed.push((layer.clone(), value));
            }
            !loan.lenders.is_empty()
        });
        changed
    }

    /// A copy of a layer has what is lent to the layer, and gives it back with it; what is lent to a layer that
    /// goes is forgotten.
    fn follow(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Copy { from, to } => {
                    if let Some(loan) = self.layers.get(from).cloned() {
                        self.layers.insert(to.clone(), loan);
                    }
                }
                Change::Remove { layer } => {
                    self.layers.remove(layer);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: Copy>(lent: &mut Lent<T>, number: usize) -> Vec<T> {
        lent.take_back(number).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn the_last_window_that_is_open_holds_in_whatever_order_they_end() {
        let mut rates = Lent::default();
        rates.lend("h1", 1, 0.1, 0.0);
        rates.lend("h1", 2, 0.2, 0.1);
        assert_eq!(back(&mut rates, 1), [0.2], "the second window is still open");
        assert_eq!(back(&mut rates, 2), [0.0], "the layer's own value, not what the second window found");
        rates.lend("h1", 1, 0.1, 0.0);
        rates.lend("h1", 2, 0.2, 0.1);
        assert_eq!([back(&mut rates, 2), back(&mut rates, 1)], [[0.1], [0.0]]);
        assert!(back(&mut rates, 1).is_empty());
    }

    #[test]
    fn what_is_set_for_good_is_undone_by_no_window() {
        let mut frozen = Lent::default();
        frozen.lend("h1", 1, true, false);
        frozen.lend("h2", 1, true, false);
        frozen.settle("h1");
        assert_eq!(frozen.take_back(1), [("h2".to_string(), false)]);
    }

    #[test]
    fn a_copy_is_released_with_its_original() {
        let mut frozen = Lent::default();
        frozen.lend("h1", 1, true, false);
        frozen.follow(&[Change::Copy { from: "h1".into(), to: "h3".into() }, Change::Remove { layer: "h1".into() }]);
        assert_eq!(frozen.take_back(1), [("h3".to_string(), false)]);
    }
}
