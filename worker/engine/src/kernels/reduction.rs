//! The last axis of a tensor, reduced to one number.
//!
//! That is the first aggregator of nearly every pipeline, and is applied where a chunk's gradients
//! are made: on a device `[rows, hidden]` gradients never leave it, only one number per row does.

pub(crate) use super::aggregation::AxisReduction;
pub use super::aggregation::Reduction;
use super::cpu::{self, by_dtype};
use super::device;
use super::tensor::Tensor;
use crate::error::Result;

/// Reduces the last axis of `x`. Each number is computed in double precision from its own entries
/// alone, in their order: a step's scores have the same bits in every chunk.
/// `[…, axis] → […]`, in double precision
pub(crate) fn reduce(x: &Tensor, reduction: &AxisReduction) -> Result<Tensor> {
    let x = x.contiguous()?;
    match x.device() {
        None => by_dtype!(x, T => cpu::reduction::reduce::<T>(&x, reduction)),
        Some(device) => device::reduction::reduce(&x.on(device)?, reduction).map(Tensor::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::host;

    #[test]
    fn the_last_axis_of_a_tensor_is_reduced() {
        let values: Vec<f32> = vec![3.0, 4.0, -1.0, 0.0, 5.0, 12.0];
        let x = host::upload(values, (2, 3)).unwrap();
        let reduced = |reduction| {
            let reduced = reduce(&x, &reduction).unwrap();
            assert_eq!(reduced.dims(), [2]);
            host::download(&reduced).unwrap()
        };
        let reduction = |entries: &[usize], by| AxisReduction {
            entries: entries.to_vec(),
            by,
            order: 2.0,
        };
        let norm = Some(Reduction::VNorm);
        assert_eq!(reduced(reduction(&[0, 1], norm)), [5.0, 5.0]);
        assert_eq!(reduced(reduction(&[1, 2], norm)), [17_f64.sqrt(), 13.0]);
        assert_eq!(reduced(reduction(&[2], None)), [-1.0, 12.0]);
    }
}
