//! The vector–Jacobian product of attention, for many explained tokens at once.
//!
//! With P the weights, O = P V and cotangent dO:
//!
//! `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`
//!
//! If a mask M of dropout multiplies the weights, O = (P ⊙ M) V: `dV = (P ⊙ M)ᵀ dO` and
//! `dP = M ⊙ dO Vᵀ`. If scores are bounded, `dS` is multiplied by `1 − tanh²(S / c)` before the last
//! two. Keys that a window hides have weight 0, and so no cotangent.

mod token;

use candle_core::Tensor;
use rayon::prelude::*;

use super::columns::{HeadColumns, split, split_ref};
use super::trace::{AttentionTrace, ExplainedQueries, Heads, Sequence};
use crate::error::Result;
use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype, may_parallelize, tensor};
use token::{SavedPass, TokenShare};

/// The cotangents of queries, `[cotangent query rows, heads · dim]`, and of keys and values side by
/// side, `[cotangent key rows, 2 · key heads · dim]`. A token of a causal attention has key rows up to
/// its last query, those of an earlier pass left out; another one all of its sequence's.
pub(crate) struct AttentionCotangents {
    pub(crate) queries: Tensor,
    pub(crate) keys_and_values: Tensor,
}

/// Returns how many key rows each token's cotangents have.
pub(crate) fn num_key_rows(heads: Heads, sequence: &Sequence, token: &ExplainedQueries) -> usize {
    if heads.causal {
        token.positions.end
    } else {
        sequence.keys.len()
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
    by_dtype!(dmixed, T => vjp_as::<T>(saved, explained, dmixed))
}

fn vjp_as<T: Real>(
    saved: &AttentionTrace,
    explained: &[ExplainedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    let heads = saved.heads;
    let (width, kv_width) = (heads.queries * heads.dim, 2 * heads.keys * heads.dim);
    let num_keys =
        |token: &ExplainedQueries| num_key_rows(heads, &saved.sequences[token.sequence], token);
    let num_queries: usize = explained.iter().map(|token| token.positions.len()).sum();
    let num_all_keys: usize = explained.iter().map(num_keys).sum();
    let mut dqueries = vec![T::zero(); num_queries * width];
    let mut dkeys_and_values = vec![T::zero(); num_all_keys * kv_width];
    let pass = SavedPass {
        trace: saved,
        weights: View::of(&saved.weights)?,
        mask: saved.mask.as_ref().map(View::of).transpose()?,
        queries: HeadColumns::new(&saved.queries)?,
        keys: HeadColumns::new(&saved.keys)?,
        values: HeadColumns::new(&saved.values)?,
    };
    let num_query_entries = || explained.iter().map(|token| token.positions.len() * width);
    let dmixed = View::<T>::of(dmixed)?;
    let dmixed = split_ref(&dmixed, num_query_entries());
    let dq = split(&mut dqueries, num_query_entries());
    let num_key_entries = explained.iter().map(|token| num_keys(token) * kv_width);
    let dkv = split(&mut dkeys_and_values, num_key_entries);
    let tasks: Vec<_> = explained
        .iter()
        .zip(dmixed)
        .zip(dq.into_iter().zip(dkv))
        .collect();
    let pull_back = |((token, dmixed), (dq, dkv)): TokenTask<'_, T>| {
        TokenShare::new(&pass, token, dmixed).pull_back(dq, dkv)
    };
    if may_parallelize() {
        tasks.into_par_iter().try_for_each(pull_back)?;
    } else {
        tasks.into_iter().try_for_each(pull_back)?;
    }
    Ok(AttentionCotangents {
        queries: tensor(dqueries, (num_queries, width))?,
        keys_and_values: tensor(dkeys_and_values, (num_all_keys, kv_width))?,
    })
}

/// An explained token with its cotangents of the mixed values, and where those of its queries and of
/// its keys and values go.
type TokenTask<'a, T> = ((&'a ExplainedQueries, &'a [T]), (&'a mut [T], &'a mut [T]));
