//! Rotation of queries and keys by their position, and back.
//!
//! A rotation is orthogonal, so its vector–Jacobian product is the rotation the other way. Cosines
//! and sines are tabulated up to the longest sequence met so far, not up to the longest the model
//! could read: a model for 131,072 positions would keep 64 MiB of them otherwise. Where a model turns
//! the tokens of long texts otherwise, all of them, those have a table of their own.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::DType;

use super::cpu::{self, by_dtype};
use super::device;
use super::host;
use super::place::Place;
use super::row_index::RowIndex;
use super::tensor::Tensor;
pub use super::turn::Pairing;
use super::turn::{Direction, Table, Turn};
use crate::error::Result;

/// Rotary positions.
///
/// Source: Su et al. 2021, <https://arxiv.org/abs/2104.09864>.
#[derive(Debug, Clone, PartialEq)]
pub struct RotarySpec {
    /// Angle per position of each plane; the planes take the first entries of a head, and what is
    /// left of it is not turned.
    pub inverse_frequencies: Vec<f32>,
    /// Which entries make a plane.
    pub pairing: Pairing,
    /// Factor of the turned entries.
    pub magnitude: f64,
    /// How all tokens of a long text are turned instead; `None` where length makes no difference.
    pub long: Option<LongRotary>,
}

/// Rotary positions of long texts.
///
/// Source: Ding et al. 2024, <https://arxiv.org/abs/2402.13753>.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRotary {
    /// How many tokens the longest text has that is not long.
    pub beyond: usize,
    /// Angle per position of each plane, as many as in [`RotarySpec::inverse_frequencies`].
    pub inverse_frequencies: Vec<f32>,
}

/// Positions tabulated at first.
const FIRST_POSITIONS: usize = 256;

/// A rotation of heads by position.
#[derive(Debug)]
pub(crate) struct Rotation {
    pairing: Pairing,
    head_dim: usize,
    usual: Angles,
    /// Those of texts longer than so many tokens.
    long: Option<(usize, Angles)>,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowPosition {
    /// Its position in its sequence.
    pub(crate) position: usize,
    /// How many tokens its sequence has.
    pub(crate) length: usize,
}

/// By what angles positions are turned.
#[derive(Debug)]
struct Angles {
    inverse_frequencies: Vec<f32>,
    magnitude: f32,
    dtype: DType,
    /// Where the rows lie that are turned.
    place: Place,
    /// Replaced by a longer one when a longer sequence comes; equal as far as both reach.
    table: Mutex<Arc<Table>>,
}

impl Rotation {
    /// Prepares the rotation of heads of `head_dim` entries in rows of `dtype`.
    pub(crate) fn new(
        spec: &RotarySpec,
        head_dim: usize,
        dtype: DType,
        place: &Place,
    ) -> Result<Self> {
        let angles = |frequencies: &[f32]| Angles::new(frequencies, spec.magnitude, dtype, place);
        let long = spec.long.as_ref().map(|long| {
            let angles = angles(&long.inverse_frequencies)?;
            Ok::<_, candle_core::Error>((long.beyond, angles))
        });
        Ok(Self {
            pairing: spec.pairing,
            head_dim,
            usual: angles(&spec.inverse_frequencies)?,
            long: long.transpose()?,
        })
    }

    /// Returns `x` with the `heads` heads at the start of every row rotated; row `i` stands at
    /// `standings[i]`. `[rows, width]`
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        heads: usize,
        standings: &[RowPosition],
    ) -> Result<Tensor> {
        let turn = self.turn(heads, Direction::Forward, || standings.iter().copied())?;
        apply(&turn, x)
    }

    /// Pulls `dy` back to what was rotated. Row `i` of `dy` belongs to row `saved_rows[i]` of the
    /// forward pass, whose rows stand at `standings`. `[cotangent rows, width]`
    pub(crate) fn vjp(
        &self,
        dy: &Tensor,
        heads: usize,
        standings: &[RowPosition],
        saved_rows: &RowIndex,
    ) -> Result<Tensor> {
        let standings = || saved_rows.iter().map(|&row| standings[row]);
        let turn = self.turn(heads, Direction::Backward, standings)?;
        apply(&turn, dy)
    }

    /// Prepares to turn rows that stand at `standings`.
    fn turn<S: Iterator<Item = RowPosition>>(
        &self,
        heads: usize,
        direction: Direction,
        standings: impl Fn() -> S,
    ) -> Result<Turn> {
        let is_long = |standing: &RowPosition| self.is_long(standing);
        let usual = self.usual.table_of(standings().filter(|s| !is_long(s)))?;
        let long = self.long.as_ref();
        let long = long.map(|(_, angles)| angles.table_of(standings().filter(is_long)));
        let angles_of = |standing: RowPosition| {
            let before = if is_long(&standing) {
                usual.positions
            } else {
                0
            };
            before + standing.position
        };
        Ok(Turn {
            pairing: self.pairing,
            direction,
            heads,
            head_dim: self.head_dim,
            planes: self.usual.inverse_frequencies.len(),
            angles: standings().map(angles_of).collect(),
            usual,
            long: long.transpose()?,
        })
    }

