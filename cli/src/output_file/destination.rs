//! What a path means as an output: a file, something to write into, or nothing that can be written.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What a path means as an output.
#[derive(Debug)]
pub(super) enum Destination {
    File(Target),
    Stream(PathBuf),
    Stdout,
}

/// The file that will have the output's name.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
    /// Those of the file that is replaced.
    pub(super) permissions: Option<Permissions>,
}

/// Finds out what `path` means. Fails with the reason if nothing can be written there.
pub(super) fn destination(path: &Path) -> Result<Destination, String> {
    if matches!(path.to_str(), Some("-" | "/dev/stdout" | "/dev/fd/1")) {
        return Ok(Destination::Stdout);
    }
    // What a shell opened for us. Behind the name may be a file, which must not be replaced: others
    // write into it too.
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
    // Behind a link is the file that is meant; the link stays.
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

/// Returns the folder that holds `path`, by the one name it has.
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
