//! The service around the engine: leases in, Parquet tables out.
//!
//! A worker dials the coordinator, asks for shards, and for each [`lease`] does one [`task`]: fetch
//! the rows, attribute them on the [`device`], encode the [`table`], [`commit`] it into its slot. A
//! task that must end early puts what it has finished into slots below.
//! `session` keeps the connection: it registers, renews leases and reports.
//!
//! What must stay true: nothing a worker does can overwrite a result or write one twice, whatever
//! it believes about its leases; the slot decides. Compute never runs on the async threads.

pub mod config;
mod session;

pub mod commit;
pub mod device;
mod examples;
pub mod input;
pub mod lease;
pub mod memory;
pub mod models;
mod panics;
mod publish;
pub mod table;
pub mod task;

pub mod error;

pub mod command;

pub use config::Config;
pub use error::Error;
pub use session::{Coordinator, run};
