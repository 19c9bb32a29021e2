//! The table of supported formats, and the lookup of a file's format by its extension.

mod csv;
mod json;
mod lines;
mod parquet;

use std::path::Path;

use crate::Error;
use crate::format::Format;

/// Every supported format. In a folder with equally many files of two formats, the first one wins.
pub const FORMATS: &[&dyn Format] = &[
    &parquet::Parquet,
    &json::JsonLines,
    &csv::Delimited::COMMA,
    &csv::Delimited::TAB,
];

/// Returns the format of a file by its extension, in any case. Fails if no format has it.
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
                "unsupported file extension; supported: {}; unpack or rename the file",
                known.join(", ")
            ),
        }
    })
}
