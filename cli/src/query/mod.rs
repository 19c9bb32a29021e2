//! SQL over everything in a storage root.
//!
//! The slots of all jobs are one table, partitioned by model, method, dataset and job as their paths
//! say. The views of [`views`] turn it into examples, steps and single scores. Schemas come from the
//! jobs' specifications, so no table is read before the query is known. A filled slot never changes:
//! a query about a running job is answered for the rows that are done.
//!
//! What must stay true: answers stream. One row of the table becomes thousands of scores, so batches
//! are small, and whatever has to be held (for sorting or grouping) has a limit and then spills to
//! disk.
//!
//! Without the feature `sql` only the catalog and the views are compiled, which `whence views` prints.

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
