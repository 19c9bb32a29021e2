//! From what a person asks for to the files of each split, as `datasets` finds them.
//!
//! The rules are those of `load_dataset` 5.2, because the order of the files is the order of the
//! rows, and `train[:20]` must be the same twenty rows:
//!
//! 1. Which files: the patterns that were given; else those of the first configuration in the
//!    dataset's card; else what the names of folders and files say (`splits`).
//! 2. How they are read: by the builder of the most common extension (`builder`).
//! 3. Which configuration: the one that was named; else the default. Its own patterns replace
//!    those of step 1, and its arguments become the options of the format (`arguments`).
//!
//! Everything here works on names alone. A [`Source`] gives them: this machine, a repository on the
//! Hub, or [`Anywhere`] by addresses such as `s3://bucket/a.csv`.

mod address;
mod arguments;
mod builder;
mod card;
mod choice;
mod export;
mod find;
mod given;
mod glob;
mod hub;
mod infer;
mod local;
mod notice;
mod remote;
mod saved;
mod source;
mod splits;
mod wildcard;
mod yaml;

use whence_schemas::dataset::FormatSpec;
use whence_schemas::location::{DatasetLocation, DatasetOrigin};

use crate::Error;
use card::{Card, Config};
use find::{Files, Finder, Patterns, Taken};
use infer::{Inferred, infer};

pub use address::{is_address, join};
pub use builder::is_builder;
pub use given::GivenRows;
pub use glob::{escape, is_magic};
pub use hub::{HubDatasets, HubSource, Progress, env_hub};
pub(crate) use infer::is_archive;
pub use local::LocalSource;
pub use notice::Notice;
pub use remote::{Anywhere, Named, RepoAddress, named, pinned};
pub use source::Source;

/// A dataset whose files are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// How every file is read.
    pub format: FormatSpec,
    /// The splits in order, each with the paths of its files in the order of their rows.
    pub splits: Vec<(String, Vec<String>)>,
    /// What the user should know about how the dataset is read.
    pub notices: Vec<Notice>,
}

/// Finds the files of a dataset.
///
/// Fails with what to do if there are none, if the dataset has several configurations and none is
/// asked for, or if they need a builder that whence does not have.
pub fn resolve(location: &DatasetLocation, source: &dyn Source) -> Result<Resolved, Error> {
    let finder = Finder::new(source);
    let location = address::without_settings(location).into_owned();
    let location = &location;
    match (&location.origin, &location.builder) {
        (DatasetOrigin::Files, Some(builder)) => packaged(location, builder, &finder),
        (DatasetOrigin::Files, None) => {
            let files = finder.all("/", &train(&location.data_files), Taken::All)?;
            let mut format = infer(&files, &finder)?.spec()?;
            arguments::given(location, &mut format)?;
            Ok(resolved(format, files))
        }
        (DatasetOrigin::Folder { path }, _) => {
            if is_plain(location)
                && let Some(files) = saved::files(source, path)?
            {
                return Ok(resolved(saved::FORMAT.into(), files));
            }
            folder(location, path, &finder)
        }
        (
            DatasetOrigin::Hub {
                is_export: true, ..
            },
            _,
        ) => {
            let (files, notices) = export::files(source, location.config.as_deref())?;
            let mut format = FormatSpec::from(export::FORMAT);
            arguments::given(location, &mut format)?;
            Ok(Resolved {
                notices,
                ..resolved(format, files)
            })
        }
        (DatasetOrigin::Hub { .. }, _) => folder(location, "", &finder),
        (DatasetOrigin::Rows { .. }, _) => {
            let files = train(&[given::PATH.to_owned()]);
            Ok(resolved(given::FORMAT.into(), files))
        }
    }
}

fn resolved(format: FormatSpec, splits: Files) -> Resolved {
    Resolved {
        format,
        splits,
        notices: Vec::new(),
    }
}

/// Returns whether nothing but a folder is asked for.
fn is_plain(location: &DatasetLocation) -> bool {
    location.config.is_none() && !is_custom(location)
}

/// Returns whether something is asked for that makes a configuration of its own.
fn is_custom(location: &DatasetLocation) -> bool {
    !location.data_files.is_empty() || location.data_dir.is_some() || !location.arguments.is_empty()
}

