//! The two servers, and the handle with which a test controls them.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, RANGE, USER_AGENT};
use axum::http::{HeaderMap, Method, Response, Uri};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::answer;
use crate::bytes;
use crate::content::Content;
use crate::fault::{self, Fault, FaultKind};
use crate::log::{Entry, Logged};
use crate::repos::{Access, RepoName, Repos, publish_tree, read_folder};
use crate::route::{Route, route};

/// A Hub on two free ports of this machine. Stops when dropped.
#[derive(Debug)]
pub struct FakeHub {
    shared: Arc<Shared>,
    _servers: JoinSet<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    hub: SocketAddr,
    storage: SocketAddr,
    state: Mutex<HubState>,
}

#[derive(Debug, Default)]
struct HubState {
    repos: Repos,
    faults: Vec<Fault>,
    log: Vec<Entry>,
    /// The signature that the addresses of bytes must have.
    signature: u64,
    announces_xet: bool,
}

/// One of the two servers.
#[derive(Debug, Clone)]
struct Server {
    shared: Arc<Shared>,
    is_storage: bool,
}

impl FakeHub {
    /// Starts a Hub without any repository.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::start_at(0).await.expect("a free port")
    }

    /// Starts a Hub without any repository at a port of this machine. Port 0 is any free one.
    pub async fn start_at(port: u16) -> io::Result<Self> {
        let hub = TcpListener::bind(("127.0.0.1", port)).await?;
        let storage = TcpListener::bind(("127.0.0.1", 0)).await?;
        let shared = Arc::new(Shared {
            hub: hub.local_addr()?,
            storage: storage.local_addr()?,
            state: Mutex::default(),
        });
        let mut servers = JoinSet::new();
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let shared = Arc::clone(&shared);
            let server = Server { shared, is_storage };
            let router = Router::new().fallback(handle).with_state(server);
            servers.spawn(async move { axum::serve(listener, router).await });
        }
        Ok(Self {
            shared,
            _servers: servers,
        })
    }

    /// Returns the value of `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// Publishes `root/{models,datasets}/[<namespace>/]<name>/<revision>/<files>`.
    pub fn publish_tree(&self, root: &Path) -> io::Result<()> {
        publish_tree(&mut self.state().repos, root)
    }

    /// Makes `revision` of a repository point to a commit with these files, and returns the commit.
    /// The repository is made if there is none. Earlier commits stay. `kind` is `models` or
    /// `datasets`.
    pub fn publish(
        &self,
        kind: &str,
        name: &str,
        revision: &str,
        files: &[(&str, &[u8])],
    ) -> String {
        let files = files.iter().map(|(path, bytes)| {
            (
                (*path).to_owned(),
                Content::from_memory(path, bytes.to_vec()),
            )
        });
        self.state()
            .repos
            .publish(named(kind, name), revision, files.collect())
    }

    /// Like [`Self::publish`], with the files below a folder of the disk.
    pub fn publish_folder(
        &self,
        kind: &str,
        name: &str,
        revision: &str,
        folder: &Path,
    ) -> io::Result<String> {
        let files = read_folder(folder)?;
        Ok(self
            .state()
            .repos
            .publish(named(kind, name), revision, files))
    }

    /// Lets only those read a repository who have `token`, which becomes a valid one.
    pub fn restrict(&self, kind: &str, name: &str, access: Access, token: &str) {
        self.state()
            .repos
            .restrict(named(kind, name), access, token);
    }

    /// Makes `token` a valid one. Every other token is refused, as the Hub does it.
    pub fn accept_token(&self, token: &str) {
        self.state().repos.accept(token);
    }

    /// Redirects an old name of a repository to its new one.
    pub fn rename(&self, kind: &str, old: &str, new: &str) {
        self.state().repos.rename(named(kind, old), new);
    }

    /// Makes something go wrong.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Makes everything go right again.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Invalidates all addresses of bytes that were given out so far.
    pub fn expire_addresses(&self) {
        self.state().signature += 1;
    }

    /// Announces large files as Xet files too.
    pub fn announce_xet(&self) {
        self.state().announces_xet = true;
    }

    /// Returns the requests so far.
    pub fn log(&self) -> Vec<Logged> {
        self.state().log.iter().map(Entry::read).collect()
    }

    /// Returns the requests since the last call of this function, or since the start.
    pub fn take_log(&self) -> Vec<Logged> {
        self.state()
            .log
            .drain(..)
            .map(|entry| entry.read())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        self.shared.state()
    }
}

fn named(kind: &str, name: &str) -> RepoName {
    assert!(matches!(kind, "models" | "datasets"), "`{kind}`");
    (kind.to_owned(), name.to_owned())
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request with what its answer needs.
struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    bytes_sent: Arc<AtomicU64>,
}

async fn handle(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let bytes_sent = Arc::new(AtomicU64::new(0));
    let request = Request {
        method,
        uri,
        headers,
        body,
        bytes_sent,
    };
    let (number, fault) = {
        let mut state = server.shared.state();
        let entry = request.entry(server.is_storage);
        state.log.push(entry);
        let path = request.decoded_path();
        (
            Arc::clone(&request.bytes_sent),
            fault::take(&mut state.faults, &path, false),
        )
    };
    let answer = match fault {
        Some(FaultKind::Silence) => pending().await,
        Some(FaultKind::Status(status)) => {
            answer::finish(Response::builder().status(status), Body::empty())
        }
        Some(FaultKind::RateLimit(seconds)) => {
            let answer = Response::builder()
                .status(429)
                .header("retry-after", seconds);
            answer::finish(answer, Body::empty())
        }
        _ => server.answer(&request),
    };
    let mut state = server.shared.state();
    let is_this = |entry: &&mut Entry| Arc::ptr_eq(&entry.bytes_sent, &number);
    if let Some(entry) = state.log.iter_mut().rev().find(is_this) {
        entry.request.status = answer.status().as_u16();
    }
    answer
}

