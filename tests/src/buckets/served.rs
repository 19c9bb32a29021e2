//! The requests that a bucket answers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use super::contents::{Contents, Put, tag};
use super::dialect::Dialect;

/// What the handlers of requests share.
#[derive(Debug, Clone)]
struct Served {
    contents: Arc<Mutex<Contents>>,
    dialect: &'static Dialect,
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }
}

/// Returns the service of a bucket called `bucket`.
pub(super) fn router(contents: Arc<Mutex<Contents>>, dialect: &'static Dialect) -> Router {
    Router::new()
        .route("/bucket", get(list))
        .route("/bucket/", get(list))
        .route("/bucket/{*key}", put(create).get(read).head(read))
        .layer(from_fn_with_state(Arc::clone(&contents), delayed))
        .with_state(Served { contents, dialect })
}

/// Lets an answer take as long as the test wants.
async fn delayed(
    State(contents): State<Arc<Mutex<Contents>>>,
    request: Request,
    next: Next,
) -> Response {
    let latency = contents.lock().expect("no holder panics").latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    next.run(request).await
}

async fn create(
    State(served): State<Served>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut contents = served.lock();
    if let Some(refused) = contents.refuse() {
        return refusal(refused);
    }
    let (name, value) = served.dialect.condition;
    let is_conditional = headers.get(name).is_some_and(|given| given == value);
    match contents.create(key, body, is_conditional) {
        Put::Written(tag) => (served.dialect.written, [(header::ETAG, tag)]).into_response(),
        Put::AnswerLost => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Put::Exists => {
            let (status, code) = served.dialect.exists;
            failure(status, code)
        }
    }
}

async fn read(
    State(served): State<Served>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut contents = served.lock();
    if let Some(refused) = contents.refuse() {
        return refusal(refused);
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
    let modified = HeaderValue::from_static("Wed, 25 Nov 2026 00:00:00 GMT");
    let fixed = [(header::ETAG, tag), (header::LAST_MODIFIED, modified)];
    let range = headers
        .get(header::RANGE)
        .and_then(|range| bounds(range, object.len()));
    let Some(range) = range else {
        return (fixed, object.clone()).into_response();
    };
    let (start, end) = (range.start, range.end);
    let content = format!("bytes {start}-{}/{}", end - 1, object.len());
    let of_range = [(header::CONTENT_RANGE, content)];
    let part = object.slice(range);
    (StatusCode::PARTIAL_CONTENT, fixed, of_range, part).into_response()
}

async fn list(
    State(served): State<Served>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut contents = served.lock();
    if let Some(refused) = contents.refuse() {
        return refusal(refused);
    }
    let parameter = |name: &str| query.get(name).map_or("", String::as_str);
    let after = served
        .dialect
        .after
        .iter()
        .map(|name| parameter(name))
        .max();
    let page = contents.page(parameter("prefix"), after.unwrap_or_default());
    let xml = (served.dialect.list)(&page);
    ([(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

fn bounds(range: &HeaderValue, len: usize) -> Option<Range<usize>> {
    let (start, end) = range
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = end.parse().map_or(len, |end: usize| (end + 1).min(len));
    (start < end).then_some(start..end)
}

fn refusal(status: StatusCode) -> Response {
    if status == StatusCode::FORBIDDEN {
        return failure(status, "AccessDenied");
    }
    status.into_response()
}

fn failure(status: StatusCode, code: &str) -> Response {
    (
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
        .into_response()
}