fn train(patterns: &[String]) -> Patterns {
    vec![("train".to_owned(), patterns.to_vec())]
}

/// Resolves files that a builder was named for. It reads them all, whatever they are called.
fn packaged(
    location: &DatasetLocation,
    builder: &str,
    finder: &Finder<'_>,
) -> Result<Resolved, Error> {
    let base = location.data_dir.as_deref().unwrap_or("/");
    let patterns = match &location.data_files[..] {
        [] => splits::patterns(finder, base)?,
        patterns => train(patterns),
    };
    let files = finder.all(base, &patterns, Taken::All)?;
    let inferred = Inferred {
        builder: builder.to_owned(),
        has_tabs: false,
    };
    let mut format = inferred.spec()?;
    arguments::given(location, &mut format)?;
    Ok(resolved(format, non_empty(files, base)?))
}

/// Resolves a folder or repository, whose root is `root`.
fn folder(location: &DatasetLocation, root: &str, finder: &Finder<'_>) -> Result<Resolved, Error> {
    let card = card::read(finder.source, root)?;
    let base = below(root, location.data_dir.as_deref());
    let patterns = first_patterns(location, &card, &base, finder)?;
    let found = finder.all(&base, &patterns, Taken::DataFiles)?;
    let inferred = infer(&non_empty(found.clone(), &base)?, finder)?;
    let config = choice::config(location, &card, is_custom(location))?;
    let own = config.filter(|_| location.data_files.is_empty() && location.data_dir.is_none());
    let splits = if location.data_dir.is_some() {
        only_of(&inferred.builder, found)
    } else if !location.data_files.is_empty() {
        finder.all(root, &patterns, Taken::All)?
    } else if let Some(config) = own {
        files_of_config(config, root, finder)?
    } else {
        only_of(&inferred.builder, found)
    };
    let mut format = inferred.spec()?;
    let mut notices = Vec::new();
    if let Some(config) = config {
        notices = arguments::of_config(config, &mut format)?;
    } else if !card.configs.is_empty() {
        // `datasets` makes a configuration of the given files, without what the extension says.
        format = format.name.into();
    }
    arguments::given(location, &mut format)?;
    Ok(Resolved {
        format,
        splits: non_empty(splits, &base)?,
        notices,
    })
}

fn below(root: &str, folder: Option<&str>) -> String {
    match (root, folder.map(|folder| folder.trim_matches('/'))) {
        (root, None | Some("" | ".")) => root.to_owned(),
        ("", Some(folder)) => folder.to_owned(),
        (root, Some(folder)) => format!("{root}/{folder}"),
    }
}

/// Returns the patterns that decide which builder reads the dataset.
fn first_patterns(
    location: &DatasetLocation,
    card: &Card,
    base: &str,
    finder: &Finder<'_>,
) -> Result<Patterns, Error> {
    if !location.data_files.is_empty() {
        return Ok(train(&location.data_files));
    }
    let of_card = card
        .configs
        .first()
        .and_then(|config| config.data_files.clone());
    match of_card.filter(|_| location.data_dir.is_none()) {
        Some(patterns) => Ok(patterns),
        None => splits::patterns(finder, base),
    }
}

fn files_of_config(config: &Config, root: &str, finder: &Finder<'_>) -> Result<Files, Error> {
    let base = below(root, config.data_dir.as_deref());
    let patterns = match &config.data_files {
        Some(patterns) => patterns.clone(),
        None => splits::patterns(finder, &base)?,
    };
    finder.all(&base, &patterns, Taken::DataFiles)
}

fn only_of(builder: &str, mut files: Files) -> Files {
    for (_, files) in &mut files {
        files.retain(|path| builder::reads(builder, path));
    }
    files
}

fn non_empty(files: Files, folder: &str) -> Result<Files, Error> {
    if files.iter().any(|(_, files)| !files.is_empty()) {
        return Ok(files);
    }
    let place = match folder {
        "" => "the repository".to_owned(),
        folder => format!("the folder `{folder}`"),
    };
    Err(Error::Empty {
        reason: format!("{place} holds no data file"),
    })
}

#[cfg(test)]
mod listing;
#[cfg(test)]
mod tests;
