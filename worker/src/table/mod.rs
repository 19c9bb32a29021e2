//! The attribution table's rows and their Arrow form: [`encode`] makes a batch, [`decode`] undoes it.
//!
//! One row per sequence of an example, steps nested. Both directions go by the names of
//! [`whence_schemas::output`], never by a column's place, and a property test holds them together.

mod decode;
mod encode;
mod row;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use row::TableRow;
