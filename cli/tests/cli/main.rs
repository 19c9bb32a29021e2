//! The command as a person meets it: the built program, what it prints, how it ends.
//!
//! Every test has its own directory and port. What a person reads is compared whole with files in
//! `snapshots`; run with `UPDATE_SNAPSHOTS=1` to write them anew, and read the difference.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be, and says which program is missing"
)]

mod attribute;
mod bucket;
mod chat;
mod cluster;
mod dataset;
mod help;
mod models;
mod options;
mod outputs;
mod reading;
mod refusals;
mod run;
mod sql;
