//! How weights lie in the files of other tools, beside how they lie here.
//!
//! | | here | PyTorch, MXNet | Keras, Flax |
//! |---|---|---|---|
//! | a dense layer | [out, in] | the same | [in, out] |
//! | a convolution | [out, in, h, w] | the same | [h, w, in, out] |
//! | a dense layer behind an image | [out, in, h, w] | [out, in·h·w] | [h·w·in, out] |
//! | the map on an image's skip | [out, in] | [out, in, 1, 1] | [1, 1, in, out] |
//!
//! So a file may write dimensions together or add some of extent 1, which moves no value ([`Form`]), and it may have
//! them in another order ([`Layout`]).

use crate::nn::{Architecture, Layer, ParameterShape, Role};
use std::collections::BTreeMap;

/// What of a weight's dimensions other tools write together, or in addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As here.
    #[default]
    Plain,
    /// A dense layer behind an image: channels · height · width are one dimension.
    Flat,
    /// The map on an image's skip: a convolution of one pixel.
    Pointwise,
}

impl Form {
    /// That of a parameter of a layer.
    pub fn of(layer: &Layer, parameter: &ParameterShape) -> Form {
        match (parameter.role, layer.input.area) {
            (Role::Weight, Some(_)) if !layer.block.is_empty() => Form::Pointwise,
            (Role::Weight, Some(_)) if layer.output.area.is_none() => Form::Flat,
            _ => Form::Plain,
        }
    }

    /// Those of all parameters that are not plain.
    pub fn all(architecture: &Architecture) -> BTreeMap<String, Form> {
        let of = |layer: &Layer| -> Vec<(String, Form)> {
            let shapes = layer.kind.parameters(layer, architecture);
            shapes
                .into_iter()
                .map(|shape| (Form::of(layer, &shape), shape.name))
                .map(|(form, name)| (name, form))
                .collect()
        };
        architecture.all_layers().flat_map(of).filter(|(_, form)| *form != Form::Plain).collect()
    }

    /// The form in which a file has a parameter of so many dimensions, by how many it has there.
    pub fn in_file(dimensions: usize, there: usize) -> Form {
        match dimensions.cmp(&there) {
            std::cmp::Ordering::Greater => Form::Flat,
            std::cmp::Ordering::Equal => Form::Plain,
            std::cmp::Ordering::Less => Form::Pointwise,
        }
    }
}

/// In which order a file has the dimensions of a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The units that it makes come last: [in, out].
    pub turned: bool,
    /// What it reads comes behind the pixels: [h, w, in].
    pub channels_last: bool,
}

/// The order of an image's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Channel by channel, as PyTorch flattens.
    First,
    /// Pixel by pixel, as Keras and Flax do.
    Last,
}

impl Channels {
    pub const ALL: [Channels; 2] = [Channels::First, Channels::Last];

    pub fn word(self) -> &'static str {
        match self {
            Channels::First => "first",
            Channels::Last => "last",
        }
    }

    pub fn find(word: &str) -> Option<Channels> {
        Channels::ALL.into_iter().find(|channels| channels.word() == word)
    }
}

/// A `kernel` of Keras and Flax.
pub const KERNEL: Layout = Layout { turned: true, channels_last: true };

impl Layout {
    /// A parameter's dimensions in the order in which a file has them.
    fn order(self, dimensions: usize) -> Vec<usize> {
        if dimensions < 2 {
            return (0..dimensions).collect();
        }
        let mut order: Vec<usize> = (1..dimensions).collect();
        if self.channels_last {
            order.rotate_left(1);
        }
        order.insert(if self.turned { dimensions - 1 } else { 0 }, 0);
        order
    }

    /// What a file says of its dimensions, in the parameter's order.
    pub fn own<T: Clone>(self, there: &[T]) -> Vec<T> {
        let mut pairs: Vec<(usize, &T)> = self.order(there.len()).into_iter().zip(there).collect();
        pairs.sort_by_key(|(dimension, _)| *dimension);
        pairs.into_iter().map(|(_, one)| one.clone()).collect()
    }

