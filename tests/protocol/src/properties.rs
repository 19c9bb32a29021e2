//! What must hold in every state, and what must be possible at all.

use stateright::Property;

use crate::protocol::Protocol;
use crate::state::State;
use crate::store::Kind;

/// No row is in two objects, sealed or not: whoever reads the folder of the table sees it once.
pub const ONCE: &str = "each row is in at most one object";
/// A slot below another one is filled only after the tombstone of the latter is in the store.
pub const BELOW_TOMBSTONES: &str = "halves are filled only below a tombstone";
/// Once a job is sealed, the objects of its table are those of the manifest. So no later request adds,
/// removes or replaces one.
pub const LISTED: &str = "a sealed table is what its manifest lists";
/// Once a job is sealed, every row is in exactly one object, which is not damaged.
pub const COMPLETE: &str = "a sealed table has each row exactly once";
/// A table is sealed in which some slot is split and some row is given up.
pub const SEALED_WITH_ERRORS: &str = "a job with a tombstone and an error row is sealed";
/// An attempt is left after the job was sealed, so that the properties above say something about what
/// comes later.
pub const LATE: &str = "an attempt outlives its job";

/// Returns the properties of a protocol.
pub fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(ONCE, is_once),
        Property::always(BELOW_TOMBSTONES, is_below_tombstones),
        Property::always(LISTED, is_listed),
        Property::always(COMPLETE, is_complete),
        Property::sometimes(LATE, is_late),
    ];
    let plan = &protocol.plan;
    if plan.slots().any(|slot| plan.halves(slot).is_some()) {
        properties.push(Property::sometimes(
            SEALED_WITH_ERRORS,
            is_sealed_with_errors,
        ));
    }
    properties
}

/// Returns whether the job is sealed, which must stay possible whatever happened.
pub fn is_sealed(state: &State) -> bool {
    state.store.manifest().is_some()
}

/// Returns in how many objects a row is.
fn num_objects(protocol: &Protocol, state: &State, row: u8) -> usize {
    let plan = &protocol.plan;
    let slots = plan.slots().filter(|slot| plan.rows(*slot).contains(&row));
    slots.map(|slot| state.store.num_with_rows(slot)).sum()
}

fn is_once(protocol: &Protocol, state: &State) -> bool {
    (0..protocol.plan.num_rows()).all(|row| num_objects(protocol, state, row) <= 1)
}

fn is_below_tombstones(protocol: &Protocol, state: &State) -> bool {
    let store = &state.store;
    protocol.plan.slots().all(|slot| {
        let is_split = |parent| store.kind(parent) == Some(Kind::Tombstone);
        store.kind(slot).is_none() || protocol.plan.parent(slot).is_none_or(is_split)
    })
}

fn is_listed(protocol: &Protocol, state: &State) -> bool {
    let store = &state.store;
    let is_listed = |manifest| store.is_listed_by(&protocol.plan, manifest);
    store.manifest().is_none_or(is_listed)
}

fn is_complete(protocol: &Protocol, state: &State) -> bool {
    if !is_sealed(state) {
        return true;
    }
    let plan = &protocol.plan;
    let is_intact = |slot| state.store.object(slot).is_none() || state.is_whole(slot);
    plan.slots().all(is_intact)
        && (0..plan.num_rows()).all(|row| num_objects(protocol, state, row) == 1)
}

fn is_late(_: &Protocol, state: &State) -> bool {
    is_sealed(state) && !state.attempts.is_empty()
}

fn is_sealed_with_errors(protocol: &Protocol, state: &State) -> bool {
    let has = |kind| {
        let mut slots = protocol.plan.slots();
        slots.any(|slot| state.store.kind(slot) == Some(kind))
    };
    is_sealed(state) && has(Kind::Tombstone) && has(Kind::ErrorRow)
}
