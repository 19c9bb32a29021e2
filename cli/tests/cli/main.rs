//! The command as a user sees it: runs the built program and checks its output and exit status.
//!
//! Every test has its own directory and port. Text for users is compared as a whole with files in
//! `snapshots`. Run with `UPDATE_SNAPSHOTS=1` to rewrite them, then review the diff.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be, and says which program is missing"
)]

mod access;
mod adapters;
mod aggregation;
mod attribute;
mod bucket;
mod chat;
mod cluster;
mod compare;
mod context;
mod context_dataset;
mod dashboard;
mod dataset;
mod devices;
mod doctor_storage;
mod export;
mod help;
mod hub;
mod hub_models;
mod inseq_files;
mod located;
mod models;
mod options;
mod outputs;
mod reading;
mod refusals;
mod retry;
mod run;
mod schedules;
mod sharing;
mod sql;
mod sql_agreement;
mod sql_files;
mod storage;
mod sweeps;
mod tables;
mod traces;
mod verify;
