//! The order in which a query returns rows.

/// In which order a query without `ORDER BY` returns the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In any order, which is fastest: several threads read at once, many examples at a time.
    Any,
    /// In the order in which they are stored: by job, and by example within a job.
    Stored,
}
