//! Cotangents of many explained tokens, each with rows of its own.

use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;
use crate::kernels::attention::ExplainedQueries;
use crate::kernels::{RowIndex, host, rows};
use crate::model::sequences::Sequences;

/// Cotangents of many explained tokens at one point of the residual stream.
///
/// The cotangent of an explained token is zero outside the positions it has rows for. At
/// the top it has one row, below the first self-attention as many as the token has predecessors.
#[derive(Debug, Clone)]
pub(in crate::model) struct Cotangents {
    /// Which rows each token has, one token after another.
    pub(in crate::model) explained: Arc<[ExplainedQueries]>,
    /// Row of the forward pass each row belongs to.
    pub(in crate::model) saved_rows: RowIndex,
    /// The cotangents. `[cotangent rows, hidden]`
    pub(in crate::model) rows: Tensor,
}

impl Cotangents {
    /// Wraps `rows`, which `explained` of `sequences` have one after another.
    pub(in crate::model) fn new(
        explained: impl Into<Arc<[ExplainedQueries]>>,
        sequences: &Sequences,
        rows: Tensor,
    ) -> Self {
        let explained = explained.into();
        let saved_rows = explained
            .iter()
            .flat_map(|token| {
                let first = sequences.rows(token.sequence).start;
                token
                    .positions
                    .clone()
                    .map(move |position| first + position)
            })
            .collect();
        Self {
            explained,
            saved_rows,
            rows,
        }
    }

    /// Returns the same explained tokens with cotangents for every position before `end_of` each, also
    /// for those that have no rows here yet.
    ///
    /// Below the first self-attention a token has all these rows already. The layers from there on
    /// share one index.
    pub(in crate::model) fn widened(
        &self,
        end_of: impl Fn(&ExplainedQueries) -> usize,
        sequences: &Sequences,
        rows: Tensor,
    ) -> Self {
        let is_whole = |token: &ExplainedQueries| token.positions == (0..end_of(token));
        if self.explained.iter().all(is_whole) {
            return self.with_rows(rows);
        }
        let widen = |token: &ExplainedQueries| ExplainedQueries {
            sequence: token.sequence,
            positions: 0..end_of(token),
        };
        let explained: Arc<[ExplainedQueries]> = self.explained.iter().map(widen).collect();
        Self::new(explained, sequences, rows)
    }

    /// Returns the same explained tokens with other cotangents, one for each row.
    pub(in crate::model) fn with_rows(&self, rows: Tensor) -> Self {
        Self {
            explained: self.explained.clone(),
            saved_rows: self.saved_rows.clone(),
            rows,
        }
    }

    /// Multiplies every row by the row of `mask` that belongs to the same row of the forward pass.
    /// `[rows, hidden]`
    pub(in crate::model) fn masked(&self, mask: &Tensor) -> Result<Self> {
        let factors = rows::gather(mask, &self.saved_rows)?;
        Ok(self.with_rows(rows::multiply(&self.rows, &factors)?))
    }

    /// Adds `other`, whose explained tokens have the same rows or only their last ones.
    pub(in crate::model) fn add(self, other: &Self) -> Result<Self> {
        if self.saved_rows.len() == other.saved_rows.len() {
            let rows = rows::add(&self.rows, &other.rows)?;
            return Ok(Self { rows, ..self });
        }
        let rows = rows::add_at(&self.rows, &other.rows, &self.last_rows(other))?;
        Ok(Self { rows, ..self })
    }

    /// Returns rows for every position up to each token's last; those it has none for are zero.
    /// `[cotangent rows, hidden]`
    pub(in crate::model) fn into_whole_rows(self) -> Result<Tensor> {
        if self
            .explained
            .iter()
            .all(|token| token.positions.start == 0)
        {
            return Ok(self.rows);
        }
        let mut end = 0;
        let mut indices = Vec::with_capacity(self.saved_rows.len());
        for token in self.explained.iter() {
            indices.extend(end + token.positions.start..end + token.positions.end);
            end += token.positions.end;
        }
        let (_, hidden) = self.rows.dims2()?;
        let zeros = host::zeros((end, hidden), self.rows.dtype())?;
        rows::add_at(&zeros, &self.rows, &indices.into())
    }

    /// Returns where the rows of the explained tokens of `other`, the last of their own, stand in `self`.
    fn last_rows(&self, other: &Self) -> RowIndex {
        let mut end = 0;
        let mut indices = Vec::with_capacity(other.saved_rows.len());
        for (own, others) in self.explained.iter().zip(other.explained.iter()) {
            end += own.positions.len();
            indices.extend(end - others.positions.len()..end);
        }
        indices.into()
    }
}
