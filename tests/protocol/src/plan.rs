//! Slots and their rows.
//!
//! As in the real protocol, the plan alone determines which slots can exist and which rows belong to
//! each: a slot of several rows has two halves, whoever splits it. Slots are numbered so that each
//! comes before its halves, in the order of their rows.

use std::ops::{Index, IndexMut, Range};

/// Slots of the largest modeled plan: one shard of three rows with all slots below it.
const MOST_SLOTS: usize = 5;

/// The place of one object of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

/// A set of slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slots(u8);

impl Slots {
    /// Adds a slot.
    pub fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    /// Removes the slot with the first rows and returns it.
    pub fn pop_first(&mut self) -> Option<Slot> {
        let first = self.0.trailing_zeros();
        // Takes the lowest of the bits away, if there is one.
        self.0 &= self.0.wrapping_sub(1);
        (first < u8::BITS).then_some(Slot(first as u8))
    }
}

/// One value per slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerSlot<T>([T; MOST_SLOTS]);

impl<T> Index<Slot> for PerSlot<T> {
    type Output = T;

    fn index(&self, slot: Slot) -> &T {
        &self.0[usize::from(slot.0)]
    }
}

impl<T> IndexMut<Slot> for PerSlot<T> {
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.0[usize::from(slot.0)]
    }
}

/// All slots that a job can have.
#[derive(Debug, Clone)]
pub struct Plan {
    slots: Vec<PlannedSlot>,
    num_rows: u8,
}

#[derive(Debug, Clone)]
struct PlannedSlot {
    rows: Range<u8>,
    parent: Option<Slot>,
    halves: Option<[Slot; 2]>,
}

impl Plan {
    /// Makes the plan of a dataset whose shards have these numbers of rows.
    ///
    /// Panics if it has more slots than the model has room for.
    pub fn new(shards: &[u8]) -> Self {
        let mut plan = Self {
            slots: Vec::new(),
            num_rows: 0,
        };
        for length in shards {
            let rows = plan.num_rows..plan.num_rows + length;
            plan.num_rows = rows.end;
            plan.add(rows, None);
        }
        assert!(plan.slots.len() <= MOST_SLOTS, "raise `MOST_SLOTS`");
        plan
    }

    /// Adds a slot and all slots below it.
    fn add(&mut self, rows: Range<u8>, parent: Option<Slot>) -> Slot {
        let slot = Slot(self.slots.len() as u8);
        self.slots.push(PlannedSlot {
            rows: rows.clone(),
            parent,
            halves: None,
        });
        // The same rule as in `schemas/src/placement.rs`: the first half is the smaller one.
        let middle = rows.start + (rows.end - rows.start) / 2;
        if rows.start < middle {
            let halves = [rows.start..middle, middle..rows.end];
            let halves = halves.map(|rows| self.add(rows, Some(slot)));
            self.slots[usize::from(slot.0)].halves = Some(halves);
        }
        slot
    }

    /// Returns all slots, each before its halves.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.slots.len() as u8).map(Slot)
    }

    /// Returns the slots of the shards, which are not halves of others.
    pub fn shards(&self) -> impl Iterator<Item = Slot> {
        self.slots().filter(|slot| self.parent(*slot).is_none())
    }

    /// Returns the number of rows of each shard.
    pub fn lengths(&self) -> Vec<usize> {
        let rows = self.shards().map(|slot| self.rows(slot));
        rows.map(|rows| rows.len()).collect()
    }

    /// Returns the number of rows of the dataset.
    pub fn num_rows(&self) -> u8 {
        self.num_rows
    }

    /// Returns the rows of a slot.
    pub fn rows(&self, slot: Slot) -> Range<u8> {
        self.planned(slot).rows.clone()
    }

    /// Returns the slot of which `slot` is a half.
    pub fn parent(&self, slot: Slot) -> Option<Slot> {
        self.planned(slot).parent
    }

    /// Returns the halves of a slot; `None` if it has a single row.
    pub fn halves(&self, slot: Slot) -> Option<[Slot; 2]> {
        self.planned(slot).halves
    }

    fn planned(&self, slot: Slot) -> &PlannedSlot {
        &self.slots[usize::from(slot.0)]
    }
}
