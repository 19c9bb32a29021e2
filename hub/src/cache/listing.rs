//! The list of files of a snapshot in the cache. A snapshot never changes, so neither does its list.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Cache;
use super::whole_file::replace;
use crate::digest::Digest;
use crate::repo::Snapshot;
use crate::tree::{RepoFile, Tree, is_safe};

/// Lists of another version are not read.
const FORMAT_VERSION: u32 = 1;

/// The file's JSON, as Python writes it.
#[derive(Debug, Serialize, Deserialize)]
struct Listing {
    format_version: u32,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    size: u64,
    blob_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
}

impl Cache {
    fn listing_path(&self, snapshot: &Snapshot) -> PathBuf {
        let name = format!("{}.json", snapshot.commit);
        self.repo(&snapshot.repo).join("trees").join(name)
    }

    /// Returns the list of a snapshot if the cache has it. One that cannot be read is as good as
    /// none: the Hub has another.
    pub(crate) fn read_tree(&self, snapshot: &Snapshot) -> Option<Tree> {
        let text = fs::read(self.listing_path(snapshot)).ok()?;
        let listing: Listing = serde_json::from_slice(&text).ok()?;
        let is_valid = |path: &String| is_safe(path);
        if listing.format_version != FORMAT_VERSION || !listing.files.keys().all(is_valid) {
            return None;
        }
        let files = listing.files.into_iter().map(|(path, entry)| RepoFile {
            path,
            size: entry.lfs_size.unwrap_or(entry.size),
            blob_id: entry.blob_id,
            lfs_sha256: entry.lfs_sha256,
            xet_hash: entry.xet_hash,
        });
        Some(Tree {
            files: files.collect(),
            is_complete: true,
        })
    }

    /// Keeps the list of a snapshot. A cache that cannot be written does without.
    pub(crate) fn write_tree(&self, snapshot: &Snapshot, files: &[RepoFile]) {
        let entries = files.iter().map(|file| {
            let entry = Entry {
                size: file.size,
                blob_id: file.blob_id.clone(),
                lfs_sha256: file.lfs_sha256.clone(),
                lfs_size: file.lfs_sha256.as_ref().map(|_| file.size),
                xet_hash: file.xet_hash.clone(),
            };
            (file.path.clone(), entry)
        });
        let listing = Listing {
            format_version: FORMAT_VERSION,
            files: entries.collect(),
        };
        if let Ok(text) = serde_json::to_vec_pretty(&listing) {
            let _ = replace(&self.listing_path(snapshot), &text);
        }
    }

    /// Lists the files of a snapshot that happen to be in the cache. `None` if there are none.
    pub(crate) fn walk(&self, snapshot: &Snapshot) -> Option<Tree> {
        let folder = self.pointer(snapshot, "");
        let mut files = Vec::new();
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.extend(cached_file(&folder, &path));
                }
            }
        }
        files.sort_by(|a: &RepoFile, b| a.path.cmp(&b.path));
        (!files.is_empty()).then_some(Tree {
            files,
            is_complete: false,
        })
    }
}

/// Describes a file of a snapshot by its size and by the name of the blob that it links to.
fn cached_file(folder: &Path, path: &Path) -> Option<RepoFile> {
    let size = fs::metadata(path).ok()?.len();
    let blob = fs::read_link(path).unwrap_or_default();
    let blob = blob.file_name().unwrap_or_default().to_string_lossy();
    let lfs_sha256 = match Digest::parse(&blob) {
        Some(Digest::Sha256(hex)) => Some(hex),
        _ => None,
    };
    Some(RepoFile {
        path: path.strip_prefix(folder).ok()?.to_str()?.to_owned(),
        size,
        blob_id: blob.into_owned(),
        lfs_sha256,
        xet_hash: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::{Commit, RepoId};

    fn snapshot() -> Snapshot {
        Snapshot {
            repo: RepoId::model("a/b").unwrap(),
            commit: Commit::parse(&"0".repeat(40)).unwrap(),
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into(), false);
        assert_eq!(cache.read_tree(&snapshot()), None);
        let file = |path: &str, lfs: Option<&str>| RepoFile {
            path: path.to_owned(),
            size: 7,
            blob_id: "ab".to_owned(),
            lfs_sha256: lfs.map(str::to_owned),
            xet_hash: lfs.map(str::to_owned),
        };
        let files = vec![file("a.txt", None), file("b/c.bin", Some("cd"))];
        cache.write_tree(&snapshot(), &files);
        let is_complete = true;
        assert_eq!(
            cache.read_tree(&snapshot()),
            Some(Tree { files, is_complete })
        );
    }

    #[test]
    fn a_list_that_leads_out_of_the_cache_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into(), false);
        let path = cache.listing_path(&snapshot());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (version, name) in [(1, "../a"), (2, "a")] {
            let text = format!(
                r#"{{"format_version": {version}, "files": {{"{name}": {{"size": 1, "blob_id": "x"}}}}}}"#
            );
            fs::write(&path, text).unwrap();
            assert_eq!(cache.read_tree(&snapshot()), None, "{name}");
        }
    }
}
