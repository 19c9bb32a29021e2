//! Seeds of the tests that disturb a cluster at random, and how many rounds they run.
//!
//! A test prints its seed; `WHENCE_TEST_SEED` runs it again with the same one. Processes and networks are
//! not deterministic, so the seed repeats what a test does, not all that happens. `WHENCE_TEST_ROUNDS`
//! multiplies the disturbances: `WHENCE_TEST_ROUNDS=20` is a long run.

/// Returns by how much a test multiplies what it does by default.
///
/// # Panics
///
/// If `WHENCE_TEST_ROUNDS` is not a number.
pub fn rounds() -> usize {
    variable("WHENCE_TEST_ROUNDS").unwrap_or(1) as usize
}

/// Returns the seed of a test.
///
/// # Panics
///
/// If `WHENCE_TEST_SEED` is not a number.
pub fn seed() -> u64 {
    variable("WHENCE_TEST_SEED").unwrap_or(1)
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("`{name}` is a number, not `{value}`")),
    )
}

/// Random numbers that follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Returns the numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        // The first number of small seeds is nearly the same.
        random.below(1);
        random
    }

    /// Puts things into a random order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }

    /// Returns the next number, which is less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the random ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
