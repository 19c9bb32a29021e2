//! From an answer that is not a success to the error that explains it.
//!
//! The Hub names the cause in `X-Error-Code` and `X-Error-Message`; the status alone is ambiguous.
//! It answers 401 for a private repository as for one that does not exist, so that nobody learns
//! which private repositories there are.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::error::{Error, Subject};

/// Returns the error that an answer means. `with_token` says whether the request carried a token.
pub(crate) fn explain(
    status: StatusCode,
    headers: &HeaderMap,
    with_token: bool,
    subject: Subject,
    host: &str,
) -> Error {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let message = text("x-error-message").unwrap_or_default();
    match (text("x-error-code").unwrap_or_default(), status.as_u16()) {
        ("RevisionNotFound", _) => Error::RevisionNotFound(subject),
        ("EntryNotFound", _) => Error::FileNotFound(subject),
        ("GatedRepo", _) => Error::Gated {
            subject,
            with_token,
        },
        ("DisabledRepo", _) => Error::Disabled(subject),
        _ if message == "Access to this resource is disabled." => Error::Disabled(subject),
        ("RepoNotFound", _) => Error::RepoNotFound {
            subject,
            with_token,
        },
        (_, 401) if message == "Invalid credentials in Authorization header" => Error::InvalidToken,
        (_, 401) => Error::RepoNotFound {
            subject,
            with_token,
        },
        (_, 403) => Error::Forbidden {
            subject,
            message: reason(message, status),
        },
        (_, 404) => Error::NotAHub {
            host: host.to_owned(),
            problem: "status 404 without the header `X-Error-Code`".to_owned(),
        },
        (_, 429) => Error::RateLimited {
            retry_after: retry_after(headers),
        },
        (_, 408 | 425 | 500..) => Error::Server {
            subject,
            status: status.as_u16(),
        },
        (_, number) => Error::Declined {
            subject,
            status: number,
            message: reason(message, status),
        },
    }
}

fn reason(message: &str, status: StatusCode) -> String {
    let usual = || status.canonical_reason().unwrap_or("no reason given");
    let reason = if message.is_empty() { usual() } else { message };
    reason.to_owned()
}

/// Returns how long the Hub asks to wait: the seconds in `Retry-After`, or else the time until the
/// window of `RateLimit: "api";r=0;t=55` ends. A date in `Retry-After` is not followed: our clock
/// may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let window = || {
        let mut parts = text("ratelimit")?.split(';');
        parts.find_map(|part| part.trim().strip_prefix("t="))
    };
    let seconds = text(RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
    let seconds = seconds.or_else(|| window()?.parse().ok());
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use whence_schemas::ErrorKind;

    use super::*;
    use crate::repo::{RepoId, Revision};

    fn explained(status: u16, headers: &[(&'static str, &str)], with_token: bool) -> Error {
        let repo = RepoId::model("ns/name").unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        explain(
            StatusCode::from_u16(status).unwrap(),
            &headers.collect(),
            with_token,
            Subject::revision(&repo, &Revision::default()),
            "hub",
        )
    }

    /// Status, `X-Error-Code`, `X-Error-Message`, and what the person reads.
    const ANSWERS: &[(u16, &str, &str, &str)] = &[
        (
            404,
            "RevisionNotFound",
            "",
            "model `ns/name` has no revision `main`",
        ),
        (
            404,
            "EntryNotFound",
            "",
            "there is no model `ns/name` at `main`",
        ),
        (
            403,
            "GatedRepo",
            "",
            "access to model `ns/name` has to be requested",
        ),
        (
            403,
            "DisabledRepo",
            "",
            "the Hub has disabled model `ns/name`",
        ),
        (
            403,
            "",
            "Access to this resource is disabled.",
            "the Hub has disabled",
        ),
        (
            404,
            "RepoNotFound",
            "",
            "the Hub knows no model `ns/name`, or it is private",
        ),
        (
            401,
            "",
            "Invalid username or password.",
            "the Hub knows no model",
        ),
        (
            401,
            "",
            "Invalid credentials in Authorization header",
            "not accept the access token",
        ),
        (
            403,
            "",
            "read only",
            "not allow access to model `ns/name` at `main`: read only",
        ),
        (400, "", "bad range", "(HTTP status 400): bad range"),
        (404, "", "", "`hub` does not answer like the Hub"),
        (
            502,
            "",
            "",
            "the Hub failed to answer for model `ns/name` at `main` (HTTP status 502)",
        ),
        (429, "", "", "the Hub limits the rate of requests"),
    ];

    #[test]
    fn every_code_of_the_hub_has_its_message() {
        for (status, code, message, expected) in ANSWERS {
            let headers = [("x-error-code", *code), ("x-error-message", *message)];
            let error = explained(*status, &headers, false).to_string();
            assert!(error.contains(expected), "{status} {headers:?}: {error}");
        }
    }

    #[test]
    fn the_next_step_depends_on_whether_a_token_was_sent() {
        for (status, code) in [(401, "GatedRepo"), (404, "RepoNotFound")] {
            let help = |with_token| explained(status, &[("x-error-code", code)], with_token).help();
            assert!(help(false).unwrap().contains("hf auth login"), "{code}");
            assert!(!help(true).unwrap().contains("hf auth login"), "{code}");
        }
    }

    #[test]
    fn only_failures_of_the_hub_may_pass() {
        let kinds =
            [400, 401, 403, 404, 408, 429, 500, 503].map(|s| explained(s, &[], false).kind());
        use ErrorKind::{Invalid, NotFound, Unavailable};
        assert_eq!(
            kinds,
            [
                Invalid,
                NotFound,
                Invalid,
                Invalid,
                Unavailable,
                Unavailable,
                Unavailable,
                Unavailable
            ]
        );
    }

    #[test]
    fn the_hub_says_when_to_ask_again() {
        let asked = |headers: &[(&'static str, &str)]| match explained(429, headers, false) {
            Error::RateLimited { retry_after } => retry_after.map(|time| time.as_secs()),
            error => panic!("{error}"),
        };
        assert_eq!(asked(&[("retry-after", "7")]), Some(7));
        assert_eq!(asked(&[("ratelimit", "\"api\";r=0;t=55")]), Some(55));
        assert_eq!(
            asked(&[("retry-after", "7"), ("ratelimit", "\"api\";r=0;t=55")]),
            Some(7)
        );
        assert_eq!(
            asked(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]),
            None
        );
        assert_eq!(asked(&[]), None);
    }
}
