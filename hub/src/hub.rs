//! The Hub as the rest of whence sees it: resolve a name, list files, fetch or open them.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, LINK};
use serde::Deserialize;
use tracing::warn;
use url::Url;
use whence_schemas::retry::RetryPolicy;

use crate::cache::Cache;
use crate::client::{Answer, Ask, Client, failed, not_a_hub};
use crate::digest::Digest;
use crate::download::{Downloader, OnProgress, Wanted};
use crate::error::{Error, Subject};
use crate::remote::{Remote, RemoteFile};
use crate::repo::{Commit, RepoId, RepoKind, Revision, Snapshot};
use crate::retry::retry;
use crate::settings::{Settings, TokenSource};
use crate::token::Token;
use crate::tree::{RepoFile, Tree, is_safe, next_page, parse_page};

/// Files that are downloaded at the same time. More do not make a full line faster, and the Hub
/// counts requests.
const PARALLEL: usize = 8;

/// How long a Hub that does not answer is asked for the newest commit if the cache knows an earlier
/// one. Somebody without a network should not wait a minute for what is on the disk.
const LONGEST_WAIT_FOR_NEWS: Duration = Duration::from_secs(4);

/// A Hub and the cache on this machine. Clones share both.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    client: Arc<Client>,
    cache: Cache,
}

/// The part of the API's answer about a repository that is read.
#[derive(Debug, Deserialize)]
struct RepoInfo {
    sha: String,
}

/// What the Hub says of one file.
struct FileInfo {
    size: u64,
    digest: Digest,
}

impl Hub {
    /// Prepares access to the Hub. Reads the token file, but opens no socket.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let token = read_token(&settings.token)?;
        let authorization = token.map(|token| token.header().ok_or(Error::InvalidToken));
        let client = Client::new(&settings, authorization.transpose()?);
        Ok(Self(Arc::new(Shared {
            client: Arc::new(client.map_err(Error::Client)?),
            cache: Cache::new(settings.cache.clone(), settings.copies_instead_of_links),
            settings,
        })))
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the commit that a revision has now. Offline, and if the Hub does not answer, it is the
    /// one it had when the cache was last filled. A revision that is a commit is not looked up.
    pub async fn resolve(&self, repo: &RepoId, revision: &Revision) -> Result<Snapshot, Error> {
        let snapshot = |commit| Snapshot {
            repo: repo.clone(),
            commit,
        };
        if let Ok(commit) = Commit::parse(revision.as_str()) {
            return Ok(snapshot(commit));
        }
        let subject = Subject::revision(repo, revision);
        let known = self.0.cache.read_ref(repo, revision);
        if self.is_offline(repo.kind()) {
            return known.map(snapshot).ok_or(Error::Offline(subject));
        }
        let url = self.api(repo, ["revision", revision.as_str()]);
        let patience = match known {
            Some(_) => self.0.settings.retry.at_most(LONGEST_WAIT_FOR_NEWS),
            None => self.0.settings.retry,
        };
        let answer = match (self.get_within(patience, url, &subject).await, known) {
            (Err(error), Some(commit)) if error.may_pass() => {
                warn!(%error, "using commit {commit} of {repo} at {revision}, which is in the cache");
                return Ok(snapshot(commit));
            }
            (answer, _) => answer?,
        };
        let commit = commit(&answer.body);
        let commit = commit.map_err(|problem| not_a_hub(&answer.url, problem))?;
        self.0.cache.write_ref(repo, revision, &commit);
        Ok(snapshot(commit))
    }