    fn is_long(&self, standing: &RowPosition) -> bool {
        let long = self.long.as_ref();
        long.is_some_and(|(beyond, _)| standing.length > *beyond)
    }
}

fn apply(turn: &Turn, x: &Tensor) -> Result<Tensor> {
    match x.device() {
        None => by_dtype!(x, T => cpu::rotary::turn::<T>(x, turn)),
        Some(device) => device::rotary::turn(&x.on(device)?, turn).map(Tensor::from),
    }
}

impl Angles {
    fn new(
        inverse_frequencies: &[f32],
        magnitude: f64,
        dtype: DType,
        place: &Place,
    ) -> Result<Self> {
        let magnitude = magnitude as f32;
        let first = table(
            inverse_frequencies,
            magnitude,
            FIRST_POSITIONS,
            dtype,
            place,
        )?;
        Ok(Self {
            inverse_frequencies: inverse_frequencies.to_vec(),
            magnitude,
            dtype,
            place: place.clone(),
            table: Mutex::new(Arc::new(first)),
        })
    }

    /// Returns a table that has the positions of `standings`.
    fn table_of(&self, standings: impl Iterator<Item = RowPosition>) -> Result<Arc<Table>> {
        let last = standings.map(|standing| standing.position).max();
        let needed = last.map_or(0, |last| last + 1);
        let mut longest = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if longest.positions < needed {
            let positions = needed.next_power_of_two();
            let (frequencies, magnitude) = (&self.inverse_frequencies, self.magnitude);
            let longer = table(frequencies, magnitude, positions, self.dtype, &self.place)?;
            *longest = Arc::new(longer);
        }
        Ok(Arc::clone(&longest))
    }
}

/// Tabulates cosines and sines.
///
/// Angles are single-precision products and their cosines are rounded to single precision, as
/// in transformers: that is what the model was trained with.
fn table(
    frequencies: &[f32],
    magnitude: f32,
    positions: usize,
    dtype: DType,
    place: &Place,
) -> Result<Table> {
    let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
    // Through double precision, so that what is rounded to single is right.
    let turn = |angle: f32| {
        let (sine, cosine) = f64::from(angle).sin_cos();
        (cosine as f32 * magnitude, sine as f32 * magnitude)
    };
    let (cosines, sines): (Vec<f32>, Vec<f32>) = angles.map(turn).unzip();
    let shape = (positions, frequencies.len());
    let put = |values| place.put(&host::upload(values, shape)?.to_dtype(dtype)?);
    Ok(Table {
        positions,
        cosines: put(cosines)?,
        sines: put(sines)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(pairing: Pairing, head_dim: usize, position: usize) -> (Vec<f64>, Vec<f64>) {
        let spec = RotarySpec {
            inverse_frequencies: vec![1.0, 0.1],
            pairing,
            magnitude: 1.0,
            long: None,
        };
        let rotation = Rotation::new(&spec, head_dim, DType::F64, &Place::memory()).unwrap();
        let row: Vec<f64> = (0..8).map(f64::from).collect();
        let x = host::upload(row, (1, 8)).unwrap();
        let standing = [RowPosition {
            position,
            length: position + 1,
        }];
        let turned = rotation.forward(&x, 1, &standing).unwrap();
        let index = RowIndex::from(vec![0]);
        let back = rotation.vjp(&turned, 1, &standing, &index).unwrap();
        let values = |x: Tensor| host::download(&x).unwrap();
        (values(turned), values(back))
    }

    #[test]
    fn rotating_back_undoes_rotating() {
        for pairing in [Pairing::Halves, Pairing::Neighbours] {
            let (turned, back) = turned(pairing, 4, 4);
            assert!(turned[0].abs() > 0.1);
            assert_eq!(turned[4..], [4.0, 5.0, 6.0, 7.0]);
            for (entry, back) in back.iter().enumerate() {
                assert!((back - entry as f64).abs() < 1e-6, "{back}");
            }
        }
    }

    #[test]
    fn pairs_are_halves_or_neighbours_and_the_rest_of_a_head_stays() {
        let (sine, cosine) = 2_f32.sin_cos();
        let plane = |a: f64, b: f64| a * f64::from(cosine) - b * f64::from(sine);
        let halves = turned(Pairing::Halves, 6, 2).0;
        let neighbours = turned(Pairing::Neighbours, 6, 2).0;
        assert!((halves[0] - plane(0.0, 2.0)).abs() < 1e-6);
        assert!((neighbours[0] - plane(0.0, 1.0)).abs() < 1e-6);
        assert_eq!(halves[4..], [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(neighbours[4..], [4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn the_table_grows_with_the_sequences() {
        let (turned, back) = turned(Pairing::Halves, 4, 3 * FIRST_POSITIONS);
        assert!((turned[0] - f64::from((768_f32).cos()) * 0.0 + 2.0 * 768_f64.sin()).abs() < 1e-5);
        assert!((back[2] - 2.0).abs() < 1e-6);
    }
}
