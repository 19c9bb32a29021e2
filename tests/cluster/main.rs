//! Clusters: every row is committed exactly once, whatever fails.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod classes;
mod commit;
mod contexts;
// A release has no crash points.
#[cfg(debug_assertions)]
mod crashes;
mod drains;
mod failures;
mod history;
mod kills;
mod many_jobs;
mod preemption;
mod samples;
mod sequences;
mod sharing;
mod store_faults;
mod stores;
mod stragglers;
mod zombies;
