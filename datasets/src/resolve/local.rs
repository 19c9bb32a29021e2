//! The files of this machine as a source of datasets.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use whence_schemas::location::DataFile;

use super::builder;
use super::source::Source;
use crate::Error;
use crate::content::{self, SharedContent};
use crate::files::{self, unreadable};

/// The file system of this machine. All paths are absolute.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalSource;

impl Source for LocalSource {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let root = if folder.is_empty() { "/" } else { folder };
        if Path::new(root).is_dir() {
            collect(Path::new(root), depth, &mut found)?;
        }
        Ok(found)
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(false),
            // A pipe counts, so that the user hears why it cannot be read.
            Ok(_) => files::refuse_streams(Path::new(path)).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
            Err(error) => Err(unreadable(Path::new(path))(error)),
        }
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(Path::new(path))(error)),
        }
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        files::describe(Path::new(path), split)
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let path = Path::new(&file.path);
        content::local(path).map_err(unreadable(path))
    }
}

/// Adds the files of a folder. As in `datasets`, links to files count and links to folders do not.
fn collect(folder: &Path, depth: Option<usize>, found: &mut Vec<String>) -> Result<(), Error> {
    if depth == Some(0) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if kind.is_dir() {
            collect(&path, depth.map(|depth| depth - 1), found)?;
        } else if !(kind.is_symlink() && (path.is_dir() || !path.exists())) {
            match path.to_str() {
                Some(path) => found.push(path.to_owned()),
                None if builder::is_data_file(&path.to_string_lossy()) => {
                    return Err(Error::Format {
                        path,
                        reason: "its name is not UTF-8; rename it".to_owned(),
                    });
                }
                None => {}
            }
        }
    }
    Ok(())
}
