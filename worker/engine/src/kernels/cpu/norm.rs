//! Norms of rows in main memory.
//!
//! Means are summed in double precision: a row has hundreds of entries, and the error of a
//! single-precision sum would reach the gradients of every layer below.

use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::row_index::RowIndex;
use crate::kernels::scaling::{Normalized, Scaling};
use crate::kernels::tensor::Tensor;

/// Number of independent partial sums. It is fixed, so that a row's bits depend on the row alone.
const LANES: usize = 8;

pub(in crate::kernels) fn forward<T: Real>(
    x: &Tensor,
    scaling: &Scaling,
) -> Result<(Tensor, Normalized)> {
    let (rows, width) = x.dims2()?;
    let group = scaling.group;
    let values = View::<T>::of(x)?;
    let statistics: Vec<Statistics<T>> = values
        .chunks_exact(group)
        .map(|entries| statistics_of(entries, scaling))
        .collect();
    let mut unit = vec![T::zero(); rows * width];
    for_each_row(&mut unit, group, |index, out| {
        let Statistics {
            mean: [mean, rest],
            inverse_deviation,
        } = statistics[index];
        for (out, &v) in out.iter_mut().zip(&values[index * group..]) {
            *out = (v - mean - rest) * inverse_deviation;
        }
    });
    let y = scale_and_shift(&unit, scaling, width)?;
    let deviations: Vec<T> = statistics.iter().map(|s| s.inverse_deviation).collect();
    let num_groups = deviations.len();
    let saved = Normalized {
        unit: tensor(unit, (rows, width))?,
        inverse_deviation: tensor(deviations, num_groups)?,
    };
    Ok((tensor(y, (rows, width))?, saved))
}

/// Mean and inverse deviation of one group.
#[derive(Clone, Copy)]
struct Statistics<T> {
    /// The mean, rounded, and the rounding error. Entries far from zero and near each other may differ
    /// from their mean by less than that error. Subtracting the two one after the other is exact.
    mean: [T; 2],
    inverse_deviation: T,
}

fn statistics_of<T: Real>(entries: &[T], scaling: &Scaling) -> Statistics<T> {
    let len = entries.len() as f64;
    let mean = if scaling.is_centered {
        sum(entries, |v| v) / len
    } else {
        0.0
    };
    let variance = sum(entries, |v| (v - mean) * (v - mean)) / len;
    let rounded = T::from_f64(mean);
    Statistics {
        mean: [rounded, T::from_f64(mean - rounded.to_f64())],
        inverse_deviation: T::from_f64((variance + scaling.epsilon).sqrt().recip()),
    }
}

fn scale_and_shift<T: Real>(unit: &[T], scaling: &Scaling, width: usize) -> Result<Vec<T>> {
    let weight = View::<T>::of(&scaling.weight)?;
    let bias = scaling.bias.as_ref().map(View::<T>::of).transpose()?;
    let mut y = vec![T::zero(); unit.len()];
    for_each_row(&mut y, width, |row, out| {
        let unit = &unit[row * width..][..width];
        match &bias {
            Some(bias) => {
                for (((out, &u), &w), &b) in
                    out.iter_mut().zip(unit).zip(weight.iter()).zip(bias.iter())
                {
                    *out = u * w + b;
                }
            }
            None => {
                for ((out, &u), &w) in out.iter_mut().zip(unit).zip(weight.iter()) {
                    *out = u * w;
                }
            }
        }
    });
    Ok(y)
}

pub(in crate::kernels) fn vjp<T: Real>(
    dy: &Tensor,
    scaling: &Scaling,
    saved: &Normalized,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    let (rows, width) = dy.dims2()?;
    let groups = width / scaling.group;
    let (dy, weight) = (View::<T>::of(dy)?, View::<T>::of(&scaling.weight)?);
    let (unit, deviation) = (
        View::<T>::of(&saved.unit)?,
        View::<T>::of(&saved.inverse_deviation)?,
    );
    let mut dx = vec![T::zero(); rows * width];
    for_each_row(&mut dx, width, |row, dx| {
        let (dy, saved_row) = (&dy[row * width..][..width], saved_rows[row]);
        for ((dx, &dy), &w) in dx.iter_mut().zip(dy).zip(weight.iter()) {
            *dx = dy * w;
        }
        let unit = unit[saved_row * width..][..width].chunks_exact(scaling.group);
        let scales = &deviation[saved_row * groups..];
        for ((dx, unit), &scale) in dx.chunks_exact_mut(scaling.group).zip(unit).zip(scales) {
            pull_back_group(dx, unit, scale, scaling.is_centered);
        }
    });
    tensor(dx, (rows, width))
}

/// Turns the cotangents of one group's unit vector into those of its entries, in place.
fn pull_back_group<T: Real>(dx: &mut [T], unit: &[T], scale: T, is_centered: bool) {
    let len = dx.len() as f64;
    let along = T::from_f64(dot(dx, unit) / len);
    let mean = if is_centered {
        T::from_f64(sum(dx, |v| v) / len)
    } else {
        T::zero()
    };
    for (dx, &u) in dx.iter_mut().zip(unit) {
        *dx = scale * (*dx - mean - u * along);
    }
}

/// Sums `f` of the values in double precision.
fn sum<T: Real>(values: &[T], f: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v.to_f64());
        }
    }
    lanes.iter().sum::<f64>()
        + chunks
            .remainder()
            .iter()
            .map(|&v| f(v.to_f64()))
            .sum::<f64>()
}

/// Returns the inner product in double precision.
fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    let mut lanes = [0.0; LANES];
    let whole = a.len() / LANES * LANES;
    for (a, b) in a[..whole]
        .chunks_exact(LANES)
        .zip(b[..whole].chunks_exact(LANES))
    {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a.to_f64() * b.to_f64();
        }
    }
    let rest = a[whole..]
        .iter()
        .zip(&b[whole..])
        .map(|(&a, &b)| a.to_f64() * b.to_f64());
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}
