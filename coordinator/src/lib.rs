//! What decides: datasets into shards, shards to workers, slots into sealed tables.
//!
//! [`dataset`] cuts rows into shards; [`job`] knows what is filled, leased and missing, and decides
//! with [`job::scheduler`] what is next, without clock, store or network. [`Coordinator`] is the
//! shell around them: `coordinator` answers people, `dispatch` answers workers, `reconcile` does what
//! nobody asks for, [`durable`] makes things stand in the store and finds them again. `service` puts
//! the answers on the wire, [`server`] serves them.
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

mod clock;
mod coordinator;
mod dispatch;
mod ipc;
mod reconcile;

pub mod server;
mod service;

pub mod command;

pub use config::Config;
pub use coordinator::{Coordinator, Status};
pub use dispatch::{Acquired, Assigned, AttemptAt, AttemptProgress, Registration};
pub use error::{Error, ErrorKind};
