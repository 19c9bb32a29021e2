//! Steps of coordinators, and of processes that share a job.

use crate::attempt::Attempt;
use crate::coordinator::{Coordinator, Writing};
use crate::mutant::Mutant;
use crate::plan::Slot;
use crate::protocol::{Dispatcher, Protocol};
use crate::state::State;
use crate::store::{Kind, Put, Store, is_complete};

/// A step of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It sees the object in a slot by its footer, after a report, in a poll or when it recovers. Each
    /// footer is a request of its own, so slots are seen one by one.
    See(Slot),
    /// It leases a slot to a worker. Any slot that it takes for open may be leased: the last lease may
    /// have ended, or the attempt is a backup.
    Lease(Slot),
    /// It asks the store to fill a slot that it gives up: with a tombstone, or an error row if there is
    /// only one row.
    Close(Slot),
    /// It reads the object in a slot that it knows, and finds it gone, damaged, or of another kind.
    Read(Slot),
    /// It has read all objects and asks the store for the manifest.
    Seal,
    /// The store carries out its request, and it gets the answer.
    Hear,
    /// It gives its request up and may repeat it. The store may still carry it out later.
    GiveUp,
    /// It crashes and starts again, with nothing in its memory.
    Restart,
}

/// Offers the possible steps of all coordinators, each with the coordinator's place.
pub fn offer(protocol: &Protocol, state: &State, offer: &mut impl FnMut(usize, Step)) {
    for (index, coordinator) in state.coordinators.iter().enumerate() {
        let mut offer = |step| offer(index, step);
        for slot in protocol.plan.slots() {
            of_slot(protocol, state, coordinator, slot, &mut offer);
        }
        if coordinator.writing == Writing::Nothing {
            // A sealed job stays as it is, whoever seals it again.
            if state.store.manifest().is_none() && may_seal(protocol, state, coordinator) {
                offer(Step::Seal);
            }
        } else {
            offer(Step::Hear);
            offer(Step::GiveUp);
        }
        if *coordinator != Coordinator::default() {
            offer(Step::Restart);
        }
    }
}

/// Offers the steps of a coordinator that are about one slot.
fn of_slot(
    protocol: &Protocol,
    state: &State,
    coordinator: &Coordinator,
    slot: Slot,
    offer: &mut impl FnMut(Step),
) {
    let stored = state.store.kind(slot);
    let is_idle = coordinator.writing == Writing::Nothing;
    if coordinator.is_open(&protocol.plan, slot, protocol.mutant) && stored.is_some() {
        offer(Step::See(slot));
    }
    if coordinator.may_fill(&protocol.plan, slot, protocol.mutant) {
        let looks_first = protocol.dispatcher == Dispatcher::Processes;
        let has_room = state.attempts.len() < protocol.attempts;
        if has_room && !(looks_first && stored.is_some()) {
            offer(Step::Lease(slot));
        }
        if is_idle {
            offer(Step::Close(slot));
        }
    }
    let is_known = coordinator.known[slot].is_some();
    if is_idle && is_known && !is_as_known(protocol, state, coordinator, slot) {
        offer(Step::Read(slot));
    }
}

/// Returns whether a coordinator that reads the object in a slot finds what it expects: a whole object
/// of the kind that it saw before.
fn is_as_known(protocol: &Protocol, state: &State, coordinator: &Coordinator, slot: Slot) -> bool {
    if protocol.damages == 0 {
        // Nothing changes then. A mutant whose objects differ must not be saved by reading them.
        return true;
    }
    let is_same = state.store.kind(slot) == coordinator.known[slot];
    state.is_whole(slot) && (is_same || protocol.makes(Mutant::ReadsWithoutKind))
}

/// Returns whether a coordinator takes the table for complete, and has read each of its objects.
fn may_seal(protocol: &Protocol, state: &State, coordinator: &Coordinator) -> bool {
    let plan = &protocol.plan;
    let known = coordinator.known;
    if protocol.makes(Mutant::SealsWithoutHalves) {
        return plan.shards().all(|slot| known[slot].is_some());
    }
    if protocol.makes(Mutant::SealsFromOldListing) {
        return is_complete(plan, state.store.listing(plan));
    }
    let mut filled = plan.slots().filter(|slot| known[*slot].is_some());
    let mut is_read = || filled.all(|slot| is_as_known(protocol, state, coordinator, slot));
    is_complete(plan, known) && (protocol.makes(Mutant::SealsUnread) || is_read())
}

/// Carries out a step of the coordinator at `index`.
pub fn take(protocol: &Protocol, state: &mut State, index: usize, step: Step) {
    let coordinator = &mut state.coordinators[index];
    let store = &mut state.store;
    match step {
        Step::See(slot) => coordinator.known[slot] = store.kind(slot),
        Step::Lease(slot) => state.attempts.push(Attempt::Computing(slot)),
        Step::Close(slot) => close(protocol, coordinator, slot),
        Step::Read(slot) => read(store, coordinator, slot),
        Step::Seal => coordinator.writing = Writing::Manifest(coordinator.known),
        Step::Hear => hear(protocol, store, coordinator),
        Step::GiveUp => give_up(store, coordinator),
        Step::Restart => {
            give_up(store, coordinator);
            *coordinator = Coordinator::default();
        }
    }
}

fn close(protocol: &Protocol, coordinator: &mut Coordinator, slot: Slot) {
    let kind = match protocol.plan.halves(slot) {
        Some(_) => Kind::Tombstone,
        None => Kind::ErrorRow,
    };
    if kind == Kind::Tombstone && protocol.makes(Mutant::SplitsInMemory) {
        coordinator.known[slot] = Some(kind);
    } else {
        coordinator.writing = Writing::Object(Put { slot, kind });
    }
}

/// Reads an object that is not what the coordinator expects, and corrects what it knows.
fn read(store: &Store, coordinator: &mut Coordinator, slot: Slot) {
    let kind = Kind::Tombstone;
    if coordinator.known[slot] == Some(kind) {
        // Its halves may be filled, so it must stay split.
        coordinator.writing = Writing::Object(Put { slot, kind });
        return;
    }
    let found = store.object(slot).filter(|object| !object.is_damaged);
    coordinator.known[slot] = found.map(|object| object.kind);
}

/// Carries out the request of a coordinator, which then goes on with what the slot holds.
fn hear(protocol: &Protocol, store: &mut Store, coordinator: &mut Coordinator) {
    match std::mem::take(&mut coordinator.writing) {
        Writing::Nothing => {}
        Writing::Object(put) => {
            let found = store.create(put, protocol.mutant);
            let is_believed = protocol.makes(Mutant::TakesRefusalForSplit);
            let known = if is_believed { put.kind } else { found };
            coordinator.known[put.slot] = Some(known);
        }
        Writing::Manifest(manifest) => store.seal(manifest),
    }
}

fn give_up(store: &mut Store, coordinator: &mut Coordinator) {
    match std::mem::take(&mut coordinator.writing) {
        Writing::Nothing => {}
        Writing::Object(put) => store.keep_late(put),
        Writing::Manifest(manifest) => store.keep_late_manifest(manifest),
    }
}
