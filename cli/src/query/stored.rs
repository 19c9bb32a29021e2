//! The tables that jobs fill, and where their files are.

use whence_schemas::layout;

/// A table that jobs fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredTable {
    /// Attributions: one row per example.
    Attributions,
    /// Context tables: one row per example of `attribute-context-dataset`.
    Contexts,
}

impl StoredTable {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Attributions, Self::Contexts];

    /// Returns the folder of its files below a storage root.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Attributions => layout::ATTRIBUTIONS,
            Self::Contexts => layout::CONTEXTS,
        }
    }
}
