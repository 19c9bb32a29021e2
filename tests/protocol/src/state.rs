//! Everything that a step may depend on.
//!
//! Coordinators are alike, and so are attempts. Both are kept sorted, so that two states that differ
//! only in who is who are one state. In the trace of a mistake, a number therefore names a coordinator
//! or an attempt for one step only.

use crate::attempt::Attempt;
use crate::coordinator::{Coordinator, Writing};
use crate::mutant::Mutant;
use crate::plan::Slot;
use crate::protocol::Protocol;
use crate::store::{Kind, Object, Store};

/// A state of the store and of all who use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The store.
    pub store: Store,
    /// Coordinators, or the processes that share the job. One that has ended for good is one that takes
    /// no more steps.
    pub coordinators: Vec<Coordinator>,
    /// The attempts that have not ended.
    pub attempts: Vec<Attempt>,
    /// How many more objects may be damaged.
    pub damages_left: u8,
}

impl State {
    /// Brings a state into its one form. Requests that cannot change anything any more are forgotten.
    pub fn settle(&mut self, protocol: &Protocol) {
        for slot in protocol.plan.slots() {
            if self.stays(protocol, slot) {
                self.store.forget_late(slot);
            }
        }
        if self.store.manifest().is_some() {
            for coordinator in &mut self.coordinators {
                if let Writing::Manifest(_) = coordinator.writing {
                    coordinator.writing = Writing::Nothing;
                }
            }
        }
        self.coordinators.sort_unstable();
        self.attempts.sort_unstable();
    }

    /// Returns whether a slot holds an object that nothing can overwrite and nobody will delete.
    fn stays(&self, protocol: &Protocol, slot: Slot) -> bool {
        if protocol.makes(Mutant::Overwrites) || protocol.makes(Mutant::NamesByAttempt) {
            return false;
        }
        let may_be_deleted = |object: Object| {
            let is_safe =
                object.kind == Kind::Tombstone && !protocol.makes(Mutant::DeletesTombstones);
            !is_safe && (object.is_damaged || self.damages_left > 0)
        };
        let object = self.store.object(slot);
        object.is_some_and(|object| !may_be_deleted(object))
    }

    /// Returns whether somebody has asked the store to seal the job, or the job is sealed.
    pub fn is_being_sealed(&self) -> bool {
        let seals = |coordinator: &Coordinator| matches!(coordinator.writing, Writing::Manifest(_));
        self.store.manifest().is_some()
            || self.store.late_manifests().next().is_some()
            || self.coordinators.iter().any(seals)
    }

    /// Returns whether a slot holds an object that is not damaged.
    pub fn is_whole(&self, slot: Slot) -> bool {
        let object = self.store.object(slot);
        object.is_some_and(|object| !object.is_damaged)
    }
}
