//! What is on the Hub: repositories, their commits, where their branches point, and who may read
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use crate::content::Content;

/// A repository's kind, `models` or `datasets`, and its name.
pub(crate) type RepoName = (String, String);

/// Files by their paths.
pub(crate) type Files = BTreeMap<String, Content>;

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only who has the token knows that it exists.
    Private,
    /// Everybody sees it, but only who has the token may read its files.
    Gated,
    /// Nobody, although it exists.
    Disabled,
}

/// A repository. Commits stay when branches move.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    revisions: BTreeMap<String, String>,
    commits: BTreeMap<String, Files>,
    access: Option<(Access, String)>,
}

impl Repo {
    /// Returns the commit of a branch, a tag or a commit, and its files.
    pub(crate) fn find(&self, revision: &str) -> Option<(&str, &Files)> {
        let commit = self.revisions.get(revision);
        let commit = commit.map_or(revision, String::as_str);
        let (commit, files) = self.commits.get_key_value(commit)?;
        Some((commit, files))
    }
}

/// Everything on the Hub.
#[derive(Debug, Default)]
pub(crate) struct Repos {
    by_name: BTreeMap<RepoName, Repo>,
    /// Old names and the new ones.
    renamed: BTreeMap<RepoName, String>,
    tokens: Vec<String>,
}

/// Why a request may not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

impl Refusal {
    const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
        }
    }
}

impl Repos {
    /// Makes `revision` point to a commit with these files, and returns the commit.
    pub(crate) fn publish(&mut self, name: RepoName, revision: &str, files: Files) -> String {
        let mut hasher = Sha1::new();
        for (path, content) in &files {
            hasher.update(format!("{path}\0{}\n", content.blob_id));
        }
        let commit = HEXLOWER.encode(&hasher.finalize());
        let repo = self.by_name.entry(name).or_default();
        repo.commits.insert(commit.clone(), files);
        repo.revisions.insert(revision.to_owned(), commit.clone());
        commit
    }

    pub(crate) fn restrict(&mut self, name: RepoName, access: Access, token: &str) {
        self.by_name.entry(name).or_default().access = Some((access, token.to_owned()));
        self.accept(token);
    }

    /// Adds a token that is valid, but opens no repository by itself.
    pub(crate) fn accept(&mut self, token: &str) {
        self.tokens.push(token.to_owned());
    }

    pub(crate) fn rename(&mut self, old: RepoName, new: &str) {
        self.renamed.insert(old, new.to_owned());
    }

    pub(crate) fn new_name(&self, name: &RepoName) -> Option<&str> {
        self.renamed.get(name).map(String::as_str)
    }

    /// Returns the files of a commit, whoever asks.
    pub(crate) fn stored(&self, name: &RepoName, commit: &str) -> Option<&Files> {
        self.by_name.get(name)?.commits.get(commit)
    }

    /// Returns a repository to somebody who has `token`. `wants_bytes` says whether to read its
    /// files, which is all that a gate forbids.
    pub(crate) fn open(
        &self,
        name: &RepoName,
        token: Option<&str>,
        wants_bytes: bool,
    ) -> Result<&Repo, Refusal> {
        if token.is_some_and(|token| !self.tokens.iter().any(|known| known == token)) {
            let message = "Invalid credentials in Authorization header";
            return Err(Refusal::new(401, "", message));
        }
        let status = |with_token| if token.is_some() { with_token } else { 401 };
        let unknown = Refusal::new(status(404), "RepoNotFound", "Repository not found");
        let repo = self.by_name.get(name).ok_or(unknown)?;
        match &repo.access {
            Some((Access::Disabled, _)) => Err(Refusal::new(
                403,
                "DisabledRepo",
                "Access to this resource is disabled.",
            )),
            Some((Access::Private, allowed)) if token != Some(allowed) => Err(unknown),
            Some((Access::Gated, allowed)) if wants_bytes && token != Some(allowed) => Err(
                Refusal::new(status(403), "GatedRepo", "Access is restricted"),
            ),
            _ => Ok(repo),
        }
    }
}

/// Reads `root/{models,datasets}/[<namespace>/]<name>/<revision>/<files>` into the Hub. A folder
/// with a folder `main` is a repository.
pub(crate) fn publish_tree(repos: &mut Repos, root: &Path) -> io::Result<()> {
    for kind in ["models", "datasets"] {
        for (name, path) in folders(&root.join(kind))? {
            if path.join("main").is_dir() {
                publish_repo(repos, &(kind.to_owned(), name), &path)?;
                continue;
            }
            for (repo, path) in folders(&path)? {
                publish_repo(repos, &(kind.to_owned(), format!("{name}/{repo}")), &path)?;
            }
        }
    }
    Ok(())
}

/// Reads one folder per revision. A name such as `refs/convert/parquet` is three folders deep.
fn publish_repo(repos: &mut Repos, name: &RepoName, folder: &Path) -> io::Result<()> {
    for (revision, path) in folders(folder)? {
        if revision != "refs" {
            repos.publish(name.clone(), &revision, read_folder(&path)?);
            continue;
        }
        for (kind, path) in folders(&path)? {
            for (last, path) in folders(&path)? {
                let revision = format!("refs/{kind}/{last}");
                repos.publish(name.clone(), &revision, read_folder(&path)?);
            }
        }
    }
    Ok(())
}

fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_dir(), path.file_name()) {
                found.push((name.to_string_lossy().into_owned(), path.clone()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the files below a folder.
pub(crate) fn read_folder(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push((format!("{path}/"), entry.path()));
            } else {
                files.insert(path.clone(), Content::from_disk(&path, &entry.path())?);
            }
        }
    }
    Ok(files)
}
