//! The answers of the Hub, by route.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, LINK, LOCATION,
};
use axum::http::response::Builder;
use axum::http::{HeaderMap, Method, Response};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::bytes::parse_range;
use crate::content::Content;
use crate::repos::{Files, Refusal, RepoName};

/// Files on one page of a list, unless the request asks for fewer.
const PAGE: usize = 1000;

pub(crate) fn refused(refusal: Refusal) -> Response<Body> {
    let answer = Response::builder().status(refusal.status);
    let answer = answer.header("x-error-code", refusal.code);
    let answer = answer.header("x-error-message", refusal.message);
    finish(answer, json!({"error": refusal.message}).to_string())
}

pub(crate) fn not_found(code: &'static str, commit: Option<&str>) -> Response<Body> {
    let answer = Response::builder().status(404);
    let answer = answer.header("x-error-code", code);
    let answer = answer.header("x-error-message", code);
    let answer = match commit {
        Some(commit) => answer.header("x-repo-commit", commit),
        None => answer,
    };
    finish(answer, json!({"error": code}).to_string())
}

pub(crate) fn json_body(value: &Value) -> Response<Body> {
    let answer = Response::builder().header("content-type", "application/json");
    finish(answer, value.to_string())
}

pub(crate) fn finish(answer: Builder, body: impl Into<Body>) -> Response<Body> {
    answer.body(body.into()).expect("the headers are valid")
}

/// Facts about a repository.
pub(crate) fn info(name: &RepoName, commit: &str, files: &Files) -> Response<Body> {
    let siblings: Vec<_> = files
        .keys()
        .map(|path| json!({"rfilename": path}))
        .collect();
    let time = "2026-11-01T00:00:00.000Z";
    json_body(&json!({
        "_id": "0", "id": name.1, "author": name.1.split('/').next(), "sha": commit,
        "private": false, "gated": false, "disabled": false, "downloads": 0, "likes": 0,
        "tags": [], "lastModified": time, "createdAt": time, "siblings": siblings,
    }))
}

/// Entries of the files and folders that a body names, as JSON or as a form.
pub(crate) fn paths_info(files: &Files, body: &[u8]) -> Response<Body> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let paths: Vec<String> = match json.as_ref().and_then(|json| json["paths"].as_array()) {
        Some(paths) => paths
            .iter()
            .filter_map(|path| Some(path.as_str()?.to_owned()))
            .collect(),
        None => form_paths(&String::from_utf8_lossy(body)),
    };
    let entries = paths.iter().filter_map(|path| {
        let is_inside = |file: &String| file.starts_with(&format!("{path}/"));
        let file = files.get(path).map(|content| content.entry(path));
        file.or_else(|| files.keys().any(is_inside).then(|| folder(path)))
    });
    json_body(&entries.collect())
}

fn form_paths(form: &str) -> Vec<String> {
    let paths = form
        .split('&')
        .filter_map(|pair| pair.strip_prefix("paths="));
    let decode = |path: &str| {
        percent_decode_str(&path.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    paths.map(decode).collect()
}

fn folder(path: &str) -> Value {
    json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": path})
}

/// Value of a parameter in a query.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// One page of the files below a folder. `address` is that of the request, without its query.
pub(crate) fn tree(files: &Files, root: &str, query: &str, address: &str) -> Response<Body> {
    let is_recursive = matches!(parameter(query, "recursive"), Some("true" | "True" | "1"));
    let entries = entries(files, root, is_recursive);
    if entries.is_empty() && !root.is_empty() {
        return not_found("EntryNotFound", None);
    }
    let number = |name| parameter(query, name).and_then(|value| value.parse().ok());
    let (start, limit) = (
        number("cursor").unwrap_or(0),
        number("limit").unwrap_or(PAGE),
    );
    let end = entries.len().min(start + limit);
    let mut answer = Response::builder().header("content-type", "application/json");
    if end < entries.len() {
        let next = format!("{address}?recursive={is_recursive}&limit={limit}&cursor={end}");
        answer = answer.header(LINK, format!("<{next}>; rel=\"next\""));
    }
    let page: Value = entries.get(start..end).unwrap_or_default().into();
    finish(answer, page.to_string())
}

fn entries(files: &Files, root: &str, is_recursive: bool) -> Vec<Value> {
    let prefix = if root.is_empty() {
        String::new()
    } else {
        format!("{root}/")
    };
    let mut entries = Vec::new();
    let mut folders = BTreeSet::new();
    for (path, content) in files {
        let Some(inside) = path.strip_prefix(&prefix) else {
            continue;
        };
        let ends: Vec<_> = inside.match_indices('/').map(|(at, _)| at).collect();
        let shown = if is_recursive {
            ends.len()
        } else {
            ends.len().min(1)
        };
        folders.extend(
            ends[..shown]
                .iter()
                .map(|end| format!("{prefix}{}", &inside[..*end])),
        );
        if is_recursive || ends.is_empty() {
            entries.push(content.entry(path));
        }
    }
    entries.extend(folders.iter().map(|path| folder(path)));
    entries.sort_by_key(|entry| entry["path"].as_str().unwrap_or_default().to_owned());
    entries
}

/// The redirect to the bytes of a large file, which carries its facts.
pub(crate) fn redirect(
    content: &Content,
    commit: &str,
    location: String,
    announces_xet: bool,
) -> Response<Body> {
    let answer = Response::builder().status(302);
    let answer = answer.header(LOCATION, location);
    let answer = answer.header("x-repo-commit", commit);
    let answer = answer.header("x-linked-etag", content.etag());
    let mut answer = answer.header("x-linked-size", content.size);
    if announces_xet && let Some(sha) = &content.lfs {
        answer = answer.header("x-xet-hash", sha);
    }
    finish(answer, "Found. Redirecting")
}

/// Returns a path for a URL.
pub(crate) fn encode(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string());
    parts.collect::<Vec<_>>().join("/")
}

/// The head of an answer with bytes of a file, and which of them the body holds.
pub(crate) fn bytes_head(
    content: &Content,
    commit: &str,
    request: (&Method, &HeaderMap),
    ignores_ranges: bool,
) -> (Builder, std::ops::Range<u64>) {
    let (method, headers) = request;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let answer = Response::builder().header(ETAG, content.etag());
    let answer = answer.header("x-repo-commit", commit);
    let answer = answer.header(ACCEPT_RANGES, "bytes");
    if text(IF_NONE_MATCH) == Some(&content.etag()) {
        return (answer.status(304), 0..0);
    }
    let size = content.size;
    let asked = text(axum::http::header::RANGE).filter(|_| !ignores_ranges);
    let (answer, range) = match asked.map(|header| parse_range(header, size)) {
        None => (answer, 0..size),
        Some(Some(range)) => {
            let (first, last) = (range.start, range.end - 1);
            let answer = answer.header(CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
            (answer.status(206), range)
        }
        Some(None) => {
            let answer = answer.header(CONTENT_RANGE, format!("bytes */{size}"));
            return (answer.status(416), 0..0);
        }
    };
    let answer = answer.header(CONTENT_LENGTH, range.end - range.start);
    let is_head = method == Method::HEAD;
    (answer, if is_head { 0..0 } else { range })
}
