//! Specification of norms.

/// A norm that is applied to each row.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSpec {
    /// Checkpoint name without `.weight` or `.bias`.
    pub name: String,
    /// The kind of norm.
    pub kind: NormKind,
    /// Added to the mean square or the variance, so that the norm never divides by zero.
    pub epsilon: f64,
}

impl NormSpec {
    /// Returns an RMS norm.
    pub fn rms(name: impl Into<String>, epsilon: f64) -> Self {
        Self::new(name, NormKind::Rms, epsilon)
    }

    /// Returns a layer norm with a weight and a bias.
    pub fn layer(name: impl Into<String>, epsilon: f64) -> Self {
        Self::new(name, NormKind::Layer, epsilon)
    }

    /// Returns a norm of the given kind.
    pub fn new(name: impl Into<String>, kind: NormKind, epsilon: f64) -> Self {
        Self {
            name: name.into(),
            kind,
            epsilon,
        }
    }
}

/// The kind of norm, with its formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) · weight`. Source: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>.
    Rms,
    /// `x / rms(x) · (1 + weight)`.
    RmsPlusOne,
    /// `(x − mean) / std · weight + bias`. Source: Ba et al. 2016,
    /// <https://arxiv.org/abs/1607.06450>.
    Layer,
    /// `(x − mean) / std · (1 + weight) + bias`.
    LayerPlusOne,
    /// `(x − mean) / std · weight`.
    LayerWithoutBias,
    /// `(x − mean) / std`.
    LayerWithoutWeights,
}

impl NormKind {
    /// Returns whether the stored weights are offsets from 1.
    pub fn is_plus_one(self) -> bool {
        matches!(self, Self::RmsPlusOne | Self::LayerPlusOne)
    }

    /// Returns whether the norm adds a bias.
    pub fn has_bias(self) -> bool {
        matches!(self, Self::Layer | Self::LayerPlusOne)
    }

    /// Returns whether the norm subtracts the mean.
    pub fn is_centered(self) -> bool {
        !matches!(self, Self::Rms | Self::RmsPlusOne)
    }
}
