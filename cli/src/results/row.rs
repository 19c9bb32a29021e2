//! One row of a table.

use whence_engine::Attribution;
use whence_schemas::RowId;

/// One row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// Example and sequence.
    pub id: RowId,
    /// The input text; none if the row had none.
    pub input_text: Option<String>,
    /// What became of it.
    pub outcome: Result<Attribution, RowError>,
}

/// Why an example could not be attributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// What kind of error; constant for each kind.
    pub code: String,
    /// What went wrong.
    pub message: String,
}
