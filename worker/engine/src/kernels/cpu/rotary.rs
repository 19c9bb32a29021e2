//! Rotations of rows in main memory.

use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::tensor::Tensor;
use crate::kernels::turn::{Direction, Pairing, Table, Turn};

pub(in crate::kernels) fn turn<T: Real>(x: &Tensor, turn: &Turn) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let (planes, dim) = (turn.planes, turn.head_dim);
    let usual = views::<T>(&turn.usual)?;
    let long = turn.long.as_deref().map(views::<T>).transpose()?;
    let mut rotated = View::<T>::of(x)?.to_vec();
    for_each_row(&mut rotated, width, |row, values| {
        let ([cosines, sines], row) = match (turn.angles[row], &long) {
            (row, Some(long)) if row >= turn.usual.positions => (long, row - turn.usual.positions),
            (row, _) => (&usual, row),
        };
        let angles = row * planes..(row + 1) * planes;
        let angles = (&cosines[angles.clone()], &sines[angles]);
        for head in values[..turn.heads * dim].chunks_exact_mut(dim) {
            rotate(
                &mut head[..2 * planes],
                turn.pairing,
                angles,
                turn.direction,
            );
        }
    });
    tensor(rotated, x.shape())
}

fn views<T: Real>(table: &Table) -> Result<[View<'_, T>; 2]> {
    Ok([View::of(&table.cosines)?, View::of(&table.sines)?])
}

/// Turns the planes of one head.
fn rotate<T: Real>(
    head: &mut [T],
    pairing: Pairing,
    (cosines, sines): (&[T], &[T]),
    direction: Direction,
) {
    let turn = |a: T, b: T, cosine: T, sine: T| {
        let sine = if direction == Direction::Forward {
            sine
        } else {
            T::zero() - sine
        };
        (a * cosine - b * sine, b * cosine + a * sine)
    };
    match pairing {
        Pairing::Halves => {
            let (first, second) = head.split_at_mut(cosines.len());
            for (((a, b), &cosine), &sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                (*a, *b) = turn(*a, *b, cosine, sine);
            }
        }
        Pairing::Neighbours => {
            for ((pair, &cosine), &sine) in head.chunks_exact_mut(2).zip(cosines).zip(sines) {
                (pair[0], pair[1]) = turn(pair[0], pair[1], cosine, sine);
            }
        }
    }
}
