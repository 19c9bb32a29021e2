//! What a view is: its name, its documented columns, and its definition for each engine.

use crate::query::shape::Shape;
use crate::query::stored::StoredTable;

/// A table or view that users query.
#[derive(Debug)]
pub struct View {
    /// Its name in SQL.
    pub name: &'static str,
    /// What one of its rows is, as a sentence.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// Where its rows come from.
    pub rows: Rows,
}

/// A column and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds, as a sentence.
    pub about: &'static str,
}

/// Returns the column `name`.
pub(super) const fn column(name: &'static str, about: &'static str) -> Column {
    Column { name, about }
}

/// Where the rows of a view come from.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// The table files themselves.
    Stored(StoredTable),
    /// The objects that describe the jobs.
    Catalog(CatalogTable),
    /// The lists in the table files. `whence sql` unnests them itself, in `query::long`.
    Unnested(Unnested),
    /// A query on the views before it, which every engine understands.
    Query(fn(&Shape) -> String),
}

/// How each engine unnests a table.
#[derive(Debug, Clone, Copy)]
pub struct Unnested {
    /// What one row is.
    pub kind: LongTableKind,
    /// Returns DuckDB's query.
    pub duckdb: fn(&Shape) -> String,
    /// Returns the expression of Polars' lazy frame.
    pub polars: fn(&Shape) -> String,
    /// Python functions that the expression calls.
    pub python: &'static str,
}

/// A table that is made of the objects that describe the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogTable {
    /// One row per job: its state.
    Jobs,
    /// One row per job: its parameters.
    Runs,
    /// One row per failed attempt or failed job.
    Attempts,
}

/// What one row of an unnested table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongTableKind {
    /// A token of an example.
    Tokens,
    /// A generated token.
    Steps,
    /// A step score of a generated token.
    StepScores,
    /// A score.
    Attributions,
    /// One of the strongest scores of a step.
    Alignments,
    /// The statistics of a token. What is unnested are its sums in one batch of slots.
    TokenStats,
    /// A score between two words.
    WordAttributions,
    /// A score between two tokens of one sequence.
    SequenceScores,
    /// A token that depends on a context.
    ContextSensitiveTokens,
    /// A score of a token of a context.
    ContextAttributions,
}

impl LongTableKind {
    /// Returns the table whose lists are unnested.
    pub fn stored(self) -> StoredTable {
        match self {
            Self::ContextSensitiveTokens | Self::ContextAttributions => StoredTable::Contexts,
            _ => StoredTable::Attributions,
        }
    }
}
