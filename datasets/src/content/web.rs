//! Files on web servers, over HTTP.
//!
//! A file is known by its address, its length and its version. Each answer is compared with what was
//! pinned, so that a file that is replaced in the middle of a job is noticed at the next request.

use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MATCH,
    LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::Mutex;
use whence_schemas::retry::RetryBudget;

use super::failure::RemoteFailure;
use super::remote::RangeSource;
use super::version::Version;
use super::web_answer::{RETRY, explain, unreachable, wait_out};

/// What a server says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebFacts {
    /// Length in bytes.
    pub(crate) num_bytes: u64,
    pub(crate) version: Version,
    /// Whether the server sends parts of the file.
    pub(crate) has_ranges: bool,
}

/// A file on a web server.
#[derive(Debug)]
pub(crate) struct WebFile {
    client: Client,
    url: String,
    /// What the job was submitted with.
    num_bytes: u64,
    version: Version,
    has_ranges: OnceLock<bool>,
    /// The rest of an answer that holds more than was asked for: a server without ranges sends
    /// everything, and the next request is for what comes next.
    rest: Mutex<Option<Body>>,
}

/// The body of an answer that is being received.
#[derive(Debug)]
struct Body {
    response: Response,
    /// Bytes that were received and not yet used.
    received: Bytes,
    /// Where in the file `received` starts.
    position: u64,
}

/// Asks what a file is. The request is for its first byte, because many servers that sign their
/// addresses refuse `HEAD`, and because the answer tells whether ranges are sent at all.
pub(crate) async fn describe(client: &Client, url: &str) -> Result<WebFacts, RemoteFailure> {
    let mut budget = RetryBudget::new(RETRY);
    loop {
        match describe_once(client, url).await {
            Err(failure) => wait_out(&mut budget, failure).await?,
            facts => return facts,
        }
    }
}

