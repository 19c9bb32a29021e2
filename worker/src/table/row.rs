//! One row of the table, before it is written and after it is read.

use whence_engine::Attribution;
use whence_schemas::{RowError, RowId};

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// Example and sequence.
    pub id: RowId,
    /// The input text; none if the row had none.
    pub input_text: Option<String>,
    /// Whether the dataset forced the target.
    pub forced: bool,
    /// What became of the example.
    pub result: Result<Attribution, RowError>,
}

impl TableRow {
    /// Returns what was computed, if the example could be attributed.
    pub(super) fn attribution(&self) -> Option<&Attribution> {
        self.result.as_ref().ok()
    }
}
