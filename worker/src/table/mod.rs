//! The rows of the attribution table and their Arrow form. [`encode`] makes a batch, and [`decode`]
//! reverses it.
//!
//! There is one row per sequence of an example, with its steps nested inside. Both directions use
//! the names in [`whence_schemas::output`], never the position of a column, and a property test
//! checks that they agree.

mod decode;
mod encode;
mod row;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use row::TableRow;
