//! Experts chosen and rows multiplied in main memory.

use super::exp::softmax_in_place;
use super::real::Real;
use super::slices::View;
use crate::error::Result;
use crate::kernels::row_index::RowIndex;
use crate::kernels::tensor::Tensor;

/// Returns the weight of each expert, 0 for those that were not chosen. `[rows, experts]`
pub(in crate::kernels) fn choose<T: Real>(scores: &Tensor, num_chosen: usize) -> Result<Vec<f64>> {
    let (rows, num_experts) = scores.dims2()?;
    let mut weights = vec![0.0; rows * num_experts];
    let scores = View::<T>::of(scores)?;
    let rows = scores
        .chunks_exact(num_experts)
        .zip(weights.chunks_exact_mut(num_experts));
    for (scores, weights) in rows {
        let mut order: Vec<_> = (0..num_experts).collect();
        order.sort_by(|&a, &b| scores[b].to_f64().total_cmp(&scores[a].to_f64()));
        order.truncate(num_chosen);
        let mut chosen: Vec<T> = order.iter().map(|&expert| scores[expert]).collect();
        softmax_in_place(&mut chosen);
        for (expert, weight) in order.into_iter().zip(chosen) {
            weights[expert] = weight.to_f64();
        }
    }
    Ok(weights)
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
