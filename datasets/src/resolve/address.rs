//! Addresses of files on other machines: what can be read, and what is refused and why.
//!
//! An address of a bucket may end with settings, as those of storage roots do:
//! `s3://bucket/rows/*.jsonl?endpoint=http://…`. They belong to the bucket, so resolution works on
//! the address without them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use url::Url;
use whence_schemas::location::{DatasetLocation, DatasetOrigin};
use whence_schemas::store::is_bucket;

use super::glob::is_magic;
use crate::Error;

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Local,
    /// `http://host/path` or `https://host/path`.
    Web,
    /// `s3://bucket/key`, `gs://bucket/key` or `az://container/key`.
    Bucket,
    /// `hf://datasets/name@commit/path`.
    Hub,
}

/// Parameters that make an address one that opens the file to whoever has it.
const SIGNATURES: [&str; 6] = [
    "x-amz-signature",
    "x-goog-signature",
    "signature",
    "sig",
    "token",
    "access_token",
];

/// Returns whether `path` is an address, and not a path on this machine.
pub fn is_address(path: &str) -> bool {
    path.contains("://")
}

/// Returns where a path or a pattern leads. Fails with the reason if whence does not read from
/// there.
pub(super) fn place(path: &str) -> Result<Place, String> {
    let Some((scheme, rest)) = path.split_once("://") else {
        return Ok(Place::Local);
    };
    match scheme {
        "http" | "https" => check_web(path).map(|()| Place::Web),
        _ if is_bucket(path) => check_bucket(scheme, rest).map(|()| Place::Bucket),
        "hf" if rest.starts_with("datasets/") => Ok(Place::Hub),
        "hf" => Err("only datasets are read: `hf://datasets/name/file`".to_owned()),
        "file" => Err("write the path itself, without `file://`".to_owned()),
        _ => Err(format!(
            "`{scheme}://` is not read, only https://, http://, s3://, gs://, az://, abfss:// and \
             hf://datasets/; copy the files to one of these or to this machine"
        )),
    }
}

/// Returns a path as it may be shown: a web address without its password and its query, either of
/// which may be a secret.
pub(super) fn shown(path: &str) -> String {
    match Url::parse(path) {
        Ok(mut url) if path.starts_with("http") && url.has_host() => {
            // Addresses of other kinds have neither.
            let _ = url.set_password(None);
            let _ = url.set_username("");
            if url.query().is_some() {
                url.set_query(Some("…"));
            }
            url.to_string().replace("%E2%80%A6", "…")
        }
        _ => path.to_owned(),
    }
}

