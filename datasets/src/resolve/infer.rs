//! Infers how the files of a dataset are read from the names that they have.

use whence_schemas::dataset::FormatSpec;

use super::address::without_query;
use super::builder::{self, Choice};
use super::find::{Files, Finder};
use crate::Error;

/// Returns whether a file is an archive whose members are the data files.
pub(crate) fn is_archive(path: &str) -> bool {
    // In this spelling only, as in `datasets`.
    without_query(path)
        .rsplit_once('.')
        .is_some_and(|(_, end)| end == "zip")
}

/// The builder that the files ask for, with its one option that an extension sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inferred {
    pub(super) builder: String,
    pub(super) has_tabs: bool,
}

impl Inferred {
    pub(super) fn spec(&self) -> Result<FormatSpec, Error> {
        builder::format(&self.builder, self.has_tabs).ok_or_else(|| Error::Builder {
            builder: self.builder.clone(),
        })
    }
}

/// Infers the builder from the files of each split, which must agree.
pub(super) fn infer(files: &Files, finder: &Finder<'_>) -> Result<Inferred, Error> {
    let mut first: Option<(&str, Option<Inferred>)> = None;
    for (split, files) in files {
        let inferred = infer_list(files, finder)?;
        match &first {
            None => first = Some((split, inferred)),
            Some((_, known)) if *known == inferred => {}
            Some((other, known)) => {
                let name = |inferred: &Option<Inferred>| match inferred {
                    Some(Inferred { has_tabs: true, .. }) => "`csv` with tabs".to_owned(),
                    Some(inferred) => format!("`{}`", inferred.builder),
                    None => "no format".to_owned(),
                };
                return Err(Error::Formats {
                    reason: format!(
                        "the files of `{other}` are of {}, those of `{split}` of {}",
                        name(known),
                        name(&inferred)
                    ),
                });
            }
        }
    }
    first.and_then(|(_, inferred)| inferred).ok_or_else(|| {
        let name = files.iter().flat_map(|(_, files)| files).next();
        Error::UnknownFormat {
            path: name.cloned().unwrap_or_default(),
        }
    })
}

fn infer_list(files: &[String], finder: &Finder<'_>) -> Result<Option<Inferred>, Error> {
    let choice = match builder::choose(files) {
        Some(Choice::Archives) => {
            let mut members = Vec::new();
            // As many as `datasets` looks into.
            for archive in files.iter().filter(|path| is_archive(path)).take(10) {
                let archive = finder.source.describe(archive, "")?;
                members.extend(finder.source.members(&archive)?);
            }
            builder::choose_in_archives(&members)
        }
        choice => choice,
    };
    Ok(match choice {
        Some(Choice::Builder(builder, extension)) => Some(Inferred {
            builder: builder.to_owned(),
            has_tabs: extension == "tsv",
        }),
        Some(Choice::Archives) | None => None,
    })
}
