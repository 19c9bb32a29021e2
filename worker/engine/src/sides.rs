//! The two sides of a model: what its encoder reads, and what its decoder reads and writes.
//!
//! Most models have one vocabulary and one embedding table for both sides. Values kept per side are
//! then the same on both, so that no caller needs to know which kind of model it serves.
//! Decoder-only models have only the target side.

/// One side of a model: a stack of layers with its text, vocabulary and embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The encoder.
    Source,
    /// The decoder, the only stack of a decoder-only model.
    Target,
}

/// One value per side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// The source's.
    pub source: T,
    /// The target's.
    pub target: T,
}

impl<T> Sides<T> {
    /// Returns the value of `side`.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Builds the value of each side.
    ///
    /// Fails if `make` fails for either side.
    pub fn try_new<E>(mut make: impl FnMut(Side) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            source: make(Side::Source)?,
            target: make(Side::Target)?,
        })
    }
}