fn check_web(address: &str) -> Result<(), String> {
    let url = Url::parse(address).map_err(|error| format!("it is not an address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "an address with a password would be stored with the job; download the file first"
                .to_owned(),
        );
    }
    let is_signature = |name: &str| SIGNATURES.contains(&name.to_ascii_lowercase().as_str());
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| is_signature(name)) {
        return Err(format!(
            "its `{name}` opens the file to everybody who reads the job's specification, and \
             expires; download the file first, or use the bucket's own address, such as \
             `s3://bucket/file`, with your credentials"
        ));
    }
    let path = address.split('?').next().unwrap_or_default();
    // A question mark is part of such an address, not a wildcard.
    if path.contains(['*', '[']) {
        return Err("a web server does not list its files; name each of them".to_owned());
    }
    if url.path().ends_with('/') {
        return Err(
            "it names a folder, and a web server does not list its files; name each of them with \
             --dataset-files"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_bucket(scheme: &str, rest: &str) -> Result<(), String> {
    match rest.split('/').next() {
        None | Some("") => Err(format!(
            "it names no bucket; write `{scheme}://bucket/path`"
        )),
        Some(bucket) if is_magic(bucket) => {
            Err("the name of the bucket cannot be a pattern".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// Returns the part of a path that ends in the name of the file: of a web address without its query.
pub(super) fn without_query(path: &str) -> &str {
    if path.starts_with("http://") || path.starts_with("https://") {
        return path.split(['?', '#']).next().unwrap_or_default();
    }
    path
}

/// Returns the pattern of `file` in the folder at an address, whose settings stay at the end.
pub fn join(folder: &str, file: &str) -> String {
    let (folder, settings) = split_settings(folder);
    let settings = settings.map_or_else(String::new, |settings| format!("?{settings}"));
    format!("{}/{file}{settings}", folder.trim_end_matches('/'))
}

/// Splits the settings from the address of a bucket. Anything else is returned as it is.
pub(super) fn split_settings(path: &str) -> (&str, Option<&str>) {
    let is_setting = |pair: &str| {
        let name = pair.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
    };
    match path.rsplit_once('?') {
        Some((address, settings)) if is_bucket(path) && settings.split('&').all(is_setting) => {
            (address, Some(settings))
        }
        _ => (path, None),
    }
}

/// Returns the location with all addresses without settings.
pub(super) fn without_settings(location: &DatasetLocation) -> Cow<'_, DatasetLocation> {
    let addresses = addresses(location);
    if !addresses
        .iter()
        .any(|path| split_settings(path).1.is_some())
    {
        return Cow::Borrowed(location);
    }
    let plain = |path: &String| split_settings(path).0.to_owned();
    let mut location = location.clone();
    if let DatasetOrigin::Folder { path } = &mut location.origin {
        *path = plain(path);
    }
    location.data_files = location.data_files.iter().map(plain).collect();
    location.data_dir = location.data_dir.as_ref().map(plain);
    Cow::Owned(location)
}

/// Returns the settings of each bucket, such as `endpoint=http://…`. Fails if a bucket has several.
pub(super) fn settings(location: &DatasetLocation) -> Result<BTreeMap<String, String>, Error> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in addresses(location) {
        let (address, Some(settings)) = split_settings(path) else {
            continue;
        };
        let bucket = bucket(address).to_owned();
        let known = found.entry(bucket).or_insert_with(|| settings.to_owned());
        if known != settings {
            return Err(Error::Pattern {
                pattern: path.to_owned(),
                reason: format!("another address of this bucket has the settings `{known}`"),
            });
        }
    }
    Ok(found)
}

/// Returns the address of the bucket of `s3://bucket/key`, which is `s3://bucket`.
pub(super) fn bucket(address: &str) -> &str {
    let name = address.find("://").map_or(0, |colon| colon + "://".len());
    let slash = address[name..].find('/');
    &address[..slash.map_or(address.len(), |slash| name + slash)]
}

fn addresses(location: &DatasetLocation) -> Vec<&str> {
    let folder = match &location.origin {
        DatasetOrigin::Folder { path } => Some(path),
        DatasetOrigin::Files | DatasetOrigin::Hub { .. } | DatasetOrigin::Rows { .. } => None,
    };
    let named = location.data_files.iter().chain(&location.data_dir);
    named.chain(folder).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused_with_a_reason() {
        let table = [
            ("ftp://host/a.csv", "`ftp://` is not read"),
            ("file:///a.csv", "without `file://`"),
            ("hf://models/a/b.csv", "hf://datasets/"),
            ("s3:///a.csv", "names no bucket"),
            ("s3://b*/a.csv", "cannot be a pattern"),
            ("https://host/data/", "names a folder"),
            ("https://host/*.csv", "does not list its files"),
            ("https://ada:secret@host/a.csv", "a password"),
            (
                "https://host/a.csv?X-Amz-Signature=1",
                "`X-Amz-Signature` opens the file",
            ),
            ("https:///", "not an address"),
        ];
        for (address, part) in table {
            let reason = place(address).unwrap_err();
            assert!(reason.contains(part), "{address}: {reason}");
        }
        let readable = [
            ("/a/b.csv", Place::Local),
            ("https://host/a.csv?download=true", Place::Web),
            ("s3://bucket/a/**/[0-9]*.csv", Place::Bucket),
            ("gs://bucket/a.csv", Place::Bucket),
            ("az://container/a.csv", Place::Bucket),
            ("abfss://c@a.dfs.core.windows.net/a.csv", Place::Bucket),
            ("hf://datasets/a/b@main/*.csv", Place::Hub),
        ];
        for (address, expected) in readable {
            assert_eq!(place(address), Ok(expected), "{address}");
        }
    }

    #[test]
    fn secrets_of_addresses_are_not_shown() {
        let table = [
            (
                "https://ada:secret@host/a.csv?sig=secret",
                "https://host/a.csv?…",
            ),
            ("https://host/a.csv", "https://host/a.csv"),
            ("s3://bucket/*?.csv", "s3://bucket/*?.csv"),
            ("/a/b?.csv", "/a/b?.csv"),
        ];
        for (address, expected) in table {
            assert_eq!(shown(address), expected);
        }
    }

    #[test]
    fn settings_belong_to_the_bucket() {
        let endpoint = "endpoint=http://127.0.0.1:1&region=x";
        let location = |files: &[String]| DatasetLocation {
            data_files: files.to_vec(),
            ..DatasetLocation::of(DatasetOrigin::Files)
        };
        let folder = format!("s3://b/rows/?{endpoint}");
        assert_eq!(
            join(&folder, "*.csv"),
            format!("s3://b/rows/*.csv?{endpoint}")
        );
        let both = location(&[
            format!("s3://b/part-?.csv?{endpoint}"),
            "s3://b/year=1/part-?/x=2.csv".to_owned(),
        ]);
        let files = &without_settings(&both).data_files;
        assert_eq!(
            files[..],
            ["s3://b/part-?.csv", "s3://b/year=1/part-?/x=2.csv"]
        );
        let found = settings(&both).unwrap();
        assert_eq!(found.get("s3://b").map(String::as_str), Some(endpoint));
        let other = location(&[
            format!("s3://b/a?{endpoint}"),
            "s3://b/b?region=y".to_owned(),
        ]);
        assert!(settings(&other).is_err());
    }

    #[test]
    fn the_name_of_a_web_file_comes_before_its_query() {
        assert_eq!(without_query("https://h/a.csv?x=b.json"), "https://h/a.csv");
        assert_eq!(without_query("/a?.csv"), "/a?.csv");
    }
}
