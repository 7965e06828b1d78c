//! The activations of the language and what growth must know about each: its range, its value and slope at 0.

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

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
