//! How much memory the weights of a model need.

use candle_core::DType;

use super::weights::Checkpoint;

/// How much memory the weights of a model need, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightMemory {
    /// If all weights are widened to the precision the engine computes in.
    pub widened: u64,
    /// If weights that are stored in half precision are kept that way.
    pub kept: u64,
}

impl WeightMemory {
    /// Computes how much memory the weights of `checkpoint` need.
    pub(super) fn new(checkpoint: &Checkpoint) -> Self {
        let (numbers, halves) = checkpoint.numbers();
        let whole = numbers.saturating_sub(halves);
        Self {
            widened: weight_bytes(numbers, checkpoint.dtype()),
            kept: weight_bytes(whole, checkpoint.dtype())
                .saturating_add(weight_bytes(halves, DType::F16)),
        }
        .packed(checkpoint.place().is_memory())
    }

    /// Linear maps in main memory are packed twice, for the forward and for the backward pass. On a
    /// device one copy serves both.
    fn packed(self, is_in_memory: bool) -> Self {
        let packings = if is_in_memory { 2 } else { 1 };
        Self {
            widened: self.widened.saturating_mul(packings),
            kept: self.kept.saturating_mul(packings),
        }
    }

    /// Returns what the weights need at least.
    pub(super) fn least(self) -> u64 {
        self.kept.min(self.widened)
    }

    /// Returns whether the weights fit into `free` bytes only if half precision is kept.
    pub(super) fn needs_halves(self, free: u64) -> bool {
        self.kept < self.widened && self.widened > free
    }
}

/// Returns the bytes that `numbers` numbers have in `dtype`.
fn weight_bytes(numbers: u64, dtype: DType) -> u64 {
    numbers.saturating_mul(dtype.size_in_bytes() as u64)
}
