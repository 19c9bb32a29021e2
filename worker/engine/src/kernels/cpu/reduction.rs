//! Reductions of rows in main memory.

use super::real::Real;
use super::slices::{View, tensor};
use crate::error::Result;
use crate::kernels::aggregation::AxisReduction;
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn reduce<T: Real>(x: &Tensor, reduction: &AxisReduction) -> Result<Tensor> {
    let (shape, axis) = x.dims().split_at(x.dims().len().saturating_sub(1));
    let axis = axis.iter().product();
    let reduced = reduction.of_rows(&View::<T>::of(x)?, axis, T::to_f64);
    tensor(reduced, shape)
}
