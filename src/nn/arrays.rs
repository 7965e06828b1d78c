//! The arrays of a parameter in the two forms that they have: row-major for growth and records, panels for
//! training. They are in one form at a time, so that neither can be out of date.

use super::parameter::Parameter;
use crate::tensor::kernels::Path;
use crate::tensor::{Panels, Real};
use ndarray::{ArrayD, IxDyn};

/// A parameter's arrays in panels: a weight [out, in] as [in, out], a vector as one row.
#[derive(Clone, Debug)]
pub(super) struct Arrays<T> {
    pub value: Panels<T>,
    /// In the order of the parameter's slots.
    pub slots: Vec<Panels<T>>,
    /// Only where somebody wants to see it: an update without clipping uses gradients up as they are made.
    pub gradient: Option<Panels<T>>,
}

/// (rows, columns) of a parameter's panels. The ages know the extents in both forms.
fn extents<T>(parameter: &Parameter<T>) -> (usize, usize) {
    match parameter.births.as_slice() {
        [] => (1, 1),
        [only] => (1, only.len()),
        [out, rest @ ..] => (rest.iter().map(Vec::len).product(), out.len()),
    }
}

impl<T: Real> Arrays<T> {
    /// Those of a parameter that has its own.
    pub fn empty() -> Arrays<T> {
        Arrays { value: Panels::zeros(0, 0), slots: Vec::new(), gradient: None }
    }

    /// Takes the arrays out of a parameter, whose own are empty from then on.
    pub fn take(path: Path, parameter: &mut Parameter<T>) -> Arrays<T> {
        let (rows, columns) = extents(parameter);
        let pack = |array: &mut ArrayD<T>| {
            let array = std::mem::replace(array, ArrayD::from_elem(IxDyn(&[0]), T::ZERO));
            Panels::transposed(path, array.as_slice().expect("arrays are kept in row-major order"), rows, columns)
        };
        let value = pack(&mut parameter.value);
        let slots = parameter.slots.iter_mut().map(|slot| pack(&mut slot.value)).collect();
        let seen = parameter.gradient.iter().any(|g| *g != T::ZERO);
        let gradient = Some(pack(&mut parameter.gradient)).filter(|_| seen);
        Arrays { value, slots, gradient }
    }

    /// The inverse of [`Arrays::take`]. A gradient that nobody kept is 0.
    pub fn give_back(self, path: Path, parameter: &mut Parameter<T>) {
        let extents: Vec<usize> = parameter.births.iter().map(Vec::len).collect();
        let unpack = |panels: Panels<T>| {
            debug_assert!(panels.spare_is_zero(), "spare columns hold 0");
            ArrayD::from_shape_vec(IxDyn(&extents), panels.to_transposed(path)).expect("panels of that shape")
        };
        parameter.value = unpack(self.value);
        for (slot, panels) in parameter.slots.iter_mut().zip(self.slots) {
            slot.value = unpack(panels);
        }
        parameter.gradient = match self.gradient {
            Some(panels) => unpack(panels),
            None => ArrayD::from_elem(IxDyn(&extents), T::ZERO),
        };
    }
}
