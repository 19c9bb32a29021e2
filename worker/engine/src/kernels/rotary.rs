//! Rotation of queries and keys by their position, and back.
//!
//! Plane `j` of a head pairs entry `j` with entry `j + head_dim / 2`. A rotation is orthogonal, so
//! its vector–Jacobian product is the rotation the other way.

use candle_core::{DType, Tensor};

use crate::error::Result;

use super::Real;
use super::tensor::{View, by_dtype, for_each_row, tensor};

/// Cosines and sines of every position up to the longest sequence. `[positions, planes]` each.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// As the model does.
    Forward,
    /// Back, for cotangents.
    Backward,
}

impl Rotation {
    /// Computes the rotation of positions `0..positions`, to turn rows of `dtype`.
    ///
    /// Angles are single-precision products and their cosines are rounded to single precision, as
    /// in transformers: that is what the model was trained with.
    pub(crate) fn new(inverse_frequencies: &[f32], positions: usize, dtype: DType) -> Result<Self> {
        let angles =
            (0..positions).flat_map(|p| inverse_frequencies.iter().map(move |f| p as f32 * f));
        let (cosines, sines): (Vec<f32>, Vec<f32>) = angles.map(|a| (a.cos(), a.sin())).unzip();
        let shape = (positions, inverse_frequencies.len());
        Ok(Self {
            cosines: tensor(cosines, shape)?.to_dtype(dtype)?,
            sines: tensor(sines, shape)?.to_dtype(dtype)?,
        })
    }

    /// Returns `x` with the `heads` heads at the start of every row rotated; row `i` stands at
    /// `positions[i]`. `[rows, width]`
    pub(crate) fn apply(
        &self,
        x: &Tensor,
        heads: usize,
        positions: &[usize],
        direction: Direction,
    ) -> Result<Tensor> {
        by_dtype!(x, T => self.apply_as::<T>(x, heads, positions, direction))
    }

    fn apply_as<T: Real>(
        &self,
        x: &Tensor,
        heads: usize,
        positions: &[usize],
        direction: Direction,
    ) -> Result<Tensor> {
        let (_, width) = x.dims2()?;
        let (_, planes) = self.cosines.dims2()?;
        let (cosines, sines) = (View::<T>::of(&self.cosines)?, View::<T>::of(&self.sines)?);
        let mut rotated = View::<T>::of(x)?.to_vec();
        for_each_row(&mut rotated, width, |row, values| {
            let angles = positions[row] * planes..(positions[row] + 1) * planes;
            let (cosines, sines) = (&cosines[angles.clone()], &sines[angles]);
            for head in values[..heads * 2 * planes].chunks_exact_mut(2 * planes) {
                rotate(head, cosines, sines, direction);
            }
        });
        tensor(rotated, x.shape())
    }
}

fn rotate<T: Real>(head: &mut [T], cosines: &[T], sines: &[T], direction: Direction) {
    let (first, second) = head.split_at_mut(cosines.len());
    for (((a, b), &cosine), &sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        let sine = if direction == Direction::Forward {
            sine
        } else {
            T::zero() - sine
        };
        (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotating_back_undoes_rotating() {
        let rotation = Rotation::new(&[1.0, 0.1], 5, DType::F64).unwrap();
        let row: Vec<f64> = (0..8).map(f64::from).collect();
        let x = tensor(row.clone(), (1, 8)).unwrap();
        let turned = rotation.apply(&x, 1, &[4], Direction::Forward).unwrap();
        let back = rotation
            .apply(&turned, 1, &[4], Direction::Backward)
            .unwrap();
        let (turned, back) = (
            turned.to_vec2::<f64>().unwrap(),
            back.to_vec2::<f64>().unwrap(),
        );
        assert!((turned[0][0] - row[0]).abs() > 0.1);
        assert_eq!(turned[0][4..], row[4..]);
        for (a, b) in back[0].iter().zip(&row) {
            assert!((a - b).abs() < 1e-6, "{back:?}");
        }
    }
}
