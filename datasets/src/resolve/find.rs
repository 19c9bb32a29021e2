//! Finds the files that patterns name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::address::{self, Place, is_address};
use super::builder;
use super::glob::{Glob, is_magic};
use super::source::Source;
use crate::Error;

/// Names of files that describe a dataset. They hold no rows, and match only when asked for.
const IGNORED: &[&str] = &[
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
];

/// Patterns of each split, in the order of the splits.
pub(super) type Patterns = Vec<(String, Vec<String>)>;

/// Files of each split, in the order of their rows.
pub(super) type Files = Vec<(String, Vec<String>)>;

/// Which of the matching files are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    All,
    /// Those that some builder of `datasets` reads, judged by the extension.
    DataFiles,
}

/// Finds files of one source. Each folder is listed once.
pub(super) struct Finder<'s> {
    pub(super) source: &'s dyn Source,
    listed: RefCell<HashMap<FolderAndDepth, Rc<[String]>>>,
}

type FolderAndDepth = (String, Option<usize>);

impl<'s> Finder<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        Self {
            source,
            listed: RefCell::default(),
        }
    }

    /// Returns the files that match `pattern`, sorted by path; none is no error.
    pub(super) fn matches(
        &self,
        base: &str,
        pattern: &str,
        taken: Taken,
    ) -> Result<Vec<String>, Error> {
        let refuse = |reason: String| Error::Pattern {
            pattern: address::shown(pattern),
            reason,
        };
        if pattern.contains("::") {
            let reason = "paths inside archives are not read; name the archive itself";
            return Err(refuse(reason.to_owned()));
        }
        if is_address(pattern) && !self.source.reads_addresses() {
            let reason = "the files of a repository are all in it; name those elsewhere with \
                          --dataset-files alone";
            return Err(refuse(reason.to_owned()));
        }
        if address::place(pattern).map_err(refuse)? == Place::Web {
            let is_there = (taken == Taken::All || builder::is_data_file(pattern))
                && self.source.has_file(pattern)?;
            return Ok(is_there.then(|| pattern.to_owned()).into_iter().collect());
        }
        let glob = Glob::parse(base, pattern).map_err(refuse)?;
        let is_taken = |path: &str| taken == Taken::All || builder::is_data_file(path);
        if !glob.is_magic() {
            let is_there = is_taken(&glob.folder) && self.source.has_file(&glob.folder)?;
            return Ok(is_there.then(|| glob.folder.clone()).into_iter().collect());
        }
        let prefix = match glob.folder.as_str() {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let is_match = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let is_ignored = IGNORED.contains(&name) && name != glob.last();
            let rest = path.strip_prefix(&prefix);
            !is_ignored && rest.is_some_and(|rest| glob.matches(rest)) && is_taken(path)
        };
        let listed = self.list(&glob)?;
        Ok(listed.iter().filter(is_match).cloned().collect())
    }

    /// Returns the files of each split. A file that two patterns match is there twice, as in
    /// `datasets`. Fails if a pattern without wildcards matches nothing.
    pub(super) fn all(
        &self,
        base: &str,
        patterns: &Patterns,
        taken: Taken,
    ) -> Result<Files, Error> {
        let of_split = |patterns: &[String]| {
            let mut files = Vec::new();
            for pattern in patterns {
                let found = self.matches(base, pattern, taken)?;
                let is_one = address::place(pattern) == Ok(Place::Web) || !is_magic(pattern);
                if found.is_empty() && is_one {
                    return Err(self.missing(base, pattern, taken));
                }
                files.extend(found);
            }
            Ok(files)
        };
        patterns
            .iter()
            .map(|(split, patterns)| Ok((split.clone(), of_split(patterns)?)))
            .collect()
    }

    fn missing(&self, base: &str, pattern: &str, taken: Taken) -> Error {
        let is_other = taken == Taken::DataFiles
            && (self.matches(base, pattern, Taken::All)).is_ok_and(|found| !found.is_empty());
        let reason = if is_other {
            "the extension of the file says no format; name one with `--dataset-name`, such as \
             `--dataset-name json`"
        } else if address::place(pattern) == Ok(Place::Web) {
            "there is no such file"
        } else {
            "there is no such file; a folder's files are `folder/**`"
        };
        Error::Pattern {
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn list(&self, glob: &Glob) -> Result<Rc<[String]>, Error> {
        let key = (glob.folder.clone(), glob.depth());
        if let Some(known) = self.listed.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let mut files = self.source.files_below(&glob.folder, glob.depth())?;
        files.sort_unstable();
        let files: Rc<[String]> = files.into();
        self.listed.borrow_mut().insert(key, Rc::clone(&files));
        Ok(files)
    }
}
