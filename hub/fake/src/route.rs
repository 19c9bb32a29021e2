//! What a path asks for. Segments are percent-decoded one by one, because the name of a revision
//! may contain slashes.

use percent_encoding::percent_decode_str;

use crate::repos::RepoName;

/// A request, without its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Facts about a repository at a revision.
    Info(RepoName, String),
    /// The files in a folder of a repository; the empty folder is the repository itself.
    Tree(RepoName, String, String),
    /// Entries of the files that the body names.
    PathsInfo(RepoName, String),
    /// A file, or the address of its bytes.
    File(RepoName, String, String),
    /// The bytes of a large file.
    Storage(RepoName, String, String),
    /// Anything else.
    Unknown,
}

/// Reads a path.
pub(crate) fn route(path: &str) -> Route {
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts: Vec<_> = path
        .trim_start_matches('/')
        .split('/')
        .map(decode)
        .collect();
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    let found = match parts.as_slice() {
        ["api", kind @ ("models" | "datasets"), rest @ ..] => api(kind, rest),
        ["storage", kind @ ("models" | "datasets"), rest @ ..] => {
            file(kind, rest, "at").map(|(name, commit, path)| Route::Storage(name, commit, path))
        }
        ["datasets", rest @ ..] => file("datasets", rest, "resolve").map(into_file),
        rest => file("models", rest, "resolve").map(into_file),
    };
    found.unwrap_or(Route::Unknown)
}

fn into_file((name, revision, path): (RepoName, String, String)) -> Route {
    Route::File(name, revision, path)
}

/// Splits `[namespace, name, verb, …]` before the verb. The namespace may be missing.
fn split<'a>(parts: &'a [&'a str], verbs: &[&str]) -> Option<(String, &'a str, &'a [&'a str])> {
    let at = (1..=2).find(|at| parts.get(*at).is_some_and(|part| verbs.contains(part)))?;
    Some((parts[..at].join("/"), parts[at], &parts[at + 1..]))
}

fn api(kind: &str, parts: &[&str]) -> Option<Route> {
    let name = |name: String| (kind.to_owned(), name);
    let Some((repo, verb, rest)) = split(parts, &["revision", "tree", "paths-info"]) else {
        let is_name = matches!(parts.len(), 1 | 2);
        return is_name.then(|| Route::Info(name(parts.join("/")), "main".to_owned()));
    };
    let (revision, rest) = rest.split_first()?;
    let revision = (*revision).to_owned();
    Some(match verb {
        "revision" => Route::Info(name(repo), revision),
        "tree" => Route::Tree(name(repo), revision, rest.join("/")),
        _ => Route::PathsInfo(name(repo), revision),
    })
}

fn file(kind: &str, parts: &[&str], verb: &str) -> Option<(RepoName, String, String)> {
    let (repo, _, rest) = split(parts, &[verb])?;
    let (revision, path) = rest.split_first()?;
    Some((
        (kind.to_owned(), repo),
        (*revision).to_owned(),
        path.join("/"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_segment_by_segment() {
        let dataset = || ("datasets".to_owned(), "ns/name".to_owned());
        let gpt2 = || ("models".to_owned(), "gpt2".to_owned());
        let parquet = || "refs/convert/parquet".to_owned();
        let main = || "main".to_owned();
        let cases = [
            ("/api/datasets/ns/name", Route::Info(dataset(), main())),
            ("/api/models/gpt2", Route::Info(gpt2(), main())),
            (
                "/api/models/gpt2/revision/v1",
                Route::Info(gpt2(), "v1".to_owned()),
            ),
            (
                "/api/datasets/ns/name/tree/refs%2Fconvert%2Fparquet/a/b",
                Route::Tree(dataset(), parquet(), "a/b".to_owned()),
            ),
            (
                "/api/models/gpt2/tree/main",
                Route::Tree(gpt2(), main(), String::new()),
            ),
            (
                "/api/models/gpt2/paths-info/main",
                Route::PathsInfo(gpt2(), main()),
            ),
            (
                "/datasets/ns/name/resolve/refs%2Fconvert%2Fparquet/a%20b/c.parquet",
                Route::File(dataset(), parquet(), "a b/c.parquet".to_owned()),
            ),
            (
                "/gpt2/resolve/main/x",
                Route::File(gpt2(), main(), "x".to_owned()),
            ),
            (
                "/storage/models/gpt2/at/main/x",
                Route::Storage(gpt2(), main(), "x".to_owned()),
            ),
            ("/api/whoami-v2", Route::Unknown),
            ("/", Route::Unknown),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
