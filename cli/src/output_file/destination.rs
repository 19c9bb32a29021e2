//! Decides how to write to a path: as a file, as a stream such as a pipe, or not at all.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// How an output path is written to.
#[derive(Debug)]
pub(super) enum Destination {
    File(Target),
    Stream(PathBuf),
    Stdout,
}

/// The file to create or replace.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
    /// Permissions of the file that is replaced, which the new file takes over.
    pub(super) permissions: Option<Permissions>,
}

/// Decides how to write to `path`. Fails with the reason if nothing can be written there.
pub(super) fn destination(path: &Path) -> Result<Destination, String> {
    if matches!(path.to_str(), Some("-" | "/dev/stdout" | "/dev/fd/1")) {
        return Ok(Destination::Stdout);
    }
    // These are usually file descriptors that a shell opened. Even if one refers to a regular
    // file, that file must not be replaced, because other programs may be writing to it too.
    if path.starts_with("/dev") || path.starts_with("/proc") {
        return Ok(Destination::Stream(path.to_owned()));
    }
    match fs::metadata(path) {
        Ok(there) => existing(path, &there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => new(path),
        Err(error) => Err(error.to_string()),
    }
}

const IS_FOLDER: &str = "it is a folder; name a file in it";

fn existing(path: &Path, there: &Metadata) -> Result<Destination, String> {
    let kind = there.file_type();
    if kind.is_dir() {
        return Err(IS_FOLDER.to_owned());
    }
    if kind.is_fifo() || kind.is_char_device() {
        return Ok(Destination::Stream(path.to_owned()));
    }
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    if there.permissions().readonly() {
        return Err("the file is write-protected".to_owned());
    }
    // For a symbolic link, replace the file it points to and keep the link.
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    Ok(Destination::File(Target {
        folder: folder_of(&path)?,
        permissions: Some(there.permissions()),
        path,
    }))
}

fn new(path: &Path) -> Result<Destination, String> {
    if path.is_symlink() {
        return Err("it is a link to a file that does not exist".to_owned());
    }
    let file_name = path.file_name().ok_or(IS_FOLDER)?;
    let folder = folder_of(path)?;
    Ok(Destination::File(Target {
        path: folder.join(file_name),
        folder,
        permissions: None,
    }))
}

/// Returns the canonical path of the folder that contains `path`.
fn folder_of(path: &Path) -> Result<PathBuf, String> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    };
    match folder.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(format!("`{}` is not a folder", folder.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("the folder `{}` does not exist", folder.display()))
        }
        Err(error) => Err(format!("the folder `{}`: {error}", folder.display())),
    }
}
