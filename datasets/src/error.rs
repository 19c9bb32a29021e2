//! Why a dataset or its rows cannot be read, and what kind of problem each reason is.

use std::path::PathBuf;
use std::sync::Arc;

use whence_schemas::ErrorKind;

use crate::content::RemoteFailure;

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
    /// A pattern of data files that cannot be read or that matches nothing.
    #[error("cannot find the data files `{pattern}`: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A description of the dataset, such as its card, that cannot be understood.
    #[error("cannot read `{file}`, which describes the dataset: {reason}")]
    Card {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The dataset has several configurations, and no default.
    #[error(
        "the dataset has several configurations; choose one with `--dataset-config`: {}",
        list(.configs)
    )]
    ConfigMissing {
        /// The configurations there are.
        configs: Vec<String>,
    },
    /// A configuration that the dataset does not have.
    #[error(
        "the dataset has no configuration `{config}`; there are {}{}",
        list(.configs),
        nearest(.suggestion.as_deref())
    )]
    ConfigUnknown {
        /// What was asked for.
        config: String,
        /// The configurations there are.
        configs: Vec<String>,
        /// The one with the most similar name, if any is similar.
        suggestion: Option<String>,
    },
    /// An argument of a configuration that would change the rows, and that whence cannot honor.
    #[error(
        "{given_by} asks for `{argument}`, which whence does not support for {format}; convert the \
         files, for example to Parquet"
    )]
    Argument {
        /// The configuration or the option.
        given_by: String,
        /// The argument and its value.
        argument: String,
        /// The format.
        format: &'static str,
    },
    /// Files for which `datasets` has a builder and whence does not.
    #[error(
        "the dataset is one of `{builder}`, which whence does not read; it reads parquet, arrow, \
         json, csv and text: name such files with `--dataset-files`"
    )]
    Builder {
        /// The builder.
        builder: String,
    },
    /// Splits whose files have different formats.
    #[error(
        "cannot tell the format of the dataset: {reason}; name the files of one format with \
         `--dataset-files`"
    )]
    Formats {
        /// Which format each split has.
        reason: String,
    },
    /// No file has a known extension.
    #[error(
        "cannot tell the format of `{path}` by its name; say it with `--dataset-name json`, `csv`, \
         `parquet`, `arrow` or `text`, and name the files with `--dataset-files`"
    )]
    UnknownFormat {
        /// The first of the files.
        path: String,
    },
    /// A dataset that is not the one the job was submitted with.
    #[error(
        "the files of `{dataset}` are not those that the job was submitted with: a file was \
         changed, added, removed or renamed; submit the job again"
    )]
    Changed {
        /// The dataset.
        dataset: String,
    },
    /// A repository that the Hub does not give.
    #[error(transparent)]
    Hub(#[from] Box<whence_hub::Error>),
    /// A variable of the environment about the Hub that cannot be followed.
    #[error(transparent)]
    HubSettings(whence_hub::SettingsError),
    /// A name or revision that cannot be on the Hub.
    #[error(transparent)]
    HubName(whence_hub::InvalidName),
    /// Offline, the cache does not know all files of the repository.
    #[error(
        "the cache holds some files of `{repository}`, but no list of all of them, so it cannot be \
         read offline"
    )]
    HubIncomplete {
        /// The repository.
        repository: String,
    },
    /// Offline, a file that the cache does not hold.
    #[error(
        "the file `{file}` of the dataset `{repository}` is not in the cache, and offline mode does \
         not ask the Hub"
    )]
    HubNotCached {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
    },
    /// The repository is loaded by a script, and the Hub has no Parquet copy of it.
    #[error(
        "`{repository}` is loaded by a script, which is never run, and the Hub has no copy of it in \
         Parquet"
    )]
    Script {
        /// The repository.
        repository: String,
    },
    /// A file on another machine that cannot be read.
    #[error(transparent)]
    Remote(Arc<RemoteFailure>),
    /// The threads that talk to other machines cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
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
            | Self::Pattern { .. }
            | Self::Card { .. }
            | Self::ConfigMissing { .. }
            | Self::ConfigUnknown { .. }
            | Self::Argument { .. }
            | Self::Builder { .. }
            | Self::Formats { .. }
            | Self::UnknownFormat { .. }
            | Self::Empty { .. }
            | Self::File { .. }
            | Self::Options { .. }
            | Self::HubIncomplete { .. }
            | Self::Script { .. }
            | Self::Format { .. } => ErrorKind::Invalid,
            Self::Content { .. } | Self::Changed { .. } => ErrorKind::Data,
            Self::HubNotCached { .. } => ErrorKind::NotFound,
            Self::Remote(failure) => failure.kind(),
            Self::Hub(error) => error.kind(),
            Self::HubSettings(error) => error.kind(),
            Self::HubName(error) => error.kind(),
            Self::Thread(_) => ErrorKind::Internal,
        }
    }

    /// Returns the next step to take, if the message does not say it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Hub(error) => error.help(),
            Self::Remote(failure) => failure.help(),
            Self::HubNotCached { repository, file } => Some(format!(
                "large files are read in parts and not downloaded; to read this one offline, \
                 download it once: hf download --repo-type dataset {repository} {file}"
            )),
            Self::HubIncomplete { .. } => {
                let step = "run the same command once online; it lists the files and fetches the missing ones";
                Some(step.to_owned())
            }
            Self::Script { .. } => {
                let step = "load it with an older version of `datasets`, save it with `to_parquet`, and give that folder";
                Some(step.to_owned())
            }
            _ => None,
        }
    }
}

impl From<RemoteFailure> for Error {
    fn from(failure: RemoteFailure) -> Self {
        Self::Remote(Arc::new(failure))
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
