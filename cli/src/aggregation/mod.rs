//! Aggregation after the fact: the aggregators run on stored tables and saved files.
//!
//! `request` says what is asked for and checks it, `stages` does it to one example, `groups` reads
//! the inputs slot by slot, and `table` writes the result as the table of a job of its own. Nothing
//! here holds more than one slot.

mod groups;
mod join;
mod request;
mod stages;
mod table;

pub(crate) use groups::{Groups, counts};
pub(crate) use request::Request;
pub(crate) use table::{DerivedTable, planned};
