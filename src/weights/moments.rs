//! Which tensors of a file are weights, and which are an optimiser's state.

use super::File;

/// Last words of the names of an optimiser's tensors.
const STATE: [&str; 8] =
    ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "first_moment", "second_moment", "updates", "step"];

/// The places of the tensors that could be weights: not an optimiser's, and no number that stands alone.
pub fn weights(file: &File) -> Vec<usize> {
    let is_weight = |(_, tensor): &(usize, &super::Tensor)| !tensor.shape.is_empty() && !is_state(&tensor.name);
    file.tensors.iter().enumerate().filter(is_weight).map(|(place, _)| place).collect()
}

/// Whether a tensor's name says that it is an optimiser's.
pub fn is_state(name: &str) -> bool {
    let mut words = name.split(['.', '/']);
    words.clone().next_back().is_some_and(|last| STATE.contains(&last)) || words.any(|word| word == "param_groups")
}
