//! The backward pass of attention in main memory, for many explained tokens at once.

mod token;

use rayon::prelude::*;

use super::columns::{HeadColumns, split, split_ref};
use crate::error::Result;
use crate::kernels::attention::trace::{
    AttentionCotangents, AttentionTrace, ExplainedQueries, num_key_rows,
};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{View, may_parallelize, tensor};
use crate::kernels::tensor::Tensor;
use token::{SavedPass, TokenShare};

pub(in crate::kernels) fn vjp<T: Real>(
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
