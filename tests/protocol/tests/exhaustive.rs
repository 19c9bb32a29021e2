//! The promise holds in every state of small jobs, and every mistake breaks it.
//!
//! More and larger jobs take minutes:
//!
//!     cargo run --release -p whence-protocol-model --example large

#![allow(clippy::print_stdout, reason = "how much was checked is worth seeing")]

use whence_protocol_model::check::{assert_holds, counterexample, seals};
use whence_protocol_model::mutant::Mutant;
use whence_protocol_model::properties::{BELOW_TOMBSTONES, COMPLETE, LISTED, ONCE};
use whence_protocol_model::protocol::{Dispatcher, Protocol};

/// Checks a protocol and prints how many states it has.
fn check(protocol: &Protocol) {
    let found = assert_holds(protocol);
    let (states, transitions) = (found.num_states, found.num_transitions);
    println!("{states} states, {transitions} transitions");
}

#[test]
fn two_coordinators_that_live_at_once_and_crash_at_any_time_seal_each_row_once() {
    check(&Protocol {
        attempts: 1,
        ..Protocol::new(Dispatcher::Coordinators, &[2])
    });
}

#[test]
fn two_attempts_at_once_whose_requests_get_lost_or_come_late_seal_each_row_once() {
    check(&Protocol {
        coordinators: 1,
        ..Protocol::new(Dispatcher::Coordinators, &[2])
    });
}

#[test]
fn two_processes_without_a_coordinator_seal_each_row_once() {
    check(&Protocol {
        attempts: 1,
        ..Protocol::new(Dispatcher::Processes, &[2])
    });
}

#[test]
fn two_processes_seal_two_shards_once() {
    check(&Protocol::new(Dispatcher::Processes, &[1, 1]));
}

#[test]
fn a_damaged_object_is_never_sealed_and_its_rows_are_computed_again() {
    check(&Protocol {
        coordinators: 1,
        attempts: 1,
        damages: 1,
        ..Protocol::new(Dispatcher::Coordinators, &[2])
    });
}

/// A small job in which this mistake is made.
fn with(mutant: Mutant, dispatcher: Dispatcher) -> Protocol {
    let needs_damage = matches!(
        mutant,
        Mutant::SealsUnread | Mutant::ReadsWithoutKind | Mutant::DeletesTombstones
    );
    Protocol {
        attempts: 1,
        damages: u8::from(needs_damage),
        mutant: Some(mutant),
        ..Protocol::new(dispatcher, &[2])
    }
}

#[test]
fn every_mistake_is_found() {
    for (mutant, property) in [
        (Mutant::Overwrites, ONCE),
        (Mutant::NamesByAttempt, ONCE),
        (Mutant::SplitsInMemory, LISTED),
        (Mutant::LeasesHalvesEarly, ONCE),
        (Mutant::PublishesHalvesEarly, BELOW_TOMBSTONES),
        (Mutant::TakesRefusalForSplit, ONCE),
        (Mutant::TakesRefusalForCommit, LISTED),
        (Mutant::TakesSilenceForCommit, LISTED),
        (Mutant::SealsWithoutHalves, COMPLETE),
        (Mutant::SealsFromOldListing, LISTED),
        (Mutant::SealsUnread, COMPLETE),
        (Mutant::ReadsWithoutKind, LISTED),
        (Mutant::DeletesTombstones, ONCE),
    ] {
        for dispatcher in [Dispatcher::Coordinators, Dispatcher::Processes] {
            let steps = counterexample(&with(mutant, dispatcher), property);
            let steps = steps.unwrap_or_else(|| panic!("{mutant:?} with {dispatcher:?}"));
            println!("{mutant:?}, {dispatcher:?}, {property}: {steps:?}");
        }
    }
}

#[test]
fn halves_that_are_left_to_an_attempt_that_died_keep_a_job_from_being_sealed() {
    for dispatcher in [Dispatcher::Coordinators, Dispatcher::Processes] {
        let found = seals(&with(Mutant::LeavesHalvesToTheirAuthor, dispatcher));
        assert!(found.num_dead_ends > 0, "{dispatcher:?}");
    }
}
