//! Attention of sequences of different lengths; `vjp` is its vector–Jacobian product.
//!
//! The sequences of a batch lie one after another in the rows of the projections. A sequence's
//! queries attend to its own keys only, so there is no padding, and a sequence gets the same bits as
//! in a batch of its own.
//!
//! With P the weights, O = P V and cotangent dO:
//!
//! `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`
//!
//! If a mask M of dropout multiplies the weights, O = (P ⊙ M) V: `dV = (P ⊙ M)ᵀ dO` and
//! `dP = M ⊙ dO Vᵀ`. If scores are bounded, `dS` is multiplied by `1 − tanh²(S / c)` before the last
//! two. Keys that a window hides have weight 0, and so no cotangent.

mod removal;
pub(in crate::kernels) mod trace;

use super::cpu::{self, by_dtype};
use super::device;
use super::host;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

pub(crate) use removal::{KeyHeads, value_outputs};
pub(crate) use trace::{
    Attention, AttentionCotangents, AttentionTrace, Columns, ExplainedQueries, Heads, Pair,
    Projections, QueryRow, lay_out, num_key_rows,
};

/// Attends. A causal query at the end of its sequence sees every key, the one before it all but the
/// last, and so on. If there are as many keys as queries, that is the usual triangle.
///
/// Returns the mixed values, `[query rows, heads · dim]`. Fails once a stop is requested.
pub(crate) fn forward(attention: Attention<'_>) -> Result<(Tensor, AttentionTrace)> {
    let queries = attention.projections.queries.rows.clone();
    match device_of_projections(&attention.projections) {
        None => by_dtype!(queries, T => cpu::attention::forward::<T>(attention)),
        Some(device) => device::attention::forward(&device.clone(), attention),
    }
}

/// As [`forward`], without keeping the weights. Of the trace, only the keys and values can be used.
pub(crate) fn forward_unkept(attention: Attention<'_>) -> Result<(Tensor, AttentionTrace)> {
    let queries = attention.projections.queries.rows.clone();
    match device_of_projections(&attention.projections) {
        None => by_dtype!(queries, T => cpu::attention::forward_unkept::<T>(attention)),
        Some(device) => device::attention::forward_unkept(&device.clone(), attention),
    }
}

/// Pulls `dmixed`, the cotangents of the mixed values of the queries of all explained tokens, back.
/// `[cotangent query rows, heads · dim]`
///
/// Fails once a stop is requested.
pub(crate) fn vjp(
    saved: &AttentionTrace,
    explained: &[ExplainedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    match device_of([dmixed, &saved.weights]) {
        None => by_dtype!(dmixed, T => cpu::attention::vjp::<T>(saved, explained, dmixed)),
        Some(device) => device::attention::vjp(saved, explained, &dmixed.on(device)?),
    }
}

impl AttentionTrace {
    /// Returns the attention with factors `mask` of its weights, laid out as they are, and the values
    /// those mix. `[query rows, heads · dim]`
    pub(crate) fn masked(self, mask: Tensor) -> Result<(Tensor, Self)> {
        let mixed = match device_of([&self.weights, &mask]) {
            None => by_dtype!(mask, T => cpu::attention::mix_masked::<T>(&self, &mask))?,
            Some(device) => device::attention::mix_masked(device, &self, &mask.on(device)?)?.into(),
        };
        let masked = Self {
            mask: Some(mask),
            ..self
        };
        Ok((mixed, masked))
    }
}

/// Subtracts from each pair's row of `added` what its key adds through the heads that `outputs` has.
/// `[pairs, hidden]`
pub(crate) fn remove_values(
    added: &Tensor,
    attended: &AttentionTrace,
    outputs: &[Option<Tensor>],
    pairs: &[Pair],
) -> Result<Tensor> {
    match device_of([added, &attended.weights]) {
        None => by_dtype!(added, T => {
            cpu::attention::remove_values::<T>(added, attended, outputs, pairs)
        }),
        Some(device) => {
            let added = added.on(device)?;
            device::attention::remove_values(&added, attended, outputs, pairs).map(Tensor::from)
        }
    }
}

/// Returns the weights of a query on its tokens in each of `layers`, at least one,
/// and in each of their query heads `heads`. `[tokens, layers, heads]`
pub(crate) fn weights_of_query(
    layers: &[&AttentionTrace],
    heads: &[usize],
    query: QueryRow,
) -> Result<Tensor> {
    let Some(first) = layers.first() else {
        return host::zeros((query.tokens, 0, 0), candle_core::DType::F32);
    };
    match first.weights.device() {
        None => by_dtype!(first.weights, T => {
            cpu::attention::weights_of_query::<T>(layers, heads, query)
        }),
        Some(device) => {
            device::attention::weights_of_query(device, layers, heads, query).map(Tensor::from)
        }
    }
}

fn device_of_projections(projections: &Projections) -> Option<&device::Device> {
    device_of([&projections.queries.rows, &projections.keys.rows])
}
