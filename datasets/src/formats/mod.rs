//! The table of formats, and which of them the end of a file's name suggests.
//!
//! A format is chosen once, when a dataset is resolved, and is then part of its description.
//! Reading a file never looks at its name.

mod arrow;
mod batches;
mod columnar;
mod parquet;

mod csv;
mod json;
mod text;

mod line_numbers;
mod lines;
mod text_start;

use whence_schemas::{FormatName, FormatOptions, FormatSpec};

use crate::Error;
use crate::format::Format;

/// A row of the table of formats.
struct Entry {
    name: FormatName,
    /// Ends of file names, without the dot.
    extensions: &'static [&'static str],
    /// The options that it takes, by their names in [`FormatOptions`].
    options: &'static [&'static str],
    /// Makes the format, or says what is wrong with the options.
    make: fn(&FormatOptions) -> Result<Box<dyn Format>, String>,
}

const FORMATS: &[Entry] = &[
    Entry {
        name: FormatName::Parquet,
        extensions: &["parquet", "geoparquet", "gpq"],
        options: &[],
        make: |_| Ok(Box::new(parquet::Parquet)),
    },
    Entry {
        name: FormatName::Arrow,
        extensions: &["arrow"],
        options: &[],
        make: |_| Ok(Box::new(arrow::Arrow)),
    },
    Entry {
        name: FormatName::Json,
        extensions: &["json", "jsonl", "ndjson"],
        options: &["field", "encoding"],
        make: |options| {
            let field = options.field.clone();
            Ok(Box::new(json::Json { field }))
        },
    },
    Entry {
        name: FormatName::Csv,
        extensions: &["csv", "tsv"],
        options: &[
            "sep",
            "quotechar",
            "names",
            "skiprows",
            "keep_default_na",
            "encoding",
        ],
        make: |options| Ok(Box::new(csv::Csv::new(options)?)),
    },
    Entry {
        name: FormatName::Text,
        extensions: &["txt"],
        options: &["sample_by", "keep_linebreaks", "encoding"],
        make: |options| Ok(Box::new(text::Text::new(options))),
    },
];

/// Ends of the names of compressed files. What they hold is told by the end before.
const COMPRESSED: [&str; 6] = ["gz", "zst", "bz2", "xz", "lz4", "zip"];

/// Returns the format that `spec` describes. Fails if it does not take one of the options.
pub fn format(spec: &FormatSpec) -> Result<Box<dyn Format>, Error> {
    let refuse = |reason: String| Error::Options {
        format: spec.name.as_str(),
        reason,
    };
    let Some(entry) = FORMATS.iter().find(|entry| entry.name == spec.name) else {
        return Err(refuse("this format is not read".to_owned()));
    };
    if let Some(foreign) = set_options(&spec.options)
        .into_iter()
        .find(|option| !entry.options.contains(&option.as_str()))
    {
        let takes = match entry.options {
            [] => "it takes none".to_owned(),
            options => format!("it takes {}", options.join(", ")),
        };
        return Err(refuse(format!("it has no option `{foreign}`; {takes}")));
    }
    (entry.make)(&spec.options).map_err(refuse)
}

/// Returns the names of the options that are set.
fn set_options(options: &FormatOptions) -> Vec<String> {
    match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(set)) => set.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Returns the format that the end of a file's name suggests: `csv`, `.tsv`, `data.jsonl.gz`.
/// `None` if it suggests none.
///
/// As in `datasets`, the end of a compressed file (`.gz`) is passed over, and `.tsv` is `csv` with
/// tabs.
pub fn by_extension(suffix: &str) -> Option<FormatSpec> {
    let suffix = suffix.to_ascii_lowercase();
    let mut ends = suffix.rsplit('.');
    let end = ends.find(|end| !COMPRESSED.contains(end))?;
    let entry = FORMATS
        .iter()
        .find(|entry| entry.extensions.contains(&end))?;
    let mut spec = FormatSpec::from(entry.name);
    if end == "tsv" {
        spec.options.sep = Some("\t".to_owned());
    }
    Some(spec)
}

/// Returns the ends of file names that suggest a format, for messages.
pub fn extensions() -> Vec<&'static str> {
    let extensions = FORMATS.iter().flat_map(|entry| entry.extensions);
    extensions.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_suggests_the_format() {
        let name = |suffix| by_extension(suffix).map(|spec| spec.name);
        assert_eq!(name("jsonl"), Some(FormatName::Json));
        assert_eq!(name("a.b/part-0.JSONL.gz"), Some(FormatName::Json));
        assert_eq!(name(".parquet"), Some(FormatName::Parquet));
        assert_eq!(name("txt.bak"), None);
        assert_eq!(name("gz"), None);
        let tabs = by_extension("a.tsv").unwrap();
        assert_eq!(
            (tabs.name, tabs.options.sep.as_deref()),
            (FormatName::Csv, Some("\t"))
        );
    }

    #[test]
    fn an_option_of_another_format_is_refused_by_name() {
        let mut spec = FormatSpec::from(FormatName::Parquet);
        spec.options.sep = Some(";".to_owned());
        let error = format(&spec).unwrap_err().to_string();
        assert!(
            error.contains("parquet") && error.contains("`sep`"),
            "{error}"
        );
    }
}