impl Request {
    fn header(&self, name: &axum::http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the path as a person writes it.
    fn decoded_path(&self) -> String {
        let path = percent_decode_str(self.uri.path());
        path.decode_utf8_lossy().into_owned()
    }

    fn token(&self) -> Option<&str> {
        self.header(&AUTHORIZATION)?.strip_prefix("Bearer ")
    }

    fn entry(&self, is_storage: bool) -> Entry {
        Entry {
            request: Logged {
                method: self.method.to_string(),
                path: self.uri.to_string(),
                is_storage,
                range: self.header(&RANGE).map(str::to_owned),
                token: self.token().map(str::to_owned),
                user_agent: self.header(&USER_AGENT).unwrap_or_default().to_owned(),
                status: 0,
                bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            },
            bytes_sent: Arc::clone(&self.bytes_sent),
        }
    }
}

impl Server {
    fn answer(&self, request: &Request) -> Response<Body> {
        let route = route(request.uri.path());
        match route {
            Route::Storage(name, commit, path) if self.is_storage => {
                self.storage(request, &name, &commit, &path)
            }
            Route::Info(..) | Route::Tree(..) | Route::PathsInfo(..) | Route::File(..)
                if !self.is_storage =>
            {
                self.hub(request, &route)
            }
            _ => answer::finish(Response::builder().status(404), "unknown route"),
        }
    }

    fn hub(&self, request: &Request, route: &Route) -> Response<Body> {
        let mut state = self.shared.state();
        let (name, revision) = match route {
            Route::Info(name, revision)
            | Route::Tree(name, revision, _)
            | Route::PathsInfo(name, revision)
            | Route::File(name, revision, _)
            | Route::Storage(name, revision, _) => (name, revision),
            Route::Unknown => return answer::not_found("RepoNotFound", None),
        };
        if let Some(new) = state.repos.new_name(name) {
            let location = renamed(&request.uri.to_string(), &name.1, new);
            let answer = Response::builder().status(307).header("location", location);
            return answer::finish(answer, Body::empty());
        }
        let wants_bytes = matches!(route, Route::File(..));
        let (signature, announces_xet) = (state.signature, state.announces_xet);
        let HubState { repos, faults, .. } = &mut *state;
        let repo = match repos.open(name, request.token(), wants_bytes) {
            Ok(repo) => repo,
            Err(refusal) => return answer::refused(refusal),
        };
        let Some((commit, files)) = repo.find(revision) else {
            return answer::not_found("RevisionNotFound", None);
        };
        let query = request.uri.query().unwrap_or_default();
        match route {
            Route::Tree(_, _, folder) => {
                let address = format!("http://{}{}", self.shared.hub, request.uri.path());
                answer::tree(files, folder, query, &address)
            }
            Route::PathsInfo(..) => answer::paths_info(files, &request.body),
            Route::File(_, _, path) => match files.get(path) {
                None => answer::not_found("EntryNotFound", Some(commit)),
                Some(content) if content.lfs.is_some() => {
                    let (storage, kind, repo) = (self.shared.storage, &name.0, &name.1);
                    let path = answer::encode(path);
                    let location = format!(
                        "http://{storage}/storage/{kind}/{repo}/at/{commit}/{path}?signature={signature}"
                    );
                    answer::redirect(content, commit, location, announces_xet)
                }
                Some(content) => send(request, content, commit, faults),
            },
            _ => answer::info(name, commit, files),
        }
    }

    /// The storage server knows no tokens: an address with its signature opens the file.
    fn storage(
        &self,
        request: &Request,
        name: &RepoName,
        commit: &str,
        path: &str,
    ) -> Response<Body> {
        let mut state = self.shared.state();
        let query = request.uri.query().unwrap_or_default();
        let signature = answer::parameter(query, "signature");
        if signature != Some(&state.signature.to_string()) {
            return answer::finish(Response::builder().status(403), "the address has expired");
        }
        let HubState { repos, faults, .. } = &mut *state;
        let content = repos.stored(name, commit).and_then(|files| files.get(path));
        match content {
            Some(content) => send(request, content, commit, faults),
            None => answer::finish(Response::builder().status(404), "no such file"),
        }
    }
}

/// Replaces the name of a repository in an address, where it is whole segments.
fn renamed(address: &str, old: &str, new: &str) -> String {
    let (start, rest) = match address.split_once(&format!("/{old}/")) {
        Some((start, rest)) => (start, format!("/{rest}")),
        None => (
            address.trim_end_matches(old).trim_end_matches('/'),
            String::new(),
        ),
    };
    format!("{start}/{new}{rest}")
}

/// Sends bytes of a file, with the fault that is due.
fn send(
    request: &Request,
    content: &Content,
    commit: &str,
    faults: &mut [Fault],
) -> Response<Body> {
    let is_get = request.method == Method::GET;
    let fault = is_get.then(|| fault::take(faults, &request.decoded_path(), true));
    let fault = fault.flatten();
    let ignores_ranges = fault == Some(FaultKind::NoRanges);
    let asked = (&request.method, &request.headers);
    let (head, range) = answer::bytes_head(content, commit, asked, ignores_ranges);
    let body = bytes::body(content, range, fault, Arc::clone(&request.bytes_sent));
    answer::finish(head, body)
}
