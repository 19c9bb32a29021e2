//! SQL over everything in a storage root.
//!
//! The slots of all jobs form one table. It is partitioned by model, method, dataset and job, as
//! encoded in the slots' paths. The tables and views in [`views`] turn it into examples, tokens,
//! steps, single scores and words; `long` unnests the lists for `whence sql`. Schemas come from the
//! jobs' specifications, so no table is read before the query is known. A filled slot never changes,
//! so a query about a running job covers the rows done so far.
//!
//! What must stay true: answers are streamed. One row of the table becomes thousands of scores, so
//! batches are cut. Memory for sorting and grouping has a limit, beyond which it spills to disk.
//!
//! Without the feature `sql`, only the catalog and the views are compiled; `whence views` needs
//! them.

#[cfg(feature = "sql")]
mod answer;
#[cfg(feature = "sql")]
mod attempts_table;
pub(crate) mod catalog;
#[cfg(feature = "sql")]
pub(crate) mod damage;
#[cfg(feature = "sql")]
mod documentation;
#[cfg(feature = "sql")]
mod explain;
#[cfg(feature = "sql")]
mod json_lines;
#[cfg(feature = "sql")]
mod long;
#[cfg(feature = "sql")]
mod loose;
#[cfg(feature = "sql")]
mod order;
#[cfg(feature = "sql")]
mod session;
pub mod shape;
#[cfg(feature = "sql")]
mod statements;
pub mod stored;
#[cfg_attr(
    not(feature = "sql"),
    allow(dead_code, reason = "only `whence sql` has views of DataFusion's own")
)]
pub mod views;

#[cfg(feature = "sql")]
pub(crate) use answer::{write, write_table};
#[cfg(feature = "sql")]
pub(crate) use documentation::{describe, describe_tables};
#[cfg(feature = "sql")]
pub(crate) use loose::LooseTables;
#[cfg(feature = "sql")]
pub use order::Order;
#[cfg(feature = "sql")]
pub use session::Session;
#[cfg(feature = "sql")]
pub(crate) use statements::{is_complete, statements};
