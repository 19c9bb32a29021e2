//! Dropout: a share of values becomes zero, the others are enlarged to make up for it.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;
use crate::random::Random;

use super::Real;
use super::tensor::{View, by_dtype, tensor};

/// Drops each element of `x` with probability `rate`, and divides the others by `1 − rate`. Elements
/// `pieces[i]` draw from `streams[i]`, in their order.
pub(crate) fn drop_elements(
    x: &Tensor,
    rate: f64,
    pieces: impl Iterator<Item = Range<usize>>,
    streams: &mut [Random],
) -> Result<Tensor> {
    if rate == 0.0 {
        return Ok(x.clone());
    }
    by_dtype!(x, T => drop_elements_as::<T>(x, rate, pieces, streams))
}

fn drop_elements_as<T: Real>(
    x: &Tensor,
    rate: f64,
    pieces: impl Iterator<Item = Range<usize>>,
    streams: &mut [Random],
) -> Result<Tensor> {
    let mut out = View::<T>::of(x)?.to_vec();
    let enlarged = T::from_f64(1.0 / (1.0 - rate));
    for (piece, stream) in pieces.zip(streams) {
        for value in &mut out[piece] {
            *value = if stream.uniform() < rate {
                T::zero()
            } else {
                *value * enlarged
            };
        }
    }
    tensor(out, x.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        const LEN: usize = 40_000;
        let x = Tensor::ones(LEN, candle_core::DType::F64, &Device::Cpu).unwrap();
        let mut streams = [Random::new(1, 2, "dropout")];
        let dropped = drop_elements(&x, 0.25, std::iter::once(0..LEN), &mut streams).unwrap();
        let values = dropped.to_vec1::<f64>().unwrap();
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / LEN as f64;
        let mean = values.iter().sum::<f64>() / LEN as f64;
        assert!((zeros - 0.25).abs() < 0.01 && (mean - 1.0).abs() < 0.02);
    }
}