    /// Returns the files of a snapshot. The list is asked for once and then kept in the cache.
    pub async fn tree(&self, snapshot: &Snapshot) -> Result<Tree, Error> {
        if let Some(tree) = self.0.cache.read_tree(snapshot) {
            return Ok(tree);
        }
        let subject = Subject::snapshot(snapshot);
        if self.is_offline(snapshot.repo.kind()) {
            return self.0.cache.walk(snapshot).ok_or(Error::Offline(subject));
        }
        let mut files = self.list(snapshot, &subject).await?;
        if let Some(file) = files.iter().find(|file| !is_safe(&file.path)) {
            let path = file.path.clone();
            return Err(Error::UnsafePath { subject, path });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.0.cache.write_tree(snapshot, &files);
        let is_complete = true;
        Ok(Tree { files, is_complete })
    }

    /// Asks for all pages of the list of files.
    async fn list(&self, snapshot: &Snapshot, subject: &Subject) -> Result<Vec<RepoFile>, Error> {
        let mut url = self.api(&snapshot.repo, ["tree", snapshot.commit.as_str()]);
        url.set_query(Some("recursive=true"));
        let mut files = Vec::new();
        loop {
            let page = self.get(url, subject).await?;
            let listed = parse_page(&page.body);
            files.extend(listed.map_err(|error| not_a_hub(&page.url, error.to_string()))?);
            let link = page.headers.get(LINK).and_then(|link| link.to_str().ok());
            let Some(next) = link.and_then(next_page) else {
                return Ok(files);
            };
            let next = page.url.join(next);
            url = next.map_err(|_| not_a_hub(&page.url, "its next page has no address"))?;
        }
    }

    /// Returns a file of a snapshot from the cache, without asking the Hub.
    pub fn cached(&self, snapshot: &Snapshot, path: &str) -> Option<PathBuf> {
        let is_safe = is_safe(path);
        is_safe.then(|| self.0.cache.find(snapshot, path)).flatten()
    }

    /// Returns the path of a file in the cache, after downloading it if the cache lacks it. The
    /// path ends like the file's path in the repository.
    pub async fn fetch(
        &self,
        snapshot: &Snapshot,
        file: &RepoFile,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, Error> {
        if let Some(path) = self.cached(snapshot, &file.path) {
            return Ok(path);
        }
        let subject = self.online(snapshot, &file.path)?;
        let wanted = Wanted {
            url: self.file_url(snapshot, &file.path),
            digest: self.digest(file, &subject)?,
            size: file.size,
            path: &file.path,
            snapshot,
        };
        self.downloader().fetch(&wanted, progress).await
    }

    /// Fetches several files, a few at a time. The paths have the order of `files`.
    pub async fn fetch_all(
        &self,
        snapshot: &Snapshot,
        files: &[&RepoFile],
        progress: OnProgress<'_>,
    ) -> Result<Vec<PathBuf>, Error> {
        let fetches = files
            .iter()
            .map(|file| self.fetch(snapshot, file, progress));
        stream::iter(fetches).buffered(PARALLEL).try_collect().await
    }

    /// Fetches a file by its path, without the list of files. Returns `None` if the snapshot has no
    /// such file, and remembers that.
    pub async fn fetch_named(
        &self,
        snapshot: &Snapshot,
        path: &str,
        progress: OnProgress<'_>,
    ) -> Result<Option<PathBuf>, Error> {
        if let Some(path) = self.cached(snapshot, path) {
            return Ok(Some(path));
        }
        let subject = safe(snapshot, path)?;
        if self.0.cache.is_missing(snapshot, path) {
            return Ok(None);
        }
        if self.is_offline(snapshot.repo.kind()) {
            return Err(Error::Offline(subject));
        }
        let url = self.file_url(snapshot, path);
        let info = match self.ask_for(&url, &subject).await {
            Err(Error::FileNotFound(_)) => {
                self.0.cache.note_missing(snapshot, path);
                return Ok(None);
            }
            info => info?,
        };
        let wanted = Wanted {
            size: info.size,
            digest: info.digest,
            snapshot,
            path,
            url,
        };
        let fetched = self.downloader().fetch(&wanted, progress).await?;
        Ok(Some(fetched))
    }

    /// Opens a file on the Hub for reading without downloading it. No request is made yet.
    pub fn open(&self, snapshot: &Snapshot, file: &RepoFile) -> Result<RemoteFile, Error> {
        let subject = self.online(snapshot, &file.path)?;
        Ok(RemoteFile::new(Remote {
            client: Arc::clone(&self.0.client),
            retry: self.0.settings.retry,
            url: self.file_url(snapshot, &file.path),
            size: file.size,
            digest: self.digest(file, &subject)?,
            location: Mutex::new(None),
            subject,
        }))
    }

    fn is_offline(&self, kind: RepoKind) -> bool {
        self.0.settings.is_offline(kind)
    }

    /// Returns what errors about a file name. Fails if the Hub may not be asked for it.
    fn online(&self, snapshot: &Snapshot, path: &str) -> Result<Subject, Error> {
        let subject = safe(snapshot, path)?;
        if self.is_offline(snapshot.repo.kind()) {
            return Err(Error::Offline(subject));
        }
        Ok(subject)
    }

    fn digest(&self, file: &RepoFile, subject: &Subject) -> Result<Digest, Error> {
        file.digest().ok_or_else(|| {
            let problem = format!("its list has no digest for the {subject}");
            not_a_hub(&self.0.settings.endpoint, problem)
        })
    }

    fn downloader(&self) -> Downloader<'_> {
        Downloader {
            client: &self.0.client,
            cache: &self.0.cache,
            retry: self.0.settings.retry,
        }
    }

    /// Returns the address of the API for a repository.
    fn api<'a>(&self, repo: &'a RepoId, rest: [&'a str; 2]) -> Url {
        let segments = ["api", repo.kind().plural()].into_iter();
        let segments = segments.chain(repo.name().split('/')).chain(rest);
        self.0.client.url(segments)
    }

    /// Returns the address of a file's bytes.
    fn file_url(&self, snapshot: &Snapshot, path: &str) -> Url {
        let repo = &snapshot.repo;
        let kind = (repo.kind() == RepoKind::Dataset).then_some("datasets");
        let revision = ["resolve", snapshot.commit.as_str()];
        let segments = kind.into_iter().chain(repo.name().split('/'));
        let segments = segments.chain(revision).chain(path.split('/'));
        self.0.client.url(segments)
    }

    async fn get(&self, url: Url, subject: &Subject) -> Result<Page, Error> {
        self.get_within(self.0.settings.retry, url, subject).await
    }

    async fn get_within(
        &self,
        policy: RetryPolicy,
        url: Url,
        subject: &Subject,
    ) -> Result<Page, Error> {
        let ask = Ask {
            method: Method::GET,
            range: None,
            url,
            subject,
        };
        let get = async || {
            let Answer { response, url } = self.0.client.send(&ask).await?;
            let headers = response.headers().clone();
            let body = response.bytes().await;
            let body = body.map_err(|error| failed(&url, error))?.to_vec();
            Ok(Page { body, headers, url })
        };
        retry(policy, get).await
    }

    /// Asks for the size and the digest of a file.
    async fn ask_for(&self, url: &Url, subject: &Subject) -> Result<FileInfo, Error> {
        let ask = Ask {
            method: Method::HEAD,
            url: url.clone(),
            range: None,
            subject,
        };
        let answer = retry(self.0.settings.retry, async || {
            self.0.client.send(&ask).await
        })
        .await?;
        let info = file_info(answer.response.headers());
        info.map_err(|problem| not_a_hub(&answer.url, problem))
    }
}

/// Returns what errors about a file name. Fails if its path leads out of the repository.
fn safe(snapshot: &Snapshot, path: &str) -> Result<Subject, Error> {
    if is_safe(path) {
        return Ok(Subject::file(snapshot, path));
    }
    Err(Error::UnsafePath {
        subject: Subject::snapshot(snapshot),
        path: path.to_owned(),
    })
}

/// One answer of the API.
struct Page {
    body: Vec<u8>,
    headers: HeaderMap,
    url: Url,
}

fn read_token(source: &TokenSource) -> Result<Option<Token>, Error> {
    let path = match source {
        TokenSource::Nowhere => return Ok(None),
        TokenSource::Given(token) => return Ok(Some(token.clone())),
        TokenSource::File(path) => path,
    };
    match fs::read_to_string(path) {
        Ok(text) => Ok(Token::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::TokenFile {
            path: path.clone(),
            source,
        }),
    }
}

fn commit(body: &[u8]) -> Result<Commit, String> {
    let info: RepoInfo = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Commit::parse(&info.sha).map_err(|error| error.to_string())
}

/// Reads the size and the digest of a file from the headers of its address. Those of a file in
/// storage come with the redirect to it.
fn file_info(headers: &HeaderMap) -> Result<FileInfo, &'static str> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let etag = text("x-linked-etag").or_else(|| text(ETAG.as_str()));
    let etag = etag.ok_or("it sends a file without the header `ETag`")?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let size = text("x-linked-size").or_else(|| text(CONTENT_LENGTH.as_str()));
    Ok(FileInfo {
        digest: Digest::parse(etag).ok_or("the `ETag` of a file is not its digest")?,
        size: size
            .and_then(|size| size.parse().ok())
            .ok_or("it sends a file without its size")?,
    })
}
