//! One request to the Hub: the address, redirects, the token, and what a failure means.
//!
//! Redirects are followed here and not by `reqwest`, for two reasons. The answer that redirects to
//! a storage server carries the file's commit and digest, and the token must never leave the Hub:
//! it is sent to the endpoint's own origin and to nobody else.
//!
//! Bytes come over the same client and not over `object_store`'s HTTP store, which hides the
//! headers that explain an error and say when to ask again, and cannot keep the token from a
//! server that a redirect names.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response};
use url::Url;

use crate::error::{Error, Subject};
use crate::explain::explain;
use crate::settings::Settings;

/// Python follows as many. The Hub needs two: to a renamed repository, then to storage.
const MOST_REDIRECTS: usize = 20;

/// Sends requests to one Hub.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    authorization: Option<HeaderValue>,
    metadata_timeout: Duration,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Value of the `Range` header.
    pub(crate) range: Option<String>,
    /// What an error names.
    pub(crate) subject: &'a Subject,
}

/// An answer that is a success, or the redirect to storage that ends a `HEAD`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Where the answer came from, after all redirects.
    pub(crate) url: Url,
}

impl Client {
    /// Prepares a client. Opens no socket.
    pub(crate) fn new(
        settings: &Settings,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("whence/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.download_timeout)
            .read_timeout(settings.download_timeout)
            .build()?;
        Ok(Self {
            http,
            endpoint: settings.endpoint.clone(),
            authorization,
            metadata_timeout: settings.metadata_timeout,
        })
    }

    /// Returns the address of `segments` below the endpoint. Each segment is percent-encoded,
    /// slashes included.
    pub(crate) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Returns whether the token may be sent to `url`.
    pub(crate) fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// Sends one request, without retries.
    pub(crate) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let mut url = ask.url.clone();
        for _ in 0..MOST_REDIRECTS {
            let response = self.send_to(&url, ask).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(Answer { response, url });
            }
            if !status.is_redirection() {
                let with_token = self.authorization.is_some();
                let subject = ask.subject.clone();
                let headers = response.headers();
                return Err(explain(status, headers, with_token, subject, &host(&url)));
            }
            let target = target(&url, &response)?;
            if ask.method == Method::HEAD && !self.is_hub(&target) {
                return Ok(Answer { response, url });
            }
            url = target;
        }
        Err(not_a_hub(&url, "it redirects in a circle"))
    }

    async fn send_to(&self, url: &Url, ask: &Ask<'_>) -> Result<Response, Error> {
        let mut request = self.http.request(ask.method.clone(), url.clone());
        // Compressed on the way, the size and the ranges would be those of other bytes.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(range) = &ask.range {
            request = request.header(RANGE, range);
        }
        if ask.method == Method::HEAD {
            request = request.timeout(self.metadata_timeout);
        }
        if let Some(authorization) = &self.authorization
            && self.is_hub(url)
        {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request.send().await.map_err(|error| failed(url, error))
    }
}

/// Returns where a redirect leads.
fn target(url: &Url, response: &Response) -> Result<Url, Error> {
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| not_a_hub(url, "it redirects to nowhere"))?;
    let target = url.join(location);
    target.map_err(|_| not_a_hub(url, "it redirects to something that is not an address"))
}

/// Makes the error of an answer that the Hub does not give.
pub(crate) fn not_a_hub(url: &Url, problem: impl Into<String>) -> Error {
    Error::NotAHub {
        host: host(url),
        problem: problem.into(),
    }
}

/// Makes the error of a connection that failed. The address is left out of it: a signed address
/// opens the file to everybody who reads it in a log.
pub(crate) fn failed(url: &Url, error: reqwest::Error) -> Error {
    let host = host(url);
    let source = error.without_url();
    if source.is_timeout() {
        Error::TimedOut { host, source }
    } else {
        Error::Unreachable { host, source }
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
