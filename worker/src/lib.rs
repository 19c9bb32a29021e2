//! The worker service around the engine: it takes leases and writes Parquet tables.
//!
//! A worker dials the coordinator, asks for shards, and runs one [`task`] for each [`lease`]: fetch
//! the rows, attribute them on the [`device`], encode the [`table`], and [`commit`] it into its
//! slot. A task that must end early puts the rows it has finished into slots below its own.
//! `session` maintains the connection: it registers, renews leases and reports.
//!
//! Two things must stay true. Nothing a worker does can overwrite a result or write one twice,
//! whatever it believes about its leases, because only the slot decides. And computation never runs
//! on the async threads.

pub mod calibration;
pub mod config;
mod session;

pub mod commit;
mod computation;
pub mod device;
mod examples;
pub mod input;
pub mod lease;
pub mod locate;
pub mod memory;
pub mod models;
mod panics;
pub mod places;
mod publish;
mod spool;
pub mod table;
pub mod task;
#[cfg(test)]
mod testing;

pub mod error;

pub mod command;

pub use config::Config;
pub use error::Error;
pub use places::{Places, PlacesError};
pub use session::{Coordinator, run};
