//! The coordinator: cuts datasets into shards, leases shards to workers and seals finished tables.
//!
//! * [`rows`] cuts a dataset into shards, and reads the rows of a shard.
//! * [`job`] tracks which slots of one job are filled, leased or missing. Its [`job::scheduler`]
//!   chooses what to hand out next. Neither touches a clock, the store or the network.
//! * `state` holds all jobs and workers, and is just as pure.
//! * [`Coordinator`] connects them to the outside: [`Jobs`] answers people, [`Dispatch`] answers
//!   workers, and [`Reconciler`] does the periodic work that nobody asks for.
//! * [`schedule`] decides which times of a schedule have come, and `scheduling` submits its jobs then.
//! * [`durable`] writes the coordinator's objects to the store and reads them back after a restart.
//! * [`access`] says who may call, and what jobs may name.
//! * `service` translates between these and gRPC; [`server`] listens and serves;
//!   [`http`] answers whether it serves, with its `metrics` and the pages of its `dashboard`.
//!
//! Two things must stay true. First, the store alone says what has been computed: if a coordinator
//! loses its memory, or two of them serve the same root, that costs time but never a row. Second,
//! nothing here knows what a method or a model is: to the coordinator they are only names.

pub mod access;
pub mod config;
pub mod error;

pub mod durable;
pub mod job;
pub mod rows;
pub mod schedule;

mod admission;
mod archive;
mod assignment;
mod blocking;
mod clock;
mod shared;
mod standby;
mod state;
#[cfg(test)]
mod testing;
mod traces;

mod core;

mod closing;
mod coordinator;
mod dispatch;
mod jobs;
mod looking_up;
mod reconcile;
pub mod sample;
mod scheduling;

mod planning;
mod retry;

mod ipc;

mod dashboard;
pub mod http;
mod metrics;

pub mod server;
mod service;

pub mod command;

pub use assignment::{Acquired, Assigned, AttemptAt, AttemptProgress, Registration};
pub use config::Config;
pub use coordinator::Coordinator;
pub use dispatch::Dispatch;
pub use error::Error;
pub use jobs::Jobs;
pub use reconcile::Reconciler;
pub use state::JobSummary;
