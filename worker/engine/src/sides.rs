//! The two sides of a model: what its encoder reads, and what its decoder reads and writes.
//!
//! Most models have one vocabulary and one embedding table for both. What is kept a side is the same
//! on both there, so nothing has to ask which kind of model it serves. Decoder-only models have the
//! target alone.

/// A side: a stack, its text, its vocabulary, its embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The encoder.
    Source,
    /// The decoder, the only stack of a decoder-only model.
    Target,
}

/// Something of each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// The source's.
    pub source: T,
    /// The target's.
    pub target: T,
}

impl<T> Sides<T> {
    /// Returns that of `side`.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Makes something of each side.
    ///
    /// Fails where `make` fails.
    pub fn try_new<E>(mut make: impl FnMut(Side) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            source: make(Side::Source)?,
            target: make(Side::Target)?,
        })
    }
}
