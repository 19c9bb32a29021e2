//! A web server on loopback that counts what it sends and fails on demand.
//!
//! Its files are also objects of the bucket `bucket`, in the way S3 serves single objects.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri, header};
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is wrong with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The next body is cut off after this many bytes.
    CutOnce(usize),
    /// Ranges are ignored.
    NoRanges,
    /// The header `ETag` is left out.
    NoTag,
    /// The header `Last-Modified` is left out as well.
    NoVersion,
    /// Every answer has this status.
    Status(u16),
}

/// A server that stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Shared,
    _tasks: JoinSet<()>,
}

type Shared = Arc<Mutex<Contents>>;

#[derive(Default)]
struct Contents {
    files: BTreeMap<String, Bytes>,
    faults: Vec<Fault>,
    num_sent: u64,
    num_requests: usize,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let shared = Shared::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // The server stops when the test drops it.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.contents()
            .files
            .insert(format!("/bucket/{name}"), bytes);
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.contents().faults.push(fault);
    }

    pub(crate) fn heal(&self) {
        self.contents().faults.clear();
    }

    /// Returns how many bytes of files were sent since the last call, and in how many answers.
    pub(crate) fn take_sent(&self) -> (u64, usize) {
        let mut contents = self.contents();
        let requests = std::mem::take(&mut contents.num_requests);
        (std::mem::take(&mut contents.num_sent), requests)
    }

    pub(crate) fn web(&self, name: &str) -> String {
        format!("http://{}/bucket/{name}", self.address)
    }

    pub(crate) fn s3(&self, name: &str) -> String {
        let endpoint = format!("http://{}", self.address);
        format!("s3://bucket/{name}?endpoint={endpoint}&region=test&skip_signature=true")
    }

    fn contents(&self) -> std::sync::MutexGuard<'_, Contents> {
        self.shared.lock().unwrap()
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let mut contents = shared.lock().unwrap();
    contents.num_requests += 1;
    let status = |status: u16| {
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap()
    };
    for fault in &contents.faults {
        if let Fault::Status(number) = fault {
            return status(*number);
        }
    }
    let Some(bytes) = contents.files.get(uri.path()).cloned() else {
        return status(404);
    };
    let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..16]);
    if headers
        .get(header::IF_MATCH)
        .is_some_and(|wanted| *wanted != *tag)
    {
        return status(412);
    }
    let has = |fault| contents.faults.contains(&fault);
    let mut response = Response::builder();
    if !has(Fault::NoTag) && !has(Fault::NoVersion) {
        response = response.header(header::ETAG, tag);
    }
    if !has(Fault::NoVersion) {
        response = response.header(header::LAST_MODIFIED, "Wed, 25 Nov 2026 00:00:00 GMT");
    }
    let asked = headers.get(header::RANGE).filter(|_| !has(Fault::NoRanges));
    let range = asked.map(|asked| bounds(asked.to_str().unwrap(), bytes.len()));
    if let Some(Range { start, end }) = range {
        let part = format!("bytes {start}-{}/{}", end - 1, bytes.len());
        response = response.status(206).header(header::CONTENT_RANGE, part);
    }
    let body = bytes.slice(range.unwrap_or(0..bytes.len()));
    response = response.header(header::CONTENT_LENGTH, body.len());
    if method == Method::HEAD {
        return response.body(Body::empty()).unwrap();
    }
    response.body(send(&mut contents, body)).unwrap()
}

/// Returns the body, cut off if that fault is due.
fn send(contents: &mut Contents, bytes: Bytes) -> Body {
    let cut = |fault: &Fault| matches!(fault, Fault::CutOnce(after) if *after < bytes.len());
    let Some(due) = contents.faults.iter().position(cut) else {
        contents.num_sent += bytes.len() as u64;
        return Body::from(bytes);
    };
    let Fault::CutOnce(after) = contents.faults.remove(due) else {
        unreachable!("only cuts are due here");
    };
    contents.num_sent += after as u64;
    let start = bytes.slice(..after);
    Body::from_stream(stream::unfold(Some(start), |start| async move {
        if let Some(start) = start {
            return Some((Ok(start), None));
        }
        // The server sends what it has while it waits; an error at once would discard it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
    }))
}

fn bounds(range: &str, len: usize) -> Range<usize> {
    let (start, end) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let end = end.parse::<usize>().map_or(len, |end| (end + 1).min(len));
    start.parse().unwrap()..end
}
