//! How much working memory a computation may take, not counting the model itself.
//!
//! The budget decides which examples share a batch and how many rows share a pass. An example that
//! does not fit by itself is refused with an error instead of being tried, because the operating
//! system would kill the process. `footprint` estimates how much memory a computation needs.

use crate::Error;

/// One part in `SHARE` of the budget is available to a single pass over several points or variants.
/// The chunks of a backward pass that run at once get one such part together.
pub(crate) const SHARE: u64 = 4;

/// Memory every computation needs whatever its size: blocks of logits and chunks of cotangents.
pub(crate) const FIXED_BYTES: u64 = 128 << 20;

/// What every computation needs at least, whatever the model, in bytes.
pub const LEAST_MEMORY: u64 = FIXED_BYTES;

/// One part in `LOGIT_SHARE` of the budget is available to one block of logits.
const LOGIT_SHARE: u64 = 8;

/// A limit on working memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemoryBudget {
    /// No limit.
    Unbounded,
    /// At most this many bytes.
    Bytes(u64),
}

impl MemoryBudget {
    /// Returns how many rows of `bytes` each fit into one share of the budget: at least 1, at most
    /// `most`.
    pub(crate) fn rows(self, bytes: u64, most: usize) -> usize {
        let Self::Bytes(budget) = self else {
            return most;
        };
        // The fixed part comes off first: it is needed whatever the number of rows.
        let rows = budget.saturating_sub(FIXED_BYTES) / SHARE / bytes.max(1);
        usize::try_from(rows).map_or(most, |rows| rows.clamp(1, most))
    }

    /// Returns how many logits of `bytes` each one block holds: at least 1, at most `most`.
    pub(crate) fn logits(self, bytes: u64, most: usize) -> usize {
        let Self::Bytes(budget) = self else {
            return most;
        };
        let logits = budget / LOGIT_SHARE / bytes.max(1);
        usize::try_from(logits).map_or(most, |logits| logits.clamp(1, most))
    }

    /// Fails if `needed` bytes, on top of [`FIXED_BYTES`], exceed the budget.
    pub(crate) fn check(self, needed: u64) -> Result<(), Error> {
        let needed = needed.saturating_add(FIXED_BYTES);
        match self {
            Self::Bytes(budget) if needed > budget => Err(Error::TooLarge { needed, budget }),
            _ => Ok(()),
        }
    }

    /// Splits `items`, which take `bytes` each, into runs that fit into memory together. An item
    /// that does not fit even by itself yields an error in place of a run.
    pub(crate) fn runs<'i, T>(
        self,
        items: &'i [T],
        bytes: &dyn Fn(&T) -> u64,
    ) -> Vec<Result<&'i [T], Error>> {
        let mut runs = Vec::new();
        let (mut start, mut used) = (0, 0_u64);
        for (index, item) in items.iter().enumerate() {
            let needed = bytes(item);
            if index > start && self.check(used.saturating_add(needed)).is_err() {
                runs.push(Ok(&items[start..index]));
                (start, used) = (index, 0);
            }
            used = used.saturating_add(needed);
            if let Err(error) = self.check(used) {
                runs.push(Err(error));
                (start, used) = (index + 1, 0);
            }
        }
        if start < items.len() {
            runs.push(Ok(&items[start..]));
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_cut_and_what_does_not_fit_alone_refused() {
        let items = [4_u64, 4, 400, 4, 4];
        let budget = MemoryBudget::Bytes(FIXED_BYTES + 8);
        let lengths = |budget: MemoryBudget, factor: u64| -> Vec<Result<usize, &'static str>> {
            let runs = budget.runs(&items, &|item| item * factor);
            let length = |run: &Result<&[u64], Error>| match run {
                Ok(run) => Ok(run.len()),
                Err(error) => Err(error.code()),
            };
            runs.iter().map(length).collect()
        };
        assert_eq!(lengths(budget, 1), [Ok(2), Err("out_of_memory"), Ok(2)]);
        let alone = [Ok(1), Ok(1), Err("out_of_memory"), Ok(1), Ok(1)];
        assert_eq!(lengths(budget, 2), alone);
        assert_eq!(lengths(MemoryBudget::Unbounded, 1), [Ok(5)]);
    }

    #[test]
    fn an_error_says_what_is_needed_and_what_is_allowed() {
        let error = MemoryBudget::Bytes(256 << 20).check(1).err();
        assert!(error.is_none());
        let error = MemoryBudget::Bytes(256 << 20).check(129 << 20).unwrap_err();
        let expected = "needs about 257 MiB of working memory; --memory allows 256 MiB";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_smaller_budget_has_smaller_blocks_of_logits() {
        assert_eq!(MemoryBudget::Bytes(64 << 20).logits(16, 1 << 30), 1 << 19);
        assert_eq!(MemoryBudget::Bytes(0).logits(16, 1 << 30), 1);
        assert_eq!(MemoryBudget::Unbounded.logits(16, 7), 7);
    }
}
