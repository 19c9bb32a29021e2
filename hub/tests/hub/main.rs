//! The client against a Hub on loopback, which fails on demand.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its functions included"
)]

mod access;
mod faults;
mod layout;
mod models;
mod offline;
mod processes;
mod remote;
mod setup;
mod snapshots;
