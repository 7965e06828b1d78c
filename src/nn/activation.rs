//! The activations of the language and what growth must know about each: its range, its value and slope at 0.

use crate::tensor::Real;
use crate::tensor::kernels::{self, Function, Path};

/// φ of a layer. Formulas as in PyTorch; `gelu` is the exact one (erf).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activation {
    Relu,
    /// Slope 0.01 below 0.
    LeakyRelu,
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
    Softplus,
    Elu,
    Selu,
    Linear,
}

impl Activation {
    pub const ALL: [Activation; 10] = [
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Softplus,
        Activation::Elu,
        Activation::Selu,
        Activation::Linear,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky_relu",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Softplus => "softplus",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Linear => "linear",
        }
    }

    pub fn find(word: &str) -> Option<Activation> {
        Activation::ALL.into_iter().find(|activation| activation.word() == word)
    }

    /// For [`crate::base::Kind::Word`].
    pub fn words() -> Vec<&'static str> {
        Activation::ALL.iter().map(|activation| activation.word()).collect()
    }

    /// Whether the default initialiser is He's: zero (or nearly) below 0, linear above.
    pub fn is_relu_like(self) -> bool {
        matches!(
            self,
            Activation::Relu
                | Activation::LeakyRelu
                | Activation::Gelu
                | Activation::Silu
                | Activation::Softplus
                | Activation::Elu
                | Activation::Selu
        )
    }
}

impl Activation {
    /// Its kernel.
    pub(super) fn function(self) -> Function {
        match self {
            Activation::Relu => Function::Relu,
            Activation::LeakyRelu => Function::LeakyRelu,
            Activation::Gelu => Function::Gelu,
            Activation::Silu => Function::Silu,
            Activation::Tanh => Function::Tanh,
            Activation::Sigmoid => Function::Sigmoid,
            Activation::Softplus => Function::Softplus,
            Activation::Elu => Function::Elu,
            Activation::Selu => Function::Selu,
            Activation::Linear => Function::Linear,
        }
    }

    /// φ(t), the same bits that a network gives.
    pub fn at<T: Real>(self, t: T) -> T {
        let mut y = [T::ZERO];
        kernels::activate(Path::portable(), self.function(), &[t], &mut y);
        y[0]
    }

    /// Largest |φ′|, rounded up.
    pub fn steepest(self) -> f64 {
        match self {
            Activation::Gelu => 1.13,
            Activation::Silu => 1.1,
            Activation::Selu => 1.7581,
            Activation::Sigmoid => 0.25,
            _ => 1.0,
        }
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
