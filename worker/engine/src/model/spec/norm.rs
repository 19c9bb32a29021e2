//! Normalisations.

/// A normalisation of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSpec {
    /// Checkpoint name up to `.weight` and `.bias`.
    pub name: String,
    /// Which one.
    pub kind: NormKind,
    /// Added to the mean square or variance.
    pub epsilon: f64,
}

impl NormSpec {
    /// Returns an RMS norm.
    pub fn rms(name: impl Into<String>, epsilon: f64) -> Self {
        Self::new(name, NormKind::Rms, epsilon)
    }

    /// Returns a layer norm with weight and bias.
    pub fn layer(name: impl Into<String>, epsilon: f64) -> Self {
        Self::new(name, NormKind::Layer, epsilon)
    }

    /// Returns a norm of any kind.
    pub fn new(name: impl Into<String>, kind: NormKind, epsilon: f64) -> Self {
        Self {
            name: name.into(),
            kind,
            epsilon,
        }
    }
}

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) · weight`. Source: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>.
    Rms,
    /// `x / rms(x) · (1 + weight)`.
    RmsPlusOne,
    /// `(x − mean) / std · weight + bias`. Source: Ba et al. 2016, <https://arxiv.org/abs/1607.06450>.
    Layer,
    /// `(x − mean) / std · weight`.
    LayerWithoutBias,
    /// `(x − mean) / std`.
    LayerWithoutWeights,
}

impl NormKind {
    /// Returns whether the mean is subtracted.
    pub fn is_centered(self) -> bool {
        !matches!(self, Self::Rms | Self::RmsPlusOne)
    }
}
