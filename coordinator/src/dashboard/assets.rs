//! The style, script and picture of the pages.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Each file with its type.
const ASSETS: [(&str, &str, &str); 3] = [
    (
        "dashboard.css",
        "text/css; charset=utf-8",
        include_str!("../../templates/dashboard/dashboard.css"),
    ),
    (
        "dashboard.js",
        "text/javascript; charset=utf-8",
        include_str!("../../templates/dashboard/dashboard.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../../templates/dashboard/icon.svg"),
    ),
];

/// Answers with a file.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(own, ..)| *own == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ([(CONTENT_TYPE, *kind)], *content).into_response()
}
