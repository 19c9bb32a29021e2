//! Token embeddings: a table that stays in half precision if the checkpoint keeps it that way.

use candle_core::DType;

use crate::error::Result;
use crate::kernels::{RowIndex, Tensor, rows};

/// The token embedding.
#[derive(Debug)]
pub(super) struct Embedding {
    /// Already multiplied by `scale`, unless it is kept in half precision: scaling would round
    /// there. `[vocabulary, width]`
    table: Tensor,
    scale: f64,
    dtype: DType,
}

impl Embedding {
    /// Takes the stored table, `[vocabulary, width]`. A token's vector is its row times `scale`.
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

    /// Returns the vectors of the tokens `ids`. `[ids, width]`
    pub(super) fn look_up(&self, ids: &RowIndex) -> Result<Tensor> {
        if self.table.dtype() == self.dtype {
            return rows::gather(&self.table, ids);
        }
        let vectors = rows::gather_widened(&self.table, ids, self.dtype)?;
        scaled(vectors, self.scale)
    }

    /// Returns the vectors of the whole vocabulary. `[vocabulary, width]`
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
