//! An S3 bucket on loopback that implements what we need, and fails on demand.
//!
//! Objects are created under one lock, so a conditional put is atomic, as real S3 promises. The
//! faults are those that break protocols: no answer or a refusal, for a while or now and then, an
//! answer that is lost after the object was written, and a server that accepts the condition but
//! ignores it. For connections that break in the middle of an object, see [`crate::proxy`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::seeds::{Random, seed};

/// What goes wrong with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every request is answered with 503.
    Unavailable,
    /// Every request is answered with 403, as when credentials have expired.
    Forbidden,
    /// Of a hundred requests, about so many are answered with 503, at random.
    Overloaded(usize),
    /// Every n-th put is carried out but answered with 500.
    LosesAnswers(usize),
    /// The conditions of puts are ignored, so existing objects are overwritten.
    IgnoresConditions,
}

/// A server with one bucket, called `bucket`. Stops when dropped.
#[derive(Debug)]
pub struct Bucket {
    address: SocketAddr,
    contents: Arc<Mutex<Contents>>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, Bytes>,
    fault: Fault,
    random: Option<Random>,
    num_puts: usize,
    num_requests: usize,
    num_failed: usize,
}

impl Contents {
    /// Counts a request. Returns the answer if it is not carried out.
    fn refuse(&mut self) -> Option<Response> {
        self.num_requests += 1;
        let fault = self.fault;
        let random = self.random.get_or_insert_with(|| Random::new(seed()));
        let refused = match fault {
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Fault::Overloaded(percent) if random.below(100) < percent => {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Fault::Forbidden => failure(StatusCode::FORBIDDEN, "AccessDenied"),
            _ => return None,
        };
        self.num_failed += 1;
        Some(refused)
    }
}

/// Keys per page of a listing: so few that tests exercise paging.
const PAGE_KEYS: usize = 7;

impl Bucket {
    /// Serves an empty bucket on a free port.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start() -> Self {
        let contents: Arc<Mutex<Contents>> = Arc::default();
        let router = Router::new()
            .route("/bucket", get(list))
            .route("/bucket/", get(list))
            .route("/bucket/{*key}", put(create).get(read).head(read))
            .with_state(Arc::clone(&contents));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut server = JoinSet::new();
        server.spawn(async move {
            // The server stops when the test drops the bucket.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            contents,
            _server: server,
        }
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the storage root `prefix` in the bucket.
    pub fn url(&self, prefix: &str) -> String {
        Self::url_at(self.address, prefix)
    }

    /// Returns the URL of the storage root `prefix` if the server is reached at `address`.
    pub fn url_at(address: SocketAddr, prefix: &str) -> String {
        format!("s3://bucket/{prefix}?endpoint=http://{address}&region=test&skip_signature=true")
    }

    /// Puts an object into the bucket.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.lock().objects.insert(key.to_owned(), bytes);
    }

    /// Makes requests go wrong from now on, as `fault` says.
    pub fn fail(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// Returns how many requests there were, and how many of them went wrong.
    pub fn num_requests(&self) -> (usize, usize) {
        let contents = self.lock();
        (contents.num_requests, contents.num_failed)
    }

    /// Returns the keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Makes every file of `folder` an object below `prefix`.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read.
    pub fn upload(&self, folder: &std::path::Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let bytes = std::fs::read(&path).expect("a file");
            let key = format!("{prefix}/{name}");
            self.lock().objects.insert(key, bytes.into());
        }
    }

    /// Writes every object below `prefix` into `folder`, for code that reads local directories.
    ///
    /// # Panics
    ///
    /// If the folder cannot be written.
    pub fn download(&self, prefix: &str, folder: &std::path::Path) {
        let objects = self.lock().objects.clone();
        for (key, bytes) in objects {
            let Some(relative) = key.strip_prefix(&format!("{prefix}/")) else {
                continue;
            };
            let path = folder.join(relative);
            std::fs::create_dir_all(path.parent().expect("a key has a folder"))
                .expect("a writable folder");
            std::fs::write(path, bytes).expect("a writable file");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }
}

type Shared = State<Arc<Mutex<Contents>>>;

async fn create(
    State(contents): Shared,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut contents = contents.lock().expect("no holder panics");
    if let Some(refused) = contents.refuse() {
        return refused;
    }
    contents.num_puts += 1;
    let is_conditional = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value == "*");
    let ignores = contents.fault == Fault::IgnoresConditions;
    let loses = matches!(contents.fault, Fault::LosesAnswers(n) if contents.num_puts % n == 0);
    if is_conditional && !ignores && contents.objects.contains_key(&key) {
        return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let tag = tag(&body);
    contents.objects.insert(key, body);
    if loses {
        contents.num_failed += 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    [(header::ETAG, tag)].into_response()
}

async fn read(State(contents): Shared, Path(key): Path<String>, headers: HeaderMap) -> Response {
    let mut contents = contents.lock().expect("no holder panics");
    if let Some(refused) = contents.refuse() {
        return refused;
    }
    let Some(object) = contents.objects.get(&key) else {
        return failure(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let tag = tag(object);
    if headers
        .get(header::IF_MATCH)
        .is_some_and(|wanted| *wanted != tag)
    {
        return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let fixed = [
        (header::ETAG, tag),
        (
            header::LAST_MODIFIED,
            HeaderValue::from_static("Wed, 25 Nov 2026 00:00:00 GMT"),
        ),
    ];
    let range = headers
        .get(header::RANGE)
        .and_then(|range| bounds(range, object.len()));
    match range {
        Some(range) => {
            let (start, end) = (range.start, range.end);
            let content = format!("bytes {start}-{}/{}", end - 1, object.len());
            let of_range = [(header::CONTENT_RANGE, content)];
            (
                StatusCode::PARTIAL_CONTENT,
                fixed,
                of_range,
                object.slice(range),
            )
                .into_response()
        }
        None => (fixed, object.clone()).into_response(),
    }
}

async fn list(State(contents): Shared, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut contents = contents.lock().expect("no holder panics");
    if let Some(refused) = contents.refuse() {
        return refused;
    }
    let prefix = query.get("prefix").map_or("", String::as_str);
    let after = query.get("continuation-token").map_or("", String::as_str);
    let after = after.max(query.get("start-after").map_or("", String::as_str));
    let mut found = contents
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
    let page: Vec<_> = found.by_ref().take(PAGE_KEYS).collect();
    let entry = |(key, object): &(&String, &Bytes)| {
        let (modified, size) = ("2026-11-25T00:00:00.000Z", object.len());
        let tag = tag(object);
        let tag = tag.to_str().expect("a tag is plain text");
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{tag}</ETag><LastModified>{modified}</LastModified></Contents>"
        )
    };
    let entries: Vec<_> = page.iter().map(entry).collect();
    let next = match (page.last(), found.next()) {
        (Some((last, _)), Some(_)) => {
            format!("<NextContinuationToken>{last}</NextContinuationToken>")
        }
        _ => String::new(),
    };
    let xml = format!(
        "<ListBucketResult>{}{next}</ListBucketResult>",
        entries.concat()
    );
    ([(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

fn bounds(range: &HeaderValue, len: usize) -> Option<std::ops::Range<usize>> {
    let (start, end) = range
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = end.parse().map_or(len, |end: usize| (end + 1).min(len));
    (start < end).then_some(start..end)
}

fn tag(object: &Bytes) -> HeaderValue {
    let sum = object.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    HeaderValue::from_str(&format!("\"{sum:x}\"")).expect("a tag is plain text")
}

fn failure(status: StatusCode, code: &str) -> Response {
    (
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
        .into_response()
}
