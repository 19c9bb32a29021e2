//! Single files of repositories on the Hub, by addresses such as `hf://datasets/ns/name@main/a.csv`.
//!
//! A branch may move, so an address is pinned to a commit before anything is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use whence_schemas::location::DataFile;

use crate::Error;
use crate::content::SharedContent;
use crate::resolve::hub::{HubDatasets, HubSource, env_hub};
use crate::resolve::source::Source;

const PREFIX: &str = "hf://datasets/";

/// A file, folder or pattern in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoAddress {
    /// The repository, such as `inseq/dummy_enit`.
    pub repository: String,
    /// The branch, tag or commit, if one is named.
    pub revision: Option<String>,
    /// The path in the repository; empty for all of it.
    pub path: String,
}

impl RepoAddress {
    /// Parses `hf://datasets/ns/name[@revision][/path]`, and the address of a file on a Hub's web
    /// server, whose own address is `endpoint`. `None` if it is another kind of address.
    pub fn parse(address: &str, endpoint: &str) -> Option<Self> {
        if let Some(rest) = address.strip_prefix(PREFIX) {
            return Some(Self::from_path(rest));
        }
        let rest = address.strip_prefix(endpoint.trim_end_matches('/'))?;
        let rest = rest.strip_prefix("/datasets/")?.split('?').next()?;
        // What a browser shows (`blob`) and what it downloads are the same file.
        ["/resolve/", "/blob/", "/raw/"].iter().find_map(|verb| {
            let (repository, file) = rest.split_once(verb)?;
            Some(Self::from_path(&format!("{repository}@{file}")))
        })
    }

    /// Returns the address with the commit that its revision has now.
    pub fn pin(&self, hub: &HubDatasets) -> Result<String, Error> {
        let Self {
            repository, path, ..
        } = self;
        let commit = hub.commit(repository, self.revision.as_deref())?;
        Ok(format!("{PREFIX}{repository}@{commit}/{path}"))
    }

    fn from_path(rest: &str) -> Self {
        let owned = |repository: &str, revision: Option<&str>, path: &str| Self {
            repository: repository.to_owned(),
            revision: revision.map(|revision| revision.replace("%2F", "/")),
            path: path.trim_matches('/').to_owned(),
        };
        if let Some((repository, file)) = rest.split_once('@')
            && repository.matches('/').count() <= 1
        {
            let (revision, path) = split_revision(file);
            return owned(repository, Some(revision), path);
        }
        let name_end = rest.match_indices('/').nth(1).map(|(at, _)| at);
        let (repository, path) = rest.split_at(name_end.unwrap_or(rest.len()));
        owned(repository, None, path)
    }
}

/// Splits a revision from what follows it. Those of the Hub's own have slashes in them.
fn split_revision(text: &str) -> (&str, &str) {
    let is_special = text.starts_with("refs/convert/") || text.starts_with("refs/pr/");
    let slash = if is_special { 2 } else { 0 };
    let end = text.match_indices('/').nth(slash).map(|(at, _)| at);
    text.split_at(end.unwrap_or(text.len()))
}

/// Repositories on the Hub. All paths are addresses with a commit.
pub(super) struct Repositories {
    hub: Option<HubDatasets>,
    opened: Mutex<HashMap<String, Arc<HubSource>>>,
}

/// A path in a repository.
struct Inside {
    source: Arc<HubSource>,
    /// The address of the repository, with a slash at its end.
    root: String,
    path: String,
}

impl Repositories {
    pub(super) fn new(hub: Option<HubDatasets>) -> Self {
        Self {
            hub,
            opened: Mutex::default(),
        }
    }

    fn inside(&self, address: &str) -> Result<Inside, Error> {
        let parsed = address.strip_prefix(PREFIX).map(RepoAddress::from_path);
        let Some(RepoAddress {
            repository,
            revision: Some(commit),
            path,
        }) = parsed
        else {
            return Err(Error::Pattern {
                pattern: address.to_owned(),
                reason: "it needs a commit: `hf://datasets/name@commit/file`".to_owned(),
            });
        };
        let root = format!("{PREFIX}{repository}@{commit}/");
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let source = if let Some(source) = opened.get(&root) {
            Arc::clone(source)
        } else {
            let hub = match &self.hub {
                Some(hub) => hub,
                None => env_hub()?,
            };
            let source = Arc::new(hub.source(&repository, &commit)?);
            opened.insert(root.clone(), Arc::clone(&source));
            source
        };
        Ok(Inside { source, root, path })
    }
}

impl Source for Repositories {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let inside = self.inside(folder)?;
        let files = inside.source.files_below(&inside.path, depth)?.into_iter();
        Ok(files.map(|path| format!("{}{path}", inside.root)).collect())
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        let inside = self.inside(path)?;
        inside.source.has_file(&inside.path)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let inside = self.inside(path)?;
        inside.source.read(&inside.path)
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        let inside = self.inside(path)?;
        let file = inside.source.describe(&inside.path, split)?;
        Ok(DataFile {
            path: path.to_owned(),
            ..file
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let inside = self.inside(&file.path)?;
        inside.source.open(&DataFile {
            path: inside.path,
            ..file.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(address: &str) -> Option<(String, String, String)> {
        let found = RepoAddress::parse(address, "https://huggingface.co")?;
        let revision = found.revision.unwrap_or_default();
        Some((found.repository, revision, found.path))
    }

    #[test]
    fn addresses_of_the_hub_name_a_repository_a_revision_and_a_path() {
        let table = [
            ("hf://datasets/ns/name", "ns/name||"),
            ("hf://datasets/ns/name/a/b.csv", "ns/name||a/b.csv"),
            ("hf://datasets/ns/name@v1/a/*.csv", "ns/name|v1|a/*.csv"),
            ("hf://datasets/squad@main/a.csv", "squad|main|a.csv"),
            (
                "hf://datasets/ns/name@refs/convert/parquet/default/0.parquet",
                "ns/name|refs/convert/parquet|default/0.parquet",
            ),
            (
                "hf://datasets/ns/name@refs%2Fpr%2F1/a.csv",
                "ns/name|refs/pr/1|a.csv",
            ),
            ("hf://datasets/ns/name/a@b.csv", "ns/name||a@b.csv"),
            (
                "https://huggingface.co/datasets/ns/name/resolve/main/a.csv?download=true",
                "ns/name|main|a.csv",
            ),
            (
                "https://huggingface.co/datasets/ns/name/blob/main/a.csv",
                "ns/name|main|a.csv",
            ),
        ];
        for (address, expected) in table {
            let (repository, revision, path) = parsed(address).unwrap();
            assert_eq!(format!("{repository}|{revision}|{path}"), expected);
        }
        assert_eq!(parsed("https://huggingface.co/docs"), None);
        assert_eq!(
            parsed("https://other.co/datasets/ns/name/resolve/main/a"),
            None
        );
        assert_eq!(parsed("s3://bucket/a"), None);
    }
}
