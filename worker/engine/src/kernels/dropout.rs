//! Dropout: a share of the values becomes zero, the others are scaled up to make up for it.
//!
//! A mask holds the factor of every value, so that the forward and the backward pass multiply by the
//! same numbers. It is drawn on the host: the random streams are those of the examples.

use std::ops::Range;

use super::cpu::{Real, by_dtype};
use super::host;
use super::tensor::Tensor;
use crate::error::Result;
use crate::random::Random;

/// Draws a factor for each element of `x`: 0 with probability `rate`, `1 / (1 − rate)` otherwise.
/// Elements `pieces[i]` draw from `streams[i]`, in their order.
pub(crate) fn mask(
    x: &Tensor,
    rate: f64,
    pieces: impl Iterator<Item = Range<usize>>,
    streams: &mut [Random],
) -> Result<Tensor> {
    by_dtype!(x, T => mask_as::<T>(x, rate, pieces, streams))
}

fn mask_as<T: Real>(
    x: &Tensor,
    rate: f64,
    pieces: impl Iterator<Item = Range<usize>>,
    streams: &mut [Random],
) -> Result<Tensor> {
    let mut factors = vec![T::from_f64(1.0 / (1.0 - rate)); x.elem_count()];
    for (piece, stream) in pieces.zip(streams) {
        for factor in &mut factors[piece] {
            if stream.uniform() < rate {
                *factor = T::zero();
            }
        }
    }
    host::upload(factors, x.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        const LEN: usize = 40_000;
        let x = host::ones(LEN, DType::F64).unwrap();
        let mut streams = [Random::new(1, 2, "dropout")];
        let mask = mask(&x, 0.25, std::iter::once(0..LEN), &mut streams).unwrap();
        let values = host::download(&mask).unwrap();
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / LEN as f64;
        let mean = values.iter().sum::<f64>() / LEN as f64;
        assert!((zeros - 0.25).abs() < 0.01 && (mean - 1.0).abs() < 0.02);
    }
}
