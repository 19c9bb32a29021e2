//! Checks larger jobs than the tests do. It takes some minutes and 1 GB of memory:
//!
//!     cargo run --release -p whence-protocol-model --example large
//!
//! Prints one line per job, and ends with an error at the first one that does not hold.

#![allow(clippy::print_stdout, reason = "what it prints is its result")]

use whence_protocol_model::check::assert_holds;
use whence_protocol_model::protocol::{Dispatcher, Protocol};

fn main() {
    let (mut states, mut transitions) = (0, 0);
    for protocol in protocols() {
        let found = assert_holds(&protocol);
        println!(
            "{:?}: {} of them, shards of {:?} rows, {} attempts at a time, {} damaged: {} states, {} transitions",
            protocol.dispatcher,
            protocol.coordinators,
            protocol.plan.lengths(),
            protocol.attempts,
            protocol.damages,
            found.num_states,
            found.num_transitions,
        );
        states += found.num_states;
        transitions += found.num_transitions;
    }
    println!("in all: {states} states, {transitions} transitions");
}

/// The jobs, each with more of something than in the tests.
fn protocols() -> Vec<Protocol> {
    let coordinators = |shards: &[u8]| Protocol::new(Dispatcher::Coordinators, shards);
    let processes = |shards: &[u8]| Protocol::new(Dispatcher::Processes, shards);
    vec![
        coordinators(&[2]),
        processes(&[2]),
        Protocol {
            coordinators: 3,
            attempts: 1,
            ..processes(&[2])
        },
        // A half that is split in turn.
        Protocol {
            attempts: 1,
            ..processes(&[3])
        },
        Protocol {
            attempts: 1,
            ..coordinators(&[2, 1])
        },
        Protocol {
            attempts: 1,
            damages: 1,
            ..coordinators(&[2])
        },
        Protocol {
            coordinators: 1,
            damages: 1,
            ..coordinators(&[2])
        },
        Protocol {
            coordinators: 1,
            attempts: 1,
            damages: 2,
            ..coordinators(&[2])
        },
    ]
}
