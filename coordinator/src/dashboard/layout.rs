//! What all pages have: head, navigation, who is logged in, and the answer if there is no page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use whence_schemas::{ErrorKind, chain};

use super::gate::{Refusal, Visitor};
use super::markup::Markup;
use super::region;
use super::view::{Tab, View};
use crate::Error;

#[derive(Template)]
#[template(path = "dashboard/layout.html")]
struct Layout<'a> {
    title: &'a str,
    tab: Option<Tab>,
    visitor: &'a Visitor,
    root: &'a str,
    /// Where the page hears of changes; empty if it does not change.
    live: &'a str,
    body: &'a Markup,
}

impl Layout<'_> {
    /// Returns the navigation: paths, names, and which of them is shown.
    fn tabs(&self) -> [(&'static str, &'static str, bool); 3] {
        [
            ("/", "Jobs", Tab::Jobs),
            ("/workers", "Workers", Tab::Workers),
            ("/schedules", "Schedules", Tab::Schedules),
        ]
        .map(|(path, name, tab)| (path, name, self.tab == Some(tab)))
    }
}

#[derive(Template)]
#[template(path = "dashboard/message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    next: &'a str,
}

/// Answers with a page. `live` is where it hears of changes.
pub(super) fn page(view: &View, visitor: &Visitor, root: &str, live: &str) -> Response {
    let live = if view.regions.is_empty() {
        String::new()
    } else {
        let joint = if live.contains('?') { '&' } else { '?' };
        format!("{live}{joint}version={}", region::version(&view.regions))
    };
    let layout = Layout {
        title: &view.title,
        tab: Some(view.tab),
        visitor,
        root,
        live: &live,
        body: &view.body,
    };
    answer(StatusCode::OK, &layout)
}

/// Answers with a page that has no navigation, such as the login form.
pub(super) fn alone(status: StatusCode, title: &str, body: &Markup) -> Response {
    let layout = Layout {
        title,
        tab: None,
        visitor: &Visitor::default(),
        root: "",
        live: "",
        body,
    };
    answer(status, &layout)
}

/// Answers with the reason why there is no page.
pub(super) fn failed(error: &Error) -> Response {
    let status = match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Data | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
    };
    if status.is_server_error() {
        tracing::warn!(
            error = chain(error),
            "a page of the dashboard could not be made"
        );
    }
    message(status, "This page cannot be shown", &chain(error), "")
}

/// Answers with a message.
pub(super) fn message(status: StatusCode, title: &str, text: &str, next: &str) -> Response {
    let message = Message { title, text, next };
    match Markup::of(&message) {
        Ok(body) => alone(status, title, &body),
        Err(_) => (status, title.to_owned()).into_response(),
    }
}

fn answer(status: StatusCode, layout: &Layout<'_>) -> Response {
    match Markup::of(layout) {
        Ok(page) => (status, Html(page.to_string())).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Answers a request that the gate does not let through.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let (status, text, next) = match refusal {
        Refusal::Elsewhere => (
            StatusCode::FORBIDDEN,
            "The dashboard is not encrypted, so it answers only browsers on the machine of the coordinator."
                .to_owned(),
            "Forward the port (`ssh -L` or `kubectl port-forward`), put a proxy with HTTPS on the same \
             machine, or start the coordinator with --insecure if the network keeps strangers out.",
        ),
        Refusal::Host(host) => (
            StatusCode::MISDIRECTED_REQUEST,
            format!("The name `{host}` could be anybody's, and nobody has to log in here."),
            "Open the dashboard by its address or as `localhost`, or give the coordinator --tokens.",
        ),
        Refusal::OtherSite => (
            StatusCode::FORBIDDEN,
            "A page of another site asked for this.".to_owned(),
            "Open the dashboard itself.",
        ),
        Refusal::Certificates => (
            StatusCode::FORBIDDEN,
            "Callers of this coordinator must show certificates, which the dashboard cannot ask for."
                .to_owned(),
            "Give the coordinator --tokens; visitors then log in with a token.",
        ),
        Refusal::LogIn => (
            StatusCode::UNAUTHORIZED,
            "The dashboard asks for a token.".to_owned(),
            "Log in.",
        ),
        Refusal::Role(role) => (
            StatusCode::FORBIDDEN,
            format!("A token with the role `{role}` may not see jobs."),
            "Log in with a token of the role `viewer`, `submitter` or `admin`.",
        ),
    };
    message(status, "Not shown", &text, next)
}
