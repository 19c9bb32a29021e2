//! The backward pass of one explained token, head by head.

use std::ops::Range;

use super::super::columns::HeadColumns;
use crate::error::Result;
use crate::kernels::attention::trace::{AttentionTrace, ExplainedQueries, Heads, Sequence};
use crate::kernels::cpu::gemm::{Strided, WriteMode, small_product};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::View;
use crate::kernels::cpu::softcap;

/// What the forward pass left of all sequences.
pub(super) struct SavedPass<'a, T> {
    pub(super) trace: &'a AttentionTrace,
    pub(super) weights: View<'a, T>,
    pub(super) mask: Option<View<'a, T>>,
    pub(super) queries: HeadColumns<'a, T>,
    pub(super) keys: HeadColumns<'a, T>,
    pub(super) values: HeadColumns<'a, T>,
}

/// One explained token's share of the backward pass.
pub(super) struct TokenShare<'a, T> {
    pass: &'a SavedPass<'a, T>,
    heads: Heads,
    sequence: &'a Sequence,
    positions: Range<usize>,
    /// Cotangents of the mixed values of its queries. `[queries, heads · dim]`
    dmixed: &'a [T],
}

impl<'a, T: Real> TokenShare<'a, T> {
    pub(super) fn new(
        pass: &'a SavedPass<'a, T>,
        token: &ExplainedQueries,
        dmixed: &'a [T],
    ) -> Self {
        Self {
            pass,
            heads: pass.trace.heads,
            sequence: &pass.trace.sequences[token.sequence],
            positions: token.positions.clone(),
            dmixed,
        }
    }

    /// Writes the cotangents of the token's queries, `[queries, heads · dim]`, and of its keys and
    /// values, `[keys, 2 · key heads · dim]`. Fails once a stop is requested.
    pub(super) fn pull_back(&self, dq: &mut [T], dkv: &mut [T]) -> Result<()> {
        let num_keys = if self.heads.causal {
            self.sequence.num_earlier(self.heads) + self.positions.end
        } else {
            self.sequence.keys.len()
        };
        let mut dscores = vec![T::zero(); self.positions.len() * num_keys];
        for head in 0..self.heads.queries {
            self.pass.trace.stop.check()?;
            self.pull_back_head(head, &mut dscores, [&mut *dq, &mut *dkv]);
        }
        Ok(())
    }

    fn pull_back_head(&self, head: usize, dscores: &mut [T], [dq, dkv]: [&mut [T]; 2]) {
        let Heads {
            queries: num_heads,
            keys: kv_heads,
            dim,
            ..
        } = self.heads;
        let kv_width = 2 * kv_heads * dim;
        let views = self.views(head, dscores.len() / self.positions.len());
        let key_head = self.heads.key_head(head);
        let earlier = self.sequence.num_earlier(self.heads);
        // Several query heads add to one key head; the first one writes.
        let into = if head.is_multiple_of(num_heads / kv_heads) {
            WriteMode::Replace
        } else {
            WriteMode::Add
        };
        let dvalues = &mut dkv[(kv_heads + key_head) * dim..];
        views.pull_back_values(earlier, (dvalues, kv_width), into);
        self.pull_back_scores(&views, dscores);
        let dscores = Strided {
            elements: &*dscores,
            row_stride: views.weights.columns,
            ..views.weights
        };
        let scale = T::from_f64(self.heads.scale);
        let dqueries = (&mut dq[head * dim..], num_heads * dim);
        small_product(scale, dscores, views.keys, dqueries, WriteMode::Replace);
        let dkeys = (&mut dkv[key_head * dim..], kv_width);
        let dscores = dscores.columns_from(earlier).transposed();
        small_product(scale, dscores, views.queries, dkeys, into);
    }

    /// Writes the cotangents of the scores. `[queries, keys]`
    fn pull_back_scores(&self, views: &HeadViews<'_, T>, dscores: &mut [T]) {
        let num_keys = views.keys.rows;
        small_product(
            T::one(),
            views.dmixed,
            views.values.transposed(),
            (dscores, num_keys),
            WriteMode::Replace,
        );
        for (query, row) in dscores.chunks_exact_mut(num_keys).enumerate() {
            let first = query * views.weights.row_stride;
            if let Some(mask) = views.mask {
                for (d, &factor) in row.iter_mut().zip(&mask[first..]) {
                    *d *= factor;
                }
            }
            softmax_vjp(&views.weights.elements[first..][..num_keys], row);
        }
        if let Some(cap) = self.heads.softcap {
            let mut scores = vec![T::zero(); dscores.len()];
            small_product(
                T::from_f64(self.heads.scale),
                views.queries,
                views.keys.transposed(),
                (&mut scores, num_keys),
                WriteMode::Replace,
            );
            softcap::bound_slice(&mut scores, cap);
            softcap::vjp_slice(&scores, dscores, cap);
        }
    }

