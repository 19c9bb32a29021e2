//! What a coordinator knows, and the request that it waits for.
//!
//! A process that shares a job has a coordinator inside, so this is also what such a process knows. It
//! may lag behind the store by any amount. Leases are not part of it: they can end at any moment, and
//! the argument for the protocol must not need them.

use crate::mutant::Mutant;
use crate::plan::{Plan, Slot};
use crate::store::{Kind, Listing, Put};

/// A coordinator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinator {
    /// What it knows of each slot. Nothing is lost if it forgets everything.
    pub known: Listing,
    /// What it asked the store for.
    pub writing: Writing,
}

/// The request of a coordinator to the store. It makes one at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writing {
    /// None.
    #[default]
    Nothing,
    /// A tombstone or an error row.
    Object(Put),
    /// The manifest with this content.
    Manifest(Listing),
}

impl Coordinator {
    /// Returns whether it knows that a slot exists, and of no object in it.
    pub fn is_open(&self, plan: &Plan, slot: Slot, mutant: Option<Mutant>) -> bool {
        let exists = plan.parent(slot).is_none_or(|parent| {
            self.known[parent] == Some(Kind::Tombstone)
                || (mutant == Some(Mutant::LeasesHalvesEarly) && self.splits(parent))
        });
        exists && self.known[slot].is_none()
    }

    /// Returns whether it may lease a slot, or fill it itself.
    pub fn may_fill(&self, plan: &Plan, slot: Slot, mutant: Option<Mutant>) -> bool {
        let is_left_to_others = mutant == Some(Mutant::LeavesHalvesToTheirAuthor);
        let is_half = plan.parent(slot).is_some();
        self.is_open(plan, slot, mutant) && !(is_half && is_left_to_others)
    }

    fn splits(&self, slot: Slot) -> bool {
        let kind = Kind::Tombstone;
        self.writing == Writing::Object(Put { slot, kind })
    }
}
