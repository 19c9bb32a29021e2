//! SQL over everything in a storage root.
//!
//! The slots of all jobs form one table. It is partitioned by model, method, dataset and job, as
//! encoded in the slots' paths. The views in [`views`] turn it into examples, steps and single
//! scores. Schemas come from the jobs' specifications, so no table is read before the query is
//! known. A filled slot never changes, so a query about a running job covers the rows done so far.
//!
//! What must stay true: answers are streamed. One row of the table becomes thousands of scores, so
//! batches are small. Memory for sorting and grouping has a limit, beyond which it spills to disk.
//!
//! Without the feature `sql`, only the catalog and the views are compiled; `whence views` needs
//! them.

#[cfg(feature = "sql")]
mod answer;
#[cfg_attr(
    not(feature = "sql"),
    allow(dead_code, reason = "only `whence sql` lists the jobs")
)]
pub(crate) mod catalog;
#[cfg(feature = "sql")]
pub(crate) mod damage;
#[cfg(feature = "sql")]
mod explain;
#[cfg(feature = "sql")]
mod session;
#[cfg_attr(
    not(feature = "sql"),
    allow(dead_code, reason = "only `whence sql` has views of DataFusion's own")
)]
pub mod views;

#[cfg(feature = "sql")]
pub(crate) use answer::write;
#[cfg(feature = "sql")]
pub use session::Session;
