//! The table of formats, and the format of a file.

use std::path::Path;

use super::format::Format;
use super::{csv, json, parquet};
use crate::Error;

/// Every format a data file can have.
pub const FORMATS: &[&dyn Format] = &[
    &parquet::Parquet,
    &json::JsonLines,
    &csv::Delimited::COMMA,
    &csv::Delimited::TAB,
];

/// Returns the format of a file by its extension.
pub fn format_of(path: &Path) -> Result<&'static dyn Format, Error> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let format = FORMATS
        .iter()
        .find(|format| format.extensions().contains(&extension.as_str()));
    format.copied().ok_or_else(|| {
        let known: Vec<_> = FORMATS
            .iter()
            .flat_map(|format| format.extensions())
            .map(|extension| format!(".{extension}"))
            .collect();
        Error::Format {
            path: path.to_owned(),
            reason: format!(
                "its extension says no format we read ({}); unpack or rename it",
                known.join(", ")
            ),
        }
    })
}
