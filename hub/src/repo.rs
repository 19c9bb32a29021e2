//! Names on the Hub: repositories, revisions, commits.
//!
//! Each name becomes part of URLs and of paths in the cache, so it is checked once, here. A
//! [`Snapshot`] is a repository at a commit: its bytes never change.

use std::fmt;

use whence_schemas::ErrorKind;

/// The kinds of repositories that whence reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepoKind {
    /// A model.
    Model,
    /// A dataset.
    Dataset,
}

impl RepoKind {
    /// Returns the word in URLs of the API and in the names of cache folders.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        })
    }
}

/// A name that cannot be on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not `name` or `namespace/name`.
    #[error(
        "`{0}` is not the name of a repository: write `name` or `namespace/name`, with letters, digits, `-`, `_` and `.`"
    )]
    Repo(String),
    /// Not a branch, tag or commit.
    #[error("`{0}` is not a revision: give a branch, a tag or a commit")]
    Revision(String),
    /// Not the full name of a commit.
    #[error("`{0}` is not a commit: give its 40 hexadecimal digits")]
    Commit(String),
}

impl InvalidName {
    /// Returns what can be done about the error.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// The name of a repository, such as `inseq/dummy_enit` or `gpt2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId {
    kind: RepoKind,
    name: String,
}

impl RepoId {
    /// Checks a name by the Hub's own rules.
    pub fn new(kind: RepoKind, name: &str) -> Result<Self, InvalidName> {
        let parts: Vec<_> = name.split('/').collect();
        let is_valid = parts.len() <= 2
            && parts.iter().all(|part| is_repo_part(part))
            && !name.contains("--")
            && !name.contains("..")
            && name.strip_suffix(".git").is_none();
        if !is_valid {
            return Err(InvalidName::Repo(name.to_owned()));
        }
        let name = name.to_owned();
        Ok(Self { kind, name })
    }

    /// Checks the name of a model.
    pub fn model(name: &str) -> Result<Self, InvalidName> {
        Self::new(RepoKind::Model, name)
    }

    /// Checks the name of a dataset.
    pub fn dataset(name: &str) -> Result<Self, InvalidName> {
        Self::new(RepoKind::Dataset, name)
    }

    /// Returns the kind of the repository.
    pub fn kind(&self) -> RepoKind {
        self.kind
    }

    /// Returns the name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the repository's folder in the cache, such as `models--google--t5`.
    pub(crate) fn folder(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.name.replace('/', "--"))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn is_repo_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=96).contains(&part.len())
        && part.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && part.starts_with(is_word)
        && part.ends_with(is_word)
}

/// A branch, a tag, a reference such as `refs/pr/4`, or a commit. The default is `main`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// Checks the name of a revision. It may contain slashes, but it may not lead out of a folder.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_control() || c == '\\')
        };
        if !name.split('/').all(is_part) {
            return Err(InvalidName::Revision(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the revision at which the Hub keeps its own Parquet copy of a dataset.
    pub fn parquet() -> Self {
        Self("refs/convert/parquet".to_owned())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Commit> for Revision {
    fn from(commit: &Commit) -> Self {
        Self(commit.0.clone())
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The full name of a commit. What it contains never changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commit(String);

impl Commit {
    /// Reads 40 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 40 || !text.bytes().all(is_hex) {
            return Err(InvalidName::Commit(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Snapshot {
    /// The repository.
    pub repo: RepoId,
    /// The commit.
    pub commit: Commit,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repo, self.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_the_hub() {
        for name in [
            "gpt2",
            "inseq/dummy_enit",
            "a",
            "Foo-BAR_foo.bar123",
            "_x_/y_",
        ] {
            assert!(RepoId::model(name).is_ok(), "{name}");
        }
        let long = "x".repeat(97);
        let wrong = [
            "", "/", "a/", "a/b/c", ".a", "a-", "a--b", "a..b", "a/b.git", "é", "a b", "../a",
            &long,
        ];
        for name in wrong {
            assert!(RepoId::model(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_repository_has_pythons_folder() {
        let dataset = RepoId::dataset("inseq/dummy_enit").unwrap();
        assert_eq!(dataset.folder(), "datasets--inseq--dummy_enit");
        assert_eq!(RepoId::model("gpt2").unwrap().folder(), "models--gpt2");
    }

    #[test]
    fn no_revision_leads_out_of_its_folder() {
        for name in [
            "main",
            "v1.0",
            "refs/pr/4",
            "refs/convert/parquet",
            "607a30d",
        ] {
            assert!(Revision::new(name).is_ok(), "{name}");
        }
        for name in ["", "..", "a/../b", "/etc", "a/", "a\n", "a\\b"] {
            assert!(Revision::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_commit_is_named_in_full() {
        assert!(Commit::parse(&"0a".repeat(20)).is_ok());
        for text in ["607a30d", &"0A".repeat(20), &"g".repeat(40)] {
            assert!(Commit::parse(text).is_err(), "{text}");
        }
    }
}