    /// What a file writes for dimensions of a parameter, `times` being their product.
    pub fn shape<T: Copy>(self, extents: &[T], form: Form, one: T, times: impl Fn(T, T) -> T) -> Vec<T> {
        let mut extents = extents.to_vec();
        match form {
            Form::Plain => {}
            Form::Flat => {
                let read = extents.drain(1..).reduce(times).unwrap_or(one);
                extents.push(read);
            }
            Form::Pointwise => extents.extend([one, one]),
        }
        self.order(extents.len()).into_iter().map(|dimension| extents[dimension]).collect()
    }

    /// The same of known extents.
    pub fn extents(self, extents: &[usize], form: Form) -> Vec<usize> {
        self.shape(extents, form, 1, |a, b| a * b)
    }

    /// The values of a parameter as a file has them.
    pub fn to_file<T: Copy>(self, values: &[T], extents: &[usize]) -> Vec<T> {
        permuted(values, extents, &self.order(extents.len()))
    }

    /// The values of a file as a parameter has them.
    pub fn from_file<T: Copy>(self, values: &[T], extents: &[usize]) -> Vec<T> {
        let order = self.order(extents.len());
        let there: Vec<usize> = order.iter().map(|&dimension| extents[dimension]).collect();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &dimension)| back[dimension] = place);
        permuted(values, &there, &back)
    }
}

/// Row-major values of these extents, with the dimensions in another order.
fn permuted<T: Copy>(values: &[T], extents: &[usize], order: &[usize]) -> Vec<T> {
    if order.is_sorted() {
        return values.to_vec();
    }
    let mut strides = vec![1; extents.len()];
    for dimension in (1..extents.len()).rev() {
        strides[dimension - 1] = strides[dimension] * extents[dimension];
    }
    let mut index = vec![0; order.len()];
    let mut at = 0;
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[at]);
        // The last of the new dimensions counts; one that is full begins again, and the one before it counts.
        for (place, &dimension) in order.iter().enumerate().rev() {
            index[place] += 1;
            at += strides[dimension];
            if index[place] < extents[dimension] {
                break;
            }
            index[place] = 0;
            at -= strides[dimension] * extents[dimension];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_above_holds() {
        let shape = |layout: Layout, extents: &[usize], form| layout.extents(extents, form);
        let own = Layout::default();
        assert_eq!(shape(KERNEL, &[7, 3], Form::Plain), [3, 7]);
        assert_eq!(shape(own, &[7, 3, 5, 4], Form::Plain), [7, 3, 5, 4]);
        assert_eq!(shape(KERNEL, &[7, 3, 5, 4], Form::Plain), [5, 4, 3, 7]);
        assert_eq!(shape(own, &[7, 3, 5, 4], Form::Flat), [7, 60]);
        assert_eq!(shape(KERNEL, &[7, 3, 5, 4], Form::Flat), [60, 7]);
        assert_eq!(shape(own, &[7, 3], Form::Pointwise), [7, 3, 1, 1]);
        assert_eq!(shape(KERNEL, &[7, 3], Form::Pointwise), [1, 1, 3, 7]);
        assert_eq!(shape(KERNEL, &[7], Form::Plain), [7]);
    }

    #[test]
    fn values_go_there_and_back() {
        let extents = [2, 3, 2, 4];
        let values: Vec<usize> = (0..48).collect();
        for turned in [false, true] {
            for channels_last in [false, true] {
                let layout = Layout { turned, channels_last };
                let there = layout.to_file(&values, &extents);
                assert_eq!(layout.from_file(&there, &extents), values, "{layout:?}");
            }
        }
        // [h, w, in, out]: the unit o of tap (y, x) and channel c.
        let kernel = KERNEL.to_file(&values, &extents);
        let (o, c, y, x) = (1, 2, 1, 3);
        assert_eq!(kernel[((y * 4 + x) * 3 + c) * 2 + o], ((o * 3 + c) * 2 + y) * 4 + x);
        assert_eq!(permuted(&[1, 2, 3, 4, 5, 6], &[2, 3], &[1, 0]), [1, 4, 2, 5, 3, 6]);
        assert!(permuted::<u8>(&[], &[0, 3], &[1, 0]).is_empty());
    }
}
