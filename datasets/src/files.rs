//! Finds the files of a dataset, and checks that they have not changed since the job was submitted.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use whence_schemas::job::DataFile;
use whence_schemas::{FormatName, FormatSpec, lfs};

use crate::Error;
use crate::formats;

/// Describes the data files at `paths`, each of which is a file or a folder of files.
///
/// The files of a folder and its subfolders are sorted by path. As in `datasets`, hidden files are
/// left out, and so are files that do not have the most common format. Reads every file once to
/// compute its digest. Fails if a path does not exist, is a file of an unknown format, or is a
/// folder without data files.
pub fn describe(paths: &[impl AsRef<str>]) -> Result<Vec<DataFile>, Error> {
    let mut files = Vec::new();
    for path in paths {
        let path = local_path(path.as_ref())?;
        // This comes before `canonicalize`, which fails on a shell's pipe (`<(…)`) because the pipe
        // has no real path. The user should hear that pipes are not supported instead.
        refuse_streams(&path)?;
        let path = path.canonicalize().map_err(unreadable(&path))?;
        if path.is_dir() {
            files.extend(data_files(&path)?);
        } else {
            format_of(&path)?;
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::Empty {
            reason: "no data file was given".to_owned(),
        });
    }
    files.iter().map(|path| describe_file(path)).collect()
}

/// Returns the format that the name of a file suggests. Fails if it suggests none.
pub fn format_of(path: &Path) -> Result<FormatSpec, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(formats::by_extension)
        .ok_or_else(|| Error::Format {
            path: path.to_owned(),
            reason: format!(
                "unsupported file extension; supported: .{}, also compressed (.gz, .zst, .bz2, \
                 .xz, .lz4)",
                formats::extensions().join(", .")
            ),
        })
}

/// Returns a function that turns an I/O error into one that names `path`.
fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}

/// Checks that a file still has the length and digest it was described with. Returns its path.
pub fn verify(file: &DataFile) -> Result<PathBuf, Error> {
    let path = local_path(&file.path)?;
    let found = describe_file(&path)?;
    let changed = |reason: String| Error::Content {
        path: path.clone(),
        reason,
    };
    if found.bytes != file.bytes {
        let reason = format!("it has {} bytes, the job says {}", found.bytes, file.bytes);
        return Err(changed(reason));
    }
    if found.digest != file.digest {
        return Err(changed("its digest is not the one in the job".to_owned()));
    }
    Ok(path)
}

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

/// Fails if `path` is a pipe or a device. Planning, reading and resuming each read the rows anew,
/// but a pipe gives its bytes only once, and a device may never end.
fn refuse_streams(path: &Path) -> Result<(), Error> {
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

fn describe_file(path: &Path) -> Result<DataFile, Error> {
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
        path: name.to_owned(),
        bytes: hasher.count(),
        digest: hasher.finalize().to_hex().to_string(),
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

/// Returns the data files of a folder that have its most common format, sorted by path.
fn data_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(folder, &mut found)?;
    found.sort_unstable();
    let mut counts: HashMap<FormatName, usize> = HashMap::new();
    for path in &found {
        *counts.entry(format_of(path)?.name).or_default() += 1;
    }
    // `max_by_key` returns the last of several maxima. Reversing the list makes a tie go to the
    // format that is listed first.
    let commonest = FormatName::ALL
        .into_iter()
        .rev()
        .max_by_key(|format| counts.get(format).copied().unwrap_or(0));
    found.retain(|path| format_of(path).is_ok_and(|format| Some(format.name) == commonest));
    if found.is_empty() {
        return Err(Error::Empty {
            reason: format!("the folder `{}` holds no data file", folder.display()),
        });
    }
    Ok(found)
}

/// Adds the data files of a folder and its subfolders to `found`, in any supported format.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| name.starts_with('.') || name.starts_with("__")) {
            continue;
        }
        // Hugging Face stores these descriptions next to the data files. They hold no rows.
        let is_description = matches!(
            name,
            Some(
                "config.json"
                    | "dataset_info.json"
                    | "dataset_infos.json"
                    | "dataset_dict.json"
                    | "state.json"
            )
        );
        if path.is_dir() {
            collect(&path, found)?;
        } else if !is_description && format_of(&path).is_ok() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_commonest_format_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.jsonl",
            "a.jsonl",
            "c.csv",
            ".hidden.jsonl",
            "README.md",
            "config.json",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let files = describe(&[folder.path().to_str().unwrap()]).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["a.jsonl", "b.jsonl"]);
        assert_eq!(files[0].bytes, 7);
        assert_eq!(
            files[0].digest,
            blake3::hash(b"a.jsonl").to_hex().to_string()
        );
    }

    #[test]
    fn a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{}").unwrap();
        let file = describe(&[path.to_str().unwrap()]).unwrap().remove(0);
        assert_eq!(verify(&file).unwrap(), path.canonicalize().unwrap());
        fs::write(&path, "[]").unwrap();
        assert!(matches!(verify(&file), Err(Error::Content { .. })));
        fs::write(&path, "{} ").unwrap();
        assert!(matches!(verify(&file), Err(Error::Content { .. })));
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
            let path = path.to_str().unwrap();
            let error = describe(&[path]).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            let file = DataFile {
                path: path.to_owned(),
                bytes: 0,
                digest: String::new(),
            };
            assert!(verify(&file).unwrap_err().to_string().contains(what));
        }
        let error = describe(&[folder.path().to_str().unwrap()]).unwrap_err();
        assert!(
            error.to_string().contains("can be read only once"),
            "{error}"
        );
    }

    #[test]
    fn a_git_lfs_pointer_is_no_dataset() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rows.jsonl", "rows.parquet", "rows.csv"] {
            let path = folder.path().join(name);
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
            fs::write(&path, pointer).unwrap();
            let error = describe(&[path.to_str().unwrap()]).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("lfs pull"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = describe(&["/nowhere/a.jsonl"]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/a.jsonl"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        fs::write(&path, "").unwrap();
        let error = describe(&[path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(
            error.contains(".jsonl") && error.contains("a.zip"),
            "{error}"
        );
    }
}
