//! One suite for every place that kernels compute in.
//!
//! `autograd` and `attention` compare what has a vector–Jacobian product with candle's own
//! derivatives, in double precision. `agreement` compares everything, in both precisions and for odd and empty shapes, with
//! double precision in main memory.

mod agreement;
mod attention;
mod autograd;

use candle_core::Tensor as Candle;

use super::place::Place;
use super::tensor::Tensor;

/// Returns every place that is tested.
fn places() -> [Place; 2] {
    [Place::memory(), Place::under_test()]
}

/// Returns a tensor of candle as one of the kernels, at `place`.
fn put(place: &Place, x: &Candle) -> Tensor {
    place.put(&x.detach().into()).unwrap()
}
