//! What happens without the coordinators and the attempts: late requests, damages, a person.

use crate::mutant::Mutant;
use crate::plan::Slot;
use crate::protocol::Protocol;
use crate::state::State;
use crate::store::{Kind, Listing, Put};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The store carries out a request whose author no longer waits.
    CreateLate(Put),
    /// The store carries out a request for a manifest whose author no longer waits.
    SealLate(Listing),
    /// An object is damaged.
    Damage(Slot),
    /// A person deletes a damaged object, as the message about it says.
    Delete(Slot),
}

/// Offers the possible steps.
pub fn offer(protocol: &Protocol, state: &State, offer: &mut impl FnMut(Step)) {
    let store = &state.store;
    store
        .late_manifests()
        .map(Step::SealLate)
        .for_each(&mut *offer);
    // What is damaged after it was read whole is found by `whence verify`, not by a coordinator.
    let may_damage = state.damages_left > 0 && !state.is_being_sealed();
    for slot in protocol.plan.slots() {
        let puts = store.late(slot).map(|kind| Put { slot, kind });
        puts.map(Step::CreateLate).for_each(&mut *offer);
        let Some(object) = store.object(slot) else {
            continue;
        };
        // A damaged tombstone must not be deleted: see `Mutant::DeletesTombstones`.
        let is_tombstone = object.kind == Kind::Tombstone;
        if is_tombstone && !protocol.makes(Mutant::DeletesTombstones) {
            continue;
        }
        if object.is_damaged {
            offer(Step::Delete(slot));
        } else if may_damage {
            offer(Step::Damage(slot));
        }
    }
}

/// Carries out a step.
pub fn take(protocol: &Protocol, state: &mut State, step: Step) {
    match step {
        Step::CreateLate(put) => state.store.create_late(put, protocol.mutant),
        Step::SealLate(manifest) => state.store.seal(manifest),
        Step::Damage(slot) => {
            state.damages_left -= 1;
            state.store.damage(slot);
        }
        Step::Delete(slot) => state.store.delete(slot),
    }
}
