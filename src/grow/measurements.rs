//! What growth must know of a network on training data, beside its parameters.

use super::plan::{Needs, Plan};
use super::{Change, Method, anatomy};
use crate::nn::Network;
use crate::tensor::{Compute, Real};
use ndarray::Array2;
use std::collections::BTreeMap;

/// What the layers that a plan asks about read and were told, on the same examples in evaluation mode.
/// Measuring is the caller's: after a pass over the examples it calls [`Measurements::of`].
#[derive(Clone)]
pub struct Measurements {
    compute: Compute,
    layers: BTreeMap<String, Seen>,
    /// Values for parameters that the plan makes, row-major; the others are drawn.
    given: BTreeMap<String, Vec<f32>>,
}

/// One layer on the examples.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it read: [example, in].
    pub input: Array2<f64>,
    /// ∂L/∂z at its pre-activation, where L is the mean loss over the examples: [example, out]. `None` where
    /// only activations were asked for.
    pub gradient: Option<Array2<f64>>,
}

impl Measurements {
    /// For a plan that needs nothing.
    pub fn none() -> Measurements {
        Measurements { compute: Compute::single(), layers: BTreeMap::new(), given: BTreeMap::new() }
    }

    /// Reads off what `plan` needs, after a forward pass in evaluation mode, and for gradients a backward pass that
    /// reached every layer.
    pub fn of<T: Real>(network: &Network<T>, plan: &Plan) -> Measurements {
        let mut layers = BTreeMap::new();
        for name in asked(plan) {
            if layers.contains_key(&name) {
                continue;
            }
            let wide = |array: Array2<T>| array.mapv(Real::to_f64);
            let input = network.layer_input(&name).map(wide).expect("a plan asks about layers of its network");
            let gradient = match plan.needs {
                Needs::Gradients => network.pre_activation_gradient(&name).map(wide),
                Needs::Nothing | Needs::Activations => None,
            };
            layers.insert(name, Seen { input, gradient });
        }
        Measurements { compute: network.compute().clone(), layers, given: BTreeMap::new() }
    }

    /// The same, with what new parameters begin with.
    pub fn with_given(mut self, given: BTreeMap<String, Vec<f32>>) -> Measurements {
        self.given = given;
        self
    }

    pub(super) fn given(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.given
    }

    /// A layer that the plan asked about.
    pub fn layer(&self, name: &str) -> &Seen {
        self.layers.get(name).unwrap_or_else(|| panic!("`{name}` was to be measured before the event"))
    }

    pub(super) fn compute(&self) -> &Compute {
        &self.compute
    }
}

impl Seen {
    /// The gradient at the pre-activation. Panics where it was not measured.
    pub fn gradient(&self) -> &Array2<f64> {
        self.gradient.as_ref().expect("the plan needs gradients, so they were measured")
    }
}

/// The layers about which a plan asks, each perhaps more than once; they keep their names through it.
fn asked(plan: &Plan) -> Vec<String> {
    let mut names = Vec::new();
    for change in &plan.changes {
        let (axis, with_writers) = match change {
            Change::Narrow { axis, .. } => (*axis, false),
            Change::Widen { axis, method: Method::Gradmax, .. } => (*axis, true),
            _ => continue,
        };
        let writers = anatomy::weight_writers(axis, &plan.after).filter(|_| with_writers);
        names.extend(anatomy::weight_readers(axis, &plan.after).chain(writers).map(|layer| layer.name.clone()));
    }
    names
}
