//! The list of files of a snapshot, as the API gives it and as the cache keeps it.

use serde::Deserialize;

use crate::digest::Digest;

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// Path inside the repository, with slashes.
    pub path: String,
    /// Size in bytes; of the file itself, not of its Git LFS pointer.
    pub size: u64,
    /// Git's name of the blob: that of the pointer if the file is in Git LFS.
    pub blob_id: String,
    /// SHA-256 of a file in Git LFS or Xet.
    pub lfs_sha256: Option<String>,
    /// Name of the file in Xet storage.
    pub xet_hash: Option<String>,
}

impl RepoFile {
    /// Returns what the bytes hash to. `None` if the list names the file by something else.
    pub fn digest(&self) -> Option<Digest> {
        Digest::parse(self.lfs_sha256.as_deref().unwrap_or(&self.blob_id))
    }
}

/// The files of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The files, sorted by path.
    pub files: Vec<RepoFile>,
    /// Whether these are all files. Offline, the cache may hold a few files of a snapshot and no
    /// list of the rest.
    pub is_complete: bool,
}

/// One entry of the API's answer.
#[derive(Debug, Deserialize)]
struct Entry {
    r#type: String,
    oid: String,
    size: u64,
    path: String,
    lfs: Option<Lfs>,
    #[serde(rename = "xetHash")]
    xet_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Reads one page of the API's list. Folders are left out.
pub(crate) fn parse_page(body: &[u8]) -> Result<Vec<RepoFile>, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let files = entries.into_iter().filter(|entry| entry.r#type == "file");
    let files = files.map(|entry| RepoFile {
        size: entry.lfs.as_ref().map_or(entry.size, |lfs| lfs.size),
        lfs_sha256: entry.lfs.map(|lfs| lfs.oid),
        path: entry.path,
        blob_id: entry.oid,
        xet_hash: entry.xet_hash,
    });
    Ok(files.collect())
}

/// Returns the address of the next page by the value of a `Link` header.
pub(crate) fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, attributes) = part.trim().strip_prefix('<')?.split_once('>')?;
        let mut attributes = attributes.split(';').map(str::trim);
        attributes
            .any(|attribute| matches!(attribute, "rel=\"next\"" | "rel=next"))
            .then_some(address)
    })
}

/// Returns whether `path` stays inside the folder that it is joined to. Backslashes and drive
/// letters count as separators, because a cache may lie on a shared disk that Windows reads too.
pub(crate) fn is_safe(path: &str) -> bool {
    let is_part = |part: &str| {
        let is_drive = part.as_bytes().get(1) == Some(&b':');
        !matches!(part, "" | "." | "..") && !is_drive && !part.contains('\0')
    };
    path.split(['/', '\\']).all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_lists_small_files_and_those_in_lfs() {
        let body = br#"[
            {"type": "directory", "oid": "aa", "size": 0, "path": "data"},
            {"type": "file", "oid": "ce013625030ba8dba906f756967f9e9ca394464a", "size": 6, "path": "README.md"},
            {"type": "file", "oid": "bb", "size": 130, "path": "data/a.parquet", "xetHash": "cc",
             "lfs": {"oid": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                     "size": 7000, "pointerSize": 130}}
        ]"#;
        let files = parse_page(body).unwrap();
        let short: Vec<_> = files
            .iter()
            .map(|file| (file.path.as_str(), file.size))
            .collect();
        assert_eq!(short, [("README.md", 6), ("data/a.parquet", 7000)]);
        assert!(matches!(files[0].digest(), Some(Digest::GitSha1(_))));
        assert!(matches!(files[1].digest(), Some(Digest::Sha256(_))));
        assert_eq!(files[1].xet_hash.as_deref(), Some("cc"));
    }

    #[test]
    fn the_next_page_is_the_one_that_the_header_calls_so() {
        let link = r#"<https://h/api?cursor=a%3D>; rel="next", <https://h/api>; rel="first""#;
        assert_eq!(next_page(link), Some("https://h/api?cursor=a%3D"));
        assert_eq!(next_page(r#"<https://h/api>; rel="first""#), None);
        assert_eq!(next_page(""), None);
    }

    #[test]
    fn no_path_leads_out_of_the_repository() {
        for path in ["a", "a/b.txt", ".gitattributes", "a b/ü.csv", "..a/b.."] {
            assert!(is_safe(path), "{path}");
        }
        for path in [
            "", "/etc", "../a", "a/../b", "a\\..\\b", "C:\\a", "a//b", "D:a", "a/./b",
        ] {
            assert!(!is_safe(path), "{path}");
        }
    }
}