async fn describe_once(client: &Client, url: &str) -> Result<WebFacts, RemoteFailure> {
    let request = client.get(url).header(ACCEPT_ENCODING, "identity");
    let request = request.header(RANGE, "bytes=0-0");
    let response = request
        .send()
        .await
        .map_err(|error| unreachable(url, error))?;
    let status = response.status();
    // An empty file has no first byte.
    let is_empty = status == StatusCode::RANGE_NOT_SATISFIABLE;
    if !status.is_success() && !is_empty {
        return Err(explain(&response, url));
    }
    let unsupported = |reason: &str| RemoteFailure::Unsupported {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let headers = response.headers();
    let no_length = "the server does not say how long the file is; download it first";
    let no_version = "the server sends neither `ETag` nor `Last-Modified`, so that nobody could \
                      tell if the file changes; download it first";
    Ok(WebFacts {
        num_bytes: whole_length(status, headers).ok_or_else(|| unsupported(no_length))?,
        version: version(headers).ok_or_else(|| unsupported(no_version))?,
        has_ranges: is_empty || status == StatusCode::PARTIAL_CONTENT,
    })
}

fn version(headers: &HeaderMap) -> Option<Version> {
    Version::from_headers(text(headers, ETAG), text(headers, LAST_MODIFIED))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the length of the whole file by the headers of an answer, which may hold a part of it.
fn whole_length(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    if status == StatusCode::OK {
        return text(headers, CONTENT_LENGTH)?.parse().ok();
    }
    // `bytes 0-0/1234`, or `bytes */0`.
    let (_, length) = text(headers, CONTENT_RANGE)?.rsplit_once('/')?;
    length.parse().ok()
}

impl WebFile {
    /// Reads the file at `url`, which must be the version that was pinned.
    pub(crate) fn new(client: Client, url: &str, num_bytes: u64, version: Version) -> Self {
        Self {
            client,
            url: url.to_owned(),
            num_bytes,
            version,
            has_ranges: OnceLock::new(),
            rest: Mutex::new(None),
        }
    }

    /// Returns the next bytes from `position` on, as many as have arrived, and at most `most`.
    async fn receive(
        &self,
        body: &mut Option<Body>,
        position: u64,
        most: Range<u64>,
    ) -> Result<Bytes, RemoteFailure> {
        if body.as_ref().is_none_or(|body| body.position > position) {
            *body = Some(self.ask(position..most.end).await?);
        }
        let Some(open) = body else {
            unreachable!("a body was just opened");
        };
        loop {
            let passed = (position - open.position).min(open.received.len() as u64);
            drop(open.received.split_to(passed as usize));
            open.position += passed;
            if !open.received.is_empty() {
                let taken = (most.end - position).min(open.received.len() as u64);
                open.position += taken;
                return Ok(open.received.split_to(taken as usize));
            }
            let piece = open.response.chunk().await;
            let piece = piece.map_err(|error| unreachable(&self.url, error))?;
            open.received = piece.ok_or_else(|| RemoteFailure::Unavailable {
                url: self.url.clone(),
                reason: format!("the answer ends after byte {}", open.position),
                retry_after: None,
            })?;
        }
    }

    /// Asks for a range, and checks that the answer is of the version that was pinned.
    async fn ask(&self, range: Range<u64>) -> Result<Body, RemoteFailure> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let mut request = self.client.get(&self.url);
        request = request
            .header(ACCEPT_ENCODING, "identity")
            .header(RANGE, bytes);
        if let Some(tag) = self.version.if_match() {
            request = request.header(IF_MATCH, tag);
        }
        let response = request.send().await;
        let response = response.map_err(|error| unreachable(&self.url, error))?;
        let status = response.status();
        let is_other = matches!(
            status,
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE
        );
        if !status.is_success() && !is_other {
            return Err(explain(&response, &self.url));
        }
        let headers = response.headers();
        let found = version(headers);
        if is_other || found.as_ref() != Some(&self.version) {
            return Err(self.changed(found.map_or("another".to_owned(), |found| found.to_string())));
        }
        match whole_length(status, headers) {
            Some(length) if length == self.num_bytes => {}
            length => {
                let length = length.map_or("unknown".to_owned(), |length| length.to_string());
                return Err(self.changed(format!("of length {length}")));
            }
        }
        let is_part = status == StatusCode::PARTIAL_CONTENT;
        let _ = self.has_ranges.set(is_part);
        let start = format!("bytes {}-", range.start);
        if is_part && !text(headers, CONTENT_RANGE).is_some_and(|part| part.starts_with(&start)) {
            return Err(RemoteFailure::Unsupported {
                url: self.url.clone(),
                reason: "the server sends another range than the one asked for".to_owned(),
            });
        }
        Ok(Body {
            position: if is_part { range.start } else { 0 },
            received: Bytes::new(),
            response,
        })
    }

    fn changed(&self, found: String) -> RemoteFailure {
        RemoteFailure::Changed {
            url: self.url.clone(),
            pinned: format!("{}, of length {}", self.version, self.num_bytes),
            found,
        }
    }

    async fn read_all(&self, range: Range<u64>) -> Result<Bytes, RemoteFailure> {
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        let mut body = self.rest.lock().await.take();
        let mut budget = RetryBudget::new(RETRY);
        loop {
            let position = range.start + bytes.len() as u64;
            if position == range.end {
                break;
            }
            match self.receive(&mut body, position, range.clone()).await {
                Ok(piece) => {
                    bytes.extend_from_slice(&piece);
                    budget = RetryBudget::new(RETRY);
                }
                Err(failure) => {
                    body = None;
                    wait_out(&mut budget, failure).await?;
                }
            }
        }
        // The answer to a range is used up. Everything that comes next is in the answer of a server
        // that has none.
        if self.has_ranges.get() == Some(&false) {
            *self.rest.lock().await = body;
        }
        Ok(bytes.freeze())
    }
}

#[async_trait]
impl RangeSource for WebFile {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(self.read_all(range).await?)
    }

    async fn has_ranges(&self) -> io::Result<bool> {
        if let Some(has_ranges) = self.has_ranges.get() {
            return Ok(*has_ranges);
        }
        let facts = describe(&self.client, &self.url).await?;
        Ok(*self.has_ranges.get_or_init(|| facts.has_ranges))
    }
}
