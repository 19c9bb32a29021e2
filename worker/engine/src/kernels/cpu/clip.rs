//! Clipping of rows in main memory.

use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::row_index::RowIndex;
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn forward<T: Real>(x: &Tensor, limit: f64) -> Result<(Tensor, Tensor)> {
    let (_, width) = x.dims2()?;
    let (highest, lowest) = (T::from_f64(limit), T::from_f64(-limit));
    let mut y = View::<T>::of(x)?.to_vec();
    let mut slopes = vec![T::one(); y.len()];
    for (slope, &value) in slopes.iter_mut().zip(&y) {
        if value < lowest || value > highest {
            *slope = T::zero();
        }
    }
    for_each_row(&mut y, width, |_, row| {
        for value in row {
            if *value < lowest {
                *value = lowest;
            } else if *value > highest {
                *value = highest;
            }
        }
    });
    Ok((tensor(y, x.shape())?, tensor(slopes, x.shape())?))
}

pub(in crate::kernels) fn vjp<T: Real>(
    dy: &Tensor,
    slopes: &Tensor,
    column: usize,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    let (_, columns) = dy.dims2()?;
    let (_, width) = slopes.dims2()?;
    let mut dx = View::<T>::of(dy)?.to_vec();
    let slopes = View::<T>::of(slopes)?;
    for_each_row(&mut dx, columns, |row, dx| {
        let slopes = &slopes[saved_rows[row] * width + column..][..columns];
        for (dx, &slope) in dx.iter_mut().zip(slopes) {
            *dx *= slope;
        }
    });
    tensor(dx, dy.shape())
}
