//! Estimates how much of a slot's work is done while a worker is still on it.
//!
//! A plan estimates work from the bytes of the texts, but workers report real tokens. The slots
//! filled so far have both numbers, so their ratio converts one into the other.

use super::lease::Lease;

/// Tokens that workers reported for filled slots, and what the plan estimated for the same slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CountedWork {
    estimated: u64,
    reported: u64,
}

impl CountedWork {
    /// Counts a filled slot. A slot without a reported number of tokens is ignored.
    pub(super) fn add(&mut self, estimated: u64, reported: u64) {
        if reported > 0 {
            self.estimated += estimated;
            self.reported += reported;
        }
    }

    /// Estimates how much of the `work` of a slot with `rows` rows is done in `lease`.
    ///
    /// The share of rows done is an upper bound, because workers take short rows first.
    pub(super) fn work_in_flight(&self, lease: &Lease, work: u64, rows: u64) -> u64 {
        let share = |part: u64, of: u64, whole: u64| {
            // The product of two `u64` may not fit into one.
            let part = u128::from(whole) * u128::from(part) / u128::from(of.max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        let by_rows = share(lease.rows_done, rows, work);
        let by_tokens = if self.reported > 0 {
            share(self.estimated, self.reported, lease.tokens_done)
        } else {
            lease.tokens_done
        };
        by_rows.min(by_tokens).min(work)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use whence_schemas::{Attempt, WorkerId};

    use super::super::timestamp::Timestamp;
    use super::*;

    fn lease(rows_done: u64, tokens_done: u64) -> Lease {
        let attempt = Attempt::of(ulid::Ulid::nil());
        let worker: WorkerId = "a".parse().unwrap();
        Lease {
            rows_done,
            tokens_done,
            ..Lease::new(attempt, worker, Timestamp::default(), Duration::ZERO)
        }
    }

    #[test]
    fn work_in_flight_is_measured_by_what_filled_slots_took() {
        let mut counted = CountedWork::default();
        // No slot is filled yet: tokens count as they are, up to the share of rows done.
        assert_eq!(counted.work_in_flight(&lease(5, 30), 100, 10), 30);
        assert_eq!(counted.work_in_flight(&lease(5, 80), 100, 10), 50);
        // The texts have half as many tokens as estimated.
        counted.add(100, 50);
        assert_eq!(counted.work_in_flight(&lease(9, 30), 100, 10), 60);
        assert_eq!(counted.work_in_flight(&lease(20, 300), 100, 10), 100);
        counted.add(500, 0);
        assert_eq!(counted.work_in_flight(&lease(9, 30), 100, 10), 60);
    }
}
