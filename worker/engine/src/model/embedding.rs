//! The vectors of tokens: a table, kept in half precision where the checkpoint keeps it so.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::kernels::{RowIndex, rows};

/// The token embedding.
#[derive(Debug)]
pub(super) struct Embedding {
    /// Scaled unless it is kept in halves. `[vocabulary, width]`
    table: Tensor,
    scale: f64,
    dtype: DType,
}

impl Embedding {
    /// Takes `table`, `[vocabulary, width]`, whose rows times `scale` are the vectors.
    pub(super) fn new(table: Tensor, scale: f64, dtype: DType) -> Result<Self> {
        let table = if table.dtype() == dtype {
            scaled(table, scale)?
        } else {
            table
        };
        Ok(Self {
            table,
            scale,
            dtype,
        })
    }

    /// Returns the vectors of tokens. `[ids, width]`
    pub(super) fn look_up(&self, ids: &RowIndex) -> Result<Tensor> {
        if self.table.dtype() == self.dtype {
            return rows::gather(&self.table, ids);
        }
        let vectors = rows::gather_widened(&self.table, ids, self.dtype)?;
        scaled(vectors, self.scale)
    }

    /// Returns the vectors of all tokens. `[vocabulary, width]`
    pub(super) fn whole(&self) -> Result<Tensor> {
        if self.table.dtype() == self.dtype {
            return Ok(self.table.clone());
        }
        scaled(self.table.to_dtype(self.dtype)?, self.scale)
    }
}

fn scaled(table: Tensor, scale: f64) -> Result<Tensor> {
    if scale == 1.0 {
        Ok(table)
    } else {
        rows::scale(&table, scale)
    }
}
