//! Describes data files of this machine: their length and digest, and what cannot be one.

use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use whence_schemas::lfs;
use whence_schemas::location::DataFile;

use crate::Error;
use crate::content::carried_by;

/// Returns the file that a path or `file://` URL names. Fails on any other kind of URL.
pub fn local_path(path: &str) -> Result<PathBuf, Error> {
    let refuse = |reason: &str| Error::Format {
        path: path.into(),
        reason: reason.to_owned(),
    };
    if !path.contains("://") {
        return Ok(path.into());
    }
    url::Url::parse(path)
        .ok()
        .filter(|url| url.scheme() == "file")
        .and_then(|url| url.to_file_path().ok())
        .ok_or_else(|| refuse("only local paths and `file:///…` are read; copy it here first"))
}

/// Returns a function that turns an I/O error into one that names `path`.
pub(crate) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}

/// Returns the error for threads that cannot be started, or for a request that failed.
pub(crate) fn network_failed(error: std::io::Error) -> Error {
    match carried_by(&error) {
        Some(failure) => Error::Remote(failure),
        None => Error::Thread(error),
    }
}

/// Describes one file of `split`. Reads it once to compute its digest.
///
/// The path is kept as it was given, even if it is a link, because the name says the format.
pub(crate) fn describe(path: &Path, split: &str) -> Result<DataFile, Error> {
    // This comes first, because opening a pipe would wait for a writer.
    refuse_streams(path)?;
    refuse_pointer(path)?;
    let mut file = File::open(path).map_err(unreadable(path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(unreadable(path))?;
    let name = path.to_str().ok_or_else(|| Error::Format {
        path: path.to_owned(),
        reason: "its name is not UTF-8; rename it".to_owned(),
    })?;
    Ok(DataFile {
        split: split.to_owned(),
        path: name.to_owned(),
        member: None,
        bytes: hasher.count(),
        digest: hasher.finalize().to_hex().to_string(),
    })
}

/// Fails if `path` is a pipe or a device. Planning, reading and resuming each read the rows anew,
/// but a pipe gives its bytes only once, and a device may never end.
pub(crate) fn refuse_streams(path: &Path) -> Result<(), Error> {
    let kind = fs::metadata(path).map_err(unreadable(path))?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    let what = if kind.is_fifo() { "pipe" } else { "device" };
    Err(Error::Format {
        path: path.to_owned(),
        reason: format!("a {what} can be read only once; write the rows to a file first"),
    })
}

/// Fails if the file is only a Git LFS pointer, whose lines would otherwise be read as bad rows.
fn refuse_pointer(path: &Path) -> Result<(), Error> {
    if !path.is_file() || !lfs::is_pointer_file(path).map_err(unreadable(path))? {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    Err(Error::Format {
        path: path.to_owned(),
        reason: format!(
            "it is a Git LFS pointer, not the file itself; fetch it: git -C '{}' lfs pull",
            folder.display()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_length_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "a.jsonl").unwrap();
        let file = describe(&path, "train").unwrap();
        let digest = blake3::hash(b"a.jsonl").to_hex().to_string();
        assert_eq!((file.bytes, file.digest), (7, digest));
        assert_eq!(file.path, path.to_str().unwrap());
    }

    /// If one of these were opened, the test would hang: opening a pipe waits for a writer, and
    /// `/dev/zero` never ends.
    #[test]
    fn what_can_be_read_only_once_is_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("rows.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let device = folder.path().join("zero.jsonl");
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        for (path, what) in [(&pipe, "a pipe"), (&device, "a device")] {
            let error = describe(path, "train").unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_git_lfs_pointer_is_no_dataset() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rows.jsonl", "rows.parquet", "rows.csv"] {
            let path = folder.path().join(name);
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
            fs::write(&path, pointer).unwrap();
            let error = describe(&path, "train").unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("lfs pull"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_urls_of_files_are_local() {
        assert_eq!(
            local_path("file:///a%20b.csv").unwrap(),
            Path::new("/a b.csv")
        );
        assert_eq!(local_path("a b.csv").unwrap(), Path::new("a b.csv"));
        let error = local_path("s3://bucket/a.csv").unwrap_err().to_string();
        assert!(error.contains("s3://bucket/a.csv"), "{error}");
    }
}
