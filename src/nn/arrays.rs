//! The arrays of a parameter in the two forms that they have: row-major for growth and records, panels for
//! training. They are in one form at a time, so that neither can be out of date.

use super::architecture::Architecture;
use super::layers::ParameterShape;
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
        let empty = |array: &mut ArrayD<T>| std::mem::replace(array, ArrayD::from_elem(IxDyn(&[0]), T::ZERO));
        let pack = |array: &mut ArrayD<T>| {
            let array = empty(array);
            Panels::transposed(path, array.as_slice().expect("arrays are kept in row-major order"), rows, columns)
        };
        let value = pack(&mut parameter.value);
        let slots = parameter.slots.iter_mut().map(|slot| pack(&mut slot.value)).collect();
        let seen = parameter.gradient.iter().any(|g| *g != T::ZERO);
        let gradient = seen.then(|| pack(&mut parameter.gradient));
        empty(&mut parameter.gradient);
        Arrays { value, slots, gradient }
    }

    /// The inverse of [`Arrays::take`]. A gradient that nobody kept is 0.
    pub fn give_back(self, path: Path, parameter: &mut Parameter<T>) {
        let extents: Vec<usize> = parameter.births.iter().map(Vec::len).collect();
        let unpack = |panels: Panels<T>| {
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

/// Checks a parameter against its shape and brings its arrays into row-major order.
pub(super) fn settle_shape<T: Real>(parameter: &mut Parameter<T>, shape: &ParameterShape, architecture: &Architecture) {
    let extents = shape.extents(architecture);
    let name = &parameter.name;
    assert_eq!(parameter.value.shape(), extents, "`{name}` has the architecture's shape");
    parameter.dims.clone_from(&shape.dims);
    if parameter.gradient.shape() != extents {
        parameter.gradient = ArrayD::from_elem(IxDyn(&extents), T::ZERO);
    }
    let arrays = [&mut parameter.value, &mut parameter.gradient];
    for array in arrays.into_iter().chain(parameter.slots.iter_mut().map(|slot| &mut slot.value)) {
        assert_eq!(array.shape(), extents, "every array of `{name}` has its shape");
        if !array.is_standard_layout() {
            *array = array.as_standard_layout().into_owned();
        }
    }
    let ages: Vec<usize> = parameter.births.iter().map(Vec::len).collect();
    assert_eq!(ages, extents, "`{name}` knows the age of every index");
}
