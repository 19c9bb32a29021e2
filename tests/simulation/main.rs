//! Whole clusters in simulated time, on a simulated network, with a failing store.
//!
//! Two coordinators that take the root from each other and four workers run the real code: gRPC,
//! sessions, leases, the engine, the commit. The network partitions, holds messages back and loses
//! machines, and the store refuses, loses requests and loses answers. Minutes pass in a moment, so that
//! many seeds can be run. Each must end with the table of an undisturbed run.
//!
//! A seed decides every disturbance and every pause. What runs at the same simulated moment may still
//! run in another order, so a seed repeats a simulation nearly, not bit by bit.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod disturbance;
mod network;
mod store;
mod world;

use std::time::Duration;

use whence_schemas::JobSpec;
use whence_tests::fixtures::short_job;
use whence_tests::history::Undisturbed;
use whence_tests::seeds::{rounds, seed};

use world::World;

/// Simulations in the default tests.
const SEEDS: usize = 20;

/// Returns a job of 24 slots.
fn job() -> JobSpec {
    short_job(24, 1)
}

#[expect(
    clippy::print_stdout,
    reason = "figures belong into the output of the test"
)]
#[test]
fn whatever_fails_each_row_is_in_the_table_once() {
    let spec = job();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let undisturbed = runtime.block_on(Undisturbed::run(&spec));
    let mut longest = Duration::ZERO;
    for seed in (seed()..).take(SEEDS * rounds()) {
        let ended = World::new(seed, &spec).run(&undisturbed);
        longest = longest.max(ended);
    }
    let most = SEEDS * rounds();
    let minutes = longest.as_secs_f64() / 60.0;
    println!("{most} simulations, the longest job took {minutes:.1} simulated minutes");
}

#[test]
fn the_same_seed_disturbs_in_the_same_way_and_another_one_does_not() {
    let spec = job();
    let plan = |seed| World::new(seed, &spec).disturbances().to_vec();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    assert!(plan(7).len() > 5, "{:?}", plan(7));
}
