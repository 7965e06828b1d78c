//! What a network tells of its weights and of its last pass, layer by layer: for growth, which measures and judges.

use super::Network;
use super::architecture::Norm;
use super::product::{Held, Learned};
use crate::tensor::{Batch, Real};
use ndarray::{Array1, Array2};
use std::ops::Range;

/// A norm with what it made of the last batch.
#[derive(Clone, Debug)]
pub struct Normalised {
    pub kind: Norm,
    /// ε, γ, and β where there is one.
    pub epsilon: f64,
    pub gain: Array1<f32>,
    pub shift: Option<Array1<f32>>,
    /// [row, out]
    pub input: Array2<f32>,
    /// [row, out]
    pub output: Array2<f32>,
}

impl<T: Real> Network<T> {
    /// Weight [out, in] and bias \[out\] of a layer, copied from the form that they are in: after a pass this costs
    /// nothing for the other layers.
    pub fn weights_of(&self, layer: &str) -> Option<(Array2<T>, Option<Array1<T>>)> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        let copy = |held: &Held<T>| match self.packed {
            true => held.arrays.value.to_transposed(self.compute.path()),
            false => self.parameters[held.parameter].value.iter().copied().collect(),
        };
        let weight = Array2::from_shape_vec((layer.outputs, layer.inputs), copy(&layer.weight)).expect("its shape");
        Some((weight, layer.bias.as_ref().map(|bias| copy(bias).into())))
    }

    /// x·Wᵀ + b of a layer in the last forward pass, before any norm: [row, out]. Rows are examples, or the pixels of
    /// one example after the other.
    pub fn pre_activation(&self, layer: &str) -> Option<Array2<T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        Some(layer.affine(self.batch).to_array(layer.outputs))
    }

    /// What a layer's norm did in the last forward pass; `None` without one.
    pub fn normalised(&self, layer: &str) -> Option<Normalised>
    where
        T: Into<f32>,
    {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        let norm = layer.norm.as_ref()?;
        let vector = |learned: &Learned<T>| -> Array1<f32> {
            let held = &learned.held;
            match self.packed {
                true => (0..layer.outputs).map(|unit| held.arrays.value.at(0, unit).into()).collect(),
                false => self.parameters[held.parameter].value.iter().map(|&x| x.into()).collect(),
            }
        };
        Some(Normalised {
            kind: norm.kind,
            epsilon: norm.epsilon,
            gain: vector(&norm.gain),
            shift: norm.shift.as_ref().map(vector),
            input: layer.affine(self.batch).to_array(layer.outputs).mapv(Into::into),
            output: Batch::new(&layer.z, layer.rows(self.batch)).to_array(layer.outputs).mapv(Into::into),
        })
    }

    /// What a layer read in the last forward pass: [row, in].
    pub fn layer_input(&self, layer: &str) -> Option<Array2<T>> {
        self.layer_input_of(layer, 0..self.batch)
    }

    /// The same for some examples. Of a convolution a row is a patch with its border of zeros, [channel · tap]: many
    /// times as large as the image.
    pub fn layer_input_of(&self, layer: &str, examples: Range<usize>) -> Option<Array2<T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        let x = self.given(layer.source);
        let mut rows = Array2::from_elem((examples.len() * layer.pixels, layer.inputs), T::ZERO);
        match &layer.window {
            Some(window) => window.unfold(x, examples, rows.view_mut()),
            None => {
                let first = examples.start * layer.pixels;
                for (at, mut row) in rows.rows_mut().into_iter().enumerate() {
                    row.iter_mut().enumerate().for_each(|(unit, to)| *to = x.at(first + at, unit));
                }
            }
        }
        Some(rows)
    }

    /// What a layer gave in the last forward pass, after everything: [row, out].
    pub fn layer_output(&self, layer: &str) -> Option<Array2<T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        Some(layer.output(self.batch).to_array(layer.outputs))
    }

    /// ∂L/∂(x·Wᵀ + b) of a layer after the last backward pass: [row, out]. Only for layers that it reached.
    pub fn pre_activation_gradient(&self, layer: &str) -> Option<Array2<T>> {
        let layer = self.layers.iter().find(|l| l.name == layer)?;
        Some(Batch::new(&layer.d, layer.rows(self.batch)).to_array(layer.outputs))
    }
}
