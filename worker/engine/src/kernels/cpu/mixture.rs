//! Experts chosen and rows multiplied in main memory.

use super::exp::{sigmoid, softmax_in_place};
use super::real::Real;
use super::slices::View;
use crate::error::Result;
use crate::kernels::routing::{ExpertGroups, Routing, RoutingSpec, Scoring};
use crate::kernels::row_index::RowIndex;
use crate::kernels::tensor::Tensor;

/// Added to the sum of the chosen scores before dividing by it, as in transformers, so that the
/// quotient is finite.
const SMALLEST_SUM: f64 = 1e-20;

/// Returns the weight of each expert, 0 for those that were not chosen, and the scores if the
/// backward pass needs them. `[rows, experts]` each
pub(in crate::kernels) fn choose<T: Real>(
    logits: &Tensor,
    routing: &Routing,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (rows, num_experts) = logits.dims2()?;
    let mut weights = vec![0.0; rows * num_experts];
    let mut kept = Vec::new();
    let logits = View::<T>::of(logits)?;
    let rows = logits
        .chunks_exact(num_experts)
        .zip(weights.chunks_exact_mut(num_experts));
    for (logits, weights) in rows {
        let scores = scores(logits, routing.spec.scoring);
        let order = ranked(logits, &scores, routing);
        weigh(logits, &scores, (routing.spec, &order), weights);
        if !routing.spec.is_softmax_of_chosen() {
            kept.extend(scores);
        }
    }
    Ok((weights, kept))
}

/// Returns the score of each expert.
fn scores<T: Real>(logits: &[T], scoring: Scoring) -> Vec<f64> {
    let mut scores = logits.to_vec();
    match scoring {
        Scoring::Softmax => softmax_in_place(&mut scores),
        Scoring::Sigmoid => sigmoid(logits, &mut scores),
    }
    scores.into_iter().map(T::to_f64).collect()
}

/// Returns the experts that a row uses, the best one first.
fn ranked<T: Real>(logits: &[T], scores: &[f64], routing: &Routing) -> Vec<usize> {
    let ranks: Vec<f64> = match (&routing.correction, routing.spec.groups) {
        // Scores grow with logits, and rounding cannot make two logits equal.
        (None, None) => logits.iter().map(|logit| logit.to_f64()).collect(),
        (None, Some(_)) => scores.to_vec(),
        (Some(correction), _) => scores.iter().zip(correction).map(|(s, c)| s + c).collect(),
    };
    let mut order: Vec<_> = match routing.spec.groups {
        None => (0..ranks.len()).collect(),
        Some(groups) => of_best_groups(&ranks, groups),
    };
    sort_by_rank(&mut order, &ranks);
    order.truncate(routing.num_chosen);
    order
}

/// Returns the experts in the groups that a row may use, ascending.
fn of_best_groups(ranks: &[f64], groups: ExpertGroups) -> Vec<usize> {
    let size = ranks.len() / groups.count;
    let rank_of_group = |group: &[f64]| {
        let mut best = group.to_vec();
        best.sort_by(|a, b| b.total_cmp(a));
        best.iter().take(groups.ranked_by).sum()
    };
    let of_groups: Vec<f64> = ranks.chunks_exact(size).map(rank_of_group).collect();
    let mut order: Vec<_> = (0..groups.count).collect();
    sort_by_rank(&mut order, &of_groups);
    let chosen = &order[..groups.chosen];
    (0..ranks.len())
        .filter(|expert| chosen.contains(&(expert / size)))
        .collect()
}

/// Sorts `order` by descending rank; equal ones keep their order.
fn sort_by_rank(order: &mut [usize], ranks: &[f64]) {
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]));
}

/// Writes the weights of the chosen experts `order` of a row.
fn weigh<T: Real>(
    logits: &[T],
    scores: &[f64],
    (spec, order): (RoutingSpec, &[usize]),
    weights: &mut [f64],
) {
    let mut chosen: Vec<f64> = if spec.is_softmax_of_chosen() {
        let mut chosen: Vec<T> = order.iter().map(|&expert| logits[expert]).collect();
        softmax_in_place(&mut chosen);
        chosen.into_iter().map(T::to_f64).collect()
    } else {
        order.iter().map(|&expert| scores[expert]).collect()
    };
    if spec.sums_to_one && !spec.is_softmax_of_chosen() {
        let sum = chosen.iter().sum::<f64>() + SMALLEST_SUM;
        for score in &mut chosen {
            *score /= sum;
        }
    }
    for (&expert, weight) in order.iter().zip(chosen) {
        weights[expert] = weight * spec.scale;
    }
}

pub(in crate::kernels) fn dot_rows<T: Real>(
    a: &Tensor,
    b: &Tensor,
    places: &RowIndex,
) -> Result<Vec<f64>> {
    let (_, width) = a.dims2()?;
    let (a, b) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let product = |(a, &place): (&[T], &usize)| {
        let b = &b[place * width..][..width];
        a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
    };
    Ok(a.chunks_exact(width)
        .zip(places.iter())
        .map(product)
        .collect())
}
