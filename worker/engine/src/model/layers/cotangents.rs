//! Cotangents for many explained tokens at once, each with its own rows.

use std::sync::Arc;

use crate::error::Result;
use crate::kernels::attention::ExplainedQueries;
use crate::kernels::{RowIndex, Tensor, host, rows};
use crate::model::sequences::Sequences;

/// Cotangents for many explained tokens at one point of the residual stream.
///
/// The cotangent of an explained token is zero at positions for which it has no row. At the top of
/// the model it has a single row; below the first self-attention it has one row for each position
/// that the token depends on.
#[derive(Debug, Clone)]
pub(in crate::model) struct Cotangents {
    /// The rows of each token, token after token.
    pub(in crate::model) explained: Arc<[ExplainedQueries]>,
    /// For each cotangent row, the row of the forward pass that it belongs to.
    pub(in crate::model) saved_rows: RowIndex,
    /// The cotangents. `[cotangent rows, hidden]`
    pub(in crate::model) rows: Tensor,
}

impl Cotangents {
    /// Wraps `rows`, which hold the rows of each of the `explained` tokens, one token after
    /// another.
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

    /// Returns the same explained tokens with `rows` as cotangents, which cover every position
    /// before `end_of` of each token, including positions without a row so far.
    ///
    /// Below the first self-attention, a token already has all these rows. The row index is then
    /// shared with `self` instead of being built again for every layer.
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

    /// Returns the same explained tokens and rows with other cotangents.
    pub(in crate::model) fn with_rows(&self, rows: Tensor) -> Self {
        Self {
            explained: self.explained.clone(),
            saved_rows: self.saved_rows.clone(),
            rows,
        }
    }

    /// Multiplies every row by the mask of its row in the forward pass. `[rows, hidden]`
    pub(in crate::model) fn masked(&self, mask: &Tensor) -> Result<Self> {
        let factors = rows::gather(mask, &self.saved_rows)?;
        Ok(self.with_rows(rows::multiply(&self.rows, &factors)?))
    }

    /// Adds `other`, whose explained tokens have either the same rows or only the last of them.
    pub(in crate::model) fn add(self, other: &Self) -> Result<Self> {
        if self.saved_rows.len() == other.saved_rows.len() {
            let rows = rows::add(&self.rows, &other.rows)?;
            return Ok(Self { rows, ..self });
        }
        let rows = rows::add_at(&self.rows, &other.rows, &self.last_rows(other))?;
        Ok(Self { rows, ..self })
    }

    /// Returns a row for every position up to each token's last one. Missing rows become zero.
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

    /// Returns where the rows of `other` are in `self`, for each token the last of its rows there.
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