    /// Returns what the token reads of one head, of the first `num_keys` keys.
    fn views(&self, head: usize, num_keys: usize) -> HeadViews<'_, T> {
        let pass = self.pass;
        let Heads { queries, dim, .. } = self.heads;
        let (key_head, total_keys) = (self.heads.key_head(head), self.sequence.keys.len());
        let first = self.sequence.first_weight
            + (head * self.sequence.queries.len() + self.positions.start) * total_keys;
        let first_query = self.sequence.queries.start;
        let asked = first_query + self.positions.start..first_query + self.positions.end;
        let seen = self.sequence.keys.start..self.sequence.keys.start + num_keys;
        HeadViews {
            weights: Strided {
                elements: &pass.weights[first..],
                rows: self.positions.len(),
                columns: num_keys,
                row_stride: total_keys,
                column_stride: 1,
            },
            mask: pass.mask.as_ref().map(|mask| &mask[first..]),
            dmixed: Strided {
                elements: &self.dmixed[head * dim..],
                rows: self.positions.len(),
                columns: dim,
                row_stride: queries * dim,
                column_stride: 1,
            },
            queries: pass.queries.head(dim, head, &asked),
            keys: pass.keys.head(dim, key_head, &seen),
            values: pass.values.head(dim, key_head, &seen),
        }
    }
}

/// What a token reads of one head.
struct HeadViews<'a, T> {
    /// `[queries, keys]`
    weights: Strided<'a, T>,
    /// Factors of the weights, in rows as far apart as theirs.
    mask: Option<&'a [T]>,
    /// `[queries, dim]`
    dmixed: Strided<'a, T>,
    /// `[queries, dim]`
    queries: Strided<'a, T>,
    /// `[keys, dim]`
    keys: Strided<'a, T>,
    /// `[keys, dim]`
    values: Strided<'a, T>,
}

impl<T: Real> HeadViews<'_, T> {
    /// Writes the cotangents of the values, those of an earlier pass's `earlier` left out, to rows of a
    /// given stride. `[keys, dim]`
    fn pull_back_values(&self, earlier: usize, dvalues: (&mut [T], usize), into: WriteMode) {
        let masked = self.masked_weights();
        let mixing = masked.as_ref().map_or(self.weights, |masked| Strided {
            elements: masked,
            row_stride: self.weights.columns,
            ..self.weights
        });
        let mixing = mixing.columns_from(earlier).transposed();
        small_product(T::one(), mixing, self.dmixed, dvalues, into);
    }

    /// Returns the weights times their factors, if those have any. `[queries, keys]`
    fn masked_weights(&self) -> Option<Vec<T>> {
        let mask = self.mask?;
        let (keys, stride) = (self.weights.columns, self.weights.row_stride);
        let rows = (0..self.weights.rows).map(|query| query * stride..query * stride + keys);
        let of_row = |row: Range<usize>| {
            let weights = self.weights.elements[row.clone()].iter();
            weights
                .zip(&mask[row])
                .map(|(&weight, &factor)| weight * factor)
        };
        Some(rows.flat_map(of_row).collect())
    }
}

/// Turns the cotangents of softmax weights into those of the scores, in place.
///
/// The sum runs in lanes of fixed number, so that a row's bits depend on nothing but the row.
fn softmax_vjp<T: Real>(weights: &[T], row: &mut [T]) {
    const LANES: usize = 16;
    let mut lanes = [T::zero(); LANES];
    let whole = row.len() / LANES * LANES;
    for (w, d) in weights[..whole]
        .chunks_exact(LANES)
        .zip(row[..whole].chunks_exact(LANES))
    {
        for ((lane, &w), &d) in lanes.iter_mut().zip(w).zip(d) {
            *lane += w * d;
        }
    }
    let rest = weights[whole..]
        .iter()
        .zip(&row[whole..])
        .map(|(&w, &d)| (w * d).to_f64());
    let mean = lanes
        .iter()
        .map(|lane| lane.to_f64())
        .chain(rest)
        .sum::<f64>();
    let mean = T::from_f64(mean);
    for (d, &w) in row.iter_mut().zip(weights) {
        *d = w * (*d - mean);
    }
}
