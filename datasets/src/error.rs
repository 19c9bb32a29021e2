//! Why a dataset or its rows cannot be read, and what kind of problem each reason is.

use std::path::PathBuf;

use whence_schemas::ErrorKind;

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A split that is not in the grammar of `datasets`, or that these files do not have.
    #[error("cannot read the split `{split}`: {reason}")]
    Split {
        /// What was given.
        split: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field path that cannot be parsed.
    #[error(
        "`{field}` is not a field: {reason}; write `column`, `translation.en` or `answers.text[0]`"
    )]
    Field {
        /// What was given.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A template that cannot be parsed.
    #[error(
        "cannot read the template `{template}`: {reason}; write for example \
         `{{premise}} {{hypothesis}}`"
    )]
    Template {
        /// What was given.
        template: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field that does not exist in any row.
    #[error("no row has a field `{field}`; the fields are {}{}", list(.columns), nearest(.suggestion.as_deref()))]
    MissingField {
        /// The missing field.
        field: String,
        /// The fields that do exist.
        columns: Vec<String>,
        /// The existing field with the most similar name, if any is similar.
        suggestion: Option<String>,
    },
    /// A dataset without files, or a slice without rows.
    #[error("there is nothing to attribute: {reason}")]
    Empty {
        /// Why there is nothing.
        reason: String,
    },
    /// A data file that cannot be read.
    #[error("cannot read the data file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// A format that is not read, or options that it does not take.
    #[error("cannot read files as `{format}`: {reason}")]
    Options {
        /// The format.
        format: &'static str,
        /// What is wrong with the options.
        reason: String,
    },
    /// A data file of an unsupported kind.
    #[error("cannot read the data file `{}`: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A data file that is damaged, or that changed since the job was submitted.
    #[error("the data file `{}` is damaged or changed: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
}

impl Error {
    /// Returns the kind of error, which decides the exit code and whether a caller retries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Split { .. }
            | Self::Field { .. }
            | Self::Template { .. }
            | Self::MissingField { .. }
            | Self::Empty { .. }
            | Self::File { .. }
            | Self::Options { .. }
            | Self::Format { .. } => ErrorKind::Invalid,
            Self::Content { .. } => ErrorKind::Data,
        }
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "none".to_owned()
    } else {
        quoted.join(", ")
    }
}

fn nearest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
