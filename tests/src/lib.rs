//! Code shared by the cross-crate test suites: fixtures, clusters, failing stores, table readers.
//!
//! Every suite is hermetic: its own temporary directory, port 0, loopback only. A cluster runs
//! either in this process ([`cluster`]), where a test controls what happens when, or as the real
//! programs ([`machines`]), which a test can kill. Whatever happens to it, [`history`] checks what it
//! leaves behind.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

pub mod buckets;
pub mod cluster;
pub mod fixtures;
pub mod history;
pub mod log;
pub mod machines;
pub mod naive_reader;
pub mod optional;
pub mod parity;
pub mod processes;
pub mod proxy;
pub mod python;
pub mod seeds;
pub mod separate_marian;
pub mod table;
pub mod text;
