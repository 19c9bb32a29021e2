//! How much a device computes at once. All code that splits work into batches, passes and chunks
//! asks here.
//!
//! The host has one lane per thread, and row counts measured on CPUs. A device has one lane, because
//! its kernels run one after the other, and passes of several thousand rows, because a kernel takes
//! some microseconds to start. No other code counts threads or free memory, and no result depends on
//! these sizes.

use crate::Error;
use crate::footprint::Footprint;
use crate::kernels::Place;
use crate::memory::MemoryBudget;
use crate::model::Transformer;

/// Most rows of one pass. More rows do not make matrix products faster.
const MOST_PASS_ROWS: usize = 512;

/// Most rows of one chunk of a backward pass: enough for matrix products at full speed, few enough
/// for the scratch memory to fit the cache.
const MOST_CHUNK_ROWS: usize = 512;

/// Most rows of one pass over several points of a path. It is lower than for other passes because
/// such a pass keeps more memory per row.
const MOST_PATH_ROWS: usize = 256;

/// Most rows of a pass or a chunk on a device. Derived from the sizes of products that keep a large
/// GPU busy, not measured: no GPU was at hand.
const MOST_DEVICE_ROWS: usize = 8192;

/// Most elements of one block of logits: 64 MiB in single precision.
const MOST_LOGITS: usize = 16 << 20;

/// The resources a device offers one computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ComputeBudget {
    /// Chunks that run at once.
    pub(crate) lanes: usize,
    /// Most rows of one pass.
    pub(crate) pass_rows: usize,
    /// Most rows of one pass over several points of a path.
    pub(crate) path_rows: usize,
    /// Most rows of one chunk of a backward pass.
    pub(crate) chunk_rows: usize,
    /// Limit on working memory, not counting the model.
    pub(crate) memory: MemoryBudget,
}

/// The sizes of the pieces that a computation with one model is split into. An example or a step
/// that is larger than a piece becomes a piece of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceSizes {
    /// Chunks that run at once.
    pub(crate) lanes: usize,
    /// Most rows of a pass over several variants.
    pub(crate) pass_rows: usize,
    /// Most rows of a pass over several points of a path.
    pub(crate) path_rows: usize,
    /// Most rows, source and target rows together, of one chunk of a backward pass.
    pub(crate) chunk_rows: usize,
    /// Most elements of one block of logits.
    pub(crate) logits: usize,
}

impl ComputeBudget {
    /// Returns the budget of a computation at `place` that may take this much `memory`.
    pub(crate) fn of(place: &Place, memory: MemoryBudget) -> Self {
        if place.is_memory() {
            return Self {
                lanes: rayon::current_num_threads(),
                pass_rows: MOST_PASS_ROWS,
                path_rows: MOST_PATH_ROWS,
                chunk_rows: MOST_CHUNK_ROWS,
                memory,
            };
        }
        Self {
            lanes: 1,
            pass_rows: MOST_DEVICE_ROWS,
            path_rows: MOST_DEVICE_ROWS,
            chunk_rows: MOST_DEVICE_ROWS,
            memory,
        }
    }

    /// Fails if the smallest possible example of the model with this `footprint` does not fit.
    pub(crate) fn check_least(&self, footprint: Footprint<'_>) -> Result<(), Error> {
        let checked = self.memory.check(footprint.smallest(self.lanes));
        checked.map_err(|error| match error {
            Error::TooLarge { needed, budget } => Error::MemoryTooSmall {
                least: needed,
                budget,
            },
            other => other,
        })
    }

    /// Returns the piece sizes for `model`. `beside` is the number of additional passes that run
    /// with each pass; all of them together may have `pass_rows` rows.
    pub(crate) fn sizes(&self, model: &Transformer, beside: usize) -> PieceSizes {
        let footprint = Footprint::of(model);
        let pass_rows = self.memory.rows(footprint.row(), self.pass_rows) / (1 + beside);
        let pass_rows = pass_rows.max(1);
        let of_chunks = self.lanes as u64 * footprint.cotangent();
        PieceSizes {
            lanes: self.lanes,
            pass_rows,
            path_rows: pass_rows.min(self.path_rows),
            chunk_rows: self.memory.rows(of_chunks, self.chunk_rows),
            logits: self.memory.logits(footprint.logit(), MOST_LOGITS),
        }
    }
}

impl PieceSizes {
    /// Returns how many steps can have their logits in memory at once, with `predictions` rows of
    /// logits each: at least 1.
    pub(crate) fn logit_rows(&self, vocabulary: usize, predictions: usize) -> usize {
        (self.logits / (vocabulary * predictions).max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::memory::{FIXED_BYTES, SHARE};
    use crate::model::random::random_llama;

    fn sizes(lanes: usize, memory: MemoryBudget) -> PieceSizes {
        let budget = ComputeBudget {
            lanes,
            ..ComputeBudget::of(&Place::memory(), memory)
        };
        budget.sizes(&random_llama(DType::F32), 0)
    }

    #[test]
    fn a_smaller_budget_makes_smaller_passes_and_chunks() {
        let model = random_llama(DType::F32);
        let unbounded = sizes(2, MemoryBudget::Unbounded);
        assert_eq!(unbounded.pass_rows, MOST_PASS_ROWS);
        assert_eq!(unbounded.chunk_rows, MOST_CHUNK_ROWS);
        let nothing = sizes(2, MemoryBudget::Bytes(0));
        assert_eq!((nothing.pass_rows, nothing.chunk_rows), (1, 1));
        let ten_rows = SHARE * 2 * 10 * Footprint::of(&model).cotangent();
        let budget = MemoryBudget::Bytes(FIXED_BYTES + ten_rows);
        assert_eq!(sizes(2, budget).chunk_rows, 10);
        assert_eq!(sizes(1, budget).chunk_rows, 20);
    }

    #[test]
    fn passes_beside_a_pass_share_its_rows() {
        let budget = ComputeBudget::of(&Place::memory(), MemoryBudget::Unbounded);
        let model = random_llama(DType::F32);
        assert_eq!(budget.sizes(&model, 3).pass_rows, MOST_PASS_ROWS / 4);
        assert_eq!(budget.sizes(&model, 10_000).pass_rows, 1);
    }
}
