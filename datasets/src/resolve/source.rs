//! Where the files of a dataset are: on this machine, in a repository, or anywhere else.

use whence_schemas::location::DataFile;

use crate::Error;
use crate::content::{self, SharedContent};

/// Returns whether `path` is in `folder` or, down to `depth` levels of folders, below it; at any
/// depth if there is none. The empty folder is the top.
pub(super) fn is_below(path: &str, folder: &str, depth: Option<usize>) -> bool {
    let rest = match folder {
        "" => Some(path),
        folder => path
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/')),
    };
    rest.is_some_and(|rest| depth.is_none_or(|depth| rest.split('/').count() <= depth))
}

/// A place with files, whose paths have `/` between their components.
///
/// Resolution reads names only, and the few small files that describe a dataset. The bytes of a
/// data file are needed when its rows are read, which for a slice is often one file of many.
pub trait Source: Send + Sync {
    /// Returns whether its files may be anywhere, and named by addresses such as `s3://bucket/a.csv`.
    fn reads_addresses(&self) -> bool {
        false
    }

    /// Returns the paths of all files in `folder` and, down to `depth` levels of folders (one is
    /// `folder` itself), below it. All of them if there is no depth, none if there is no folder.
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error>;

    /// Returns whether there is a file with this path.
    fn has_file(&self, path: &str) -> Result<bool, Error>;

    /// Returns the content of a small file, or `None` if there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Returns the length and digest of a file of `split`.
    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error>;

    /// Opens a file, or the archive that it is in. Only now are its bytes needed.
    fn open(&self, file: &DataFile) -> Result<SharedContent, Error>;

    /// Returns the names of the files inside an archive, in the order in which they are read.
    /// Fails if it is none.
    fn members(&self, archive: &DataFile) -> Result<Vec<String>, Error> {
        let content = self.open(archive)?;
        content::members(&content)?.ok_or_else(|| Error::Content {
            path: archive.path.clone().into(),
            reason: "it is called `.zip`, but is no zip archive".to_owned(),
        })
    }
}
