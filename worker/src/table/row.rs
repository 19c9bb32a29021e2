//! One row of a table, in the form used before encoding and after decoding.

use whence_engine::Attribution;
use whence_engine::context::ContextAttribution;
use whence_schemas::{RowError, RowId};

/// One row of a table: of the attribution table, unless `R` says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow<R = Attribution> {
    /// The example and its sequence.
    pub id: RowId,
    /// The input text; `None` if the row had none.
    pub input_text: Option<String>,
    /// Whether the dataset forced the target.
    pub forced: bool,
    /// What was computed, or why there is nothing.
    pub result: Result<R, RowError>,
}

/// One row of the context table.
pub type ContextRow = TableRow<ContextAttribution>;

impl<R> TableRow<R> {
    /// Returns what was computed, or `None` for an error row.
    pub(super) fn output(&self) -> Option<&R> {
        self.result.as_ref().ok()
    }
}
