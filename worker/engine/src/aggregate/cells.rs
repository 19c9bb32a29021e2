//! The scores of one side of one step, in double precision while they are being aggregated.

use crate::kernels::{Tensor, host};
use crate::{Error, ScoreRows};

/// Scores of consecutive tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells {
    /// Scores, token after token.
    pub(super) values: Vec<f64>,
    /// Shape of one token's scores.
    pub(super) row_shape: Vec<usize>,
}

impl Cells {
    /// Copies the scores from a tensor. `[tokens, …]`
    pub(super) fn from_tensor(tensor: &Tensor) -> Result<Self, Error> {
        Ok(Self {
            values: host::download(tensor)?,
            row_shape: tensor.dims()[1..].to_vec(),
        })
    }

    /// Copies stored scores.
    pub(super) fn from_rows(rows: &ScoreRows) -> Self {
        Self {
            values: rows.values.iter().copied().map(f64::from).collect(),
            row_shape: rows.row_shape.clone(),
        }
    }

    pub(super) fn into_rows(self) -> ScoreRows {
        ScoreRows {
            values: self.values.iter().map(|&v| v as f32).collect(),
            row_shape: self.row_shape,
        }
    }
}
