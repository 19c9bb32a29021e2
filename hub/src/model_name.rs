//! The name of a model on the Hub, as people write it and as a specification pins it.

use std::fmt;

use crate::repo::{InvalidName, RepoId, Revision};

/// A model on the Hub: a repository at a revision, and one of its GGUF files if `file` is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelName {
    /// The repository.
    pub repo: RepoId,
    /// Branch, tag or commit; `main` if none is named.
    pub revision: Revision,
    /// Path of a GGUF file inside the repository.
    pub file: Option<String>,
}

/// How every pinned name begins.
const SCHEME: &str = "hf://";

impl ModelName {
    /// Reads a name: `gpt2`, `ns/name`, `ns/name@v1`, `ns/name:file.gguf`, or an address such as
    /// `hf://ns/name@v1/file.gguf`.
    ///
    /// In an address, slashes of a revision are written `%2F`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (repo, revision, file) = match text.strip_prefix(SCHEME) {
            Some(address) => split_address(address),
            None => split_name(text),
        };
        let revision = match revision {
            Some(revision) => Revision::new(&revision.replace("%2F", "/"))?,
            None => Revision::default(),
        };
        let file = file.map(str::to_owned);
        if file.as_deref().is_some_and(str::is_empty) {
            return Err(InvalidName::Repo(text.to_owned()));
        }
        Ok(Self {
            repo: RepoId::model(repo)?,
            revision,
            file,
        })
    }

    /// Returns whether `text` can only be the address of a model on the Hub.
    pub fn is_address(text: &str) -> bool {
        text.starts_with(SCHEME)
    }
}

/// Splits `[models/]<repository>[@<revision>][/<file>]`. A repository without a namespace needs a
/// revision: otherwise `gpt2/a.gguf` would be the repository of that name.
fn split_address(address: &str) -> (&str, Option<&str>, Option<&str>) {
    let address = address.strip_prefix("models/").unwrap_or(address);
    if let Some((repo, rest)) = address.split_once('@') {
        return match rest.split_once('/') {
            Some((revision, file)) => (repo, Some(revision), Some(file)),
            None => (repo, Some(rest), None),
        };
    }
    match address.match_indices('/').nth(1) {
        Some((at, _)) => (&address[..at], None, Some(&address[at + 1..])),
        None => (address, None, None),
    }
}

/// Splits `<repository>[@<revision>][:<file>]`.
fn split_name(name: &str) -> (&str, Option<&str>, Option<&str>) {
    let (name, file) = match name.split_once(':') {
        Some((name, file)) => (name, Some(file)),
        None => (name, None),
    };
    match name.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision), file),
        None => (name, None, file),
    }
}

/// Writes the address, which [`ModelName::parse`] reads again.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.revision.as_str().replace('/', "%2F");
        write!(f, "{SCHEME}{}@{revision}", self.repo)?;
        match &self.file {
            Some(file) => write!(f, "/{file}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_every_spelling_and_written_in_one() {
        let cases = [
            ("gpt2", "hf://gpt2@main"),
            ("ns/name", "hf://ns/name@main"),
            ("ns/name@v1", "hf://ns/name@v1"),
            ("ns/name@refs/pr/4", "hf://ns/name@refs%2Fpr%2F4"),
            ("ns/name:q/a.gguf", "hf://ns/name@main/q/a.gguf"),
            ("ns/name@v1:a.gguf", "hf://ns/name@v1/a.gguf"),
            ("hf://ns/name", "hf://ns/name@main"),
            ("hf://models/ns/name", "hf://ns/name@main"),
            ("hf://gpt2@v1/a.gguf", "hf://gpt2@v1/a.gguf"),
            ("hf://ns/name/q/a.gguf", "hf://ns/name@main/q/a.gguf"),
        ];
        for (text, expected) in cases {
            let name = ModelName::parse(text).unwrap();
            assert_eq!(name.to_string(), expected, "{text}");
            assert_eq!(ModelName::parse(expected), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "a/b/c",
            "./model",
            "hf://",
            "ns/name@",
            "ns/name:",
            "ns/name@../x",
        ] {
            assert!(ModelName::parse(text).is_err(), "{text}");
        }
    }
}
