//! One row of the table, in the form used before encoding and after decoding.

use whence_engine::Attribution;
use whence_schemas::{RowError, RowId};

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// The example and its sequence.
    pub id: RowId,
    /// The input text; `None` if the row had none.
    pub input_text: Option<String>,
    /// Whether the dataset forced the target.
    pub forced: bool,
    /// The attribution, or why there is none.
    pub result: Result<Attribution, RowError>,
}

impl TableRow {
    /// Returns the attribution, or `None` for an error row.
    pub(super) fn attribution(&self) -> Option<&Attribution> {
        self.result.as_ref().ok()
    }
}
