//! What the suites across crates share: fixtures, clusters, stores that fail, and reading tables.
//!
//! Every suite is hermetic: its own temporary directory, port 0, loopback only. A cluster is either
//! in this process ([`cluster`]), where a test can say what happens when, or made of the real
//! programs ([`processes`]), which can be killed.

pub mod cluster;
pub mod fixtures;
pub mod processes;
pub mod python;
pub mod s3;
pub mod separate_marian;
pub mod table;
