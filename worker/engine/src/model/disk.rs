//! Opens the files of a model. Every read goes through here, so that a Git LFS pointer is reported
//! as one whatever file it stands for: weights, tokenizer or configuration.

use std::fs::File;
use std::path::Path;

use whence_schemas::lfs;

use crate::Error;

/// Opens the file at `path`. Fails if it is missing or a Git LFS pointer.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let unreadable = |source| Error::ModelFile {
        path: path.to_owned(),
        source,
    };
    if path.is_file() && lfs::is_pointer_file(path).map_err(unreadable)? {
        return Err(Error::LfsPointer {
            path: path.to_owned(),
        });
    }
    File::open(path).map_err(unreadable)
}

/// Reads the whole file at `path`. Fails if it is missing or a Git LFS pointer.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::ModelFile {
        path: path.to_owned(),
        source,
    })?;
    if lfs::is_pointer(&bytes) {
        return Err(Error::LfsPointer {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// Reads the whole file at `path` as text. Fails if it is missing, a Git LFS pointer or not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|_| Error::ModelContent {
        path: path.to_owned(),
        reason: "it is not UTF-8 text".to_owned(),
    })
}
