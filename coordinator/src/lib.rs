//! What decides: datasets into shards, shards to workers, slots into sealed tables.
//!
//! [`dataset`] cuts rows into shards; [`job`] knows what is filled, leased and missing, and decides
//! with [`job::scheduler`] what is next, without clock, store or network; `state` holds all jobs and
//! workers, as pure. [`Coordinator`] is the shell around them: [`Jobs`] answers people, [`Dispatch`]
//! answers workers, [`Reconciler`] does what nobody asks for, [`durable`] writes the store's objects
//! and finds them again. `service` puts the answers on the wire, [`server`] serves them.
//!
//! What must stay true: nothing here is needed to know what was computed. The store's slots say it;
//! a coordinator that lost its memory, or of which there are two, costs time and never a row. And
//! nothing here knows what a method or a model is: to the coordinator those are names.

pub mod config;
pub mod error;

pub mod dataset;
pub mod durable;
pub mod job;
pub mod panics;

mod assignment;
mod blocking;
mod clock;
mod shared;
mod state;
#[cfg(test)]
mod testing;

mod core;

mod closing;
mod coordinator;
mod dispatch;
mod jobs;
mod reconcile;

mod ipc;

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
