//! What the weights of a model take in memory.

use candle_core::DType;

use super::weights::Checkpoint;

/// Memory the weights of a model take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightMemory {
    /// All widened to the precision the engine computes in.
    pub widened: u64,
    /// Those that are stored in half precision kept so.
    pub kept: u64,
}

impl WeightMemory {
    /// Returns what the weights of `checkpoint` take in the precision it is read as.
    pub(super) fn new(checkpoint: &Checkpoint) -> Self {
        let (numbers, halves) = checkpoint.numbers();
        let whole = numbers.saturating_sub(halves);
        Self {
            widened: weight_bytes(numbers, checkpoint.dtype()),
            kept: weight_bytes(whole, checkpoint.dtype())
                .saturating_add(weight_bytes(halves, DType::F16)),
        }
    }

    /// Returns whether the weights fit into `free` bytes only if halves stay halves.
    pub(super) fn needs_halves(self, free: u64) -> bool {
        self.kept < self.widened && self.widened > free
    }
}

/// Returns what `numbers` weights take in `dtype`: linear maps are packed once for the forward and
/// once for the backward pass.
fn weight_bytes(numbers: u64, dtype: DType) -> u64 {
    const PACKINGS: u64 = 2;
    numbers.saturating_mul(PACKINGS * dtype.size_in_bytes() as u64)
}
