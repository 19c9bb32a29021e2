//! Checks a protocol, and shows how a mistake breaks it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::is_sealed;
use crate::protocol::Protocol;
use crate::reachability::{Reachability, explore};
use crate::state::State;
use crate::steps::{Action, is_undisturbed};

/// The machines that run all tests have two cores.
const THREADS: usize = 2;

/// Checks that every property holds in every state, and that undisturbed work seals the job from each
/// of them. Returns how many states there are.
///
/// Panics if that is not so, with the steps to such a state or with the state.
pub fn assert_holds(protocol: &Protocol) -> Reachability<State> {
    let checker = protocol.clone().checker().threads(THREADS).spawn_bfs();
    checker.join().assert_properties();
    let reached = seals(protocol);
    if let Some(dead_end) = &reached.dead_end {
        panic!("no work seals the job in {dead_end:#?}");
    }
    reached
}

/// Finds the states in which no undisturbed work leads to a sealed job.
pub fn seals(protocol: &Protocol) -> Reachability<State> {
    explore(protocol, is_sealed, is_undisturbed)
}

/// Returns few steps to a state in which the property of this name does not hold; `None` if there is no
/// such state.
pub fn counterexample(protocol: &Protocol, property: &'static str) -> Option<Vec<Action>> {
    let is_found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    // On one thread, so that the same steps are found each time.
    let checker = protocol.clone().checker().finish_when(is_found);
    let path = checker.spawn_bfs().join().discovery(property)?;
    Some(path.into_actions())
}
