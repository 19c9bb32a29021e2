//! Position information that is added: tables for embeddings, and biases for attention scores.
//! Rotations are in `kernels::rotary`.

use crate::Error;
use crate::error::Result;
use crate::kernels::score_bias::{KeySlopes, ScoreBias};
use crate::kernels::{Tensor, host};
use crate::model::spec::{AddedPositions, ScoreBiasSpec, Waves};
use crate::model::weights::Checkpoint;

/// Reads or computes the table that is added to embeddings at positions `0..max_positions`.
/// `[positions, hidden]`
pub(in crate::model) fn added_positions(
    spec: &AddedPositions,
    max_positions: usize,
    hidden: usize,
    checkpoint: &Checkpoint,
) -> Result<Tensor, Error> {
    match spec {
        AddedPositions::Learned { name, offset } => {
            let table = checkpoint.parameter(name, &[offset + max_positions, hidden])?;
            Ok(table.narrow(0, *offset, max_positions)?.contiguous()?)
        }
        AddedPositions::Sinusoidal(waves) => {
            let table = sinusoids(*waves, max_positions, hidden)?;
            Ok(checkpoint
                .place()
                .put(&table.to_dtype(checkpoint.dtype())?)?)
        }
    }
}

/// Returns sinusoidal positions: sines in the first half of the columns, cosines in the second,
/// frequencies falling within each half. Rounded to single precision as in transformers.
/// `[positions, hidden]`
pub(in crate::model) fn sinusoids(waves: Waves, positions: usize, hidden: usize) -> Result<Tensor> {
    let mut values = Vec::with_capacity(positions * hidden);
    let num_sines = match waves {
        Waves::Vaswani => hidden.div_ceil(2),
        Waves::Tensor2tensor { .. } => hidden / 2,
    };
    for position in 0..positions {
        if waves.is_padding(position) {
            values.extend(vec![0.0; hidden]);
            continue;
        }
        for column in 0..hidden {
            let (wave, is_sine) = match column.checked_sub(num_sines) {
                None => (column, true),
                Some(wave) => (wave, false),
            };
            let angle = match waves {
                Waves::Vaswani => {
                    position as f64 / 10_000_f64.powf(2.0 * wave as f64 / hidden as f64)
                }
                Waves::Tensor2tensor { offset, .. } => {
                    f64::from((position + offset) as f32 * frequency(wave, num_sines))
                }
            };
            values.push(match (wave < num_sines, is_sine) {
                // If the width is odd, the last column stays zero.
                (false, _) => 0.0,
                (_, true) => angle.sin() as f32,
                (_, false) => angle.cos() as f32,
            });
        }
    }
    host::upload(values, (positions, hidden))
}

/// Returns a frequency of tensor2tensor's waves, rounded to single precision in the same places.
fn frequency(wave: usize, num_sines: usize) -> f32 {
    let step = 10_000_f64.ln() / (num_sines - 1) as f64;
    f64::from(wave as f32 * -(step as f32)).exp() as f32
}

/// Reads or computes a bias on attention scores.
pub(in crate::model) fn score_bias(
    spec: &ScoreBiasSpec,
    checkpoint: &Checkpoint,
) -> Result<ScoreBias, Error> {
    match spec {
        ScoreBiasSpec::Alibi {
            slopes,
            is_bfloat16,
            factor,
        } => Ok(ScoreBias::ByKey(KeySlopes {
            slopes: slopes.clone(),
            is_bfloat16: *is_bfloat16,
            factor: *factor,
        })),
        ScoreBiasSpec::Relative {
            name,
            heads,
            buckets,
            max_distance,
            is_bidirectional,
        } => {
            let table = checkpoint.parameter(name, &[*buckets, *heads])?;
            let table = host::download_rows(&table)?;
            let bucketing = Bucketing {
                buckets: *buckets,
                max_distance: *max_distance,
                is_bidirectional: *is_bidirectional,
            };
            let reach = *max_distance;
            let of_head = |head: usize| {
                let table = &table;
                (0..=2 * reach).map(move |index| {
                    let distance = index as i64 - reach as i64;
                    table[bucketing.bucket(distance)][head]
                })
            };
            Ok(ScoreBias::ByDistance {
                values: (0..*heads).flat_map(of_head).collect(),
                reach,
            })
        }
    }
}

/// Maps distances to buckets that share a learned value. Each short distance has its own bucket;
/// longer ones share buckets that grow logarithmically up to `max_distance`.
#[derive(Debug, Clone, Copy)]
struct Bucketing {
    buckets: usize,
    max_distance: usize,
    is_bidirectional: bool,
}

impl Bucketing {
    /// Returns the bucket for a key that is `distance` positions after the query.
    fn bucket(self, distance: i64) -> usize {
        let mut first = 0;
        let mut buckets = self.buckets;
        // In a bidirectional stack, keys after the query use the upper half of the buckets.
        let steps = if self.is_bidirectional {
            buckets /= 2;
            if distance > 0 {
                first = buckets;
            }
            distance.unsigned_abs() as usize
        } else {
            (-distance).max(0) as usize
        };
        let num_exact = buckets / 2;
        if steps < num_exact {
            return first + steps;
        }
        // In single precision, as in transformers, because rounding decides where a bucket begins.
        let octaves = f64::from((steps as f32) / num_exact as f32).ln() as f32;
        let all = (self.max_distance as f64 / num_exact as f64).ln() as f32;
        let beyond = (octaves / all * (buckets - num_exact) as f32) as usize;
        first + (num_exact + beyond).min(buckets - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_the_buckets_of_t5() {
        // Expected values from `_relative_position_bucket` of transformers' T5, with 32 buckets up
        // to distance 128.
        let both = Bucketing {
            buckets: 32,
            max_distance: 128,
            is_bidirectional: true,
        };
        let distances = [-200, -128, -50, -16, -8, -7, -1, 0, 1, 7, 8, 20, 127];
        let expected = [15, 15, 13, 10, 8, 7, 1, 0, 17, 23, 24, 26, 31];
        assert_eq!(distances.map(|distance| both.bucket(distance)), expected);
        let backward = Bucketing {
            is_bidirectional: false,
            ..both
        };
        let expected = [31, 31, 24, 16, 8, 7, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            distances.map(|distance| backward.bucket(distance)),
            expected
        );
    }
}
