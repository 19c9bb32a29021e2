//! The rows of the tables and their Arrow form. [`encode`] makes a batch of the attribution table, and
//! [`decode`] reverses it; [`context`] does the same for the context table.
//!
//! The attribution table has one row per sequence of an example, with its steps nested inside. Both
//! directions use the names in [`whence_schemas::output`], never the position of a column, and a
//! property test checks that they agree.

pub mod context;

mod decode;
mod encode;

mod arrays;
mod reader;

mod row;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use row::{ContextRow, TableRow};
