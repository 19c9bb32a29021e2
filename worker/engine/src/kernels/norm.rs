//! RMS norm and layer norm of rows or of the heads in them, and their vector–Jacobian products.
//!
//! With x̂ the normalized row, w the weight, r = 1/σ and g = w ⊙ dy:
//!
//! * RMS: `dx = r · (g − x̂ · mean(g ⊙ x̂))`
//! * layer: `dx = r · (g − mean(g) − x̂ · mean(g ⊙ x̂))`
//!
//! Means are summed in double precision: a row has hundreds of entries, and the error of a
//! single-precision sum would reach the gradients of every layer below.

use candle_core::Tensor;

use crate::error::Result;

use super::tensor::{View, by_dtype, for_each_row, tensor};
use super::{Real, RowIndex};

/// Number of independent partial sums. It is fixed, so that a row's bits depend on the row alone.
const LANES: usize = 8;

/// A norm with its weights. A row has one mean per group.
#[derive(Debug)]
pub(crate) struct Scaling {
    /// `[width]`
    pub(crate) weight: Tensor,
    /// `[width]`
    pub(crate) bias: Option<Tensor>,
    /// Entries that are normalized together; divides the width.
    pub(crate) group: usize,
    /// Whether the mean is subtracted.
    pub(crate) is_centered: bool,
    /// Added to the mean square or variance.
    pub(crate) epsilon: f64,
}

/// What the backward pass needs of a norm's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct Normalized {
    /// Rows without weight and bias. `[rows, width]`
    pub(crate) unit: Tensor,
    /// 1/σ of each group. `[rows · groups]`
    pub(crate) inverse_deviation: Tensor,
}

/// Normalizes the groups of the rows of `x`. `[rows, width]`
pub(crate) fn forward(x: &Tensor, scaling: &Scaling) -> Result<(Tensor, Normalized)> {
    by_dtype!(x, T => forward_as::<T>(x, scaling))
}

fn forward_as<T: Real>(x: &Tensor, scaling: &Scaling) -> Result<(Tensor, Normalized)> {
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

/// Pulls `dy` back through the norm. Row `i` of `dy` belongs to row `saved_rows[i]` of the forward
/// pass. `[cotangent rows, width]`
pub(crate) fn vjp(
    dy: &Tensor,
    scaling: &Scaling,
    saved: &Normalized,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    by_dtype!(dy, T => vjp_as::<T>(dy, scaling, saved, saved_rows))
}

fn vjp_as<T: Real>(
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// `lime` fills embeddings with the number of a token: hundreds, and what positions add to them
    /// is hundredths.
    #[test]
    fn rows_far_from_zero_keep_their_digits() {
        const WIDTH: usize = 48;
        let entries = (0..WIDTH).map(|i| 319.0 + 0.02 * (i as f32).sin());
        let x = Tensor::from_vec(entries.collect(), (1, WIDTH), &Device::Cpu).unwrap();
        let unit = |dtype| {
            let scaling = Scaling {
                weight: Tensor::ones(WIDTH, dtype, &Device::Cpu).unwrap(),
                bias: None,
                group: WIDTH,
                is_centered: true,
                epsilon: 1e-5,
            };
            let (y, _) = forward(&x.to_dtype(dtype).unwrap(), &scaling).unwrap();
            let y = y.to_dtype(DType::F64).unwrap();
            y.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        for (single, double) in unit(DType::F32).iter().zip(unit(DType::F64)) {
            assert!(
                (single - double).abs() < 1e-6,
                "{single}, in double {double}"
            );
        }
    }
}
