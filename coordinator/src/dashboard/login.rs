//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use url::form_urlencoded;

use super::gate::{self, Refusal, SESSION_COOKIE, Visitor};
use super::layout;
use super::markup::Markup;
use super::site::Site;

/// The query of the form's page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginQuery {
    /// Where to go afterwards.
    next: String,
}

#[derive(Template)]
#[template(path = "dashboard/login.html")]
struct Form<'a> {
    next: &'a str,
    /// Why the last try was refused.
    refused: Option<&'a str>,
}

/// Shows the form, or goes on if somebody is logged in.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Query(query): Query<LoginQuery>,
    headers: HeaderMap,
) -> Response {
    let next = own_path(&query.next);
    match site.identify(&headers) {
        Ok(_) => to(next),
        Err(_) => form(StatusCode::OK, next, None),
    }
}

/// Logs somebody in who shows a token.
pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (token, next) = (field(&body, "token"), field(&body, "next"));
    let next = own_path(&next);
    let refuse = |reason: &str| form(StatusCode::FORBIDDEN, next, Some(reason));
    let Some(holder) = site.holder(token.trim()) else {
        tracing::warn!("somebody tried to log in with an unknown token");
        return refuse("The coordinator does not know this token; ask its operator for another.");
    };
    if let Err(Refusal::Role(role)) = gate::check_role(holder.role) {
        tracing::warn!(by = holder.name, %role, "a role that may not see jobs tried to log in");
        return refuse(
            "This token may not see jobs; use one of the role viewer, submitter or admin.",
        );
    }
    tracing::info!(by = holder.name, "logged in to the dashboard");
    match site.log_in(holder) {
        Ok(number) => with_cookie(&number, is_encrypted(&headers), to(next)),
        Err(error) => layout::failed(&error),
    }
}

/// Logs a visitor out.
pub(super) async fn log_out(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !site.is_own_form(&visitor, &field(&body, "form_secret")) {
        return layout::refused(&Refusal::OtherSite);
    }
    if let Some(key) = visitor.login.and_then(|login| login.session) {
        site.log_out(&key);
    }
    with_cookie("; Max-Age=0", is_encrypted(&headers), to("/login"))
}

/// Returns the page to log in at, from which one comes back to `path`.
pub(super) fn url_from(path: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", path)
        .finish();
    format!("/login?{query}")
}

/// Returns the value of a field of a form; empty if it has none.
pub(super) fn field(body: &[u8], name: &str) -> String {
    let mut fields = form_urlencoded::parse(body);
    let found = fields.find(|(key, _)| key == name);
    found.map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Answers that the browser should go on to a page of the dashboard.
pub(super) fn to(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

fn form(status: StatusCode, next: &str, refused: Option<&str>) -> Response {
    match Markup::of(&Form { next, refused }) {
        Ok(body) => layout::alone(status, "Log in", &body),
        Err(error) => layout::failed(&error),
    }
}

/// Returns `path` if it is one of the dashboard, and not the address of somebody else.
fn own_path(path: &str) -> &str {
    let is_plain = |letter: char| letter.is_ascii_graphic() && letter != '\\';
    let is_own = path.starts_with('/') && !path.starts_with("//") && path.chars().all(is_plain);
    if is_own { path } else { "/" }
}

/// Returns whether the browser's connection is encrypted, as a proxy says. If the browser itself says so,
/// it only keeps its own cookie from itself.
fn is_encrypted(headers: &HeaderMap) -> bool {
    let proxied = headers.get("x-forwarded-proto");
    proxied.is_some_and(|scheme| scheme == "https")
}

/// Adds the cookie of a session. Scripts cannot read it, and no request that another site causes has it.
fn with_cookie(number: &str, is_encrypted: bool, mut response: Response) -> Response {
    let secure = if is_encrypted { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={number}; Path=/; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_back_to_a_page_of_the_dashboard_alone() {
        for own in ["/", "/jobs/abc?page=2", "/workers"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\r\nset-cookie: a=b",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
        assert_eq!(
            url_from("/?text=a b&page=2"),
            "/login?next=%2F%3Ftext%3Da+b%26page%3D2"
        );
    }

    #[test]
    fn a_field_of_a_form_is_decoded() {
        let body = b"token=whence_%30&next=%2Fjobs&token=other";
        assert_eq!(field(body, "token"), "whence_0");
        assert_eq!(field(body, "next"), "/jobs");
        assert_eq!(field(body, "form_secret"), "");
    }

    #[test]
    fn a_cookie_is_for_the_browser_and_the_dashboard_alone() {
        let cookie = |is_encrypted| {
            let response = with_cookie("1a", is_encrypted, to("/"));
            response.headers()[SET_COOKIE].to_str().unwrap().to_owned()
        };
        let plain = "whence_session=1a; Path=/; HttpOnly; SameSite=Strict";
        assert_eq!(cookie(false), plain);
        assert_eq!(cookie(true), format!("{plain}; Secure"));
    }
}
