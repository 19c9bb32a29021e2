//! How a stack learns where a token stands.

use candle_core::{DType, Tensor};

use crate::error::Result;

use crate::kernels::rotary::Rotation;
use crate::kernels::{rows, tensor::tensor};
use crate::model::spec::Positions;

/// Positions `0..max_positions`, prepared.
#[derive(Debug)]
pub(in crate::model) enum PositionTable {
    /// Turns queries and keys.
    Rotary(Rotation),
    /// Is added to the embeddings. `[positions, hidden]`
    Added(Tensor),
}

impl PositionTable {
    /// Prepares the positions `spec` describes.
    pub(in crate::model) fn new(
        spec: &Positions,
        max_positions: usize,
        hidden: usize,
        dtype: DType,
    ) -> Result<Self> {
        match spec {
            Positions::Rotary(rotary) => Ok(Self::Rotary(Rotation::new(
                &rotary.inverse_frequencies,
                max_positions,
                dtype,
            )?)),
            Positions::Sinusoidal => Ok(Self::Added(
                sinusoids(max_positions, hidden)?.to_dtype(dtype)?,
            )),
        }
    }

    /// Adds what is added to embeddings; row `i` stands at `positions[i]`. `[rows, hidden]`
    pub(in crate::model) fn add(&self, embeddings: &Tensor, positions: &[usize]) -> Result<Tensor> {
        match self {
            Self::Rotary(_) => Ok(embeddings.clone()),
            Self::Added(table) => rows::add(embeddings, &rows::gather(table, positions)?),
        }
    }

    /// Returns the rotation of queries and keys, if positions are rotary.
    pub(in crate::model) fn rotation(&self) -> Option<&Rotation> {
        match self {
            Self::Rotary(rotation) => Some(rotation),
            Self::Added(_) => None,
        }
    }
}

/// Waves of falling frequency, sines in the first half of the columns, cosines in the second.
/// Computed in double and rounded to single precision, as in transformers.
///
/// Source: Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.5.
fn sinusoids(positions: usize, hidden: usize) -> Result<Tensor> {
    let num_sines = hidden.div_ceil(2);
    let mut values = Vec::with_capacity(positions * hidden);
    for position in 0..positions {
        for column in 0..hidden {
            let wave = if column < num_sines {
                column
            } else {
                column - num_sines
            };
            let angle = position as f64 / 10_000_f64.powf(2.0 * wave as f64 / hidden as f64);
            let value = if column < num_sines {
                angle.sin()
            } else {
                angle.cos()
            };
            values.push(value as f32);
        }
    }
    tensor(values, (positions, hidden))
}
