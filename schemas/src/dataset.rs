//! How the files of a dataset are read: their format, and the options of that format.
//!
//! The names and meanings are those of the builders of `datasets` (`json`, `csv`, …), so that an
//! option can be copied from a dataset card or from a call of `load_dataset`.

use serde::{Deserialize, Serialize};

/// The format of data files, with its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatSpec {
    /// The format.
    pub name: FormatName,
    /// Its options. Those of other formats must be absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: FormatOptions,
}

impl From<FormatName> for FormatSpec {
    fn from(name: FormatName) -> Self {
        let options = FormatOptions::default();
        Self { name, options }
    }
}

/// The formats of data files, by the names of the builders in `datasets`.
///
/// They are ordered as in `datasets`: in a folder with equally many files of two formats, the
/// first one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a stream or a file: the cache of `datasets`, and what `save_to_disk` writes.
    Arrow,
    /// JSON lines, one list of objects or texts, or objects one after another.
    Json,
    /// Comma-separated values; any other separator with `sep`.
    Csv,
    /// Plain text, with one row per line, paragraph or file.
    Text,
}

impl FormatName {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::Parquet,
        Self::Arrow,
        Self::Json,
        Self::Csv,
        Self::Text,
    ];

    /// Returns the name, as in `datasets`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }

    /// Returns the format of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// The options of all formats. Each format takes some of them and refuses the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatOptions {
    /// `csv`: the character between two cells; a comma if absent.
    #[serde(alias = "delimiter", skip_serializing_if = "Option::is_none")]
    pub sep: Option<String>,
    /// `csv`: the character around cells that contain separators; `"` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotechar: Option<String>,
    /// `csv`: names of the columns of files without a header line; the first line is data then.
    #[serde(alias = "column_names", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// `csv`: number of lines to skip at the start of each file.
    #[serde(skip_serializing_if = "is_default")]
    pub skiprows: u64,
    /// `csv`: whether cells such as `NA` and empty cells are null; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_default_na: Option<bool>,
    /// `json`: the key of the document's object that holds the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// `text`: what makes a row.
    #[serde(skip_serializing_if = "is_default")]
    pub sample_by: SampleBy,
    /// `text`: whether a row of one line keeps its line end.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_linebreaks: bool,
    /// `csv`, `json`, `text`: the encoding of the files, by a name such as `latin-1`; UTF-8 if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// What makes one row of a text file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleBy {
    /// Each line.
    #[default]
    Line,
    /// Each block of lines between empty lines.
    Paragraph,
    /// The whole file.
    Document,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_left_out() {
        let spec = FormatSpec::from(FormatName::Json);
        assert_eq!(serde_json::to_string(&spec).unwrap(), r#"{"name":"json"}"#);
        let text = r#"{"name":"csv","options":{"delimiter":"\t"}}"#;
        let spec: FormatSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.options.sep.as_deref(), Some("\t"));
        let written = serde_json::to_string(&spec).unwrap();
        assert_eq!(written, r#"{"name":"csv","options":{"sep":"\t"}}"#);
    }

    #[test]
    fn unknown_formats_and_options_are_refused() {
        for text in [
            r#"{"name":"xml"}"#,
            r#"{"name":"csv","options":{"sepp":";"}}"#,
        ] {
            assert!(serde_json::from_str::<FormatSpec>(text).is_err(), "{text}");
        }
        for name in FormatName::ALL {
            assert_eq!(FormatName::parse(name.as_str()), Some(name));
        }
    }
}
