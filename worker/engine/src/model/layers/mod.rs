//! The pieces a stack is made of. Each knows its forward pass, what to keep of it, and its
//! vector–Jacobian product for many seeds at once.

pub(super) mod attention;
pub(super) mod cross_attention;
mod experts;
mod feed_forward;
mod linear;
mod mixing;
mod norm;
mod positions;
mod sublayer;

pub(super) use linear::Linear;
pub(super) use norm::Norm;
pub(super) use positions::{added_positions, score_bias};
pub(super) use sublayer::{Sublayer, SublayerTrace};

use candle_core::Tensor;

use crate::error::Result;

use super::sequences::Sequences;
use crate::kernels::attention::SeedQueries;
use crate::kernels::rows;

/// What the encoder gave the decoder.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// The encoder's output. `[source rows, hidden]`
    pub(super) rows: Tensor,
    /// Source `i` belongs to target `i`.
    pub(super) sequences: Sequences,
}

/// Cotangents of many seeds at one point of the residual stream.
///
/// A seed is one explained token; its cotangent is zero outside the positions it has rows for. At
/// the top it has one row, below the first self-attention as many as the token has predecessors.
#[derive(Debug, Clone)]
pub(super) struct Cotangents {
    /// Which rows each seed has, one seed after another.
    pub(super) seeds: Vec<SeedQueries>,
    /// Row of the forward pass each row belongs to.
    pub(super) saved_rows: Vec<usize>,
    /// The cotangents. `[seed rows, hidden]`
    pub(super) rows: Tensor,
}

impl Cotangents {
    /// Wraps `rows`, which `seeds` of `sequences` have one after another.
    pub(super) fn new(seeds: Vec<SeedQueries>, sequences: &Sequences, rows: Tensor) -> Self {
        let saved_rows = seeds
            .iter()
            .flat_map(|seed| {
                let first = sequences.rows(seed.sequence).start;
                seed.positions.clone().map(move |position| first + position)
            })
            .collect();
        Self {
            seeds,
            saved_rows,
            rows,
        }
    }

    /// Returns the same seeds with other cotangents, one for each row.
    pub(super) fn with_rows(&self, rows: Tensor) -> Self {
        Self {
            seeds: self.seeds.clone(),
            saved_rows: self.saved_rows.clone(),
            rows,
        }
    }

    /// Multiplies every row by the row of `mask` that belongs to the same row of the forward pass.
    /// `[rows, hidden]`
    pub(super) fn masked(&self, mask: &Tensor) -> Result<Self> {
        let factors = rows::gather(mask, &self.saved_rows)?;
        Ok(self.with_rows(rows::multiply(&self.rows, &factors)?))
    }

    /// Adds `other`, whose seeds have the same rows or only their last ones.
    pub(super) fn add(self, other: &Self) -> Result<Self> {
        if self.saved_rows.len() == other.saved_rows.len() {
            let rows = rows::add(&self.rows, &other.rows)?;
            return Ok(Self { rows, ..self });
        }
        let rows = rows::add_at(&self.rows, &other.rows, &self.last_rows(other))?;
        Ok(Self { rows, ..self })
    }

    /// Returns rows for every position up to each seed's last; those it has none for are zero.
    /// `[seed rows, hidden]`
    pub(super) fn into_whole_rows(self) -> Result<Tensor> {
        if self.seeds.iter().all(|seed| seed.positions.start == 0) {
            return Ok(self.rows);
        }
        let mut end = 0;
        let mut indices = Vec::with_capacity(self.saved_rows.len());
        for seed in &self.seeds {
            indices.extend(end + seed.positions.start..end + seed.positions.end);
            end += seed.positions.end;
        }
        let (_, hidden) = self.rows.dims2()?;
        let zeros = Tensor::zeros((end, hidden), self.rows.dtype(), self.rows.device())?;
        rows::add_at(&zeros, &self.rows, &indices)
    }

    /// Returns where the rows of `other`'s seeds, the last of their own, stand in `self`.
    fn last_rows(&self, other: &Self) -> Vec<usize> {
        let mut end = 0;
        let mut indices = Vec::with_capacity(other.saved_rows.len());
        for (own, others) in self.seeds.iter().zip(&other.seeds) {
            end += own.positions.len();
            indices.extend(end - others.positions.len()..end);
        }
        indices
    }
}
