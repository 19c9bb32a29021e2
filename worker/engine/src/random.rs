//! Random numbers of one example: the same in every batch, on every worker and in every attempt.
//!
//! A stream is derived from the job's seed, the example's id and the purpose of the draws, so that
//! the draws for one purpose never depend on how many were made for another.
//!
//! The generator is `SplitMix64`: Steele, Lea & Flood 2014,
//! <https://doi.org/10.1145/2714064.2660195>.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Returns the stream for `purpose` of example `example_id` in a job with seed `job_seed`.
    pub(crate) fn new(job_seed: u64, example_id: i64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&job_seed.to_le_bytes());
        hasher.update(&example_id.to_le_bytes());
        hasher.update(purpose.as_bytes());
        let digest = hasher.finalize();
        let first = digest
            .as_bytes()
            .first_chunk()
            .expect("a digest has 32 bytes");
        Self {
            state: u64::from_le_bytes(*first),
        }
    }

    fn next(&mut self) -> u64 {
        // 2⁶⁴ divided by the golden ratio: the increment of `SplitMix64`. The other constants are
        // those of its mixing function.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws uniformly from the multiples of 2⁻⁵³ in `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        // The upper 53 bits: as many as an `f64` represents exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws from the standard normal distribution, by the Box–Muller transform.
    pub(crate) fn normal(&mut self) -> f64 {
        // 1 − u is never 0, so its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Draws one of `0..n`, each with the same probability up to 2⁻⁵³.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_all_it_is_for() {
        let first = |seed, id, purpose| Random::new(seed, id, purpose).uniform();
        let draw = first(1, 2, "masks");
        assert_eq!(draw, first(1, 2, "masks"));
        for other in [
            first(2, 2, "masks"),
            first(1, 3, "masks"),
            first(1, 2, "noise"),
        ] {
            assert_ne!(draw, other);
        }
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        const DRAWS: usize = 100_000;
        let mut random = Random::new(0, 0, "moments");
        let moments = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / DRAWS as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / DRAWS as f64;
            (mean, variance)
        };
        let (mean, variance) = moments((0..DRAWS).map(|_| random.uniform()).collect());
        assert!(
            (mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.005,
            "{mean} {variance}"
        );
        let (mean, variance) = moments((0..DRAWS).map(|_| random.normal()).collect());
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
