//! An attempt of a worker at a slot, as in `worker/src/publish.rs`.
//!
//! An attempt that has all rows of its slot creates the slot's object. One that was told to end has the
//! first rows only, and puts them into slots below a tombstone. Both go below a tombstone of somebody
//! else too. Attempts have no names here, because nothing depends on who an attempt is: whether its own
//! object or another one of the same kind is in a slot, it goes on in the same way.

use std::ops::Range;

use crate::plan::{Plan, Slot, Slots};
use crate::store::{Kind, Put};

/// An attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attempt {
    /// It computes the rows of the slot that was leased to it.
    Computing(Slot),
    /// It has ended computing, and creates objects.
    Publishing(Publication),
}

/// What an attempt creates, one object after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publication {
    /// The request that was made last.
    pub put: Put,
    /// What the attempt knows of it.
    pub answer: Answer,
    /// First and last row that it has, the latter exclusive.
    done: (u8, u8),
    /// Slots whose turn comes later, in the order of their rows.
    open: Slots,
}

/// What an attempt knows of the request that it made last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// It waits.
    Awaited,
    /// It got an error or no answer, so the request may have been carried out, or may be later.
    Missing,
}

impl Publication {
    /// Begins in the leased slot, with this many of its first rows. Returns `None` if there are none.
    pub fn new(plan: &Plan, slot: Slot, num_rows: u8) -> Option<Self> {
        let rows = plan.rows(slot);
        let done = rows.start..rows.start + num_rows;
        let kind = placement(&rows, &done)?;
        Some(Self {
            put: Put { slot, kind },
            answer: Answer::Awaited,
            done: (done.start, done.end),
            open: Slots::default(),
        })
    }

    /// Splits the slot of the request instead of filling it.
    #[must_use]
    pub fn with_tombstone(self) -> Self {
        let kind = Kind::Tombstone;
        let put = Put { kind, ..self.put };
        Self { put, ..self }
    }

    /// Changes what the attempt knows of its request.
    #[must_use]
    pub fn with_answer(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// Goes on once the attempt knows what is in the slot of its request: below it if that is a
    /// tombstone, otherwise with the next slot. Returns `None` if there is nothing left to create.
    pub fn after(mut self, plan: &Plan, found: Kind) -> Option<Self> {
        let done = self.done.0..self.done.1;
        if found == Kind::Tombstone {
            let halves = plan.halves(self.put.slot).into_iter().flatten();
            let with_rows = halves.filter(|half| placement(&plan.rows(*half), &done).is_some());
            with_rows.for_each(|half| self.open.insert(half));
        }
        let slot = self.open.pop_first()?;
        let kind = placement(&plan.rows(slot), &done)?;
        self.put = Put { slot, kind };
        self.answer = Answer::Awaited;
        Some(self)
    }
}

/// Returns what an attempt that has the rows `done` creates in the slot of `rows`, by the rules of
/// `schemas/src/placement.rs`; `None` if it has none of them.
fn placement(rows: &Range<u8>, done: &Range<u8>) -> Option<Kind> {
    let common = rows.start.max(done.start)..rows.end.min(done.end);
    if common.is_empty() {
        None
    } else if common == *rows {
        Some(Kind::Rows)
    } else {
        Some(Kind::Tombstone)
    }
}
