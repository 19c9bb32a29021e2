//! RMS norm and layer norm of rows, and their vector–Jacobian products.
//!
//! With x̂ the normalised row, w the weight, r = 1/σ and g = w ⊙ dy:
//!
//! * RMS: `dx = r · (g − x̂ · mean(g ⊙ x̂))`
//! * layer: `dx = r · (g − mean(g) − x̂ · mean(g ⊙ x̂))`
//!
//! Means are summed in double precision: a row has hundreds of entries, and the error of a
//! single-precision sum reaches the gradients of every layer below.

use candle_core::Tensor;

use crate::error::Result;

use super::Real;
use super::tensor::{View, by_dtype, for_each_row, tensor};

/// Number of independent sums; fixed, so that a row's bits depend on nothing but the row.
const LANES: usize = 8;

/// What the backward pass needs of a norm's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct Normalized {
    /// Rows without weight and bias. `[rows, hidden]`
    pub(crate) unit: Tensor,
    /// 1/σ of each row. `[rows]`
    pub(crate) inverse_deviation: Tensor,
    /// Whether the mean was subtracted.
    pub(crate) centred: bool,
}

/// Normalises the rows of `x` by their root mean square, or by their deviation from the mean if
/// `bias` is given. `[rows, hidden]`
pub(crate) fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Result<(Tensor, Normalized)> {
    by_dtype!(x, T => forward_as::<T>(x, weight, bias, epsilon))
}

fn forward_as<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Result<(Tensor, Normalized)> {
    let (rows, hidden) = x.dims2()?;
    let (values, weight) = (View::<T>::of(x)?, View::<T>::of(weight)?);
    let bias = bias.map(View::<T>::of).transpose()?;
    let centred = bias.is_some();

    let statistics: Vec<(T, T)> = values
        .chunks_exact(hidden)
        .map(|row| {
            let mean = if centred {
                sum(row, |v| v) / hidden as f64
            } else {
                0.0
            };
            let variance = sum(row, |v| (v - mean) * (v - mean)) / hidden as f64;
            (
                T::from_f64(mean),
                T::from_f64((variance + epsilon).sqrt().recip()),
            )
        })
        .collect();
    let mut unit = vec![T::zero(); rows * hidden];
    for_each_row(&mut unit, hidden, |row, out| {
        let (mean, scale) = statistics[row];
        for (out, &v) in out.iter_mut().zip(&values[row * hidden..]) {
            *out = (v - mean) * scale;
        }
    });
    let mut y = vec![T::zero(); rows * hidden];
    for_each_row(&mut y, hidden, |row, out| {
        let unit = &unit[row * hidden..][..hidden];
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
    let inverse_deviation = tensor(
        statistics.into_iter().map(|(_, scale)| scale).collect(),
        rows,
    )?;
    let saved = Normalized {
        unit: tensor(unit, (rows, hidden))?,
        inverse_deviation,
        centred,
    };
    Ok((tensor(y, (rows, hidden))?, saved))
}

/// Pulls `dy` back through the norm. Row `i` of `dy` belongs to row `saved_rows[i]` of the forward
/// pass. `[cotangent rows, hidden]`
pub(crate) fn vjp(
    dy: &Tensor,
    weight: &Tensor,
    saved: &Normalized,
    saved_rows: &[usize],
) -> Result<Tensor> {
    by_dtype!(dy, T => vjp_as::<T>(dy, weight, saved, saved_rows))
}

fn vjp_as<T: Real>(
    dy: &Tensor,
    weight: &Tensor,
    saved: &Normalized,
    saved_rows: &[usize],
) -> Result<Tensor> {
    let (rows, hidden) = dy.dims2()?;
    let (dy, weight) = (View::<T>::of(dy)?, View::<T>::of(weight)?);
    let (unit, scale) = (
        View::<T>::of(&saved.unit)?,
        View::<T>::of(&saved.inverse_deviation)?,
    );
    let mut dx = vec![T::zero(); rows * hidden];
    for_each_row(&mut dx, hidden, |row, dx| {
        let (dy, saved_row) = (&dy[row * hidden..][..hidden], saved_rows[row]);
        let unit = &unit[saved_row * hidden..][..hidden];
        for ((dx, &dy), &w) in dx.iter_mut().zip(dy).zip(weight.iter()) {
            *dx = dy * w;
        }
        let along = T::from_f64(dot(dx, unit) / hidden as f64);
        let mean = if saved.centred {
            T::from_f64(sum(dx, |v| v) / hidden as f64)
        } else {
            T::zero()
        };
        let scale = scale[saved_row];
        for (dx, &u) in dx.iter_mut().zip(unit) {
            *dx = scale * (*dx - mean - u * along);
        }
    });
    tensor(dx, (rows, hidden))
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
