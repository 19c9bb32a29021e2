//! One head's rows of one sequence: scores, softmax and mixed values.
//!
//! The weights of a query depend on that query and on the keys alone, so any run of a sequence's
//! queries gives the same bits as all of them together.

use std::ops::Range;

use super::columns::HeadColumns;
use crate::error::Result;
use crate::kernels::attention::trace::{Attention, Heads, Sequence};
use crate::kernels::cpu::exp::softmax_in_place;
use crate::kernels::cpu::gemm::{Strided, WriteMode, small_product};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::{score_bias, softcap};
use crate::kernels::score_bias::ScoreBias;

/// What the heads of an attention read.
pub(super) struct HeadInputs<'a, T> {
    pub(super) heads: Heads,
    bias: Option<&'a ScoreBias>,
    queries: HeadColumns<'a, T>,
    keys: HeadColumns<'a, T>,
    values: HeadColumns<'a, T>,
}

impl<'a, T: Real> HeadInputs<'a, T> {
    pub(super) fn new(attention: &'a Attention<'_>) -> Result<Self> {
        let projections = &attention.projections;
        Ok(Self {
            heads: attention.heads,
            bias: attention.bias,
            queries: HeadColumns::new(&projections.queries)?,
            keys: HeadColumns::new(&projections.keys)?,
            values: HeadColumns::new(&projections.values)?,
        })
    }

    /// Returns what head `head` reads for `queries`, some of the query rows of `sequence`.
    pub(super) fn rows(
        &self,
        head: usize,
        sequence: &Sequence,
        queries: &Range<usize>,
    ) -> HeadRows<'_, T> {
        let (heads, key_head) = (self.heads, self.heads.key_head(head));
        let offset = queries.start - sequence.queries.start;
        HeadRows {
            heads,
            head,
            bias: self.bias,
            first_position: sequence.num_earlier(heads) + offset,
            queries: self.queries.head(heads.dim, head, queries),
            keys: self.keys.head(heads.dim, key_head, &sequence.keys),
            values: self.values.head(heads.dim, key_head, &sequence.keys),
        }
    }
}

/// One head's rows of one sequence.
pub(super) struct HeadRows<'a, T> {
    heads: Heads,
    head: usize,
    bias: Option<&'a ScoreBias>,
    /// Position of the first query. If there are fewer queries than keys, they are the last rows of
    /// their sequence.
    first_position: usize,
    queries: Strided<'a, T>,
    keys: Strided<'a, T>,
    values: Strided<'a, T>,
}

impl<T: Real> HeadRows<'_, T> {
    pub(super) fn num_weights(&self) -> usize {
        self.queries.rows * self.keys.rows
    }

    /// Writes the weights. `[query, key]`
    pub(super) fn weigh(&self, weights: &mut [T]) {
        let num_keys = self.keys.rows;
        small_product(
            T::from_f64(self.heads.scale),
            self.queries,
            self.keys.transposed(),
            (weights, num_keys),
            WriteMode::Replace,
        );
        for (query, row) in weights.chunks_exact_mut(num_keys.max(1)).enumerate() {
            let position = self.first_position + query;
            if let Some(cap) = self.heads.softcap {
                softcap::bound_slice(row, cap);
            }
            if let Some(bias) = self.bias {
                score_bias::add(bias, self.head, position, row);
            }
            let seen = self.heads.seen(position, num_keys);
            row[..seen.start].fill(T::zero());
            softmax_in_place(&mut row[seen.clone()]);
            row[seen.end..].fill(T::zero());
        }
    }

    /// Writes the weighted values into the head's columns of `mixed`.
    pub(super) fn mix(&self, weights: &[T], mixed: &mut [T]) {
        let weights = Strided {
            elements: weights,
            rows: self.queries.rows,
            columns: self.keys.rows,
            row_stride: self.keys.rows,
            column_stride: 1,
        };
        let width = self.heads.queries * self.heads.dim;
        small_product(
            T::one(),
            weights,
            self.values,
            (&mut mixed[self.head * self.heads.dim..], width),
            WriteMode::Replace,
        );
    }
}
